package billing

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"deltaledger/ledger/pg"
)

// Series is the series of the numbers of invoices.
const Series = "INV"

const (
	progressIssuer = "issuer"
	issueAtOnce    = 10_000 // numbers given out in one transaction
)

// Number is a number of a series as people write it: INV-000001.
func Number(series string, number int64) string { return fmt.Sprintf("%s-%06d", series, number) }

// parseNumber reads what Number writes, in small letters too; ok is false for anything else.
func parseNumber(text string) (series string, number int64, ok bool) {
	series, digits, found := strings.Cut(text, "-")
	number, err := strconv.ParseInt(digits, 10, 64)
	if !found || err != nil || number < 1 || digits[0] == '+' {
		return "", 0, false
	}
	return strings.ToUpper(series), number, true
}

const sqlUnissued = `
SELECT EXISTS (
    SELECT FROM billing.invoices i
    WHERE i.position > COALESCE((SELECT p.watermark FROM billing.progress p WHERE p.name = $1), 0))`

// One issuer at a time: the next number is one more than the highest. The number is no sequence, which
// would leave gaps, and isn't drawn by the close, where it would make all accounts wait for one another.
const sqlLockIssuer = `SELECT pg_advisory_xact_lock(17484, 4)`

// A void that isn't committed yet may still get its invoice a number, which is then that of a void
// invoice. A number is never taken back, so there is no gap either way.
const sqlIssue = `
INSERT INTO billing.invoice_numbers (series, number, account, invoice_id, issued_at)
SELECT $1, (SELECT COALESCE(max(n.number), 0) FROM billing.invoice_numbers n WHERE n.series = $1) + row_number() OVER (ORDER BY i.position),
       i.account, i.id, statement_timestamp()
FROM (
    SELECT i.account, i.id, i.position
    FROM billing.invoices i
    WHERE i.position > $2 AND i.position <= $3
      AND NOT EXISTS (SELECT FROM billing.invoice_numbers n WHERE n.account = i.account AND n.invoice_id = i.id)
      AND NOT EXISTS (SELECT FROM billing.voids v WHERE v.account = i.account AND v.invoice_id = i.id)
    ORDER BY i.position
    LIMIT $4
) i
RETURNING (SELECT k.position FROM billing.invoices k WHERE k.account = invoice_numbers.account AND k.id = invoice_numbers.invoice_id)`

// Issue numbers the invoices that have no number, in the order of their positions, and returns how
// many. An invoice is issued by its number. The numbers of the series have no gaps, whatever is
// stopped or runs at the same time.
func (b *Billing) Issue(ctx context.Context) (issued int, err error) {
	var waiting bool
	if err := b.pool.QueryRow(ctx, sqlUnissued, progressIssuer).Scan(&waiting); err != nil || !waiting {
		return 0, wrap(err, "issue invoices")
	}
	// Only what is decided: an invoice with a lower position that commits later would be passed over.
	w, err := b.ledger.TakeWatermark(ctx)
	if err != nil {
		return 0, wrap(err, "issue invoices")
	}
	for {
		n, err := b.issueSome(ctx, w.Position)
		issued += n
		if err != nil || n < issueAtOnce {
			return issued, wrap(err, "issue invoices")
		}
	}
}

// issueSome issues the next invoices up to a watermark.
func (b *Billing) issueSome(ctx context.Context, watermark int64) (issued int, err error) {
	err = pg.InTx(ctx, b.pool, func(tx pgx.Tx) error {
		issued = 0
		if _, err := tx.Exec(ctx, sqlLockIssuer); err != nil {
			return err
		}
		var done int64
		if err := tx.QueryRow(ctx, sqlProgress, progressIssuer).Scan(&done); err != nil || done >= watermark {
			return err
		}
		rows, err := tx.Query(ctx, sqlIssue, Series, done, watermark, issueAtOnce)
		if err != nil {
			return err
		}
		positions, err := pgx.CollectRows(rows, pgx.RowTo[int64])
		if err != nil {
			return err
		}
		issued = len(positions)
		reached := watermark
		if issued == issueAtOnce {
			reached = done
			for _, p := range positions {
				reached = max(reached, p)
			}
		}
		_, err = tx.Exec(ctx, sqlAdvance, progressIssuer, reached)
		return err
	})
	return issued, err
}
