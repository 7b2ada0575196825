package reconcile

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5"

	"deltaledger/billing"
)

// series is what there is of a series of invoice numbers.
type series struct {
	Name    string `json:"series"`
	Numbers int64  `json:"numbers"` // how many there are
	Highest int64  `json:"highest"`
}

// Numbers are a primary key, so a series is gapless if the highest is how many there are.
const sqlSeries = `
SELECT n.series, count(*), max(n.number)
FROM billing.invoice_numbers n
GROUP BY n.series
ORDER BY n.series`

// checkNumbers holds each series of invoice numbers against gaps.
func (u *run) checkNumbers(ctx context.Context, tx pgx.Tx) error {
	rows, err := tx.Query(ctx, sqlSeries)
	if err != nil {
		return fmt.Errorf("read invoice numbers: %w", err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[series])
	if err != nil {
		return fmt.Errorf("read invoice numbers: %w", err)
	}
	compared := int64(0)
	for _, s := range all {
		compared += s.Numbers
		if s.Numbers == s.Highest {
			continue
		}
		missing, err := firstMissing(ctx, tx, s.Name)
		if err != nil {
			return err
		}
		subject, err := json.Marshal(s)
		if err != nil {
			return err
		}
		u.add(Finding{
			Fingerprint: fingerprint(checkNumbers, s.Name), Check: checkNumbers, Subject: subject,
			Detail: fmt.Sprintf("series %s goes up to %d but has %d numbers; the first that is missing is %s",
				s.Name, s.Highest, s.Numbers, billing.Number(s.Name, missing)),
		})
	}
	u.checked(checkNumbers, compared, "invoice numbers")
	return nil
}

// Up to the first gap a number is its own place in the series.
const sqlFirstMissing = `
SELECT min(p.place)
FROM (
    SELECT n.number, row_number() OVER (ORDER BY n.number) AS place
    FROM billing.invoice_numbers n
    WHERE n.series = $1
) p
WHERE p.number <> p.place`

func firstMissing(ctx context.Context, tx pgx.Tx, name string) (missing int64, err error) {
	if err := tx.QueryRow(ctx, sqlFirstMissing, name).Scan(&missing); err != nil {
		return 0, fmt.Errorf("find the first missing number of series %s: %w", name, err)
	}
	return missing, nil
}
