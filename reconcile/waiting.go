package reconcile

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"deltaledger/ledger/pg"
)

// waiting is an account that had events on no invoice when it was looked at last.
type waiting struct {
	account       string
	oldest        time.Time  // occurred_at of the first of them
	closedThrough *time.Time // then
	closed        bool       // a close of its own has passed the oldest since
}

// Nothing is read unless a close run has ended since the run before. An hour is more than it takes from
// writing the end of a run to committing it.
const sqlWaiting = `
SELECT b.account, min(b.oldest), max(b.closed_through),
       bool_or(EXISTS (SELECT FROM billing.closes c WHERE c.account = b.account AND c.through_at > b.oldest AND c.watermark > b.watermark))
FROM reconcile.balances b
WHERE b.oldest IS NOT NULL
  AND NOT EXISTS (SELECT FROM reconcile.balances n WHERE n.account = b.account AND n.currency = b.currency AND n.watermark > b.watermark)
  AND EXISTS (SELECT FROM billing.close_run_ends e WHERE e.ended_at >= $1::timestamptz - interval '1 hour')
GROUP BY b.account`

// waitingAccounts are those whose events on no invoice should be on one by now, because a close run has
// passed them since: it may have forgotten the account, which then has neither new events nor invoices.
func (u *run) waitingAccounts(ctx context.Context) (accounts []string, err error) {
	err = pg.InSnapshot(ctx, u.pool, func(tx pgx.Tx) error {
		accounts = nil
		rows, err := tx.Query(ctx, sqlWaiting, u.floor())
		if err != nil {
			return err
		}
		all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (w waiting, err error) {
			err = row.Scan(&w.account, &w.oldest, &w.closedThrough, &w.closed)
			return w, err
		})
		if err != nil {
			return err
		}
		for page := range slices.Chunk(all, pageOfAccounts) {
			passed, err := u.passed(ctx, tx, page)
			if err != nil {
				return err
			}
			accounts = append(accounts, passed...)
		}
		return nil
	})
	return accounts, err
}

// passed are those of some accounts that a close has passed since they were looked at.
func (u *run) passed(ctx context.Context, tx pgx.Tx, all []waiting) (accounts []string, err error) {
	by := make(map[string]waiting, len(all))
	names := make([]string, len(all))
	for i, w := range all {
		by[w.account], names[i] = w, w.account
		if w.closed {
			accounts = append(accounts, w.account)
		}
	}
	covered, err := u.billing.CoveredTx(ctx, tx, u.at.Position, names)
	if err != nil {
		return nil, err
	}
	for _, c := range covered {
		w := by[c.Account]
		if c.End.After(w.oldest) && (w.closedThrough == nil || c.End.After(*w.closedThrough)) {
			accounts = append(accounts, c.Account)
		}
	}
	return accounts, nil
}
