package billing

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"deltaledger/ledger"
)

// atOnce starts all together and returns their errors, each of which must be none or ErrConflict.
func (f *fixture) atOnce(all ...func() error) []error {
	f.Helper()
	errs := make([]error, len(all))
	begin := make(chan struct{})
	var done sync.WaitGroup
	for i, do := range all {
		done.Go(func() {
			<-begin
			errs[i] = do()
		})
	}
	close(begin)
	done.Wait()
	for _, err := range errs {
		if err != nil && !errors.Is(err, ledger.ErrConflict) {
			f.Error(err)
		}
	}
	return errs
}

// Payments at the same time never exceed what is open together.
func TestPaymentsAtTheSameTime(t *testing.T) {
	t.Parallel()
	f := invoiced(t)
	var all []func() error
	for i := range 6 {
		all = append(all, func() error {
			_, err := f.pay(fmt.Sprintf("bank-%d", i), "40")
			return err
		})
	}
	taken := 0
	for _, err := range f.atOnce(all...) {
		if err == nil {
			taken++
		}
	}
	if taken != 2 {
		t.Errorf("%d payments of 40.00 were taken of 100.00", taken)
	}
	f.stands("INV-000001", PartPaid, "0.00", "80.00", "20.00")
}

// The same payment at the same time is recorded once, and everybody has the same answer.
func TestTheSamePaymentAtTheSameTime(t *testing.T) {
	t.Parallel()
	f := invoiced(t)
	positions := make([]int64, 5)
	var all []func() error
	for i := range positions {
		all = append(all, func() error {
			r, err := f.pay("bank-1", "100")
			positions[i] = r.Payment.Position
			return err
		})
	}
	for i, err := range f.atOnce(all...) {
		if err != nil || positions[i] != positions[0] {
			t.Errorf("position %d, first %d: %v", positions[i], positions[0], err)
		}
	}
	f.stands("INV-000001", Paid, "0.00", "100.00", "0.00")
}

// Of a void and a payment at the same time exactly one happens.
func TestVoidAgainstPayment(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "2026-02-03T00:00:00Z")
	const accounts = 8
	var events []ledger.Event
	for i := range accounts {
		events = append(events, f.event(fmt.Sprintf("a%d", i), "2026-01-10T00:00:00Z", "10"))
	}
	f.record(events...)
	f.close("2026-01-31")
	for i := range accounts {
		number := fmt.Sprintf("INV-%06d", i+1)
		errs := f.atOnce(func() error {
			_, err := f.b.Void(f.Context(), VoidRequest{Invoice: number, Outcome: Rebill, Why: "x", By: "tester"})
			return err
		}, func() error {
			_, err := f.b.Pay(f.Context(), PaymentRequest{Invoice: number, Reference: "r", Amount: "0.01", By: "tester"})
			return err
		})
		if (errs[0] == nil) == (errs[1] == nil) {
			t.Errorf("%s: void %v, payment %v", number, errs[0], errs[1])
		}
	}
	if n := f.number(`SELECT count(*) FROM billing.voids v JOIN billing.payments p ON p.account = v.account AND p.invoice_id = v.invoice_id`); n != 0 {
		t.Errorf("%d void invoices are paid", n)
	}
	f.checkLaws()
}

// A credit note and a payment at the same time have the effect of one after the other: the payment is refused
// if the note was first, and goes back if it wasn't.
func TestCreditNoteAgainstPayment(t *testing.T) {
	t.Parallel()
	f := invoiced(t)
	errs := f.atOnce(func() error {
		_, err := f.credit(CreditLine{1, "60"})
		return err
	}, func() error {
		_, err := f.pay("bank-1", "100")
		return err
	}, func() error {
		_, err := f.credit(CreditLine{1, "30"})
		return err
	})
	credited := map[[2]bool]string{{true, false}: "60.00", {false, true}: "30.00"}[[2]bool{errs[0] == nil, errs[2] == nil}]
	if credited == "" {
		t.Fatalf("notes that exceed the line together: %v, %v", errs[0], errs[2])
	}
	first := f.number(`SELECT count(*) FROM billing.payments p JOIN billing.credit_notes c ON c.position > p.position`)
	if (errs[1] == nil) != (first == 1) {
		t.Errorf("payment: %v; it was first: %d", errs[1], first)
	}
	v, err := f.b.Show(t.Context(), "INV-000001")
	if err != nil || v.Credited.String() != credited || !v.Open.Amount.Equal(v.Total.Amount.Sub(v.Credited.Amount).Sub(v.Paid.Amount)) {
		t.Errorf("invoice: %+v %v", v, err)
	}
}

// Of a void and a credit note at the same time exactly one happens.
func TestVoidAgainstCreditNote(t *testing.T) {
	t.Parallel()
	f := invoiced(t)
	errs := f.atOnce(func() error {
		_, err := f.b.Void(f.Context(), VoidRequest{Invoice: "INV-000001", Outcome: Rebill, Why: "x", By: "tester"})
		return err
	}, func() error {
		_, err := f.credit()
		return err
	})
	if (errs[0] == nil) == (errs[1] == nil) {
		t.Errorf("void %v, note %v", errs[0], errs[1])
	}
	f.checkLaws()
}
