package billing

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"deltaledger/ledger"
	"deltaledger/ledger/pg"
)

// A charge that leaves its first events free has to know which they are. Of each line the first ones
// that it adds are kept, so that late ones can take their places without anybody reading the cycle again.

// The measure of an event stands where measureOfFirst does.
const measureOfFirst = `0::numeric`

const selectFirst = `
SELECT q.cycle, q.target, q.currency, q.stream, q.occurred_at, q.source, q.event_id, q.value
FROM (
    SELECT b.cycle, b.target, e.currency, s.stream, e.occurred_at, e.source, e.event_id, ` + measureOfFirst + ` AS value,
           row_number() OVER (PARTITION BY b.cycle, b.target, e.currency, s.stream
                              ORDER BY e.occurred_at, e.source COLLATE "C", e.event_id COLLATE "C") AS n
    FROM `

// Rows that the ledger made are no events.
const isOfCharge = `
      AND e.kind IN ('upstream', 'adjustment') AND f.mask LIKE @pattern AND b.cycle = ANY(@cycles::int[])
      AND (cardinality(@types::text[]) = 0 OR e.type = ANY(@types::text[])) AND @currency::text IN ('', e.currency)
) q
WHERE q.n <= @free::bigint`

const (
	sqlFirstOnTime  = selectFirst + fromOnTime + ` WHERE true` + isOfCharge
	sqlFirstLate    = selectFirst + fromLate + ` WHERE true` + isOfCharge
	sqlFirstCovered = selectFirst + fromCovered + ` WHERE true` + isOfCharge
	sqlFirstOrders  = selectFirst + fromOrdered + ` WHERE ` + isBilled + isOfCharge
)

// firstSQL puts the measure of a charge into a query about its first events.
func firstSQL(query string, c Charge) string {
	value := measureOfFirst
	if c.Sums() != "" {
		value = "COALESCE(e." + pgx.Identifier{c.Sums()}.Sanitize() + ", 0)"
	}
	return strings.Replace(query, measureOfFirst, value, 1)
}

// addArgs adds what says which events are a charge's.
func (s Selection) addArgs(args pgx.NamedArgs, c Charge) {
	args["pattern"], args["types"], args["currency"], args["free"] = s.Pattern(c), append([]string{}, c.Types...), c.Currency, c.FreeEvents
}

// readFirst reads the first events of the lines that keep any. One query for each charge that does.
func (w *window) readFirst(ctx context.Context, tx pgx.Tx, all []*draft) error {
	type firstKey struct {
		priorKey
		target time.Time
	}
	lines := map[firstKey]*draftLine{}
	type wanted struct {
		charge Charge
		cycles [2][]int // late ones, and those on time
	}
	by := map[string]*wanted{}
	for _, v := range all {
		for _, l := range v.lines {
			if l.charge.FreeEvents == 0 {
				continue
			}
			lines[firstKey{priorKey{l.origin.Start, l.charge.Name, v.currency, v.stream}, v.cycle.Start}] = l
			i := slices.IndexFunc(w.cycles, func(cy Cycle) bool { return cy.Start.Equal(l.origin.Start) })
			key := l.charge.definition()
			if by[key] == nil {
				by[key] = &wanted{charge: l.charge}
			}
			part := &by[key].cycles[0]
			if i >= w.open && w.orders == nil {
				part = &by[key].cycles[1]
			}
			if !slices.Contains(*part, i+1) {
				*part = append(*part, i+1)
			}
		}
	}
	for _, want := range by {
		for i, query := range w.firstQueries() {
			if query == sqlFirstCovered {
				i = 0
			}
			if len(want.cycles[i]) == 0 {
				continue
			}
			args := w.args()
			w.sel.addArgs(args, want.charge)
			args["cycles"] = want.cycles[i]
			err := readFirst(ctx, tx, w.sql(firstSQL(query, want.charge)), args, func(cycle, target int, currency, stream string, e FirstEvent) error {
				if query == sqlFirstCovered {
					target = w.open + 1
				} else if w.orders == nil {
					target = w.target(cycle-1) + 1
				}
				l := lines[firstKey{priorKey{w.cycles[cycle-1].Start, want.charge.Name, currency, stream}, w.cycles[target-1].Start}]
				if l == nil {
					return fmt.Errorf("an event of charge %q is on none of its lines: %w", want.charge.Name, ledger.ErrCorrupt)
				}
				l.added.First = append(l.added.First, e)
				return nil
			})
			if err != nil {
				return err
			}
		}
	}
	for _, l := range lines {
		slices.SortFunc(l.added.First, FirstEvent.compare)
	}
	return nil
}

// firstQueries are for late lines and those on time; for all of them in a window of orders; and for what new charges
// of closed cycles select.
func (w *window) firstQueries() []string {
	queries := []string{sqlFirstLate, sqlFirstOnTime}
	if w.orders != nil {
		queries = []string{sqlFirstOrders}
	}
	if w.onlyCovered {
		queries = nil
	}
	if len(w.covered) > 0 {
		queries = append(queries, sqlFirstCovered)
	}
	return queries
}

func readFirst(ctx context.Context, tx pgx.Tx, sql string, args pgx.NamedArgs, each func(cycle, target int, currency, stream string, e FirstEvent) error) error {
	var cycle, target int
	var currency, stream string
	var e FirstEvent
	err := pg.ForEach(ctx, tx, []any{&cycle, &target, &currency, &stream, &e.OccurredAt, &e.Source, &e.ID, &e.Value}, func() error {
		e.OccurredAt = e.OccurredAt.UTC()
		return each(cycle, target, currency, stream, e)
	}, sql, args)
	if err != nil {
		return fmt.Errorf("read the first events: %w", err)
	}
	return nil
}

const sqlFirstPinned = selectFirst + `billing.pins p` + ledger.EventAtP + `
    CROSS JOIN LATERAL (SELECT 1 AS cycle, 1 AS target) b
    CROSS JOIN LATERAL (SELECT '' AS stream) s
    CROSS JOIN LATERAL (SELECT ` + noMask + ` AS mask) f
    WHERE p.account = @account AND p.invoice_id = ANY(@invoices::uuid[]) AND p.origin_start = @origin` + isOfCharge

// FirstPinnedTx reads the first events that some invoices pin for a charge of the cycle that starts at
// origin; none for a charge that leaves no first events free.
func (s Selection) FirstPinnedTx(ctx context.Context, tx pgx.Tx, c Charge, account string, origin time.Time, invoices ...uuid.UUID) ([]FirstEvent, error) {
	if c.FreeEvents == 0 {
		return nil, nil
	}
	args := pgx.NamedArgs{"account": account, "invoices": invoices, "origin": origin, "cycles": []int{1}}
	s.addArgs(args, c)
	mask := s.Mask(named(args))
	var first []FirstEvent
	err := readFirst(ctx, tx, strings.Replace(firstSQL(sqlFirstPinned, c), noMask, mask, 1), args, func(_, _ int, _, _ string, e FirstEvent) error {
		first = append(first, e)
		return nil
	})
	slices.SortFunc(first, FirstEvent.compare)
	return first, err
}

// added are the inputs that a bunch brings to a charge.
func (m measures) added(c Charge, g *bunch) Inputs {
	in := Inputs{Sum: decimal.Zero, Count: g.events}
	if c.Sums() != "" {
		in.Sum = g.sums[slices.Index(m, c.Sums())]
	}
	return in
}
