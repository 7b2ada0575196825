package billing

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// starts are the starts of the next cycles of an account, as local dates or times.
func (f *fixture) starts(account, from string, n int) []string {
	f.Helper()
	cal, err := f.b.calendarOf(f.Context(), f.b.pool, account)
	if err != nil {
		f.Fatal(err)
	}
	var starts []string
	for cy := cal.Cycle(mustTime(f, from)); len(starts) < n; cy = cal.Next(cy) {
		zone := cal.TermsAt(cy.Start).Zone
		if DateOf(cy.Start.In(zone)).In(zone).Equal(cy.Start) {
			starts = append(starts, cy.Start.In(zone).Format(time.DateOnly))
		} else {
			starts = append(starts, cy.Start.In(zone).Format(localLayout))
		}
	}
	return starts
}

func (f *fixture) wantStarts(account, from string, want ...string) {
	f.Helper()
	if got := f.starts(account, from, len(want)); !slices.Equal(got, want) {
		f.Errorf("the cycles of %s start at %v, want %v", account, got, want)
	}
}

// What the terms of an account leave out is as in the default terms, also as these change.
func TestAccountsFollowTheDefault(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "2026-01-20T00:00:00Z")
	f.terms(`{"cadence":"monthly","grace":"3d","charges":[{"name":"fee","measure":"amount","model":"percentage","rate":"10"}]}`)
	own := f.terms(`{"account":"acme","grace":"10d"}`)
	if string(own.JSON()) != `{"account":"acme","grace":"240h"}` || fmt.Sprint(own.Left()) != "[cadence anchor zone group_by bill_on review_above approve_above charges]" {
		t.Errorf("recorded are %s, left %v", own.JSON(), own.Left())
	}
	f.record(f.event("acme", "2026-01-10T00:00:00Z", "100"), f.event("globex", "2026-01-10T00:00:00Z", "100"))
	f.at("2026-02-05T00:00:00Z")
	if done := f.close("2026-01-31"); done.Invoices != 1 || len(done.Skipped) != 1 || done.Skipped[0].Account != "acme" ||
		!done.Skipped[0].ClosableFrom.Equal(mustTime(t, "2026-02-11T00:00:00Z")) {
		t.Errorf("inside the longer grace: %+v", done)
	}
	f.at("2026-02-11T00:00:00Z")
	f.close("2026-01-31")
	f.sameMoney("at 10 percent", f.invoices("acme")[0].Total.Amount, "10")

	twenty := f.terms(`{"cadence":"weekly","zone":"Asia/Tokyo","charges":[{"name":"fee","measure":"amount","model":"percentage","rate":"20"}]}`)
	if !twenty.NotBefore.Equal(mustTime(t, "2026-02-01T00:00:00Z")) {
		t.Errorf("the new default acts from %s", twenty.NotBefore)
	}
	f.record(f.event("acme", "2026-02-10T00:00:00Z", "100"))
	f.at("2026-03-20T00:00:00Z")
	f.close("2026-02-28", "acme")
	v := f.invoices("acme")[1]
	f.sameMoney("at 20 percent", v.Total.Amount, "20")
	if v.Zone != "Asia/Tokyo" || v.Lines[0].Terms != twenty.Version || v.CycleEnd.Sub(v.CycleStart) != 7*day {
		t.Errorf("the invoice is of a cycle in %s from %s to %s, its line of version %d", v.Zone, v.CycleStart, v.CycleEnd, v.Lines[0].Terms)
	}
	view, err := f.b.TermsOf(t.Context(), "acme")
	if err != nil || view.InForce.Version != own.Version || view.InForce.Base != twenty.Version || view.InForce.Grace != 10*day ||
		!strings.Contains(string(view.InForce.JSON()), `"rate":"20"`) || len(view.History) != 4 {
		t.Errorf("in force are %s of %d over %d: %v", view.InForce.JSON(), view.InForce.Version, view.InForce.Base, err)
	}
	back := f.terms(`{"account":"acme"}`)
	if view, err = f.b.TermsOf(t.Context(), "acme"); err != nil || view.InForce.Version != back.Version || view.InForce.Grace != DefaultGrace {
		t.Errorf("nothing of its own is left: %s, %v", view.InForce.JSON(), err)
	}
	f.checkLaws()
}

// Terms of the default don't move a boundary through which an account is closed that has its own, but
// leaves its zone to them, though accounts without their own aren't closed so far.
func TestTheDefaultMovesNoClosedBoundary(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "2026-01-01T00:00:00Z")
	f.terms(`{"account":"acme","cadence":"weekly","grace":"0h"}`)
	f.at("2026-01-20T00:00:00Z")
	f.record(f.event("acme", "2026-01-08T00:00:00Z", "1"))
	f.close("2026-01-20")
	v := f.terms(`{"zone":"Asia/Tokyo","charges":[{"name":"amount","measure":"amount","model":"sum"}]}`)
	if !v.NotBefore.Equal(mustTime(t, "2026-01-19T00:00:00Z")) {
		t.Errorf("the new default acts from %s", v.NotBefore)
	}
	f.wantStarts("acme", "2026-01-06T00:00:00Z", "2026-01-05", "2026-01-12", "2026-01-19T09:00:00", "2026-01-26")
	f.at("2026-02-20T00:00:00Z")
	f.record(f.event("acme", "2026-01-09T00:00:00Z", "2"), f.event("acme", "2026-01-22T00:00:00Z", "4"))
	if done := f.close("2026-02-10"); done.Late != 1 || done.Pinned != 2 {
		t.Errorf("result: %+v", done)
	}
	f.checkLaws()
}

// An account that starts inside a cycle has a short first one; counted from its anniversary the cycles
// keep the day of the month. Later terms keep the start.
func TestAccountsStart(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "2026-01-31T00:00:00Z")
	f.terms(`{"anchor":"anniversary","charges":[{"name":"amount","measure":"amount","model":"sum"}]}`)
	f.terms(`{"account":"yearly","start":"2024-02-29","cadence":"yearly"}`)
	f.terms(`{"account":"acme","start":"2026-01-31"}`)
	f.terms(`{"account":"calendar","start":"2026-01-14T10:30:00","cadence":"quarterly","anchor":"2000-01-01"}`)
	f.terms(`{"account":"york","start":"2026-01-14","zone":"America/New_York"}`)
	f.wantStarts("nobody", "2026-01-10T00:00:00Z", "2026-01-01", "2026-02-01")
	f.wantStarts("acme", "2026-01-10T00:00:00Z", "2025-12-31", "2026-01-31", "2026-02-28", "2026-03-31")
	f.wantStarts("yearly", "2025-10-10T00:00:00Z", "2025-02-28", "2026-02-28")
	f.wantStarts("calendar", "2026-01-10T00:00:00Z", "2026-01-01", "2026-01-14T10:30:00", "2026-04-01", "2026-07-01")
	f.wantStarts("york", "2026-01-15T00:00:00Z", "2026-01-14", "2026-02-14")

	again := f.terms(`{"account":"acme","grace":"0h"}`)
	if string(again.JSON()) != `{"account":"acme","start":"2026-01-31","grace":"0h"}` {
		t.Errorf("later terms are recorded as %s", again.JSON())
	}
	f.wantStarts("acme", "2026-01-31T00:00:00Z", "2026-01-31", "2026-02-28", "2026-03-31")
	f.at("2026-02-28T00:00:00Z")
	f.record(f.event("acme", "2026-01-30T00:00:00Z", "1"), f.event("acme", "2026-01-31T00:00:00Z", "2"))
	if done := f.close("2026-02-27"); done.Cycles != 2 {
		t.Errorf("result: %+v", done)
	}
	// What is closed stays, whatever start is told later.
	f.terms(`{"account":"acme","start":"2026-02-10"}`)
	f.wantStarts("acme", "2026-01-31T00:00:00Z", "2026-01-31", "2026-02-28", "2026-03-10", "2026-04-10")
	f.checkLaws()
}

// Everything that is wrong is said at once, whichever part of the service finds it.
func TestEveryProblemAtOnce(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "2026-01-31T00:00:00Z")
	_, err := f.b.SetTerms(t.Context(), []byte(`{"account":"acme","anchor":"anniversary","every":3,"grace":"40d","zone":"Mars",
		"charges":[{"name":"a","measure":"clicks","model":"sum"},{"name":"b","measure":"Bad!","model":"cubic"}]}`), "tester")
	var wrong *TermsError
	if !errors.As(err, &wrong) {
		t.Fatalf("got %v", err)
	}
	var fields []string
	for _, p := range wrong.Problems {
		fields = append(fields, p.Field)
	}
	slices.Sort(fields)
	if want := []string{"charges[0].measure", "charges[1].measure", "charges[1].model", "every", "grace", "start", "zone"}; !slices.Equal(fields, want) {
		t.Errorf("problems are at %v, want %v:\n%v", fields, want, err)
	}
}
