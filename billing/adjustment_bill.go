package billing

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"
)

// pendingAdjustment is one that a close may bill.
type pendingAdjustment struct {
	id       uuid.UUID
	currency string
	amount   decimal.Decimal
	origin   time.Time // zero: of the cycle that bills it
	madeAt   time.Time
}

// The open adjustments, each with its state.
const readyAdjustments = `
    SELECT
    FROM billing.open_adjustments o
    CROSS JOIN LATERAL (
        SELECT t.status FROM billing.adjustment_states t WHERE t.account = o.account AND t.adjustment = o.adjustment OFFSET 0
    ) s`

const sqlPendingAdjustments = `
SELECT a.id, a.currency, a.amount, a.origin_start, a.made_at
FROM billing.open_adjustments o
JOIN billing.adjustments a ON a.account = o.account AND a.id = o.adjustment
CROSS JOIN LATERAL (
    SELECT t.status, t.position FROM billing.adjustment_states t WHERE t.account = o.account AND t.adjustment = o.adjustment OFFSET 0
) s
WHERE o.account = $1 AND s.status = 'ready' AND s.position <= $2
ORDER BY a.position`

func readPendingAdjustments(ctx context.Context, q querier, account string, watermark int64) ([]pendingAdjustment, error) {
	rows, err := q.Query(ctx, sqlPendingAdjustments, account, watermark)
	if err != nil {
		return nil, fmt.Errorf("read adjustments: %w", err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (pendingAdjustment, error) {
		var a pendingAdjustment
		var origin *time.Time
		err := row.Scan(&a.id, &a.currency, &a.amount, &origin, &a.madeAt)
		a.origin = utc(origin)
		return a, err
	})
	if err != nil {
		return nil, fmt.Errorf("read adjustments: %w", err)
	}
	return all, nil
}

const sqlInsertOpenAdjustment = `
INSERT INTO billing.open_adjustments (account, adjustment)
VALUES ($1, $2)`

const sqlDeleteOpenAdjustments = `
DELETE FROM billing.open_adjustments o
WHERE o.account = $1 AND o.adjustment = ANY($2)`

// queueBilled queues that the adjustments that drafts bill wait no more.
func queueBilled(out *writes, account string, all []*draft) {
	var ids []uuid.UUID
	for _, v := range all {
		for _, l := range v.lines {
			if l.adjustment != nil {
				ids = append(ids, *l.adjustment)
			}
		}
	}
	if len(ids) > 0 {
		out.exec(nil, sqlDeleteOpenAdjustments, account, ids)
	}
}

// adjustmentName is how lines of adjustments call their charge, adjustmentRank where they stand among those of a cycle.
const (
	adjustmentName = "adjustment"
	adjustmentRank = MaxCharges
)

// adjust puts adjustments on the account's invoices of the cycle target.
func (d *drafts) adjust(all []pendingAdjustment, cal *Calendar, target Cycle) {
	for _, a := range all {
		origin := target
		if !a.origin.IsZero() {
			origin = cal.Cycle(a.origin)
		}
		invoice := d.invoice(draftKey{target.Start, a.currency, ""}, target)
		invoice.lines = append(invoice.lines, &draftLine{
			charge: Charge{Name: adjustmentName, Model: ModelAdjustment, Amount: a.amount}, rank: adjustmentRank + len(invoice.lines),
			terms: cal.TermsAt(target.Start).Version, origin: origin, late: !origin.Start.Equal(target.Start), adjustment: &a.id,
		})
	}
}

// holdBack says for each draft why it has to wait for a person, if it has to: its late and adjustment lines are above
// the limit of the terms of its cycle.
func holdBack(cal *Calendar, all []*draft) {
	for _, v := range all {
		sum := Money{Currency: v.currency}
		for _, l := range v.lines {
			if l.late || l.rerating != 0 || l.adjustment != nil {
				sum.Amount = sum.Amount.Add(l.amount.Abs())
			}
		}
		limit := cal.TermsAt(v.cycle.Start).ReviewAbove
		if limit.exceededBy(sum) {
			most, _ := limit.Of(v.currency)
			v.review = fmt.Sprintf("its late and adjustment lines come to %s %s, and the terms allow %s without review", sum, v.currency, Money{most, v.currency})
		}
	}
}
