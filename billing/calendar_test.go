package billing

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// plan is a history of terms in short: what the calendar depends on.
type plan struct {
	version   int64
	account   string
	effective string // RFC 3339, empty is always
	notBefore string
	cadence   Cadence
	every     int    // 0: 1
	anchor    string // as in JSON
	zone      string
	grace     time.Duration
}

func (p plan) terms(t *testing.T) Terms {
	t.Helper()
	out := Terms{
		Version: p.version, Account: p.account, Cadence: p.cadence, Every: max(1, p.every), Zone: mustZone(t, p.zone),
		Anchor: mustAnchor(t, p.anchor), Grace: p.grace, GroupBy: GroupByAccount,
	}
	if p.effective != "" {
		out.EffectiveFrom = mustTime(t, p.effective)
	}
	if p.notBefore != "" {
		out.NotBefore = mustTime(t, p.notBefore)
	}
	return out
}

func mustAnchor(t *testing.T, text string) Anchor {
	t.Helper()
	layout := time.DateOnly
	if strings.Contains(text, "T") {
		layout = localLayout
	}
	local, err := time.Parse(layout, text)
	if err != nil {
		t.Fatalf("read anchor: %v", err)
	}
	date := DateOf(local)
	return Anchor{Date: date, Clock: local.Sub(date.In(time.UTC))}
}

func mustCalendar(t *testing.T, plans ...plan) *Calendar {
	t.Helper()
	var history []Terms
	for _, p := range plans {
		history = append(history, p.terms(t))
	}
	c, err := NewCalendar(history)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// The anchors and boundaries that billing systems agree on: no drift, clamping,
// local time of day, clock changes.
func TestBoundaries(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name       string
		cadence    Cadence
		anchor     string
		zone       string
		at         string   // an instant in the first cycle
		boundaries []string // start of that cycle, and the ends of it and the next ones
	}{
		{
			"31st at 15:00, in mid August", Monthly, "2025-01-31T15:00:00", "UTC", "2025-08-13T20:00:00Z",
			[]string{"2025-07-31T15:00:00Z", "2025-08-31T15:00:00Z"},
		},
		{
			"30th across February", Monthly, "2025-01-30T15:00:00", "UTC", "2025-02-13T20:00:00Z",
			[]string{"2025-01-30T15:00:00Z", "2025-02-28T15:00:00Z", "2025-03-30T15:00:00Z"},
		},
		{"fifteen months from a 31st", Monthly, "2022-12-31", "UTC", "2022-12-31T00:00:00Z", []string{
			"2022-12-31", "2023-01-31", "2023-02-28", "2023-03-31", "2023-04-30", "2023-05-31", "2023-06-30", "2023-07-31",
			"2023-08-31", "2023-09-30", "2023-10-31", "2023-11-30", "2023-12-31", "2024-01-31", "2024-02-29", "2024-03-31",
		}},
		{
			"30 April stays a 30th", Monthly, "2022-04-30", "UTC", "2023-02-01T00:00:00Z",
			[]string{"2023-01-30", "2023-02-28", "2023-03-30", "2023-04-30", "2023-05-30"},
		},
		{
			"leap February", Monthly, "2024-01-31", "UTC", "2024-02-10T00:00:00Z",
			[]string{"2024-01-31", "2024-02-29", "2024-03-31", "2024-04-30"},
		},
		{"before the anchor", Monthly, "2024-01-31", "UTC", "2023-02-10T00:00:00Z", []string{"2023-01-31", "2023-02-28", "2023-03-31"}},
		{"anchor on 29 February", Monthly, "2024-02-29", "UTC", "2025-02-28T00:00:00Z", []string{"2025-02-28", "2025-03-29"}},
		{"weeks from a Friday", Weekly, "2016-04-08", "UTC", "2016-04-14T23:59:59Z", []string{
			"2016-04-08", "2016-04-15", "2016-04-22", "2016-04-29", "2016-05-06", "2016-05-13", "2016-05-20", "2016-05-27",
		}},
		{"weeks before the anchor", Weekly, "2016-04-08", "UTC", "2016-03-31T23:59:59Z", []string{"2016-03-25", "2016-04-01", "2016-04-08"}},
		{
			"calendar months in Kolkata", Monthly, "2000-01-01", "Asia/Kolkata", "2023-02-28T18:00:00Z",
			[]string{"2023-01-31T18:30:00Z", "2023-02-28T18:30:00Z", "2023-03-31T18:30:00Z"},
		},
		{
			"calendar months in New York in spring", Monthly, "2000-01-01", "America/New_York", "2023-03-01T05:00:00Z",
			[]string{"2023-03-01T05:00:00Z", "2023-04-01T04:00:00Z", "2023-05-01T04:00:00Z", "2023-06-01T04:00:00Z"},
		},
		{
			"calendar months in Juneau in autumn", Monthly, "2000-01-01", "America/Juneau", "2015-09-15T00:00:00Z",
			[]string{"2015-09-01T08:00:00Z", "2015-10-01T08:00:00Z", "2015-11-01T08:00:00Z", "2015-12-01T09:00:00Z"},
		},
		{
			"weeks of 168 and 169 hours", Weekly, "2024-10-27", "America/New_York", "2024-10-28T00:00:00Z",
			[]string{"2024-10-27T04:00:00Z", "2024-11-03T04:00:00Z", "2024-11-10T05:00:00Z"},
		},
		{
			"weeks across the day that Samoa skipped", Weekly, "2011-12-23", "Pacific/Apia", "2011-12-25T00:00:00Z",
			[]string{"2011-12-23T10:00:00Z", "2011-12-30T10:00:00Z", "2012-01-05T10:00:00Z"},
		},
		{
			"months on the day that Samoa skipped", Monthly, "2011-01-30", "Pacific/Apia", "2011-12-01T00:00:00Z",
			[]string{"2011-11-30T10:00:00Z", "2011-12-30T10:00:00Z", "2012-01-29T10:00:00Z"},
		},
		{
			"a missing midnight in Santiago", Weekly, "2024-09-01", "America/Santiago", "2024-09-02T00:00:00Z",
			[]string{"2024-09-01T04:00:00Z", "2024-09-08T04:00:00Z", "2024-09-15T03:00:00Z"},
		},
		{
			"a missing midnight in São Paulo", Monthly, "2018-01-04", "America/Sao_Paulo", "2018-10-10T00:00:00Z",
			[]string{"2018-10-04T03:00:00Z", "2018-11-04T03:00:00Z", "2018-12-04T02:00:00Z"},
		},
		{
			"days across the one that Samoa skipped", Daily, "2000-01-01", "Pacific/Apia", "2011-12-29T11:00:00Z",
			[]string{"2011-12-29T10:00:00Z", "2011-12-30T10:00:00Z", "2011-12-31T10:00:00Z", "2012-01-01T10:00:00Z"},
		},
		{
			"days with a doubled midnight in Havana", Daily, "2000-01-01", "America/Havana", "2024-11-02T12:00:00Z",
			[]string{"2024-11-02T04:00:00Z", "2024-11-03T04:00:00Z", "2024-11-04T05:00:00Z"},
		},
		{"quarters", Quarterly, "2000-01-01", "UTC", "2024-05-20T00:00:00Z", []string{"2024-04-01", "2024-07-01", "2024-10-01", "2025-01-01"}},
		{"quarters from 30 November", Quarterly, "2023-11-30", "UTC", "2023-12-01T00:00:00Z", []string{"2023-11-30", "2024-02-29", "2024-05-30", "2024-08-30", "2024-11-30", "2025-02-28"}},
		{"half-years", HalfYearly, "2000-08-31", "UTC", "2024-03-01T00:00:00Z", []string{"2024-02-29", "2024-08-31", "2025-02-28"}},
		{"years from 29 February", Yearly, "2024-02-29", "UTC", "2024-02-29T00:00:00Z", []string{"2024-02-29", "2025-02-28", "2026-02-28", "2027-02-28", "2028-02-29"}},
		{
			"local time of day over a clock change", Monthly, "2026-01-31T06:00:00", "Europe/London", "2026-03-10T00:00:00Z",
			[]string{"2026-02-28T06:00:00Z", "2026-03-31T05:00:00Z", "2026-04-30T05:00:00Z"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			calendar := mustCalendar(t, plan{cadence: c.cadence, anchor: c.anchor, zone: c.zone})
			want := make([]time.Time, len(c.boundaries))
			for i, b := range c.boundaries {
				if len(b) == len(time.DateOnly) {
					b += "T00:00:00Z"
				}
				want[i] = mustTime(t, b)
			}
			cy := calendar.Cycle(mustTime(t, c.at))
			for i := range want[1:] {
				if !cy.Start.Equal(want[i]) || !cy.End.Equal(want[i+1]) {
					t.Fatalf("cycle %d is [%v, %v), want [%v, %v)", i, cy.Start, cy.End, want[i], want[i+1])
				}
				if cy.Start.Location() != time.UTC || cy.End.Location() != time.UTC {
					t.Fatal("boundaries aren't in UTC")
				}
				cy = calendar.Next(cy)
			}
		})
	}
}

// Of several units, one in so many boundaries counts, in both directions.
func TestEvery(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		cadence Cadence
		every   int
		anchor  string
		want    []string // of the cycle of 2024-06-15 on
	}{
		{Daily, 30, "2024-06-08", []string{"2024-06-08", "2024-07-08", "2024-08-07"}},
		{Daily, 30, "2024-08-07", []string{"2024-06-08", "2024-07-08", "2024-08-07"}},
		{Weekly, 2, "2024-01-03", []string{"2024-06-05", "2024-06-19", "2024-07-03"}},
		{Monthly, 5, "2024-01-31", []string{"2024-01-31", "2024-06-30", "2024-11-30", "2025-04-30"}},
		{Quarterly, 3, "2030-01-01", []string{"2024-01-01", "2024-10-01", "2025-07-01"}},
		{HalfYearly, 3, "2023-01-01", []string{"2023-01-01", "2024-07-01", "2026-01-01"}},
		{Yearly, 4, "2024-02-29", []string{"2024-02-29", "2028-02-29", "2032-02-29"}},
	} {
		calendar := mustCalendar(t, plan{cadence: c.cadence, every: c.every, anchor: c.anchor, zone: "UTC"})
		cy := calendar.Cycle(mustTime(t, "2024-06-15T00:00:00Z"))
		for _, want := range c.want {
			if !cy.Start.Equal(mustTime(t, want+"T00:00:00Z")) {
				t.Errorf("every %d %s from %s: %v, want %s", c.every, c.cadence, c.anchor, cy.Start, want)
			}
			cy = calendar.Next(cy)
		}
	}
}

// The whole cycle is what one that begins with the account is a part of.
func TestWhole(t *testing.T) {
	t.Parallel()
	own := plan{version: 1, account: "acme", cadence: Quarterly, anchor: "2000-01-15", zone: "UTC"}.terms(t)
	own.Start = mustAnchor(t, "2024-05-20")
	own.begin()
	c, err := NewCalendar([]Terms{DefaultTerms(time.UTC), own})
	if err != nil {
		t.Fatal(err)
	}
	cy := c.Cycle(own.StartsAt)
	whole := c.Whole(cy)
	if !cy.Start.Equal(own.StartsAt) || !whole.Start.Equal(mustTime(t, "2024-04-15T00:00:00Z")) || whole.End.Sub(whole.Start) != 91*day || !whole.End.Equal(cy.End) {
		t.Errorf("[%v, %v) is a part of [%v, %v)", cy.Start, cy.End, whole.Start, whole.End)
	}
	if next := c.Next(cy); c.Whole(next) != next {
		t.Errorf("%v is a part of %v", next, c.Whole(next))
	}
}

// The first bill date of a contract is its first boundary at or after the start.
func TestFirstBoundaryAfterStart(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ anchor, start, want string }{
		{"2012-01-17", "2012-01-16", "2012-01-17"},
		{"2012-01-30", "2012-01-31", "2012-02-29"},
		{"2012-01-03", "2012-03-03", "2012-03-03"},
		{"2012-01-15", "2012-07-16", "2012-08-15"},
	} {
		calendar := mustCalendar(t, plan{cadence: Monthly, anchor: c.anchor, zone: "UTC"})
		got := calendar.boundaryFrom(mustTime(t, c.start+"T00:00:00Z"))
		if want := mustTime(t, c.want+"T00:00:00Z"); !got.Equal(want) {
			t.Errorf("anchored on %s, the first boundary from %s is %v, want %v", c.anchor, c.start, got, want)
		}
	}
}

// An event belongs to the cycle by half open bounds on the local clock.
func TestEventsOfMonthsWithClockChange(t *testing.T) {
	t.Parallel()
	calendar := mustCalendar(t, plan{cadence: Monthly, anchor: "2000-01-01", zone: "America/New_York"})
	counts := map[time.Time]int{}
	for _, at := range []string{
		"2023-03-01T04:00:00-05:00", "2023-03-15T00:00:00-04:00", "2023-03-31T23:59:00-04:00", "2023-04-01T00:00:00-04:00",
		"2023-04-01T00:01:00-04:00", "2023-04-15T00:00:00-04:00", "2023-04-30T23:59:00-04:00", "2023-05-01T00:00:00-04:00",
		"2023-05-01T00:01:00-04:00",
	} {
		counts[calendar.Cycle(mustTime(t, at)).Start]++
	}
	for start, want := range map[string]int{"2023-03-01T05:00:00Z": 3, "2023-04-01T04:00:00Z": 4, "2023-05-01T04:00:00Z": 2} {
		if got := counts[mustTime(t, start)]; got != want {
			t.Errorf("%d events in the cycle from %s, want %d", got, start, want)
		}
	}
	december := mustCalendar(t, plan{cadence: Monthly, anchor: "2000-01-01", zone: "UTC"})
	last, first := december.Cycle(mustTime(t, "2025-12-31T23:59:59.999999Z")), december.Cycle(mustTime(t, "2026-01-01T00:00:00Z"))
	if !last.End.Equal(first.Start) || december.Next(last) != first {
		t.Errorf("the last instant of December is in %v and the first of January in %v", last, first)
	}
}

func TestTakeover(t *testing.T) {
	t.Parallel()
	base := plan{cadence: Monthly, anchor: "2000-01-01", zone: "UTC"}
	own := func(version int64, effective, notBefore string, p plan) plan {
		p.version, p.account, p.effective, p.notBefore = version, "acme", effective, notBefore
		return p
	}
	weekly := plan{cadence: Weekly, anchor: "2026-01-05", zone: "UTC"}
	mid := plan{cadence: Monthly, anchor: "2026-01-15", zone: "UTC"}
	for _, c := range []struct {
		name    string
		history []plan
		from    string   // an instant in the first cycle
		cycles  []string // start and version of each
	}{
		{
			"bridge to another anchor",
			[]plan{base, own(1, "2026-02-01T00:00:00Z", "", mid)},
			"2026-01-20T00:00:00Z",
			[]string{"2026-01-01 0", "2026-02-01 1", "2026-02-15 1", "2026-03-15 1"},
		},
		{
			"effective inside a cycle waits for its end",
			[]plan{base, own(1, "2026-01-10T00:00:00Z", "", mid)},
			"2026-01-20T00:00:00Z",
			[]string{"2026-01-01 0", "2026-02-01 1", "2026-02-15 1"},
		},
		{
			"a closed boundary doesn't move",
			[]plan{base, own(1, "2026-01-01T00:00:00Z", "2026-03-01T00:00:00Z", mid)},
			"2026-01-20T00:00:00Z",
			[]string{"2026-01-01 0", "2026-02-01 0", "2026-03-01 1", "2026-03-15 1"},
		},
		{"always, with nothing closed", []plan{base, own(1, "", "", mid)}, "1999-01-20T00:00:00Z", []string{"1999-01-15 1", "1999-02-15 1"}},
		{
			"always, after a close",
			[]plan{base, own(1, "", "2026-02-01T00:00:00Z", mid)},
			"2026-01-20T00:00:00Z",
			[]string{"2026-01-01 0", "2026-02-01 1", "2026-02-15 1"},
		},
		{
			"boundaries that coincide make no bridge",
			[]plan{base, own(1, "2026-02-01T00:00:00Z", "", plan{cadence: Monthly, anchor: "2026-05-01", zone: "UTC"})},
			"2026-01-20T00:00:00Z",
			[]string{"2026-01-01 0", "2026-02-01 1", "2026-03-01 1"},
		},
		{
			"a later version replaces one that is still to come",
			[]plan{base, own(1, "2026-03-01T00:00:00Z", "", mid), own(2, "2026-02-01T00:00:00Z", "", weekly)},
			"2026-01-20T00:00:00Z",
			[]string{"2026-01-01 0", "2026-02-01 2", "2026-02-02 2", "2026-02-09 2"},
		},
		{
			"a later version replaces one with the same date",
			[]plan{base, own(1, "2026-02-01T00:00:00Z", "", mid), own(2, "2026-02-01T00:00:00Z", "", weekly)},
			"2026-01-20T00:00:00Z",
			[]string{"2026-01-01 0", "2026-02-01 2", "2026-02-02 2"},
		},
		{
			"a later version for a later date follows",
			[]plan{base, own(1, "2026-02-01T00:00:00Z", "", mid), own(2, "2026-02-20T00:00:00Z", "", base)},
			"2026-01-20T00:00:00Z",
			[]string{"2026-01-01 0", "2026-02-01 1", "2026-02-15 1", "2026-03-15 2", "2026-04-01 2", "2026-05-01 2"},
		},
		{
			"the default changes",
			[]plan{base, {version: 1, effective: "2026-02-01T00:00:00Z", cadence: Monthly, anchor: "2026-01-15", zone: "UTC"}},
			"2026-01-20T00:00:00Z",
			[]string{"2026-01-01 0", "2026-02-01 1", "2026-02-15 1"},
		},
		{
			"the default changes after the account's own",
			[]plan{base, own(1, "2026-03-01T00:00:00Z", "", mid), {version: 2, effective: "2026-02-01T00:00:00Z", cadence: Weekly, anchor: "2026-01-05", zone: "UTC"}},
			"2026-01-20T00:00:00Z",
			[]string{"2026-01-01 0", "2026-02-01 2", "2026-02-02 2", "2026-02-09 2", "2026-02-16 2", "2026-02-23 2", "2026-03-02 1", "2026-03-15 1"},
		},
		{
			"the default changes before the account's own",
			[]plan{base, {version: 1, effective: "2026-02-01T00:00:00Z", cadence: Weekly, anchor: "2026-01-05", zone: "UTC"}, own(2, "2026-02-10T00:00:00Z", "", mid)},
			"2026-01-20T00:00:00Z",
			[]string{"2026-01-01 0", "2026-02-01 1", "2026-02-02 1", "2026-02-09 1", "2026-02-16 2", "2026-03-15 2"},
		},
		{
			"order of arguments says nothing",
			[]plan{own(2, "2026-02-01T00:00:00Z", "", weekly), own(1, "2026-02-01T00:00:00Z", "", mid), base},
			"2026-01-20T00:00:00Z",
			[]string{"2026-01-01 0", "2026-02-01 2", "2026-02-02 2"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			calendar := mustCalendar(t, c.history...)
			var got []string
			for cy := calendar.Cycle(mustTime(t, c.from)); len(got) < len(c.cycles); cy = calendar.Next(cy) {
				got = append(got, fmt.Sprintf("%s %d", cy.Start.Format(time.DateOnly), cy.Terms))
				if v := calendar.TermsAt(cy.Start).Version; v != cy.Terms {
					t.Errorf("TermsAt(%v) has version %d, the cycle %d", cy.Start, v, cy.Terms)
				}
			}
			if fmt.Sprint(got) != fmt.Sprint(c.cycles) {
				t.Errorf("cycles are %v, want %v", got, c.cycles)
			}
		})
	}
}

// A contract that starts inside a period has a short first cycle, then those of
// its anchor.
func TestContractFromMidPeriod(t *testing.T) {
	t.Parallel()
	calendar := mustCalendar(t,
		plan{cadence: Monthly, anchor: "2025-01-10T15:00:00", zone: "UTC"},
		plan{version: 1, account: "acme", effective: "2025-07-10T15:00:00Z", cadence: Monthly, anchor: "2025-01-31T15:00:00", zone: "UTC"})
	cy := calendar.Cycle(mustTime(t, "2025-07-10T15:00:00Z"))
	for _, want := range []string{"2025-07-10T15:00:00Z", "2025-07-31T15:00:00Z", "2025-08-31T15:00:00Z", "2025-09-30T15:00:00Z"} {
		if !cy.Start.Equal(mustTime(t, want)) || cy.Terms != 1 {
			t.Errorf("cycle starts at %v, want %s", cy.Start, want)
		}
		cy = calendar.Next(cy)
	}
}

// A change of zone is bridged by one cycle, longer or shorter by the shift.
func TestChangeOfZone(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ from, to, effective, end string }{
		{"Europe/London", "Europe/Paris", "2026-02-01T00:00:00Z", "2026-02-28T23:00:00Z"},
		{"Europe/London", "America/New_York", "2026-02-01T00:00:00Z", "2026-02-01T05:00:00Z"},
		{"Pacific/Kiritimati", "Pacific/Honolulu", "2026-01-31T10:00:00Z", "2026-02-01T10:00:00Z"},
		{"Pacific/Honolulu", "Pacific/Kiritimati", "2026-02-01T10:00:00Z", "2026-02-28T10:00:00Z"},
	} {
		calendar := mustCalendar(t,
			plan{cadence: Monthly, anchor: "2000-01-01", zone: c.from},
			plan{version: 1, effective: c.effective, cadence: Monthly, anchor: "2000-01-01", zone: c.to})
		bridge := calendar.Cycle(mustTime(t, c.effective))
		if !bridge.Start.Equal(mustTime(t, c.effective)) || !bridge.End.Equal(mustTime(t, c.end)) {
			t.Errorf("%s to %s is bridged by [%v, %v), want [%s, %s)", c.from, c.to, bridge.Start, bridge.End, c.effective, c.end)
		}
	}
}

func TestEffective(t *testing.T) {
	t.Parallel()
	calendar := mustCalendar(t,
		plan{cadence: Monthly, anchor: "2000-01-01", zone: "UTC"},
		plan{version: 1, account: "acme", effective: "2026-04-01T00:00:00Z", cadence: Weekly, anchor: "2026-01-05", zone: "UTC"},
		plan{version: 2, account: "acme", effective: "2026-02-10T00:00:00Z", cadence: Weekly, anchor: "2026-01-06", zone: "UTC"})
	if from, ok := calendar.Effective(0); !ok || !from.IsZero() {
		t.Errorf("version 0 takes over at %v, %v", from, ok)
	}
	if from, ok := calendar.Effective(1); ok {
		t.Errorf("the superseded version takes over at %v", from)
	}
	same := mustCalendar(t,
		plan{cadence: Monthly, anchor: "2000-01-01", zone: "UTC"},
		plan{version: 1, account: "acme", effective: "2026-02-05T00:00:00Z", cadence: Weekly, anchor: "2026-01-05", zone: "UTC"},
		plan{version: 2, account: "acme", effective: "2026-02-10T00:00:00Z", cadence: Weekly, anchor: "2026-01-06", zone: "UTC"})
	if from, ok := same.Effective(1); ok {
		t.Errorf("a version that another replaces at its takeover takes over at %v", from)
	}
	if from, ok := calendar.Effective(2); !ok || !from.Equal(mustTime(t, "2026-03-01T00:00:00Z")) {
		t.Errorf("version 2 takes over at %v, %v", from, ok)
	}
}

func TestNewCalendarRefuses(t *testing.T) {
	t.Parallel()
	good := func() Terms { return DefaultTerms(time.UTC) }
	with := func(change func(*Terms)) Terms {
		terms := good()
		terms.Version = 1
		change(&terms)
		return terms
	}
	for name, history := range map[string][]Terms{
		"nothing":                {},
		"no beginning":           {with(func(v *Terms) { v.EffectiveFrom = time.Unix(0, 0) })},
		"no beginning by close":  {with(func(v *Terms) { v.NotBefore = time.Unix(0, 0) })},
		"a version twice":        {good(), good()},
		"two accounts":           {good(), with(func(v *Terms) { v.Account = "a" }), with(func(v *Terms) { v.Version, v.Account = 2, "b" })},
		"no zone":                {with(func(v *Terms) { v.Zone = nil })},
		"unknown cadence":        {with(func(v *Terms) { v.Cadence = "hourly" })},
		"no steps":               {with(func(v *Terms) { v.Every = 0 })},
		"cycles of 41 quarters":  {with(func(v *Terms) { v.Cadence, v.Every = Quarterly, 41 })},
		"no anchor":              {with(func(v *Terms) { v.Anchor = Anchor{} })},
		"anchor that isn't":      {with(func(v *Terms) { v.Anchor.Date = Date{Year: 2026, Month: 2, Day: 30} })},
		"anchor beyond midnight": {with(func(v *Terms) { v.Anchor.Clock = day })},
		"unknown model":          {with(func(v *Terms) { v.Charges[0].Model = "cubic" })},
		"negative grace":         {with(func(v *Terms) { v.Grace = -1 })},
		"too much grace":         {with(func(v *Terms) { v.Grace = MaxGrace + 1 })},
	} {
		if c, err := NewCalendar(history); err == nil {
			t.Errorf("%s: got a calendar %v, want an error", name, c)
		}
	}
}

// TestCalendarGolden writes cycles out as a person would check them.
func TestCalendarGolden(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		from, to string
		history  []plan
	}{
		"month-end-santiago": {"2024-01-01T12:00:00Z", "2025-06-01T00:00:00Z", []plan{{cadence: Monthly, anchor: "2023-12-31", zone: "America/Santiago"}}},
		"weekly-apia":        {"2011-12-01T12:00:00Z", "2012-02-01T00:00:00Z", []plan{{cadence: Weekly, anchor: "2011-12-02", zone: "Pacific/Apia"}}},
		"midnight-cairo":     {"2023-01-10T12:00:00Z", "2024-12-01T00:00:00Z", []plan{{cadence: Monthly, anchor: "2023-04-28", zone: "Africa/Cairo"}}},
		"moves": {"2026-01-10T12:00:00Z", "2026-09-01T00:00:00Z", []plan{
			{cadence: Monthly, anchor: "2000-01-01", zone: "Europe/London"},
			{version: 3, account: "acme", effective: "2026-02-10T00:00:00Z", cadence: Weekly, anchor: "2026-01-05", zone: "America/New_York"},
			{version: 5, account: "acme", effective: "2026-04-01T00:00:00Z", notBefore: "2026-04-20T04:00:00Z", cadence: Monthly, anchor: "2026-01-31T15:00:00", zone: "Asia/Kolkata"},
			{version: 7, account: "acme", effective: "2026-07-05T00:00:00Z", cadence: Monthly, anchor: "2026-01-01", zone: "Asia/Kolkata"},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			calendar := mustCalendar(t, c.history...)
			var out strings.Builder
			for cy := calendar.Cycle(mustTime(t, c.from)); cy.Start.Before(mustTime(t, c.to)); cy = calendar.Next(cy) {
				zone := calendar.TermsAt(cy.Start).Zone
				fmt.Fprintf(&out, "%s  %s  %8s  terms %d  %s  %s\n", cy.Start.Format(time.RFC3339), cy.End.Format(time.RFC3339),
					cy.End.Sub(cy.Start)/time.Minute*time.Minute, cy.Terms, cy.Start.In(zone).Format("Mon 2006-01-02 15:04 -07:00"), zone)
			}
			golden(t, filepath.Join("testdata", "calendar", name+".golden"), out.String())
		})
	}
}

// golden compares text with a file, or writes the file if UPDATE_GOLDEN is set.
func golden(t *testing.T, path, got string) {
	t.Helper()
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("read golden file (UPDATE_GOLDEN=1 writes it): %v", err)
	}
	if got != string(want) {
		t.Errorf("%s differs; got:\n%s", path, got)
	}
}
