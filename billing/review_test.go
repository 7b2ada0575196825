package billing

import (
	"errors"
	"testing"

	"deltaledger/ledger"
)

func TestReview(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "2026-02-03T00:00:00Z")
	f.record(f.event("a", "2026-01-10T00:00:00Z", "1"), f.event("b", "2026-01-10T00:00:00Z", "2"), f.event("c", "2026-01-10T00:00:00Z", "3"))
	r, err := f.b.Close(t.Context(), CloseRequest{Through: mustDate(t, "2026-01-31"), Review: true, By: "tester"})
	if err != nil || r.Invoices != 3 {
		t.Fatalf("%+v %v", r, err)
	}
	f.at("2026-03-04T00:00:00Z")
	f.record(f.event("d", "2026-02-10T00:00:00Z", "4"))
	f.close("2026-02-28") // which issues its own, and passes the others by
	if n, err := f.b.Issue(t.Context()); n != 0 || err != nil {
		t.Errorf("issued %d: %v", n, err)
	}
	a, b, c, d := f.invoices("a")[0], f.invoices("b")[0], f.invoices("c")[0], f.invoices("d")[0]
	if a.Status != Ready || a.Review == "" || d.Number != "INV-000001" || d.Review != "" {
		t.Errorf("ready: %+v, issued: %+v", a, d)
	}
	for name, refused := range map[string]func() error{
		"payment": func() error {
			_, err := f.b.Pay(t.Context(), PaymentRequest{Invoice: a.ID.String(), Reference: "r", Amount: "1", By: "t"})
			return err
		},
		"credit note": func() error {
			_, err := f.b.Credit(t.Context(), CreditNoteRequest{Invoice: a.ID.String(), Reason: "r", By: "t"})
			return err
		},
		"sending": func() error {
			_, err := f.b.MarkSent(t.Context(), SentRequest{Invoice: a.ID.String(), By: "t"})
			return err
		},
	} {
		if err := refused(); !errors.Is(err, ledger.ErrConflict) {
			t.Errorf("%s of a ready invoice: %v", name, err)
		}
	}
	// An invoice in place of one that nobody approved waits too.
	again := *f.void(c.ID.String(), Rebill).Rebill
	issued, err := f.b.Approve(t.Context(), ApproveRequest{Invoices: []string{b.ID.String(), a.ID.String()}, By: "boss"})
	if err != nil || len(issued) != 2 || issued[0].Number != "INV-000002" || issued[1].Number != "INV-000003" || issued[0].ApprovedBy != "boss" || issued[0].Status != Issued {
		t.Errorf("approved: %+v %v", issued, err)
	}
	if same, err := f.b.Approve(t.Context(), ApproveRequest{Invoices: []string{b.ID.String(), "INV-000001"}, By: "other"}); err != nil || same[0].ApprovedBy != "boss" || same[1].Number != "INV-000001" {
		t.Errorf("approved again: %+v %v", same, err)
	}
	if v, err := f.b.Show(t.Context(), again.String()); err != nil || v.Status != Ready || v.Review == "" {
		t.Errorf("rebill: %+v %v", v, err)
	}
	for _, c := range []struct {
		r    ApproveRequest
		want error
	}{
		{ApproveRequest{Invoices: []string{c.ID.String()}, By: "boss"}, ledger.ErrConflict},
		{ApproveRequest{Invoices: []string{"INV-000009"}, By: "boss"}, ledger.ErrNotFound},
		{ApproveRequest{By: "boss"}, ledger.ErrInvalid},
		{ApproveRequest{Invoices: []string{a.ID.String()}}, ledger.ErrInvalid},
	} {
		if _, err := f.b.Approve(t.Context(), c.r); !errors.Is(err, c.want) {
			t.Errorf("%+v: %v, want %v", c.r, err, c.want)
		}
	}
	f.checkLaws()
}
