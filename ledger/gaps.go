package ledger

import (
	"cmp"
	"slices"
	"time"
)

// arrival is a recorded event as completeness sees it.
type arrival struct {
	position   int64
	recordedAt time.Time
	occurredAt time.Time
	source     string
	stream     string
	seqn       int64
	numbered   bool
	account    string
	id         string
}

// openGap is a run of numbers that are missing while a higher one is recorded.
type openGap struct {
	source, stream string
	from, to       int64
	since          time.Time  // recorded_at of the first event with a higher number
	sincePosition  int64      // and its position
	previousAt     *time.Time // occurred_at of the event with the number before; nil: there is none
	next           arrival    // the event with the number after; only position, times and account are kept
	earliest       time.Time  // earliest occurred_at of the events between this gap and the next one
}

func (g *openGap) missing() int64 { return g.to - g.from + 1 }

// numberLine is what is counted by one sequence: a stream, or a whole source. The gaps in it are those
// that its arrivals can touch, as they are stored; last is needed only if a number above it arrives.
//
// A count begins at 0 or 1: the number 0 is never missing, and a first number above 1 leaves a gap.
type numberLine struct {
	source, stream string
	gaps           []*openGap // by from
	first, last    int64      // lowest and highest number; -1: none
	lastAt         *time.Time // occurred_at of the event with the highest

	known   bool      // something of it was numbered before
	stored  []openGap // the gaps as they were loaded
	filling []arrival // what arrived in a gap
	doubled []arrival // what arrived with a number that was there
}

func newNumberLine(source, stream string) *numberLine {
	return &numberLine{source: source, stream: stream, first: -1, last: -1}
}

// load adds a stored gap, in any order, once.
func (n *numberLine) load(g openGap) {
	i, found := n.search(g.from)
	if found {
		return
	}
	n.gaps = slices.Insert(n.gaps, i, &g)
	n.stored = append(n.stored, g)
}

func (n *numberLine) search(from int64) (int, bool) {
	return slices.BinarySearchFunc(n.gaps, from, func(g *openGap, from int64) int { return cmp.Compare(g.from, from) })
}

// floor is the index of the last gap that begins at or before a number; -1: none.
func (n *numberLine) floor(seqn int64) int {
	i, found := n.search(seqn)
	if found {
		return i
	}
	return i - 1
}

// missing reports that a number is in a gap.
func (n *numberLine) missing(seqn int64) bool {
	i := n.floor(seqn)
	return i >= 0 && seqn <= n.gaps[i].to
}

// take adds an event. Events are taken in the order of their positions.
func (n *numberLine) take(a arrival) {
	switch i := n.floor(max(a.seqn, 1)); {
	case a.seqn == 0:
		n.takeZero(a, i)
	case i >= 0 && a.seqn <= n.gaps[i].to:
		n.fill(i, a)
	case a.seqn > n.last:
		n.extend(a)
	default:
		n.doubled = append(n.doubled, a)
		n.note(i, a.occurredAt)
	}
	if n.first < 0 || a.seqn < n.first {
		n.first = a.seqn
	}
}

// takeZero adds an event with the number 0, which may come before everything or not at all.
func (n *numberLine) takeZero(a arrival, i int) {
	switch {
	case n.first == 0:
		n.doubled = append(n.doubled, a)
	case i >= 0 && n.gaps[i].from == 1:
		n.gaps[i].previousAt = &a.occurredAt
	case n.last < 0:
		n.last, n.lastAt = 0, &a.occurredAt
	}
}

// extend adds an event with a number above all others.
func (n *numberLine) extend(a arrival) {
	if from := max(n.last+1, 1); from < a.seqn {
		n.gaps = append(n.gaps, &openGap{
			source: n.source, stream: n.stream, from: from, to: a.seqn - 1, since: a.recordedAt, sincePosition: a.position,
			previousAt: n.lastAt, next: a, earliest: a.occurredAt,
		})
	} else {
		n.note(len(n.gaps)-1, a.occurredAt)
	}
	n.last, n.lastAt = a.seqn, &a.occurredAt
}

// fill takes a number out of the gap i.
func (n *numberLine) fill(i int, a arrival) {
	n.filling = append(n.filling, a)
	g := n.gaps[i]
	switch {
	case g.from == g.to:
		n.gaps = slices.Delete(n.gaps, i, i+1)
		n.note(i-1, a.occurredAt)
		n.note(i-1, g.earliest)
	case a.seqn == g.from:
		g.from, g.previousAt = a.seqn+1, &a.occurredAt
		n.note(i-1, a.occurredAt)
	case a.seqn == g.to:
		g.to, g.next = a.seqn-1, a
		n.note(i, a.occurredAt)
	default:
		right := *g
		right.from, right.previousAt = a.seqn+1, &a.occurredAt
		g.to, g.next, g.earliest = a.seqn-1, a, a.occurredAt
		n.gaps = slices.Insert(n.gaps, i+1, &right)
	}
}

// note counts an event to those behind the gap i, if there is one.
func (n *numberLine) note(i int, at time.Time) {
	if i >= 0 && at.Before(n.gaps[i].earliest) {
		n.gaps[i].earliest = at
	}
}

// filledGap is a run of numbers that were missing and have come.
type filledGap struct {
	from, to int64
	since    time.Time
	at       time.Time // when the last of them was recorded
}

// filled are the parts of the stored gaps that have come.
func (n *numberLine) filled() (all []filledGap) {
	slices.SortFunc(n.filling, func(a, b arrival) int { return cmp.Compare(a.seqn, b.seqn) })
	for _, g := range n.stored {
		i, _ := slices.BinarySearchFunc(n.filling, g.from, func(a arrival, from int64) int { return cmp.Compare(a.seqn, from) })
		for ; i < len(n.filling) && n.filling[i].seqn <= g.to; i++ {
			a := n.filling[i]
			if k := len(all) - 1; k >= 0 && all[k].from >= g.from && all[k].to == a.seqn-1 {
				all[k].to = a.seqn
				if a.recordedAt.After(all[k].at) {
					all[k].at = a.recordedAt
				}
				continue
			}
			all = append(all, filledGap{from: a.seqn, to: a.seqn, since: g.since, at: a.recordedAt})
		}
	}
	return all
}

// gapChange is what must be stored so that the stored gaps become those of the line.
type gapChange struct {
	remove []openGap
	put    []openGap
}

// change compares the gaps of the line with the stored ones.
func (n *numberLine) change() (c gapChange) {
	now := make(map[int64]*openGap, len(n.gaps))
	for _, g := range n.gaps {
		now[g.from] = g
	}
	for _, g := range n.stored {
		if _, left := now[g.from]; !left {
			c.remove = append(c.remove, g)
		}
	}
	before := make(map[int64]*openGap, len(n.stored))
	for i := range n.stored {
		before[n.stored[i].from] = &n.stored[i]
	}
	for _, g := range n.gaps {
		if old := before[g.from]; old == nil || *old != *g {
			c.put = append(c.put, *g)
		}
	}
	return c
}
