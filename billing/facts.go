package billing

import "deltaledger/ledger"

// Facts are the tables of billing whose rows draw positions, for seals: an invoice with its lines and
// what it pins, and what becomes of it. What closes and late events say follows from these.
func Facts() []ledger.FactTable {
	ofInvoice := [][2]string{{"account", "account"}, {"invoice_id", "id"}}
	return []ledger.FactTable{
		{
			Kind: "invoice", Table: "billing.invoices",
			Parts: []ledger.FactPart{
				{Name: "lines", Table: "billing.invoice_lines", On: ofInvoice, OrderBy: []string{"line"}},
				{Name: "pins", Table: "billing.pins", On: ofInvoice, OrderBy: []string{"position"}, Digest: true},
				{Name: "reviews", Table: "billing.reviews", On: ofInvoice, OrderBy: []string{"why"}},
			},
		},
		{Kind: "void", Table: "billing.voids"},
		{Kind: "number-format", Table: "billing.number_formats"},
		{Kind: "invoice-approval", Table: "billing.approvals"},
		{Kind: "invoice-number", Table: "billing.invoice_numbers"},
		{Kind: "invoice-status", Table: "billing.statuses"},
		{Kind: "payment", Table: "billing.payments"},
		{
			Kind: "credit-note", Table: "billing.credit_notes",
			Parts: []ledger.FactPart{
				{Name: "lines", Table: "billing.credit_note_lines", On: [][2]string{{"account", "account"}, {"credit_note_id", "id"}}, OrderBy: []string{"line"}},
			},
		},
		{Kind: "credit-note-number", Table: "billing.credit_note_numbers"},
		{Kind: "adjustment", Table: "billing.adjustments"},
		{Kind: "adjustment-decision", Table: "billing.adjustment_decisions"},
		{Kind: "rerating", Table: "billing.reratings"},
		{Kind: "default-rerating", Table: "billing.default_reratings"},
		{Kind: "parking", Table: "billing.parkings"},
		{Kind: "release", Table: "billing.releases"},
	}
}
