package reconcile

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"deltaledger/billing"
)

// healCarried counts again what waits for orders, and makes again what was changed behind the program: all of it follows from
// the events. A run that must not heal makes a finding of it.
func (u *run) healCarried(ctx context.Context) error {
	for accounts := range slices.Chunk(u.accounts, pageOfAccounts) {
		wrong, err := u.billing.WrongCarried(ctx, accounts)
		if err != nil {
			return err
		}
		for _, account := range wrong {
			f := Finding{
				Fingerprint: fingerprint(checkCarried, account), Check: checkCarried, Account: account,
				Detail: fmt.Sprintf("account %s: what waits for its orders in billing.carried isn't what the last close left: run reconcile without --no-heal, which makes it again", account),
			}
			if !u.request.Heal {
				u.add(f)
				continue
			}
			done, err := u.billing.MakeCarried(ctx, account)
			if err != nil {
				return err
			}
			f.Subject, f.Detail = carriedFigures(done), "account "+account+": "+carriedDetail(done)
			if done.Right() {
				u.mended = append(u.mended, u.dated(f))
			} else {
				u.add(f)
			}
		}
	}
	u.checked(checkCarried, int64(len(u.accounts)), "accounts")
	return nil
}

func carriedFigures(c billing.CarriedAgain) json.RawMessage {
	b, _ := json.Marshal(map[string]any{"left": c.Left, "had": c.Had, "has": c.Has, "dropped": c.Dropped, "made": c.Made}) // numbers: nothing to fail
	return b
}

// carriedDetail says what was found and done, and what a person has to do where that isn't enough.
func carriedDetail(c billing.CarriedAgain) string {
	s := fmt.Sprintf("the last close left %d events waiting for their orders, and billing.carried had %d", c.Left, c.Had)
	if len(c.Dropped) > 0 {
		s += fmt.Sprintf("; taken away, because they aren't what the events say: positions %s", positions(c.Dropped))
	}
	if len(c.Made) > 0 {
		s += fmt.Sprintf("; made again from the events: positions %s", positions(c.Made))
	}
	if !c.Right() {
		s += fmt.Sprintf("; that makes %d, not %d: events, pins, terms or closes of the account were changed too. Verify the seals, and compare billing.closes and billing.pins with a backup", c.Has, c.Left)
	}
	return s
}

// positions are the first of some positions.
func positions(all []int64) string {
	all = slices.Sorted(slices.Values(all))
	var texts []string
	for _, p := range all[:min(len(all), 20)] {
		texts = append(texts, fmt.Sprint(p))
	}
	if more := len(all) - len(texts); more > 0 {
		texts = append(texts, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(texts, ", ")
}
