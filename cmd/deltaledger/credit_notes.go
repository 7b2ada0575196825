package main

import (
	"context"
	"fmt"

	"deltaledger/billing"
)

type creditNotesCmd struct {
	List  creditNotesListCmd  `cmd:"" help:"List credit notes, newest first."`
	Show  creditNotesShowCmd  `cmd:"" help:"Show a credit note with its lines."`
	Print creditNotesPrintCmd `cmd:"" help:"Print a credit note: a page for people, or its lines as CSV."`

	Cancel creditNotesCancelCmd `cmd:"" help:"Take back a credit note that was wrong, by another one."`
}

type creditNotesListCmd struct {
	Account string `placeholder:"ACCOUNT" help:"Only this account's."`
	Invoice string `placeholder:"ID" help:"Only those that correct this invoice, by its ID or number."`
	Limit   int    `placeholder:"N" help:"Credit notes on a page, at most 1000 (100)."`
	Before  int64  `placeholder:"POSITION" help:"Go on after the credit note at this position."`
}

// Run lists one page.
func (c *creditNotesListCmd) Run(ctx context.Context, s *session) error {
	return withApp(ctx, s, func(a *app) error {
		all, err := a.billing.CreditNotes(ctx, billing.CreditNoteQuery{Account: c.Account, Invoice: c.Invoice, Limit: c.Limit, Before: c.Before})
		if err != nil {
			return err
		}
		t := table{columns: []column{
			text("number"), text("id"), text("account"), text("invoice"), text("cancels").optional(), number("total"), text("currency"), text("reason"), text("reference").optional(), text("by"),
			text("issued_at"), number("position"),
		}}
		for _, n := range all {
			issued := ""
			if n.IssuedAt != nil {
				issued = stamp(*n.IssuedAt)
			}
			t.add(n.Number, n.ID.String(), n.Account, n.Corrects, or(n.Cancels), n.Total.String(), n.Currency, n.Reason, n.Reference, n.By, issued, fmt.Sprint(n.Position))
		}
		t.note = plural(len(all), "credit note")
		return s.show(orNone(all), t)
	})
}

type creditNotesShowCmd struct {
	ID string `arg:"" name:"id" help:"ID or number of the credit note."`
}

// Run shows one credit note.
func (c *creditNotesShowCmd) Run(ctx context.Context, s *session) error {
	return withApp(ctx, s, func(a *app) error {
		n, err := a.billing.CreditNote(ctx, c.ID)
		if err != nil {
			return err
		}
		return s.show(n, noteLines(n))
	})
}

func noteLines(n billing.CreditNote) table {
	t := table{columns: []column{text("credit_note"), text("invoice"), number("line"), text("charge"), number("amount"), text("currency")}}
	for _, l := range n.Lines {
		t.add(noteName(n), n.Corrects, fmt.Sprint(l.Line), l.Charge, l.Amount.String(), n.Currency)
	}
	t.note = notePurpose(n) + fmt.Sprintf(": %s %s, %s (%s)", n.Total, n.Currency, printable(n.Reason), printable(n.By))
	return t
}

// notePurpose says what a credit note is for.
func notePurpose(n billing.CreditNote) string {
	text := fmt.Sprintf("%s for %s corrects %s", noteName(n), printable(n.Account), n.Corrects)
	if n.Cancels != nil {
		text += fmt.Sprintf(", cancels %s", n.Cancels)
	}
	if n.CancelledBy != nil {
		text += fmt.Sprintf(", is cancelled by %s", n.CancelledBy)
	}
	return text
}

type creditNotesCancelCmd struct {
	ID        string `arg:"" name:"id" help:"ID or number of the credit note."`
	Reason    string `required:"" placeholder:"TEXT" help:"Stands on the document."`
	Reference string `placeholder:"REF" help:"Your own reference."`
	By        string `placeholder:"NAME" help:"Who makes it; without it the user of the system."`
}

// Help is shown below the command's flags.
func (creditNotesCancelCmd) Help() string {
	return `Makes a further credit note that names the wrong one and has all of its lines with the other sign. Both stay, and the invoice is due again as if neither were there.

  deltaledger credit-notes cancel CN-000001 --reason "for another customer"`
}

// Run makes the credit note that cancels one.
func (c *creditNotesCancelCmd) Run(ctx context.Context, s *session) error {
	return withApp(ctx, s, func(a *app) error {
		n, err := a.billing.CancelCreditNote(ctx, billing.CancelCreditNoteRequest{CreditNote: c.ID, Reason: c.Reason, Reference: c.Reference, By: s.user(c.By)})
		if err != nil {
			return err
		}
		return s.show(n, noteLines(n))
	})
}

// noteName is the number of a credit note, or its id while it has none.
func noteName(n billing.CreditNote) string {
	if n.Number == "" {
		return n.ID.String()
	}
	return n.Number
}
