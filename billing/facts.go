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
			},
		},
		{Kind: "void", Table: "billing.voids"},
		{Kind: "invoice-number", Table: "billing.invoice_numbers"},
		{Kind: "invoice-status", Table: "billing.statuses"},
	}
}
