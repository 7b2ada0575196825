package billing

import (
	"context"
	"math"
	"time"

	"github.com/jackc/pgx/v5"

	"deltaledger/ledger/pg"
)

// ClosedThroughTx returns the instant through which each of some accounts is closed, by a close of its own or by a
// run for all accounts that passed it: every cycle that ends by then is. An account that was never closed is missing.
func (b *Billing) ClosedThroughTx(ctx context.Context, tx pgx.Tx, accounts []string) (map[string]time.Time, error) {
	closed := map[string]time.Time{}
	var account string
	var through time.Time
	err := pg.ForEach(ctx, tx, []any{&account, &through}, func() error {
		closed[account] = through.UTC()
		return nil
	}, sqlCloses, accounts)
	if err != nil {
		return nil, wrap(err, "read closes")
	}
	passed, err := b.CoveredTx(ctx, tx, math.MaxInt64, accounts)
	if err != nil {
		return nil, err
	}
	for _, c := range passed {
		if c.End.After(closed[c.Account]) {
			closed[c.Account] = c.End
		}
	}
	return closed, nil
}
