package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"

	"deltaledger/billing"
	"deltaledger/ledger"
)

type invoicesCmd struct {
	List     invoicesListCmd     `cmd:"" help:"List invoices, newest first."`
	Show     invoicesShowCmd     `cmd:"" help:"Show an invoice with its lines."`
	Explain  invoicesExplainCmd  `cmd:"" help:"Show the arithmetic of an invoice step by step."`
	Print    invoicesPrintCmd    `cmd:"" help:"Print an invoice: a page for people, or its lines as CSV."`
	Events   invoicesEventsCmd   `cmd:"" help:"List the events that are pinned to an invoice."`
	Issue    invoicesIssueCmd    `cmd:"" help:"Issue invoices that a close with --review left for a person to look at."`
	Sent     invoicesSentCmd     `cmd:"" help:"Record that an invoice was sent to the customer."`
	Pay      invoicesPayCmd      `cmd:"" help:"Record a payment of an invoice, or money that went back."`
	Payments invoicesPaymentsCmd `cmd:"" help:"List the payments of an invoice."`
	Credit   invoicesCreditCmd   `cmd:"" help:"Make a credit note for an invoice or for lines of it."`
	Void     invoicesVoidCmd     `cmd:"" help:"Make an invoice not count, and say what becomes of its events."`
}

type invoicesListCmd struct {
	Account string `placeholder:"ACCOUNT" help:"Only this account's."`
	From    string `placeholder:"DATE|TIME" help:"Only invoices of cycles that end after it; a date begins in the reporting zone."`
	To      string `placeholder:"DATE|TIME" help:"Only invoices of cycles that begin before it."`
	Status  string `placeholder:"STATUS" help:"Only invoices that are ready, issued, sent, part-paid, paid, credited or void."`
	Limit   int    `placeholder:"N" help:"Invoices on a page, at most 1000 (100)."`
	Cursor  string `placeholder:"CURSOR" help:"Go on where the page ended that gave this cursor."`
}

// Run lists one page.
func (c *invoicesListCmd) Run(ctx context.Context, s *session) error {
	return withApp(ctx, s, func(a *app) error {
		q := billing.InvoiceQuery{Account: c.Account, Status: billing.Status(c.Status), Limit: c.Limit, Cursor: c.Cursor}
		for _, bound := range []struct {
			flag, text string
			to         *time.Time
		}{{"--from", c.From, &q.From}, {"--to", c.To, &q.To}} {
			at, err := instant(bound.flag, bound.text, a.ledger.Zone())
			if err != nil {
				return err
			}
			*bound.to = at
		}
		page, err := a.billing.List(ctx, q)
		if err != nil {
			return err
		}
		page.Invoices = orNone(page.Invoices)
		t := invoiceTable(page.Invoices...)
		t.note = plural(len(page.Invoices), "invoice")
		if page.Next != "" {
			t.note += "\nnext page: --cursor " + page.Next
			if s.Output == outputCSV {
				s.say("next page: --cursor %s", page.Next)
			}
		}
		return s.show(page, t)
	})
}

// instant reads a date, which means its beginning in zone, or an RFC 3339 time; empty is zero.
func instant(flag, value string, zone *time.Location) (time.Time, error) {
	if value == "" {
		return time.Time{}, nil
	}
	if date, err := billing.ParseDate(value); err == nil {
		return date.In(zone), nil
	}
	at, err := time.Parse(time.RFC3339Nano, value)
	if err != nil {
		return time.Time{}, usagef("%s is %q, but must be a date such as 2026-01-31, or a time such as 2026-01-31T12:00:00Z", flag, value)
	}
	return at.UTC(), nil
}

// zoneOf is where the dates of an invoice are dates. A zone that this machine's zone data doesn't know is
// shown in UTC.
func zoneOf(v billing.Invoice) *time.Location { return zoneNamed(v.Zone) }

// invoiceTable shows each cycle by dates of its own zone.
func invoiceTable(list ...billing.Invoice) table {
	t := table{columns: []column{
		text("number"), text("id"), text("account"), text("status"), text("cycle_start"), text("cycle_end"), text("zone"), text("stream").optional(),
		number("total"), number("credited"), number("paid"), number("open"), text("currency"), number("events"), text("rebills").optional(), text("rebilled_by").optional(),
		text("review").optional(),
	}}
	for _, v := range list {
		zone := zoneOf(v)
		review := v.Review
		if v.Status != billing.Ready {
			review = "" // somebody has looked
		}
		t.add(v.Number, v.ID.String(), v.Account, string(v.Status), day(v.CycleStart, zone), day(v.CycleEnd, zone), zone.String(), v.Stream,
			v.Total.String(), v.Credited.String(), v.Paid.String(), v.Open.String(), v.Currency, fmt.Sprint(v.Events), or(v.Rebills), or(v.RebilledBy), review)
	}
	return t
}

type invoicesShowCmd struct {
	ID string `arg:"" name:"id" help:"ID or number of the invoice."`
}

// Run shows one invoice.
func (c *invoicesShowCmd) Run(ctx context.Context, s *session) error {
	return withApp(ctx, s, func(a *app) error {
		v, err := a.billing.Show(ctx, c.ID)
		if err != nil {
			return err
		}
		v.Lines = orNone(v.Lines)
		zone := zoneOf(v)
		t, err := lineTable(ctx, a, v)
		if err != nil {
			return err
		}
		name := v.Number
		if name == "" {
			name = v.ID.String()
		}
		t.note = fmt.Sprintf("%s for %s, %s to %s (%s), %s: total %s %s of %s", name, printable(v.Account), day(v.CycleStart, zone), day(v.CycleEnd, zone),
			zone, v.Status, v.Total, v.Currency, plural(v.Events, "event"))
		t.note += after(v)
		if v.Outcome != "" {
			t.note += fmt.Sprintf("\nvoid, %s: %s", v.Outcome, printable(v.Why))
		}
		return s.show(v, t)
	})
}

// lineTable holds what a line can be recomputed from: amount = round(price(before + added)) - billed.
func lineTable(ctx context.Context, a *app, v billing.Invoice) (table, error) {
	t := table{columns: []column{
		number("line"), text("charge"), text("price"), text("origin_start"), text("origin_end"), text("late"), text("origin_invoice").optional(),
		number("events"), number("before"), number("added"), number("exact"), number("billed"), number("amount"), number("credited"), text("currency"),
		text("adjusts").optional(), text("why").optional(), text("by").optional(), text("approved_by").optional(),
	}}
	zone := zoneOf(v)
	numbers := map[uuid.UUID]string{}
	for _, l := range v.Lines {
		charge, err := billing.ParseCharge(l.Definition)
		if err != nil {
			return t, err
		}
		origin := ""
		if l.OriginInvoice != nil {
			if origin, err = numberOf(ctx, a, *l.OriginInvoice, numbers); err != nil {
				return t, err
			}
		}
		t.add(strconv.Itoa(l.Line), l.Charge, charge.InWords(""), day(l.OriginStart, zone), day(l.OriginEnd, zone), strconv.FormatBool(l.Late), origin,
			fmt.Sprint(l.Events), l.Before.String(), l.Added.String(), l.Exact.String(), l.Billed.String(), l.Amount.String(), l.Credited.String(), v.Currency,
			l.Adjusts, l.Why, l.By, l.ApprovedBy)
	}
	return t, nil
}

// numberOf is the number of an invoice, or its id while it has none. Each is asked for once.
func numberOf(ctx context.Context, a *app, id uuid.UUID, known map[uuid.UUID]string) (string, error) {
	if name, ok := known[id]; ok {
		return name, nil
	}
	v, err := a.billing.Show(ctx, id.String())
	if err != nil {
		return "", err
	}
	known[id] = v.Number
	if v.Number == "" {
		known[id] = id.String()
	}
	return known[id], nil
}

type invoicesVoidCmd struct {
	ID      string `arg:"" name:"id" help:"ID or number of the invoice."`
	Outcome string `required:"" placeholder:"rebill|write-off" help:"rebill writes another invoice for the same events, priced anew; write-off gives the money up."`
	Why     string `required:"" placeholder:"TEXT" help:"The reason, which is kept."`
	By      string `placeholder:"NAME" help:"Who voids it; without it the user of the system."`
}

// voided is the result of invoices void.
type voided struct {
	billing.VoidResult
	RebillNumber string `json:"rebill_number,omitempty"`
}

// Run voids one invoice, and issues the one in its place.
func (c *invoicesVoidCmd) Run(ctx context.Context, s *session) error {
	return withApp(ctx, s, func(a *app) error {
		r, err := a.billing.Void(ctx, billing.VoidRequest{Invoice: c.ID, Outcome: billing.Outcome(c.Outcome), Why: c.Why, By: s.user(c.By)})
		if err != nil {
			return err
		}
		result := voided{VoidResult: r}
		if r.Rebill != nil {
			again, err := a.billing.Show(ctx, r.Rebill.String())
			if err != nil {
				return err
			}
			result.RebillNumber = again.Number
		}
		t := table{columns: []column{text("invoice"), text("rebill"), text("rebill_number")}}
		t.add(r.Invoice.String(), or(r.Rebill), result.RebillNumber)
		return s.show(result, t)
	})
}

// invoiceName is the number of an invoice where it has one.
func invoiceName(b ledger.Billed) string {
	if b.Printed == nil {
		return b.Invoice.String()
	}
	return *b.Printed
}
