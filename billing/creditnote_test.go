package billing

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"deltaledger/ledger"
	"deltaledger/ledger/pg"
)

func (f *fixture) credit(lines ...CreditLine) (CreditNote, error) {
	return f.b.Credit(f.Context(), CreditNoteRequest{Invoice: "INV-000001", Lines: lines, Reason: "damaged", By: "tester"})
}

func TestCreditNotes(t *testing.T) {
	t.Parallel()
	f := invoiced(t)
	const number = "INV-000001"
	asked := CreditNoteRequest{Invoice: number, Lines: []CreditLine{{1, "30.5"}}, Reason: "damaged", Reference: "case-7", By: "tester"}
	first, err := f.b.Credit(t.Context(), asked)
	if err != nil {
		t.Fatal(err)
	}
	if first.Number != "CN-000001" || first.Corrects != number || first.Total.String() != "30.50" || len(first.Lines) != 1 || first.Lines[0].Charge != "goods" || first.IssuedAt == nil {
		t.Errorf("note: %+v", first)
	}
	f.stands(number, Issued, "30.50", "0.00", "69.50")
	if again, err := f.b.Credit(t.Context(), asked); err != nil || !reflect.DeepEqual(again, first) {
		t.Errorf("the same again: %+v %v", again, err)
	}
	asked.Lines = []CreditLine{{1, "31"}}
	if _, err := f.b.Credit(t.Context(), asked); !errors.Is(err, ledger.ErrConflict) {
		t.Errorf("another note under the reference: %v", err)
	}
	for _, lines := range [][]CreditLine{{{1, "49.51"}}, {{2, "20.01"}}, {{1, "-1"}}, {{2, "1"}, {1, "50"}}} {
		if _, err := f.credit(lines...); !errors.Is(err, ledger.ErrConflict) {
			t.Errorf("%+v: %v", lines, err)
		}
	}
	for _, lines := range [][]CreditLine{{{3, "1"}}, {{0, "1"}}, {{1, "1"}, {1, "2"}}, {{1, "0.001"}}, {{1, "x"}}} {
		if _, err := f.credit(lines...); !errors.Is(err, ledger.ErrInvalid) {
			t.Errorf("%+v: %v", lines, err)
		}
	}
	f.paid("bank-1", "69.50")
	f.stands(number, Paid, "30.50", "69.50", "0.00")
	_, err = f.b.Void(t.Context(), VoidRequest{Invoice: number, Outcome: Rebill, Why: "x", By: "t"})
	if !errors.Is(err, ledger.ErrConflict) {
		t.Errorf("void of what is paid: %v", err)
	}
	// The rest is taken back too, though it is paid: what was paid goes back to the account.
	rest, err := f.credit()
	if err != nil || rest.Total.String() != "69.50" || len(rest.Lines) != 2 || rest.Number != "CN-000002" {
		t.Errorf("the rest: %+v %v", rest, err)
	}
	f.stands(number, Paid, "100.00", "69.50", "-69.50")
	f.paid("back-1", "-69.50")
	f.stands(number, Credited, "100.00", "0.00", "0.00")
	if _, err := f.credit(); !errors.Is(err, ledger.ErrConflict) {
		t.Errorf("a third time: %v", err)
	}
	_, err = f.b.Void(t.Context(), VoidRequest{Invoice: number, Outcome: Rebill, Why: "x", By: "t"})
	if !errors.Is(err, ledger.ErrConflict) || !strings.Contains(err.Error(), "CN-000001") {
		t.Errorf("void of what is credited: %v", err)
	}
	v, err := f.b.Show(t.Context(), number)
	if err != nil || len(v.CreditNotes) != 2 || v.Lines[0].Credited.String() != "80.00" || v.Total.String() != "100.00" {
		t.Errorf("invoice: %+v %v", v, err)
	}
	list, err := f.b.CreditNotes(t.Context(), CreditNoteQuery{Account: "acme", Invoice: number})
	if err != nil || len(list) != 2 || list[0].ID != rest.ID {
		t.Errorf("list: %+v %v", list, err)
	}
	if list, err = f.b.CreditNotes(t.Context(), CreditNoteQuery{Before: rest.Position}); err != nil || len(list) != 1 || list[0].ID != first.ID {
		t.Errorf("second page: %+v %v", list, err)
	}
	if one, err := f.b.CreditNote(t.Context(), "cn-000002"); err != nil || !reflect.DeepEqual(one, rest) {
		t.Errorf("%+v %v", one, err)
	}
}

// A credit note changes no pin and no event, and late events are rated as if there were none.
func TestLateEventsDoNotCountCreditNotes(t *testing.T) {
	t.Parallel()
	f := invoiced(t)
	if _, err := f.credit(); err != nil {
		t.Fatal(err)
	}
	f.record(f.event("acme", "2026-01-20T00:00:00Z", "8"))
	f.at("2026-03-04T00:00:00Z")
	f.close("2026-02-28")
	late := f.invoices("acme")[1]
	if late.Total.String() != "10.00" || len(late.Lines) != 2 || late.Lines[0].Billed.String() != "80.00" {
		t.Errorf("late: %+v", late)
	}
	f.stands("INV-000001", Credited, "100.00", "0.00", "0.00")
	f.checkLaws()
}

// A credit note that was made when the service was killed is issued by whoever issues next, and counts meanwhile.
func TestCreditNoteThatWasNotIssued(t *testing.T) {
	t.Parallel()
	f := invoiced(t)
	v, err := f.b.Show(t.Context(), "INV-000001")
	if err != nil {
		t.Fatal(err)
	}
	err = pg.InTx(t.Context(), f.db.App, func(tx pgx.Tx) error {
		held, err := f.b.holdInvoice(t.Context(), tx, v)
		if err != nil {
			return err
		}
		_, err = f.b.creditTx(t.Context(), tx, held, CreditNoteRequest{Invoice: "INV-000001", Reason: "x", By: "tester"})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	f.stands("INV-000001", Credited, "100.00", "0.00", "0.00")
	if n := f.number("SELECT count(*) FROM billing.credit_note_numbers"); n != 0 {
		t.Errorf("%d numbers", n)
	}
	f.close("2026-01-31")
	if n, err := f.b.CreditNote(t.Context(), "CN-000001"); err != nil || n.Total.String() != "100.00" {
		t.Errorf("%+v %v", n, err)
	}
}

// A line that bills less than nothing is taken back with its own sign.
func TestCreditOfANegativeLine(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "2026-02-03T00:00:00Z")
	f.record(f.event("acme", "2026-01-10T00:00:00Z", "-12.34"))
	f.close("2026-01-31")
	f.stands("INV-000001", Issued, "0.00", "0.00", "-12.34")
	if _, err := f.credit(CreditLine{1, "2"}); !errors.Is(err, ledger.ErrConflict) {
		t.Errorf("the other sign: %v", err)
	}
	f.paid("out-1", "-10")
	if n, err := f.credit(CreditLine{1, "-2.34"}); err != nil || n.Total.String() != "-2.34" {
		t.Errorf("%+v %v", n, err)
	}
	f.stands("INV-000001", Paid, "-2.34", "-10.00", "0.00")
}

func TestCreditNoteNeedsAnIssuedInvoice(t *testing.T) {
	t.Parallel()
	f := invoiced(t)
	f.void("INV-000001", WriteOff)
	if _, err := f.credit(); !errors.Is(err, ledger.ErrConflict) {
		t.Errorf("of a void invoice: %v", err)
	}
	for _, r := range []CreditNoteRequest{{Invoice: "INV-000009", Reason: "x", By: "t"}} {
		if _, err := f.b.Credit(t.Context(), r); !errors.Is(err, ledger.ErrNotFound) {
			t.Errorf("%+v: %v", r, err)
		}
	}
	for _, r := range []CreditNoteRequest{{Invoice: "INV-000001", Reason: " ", By: "t"}, {Invoice: "INV-000001", Reason: "x"}} {
		if _, err := f.b.Credit(t.Context(), r); !errors.Is(err, ledger.ErrInvalid) {
			t.Errorf("%+v: %v", r, err)
		}
	}
}
