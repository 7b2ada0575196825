package billing

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"deltaledger/ledger"
)

// preview asks for one of acme.
func (f *fixture) preview(r PreviewRequest) Preview {
	f.Helper()
	r.Account = "acme"
	p, err := f.b.Preview(f.Context(), r)
	if err != nil {
		f.Fatal(err)
	}
	return p
}

// What a preview shows of a cycle is what a close writes, late events included, and it can be had again.
func TestPreviewIsWhatACloseWrites(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "2026-02-01T12:00:00Z")
	f.terms(`{"charges":[{"name":"sales","measure":"amount","model":"sum"},{"name":"fee","measure":"amount","types":["order.placed"],"model":"percentage","rate":"1.5"}]}`)
	if p := f.preview(PreviewRequest{Count: 2}); len(p.Drafts) != 0 || len(p.Cycles) != 3 || p.Closed != nil {
		t.Errorf("of an account that nobody knows: %+v", p)
	}
	f.record(f.event("acme", "2026-01-10T00:00:00Z", "10.01"), f.event("acme", "2026-01-20T00:00:00Z", "-0.36"))
	first := f.preview(PreviewRequest{})
	if len(first.Drafts) != 1 || len(first.Cycles) != 2 || !first.Cycles[0].ClosableFrom.Equal(mustTime(t, "2026-02-03T00:00:00Z")) {
		t.Fatalf("%+v", first)
	}
	f.at("2026-02-05T00:00:00Z")
	f.close("2026-01-31")
	f.sameBill(first.Drafts[0], f.invoices("acme")[0])

	f.record(f.event("acme", "2026-01-11T00:00:00Z", "5"), f.event("acme", "2026-02-02T00:00:00Z", "7"))
	second := f.preview(PreviewRequest{Count: 1})
	if len(second.Drafts) != 1 || len(second.Drafts[0].Lines) != 4 || !second.Drafts[0].Lines[2].Late || second.Closed == nil {
		t.Fatalf("%+v", second)
	}
	f.record(f.event("acme", "2026-02-03T00:00:00Z", "1000"))
	again := f.preview(PreviewRequest{Count: 1, AsOf: fmt.Sprint(second.AsOf.Position)})
	again.AsOf = second.AsOf
	was, err := json.Marshal(second)
	if err != nil {
		t.Fatal(err)
	}
	if is, err := json.Marshal(again); err != nil || !bytes.Equal(is, was) {
		t.Errorf("as of %d it was %s and is %s, %v", second.AsOf.Position, was, is, err)
	}
	third := f.preview(PreviewRequest{})
	f.at("2026-03-05T00:00:00Z")
	f.close("2026-02-28")
	f.sameBill(third.Drafts[0], f.invoices("acme")[1])
	if _, err := f.b.Preview(t.Context(), PreviewRequest{Account: "acme", AsOf: fmt.Sprint(second.AsOf.Position)}); !errors.Is(err, ledger.ErrConflict) {
		t.Errorf("as of before the last close: %v", err)
	}
	if n := f.number("SELECT count(*) FROM billing.invoices"); n != 2 {
		t.Errorf("%d invoices are there", n)
	}
	for _, r := range []PreviewRequest{{}, {Account: "acme", Count: -1}, {Account: "acme", Count: MaxPreview + 1}, {Account: "acme", AsOf: "soon"}} {
		if _, err := f.b.Preview(t.Context(), r); !errors.Is(err, ledger.ErrInvalid) {
			t.Errorf("%+v: %v", r, err)
		}
	}
	f.checkLaws()
}

// sameBill compares a draft with the invoice that a close made.
func (f *fixture) sameBill(d Draft, v Invoice) {
	f.Helper()
	if d.Total.String() != v.Total.String() || d.Events != v.Events || d.Pinned != v.Pinned || !d.CycleStart.Equal(v.CycleStart) ||
		!d.CycleEnd.Equal(v.CycleEnd) || len(d.Lines) != len(v.Lines) {
		f.Fatalf("the draft is %+v, the invoice %+v", d, v)
	}
	for i, l := range d.Lines {
		w := v.Lines[i]
		same := l.Charge == w.Charge && l.Terms == w.Terms && l.Late == w.Late && l.Events == w.Events && l.Pinned == w.Pinned &&
			l.BeforeCounted == w.BeforeCounted && l.OriginStart.Equal(w.OriginStart) && l.OriginEnd.Equal(w.OriginEnd) &&
			l.Added.Equal(w.Added) && l.Before.Equal(w.Before) && l.Exact.Equal(w.Exact) &&
			l.Billed.String() == w.Billed.String() && l.Amount.String() == w.Amount.String() &&
			(l.OriginInvoice == nil) == (w.OriginInvoice == nil) && (l.OriginInvoice == nil || *l.OriginInvoice == *w.OriginInvoice)
		if !same {
			f.Errorf("line %d is %v in the draft and %v on the invoice", i+1, l, w)
		}
	}
}

// Terms that aren't recorded can be looked at.
func TestPreviewOfOtherTerms(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "2026-02-10T00:00:00Z")
	f.record(f.event("acme", "2026-01-10T00:00:00Z", "100"), f.event("acme", "2026-02-09T00:00:00Z", "50"))
	f.close("2026-01-31")
	for raw, want := range map[string]string{
		`{"account":"acme","cadence":"weekly"}`:                                            "50.00",
		`{"charges":[{"name":"fee","measure":"amount","model":"percentage","rate":"10"}]}`: "5.00",
	} {
		p := f.preview(PreviewRequest{Count: 3, Terms: []byte(raw)})
		if len(p.Drafts) != 1 || p.Drafts[0].Total.String() != want || p.Drafts[0].Lines[0].Terms > 1 {
			t.Errorf("%s: %+v", raw, p)
		}
	}
	weekly := f.preview(PreviewRequest{Terms: []byte(`{"account":"acme","cadence":"weekly"}`)})
	if len(weekly.Cycles) != 3 || !weekly.Cycles[0].End.Equal(mustTime(t, "2026-02-02T00:00:00Z")) {
		t.Errorf("%+v", weekly.Cycles)
	}
	for _, raw := range []string{`{"account":"globex"}`, `{"account":"acme","cadence":"hourly"}`, `[]`} {
		var wrong *TermsError
		if _, err := f.b.Preview(t.Context(), PreviewRequest{Account: "acme", Terms: []byte(raw)}); !errors.As(err, &wrong) {
			t.Errorf("%s: %v", raw, err)
		}
	}
	if n := f.number("SELECT count(*) FROM billing.terms"); n != 0 {
		t.Errorf("%d versions are recorded", n)
	}
}
