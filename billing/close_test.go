package billing

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"deltaledger/ledger"
)

func TestCloseBillsACycle(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "2026-02-03T00:00:00Z")
	at := f.record(
		f.event("acme", "2026-01-01T00:00:00Z", "10.00"),
		f.event("acme", "2026-01-31T23:59:59.999999Z", "0.505"),
		f.event("acme", "2026-02-01T00:00:00Z", "99"),
		f.event("other", "2026-01-15T00:00:00Z", "-3"),
	)
	done := f.close("2026-01-31")
	if done.Cycles != 2 || done.Invoices != 2 || done.Pinned != 3 || done.Late != 0 || done.Totals["USD"].String() != "7.51" {
		t.Errorf("result: %+v", done)
	}
	all := f.invoices("acme")
	if len(all) != 1 {
		t.Fatalf("%d invoices of acme", len(all))
	}
	v := all[0]
	if !strings.HasPrefix(v.Number, "INV-00000") || v.Status != Issued || v.Total.String() != "10.51" || v.Events != 2 || len(v.Lines) != 1 {
		t.Errorf("invoice: %+v", v)
	}
	if got := f.events(v.ID); !slices.Equal(got, at[:2]) {
		t.Errorf("pins %v, want %v", got, at[:2])
	}
	if again := f.close("2026-01-31"); again.Invoices != 0 || again.Cycles != 0 || again.Late != 0 {
		t.Errorf("closed again: %+v", again)
	}
}

func TestGraceKeepsACycleOpen(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "2026-02-02T23:59:59Z")
	f.record(f.event("acme", "2026-01-10T00:00:00Z", "1"))
	done := f.close("2026-01-31")
	if done.Invoices != 0 || len(done.Skipped) != 1 {
		t.Fatalf("result: %+v", done)
	}
	if s := done.Skipped[0]; s.Account != "acme" || !s.ClosableFrom.Equal(mustTime(t, "2026-02-03T00:00:00Z")) {
		t.Errorf("skipped: %+v", s)
	}
	f.at("2026-02-03T00:00:00Z")
	if done := f.close("2026-01-31"); done.Invoices != 1 || len(done.Skipped) != 0 {
		t.Errorf("after the grace: %+v", done)
	}
}

func TestLateEventsGoToTheNextCycle(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "2026-02-03T00:00:00Z")
	f.terms(`{"charges":[{"name":"fee","measure":"amount","model":"percentage","rate":"1.5"}]}`)
	f.record(f.event("acme", "2026-01-10T00:00:00Z", "10.30")) // 0.1545 -> 0.15
	f.close("2026-01-31")
	f.record(f.event("acme", "2026-01-20T00:00:00Z", "0.05"), f.event("acme", "2026-02-03T12:00:00Z", "100")) // 0.15525 -> 0.16
	if done := f.close("2026-01-31"); done.Invoices != 0 {
		t.Fatalf("January billed again: %+v", done)
	}
	f.at("2026-03-10T00:00:00Z")
	done := f.close("2026-02-28")
	if done.Late != 1 || done.Pinned != 2 {
		t.Fatalf("result: %+v", done)
	}
	all := f.invoices("acme")
	lines := all[1].Lines
	if len(lines) != 2 || lines[0].Late || !lines[1].Late {
		t.Fatalf("lines: %+v", lines)
	}
	l := lines[1]
	if l.OriginInvoice == nil || *l.OriginInvoice != all[0].ID || !l.OriginStart.Equal(mustTime(t, "2026-01-01T00:00:00Z")) {
		t.Errorf("late line doesn't name January: %+v", l)
	}
	f.sameMoney("before", l.Before, "10.30")
	f.sameMoney("billed", l.Billed.Amount, "0.15")
	f.sameMoney("late amount", l.Amount.Amount, "0.01")
	f.sameMoney("late exact", l.Exact, "0.00075")
	if all[1].Total.String() != "1.51" {
		t.Errorf("total %s", all[1].Total)
	}
	if n := f.number("SELECT count(*) FROM billing.late_events WHERE found_by = 'close' AND target_start = '2026-02-01Z'"); n != 1 {
		t.Errorf("%d records of lateness", n)
	}
}

// An account that nothing was known of when a run passed its cycle is late for it.
func TestAccountFirstSeenLaterIsLate(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "2026-02-03T00:00:00Z")
	f.record(f.event("acme", "2026-01-10T00:00:00Z", "1"))
	f.close("2026-01-31")
	f.record(f.event("new", "2026-01-15T00:00:00Z", "5"), f.event("acme", "1999-06-01T00:00:00Z", "7"))
	if done := f.close("2026-01-31"); done.Invoices != 0 {
		t.Fatalf("a closed month was billed: %+v", done)
	}
	end, w, err := f.b.ClosedThrough(t.Context(), "new")
	if err != nil || !end.Equal(mustTime(t, "2026-02-01T00:00:00Z")) || w != f.number("SELECT min(watermark) FROM billing.close_runs") {
		t.Errorf("closed through %s at %d: %v", end, w, err)
	}
	f.at("2026-03-05T00:00:00Z")
	if done := f.close("2026-02-28"); done.Late != 2 || done.Invoices != 2 {
		t.Fatalf("result: %+v", done)
	}
	l := f.invoices("new")[0].Lines[0]
	if !l.Late || l.OriginInvoice != nil || l.Before.Sign() != 0 {
		t.Errorf("line: %+v", l)
	}
	if l := f.invoices("acme")[1].Lines[0]; !l.OriginStart.Equal(mustTime(t, "1999-06-01T00:00:00Z")) {
		t.Errorf("line: %+v", l)
	}
}

// Closing one account says nothing about the others.
func TestCloseOfOneAccount(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "2026-02-03T00:00:00Z")
	f.record(f.event("acme", "2026-01-10T00:00:00Z", "1"), f.event("other", "2026-01-10T00:00:00Z", "1"))
	if done := f.close("2026-01-31", "acme"); done.Invoices != 1 {
		t.Fatalf("result: %+v", done)
	}
	f.record(f.event("new", "2026-01-11T00:00:00Z", "1"))
	if done := f.close("2026-01-31"); done.Invoices != 2 || done.Late != 0 {
		t.Fatalf("result: %+v", done)
	}
	_, err := f.b.Close(t.Context(), CloseRequest{Through: mustDate(t, "2026-01-31"), Account: "nobody", By: "tester"})
	if !errors.Is(err, ledger.ErrNotFound) {
		t.Errorf("an unknown account: %v", err)
	}
}

// An account with terms and no events is closed by its row, also when it is closed alone.
func TestCloseOfAnAccountWithoutEvents(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "2026-02-03T00:00:00Z")
	f.terms(`{"account":"idle","charges":[{"name":"fee","measure":"amount","model":"sum"}]}`)
	f.close("2026-01-31", "idle")
	f.record(f.event("idle", "2026-01-20T00:00:00Z", "4"))
	f.at("2026-03-04T00:00:00Z")
	if done := f.close("2026-02-28"); done.Late != 1 {
		t.Errorf("result: %+v", done)
	}
}

func TestUncoveredEventsAreNotPinned(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "2026-02-03T00:00:00Z")
	f.terms(`{"charges":[{"name":"a","measure":"amount","types":["order.placed"],"model":"sum"},
		{"name":"b","measure":"amount","types":["order.placed","order.returned"],"model":"percentage","rate":"10"},
		{"name":"c","measure":"quantity","types":["order.placed"],"model":"sum"}]}`)
	other := f.event("acme", "2026-01-10T00:00:00Z", "7")
	other.Type = "page.viewed"
	returned := f.event("acme", "2026-01-10T00:00:00Z", "-2")
	returned.Type = "order.returned"
	euro := f.event("acme", "2026-01-11T00:00:00Z", "3")
	euro.Currency = "EUR"
	f.record(f.event("acme", "2026-01-10T00:00:00Z", "10"), other, returned, euro)
	done := f.close("2026-01-31")
	if done.Pinned != 3 || done.Invoices != 2 {
		t.Fatalf("result: %+v", done)
	}
	all := f.invoices("acme")
	if all[0].Currency != "EUR" || all[0].Total.String() != "3.30" || all[1].Total.String() != "10.80" {
		t.Errorf("invoices: %+v", all)
	}
	if l := all[1].Lines; len(l) != 3 || l[0].Charge != "a" || l[0].Events != 1 || l[1].Events != 2 || l[2].Amount.Amount.Sign() != 0 {
		t.Errorf("lines: %+v", l)
	}
}

func TestInvoicePerStream(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "2026-02-03T00:00:00Z")
	f.terms(`{"group_by":"stream","charges":[{"name":"a","measure":"amount","model":"sum"}]}`)
	in := func(source, stream, amount, at string) ledger.Event {
		e := f.event("acme", at, amount)
		e.Source, e.Stream = source, stream
		return e
	}
	f.record(in("a", "b/c", "1", "2026-01-02T00:00:00Z"), in("a/b", "c", "2", "2026-01-03T00:00:00Z"),
		in("a", "b/c", "4", "2026-01-04T00:00:00Z"), in("a", "", "8", "2026-01-05T00:00:00Z"))
	if done := f.close("2026-01-31"); done.Invoices != 3 {
		t.Fatalf("result: %+v", done)
	}
	f.record(in("a/b", "c", "16", "2026-01-06T00:00:00Z"))
	f.at("2026-03-04T00:00:00Z")
	f.close("2026-02-28")
	got := map[string]string{}
	all := f.invoices("acme")
	for _, v := range all[:3] {
		got[v.Stream] = v.Total.String()
	}
	if got[""] != "8.00" || got["a/b/c"] != "5.00" || got["a%2Fb/c"] != "2.00" {
		t.Errorf("invoices: %v", got)
	}
	late := all[3]
	if late.Stream != "a%2Fb/c" || late.Lines[0].OriginInvoice == nil || late.Lines[0].Before.String() != "2" {
		t.Errorf("late: %+v", late)
	}
}

// Cycles that were never closed are closed in order, each with what happened in it.
func TestManyCyclesAtOnce(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "2026-05-03T00:00:00Z")
	f.record(f.event("acme", "2025-12-10T00:00:00Z", "1"), f.event("acme", "2026-02-10T00:00:00Z", "2"),
		f.event("acme", "0001-01-02T00:00:00Z", "4"), f.event("acme", "2026-05-01T00:00:00Z", "8"))
	done := f.close("2026-04-30")
	if done.Cycles != 3 || done.Invoices != 3 || done.Late != 0 {
		t.Fatalf("result: %+v", done)
	}
	all := f.invoices("acme")
	if all[0].CycleStart.Year() != 1 || all[1].Total.String() != "1.00" || all[2].CycleStart.Month() != time.February || all[2].Number != "INV-000003" {
		t.Errorf("invoices: %+v", all)
	}
}

// Terms act from the first boundary that isn't closed, also for accounts that a run passed without a row.
func TestTermsActAfterTheClose(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "2026-02-03T00:00:00Z")
	f.record(f.event("acme", "2026-01-10T00:00:00Z", "10"))
	f.close("2026-02-15") // through January
	weekly := `{"account":%q,"effective_from":"2026-01-01","cadence":"weekly","grace":"0h","charges":[{"name":"a","measure":"amount","model":"sum"}]}`
	for _, account := range []string{"acme", "quiet"} {
		v := f.terms(fmt.Sprintf(weekly, account))
		if !v.NotBefore.Equal(mustTime(t, "2026-02-01T00:00:00Z")) {
			t.Errorf("%s: not before %s", account, v.NotBefore)
		}
		if again := f.terms(fmt.Sprintf(weekly, account)); again.Version != v.Version {
			t.Errorf("%s: the same terms got a second version", account)
		}
	}
	// The run of above closed January, also by a calendar that has boundaries in early February.
	f.at("2026-02-20T00:00:00Z")
	f.record(f.event("quiet", "2026-02-01T12:00:00Z", "3"))
	done := f.close("2026-02-15")
	if done.Invoices != 1 || done.Late != 0 {
		t.Fatalf("result: %+v", done)
	}
	if v := f.invoices("quiet")[0]; !v.CycleStart.Equal(mustTime(t, "2026-02-01T00:00:00Z")) || !v.CycleEnd.Equal(mustTime(t, "2026-02-02T00:00:00Z")) {
		t.Errorf("invoice: %+v", v)
	}
	view, err := f.b.TermsOf(t.Context(), "acme")
	if err != nil || view.InForce.Cadence != Weekly || len(view.History) != 2 || len(view.Coming) != 3 {
		t.Errorf("terms: %+v %v", view, err)
	}
}

func TestSetTermsRefuses(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "2026-02-03T00:00:00Z")
	for _, raw := range []string{
		`{"charges":[{"name":"a","measure":"clicks","model":"sum"}]}`,
		`{"charges":[{"name":"a","measure":"account","model":"sum"}]}`,
		`{}`,
	} {
		var wrong *TermsError
		if _, err := f.b.SetTerms(t.Context(), []byte(raw), "tester"); !errors.As(err, &wrong) {
			t.Errorf("%s: %v", raw, err)
		}
	}
	if n := f.number("SELECT count(*) FROM billing.terms"); n != 0 {
		t.Errorf("%d versions were recorded", n)
	}
}
