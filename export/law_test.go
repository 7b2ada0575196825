package export

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// A modelEvent is all that the law knows of an event.
type modelEvent struct {
	position int64
	month    Month
}

// A model is a ledger without a database: events in the order of recording, and what was frozen.
type model struct {
	events []modelEvent
	files  []planned
}

// spans are the model's chain.
func (m *model) spans() []Span {
	all := make([]Span, len(m.files))
	for i, f := range m.files {
		all[i] = f.Span
	}
	return all
}

func (m *model) tail() Span {
	if len(m.files) == 0 {
		return Span{}
	}
	return m.files[len(m.files)-1].Span
}

// outcome of freezing in the model.
type outcome string

const (
	isFrozen  outcome = "frozen"
	isAgain   outcome = "frozen already"
	isNothing outcome = "nothing to freeze"
	isPassed  outcome = "passed over"
)

// freeze does by the words of the law what Freeze does by SQL.
func (m *model) freeze(month Month, w int64) outcome {
	tail := m.tail()
	for _, f := range m.files {
		if f.Month == month {
			return isAgain
		}
	}
	if month.Compare(tail.Month) <= 0 {
		return isPassed
	}
	w = max(w, tail.Watermark)
	var months []found
	for at := tail.Month; at.Compare(month) < 0; {
		if at.IsZero() {
			at = m.earliest(month).Previous()
		}
		at = at.Next()
		f := found{month: at}
		for _, e := range m.events {
			if e.month == at && e.position <= w {
				f = f.and(found{rows: 1, first: e.position, last: e.position})
			}
		}
		if f.rows > 0 {
			months = append(months, f)
		}
	}
	var late found
	for _, e := range m.events {
		if !tail.Month.IsZero() && e.month.Compare(tail.Month) <= 0 && e.position > tail.Watermark && e.position <= w {
			late = late.and(found{rows: 1, first: e.position, last: e.position})
		}
	}
	files := plan(tail, months, late, month, w)
	if len(files) == 0 || files[len(files)-1].Month != month {
		return isNothing
	}
	m.files = append(m.files, files...)
	return isFrozen
}

func (m *model) earliest(or Month) Month {
	for _, e := range m.events {
		if e.month.Compare(or) < 0 {
			or = e.month
		}
	}
	return or
}

func (m *model) content(s Span) []int64 {
	var all []int64
	for _, e := range m.events {
		if s.Holds(e.month, e.position) {
			all = append(all, e.position)
		}
	}
	return all
}

// step is one thing that happens to a ledger: an event arrives, or a month is frozen.
type step struct {
	freeze bool
	month  Month
	back   int64 // how far below the last position the watermark of the freeze is
}

func drawMonth(t *rapid.T) Month {
	m := Month{2025, time.September}
	for range rapid.IntRange(0, 7).Draw(t, "month") {
		m = m.Next()
	}
	return m
}

func drawSteps(t *rapid.T) []step {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) step {
		return step{
			freeze: rapid.IntRange(0, 3).Draw(t, "kind") == 0,
			month:  drawMonth(t),
			back:   rapid.SampledFrom([]int64{0, 0, 0, 1, 3, 20}).Draw(t, "back"),
		}
	}), 10, 60).Draw(t, "steps")
}

// TestEveryEventIsInExactlyOneFile holds the law in the model: no event is ever in two files, none of the
// frozen months is missing one, and a file never changes once it is there.
func TestEveryEventIsInExactlyOneFile(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var m model
		content := map[Month][]int64{}
		for _, s := range drawSteps(t) {
			last := int64(len(m.events))
			if !s.freeze {
				m.events = append(m.events, modelEvent{last + 1, s.month})
				continue
			}
			m.freeze(s.month, max(0, last-s.back))
			for _, f := range m.files {
				now := m.content(f.Span)
				if int64(len(now)) != f.rows {
					t.Fatalf("file %s was planned with %d rows and has %d", f.Month, f.rows, len(now))
				}
				if was, ok := content[f.Month]; ok && len(was) != len(now) {
					t.Fatalf("file %s changed from %v to %v", f.Month, was, now)
				}
				content[f.Month] = now
			}
		}
		m.checkWhole(t)
		for _, e := range m.events { // freeze the rest
			m.freeze(e.month, int64(len(m.events)))
		}
		end := Month{2026, time.December}
		m.events = append(m.events, modelEvent{int64(len(m.events)) + 1, end})
		m.freeze(end, int64(len(m.events)))
		m.checkWhole(t)
		for _, e := range m.events {
			if _, ok := FileOf(m.spans(), e.month, e.position); !ok {
				t.Fatalf("event %v is in no file", e)
			}
		}
	})
}

func (m *model) checkWhole(t *rapid.T) {
	tail, spans := m.tail(), m.spans()
	for _, e := range m.events {
		in := 0
		for _, s := range spans {
			if s.Holds(e.month, e.position) {
				in++
			}
		}
		want := 0
		if e.position <= tail.Watermark && e.month.Compare(tail.Month) <= 0 {
			want = 1
		}
		if in != want {
			t.Fatalf("event %v is in %d files, not %d; chain %v", e, in, want, spans)
		}
	}
}
