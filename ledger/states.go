package ledger

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"deltaledger/ledger/pg"
)

// errTaken says that the place of an event turned out to be taken, so that keys have to be looked up first.
var errTaken = errors.New("a place in a stream is taken")

// lawful reports whether the batch holds events of sources that send states.
func (b *Batch) lawful() bool {
	return slices.ContainsFunc(b.items, func(p prepared) bool { return p.lawful })
}

// awaitDeclared makes sure that a state of b isn't applied while somebody writes who doesn't know that its
// source sends states, and so takes no stripe: whoever draws positions from the declaration on learns of
// it, and those who drew before have ended when this returns. Each process waits once for a declaration.
func (l *Ledger) awaitDeclared(ctx context.Context, b *Batch) error {
	settled := l.settled.Load()
	if settled >= b.by.n || !b.lawful() {
		return nil
	}
	err := pg.InTx(ctx, l.pool, func(tx pgx.Tx) error { return waitForWriters(ctx, tx) })
	if err != nil {
		return fmt.Errorf("wait for those who write by older declarations: %w", err)
	}
	for settled < b.by.n && !l.settled.CompareAndSwap(settled, b.by.n) {
		settled = l.settled.Load()
	}
	return nil
}

// The stripes of streams: whoever records an event of a source that sends states holds the stripe of its
// stream alone, so that what it reads of the stream stays true until its commit. In ascending order, all of
// a transaction at once: two who need the same ones wait for each other instead of deadlocking. Stripes,
// because a lock for each stream would exhaust the server's shared memory.
const sqlLockStripes = `
SELECT pg_advisory_xact_lock(17485, s.stripe)
FROM unnest($1::int[]) AS s (stripe)`

// stripes are the stripes of lawful items, in the order in which they are locked.
func stripes(items []*prepared) []int32 {
	var needed [256]bool
	for _, p := range items {
		if p.lawful {
			needed[p.positionKey[0]] = true
		}
	}
	var all []int32
	for stripe, is := range needed {
		if is {
			all = append(all, int32(stripe))
		}
	}
	return all
}

func lockStripes(ctx context.Context, tx pgx.Tx, stripes []int32) error {
	if len(stripes) == 0 {
		return nil
	}
	if _, err := tx.Exec(ctx, sqlLockStripes, stripes); err != nil {
		return fmt.Errorf("lock streams: %w", err)
	}
	return nil
}

// maxPart is how many events of a batch are recorded while their stripes are held. A large batch needs nearly
// all stripes; in parts, of which each needs some, the next batch begins when the first part is done.
const maxPart = MaxBatch / 2

// parts divides items into those that are recorded together: by stripes, where there are many. What has to be
// in one transaction stays together.
func (w *writer) parts(items []*prepared) [][]*prepared {
	if w.whole || len(items) <= maxPart || len(stripes(items)) < 2 {
		return [][]*prepared{items}
	}
	low := make([]*prepared, 0, len(items))
	var high []*prepared
	for _, p := range items {
		if p.lawful && p.positionKey[0] >= 128 {
			high = append(high, p)
		} else {
			low = append(low, p)
		}
	}
	return [][]*prepared{low, high}
}

// statesTries is how often a batch that met keys that somebody else was just recording is begun again as a
// whole; then its events are recorded one by one.
const statesTries = 4

// writeLawful writes items of which some are of sources that send states. It returns how many it didn't
// record because their keys were taken.
func (w *writer) writeLawful(ctx context.Context, b *Batch, items []*prepared) (taken int, err error) {
	for range statesTries {
		t := &lawful{w: w, b: b, look: w.l.careful.Load() > 0}
		err = w.run(func(tx pgx.Tx) error { return t.write(ctx, tx, items) })
		if err == nil {
			t.tell()
			return len(t.known), nil
		}
		if !pg.IsUniqueViolation(err) && !errors.Is(err, errTaken) {
			return 0, err
		}
		w.l.careful.Store(carefulBatches)
	}
	if len(items) == 1 {
		return 0, err
	}
	for i := range items {
		n, err := w.writeLawful(ctx, b, items[i:i+1])
		if err != nil {
			return taken, err
		}
		taken += n
	}
	return taken, nil
}

// lawful is one try to write events of sources that send states, and others beside them.
type lawful struct {
	w         *writer
	b         *Batch
	look      bool // for keys that are taken, before all
	known     map[*prepared]taken
	rows      []*prepared // in the order of their positions; those the ledger makes follow their cause
	causes    []int       // beside rows: index of the event that caused the row, or -1
	entries   []*entry    // beside rows: nil where the law has no say
	positions []int64
	rejected  map[*prepared]*FieldError
	others    map[*prepared]*entry // events in another currency than what is recorded of their stream
}

// write is one transaction, or savepoint. What is read is read before positions are drawn: from then on
// watermarks wait.
func (t *lawful) write(ctx context.Context, tx pgx.Tx, items []*prepared) error {
	*t = lawful{w: t.w, b: t.b, look: t.look, known: map[*prepared]taken{}, rejected: map[*prepared]*FieldError{}, others: map[*prepared]*entry{}}
	encoded := len(t.b.tuples)
	defer func() { t.b.tuples = t.b.tuples[:encoded] }()
	if err := lockStripes(ctx, tx, stripes(items)); err != nil {
		return err
	}
	free := items
	if t.look {
		var err error
		if free, err = t.lookUp(ctx, tx, items); err != nil {
			return err
		}
	}
	if err := t.apply(ctx, tx, free); err != nil {
		return err
	}
	if err := t.record(ctx, tx); err != nil {
		return err
	}
	if err := t.w.compare(ctx, tx, t.b, t.known); err != nil {
		return err
	}
	return t.w.keep(ctx, tx, t.b, t.foreign())
}

// lookUp finds the items whose identity or place is taken, and returns the others.
func (t *lawful) lookUp(ctx context.Context, tx pgx.Tx, items []*prepared) (free []*prepared, err error) {
	if t.known, err = lookUp(ctx, tx, items); err != nil {
		return nil, err
	}
	unknown := func() []*prepared {
		return slices.DeleteFunc(slices.Clone(items), func(p *prepared) bool { _, found := t.known[p]; return found })
	}
	places, err := lookUpPlaces(ctx, tx, unknown())
	for p, k := range places {
		t.known[p] = k
	}
	return unknown(), err
}

// apply finds out which rows the items need, in the order in which they came.
func (t *lawful) apply(ctx context.Context, tx pgx.Tx, items []*prepared) error {
	lawful := slices.DeleteFunc(slices.Clone(items), func(p *prepared) bool { return !p.lawful })
	streams, err := readHistories(ctx, tx, t.b, lawful)
	if err != nil {
		return err
	}
	for _, p := range items {
		if !p.lawful {
			t.add(p, nil, -1)
			continue
		}
		if err := t.applyOne(streams.of(p), p); err != nil {
			return fmt.Errorf("event %s of %s: %w", p.public.ID, p.public.Source, err)
		}
	}
	return nil
}

func (t *lawful) applyOne(h *history, p *prepared) error {
	e := t.b.by.layout.entry(p.public)
	if other := h.other(e); other != nil {
		t.others[p] = other
		return nil
	}
	out, bad := h.apply(e)
	if bad != nil {
		t.rejected[p] = bad
		return nil
	}
	if p.state != nil {
		row := *p.state.Event
		row.setDeltas(out.own)
		s := *p.state
		s.Event = &row
		p.tuple = t.b.encode(s, t.w.l.zone)
	}
	cause := t.add(p, e, -1)
	for _, r := range out.made {
		m, err := t.made(h, e, r)
		if err != nil {
			return err
		}
		t.add(m, nil, cause)
	}
	return nil
}

// add puts a row behind the others and returns its index.
func (t *lawful) add(p *prepared, e *entry, cause int) int {
	t.rows, t.entries, t.causes = append(t.rows, p), append(t.entries, e), append(t.causes, cause)
	return len(t.rows) - 1
}

// made prepares a row that the ledger makes.
func (t *lawful) made(h *history, cause *entry, r madeRow) (*prepared, error) {
	e := &Event{
		ID: madeID(h, cause, r), Source: ReservedSource, Stream: h.stream, Seqn: r.bears.seqn, HasSeqn: true, Type: r.bears.typ,
		Account: r.owner.account, OccurredAt: r.bears.occurredAt, Currency: r.bears.currency, Kind: r.kind,
	}
	e.setDeltas(r.values)
	var err error
	if e.Dimensions, err = joined(r.bears.dimensions, r.owner.dimensions); err != nil {
		return nil, err
	}
	// What doesn't fit a column that was declared since stays where the older event has it; what is private since is left out.
	parts, _ := t.b.by.layout.split(e.Dimensions, nil)
	if parts.private != nil {
		e.Dimensions, parts.private = parts.public, nil
	}
	p := &prepared{input: -1, public: e, eventKey: EventKey(e.Source, e.ID), digest: sha256.Sum256(AppendCanonical(nil, e))}
	p.tuple = t.b.encode(stored{Event: e, parts: parts, caused: true}, t.w.l.zone)
	return p, nil
}

// record draws positions and copies the rows.
func (t *lawful) record(ctx context.Context, tx pgx.Tx) error {
	if len(t.rows) == 0 {
		return nil
	}
	positions, at, err := drawToWrite(ctx, tx, t.b, len(t.rows))
	if err != nil {
		return err
	}
	for i, p := range t.rows {
		if e := t.entries[i]; e != nil {
			e.position, e.recordedAt = positions[i], at
		}
		if cause := t.causes[i]; cause >= 0 {
			binary.BigEndian.PutUint64(p.tuple.of(t.b.tuples)[causedByOffset:], uint64(positions[cause]))
		}
	}
	if _, err := pg.CopyIn(ctx, tx, sqlCopyKeys, encodeKeys(t.rows, positions, at)); err != nil {
		return err
	}
	t.positions = positions
	return copyRows(ctx, tx, t.b, t.rows, positions, at)
}

// foreign are the conflicts of events whose currency isn't that of their stream.
func (t *lawful) foreign() (conflicts []conflict) {
	for p, other := range t.others {
		conflicts = append(conflicts, conflict{
			p: p, event: p.public, reason: reasonCurrency, existing: taken{position: other.position, recordedAt: other.recordedAt},
		})
	}
	return conflicts
}

// tell sets the outcomes of what was recorded and of what can't be.
func (t *lawful) tell() {
	for i, p := range t.rows {
		if t.causes[i] < 0 {
			t.b.Outcomes[p.input] = Outcome{Status: Recorded, Position: t.positions[i]}
		}
	}
	for p, bad := range t.rejected {
		t.b.Outcomes[p.input] = Outcome{Status: Rejected, Err: bad}
	}
}

// entry is an event that is about to be recorded as the law sees it.
func (l *layout) entry(e *Event) *entry {
	n := &entry{
		id: e.ID, seqn: e.Seqn, typ: e.Type, currency: e.Currency, occurredAt: e.OccurredAt,
		owner: owner{account: e.Account}, states: e.State != nil, values: e.State,
	}
	if !n.states {
		n.values = e.deltas()
	}
	n.owner.dimensions, n.dimensions = l.ownership(e.Dimensions)
	return n
}
