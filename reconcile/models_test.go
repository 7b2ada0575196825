package reconcile_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"deltaledger/ledger"
)

// Terms with every model, filters and free events among them.
const everyModel = `{"effective_from":"2026-01-01","charges":[
	{"name":"fee","model":"flat","amount":"31","currency":"EUR"},
	{"name":"first","model":"percentage","measure":"amount","types":["sold"],"rate":"1","fixed_amount":"2","free_events":2,"filters":{"country":["GB","US"]}},
	{"name":"rest","model":"percentage","measure":"amount","types":["sold"],"rate":"1.5","filters":{"country":["DE"]}},
	{"name":"calls","model":"per_event","unit_amount":"0.05","free_units":"1","types":["sold"]},
	{"name":"tiers","model":"graduated","measure":"amount","types":["sold"],"tiers":[{"up_to":"5","unit_amount":"1"},{"unit_amount":"0.5","flat_amount":"2"}],"discounts":[{"percentage":"10"}],"minimum":"3","currency":"EUR"},
	{"name":"all","model":"volume","measure":"count","types":["sold"],"tiers":[{"up_to":"2","unit_amount":"1"},{"unit_amount":"0.4"}],"maximum":"9"},
	{"name":"packs","model":"package","measure":"amount","types":["sold"],"package_size":"7","package_amount":"1.25"}]}`

// Lines of every model are recomputed from their pins, late ones too; what was changed is found.
func TestEveryModelIsRecomputed(t *testing.T) {
	t.Parallel()
	const off, on = "SET session_replication_role = replica; ALTER TABLE billing.invoice_lines DISABLE TRIGGER ALL; ", "; ALTER TABLE billing.invoice_lines ENABLE ALWAYS TRIGGER refuse_row"
	for name, c := range map[string]struct {
		sql    string
		checks []string
	}{
		"nothing is":            {"SELECT 1", nil},
		"first events are":      {`UPDATE billing.invoice_lines SET first = jsonb_set(first, '{0,value}', '"99"') WHERE charge = 'first' AND first IS NOT NULL`, []string{"invoice", "invoice", "invoice"}},
		"what is before is":     {`UPDATE billing.invoice_lines SET before_counted = before_counted + 5 WHERE charge = 'all' AND late`, []string{"invoice"}},
		"days are":              {`UPDATE billing.invoice_lines SET days = days - 1 WHERE charge = 'fee' AND account = 'acme' AND origin_start < '2026-02-01'`, []string{"invoice"}},
		"a definition is":       {`UPDATE billing.invoice_lines SET definition = definition || '{"minimum":"4000"}' WHERE charge = 'tiers' AND late`, []string{"invoice"}},
		"a calculation is":      {`UPDATE billing.invoice_lines SET calculation = calculation || '{"packages":"1000"}' WHERE charge = 'packs' AND late`, []string{"invoice"}},
		"a filter in a line is": {`UPDATE billing.invoice_lines SET definition = definition || '{"filters":{"country":["FR"]}}' WHERE charge = 'rest' AND NOT late AND account = 'acme'`, []string{"invoice"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := open(t)
			if _, err := k.b.SetTerms(t.Context(), []byte(everyModel), "tester"); err != nil {
				t.Fatal(err)
			}
			n := map[string]int{}
			in := func(account, country, amount string) ledger.Event {
				n[account]++
				e := sale(account, 1, n[account], "sold", amount)
				e.Dimensions, _ = json.Marshal(map[string]string{"country": country})
				return e
			}
			k.record(in("acme", "GB", "10"), in("acme", "DE", "2.50"), in("acme", "US", "4"), in("acme", "GB", "1"), in("globex", "DE", "-3"), in("globex", "US", "5"))
			k.close("2026-01-31")
			k.record(in("acme", "GB", "3"), in("acme", "DE", "8"))
			k.close("2026-02-28")
			k.tamper(off + c.sql + on)
			k.want(k.run(true), 0, 0, c.checks...)
		})
	}
}

// What no charge selects because of its dimensions is found, and what one selects isn't.
func TestEventsThatNoFilterSelects(t *testing.T) {
	t.Parallel()
	k := open(t)
	if _, err := k.b.SetTerms(t.Context(), []byte(`{"charges":[{"name":"gb","model":"sum","measure":"amount","filters":{"country":"GB"}}]}`), "tester"); err != nil {
		t.Fatal(err)
	}
	for i, country := range []string{"GB", "DE"} {
		e := sale("acme", 1, i+1, "sold", "10")
		e.Dimensions = fmt.Appendf(nil, `{"country":%q}`, country)
		k.record(e)
	}
	k.close("2026-01-31")
	k.want(k.run(true), 0, 0, "uncovered")
	late := sale("acme", 1, 3, "sold", "5")
	late.Dimensions = []byte(`{"country":"GB"}`)
	k.record(late)
	k.want(k.run(true), 1, 1, "uncovered")
	k.close("2026-02-28")
	k.want(k.run(true), 0, 0, "uncovered")
}
