package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"deltaledger/billing"
)

type invoicesEventsCmd struct {
	ID     string `arg:"" name:"id" help:"ID or number of the invoice."`
	Line   int    `placeholder:"N" help:"Only the events that are on this line of it."`
	After  int64  `placeholder:"POSITION" help:"Go on after the event at this position."`
	Limit  int    `placeholder:"N" help:"Events at most; without it all of them."`
	NDJSON bool   `name:"ndjson" help:"One JSON object on each line, instead of one JSON array."`
}

// Help is shown below the command's flags.
func (invoicesEventsCmd) Help() string {
	return `Exactly the events that the invoice pins, by position, each with the lines that it is on. They are written while they are read, however many there are. Private content is not shown. The way back, from an event to its lines, is events trace.

  deltaledger invoices events INV-000001
  deltaledger invoices events INV-000001 --line 2 --output csv
  deltaledger invoices events INV-000001 --limit 10000 --after 482193 --ndjson`
}

// Run lists the events of one invoice, of any number.
func (c *invoicesEventsCmd) Run(ctx context.Context, s *session) error {
	if c.Line < 0 || c.After < 0 || c.Limit < 0 {
		return usagef("--line, --after and --limit must not be below zero")
	}
	if c.NDJSON && s.Output == outputCSV {
		return usagef("--ndjson and --output csv exclude each other")
	}
	return withApp(ctx, s, func(a *app) error {
		v, err := a.billing.Show(ctx, c.ID)
		if err != nil {
			return err
		}
		zone := zoneOf(v)
		out := s.newRows([]column{
			number("position"), text("occurred_at"), text("recorded_at"), text("origin_start"), text("source"), text("id"), text("stream"), number("seqn"),
			text("type"), text("kind"), number("amount"), text("currency"), number("quantity"), text("lines"),
		}, c.NDJSON)
		n := int64(0)
		q := billing.PinnedQuery{Invoice: v.ID.String(), Line: c.Line, After: c.After, Limit: c.Limit}
		err = a.billing.PinnedEvents(ctx, q, func(e billing.PinnedEvent) error {
			n++
			return out.add(e, []string{
				fmt.Sprint(e.Position), stamp(e.OccurredAt), stamp(e.RecordedAt), day(e.OriginStart, zone), e.Source, e.ID, e.Stream, or(e.Seqn),
				e.Type, string(e.Kind), or(e.Amount), e.Currency, or(e.Quantity), listOf(e.Lines),
			})
		})
		if err != nil {
			return err
		}
		return out.end(plural(n, "event"))
	})
}

// listOf are numbers of lines in one cell.
func listOf(lines []int) string {
	parts := make([]string, len(lines))
	for i, n := range lines {
		parts[i] = strconv.Itoa(n)
	}
	return strings.Join(parts, " ")
}
