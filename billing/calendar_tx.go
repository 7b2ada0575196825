package billing

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"deltaledger/ledger"
	"deltaledger/ledger/pg"
)

// CalendarTx is the calendar of an account by the terms that the transaction sees, its own or the default. The charges
// of closed cycles are those by which they were billed last.
func (b *Billing) CalendarTx(ctx context.Context, tx pgx.Tx, account string) (*Calendar, error) {
	return b.calendarOf(ctx, tx, account)
}

const sqlDocumentsOf = `
SELECT t.n, COALESCE(t.account, ''), t.terms
FROM billing.terms t
WHERE t.account IS NULL OR t.account = ANY($1)`

// ChargesTx reads what versions of the terms of some accounts, and of the default terms, say of charges themselves: from the
// rows, and not from what is remembered of them. found is false for a version that there isn't, or that is another account's.
func (b *Billing) ChargesTx(ctx context.Context, tx pgx.Tx, accounts []string) (charges func(account string, version int64) (all []Charge, found bool), err error) {
	type document struct {
		account string
		charges []Charge
	}
	documents := map[int64]document{0: {charges: DefaultTerms(b.zone).Charges}}
	var version int64
	var account string
	var raw []byte
	err = pg.ForEach(ctx, tx, []any{&version, &account, &raw}, func() error {
		t, err := ParseTerms(raw, b.zone)
		documents[version] = document{account, t.Charges}
		if err != nil {
			return fmt.Errorf("terms version %d: %w: %w", version, ledger.ErrCorrupt, err)
		}
		return nil
	}, sqlDocumentsOf, accounts)
	return func(account string, version int64) ([]Charge, bool) {
		d, found := documents[version]
		return d.charges, found && (d.account == "" || d.account == account)
	}, wrap(err, "charges of terms")
}

func (b *Billing) calendarOf(ctx context.Context, q querier, account string) (*Calendar, error) {
	k, err := b.readBook(ctx, q, account)
	if err != nil {
		return nil, wrap(err, "calendar of %q", account)
	}
	line := k.timeline(account)
	cal, err := line.calendar()
	if err != nil {
		return nil, wrap(err, "calendar of %q", account)
	}
	reratings, err := readReratings(ctx, q, account, line.history)
	if err != nil {
		return nil, wrap(err, "calendar of %q", account)
	}
	return cal.with(reratings, false), nil
}
