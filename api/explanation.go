package api

import (
	"context"

	"deltaledger/billing"
)

type explainInvoiceOut struct{ Body billing.Explanation }

func (s *server) explainInvoice(ctx context.Context, in *invoiceIn) (*explainInvoiceOut, error) {
	v, err := s.show(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	e, err := s.billing.Explain(ctx, v.ID.String())
	if err != nil {
		return nil, err
	}
	return &explainInvoiceOut{e}, nil
}

func explainInvoiceDoc() doc {
	return doc{
		id: "explain-invoice", tag: tagBill, summary: "Explain an invoice",
		text:  "The arithmetic of each line, step by step, computed again from what the line keeps: quantity, what is free, tiers, discounts, bounds, rounding, what was billed before. Numbers are exact; rounding is a step of its own.",
		fails: []kind{notFound},
	}
}
