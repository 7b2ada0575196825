package main

import (
	"context"
	"fmt"

	"deltaledger/reconcile"
)

type reconcileCmd struct {
	NoHeal bool   `help:"Only find late events; don't assign them to the next open cycle."`
	By     string `placeholder:"NAME" help:"Who reconciles; without it the user of the system."`
}

// Help is shown below the command's flags.
func (reconcileCmd) Help() string {
	return `Finds events that came after their cycle was closed and assigns them to the next open one, where the next close bills them; checks that every billable event of a closed cycle is on exactly one live invoice, that invoices, lines and pins agree, that what was paid and credited of each invoice could be and adds up, and that opening unbilled + booked − billed = closing unbilled for each account and currency. The exit code is 3 while findings remain.

  deltaledger reconcile --output json
  deltaledger reconcile --no-heal`
}

// Run reconciles.
func (c *reconcileCmd) Run(ctx context.Context, s *session) error {
	return withApp(ctx, s, func(a *app) error {
		bar := s.countBar("accounts")
		defer bar.done()
		r, err := a.reconciler.Run(ctx, reconcile.Request{Heal: !c.NoHeal, By: s.user(c.By), Progress: bar.set})
		if err != nil {
			return err
		}
		bar.done()
		r.Findings = orNone(r.Findings)
		t := findingTable(r.Findings)
		t.note = fmt.Sprintf("run %s as of watermark %d: %d late events found, %d healed, %d findings remain",
			r.Run, r.Watermark, r.Late, r.Healed, r.Open())
		if len(r.Findings) == 0 {
			t = table{columns: []column{text("check"), number("compared"), text("unit"), number("wrong")}, note: t.note}
			for _, k := range r.Checks {
				t.add(k.Check, fmt.Sprint(k.Compared), k.Unit, fmt.Sprint(k.Wrong))
			}
		}
		if err := s.show(r, t); err != nil {
			return err
		}
		if r.Open() > 0 {
			return errFindings
		}
		return nil
	})
}
