package document

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/shopspring/decimal"

	"deltaledger/billing"
	"deltaledger/ledger"
)

func at(t testing.TB, text string) time.Time {
	t.Helper()
	v, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func money(amount string) billing.Money {
	return billing.Money{Amount: decimal.RequireFromString(amount), Currency: "EUR"}
}

// line is one of an invoice for February, by a charge in JSON.
func line(t testing.TB, n int, definition, added, amount string, events int64) billing.Line {
	t.Helper()
	c, err := billing.ParseCharge([]byte(definition))
	if err != nil {
		t.Fatal(err)
	}
	sum := decimal.RequireFromString(added)
	return billing.Line{
		Calculation: c.Calculate(billing.Inputs{Sum: sum, Count: events}),
		Line:        n, Charge: c.Name, Definition: []byte(definition), OriginStart: at(t, "2026-01-31T23:00:00Z"), OriginEnd: at(t, "2026-02-28T23:00:00Z"),
		Events: events, Pinned: events, Added: sum, Exact: decimal.RequireFromString(amount),
		Amount: money(amount), Billed: money("0"), Credited: money("0"),
	}
}

// invoice is one as finance sends it, with a late line, a credit note and a payment.
func invoice(t testing.TB) (billing.Invoice, billing.Names) {
	t.Helper()
	january, void := uuid.MustParse("019c1111-0000-7000-8000-000000000001"), uuid.MustParse("019c1111-0000-7000-8000-000000000002")
	issued := at(t, "2026-03-03T08:00:00Z")
	v := billing.Invoice{
		ID: uuid.MustParse("019c1111-0000-7000-8000-000000000003"), Number: "2026-0042", Account: "nordlicht-buecher", Status: billing.PartPaid, Zone: "Europe/Berlin",
		CycleStart: at(t, "2026-01-31T23:00:00Z"), CycleEnd: at(t, "2026-02-28T23:00:00Z"), Currency: "EUR", Events: 18_240, Pinned: 18_240,
		Rebills: &void, Watermark: 4_821_377, IssuedAt: &issued,
		Lines: []billing.Line{
			line(t, 1, `{"name":"Commission on sales","measure":"amount","types":["line.sold"],"model":"percentage","rate":"1.5","fixed_amount":"0.10"}`, "182450.75", "4560.76", 18_240),
			line(t, 2, `{"name":"API calls","measure":"quantity","types":["api.call"],"model":"graduated","tiers":[{"up_to":"100000","unit_amount":"0.0004"},{"unit_amount":"0.0002"}]}`, "1204331", "260.87", 402),
			line(t, 3, `{"name":"Returns handled","types":["line.returned"],"model":"per_event","unit_amount":"1.20"}`, "0", "368.40", 307),
			line(t, 4, `{"name":"Platform","model":"flat","amount":"99.00","currency":"EUR"}`, "0", "99.00", 0),
			line(t, 5, `{"name":"Commission on sales","measure":"amount","types":["line.sold"],"model":"percentage","rate":"1.5","fixed_amount":"0.10"}`, "-412.30", "-5.28", 9),
		},
		Payments:    []billing.Payment{{Reference: "SEPA 2026031099812", Amount: money("4000"), PaidOn: "2026-03-10"}},
		CreditNotes: []billing.CreditNote{{ID: uuid.MustParse("019c1111-0000-7000-8000-000000000004"), Number: "CN-000007", Currency: "EUR", Total: money("36.00")}},
	}
	v.Lines = append(v.Lines, line(t, 6, `{"name":"adjustment","model":"adjustment","amount":"-25.00"}`, "0", "-25.00", 0))
	v.Lines[5].Adjusts, v.Lines[5].Why = billing.AdjustsManual, "Goodwill for the outage of 3 February"
	v.Lines[5].By, v.Lines[5].ApprovedBy = "jane.doe", "john.roe"
	v.Lines[3].Days, v.Lines[3].PeriodDays = 28, 28
	l := &v.Lines[4]
	l.Late, l.OriginInvoice, l.OriginStart, l.OriginEnd, l.Billed = true, &january, at(t, "2025-12-31T23:00:00Z"), at(t, "2026-01-31T23:00:00Z"), money("4120.02")
	total(&v)
	v.Credited, v.Paid = money("36.00"), money("4000.00")
	v.Open = billing.Money{Amount: v.Total.Amount.Sub(v.Credited.Amount).Sub(v.Paid.Amount), Currency: "EUR"}
	return v, billing.Names{january: "2026-0017", void: "2026-0041"}
}

func total(v *billing.Invoice) {
	v.Total = money("0")
	for _, l := range v.Lines {
		v.Total.Amount = v.Total.Amount.Add(l.Amount.Amount)
	}
	v.Open = v.Total
}

// preview has two drafts, of which the first has what the invoice has.
func preview(t testing.TB) billing.Preview {
	v, names := invoice(t)
	open := billing.Draft{CycleStart: v.CycleStart, CycleEnd: v.CycleEnd, Currency: "EUR", Total: v.Total, Events: v.Events, Lines: v.Lines}
	next := billing.Draft{CycleStart: v.CycleEnd, CycleEnd: at(t, "2026-03-31T22:00:00Z"), Currency: "EUR", Total: money("99.00"), Lines: v.Lines[3:4]}
	return billing.Preview{
		Account: v.Account, Drafts: []billing.Draft{open, next}, Names: names, Supposed: true,
		Cycles: []billing.PreviewCycle{{Start: open.CycleStart, End: open.CycleEnd, Zone: v.Zone}, {Start: next.CycleStart, End: next.CycleEnd, Zone: v.Zone}},
		AsOf:   ledger.Watermark{Position: 4_821_377},
	}
}

// long is an invoice of so many lines.
func long(t testing.TB, lines int) billing.Invoice {
	t.Helper()
	v, _ := invoice(t)
	v.Status, v.Payments, v.CreditNotes, v.Rebills, v.Lines = billing.Issued, nil, nil, nil, nil
	for i := range lines {
		definition := fmt.Sprintf(`{"name":"Partner item%03d","measure":"amount","model":"percentage","rate":"2.5","types":["partner.%03d.sold"]}`, i+1, i+1)
		v.Lines = append(v.Lines, line(t, i+1, definition, fmt.Sprintf("%d.40", 1000+i), fmt.Sprintf("%d.%02d", 25+i/40, i%100), int64(i)))
	}
	total(&v)
	return v
}

func options(t testing.TB) Options {
	return Options{
		At: at(t, "2026-03-12T09:30:00Z"),
		Letterhead: Letterhead{
			From:  []string{"Marktplatz Nord GmbH", "Speicherstadt 12, 20457 Hamburg, Germany", "billing@marktplatz-nord.example"},
			To:    []string{"Nordlicht Bücher e. K.", "Attn. Accounts Payable", "Kastanienallee 7", "10435 Berlin, Germany"},
			Notes: []string{"Payable within 14 days of the date of issue to IBAN DE00 0000 0000 0000 0000 00, quoting the invoice number."},
		},
	}
}
