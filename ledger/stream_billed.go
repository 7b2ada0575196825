package ledger

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// Billed says on which invoice an event is, or was.
type Billed struct {
	Position    int64     `json:"-"` // of the event
	Invoice     uuid.UUID `json:"invoice"`
	Account     string    `json:"account"`
	Series      *string   `json:"series,omitempty"` // nil: the invoice isn't issued
	Number      *int64    `json:"number,omitempty"`
	Printed     *string   `json:"printed,omitempty"` // the number as people read it
	CycleStart  time.Time `json:"cycle_start"`       // of the invoice
	CycleEnd    time.Time `json:"cycle_end"`         // exclusive
	OriginStart time.Time `json:"origin_start"`      // of the cycle in which the event happened
	Late        bool      `json:"late"`              // that is another cycle than the invoice's
	Void        bool      `json:"void"`
}

// An invoice is issued by its number. A pin counts from the position of its invoice on, a number and a
// void from their own. The planner gets accounts and positions pairwise, as the index has them.
const sqlBilled = `
SELECT p.position, p.invoice_id, p.account, n.series, n.number, n.printed, i.cycle_start, i.cycle_end, p.origin_start,
       p.origin_start <> i.cycle_start AS late, v.invoice_id IS NOT NULL AS void
FROM unnest($1::text[], $2::bigint[]) AS w (account, position)
JOIN billing.pins p ON p.account = w.account AND p.position = w.position
JOIN billing.invoices i ON i.account = p.account AND i.id = p.invoice_id AND i.position <= $3
LEFT JOIN billing.voids v ON v.account = p.account AND v.invoice_id = p.invoice_id AND v.position <= $3
LEFT JOIN billing.invoice_numbers n ON n.account = p.account AND n.invoice_id = p.invoice_id AND n.position <= $3
ORDER BY p.position, void, i.position DESC`

// billedOf finds where events are billed, as of a watermark, by their positions.
func billedOf(ctx context.Context, tx pgx.Tx, rows []Row, asOf int64) (map[int64][]Billed, error) {
	if len(rows) == 0 {
		return nil, nil
	}
	accounts, positions := make([]string, len(rows)), make([]int64, len(rows))
	for i, r := range rows {
		accounts[i], positions[i] = r.Account, r.Position
	}
	found, err := tx.Query(ctx, sqlBilled, accounts, positions, asOf)
	if err != nil {
		return nil, err
	}
	list, err := pgx.CollectRows(found, pgx.RowToStructByPos[Billed])
	if err != nil {
		return nil, err
	}
	billed := map[int64][]Billed{}
	for _, b := range list {
		b.CycleStart, b.CycleEnd, b.OriginStart = b.CycleStart.UTC(), b.CycleEnd.UTC(), b.OriginStart.UTC()
		billed[b.Position] = append(billed[b.Position], b)
	}
	return billed, nil
}
