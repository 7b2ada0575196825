package billing

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"deltaledger/ledger"
	"deltaledger/ledger/pg"
)

// billing.carried is derived: what waits for its order follows from the events, the terms, the pins and what finalises orders.
// Every close notes how many events it left waiting, so that rows that somebody took away, or put there, are found before they
// change a bill; and what was changed can be made again.

// checkCarried holds what waits against what the last close left waiting.
func (v *view) checkCarried() error {
	if v.waits == v.waited {
		return nil
	}
	return fmt.Errorf("%d events wait for their orders in billing.carried, but the last close left %d: reconcile makes them again, then release the account: %w",
		v.waits, v.waited, ledger.ErrCorrupt)
}

// What waits, of accounts that were closed, against the count of their newest closes and the events themselves.
const sqlWrongCarried = `
SELECT w.account
FROM unnest($1::text[]) AS w (account)
JOIN LATERAL (
    SELECT k.carried
    FROM billing.closes k
    WHERE k.account = w.account
    ORDER BY k.through_at DESC
    LIMIT 1
) c ON true
WHERE c.carried <> (SELECT count(*) FROM billing.carried p WHERE p.account = w.account AND p.settled IS NULL)
   OR EXISTS (
       SELECT FROM billing.carried p
       WHERE p.account = w.account AND p.settled IS NULL
         AND NOT EXISTS (
             SELECT FROM ledger.every_event e
             WHERE e.position = p.position AND e.recorded_at = p.recorded_at AND e.account = p.account AND e.occurred_at = p.occurred_at AND e.stream = p.stream
               AND e.occurred_at >= p.since AND (e.caused_by IS NOT NULL OR e.source = p.source)
               AND NOT EXISTS (SELECT FROM billing.pins x WHERE x.account = p.account AND x.position = p.position)))
ORDER BY 1`

// WrongCarried returns those of some accounts whose events that wait for their orders are others than the last close left.
func (b *Billing) WrongCarried(ctx context.Context, accounts []string) ([]string, error) {
	rows, err := b.pool.Query(ctx, sqlWrongCarried, accounts)
	if err != nil {
		return nil, wrap(err, "count what waits for orders")
	}
	wrong, err := pgx.CollectRows(rows, pgx.RowTo[string])
	return wrong, wrap(err, "count what waits for orders")
}

// CarriedAgain is what became of the events of an account that wait for their orders.
type CarriedAgain struct {
	Left    int64   // by the last close
	Had     int64   // rows that were found
	Has     int64   // rows that there are now
	Dropped []int64 // positions of rows that didn't say what their events do
	Made    []int64 // positions of rows that were made again
}

// Right reports whether as many events wait now as the last close left.
func (c CarriedAgain) Right() bool { return c.Has == c.Left }

// What waits as of the last close: what it passed and no invoice holds, of orders that weren't final for it.
const mustWait = `
    SELECT k.account, k.position, k.recorded_at, k.occurred_at, k._source AS source, k.stream, k._since AS since
    FROM (
        SELECT e.*, r.source AS _source, y.since AS _since, y.until AS _until
        FROM ledger.every_event e
        JOIN unnest(@period_since::timestamptz[], @period_until::timestamptz[]) AS y (since, until) ON e.occurred_at >= y.since AND e.occurred_at < y.until
        CROSS JOIN LATERAL (SELECT ` + sourceOf + ` AS source) r
        WHERE e.account = @account AND e.stream IS NOT NULL AND e.position <= @watermark AND e.occurred_at < @end
          AND NOT EXISTS (SELECT FROM billing.pins p WHERE p.account = e.account AND p.position = e.position)
    ) k
    CROSS JOIN LATERAL (SELECT ` + finalisedAt + ` AS at OFFSET 0) o
    WHERE o.at >= @end`

const sqlDropWrongCarried = `
WITH must AS MATERIALIZED (` + mustWait + `
)
DELETE FROM billing.carried w
WHERE w.account = @account AND w.settled IS NULL
  AND NOT EXISTS (
      SELECT FROM must m
      WHERE m.position = w.position AND m.recorded_at = w.recorded_at AND m.occurred_at = w.occurred_at AND m.source = w.source AND m.stream = w.stream AND m.since = w.since)
RETURNING w.position`

const sqlMakeCarried = `
WITH must AS MATERIALIZED (` + mustWait + `
)
INSERT INTO billing.carried (account, position, recorded_at, occurred_at, source, stream, since)
SELECT m.account, m.position, m.recorded_at, m.occurred_at, m.source, m.stream, m.since
FROM must m
WHERE NOT EXISTS (SELECT FROM billing.carried w WHERE w.account = m.account AND w.position = m.position AND w.settled IS NULL)
ON CONFLICT (account, position) DO UPDATE
SET recorded_at = EXCLUDED.recorded_at, occurred_at = EXCLUDED.occurred_at, source = EXCLUDED.source, stream = EXCLUDED.stream, since = EXCLUDED.since, settled = NULL
RETURNING position`

// MakeCarried makes the rows of an account again that say what waits for its orders, as the last close left them. It reads the
// account's events once; the answer is empty if nothing was wrong.
func (b *Billing) MakeCarried(ctx context.Context, account string) (CarriedAgain, error) {
	var done CarriedAgain
	err := pg.InTx(ctx, b.pool, func(tx pgx.Tx) error {
		v, err := b.hold(ctx, tx, account, known{})
		if err != nil {
			return err
		}
		done = CarriedAgain{Left: v.waited, Had: v.waits}
		args := pgx.NamedArgs{"account": account, "watermark": v.explicit.watermark, "end": v.explicit.end}
		(&orders{periods: v.cal.orderPeriods()}).args(args)
		for _, step := range []struct {
			sql  string
			into *[]int64
		}{{sqlDropWrongCarried, &done.Dropped}, {sqlMakeCarried, &done.Made}} {
			rows, err := tx.Query(ctx, step.sql, args)
			if err != nil {
				return err
			}
			if *step.into, err = pgx.CollectRows(rows, pgx.RowTo[int64]); err != nil {
				return err
			}
		}
		done.Has = done.Had - int64(len(done.Dropped)) + int64(len(done.Made))
		return nil
	})
	return done, wrap(err, "make again what waits for orders of %q", account)
}
