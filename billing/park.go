package billing

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"deltaledger/ledger"
	"deltaledger/ledger/pg"
)

// ParkedAccount is an account that closes leave out: a run found something about it that can't be, such as
// an invariant that doesn't hold, and nobody has released it yet.
type ParkedAccount struct {
	Account  string    `json:"account"`
	Finding  string    `json:"finding"` // what the run found
	Run      int64     `json:"run"`     // that found it
	ParkedAt time.Time `json:"parked_at"`
}

// errParked: the account was parked since the run began.
var errParked = errors.New("parked")

const sqlParked = `
SELECT p.account, p.finding, p.run, p.parked_at
FROM billing.parked p
WHERE $1 = '' OR p.account = $1
ORDER BY p.account, p.run`

// Parked lists the accounts that closes leave out, by name.
func (b *Billing) Parked(ctx context.Context) ([]ParkedAccount, error) {
	all, err := readParked(ctx, b.pool, "")
	return all, wrap(err, "list parked accounts")
}

// ParkedTx is Parked in a transaction.
func (b *Billing) ParkedTx(ctx context.Context, tx pgx.Tx) ([]ParkedAccount, error) {
	all, err := readParked(ctx, tx, "")
	return all, wrap(err, "list parked accounts")
}

func readParked(ctx context.Context, q querier, account string) ([]ParkedAccount, error) {
	rows, err := q.Query(ctx, sqlParked, account)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (ParkedAccount, error) {
		var p ParkedAccount
		err := row.Scan(&p.Account, &p.Finding, &p.Run, &p.ParkedAt)
		p.ParkedAt = p.ParkedAt.UTC()
		return p, err
	})
}

const sqlIsParked = `
SELECT EXISTS (SELECT FROM billing.parked p WHERE p.account = $1)`

// queueParkedCheck queues the look whether the account was parked since the run began, under its lock.
func queueParkedCheck(out *writes, account string) {
	out.query(func(rows pgx.Rows) error {
		parked, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[bool])
		if err == nil && parked {
			err = errParked
		}
		return err
	}, sqlIsParked, account)
}

const sqlInsertParking = `
INSERT INTO billing.parkings (account, run, finding, position, parked_at)
SELECT $1, $2, $3, d.positions[1], d.recorded_at
FROM ledger.draw(1) d`

// parkAccount parks an account, unless it is parked already, and notes that the run didn't close it.
func (c *closing) parkAccount(ctx context.Context, account, finding string) error {
	return pg.InTx(ctx, c.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, sqlHoldAccount, account); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, sqlInsertFailure, c.run.n, account, finding); err != nil {
			return err
		}
		parked, err := readParked(ctx, tx, account)
		if err != nil || len(parked) > 0 {
			return err
		}
		_, err = tx.Exec(ctx, sqlInsertParking, account, c.run.n, finding)
		return err
	})
}

const sqlInsertParkedFailures = `
INSERT INTO billing.close_failures (run, account, reason)
SELECT $1, u.account, u.reason
FROM unnest($2::text[], $3::text[]) AS u (account, reason)
ON CONFLICT (run, account) DO NOTHING`

// leaveOut notes the accounts that are parked as the run begins. Without these rows the end of the run would
// close them.
func (c *closing) leaveOut(ctx context.Context) (map[string]bool, error) {
	parked, err := readParked(ctx, c.pool, c.request.Account)
	if err != nil {
		return nil, fmt.Errorf("read parked accounts: %w", err)
	}
	out := map[string]bool{}
	var accounts, reasons []string
	for _, p := range parked {
		if out[p.Account] {
			continue
		}
		out[p.Account] = true
		accounts, reasons = append(accounts, p.Account), append(reasons, fmt.Sprintf("parked since run %d: %s", p.Run, p.Finding))
		c.result.Parked = append(c.result.Parked, p)
	}
	if len(accounts) == 0 {
		return out, nil
	}
	if _, err := c.pool.Exec(ctx, sqlInsertParkedFailures, c.run.n, accounts, reasons); err != nil {
		return nil, fmt.Errorf("note parked accounts: %w", err)
	}
	return out, nil
}

// ReleaseRequest says which account closes are to try again.
type ReleaseRequest struct {
	Account string
	Why     string // what was found out, or done about it
	By      string
}

const sqlInsertRelease = `
INSERT INTO billing.releases (account, run, why, released_by, position, released_at)
SELECT $1, u.run, $3, $4, d.positions[u.n], d.recorded_at
FROM unnest($2::bigint[]) WITH ORDINALITY AS u (run, n)
CROSS JOIN ledger.draw($5) d`

// Release lets closes try a parked account again; if they find the same, they park it again. It returns what it
// was parked for. An account that isn't parked is ErrConflict, one that was never heard of ErrNotFound.
func (b *Billing) Release(ctx context.Context, r ReleaseRequest) (ParkedAccount, error) {
	err := problems(checkText("account", r.Account, "must be the account that is parked"), checkText("why", r.Why, "must say what was found out, or done about it"),
		checkText("by", r.By, "must say who releases it"))
	if err != nil {
		return ParkedAccount{}, wrap(err, "release an account")
	}
	var was ParkedAccount
	err = pg.InTx(ctx, b.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, sqlHoldAccount, r.Account); err != nil {
			return err
		}
		parked, err := readParked(ctx, tx, r.Account)
		if err != nil {
			return err
		}
		if len(parked) == 0 {
			var known bool
			if err := tx.QueryRow(ctx, sqlAccountKnown, r.Account).Scan(&known); err != nil {
				return err
			}
			if !known {
				return fmt.Errorf("account %q has neither events nor terms: %w", r.Account, ledger.ErrNotFound)
			}
			return fmt.Errorf("it isn't parked: %w", ledger.ErrConflict)
		}
		was = parked[len(parked)-1]
		runs := make([]int64, len(parked))
		for i, p := range parked {
			runs[i] = p.Run
		}
		_, err = tx.Exec(ctx, sqlInsertRelease, r.Account, runs, r.Why, r.By, len(runs))
		return err
	})
	return was, wrap(err, "release account %q", r.Account)
}
