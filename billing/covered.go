package billing

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"deltaledger/ledger/pg"
)

// Covered says that a close run for all accounts passed an account, without a row of its own: every
// cycle that ends by End is closed, and what the account had at positions up to Watermark was looked at.
type Covered struct {
	Account   string
	End       time.Time
	Watermark int64
}

const sqlCloses = `
SELECT c.account, max(c.through_at)
FROM billing.closes c
WHERE c.account = ANY($1)
GROUP BY c.account`

// CoveredTx returns how the runs for all accounts that ended, with watermarks up to at, passed accounts
// beyond the last close that these have a row of. Runs that closed nothing further are left out.
func (b *Billing) CoveredTx(ctx context.Context, tx pgx.Tx, at int64, accounts []string) ([]Covered, error) {
	all, err := b.readRuns(ctx, tx)
	if err != nil {
		return nil, wrap(err, "how accounts were passed")
	}
	k, err := b.readBook(ctx, tx, accounts...)
	if err != nil {
		return nil, wrap(err, "how accounts were passed")
	}
	closed := map[string]time.Time{}
	var account string
	var through time.Time
	if err := pg.ForEach(ctx, tx, []any{&account, &through}, func() error {
		closed[account] = through.UTC()
		return nil
	}, sqlCloses, accounts); err != nil {
		return nil, wrap(err, "how accounts were passed")
	}
	var found []Covered
	for _, account := range accounts {
		passages, err := all.closers(k.timeline(account), account, nil, closed[account])
		if err != nil {
			return nil, wrap(err, "how account %q was passed", account)
		}
		// Of runs that came equally far the first closed anything; one that came less far, nothing.
		slices.SortFunc(passages, func(a, b passage) int {
			return cmp.Or(cmp.Compare(a.watermark, b.watermark), b.end.Compare(a.end))
		})
		furthest := closed[account]
		for _, p := range passages {
			if p.watermark <= at && p.end.After(furthest) {
				found, furthest = append(found, Covered{Account: account, End: p.end, Watermark: p.watermark}), p.end
			}
		}
	}
	return found, nil
}
