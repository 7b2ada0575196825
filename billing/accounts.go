package billing

import (
	"context"
	"iter"
	"time"

	"github.com/jackc/pgx/v5"

	"deltaledger/ledger"
	"deltaledger/ledger/pg"
)

// progressAccounts names the watermark through which billing.accounts is derived.
const progressAccounts = "accounts"

const sqlProgress = `
SELECT COALESCE((SELECT p.watermark FROM billing.progress p WHERE p.name = $1), 0)`

const sqlAdvance = `
INSERT INTO billing.progress (name, watermark)
VALUES ($1, $2)
ON CONFLICT (name) DO UPDATE SET watermark = greatest(progress.watermark, EXCLUDED.watermark)`

// One deriver at a time: two would add up the same range, and the progress of one hide the other's.
const sqlLockAccounts = `SELECT pg_advisory_xact_lock(17484, 5)`

// When the watermark of a position was taken. What is above it was recorded at that instant or later,
// so older partitions needn't be looked at.
const sqlTakenAt = `
SELECT COALESCE((SELECT max(w.taken_at) FROM ledger.watermarks w WHERE w.position = $1), '0001-01-01Z')`

const sqlDeriveAccounts = `
INSERT INTO billing.accounts (account, last_position, pending_from, pending_through)
SELECT e.account, max(e.position), min(e.occurred_at), max(e.occurred_at)
FROM ledger.every_event e
WHERE e.position > $1 AND e.position <= $2 AND e.recorded_at >= $3
GROUP BY e.account
ORDER BY e.account
ON CONFLICT (account) DO UPDATE
SET last_position   = greatest(accounts.last_position, EXCLUDED.last_position),
    pending_from    = least(accounts.pending_from, EXCLUDED.pending_from),
    pending_through = greatest(accounts.pending_through, EXCLUDED.pending_through)`

// DeriveAccounts brings billing.accounts, and what finalises orders, up to a watermark from the events since
// the last time. It
// does nothing if it has been there already.
func (b *Billing) DeriveAccounts(ctx context.Context, w ledger.Watermark) error {
	var done int64
	if err := b.pool.QueryRow(ctx, sqlProgress, progressAccounts).Scan(&done); err != nil {
		return wrap(err, "derive accounts")
	}
	if done >= w.Position {
		return nil
	}
	err := pg.InTx(ctx, b.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, sqlLockAccounts); err != nil {
			return err
		}
		if err := tx.QueryRow(ctx, sqlProgress, progressAccounts).Scan(&done); err != nil || done >= w.Position {
			return err
		}
		var since time.Time
		if err := tx.QueryRow(ctx, sqlTakenAt, done).Scan(&since); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, sqlDeriveAccounts, done, w.Position, since); err != nil {
			return err
		}
		if err := deriveFinalisations(ctx, tx, done, w.Position, since); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, sqlAdvance, progressAccounts, w.Position)
		return err
	})
	return wrap(err, "derive accounts")
}

const sqlAccountsToLookAt = `
SELECT e.account
FROM ledger.every_event e
WHERE e.position > $1 AND e.position <= $2 AND e.recorded_at >= $3
UNION
SELECT w.account
FROM billing.finalisations f
JOIN billing.carried w ON w.source = f.source AND w.stream = f.stream AND w.settled IS NULL
WHERE f.position > $1 AND f.position <= $2
ORDER BY account`

// AccountsToLookAt iterates the accounts that have events at positions in (since, through], or events that wait
// for an order which such an event of another account may finalise, by name. What is derived must be so
// through the second.
// Both are watermarks. It keeps a connection of the pool until the iteration ends; an error ends it.
func (b *Billing) AccountsToLookAt(ctx context.Context, since, through int64) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		var taken time.Time
		if err := b.pool.QueryRow(ctx, sqlTakenAt, since).Scan(&taken); err != nil {
			yield("", wrap(err, "accounts to look at"))
			return
		}
		rows, err := b.pool.Query(ctx, sqlAccountsToLookAt, since, through, taken)
		if err != nil {
			yield("", wrap(err, "accounts to look at"))
			return
		}
		defer rows.Close()
		for rows.Next() {
			var account string
			if err := rows.Scan(&account); err != nil {
				yield("", wrap(err, "accounts to look at"))
				return
			}
			if !yield(account, nil) {
				return
			}
		}
		if err := rows.Err(); err != nil {
			yield("", wrap(err, "accounts to look at"))
		}
	}
}

// pending is an account that may have something to bill, as billing.accounts knows it.
type pending struct {
	account  string
	from     time.Time // earliest occurred_at of what came since the last close; zero: nothing came
	through  time.Time // latest occurred_at of all its events; zero: it has none
	explicit passage   // its newest row of billing.closes
	carries  bool      // events of it wait for their orders to be final
	adjusts  bool      // adjustments, or reratings of closed cycles, wait for its next close
}

// An account that is billed without any event has a row too.
const sqlKnowAccount = `
INSERT INTO billing.accounts (account, last_position, pending_through)
VALUES ($1, 0, '0001-01-01Z')
ON CONFLICT (account) DO NOTHING`

// Accounts that have had events since their last close, or have events after its end or such that wait for their
// orders, or adjustments that wait for the next, or terms that bill cycles without events. Which cycles those are in,
// and whether a run without a row has passed them, only the calendar knows. Everything about an account is looked up
// for that account alone (OFFSET 0), so that a page costs what its accounts do.
const sqlPendingAccounts = `
SELECT a.account, a.pending_from, a.pending_through, c.through_at, c.watermark, c.taken_at, k.carries OR COALESCE(c.carried > 0, false), k.adjusts
FROM billing.accounts a
CROSS JOIN LATERAL (
    SELECT EXISTS (SELECT FROM billing.carried w WHERE w.account = a.account AND w.settled IS NULL) AS carries,
           EXISTS (` + readyAdjustments + ` WHERE o.account = a.account AND s.status = 'ready' OFFSET 0)
        OR EXISTS (SELECT FROM billing.reratings r
                   WHERE r.account = a.account
                     AND NOT EXISTS (SELECT FROM billing.rerated d WHERE d.account = r.account AND d.terms = r.terms OFFSET 0)
                   OFFSET 0) AS adjusts
    OFFSET 0
) k
LEFT JOIN LATERAL (
    SELECT k.through_at, k.watermark, k.carried, r.taken_at
    FROM billing.closes k
    JOIN billing.close_runs r ON r.n = k.run
    WHERE k.account = a.account
    ORDER BY k.through_at DESC
    LIMIT 1
) c ON true
WHERE a.account > $1 AND ($2 = '' OR a.account = $2)
  AND (a.pending_from IS NOT NULL OR k.carries OR c.carried > 0 OR c.through_at IS NULL OR a.pending_through >= c.through_at OR k.adjusts
       OR EXISTS (SELECT FROM billing.terms t
                  WHERE t.account IS NULL AND jsonb_path_exists(t.terms, '$.charges[*] ? (@.model == "flat" || exists (@.minimum))'))
       OR EXISTS (SELECT FROM billing.terms t
                  WHERE t.account = a.account AND jsonb_path_exists(t.terms, '$.charges[*] ? (@.model == "flat" || exists (@.minimum))')))
ORDER BY a.account
LIMIT $3`

// pendingAfter reads a page of pending accounts by name, of one account only if that is given.
func (b *Billing) pendingAfter(ctx context.Context, after, only string, limit int) ([]pending, error) {
	rows, err := b.pool.Query(ctx, sqlPendingAccounts, after, only, limit)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (pending, error) {
		var p pending
		var from, end, taken *time.Time
		var w *int64
		err := row.Scan(&p.account, &from, &p.through, &end, &w, &taken, &p.carries, &p.adjusts)
		p.from, p.through, p.explicit = utc(from), p.through.UTC(), passageOf(end, w, taken)
		return p, err
	})
}

// deriveIfUnknown looks for the account among the events that came since accounts were derived, if nothing is known of it.
func (b *Billing) deriveIfUnknown(ctx context.Context, account string) error {
	var known bool
	if err := b.pool.QueryRow(ctx, sqlAccountKnown, account).Scan(&known); err != nil || known {
		return err
	}
	w, err := b.ledger.TakeWatermark(ctx)
	if err != nil {
		return err
	}
	return b.DeriveAccounts(ctx, w)
}
