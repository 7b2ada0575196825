package reconcile_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"deltaledger/billing"
	"deltaledger/ledger"
)

// The terms that accounts of the law get: without allowances over the contract, so that closed cycles may get others, or with.
var (
	lawCharges = []string{
		`{"name":"fee","model":"percentage","measure":"amount","rate":"1.5","fixed_amount":"0.1","free_events":1}`,
		`{"name":"fee","model":"percentage","measure":"amount","rate":"2","free_events":3}`,
		`{"name":"goods","model":"sum","measure":"amount","types":["sold"]}`,
		`{"name":"all","model":"volume","measure":"count","tiers":[{"up_to":"2","unit_amount":"1"},{"unit_amount":"0.4"}],"maximum":"9"}`,
		`{"name":"base","model":"flat","amount":"31","currency":"EUR"}`,
		`{"name":"calls","model":"per_event","unit_amount":"0.05","types":["sold","returned"],"minimum":"3","currency":"EUR"}`,
	}
	lawContract = `{"account":%q,"effective_from":"2026-01-01","charges":[{"name":"calls","model":"per_unit","measure":"quantity","unit_amount":"10","free_units":"5","free_per":"contract","maximum":"60","maximum_per":"contract"}]}`
)

// Whatever is late, void, adjusted or given other terms afterwards, and in whichever order: what lines say of earlier ones is found
// again, so that a finding means that somebody changed something.
func TestAnyAdjustedHistoryIsInOrder(t *testing.T) {
	t.Parallel()
	k := open(t)
	if err := k.l.DeclareSource(t.Context(), ledger.Source{Name: "shop", Numbering: ledger.NumberingNone, By: "test"}); err != nil { // its numbers mean nothing
		t.Fatal(err)
	}
	world := 0
	rapid.Check(t, func(rt *rapid.T) {
		world++
		w := &adjustedWorld{books: k, rt: rt, account: fmt.Sprintf("w%d", world), contract: rapid.IntRange(0, 3).Draw(rt, "contract") == 0}
		if w.contract {
			w.terms(fmt.Sprintf(lawContract, w.account))
		} else {
			w.terms(w.document())
		}
		for range rapid.IntRange(3, 12).Draw(rt, "steps") {
			w.step()
		}
		w.reconcile(true, "uncovered")
	})
}

type adjustedWorld struct {
	*books
	rt       *rapid.T
	account  string
	contract bool
	n, month int
}

func (w *adjustedWorld) document() string {
	charges, named := "", map[string]bool{}
	for i, c := range lawCharges {
		if name := c[9:13]; !named[name] && rapid.Bool().Draw(w.rt, fmt.Sprint("charge ", i)) || i == len(lawCharges)-1 && len(named) == 0 {
			named[name], charges = true, charges+","+c
		}
	}
	group := rapid.SampledFrom([]string{"", `"group_by":"stream",`}).Draw(w.rt, "group")
	if w.month > 0 {
		group = ""
	}
	return fmt.Sprintf(`{"account":%q,"effective_from":"2026-01-01",%s"charges":[%s]}`, w.account, group, charges[1:])
}

func (w *adjustedWorld) step() {
	switch rapid.SampledFrom([]string{"record", "record", "close", "close", "void", "terms", "adjust", "reconcile"}).Draw(w.rt, "step") {
	case "record":
		var events []ledger.Event
		for range rapid.IntRange(1, 4).Draw(w.rt, "events") {
			w.n++
			e := sale(w.account, rapid.IntRange(1, 6).Draw(w.rt, "month"), w.n, rapid.SampledFrom([]string{"sold", "returned"}).Draw(w.rt, "type"), fmt.Sprintf("%d.%02d", rapid.IntRange(1, 50).Draw(w.rt, "amount"), w.n%100))
			e.Quantity = e.Amount
			events = append(events, e)
		}
		w.record(events...)
	case "close":
		w.month = min(7, w.month+rapid.IntRange(1, 2).Draw(w.rt, "months"))
		w.close(time.Date(2026, time.Month(w.month+1), 0, 0, 0, 0, 0, time.UTC).Format(time.DateOnly))
	case "void":
		w.void()
	case "terms":
		if w.contract || w.month == 0 {
			return
		}
		var wrong *billing.TermsError
		if _, err := w.b.AdjustClosed(w.Context(), []byte(w.document()), "agreed late", "kim"); err != nil && !errors.As(err, &wrong) {
			w.rt.Fatal(err)
		}
	case "adjust":
		r := billing.AdjustRequest{Account: w.account, Amount: "-2.50", Currency: "EUR", Reason: "agreed", By: "kim"}
		if _, err := w.b.Adjust(w.Context(), r); err != nil {
			w.rt.Fatal(err)
		}
	case "reconcile":
		w.reconcile(rapid.Bool().Draw(w.rt, "heal"), "uncovered", "late")
	}
}

// reconcile fails unless all findings are of these checks.
func (w *adjustedWorld) reconcile(heal bool, checks ...string) {
	for _, f := range w.run(heal).Findings {
		if !slices.Contains(checks, f.Check) {
			w.rt.Fatalf("%s: %s", f.Check, f.Detail)
		}
	}
}

// void makes an invoice void, if there is one that counts.
func (w *adjustedWorld) void() {
	page, err := w.b.List(w.Context(), billing.InvoiceQuery{Account: w.account, Limit: 100})
	if err != nil {
		w.rt.Fatal(err)
	}
	var live []billing.Invoice
	for _, v := range page.Invoices {
		if v.Status != billing.Void {
			live = append(live, v)
		}
	}
	if len(live) == 0 {
		return
	}
	v := rapid.SampledFrom(live).Draw(w.rt, "invoice")
	r := billing.VoidRequest{Invoice: v.ID.String(), Outcome: rapid.SampledFrom([]billing.Outcome{billing.Rebill, billing.WriteOff}).Draw(w.rt, "outcome"), Why: "wrong", By: "kim"}
	if _, err := w.b.Void(w.Context(), r); err != nil {
		w.rt.Fatal(err)
	}
}
