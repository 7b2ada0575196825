package reconcile_test

import (
	"fmt"
	"testing"

	"deltaledger/billing"
)

// settled are books with an invoice of acme over 100.00 and one of globex over -30.00, of which something was paid, went
// back, was credited and was cancelled.
func settled(t *testing.T) *books {
	t.Helper()
	k := open(t)
	k.record(sale("acme", 1, 1, "sold", "100"), sale("globex", 1, 1, "sold", "-30"), sale("initech", 1, 1, "sold", "7"))
	through, err := billing.ParseDate("2026-01-31")
	if err != nil {
		t.Fatal(err)
	}
	for _, account := range []string{"acme", "globex", "initech"} { // one after the other, so that each gets its number
		if _, err := k.b.Close(t.Context(), billing.CloseRequest{Through: through, Account: account, By: "kim"}); err != nil {
			t.Fatal(err)
		}
	}
	k.want(k.run(true), 0, 0)
	k.credit("INV-000001", "25.50")
	k.pay("INV-000001", "bank-1", "60", "")
	k.pay("INV-000001", "back-1", "-10", "bank-1")
	k.pay("INV-000001", "back-2", "-50", "bank-1")
	if _, err := k.b.CancelCreditNote(t.Context(), billing.CancelCreditNoteRequest{CreditNote: "CN-000001", Reason: "wrong", By: "kim"}); err != nil {
		t.Fatal(err)
	}
	k.credit("INV-000001", "90")
	k.pay("INV-000001", "bank-2", "10", "")
	k.credit("INV-000001", "1") // paid, and goes back
	k.pay("INV-000002", "out-1", "-30", "")
	if _, err := k.b.Void(t.Context(), billing.VoidRequest{Invoice: "INV-000003", Outcome: billing.Rebill, Why: "x", By: "kim"}); err != nil {
		t.Fatal(err)
	}
	return k
}

func (k *books) pay(invoice, reference, amount, reverses string) {
	k.Helper()
	r := billing.PaymentRequest{Invoice: invoice, Reference: reference, Amount: amount, Reverses: reverses, By: "kim"}
	if _, err := k.b.Pay(k.Context(), r); err != nil {
		k.Fatal(err)
	}
}

func (k *books) credit(invoice, amount string) {
	k.Helper()
	r := billing.CreditNoteRequest{Invoice: invoice, Lines: []billing.CreditLine{{Line: 1, Amount: amount}}, Reason: "broken", By: "kim"}
	if _, err := k.b.Credit(k.Context(), r); err != nil {
		k.Fatal(err)
	}
}

// What is paid and credited is taken again step by step; what was changed is found, and nothing else.
func TestSettlementsAreRecomputed(t *testing.T) {
	t.Parallel()
	const (
		pay, note = "payments", "credit-notes"
		other     = "(SELECT i.id FROM billing.invoices i WHERE i.account = 'globex')"
	)
	for name, c := range map[string]struct {
		table, sql string
		checks     []string
	}{
		"nothing is":             {"payments", "SELECT 1", nil},
		"an amount is":           {"payments", "UPDATE billing.payments SET amount = 101 WHERE reference = 'bank-1'", []string{pay}},
		"a sign is":              {"payments", "UPDATE billing.payments SET amount = 10 WHERE reference = 'back-1'", []string{pay}},
		"a payment is taken out": {"payments", "DELETE FROM billing.payments WHERE reference = 'bank-1'", []string{pay}},
		"a reversal is another's": {
			"payments", "UPDATE billing.payments SET reverses = 'bank-2' WHERE reference = 'back-1'", []string{pay},
		},
		"a date is":                {"payments", "UPDATE billing.payments SET paid_on = paid_on + 1 WHERE reference = 'bank-1'", []string{pay}},
		"a time is":                {"payments", "UPDATE billing.payments SET recorded_at = recorded_at - interval '2 days' WHERE reference = 'bank-2'", []string{pay}},
		"a payment is another's":   {"payments", "UPDATE billing.payments SET invoice_id = " + other + ", account = 'globex', reverses = NULL WHERE reference = 'bank-2'", []string{pay}},
		"a payment is put in":      {"payments", "INSERT INTO billing.payments SELECT account, invoice_id, 'x', 91, paid_on, NULL, '', 'x', position - 1, recorded_at FROM billing.payments WHERE reference = 'bank-2'", []string{pay}},
		"the total of a note is":   {"credit_notes", "UPDATE billing.credit_notes SET total = total - 1 WHERE total = 90", []string{note}},
		"the line of a note is":    {"credit_note_lines", "UPDATE billing.credit_note_lines SET amount = 200 WHERE amount = 90", []string{note}},
		"the number of a line is":  {"credit_note_lines", "UPDATE billing.credit_note_lines SET line = 7 WHERE amount = 90", []string{note}},
		"a line is taken out":      {"credit_note_lines", "DELETE FROM billing.credit_note_lines WHERE amount = 90", []string{note}},
		"the currency of a note":   {"credit_notes", "UPDATE billing.credit_notes SET currency = 'USD' WHERE total = 90", []string{note}},
		"a cancelled note is gone": {"credit_notes", "UPDATE billing.credit_notes SET cancels = gen_random_uuid() WHERE cancels IS NOT NULL", []string{note}},
		"a note cancels itself no more": {
			"credit_notes", "UPDATE billing.credit_notes SET cancels = NULL WHERE cancels IS NOT NULL", []string{note},
		},
		"a line of what cancels is": {"credit_note_lines", "UPDATE billing.credit_note_lines SET amount = -25 WHERE amount = -25.50", []string{note}},
		"a number came later":       {"invoice_numbers", "UPDATE billing.invoice_numbers SET position = 1000000 WHERE number = 1", []string{note, pay}},
		"a paid one is void":        {"voids", "INSERT INTO billing.voids SELECT account, id, 'write-off', 'x', 'x', 1, created_at FROM billing.invoices WHERE account = 'globex'", []string{pay}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := settled(t)
			k.tamper(fmt.Sprintf("SET session_replication_role = replica; ALTER TABLE billing.%[1]s DISABLE TRIGGER ALL; %[2]s; ALTER TABLE billing.%[1]s ENABLE ALWAYS TRIGGER refuse_row", c.table, c.sql))
			res := k.run(true)
			open := map[string]bool{}
			for _, f := range res.Findings {
				if open[f.Check] = true; f.Check != pay && f.Check != note {
					t.Logf("besides: %+v", f)
				}
			}
			for _, check := range []string{pay, note} {
				want := false
				for _, w := range c.checks {
					want = want || w == check
				}
				if open[check] != want {
					t.Errorf("found by %s: %v, want %v\n%+v", check, open[check], want, res.Findings)
				}
			}
			if again := k.run(true); len(again.Findings) < len(c.checks) { // it stays until it is put right
				t.Errorf("a second run has %+v", again.Findings)
			}
		})
	}
}
