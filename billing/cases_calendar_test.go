package billing

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// caseTerms are the members of inputs that say how an account is billed.
type caseTerms struct {
	Cadence     string `json:"cadence"` // such as monthly, weekly_calendar, every 30 days
	Anchor      string `json:"anchor"`  // an instant, or a local date
	AnchorLocal string `json:"anchor_local"`
	AnchorDay   int    `json:"anchor_day"`  // of a month
	WeekStart   string `json:"week_start"`  // monday to sunday
	TZ          string `json:"tz"`          // without it UTC
	ActiveFrom  string `json:"active_from"` // from when the account is billed
}

func (in caseTerms) zone(t *testing.T) *time.Location {
	t.Helper()
	return mustZone(t, cmp.Or(in.TZ, "UTC"))
}

// local is an instant as terms write it.
func (in caseTerms) local(t *testing.T, text string) string {
	t.Helper()
	if len(text) == len(time.DateOnly) {
		return text
	}
	at := mustTime(t, text).In(in.zone(t))
	if DateOf(at).In(in.zone(t)).Equal(at) {
		return at.Format(time.DateOnly)
	}
	return at.Format(localLayout)
}

// terms are the members as terms in JSON, with further members.
func (in caseTerms) terms(t *testing.T, further map[string]any) []byte {
	t.Helper()
	all := map[string]any{
		"zone": cmp.Or(in.TZ, "UTC"), "grace": "0h",
		"charges": []any{map[string]any{"name": "units", "measure": "quantity", "model": "sum"}},
	}
	all["cadence"], all["every"] = caseCadence(t, in.Cadence)
	switch {
	case in.Anchor != "":
		all["anchor"] = in.local(t, in.Anchor)
	case in.AnchorLocal != "":
		all["anchor"] = in.AnchorLocal
	case in.AnchorDay != 0:
		all["anchor"] = fmt.Sprintf("2000-01-%02d", in.AnchorDay)
	case in.WeekStart != "":
		all["anchor"] = weekStarting(t, in.WeekStart).String()
	}
	for k, v := range further {
		all[k] = v
	}
	raw, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// caseCadence reads how a case writes a cadence. That a calendar's boundaries are meant follows from the
// anchor that isn't there.
func caseCadence(t *testing.T, text string) (cadence Cadence, every int) {
	t.Helper()
	text = strings.TrimSuffix(text, "_calendar")
	units := map[string]Cadence{
		"days": Daily, "weeks": Weekly, "months": Monthly, "quarters": Quarterly, "half-years": HalfYearly, "years": Yearly,
		"daily": Daily, "weekly": Weekly, "monthly": Monthly, "quarterly": Quarterly, "half-yearly": HalfYearly, "half_yearly": HalfYearly, "yearly": Yearly,
	}
	every, unit := 1, text
	if n, err := fmt.Sscanf(text, "every %d %s", &every, &unit); err != nil && n > 0 {
		t.Fatalf("unknown cadence %q", text)
	}
	cadence, known := units[unit]
	if !known {
		t.Fatalf("unknown cadence %q", text)
	}
	return cadence, every
}

func weekStarting(t *testing.T, weekday string) Date {
	t.Helper()
	days := []string{"monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"}
	i := slices.Index(days, strings.ToLower(weekday))
	if i < 0 {
		t.Fatalf("unknown day of the week %q", weekday)
	}
	return defaultAnchor(Weekly).Date.AddDays(i)
}

// calendar is that of an account with the terms, which were read from their JSON.
func (in caseTerms) calendar(t *testing.T, further map[string]any) *Calendar {
	t.Helper()
	if in.ActiveFrom != "" {
		further = of("acme", map[string]any{"start": in.local(t, in.ActiveFrom)})
	}
	terms, err := ParseTerms(in.terms(t, further), time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	terms.Version = 1
	c, err := NewCalendar([]Terms{DefaultTerms(time.UTC), terms})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// casePeriod is a cycle that a case expects.
type casePeriod struct {
	Start string `json:"start"`
	End   string `json:"end"`
}

// The cycle of an instant, a row of boundaries, or a row of cycles; or how often a job that runs at
// certain times makes an invoice.
func caseOfBoundaries(t *testing.T, c publicCase) {
	var in struct {
		caseTerms
		At      string   `json:"at"`
		From    string   `json:"from"`    // the first boundary at or after it comes first
		Count   int      `json:"count"`   // of boundaries
		Horizon string   `json:"horizon"` // an instant in the last cycle
		Runs    []string `json:"job_runs"`
	}
	var want struct {
		casePeriod
		Boundaries []string     `json:"boundaries"`
		Periods    []casePeriod `json:"periods"`
		caseInvoices
	}
	c.read(t, &in, &want)
	if len(in.Runs) > 0 {
		in.runJob(t, in.Runs, want.caseInvoices)
		return
	}
	zone, cal := in.zone(t), in.calendar(t, nil)
	if want.Start != "" {
		cy := cal.Cycle(caseInstant(t, in.At, zone))
		sameInstant(t, "the start", cy.Start, want.Start, zone)
		sameInstant(t, "the end", cy.End, want.End, zone)
	}
	if len(want.Boundaries) > 0 {
		at := caseInstant(t, cmp.Or(in.From, in.local(t, in.Anchor)), zone)
		if first := caseInstant(t, want.Boundaries[0], zone); in.From == "" && first.After(at) {
			at = cal.Cycle(at).End // the case leaves the anchor itself out
		}
		at = cal.boundaryFrom(at)
		for _, b := range want.Boundaries {
			sameInstant(t, "the boundary", at, b, zone)
			at = cal.Cycle(at).End
		}
		if in.Count != 0 && in.Count != len(want.Boundaries) {
			t.Errorf("%d boundaries are expected, but there are to be %d", len(want.Boundaries), in.Count)
		}
	}
	if len(want.Periods) > 0 {
		in.periods(t, cal, want.Periods, in.Horizon)
	}
	if want.Start == "" && len(want.Boundaries) == 0 && len(want.Periods) == 0 {
		t.Error("the case expects nothing")
	}
}

// periods compares the cycles from the first expected one to the one that holds the horizon.
func (in caseTerms) periods(t *testing.T, cal *Calendar, want []casePeriod, horizon string) {
	t.Helper()
	zone := in.zone(t)
	cy := cal.Cycle(caseInstant(t, cmp.Or(in.ActiveFrom, want[0].Start), zone))
	for i, p := range want {
		if i > 0 {
			cy = cal.Next(cy)
		}
		sameInstant(t, "the start", cy.Start, p.Start, zone)
		sameInstant(t, "the end", cy.End, p.End, zone)
	}
	if horizon != "" {
		if last := cal.Cycle(caseInstant(t, horizon, zone)); last != cy {
			t.Errorf("the cycle of the horizon is [%v, %v), not the last one", last.Start, last.End)
		}
	}
}

// The first bill of a contract that is billed on a day of the month.
func caseOfFirstBill(t *testing.T, c publicCase) {
	var in struct {
		caseTerms
		Start string `json:"start"`
		Day   int    `json:"bill_cycle_day"`
	}
	var want struct {
		First string `json:"first_bill_date"`
	}
	c.read(t, &in, &want)
	in.AnchorDay = in.Day
	zone := in.zone(t)
	sameInstant(t, "the first bill", in.calendar(t, nil).boundaryFrom(caseInstant(t, in.Start, zone)), want.First, zone)
}

// When the month that began on a local clock is over.
func caseOfMonthInZone(t *testing.T, c publicCase) {
	var in struct {
		caseTerms
		Month string `json:"period_after"`
	}
	var want struct {
		Boundary string `json:"boundary"`
		NotDue   string `json:"not_due_at"`
		Due      string `json:"due_at"`
	}
	c.read(t, &in, &want)
	zone, cal := in.zone(t), in.calendar(t, nil)
	cy := cal.Cycle(mustDate(t, in.Month+"-01").In(zone))
	sameInstant(t, "the boundary", cy.End, want.Boundary, zone)
	through := DateOf(cy.End.In(zone)).AddDays(-1)
	if end := cal.LastBoundary(through, mustTime(t, want.NotDue)); !end.Before(cy.End) {
		t.Errorf("the month is closed at %s", want.NotDue)
	}
	if end := cal.LastBoundary(through, mustTime(t, want.Due)); !end.Equal(cy.End) {
		t.Errorf("at %s the last boundary is %v", want.Due, end)
	}
}

// A range, cut at the boundaries inside it.
func caseOfWindows(t *testing.T, c publicCase) {
	var in struct {
		TZ          string `json:"tz"`
		Start       string `json:"start"`
		End         string `json:"end"`
		Granularity string `json:"granularity"`
	}
	var want struct {
		Windows [][2]string `json:"windows"`
	}
	c.read(t, &in, &want)
	cadence := map[string]string{"day": "daily", "week": "weekly", "month": "monthly", "quarter": "quarterly", "year": "yearly"}[in.Granularity]
	terms := caseTerms{TZ: in.TZ, Cadence: cadence}
	cal, zone := terms.calendar(t, nil), mustZone(t, in.TZ)
	at, end := mustTime(t, in.Start), mustTime(t, in.End)
	for _, w := range want.Windows {
		sameInstant(t, "the start", at, w[0], zone)
		if at = cal.Cycle(at).End; at.After(end) {
			at = end
		}
		sameInstant(t, "the end", at, w[1], zone)
	}
	if !at.Equal(end) {
		t.Errorf("after the last window there is more of the range, from %v", at)
	}
}

// Cycles on days on which clocks change: a row of boundaries with their lengths and events, or the start
// of one local day.
func caseOfClockChange(t *testing.T, c publicCase) {
	var in struct {
		caseTerms
		Events   []string `json:"events"`
		Quantity string   `json:"quantity_each"`
		Date     string   `json:"local_date"`
	}
	var want struct {
		Bounds     []string `json:"bounds"`
		Counts     []int    `json:"counts"`
		MonthHours []int    `json:"month_hours"`
		Hours      []int    `json:"hours"`
		Start      string   `json:"start"`
	}
	c.read(t, &in, &want)
	zone := in.zone(t)
	if in.Date != "" {
		in.Cadence = "daily"
		noon := Anchor{Date: mustDate(t, in.Date), Clock: 12 * time.Hour}.in(zone)
		sameInstant(t, "the start of the day", in.calendar(t, nil).Cycle(noon).Start, want.Start, zone)
		return
	}
	cal := in.calendar(t, nil)
	cy := cal.Cycle(mustTime(t, want.Bounds[0]))
	hours := want.MonthHours
	if want.Hours != nil {
		hours = want.Hours
	}
	for i, b := range want.Bounds[1:] {
		sameInstant(t, "the start", cy.Start, want.Bounds[i], zone)
		sameInstant(t, "the end", cy.End, b, zone)
		if got := cy.End.Sub(cy.Start); hours != nil && got != time.Duration(hours[i])*time.Hour {
			t.Errorf("the cycle from %v has %v, want %d hours", cy.Start, got, hours[i])
		}
		cy = cal.Next(cy)
	}
	if len(in.Events) > 0 {
		in.countEvents(t, in.Events, in.Quantity, want.Bounds, want.Counts)
	}
}
