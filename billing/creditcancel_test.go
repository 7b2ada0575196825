package billing

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"deltaledger/ledger"
)

func (f *fixture) cancel(note, reason string) (CreditNote, error) {
	return f.b.CancelCreditNote(f.Context(), CancelCreditNoteRequest{CreditNote: note, Reason: reason, By: "tester"})
}

// A credit note that was wrong is taken back by another one. Both stay as they were made.
func TestCancelCreditNote(t *testing.T) {
	t.Parallel()
	f := invoiced(t)
	const number = "INV-000001"
	wrong, err := f.credit(CreditLine{1, "30"}, CreditLine{2, "20"})
	if err != nil {
		t.Fatal(err)
	}
	f.paid("bank-1", "50")
	f.stands(number, Paid, "50.00", "50.00", "0.00")
	cancel, err := f.cancel("cn-000001", "for another customer")
	if err != nil {
		t.Fatal(err)
	}
	if cancel.Number != "CN-000002" || cancel.Cancels == nil || *cancel.Cancels != wrong.ID || cancel.Total.String() != "-50.00" || len(cancel.Lines) != 2 || cancel.Lines[1].Amount.String() != "-20.00" {
		t.Errorf("the note that cancels: %+v", cancel)
	}
	f.stands(number, PartPaid, "0.00", "50.00", "50.00")
	then, err := f.b.CreditNote(t.Context(), wrong.ID.String())
	if err != nil || then.CancelledBy == nil || *then.CancelledBy != cancel.ID {
		t.Errorf("the note that is cancelled: %+v %v", then, err)
	}
	if then.CancelledBy = nil; !reflect.DeepEqual(then, wrong) {
		t.Errorf("it was %+v and is %+v", wrong, then)
	}
	if again, err := f.cancel("CN-000001", "for another customer"); err != nil || !reflect.DeepEqual(again, cancel) {
		t.Errorf("the same again: %+v %v", again, err)
	}
	for note, want := range map[string]string{"CN-000001": "CN-000002 has cancelled it already", "CN-000002": "cancels another one itself"} {
		if _, err := f.cancel(note, "x"); !errors.Is(err, ledger.ErrConflict) || !strings.Contains(err.Error(), want) {
			t.Errorf("cancel %s: %v", note, err)
		}
	}
	if _, err := f.cancel("CN-000009", "x"); !errors.Is(err, ledger.ErrNotFound) {
		t.Errorf("a note that doesn't exist: %v", err)
	}
	if _, err := f.cancel("CN-000001", ""); !errors.Is(err, ledger.ErrInvalid) {
		t.Errorf("without a reason: %v", err)
	}
	// What was taken back can be taken back again, by the right note.
	if right, err := f.credit(CreditLine{1, "80"}); err != nil || right.Number != "CN-000003" {
		t.Errorf("%+v %v", right, err)
	}
	f.stands(number, Paid, "80.00", "50.00", "-30.00")
	f.checkLaws()
}

// A reference is of one credit note, whatever that is for.
func TestCancelCreditNoteByReference(t *testing.T) {
	t.Parallel()
	f := invoiced(t)
	credit := CreditNoteRequest{Invoice: "INV-000001", Reason: "damaged", Reference: "case-1", By: "tester"}
	if _, err := f.b.Credit(t.Context(), credit); err != nil {
		t.Fatal(err)
	}
	r := CancelCreditNoteRequest{CreditNote: "CN-000001", Reason: "damaged", Reference: "case-1", By: "tester"}
	if _, err := f.b.CancelCreditNote(t.Context(), r); !errors.Is(err, ledger.ErrConflict) {
		t.Errorf("the reference of the note itself: %v", err)
	}
	r.Reference = "case-2"
	if _, err := f.b.CancelCreditNote(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	credit.Reference = "case-2"
	if _, err := f.b.Credit(t.Context(), credit); !errors.Is(err, ledger.ErrConflict) {
		t.Errorf("a credit note by the reference of one that cancels: %v", err)
	}
}

// Of several cancellations at the same time exactly one is made.
func TestCancelCreditNoteAtTheSameTime(t *testing.T) {
	t.Parallel()
	f := invoiced(t)
	if _, err := f.credit(); err != nil {
		t.Fatal(err)
	}
	var all []func() error
	for _, reason := range []string{"a", "b", "c", "a"} {
		all = append(all, func() error {
			_, err := f.cancel("CN-000001", reason)
			return err
		})
	}
	all = append(all, func() error {
		_, err := f.credit()
		return err
	})
	f.atOnce(all...)
	if n := f.number("SELECT count(*) FROM billing.credit_notes WHERE cancels IS NOT NULL"); n != 1 {
		t.Errorf("%d notes cancel it", n)
	}
	f.checkLaws()
}
