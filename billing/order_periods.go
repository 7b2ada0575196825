package billing

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// OrderPeriods are the times in which some accounts are billed by order, and what finalises orders then, as
// columns of two tables: of periods, and of rules. A rule says that events of the type finalise orders in the
// period that begins at RuleSince if they occur in [RuleFrom, RuleTo). An instant 0001-01-01 is always, and one
// after the year 9999 is never.
type OrderPeriods struct {
	Accounts     []string
	Since, Until []time.Time

	RuleAccounts                []string
	RuleSince, RuleFrom, RuleTo []time.Time
	RuleTypes                   []string
}

// OrderPeriodsTx returns the times in which accounts are billed by order, by the terms that the transaction sees.
// It is empty if none of them ever is.
func (b *Billing) OrderPeriodsTx(ctx context.Context, tx pgx.Tx, accounts []string) (OrderPeriods, error) {
	var all OrderPeriods
	k, err := b.readBook(ctx, tx, accounts...)
	if err != nil {
		return all, wrap(err, "read when accounts are billed by order")
	}
	for _, account := range accounts {
		cal, err := k.timeline(account).calendar()
		if err != nil {
			return all, wrap(err, "calendar of %q", account)
		}
		for _, p := range cal.orderPeriods() {
			all.Accounts, all.Since, all.Until = append(all.Accounts, account), append(all.Since, p.since), append(all.Until, p.until)
			for _, r := range p.rules {
				for _, t := range r.types {
					all.RuleAccounts, all.RuleTypes = append(all.RuleAccounts, account), append(all.RuleTypes, t)
					all.RuleSince, all.RuleFrom, all.RuleTo = append(all.RuleSince, p.since), append(all.RuleFrom, r.from), append(all.RuleTo, r.to)
				}
			}
		}
	}
	return all, nil
}
