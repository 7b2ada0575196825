package reconcile

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// series is what there is of a series of numbers.
type series struct {
	Kind    string `json:"kind"` // invoice or credit-note
	Name    string `json:"series"`
	Numbers int64  `json:"numbers"` // how many there are
	Highest int64  `json:"highest"`
}

// Numbers are a primary key, so a series is gapless if the highest is how many there are.
const sqlSeries = `
SELECT 'invoice', n.series, count(*), max(n.number)
FROM billing.invoice_numbers n
GROUP BY n.series
UNION ALL
SELECT 'credit-note', n.series, count(*), max(n.number)
FROM billing.credit_note_numbers n
GROUP BY n.series
ORDER BY 1 DESC, 2`

// checkNumbers holds each series of numbers of invoices and credit notes against gaps.
func (u *run) checkNumbers(ctx context.Context, tx pgx.Tx) error {
	rows, err := tx.Query(ctx, sqlSeries)
	if err != nil {
		return fmt.Errorf("read numbers: %w", err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[series])
	if err != nil {
		return fmt.Errorf("read numbers: %w", err)
	}
	compared := int64(0)
	for _, s := range all {
		compared += s.Numbers
		if s.Numbers == s.Highest {
			continue
		}
		missing, err := firstMissing(ctx, tx, s)
		if err != nil {
			return err
		}
		subject, err := json.Marshal(s)
		if err != nil {
			return err
		}
		u.add(Finding{
			Fingerprint: fingerprint(checkNumbers, s.Kind, s.Name), Check: checkNumbers, Subject: subject,
			Detail: fmt.Sprintf("series %s of the kind %s goes up to %d but has %d numbers; the first that is missing is %d",
				s.Name, s.Kind, s.Highest, s.Numbers, missing),
		})
	}
	u.checked(checkNumbers, compared, "numbers of documents")
	return nil
}

// Up to the first gap a number is its own place in the series.
const sqlFirstMissing = `
SELECT min(p.place)
FROM (
    SELECT n.number, row_number() OVER (ORDER BY n.number) AS place
    FROM (
        SELECT i.number FROM billing.invoice_numbers i WHERE $1 = 'invoice' AND i.series = $2
      UNION ALL
        SELECT c.number FROM billing.credit_note_numbers c WHERE $1 = 'credit-note' AND c.series = $2
    ) n
) p
WHERE p.number <> p.place`

func firstMissing(ctx context.Context, tx pgx.Tx, s series) (missing int64, err error) {
	if err := tx.QueryRow(ctx, sqlFirstMissing, s.Kind, s.Name).Scan(&missing); err != nil {
		return 0, fmt.Errorf("find the first missing number of series %s: %w", s.Name, err)
	}
	return missing, nil
}
