package main

import (
	"context"
	"fmt"

	"deltaledger/billing"
)

type ordersCmd struct {
	Open ordersOpenCmd `cmd:"" help:"List the orders that aren't final, with what waits of them."`
}

type ordersOpenCmd struct {
	Account string `placeholder:"ACCOUNT" help:"Only this account's."`
	Limit   int    `placeholder:"N" help:"Rows on a page, at most 1000 (100)."`
	Cursor  string `placeholder:"CURSOR" help:"Go on where the page ended that gave this cursor."`
}

// Help is shown below the command's flags.
func (ordersOpenCmd) Help() string {
	return `Accounts whose terms say "bill_on": "order" are billed for a stream, which is an order, in the cycle in which an event of a finalising type occurs. This lists the streams that have none by the end of the cycle that has begun, one row for each currency: how many events wait, what they add up to, and since when.

  deltaledger orders open
  deltaledger orders open --account acme --output csv`
}

// Run lists one page.
func (c *ordersOpenCmd) Run(ctx context.Context, s *session) error {
	return withApp(ctx, s, func(a *app) error {
		page, err := a.billing.OpenOrders(ctx, billing.OpenOrderQuery{Account: c.Account, Limit: c.Limit, Cursor: c.Cursor})
		if err != nil {
			return err
		}
		t := table{columns: []column{text("account"), text("source"), text("stream"), text("currency"), number("events"), number("amount"), text("first"), text("last")}}
		for _, o := range page.Orders {
			t.add(o.Account, o.Source, o.Stream, o.Currency, fmt.Sprint(o.Events), o.Amount.String(), stamp(o.First), stamp(o.Last))
		}
		t.note = plural(len(page.Orders), "open order")
		if page.Next != "" {
			t.note += "\nnext page: --cursor " + page.Next
			if s.Output == outputCSV {
				s.say("next page: --cursor %s", page.Next)
			}
		}
		return s.show(page, t)
	})
}
