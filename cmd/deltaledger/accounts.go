package main

import (
	"context"
	"fmt"

	"deltaledger/billing"
)

type accountsCmd struct {
	Parked  accountsParkedCmd  `cmd:"" help:"List the accounts that closes leave out, with what was found."`
	Release accountsReleaseCmd `cmd:"" help:"Let closes try a parked account again."`
}

type accountsParkedCmd struct{}

// Run lists them.
func (c *accountsParkedCmd) Run(ctx context.Context, s *session) error {
	return withApp(ctx, s, func(a *app) error {
		all, err := a.billing.Parked(ctx)
		if err != nil {
			return err
		}
		t := parkedTable(all)
		t.note = plural(len(all), "parked account")
		return s.show(orNone(all), t)
	})
}

func parkedTable(all []billing.ParkedAccount) table {
	t := table{columns: []column{text("account"), text("parked_at"), number("run"), text("finding")}}
	for _, p := range all {
		t.add(p.Account, stamp(p.ParkedAt), fmt.Sprint(p.Run), p.Finding)
	}
	return t
}

type accountsReleaseCmd struct {
	Account string `arg:"" help:"The account."`
	Why     string `required:"" placeholder:"TEXT" help:"What was found out, or done about it; it is kept."`
	By      string `placeholder:"NAME" help:"Who releases it; without it the user of the system."`
}

// Run releases one account.
func (c *accountsReleaseCmd) Run(ctx context.Context, s *session) error {
	return withApp(ctx, s, func(a *app) error {
		was, err := a.billing.Release(ctx, billing.ReleaseRequest{Account: c.Account, Why: c.Why, By: s.user(c.By)})
		if err != nil {
			return err
		}
		t := parkedTable([]billing.ParkedAccount{was})
		t.note = "released: the next close tries it again"
		return s.show(was, t)
	})
}
