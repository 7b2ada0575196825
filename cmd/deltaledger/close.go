package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"deltaledger/billing"
	"deltaledger/export"
)

type closeCmd struct {
	Through string `required:"" placeholder:"DATE" help:"Last date, in the zone of each account, that a closed cycle may hold: it is included."`
	Account string `placeholder:"ACCOUNT" help:"Close this account only; no month is frozen then."`
	Review  bool   `help:"Leave the invoices ready, without numbers, until a person has looked at them: see invoices issue."`
	By      string `placeholder:"NAME" help:"Who closes; without it the user of the system."`
}

// Help is shown below the command's flags.
func (closeCmd) Help() string {
	return `Closes every cycle that ends by the date and whose grace is over: its events are pinned, priced and invoiced. Late events of closed cycles are billed in the next cycle, on lines of their own. A close of all accounts also freezes the business months up to the date that are over. Closing again, or from two places, does nothing twice.

  deltaledger close --through 2026-01-31`
}

// closed is the result of close.
type closed struct {
	billing.CloseResult
	Frozen []export.Month `json:"frozen"` // months that this run froze
}

// Run closes, and freezes what is over.
func (c *closeCmd) Run(ctx context.Context, s *session) error {
	through, err := billing.ParseDate(c.Through)
	if err != nil {
		return usagef("--through: %v", err)
	}
	return withApp(ctx, s, func(a *app) error {
		bar := s.countBar("accounts")
		r, failure := a.billing.Close(ctx, billing.CloseRequest{Through: through, Account: c.Account, Review: c.Review, By: s.user(c.By), Progress: bar.set})
		bar.done()
		if failure != nil && r.Run == 0 {
			return failure
		}
		result := closed{CloseResult: r, Frozen: []export.Month{}}
		if c.Account == "" && failure == nil {
			result.Frozen, failure = a.exporter.FreezeClosed(ctx, r, through, s.user(c.By))
		}
		// What was closed is shown also where a later step failed: it is closed for ever.
		if err := s.show(result, closedTable(result)); err != nil {
			return err
		}
		for _, skipped := range r.Skipped {
			s.say("%s: the cycle from %s to %s is inside its grace and can be closed from %s on", skipped.Account,
				stamp(skipped.Start), stamp(skipped.End), stamp(skipped.ClosableFrom))
		}
		for _, failed := range r.Failed {
			s.warn("%s was left as it was: %s", failed.Account, failed.Reason)
			if failed.Parked {
				s.warn("%s is parked: closes leave it out until somebody has looked and says `deltaledger accounts release %s --why TEXT`", failed.Account, failed.Account)
			}
		}
		for _, p := range r.Parked {
			s.warn("%s is parked since %s and was left out: %s", p.Account, stamp(p.ParkedAt), p.Finding)
		}
		switch {
		case failure != nil:
			return failure
		case len(r.Failed) > 0:
			return errShown
		case len(r.Parked) > 0:
			return errFindings
		}
		return nil
	})
}

func closedTable(r closed) table {
	t := table{columns: []column{number("cycles"), number("invoices"), number("pinned"), number("late"), text("totals"), text("frozen"), number("watermark")}}
	var sums, months []string
	for _, currency := range sortedKeys(r.Totals) {
		sums = append(sums, fmt.Sprintf("%s %s", r.Totals[currency], currency))
	}
	for _, m := range r.Frozen {
		months = append(months, m.String())
	}
	t.add(fmt.Sprint(r.Cycles), fmt.Sprint(r.Invoices), fmt.Sprint(r.Pinned), fmt.Sprint(r.Late), strings.Join(sums, ", "),
		strings.Join(months, ", "), fmt.Sprint(r.Watermark))
	return t
}

// day is how a cycle's boundary stands in tables: the date, and the time where there is one.
func day(t time.Time, zone *time.Location) string {
	local := t.In(zone)
	if local.Hour() == 0 && local.Minute() == 0 && local.Second() == 0 {
		return local.Format(time.DateOnly)
	}
	return local.Format("2006-01-02T15:04:05")
}
