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
WHERE NOT EXISTS (SELECT FROM billing.finalising_types t WHERE t.type = u.type AND t.built = t.since)`

// indexFinalising makes sure that what is recorded of some event types is found by its stream. Of a type that no terms
// named before, all of the ledger is read, once. From the beginning on closes derive what is recorded of it from
// then on; what was recorded before is read in steps, each a transaction that holds up nobody who closes. A call that
// is stopped leaves its steps behind, and the next one goes on from there.
func (b *Billing) indexFinalising(ctx context.Context, types []string) error {
	var missing []string
	if len(types) == 0 {
		return nil
	}
	if err := b.pool.QueryRow(ctx, sqlMissingFinalisingTypes, types).Scan(&missing); err != nil || len(missing) == 0 {
		return wrap(err, "read the types that finalise orders")
	}
	if err := b.beginFinalising(ctx, missing); err != nil {
		return wrap(err, "find what finalises orders")
	}
	for {
		built, err := b.buildFinalising(ctx, missing, finalisingStep)
		if err != nil || built {
			return wrap(err, "find what finalises orders")
		}
	}
}

const sqlAddFinalisingTypes = `
INSERT INTO billing.finalising_types (type, since)
SELECT u.type, $2
FROM unnest($1::text[]) AS u (type)
ON CONFLICT (type) DO NOTHING`

// beginFinalising has what is recorded of some types derived from now on.
func (b *Billing) beginFinalising(ctx context.Context, types []string) error {
	return pg.InTx(ctx, b.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, sqlLockAccounts); err != nil { // what is derived meanwhile must know the types
			return err
		}
		var done int64
		if err := tx.QueryRow(ctx, sqlProgress, progressAccounts).Scan(&done); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, sqlAddFinalisingTypes, types, done)
		return err
	})
}

// finalisingStep is how many positions one step reads.
const finalisingStep = 500_000

// One step at a time: two would read the same range.
const sqlLockFinalising = `SELECT pg_advisory_xact_lock(17484, 13)`

const sqlFinalisingToBuild = `
SELECT COALESCE(array_agg(t.type ORDER BY t.type), '{}'), COALESCE(min(t.built), 0), COALESCE(max(t.since), 0)
FROM billing.finalising_types t
WHERE t.type = ANY($1) AND t.built < t.since`

const sqlFinalisingBuilt = `
UPDATE billing.finalising_types t
SET built = greatest(t.built, least(t.since, $2))
WHERE t.type = ANY($1)`

// buildFinalising reads the next so many positions of what was recorded of some types before they were derived, and
// reports whether nothing is left.
func (b *Billing) buildFinalising(ctx context.Context, types []string, positions int64) (done bool, err error) {
	err = pg.InTx(ctx, b.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, sqlLockFinalising); err != nil {
			return err
		}
		var left []string
		var from, through int64
		if err := tx.QueryRow(ctx, sqlFinalisingToBuild, types).Scan(&left, &from, &through); err != nil {
			return err
		}
		if done = len(left) == 0; done {
			return nil
		}
		through = min(through, from+positions)
		if _, err := tx.Exec(ctx, sqlDeriveFinalisations, from, through, time.Time{}, left); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, sqlFinalisingBuilt, left, through)
		return err
	})
	return done, err
}
