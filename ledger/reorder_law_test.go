package ledger

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"
	"pgregory.net/rapid"
)

// lawEvent is an event of a generated stream: one account, one dimension that describes the stream, one
// that describes the event, and whole hundredths of up to three measures.
type lawEvent struct {
	seqn                   int64
	day                    int
	typ, account, dim, own string
	states                 bool
	values                 map[string]int64
}

// lawKey is a group of rows.
type lawKey struct {
	day                             int
	typ, account, dim, own, measure string
}

// owner is whom the event's values stand under.
func (e lawEvent) owner() [2]string { return [2]string{e.account, e.dim} }

func (e lawEvent) key(o [2]string, measure string) lawKey {
	return lawKey{e.day, e.typ, o[0], o[1], e.own, measure}
}

// stand is what stands by owner after the events.
func stand(events []lawEvent, measure string) map[[2]string]int64 {
	by := map[[2]string]int64{}
	for _, e := range events {
		v, has := e.values[measure]
		if !has {
			continue
		}
		if e.states {
			clear(by)
		}
		by[e.owner()] += v
	}
	maps.DeleteFunc(by, func(_ [2]string, v int64) bool { return v == 0 })
	return by
}

// inOrder is the model: what the sums are when the events arrive in the order of their numbers.
func inOrder(events []lawEvent) map[lawKey]int64 {
	sums := map[lawKey]int64{}
	for i, e := range events {
		for m, v := range e.values {
			if e.states {
				for o, x := range stand(events[:i], m) {
					sums[e.key(o, m)] -= x
				}
			}
			sums[e.key(e.owner(), m)] += v
		}
	}
	maps.DeleteFunc(sums, func(_ lawKey, v int64) bool { return v == 0 })
	return sums
}

func hundredths(n int64) Amount {
	a, err := AmountOf(decimal.New(n, -2))
	if err != nil {
		panic(err)
	}
	return a
}

func (e lawEvent) entry() *entry {
	n := &entry{
		id: fmt.Sprint("e", e.seqn), seqn: e.seqn, typ: e.typ, currency: "EUR", states: e.states, dimensions: []byte(`{"own":"` + e.own + `"}`),
		owner:      owner{account: e.account, dimensions: `{"dim":"` + e.dim + `"}`},
		occurredAt: time.Date(2026, 1, e.day, 12, 0, 0, 0, time.UTC),
	}
	for _, m := range slices.Sorted(maps.Keys(e.values)) {
		n.values = append(n.values, Measure{m, hundredths(e.values[m])})
	}
	return n
}

// lawLedger records events by a law, and holds what was recorded.
type lawLedger struct {
	h     history
	rows  []lawRow
	count map[lawKey]int64 // events, without a measure
	ids   map[string]bool
}

type lawRow struct {
	seqn  int64
	key   lawKey
	value int64
}

// law says what rows an event needs.
type law func(h *history, e *entry) (effects, *FieldError)

func (l *lawLedger) record(e lawEvent, by law) error {
	if _, known := l.h.find(e.seqn); known {
		return nil
	}
	cause := e.entry()
	out, bad := by(&l.h, cause)
	if bad != nil {
		return bad
	}
	l.add(cause, cause.owner, out.own)
	l.count[e.key(e.owner(), "")]++
	for _, r := range out.made {
		l.add(r.bears, r.owner, r.values)
		if id := madeID(&l.h, cause, r); l.ids[id] || len(r.values) == 0 {
			return fmt.Errorf("row %s twice, or without values", id)
		} else {
			l.ids[id] = true
		}
	}
	return nil
}

func (l *lawLedger) add(bears *entry, o owner, values []Measure) {
	inner := func(object string) string { return strings.Split(object, `"`)[3] }
	for _, m := range values {
		n := m.Value.Decimal().Shift(2)
		l.rows = append(l.rows, lawRow{bears.seqn, lawKey{
			bears.occurredAt.Day(), bears.typ, o.account, inner(o.dimensions), inner(string(bears.dimensions)), m.Name,
		}, n.IntPart()})
	}
}

func (l *lawLedger) sums() map[lawKey]int64 {
	sums := map[lawKey]int64{}
	for _, r := range l.rows {
		sums[r.key] += r.value
	}
	maps.DeleteFunc(sums, func(_ lawKey, v int64) bool { return v == 0 })
	return sums
}

// consistent checks that after every recorded event the rows through it are what stands.
func (l *lawLedger) consistent(recorded []lawEvent) error {
	slices.SortFunc(recorded, func(a, b lawEvent) int { return int(a.seqn - b.seqn) })
	for i, e := range recorded {
		for _, m := range []string{"amount", "fee", "quantity"} {
			have := map[[2]string]int64{}
			for _, r := range l.rows {
				if r.seqn <= e.seqn && r.key.measure == m {
					have[[2]string{r.key.account, r.key.dim}] += r.value
				}
			}
			maps.DeleteFunc(have, func(_ [2]string, v int64) bool { return v == 0 })
			if want := stand(recorded[:i+1], m); !maps.Equal(have, want) {
				return fmt.Errorf("through %d %s stands at %v, not %v", e.seqn, m, have, want)
			}
		}
	}
	return nil
}

// drawHistory makes a stream of up to eight events; each kind of trouble is left out of some.
func drawHistory(draw func(n int) int) []lawEvent {
	var (
		accounts = []string{"A", "B", "C"}[:1+draw(3)]
		dims     = []string{"x", "y"}[:1+draw(2)]
		states   = draw(5) // of four
		events   = make([]lawEvent, 1+draw(8))
	)
	for i := range events {
		e := lawEvent{
			seqn: int64(2*i + draw(2)), day: 1 + i/2 + draw(2), typ: []string{"sold", "changed"}[draw(2)],
			account: accounts[draw(len(accounts))], dim: dims[draw(len(dims))], own: []string{"p", "q"}[draw(2)],
			states: draw(4) < states, values: map[string]int64{},
		}
		for k, m := range []string{"amount", "fee", "quantity"} {
			if draw(3) > k-1 {
				e.values[m] = int64(draw(12) - 3)
			}
		}
		events[i] = e
	}
	return events
}

// holds checks one history in one order of arrival: the result, or with every step what is between.
func holds(events, arrivals []lawEvent, by law, steps bool) error {
	l := &lawLedger{h: history{source: "shop", stream: "o1"}, count: map[lawKey]int64{}, ids: map[string]bool{}}
	var recorded []lawEvent
	for _, e := range arrivals {
		if err := l.record(e, by); err != nil {
			return err
		}
		if !slices.ContainsFunc(recorded, func(r lawEvent) bool { return r.seqn == e.seqn }) {
			recorded = append(recorded, e)
		}
		if steps {
			if err := l.consistent(recorded); err != nil {
				return err
			}
		}
	}
	if have, want := l.sums(), inOrder(events); !maps.Equal(have, want) {
		return fmt.Errorf("the sums are %v, not %v", have, want)
	}
	counted := map[lawKey]int64{}
	for _, e := range events {
		counted[e.key(e.owner(), "")]++
	}
	if !maps.Equal(l.count, counted) {
		return fmt.Errorf("the counts are %v, not %v", l.count, counted)
	}
	return nil
}

func theLaw(h *history, e *entry) (effects, *FieldError) { return h.apply(e) }

// nextLaw takes a late effect off the next event, whether it states the measure or not.
func nextLaw(h *history, e *entry) (effects, *FieldError) {
	out, err := h.apply(e)
	at, _ := h.find(e.seqn)
	for i := range out.made {
		if out.made[i].kind == Reorder {
			out.made[i].bears = h.entries[at+1]
		}
	}
	return out, err
}

// ownLaw takes a late effect off under the late event's own owner.
func ownLaw(h *history, e *entry) (effects, *FieldError) {
	out, err := h.apply(e)
	for i := range out.made {
		if out.made[i].kind == Reorder {
			out.made[i].owner = e.owner
		}
	}
	return out, err
}

// deltaLaw doesn't make up for late deltas.
func deltaLaw(h *history, e *entry) (effects, *FieldError) {
	out, err := h.apply(e)
	if !e.states {
		out.made = nil
	}
	return out, err
}

// shuffled is an order of arrival with repeats.
func shuffled(events []lawEvent, draw func(n int) int) []lawEvent {
	arrivals := slices.Clone(events)
	for range draw(3) {
		arrivals = append(arrivals, events[draw(len(events))])
	}
	for i := len(arrivals) - 1; i > 0; i-- {
		j := draw(i + 1)
		arrivals[i], arrivals[j] = arrivals[j], arrivals[i]
	}
	return arrivals
}

// In whatever order, however often and in whatever mix of states and deltas the events of a stream
// arrive, sums and counts are those of arrival in order.
func TestReorderLaw(t *testing.T) {
	t.Parallel()
	const histories = 120_000
	for seed := range uint64(histories) {
		r := rand.New(rand.NewPCG(seed, 6))
		events := drawHistory(r.IntN)
		if err := holds(events, shuffled(events, r.IntN), theLaw, seed%8 == 0); err != nil {
			t.Fatalf("seed %d: %v\n%+v", seed, err, events)
		}
	}
}

// The same with histories that shrink to the smallest that fails.
func TestReorderLawShrinks(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		calls := 0
		draw := func(n int) int {
			calls++
			return rapid.IntRange(0, n-1).Draw(t, strconv.Itoa(calls))
		}
		events := drawHistory(draw)
		if err := holds(events, shuffled(events, draw), theLaw, true); err != nil {
			t.Fatalf("%v\n%+v", err, events)
		}
	})
}

// The generator finds what is wrong with laws that look right.
func TestReorderLawIsTold(t *testing.T) {
	t.Parallel()
	for name, by := range map[string]law{"next": nextLaw, "own": ownLaw, "delta": deltaLaw} {
		wrong := 0
		for seed := range uint64(2000) {
			r := rand.New(rand.NewPCG(seed, 7))
			events := drawHistory(r.IntN)
			if holds(events, shuffled(events, r.IntN), by, false) != nil {
				wrong++
			}
		}
		if wrong < 100 {
			t.Errorf("the law %s gives wrong sums in %d of 2000 histories only", name, wrong)
		}
		t.Logf("%s: %d of 2000 histories are wrong", name, wrong)
	}
}
