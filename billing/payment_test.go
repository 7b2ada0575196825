package billing

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"deltaledger/ledger"
)

// invoiced is a fixture with an issued invoice of acme over 100.00 USD in two lines: 80.00 and 20.00.
func invoiced(t *testing.T) *fixture {
	t.Helper()
	f := newFixture(t, "2026-02-03T00:00:00Z")
	f.terms(`{"charges":[{"name":"goods","measure":"amount","types":["order.placed"],"model":"sum"},{"name":"fee","measure":"amount","types":["order.placed"],"model":"percentage","rate":"25"}]}`)
	f.record(f.event("acme", "2026-01-10T00:00:00Z", "80"))
	f.close("2026-01-31")
	return f
}

func (f *fixture) pay(reference, amount string) (PaymentResult, error) {
	return f.b.Pay(f.Context(), PaymentRequest{Invoice: "INV-000001", Reference: reference, Amount: amount, By: "tester"})
}

// paid is pay that must succeed.
func (f *fixture) paid(reference, amount string) PaymentResult {
	f.Helper()
	r, err := f.pay(reference, amount)
	if err != nil {
		f.Fatal(err)
	}
	return r
}

// stands checks what an invoice shows.
func (f *fixture) stands(invoice string, status Status, credited, paid, open string) {
	f.Helper()
	v, err := f.b.Show(f.Context(), invoice)
	if err != nil {
		f.Fatal(err)
	}
	if v.Status != status || v.Credited.String() != credited || v.Paid.String() != paid || v.Open.String() != open {
		f.Errorf("%s is %s, credited %s, paid %s, open %s; want %s, %s, %s, %s", invoice, v.Status, v.Credited, v.Paid, v.Open, status, credited, paid, open)
	}
	page, err := f.b.List(f.Context(), InvoiceQuery{Status: status})
	if err != nil || len(page.Invoices) == 0 {
		f.Errorf("the list of what is %s: %+v %v", status, page, err)
	}
}

func TestPayments(t *testing.T) {
	t.Parallel()
	f := invoiced(t)
	const number = "INV-000001"
	f.stands(number, Issued, "0.00", "0.00", "100.00")
	if v, err := f.b.MarkSent(t.Context(), SentRequest{Invoice: number, Note: "by mail", By: "tester"}); err != nil || v.Status != Sent || v.SentAt == nil {
		t.Errorf("sent: %+v %v", v, err)
	}
	first := f.paid("bank-1", "30")
	if first.Open.String() != "70.00" || first.Paid.String() != "30.00" || first.Payment.PaidOn != "2026-02-03" || first.Number != number {
		t.Errorf("first payment: %+v", first)
	}
	f.stands(number, PartPaid, "0.00", "30.00", "70.00")
	if _, err := f.pay("bank-2", "70.01"); !errors.Is(err, ledger.ErrConflict) || !strings.Contains(err.Error(), "70.00 USD of it is open") {
		t.Errorf("more than is open: %v", err)
	}
	f.paid("bank-2", "70.00")
	f.stands(number, Paid, "0.00", "100.00", "0.00")

	// The same again has the same answer, also a day later and though more was paid since.
	f.at("2026-02-04T12:00:00Z")
	if again := f.paid("bank-1", "30.00"); !reflect.DeepEqual(again, first) {
		t.Errorf("the same again: %+v, first %+v", again, first)
	}
	for _, r := range []PaymentRequest{
		{Reference: "bank-1", Amount: "31"},
		{Reference: "bank-1", Amount: "-30"},
		{Reference: "bank-1", Amount: "30", PaidOn: mustDate(t, "2026-02-01")},
		{Reference: "bank-1", Amount: "30", Reverses: "bank-2"},
		{Reference: "back-0", Amount: "-70.01", Reverses: "bank-2"},
		{Reference: "back-0", Amount: "5", Reverses: "bank-2"},
		{Reference: "back-0", Amount: "-100.01"},
	} {
		r.Invoice, r.By = number, "tester"
		if _, err := f.b.Pay(t.Context(), r); !errors.Is(err, ledger.ErrConflict) {
			t.Errorf("%+v: %v", r, err)
		}
	}
	back := PaymentRequest{Invoice: number, Reference: "back-1", Amount: "-70", Reverses: "bank-2", Note: "charged back", By: "tester"}
	if r, err := f.b.Pay(t.Context(), back); err != nil || r.Open.String() != "70.00" || r.Paid.String() != "30.00" {
		t.Errorf("reversal: %+v %v", r, err)
	}
	f.stands(number, PartPaid, "0.00", "30.00", "70.00")
	back.Reference, back.Amount = "back-2", "-0.01"
	if _, err := f.b.Pay(t.Context(), back); !errors.Is(err, ledger.ErrConflict) {
		t.Errorf("a payment went back twice: %v", err)
	}
	v, all, err := f.b.Payments(t.Context(), number)
	if err != nil || len(all) != 3 || all[2].Reverses != "bank-2" || all[2].Note != "charged back" || v.Paid.String() != "30.00" {
		t.Errorf("payments: %+v %v", all, err)
	}
	// All of it went back: it can be void again.
	f.paid("back-3", "-30")
	f.stands(number, Sent, "0.00", "0.00", "100.00")
	f.void(number, WriteOff)
	f.stands(number, Void, "0.00", "0.00", "0.00")
	if again := f.paid("bank-1", "30.00"); !reflect.DeepEqual(again, first) {
		t.Errorf("the same again, of a void invoice: %+v", again)
	}
	if _, err := f.pay("bank-9", "1"); !errors.Is(err, ledger.ErrConflict) || !strings.Contains(err.Error(), "it is void") {
		t.Errorf("payment of a void invoice: %v", err)
	}
}

func TestPaymentsAreRefused(t *testing.T) {
	t.Parallel()
	f := invoiced(t)
	for _, c := range []struct {
		r    PaymentRequest
		want error
	}{
		{PaymentRequest{Invoice: "INV-000009", Reference: "r", Amount: "1", By: "t"}, ledger.ErrNotFound},
		{PaymentRequest{Invoice: "INV-000001", Reference: "", Amount: "1", By: "t"}, ledger.ErrInvalid},
		{PaymentRequest{Invoice: "INV-000001", Reference: "r", Amount: "1.001", By: "t"}, ledger.ErrInvalid},
		{PaymentRequest{Invoice: "INV-000001", Reference: "r", Amount: "0", By: "t"}, ledger.ErrInvalid},
		{PaymentRequest{Invoice: "INV-000001", Reference: "r", Amount: "1", By: ""}, ledger.ErrInvalid},
		{PaymentRequest{Invoice: "INV-000001", Reference: "r\x00", Amount: "1", By: "t"}, ledger.ErrInvalid},
		{PaymentRequest{Invoice: "INV-000001", Reference: "r", Amount: "1", By: "t", Reverses: "r"}, ledger.ErrInvalid},
		{PaymentRequest{Invoice: "INV-000001", Reference: "r", Amount: "1", By: "t", PaidOn: Date{2026, 2, 30}}, ledger.ErrInvalid},
		{PaymentRequest{Invoice: "INV-000001", Reference: "r", Amount: "-1", By: "t", Reverses: "nothing"}, ledger.ErrNotFound},
		{PaymentRequest{Invoice: "INV-000001", Reference: "r", Amount: "-1", By: "t"}, ledger.ErrConflict},
	} {
		if _, err := f.b.Pay(t.Context(), c.r); !errors.Is(err, c.want) {
			t.Errorf("%+v: %v, want %v", c.r, err, c.want)
		}
	}
	f.paid("bank-1", "0.01")
	_, err := f.b.Void(t.Context(), VoidRequest{Invoice: "INV-000001", Outcome: Rebill, Why: "x", By: "t"})
	if !errors.Is(err, ledger.ErrConflict) || !strings.Contains(err.Error(), "credit note") {
		t.Errorf("void of what is paid in part: %v", err)
	}
}

// A value date may be as far in the future as the clock skew, and no further; where a day begins the reporting zone says.
func TestPaymentsInTheFuture(t *testing.T) {
	t.Parallel()
	f := invoiced(t)
	pay := func(b *Billing, reference, on string) error {
		r := PaymentRequest{Invoice: "INV-000001", Reference: reference, Amount: "1", PaidOn: mustDate(t, on), By: "tester"}
		_, err := b.Pay(t.Context(), r)
		return err
	}
	f.at("2026-02-03T23:59:00Z")
	for on, said := range map[string]string{
		"2026-02-04": "",
		"2026-02-05": `date: "2026-02-05": must not be after 2026-02-04`,
		"2206-02-04": `date: "2206-02-04": must not be after 2026-02-04`,
	} {
		err := pay(f.b, "bank "+on, on)
		if said == "" && err != nil || said != "" && (!errors.Is(err, ledger.ErrInvalid) || !strings.Contains(err.Error(), said)) {
			t.Errorf("on %s: %v; want %q", on, err, said)
		}
	}
	strict, err := New(f.b.ledger, Options{Now: f.now, ClockSkew: 30 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	if err := pay(strict, "strict", "2026-02-04"); !errors.Is(err, ledger.ErrInvalid) || !strings.Contains(err.Error(), "30s in the future") {
		t.Errorf("with a span of 30 seconds: %v", err)
	}
	if err := pay(strict, "bank 2026-02-04", "2026-02-04"); err != nil {
		t.Errorf("what is recorded has the same answer: %v", err)
	}
}
