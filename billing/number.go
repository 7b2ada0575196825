package billing

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"deltaledger/ledger"
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
const sqlToIssue = `
SELECT i.account, i.id, i.position
FROM billing.invoices i
WHERE i.position > $1 AND i.position <= $2
  AND NOT EXISTS (SELECT FROM billing.invoice_numbers n WHERE n.account = i.account AND n.invoice_id = i.id)
  AND NOT EXISTS (SELECT FROM billing.voids v WHERE v.account = i.account AND v.invoice_id = i.id)
ORDER BY i.position
LIMIT $3`

const sqlIssue = `
INSERT INTO billing.invoice_numbers (series, number, account, invoice_id, position, issued_at)
SELECT $1, (SELECT COALESCE(max(n.number), 0) FROM billing.invoice_numbers n WHERE n.series = $1) + i.n, i.account, i.id, i.position, $5
FROM unnest($2::text[], $3::uuid[], $4::bigint[]) WITH ORDINALITY AS i (account, id, position, n)`

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
		ready, err := readyInvoices(ctx, tx, done, watermark)
		if err != nil {
			return err
		}
		reached := watermark
		if len(ready.ids) == issueAtOnce {
			reached = ready.last
		}
		if _, err := tx.Exec(ctx, sqlAdvance, progressIssuer, reached); err != nil || len(ready.ids) == 0 {
			return err
		}
		positions, at, err := ledger.DrawTx(ctx, tx, len(ready.ids))
		if err != nil {
			return err
		}
		issued = len(ready.ids)
		_, err = tx.Exec(ctx, sqlIssue, Series, ready.accounts, ready.ids, positions, at)
		return err
	})
	return issued, err
}

// ready are invoices without a number, in the order of their positions.
type ready struct {
	accounts []string
	ids      []uuid.UUID
	last     int64 // position of the last one
}

func readyInvoices(ctx context.Context, tx pgx.Tx, above, through int64) (r ready, err error) {
	rows, err := tx.Query(ctx, sqlToIssue, above, through, issueAtOnce)
	if err != nil {
		return ready{}, err
	}
	var account string
	var id uuid.UUID
	_, err = pgx.ForEachRow(rows, []any{&account, &id, &r.last}, func() error {
		r.accounts, r.ids = append(r.accounts, account), append(r.ids, id)
		return nil
	})
	if err == nil {
		err = rows.Err()
	}
	return r, err
}
