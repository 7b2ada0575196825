package billing

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"deltaledger/ledger"
)

// ordersOf makes the orders of some accounts, the same ones for every name: each has at most one event that finalises
// it, anywhere among the others.
func ordersOf(name string, accounts int) []ledger.Event {
	r := rand.New(rand.NewPCG(7, 7))
	var all []ledger.Event
	for account := range accounts {
		for order := range 1 + r.IntN(8) {
			n := 1 + r.IntN(7)
			final := r.IntN(n + 2)
			for i := range n {
				a, err := ledger.AmountOf(decimal.New(int64(r.IntN(9000)-2000), -2))
				if err != nil {
					panic(err)
				}
				e := ledger.Event{
					ID: fmt.Sprintf("%s/%d/%d/%d", name, account, order, i), Source: "orders", Stream: fmt.Sprintf("%s/%d/%d", name, account, order),
					Type: []string{"order.placed", "order.changed", "page.viewed"}[r.IntN(3)], Account: fmt.Sprintf("%s-%d", name, account),
					OccurredAt: time.Date(2026, 1, 1+r.IntN(115), r.IntN(24), 0, 0, 0, time.UTC), Currency: []string{"USD", "EUR"}[r.IntN(2)], Amount: a,
				}
				if i == final {
					e.Type = "order.completed"
				}
				all = append(all, e)
			}
		}
	}
	return all
}

// perCycle are the live lines of the accounts of a name, added up by account, cycle that they are for, charge, currency
// and stream.
func (f *fixture) perCycle(name string) map[string]string {
	f.Helper()
	rows, err := f.db.App.Query(f.Context(), `
		SELECT substr(i.account, $2) || ' ' || l.origin_start::text || ' ' || l.charge || ' ' || i.currency || COALESCE(' ' || replace(i.stream, $3, ''), ''),
		       sum(l.events) || ' events, ' || trim_scale(sum(l.amount))
		FROM billing.invoices i JOIN billing.invoice_lines l ON l.account = i.account AND l.invoice_id = i.id
		WHERE i.account LIKE $1
		GROUP BY 1`, name+"-%", len(name)+1, name)
	if err != nil {
		f.Fatal(err)
	}
	defer rows.Close()
	lines := map[string]string{}
	for rows.Next() {
		var key, value string
		if err := rows.Scan(&key, &value); err != nil {
			f.Fatal(err)
		}
		lines[key] = value
	}
	if rows.Err() != nil {
		f.Fatal(rows.Err())
	}
	return lines
}

// However events arrive and whenever cycles are closed, each order has one cycle, and the bills for each cycle come to what
// one close of everything in time bills, whatever the model.
func TestOrdersComeToTheSameLateOrOnTime(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "2026-05-05T00:00:00Z")
	const accounts = 40
	const charges = `"bill_on":"order","finalising":["order.completed"],"grace":"0h","charges":[
		{"name":"all","measure":"amount","model":"sum"},
		{"name":"fee","measure":"amount","types":["order.placed","order.completed"],"model":"percentage","rate":"1.37","fixed_amount":"0.10","free_events":2},
		{"name":"each","types":["order.placed","order.changed"],"model":"per_event","unit_amount":"0.05","free_units":"3"},
		{"name":"steps","measure":"amount","model":"graduated","tiers":[{"up_to":"50","unit_amount":"0.2","flat_amount":"1"},{"unit_amount":"0.1"}]},
		{"name":"volume","measure":"count","types":["order.placed","order.changed"],"model":"volume","tiers":[{"up_to":"4","unit_amount":"1"},{"unit_amount":"0.4"}]},
		{"name":"boxes","measure":"amount","model":"package","package_size":"30","package_amount":"2.5"}]`
	f.terms("{" + charges + "}")
	for i := range accounts / 4 {
		for _, name := range []string{"timely", "parted"} {
			f.terms(fmt.Sprintf(`{"account":"%s-%d","group_by":"stream"}`, name, i*4))
		}
	}
	f.record(ordersOf("timely", accounts)...)
	parted := ordersOf("parted", accounts)
	r := rand.New(rand.NewPCG(3, 4))
	r.Shuffle(len(parted), func(i, j int) { parted[i], parted[j] = parted[j], parted[i] })
	waves := []string{"2026-01-31", "2026-02-28", "2026-02-28", "2026-03-31"}
	for i, through := range waves {
		f.record(parted[len(parted)*i/5 : len(parted)*(i+1)/5]...)
		if i == 1 { // some are closed further than others
			for account := range accounts / 3 {
				f.close("2026-03-31", fmt.Sprintf("parted-%d", account*3))
			}
		}
		f.close(through)
	}
	f.record(parted[len(parted)*4/5:]...)
	f.close("2026-04-30")
	f.at("2026-06-05T00:00:00Z")
	f.close("2026-05-31")
	have, want := f.perCycle("parted"), f.perCycle("timely")
	if len(want) < accounts*4 {
		t.Errorf("%d lines only", len(want))
	}
	if !maps.Equal(have, want) {
		wrong := 0
		for key := range want {
			if have[key] != want[key] && wrong < 8 {
				wrong++
				t.Errorf("%s is %q, not %q", key, have[key], want[key])
			}
		}
		for key := range have {
			if want[key] == "" && wrong < 8 {
				wrong++
				t.Errorf("there is %s, %q", key, have[key])
			}
		}
	}
	if n := f.number(`SELECT count(*) FROM (SELECT FROM billing.pins GROUP BY account, position HAVING count(*) > 1) p`); n != 0 {
		t.Errorf("%d events are pinned more than once", n)
	}
	if timely, parted := f.number("SELECT count(*) FROM billing.pins WHERE account LIKE 'timely-%'"), f.number("SELECT count(*) FROM billing.pins WHERE account LIKE 'parted-%'"); timely != parted || timely == 0 {
		t.Errorf("%d and %d events are pinned", timely, parted)
	}
	if late := f.number("SELECT count(*) FROM billing.late_events WHERE account LIKE 'parted-%'"); late < 50 {
		t.Errorf("%d events only were late", late)
	}
	f.checkOrders()
}
