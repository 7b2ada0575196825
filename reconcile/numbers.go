package reconcile

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5"

	"deltaledger/ledger/pg"
)

// Numbers are a primary key, so a series is gapless if the highest is how many there are.
const sqlSeries = `
SELECT n.series, count(*), max(n.number)
FROM billing.invoice_numbers n
GROUP BY n.series
ORDER BY n.series`

// checkNumbers holds each series of invoice numbers against gaps.
func (u *run) checkNumbers(ctx context.Context, tx pgx.Tx) error {
	var series string
	var n, highest, compared int64
	err := pg.ForEach(ctx, tx, []any{&series, &n, &highest}, func() error {
		compared += n
		if n == highest {
			return nil
		}
		subject, err := json.Marshal(map[string]any{"series": series, "numbers": n, "highest": highest})
		u.add(Finding{
			Fingerprint: fingerprint(checkNumbers, series), Check: checkNumbers, Subject: subject,
			Detail: fmt.Sprintf("series %s goes up to %d but has %d numbers", series, highest, n),
		})
		return err
	}, sqlSeries)
	if err != nil {
		return fmt.Errorf("read invoice numbers: %w", err)
	}
	u.checked(checkNumbers, compared, "invoice numbers")
	return nil
}
