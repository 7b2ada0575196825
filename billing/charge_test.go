package billing

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"deltaledger/ledger"
)

// everyModel are charges of every model, with everything that they may have.
const everyModel = `"charges":[
	{"name":"sum","model":"sum","measure":"amount","types":["order.placed","order.returned"],"minimum":"3","currency":"USD","maximum":"90"},
	{"name":"card","model":"percentage","measure":"amount","types":["order.placed"],"rate":"1.5","fixed_amount":"0.10"},
	{"name":"first","model":"percentage","measure":"amount","types":["order.placed"],"rate":"1","fixed_amount":"5","free_events":3},
	{"name":"first of visa","model":"percentage","measure":"amount","filters":{"scheme":"visa"},"rate":"1.2","fixed_amount":"0.1","free_events":4,"free_amount":"50"},
	{"name":"calls","model":"per_event","unit_amount":"0.05","free_units":"2","types":["call.made","order.placed"]},
	{"name":"seats","model":"per_unit","measure":"quantity","unit_amount":"1.255","filters":{"country":["GB","US"]},"discounts":[{"percentage":"10"},{"amount":"0.50"}]},
	{"name":"storage","model":"graduated","measure":"quantity","tiers":[{"up_to":"5","flat_amount":"100","unit_amount":"0"},{"up_to":"10","flat_amount":"50","unit_amount":"0"},{"up_to":"15","unit_amount":"5"},{"unit_amount":"1"}]},
	{"name":"messages","model":"volume","measure":"count","tiers":[{"up_to":"10","unit_amount":"0.333"},{"up_to":"20","unit_amount":"0.2","flat_amount":"1"},{"unit_amount":"0.05"}]},
	{"name":"bundles","model":"package","measure":"quantity","package_size":"7","package_amount":"9.99","free_units":"3","rounding_digits":1,"filters":{"scheme":["","amex"]}}]`

// charged are random events of an account in January, with dimensions.
func (f *fixture) charged(r *rand.Rand, account string, n int) []ledger.Event {
	events := make([]ledger.Event, n)
	for i := range events {
		at := time.Date(2026, 1, 1+r.IntN(31), r.IntN(24), r.IntN(60), 0, i*1000, time.UTC)
		e := f.event(account, at.Format(time.RFC3339Nano), fmt.Sprintf("%d.%02d", r.IntN(60)-10, r.IntN(100)))
		quantity, err := ledger.ParseAmount(fmt.Sprint(r.IntN(7) - 1))
		if err != nil {
			f.Fatal(err)
		}
		e.Quantity, e.Type = quantity, []string{"order.placed", "order.placed", "order.returned", "call.made"}[r.IntN(4)]
		e.Dimensions = dimensions(map[string]string{
			"scheme": []string{"visa", "amex", ""}[r.IntN(3)], "country": []string{"GB", "US", "DE"}[r.IntN(3)],
		})
		events[i] = e
	}
	return events
}

// lineSums adds up lines by charge and original cycle.
func lineSums(all []Invoice) map[string]string {
	sums := map[string]decimal.Decimal{}
	for _, v := range all {
		for _, l := range v.Lines {
			key := l.Charge + " of " + l.OriginStart.Format(time.DateOnly)
			sums[key] = sums[key].Add(l.Amount.Amount)
		}
	}
	texts := map[string]string{}
	for key, sum := range sums {
		texts[key] = sum.String()
	}
	return texts
}

// recompute computes each line of an invoice again from what the line itself keeps.
func recompute(v Invoice) error {
	total := decimal.Zero
	for _, l := range v.Lines {
		c, err := ParseCharge(l.Definition)
		if err != nil {
			return err
		}
		before, added := l.Inputs()
		exact, amount := LineAmount(c, v.Currency, before, added, l.Billed.Amount)
		if !exact.Equal(l.Exact) || !amount.Equal(l.Amount.Amount) {
			return fmt.Errorf("line %q: %s, exactly %s; it says %s and %s", l.Charge, amount, exact, l.Amount, l.Exact)
		}
		have, want := l.Calculation.json(), c.Calculate(c.Add(before, added)).json()
		if have != want {
			return fmt.Errorf("line %q: calculated %s, it says %s", l.Charge, want, have)
		}
		total = total.Add(amount)
	}
	if e, err := explain(v, nil); err != nil || len(e.Lines) != len(v.Lines) || !e.Total.Result.Equal(total) {
		return fmt.Errorf("explained as %+v: %w", e, err)
	}
	if !total.Equal(v.Total.Amount) {
		return fmt.Errorf("the lines add up to %s, not %s", total, v.Total)
	}
	return nil
}

// However the events of a cycle are split into on time and several waves of late ones, the lines for it
// add up to what one close of all of them bills, for every model.
func TestEveryModelIsBilledTheSameInAnyWaves(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "2026-02-03T00:00:00Z")
	f.terms("{" + everyModel + "}")
	const worlds = 12
	var waves [4][]ledger.Event
	for w := range worlds {
		events := f.charged(rand.New(rand.NewPCG(uint64(w), 1)), fmt.Sprint("whole", w), 5+w*3)
		waves[0] = append(waves[0], events...)
		r := rand.New(rand.NewPCG(uint64(w), 2))
		for _, e := range events {
			e.ID, e.Account = "s"+e.ID, fmt.Sprint("split", w)
			wave := r.IntN(4)
			waves[wave] = append(waves[wave], e)
		}
	}
	for i, events := range waves {
		f.record(events...)
		f.at(fmt.Sprintf("2026-%02d-10T00:00:00Z", i+2))
		f.close(DateOf(f.now().AddDate(0, 0, -10)).String())
	}
	for w := range worlds {
		whole, split := f.invoices(fmt.Sprint("whole", w)), f.invoices(fmt.Sprint("split", w))
		if len(whole) < 1 || len(split) < 2 {
			t.Fatalf("%d invoices and %d", len(whole), len(split))
		}
		want, have := lineSums(whole), lineSums(split)
		for _, sums := range []map[string]string{want, have} { // later cycles have minimums alone
			maps.DeleteFunc(sums, func(key, _ string) bool { return !strings.HasSuffix(key, " of 2026-01-01") })
		}
		for key := range want {
			if have[key] != want[key] {
				t.Errorf("world %d: %s is %s in all, not %s", w, key, have[key], want[key])
			}
		}
		if len(have) != len(want) {
			t.Errorf("world %d: lines of %v, not of %v", w, have, want)
		}
		for _, v := range append(whole, split...) {
			if err := recompute(v); err != nil {
				t.Errorf("world %d: %v", w, err)
			}
		}
	}
	if n := f.number("SELECT count(*) FROM ledger.events e WHERE NOT EXISTS (SELECT FROM billing.pins p WHERE p.position = e.position)"); n != 0 {
		t.Errorf("%d events are on no invoice", n)
	}
}

// An explanation shows every step, and refuses a line that doesn't come to what it says.
func TestExplain(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "2026-02-03T00:00:00Z")
	f.terms(`{"charges":[{"name":"card","model":"percentage","measure":"amount","rate":"1.2","fixed_amount":"0.10","free_events":3,"free_amount":"500","discounts":[{"amount":"0.05"}]},
		{"name":"tiers","model":"graduated","measure":"amount","tiers":[{"up_to":"100","unit_amount":"0","flat_amount":"1"},{"unit_amount":"0.01"}],"minimum":"2","currency":"USD","maximum":"4"}]}`)
	f.record(f.event("acme", "2026-01-01T00:00:00Z", "200"), f.event("acme", "2026-01-02T00:00:00Z", "100"), f.event("acme", "2026-01-04T00:00:00Z", "50"))
	f.close("2026-01-31")
	f.record(f.event("acme", "2026-01-03T00:00:00Z", "100"))
	f.at("2026-03-03T00:00:00Z")
	f.close("2026-02-28")
	var text strings.Builder
	for _, v := range f.invoices("acme") {
		e, err := f.b.Explain(t.Context(), v.ID.String())
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range e.Lines {
			fmt.Fprintf(&text, "%s late %v\n", l.Charge, l.Late)
			for _, s := range l.Steps {
				fmt.Fprintf(&text, "  %s: %s = %s\n", s.Step, s.How, s.Result)
			}
		}
		fmt.Fprintf(&text, "%s: %s = %s\n", e.Total.Step, e.Total.How, e.Total.Result)
	}
	golden(t, "testdata/explain.golden", text.String())
	v := f.invoices("acme")[0]
	v.Lines[0].Added = v.Lines[0].Added.Add(dec("1000"))
	if _, err := explain(v, nil); !errors.Is(err, ledger.ErrCorrupt) {
		t.Errorf("a line that was changed is explained: %v", err)
	}
}

// A void and a rebill keep every line as it was, whatever the model.
func TestRebillOfEveryModel(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "2026-02-03T00:00:00Z")
	f.terms("{" + everyModel + "}")
	r := rand.New(rand.NewPCG(3, 4))
	f.record(f.charged(r, "acme", 20)...)
	f.close("2026-01-31")
	f.record(f.charged(r, "acme", 9)...)
	f.at("2026-03-03T00:00:00Z")
	f.close("2026-02-28")
	before := f.invoices("acme")
	for _, v := range before {
		f.void(v.ID.String(), Rebill)
	}
	var again []Invoice
	for _, v := range f.invoices("acme") {
		if err := recompute(v); err != nil {
			t.Error(err)
		}
		if v.Status != Void {
			again = append(again, v)
		}
	}
	want, have := lineSums(before), lineSums(again)
	for key := range want {
		if want[key] != have[key] {
			t.Errorf("%s is %s, was %s", key, have[key], want[key])
		}
	}
}

// A charge filters on dimensions, declared or not; what none selects stays where it is.
func TestFilters(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "2026-02-03T00:00:00Z")
	if _, err := f.l.AddColumn(f.Context(), ledger.Column{
		Name: "region", Kind: ledger.KindDimension, Type: "bigint", Description: "where", Owner: "sales", By: "tester",
	}, 0); err != nil {
		t.Fatal(err)
	}
	_, err := f.b.SetTerms(f.Context(), []byte(`{"charges":[{"name":"a","measure":"amount","model":"sum","filters":{"quantity":"1","source":"orders"}}]}`), "tester")
	if err == nil || !strings.Contains(err.Error(), "charges[0].filters.quantity: must be a dimension, not a measure") || !strings.Contains(err.Error(), "charges[0].filters.source") {
		t.Errorf("filters on what are no dimensions: %v", err)
	}
	f.terms(`{"charges":[
		{"name":"seven","measure":"amount","model":"sum","filters":{"region":"7"}},
		{"name":"seven in winter","measure":"amount","model":"sum","filters":{"region":["7","8"],"campaign":"winter"}},
		{"name":"nowhere","measure":"amount","model":"sum","filters":{"region":"","campaign":["winter","it's \"quoted\""]}},
		{"name":"euros","measure":"amount","model":"sum","currency":"EUR"}]}`)
	events := make([]ledger.Event, 7)
	for i, dims := range []map[string]string{
		{"region": "7"}, {"region": "7", "campaign": "winter"}, {"region": "8", "campaign": "winter"}, {"region": "8"}, {"campaign": "winter"}, {"campaign": `it's "quoted"`}, {},
	} {
		events[i] = f.event("acme", "2026-01-10T00:00:00Z", fmt.Sprint(1<<i))
		events[i].Dimensions = dimensions(dims)
	}
	events[6].Currency = "EUR"
	f.record(events...)
	f.close("2026-01-31")
	lines := map[string]string{}
	for _, v := range f.invoices("acme") {
		for _, l := range v.Lines {
			lines[l.Charge+" "+v.Currency] = l.Amount.String()
		}
	}
	want := map[string]string{"seven USD": "3.00", "seven in winter USD": "6.00", "nowhere USD": "48.00", "euros EUR": "64.00"}
	for key, amount := range want {
		if lines[key] != amount {
			t.Errorf("%s: %q, want %s", key, lines[key], amount)
		}
	}
	if len(lines) != len(want) || f.number("SELECT count(*) FROM billing.pins") != 6 {
		t.Errorf("lines %v, pins %d", lines, f.number("SELECT count(*) FROM billing.pins"))
	}
}

// dimensions are as upstream sends them; an empty text is none.
func dimensions(of map[string]string) json.RawMessage {
	for key, value := range of {
		if value == "" {
			delete(of, key)
		}
	}
	b, err := json.Marshal(of)
	if err != nil {
		panic(err)
	}
	return b
}
