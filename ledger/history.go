package ledger

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
)

// histories are the streams of a batch: of each as much as the law needs for the batch's events.
type histories struct {
	by      *declarations
	streams map[[10]byte]*history
	windows []*window
}

// window is a part of a stream in which events of a batch have their places, and what is known around
// it: everything that is recorded between low and high, ends excluded.
type window struct {
	h           *history
	prefix      [10]byte
	first, last int64  // places of the batch's events
	needs       []need // of the measures of these events
	low, high   int64  // what is known reaches to here
	least, most bool   // and nothing is recorded beyond
}

// need is what the law asks of one measure of a window.
type need struct {
	measure  string
	earliest int64 // of the events that state it: a recorded state before is needed; MaxSeqn+1: none states it
	latest   int64 // of the events that have it: the next recorded state is needed
}

// apart is how many places lie between two events of a stream that get windows of their own: a late
// event and a new one shouldn't make us read the whole stream between.
const apart = 64

// widen is how many times more neighbours each round looks at, from one on.
const widen = 8

// readHistories reads what the law needs to know for items, which are lawful. The caller holds their
// stripes, so that nobody changes it until the transaction ends. The error is errTaken if the place of one
// of them turns out to be taken.
func readHistories(ctx context.Context, tx pgx.Tx, b *Batch, items []*prepared) (*histories, error) {
	all := newHistories(b, items)
	if err := all.read(ctx, tx, all.windows, last, 1); err != nil {
		return nil, fmt.Errorf("read streams: %w", err)
	}
	for limit := 1; ; limit = min(limit*widen, maxWindow) {
		before, after := all.open()
		if len(before)+len(after) == 0 {
			break
		}
		if err := all.read(ctx, tx, before, earlier, limit); err != nil {
			return nil, fmt.Errorf("read streams: %w", err)
		}
		if err := all.read(ctx, tx, after, later, limit); err != nil {
			return nil, fmt.Errorf("read streams: %w", err)
		}
	}
	for _, p := range items {
		if _, taken := all.of(p).find(p.public.Seqn); taken {
			return nil, errTaken
		}
	}
	return all, nil
}

// side is a part of a stream, as seen from a window.
type side int

const (
	last    side = iota // its last event: in order, which is nearly always, it is all that is needed
	earlier             // what comes before the window, the nearest first
	later               // what comes after it, the nearest first
)

// keys are the bounds of that side.
func (w *window) keys(p side) (from, through Key) {
	switch p {
	case earlier:
		return placeKey(w.prefix, 0), placeKey(w.prefix, w.low-1)
	case later:
		return placeKey(w.prefix, w.high+1), placeKey(w.prefix, MaxSeqn)
	default:
		return placeKey(w.prefix, 0), placeKey(w.prefix, MaxSeqn)
	}
}

// reach widens what is known to the places of the events that were read, of limit at most.
func (w *window) reach(p side, seqns []int64, limit int) {
	switch {
	case p == earlier:
		for _, n := range seqns {
			w.low = min(w.low, n)
		}
		w.least = len(seqns) < limit || w.low == 0
	case p == later:
		for _, n := range seqns {
			w.high = max(w.high, n)
		}
		w.most = len(seqns) < limit || w.high == MaxSeqn
	case len(seqns) == 0:
		w.least, w.most = true, true
	case seqns[0] < w.first:
		w.low, w.least, w.most = seqns[0], seqns[0] == 0, true
	}
}

// maxWindow bounds how much of a stream is read at once.
const maxWindow = 4096

func (all *histories) of(p *prepared) *history { return all.streams[[10]byte(p.positionKey[:10])] }

// newHistories lays out the windows of items.
func newHistories(b *Batch, items []*prepared) *histories {
	all := &histories{by: b.by, streams: make(map[[10]byte]*history)}
	sorted := slices.SortedFunc(slices.Values(items), order)
	var w *window
	for _, p := range sorted {
		e, prefix := p.public, [10]byte(p.positionKey[:10])
		h := all.streams[prefix]
		if h == nil {
			h = &history{source: e.Source, stream: e.Stream}
			all.streams[prefix], w = h, nil
		}
		if w == nil || e.Seqn-w.last > apart {
			w = &window{h: h, prefix: prefix, first: e.Seqn, low: e.Seqn, high: e.Seqn - 1, least: e.Seqn == 0}
			all.windows = append(all.windows, w)
		}
		w.last = e.Seqn
		for _, m := range e.State {
			w.need(m.Name, e.Seqn, true)
		}
		for _, m := range e.deltas() {
			w.need(m.Name, e.Seqn, false)
		}
	}
	return all
}

func (w *window) need(measure string, seqn int64, stated bool) {
	i := slices.IndexFunc(w.needs, func(n need) bool { return n.measure == measure })
	if i < 0 {
		i, w.needs = len(w.needs), append(w.needs, need{measure: measure, earliest: MaxSeqn + 1})
	}
	n := &w.needs[i]
	n.latest = seqn // they come in order
	if stated {
		n.earliest = min(n.earliest, seqn)
	}
}

// open are the windows of which too little is known, to either side.
func (all *histories) open() (before, after []*window) {
	for _, w := range all.windows {
		if !w.least && (w.low == w.first || w.lacks(func(n need) bool {
			return n.earliest > MaxSeqn || w.states(n.measure, w.low, n.earliest)
		})) {
			before = append(before, w)
		}
		if !w.most && (w.high < w.first || w.lacks(func(n need) bool { return w.states(n.measure, n.latest+1, w.high+1) })) {
			after = append(after, w)
		}
	}
	return before, after
}

func (w *window) lacks(met func(need) bool) bool {
	return slices.ContainsFunc(w.needs, func(n need) bool { return !met(n) })
}

// states reports whether one of the entries from and until some places, the latter excluded, states a measure.
func (w *window) states(measure string, from, until int64) bool {
	at, _ := w.h.find(from)
	for _, e := range w.h.entries[at:] {
		if e.seqn >= until {
			break
		}
		if e.stated(measure) {
			return true
		}
	}
	return false
}

// The neighbours of places, the nearest first. The inner queries are run for each stream and each
// neighbour: a plan that reads the whole tables because they were small once would be slow for ever.
const fromNeighbours = `
FROM unnest($1::uuid[], $2::uuid[]) WITH ORDINALITY AS w (low, high, i)
CROSS JOIN LATERAL (
    SELECT k.position, k.recorded_at
    FROM ledger.event_keys k
    WHERE k.position_key BETWEEN w.low AND w.high
    ORDER BY k.position_key %s
    LIMIT $3
) AS p` + EventAtP

// read reads up to limit more entries of each window.
func (all *histories) read(ctx context.Context, tx pgx.Tx, windows []*window, p side, limit int) error {
	if len(windows) == 0 {
		return nil
	}
	lows, highs := make([][16]byte, len(windows)), make([][16]byte, len(windows))
	for i, w := range windows {
		from, through := w.keys(p)
		lows[i], highs[i] = from, through
	}
	direction := "DESC"
	if p == later {
		direction = "ASC"
	}
	b := &builder{catalogue: all.by.catalogue, args: []any{lows, highs, limit}}
	reader := b.rows()
	rows, err := tx.Query(ctx, "SELECT "+reader.columns+", w.i"+fmt.Sprintf(fromNeighbours, direction), b.args...)
	if err != nil {
		return err
	}
	found, seqns := make([][]*entry, len(windows)), make([][]int64, len(windows))
	_, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (struct{}, error) {
		var i int64
		r, err := reader.scan(row, &i)
		if err != nil {
			return struct{}{}, err
		}
		e, err := r.entry(all.by.layout)
		if err != nil {
			return struct{}{}, fmt.Errorf("position %d: %w: %w", r.Position, err, ErrCorrupt)
		}
		i--
		seqns[i] = append(seqns[i], e.seqn)
		if h := windows[i].h; r.Source == h.source && r.Stream == h.stream { // not another with the same 10 bytes of hash
			found[i] = append(found[i], e)
		}
		return struct{}{}, nil
	})
	for i, w := range windows {
		w.h.learn(found[i])
		w.reach(p, seqns[i], limit)
	}
	return err
}

// learn adds recorded entries; some may be known.
func (h *history) learn(found []*entry) {
	if len(found) == 0 {
		return
	}
	h.entries = append(h.entries, found...)
	slices.SortFunc(h.entries, func(a, b *entry) int { return cmp.Compare(a.seqn, b.seqn) })
	h.entries = slices.CompactFunc(h.entries, func(a, b *entry) bool { return a.seqn == b.seqn })
	for _, e := range found {
		h.meet(e)
	}
}

// entry is the row of a numbered event as the law sees it.
func (r Row) entry(l *layout) (*entry, error) {
	if r.Seqn == nil {
		return nil, errors.New("it has a place in a stream, but no number")
	}
	e := &entry{
		id: r.ID, seqn: *r.Seqn, position: r.Position, recordedAt: r.RecordedAt, typ: r.Type, currency: r.Currency, occurredAt: r.OccurredAt,
		owner: owner{account: r.Account},
	}
	if len(r.Dimensions) > 0 {
		dimensions, err := CanonicalDimensions(r.Dimensions)
		if err != nil {
			return nil, err
		}
		e.owner.dimensions, e.dimensions = l.ownership(dimensions)
	}
	var err error
	if e.states = len(r.State) > 0; e.states {
		e.values, err = measuresOf(r.State)
	} else {
		e.values = r.deltas()
	}
	return e, err
}

// deltas are the changes that the row makes.
func (r Row) deltas() []Measure {
	e := Event{Amount: r.Amount, Quantity: r.Quantity}
	for name, value := range r.Measures {
		e.Measures = append(e.Measures, Measure{name, value})
	}
	return e.deltas()
}

// measuresOf reads a JSON object of numbers in strings, sorted by name.
func measuresOf(object []byte) ([]Measure, error) {
	var values map[string]Amount
	if err := json.Unmarshal(object, &values); err != nil {
		return nil, err
	}
	all := make([]Measure, 0, len(values))
	for name, value := range values {
		all = append(all, Measure{name, value})
	}
	slices.SortFunc(all, func(a, b Measure) int { return cmp.Compare(a.Name, b.Name) })
	return all, nil
}

// deltas are the changes that the event carries; none if it carries a state.
func (e *Event) deltas() []Measure {
	if e.State != nil {
		return nil
	}
	all := make([]Measure, 0, 2+len(e.Measures))
	if e.Amount.Valid() {
		all = append(all, Measure{"amount", e.Amount})
	}
	if e.Quantity.Valid() {
		all = append(all, Measure{"quantity", e.Quantity})
	}
	return append(all, e.Measures...)
}

// setDeltas makes values, which are sorted by name, the changes of the event.
func (e *Event) setDeltas(values []Measure) {
	e.Amount, e.Quantity, e.Measures = Amount{}, Amount{}, nil
	for _, m := range values {
		switch m.Name {
		case "amount":
			e.Amount = m.Value
		case "quantity":
			e.Quantity = m.Value
		default:
			e.Measures = append(e.Measures, m)
		}
	}
}
