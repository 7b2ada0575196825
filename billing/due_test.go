package billing

import (
	"testing"
	"time"
)

func TestLastBoundary(t *testing.T) {
	t.Parallel()
	months := mustCalendar(t, plan{cadence: Monthly, anchor: "2000-01-01", zone: "UTC", grace: DefaultGrace})
	york := mustCalendar(t, plan{cadence: Monthly, anchor: "2000-01-01", zone: "America/New_York", grace: DefaultGrace})
	afternoon := mustCalendar(t, plan{cadence: Monthly, anchor: "2026-01-01T15:00:00", zone: "UTC"})
	// Monthly with a long grace, then weekly without any.
	held := mustCalendar(t,
		plan{cadence: Monthly, anchor: "2000-01-01", zone: "UTC", grace: 20 * day},
		plan{version: 1, effective: "2026-02-01T00:00:00Z", cadence: Weekly, anchor: "2026-02-01", zone: "UTC"})
	for _, c := range []struct {
		name         string
		calendar     *Calendar
		through, now string
		want         string
		skipped      int
	}{
		{"grace is over to the instant", months, "2026-01-31", "2026-02-03T00:00:00Z", "2026-02-01T00:00:00Z", 0},
		{"a moment before", months, "2026-01-31", "2026-02-02T23:59:59Z", "2026-01-01T00:00:00Z", 1},
		{"one day short of the end", months, "2026-01-30", "2026-06-01T00:00:00Z", "2026-01-01T00:00:00Z", 0},
		{"one day more", months, "2026-02-01", "2026-06-01T00:00:00Z", "2026-02-01T00:00:00Z", 0},
		{"through long ago", months, "1901-05-05", "2026-06-01T00:00:00Z", "1901-05-01T00:00:00Z", 0},
		{"through far ahead", months, "2099-12-31", "2026-06-02T00:00:00Z", "2026-05-01T00:00:00Z", 2},
		{"local dates count", york, "2026-01-31", "2026-02-03T05:00:00Z", "2026-02-01T05:00:00Z", 0},
		{"local grace counts", york, "2026-01-31", "2026-02-03T04:59:59Z", "2026-01-01T05:00:00Z", 1},
		{"a boundary inside the day after", afternoon, "2026-01-31", "2026-03-01T00:00:00Z", "2026-02-01T15:00:00Z", 0},
		{"a long grace holds back short ones", held, "2026-02-28", "2026-02-20T00:00:00Z", "2026-01-01T00:00:00Z", 4},
		{"and lets them all go", held, "2026-02-28", "2026-02-21T00:00:00Z", "2026-02-15T00:00:00Z", 1},
	} {
		now := mustTime(t, c.now)
		if got := c.calendar.LastBoundary(mustDate(t, c.through), now); !got.Equal(mustTime(t, c.want)) {
			t.Errorf("%s: the last boundary through %s at %s is %v, want %s", c.name, c.through, c.now, got, c.want)
		}
		skipped := c.calendar.Skipped(mustDate(t, c.through), now)
		if len(skipped) != c.skipped {
			t.Errorf("%s: %d cycles are skipped, want %d: %v", c.name, len(skipped), c.skipped, skipped)
		}
		for _, cy := range skipped {
			if !c.calendar.Due(cy).After(now) {
				t.Errorf("%s: %v is skipped, but due at %v", c.name, cy, c.calendar.Due(cy))
			}
		}
	}
}

// Collection windows of published systems: what is in time, and when a first
// and a last pass may run.
func TestGraceOfJanuary(t *testing.T) {
	t.Parallel()
	calendar := mustCalendar(t, plan{cadence: Monthly, anchor: "2000-01-01", zone: "UTC", grace: 3 * day})
	january := calendar.Cycle(mustTime(t, "2023-01-11T17:15:00Z"))
	if due := calendar.Due(january); !due.Equal(mustTime(t, "2023-02-04T00:00:00Z")) {
		t.Errorf("January is due at %v", due)
	}
	if got := calendar.Skipped(mustDate(t, "2023-01-31"), mustTime(t, "2023-02-02T00:00:00Z")); len(got) != 1 || got[0] != january {
		t.Errorf("skipped on 2 February: %v", got)
	}
	if cy := calendar.Cycle(mustTime(t, "2023-02-02T16:15:00Z")); !cy.Start.Equal(january.End) {
		t.Errorf("an event of 2 February is in %v", cy)
	}
}

// The cost of finding a cycle doesn't depend on how far away it is.
func BenchmarkCycle(b *testing.B) {
	zone := mustZone(b, "America/New_York")
	terms := DefaultTerms(zone)
	c, err := NewCalendar([]Terms{terms})
	if err != nil {
		b.Fatal(err)
	}
	for name, at := range map[string]time.Time{
		"near": time.Date(2026, 3, 10, 0, 0, 0, 0, time.UTC), "far": time.Date(9000, 3, 10, 0, 0, 0, 0, time.UTC),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				c.Cycle(at)
			}
		})
	}
}
