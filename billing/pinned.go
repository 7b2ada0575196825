package billing

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"deltaledger/ledger"
)

// PinnedEvent is an event on an invoice. Times are UTC. Private content is not in it.
type PinnedEvent struct {
	Position    int64            `json:"position"`
	RecordedAt  time.Time        `json:"recorded_at"`
	OccurredAt  time.Time        `json:"occurred_at"`
	OriginStart time.Time        `json:"origin_start"` // of the cycle that it belongs to: in which it happened, or its order was final
	Source      string           `json:"source"`
	ID          string           `json:"id"`
	Stream      string           `json:"stream,omitempty"`
	Seqn        *int64           `json:"seqn,omitempty"`
	Type        string           `json:"type"`
	Kind        ledger.Kind      `json:"kind"`
	Currency    string           `json:"currency"`
	Amount      *decimal.Decimal `json:"amount,omitempty"`
	Quantity    *decimal.Decimal `json:"quantity,omitempty"`
	Lines       []int            `json:"lines"` // of the invoice, one for each charge that selects it
}

// PinnedQuery says which events of an invoice are wanted.
type PinnedQuery struct {
	Invoice string // id or number
	Line    int    // only those that are on this line; 0: all
	After   int64  // only those at positions above it; 0: from the first
	Limit   int    // at most; 0: all
}

// A page is read from where the one before it ended, by the primary key of the pins, however far into the invoice that is.
const sqlPinnedEvents = `
SELECT e.position, e.recorded_at, e.occurred_at, p.origin_start, e.source, e.event_id, COALESCE(e.stream, ''), e.seqn, e.type, e.kind,
       e.currency, e.amount, e.quantity, f.mask
FROM billing.pins p` + ledger.EventAtP + `
CROSS JOIN LATERAL (SELECT ` + noMask + ` AS mask) f
WHERE p.account = @account AND p.invoice_id = @invoice AND p.position > @after
  AND (@origin::timestamptz IS NULL OR p.origin_start = @origin
       AND (cardinality(@types::text[]) = 0 OR e.type = ANY(@types::text[])) AND f.mask LIKE @pattern)
ORDER BY p.position
LIMIT @limit`

// Events calls each for every event that the invoice pins, by position, and keeps none of them. An
// error of each ends it and is returned.
func (b *Billing) Events(ctx context.Context, idOrNumber string, each func(PinnedEvent) error) error {
	return b.PinnedEvents(ctx, PinnedQuery{Invoice: idOrNumber}, each)
}

// PinnedEvents calls each for the events of an invoice that are asked for, by position, as they come from the database: it
// keeps none of them, however many there are. An error of each ends it and is returned. What an invoice pins never changes,
// so that pages put together are the whole. A line that the invoice doesn't have is ErrNotFound.
func (b *Billing) PinnedEvents(ctx context.Context, q PinnedQuery, each func(PinnedEvent) error) error {
	v, err := find(ctx, b.pool, q.Invoice)
	if err != nil {
		return wrap(err, "events of invoice")
	}
	err = b.pinnedEvents(ctx, v, q, each)
	return wrap(err, "events of invoice %s", q.Invoice)
}

func (b *Billing) pinnedEvents(ctx context.Context, v Invoice, q PinnedQuery, each func(PinnedEvent) error) error {
	catalogue, err := b.ledger.Catalogue(ctx)
	if err != nil {
		return err
	}
	on, err := b.linesOf(ctx, v, catalogue)
	if err != nil {
		return err
	}
	args := pgx.NamedArgs{"account": v.Account, "invoice": v.ID, "after": q.After, "limit": nil, "origin": nil, "types": []string{}, "pattern": ""}
	if q.Limit > 0 {
		args["limit"] = q.Limit
	}
	if q.Line != 0 {
		if q.Line < 0 || q.Line > on.all {
			return fmt.Errorf("line %d: %w", q.Line, ledger.ErrNotFound)
		}
		i := slices.IndexFunc(on.lines, func(l pricedLine) bool { return l.line == q.Line })
		if i < 0 { // a flat charge bills days
			return nil
		}
		l := on.lines[i]
		args["origin"], args["types"], args["pattern"] = l.origin, append([]string{}, l.charge.Types...), on.sel.Pattern(l.charge)
	}
	mask := on.sel.Mask(named(args))
	rows, err := b.pool.Query(ctx, strings.Replace(sqlPinnedEvents, noMask, mask, 1), args)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var e PinnedEvent
		var mask string
		err := rows.Scan(&e.Position, &e.RecordedAt, &e.OccurredAt, &e.OriginStart, &e.Source, &e.ID, &e.Stream, &e.Seqn, &e.Type, &e.Kind,
			&e.Currency, &e.Amount, &e.Quantity, &mask)
		if err != nil {
			return err
		}
		e.RecordedAt, e.OccurredAt, e.OriginStart = e.RecordedAt.UTC(), e.OccurredAt.UTC(), e.OriginStart.UTC()
		e.Lines = on.of(e, mask)
		if err := each(e); err != nil {
			return err
		}
	}
	return rows.Err()
}

// linesOn tells on which lines of an invoice an event is that it pins.
type linesOn struct {
	sel   Selection
	lines []pricedLine    // that hold any
	all   int             // lines of the invoice, which are numbered from 1
	known map[alike][]int // there are few kinds of events
}

// pricedLine is what decides which events are on a line.
type pricedLine struct {
	line   int
	origin time.Time
	charge Charge
}

// alike is what events agree in that are on the same lines of an invoice.
type alike struct {
	origin    time.Time
	typ, mask string
}

func (b *Billing) linesOf(ctx context.Context, v Invoice, catalogue ledger.Catalogue) (*linesOn, error) {
	lines, err := readLines(ctx, b.pool, v)
	if err != nil {
		return nil, err
	}
	on := &linesOn{all: len(lines), known: map[alike][]int{}}
	var charges []Charge
	for _, l := range lines {
		if l.Pinned == 0 {
			continue
		}
		c, err := ParseCharge(l.Definition)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", l.Line, err)
		}
		on.lines, charges = append(on.lines, pricedLine{l.Line, l.OriginStart, c}), append(charges, c)
	}
	on.sel, err = NewSelection(catalogue, charges...)
	return on, err
}

// of are the numbers of the lines that an event with the mask is on.
func (on *linesOn) of(e PinnedEvent, mask string) []int {
	key := alike{e.OriginStart, e.Type, mask}
	numbers, ok := on.known[key]
	if !ok {
		numbers = []int{}
		for _, l := range on.lines {
			if l.origin.Equal(e.OriginStart) && on.sel.Selects(l.charge, e.Type, e.Currency, mask) {
				numbers = append(numbers, l.line)
			}
		}
		on.known[key] = numbers
	}
	return numbers
}
