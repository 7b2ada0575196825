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
	// Terms is the version in force in the cycle.
	Terms int64
}

// Calendar answers which cycle of an account an instant is in. It is a pure
// function of the history of the account's terms. It doesn't change and can be
// used by several goroutines.
//
// A version of the terms takes over at the first boundary, of the calendar that
// was in force until then, that is not before its EffectiveFrom and not before
// its NotBefore. From there on its own boundaries count; the cycle from the
// takeover to the first of them bridges the change and may be short.
type Calendar struct {
	spans []span // by time; at least one
}

// span is the time in which one version is in force.
type span struct {
	from  time.Time // a boundary of the span before; the first span has no beginning and zero here
	terms Terms
}

// NewCalendar builds the calendar of one account from the versions of its terms:
// the default's and its own together, in any order. They take effect in the
// order of their version numbers; a later version supersedes whatever earlier
// ones would have done from its takeover on. The default's versions count only
// until the account has one of its own.
//
// The first version must hold always (no EffectiveFrom and no NotBefore), as
// that of DefaultTerms does. History that can't be terms of one account is an
// error.
func NewCalendar(history []Terms) (*Calendar, error) {
	versions := slices.Clone(history)
	slices.SortStableFunc(versions, func(a, b Terms) int { return cmp.Compare(a.Version, b.Version) })
	if len(versions) == 0 || !versions[0].target().IsZero() {
		return nil, fmt.Errorf("calendar: no version of the terms holds from the beginning")
	}
	c, account := &Calendar{}, ""
	for i, v := range versions {
		if i > 0 && v.Version == versions[i-1].Version {
			return nil, fmt.Errorf("calendar: two terms have version %d", v.Version)
		}
		if err := v.usable(); err != nil {
			return nil, fmt.Errorf("calendar: terms version %d: %w", v.Version, err)
		}
		switch {
		case account == "":
			account = v.Account
		case v.Account == "":
			continue
		case v.Account != account:
			return nil, fmt.Errorf("calendar: terms of two accounts: %q and %q", account, v.Account)
		}
		c.take(v)
	}
	return c, nil
}

// Charges are those of every version that is or was in force, however often they say the same.
func (c *Calendar) Charges() []Charge {
	var charges []Charge
	for _, s := range c.spans {
		charges = append(charges, s.terms.Charges...)
	}
	return charges
}

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

// take lets v take over from the calendar as it is.
func (c *Calendar) take(v Terms) {
	target := v.target()
	if target.IsZero() {
		c.spans = []span{{terms: v}}
		return
	}
	from, keep := c.boundaryFrom(target), len(c.spans)
	for keep > 1 && !c.spans[keep-1].from.Before(from) {
		keep--
	}
	c.spans = append(c.spans[:keep], span{from: from, terms: v})
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
	cy := Cycle{Start: s.boundary(k), End: s.boundary(k + 1), Terms: s.terms.Version}
	if i > 0 && cy.Start.Before(s.from) {
		cy.Start = s.from
	}
	return cy // the next span begins at a boundary of this one, so no cycle reaches across
}

// Next returns the cycle that begins where cy ends.
func (c *Calendar) Next(cy Cycle) Cycle { return c.Cycle(cy.End) }

// TermsAt returns the terms in force in the cycle that starts at, or holds, the
// instant.
func (c *Calendar) TermsAt(cycleStart time.Time) Terms { return c.spans[c.spanAt(cycleStart)].terms }

// Effective returns the boundary at which a version takes over; zero if it holds
// from the beginning. ok is false for a version that never does: one superseded
// before its time, or of the default after the account's first own.
func (c *Calendar) Effective(version int64) (from time.Time, ok bool) {
	for _, s := range c.spans {
		if s.terms.Version == version {
			return s.from, true
		}
	}
	return time.Time{}, false
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
