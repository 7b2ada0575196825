package main

import (
	"context"
	"fmt"
	"strconv"
)

type invoicesExplainCmd struct {
	ID string `arg:"" name:"id" help:"ID or number of the invoice."`
}

// Help is shown below the command's flags.
func (invoicesExplainCmd) Help() string {
	return `Each line is computed again from what it keeps: the quantity and events that it and earlier lines of its cycle hold, and the charge as it was applied. A step says what is found, how, and what comes out, exactly; rounding is a step of its own, once for each line. A line for another cycle than the invoice's names that cycle, and the invoice that billed it first. The command fails if a line doesn't come to what it says.

  deltaledger invoices explain INV-000001`
}

// Run explains one invoice.
func (c *invoicesExplainCmd) Run(ctx context.Context, s *session) error {
	return withApp(ctx, s, func(a *app) error {
		v, err := a.billing.Show(ctx, c.ID)
		if err != nil {
			return err
		}
		e, err := a.billing.Explain(ctx, c.ID)
		if err != nil {
			return err
		}
		zone := zoneOf(v)
		t := table{columns: []column{
			number("line"), text("charge"), text("terms"), text("origin_start"), text("origin_end"), text("late"), text("origin_invoice").optional(), text("step"), text("how"), number("result"), text("currency"),
		}}
		for _, l := range e.Lines {
			origin := l.OriginNumber
			if origin == "" {
				origin = or(l.OriginInvoice)
			}
			for _, step := range l.Steps {
				t.add(strconv.Itoa(l.Line), l.Charge, strconv.FormatInt(l.Terms, 10), day(l.OriginStart, zone), day(l.OriginEnd, zone), strconv.FormatBool(l.Late), origin,
					step.Step, step.How, step.Result.String(), e.Currency)
			}
		}
		t.add("", "", "", "", "", "", "", e.Total.Step, e.Total.How, e.Total.Result.String(), e.Currency)
		t.note = fmt.Sprintf("%s: total %s %s", c.ID, v.Total, v.Currency)
		return s.show(e, t)
	})
}
