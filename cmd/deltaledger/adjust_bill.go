package main

import (
	"context"
	"fmt"

	"deltaledger/billing"
)

type adjustBillCmd struct {
	Account   string `arg:"" help:"The account."`
	Amount    string `required:"" placeholder:"AMOUNT" help:"A plain decimal, such as --amount=-12.50; negative: for the account."`
	Currency  string `required:"" placeholder:"CODE" help:"Code of the currency by ISO 4217."`
	Reason    string `required:"" placeholder:"TEXT" help:"Why; it stands on the line."`
	Reference string `placeholder:"TEXT" help:"Your own, one adjustment of the account each: the same again is made once."`
	Cycle     string `placeholder:"DATE" help:"A local date in the closed cycle that it is about; without it, it is about the one that bills it."`
	By        string `placeholder:"NAME" help:"Who makes it; without it the user of the system."`
}

// Help is shown below the command's flags.
func (adjustBillCmd) Help() string {
	return `An amount that the next close of the account bills on a line of its own, besides what its charges make of events. Above approve_above of the account's terms it waits until another person has approved it.

  deltaledger adjust bill acme --amount=-12.50 --currency USD --reason "goodwill for the outage of 3 March" --by jane
  deltaledger adjust list --status waiting
  deltaledger adjust approve 01980000-0000-7000-8000-000000000001 --why "contract seen" --by john`
}

// Run makes the adjustment.
func (c *adjustBillCmd) Run(ctx context.Context, s *session) error {
	r := billing.AdjustRequest{Account: c.Account, Amount: c.Amount, Currency: c.Currency, Reason: c.Reason, Reference: c.Reference, By: s.user(c.By)}
	if c.Cycle != "" {
		var err error
		if r.Cycle, err = billing.ParseDate(c.Cycle); err != nil {
			return usagef("--cycle is %q, but must be an existing date as YYYY-MM-DD", c.Cycle)
		}
	}
	return withApp(ctx, s, func(a *app) error {
		made, err := a.billing.Adjust(ctx, r)
		if err != nil {
			return err
		}
		t := adjustmentTable(made)
		switch made.Status {
		case billing.AdjustmentWaiting:
			t.note = fmt.Sprintf("above %s %s it waits for another person: deltaledger adjust approve %s --why TEXT", made.Above, made.Currency, made.ID)
		case billing.AdjustmentReady:
			t.note = "the next close of the account bills it"
		}
		return s.show(made, t)
	})
}

func adjustmentTable(all ...billing.Adjustment) table {
	t := table{columns: []column{
		text("id"), text("account"), text("status"), number("amount"), text("currency"), text("reason"), text("reference").optional(),
		text("origin_start").optional(), text("made_by"), text("made_at"), text("decided_by").optional(), text("why").optional(), text("invoice").optional(),
		number("position"),
	}}
	for _, a := range all {
		origin := ""
		if a.OriginStart != nil {
			origin = stamp(*a.OriginStart)
		}
		t.add(a.ID.String(), a.Account, string(a.Status), a.Amount.String(), a.Currency, a.Reason, a.Reference, origin,
			a.MadeBy, stamp(a.MadeAt), a.DecidedBy, a.Why, or(a.Invoice), fmt.Sprint(a.Position))
	}
	return t
}

type adjustListCmd struct {
	Account string `placeholder:"ACCOUNT" help:"Only this account's."`
	Status  string `placeholder:"STATUS" help:"Only adjustments that are waiting, ready, rejected or billed."`
	Limit   int    `placeholder:"N" help:"Adjustments on a page, at most 1000 (100)."`
	Before  int64  `placeholder:"POSITION" help:"Go on after the adjustment at this position."`
}

// Run lists one page.
func (c *adjustListCmd) Run(ctx context.Context, s *session) error {
	return withApp(ctx, s, func(a *app) error {
		all, err := a.billing.Adjustments(ctx, billing.AdjustmentQuery{
			Account: c.Account, Status: billing.AdjustmentStatus(c.Status), Limit: c.Limit, Before: c.Before,
		})
		if err != nil {
			return err
		}
		t := adjustmentTable(all...)
		t.note = plural(len(all), "adjustment")
		return s.show(orNone(all), t)
	})
}

type adjustShowCmd struct {
	ID string `arg:"" name:"id" help:"ID of the adjustment."`
}

// Run shows one adjustment.
func (c *adjustShowCmd) Run(ctx context.Context, s *session) error {
	return withApp(ctx, s, func(a *app) error {
		one, err := a.billing.Adjustment(ctx, c.ID)
		if err != nil {
			return err
		}
		return s.show(one, adjustmentTable(one))
	})
}

// decision is what both commands take.
type decision struct {
	ID  string `arg:"" name:"id" help:"ID of the adjustment."`
	Why string `required:"" placeholder:"TEXT" help:"What was looked at; it is kept."`
	By  string `placeholder:"NAME" help:"Who decides, another person than the one who made it; without it the user of the system."`
}

func (c decision) record(ctx context.Context, s *session, outcome string) error {
	return withApp(ctx, s, func(a *app) error {
		one, err := a.billing.Decide(ctx, billing.DecideRequest{Adjustment: c.ID, Outcome: outcome, Why: c.Why, By: s.user(c.By)})
		if err != nil {
			return err
		}
		return s.show(one, adjustmentTable(one))
	})
}

type (
	adjustApproveCmd struct{ decision }
	adjustRejectCmd  struct{ decision }
)

// Run approves the adjustment.
func (c *adjustApproveCmd) Run(ctx context.Context, s *session) error {
	return c.record(ctx, s, billing.Approved)
}

// Run rejects the adjustment.
func (c *adjustRejectCmd) Run(ctx context.Context, s *session) error {
	return c.record(ctx, s, billing.Rejected)
}
