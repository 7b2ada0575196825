package billing

import (
	"errors"
	"slices"
	"testing"

	"github.com/google/uuid"

	"deltaledger/ledger"
	"deltaledger/ledger/pg"
)

func (f *fixture) void(invoice string, outcome Outcome) VoidResult {
	f.Helper()
	done, err := f.b.Void(f.Context(), VoidRequest{Invoice: invoice, Outcome: outcome, Why: "wrong address", By: "tester"})
	if err != nil {
		f.Fatal(err)
	}
	return done
}

func TestVoidAndRebill(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "2026-02-03T00:00:00Z")
	at := f.record(f.event("acme", "2026-01-10T00:00:00Z", "10"), f.event("acme", "2026-01-11T00:00:00Z", "0.004"))
	f.close("2026-01-31")
	f.record(f.event("acme", "2026-01-12T00:00:00Z", "0.004")) // 10.008 in all
	f.at("2026-03-04T00:00:00Z")
	f.close("2026-02-28")

	done := f.void("inv-000001", Rebill)
	all := f.invoices("acme")
	old, late, rebill := all[0], all[1], all[2]
	if old.Status != Void || old.Outcome != Rebill || old.Why == "" || *old.RebilledBy != rebill.ID || old.Number == "" {
		t.Errorf("void: %+v", old)
	}
	if rebill.ID != *done.Rebill || rebill.Status != Issued || *rebill.Rebills != old.ID || !slices.Equal(f.events(rebill.ID), at) {
		t.Errorf("rebill: %+v", rebill)
	}
	// 10.008 rounds to 10.01, of which the late line has billed 0.01.
	if late.Total.String() != "0.01" || rebill.Total.String() != "10.00" {
		t.Errorf("late %s, rebill %s", late.Total, rebill.Total)
	}
	again := f.void("INV-000003", Rebill)
	if v := f.invoices("acme")[3]; v.ID != *again.Rebill || v.Total.String() != "10.00" {
		t.Errorf("rebill of the rebill: %+v", v)
	}
	for _, number := range []string{"INV-000001", "INV-000003"} {
		_, err := f.b.Void(t.Context(), VoidRequest{Invoice: number, Outcome: WriteOff, Why: "x", By: "tester"})
		if !errors.Is(err, ledger.ErrConflict) {
			t.Errorf("%s voided twice: %v", number, err)
		}
	}
}

func TestWriteOffKeepsTheEvents(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "2026-02-03T00:00:00Z")
	f.record(f.event("acme", "2026-01-10T00:00:00Z", "10"))
	f.close("2026-01-31")
	f.void("INV-000001", WriteOff)
	f.record(f.event("acme", "2026-01-20T00:00:00Z", "3"))
	f.at("2026-03-04T00:00:00Z")
	if done := f.close("2026-02-28"); done.Pinned != 1 {
		t.Fatalf("result: %+v", done)
	}
	l := f.invoices("acme")[1].Lines[0]
	if l.Before.Sign() != 0 || l.Amount.String() != "3.00" || l.OriginInvoice == nil {
		t.Errorf("late line: %+v", l)
	}
}

func TestVoidRefuses(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "2026-02-03T00:00:00Z")
	for _, c := range []struct {
		r    VoidRequest
		want error
	}{
		{VoidRequest{Invoice: "INV-000009", Outcome: Rebill, Why: "x", By: "y"}, ledger.ErrNotFound},
		{VoidRequest{Invoice: "INV 9", Outcome: Rebill, Why: "x", By: "y"}, ledger.ErrInvalid},
		{VoidRequest{Invoice: "INV-000009", Outcome: "refund", Why: "x", By: "y"}, ledger.ErrInvalid},
		{VoidRequest{Invoice: "INV-000009", Outcome: Rebill, Why: " ", By: "y"}, ledger.ErrInvalid},
	} {
		if _, err := f.b.Void(t.Context(), c.r); !errors.Is(err, c.want) {
			t.Errorf("%+v: %v, want %v", c.r, err, c.want)
		}
	}
}

// The database itself refuses a second live pin, whoever asks (invariant 6).
func TestDatabaseRefusesASecondLivePin(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "2026-02-03T00:00:00Z")
	f.record(f.event("acme", "2026-01-10T00:00:00Z", "10"), f.event("acme", "2026-01-10T00:00:00Z", "0"))
	f.close("2026-01-31")
	rebill := *f.void("INV-000001", Rebill).Rebill
	old := f.invoices("acme")[0].ID
	const sqlSecond = `
INSERT INTO billing.pins (account, position, recorded_at, origin_start, invoice_id, replaces)
SELECT account, position, recorded_at, origin_start, $1, $2
FROM billing.pins
WHERE invoice_id = $3`
	for _, c := range []struct {
		name       string
		on         uuid.UUID
		replaces   *uuid.UUID
		constraint string
	}{
		{"without saying what it replaces", uuid.New(), nil, "pins_one_live"},
		{"instead of one that was replaced already", uuid.New(), &old, "pins_one_live"},
		{"instead of a live one", uuid.New(), &rebill, "pins_replaces_void"},
		{"on the same invoice", old, &rebill, "pins_pkey"},
	} {
		_, err := f.db.App.Exec(t.Context(), sqlSecond, c.on, c.replaces, rebill)
		if got := pg.Constraint(err); got != c.constraint && (got != "pins_invoice" || c.constraint != "pins_replaces_void") {
			t.Errorf("%s: refused by %q (%v), want %s", c.name, got, err, c.constraint)
		}
	}
}
