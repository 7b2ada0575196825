package billing

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// A flat charge is billed for every cycle, with events or without, and where the terms begin within a
// cycle for the days of it.
func TestFlat(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "2026-06-10T00:00:00Z")
	const fee = `"cadence":"monthly","grace":"0h","charges":[{"name":"fee","model":"flat","amount":"31.00","currency":"USD","discounts":[{"percentage":"10"}]},{"name":"sales","measure":"amount","model":"sum"}]}`
	f.terms(`{"account":"idle","start":"2026-01-17",` + fee)
	f.terms(`{"account":"busy","effective_from":"2026-01-01",` + fee)
	if _, err := f.b.SetTerms(f.Context(), []byte(`{"account":"when",`+fee), "tester"); err == nil || !strings.Contains(err.Error(), "start: must be given") {
		t.Errorf("a flat charge from an unknown day on: %v", err)
	}
	f.record(f.event("busy", "2026-02-10T00:00:00Z", "5"))
	want := map[string]string{
		"idle": "2026-01-17 13.50, 2026-02-01 27.90, 2026-03-01 27.90, 2026-04-01 27.90",
		"busy": "2026-01-01 27.90, 2026-02-01 32.90, 2026-03-01 27.90, 2026-04-01 34.90",
	}
	f.close("2026-01-31")
	f.close("2026-03-31")
	f.close("2026-03-31")
	late := f.event("busy", "2026-02-11T00:00:00Z", "7")
	f.record(late)
	f.close("2026-04-30")
	for account, bills := range want {
		var got []string
		for _, v := range f.invoices(account) {
			got = append(got, v.CycleStart.Format("2006-01-02")+" "+v.Total.String())
			if err := recompute(v); err != nil {
				t.Error(err)
			}
		}
		if text := strings.Join(got, ", "); text != bills {
			t.Errorf("%s is billed %s, want %s", account, text, bills)
		}
	}
	for _, v := range f.invoices("busy")[1:] {
		f.void(v.ID.String(), Rebill)
	}
	live := map[string]string{}
	for _, v := range f.invoices("busy") {
		if v.Status != Void {
			live[v.CycleStart.Format("2006-01-02")] = v.Total.String()
		}
	}
	if live["2026-02-01"] != "32.90" || live["2026-03-01"] != "27.90" || live["2026-04-01"] != "34.90" {
		t.Errorf("billed again: %v", live)
	}
	if n := f.number("SELECT count(*) FROM billing.pins p WHERE p.account = 'busy' AND p.replaces IS NULL"); n != 2 {
		t.Errorf("%d pins", n)
	}
}

// By default terms an account pays from the cycle of its first event on, whatever runs passed before.
func TestFlatByDefault(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "2026-06-10T00:00:00Z")
	f.terms(`{"grace":"0h","charges":[{"name":"fee","model":"flat","amount":"9","currency":"EUR"},{"name":"sales","measure":"amount","model":"sum"}]}`)
	f.record(f.event("old", "2026-01-10T00:00:00Z", "1"))
	f.close("2026-01-31")
	f.record(f.event("new", "2026-03-10T00:00:00Z", "2"))
	f.close("2026-04-30")
	for account, bills := range map[string]string{"old": "EUR 9.00, USD 1.00, EUR 9.00, EUR 9.00, EUR 9.00", "new": "EUR 9.00, USD 2.00, EUR 9.00"} {
		var got []string
		for _, v := range f.invoices(account) {
			got = append(got, v.Currency+" "+v.Total.String())
		}
		if text := strings.Join(got, ", "); text != bills {
			t.Errorf("%s is billed %s, want %s", account, text, bills)
		}
	}
}

// Where the zone of the terms changes, each local date is billed once.
func TestFlatAcrossZones(t *testing.T) {
	t.Parallel()
	for _, zones := range [][2]string{{"UTC", "America/New_York"}, {"UTC", "Asia/Tokyo"}, {"Asia/Tokyo", "America/New_York"}, {"America/New_York", "Asia/Tokyo"}} {
		terms := func(version int64, zone, from string) Terms {
			v, err := ParseTerms([]byte(`{"account":"acme","start":"2026-03-10","zone":"`+zone+`"`+from+`,"charges":[{"name":"fee","model":"flat","amount":"31","currency":"EUR"}]}`), time.UTC)
			if err != nil {
				t.Fatal(err)
			}
			v.Version = version
			return v
		}
		cal, err := NewCalendar([]Terms{DefaultTerms(time.UTC), terms(1, zones[0], ""), terms(2, zones[1], `,"effective_from":"2026-03-25"`)})
		if err != nil {
			t.Fatal(err)
		}
		sum := int64(0)
		var days []int64
		for cy := cal.Cycle(mustTime(t, "2026-03-12T00:00:00Z")); cy.Start.Before(mustTime(t, "2026-05-20T00:00:00Z")); cy = cal.Next(cy) {
			n, _ := cal.days(cy)
			sum, days = sum+n, append(days, n)
		}
		if sum != 22+30+31 {
			t.Errorf("%v: %d days, %v", zones, sum, days)
		}
	}
}

// By default terms nobody says since when an account is a customer: for a cycle that was closed before anything was known of it, it
// is billed by the charges that select what came late, with their minimum, and no flat charge.
func TestFlatOfCyclesBeforeAnythingWasKnown(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "2026-06-10T00:00:00Z")
	f.terms(`{"grace":"0h","charges":[{"name":"fee","model":"flat","amount":"9","currency":"EUR"},{"name":"sales","measure":"amount","model":"sum","minimum":"5","currency":"USD"}]}`)
	f.record(f.event("old", "2026-02-10T00:00:00Z", "1"))
	f.close("2026-02-28")
	f.record(f.event("new", "2026-02-10T00:00:00Z", "2"))
	f.close("2026-03-31")
	var got []string
	for _, v := range f.invoices("new") {
		for _, l := range v.Lines {
			got = append(got, fmt.Sprintf("%s %s %s %s", l.Charge, l.OriginStart.Format("01"), v.Currency, l.Amount))
		}
	}
	slices.Sort(got)
	if text := strings.Join(got, ", "); text != "fee 03 EUR 9.00, sales 02 USD 5.00, sales 03 USD 5.00" {
		t.Errorf("it is billed %s", text)
	}
}
