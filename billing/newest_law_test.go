package billing

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"
	"pgregory.net/rapid"

	"deltaledger/ledger"
)

// newestWorld is one account whose charges change for closed cycles again and again, while its invoices are voided. Its
// prices are linear and have no fractions of a cent, so that what a set of events costs doesn't depend on their cycles.
type newestWorld struct {
	*fixture
	rt      *rapid.T
	account string
	year    int
	charges []Charge // of the newest terms
	events  map[int64]ledger.Event
	adjusts decimal.Decimal // of all adjustments
}

var linearCharges = []string{
	`{"name":"a","measure":"amount","model":"sum"}`,
	`{"name":"a","measure":"amount","types":["order.placed"],"model":"percentage","rate":"10","fixed_amount":"0.10"}`,
	`{"name":"a","measure":"amount","types":["order.placed","call.made"],"model":"percentage","rate":"20"}`,
	`{"name":"b","types":["call.made"],"model":"per_event","unit_amount":"0.25"}`,
	`{"name":"b","model":"per_event","unit_amount":"0.5"}`,
	`{"name":"b","measure":"amount","types":["order.returned"],"model":"percentage","rate":"50"}`,
	`{"name":"c","measure":"quantity","model":"per_unit","unit_amount":"3"}`,
}

func (w *newestWorld) date(month, day int) string {
	return fmt.Sprintf("%d-%02d-%02d", w.year, month, day)
}

// draw draws terms that hold from the first cycle on.
func (w *newestWorld) draw() string {
	picked := map[byte]string{}
	for range rapid.IntRange(1, 3).Draw(w.rt, "charges") {
		c := rapid.SampledFrom(linearCharges).Draw(w.rt, "charge")
		picked[c[len(`{"name":"`)]] = c
	}
	var all []string
	for _, name := range []byte("abc") {
		if picked[name] != "" {
			all = append(all, picked[name])
		}
	}
	return fmt.Sprintf(`{"account":%q,"grace":"0h","effective_from":%q,"charges":[%s]}`, w.account, w.date(1, 1), strings.Join(all, ","))
}

func (w *newestWorld) set(t Terms) { w.charges = t.Charges }

// bring records events of months before one.
func (w *newestWorld) bring(month int) {
	for range rapid.IntRange(0, 5).Draw(w.rt, "events") {
		at := w.date(rapid.IntRange(1, month-1).Draw(w.rt, "month"), rapid.IntRange(1, 27).Draw(w.rt, "day"))
		e := w.event(w.account, at+"T00:00:00Z", fmt.Sprint(rapid.IntRange(-9, 50).Draw(w.rt, "amount")))
		e.Type = rapid.SampledFrom([]string{"order.placed", "order.placed", "order.returned", "call.made"}).Draw(w.rt, "type")
		e.Quantity, _ = ledger.ParseAmount(fmt.Sprint(rapid.IntRange(-1, 3).Draw(w.rt, "quantity")))
		w.events[w.record(e)[0]] = e
	}
}

func (w *newestWorld) adjustSome(month int) {
	if len(w.events) == 0 || rapid.IntRange(0, 3).Draw(w.rt, "adjust") != 0 {
		return
	}
	r := AdjustRequest{Account: w.account, Amount: fmt.Sprint(rapid.IntRange(1, 9).Draw(w.rt, "adjustment")), Currency: "USD", Reason: "agreed", By: "jane"}
	if month > 2 && rapid.Bool().Draw(w.rt, "of a closed cycle") {
		r.Cycle = mustDate(w.fixture, w.date(1, 5))
	}
	if _, err := w.b.Adjust(w.Context(), r); err != nil {
		w.rt.Fatal(err)
	}
	w.adjusts = w.adjusts.Add(dec(r.Amount))
}

func (w *newestWorld) voidSome() {
	for range 2 {
		live := w.live(w.account)
		if len(live) == 0 || rapid.IntRange(0, 2).Draw(w.rt, "void") != 0 {
			return
		}
		outcome := rapid.SampledFrom([]Outcome{Rebill, Rebill, WriteOff}).Draw(w.rt, "outcome")
		r := VoidRequest{Invoice: live[rapid.IntRange(0, len(live)-1).Draw(w.rt, "invoice")].ID.String(), Outcome: outcome, Why: "wrong", By: "jane"}
		if _, err := w.b.Void(w.Context(), r); err != nil && !(outcome == WriteOff && strings.Contains(err.Error(), "brought other terms for its cycles since")) {
			w.rt.Fatal(err)
		}
	}
}

// check holds the live lines against the newest terms: they come to what these make of the events on live invoices, less
// what written-off invoices brought of other invoices' events. Everything that the terms select is on one live or one
// written-off invoice.
func (w *newestWorld) check(when string) {
	lines, givenUp, adjusted := decimal.Zero, decimal.Zero, decimal.Zero
	want, pinned := decimal.Zero, map[int64]int{}
	for _, v := range w.invoices(w.account) {
		if err := recompute(v); err != nil {
			w.rt.Fatal(err)
		}
		if v.Status == Void && v.Outcome == Rebill {
			continue
		}
		for _, l := range v.Lines {
			switch {
			case l.Adjustment != nil:
				adjusted = adjusted.Add(l.Amount.Amount)
			case v.Status != Void:
				lines = lines.Add(l.Amount.Amount)
			case l.Adjusts != "":
				c, err := ParseCharge(l.Definition)
				if err != nil {
					w.rt.Fatal(err)
				}
				_, own := l.Inputs()
				givenUp = givenUp.Add(l.Amount.Amount)
				if c.Model != ModelAdjustment {
					givenUp = givenUp.Sub(c.Price(own))
				}
			}
		}
		for _, at := range w.fixture.events(v.ID) {
			pinned[at]++
			if v.Status == Void {
				continue
			}
			e := w.events[at]
			for _, c := range w.charges {
				if c.SelectsType(e.Type) {
					in := Inputs{Sum: e.Amount.Decimal(), Count: 1}
					if c.Measure == "quantity" {
						in.Sum = e.Quantity.Decimal()
					}
					want = want.Add(c.Price(in))
				}
			}
		}
	}
	if !lines.Add(givenUp).Equal(want) {
		w.rt.Fatalf("%s: the lines come to %s and %s was given up; the newest terms make %s\n%s", when, lines, givenUp, want, w.story(w.account))
	}
	if !adjusted.Equal(w.adjusts) {
		w.rt.Fatalf("%s: adjustments come to %s, and %s were billed", when, w.adjusts, adjusted)
	}
	for at, e := range w.events {
		selected := slices.ContainsFunc(w.charges, func(c Charge) bool { return c.SelectsType(e.Type) })
		if n := pinned[at]; n > 1 || n == 0 && selected {
			w.rt.Fatalf("%s: event %s of %s is on %d invoices", when, e.ID, e.Type, n)
		}
	}
}

// Whatever happens to invoices that bring terms for closed cycles, late events and adjustments: what is billed by the
// ones that count is what the newest terms make of all events. A rebill bills again what the voided invoice did, once, and a
// write-off is never billed again.
func TestVoidsBesideReratings(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "2020-01-01T00:00:00Z")
	round := 0
	rapid.Check(t, func(rt *rapid.T) {
		if round++; round > *worlds && !t.Failed() {
			return
		}
		w := &newestWorld{fixture: f, rt: rt, account: fmt.Sprint("acme-", round), year: 2020 + round%60, events: map[int64]ledger.Event{}}
		f.at(w.date(1, 1) + "T00:00:00Z")
		w.set(f.terms(w.draw()))
		for month := 2; month <= 6; month++ {
			f.at(w.date(month, 1) + "T01:00:00Z")
			if month < 6 {
				w.bring(month)
			}
			if month > 2 && len(w.events) > 0 && rapid.Bool().Draw(rt, "terms for closed cycles") {
				done, err := f.b.AdjustClosed(t.Context(), []byte(w.draw()), "agreed late", "jane")
				if err == nil {
					w.set(done.Terms)
				} else if !strings.Contains(err.Error(), "closed cycle that was billed") {
					rt.Fatal(err)
				}
			}
			w.adjustSome(month)
			f.close(w.date(month, 1), w.account)
			w.check("closed before " + w.date(month, 1))
			w.voidSome()
			w.check("void after " + w.date(month, 1))
		}
		f.at(w.date(7, 1) + "T01:00:00Z")
		f.close(w.date(7, 1), w.account)
		w.check("closed once more")
	})
}

// story is every invoice of an account with its lines, for the message of a law that doesn't hold.
func (f *fixture) story(account string) string {
	var s strings.Builder
	for _, v := range f.invoices(account) {
		fmt.Fprintf(&s, "%s of %s, at %d: %s %s %s, rebills %v\n", v.ID, v.CycleStart.Format(time.DateOnly), v.Position, v.Status, v.Outcome, v.Total, v.Rebills)
		for _, l := range v.Lines {
			fmt.Fprintf(&s, "  %s by %d of %s: %d pinned, adds %s of %d to %s of %d, billed %s, %s %s %s\n", l.Charge, l.Terms, l.OriginStart.Format(time.DateOnly),
				l.Pinned, l.Added, l.Events, l.Before, l.BeforeCounted, l.Billed, l.Amount, l.Adjusts, l.Definition)
		}
	}
	return s.String()
}
