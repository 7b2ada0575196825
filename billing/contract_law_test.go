package billing

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"
	"pgregory.net/rapid"

	"deltaledger/ledger"
)

// What must hold of lines whose charges have allowances over a contract. Each query counts rows that break the law.
var contractLaws = map[string]string{
	"a line found something else used than the cycles before had used when it was written": `
		SELECT count(*) FROM billing.invoice_lines l JOIN billing.invoices i ON i.account = l.account AND i.id = l.invoice_id
		CROSS JOIN LATERAL (
			SELECT COALESCE(sum((p.contract -> 'added' ->> 'quantity')::numeric), 0) AS quantity, COALESCE(sum((p.contract -> 'added' ->> 'spent')::numeric), 0) AS spent
			FROM billing.invoice_lines p JOIN billing.invoices j ON j.account = p.account AND j.id = p.invoice_id
			WHERE p.account = l.account AND p.charge = l.charge AND p.origin_start < l.origin_start AND p.contract ->> 'name' = l.contract ->> 'name'
			  AND j.currency = i.currency AND j.stream IS NOT DISTINCT FROM i.stream AND j.position <= i.position
			  AND NOT EXISTS (SELECT FROM billing.voids v WHERE v.account = p.account AND v.invoice_id = p.invoice_id AND v.outcome = 'rebill' AND v.position < i.position)) c
		WHERE c.quantity <> (l.contract -> 'carried' ->> 'quantity')::numeric OR c.spent <> (l.contract -> 'carried' ->> 'spent')::numeric`,
	"the total of a contract isn't what its lines add up to": `
		SELECT count(*) FROM (SELECT DISTINCT ON (account, contract, charge, currency, stream) * FROM billing.contract_uses
			ORDER BY account, contract, charge, currency, stream, n DESC) u
		CROSS JOIN LATERAL (
			SELECT COALESCE(sum((p.contract -> 'added' ->> 'quantity')::numeric), 0) AS quantity, COALESCE(sum((p.contract -> 'added' ->> 'spent')::numeric), 0) AS spent
			FROM billing.invoice_lines p JOIN billing.invoices j ON j.account = p.account AND j.id = p.invoice_id
			WHERE p.account = u.account AND p.charge = u.charge AND p.contract ->> 'name' = u.contract AND j.currency = u.currency AND COALESCE(j.stream, '') = u.stream
			  AND NOT EXISTS (SELECT FROM billing.voids v WHERE v.account = p.account AND v.invoice_id = p.invoice_id AND v.outcome = 'rebill')) c
		WHERE c.quantity <> u.quantity OR c.spent <> u.spent`,
}

func (f *fixture) checkContracts() {
	f.Helper()
	for law, sql := range contractLaws {
		if n := f.number(sql); n != 0 {
			f.Errorf("%s: %d", law, n)
		}
	}
}

// However the cycles of a contract use an allowance, all of them together get what one cycle of all of it would get: free is
// what the whole quantity leaves free, and the lines come to no more than the maximum.
func TestContractsShareAllowances(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		c := drawCharge(rt, false)
		c.RoundingDigits = ptr(int32(2))
		var carried Carried
		free, amounts, quantity, uncapped := decimal.Zero, decimal.Zero, decimal.Zero, decimal.Zero
		for range rapid.IntRange(1, 6).Draw(rt, "cycles") {
			in := Inputs{Sum: decimal.New(rapid.Int64Range(-4000, 12000).Draw(rt, "sum"), -3), Count: rapid.Int64Range(1, 9).Draw(rt, "count"), Carried: ptr(carried)}
			k := c.Calculate(in)
			_, amount := LineAmount(c, "USD", Inputs{}, in, decimal.Zero)
			amounts, quantity = amounts.Add(amount), quantity.Add(k.Quantity)
			for _, f := range []*decimal.Decimal{k.FreeUnits, k.FreeAmount} {
				if f != nil {
					free = free.Add(*f)
				}
			}
			added := AddedToContract(c, "USD", Inputs{}, in, decimal.Zero)
			uncapped = uncapped.Add(c.Round(c.uncapped(k), "USD"))
			carried = carried.plus(added)
		}
		if c.FreePerContract {
			most := decimal.Max(c.FreeUnits, c.FreeAmount)
			if want := decimal.Max(decimal.Zero, decimal.Min(quantity, most)); !free.Equal(want) {
				rt.Errorf("%s are free of %s, want %s", free, quantity, want)
			}
		}
		if c.MaximumPerContract && c.Maximum.Equal(c.Maximum.Round(2)) {
			if want := decimal.Min(uncapped, *c.Maximum); !amounts.Equal(want) {
				rt.Errorf("the lines come to %s, want %s: %s of at most %s", amounts, want, uncapped, c.Maximum)
			}
		}
	})
}

// splitWorld is one history of events, recorded for one account as it happened and for another in waves.
type splitWorld struct {
	*fixture
	rt     *rapid.T
	onTime string // accounts
	late   string
	cycles int
}

// start is the start of a cycle.
func (w *splitWorld) start(cycle int) time.Time {
	return time.Date(2026, time.Month(1+cycle), 1, 0, 0, 0, 0, time.UTC)
}

// drawShared draws a charge whose allowances are used up within a few events.
func drawShared(rt *rapid.T) Charge {
	c := Charge{Measure: "quantity", Model: rapid.SampledFrom(models[:len(models)-1]).Draw(rt, "model")}
	number := func(label string, of ...string) decimal.Decimal { return dec(rapid.SampledFrom(of).Draw(rt, label)) }
	price := func(label string) decimal.Decimal { return number(label, "2", "0.333", "5", "1.125") }
	switch c.Model {
	case ModelPercentage:
		c.Rate, c.FreeAmount = number("rate", "50", "133.333"), number("free amount", "6", "11.5")
	case ModelPerEvent:
		c.Measure, c.UnitAmount = MeasureCount, price("unit")
	case ModelPerUnit:
		c.UnitAmount = price("unit")
	case ModelPackage:
		c.PackageSize, c.PackageAmount = number("size", "2", "3"), price("package")
	case ModelGraduated, ModelVolume:
		c.Tiers = []Tier{{UpTo: ptr(number("end", "3", "7")), UnitAmount: price("first"), FlatAmount: number("flat", "0", "1")}, {UnitAmount: price("second")}}
	}
	if c.Model.pricesUnits() {
		c.FreeUnits = number("free units", "0", "2", "5", "9.5")
	}
	c.FreePerContract = !c.FreeUnits.IsZero() || !c.FreeAmount.IsZero()
	if rapid.SampledFrom([]bool{true, true, false}).Draw(rt, "has maximum") {
		c.Maximum, c.MaximumPerContract = ptr(number("maximum", "6", "15", "33.33")), rapid.SampledFrom([]bool{true, true, false}).Draw(rt, "over the contract")
	}
	switch rapid.SampledFrom([]string{"", "", "percentage", "amount", "minimum", "digits"}).Draw(rt, "further") {
	case "percentage":
		c.Discounts = []Discount{{Percentage: dec("12.5")}}
	case "amount":
		c.Discounts = []Discount{{Amount: dec("1.01")}}
	case "minimum":
		c.Minimum, c.Currency = ptr(dec("4.5")), "USD"
	case "digits":
		c.RoundingDigits = ptr(int32(0))
	}
	return c
}

// draw gives both accounts the same terms, and in the middle of their cycles perhaps others.
func (w *splitWorld) draw() {
	renewed := rapid.SampledFrom([]int{0, 0, 1, 2, 3}).Draw(w.rt, "renewed in")
	charges := w.drawCharges()
	for i := range 2 {
		doc := map[string]any{"contract": "first", "start": "2026-01-01", "grace": "0h", "charges": charges}
		doc["group_by"] = rapid.SampledFrom([]string{"account", "account", "stream"}).Draw(w.rt, "group by")
		if i > 0 {
			doc["effective_from"] = DateOf(w.start(renewed)).String()
			doc["contract"] = rapid.SampledFrom([]string{"first", "second"}).Draw(w.rt, "contract")
			if rapid.Bool().Draw(w.rt, "other charges") {
				doc["charges"] = w.drawCharges()
			}
		}
		if i > 0 && (renewed == 0 || renewed >= w.cycles) {
			continue
		}
		for _, account := range []string{w.onTime, w.late} {
			doc["account"] = account
			raw, err := json.Marshal(doc)
			if err != nil {
				w.rt.Fatal(err)
			}
			w.terms(string(raw))
		}
	}
}

func (w *splitWorld) drawCharges() []chargeJSON {
	var charges []chargeJSON
	for i := range rapid.IntRange(1, 3).Draw(w.rt, "charges") {
		c := drawShared(w.rt)
		if rapid.SampledFrom([]bool{true, false, false, false}).Draw(w.rt, "any charge") {
			if c = drawCharge(w.rt, false); c.Minimum != nil {
				c.Currency = "USD"
			}
		}
		c.Name = fmt.Sprintf("c%d", i)
		c.Types = rapid.SampledFrom([][]string{nil, {"order.placed"}}).Draw(w.rt, "types")
		charges = append(charges, c.json())
	}
	return charges
}

// event is one of a cycle; the other account has the same under another id.
func (w *splitWorld) event(cycle int) ledger.Event {
	at := w.start(cycle).Add(time.Duration(rapid.IntRange(0, 27*24*60).Draw(w.rt, "minute")) * time.Minute)
	e := w.fixture.event(w.onTime, at.Format(time.RFC3339), "0")
	quantity, err := ledger.ParseAmount(rapid.SampledFrom([]string{"1", "2", "3", "4.5", "7", "0.125", "-1", "-2.5", "-6", "0"}).Draw(w.rt, "quantity"))
	if err != nil {
		w.rt.Fatal(err)
	}
	e.Quantity = quantity
	e.Type = rapid.SampledFrom([]string{"order.placed", "order.placed", "order.placed", "order.returned"}).Draw(w.rt, "type")
	e.Stream = rapid.SampledFrom([]string{"", "", "s1"}).Draw(w.rt, "stream")
	e.Currency = rapid.SampledFrom([]string{"USD", "USD", "USD", "USD", "USD", "JPY"}).Draw(w.rt, "currency")
	if e.Stream != "" {
		e.Stream = w.onTime + e.Stream
	}
	return e
}

// bills are the sums of the live lines of an account, by charge, original cycle, currency and stream.
func (w *splitWorld) bills(account string) map[string]string {
	sums := map[string]decimal.Decimal{}
	for _, v := range w.invoices(account) {
		if err := recompute(v); err != nil {
			w.rt.Fatalf("invoice of %s from %s: %v", account, v.CycleStart, err)
		}
		if v.Status == Void {
			continue
		}
		for _, l := range v.Lines {
			key := fmt.Sprint(l.Charge, " ", l.OriginStart.Format(time.DateOnly), " ", v.Currency, " ", v.Stream)
			sums[key] = sums[key].Add(l.Amount.Amount)
		}
	}
	texts := map[string]string{}
	for key, sum := range sums {
		if !sum.IsZero() {
			texts[strings.ReplaceAll(key, account, "")] = sum.String()
		}
	}
	return texts
}

// Any split of events into on time and several rounds of lateness, with invoices that are billed again in between, comes to the
// same sum for every charge and cycle, to the last digit: of every model, with allowances of a cycle and over the contract,
// discounts, bounds and roundings, by account and by stream.
//
// It doesn't hold, and can't, where the split decides more than when something is billed: where an invoice is written off, so
// that what comes later meets less that was billed; where an account has no start and its first event comes late, for
// what is due without events begins with that; where streams have states and a charge leaves first events free, whose values stay
// what was recorded for them; and where bill_on is order, which bills by the time at which an order became final.
func TestSplitsOfEventsBillAlike(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "2026-01-01T00:00:00Z")
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		if n == *worlds && !t.Failed() {
			return
		}
		n++
		w := &splitWorld{fixture: f, rt: rt, onTime: fmt.Sprintf("t%d-", n), late: fmt.Sprintf("l%d-", n), cycles: rapid.SampledFrom([]int{2, 3, 4, 5}).Draw(rt, "cycles")}
		w.draw()
		const rounds = 2 // after the last cycle
		waves := make([][]ledger.Event, w.cycles+rounds)
		onTime := make([][]ledger.Event, w.cycles)
		for range rapid.SampledFrom([]int{3, 9, 15, 25}).Draw(rt, "events") {
			cycle := rapid.SampledFrom([]int{0, 1, 2, 3, 4}).Draw(rt, "cycle") % w.cycles
			wave := min(len(waves)-1, cycle+rapid.SampledFrom([]int{0, 0, 1, 2, 3}).Draw(rt, "rounds late"))
			e := w.event(cycle)
			onTime[cycle] = append(onTime[cycle], e)
			e.Account, e.ID, e.Stream = w.late, e.ID+"-late", strings.Replace(e.Stream, w.onTime, w.late, 1)
			waves[wave] = append(waves[wave], e)
		}
		for i, wave := range waves {
			at := w.start(i + 1)
			w.clock.Store(&at)
			if i < w.cycles && len(onTime[i]) > 0 {
				w.record(onTime[i]...)
			}
			if len(wave) > 0 {
				w.record(wave...)
			}
			if i+1 < len(waves) && rapid.IntRange(0, 3).Draw(rt, "left to the next close") == 0 {
				continue // several cycles at once
			}
			for _, account := range []string{w.onTime, w.late} {
				w.closeOne(account, DateOf(at).AddDays(-1))
			}
			w.billAgain()
		}
		want, got := w.bills(w.onTime), w.bills(w.late)
		if !sameMaps(want, got) {
			rt.Errorf("on time the lines come to\n%v\nand in waves to\n%v", want, got)
		}
		for law, sql := range contractLaws {
			if n := f.number(sql); n != 0 {
				rt.Errorf("%s: %d", law, n)
			}
		}
	})
}

// closeOne closes an account.
func (w *splitWorld) closeOne(account string, through Date) {
	done, err := w.b.Close(w.Context(), CloseRequest{Through: through, Account: account, By: "t"})
	if err != nil || len(done.Failed) > 0 {
		w.rt.Fatalf("close: %v %+v", err, done.Failed)
	}
}

// billAgain voids an invoice of the account in waves, which is billed again.
func (w *splitWorld) billAgain() {
	p, err := w.b.List(w.Context(), InvoiceQuery{Account: w.late, Status: Issued})
	if err != nil {
		w.rt.Fatal(err)
	}
	if len(p.Invoices) > 0 && rapid.IntRange(0, 2).Draw(w.rt, "bill again") == 0 {
		w.fixture.void(rapid.SampledFrom(p.Invoices).Draw(w.rt, "invoice").ID.String(), Rebill)
	}
}

func sameMaps(a, b map[string]string) bool {
	keys := func(m map[string]string) []string {
		var all []string
		for k, v := range m {
			all = append(all, k+"="+v)
		}
		slices.Sort(all)
		return all
	}
	return slices.Equal(keys(a), keys(b))
}
