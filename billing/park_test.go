package billing

import (
	"errors"
	"testing"

	"deltaledger/ledger"
)

// What can't be billed parks its account: closes leave it out, and close it as if they hadn't been once it is
// released.
func TestParking(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "2026-02-03T00:00:00Z")
	big := "99999999999999999999999999999999999999"
	f.record(f.event("acme", "2026-01-10T00:00:00Z", big), f.event("acme", "2026-01-11T00:00:00Z", big), f.event("fine", "2026-01-10T00:00:00Z", "1"))
	closed := func(through, account string) CloseResult {
		t.Helper()
		r, err := f.b.Close(t.Context(), CloseRequest{Through: mustDate(t, through), Account: account, By: "tester"})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	if r := closed("2026-01-31", ""); r.Invoices != 1 || len(r.Failed) != 1 || r.Failed[0].Account != "acme" || !r.Failed[0].Parked || len(r.Parked) != 0 {
		t.Fatalf("result: %+v", r)
	}
	f.record(f.event("acme", "2026-01-12T00:00:00Z", "-"+big)) // which puts it right
	for _, account := range []string{"", "acme"} {
		if r := closed("2026-01-31", account); r.Invoices != 0 || len(r.Failed) != 0 || len(r.Parked) != 1 || r.Parked[0].Account != "acme" || r.Parked[0].Finding == "" {
			t.Errorf("while it is parked: %+v", r)
		}
	}
	f.at("2026-03-04T00:00:00Z")
	f.record(f.event("fine", "2026-02-10T00:00:00Z", "1"))
	if r := closed("2026-02-28", ""); r.Invoices != 1 || len(r.Parked) != 1 {
		t.Errorf("the others: %+v", r)
	}
	if end, _, err := f.b.ClosedThrough(t.Context(), "acme"); err != nil || !end.IsZero() {
		t.Errorf("acme is closed through %s: %v", end, err)
	}
	parked, err := f.b.Parked(t.Context())
	if err != nil || len(parked) != 1 || parked[0].Run != 1 {
		t.Errorf("parked: %+v %v", parked, err)
	}
	for _, c := range []struct {
		r    ReleaseRequest
		want error
	}{
		{ReleaseRequest{Account: "fine", Why: "x", By: "t"}, ledger.ErrConflict},
		{ReleaseRequest{Account: "nobody", Why: "x", By: "t"}, ledger.ErrNotFound},
		{ReleaseRequest{Account: "acme", Why: " ", By: "t"}, ledger.ErrInvalid},
		{ReleaseRequest{Account: "acme", Why: "x"}, ledger.ErrInvalid},
	} {
		if _, err := f.b.Release(t.Context(), c.r); !errors.Is(err, c.want) {
			t.Errorf("%+v: %v, want %v", c.r, err, c.want)
		}
	}
	if was, err := f.b.Release(t.Context(), ReleaseRequest{Account: "acme", Why: "corrected", By: "tester"}); err != nil || was.Run != 1 {
		t.Errorf("released: %+v %v", was, err)
	}
	if r := closed("2026-02-28", ""); r.Pinned != 3 || r.Late != 0 || len(r.Parked) != 0 || len(r.Failed) != 0 {
		t.Errorf("after the release: %+v", r)
	}
	f.checkLaws()
}

// A release that solved nothing is followed by another parking.
func TestParkedAgain(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "2026-02-03T00:00:00Z")
	big := "99999999999999999999999999999999999999"
	f.record(f.event("acme", "2026-01-10T00:00:00Z", big), f.event("acme", "2026-01-11T00:00:00Z", big))
	for range 2 {
		r, err := f.b.Close(t.Context(), CloseRequest{Through: mustDate(t, "2026-01-31"), By: "tester"})
		if err != nil || len(r.Failed) != 1 {
			t.Fatalf("%+v %v", r, err)
		}
		if _, err := f.b.Release(t.Context(), ReleaseRequest{Account: "acme", Why: "try again", By: "tester"}); err != nil {
			t.Fatal(err)
		}
	}
	if n := f.number("SELECT count(*) FROM billing.parkings"); n != 2 {
		t.Errorf("%d parkings", n)
	}
}
