package billing

import (
	"fmt"
	"maps"
	"strings"
	"testing"
)

// bills are the invoices of an account that count, as cycle, currency and total.
func (f *fixture) bills(account string) string {
	f.Helper()
	var bills []string
	for _, v := range f.invoices(account) {
		if v.Status != Void {
			bills = append(bills, fmt.Sprintf("%s %s %s", v.CycleStart.Format("01-02"), v.Currency, v.Total))
		}
		if err := recompute(v); err != nil {
			f.Error(err)
		}
		if _, err := f.b.Explain(f.Context(), v.ID.String()); err != nil {
			f.Error(err)
		}
	}
	return strings.Join(bills, ", ")
}

func (f *fixture) sameBills(account, want string) {
	f.Helper()
	if got := f.bills(account); got != want {
		f.Errorf("%s is billed %s, want %s", account, got, want)
	}
}

// A minimum is due for every cycle, with events or without, and for a part of a cycle by its days.
func TestMinimum(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "2026-06-10T00:00:00Z")
	const fee = `"cadence":"monthly","grace":"0h","charges":[
		{"name":"fee","measure":"amount","model":"percentage","rate":"10","minimum":"31.00","currency":"USD"},
		{"name":"other","measure":"amount","model":"sum","currency":"EUR"}]}`
	f.terms(`{"account":"idle","start":"2026-01-17",` + fee)
	f.terms(`{"account":"busy","effective_from":"2026-01-01",` + fee)
	f.terms(`{"account":"new","start":"2026-02-15",` + fee)
	euros := f.event("new", "2026-03-03T00:00:00Z", "7")
	euros.Currency = "EUR"
	f.record(f.event("busy", "2026-02-10T00:00:00Z", "100"), f.event("busy", "2026-03-10T00:00:00Z", "500"), f.event("new", "2026-02-20T00:00:00Z", "200"), euros)
	f.close("2026-01-31")
	f.sameBills("busy", "01-01 USD 31.00")
	f.close("2026-03-31")
	f.close("2026-03-31")
	f.sameBills("idle", "01-17 USD 15.00, 02-01 USD 31.00, 03-01 USD 31.00")
	f.sameBills("busy", "01-01 USD 31.00, 02-01 USD 31.00, 03-01 USD 50.00")
	f.sameBills("new", "02-15 USD 20.00, 03-01 EUR 7.00, 03-01 USD 31.00")

	// What comes late counts towards the minimum of its own cycle, which is billed already.
	f.record(f.event("idle", "2026-01-20T00:00:00Z", "40"), f.event("busy", "2026-02-11T00:00:00Z", "200"), f.event("busy", "2026-02-12T00:00:00Z", "40"))
	f.close("2026-04-30")
	f.sameBills("idle", "01-17 USD 15.00, 02-01 USD 31.00, 03-01 USD 31.00, 04-01 USD 31.00")
	f.sameBills("busy", "01-01 USD 31.00, 02-01 USD 31.00, 03-01 USD 50.00, 04-01 USD 34.00")
	late := f.invoices("idle")[3].Lines[1]
	if !late.Late || late.Events != 1 || late.Billed.String() != "15.00" || late.Amount.String() != "0.00" || late.Days != 15 || late.PeriodDays != 31 {
		t.Errorf("late line: %+v", late)
	}
	for _, account := range []string{"idle", "busy", "new"} {
		for _, v := range f.invoices(account) {
			f.void(v.ID.String(), Rebill)
		}
	}
	f.sameBills("idle", "01-17 USD 15.00, 02-01 USD 31.00, 03-01 USD 31.00, 04-01 USD 31.00")
	f.sameBills("busy", "01-01 USD 31.00, 02-01 USD 31.00, 03-01 USD 50.00, 04-01 USD 34.00")
	f.sameBills("new", "02-15 USD 20.00, 03-01 EUR 7.00, 03-01 USD 31.00, 04-01 USD 31.00")
}

// By default terms a minimum is due from the cycle of an account's first event on.
func TestMinimumByDefault(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "2026-06-10T00:00:00Z")
	f.terms(`{"grace":"0h","charges":[{"name":"sales","measure":"amount","model":"sum","minimum":"9","currency":"USD"}]}`)
	f.record(f.event("old", "2026-01-10T00:00:00Z", "1"))
	f.close("2026-01-31")
	f.record(f.event("new", "2026-03-10T00:00:00Z", "12"))
	f.close("2026-04-30")
	f.sameBills("old", "01-01 USD 9.00, 02-01 USD 9.00, 03-01 USD 9.00, 04-01 USD 9.00")
	f.sameBills("new", "03-01 USD 12.00, 04-01 USD 9.00")
}

// Where each stream has an invoice of its own, the minimum is of a stream that has events, whole, however long its cycle is.
func TestMinimumOfStreams(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "2026-06-10T00:00:00Z")
	f.terms(`{"account":"acme","start":"2026-01-17","grace":"0h","group_by":"stream","charges":[
		{"name":"fee","measure":"amount","model":"percentage","rate":"10","minimum":"0.50"}]}`)
	for i, amount := range []string{"1", "90"} {
		e := f.event("acme", "2026-01-20T00:00:00Z", amount)
		e.Source, e.Stream = "a", fmt.Sprintf("o%d", i)
		f.record(e)
	}
	f.close("2026-03-31")
	f.sameBills("acme", "01-17 USD 0.50, 01-17 USD 9.00")
}

// The minimum of every cycle is an amount of some currency, from some day on.
func TestMinimumThatNobodyCanBill(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "2026-06-10T00:00:00Z")
	for _, c := range []struct{ head, currency, want string }{
		{`"account":"acme",`, `,"currency":"USD"`, "start: must be given, or effective_from"},
		{`"account":"acme","start":"2026-01-01",`, ``, "charges[0].currency: must be given beside minimum"},
		{``, ``, "charges[0].currency: must be given beside minimum"},
	} {
		_, err := f.b.SetTerms(t.Context(), []byte(`{`+c.head+`"charges":[{"name":"fee","measure":"amount","model":"sum","minimum":"5"`+c.currency+`}]}`), "tester")
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s%s: %v", c.head, c.currency, err)
		}
	}
	f.terms(`{"charges":[{"name":"refunds too","measure":"amount","model":"sum","minimum":"0"}]}`) // takes no price below zero
	f.record(f.event("acme", "2026-01-20T00:00:00Z", "-5"))
	f.close("2026-03-31")
	f.sameBills("acme", "01-01 USD 0.00")
}

// A late event is priced together with what its cycle has billed, also where streams have invoices of their own by now: the
// minimum that is paid isn't due once more, nor are the allowances given again.
func TestLateWhereStreamsGotInvoicesMeanwhile(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "2026-02-05T00:00:00Z")
	const charges = `"charges":[
		{"name":"fee","measure":"amount","model":"percentage","rate":"1","minimum":"100","currency":"USD"},
		{"name":"each","model":"per_event","unit_amount":"1","free_units":"2"}]`
	f.terms(`{"account":"acme","start":"2026-01-01","grace":"0h",` + charges + "}")
	f.record(f.ofOrder("acme", "o1", "order.placed", "2026-01-10T00:00:00Z", "500"), f.ofOrder("acme", "o2", "order.placed", "2026-01-11T00:00:00Z", "500"))
	f.close("2026-01-31")
	f.terms(`{"account":"acme","effective_from":"2026-02-01","group_by":"stream","grace":"0h",` + charges + "}")
	f.record(f.ofOrder("acme", "o1", "order.placed", "2026-01-12T00:00:00Z", "1"), f.ofOrder("acme", "o3", "order.placed", "2026-01-13T00:00:00Z", "2"))
	f.at("2026-03-05T00:00:00Z")
	f.close("2026-02-28")
	want := map[string]string{"2026-01-01 fee": "100", "2026-01-01 each": "2"}
	if got := f.byCycle("acme"); !maps.Equal(got, want) {
		t.Errorf("the cycle comes to %v, want %v", got, want)
	}
}
