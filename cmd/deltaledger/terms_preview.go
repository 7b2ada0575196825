package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"deltaledger/billing"
	pages "deltaledger/export/document"
)

type termsPreviewCmd struct {
	Account string `arg:"" optional:"" help:"The account; only with --closed it may be left out, for all accounts."`
	Count   int    `default:"12" help:"How many cycles to show after those that have begun, up to 1000."`
	AsOf    string `placeholder:"W|TIME" help:"Draft as of a watermark or an RFC 3339 time; without it, everything recorded until now counts."`
	File    string `placeholder:"FILE" help:"Look at terms that aren't recorded, as if they were: a file with JSON; - is standard input."`
	After   string `placeholder:"ACCOUNT" help:"With --closed and without an account: only accounts whose names come after it."`
	Closed  bool   `help:"Show instead what the terms would change for closed cycles if terms set --adjust-closed recorded them; without --file, what those change that are recorded and not billed yet."`
	Print   string `placeholder:"FILE" help:"Write the drafts to this file too, as a page to print: each marked as a draft, without a number."`
	paged
}

// Help is shown below the command's flags.
func (termsPreviewCmd) Help() string {
	return `The cycles that aren't closed and those that come, and below them what the invoices of the cycles that have begun would be now, and how many orders are on none of them because they aren't final. Nothing of it is stored: the close computes it anew from what is recorded by then. As CSV it is the cycles alone. With --print the drafts are a page for people too, to be looked at before anything is billed.

  deltaledger terms preview acme --count 3
  deltaledger terms preview acme --count 0 --output json
  deltaledger terms preview acme --file new-terms.json
  deltaledger terms preview acme --file new-terms.json --print draft.html --letterhead letterhead.json
  deltaledger terms preview acme --file new-terms.json --closed

With --closed and without an account it is what new default terms would change for closed cycles of all accounts: an account on each line as soon as it is known, those that are left out with the reason, and the sums of all at the end. --after goes on behind an account.

  deltaledger terms preview --file default-terms.json --closed`
}

// Run shows the preview.
func (c *termsPreviewCmd) Run(ctx context.Context, s *session) error {
	if c.Account == "" && !c.Closed {
		return usagef("name an account: only with --closed all of them can be looked at")
	}
	if c.After != "" && c.Account != "" {
		return usagef("--after goes through all accounts: leave out %s", c.Account)
	}
	if c.Closed && c.Print != "" {
		return usagef("--print shows drafts, and --closed has none: leave one of them out")
	}
	if c.Letterhead != "" && c.Print == "" {
		return usagef("--letterhead is for the page that --print writes, so give both or neither")
	}
	options, err := c.options(s)
	if err != nil {
		return err
	}
	r := billing.PreviewRequest{Account: c.Account, Count: c.Count, AsOf: c.AsOf}
	if c.File != "" {
		if r.Terms, err = readFile(s, c.File, billing.MaxTermsBytes); err != nil {
			return err
		}
	}
	return withApp(ctx, s, func(a *app) error {
		if c.Closed && c.Account == "" {
			return c.closedOfAll(ctx, s, a, r)
		}
		if c.Closed {
			return c.closed(ctx, s, a, r)
		}
		p, err := a.billing.Preview(ctx, r)
		if wrong, ok := errors.AsType[*billing.TermsError](err); ok {
			return termsProblems(c.File, wrong)
		}
		if err != nil {
			return err
		}
		t := table{columns: []column{text("start"), text("end"), text("zone"), number("terms"), number("base"), text("closable_from")}}
		for _, cy := range p.Cycles {
			zone := zoneNamed(cy.Zone)
			t.add(day(cy.Start, zone), day(cy.End, zone), cy.Zone, fmt.Sprint(cy.Terms), fmt.Sprint(cy.Base), stamp(cy.ClosableFrom))
		}
		t.note = draftsNote(p)
		if c.Print != "" {
			page, err := pages.Preview(p, options)
			if err != nil {
				return err
			}
			if err := writeDocument(s, c.Print, page.HTML); err != nil {
				return err
			}
		}
		return s.show(p, t)
	})
}

// closed shows what changes for closed cycles.
func (c *termsPreviewCmd) closed(ctx context.Context, s *session, a *app, r billing.PreviewRequest) error {
	p, err := a.billing.PreviewClosed(ctx, r)
	if wrong, ok := errors.AsType[*billing.TermsError](err); ok {
		return termsProblems(c.File, wrong)
	}
	if err != nil {
		return err
	}
	t := table{columns: []column{
		text("start"), text("end"), text("currency"), text("stream"), text("charge"), text("terms_before"), number("terms"), number("events"), text("reads"),
		number("billed"), number("rerated"), number("difference"),
	}}
	for _, l := range p.Cycles {
		before := make([]string, len(l.TermsBefore))
		for i, v := range l.TermsBefore {
			before[i] = fmt.Sprint(v)
		}
		t.add(stamp(l.Start), stamp(l.End), l.Currency, l.Stream, l.Charge, strings.Join(before, " "), fmt.Sprint(l.Terms), fmt.Sprint(l.Events), l.Reads,
			l.Billed.String(), l.Rerated.String(), l.Difference.String())
	}
	t.note = "nothing changes"
	if len(p.Sums) > 0 {
		t.note = "the next close brings " + sumsText(p.Sums) + ", " + asOfNote(p.AsOf)
	}
	return s.show(p, t)
}

// zoneNamed is a zone of terms; UTC if this machine's zone data doesn't know it.
func zoneNamed(name string) *time.Location {
	zone, err := time.LoadLocation(name)
	if err != nil {
		return time.UTC
	}
	return zone
}

// draftsNote shows the drafts by dates of the zone of their cycle.
func draftsNote(p billing.Preview) string {
	zones := map[time.Time]*time.Location{}
	for _, cy := range p.Cycles {
		zones[cy.Start] = zoneNamed(cy.Zone)
	}
	lines := []string{fmt.Sprintf("%s, %s", plural(int64(len(p.Drafts)), "draft"), asOfNote(p.AsOf))}
	for _, d := range p.Drafts {
		zone := zones[d.CycleStart]
		if zone == nil {
			zone = time.UTC
		}
		head := fmt.Sprintf("%s to %s: %s %s%s", day(d.CycleStart, zone), day(d.CycleEnd, zone), d.Total, d.Currency, ofEvents(d.Events))
		if d.Stream != "" {
			head += " of " + printable(d.Stream)
		}
		lines = append(lines, head)
		for _, l := range d.Lines {
			lines = append(lines, "  "+draftLine(l, p.Names, zone))
		}
	}
	for _, o := range p.Waiting {
		lines = append(lines, fmt.Sprintf("%s waiting to be final: %s %s of %s, the first of %s",
			plural(o.Orders, "order"), o.Amount, o.Currency, plural(o.Events, "event"), stamp(o.Oldest)))
	}
	return strings.Join(lines, "\n")
}

// draftLine says what a line of a draft bills, of which cycle, and of an adjustment whose it is and why.
func draftLine(l billing.Line, names billing.Names, zone *time.Location) string {
	out := fmt.Sprintf("%s: %s%s", printable(l.Charge), l.Amount, ofEvents(l.Events))
	if l.Late {
		out += fmt.Sprintf(", for %s to %s", day(l.OriginStart, zone), day(l.OriginEnd, zone))
		if first := names.Of(l.OriginInvoice); first != "" {
			out += ", billed first on " + printable(first)
		}
	}
	if l.Adjusts == billing.AdjustsTerms {
		out += ", by terms recorded since"
	}
	if l.By != "" {
		out += fmt.Sprintf(", %s, by %s", printable(l.Why), printable(l.By))
	}
	if l.ApprovedBy != "" {
		out += ", approved by " + printable(l.ApprovedBy)
	}
	return out
}

// ofEvents says of how many events an amount is; nothing for none.
func ofEvents(n int64) string {
	if n == 0 {
		return ""
	}
	return " of " + plural(n, "event")
}
