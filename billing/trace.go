package billing

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"deltaledger/ledger"
	"deltaledger/ledger/pg"
)

// Trace is where an event is billed: by which close, on which invoices, and on which of their lines. Times are UTC.
// Private content is in none of it.
type Trace struct {
	Source  string      `json:"source"`
	ID      string      `json:"id"`
	Account string      `json:"account"`
	Rows    []TracedRow `json:"rows"` // the event, and behind it what the ledger made because of it, by position
}

// TracedRow is a recorded row with everything that ever billed it.
type TracedRow struct {
	Position   int64            `json:"position"`
	RecordedAt time.Time        `json:"recorded_at"`
	OccurredAt time.Time        `json:"occurred_at"`
	Source     string           `json:"source"`
	ID         string           `json:"id"`
	Stream     string           `json:"stream,omitempty"`
	Seqn       *int64           `json:"seqn,omitempty"`
	Type       string           `json:"type"`
	Kind       ledger.Kind      `json:"kind"`
	Account    string           `json:"account"` // may be another one than the event's: a reversal stands under the account that it leaves
	Currency   string           `json:"currency"`
	Amount     *decimal.Decimal `json:"amount,omitempty"`
	Quantity   *decimal.Decimal `json:"quantity,omitempty"`
	CausedBy   *EventName       `json:"caused_by,omitempty"` // of a row that the ledger made
	Billed     []TracedInvoice  `json:"billed"`              // the live invoice first, then void ones, newest first
	Rerated    []TracedInvoice  `json:"rerated,omitempty"`   // that don't pin the row, and price its cycle again by charges that select it; oldest first
	Unbilled   *Unbilled        `json:"unbilled,omitempty"`  // why it is on no live invoice

	texts map[string]*string // its dimensions
}

// EventName is the upstream identity of an event.
type EventName struct {
	Source string `json:"source"`
	ID     string `json:"id"`
}

// TracedInvoice is an invoice that pins a row, or prices the row's cycle again.
type TracedInvoice struct {
	Invoice       uuid.UUID    `json:"invoice"`
	Number        string       `json:"number,omitempty"` // empty: not issued yet
	Status        Status       `json:"status"`
	Live          bool         `json:"live"` // not void
	CycleStart    time.Time    `json:"cycle_start"`
	CycleEnd      time.Time    `json:"cycle_end"`     // exclusive
	Zone          string       `json:"zone"`          // the cycle is one of its dates
	Run           *int64       `json:"run,omitempty"` // the close run that wrote it; absent: it was written in place of a void one
	Watermark     int64        `json:"watermark"`     // of that close
	Rebills       *uuid.UUID   `json:"rebills,omitempty"`
	OriginStart   time.Time    `json:"origin_start"` // of the cycle that it belongs to: in which it happened, or its order was final
	OriginEnd     *time.Time   `json:"origin_end,omitempty"`
	Late          bool         `json:"late"`                     // that is another cycle than the invoice's
	OriginInvoice *uuid.UUID   `json:"origin_invoice,omitempty"` // late: the invoice that billed the cycle first, where there is one
	OriginNumber  string       `json:"origin_number,omitempty"`
	Lines         []TracedLine `json:"lines"` // one for each charge that selects the row
}

// TracedLine is a line that a row is on.
type TracedLine struct {
	Line   int    `json:"line"`
	Charge string `json:"charge"`
	Terms  int64  `json:"terms"`  // version; 0 is the built-in default
	Events int64  `json:"events"` // all that it bills
	Amount Money  `json:"amount"` // of the whole line

	Rerates Rerates `json:"rerates,omitempty"` // why it prices the cycle of a row again that it doesn't pin; empty: it pins the row
}

// Rerates is why a line prices a cycle again. Its amount is what the cycle comes to then, less what was billed of it.
type Rerates string

const (
	// RerateLate is a line that bills late events of the cycle: they are priced together with what was billed of it before.
	RerateLate Rerates = "late"
	// RerateTerms is a line that brings the cycle to the charges of terms recorded after its close.
	RerateTerms Rerates = "terms"
	// RerateContract is a line for what others used of an allowance over the contract, so that less or more of it is left for the cycle.
	RerateContract Rerates = "contract"
)

// What billed an event, from its identity alone: the event and what the ledger made because of it in the same transaction,
// their pins, the invoices of those and the later ones that price the cycle of a pin again without pinning the row, and the lines
// of the cycle that each row happened in. Which of the lines a row is on its charge decides, whose definition is on the line.
const sqlTrace = `
WITH asked AS (
    SELECT k.position, k.recorded_at
    FROM ledger.event_keys k
    WHERE k.event_key = @event_key
), p AS (
    SELECT a.position, a.recorded_at
    FROM asked a
  UNION ALL
    SELECT m.position, m.recorded_at
    FROM asked a
    CROSS JOIN LATERAL (
        (SELECT x.position, x.recorded_at FROM ledger.events x WHERE x.caused_by = a.position AND x.recorded_at = a.recorded_at OFFSET 0)
      UNION ALL
        (SELECT x.position, x.recorded_at FROM archive.events x WHERE x.caused_by = a.position AND x.recorded_at = a.recorded_at OFFSET 0)
    ) m
)
SELECT e.position, e.recorded_at, e.occurred_at, e.source, e.event_id, COALESCE(e.stream, ''), e.seqn, e.type, e.kind, e.account, e.currency,
       e.amount, e.quantity, c.source, c.event_id,
       COALESCE((SELECT jsonb_object_agg(d.key, d.value) FROM jsonb_each_text(e.dimensions) d), '{}') || ` + noTexts + `,
       b.invoice_id, COALESCE(n.printed, ''), s.status, i.cycle_start, i.cycle_end,
       COALESCE(t.terms ->> 'zone', f.terms ->> 'zone', (SELECT g.reporting_zone FROM ledger.settings g)),
       i.run, i.watermark, i.rebills, b.origin_start,
       l.line, l.charge, l.terms, l.definition, l.origin_end, l.origin_invoice, COALESCE(o.printed, ''), l.events, l.amount,
       CASE WHEN b.pinned THEN '' WHEN l.rerating IS NOT NULL THEN 'terms' WHEN l.pinned = 0 AND l.contract IS NOT NULL THEN 'contract' ELSE 'late' END
FROM p` + ledger.EventAtP + `
LEFT JOIN LATERAL (
    (SELECT x.source, x.event_id FROM ledger.events x WHERE x.position = e.caused_by AND x.recorded_at = e.recorded_at OFFSET 0)
  UNION ALL
    (SELECT x.source, x.event_id FROM archive.events x WHERE x.position = e.caused_by AND x.recorded_at = e.recorded_at OFFSET 0)
) c ON true
LEFT JOIN LATERAL (
    SELECT k.account, k.invoice_id, k.origin_start, true AS pinned
    FROM billing.pins k
    WHERE k.account = e.account AND k.position = e.position
  UNION -- and not ALL: a later invoice is later than each void one that pinned the row
    SELECT r.account, r.invoice_id, r.origin_start, false
    FROM billing.pins k
    JOIN billing.invoices f ON f.account = k.account AND f.id = k.invoice_id
    JOIN billing.invoice_lines r ON r.account = k.account AND r.origin_start = k.origin_start AND r.late AND r.adjustment IS NULL
    JOIN billing.invoices a ON a.account = r.account AND a.id = r.invoice_id AND a.position > f.position AND a.currency = f.currency
     AND a.stream IS NOT DISTINCT FROM f.stream
    WHERE k.account = e.account AND k.position = e.position
      AND NOT EXISTS (SELECT FROM billing.pins h WHERE h.account = k.account AND h.invoice_id = r.invoice_id AND h.position = k.position)
) b ON true
LEFT JOIN billing.invoices i ON i.account = b.account AND i.id = b.invoice_id
LEFT JOIN billing.invoice_states s ON s.account = b.account AND s.invoice_id = b.invoice_id
LEFT JOIN billing.invoice_numbers n ON n.account = b.account AND n.invoice_id = b.invoice_id
LEFT JOIN billing.cycles y ON y.account = i.account AND y.starts_at = i.cycle_start
LEFT JOIN billing.terms t ON t.n = y.terms
LEFT JOIN billing.terms f ON f.n = y.base
LEFT JOIN billing.invoice_lines l ON l.account = b.account AND l.invoice_id = b.invoice_id AND l.origin_start = b.origin_start
 AND (l.pinned > 0 OR NOT b.pinned AND l.adjustment IS NULL)
LEFT JOIN billing.invoice_numbers o ON o.account = l.account AND o.invoice_id = l.origin_invoice
ORDER BY e.caused_by IS NOT NULL, e.position, NOT b.pinned, b.pinned AND s.status = 'void', CASE WHEN b.pinned THEN -i.position ELSE i.position END, l.line`

// noTexts stands in SQL where the texts of declared dimensions go.
const noTexts = `'{}'::jsonb`

// Trace says where an event is billed, found by its upstream identity, or by that of a row that the ledger made. A row that
// is on no live invoice says why. ErrNotFound if there is no such event.
func (b *Billing) Trace(ctx context.Context, source, id string) (Trace, error) {
	catalogue, err := b.ledger.Catalogue(ctx)
	if err != nil {
		return Trace{}, wrap(err, "trace event")
	}
	args := pgx.NamedArgs{"event_key": uuid.UUID(ledger.EventKey(source, id))}
	sql := withTexts(sqlTrace, catalogue, args)
	t, err := b.traced(ctx, source, id, sql, args)
	if err == nil && slices.ContainsFunc(t.Rows, func(r TracedRow) bool { return r.Unbilled != nil && r.Unbilled.Reason == ReasonOrderOpen }) {
		// What finalises orders is known from the events up to the last time that somebody derived it.
		var w ledger.Watermark
		if w, err = b.ledger.AsOf(ctx, ""); err == nil {
			err = b.DeriveAccounts(ctx, w)
		}
		if err == nil {
			t, err = b.traced(ctx, source, id, sql, args)
		}
	}
	return t, wrap(err, "trace event")
}

func (b *Billing) traced(ctx context.Context, source, id, sql string, args pgx.NamedArgs) (Trace, error) {
	t := Trace{Source: source, ID: id}
	// One snapshot, so that what isn't billed in the first query isn't billed where its reason is looked for either.
	err := pg.InSnapshot(ctx, b.pool, func(tx pgx.Tx) error {
		t.Rows = nil
		rows, err := tx.Query(ctx, sql, args)
		if err != nil {
			return err
		}
		if err := t.collect(rows); err != nil {
			return err
		}
		if len(t.Rows) == 0 {
			return fmt.Errorf("event %q of source %q: %w", shorten(id), shorten(source), ledger.ErrNotFound)
		}
		return b.explainUnbilled(ctx, tx, t.Rows)
	})
	if err != nil {
		return Trace{}, err
	}
	t.Account = t.Rows[0].Account
	return t, nil
}
