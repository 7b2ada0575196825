package main

import (
	"context"
	"fmt"

	"deltaledger/ledger"
)

type eventsCmd struct {
	List  eventsListCmd  `cmd:"" help:"List events, newest first."`
	Show  eventsShowCmd  `cmd:"" help:"Show one event whole, with its payload."`
	Trace eventsTraceCmd `cmd:"" help:"Show on which lines of which invoices an event is, or why on none."`
}

type eventsListCmd struct {
	eventFilter
	readAt
	OldestFirst bool   `help:"Oldest first instead of newest first."`
	Limit       int    `placeholder:"N" help:"Events on a page, at most 1000 (100)."`
	Cursor      string `placeholder:"CURSOR" help:"Go on where the page ended that gave this cursor; it carries the filters of the first page."`
}

// Help is shown below the command's flags.
func (eventsListCmd) Help() string {
	return `Keys are the columns of an event, its dimensions, and booked_month, billed, invoice, year, quarter, month, week, day and hour.

  deltaledger events list --where account=acme --where type=order.returned --from 2026-01-01 --to 2026-02-01
  deltaledger events list --where country=US --where country=CA --as-of 2026-02-01T00:00:00Z --output json`
}

// Run lists one page.
func (c *eventsListCmd) Run(ctx context.Context, s *session) error {
	where, err := c.where()
	if err != nil {
		return err
	}
	return withApp(ctx, s, func(a *app) error {
		page, err := a.ledger.List(ctx, ledger.ListQuery{
			Where: where, From: c.From, To: c.To, AsOf: c.AsOf, Limit: c.Limit, Cursor: c.Cursor, OldestFirst: c.OldestFirst,
		})
		if err != nil {
			return err
		}
		if page.Events == nil {
			page.Events = []ledger.Row{}
		}
		warnOfDetached(s, page.NotCovered)
		t := rowTable(page.Events)
		t.note = fmt.Sprintf("%s, %s", plural(len(page.Events), "event"), asOfNote(page.AsOf))
		if page.NextCursor != "" {
			t.note += "\nnext page: --cursor " + page.NextCursor
			if s.Output == outputCSV {
				s.say("next page: --cursor %s", page.NextCursor)
			}
		}
		return s.show(page, t)
	})
}

// rowTable is the table of events.
func rowTable(rows []ledger.Row) table {
	t := table{columns: []column{
		number("position"), text("occurred_at"), text("recorded_at"), text("source"), text("id"), text("stream"), number("seqn"),
		text("type"), text("account"), number("amount"), text("currency"), number("quantity"), text("kind"), text("dimensions"), text("erased"),
	}}
	measures := measuresOf(rows)
	for _, name := range measures {
		t.columns = append(t.columns, number(name))
	}
	for _, r := range rows {
		t.add(append([]string{
			fmt.Sprint(r.Position), stamp(r.OccurredAt), stamp(r.RecordedAt), r.Source, r.ID, r.Stream, or(r.Seqn),
			r.Type, r.Account, r.Amount.String(), r.Currency, r.Quantity.String(), string(r.Kind), string(r.Dimensions), erasedShort(r.Erased),
		}, cellsOf(r, measures)...)...)
	}
	return t
}

// erasedShort says when private content was erased, and why.
func erasedShort(e *ledger.Erased) string {
	if e == nil {
		return ""
	}
	return stamp(e.At) + " " + e.Why
}

func erasedLong(e *ledger.Erased) string {
	if e == nil {
		return ""
	}
	return erasedNote(e) + ", by " + e.By
}

// measuresOf are the declared measures that any of the rows has, by name.
func measuresOf(rows []ledger.Row) []string {
	all := map[string]bool{}
	for _, r := range rows {
		for name := range r.Measures {
			all[name] = true
		}
	}
	return sortedKeys(all)
}

// cellsOf are the values of a row for these measures.
func cellsOf(r ledger.Row, measures []string) []string {
	cells := make([]string, len(measures))
	for i, name := range measures {
		cells[i] = r.Measures[name].String()
	}
	return cells
}

type eventsShowCmd struct {
	Source string `arg:"" help:"Source of the event."`
	ID     string `arg:"" name:"id" help:"ID of the event in its source."`
}

// Run shows one event.
func (c *eventsShowCmd) Run(ctx context.Context, s *session) error {
	return withApp(ctx, s, func(a *app) error {
		r, err := a.ledger.Get(ctx, c.Source, c.ID, true)
		if err != nil {
			return err
		}
		t := table{columns: []column{text("field"), text("value")}}
		for _, f := range []struct{ name, value string }{
			{"position", fmt.Sprint(r.Position)},
			{"recorded_at", stamp(r.RecordedAt)},
			{"source", r.Source},
			{"id", r.ID},
			{"stream", r.Stream},
			{"seqn", or(r.Seqn)},
			{"type", r.Type},
			{"account", r.Account},
			{"occurred_at", stamp(r.OccurredAt)},
			{"business_date", r.BusinessDate},
			{"currency", r.Currency},
			{"amount", r.Amount.String()},
			{"quantity", r.Quantity.String()},
			{"dimensions", string(r.Dimensions)},
			{"state", string(r.State)},
			{"kind", string(r.Kind)},
			{"caused_by", or(r.CausedBy)},
			{"corrects", r.Corrects},
			{"reason", r.Reason},
			{"reference", r.Reference},
			{"maker", r.Maker},
			{"payload", string(r.Payload)},
			{"pii", string(r.PII)},
			{"erased", erasedLong(r.Erased)},
		} {
			if f.value != "" {
				t.add(f.name, f.value)
			}
		}
		for _, name := range sortedKeys(r.Measures) {
			t.add("measures."+name, r.Measures[name].String())
		}
		return s.show(r, t)
	})
}
