package billing

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/jackc/pgx/v5"

	"deltaledger/ledger"
)

// ClosedPage is what reratings change for closed cycles of some accounts, by name. Nothing of it is stored.
type ClosedPage struct {
	AsOf     ledger.Watermark `json:"as_of"`
	Accounts []ClosedAccount  `json:"accounts"`       // of those looked at, the ones whose bills change or that are left out
	Sums     map[string]Money `json:"sums"`           // of the differences on this page, by currency
	Looked   int64            `json:"looked_at"`      // how many accounts
	Next     string           `json:"next,omitempty"` // After of the next page; empty: that was the last
}

// ClosedAccount is what changes for one account.
type ClosedAccount struct {
	Account string           `json:"account"`
	Changes int64            `json:"changes"` // of charges of cycles; PreviewClosed of the account lists them
	Sums    map[string]Money `json:"sums"`    // of the differences, by currency
	LeftOut string           `json:"left_out,omitempty"`
}

// ClosedPageRequest says which accounts to look at.
type ClosedPageRequest struct {
	Terms []byte // default terms in JSON that aren't recorded; none: what is recorded and not billed yet
	AsOf  string // as in PreviewRequest
	After string // only accounts whose names come after it
	Limit int    // how many accounts are looked at: 1 to 1,000; 0: 100
}

const sqlAccountsAfter = `
SELECT a.account
FROM billing.accounts a
WHERE a.account > $1
ORDER BY a.account
LIMIT $2`

// PreviewClosedAccounts is PreviewClosed for all accounts, page by page: what the default terms would change for closed cycles if
// AdjustClosed recorded them, or without terms what those change that are recorded, of accounts and of the default, and no
// close has brought yet. Pages as of one watermark, which the first one tells, add up to the whole.
func (b *Billing) PreviewClosedAccounts(ctx context.Context, r ClosedPageRequest) (ClosedPage, error) {
	p, err := b.previewClosedAccounts(ctx, r)
	return p, wrap(err, "preview of closed cycles")
}

func (b *Billing) previewClosedAccounts(ctx context.Context, r ClosedPageRequest) (ClosedPage, error) {
	if r.Limit == 0 {
		r.Limit = 100
	}
	if r.Limit < 1 || r.Limit > page {
		return ClosedPage{}, ledger.Invalid("limit", fmt.Sprint(r.Limit), fmt.Sprintf("must be 1 to %d", page))
	}
	at, err := b.ledger.AsOf(ctx, r.AsOf)
	if err != nil {
		return ClosedPage{}, err
	}
	if err := b.DeriveAccounts(ctx, at); err != nil {
		return ClosedPage{}, err
	}
	var supposed *Terms
	if len(r.Terms) > 0 {
		if supposed, err = b.supposedDefault(ctx, r.Terms); err != nil {
			return ClosedPage{}, err
		}
	}
	rows, err := b.pool.Query(ctx, sqlAccountsAfter, r.After, r.Limit)
	if err != nil {
		return ClosedPage{}, err
	}
	accounts, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return ClosedPage{}, err
	}
	out := ClosedPage{AsOf: at, Accounts: []ClosedAccount{}, Sums: map[string]Money{}, Looked: int64(len(accounts))}
	for _, account := range accounts {
		c, err := b.previewClosedAccount(ctx, account, at, supposed)
		if err != nil {
			return ClosedPage{}, fmt.Errorf("account %q: %w", account, err)
		}
		if c.Changes == 0 && c.LeftOut == "" {
			continue
		}
		out.Accounts = append(out.Accounts, c)
		for code, sum := range c.Sums {
			out.Sums[code] = out.Sums[code].plus(sum.Amount, code)
		}
	}
	if len(accounts) == r.Limit {
		out.Next = accounts[len(accounts)-1]
	}
	return out, nil
}

// supposedDefault is a version of the default terms as it would be recorded now.
func (b *Billing) supposedDefault(ctx context.Context, raw []byte) (*Terms, error) {
	catalogue, err := b.ledger.Catalogue(ctx)
	if err != nil {
		return nil, err
	}
	var t Terms
	err = pgx.BeginTxFunc(ctx, b.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		var k *book
		if t, k, err = b.checkTerms(ctx, tx, catalogue, raw); err != nil {
			return err
		}
		if t.Account != "" {
			return &TermsError{Problems: []Problem{{Field: "account", Value: shorten(t.Account), Rule: "must be left out: of all accounts, default terms are previewed"}}}
		}
		t.Version = k.newest + 1
		if t.NotBefore, err = b.closedForTerms(ctx, tx, k, ""); err != nil {
			return err
		}
		return reachesClosed(t)
	})
	return &t, err
}

// previewClosedAccount is what default terms that are supposed, or what is recorded, would change for one account.
func (b *Billing) previewClosedAccount(ctx context.Context, account string, at ledger.Watermark, supposed *Terms) (ClosedAccount, error) {
	out := ClosedPreview{}
	var leftOut string
	r := PreviewRequest{Account: account, AsOf: strconv.FormatInt(at.Position, 10)}
	_, err := b.inSnapshot(ctx, r, func(tx pgx.Tx, catalogue ledger.Catalogue, v *view, at ledger.Watermark) error {
		out, leftOut = ClosedPreview{Cycles: []ClosedChange{}, Sums: map[string]Money{}}, ""
		if supposed != nil {
			s, err := v.defaultSpan(ctx, tx, *supposed)
			if leftOut = s.why(); err != nil || !s.concerned || leftOut != "" {
				return err
			}
			v.supposeRerating(*supposed, s.from, s.through)
		}
		return b.previewClosed(ctx, tx, catalogue, v, at, &out)
	})
	changes := slices.DeleteFunc(out.Cycles, func(c ClosedChange) bool { return c.Difference.Amount.IsZero() && c.Pinned == 0 })
	return ClosedAccount{Account: account, Changes: int64(len(changes)), Sums: out.Sums, LeftOut: leftOut}, err
}
