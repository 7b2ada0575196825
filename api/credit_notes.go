package api

import (
	"cmp"
	"context"

	"deltaledger/billing"
)

type creditIn struct {
	ID   string `path:"id" example:"INV-000001" doc:"The id of the invoice, or its number"`
	Key  string `header:"Idempotency-Key" maxLength:"1024" doc:"Is the reference of a body without one"`
	Body struct {
		Lines []struct {
			Line   int    `json:"line" minimum:"1" doc:"Of the invoice"`
			Amount string `json:"amount" required:"false" minLength:"1" example:"2.50" doc:"That is taken back, with the sign of what the line bills; without it all that is left"`
		} `json:"lines" required:"false" minItems:"1" maxItems:"1000" doc:"Without them: all that is left of every line"`
		Reason    string `json:"reason" minLength:"1" maxLength:"1024" example:"damaged on arrival" doc:"Stands on the document"`
		Reference string `json:"reference" required:"false" maxLength:"1024" example:"case-77" doc:"Your own. With it, the same again is made once and has the same answer"`
		By        string `json:"by" minLength:"1" maxLength:"1024" example:"jane.doe" doc:"Who makes it"`
	}
}

type creditNoteOut struct{ Body billing.CreditNote }

func (s *server) credit(ctx context.Context, in *creditIn) (*creditNoteOut, error) {
	if _, err := s.show(ctx, in.ID); err != nil {
		return nil, err
	}
	b := in.Body
	r := billing.CreditNoteRequest{Invoice: in.ID, Reason: b.Reason, Reference: cmp.Or(b.Reference, in.Key), By: b.By}
	for _, l := range b.Lines {
		r.Lines = append(r.Lines, billing.CreditLine{Line: l.Line, Amount: l.Amount})
	}
	n, err := s.billing.Credit(ctx, r)
	if err != nil {
		return nil, err
	}
	return &creditNoteOut{n}, nil
}

func creditDoc() doc {
	return doc{
		id: "credit-invoice", tag: tagBill, summary: "Make a credit note for an invoice",
		text: "A document of its own, with a number of its own series, that takes back what lines of the invoice bill, never more than is left of each. The invoice stays as it is, and so do its events and pins: late events of the cycle are rated as if there were no credit note. " +
			"An invoice that is void or not issued is a conflict.",
		fails:   []kind{notFound, conflicting, tooLarge, unsupported},
		example: example(`{"lines":[{"line":1,"amount":"2.50"}],"reason":"damaged on arrival","reference":"case-77","by":"jane.doe"}`),
	}
}

type listCreditNotesIn struct {
	Account string `query:"account" maxLength:"256" example:"acme" doc:"Only credit notes of this account"`
	Invoice string `query:"invoice" example:"INV-000001" doc:"Only those that correct this invoice: its id or number"`
	Limit   int    `query:"limit" minimum:"1" maximum:"1000" doc:"Credit notes in the answer; 100 without it"`
	Before  int64  `query:"before" minimum:"1" doc:"Position of the last one that you have: the next page follows it"`
}

type listCreditNotesOut struct {
	Body struct {
		CreditNotes []billing.CreditNote `json:"credit_notes" doc:"Newest first"`
	}
}

func (s *server) listCreditNotes(ctx context.Context, in *listCreditNotesIn) (*listCreditNotesOut, error) {
	all, err := s.billing.CreditNotes(ctx, billing.CreditNoteQuery{Account: in.Account, Invoice: in.Invoice, Limit: in.Limit, Before: in.Before})
	if err != nil {
		return nil, err
	}
	out := &listCreditNotesOut{}
	if out.Body.CreditNotes = all; all == nil {
		out.Body.CreditNotes = []billing.CreditNote{}
	}
	return out, nil
}

func listCreditNotesDoc() doc {
	return doc{id: "list-credit-notes", tag: tagBill, work: views, summary: "List credit notes", text: "Newest first, with their lines.", fails: []kind{notFound}}
}

type getCreditNoteIn struct {
	ID string `path:"id" example:"CN-000001" doc:"The id of the credit note, or its number"`
}

func (s *server) getCreditNote(ctx context.Context, in *getCreditNoteIn) (*creditNoteOut, error) {
	n, err := s.billing.CreditNote(ctx, in.ID)
	for _, field := range fieldErrors(err) {
		if field.Field == "credit_note" { // a name that can't be one isn't in the ledger either
			return nil, notFound.problem("%s", field.Error())
		}
	}
	if err != nil {
		return nil, err
	}
	return &creditNoteOut{n}, nil
}

func getCreditNoteDoc() doc {
	return doc{id: "get-credit-note", tag: tagBill, summary: "Get a credit note", text: "With its lines. Its total is the sum of their amounts.", fails: []kind{notFound}}
}

type cancelCreditNoteIn struct {
	ID   string `path:"id" example:"CN-000001" doc:"The id of the credit note, or its number"`
	Body struct {
		Reason    string `json:"reason" minLength:"1" maxLength:"1024" example:"for another customer" doc:"Stands on the document"`
		Reference string `json:"reference" required:"false" maxLength:"1024" example:"case-78" doc:"Your own"`
		By        string `json:"by" minLength:"1" maxLength:"1024" example:"jane.doe" doc:"Who makes it"`
	}
}

func (s *server) cancelCreditNote(ctx context.Context, in *cancelCreditNoteIn) (*creditNoteOut, error) {
	if _, err := s.getCreditNote(ctx, &getCreditNoteIn{in.ID}); err != nil {
		return nil, err
	}
	n, err := s.billing.CancelCreditNote(ctx, billing.CancelCreditNoteRequest{CreditNote: in.ID, Reason: in.Body.Reason, Reference: in.Body.Reference, By: in.Body.By})
	if err != nil {
		return nil, err
	}
	return &creditNoteOut{n}, nil
}

func cancelCreditNoteDoc() doc {
	return doc{
		id: "cancel-credit-note", tag: tagBill, summary: "Cancel a credit note by another one",
		text: "A further credit note, with a number of its own, that names the one that was wrong and has all of its lines with the other sign. Both stay as they are, and the invoice is due again as if neither were there. " +
			"The same again has the same answer. One that is cancelled already, or cancels another itself, is a conflict.",
		fails:   []kind{notFound, conflicting, tooLarge, unsupported},
		example: example(`{"reason":"for another customer","by":"jane.doe"}`),
	}
}
