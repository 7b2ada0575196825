package api

import (
	"context"

	"deltaledger/billing"
	"deltaledger/ledger"
)

type issueIn struct {
	Body struct {
		Invoices []string `json:"invoices" minItems:"1" maxItems:"1000" doc:"Ids of the invoices, in the order in which they get their numbers"`
		By       string   `json:"by" minLength:"1" maxLength:"1024" example:"jane.doe" doc:"Who looked at them"`
	}
}

type issueOut struct {
	Body struct {
		Invoices []billing.Invoice `json:"invoices" doc:"As they are now, without their lines"`
	}
}

func (s *server) issueInvoices(ctx context.Context, in *issueIn) (*issueOut, error) {
	issued, err := s.billing.Approve(ctx, billing.ApproveRequest{Invoices: in.Body.Invoices, By: in.Body.By})
	if err != nil {
		return nil, err
	}
	out := &issueOut{}
	out.Body.Invoices = issued
	return out, nil
}

func issueDoc() doc {
	return doc{
		id: "issue-invoices", tag: tagBill, summary: "Issue invoices that wait for a person",
		text:    "A close with review leaves its invoices ready, without numbers; nothing but this issues them. One that is issued already is answered as it is; a void one is a conflict. Each invoice is approved for itself: send the same again after an error.",
		fails:   []kind{notFound, conflicting, tooLarge, unsupported},
		example: example(`{"invoices":["INV-000001"],"by":"jane.doe"}`),
	}
}

type sentIn struct {
	ID   string `path:"id" example:"INV-000001" doc:"The id of the invoice, or its number"`
	Body struct {
		Note string `json:"note" required:"false" maxLength:"1024" example:"billing@acme.example" doc:"Such as the address that it went to"`
		By   string `json:"by" minLength:"1" maxLength:"1024" example:"jane.doe" doc:"Who sent it"`
	}
}

func (s *server) markSent(ctx context.Context, in *sentIn) (*getInvoiceOut, error) {
	if _, err := s.show(ctx, in.ID); err != nil {
		return nil, err
	}
	v, err := s.billing.MarkSent(ctx, billing.SentRequest{Invoice: in.ID, Note: in.Body.Note, By: in.Body.By})
	if err != nil {
		return nil, err
	}
	return &getInvoiceOut{v}, nil
}

func sentDoc() doc {
	return doc{
		id: "mark-invoice-sent", tag: tagBill, summary: "Record that an invoice was sent",
		text:    "Each time is a record of its own. An invoice that is void or not issued is a conflict. The answer is the invoice without its lines.",
		fails:   []kind{notFound, conflicting, tooLarge, unsupported},
		example: example(`{"note":"billing@acme.example","by":"jane.doe"}`),
	}
}

// PaymentsList are the payments of an invoice.
type PaymentsList struct {
	Invoice  string            `json:"invoice" doc:"Its id"`
	Currency string            `json:"currency"`
	Total    billing.Money     `json:"total" doc:"Of the invoice"`
	Credited billing.Money     `json:"credited" doc:"By credit notes"`
	Paid     billing.Money     `json:"paid" doc:"The sum of the payments"`
	Open     billing.Money     `json:"open" doc:"total - credited - paid; 0 of a void invoice"`
	Payments []billing.Payment `json:"payments" doc:"As they were recorded"`
}

type listPaymentsOut struct{ Body PaymentsList }

func (s *server) listPayments(ctx context.Context, in *invoiceIn) (*listPaymentsOut, error) {
	v, err := s.show(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	payments := v.Payments
	if payments == nil {
		payments = []billing.Payment{}
	}
	return &listPaymentsOut{PaymentsList{v.ID.String(), v.Currency, v.Total, v.Credited, v.Paid, v.Open, payments}}, nil
}

func listPaymentsDoc() doc {
	return doc{
		id: "list-payments", tag: tagBill, summary: "List the payments of an invoice",
		text: "With what is open after all of them.", fails: []kind{notFound},
	}
}

type payIn struct {
	ID   string `path:"id" example:"INV-000001" doc:"The id of the invoice, or its number"`
	Body struct {
		Reference string `json:"reference" minLength:"1" maxLength:"1024" example:"2026-03-04/17" doc:"The payment's own, such as the bank's. One payment of an invoice each"`
		Amount    string `json:"amount" example:"12.50" doc:"A plain decimal in the currency of the invoice, with no more digits than that has; negative: it goes back"`
		Date      string `json:"date" required:"false" format:"date" example:"2026-03-04" doc:"Value date, in the future by no more than the service allows (24 hours unless it was started with another --clock-skew); without it today in the reporting zone"`
		Reverses  string `json:"reverses" required:"false" maxLength:"1024" doc:"Reference of the payment that goes back"`
		Note      string `json:"note" required:"false" maxLength:"1024" doc:"Kept with the payment"`
		By        string `json:"by" minLength:"1" maxLength:"1024" example:"jane.doe" doc:"Who records it"`
	}
}

type payOut struct{ Body billing.PaymentResult }

func (s *server) pay(ctx context.Context, in *payIn) (*payOut, error) {
	if _, err := s.show(ctx, in.ID); err != nil {
		return nil, err
	}
	b := in.Body
	r := billing.PaymentRequest{Invoice: in.ID, Reference: b.Reference, Amount: b.Amount, Reverses: b.Reverses, Note: b.Note, By: b.By}
	if b.Date != "" {
		var err error
		if r.PaidOn, err = billing.ParseDate(b.Date); err != nil {
			return nil, ledger.Invalid("date", b.Date, "must be an existing date as YYYY-MM-DD")
		}
	}
	done, err := s.billing.Pay(ctx, r)
	if err != nil {
		return nil, err
	}
	return &payOut{done}, nil
}

func payDoc() doc {
	return doc{
		id: "record-payment", tag: tagBill, summary: "Record a payment of an invoice",
		text: "Recorded once by its reference: the same again has the same answer, whatever happened since; another amount, date or reversal under the reference is a conflict. " +
			"A payment may go as far as what is open, or take back as far as what was paid. Money that goes back is a payment of its own with the other sign. An invoice that is void or not issued is a conflict.",
		fails:   []kind{notFound, conflicting, tooLarge, unsupported},
		example: example(`{"reference":"2026-03-04/17","amount":"12.50","date":"2026-03-04","by":"jane.doe"}`),
	}
}
