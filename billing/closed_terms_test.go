package billing

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/shopspring/decimal"
	"pgregory.net/rapid"

	"deltaledger/ledger"
)

// again records terms for closed cycles.
func (f *fixture) again(raw string) ClosedTerms {
	f.Helper()
	done, err := f.b.AdjustClosed(f.Context(), []byte(raw), "agreed late", "jane")
	if err != nil {
		f.Fatal(err)
	}
	return done
}

// byCycle adds up the live lines of an account by original cycle and charge.
func (f *fixture) byCycle(account string) map[string]string {
	f.Helper()
	sums := map[string]decimal.Decimal{}
	for _, v := range f.invoices(account) {
		if err := recompute(v); err != nil {
			f.Error(err)
		}
		if _, err := f.b.Explain(f.Context(), v.ID.String()); err != nil {
			f.Error(err)
		}
		if v.Status == Void {
			continue
		}
		for _, l := range v.Lines {
			if l.Adjustment == nil {
				k := l.OriginStart.Format("2006-01-02") + " " + l.Charge
				sums[k] = sums[k].Add(l.Amount.Amount)
			}
		}
	}
	out := map[string]string{}
	for k, s := range sums {
		if !s.IsZero() {
			out[k] = s.String()
		}
	}
	return out
}

// Terms recorded for closed cycles bring the difference to the next cycle, a line for each cycle and charge, as the preview said; a
// charge that is gone is taken back, and events that only the new charges select are billed.
func TestTermsForClosedCycles(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "2026-03-10T00:00:00Z")
	f.terms(`{"account":"acme","grace":"0h","charges":[{"name":"fee","measure":"amount","types":["order.placed"],"model":"percentage","rate":"10"},{"name":"old","measure":"amount","types":["order.placed"],"model":"sum"}]}`)
	other := f.event("acme", "2026-01-20T00:00:00Z", "8")
	other.Type = "call.made"
	f.record(f.event("acme", "2026-01-10T00:00:00Z", "100"), f.event("acme", "2026-02-10T00:00:00Z", "50"), other)
	f.close("2026-02-28")
	const newer = `{"account":"acme","grace":"0h","effective_from":"2026-01-01","charges":[{"name":"fee","measure":"amount","types":["order.placed"],"model":"percentage","rate":"7"},{"name":"calls","measure":"amount","types":["call.made"],"model":"sum"}]}`
	p, err := f.b.PreviewClosed(t.Context(), PreviewRequest{Account: "acme", Terms: []byte(newer)})
	if err != nil || len(p.Cycles) != 5 || p.Sums["USD"].String() != "-146.50" {
		t.Fatalf("%+v %v", p, err)
	}
	if c := p.Cycles[0]; c.Charge != "fee" || c.Reads != "lines" || c.Billed.String() != "10.00" || c.Rerated.String() != "7.00" || c.Difference.String() != "-3.00" || fmt.Sprint(c.TermsBefore) != "[1]" || c.Events != 1 {
		t.Errorf("%+v", c)
	}
	if n := f.number("SELECT count(*) FROM billing.terms"); n != 1 {
		t.Errorf("the preview recorded terms: %d", n)
	}
	done := f.again(newer)
	if same := f.again(newer); same.Terms.Version != done.Terms.Version || !same.From.Equal(done.From) || !done.From.Equal(mustTime(t, "2026-01-01T00:00:00Z")) || !done.Through.Equal(mustTime(t, "2026-03-01T00:00:00Z")) {
		t.Errorf("%+v %+v", done, same)
	}
	f.record(f.event("acme", "2026-01-11T00:00:00Z", "10")) // late
	f.at("2026-04-05T00:00:00Z")
	f.close("2026-03-31")
	f.close("2026-03-31")
	got := f.byCycle("acme")
	want := map[string]string{"2026-01-01 fee": "7.7", "2026-02-01 fee": "3.5", "2026-01-01 calls": "8"}
	if !maps.Equal(got, want) {
		t.Errorf("%v", got)
	}
	all := f.invoices("acme")
	v := all[len(all)-1]
	if len(v.Lines) != 5 || v.Total.String() != "-145.80" || v.Pinned != 2 {
		t.Fatalf("%+v", v)
	}
	for _, l := range v.Lines {
		if l.Adjusts != AdjustsTerms || l.OriginInvoice == nil || fmt.Sprint(l.TermsBefore) != "[1]" || l.Terms != done.Terms.Version || l.Why != "agreed late" || l.By != "jane" {
			t.Errorf("%+v", l)
		}
	}
	// A rebill of the first and then of the adjusting invoice leave the sums as they are.
	f.void(all[0].ID.String(), Rebill)
	f.void(v.ID.String(), Rebill)
	if again := f.byCycle("acme"); !maps.Equal(again, want) {
		t.Errorf("after rebills: %v", again)
	}
	f.checkLaws()
}

// Only charges of closed cycles can change, and only where somebody says why.
func TestTermsForClosedCyclesRefused(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "2026-03-10T00:00:00Z")
	f.terms(`{"account":"acme","grace":"0h","charges":[{"name":"sales","measure":"amount","model":"sum"}]}`)
	f.record(f.event("acme", "2026-01-10T00:00:00Z", "100"))
	f.close("2026-02-28")
	const charges = `"grace":"0h","charges":[{"name":"sales","measure":"amount","model":"percentage","rate":"50"}]}`
	for raw, want := range map[string]string{
		`{"account":"acme","cadence":"weekly",` + charges:                   "cadence: must make the same boundaries",
		`{"account":"acme","zone":"Asia/Tokyo",` + charges:                  "cadence: must make the same boundaries",
		`{"account":"acme","group_by":"stream",` + charges:                  "group_by: must be the same",
		`{"account":"acme","contract":"another",` + charges:                 "contract: must be the same",
		`{"account":"acme","bill_on":"order","finalising":["x"],` + charges: "bill_on: must be the same",
		`{"account":"acme","effective_from":"2026-02-02",` + charges:        "effective_from",
		`{"account":"acme","charges":[{"name":"u","measure":"quantity","model":"per_unit","unit_amount":"1","free_units":"5","free_per":"contract"}]}`: "charges: must have no allowance over the contract",
	} {
		_, err := f.b.AdjustClosed(t.Context(), []byte(raw), "why", "jane")
		var wrong *TermsError
		if !errors.As(err, &wrong) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", raw, err)
		}
		if _, err := f.b.PreviewClosed(t.Context(), PreviewRequest{Account: "acme", Terms: []byte(raw)}); !errors.As(err, &wrong) {
			t.Errorf("preview of %s: %v", raw, err)
		}
	}
	if _, err := f.b.AdjustClosed(t.Context(), []byte(`{"account":"acme",`+charges), "", ""); !errors.Is(err, ledger.ErrInvalid) {
		t.Errorf("nobody says why: %v", err)
	}
	if n := f.number("SELECT count(*) FROM billing.terms"); n != 1 {
		t.Errorf("%d versions", n)
	}
	// Without the choice, terms with a date in the past change nothing that is closed.
	f.terms(`{"account":"acme","effective_from":"2026-01-01",` + charges)
	f.at("2026-04-05T00:00:00Z")
	f.record(f.event("acme", "2026-01-11T00:00:00Z", "10"), f.event("acme", "2026-03-11T00:00:00Z", "10"))
	f.close("2026-03-31")
	if got := f.byCycle("acme"); !maps.Equal(got, map[string]string{"2026-01-01 sales": "110", "2026-03-01 sales": "5"}) {
		t.Errorf("%v", got)
	}
}

// However often the charges of closed cycles change, and however events come: in the end every cycle is billed
// what its newest charges make of it, as an account that had them from the beginning.
func TestRerateLaw(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "2020-01-01T00:00:00Z")
	models := []string{
		`{"name":"a","measure":"amount","model":"sum"}`,
		`{"name":"a","measure":"amount","types":["order.placed"],"model":"percentage","rate":"3.7","fixed_amount":"0.10"}`,
		`{"name":"a","measure":"amount","model":"percentage","rate":"2.3","free_events":2}`,
		`{"name":"a","measure":"amount","model":"percentage","rate":"2.3","free_events":4}`,
		`{"name":"b","measure":"quantity","model":"volume","tiers":[{"up_to":"5","unit_amount":"2","flat_amount":"1"},{"unit_amount":"1.111"}]}`,
		`{"name":"b","types":["order.placed"],"model":"per_event","unit_amount":"0.333","free_units":"1"}`,
		`{"name":"b","measure":"quantity","filters":{"scheme":["visa"]},"model":"graduated","tiers":[{"up_to":"3","unit_amount":"1"},{"unit_amount":"0.5"}]}`,
		`{"name":"c","measure":"quantity","model":"package","package_size":"4","package_amount":"3"}`,
		`{"name":"c","model":"flat","amount":"9.99","currency":"USD"}`,
	}
	round := 0
	rapid.Check(t, func(rt *rapid.T) {
		if round++; round > *worlds {
			return
		}
		account, twin, year := fmt.Sprint("acme-", round), fmt.Sprint("twin-", round), 2020+round%60
		draw := func() string {
			picked := map[string]string{}
			for range rapid.IntRange(1, 3).Draw(rt, "charges") {
				c := rapid.SampledFrom(models).Draw(rt, "charge")
				picked[c[:len(`{"name":"a"`)]] = c
			}
			return `"grace":"0h","effective_from":"` + fmt.Sprint(year) + `-01-01","charges":[` + strings.Join(slices.Sorted(maps.Values(picked)), ",") + `]}`
		}
		event := func(account string, n, month int) ledger.Event {
			e := f.event(account, fmt.Sprintf("%d-%02d-%02dT00:00:00Z", year, month, 1+n%27), fmt.Sprintf("%d.%02d", n*7%50, n*13%100))
			e.Quantity, _ = ledger.ParseAmount(fmt.Sprint(n % 4))
			e.Type = []string{"order.placed", "order.placed", "call.made"}[n%3]
			e.Dimensions = []byte(fmt.Sprintf(`{"scheme":%q}`, []string{"visa", "other"}[n%2]))
			return e
		}
		terms := draw()
		f.at(fmt.Sprintf("%d-01-01T00:00:00Z", year))
		f.terms(`{"account":"` + account + `",` + terms)
		n, events := 0, [][2]int{}
		for month := 2; month <= 5; month++ {
			f.at(fmt.Sprintf("%d-%02d-01T01:00:00Z", year, month))
			for range rapid.IntRange(1, 6).Draw(rt, "events") {
				n++
				in := rapid.IntRange(1, month-1).Draw(rt, "month")
				events = append(events, [2]int{n, in})
				f.record(event(account, n, in))
			}
			for range rapid.IntRange(0, 2).Draw(rt, "changes") {
				if month > 2 {
					terms = draw()
					f.again(`{"account":"` + account + `",` + terms)
				}
			}
			f.close(fmt.Sprintf("%d-%02d-01", year, month), account)
			if live := f.live(account); rapid.IntRange(0, 3).Draw(rt, "rebill") == 0 && len(live) > 0 {
				f.void(rapid.SampledFrom(live).Draw(rt, "invoice").ID.String(), Rebill)
			}
		}
		terms = draw()
		f.again(`{"account":"` + account + `",` + terms)
		f.at(fmt.Sprintf("%d-06-01T01:00:00Z", year))
		f.close(fmt.Sprintf("%d-05-31", year), account)
		f.terms(`{"account":"` + twin + `",` + terms)
		for _, e := range events {
			f.record(event(twin, e[0], e[1]))
		}
		f.close(fmt.Sprintf("%d-05-31", year), twin)
		if got, want := f.byCycle(account), f.byCycle(twin); !maps.Equal(got, want) {
			rt.Fatalf("billed in steps: %v\nat once: %v", got, want)
		}
	})
}

func (f *fixture) live(account string) []Invoice {
	f.Helper()
	return slices.DeleteFunc(f.invoices(account), func(v Invoice) bool { return v.Status == Void })
}

// A close that brings other charges to a closed cycle, and at the same time bills what came for an order that was final in an
// older one, brings them to that cycle and to no other.
func TestTermsForClosedCyclesBesideOldOrders(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "2026-04-05T00:00:00Z")
	charges := func(from, rate string) string {
		return `{"account":"acme","effective_from":"` + from + `","grace":"0h","bill_on":"order","finalising":["order.completed"],"charges":[{"name":"fee","measure":"amount","model":"percentage","rate":"` + rate + `"}]}`
	}
	f.terms(charges("2026-01-01", "10"))
	for _, month := range []string{"01", "02", "03"} {
		f.record(f.ofOrder("acme", "o"+month, "order.completed", "2026-"+month+"-10T00:00:00Z", "100"))
		f.close("2026-" + month + "-28")
	}
	f.close("2026-03-31")
	f.again(charges("2026-03-01", "7"))
	f.record(f.ofOrder("acme", "o01", "order.changed", "2026-04-02T00:00:00Z", "50"))
	f.at("2026-05-05T00:00:00Z")
	f.close("2026-04-30")
	want := map[string]string{"2026-01-01 fee": "15", "2026-02-01 fee": "10", "2026-03-01 fee": "7"}
	if got := f.byCycle("acme"); !maps.Equal(got, want) {
		t.Errorf("the cycles come to %v, want %v", got, want)
	}
}

// A charge that bills nothing of a closed cycle leaves nothing behind that later invoices of the same close would take as billed.
func TestTermsForClosedCyclesLeaveNothingBehind(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "2026-04-05T00:00:00Z")
	charges := func(from, flat string) string {
		return `{"account":"acme","effective_from":"` + from + `","grace":"0h","bill_on":"order","finalising":["order.completed"],"charges":[
			{"name":"fee","measure":"amount","types":["order.completed","order.changed"],"model":"percentage","rate":"` + flat + `"},
			{"name":"calls","measure":"count","types":["call.made"],"model":"volume","tiers":[{"unit_amount":"1","flat_amount":"` + flat + `"}]}]}`
	}
	f.terms(charges("2026-01-01", "5"))
	f.record(f.ofOrder("acme", "o1", "order.completed", "2026-03-10T00:00:00Z", "100"))
	f.close("2026-03-31")
	f.again(charges("2026-03-01", "6"))
	f.at("2026-06-05T00:00:00Z")
	f.record(f.ofOrder("acme", "o1", "order.changed", "2026-04-02T00:00:00Z", "50"), f.ofOrder("acme", "o1", "call.made", "2026-05-02T00:00:00Z", "0"))
	f.close("2026-05-31")
	want := map[string]string{"2026-03-01 fee": "9", "2026-03-01 calls": "7"}
	if got := f.byCycle("acme"); !maps.Equal(got, want) {
		t.Errorf("the cycle comes to %v, want %v", got, want)
	}
}
