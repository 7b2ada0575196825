package reconcile

import (
	"context"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"
)

// healers is how many accounts are healed at once.
const healers = 4

// heal finds the late events of the accounts and assigns them to their next open cycles, or, if the run
// must not heal, makes findings of them.
func (u *run) heal(ctx context.Context) error {
	var mu sync.Mutex
	done := 0
	settled := func(account string, late, healed, newest int64) {
		mu.Lock()
		defer mu.Unlock()
		done++
		u.result.Late += late
		u.result.Healed += healed
		if left := late - healed; left > 0 {
			u.add(Finding{
				Fingerprint: fingerprint(checkLate, account), Check: checkLate, Account: account,
				Detail: fmt.Sprintf("%d events came after their cycle was closed and are not assigned to a later one yet, the newest at position %d", left, newest),
			})
		}
		if u.request.Progress != nil {
			u.request.Progress(done, len(u.accounts))
		}
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(healers)
	for _, account := range u.accounts {
		if ctx.Err() != nil {
			break
		}
		group.Go(func() error {
			if !u.request.Heal {
				late, newest, err := u.billing.LateCandidates(ctx, account, u.at)
				if err == nil {
					settled(account, late, 0, newest)
				}
				return err
			}
			late, healed, err := u.billing.Heal(ctx, account, u.at, u.id.String())
			if err == nil {
				settled(account, late, healed, u.at.Position)
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	u.checked(checkLate, int64(len(u.accounts)), "accounts")
	return nil
}
