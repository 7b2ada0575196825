package billing

import (
	"errors"
	"testing"

	"deltaledger/ledger"
)

// adjust makes an adjustment of an account.
func (f *fixture) adjust(r AdjustRequest) Adjustment {
	f.Helper()
	a, err := f.b.Adjust(f.Context(), r)
	if err != nil {
		f.Fatal(err)
	}
	return a
}

// An adjustment is a line of the next cycle's invoice; one above the limit is one only after another person approved it.
func TestAdjustments(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "2026-02-10T00:00:00Z")
	f.terms(`{"grace":"0h","approve_above":{"USD":"100"},"charges":[{"name":"sales","measure":"amount","model":"sum"}]}`)
	f.record(f.event("acme", "2026-01-10T00:00:00Z", "10"), f.event("idle", "2025-12-10T00:00:00Z", "3"))
	f.close("2026-01-31")
	small := f.adjust(AdjustRequest{Account: "acme", Amount: "-100.00", Currency: "USD", Reason: "goodwill", Reference: "t-1", Cycle: mustDate(t, "2026-01-15"), By: "jane"})
	if small.Status != AdjustmentReady || small.Above.String() != "100.00" || !small.OriginStart.Equal(mustTime(t, "2026-01-01T00:00:00Z")) {
		t.Fatalf("%+v", small)
	}
	if again := f.adjust(AdjustRequest{Account: "acme", Amount: "-100", Currency: "USD", Reason: "goodwill", Reference: "t-1", Cycle: mustDate(t, "2026-01-20"), By: "joe"}); again.ID != small.ID || again.MadeBy != "jane" {
		t.Errorf("%+v", again)
	}
	large := f.adjust(AdjustRequest{Account: "acme", Amount: "100.01", Currency: "USD", Reason: "setup", By: "jane"})
	bad := f.adjust(AdjustRequest{Account: "acme", Amount: "-5000", Currency: "USD", Reason: "typo", By: "jane"})
	euro := f.adjust(AdjustRequest{Account: "idle", Amount: "-7000", Currency: "EUR", Reason: "no limit", By: "jane"})
	if large.Status != AdjustmentWaiting || bad.Status != AdjustmentWaiting || euro.Status != AdjustmentReady || euro.Above != nil {
		t.Errorf("%+v %+v %+v", large, bad, euro)
	}
	f.refuseAdjustments(small, large)
	f.at("2026-03-03T00:00:00Z")
	f.close("2026-02-28") // what waits isn't billed
	v := f.invoices("acme")[1]
	if len(v.Lines) != 1 || v.Total.String() != "-100.00" || v.Events != 0 {
		t.Fatalf("%+v", v)
	}
	l := v.Lines[0]
	if l.Adjusts != AdjustsManual || *l.Adjustment != small.ID || !l.Late || l.OriginInvoice == nil || l.Why != "goodwill" || l.By != "jane" {
		t.Errorf("%+v", l)
	}
	if idle := f.invoices("idle"); len(idle) != 2 || idle[1].Currency != "EUR" || idle[1].Total.String() != "-7000.00" || idle[1].Lines[0].Late {
		t.Errorf("%+v", idle)
	}
	for _, r := range []DecideRequest{
		{Adjustment: large.ID.String(), Outcome: Approved, Why: "contract seen", By: "boss"},
		{Adjustment: large.ID.String(), Outcome: Approved, Why: "again", By: "boss"},
		{Adjustment: bad.ID.String(), Outcome: Rejected, Why: "a digit too many", By: "boss"},
	} {
		if a, err := f.b.Decide(t.Context(), r); err != nil || a.DecidedBy != "boss" || (a.Status == AdjustmentReady) != (r.Outcome == Approved) {
			t.Errorf("%+v: %+v %v", r, a, err)
		}
	}
	p := f.preview(PreviewRequest{})
	f.at("2026-04-03T00:00:00Z")
	f.close("2026-03-31")
	f.close("2026-03-31")
	all := f.invoices("acme")
	if len(all) != 3 || all[2].Total.String() != "100.01" || all[2].Lines[0].ApprovedBy != "boss" {
		t.Fatalf("%+v", all)
	}
	f.sameBill(p.Drafts[0], all[2])
	for status, want := range map[AdjustmentStatus]int{AdjustmentBilled: 2, AdjustmentRejected: 1, AdjustmentWaiting: 0, "": 3} {
		if got, err := f.b.Adjustments(t.Context(), AdjustmentQuery{Account: "acme", Status: status}); err != nil || len(got) != want {
			t.Errorf("%q: %+v %v", status, got, err)
		}
	}
	// A rebill bills it again; what is written off is given up.
	again := f.void(all[2].ID.String(), Rebill)
	if w, err := f.b.Show(t.Context(), again.Rebill.String()); err != nil || w.Total.String() != "100.01" || *w.Lines[0].Adjustment != large.ID {
		t.Errorf("%+v %v", w, err)
	}
	f.void(again.Rebill.String(), WriteOff)
	f.at("2026-05-03T00:00:00Z")
	if done := f.close("2026-04-30"); done.Invoices != 0 {
		t.Errorf("%+v", done)
	}
	for _, v := range f.invoices("acme") {
		if e, err := f.b.Explain(t.Context(), v.ID.String()); err != nil || len(e.Lines) != 1 {
			t.Errorf("%+v %v", e, err)
		}
	}
	f.checkLaws()
}

func (f *fixture) refuseAdjustments(small, large Adjustment) {
	f.Helper()
	ok := AdjustRequest{Account: "acme", Amount: "1", Currency: "USD", Reason: "r", By: "b"}
	for name, c := range map[string]struct {
		change func(*AdjustRequest)
		want   error
	}{
		"another under the reference": {func(r *AdjustRequest) { r.Reference = "t-1" }, ledger.ErrConflict},
		"unknown account":             {func(r *AdjustRequest) { r.Account = "nobody" }, ledger.ErrNotFound},
		"digits":                      {func(r *AdjustRequest) { r.Amount = "1.005" }, ledger.ErrInvalid},
		"zero":                        {func(r *AdjustRequest) { r.Amount = "0.00" }, ledger.ErrInvalid},
		"currency":                    {func(r *AdjustRequest) { r.Currency = "usd" }, ledger.ErrInvalid},
		"no reason":                   {func(r *AdjustRequest) { r.Reason = " " }, ledger.ErrInvalid},
		"nobody":                      {func(r *AdjustRequest) { r.By = "" }, ledger.ErrInvalid},
		"open cycle":                  {func(r *AdjustRequest) { r.Cycle = mustDate(f, "2026-02-01") }, ledger.ErrInvalid},
	} {
		r := ok
		c.change(&r)
		if _, err := f.b.Adjust(f.Context(), r); !errors.Is(err, c.want) {
			f.Errorf("%s: %v", name, err)
		}
	}
	id := large.ID.String()
	for name, c := range map[string]struct {
		r    DecideRequest
		want error
	}{
		"the maker":      {DecideRequest{Adjustment: id, Outcome: Approved, Why: "w", By: " Jane"}, ledger.ErrInvalid},
		"no why":         {DecideRequest{Adjustment: id, Outcome: Approved, By: "boss"}, ledger.ErrInvalid},
		"what":           {DecideRequest{Adjustment: id, Outcome: "maybe", Why: "w", By: "boss"}, ledger.ErrInvalid},
		"doesn't wait":   {DecideRequest{Adjustment: small.ID.String(), Outcome: Rejected, Why: "w", By: "boss"}, ledger.ErrConflict},
		"isn't there":    {DecideRequest{Adjustment: "00000000-0000-0000-0000-000000000001", Outcome: Rejected, Why: "w", By: "boss"}, ledger.ErrNotFound},
		"isn't an id":    {DecideRequest{Adjustment: "7", Outcome: Rejected, Why: "w", By: "boss"}, ledger.ErrInvalid},
		"nobody decides": {DecideRequest{Adjustment: id, Outcome: Rejected, Why: "w"}, ledger.ErrInvalid},
	} {
		if _, err := f.b.Decide(f.Context(), c.r); !errors.Is(err, c.want) {
			f.Errorf("%s: %v", name, err)
		}
	}
	// The database refuses it too, whoever asks.
	_, err := f.db.App.Exec(f.Context(), `INSERT INTO billing.adjustment_decisions (account, adjustment, outcome, why, made_by, decided_by, position, decided_at)
		VALUES ('acme', $1, 'approved', 'w', 'jane', 'JANE ', 1, now())`, large.ID)
	if err == nil {
		f.Error("the maker approved")
	}
}

// Late and adjustment lines above the limit of the terms make their invoice wait, and only those.
func TestReviewAbove(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "2026-02-10T00:00:00Z")
	const charges = `"grace":"0h","charges":[{"name":"sales","measure":"amount","model":"sum"}]}`
	f.terms(`{"review_above":"50",` + charges)
	f.terms(`{"account":"free","review_above":"none"}`)
	f.terms(`{"account":"strict","review_above":{"USD":"0"}}`)
	for _, account := range []string{"under", "over", "free", "strict", "manual"} {
		f.record(f.event(account, "2026-01-10T00:00:00Z", "1000"))
	}
	f.close("2026-01-31")
	f.record(f.event("under", "2026-01-11T00:00:00Z", "50"), f.event("over", "2026-01-12T00:00:00Z", "-50.01"),
		f.event("free", "2026-01-12T00:00:00Z", "9999"), f.event("strict", "2026-01-12T00:00:00Z", "0.01"), f.event("manual", "2026-01-12T00:00:00Z", "30"))
	f.adjust(AdjustRequest{Account: "manual", Amount: "-30", Currency: "USD", Reason: "r", By: "b"})
	f.at("2026-03-03T00:00:00Z")
	f.close("2026-02-28")
	for account, waits := range map[string]bool{"under": false, "over": true, "free": false, "strict": true, "manual": true} {
		v := f.invoices(account)[1]
		if (v.Review != "") != waits || (v.Number == "") != waits {
			t.Errorf("%s: %s %q", account, v.Status, v.Review)
		}
	}
	over := f.invoices("over")[1]
	if want := "its late and adjustment lines come to 50.01 USD, and the terms allow 50.00 without review"; over.Review != want {
		t.Errorf("%q", over.Review)
	}
	issued, err := f.b.Approve(t.Context(), ApproveRequest{Invoices: []string{over.ID.String()}, By: "boss"})
	if err != nil || issued[0].Status != Issued || issued[0].ApprovedBy != "boss" {
		t.Errorf("%+v %v", issued, err)
	}
	f.checkLaws()
}
