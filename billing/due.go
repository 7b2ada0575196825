package billing

import "time"

// LastBoundary returns the boundary through which an account can be closed at
// now, if it is to be closed through a date (inclusive): the last boundary whose
// local date is the day after through or earlier, and whose grace is over at
// now. The local date is that of the zone, and the grace that of the terms, in
// force just before the boundary.
//
// Cycles are closed in order, so a boundary counts only if all before it do:
// a cycle whose grace is still running holds back those after it, even if
// theirs is shorter. A later through or now never gives an earlier boundary.
func (c *Calendar) LastBoundary(through Date, now time.Time) (end time.Time) {
	for i := range c.spans {
		s := &c.spans[i]
		limit := s.limit(through, now)
		if i+1 < len(c.spans) && !c.spans[i+1].from.After(limit) {
			continue
		}
		if i > 0 && limit.Before(s.from) { // its grace is longer than that of the span before
			return s.from
		}
		if end = s.boundary(s.index(limit)); i > 0 && end.Before(s.from) {
			return s.from
		}
		return end
	}
	return end // not reached: the last span has no end
}

// Skipped returns the cycles that an account would keep open, though they end by
// through, because at now their grace (or that of a cycle before them) isn't
// over; see LastBoundary. Cycles that haven't begun at now are not among them.
func (c *Calendar) Skipped(through Date, now time.Time) []Cycle {
	var skipped []Cycle
	limit := through.AddDays(1)
	for cy := c.Cycle(c.LastBoundary(through, now)); !cy.Start.After(now); cy = c.Next(cy) {
		if DateOf(cy.End.In(c.TermsAt(cy.Start).Zone)).Compare(limit) > 0 {
			break
		}
		skipped = append(skipped, cy)
	}
	return skipped
}

// Due returns the first instant at which a cycle can be closed: the end of its
// grace, or of the grace of an earlier cycle if that is later.
func (c *Calendar) Due(cy Cycle) time.Time {
	var due time.Time
	for i := range c.spans {
		s := &c.spans[i]
		end := cy.End
		if i+1 < len(c.spans) && c.spans[i+1].from.Before(end) {
			end = c.spans[i+1].from
		}
		if i > 0 && !s.from.Before(cy.End) {
			break
		}
		if over := end.Add(s.terms.Grace); over.After(due) {
			due = over
		}
	}
	return due
}

// limit is the last instant that a boundary which ends a cycle of the span may
// have, to be closed: its local date is at most the day after through, and its
// grace over at now.
func (s *span) limit(through Date, now time.Time) time.Time {
	at := now.Add(-s.terms.Grace)
	if end := through.AddDays(2).In(s.terms.Zone); !at.Before(end) {
		at = end.Add(-1)
	}
	return at
}
