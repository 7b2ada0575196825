package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/alecthomas/kong"

	"deltaledger/ledger"
)

type eraseCmd struct {
	Account string    `placeholder:"ACCOUNT" help:"Erase everything of this account."`
	Event   eventName `placeholder:"SOURCE ID" help:"Erase this event, and conflicts under its id."`
	Before  string    `placeholder:"DATE" help:"Erase what has a business date before this one."`
	Source  string    `placeholder:"NAME" help:"With --before: only of this source."`
	Why     string    `required:"" placeholder:"TEXT" help:"The reason, which is kept for ever: no personal data."`
	By      string    `placeholder:"NAME" help:"Who decides; without it the user of the system."`
	DryRun  bool      `help:"Only count what would be erased."`
}

// eventName is a flag with two values: --event SOURCE ID.
type eventName struct{ source, id string }

// Decode takes both values off the command line.
func (v *eventName) Decode(ctx *kong.DecodeContext) error {
	for _, part := range []*string{&v.source, &v.id} {
		token, err := ctx.Scan.PopValue("SOURCE ID")
		if err != nil {
			return errors.New("needs two values, the source and the id of the event")
		}
		*part = token.String()
	}
	return nil
}

// Help is shown below the command's flags.
func (eraseCmd) Help() string {
	return `Erases private content for ever: payloads, and dimensions that are private. Everything else of the events stays, and with it all sums and invoices. Who did it, when and why is recorded, and shown instead of the content. What is erased can't be had again, by nobody. If it is stopped, the same command goes on.

  deltaledger erase --account acme --why "request 4711" --dry-run
  deltaledger erase --event orders order-1234-7 --why "request 4711"
  deltaledger erase --before 2019-01-01 --source orders --why "kept for seven years"`
}

// Run erases.
func (c *eraseCmd) Run(ctx context.Context, s *session) error {
	if c.Event != (eventName{}) && c.Source != "" {
		return usagef("--source belongs to --before: --event names its source itself")
	}
	return withApp(ctx, s, func(a *app) error {
		bar := s.countBar("erased")
		defer bar.done()
		q := ledger.EraseRequest{
			Account: c.Account, Source: c.Source, Event: c.Event.id, Before: c.Before, Why: c.Why, By: s.user(c.By), DryRun: c.DryRun,
			Progress: func(done, total int64) { bar.set(int(done), int(total)) },
		}
		if c.Event != (eventName{}) {
			q.Source = c.Event.source
		}
		e, err := a.ledger.Erase(ctx, q)
		if err != nil {
			return err
		}
		bar.done()
		t := erasureTable(e)
		t.note = fmt.Sprintf("erased the private content of %s, %s and %s", plural(e.Events, "event"), plural(e.Conflicts, "conflict"), plural(e.Letters, "dead letter"))
		if e.DryRun {
			t.note = fmt.Sprintf("nothing was erased; it would be the private content of %s, %s and %s", plural(e.Events, "event"), plural(e.Conflicts, "conflict"), plural(e.Letters, "dead letter"))
		}
		if e.Events+e.Conflicts+e.Letters == 0 {
			t.note += "\nnothing private was there; accounts, sources and ids are compared exactly as events spell them"
		}
		return s.show(e, t)
	})
}

func erasureTable(list ...ledger.Erasure) table {
	t := table{columns: []column{
		number("n"), text("scope"), text("account"), text("source"), text("event"), text("before"), number("dead_letter"), number("events"), number("conflicts"), number("dead_letters"),
		text("why"), text("by"), text("begun_at"), text("ended_at"),
	}}
	for _, e := range list {
		ended, letter := "", ""
		if e.Letter != 0 {
			letter = fmt.Sprint(e.Letter)
		}
		if e.EndedAt != nil {
			ended = stamp(*e.EndedAt)
		}
		t.add(fmt.Sprint(e.N), e.Scope, e.Account, e.Source, e.Event, e.Before, letter, fmt.Sprint(e.Events), fmt.Sprint(e.Conflicts), fmt.Sprint(e.Letters),
			e.Why, e.By, stamp(e.BegunAt), ended)
	}
	return t
}

type erasuresCmd struct {
	Limit int   `placeholder:"N" help:"Erasures on a page, at most 1000 (100)."`
	After int64 `placeholder:"N" help:"Go on after the erasure of this number."`
}

// Run lists one page.
func (c *erasuresCmd) Run(ctx context.Context, s *session) error {
	return withApp(ctx, s, func(a *app) error {
		list, err := a.ledger.Erasures(ctx, c.Limit, c.After)
		if err != nil {
			return err
		}
		return s.show(orNone(list), erasureTable(list...))
	})
}
