package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"deltaledger/billing"
)

// after tells in lines what happened to an invoice since it was written.
func after(v billing.Invoice) string {
	var s strings.Builder
	if v.Review != "" && v.Number == "" {
		fmt.Fprintf(&s, "\nwaits for a person: %s; deltaledger invoices issue %s", printable(v.Review), v.ID)
	}
	if v.ApprovedBy != "" {
		fmt.Fprintf(&s, "\napproved by %s", printable(v.ApprovedBy))
	}
	if v.SentAt != nil {
		fmt.Fprintf(&s, "\nsent %s", stamp(*v.SentAt))
	}
	for _, p := range v.Payments {
		fmt.Fprintf(&s, "\npayment %s of %s: %s %s%s", printable(p.Reference), p.PaidOn, p.Amount, v.Currency, reverses(p))
	}
	for _, n := range v.CreditNotes {
		fmt.Fprintf(&s, "\ncredit note %s: %s %s, %s", noteName(n), n.Total, n.Currency, printable(n.Reason))
	}
	if len(v.Payments)+len(v.CreditNotes) > 0 {
		fmt.Fprintf(&s, "\ncredited %s, paid %s, open %s %s", v.Credited, v.Paid, v.Open, v.Currency)
	}
	return s.String()
}

func reverses(p billing.Payment) string {
	if p.Reverses == "" {
		return ""
	}
	return ", takes back " + printable(p.Reverses)
}

type invoicesIssueCmd struct {
	IDs []string `arg:"" name:"id" help:"IDs of the invoices."`
	By  string   `placeholder:"NAME" help:"Who looked at them; without it the user of the system."`
}

// Run approves and issues invoices.
func (c *invoicesIssueCmd) Run(ctx context.Context, s *session) error {
	return withApp(ctx, s, func(a *app) error {
		issued, err := a.billing.Approve(ctx, billing.ApproveRequest{Invoices: c.IDs, By: s.user(c.By)})
		if err != nil {
			return err
		}
		return s.show(billing.InvoicePage{Invoices: issued}, invoiceTable(issued...))
	})
}

type invoicesSentCmd struct {
	ID   string `arg:"" name:"id" help:"ID or number of the invoice."`
	Note string `placeholder:"TEXT" help:"Such as the address that it went to."`
	By   string `placeholder:"NAME" help:"Who sent it; without it the user of the system."`
}

// Run records that one invoice was sent.
func (c *invoicesSentCmd) Run(ctx context.Context, s *session) error {
	return withApp(ctx, s, func(a *app) error {
		v, err := a.billing.MarkSent(ctx, billing.SentRequest{Invoice: c.ID, Note: c.Note, By: s.user(c.By)})
		if err != nil {
			return err
		}
		return s.show(v, invoiceTable(v))
	})
}

type invoicesPayCmd struct {
	ID        string `arg:"" name:"id" help:"ID or number of the invoice."`
	Reference string `required:"" placeholder:"REF" help:"The payment's own reference, such as the bank's: the same again is recorded once."`
	Amount    string `required:"" placeholder:"AMOUNT" help:"In the currency of the invoice; negative: it goes back, with a reference of its own."`
	Date      string `placeholder:"DATE" help:"Value date, no further in the future than --clock-skew; without it today in the reporting zone."`
	Reverses  string `placeholder:"REF" help:"The reference of the payment that goes back."`
	Note      string `placeholder:"TEXT" help:"Kept with the payment."`
	By        string `placeholder:"NAME" help:"Who records it; without it the user of the system."`
}

// Run records one payment.
func (c *invoicesPayCmd) Run(ctx context.Context, s *session) error {
	var on billing.Date
	if c.Date != "" {
		var err error
		if on, err = billing.ParseDate(c.Date); err != nil {
			return usagef("--date: %v", err)
		}
	}
	return withApp(ctx, s, func(a *app) error {
		r, err := a.billing.Pay(ctx, billing.PaymentRequest{
			Invoice: c.ID, Reference: c.Reference, Amount: c.Amount, PaidOn: on, Reverses: c.Reverses, Note: c.Note, By: s.user(c.By),
		})
		if err != nil {
			return err
		}
		t := table{columns: []column{text("invoice"), text("reference"), number("amount"), text("paid_on"), text("reverses"), number("paid"), number("open"), text("currency")}}
		t.add(r.Number, r.Payment.Reference, r.Payment.Amount.String(), r.Payment.PaidOn, r.Payment.Reverses, r.Paid.String(), r.Open.String(), r.Currency)
		return s.show(r, t)
	})
}

type invoicesPaymentsCmd struct {
	ID string `arg:"" name:"id" help:"ID or number of the invoice."`
}

// Run lists the payments of one invoice.
func (c *invoicesPaymentsCmd) Run(ctx context.Context, s *session) error {
	return withApp(ctx, s, func(a *app) error {
		v, all, err := a.billing.Payments(ctx, c.ID)
		if err != nil {
			return err
		}
		t := table{columns: []column{
			text("invoice"), text("reference"), text("paid_on"), number("amount"), text("currency"), text("reverses"), text("note"), text("by"), text("recorded_at"),
		}}
		for _, p := range all {
			t.add(v.Number, p.Reference, p.PaidOn, p.Amount.String(), v.Currency, p.Reverses, p.Note, p.By, stamp(p.RecordedAt))
		}
		t.note = fmt.Sprintf("paid %s of %s %s, open %s", v.Paid, v.Total, v.Currency, v.Open)
		return s.show(orNone(all), t)
	})
}

type invoicesCreditCmd struct {
	ID        string   `arg:"" name:"id" help:"ID or number of the invoice."`
	Line      []string `placeholder:"N[=AMOUNT]" help:"A line of the invoice, and how much of it; without an amount all that is left. Repeat it for more lines; without it, all that is left of the invoice."`
	Reason    string   `required:"" placeholder:"TEXT" help:"Stands on the document."`
	Reference string   `placeholder:"REF" help:"Your own reference: the same again is made once."`
	By        string   `placeholder:"NAME" help:"Who makes it; without it the user of the system."`
}

// Run makes one credit note.
func (c *invoicesCreditCmd) Run(ctx context.Context, s *session) error {
	r := billing.CreditNoteRequest{Invoice: c.ID, Reason: c.Reason, Reference: c.Reference, By: s.user(c.By)}
	for _, text := range c.Line {
		n, amount, given := strings.Cut(text, "=")
		line, err := strconv.Atoi(n)
		if err != nil || given && amount == "" {
			return usagef("--line is %q, but must be the number of a line, or number and amount such as 2=12.50", text)
		}
		r.Lines = append(r.Lines, billing.CreditLine{Line: line, Amount: amount})
	}
	return withApp(ctx, s, func(a *app) error {
		n, err := a.billing.Credit(ctx, r)
		if err != nil {
			return err
		}
		return s.show(n, noteLines(n))
	})
}
