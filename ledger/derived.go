package ledger

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// The derived keys say what became of an event, as of the watermark of the question.
const (
	keyBookedMonth = "booked_month" // the frozen month file that the event is in, such as 2026-01
	keyBilled      = "billed"       // true: it is on a live invoice
	keyInvoice     = "invoice"      // id of that invoice
)

// joinLive adds the pins that are live as of a watermark: at most one for an event, because a void is
// recorded before the invoice that takes its place.
const joinLive = `
LEFT JOIN (
    SELECT p.account, p.position, p.recorded_at, p.invoice_id
    FROM billing.pins p
    JOIN billing.invoices i ON i.account = p.account AND i.id = p.invoice_id
    WHERE i.position <= %[1]s
      AND NOT EXISTS (
        SELECT FROM billing.voids v
        WHERE v.account = p.account AND v.invoice_id = p.invoice_id AND v.position <= %[1]s)
) AS live ON live.account = e.account AND live.position = e.position AND live.recorded_at = e.recorded_at`

// derived resolves the name of a derived key.
func (b *builder) derived(key string) (term, bool) {
	switch key {
	case keyBilled:
		b.pinned = true
		return term{sql: "(live.invoice_id IS NOT NULL)", sqlType: "boolean"}, true
	case keyInvoice:
		b.pinned = true
		return term{sql: "live.invoice_id", sqlType: "uuid"}, true
	case keyBookedMonth:
		return term{sql: b.bookedMonth(), sqlType: "text", check: ruleUnless(layoutValid("2006-01"), ruleMonth)}, true
	}
	return term{}, false
}

// freeze is a link of the chain of frozen months.
type freeze struct {
	Month     time.Time // first day
	Watermark int64
}

const sqlFreezes = `
SELECT month, watermark
FROM export.freezes
WHERE position <= $1
ORDER BY month`

// freezesFor reads the frozen months as of a watermark, if one of the keys needs them.
func (l *Ledger) freezesFor(ctx context.Context, asOf int64, keys []string) ([]freeze, error) {
	if !slices.Contains(keys, keyBookedMonth) {
		return nil, nil
	}
	rows, err := l.pool.Query(ctx, sqlFreezes, asOf)
	if err != nil {
		return nil, readError("read the frozen months", err)
	}
	freezes, err := pgx.CollectRows(rows, pgx.RowToStructByPos[freeze])
	if err != nil {
		return nil, readError("read the frozen months", err)
	}
	return freezes, nil
}

// bookedMonth finds the first freeze whose month isn't before the event's and whose watermark isn't
// below its position. Months and watermarks grow together, so that it is the later of the first by
// month and the first by watermark; width_bucket counts the ones before by bisection.
func (b *builder) bookedMonth() string {
	if len(b.freezes) == 0 {
		return "NULL::text"
	}
	var (
		names      []string
		ends       []time.Time // first day after the month
		watermarks []int64
	)
	for _, f := range b.freezes {
		names = append(names, f.Month.Format("2006-01"))
		ends = append(ends, f.Month.AddDate(0, 1, 0))
		watermarks = append(watermarks, f.Watermark)
	}
	return strings.Join([]string{
		"(", b.arg(names, "text[]"), ")[1 + greatest(width_bucket(e.business_date, ", b.arg(ends, "date[]"),
		"), width_bucket(e.position - 1, ", b.arg(watermarks, "bigint[]"), "))]",
	}, "")
}
