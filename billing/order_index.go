package billing

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"deltaledger/ledger/pg"
)

const sqlFinalisingTypes = `
SELECT COALESCE(array_agg(t.type ORDER BY t.type), '{}')
FROM billing.finalising_types t`

const sqlAddFinalisingTypes = `
INSERT INTO billing.finalising_types (type)
SELECT u.type FROM unnest($1::text[]) AS u (type)`

// What the ledger made because of events finalises nothing.
const sqlDeriveFinalisations = `
INSERT INTO billing.finalisations (source, stream, position, occurred_at, type)
SELECT e.source, e.stream, e.position, e.occurred_at, e.type
FROM ledger.every_event e
WHERE e.position > $1 AND e.position <= $2 AND e.recorded_at >= $3
  AND e.type = ANY($4) AND e.stream IS NOT NULL AND e.kind IN ('upstream', 'adjustment')
ON CONFLICT (source, stream, position) DO NOTHING`

// deriveFinalisations brings billing.finalisations from one watermark to another.
func deriveFinalisations(ctx context.Context, tx pgx.Tx, since, through int64, taken time.Time) error {
	var types []string
	if err := tx.QueryRow(ctx, sqlFinalisingTypes).Scan(&types); err != nil || len(types) == 0 {
		return err
	}
	_, err := tx.Exec(ctx, sqlDeriveFinalisations, since, through, taken, types)
	return err
}

const sqlMissingFinalisingTypes = `
SELECT COALESCE(array_agg(u.type ORDER BY u.type), '{}')
FROM unnest($1::text[]) AS u (type)
WHERE NOT EXISTS (SELECT FROM billing.finalising_types t WHERE t.type = u.type)`

// indexFinalising makes sure that what is recorded of some event types is found by its stream. Of a type
// that no terms named before, the events so far are read once: all of the ledger is.
func (b *Billing) indexFinalising(ctx context.Context, types []string) error {
	if len(types) == 0 {
		return nil
	}
	var missing []string
	if err := b.pool.QueryRow(ctx, sqlMissingFinalisingTypes, types).Scan(&missing); err != nil || len(missing) == 0 {
		return wrap(err, "read the types that finalise orders")
	}
	err := pg.InTx(ctx, b.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, sqlLockAccounts); err != nil { // what is derived meanwhile must know the types
			return err
		}
		if err := tx.QueryRow(ctx, sqlMissingFinalisingTypes, types).Scan(&missing); err != nil || len(missing) == 0 {
			return err
		}
		var done int64
		if err := tx.QueryRow(ctx, sqlProgress, progressAccounts).Scan(&done); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, sqlDeriveFinalisations, 0, done, time.Time{}, missing); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, sqlAddFinalisingTypes, missing)
		return err
	})
	return wrap(err, "find what finalises orders")
}
