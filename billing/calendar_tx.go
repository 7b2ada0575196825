package billing

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// CalendarTx is the calendar of an account by the terms that the transaction sees, its own or the default. The charges
// of closed cycles are those by which they were billed last.
func (b *Billing) CalendarTx(ctx context.Context, tx pgx.Tx, account string) (*Calendar, error) {
	return b.calendarOf(ctx, tx, account)
}

func (b *Billing) calendarOf(ctx context.Context, q querier, account string) (*Calendar, error) {
	k, err := b.readBook(ctx, q, account)
	if err != nil {
		return nil, wrap(err, "calendar of %q", account)
	}
	line := k.timeline(account)
	cal, err := line.calendar()
	if err != nil || len(k.own[account]) == 0 {
		return cal, wrap(err, "calendar of %q", account)
	}
	reratings, err := readReratings(ctx, q, account, line.history)
	if err != nil {
		return nil, wrap(err, "calendar of %q", account)
	}
	return cal.with(reratings, false), nil
}
