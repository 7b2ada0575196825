package billing

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"deltaledger/ledger"
)

const feeOf = `{"grace":"0h","effective_from":%q,"charges":[{"name":"fee","measure":"amount","model":"percentage","rate":%q}]}`

// previewAll pages through what changes for closed cycles, an account at a time.
func (f *fixture) previewAll(raw string) (all []ClosedAccount, sum string) {
	f.Helper()
	r := ClosedPageRequest{Terms: []byte(raw), Limit: 1}
	total := Money{Currency: "USD"}
	for {
		p, err := f.b.PreviewClosedAccounts(f.Context(), r)
		if err != nil {
			f.Fatal(err)
		}
		all, total.Amount = append(all, p.Accounts...), total.Amount.Add(p.Sums["USD"].Amount)
		if r.After, r.AsOf = p.Next, fmt.Sprint(p.AsOf.Position); p.Next == "" {
			return all, total.String()
		}
	}
}

// defaultWorld has accounts that go by the default terms in whole, in part and not at all, closed through February, and
// one that is behind.
func defaultWorld(t *testing.T) *fixture {
	f := newFixture(t, "2026-03-02T00:00:00Z")
	f.terms(fmt.Sprintf(feeOf, "2025-01-01", "10"))
	f.terms(`{"account":"own","grace":"0h","charges":[{"name":"own","measure":"amount","model":"percentage","rate":"50"}]}`)
	f.terms(`{"account":"stream","grace":"0h","group_by":"stream"}`)
	f.terms(`{"account":"weekly","grace":"0h","cadence":"weekly"}`)
	for _, account := range []string{"acme", "behind", "own", "stream", "weekly"} {
		f.record(f.event(account, "2026-01-07T00:00:00Z", "100"), f.event(account, "2026-02-18T00:00:00Z", "200"))
	}
	f.close("2026-01-31", "behind")
	for _, account := range []string{"acme", "own", "stream", "weekly"} {
		f.close("2026-02-28", account)
	}
	return f
}

// Default terms recorded for closed cycles bring the difference to every account that had default charges there, as the
// preview said; accounts with charges of their own keep them, and what isn't closed yet has the new ones.
func TestDefaultTermsForClosedCycles(t *testing.T) {
	t.Parallel()
	f := defaultWorld(t)
	newer := fmt.Sprintf(feeOf, "2026-01-01", "7")
	all, sum := f.previewAll(newer)
	// Of the account that is behind January alone is closed.
	if len(all) != 4 || all[0].Account != "acme" || all[0].Sums["USD"].String() != "-9.00" || all[0].Changes != 2 || all[1].Sums["USD"].String() != "-3.00" || sum != "-30.00" {
		t.Fatalf("%s %+v", sum, all)
	}
	if n := f.number("SELECT count(*) FROM billing.default_reratings"); n != 0 {
		t.Errorf("the preview recorded something")
	}
	done, err := f.b.AdjustClosed(t.Context(), []byte(newer), "agreed late", "jane")
	if err != nil || done.Accounts != 4 || done.LeftOut != 0 {
		t.Fatalf("%+v %v", done, err)
	}
	if again, err := f.b.AdjustClosed(t.Context(), []byte(newer), "agreed late", "jane"); err != nil || again.Terms.Version != done.Terms.Version || again.Accounts != 4 {
		t.Errorf("%+v %v", again, err)
	}
	if _, pending := f.previewAll(""); pending != sum {
		t.Errorf("recorded, and not billed yet: %s", pending)
	}
	f.record(f.event("acme", "2026-01-08T00:00:00Z", "10"), f.event("behind", "2026-01-08T00:00:00Z", "10"), f.event("own", "2026-01-08T00:00:00Z", "10"))
	f.at("2026-04-10T00:00:00Z")
	f.close("2026-03-31")
	for account, want := range map[string]map[string]string{
		"acme":   {"2026-01-01 fee": "7.7", "2026-02-01 fee": "14"},
		"behind": {"2026-01-01 fee": "7.7", "2026-02-01 fee": "14"},
		"own":    {"2026-01-01 own": "55", "2026-02-01 own": "100"},
		"stream": {"2026-01-01 fee": "7", "2026-02-01 fee": "14"},
		"weekly": {"2026-01-05 fee": "7", "2026-02-16 fee": "14"},
	} {
		if got := f.byCycle(account); !maps.Equal(got, want) {
			t.Errorf("%s: %v\n%s", account, got, f.story(account))
		}
	}
	for _, l := range f.live("acme")[2].Lines {
		if l.Adjusts != AdjustsTerms || l.Why != "agreed late" || l.By != "jane" || l.Terms != done.Terms.Version {
			t.Errorf("%+v", l)
		}
	}
	if all, sum := f.previewAll(""); len(all) != 0 || sum != "0.00" {
		t.Errorf("all is billed: %s %+v", sum, all)
	}
	f.checkLaws()
}

// What a crash left over after the terms were recorded, the next close brings before anything else.
func TestDefaultTermsForClosedCyclesAfterACrash(t *testing.T) {
	t.Parallel()
	f := defaultWorld(t)
	recorded, err := f.b.recordDefaults(t.Context(), []byte(fmt.Sprintf(feeOf, "2026-02-01", "20")), "agreed late", "jane")
	if err != nil {
		t.Fatal(err)
	}
	if err := f.b.rerateAccount(t.Context(), defaultRerating{recorded, "agreed late", "jane"}, "stream"); err != nil {
		t.Fatal(err)
	}
	f.at("2026-04-10T00:00:00Z")
	f.close("2026-03-31")
	for _, account := range []string{"acme", "behind", "stream"} {
		if got := f.byCycle(account); !maps.Equal(got, map[string]string{"2026-01-01 fee": "10", "2026-02-01 fee": "40"}) {
			t.Errorf("%s: %v", account, got)
		}
	}
	if n := f.number("SELECT accounts FROM billing.default_rerating_ends"); n != 4 {
		t.Errorf("%d accounts", n)
	}
	f.checkLaws()
}

// An account whose closed cycles can't be as the terms say is left out, with the reason; terms that reach no closed cycle are refused.
func TestDefaultTermsForClosedCyclesLeaveOut(t *testing.T) {
	t.Parallel()
	f := defaultWorld(t)
	raw := strings.Replace(fmt.Sprintf(feeOf, "2026-01-01", "7"), `{"grace"`, `{"cadence":"quarterly","grace"`, 1)
	all, sum := f.previewAll(raw)
	if len(all) != 4 || sum != "-9.00" || !strings.Contains(all[0].LeftOut, "cadence: must make the same boundaries") || all[3].Account != "weekly" || all[3].LeftOut != "" {
		t.Fatalf("%s %+v", sum, all)
	}
	if done, err := f.b.AdjustClosed(t.Context(), []byte(raw), "why", "jane"); err != nil || done.Accounts != 1 || done.LeftOut != 3 {
		t.Errorf("%+v %v", done, err)
	}
	var wrong *TermsError
	late := fmt.Sprintf(feeOf, "2027-01-01", "7")
	if _, err := f.b.AdjustClosed(t.Context(), []byte(late), "why", "jane"); !errors.As(err, &wrong) || !strings.Contains(err.Error(), "effective_from") {
		t.Errorf("%v", err)
	}
	if _, err := f.b.PreviewClosedAccounts(t.Context(), ClosedPageRequest{Terms: []byte(late)}); !errors.As(err, &wrong) {
		t.Errorf("%v", err)
	}
	if _, err := f.b.PreviewClosedAccounts(t.Context(), ClosedPageRequest{Limit: 1001}); !errors.Is(err, ledger.ErrInvalid) {
		t.Errorf("%v", err)
	}
}

// However often default terms change for closed cycles, whatever is late and billed again: every account ends where one
// does that had the last terms of its own from the beginning.
func TestDefaultRerateLaw(t *testing.T) {
	t.Parallel()
	round := 0
	rapid.Check(t, func(rt *rapid.T) {
		if round++; round > *worlds/3 && !t.Failed() {
			return
		}
		f := newFixture(t, "2026-01-01T00:00:00Z")
		charges := func() string {
			return `"grace":"0h","effective_from":"2026-01-01","charges":[` + rapid.SampledFrom(append([]string{
				`{"name":"a","measure":"quantity","model":"volume","tiers":[{"up_to":"5","unit_amount":"2","flat_amount":"1"},{"unit_amount":"1.111"}]}`,
				`{"name":"b","measure":"amount","model":"percentage","rate":"2.3","free_events":2}`,
			}, linearCharges...)).Draw(rt, "charge") + `]}`
		}
		last, accounts, twins := charges(), []string{"a1", "a2"}, []ledger.Event{}
		f.terms("{" + last)
		if rapid.Bool().Draw(rt, "own zone") {
			f.terms(`{"account":"a2","zone":"UTC","grace":"0h"}`)
		}
		for month := 2; month <= 5; month++ {
			f.at(fmt.Sprintf("2026-%02d-01T01:00:00Z", month))
			for i := range rapid.IntRange(2, 6).Draw(rt, "events") {
				account := accounts[rapid.IntRange(0, 1).Draw(rt, "account")]
				if month == 2 && i < 2 {
					account = accounts[i] // both are known before default terms change
				}
				e := f.event(account, fmt.Sprintf("2026-%02d-%02dT00:00:00Z", rapid.IntRange(1, month-1).Draw(rt, "month"), rapid.IntRange(1, 27).Draw(rt, "day")),
					fmt.Sprint(rapid.IntRange(-5, 40).Draw(rt, "amount")))
				e.Quantity, _ = ledger.ParseAmount(fmt.Sprint(rapid.IntRange(-1, 4).Draw(rt, "quantity")))
				e.Type = rapid.SampledFrom([]string{"order.placed", "order.returned", "call.made"}).Draw(rt, "type")
				f.record(e)
				e.Account, e.ID = "twin-"+account, e.ID+"-twin"
				twins = append(twins, e)
			}
			if month > 2 && rapid.Bool().Draw(rt, "default terms for closed cycles") {
				next := charges()
				if _, err := f.b.AdjustClosed(t.Context(), []byte("{"+next), "agreed", "jane"); err != nil && next != last { // the first ones hold always
					rt.Fatal(err)
				}
				last = next
			}
			f.close(fmt.Sprintf("2026-%02d-01", month), accounts[0])
			if rapid.Bool().Draw(rt, "both") {
				f.close(fmt.Sprintf("2026-%02d-01", month), accounts[1])
			}
			if live := f.live(accounts[0]); len(live) > 0 && rapid.IntRange(0, 2).Draw(rt, "rebill") == 0 {
				f.void(live[rapid.IntRange(0, len(live)-1).Draw(rt, "invoice")].ID.String(), Rebill)
			}
		}
		f.at("2026-07-01T01:00:00Z")
		for _, account := range accounts {
			f.close("2026-07-01", account)
		}
		for _, account := range accounts {
			f.terms(`{"account":"twin-` + account + `",` + last)
		}
		f.record(twins...)
		for _, account := range accounts {
			f.close("2026-07-01", "twin-"+account)
			if got, want := f.byCycle(account), f.byCycle("twin-"+account); !maps.Equal(got, want) {
				rt.Fatalf("%s: billed in steps: %v\nat once: %v\n%s", account, got, want, f.story(account))
			}
		}
	})
}
