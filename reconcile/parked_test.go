package reconcile_test

import (
	"strings"
	"testing"

	"deltaledger/billing"
)

// A parked account is a finding until it is released.
func TestParkedAccountIsAFinding(t *testing.T) {
	t.Parallel()
	k := open(t)
	const big = "99999999999999999999999999999999999999"
	k.record(sale("acme", 1, 1, "sold", big), sale("acme", 1, 2, "sold", big), sale("globex", 1, 1, "sold", "2"))
	through, err := billing.ParseDate("2026-01-31")
	if err != nil {
		t.Fatal(err)
	}
	if r, err := k.b.Close(t.Context(), billing.CloseRequest{Through: through, By: "kim"}); err != nil || len(r.Failed) != 1 {
		t.Fatalf("%+v %v", r, err)
	}
	k.want(k.run(true), 0, 0, "parked")
	res := k.run(true) // found once
	k.want(res, 0, 0, "parked")
	if f := res.Findings[0]; f.Account != "acme" || !strings.Contains(f.Detail, "invoice_lines_amount") {
		t.Errorf("%+v", f)
	}
	if _, err := k.b.Release(t.Context(), billing.ReleaseRequest{Account: "acme", Why: "looked", By: "kim"}); err != nil {
		t.Fatal(err)
	}
	k.want(k.run(true), 0, 0)
}

func TestGapInTheNumbersOfCreditNotes(t *testing.T) {
	t.Parallel()
	k := open(t)
	k.record(sale("acme", 1, 1, "sold", "10"))
	k.close("2026-01-31")
	for range 2 {
		r := billing.CreditNoteRequest{Invoice: "INV-000001", Lines: []billing.CreditLine{{Line: 1, Amount: "1"}}, Reason: "broken", By: "kim"}
		if _, err := k.b.Credit(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	k.want(k.run(true), 0, 0)
	k.tamper("ALTER TABLE billing.credit_note_numbers DISABLE TRIGGER ALL; DELETE FROM billing.credit_note_numbers WHERE number = 1")
	k.want(k.run(true), 0, 0, "numbers")
}
