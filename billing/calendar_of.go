package billing

import "context"

// CalendarOf is the calendar of an account by the terms that are recorded now, its own or the default.
func (b *Billing) CalendarOf(ctx context.Context, account string) (*Calendar, error) {
	k, err := b.readBook(ctx, b.pool, account)
	if err != nil {
		return nil, wrap(err, "calendar of %q", account)
	}
	cal, err := k.timeline(account).calendar()
	return cal, wrap(err, "calendar of %q", account)
}
