package export

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"deltaledger/ledger"
	"deltaledger/ledger/pg"
)

// Change says on which side of a difference an event is.
type Change string

const (
	Added   Change = "added"   // in the later one only
	Removed Change = "removed" // in the earlier file only: the rest of it went to another month's file
)

// DiffRow is an event by which two files, or the ledger at two watermarks, differ.
type DiffRow struct {
	Change        Change        `json:"change"`
	Position      int64         `json:"position"`
	BusinessMonth Month         `json:"business_month"`
	BookedMonth   Month         `json:"booked_month"` // the frozen file that it is in; zero: none yet
	OccurredAt    time.Time     `json:"occurred_at"`
	RecordedAt    time.Time     `json:"recorded_at"`
	Source        string        `json:"source"`
	EventID       string        `json:"event_id"`
	Stream        string        `json:"stream,omitempty"`
	Type          string        `json:"type"`
	Kind          ledger.Kind   `json:"kind"`
	Account       string        `json:"account"`
	Currency      string        `json:"currency"`
	Amount        ledger.Amount `json:"amount"`
	Quantity      ledger.Amount `json:"quantity"`
	Invoice       uuid.NullUUID `json:"invoice"`          // the live invoice that it is on, if any
	Series        string        `json:"series,omitempty"` // and its number, if it is issued
	Number        int64         `json:"number,omitempty"`
	Printed       string        `json:"printed,omitempty"` // the number as people read it
}

// MaxDiffRows is how many rows a Diff lists. EachDifference has no such limit.
const MaxDiffRows = 10_000

// Diff is what arrived between two watermarks, or between two files of a month. The events are the same
// whenever it is asked; their invoices and booked months are those of the time of asking.
type Diff struct {
	From      int64     `json:"from"` // watermarks: (From, To]
	To        int64     `json:"to"`
	Month     Month     `json:"month"` // of the files; zero where watermarks were compared
	Added     int64     `json:"added"`
	Removed   int64     `json:"removed"`
	Sums      Sums      `json:"sums"` // amount and quantity, added less removed
	Rows      []DiffRow `json:"rows"` // in order of position, the first MaxDiffRows
	Truncated bool      `json:"truncated"`
}

// Diff compares two watermarks or times (as in ledger.AsOf), or two manifests by their paths (NAME.json). Of
// manifests it lists what one file holds and the other doesn't; both must be of one month of this ledger.
func (e *Exporter) Diff(ctx context.Context, from, to string) (Diff, error) {
	var rows []DiffRow
	d, err := e.EachDifference(ctx, from, to, func(r DiffRow) error {
		if len(rows) < MaxDiffRows {
			rows = append(rows, r)
		}
		return nil
	})
	d.Rows, d.Truncated = rows, d.Added+d.Removed > int64(len(rows))
	return d, err
}

// EachDifference is Diff for any number of rows: each is handed to f, and none is kept. An error of f ends it.
func (e *Exporter) EachDifference(ctx context.Context, from, to string, f func(DiffRow) error) (Diff, error) {
	before, after, month, err := e.sides(ctx, from, to)
	if err != nil {
		return Diff{}, fmt.Errorf("export diff: %w", err)
	}
	d := Diff{From: before.Watermark, To: after.Watermark, Month: month}
	sums := map[string]map[string]decimal.Decimal{}
	started := false
	err = pg.InSnapshot(ctx, e.ledger.Pool(), func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, sqlStreaming); err != nil {
			return err
		}
		err := eachDifference(ctx, tx, before, after, func(r DiffRow) error {
			started = true
			d.count(sums, r)
			return f(r)
		})
		if err != nil && started {
			return once(err)
		}
		return err
	})
	d.Sums = plainSums(sums)
	if err != nil {
		return d, fmt.Errorf("export diff: %w", err)
	}
	return d, nil
}

func (d *Diff) count(sums map[string]map[string]decimal.Decimal, r DiffRow) {
	sign := decimal.NewFromInt(1)
	if r.Change == Removed {
		d.Removed++
		sign = sign.Neg()
	} else {
		d.Added++
	}
	of := sums[r.Currency]
	if of == nil {
		of = map[string]decimal.Decimal{}
		sums[r.Currency] = of
	}
	for name, v := range map[string]ledger.Amount{"amount": r.Amount, "quantity": r.Quantity} {
		if v.Valid() {
			of[name] = of[name].Add(sign.Mul(v.Decimal()))
		}
	}
}

// everything is the span of the whole ledger at a watermark.
func everything(w int64) Span { return Span{Month: Month{9999, time.December}.Next(), Watermark: w} }

// sides reads the two ends of a diff.
func (e *Exporter) sides(ctx context.Context, from, to string) (before, after Span, m Month, err error) {
	files := strings.HasSuffix(from, ".json")
	if files != strings.HasSuffix(to, ".json") {
		return before, after, m, ledger.Invalid("to", to, "must be a manifest if the other end is one, else a watermark or a time")
	}
	if !files {
		w1, err := e.ledger.AsOf(ctx, from)
		if err != nil {
			return before, after, m, err
		}
		w2, err := e.ledger.AsOf(ctx, to)
		if err == nil && w2.Position < w1.Position {
			err = ledger.Invalid("to", strconv.FormatInt(w2.Position, 10), "must not be before from")
		}
		return everything(w1.Position), everything(w2.Position), m, err
	}
	var manifests [2]Manifest
	for i, path := range []string{from, to} {
		if manifests[i], err = readManifest(path); err != nil {
			return before, after, m, err
		}
		if id := e.ledger.Settings().ID; manifests[i].Ledger != id {
			return before, after, m, fmt.Errorf("%s is of the ledger %s, not of this one, %s: %w", path, manifests[i].Ledger, id, ledger.ErrInvalid)
		}
	}
	before, after, m = manifests[0].Span(), manifests[1].Span(), manifests[0].Month
	switch {
	case before.Month != after.Month:
		return before, after, m, fmt.Errorf("the manifests are of %s and %s, not of one month: %w", before.Month, after.Month, ledger.ErrInvalid)
	case after.Watermark < before.Watermark:
		return before, after, m, fmt.Errorf("the first manifest is of watermark %d, the second of an earlier one, %d: %w", before.Watermark, after.Watermark, ledger.ErrInvalid)
	}
	return before, after, m, nil
}

const sqlDifferences = `
SELECT s.inside_after, e.position, e.business_date, e.occurred_at, e.recorded_at, e.source, e.event_id, COALESCE(e.stream, ''), e.type,
       e.kind, e.account, e.currency, e.amount::text, e.quantity::text, i.invoice_id, COALESCE(i.series, ''), COALESCE(i.number, 0), COALESCE(i.printed, '')
FROM ledger.every_event e
CROSS JOIN LATERAL (
    SELECT e.position <= $3 AND e.business_date < $4 AND (e.business_date >= $5 OR e.position > $6) AS inside_before,
           e.position <= $7 AND e.business_date < $8 AND (e.business_date >= $9 OR e.position > $10) AS inside_after
) s
LEFT JOIN LATERAL (
    SELECT p.invoice_id, n.series, n.number, n.printed
    FROM billing.pins p
    LEFT JOIN billing.invoice_numbers n ON n.account = p.account AND n.invoice_id = p.invoice_id
    WHERE p.account = e.account AND p.position = e.position
      AND NOT EXISTS (SELECT FROM billing.voids v WHERE v.account = p.account AND v.invoice_id = p.invoice_id)
) i ON true
WHERE e.position > $1 AND e.position <= $2 AND s.inside_before <> s.inside_after
ORDER BY e.position`

// eachDifference hands over the events that one span holds and the other doesn't.
func eachDifference(ctx context.Context, tx pgx.Tx, before, after Span, f func(DiffRow) error) error {
	frozen, err := chain(ctx, tx, maxPosition)
	if err != nil {
		return err
	}
	spans := make([]Span, len(frozen))
	for i := range frozen {
		spans[i] = frozen[i].Span
	}
	args := []any{differFrom(before, after), max(before.Watermark, after.Watermark)}
	for _, s := range []Span{before, after} {
		args = append(args, s.Watermark, s.Month.Next().midnight(), s.Previous.Next().midnight(), s.PreviousWatermark)
	}
	rows, err := tx.Query(ctx, sqlDifferences, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var r DiffRow
		var added bool
		var date time.Time
		var amount, quantity *string
		err := rows.Scan(&added, &r.Position, &date, &r.OccurredAt, &r.RecordedAt, &r.Source, &r.EventID, &r.Stream, &r.Type,
			&r.Kind, &r.Account, &r.Currency, &amount, &quantity, &r.Invoice, &r.Series, &r.Number, &r.Printed)
		if err != nil {
			return err
		}
		r.Change, r.BusinessMonth = Removed, MonthOf(date)
		if added {
			r.Change = Added
		}
		r.OccurredAt, r.RecordedAt = r.OccurredAt.UTC(), r.RecordedAt.UTC()
		if s, ok := FileOf(spans, r.BusinessMonth, r.Position); ok {
			r.BookedMonth = s.Month
		}
		if r.Amount, err = amountOf(amount); err != nil {
			return err
		}
		if r.Quantity, err = amountOf(quantity); err != nil {
			return err
		}
		if err := f(r); err != nil {
			return err
		}
	}
	return rows.Err()
}

// differFrom is a position up to which two spans hold the same events.
func differFrom(a, b Span) int64 {
	if a.Previous == b.Previous && a.PreviousWatermark == b.PreviousWatermark && a.Month == b.Month {
		return min(a.Watermark, b.Watermark)
	}
	return 0
}

func amountOf(text *string) (ledger.Amount, error) {
	if text == nil {
		return ledger.Amount{}, nil
	}
	return ledger.ParseAmount(*text)
}
