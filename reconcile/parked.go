package reconcile

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// checkParked makes a finding of each account that closes leave out, because a close found something about it
// that can't be. It is gone when the account is released.
func (u *run) checkParked(ctx context.Context, tx pgx.Tx) error {
	parked, err := u.billing.ParkedTx(ctx, tx)
	if err != nil {
		return err
	}
	for _, p := range parked {
		subject, err := json.Marshal(p)
		if err != nil {
			return err
		}
		u.add(Finding{
			Fingerprint: fingerprint(checkParked, p.Account, fmt.Sprint(p.Run)), Check: checkParked, Account: p.Account, Subject: subject,
			Detail: fmt.Sprintf("closes leave the account out since %s, when run %d found: %s", p.ParkedAt.Format(time.RFC3339), p.Run, p.Finding),
		})
	}
	u.checked(checkParked, int64(len(parked)), "parked accounts")
	return nil
}

// parkedAccounts are looked at by every run: what parked them may be something that a run puts right.
func (u *run) parkedAccounts(ctx context.Context) ([]string, error) {
	parked, err := u.billing.Parked(ctx)
	accounts := make([]string, len(parked))
	for i, p := range parked {
		accounts[i] = p.Account
	}
	return accounts, err
}
