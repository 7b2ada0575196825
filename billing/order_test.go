package billing

import (
	"errors"
	"fmt"
	"testing"

	"deltaledger/ledger"
)

// ofOrder is an event of an order.
func (f *fixture) ofOrder(account, order, typ, at, amount string) ledger.Event {
	f.Helper()
	e := f.event(account, at, amount)
	e.Stream, e.Type = order, typ
	return e
}

const byOrder = `{"bill_on":"order","finalising":["order.completed"],"charges":[{"name":"all","measure":"amount","model":"sum"}]}`

// onInvoices is what the invoices of an account come to, oldest first, as cycle, total and for each line the
// cycle that it is for with its amount.
func (f *fixture) onInvoices(account string) []string {
	f.Helper()
	var all []string
	for _, v := range f.invoices(account) {
		text := v.CycleStart.Format("2006-01") + " " + v.Total.String()
		for _, l := range v.Lines {
			text += " | " + l.OriginStart.Format("2006-01") + " " + l.Amount.String()
			if l.Late {
				text += " late"
			}
		}
		all = append(all, text)
	}
	return all
}

func (f *fixture) wantBilled(account string, want ...string) {
	f.Helper()
	got := f.onInvoices(account)
	if len(got) != len(want) {
		f.Errorf("%s was billed %q, want %q", account, got, want)
		return
	}
	for i := range got {
		if got[i] != want[i] {
			f.Errorf("invoice %d of %s: %q, want %q", i, account, got[i], want[i])
		}
	}
}

// An order is billed in the cycle in which it is final, whenever its events occurred; what comes after is an
// adjustment of that cycle on the invoice of its own.
func TestOrdersAreBilledWhenTheyAreFinal(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "2026-02-05T00:00:00Z")
	f.terms(byOrder)
	f.record(
		f.ofOrder("acme", "o1", "order.placed", "2026-01-10T00:00:00Z", "100"),
		f.ofOrder("acme", "o2", "order.placed", "2026-01-12T00:00:00Z", "7"),
		f.ofOrder("acme", "o2", "order.completed", "2026-01-20T00:00:00Z", "0"),
		f.event("acme", "2026-01-15T00:00:00Z", "1"))
	f.close("2026-01-31")
	f.wantBilled("acme", "2026-01 8.00 | 2026-01 8.00")
	f.at("2026-02-21T00:00:00Z")
	f.record(f.ofOrder("acme", "o1", "order.changed", "2026-02-03T00:00:00Z", "-10"), f.ofOrder("acme", "o1", "order.completed", "2026-02-20T00:00:00Z", "0.5"))
	f.at("2026-03-05T00:00:00Z")
	f.close("2026-02-28")
	f.wantBilled("acme", "2026-01 8.00 | 2026-01 8.00", "2026-02 90.50 | 2026-02 90.50")
	f.record(f.ofOrder("acme", "o1", "order.returned", "2026-03-05T00:00:00Z", "-40"), f.ofOrder("acme", "o1", "order.changed", "2026-02-25T00:00:00Z", "2"))
	f.at("2026-04-05T00:00:00Z")
	done := f.close("2026-03-31")
	f.wantBilled("acme", "2026-01 8.00 | 2026-01 8.00", "2026-02 90.50 | 2026-02 90.50", "2026-03 -38.00 | 2026-02 -38.00 late")
	if done.Late != 1 {
		t.Errorf("%d events were late, want 1", done.Late)
	}
	v := f.invoices("acme")
	if l := v[2].Lines[0]; l.OriginInvoice == nil || *l.OriginInvoice != v[1].ID || l.Events != 2 {
		t.Errorf("the adjustment names invoice %v and %d events", l.OriginInvoice, l.Events)
	}
}

// An order that is finalised late goes to the first open cycle, on a line for the cycle in which it was final.
func TestOrdersThatAreFinalisedLate(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "2026-02-05T00:00:00Z")
	f.terms(byOrder)
	f.record(f.ofOrder("acme", "o1", "order.placed", "2026-01-10T00:00:00Z", "100"))
	f.close("2026-01-31")
	f.wantBilled("acme")
	f.record(f.ofOrder("acme", "o1", "order.completed", "2026-01-20T00:00:00Z", "3"))
	late, healed, err := f.b.Heal(f.Context(), "acme", f.watermark(), "night")
	if err != nil || late != 2 || healed != 2 {
		t.Errorf("healed %d of %d events: %v", healed, late, err)
	}
	f.at("2026-03-05T00:00:00Z")
	f.close("2026-02-28")
	f.wantBilled("acme", "2026-02 103.00 | 2026-01 103.00 late")
	if n := f.number("SELECT count(*) FROM billing.carried WHERE settled IS NULL"); n != 0 {
		t.Errorf("%d events wait", n)
	}
}

// An event of a finalising type that comes late, or another one, moves no order that was billed.
func TestOrdersStayWhereTheyWereBilled(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "2026-03-05T00:00:00Z")
	f.terms(byOrder)
	f.record(
		f.ofOrder("acme", "o1", "order.placed", "2026-01-10T00:00:00Z", "100"),
		f.ofOrder("acme", "o1", "order.completed", "2026-02-20T00:00:00Z", "1"),
		f.ofOrder("acme", "o1", "order.completed", "2026-02-25T00:00:00Z", "2"))
	f.close("2026-02-28")
	f.wantBilled("acme", "2026-02 103.00 | 2026-02 103.00")
	f.at("2026-04-05T00:00:00Z")
	f.record(
		f.ofOrder("acme", "o1", "order.completed", "2026-01-15T00:00:00Z", "4"),
		f.ofOrder("acme", "o1", "order.completed", "2026-03-15T00:00:00Z", "8"))
	f.close("2026-03-31")
	f.wantBilled("acme", "2026-02 103.00 | 2026-02 103.00", "2026-03 12.00 | 2026-02 12.00 late")
	f.checkOrders()
}

// Several cycles that one run closes are billed as if each had been closed in its time.
func TestOrdersInSeveralCyclesOfOneRun(t *testing.T) {
	t.Parallel()
	const tiers = `{"bill_on":"order","finalising":["order.completed"],"charges":[{"name":"tiers","measure":"amount","model":"volume",
		"tiers":[{"up_to":"100","unit_amount":"1"},{"unit_amount":"0.5"}]},
		{"name":"fee","measure":"amount","model":"percentage","rate":"10","free_events":2}]}`
	bills := map[bool][]string{}
	for _, each := range []bool{true, false} {
		f := newFixture(t, "2026-06-05T00:00:00Z")
		f.terms(tiers)
		f.record(
			f.ofOrder("acme", "o1", "order.placed", "2026-01-10T00:00:00Z", "90"),
			f.ofOrder("acme", "o1", "order.completed", "2026-02-20T00:00:00Z", "5"),
			f.ofOrder("acme", "o1", "order.changed", "2026-03-20T00:00:00Z", "25"),
			f.ofOrder("acme", "o2", "order.placed", "2026-03-21T00:00:00Z", "7"),
			f.ofOrder("acme", "o1", "order.returned", "2026-04-20T00:00:00Z", "-30"))
		for _, through := range []string{"2026-01-31", "2026-02-28", "2026-03-31"} {
			if each {
				f.close(through)
			}
		}
		f.close("2026-04-30")
		bills[each] = f.onInvoices("acme")
		if v := f.invoices("acme"); len(v) != 3 || v[2].Lines[0].OriginInvoice == nil || *v[2].Lines[0].OriginInvoice != v[0].ID {
			t.Errorf("the last of %d invoices doesn't name the first", len(v))
		}
		f.checkOrders()
	}
	if fmt.Sprint(bills[true]) != fmt.Sprint(bills[false]) || len(bills[true]) != 3 {
		t.Errorf("closed each: %q, together: %q", bills[true], bills[false])
	}
}

// Between billing by event and by order every event is billed once.
func TestChangesBetweenEventAndOrder(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "2026-02-05T00:00:00Z")
	f.terms(`{"charges":[{"name":"all","measure":"amount","model":"sum"}]}`)
	f.record(
		f.ofOrder("acme", "o1", "order.placed", "2026-01-10T00:00:00Z", "1"),
		f.ofOrder("acme", "o2", "order.completed", "2026-01-11T00:00:00Z", "2"))
	f.close("2026-01-31")
	f.terms(byOrder) // from February on
	f.at("2026-03-05T00:00:00Z")
	f.record(
		f.ofOrder("acme", "o1", "order.changed", "2026-02-10T00:00:00Z", "10"),  // waits
		f.ofOrder("acme", "o2", "order.returned", "2026-02-11T00:00:00Z", "20"), // was final before
		f.ofOrder("acme", "o3", "order.placed", "2026-02-12T00:00:00Z", "40"))   // waits
	f.close("2026-02-28")
	f.wantBilled("acme", "2026-01 3.00 | 2026-01 3.00", "2026-02 20.00 | 2026-02 20.00")
	f.at("2026-04-05T00:00:00Z")
	f.record(f.ofOrder("acme", "o1", "order.completed", "2026-03-10T00:00:00Z", "0.1"))
	f.close("2026-03-31")
	f.terms(`{"charges":[{"name":"all","measure":"amount","model":"sum"}]}`) // from April on
	f.at("2026-05-05T00:00:00Z")
	f.record(
		f.ofOrder("acme", "o4", "order.placed", "2026-03-20T00:00:00Z", "100"), // late, and its order open when the period ended
		f.ofOrder("acme", "o5", "order.placed", "2026-04-20T00:00:00Z", "200"))
	f.close("2026-04-30")
	f.wantBilled("acme", "2026-01 3.00 | 2026-01 3.00", "2026-02 20.00 | 2026-02 20.00", "2026-03 10.10 | 2026-03 10.10", "2026-04 340.00 | 2026-04 340.00")
	f.at("2026-06-05T00:00:00Z")
	f.record(f.ofOrder("acme", "o3", "order.completed", "2026-03-25T00:00:00Z", "400"))
	f.close("2026-05-31")
	if got := f.onInvoices("acme"); got[len(got)-1] != "2026-05 400.00 | 2026-04 400.00 late" {
		t.Errorf("what finalised an order that the end of the period had finalised: %q", got)
	}
	f.checkOrders()
}

// An order that moves to another account is final for both when it is final.
func TestOrderThatMovesToAnotherAccount(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "2026-02-05T00:00:00Z")
	if err := f.l.DeclareSource(f.Context(), ledger.Source{Name: "states", States: true, Numbering: ledger.NumberingStream, By: "tester"}); err != nil {
		t.Fatal(err)
	}
	f.terms(`{"bill_on":"order","finalising":["order.completed"],"charges":[{"name":"all","measure":"amount","model":"sum"},
		{"name":"each","model":"per_event","unit_amount":"1"}]}`)
	state := func(account string, seqn int64, typ, at, amount string) ledger.Event {
		e := f.ofOrder(account, "o1", typ, at, amount)
		e.Source, e.Seqn, e.HasSeqn = "states", seqn, true
		e.State, e.Amount = []ledger.Measure{{Name: "amount", Value: e.Amount}}, ledger.Amount{}
		return e
	}
	f.record(state("acme", 1, "order.placed", "2026-01-10T00:00:00Z", "100"), f.event("globex", "2026-01-10T00:00:00Z", "0"))
	f.close("2026-01-31")
	f.at("2026-03-05T00:00:00Z")
	f.record(state("globex", 2, "order.changed", "2026-02-10T00:00:00Z", "70"))
	f.close("2026-02-28")
	f.wantBilled("acme")
	f.at("2026-04-05T00:00:00Z")
	f.record(state("globex", 3, "order.completed", "2026-03-10T00:00:00Z", "80"))
	f.close("2026-03-31")
	f.wantBilled("acme", "2026-03 1.00 | 2026-03 0.00 | 2026-03 1.00")
	f.wantBilled("globex", "2026-01 1.00 | 2026-01 0.00 | 2026-01 1.00", "2026-03 82.00 | 2026-03 80.00 | 2026-03 2.00")
	f.checkOrders()
}

// checkOrders holds the ledger against those laws of bills that any charges keep.
func (f *fixture) checkOrders() {
	f.Helper()
	for law, sql := range laws {
		if n := f.number(sql); n != 0 && law != "the lines of a cycle don't add up to its rounded price" && law != "a line doesn't hold what the pins say" {
			f.Errorf("%s: %d", law, n)
		}
	}
}

// What waits is seen: in the preview, in the list of open orders, and in the trace of the event.
func TestOpenOrdersAreSeen(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "2026-02-20T00:00:00Z")
	f.terms(byOrder)
	late := f.ofOrder("acme", "o1", "order.placed", "2026-01-10T00:00:00Z", "100")
	f.record(late,
		f.ofOrder("acme", "o2", "order.placed", "2026-02-11T00:00:00Z", "7"),
		f.ofOrder("acme", "o3", "order.placed", "2026-01-12T00:00:00Z", "3"),
		f.ofOrder("acme", "o3", "order.completed", "2026-02-13T00:00:00Z", "0.5"),
		f.ofOrder("globex", "o4", "order.placed", "2026-02-13T00:00:00Z", "9"))
	f.close("2026-01-31")
	f.record(f.ofOrder("acme", "o1", "order.changed", "2026-02-14T00:00:00Z", "-1"))
	p, err := f.b.Preview(f.Context(), PreviewRequest{Account: "acme"})
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Drafts) != 1 || p.Drafts[0].Total.String() != "3.50" || len(p.Waiting) != 1 {
		t.Fatalf("drafts %+v, waiting %+v", p.Drafts, p.Waiting)
	}
	if w := p.Waiting[0]; w.Orders != 2 || w.Events != 3 || w.Amount.String() != "106.00" || !w.Oldest.Equal(late.OccurredAt) {
		t.Errorf("waiting: %+v", w)
	}
	var seen []string
	for cursor := "-"; cursor != ""; {
		q := OpenOrderQuery{Limit: 1}
		if cursor != "-" {
			q.Cursor = cursor
		}
		page, err := f.b.OpenOrders(f.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range page.Orders {
			seen = append(seen, fmt.Sprintf("%s %s/%s %s %s %d", o.Account, o.Source, o.Stream, o.Amount, o.Currency, o.Events))
		}
		cursor = page.Next
	}
	if want := "[acme orders/o1 99.00 USD 2 acme orders/o2 7.00 USD 1 globex orders/o4 9.00 USD 1]"; fmt.Sprint(seen) != want {
		t.Errorf("open are %v, want %s", seen, want)
	}
	page, err := f.b.OpenOrders(f.Context(), OpenOrderQuery{Account: "globex"})
	if err != nil || len(page.Orders) != 1 || page.Next != "" {
		t.Errorf("of globex: %+v, %v", page, err)
	}
	if _, err := f.b.OpenOrders(f.Context(), OpenOrderQuery{Cursor: "x"}); !errors.Is(err, ledger.ErrInvalid) {
		t.Errorf("a cursor that is none: %v", err)
	}
	trace, err := f.b.Trace(f.Context(), late.Source, late.ID)
	if err != nil || trace.Rows[0].Unbilled == nil || trace.Rows[0].Unbilled.Reason != ReasonOrderOpen {
		t.Errorf("the trace of an event that waits: %+v, %v", trace, err)
	}
}

// What is recorded of a type before any terms name it counts as what comes after.
func TestTypesThatAreNamedLate(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "2026-02-05T00:00:00Z")
	f.record(f.ofOrder("acme", "o1", "order.placed", "2026-01-10T00:00:00Z", "100"), f.ofOrder("acme", "o1", "order.shipped", "2026-01-11T00:00:00Z", "1"))
	f.terms(`{"bill_on":"order","finalising":["order.completed"],"charges":[{"name":"all","measure":"amount","model":"sum"}]}`)
	supposed := []byte(`{"bill_on":"order","finalising":["order.shipped"],"charges":[{"name":"all","measure":"amount","model":"sum"}]}`)
	p, err := f.b.Preview(f.Context(), PreviewRequest{Account: "acme", Terms: supposed})
	if err != nil || len(p.Drafts) != 1 || len(p.Waiting) != 0 {
		t.Errorf("drafts %+v, waiting %+v: %v", p.Drafts, p.Waiting, err)
	}
	if p, err = f.b.Preview(f.Context(), PreviewRequest{Account: "acme"}); err != nil || len(p.Drafts) != 0 || len(p.Waiting) != 1 {
		t.Errorf("drafts %+v, waiting %+v: %v", p.Drafts, p.Waiting, err)
	}
	f.terms(string(supposed))
	f.close("2026-01-31")
	f.wantBilled("acme", "2026-01 101.00 | 2026-01 101.00")
}
