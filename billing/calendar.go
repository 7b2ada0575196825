package billing

import (
	"cmp"
	"fmt"
	"slices"
	"sort"
	"time"
)

// Cycle is one billing period of an account: the instants t with
// Start <= t < End, in UTC.
type Cycle struct {
	Start, End time.Time
	// Terms is the version in force in the cycle: one of the account's own, or
	// else of the default terms.
	Terms int64
	// Base is the version of the default terms that fills in what the account's
	// own leave out; 0 as well if they leave out nothing.
	Base int64
}

// Calendar answers which cycle of an account an instant is in. It is a pure
// function of the history of the account's terms. It doesn't change and can be
// used by several goroutines.
//
// At every boundary the newest versions come into force, of the default terms
// and of the account's own, whose EffectiveFrom and NotBefore aren't after it.
// From there on the boundaries of both together count; the cycle from the
// boundary to the first of them bridges the change and may be short. The start
// of an account is a boundary, wherever it lies, unless the account was closed
// beyond it when its terms were recorded.
type Calendar struct {
	spans     []span // by time; at least one
	defaults  layer
	reratings []rerating // of closed cycles, by version
}

// span is the time in which the same versions are in force.
type span struct {
	from      time.Time // a boundary of the span before, or the start of the account; zero of the first, which has no beginning
	terms     Terms
	byDefault bool // some of the terms are those of the default
}

// layer are the versions of the default terms or of one account, by number.
type layer []Terms

// at is the newest version whose time has come at an instant; ok is false if
// there is none.
func (l layer) at(instant time.Time) (t Terms, ok bool) {
	for _, v := range slices.Backward(l) {
		if !v.target().After(instant) {
			return v, true
		}
	}
	return Terms{}, false
}

// NewCalendar builds the calendar of one account from the versions of its terms:
// the default's and its own together, in any order. A later version supersedes
// whatever earlier ones of its kind would have done from its time on. What the
// account's own leave out is filled in from the default's.
//
// The first version must be the default's and hold always (no EffectiveFrom and
// no NotBefore), as that of DefaultTerms does. History that can't be terms of
// one account is an error.
func NewCalendar(history []Terms) (*Calendar, error) {
	versions := slices.Clone(history)
	slices.SortStableFunc(versions, func(a, b Terms) int { return cmp.Compare(a.Version, b.Version) })
	if len(versions) == 0 || !versions[0].target().IsZero() || versions[0].Account != "" {
		return nil, fmt.Errorf("calendar: no version of the default terms holds from the beginning")
	}
	var defaults, own layer
	for i, v := range versions {
		if i > 0 && v.Version == versions[i-1].Version {
			return nil, fmt.Errorf("calendar: two terms have version %d", v.Version)
		}
		if err := v.usable(); err != nil {
			return nil, fmt.Errorf("calendar: terms version %d: %w", v.Version, err)
		}
		switch {
		case v.Account == "":
			defaults = append(defaults, v)
		case len(own) > 0 && v.Account != own[0].Account:
			return nil, fmt.Errorf("calendar: terms of two accounts: %q and %q", own[0].Account, v.Account)
		default:
			own = append(own, v)
		}
	}
	c := &Calendar{spans: []span{wanted(defaults, own, time.Time{})}, defaults: defaults}
	c.walk(defaults, own)
	return c, nil
}

// Charges are those of every version that is or was in force, however often they say the same.
func (c *Calendar) Charges() []Charge {
	var charges []Charge
	for _, s := range c.spans {
		charges = append(charges, s.terms.Charges...)
	}
	for i, r := range c.reratings {
		charges = append(charges, c.rerated(r.from, i).Charges...)
	}
	return charges
}

// wanted is the span of the versions whose time has come at an instant.
func wanted(defaults, own layer, at time.Time) span {
	base, _ := defaults.at(at) // the first of them holds always
	terms, ok := own.at(at)
	if !ok {
		return span{from: at, terms: base.anchored(), byDefault: true}
	}
	return span{from: at, terms: terms.over(base), byDefault: terms.left != left{}}
}

// walk adds the spans after the first: at each boundary where other versions
// are wanted than those in force, and at the start of the account.
func (c *Calendar) walk(defaults, own layer) {
	starts := own.starts()
	points := slices.Clone(starts)
	for _, v := range slices.Concat(defaults, own) {
		points = append(points, v.target())
	}
	slices.SortFunc(points, time.Time.Compare)
	for _, at := range points {
		last := &c.spans[len(c.spans)-1]
		if !at.After(last.from) {
			continue // looked at where that span began
		}
		start := slices.ContainsFunc(starts, at.Equal)
		if !start {
			if at = c.boundaryFrom(at); slices.ContainsFunc(starts, func(s time.Time) bool { return s.After(last.from) && s.Before(at) }) {
				continue // the start comes first, and looks at all that is wanted by then
			}
		}
		next := wanted(defaults, own, at)
		if start || next.terms.Version != last.terms.Version || next.terms.Base != last.terms.Base {
			c.spans = append(c.spans, next)
		}
	}
}

// starts are the instants at which the account starts: of every version that is
// to be in force by then and that no later one supersedes before.
func (l layer) starts() []time.Time {
	var starts []time.Time
	for i, v := range l {
		superseded := slices.ContainsFunc(l[i+1:], func(w Terms) bool { return w.target().Before(v.StartsAt) })
		if !v.StartsAt.IsZero() && !v.target().After(v.StartsAt) && !superseded {
			starts = append(starts, v.StartsAt)
		}
	}
	return starts
}

// begins is when an account begins to be billed by its terms, as far as they say so; zero if they don't.
func (t Terms) begins() time.Time {
	switch {
	case !t.StartsAt.IsZero():
		return t.StartsAt
	case t.Account != "":
		return t.EffectiveFrom
	}
	return time.Time{}
}

// recursFrom is from when on the account's own terms bill cycles without events; zero if they don't, or don't say it.
func (c *Calendar) recursFrom() time.Time {
	for _, s := range c.spans {
		if begins := s.terms.begins(); s.terms.recurs() && !begins.IsZero() {
			if begins.Before(s.from) {
				return s.from
			}
			return c.Cycle(begins).Start
		}
	}
	return time.Time{}
}

// recursBetween reports whether a version that bills cycles without events is in force anywhere in [from, to).
func (c *Calendar) recursBetween(from, to time.Time) bool {
	for i, s := range c.spans {
		ended := i+1 < len(c.spans) && !c.spans[i+1].from.After(from)
		if s.terms.recurs() && s.from.Before(to) && s.terms.begins().Before(to) && !ended {
			return true
		}
	}
	return false
}

// recurs reports whether the terms bill anything for cycles without events.
func (t Terms) recurs() bool {
	return slices.ContainsFunc(t.Charges, func(c Charge) bool { return c.Model == ModelFlat || t.minimumDue(c) })
}

// minimumDue reports whether a charge of the terms costs its minimum for every cycle, with events or without. The
// minimum of an invoice for each stream is of what has events, and one without a currency can be billed in none.
func (t Terms) minimumDue(c Charge) bool { return t.minimumByDays(c) && c.Currency != "" }

// minimumByDays reports whether the minimum of a charge is of a whole cycle, and shorter ones cost a part of it.
func (t Terms) minimumByDays(c Charge) bool {
	return t.GroupBy != GroupByStream && c.Minimum != nil && c.Minimum.IsPositive()
}

// begun reports whether an account is billed for a cycle that has no events. since is its first event, where its terms
// don't say when it begins.
func (t Terms) begun(cy Cycle, since time.Time) bool {
	if begins := t.begins(); !begins.IsZero() {
		return !cy.Start.Before(begins)
	}
	return cy.End.After(since)
}

// days counts the local days of a cycle, and those of the whole cycle that it is, or is the rest of where new terms
// took over within it. A day counts with the date on which it begins. Where the terms before had another zone, a date
// that the cycle before has isn't counted once more.
func (c *Calendar) days(cy Cycle) (days, of int64) {
	i := c.spanAt(cy.Start)
	s := &c.spans[i]
	k := s.index(cy.Start)
	days, of = s.daysBetween(cy.Start, cy.End), s.daysBetween(s.boundary(k), s.boundary(k+1))
	if i > 0 && cy.Start.Equal(s.from) && !s.from.Equal(s.terms.StartsAt) {
		again := c.spans[i-1].date(cy.Start).wall() - s.date(cy.Start).wall()
		days = max(0, days-max(0, again/secondsPerDay))
	}
	return days, of
}

func (s *span) daysBetween(from, to time.Time) int64 {
	return (s.date(to).wall() - s.date(from).wall()) / secondsPerDay
}

// date is the local date of an instant.
func (s *span) date(at time.Time) Date { return DateOf(at.In(s.terms.Zone)) }

// usable checks what calendar and prices compute with, for terms that didn't
// come from ParseTerms.
func (t Terms) usable() error {
	switch {
	case t.Zone == nil:
		return fmt.Errorf("no time zone")
	case t.Cadence.mostEvery() == 0:
		return fmt.Errorf("unknown cadence %q", t.Cadence)
	case t.Every < 1 || t.Every > t.Cadence.mostEvery():
		return fmt.Errorf("every %d of the cadence isn't between 1 and %d", t.Every, t.Cadence.mostEvery())
	case !t.Anchor.Date.exists() || t.Anchor.Clock < 0 || t.Anchor.Clock >= day:
		return fmt.Errorf("anchor %v isn't a time of the calendar", t.Anchor)
	case t.Start.Date != Date{} && (!t.Start.Date.exists() || t.Start.Clock < 0 || t.Start.Clock >= day):
		return fmt.Errorf("start %v isn't a time of the calendar", t.Start)
	case t.BillOn == BillOnOrder && len(t.Finalising) == 0:
		return fmt.Errorf("no event type finalises an order")
	case t.Grace < 0 || t.Grace > MaxGrace:
		return fmt.Errorf("grace %v isn't between 0 and %v", t.Grace, MaxGrace)
	}
	for _, c := range t.Charges {
		if !slices.Contains(models, c.Model) {
			return fmt.Errorf("charge %q has the unknown model %q", c.Name, c.Model)
		}
	}
	return nil
}

// target is the instant from which the version may take over; zero for always.
func (t Terms) target() time.Time {
	if t.NotBefore.After(t.EffectiveFrom) {
		return t.NotBefore.UTC()
	}
	return t.EffectiveFrom.UTC()
}

// boundaryFrom returns the first boundary at or after an instant.
func (c *Calendar) boundaryFrom(at time.Time) time.Time {
	if cy := c.Cycle(at); cy.Start.Before(at) {
		return cy.End
	}
	return at
}

// spanAt returns the index of the span that holds the instant.
func (c *Calendar) spanAt(at time.Time) int {
	return sort.Search(len(c.spans)-1, func(i int) bool { return c.spans[i+1].from.After(at) })
}

// Cycle returns the cycle that holds the instant. There is exactly one. The
// cost depends on the number of versions only.
func (c *Calendar) Cycle(at time.Time) Cycle {
	i := c.spanAt(at)
	s := &c.spans[i]
	k := s.index(at)
	cy := Cycle{Start: s.boundary(k), End: s.boundary(k + 1), Terms: s.terms.Version, Base: s.terms.Base}
	if i > 0 && cy.Start.Before(s.from) {
		cy.Start = s.from
	}
	if i+1 < len(c.spans) && c.spans[i+1].from.Before(cy.End) {
		cy.End = c.spans[i+1].from
	}
	return cy
}

// Whole returns the cycle as the terms in force in cy would have it: longer than
// cy where that bridges a change, or is cut by the start of the account.
func (c *Calendar) Whole(cy Cycle) Cycle {
	s := &c.spans[c.spanAt(cy.Start)]
	k := s.index(cy.Start)
	return Cycle{Start: s.boundary(k), End: s.boundary(k + 1), Terms: cy.Terms, Base: cy.Base}
}

// Next returns the cycle that begins where cy ends.
func (c *Calendar) Next(cy Cycle) Cycle { return c.Cycle(cy.End) }

// TermsAt returns the terms in force in the cycle that starts at, or holds, the
// instant, with what they leave to the default terms filled in. The charges are
// those of the newest rerating of the cycle, if there is any.
func (c *Calendar) TermsAt(cycleStart time.Time) Terms {
	return c.termsBy(cycleStart, len(c.reratings))
}

// termsBy is TermsAt with the first n reratings alone. One of the default leaves charges of the account's own as they are.
func (c *Calendar) termsBy(cycleStart time.Time, n int) Terms {
	for i := n - 1; i >= 0; i-- {
		r := c.reratings[i]
		if cycleStart.Before(r.from) || !cycleStart.Before(r.through) || r.terms.Account == "" && !c.termsBy(cycleStart, i).chargesOfDefault() {
			continue
		}
		return c.rerated(cycleStart, i)
	}
	return c.spans[c.spanAt(cycleStart)].terms
}

// Effective returns the boundary at which a version takes over; zero if it holds
// from the beginning. ok is false for a version that never does: one superseded
// before its time, or of the default while the account's own leave out nothing.
func (c *Calendar) Effective(version int64) (from time.Time, ok bool) {
	for _, s := range c.spans {
		if s.terms.Version == version || s.terms.inherited != (left{}) && s.terms.Base == version {
			return s.from, true
		}
	}
	return time.Time{}, false
}

// defaultUntil is the last instant, up to end, until which the default terms
// had a say; zero if they never did.
func (c *Calendar) defaultUntil(end time.Time) time.Time {
	for i, s := range slices.Backward(c.spans) {
		if !s.byDefault || !s.from.Before(end) {
			continue
		}
		if i+1 < len(c.spans) && c.spans[i+1].from.Before(end) {
			return c.spans[i+1].from
		}
		return end
	}
	return time.Time{}
}

// index returns the number of the last boundary at or before an instant, in the
// endless row of boundaries of the span's terms.
func (s *span) index(at time.Time) int {
	local, anchor := DateOf(at.In(s.terms.Zone)), s.terms.Anchor.Date
	days, months := s.step()
	var k int
	if days > 0 {
		k = int(local.wall()-anchor.wall()) / (days * secondsPerDay)
	} else {
		k = ((local.Year-anchor.Year)*12 + int(local.Month) - int(anchor.Month)) / months
	}
	for s.boundary(k).After(at) {
		k--
	}
	for !s.boundary(k + 1).After(at) {
		k++
	}
	return k
}

// step is how long the cycles of the span are: whole local days, or whole months.
func (s *span) step() (days, months int) {
	days, months = s.terms.Cadence.step()
	return days * s.terms.Every, months * s.terms.Every
}

// boundary returns boundary number k of the span's terms; the anchor is number
// 0. Months are counted from the anchor, each clamped to its own last day, so
// that a 31st doesn't become a 28th for ever after a February. Where a zone
// skipped whole days, neighbouring numbers may have the same boundary.
func (s *span) boundary(k int) time.Time {
	on := s.terms.Anchor.Date
	if days, months := s.step(); days > 0 {
		on = on.AddDays(days * k)
	} else {
		first := time.Date(on.Year, on.Month+time.Month(months*k), 1, 0, 0, 0, 0, time.UTC)
		last := first.AddDate(0, 1, -1).Day()
		on = Date{Year: first.Year(), Month: first.Month(), Day: min(on.Day, last)}
	}
	return firstInstant(s.terms.Zone, on.wall()+int64(s.terms.Anchor.Clock/time.Second))
}
