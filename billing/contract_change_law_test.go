package billing

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/shopspring/decimal"
	"pgregory.net/rapid"

	"deltaledger/ledger"
)

// contractWorld is an account with allowances over the contract in its first cycles.
type contractWorld struct {
	*fixture
	rt            *rapid.T
	account, twin string
	year, changes int // the month from which charges without a contract hold
	waves         [][]ledger.Event
}

var contractCharges = []string{
	`{"name":"a","measure":"quantity","model":"per_unit","unit_amount":"2","free_units":"5","free_per":"contract"}`,
	`{"name":"a","measure":"quantity","model":"graduated","tiers":[{"up_to":"3","unit_amount":"2"},{"unit_amount":"1.5"}],"maximum":"12","maximum_per":"contract"}`,
	`{"name":"b","types":["order.placed"],"model":"per_event","unit_amount":"0.5","free_units":"2","free_per":"contract","maximum":"3","maximum_per":"contract"}`,
	`{"name":"b","measure":"amount","model":"percentage","rate":"10","free_amount":"40","free_per":"contract"}`,
}

var plainCharges = []string{
	`{"name":"a","measure":"quantity","model":"per_unit","unit_amount":"3"}`,
	`{"name":"a","measure":"amount","model":"percentage","rate":"7"}`,
	`{"name":"b","measure":"quantity","model":"volume","tiers":[{"up_to":"5","unit_amount":"2","flat_amount":"1"},{"unit_amount":"1.111"}]}`,
	`{"name":"c","types":["order.placed"],"model":"per_event","unit_amount":"0.333","free_units":"1"}`,
}

// draw draws terms that are wanted from a month on.
func (w *contractWorld) draw(month int, of []string) string {
	picked := map[string]string{}
	for range rapid.IntRange(1, 2).Draw(w.rt, "charges") {
		c := rapid.SampledFrom(of).Draw(w.rt, "charge")
		picked[c[:len(`{"name":"a"`)]] = c
	}
	var all []string
	for _, name := range []string{"a", "b", "c"} {
		if c := picked[`{"name":"`+name+`"`]; c != "" {
			all = append(all, c)
		}
	}
	return fmt.Sprintf(`"grace":"0h","contract":"2026/1","effective_from":"%d-%02d-01","charges":[%s]}`, w.year, month, strings.Join(all, ","))
}

func (w *contractWorld) bring(month int) {
	for range rapid.IntRange(1, 6).Draw(w.rt, "events") {
		in := rapid.IntRange(1, month-1).Draw(w.rt, "month")
		e := w.event(w.account, fmt.Sprintf("%d-%02d-%02dT00:00:00Z", w.year, in, rapid.IntRange(1, 27).Draw(w.rt, "day")), fmt.Sprint(rapid.IntRange(-5, 40).Draw(w.rt, "amount")))
		e.Quantity, _ = ledger.ParseAmount(fmt.Sprint(rapid.IntRange(-2, 4).Draw(w.rt, "quantity")))
		e.Type = rapid.SampledFrom([]string{"order.placed", "order.placed", "call.made"}).Draw(w.rt, "type")
		w.record(e)
		e.Account, e.ID = w.twin, e.ID+"-twin"
		w.waves[in] = append(w.waves[in], e)
	}
}

// An account whose charges have allowances over the contract until some month, and others from there on that are changed
// for closed cycles again and again: in the end every cycle is billed as that of an account that had the last terms when it
// closed its cycles, and got everything on time. Late events of the contract's cycles, and rebills, don't disturb it.
func TestContractsBesideReratings(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "2020-01-01T00:00:00Z")
	round := 0
	rapid.Check(t, func(rt *rapid.T) {
		if round++; round > *worlds && !t.Failed() {
			return
		}
		w := &contractWorld{
			fixture: f, rt: rt, account: fmt.Sprint("acme-", round), twin: fmt.Sprint("twin-", round), year: 2020 + round%60,
			changes: rapid.IntRange(2, 4).Draw(rt, "changes in"), waves: make([][]ledger.Event, 7),
		}
		first, last := w.draw(1, contractCharges), w.draw(w.changes, plainCharges)
		f.at(fmt.Sprintf("%d-01-01T00:00:00Z", w.year))
		for _, account := range []string{w.account, w.twin} {
			f.terms(fmt.Sprintf(`{"account":%q,`, account) + first)
		}
		f.terms(fmt.Sprintf(`{"account":%q,`, w.account) + last)
		for month := 2; month <= 7; month++ {
			f.at(fmt.Sprintf("%d-%02d-01T01:00:00Z", w.year, month))
			if month < 7 {
				w.bring(month)
			}
			if month > w.changes+1 {
				for range rapid.IntRange(0, 2).Draw(rt, "terms for closed cycles") {
					next := fmt.Sprintf(`{"account":%q,`, w.account) + w.draw(w.changes, plainCharges)
					if _, err := f.b.AdjustClosed(t.Context(), []byte(next), "agreed", "jane"); err == nil {
						last = strings.TrimPrefix(next, fmt.Sprintf(`{"account":%q,`, w.account))
					} else if !strings.Contains(err.Error(), "closed cycle that was billed") {
						rt.Fatal(err)
					}
				}
			}
			f.close(fmt.Sprintf("%d-%02d-01", w.year, month), w.account)
			if live := f.live(w.account); rapid.IntRange(0, 2).Draw(rt, "rebill") == 0 && len(live) > 0 {
				f.void(live[rapid.IntRange(0, len(live)-1).Draw(rt, "invoice")].ID.String(), Rebill)
			}
		}
		f.terms(fmt.Sprintf(`{"account":%q,`, w.twin) + last)
		for in, events := range w.waves {
			if in > 0 && len(events) > 0 {
				w.record(events...)
			}
		}
		f.close(fmt.Sprintf("%d-07-01", w.year), w.twin)
		if got, want := f.byCycle(w.account), f.byCycle(w.twin); !maps.Equal(got, want) {
			rt.Fatalf("billed in steps: %v\nat once: %v\n%s", got, want, f.story(w.account))
		}
	})
}

// Where bill_on is order, what is carried through a contract goes by the cycles in which orders are final. Once all are,
// the lines of all cycles come to what one cycle of everything would: the allowance is used once, however orders came to
// their end, late events of orders that were billed included, and whatever was billed again.
func TestContractsBesideOrders(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "2020-01-01T00:00:00Z")
	charges := []string{
		`{"name":"a","measure":"quantity","model":"per_unit","unit_amount":"2","free_units":"5","free_per":"contract"}`,
		`{"name":"a","measure":"quantity","model":"per_unit","unit_amount":"2","free_units":"3","free_per":"contract","maximum":"20","maximum_per":"contract"}`,
		`{"name":"a","model":"per_event","unit_amount":"0.5","free_units":"4","free_per":"contract"}`,
		`{"name":"a","measure":"quantity","model":"percentage","rate":"200","free_amount":"6","free_per":"contract"}`,
	}
	round := 0
	rapid.Check(t, func(rt *rapid.T) {
		if round++; round > *worlds && !t.Failed() {
			return
		}
		account, year := fmt.Sprint("acme-", round), 2020+round%60
		charge := rapid.SampledFrom(charges).Draw(rt, "charge")
		f.at(fmt.Sprintf("%d-01-01T00:00:00Z", year))
		terms := f.terms(fmt.Sprintf(`{"account":%q,"start":"%d-01-01","grace":"0h","bill_on":"order","finalising":["order.completed"],"charges":[%s]}`, account, year, charge))
		all := Inputs{}
		record := func(month int, stream, typ, quantity string) {
			at := fmt.Sprintf("%d-%02d-%02dT00:00:00Z", year, month, rapid.IntRange(1, 27).Draw(rt, "day"))
			e := f.event(account, at, "1")
			e.Stream, e.Type = fmt.Sprint(account, "/", stream), typ
			e.Quantity, _ = ledger.ParseAmount(quantity)
			all.Sum, all.Count = all.Sum.Add(e.Quantity.Decimal()), all.Count+1
			f.record(e)
		}
		for month := 2; month <= 6; month++ {
			f.at(fmt.Sprintf("%d-%02d-01T01:00:00Z", year, month))
			for range rapid.IntRange(1, 6).Draw(rt, "events") {
				record(rapid.IntRange(1, month-1).Draw(rt, "month"), rapid.SampledFrom([]string{"o1", "o2", "o3", "o4"}).Draw(rt, "order"),
					rapid.SampledFrom([]string{"order.placed", "order.placed", "order.placed", "order.completed"}).Draw(rt, "type"), fmt.Sprint(rapid.IntRange(-1, 4).Draw(rt, "quantity")))
			}
			if month == 6 {
				for _, order := range []string{"o1", "o2", "o3", "o4"} {
					record(5, order, "order.completed", "0")
				}
			}
			f.close(fmt.Sprintf("%d-%02d-01", year, month), account)
			if live := f.live(account); rapid.IntRange(0, 2).Draw(rt, "rebill") == 0 && len(live) > 0 {
				f.void(live[rapid.IntRange(0, len(live)-1).Draw(rt, "invoice")].ID.String(), Rebill)
			}
		}
		sum := decimal.Zero
		for _, v := range f.live(account) {
			sum = sum.Add(v.Total.Amount)
			if err := recompute(v); err != nil {
				rt.Fatal(err)
			}
		}
		if want := terms.Charges[0].Price(all); !sum.Equal(want) {
			rt.Fatalf("the invoices come to %s, and everything at once to %s (%s, %d events)", sum, want, all.Sum, all.Count)
		}
		for law, sql := range contractLaws {
			if n := f.number(sql); n != 0 {
				rt.Errorf("%s: %d", law, n)
			}
		}
	})
}
