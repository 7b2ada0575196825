package billing

import (
	"maps"
	"testing"
)

// What an invoice in place of a void one pins, and no charge of that day selects, is billed by charges that come later.
func TestEventsThatARebillBillsNothingFor(t *testing.T) {
	t.Parallel()
	const by = `{"account":"acme","grace":"0h","effective_from":"2026-01-01","charges":[`
	for name, amount := range map[string]string{"billed before": "10", "billed as nothing before": "0"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, "2026-02-01T01:00:00Z")
			f.terms(by + `{"name":"a","measure":"amount","model":"percentage","rate":"5"}]}`)
			e := f.event("acme", "2026-01-10T00:00:00Z", amount)
			e.Quantity = e.Amount
			f.record(e)
			one := f.event("acme", "2026-02-10T00:00:00Z", "1")
			f.close("2026-01-31")
			f.at("2026-03-01T01:00:00Z")
			f.record(one)
			f.again(by + `{"name":"b","types":["never"],"model":"per_event","unit_amount":"1"}]}`)
			f.close("2026-02-28")
			f.void("INV-000001", Rebill)
			f.at("2026-04-01T01:00:00Z")
			f.again(by + `{"name":"c","model":"per_event","unit_amount":"3"}]}`)
			f.close("2026-03-31")
			want := map[string]string{"2026-01-01 c": "3", "2026-02-01 c": "3"}
			if got := f.byCycle("acme"); !maps.Equal(got, want) {
				t.Errorf("%v, want %v", got, want)
			}
			f.checkLaws()
		})
	}
}
