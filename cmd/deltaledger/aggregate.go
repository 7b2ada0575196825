package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"deltaledger/ledger"
)

type aggregateCmd struct {
	Measure []string `required:"" placeholder:"MEASURE,…" help:"Measures to sum: amount, quantity, and those that were declared."`
	By      []string `placeholder:"KEY,…" help:"Keys to group by: columns, dimensions, hour, day, week, month, quarter, year, booked_month, billed, invoice."`
	eventFilter
	Zone string `placeholder:"ZONE" help:"Time zone of date buckets and of --from and --to; without it the reporting zone."`
	readAt
	Limit int `placeholder:"N" help:"Show only the first N groups; without it more than 100,000 are an error."`
}

// Help is shown below the command's flags.
func (aggregateCmd) Help() string {
	return `Sums are exact, and different currencies are never added up. The count is of events.

  deltaledger aggregate --measure amount,quantity --by month,country
  deltaledger aggregate --measure amount --by day --where account=acme --from 2026-01-01 --to 2026-02-01 --zone America/New_York
  deltaledger aggregate --measure amount --by booked_month,billed --output csv`
}

// Run sums.
func (c *aggregateCmd) Run(ctx context.Context, s *session) error {
	where, err := c.where()
	if err != nil {
		return err
	}
	if slices.Contains(c.By, "count") {
		return usagef("--by count is the name of the number of events; a dimension of that name is dimensions.count")
	}
	limit := c.Limit
	if limit == 0 {
		limit = ledger.MaxGroups
	}
	return withApp(ctx, s, func(a *app) error {
		r, err := a.ledger.Aggregate(ctx, ledger.AggregateQuery{
			Measures: c.Measure, By: c.By, Where: where, From: c.From, To: c.To, Zone: c.Zone, AsOf: c.AsOf, Limit: limit,
		})
		if err != nil {
			return err
		}
		if r.More && c.Limit == 0 {
			return fmt.Errorf("there are more than %d groups: narrow the question with --where, --from and --to, or ask for the first ones with --limit", limit)
		}
		if r.More {
			s.warn("there are more groups: these are the first %d", limit)
		}
		warnOfDetached(s, r.NotCovered)
		for _, key := range unused(r) {
			s.say("no event here has a value of %s", strconv.Quote(key))
		}
		return s.show(groups(r), groupTable(r))
	})
}

// unused are the keys of which no group has a value. A dimension isn't declared, so a wrong name is no error.
func unused(r ledger.AggregateResult) (keys []string) {
	for k, name := range r.By {
		if len(r.Rows) > 0 && !r.More && !slices.ContainsFunc(r.Rows, func(row ledger.AggregateRow) bool { return row.Key[k] != nil }) {
			keys = append(keys, name)
		}
	}
	return keys
}

// groups are the rows of an aggregate, each an object with its keys, its measures and its count.
func groups(r ledger.AggregateResult) []ledger.FlatRow {
	list := make([]ledger.FlatRow, len(r.Rows))
	for i := range list {
		list[i] = r.Flat(i)
	}
	return list
}

func groupTable(r ledger.AggregateResult) table {
	t := table{note: asOfNote(r.AsOf)}
	for _, name := range r.By {
		t.columns = append(t.columns, text(name))
	}
	for _, name := range slices.Concat(r.Measures, []string{"count"}) {
		t.columns = append(t.columns, number(name))
	}
	for _, row := range r.Rows {
		var cells []string
		for _, key := range row.Key {
			cells = append(cells, or(key))
		}
		for _, sum := range row.Sum {
			cells = append(cells, sum.String())
		}
		t.add(append(cells, fmt.Sprint(row.Count))...)
	}
	return t
}
