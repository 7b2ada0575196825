package billing

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"deltaledger/ledger/pg"
)

// An invoice in place of a void one pins what that did, also where the charges of today select nothing of it. Then no line
// of it tells that it pins anything of that cycle: it is found by its pins.
const sqlUnlined = `
SELECT c.origin, i.currency, COALESCE(i.stream, ''), i.id
FROM billing.voids v
JOIN billing.invoices o ON o.account = v.account AND o.id = v.invoice_id
JOIN billing.invoices i ON i.account = o.account AND i.cycle_start = o.cycle_start AND i.currency = o.currency
                       AND i.stream IS NOT DISTINCT FROM o.stream AND i.rebills = o.id
CROSS JOIN unnest($2::timestamptz[]) AS c (origin)
WHERE v.account = $1 AND v.outcome = 'rebill' AND i.id <> $3
  AND NOT EXISTS (SELECT FROM billing.voids w WHERE w.account = i.account AND w.invoice_id = i.id)
  AND NOT EXISTS (SELECT FROM billing.invoice_lines l WHERE l.account = i.account AND l.invoice_id = i.id AND l.origin_start = c.origin AND l.pinned > 0)
  AND EXISTS (SELECT FROM billing.pins p WHERE p.account = i.account AND p.invoice_id = i.id AND p.origin_start = c.origin)`

// readUnlined finds the invoices that pin something of cycles whose charges changed, and have no line that does.
func (p *pricer) readUnlined(ctx context.Context, tx pgx.Tx, lines []*draftLine) (map[draftKey][]uuid.UUID, error) {
	var origins []time.Time
	for _, l := range lines {
		if p.cal.TermsAt(l.origin.Start).rerating != 0 && !slices.ContainsFunc(origins, l.origin.Start.Equal) {
			origins = append(origins, l.origin.Start)
		}
	}
	found := map[draftKey][]uuid.UUID{}
	if len(origins) == 0 {
		return found, nil
	}
	var key draftKey
	var id uuid.UUID
	err := pg.ForEach(ctx, tx, []any{&key.cycle, &key.currency, &key.stream, &id}, func() error {
		key.cycle = key.cycle.UTC()
		found[key] = append(found[key], id)
		return nil
	}, sqlUnlined, p.account, origins, p.except)
	if err != nil {
		return nil, fmt.Errorf("find invoices without lines: %w", err)
	}
	return found, nil
}
