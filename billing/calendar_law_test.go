package billing

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// drawTerms draws terms that touch the years 2010 to 2027, where clocks did the
// most.
func drawTerms(rt *rapid.T, zones []string) Terms {
	terms := Terms{
		Cadence: rapid.SampledFrom([]Cadence{Daily, Weekly, Monthly, Quarterly, HalfYearly, Yearly}).Draw(rt, "cadence"),
		Zone:    mustZone(rt, rapid.SampledFrom(zones).Draw(rt, "zone")),
		Grace:   time.Duration(rapid.IntRange(0, 31*24).Draw(rt, "grace")) * time.Hour,
		GroupBy: GroupByAccount,
		BillOn:  BillOnEvent,
	}
	if rapid.Bool().Draw(rt, "by order") {
		terms.BillOn, terms.Finalising = BillOnOrder, rapid.SampledFrom([][]string{{"done"}, {"done", "sent"}}).Draw(rt, "finalising")
	}
	terms.Every = rapid.SampledFrom([]int{1, 1, 1, 2, 3, 5, 10}).Draw(rt, "every")
	terms.Anchor.Date = Date{Year: rapid.IntRange(2009, 2028).Draw(rt, "year"), Month: 1, Day: 1}.AddDays(rapid.IntRange(0, 365).Draw(rt, "day"))
	terms.Anchor.Anniversary = rapid.IntRange(0, 3).Draw(rt, "anniversary") == 0
	terms.Anchor.Clock = rapid.SampledFrom([]time.Duration{0, 0, 30 * time.Minute, 15 * time.Hour, day - time.Second}).Draw(rt, "clock")
	return terms
}

func drawInstant(rt *rapid.T, label string) time.Time {
	const from, to = 1262304000, 1830297600 // 2010-01-01 and 2028-01-01
	return time.Unix(rapid.Int64Range(from, to).Draw(rt, label), 0).UTC()
}

// drawOwn draws terms of an account: some leave things to the default terms, and
// some say when the account starts.
func drawOwn(rt *rapid.T, zones []string) Terms {
	v := drawTerms(rt, zones)
	v.Account = "acme"
	if rapid.Bool().Draw(rt, "leaves things out") {
		v.left = left{
			cadence: rapid.Bool().Draw(rt, "no cadence"), anchor: rapid.Bool().Draw(rt, "no anchor"),
			zone: rapid.Bool().Draw(rt, "no zone"), grace: rapid.Bool().Draw(rt, "no grace"), billOn: rapid.Bool().Draw(rt, "no bill on"),
		}
	}
	if rapid.Bool().Draw(rt, "starts") {
		v.Start = drawTerms(rt, zones).Anchor
		v.Start.Anniversary = false
		v.begin()
	}
	return v
}

// drawHistory draws an account's history: a base that always holds, and versions
// of the default and of the account. NotBefore is only sometimes a boundary, as
// the calendar mustn't depend on it. The base is version 1: as a Base, 0 says
// that nothing was left out, and only DefaultTerms, which no anniversary anchors,
// have that number.
func drawHistory(rt *rapid.T, zones []string) []Terms {
	history := []Terms{drawTerms(rt, zones)}
	history[0].Version = 1
	for n := range rapid.IntRange(0, 6).Draw(rt, "versions") {
		draw := rapid.SampledFrom([]func(*rapid.T, []string) Terms{drawTerms, drawOwn, drawOwn}).Draw(rt, "of")
		v := draw(rt, zones)
		v.Version = int64(n + 2)
		if rapid.IntRange(0, 9).Draw(rt, "dated") > 0 {
			v.EffectiveFrom = drawInstant(rt, "effective")
		}
		if rapid.Bool().Draw(rt, "closed") {
			v.NotBefore = drawInstant(rt, "closed through")
		}
		history = append(history, v)
	}
	return history
}

func drawCalendar(rt *rapid.T) (*Calendar, []Terms) {
	history := drawHistory(rt, troubled())
	c, err := NewCalendar(history)
	if err != nil {
		rt.Fatalf("calendar: %v", err)
	}
	return c, history
}

// Every instant is in exactly one cycle, and cycles follow each other without a
// gap or an overlap.
func TestCyclesTileTime(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		c, _ := drawCalendar(rt)
		at := drawInstant(rt, "at")
		cy := c.Cycle(at)
		for range 40 {
			if !cy.Start.Before(cy.End) {
				rt.Fatalf("cycle [%v, %v) is empty", cy.Start, cy.End)
			}
			for _, in := range []time.Time{cy.Start, cy.Start.Add(time.Nanosecond), cy.End.Add(-time.Nanosecond), cy.Start.Add(cy.End.Sub(cy.Start) / 2)} {
				if got := c.Cycle(in); got != cy {
					rt.Fatalf("%v is in [%v, %v) and in [%v, %v)", in, cy.Start, cy.End, got.Start, got.End)
				}
			}
			next := c.Next(cy)
			if !next.Start.Equal(cy.End) {
				rt.Fatalf("after [%v, %v) comes [%v, %v)", cy.Start, cy.End, next.Start, next.End)
			}
			if before := c.Cycle(cy.Start.Add(-1)); !before.End.Equal(cy.Start) {
				rt.Fatalf("before [%v, %v) comes [%v, %v)", cy.Start, cy.End, before.Start, before.End)
			}
			cy = next
		}
		if first := c.Cycle(at); at.Before(first.Start) || !at.Before(first.End) {
			rt.Fatalf("%v isn't in its cycle [%v, %v)", at, first.Start, first.End)
		}
	})
}

// border is a boundary, and the terms in force just before it.
type border struct {
	at     time.Time
	before Terms
}

// slowBoundary is boundary number k of terms, found by looking at the days of
// the local calendar one after the other.
func slowBoundary(v Terms, k int) time.Time {
	days, months := v.Cadence.step()
	if days > 0 {
		on := v.Anchor.Date.AddDays(days * v.Every * k)
		return Anchor{Date: on, Clock: v.Anchor.Clock}.in(v.Zone)
	}
	n := v.Anchor.Date.Year*12 + int(v.Anchor.Date.Month) - 1 + months*v.Every*k
	on := Date{Year: n / 12, Month: time.Month(n%12 + 1), Day: v.Anchor.Date.Day}
	for !on.exists() {
		on.Day--
	}
	return Anchor{Date: on, Clock: v.Anchor.Clock}.in(v.Zone)
}

// slowBorders is the law of the calendar done the long way, from border to border: the next one of the
// terms in force, or the start of the account before it; and there those are chosen anew.
func slowBorders(history []Terms, from, to time.Time) []border {
	comes := func(v Terms) time.Time {
		if v.NotBefore.After(v.EffectiveFrom) {
			return v.NotBefore
		}
		return v.EffectiveFrom
	}
	newest := func(account string, at time.Time) (found *Terms) {
		for i, v := range history { // by version
			if v.Account == account && !comes(v).After(at) {
				found = &history[i]
			}
		}
		return found
	}
	wanted := func(at time.Time) Terms {
		base := *newest("", at)
		if own := newest("acme", at); own != nil {
			return own.over(base)
		}
		return base.anchored()
	}
	var starts []time.Time
	for _, v := range history {
		before := newest("acme", v.StartsAt.Add(-1))
		if !v.StartsAt.IsZero() && !comes(v).After(v.StartsAt) && (before == nil || before.Version <= v.Version) {
			starts = append(starts, v.StartsAt)
		}
	}
	grids := map[[2]int64][]time.Time{}
	var borders []border
	for terms, at := wanted(time.Time{}), from; ; {
		key := [2]int64{terms.Version, terms.Base}
		if grids[key] == nil {
			grids[key] = slowGrid(terms, from, to)
		}
		grid := grids[key]
		i, _ := slices.BinarySearchFunc(grid, at.Add(1), time.Time.Compare)
		if i == len(grid) {
			return borders
		}
		next := grid[i]
		for _, s := range starts {
			if s.After(at) && s.Before(next) {
				next = s
			}
		}
		borders = append(borders, border{at: next, before: terms})
		terms, at = wanted(next), next
	}
}

// slowGrid are the boundaries of terms between two instants.
func slowGrid(v Terms, from, to time.Time) (at []time.Time) {
	days, months := v.Cadence.step()
	for k := -40_000 / v.Every / (days + 30*months); ; k++ {
		b := slowBoundary(v, k)
		if !b.Before(to) {
			return at
		}
		if !b.Before(from) && (len(at) == 0 || b.After(at[len(at)-1])) { // where days were skipped, two may be one
			at = append(at, b)
		}
	}
}

func TestCalendarIsTheLaw(t *testing.T) {
	t.Parallel()
	from, to := time.Unix(883612800, 0).UTC(), time.Unix(2240524800, 0).UTC() // 1998 to 2041
	rapid.Check(t, func(rt *rapid.T) {
		c, history := drawCalendar(rt)
		borders := slowBorders(history, from, to)
		i := rapid.IntRange(0, len(borders)-2).Draw(rt, "border")
		for last := min(i+300, len(borders)-1); i < last; i++ {
			got := c.Cycle(borders[i].at)
			if !got.Start.Equal(borders[i].at) || !got.End.Equal(borders[i+1].at) || got.Terms != borders[i+1].before.Version || got.Base != borders[i+1].before.Base {
				rt.Fatalf("cycle is [%v, %v) of version %d, want [%v, %v) of %d", got.Start, got.End, got.Terms,
					borders[i].at, borders[i+1].at, borders[i+1].before.Version)
			}
		}

		// Around a boundary, since that is where it is decided.
		inside := slices.DeleteFunc(slices.Clone(borders), func(b border) bool { return b.at.Year() < 2009 || b.at.Year() > 2028 })
		near := from.AddDate(10, 0, 0)
		if len(inside) > 0 {
			near = rapid.SampledFrom(inside).Draw(rt, "near").at
		}
		through := DateOf(near).AddDays(rapid.IntRange(-3, 70).Draw(rt, "through"))
		now := near.Add(time.Duration(rapid.IntRange(-24, 60*24).Draw(rt, "now")) * time.Hour)
		checkDue(rt, c, borders, through, now)
	})
}

// checkDue compares LastBoundary, Skipped and Due with a walk along all
// boundaries.
func checkDue(rt *rapid.T, c *Calendar, borders []border, through Date, now time.Time) {
	var want time.Time
	var skipped []Cycle
	held := false
	for i, b := range borders {
		if DateOf(b.at.In(b.before.Zone)).Compare(through.AddDays(1)) > 0 {
			break
		}
		if held = held || b.at.Add(b.before.Grace).After(now); !held {
			want = b.at
		} else if i > 0 && !borders[i-1].at.After(now) {
			skipped = append(skipped, Cycle{Start: borders[i-1].at, End: b.at, Terms: b.before.Version, Base: b.before.Base})
		}
	}
	if got := c.LastBoundary(through, now); !got.Equal(want) {
		rt.Fatalf("the last boundary through %v at %v is %v, want %v", through, now, got, want)
	}
	got := c.Skipped(through, now)
	if !slices.Equal(got, skipped) {
		rt.Fatalf("skipped through %v at %v are %v, want %v", through, now, got, skipped)
	}
	for _, cy := range got {
		if due := c.Due(cy); !due.After(now) {
			rt.Fatalf("%v is skipped and was due at %v", cy, due)
		} else if end := c.LastBoundary(through, due); end.Before(cy.End) {
			rt.Fatalf("%v can't be closed when it is due, at %v: the last boundary is %v", cy, due, end)
		} else if end := c.LastBoundary(through, due.Add(-1)); !end.Before(cy.End) {
			rt.Fatalf("%v can be closed before it is due, at %v", cy, due)
		}
	}
}

// In a calendar of many short-lived terms every change has a say.
func TestCalendarIsTheLawOfManyChanges(t *testing.T) {
	t.Parallel()
	zones := troubled()
	base := time.Unix(1767225600, 0).UTC() // 2026
	rapid.Check(t, func(rt *rapid.T) {
		history := []Terms{drawTerms(rt, zones)}
		at := base
		for n := range 8 {
			v := drawTerms(rt, zones)
			at = at.Add(time.Duration(rapid.IntRange(-5, 30).Draw(rt, "days")) * day)
			v.Version, v.Account, v.EffectiveFrom, v.Cadence = int64(n+1), "acme", at, Weekly
			if rapid.Bool().Draw(rt, "no grace") {
				v.Grace = 0
			}
			history = append(history, v)
		}
		c, err := NewCalendar(history)
		if err != nil {
			rt.Fatal(err)
		}
		through := DateOf(base).AddDays(rapid.IntRange(0, 250).Draw(rt, "through"))
		checkDue(rt, c, slowBorders(history, base.Add(-20*365*day), base.Add(20*365*day)), through,
			base.Add(time.Duration(rapid.IntRange(0, 250*24).Draw(rt, "now"))*time.Hour))
	})
}

// A later date or a later moment never takes a boundary back.
func TestLastBoundaryIsMonotone(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		c, _ := drawCalendar(rt)
		through, now := DateOf(drawInstant(rt, "through")), drawInstant(rt, "now")
		end := c.LastBoundary(through, now)
		if cy := c.Cycle(end); !cy.Start.Equal(end) {
			rt.Fatalf("%v is no boundary", end)
		}
		if later := c.LastBoundary(through.AddDays(rapid.IntRange(0, 80).Draw(rt, "days")), now); later.Before(end) {
			rt.Fatalf("through a later date the boundary goes from %v back to %v", end, later)
		}
		if later := c.LastBoundary(through, now.Add(time.Duration(rapid.IntRange(0, 80*24).Draw(rt, "hours"))*time.Hour)); later.Before(end) {
			rt.Fatalf("at a later time the boundary goes from %v back to %v", end, later)
		}
	})
}

// What was closed stays: recording another version, with the boundary through
// which the account is closed, changes no cycle before that boundary.
func TestNewTermsMoveNoClosedBoundary(t *testing.T) {
	t.Parallel()
	zones := troubled()
	rapid.Check(t, func(rt *rapid.T) {
		before, history := drawCalendar(rt)
		closed := before.Cycle(drawInstant(rt, "closed")).Start
		v := drawOwn(rt, zones)
		v.Version, v.NotBefore = 100, closed
		if rapid.Bool().Draw(rt, "of the default") {
			v.Account, v.left, v.Start, v.StartsAt = "", left{}, Anchor{}, time.Time{}
			v.NotBefore = before.defaultUntil(closed)
			if v.NotBefore.IsZero() {
				v.NotBefore = drawInstant(rt, "default closed")
			}
		}
		if rapid.Bool().Draw(rt, "dated") {
			v.EffectiveFrom = drawInstant(rt, "effective")
		}
		after, err := NewCalendar(append(history, v))
		if err != nil {
			rt.Fatal(err)
		}
		at := closed.Add(-1)
		for range 60 {
			old, young := before.Cycle(at), after.Cycle(at)
			if old != young {
				rt.Fatalf("closed through %v, but [%v, %v) became [%v, %v)", closed, old.Start, old.End, young.Start, young.End)
			}
			at = old.Start.Add(-1)
		}
		if from, ok := after.Effective(100); v.Account != "" && !ok || ok && (from.Before(v.NotBefore) || from.Before(v.EffectiveFrom)) {
			rt.Fatalf("the version takes over at %v, %v; closed through %v, wanted from %v", from, ok, closed, v.EffectiveFrom)
		}
	})
}
