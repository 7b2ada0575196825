package billing

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"
)

const sharedTerms = `{"account":"acme","start":"2026-01-01","grace":"0h","contract":%q,"effective_from":%q,
	"charges":[{"name":"units","model":"per_unit","measure":"quantity","unit_amount":"10","free_units":"5","free_per":"contract","maximum":"60","maximum_per":"contract"}]}`

// billedLines are the lines of an invoice: cycle, events and amount of each.
func billedLines(lines []Line) string {
	var texts []string
	for _, l := range lines {
		texts = append(texts, fmt.Sprintf("%s %d %s", l.OriginStart.Format("Jan"), l.Events, l.Amount.Amount))
	}
	return strings.Join(texts, ", ")
}

// closeMonth closes a month of 2026 and returns the lines of its invoice, which the preview must have told.
func (f *fixture) closeMonth(month int) string {
	f.Helper()
	start := fmt.Sprintf("2026-%02d-01", month)
	f.at(fmt.Sprintf("2026-%02d-01T00:00:00Z", month+1))
	p, err := f.b.Preview(f.Context(), PreviewRequest{Account: "acme"})
	if err != nil {
		f.Fatal(err)
	}
	told := ""
	for _, d := range p.Drafts {
		if d.CycleStart.Format("2006-01-02") == start {
			told = billedLines(d.Lines)
		}
	}
	f.close(DateOf(f.now()).AddDays(-1).String())
	all := f.invoices("acme")
	newest := all[len(all)-1]
	if newest.CycleStart.Format("2006-01-02") != start {
		return ""
	}
	if err := recompute(newest); err != nil {
		f.Error(err)
	}
	got := billedLines(newest.Lines)
	if got != told {
		f.Errorf("the preview of %s told %s, and billed is %s", start, told, got)
	}
	firsts := map[string]uuid.UUID{}
	for _, v := range all {
		firsts[v.CycleStart.String()] = v.ID
	}
	for _, l := range newest.Lines {
		if l.Late && (l.OriginInvoice == nil || *l.OriginInvoice != firsts[l.OriginStart.String()]) {
			f.Errorf("the line of %s doesn't name the invoice of its cycle", l.OriginStart)
		}
	}
	return got
}

// use records units on a day of 2026.
func (f *fixture) use(day, quantity string) {
	f.Helper()
	e := f.units("acme", "2026-"+day+"T00:00:00Z", quantity)
	if e.OccurredAt.After(f.now()) {
		f.clock.Store(&e.OccurredAt)
	}
	f.record(e)
}

// Free units and a maximum over the contract, through two rounds of lateness, a renewal, invoices that are billed again, and one
// that is written off.
func TestContract(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "2026-01-01T00:00:00Z")
	f.terms(fmt.Sprintf(sharedTerms, "one", "2026-01-01"))
	want := func(month int, lines string) {
		t.Helper()
		if got := f.closeMonth(month); got != lines {
			t.Errorf("month %d is billed %s, want %s", month, got, lines)
		}
	}
	f.use("01-10", "3") // free
	want(1, "Jan 1 0")
	f.use("02-10", "4") // 2 are free
	want(2, "Feb 1 20")
	f.use("03-10", "3")
	want(3, "Mar 1 30")

	f.use("01-11", "1") // is free, and takes one from February
	f.use("04-10", "3") // nothing is left below the maximum
	want(4, "Apr 1 0, Jan 1 0, Feb 0 10")

	f.use("01-12", "-2") // gives two back
	f.use("03-11", "1")
	f.use("05-10", "1")
	want(5, "May 1 0, Jan 1 0, Feb 0 -20, Mar 1 10, Apr 0 10")
	f.checkContracts()

	for _, i := range []int{4, 3, 1} { // is billed again as it was
		before := f.invoices("acme")
		done := f.void(before[i].ID.String(), Rebill)
		again, err := f.b.Show(t.Context(), done.Rebill.String())
		if err != nil {
			t.Fatal(err)
		}
		if got, was := billedLines(again.Lines), billedLines(before[i].Lines); got != was {
			t.Errorf("instead of %s is billed %s", was, got)
		}
		f.checkContracts()
	}

	f.terms(fmt.Sprintf(sharedTerms, "two", "2026-06-01"))
	f.use("05-11", "2") // of the first contract, of which nothing is left
	f.use("06-10", "6") // of the second, of which everything is
	if got := f.closeMonth(6); got != "Jun 1 10, May 1 0" {
		t.Errorf("after the renewal is billed %s", got)
	}

	f.void(f.invoices("acme")[2].ID.String(), WriteOff) // 30 for March: given up, and spent
	f.use("02-11", "1")
	want(7, "Feb 1 10, Apr 0 -10")
	f.checkContracts()
	if v, err := f.b.TermsOf(t.Context(), "acme"); err != nil || v.InForce.Contract != "two" {
		t.Errorf("the contract is %q: %v", v.InForce.Contract, err)
	}
}

// What an allowance is about can change while it is used: what counts is the place of each unit in the contract. Another document
// keeps the contract, and a charge that holds none of its allowances over the contract doesn't count.
func TestTermsChangeWithinAContract(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "2026-01-01T00:00:00Z")
	for i, charge := range []string{`"free_units":"5","free_per":"contract"`, `"free_units":"10","free_per":"contract"`, `"free_units":"1"`, `"free_units":"10","free_per":"contract"`} {
		name := ""
		if i == 0 {
			name = `"contract":"one",`
		}
		f.terms(fmt.Sprintf(`{"account":"acme","start":"2026-01-01","grace":"0h",%s"effective_from":"2026-%02d-01","charges":[{"name":"units","model":"per_unit","measure":"quantity","unit_amount":"10",%s}]}`, name, i+1, charge))
	}
	for i, want := range []string{"Jan 1 20", "Feb 1 0", "Mar 1 10", "Apr 1 20"} {
		f.use(fmt.Sprintf("%02d-10", i+1), map[int]string{0: "7", 1: "2", 2: "2", 3: "3"}[i])
		if got := f.closeMonth(i + 1); got != want {
			t.Errorf("month %d is billed %s, want %s", i+1, got, want)
		}
	}
	f.checkContracts()
	if n := f.number("SELECT count(*) FROM billing.contract_uses WHERE contract = 'one'"); n != 3 {
		t.Errorf("%d totals", n)
	}
}

// A close of what is on time reads one total of the contract, however many cycles that has.
func TestCostOfAContract(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "2026-01-01T00:00:00Z")
	f.terms(`{"account":"acme","start":"2026-01-01","grace":"0h","cadence":"daily","charges":[{"name":"units","model":"per_unit","measure":"quantity","unit_amount":"1","maximum":"50","maximum_per":"contract"}]}`)
	for day := range 28 {
		f.use(fmt.Sprintf("01-%02d", day+1), "1")
	}
	f.at("2026-01-28T00:00:00Z")
	f.close("2026-01-27")
	f.use("01-25", "1")
	f.at("2026-01-29T00:00:00Z")
	v := f.invoices("acme")[0]
	d := &draft{cycle: Cycle{Start: mustTime(t, "2026-01-28T00:00:00Z")}, currency: v.Currency}
	charge, err := ParseCharge(v.Lines[0].Definition)
	if err != nil {
		t.Fatal(err)
	}
	for since, lines := range map[string]int{"2026-01-28T00:00:00Z": 0, "2026-01-25T00:00:00Z": 3} {
		d.lines = []*draftLine{{charge: charge, origin: Cycle{Start: mustTime(t, since)}}}
		tx, err := f.db.App.Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		all, origins, err := readContracts(t.Context(), tx, "acme", []*draft{d}, uuid.Nil)
		if err != nil || len(all) != 1 || len(all[0].past) != lines || len(origins) != lines || !all[0].total.Spent.Equal(dec("27")) {
			t.Errorf("from %s on %d contracts are read, %+v: %v", since, len(all), all, err)
		}
		if err := tx.Rollback(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}
