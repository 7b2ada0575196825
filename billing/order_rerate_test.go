package billing

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"deltaledger/ledger"
)

// However orders arrive, and however often the charges of closed cycles change meanwhile, the bills for each cycle come to what
// one close of everything in time bills by the charges that the cycle has in the end.
func TestOrdersComeToTheSameWhenChargesChange(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "2026-05-05T00:00:00Z")
	for world := range *orderWorlds / 4 { // each costs seconds
		f.at("2026-05-05T00:00:00Z")
		f.ordersAgain(fmt.Sprintf("w%d", world), rand.New(rand.NewPCG(11, uint64(world))))
	}
}

// someCharges draws charges that all select every event.
func someCharges(r *rand.Rand) string {
	all := []string{`{"name":"all","measure":"amount","model":"sum"}`}
	for _, models := range [][]string{
		{`"name":"fee","measure":"amount","model":"percentage","rate":"1.37","fixed_amount":"0.10","free_events":2`, `"name":"fee","measure":"amount","model":"percentage","rate":"2","free_events":3`},
		{`"name":"each","model":"per_event","unit_amount":"0.05","free_units":"3"`, `"name":"each","measure":"count","model":"volume","tiers":[{"up_to":"4","unit_amount":"1"},{"unit_amount":"0.4","flat_amount":"2"}]`},
		{`"name":"steps","measure":"amount","model":"graduated","tiers":[{"up_to":"50","unit_amount":"0.2","flat_amount":"1"},{"unit_amount":"0.1"}]`, `"name":"steps","measure":"amount","model":"package","package_size":"30","package_amount":"2.5"`},
		{`"name":"base","model":"flat","amount":"9","currency":"USD"`, `"name":"base","model":"flat","amount":"7.5","currency":"EUR"`},
		{`"name":"least","measure":"amount","model":"percentage","rate":"5","minimum":"4","currency":"USD"`, `"name":"least","measure":"amount","model":"percentage","rate":"5","maximum":"3","currency":"USD"`},
	} {
		if i := r.IntN(3); i < len(models) {
			all = append(all, "{"+models[i]+"}")
		}
	}
	return strings.Join(all, ",")
}

// ordersAgain plays one history of some accounts.
func (f *fixture) ordersAgain(name string, r *rand.Rand) {
	f.Helper()
	const accounts = 6
	common := func(account string, groupBy string) string {
		return `{"account":"` + account + `","start":"2026-01-01","grace":"0h","bill_on":"order","finalising":["order.completed"],"group_by":"` + groupBy + `"`
	}
	by := make([]string, accounts)
	for i := range by {
		by[i] = []string{"account", "stream"}[r.IntN(2)]
		f.terms(common(fmt.Sprintf("%sp-%d", name, i), by[i]) + `,"charges":[` + someCharges(r) + "]}")
	}
	parted := ordersOf(name+"p", accounts)
	r.Shuffle(len(parted), func(i, j int) { parted[i], parted[j] = parted[j], parted[i] })
	waves := []string{"2026-01-31", "2026-02-28", "2026-02-28", "2026-03-31", "2026-04-30", "2026-05-31"}
	for i, through := range waves {
		if i == len(waves)-1 {
			f.at("2026-06-05T00:00:00Z")
		}
		f.record(parted[len(parted)*i/6 : len(parted)*(i+1)/6]...)
		for account := range accounts {
			if i == 0 || r.IntN(3) > 0 {
				continue
			}
			raw := common(fmt.Sprintf("%sp-%d", name, account), by[account]) + fmt.Sprintf(`,"effective_from":"2026-%02d-01","charges":[%s]}`, 1+r.IntN(4), someCharges(r))
			if _, err := f.b.AdjustClosed(f.Context(), []byte(raw), "agreed", "jane"); err != nil && !errors.Is(err, ledger.ErrInvalid) {
				f.Fatal(err)
			}
		}
		for account := range accounts {
			if i == len(waves)-1 || r.IntN(4) > 0 {
				f.close(through, fmt.Sprintf("%sp-%d", name, account))
			}
		}
	}
	f.twinOf(name, accounts, common, by)
	have, want := f.amountsPerCycle(name+"p"), f.amountsPerCycle(name+"t")
	if !maps.Equal(have, want) {
		f.Errorf("%s: billed in steps: %v\nat once: %v", name, have, want)
	}
}

// amountsPerCycle is perCycle without how many events there are, which lines of new charges don't add, and without what comes to nothing.
func (f *fixture) amountsPerCycle(name string) map[string]string {
	f.Helper()
	amounts := map[string]string{}
	for key, value := range f.perCycle(name) {
		if _, amount, _ := strings.Cut(value, ", "); amount != "0" {
			amounts[key] = amount
		}
	}
	return amounts
}

// twinOf gives other accounts the same events in time, and the charges that each cycle has in the end.
func (f *fixture) twinOf(name string, accounts int, common func(string, string) string, by []string) {
	f.Helper()
	for i := range accounts {
		cal, err := f.b.calendarOf(f.Context(), f.b.pool, fmt.Sprintf("%sp-%d", name, i))
		if err != nil {
			f.Fatal(err)
		}
		for month := time.January; month <= time.May; month++ {
			var charges []string
			for _, c := range cal.TermsAt(time.Date(2026, month, 1, 0, 0, 0, 0, time.UTC)).Charges {
				charges = append(charges, c.definition())
			}
			f.terms(common(fmt.Sprintf("%st-%d", name, i), by[i]) + fmt.Sprintf(`,"effective_from":"2026-%02d-01","charges":[%s]}`, month, strings.Join(charges, ",")))
		}
	}
	f.record(ordersOf(name+"t", accounts)...)
	for i := range accounts {
		f.close("2026-05-31", fmt.Sprintf("%st-%d", name, i))
	}
}
