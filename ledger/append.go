package ledger

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"deltaledger/ledger/pg"
)

// MaxBatch is how many events one transaction of Append holds at most. More are written in several.
const MaxBatch = 10_000

// MaxAtomic is how many events an atomic request may hold.
const MaxAtomic = 1_000_000

// Append records events, each exactly once for ever, and says for each what became of it, in the
// order given. When it returns without error, every outcome is durable. Events that break a rule,
// were recorded before, or collide with recorded ones don't stop the others. An error means that the
// database failed: some events may be recorded; sending all of them again is safe.
//
// Append takes the events over: it puts them in canonical form.
func (l *Ledger) Append(ctx context.Context, events []Event) ([]Outcome, error) {
	outcomes := make([]Outcome, 0, len(events))
	for part := range slices.Chunk(events, MaxBatch) {
		b, err := l.Prepare(ctx, part)
		if err != nil {
			return nil, err
		}
		if err := l.Write(ctx, b); err != nil {
			return nil, err
		}
		outcomes = append(outcomes, b.Outcomes...)
	}
	return outcomes, nil
}

// Write records a prepared batch and sets its outcomes: in one transaction, or in a few where a large batch
// holds events of sources that send states.
func (l *Ledger) Write(ctx context.Context, b *Batch) error {
	w := writer{l: l, run: func(f func(pgx.Tx) error) error { return l.inTx(ctx, f) }}
	if err := w.writeAll(ctx, b); err != nil {
		return fmt.Errorf("record events: %w", err)
	}
	return nil
}

// writeAll writes b, which is prepared again if something was declared meanwhile.
func (w *writer) writeAll(ctx context.Context, b *Batch) error {
	for {
		if err := w.l.awaitDeclared(ctx, b); err != nil {
			return err
		}
		err := w.write(ctx, b, b.all())
		if !errors.Is(err, errDeclared) {
			return err
		}
		if err := w.l.prepareAgain(ctx, b); err != nil {
			return err
		}
	}
}

const sqlMakePartitions = `SELECT ledger.create_partitions()`

// inTx runs f in a transaction, which has a partition to write to.
func (l *Ledger) inTx(ctx context.Context, f func(pgx.Tx) error) error {
	return l.withPartitions(ctx, func() error { return pg.InTx(ctx, l.pool, f) })
}

// withPartitions runs write. If the month has no partition, because nobody made one for a year, it makes
// the partitions and runs write again: an event is never at fault for that.
func (l *Ledger) withPartitions(ctx context.Context, write func() error) error {
	err := write()
	if !pg.IsMissingPartition(err) {
		return err
	}
	if _, err := l.pool.Exec(ctx, sqlMakePartitions); err != nil {
		return fmt.Errorf("make the partitions of the coming months: %w", err)
	}
	if err = write(); pg.IsMissingPartition(err) {
		return fmt.Errorf("the clock of the database server is far from that of its newest events: %w", err)
	}
	return err
}

// ErrAtomic says that an atomic request was rolled back because of events in it. It wraps ErrInvalid.
var ErrAtomic = fmt.Errorf("nothing was recorded, because the request is atomic and not all of its events can be recorded: %w", ErrInvalid)

// AppendAtomic records all of the events, in one transaction, or none. Events that were recorded
// before don't fail it. If one is invalid or in conflict, the error is ErrAtomic and the outcomes say
// which; the good ones are Refused. Conflicts are kept all the same.
func (l *Ledger) AppendAtomic(ctx context.Context, events []Event) ([]Outcome, error) {
	if len(events) > MaxAtomic {
		return nil, invalidf("events", "", "an atomic request must have at most %d events, not %d", MaxAtomic, len(events))
	}
	var batches []*Batch
	for part := range slices.Chunk(events, MaxBatch) {
		b, err := l.Prepare(ctx, part)
		if err != nil {
			return nil, err
		}
		batches = append(batches, b)
	}
	err := l.WriteAtomic(ctx, batches)
	if err != nil && !errors.Is(err, ErrAtomic) {
		return nil, err
	}
	outcomes := make([]Outcome, 0, len(events))
	for _, b := range batches {
		outcomes = append(outcomes, b.Outcomes...)
	}
	return outcomes, err
}

// WriteAtomic is AppendAtomic for prepared batches, at most MaxAtomic events together: it sets their outcomes.
func (l *Ledger) WriteAtomic(ctx context.Context, batches []*Batch) error {
	err := l.writeAtomic(ctx, batches)
	for errors.Is(err, errDeclared) {
		for _, b := range batches {
			b.forget()
			if err := l.prepareAgain(ctx, b); err != nil {
				return err
			}
		}
		err = l.writeAtomic(ctx, batches)
	}
	return err
}

func (l *Ledger) writeAtomic(ctx context.Context, batches []*Batch) error {
	var items []*prepared
	for _, b := range batches {
		if err := l.awaitDeclared(ctx, b); err != nil {
			return fmt.Errorf("record events: %w", err)
		}
		items = append(items, b.all()...)
	}
	var conflicts []conflict
	err := l.inTx(ctx, func(tx pgx.Tx) error {
		conflicts = nil
		// All stripes first: a batch that locked more of them after another would deadlock with others.
		if err := lockStripes(ctx, tx, stripes(items)); err != nil {
			return err
		}
		for _, b := range batches {
			w := writer{l: l, atomic: true, whole: true, run: func(f func(pgx.Tx) error) error { return pg.InSavepoint(ctx, tx, f) }}
			if err := w.write(ctx, b, b.all()); err != nil {
				return err
			}
			conflicts = append(conflicts, w.conflicts...)
		}
		for _, b := range batches {
			if !b.whole() {
				return ErrAtomic
			}
		}
		return nil
	})
	if err != nil && !errors.Is(err, ErrAtomic) {
		return fmt.Errorf("record events: %w", err)
	}
	if err != nil {
		conflicts = keepable(batches, conflicts)
		for _, b := range batches {
			b.refuse()
		}
	}
	if len(conflicts) > 0 {
		e := pg.InTx(ctx, l.pool, func(tx pgx.Tx) error {
			if err := keepAsDeclared(ctx, tx, batches...); err != nil {
				return err
			}
			return insertConflicts(ctx, tx, conflicts)
		})
		if e != nil {
			return e
		}
	}
	return err
}

// keepable leaves out of conflicts those with events of the same request: what they collided with was
// rolled back, so that nothing is recorded that they could be held against. Their outcomes say so.
func keepable(batches []*Batch, conflicts []conflict) []conflict {
	undone := map[int64]bool{}
	for _, b := range batches {
		for _, o := range b.Outcomes {
			if o.Status == Recorded {
				undone[o.Position] = true
			}
		}
	}
	for _, b := range batches {
		for i, o := range b.Outcomes {
			if o.Status != Conflict || !undone[o.Position] {
				continue
			}
			rule := fmt.Sprintf("stands in the request before, with other content: %v", o.Differs)
			switch o.Err.Field {
			case "seqn":
				rule = "is the place of an event of the request before this one"
			case "currency":
				rule = "is another one than that of an event of the same stream before this one in the request"
			}
			b.Outcomes[i] = Outcome{Status: Conflict, Differs: o.Differs, Err: Invalid(o.Err.Field, o.Err.Value, rule)}
		}
	}
	return slices.DeleteFunc(conflicts, func(c conflict) bool { return undone[c.existing.position] })
}

// whole reports that every event of the batch is in the ledger.
func (b *Batch) whole() bool {
	return !slices.ContainsFunc(b.Outcomes, func(o Outcome) bool { return o.Status != Recorded && o.Status != Duplicate })
}

// refuse takes back what was rolled back.
func (b *Batch) refuse() {
	for i, o := range b.Outcomes {
		if o.Status == Recorded || o.Status == Duplicate {
			b.Outcomes[i] = Outcome{Status: Refused}
		}
	}
}

func (b *Batch) all() []*prepared {
	all := make([]*prepared, len(b.items))
	for i := range b.items {
		all[i] = &b.items[i]
	}
	return all
}

// writer writes one batch. run runs a function in a transaction, or in a savepoint of an atomic one.
type writer struct {
	l         *Ledger
	run       func(func(pgx.Tx) error) error
	atomic    bool          // all or none; conflicts are kept apart
	whole     bool          // in one transaction, which may be run again from its beginning; so is what is atomic
	small     bool          // few events, to be recorded in one statement
	lockWait  time.Duration // of the small way: how long it waits for others that write the same keys
	conflicts []conflict    // of an atomic request: to be kept in a transaction of their own
}

// carefulBatches is how many batches go the careful way after one met keys that were taken: repeated
// deliveries come in runs.
const carefulBatches = 8

// write records items and sets the outcomes of b.
func (w *writer) write(ctx context.Context, b *Batch, items []*prepared) error {
	for len(items) > 0 {
		unique, repeats := firsts(items)
		for _, part := range w.parts(unique) {
			err := w.writeOnce(ctx, b, part)
			if pg.IsDataError(err) {
				err = w.bisect(ctx, b, part, err)
			}
			if err != nil {
				return err
			}
		}
		var err error
		if items, err = w.settle(ctx, b, repeats); err != nil {
			return err
		}
	}
	return w.settleDoubts(ctx, b)
}

// writeOnce writes items, of which no two have a key in common, the fast way, or else the careful way.
func (w *writer) writeOnce(ctx context.Context, b *Batch, items []*prepared) error {
	if len(items) == 0 {
		return nil
	}
	if slices.ContainsFunc(items, func(p *prepared) bool { return p.lawful }) {
		taken, err := w.writeLawful(ctx, b, items)
		w.count(taken, err)
		return err
	}
	if w.small && len(items) <= maxSmall && !slices.ContainsFunc(items, (*prepared).flagged) {
		return w.writeSmall(ctx, b, items)
	}
	if w.l.careful.Load() <= 0 {
		err := w.writeFast(ctx, b, items)
		if !pg.IsUniqueViolation(err) {
			return err
		}
		w.l.careful.Store(carefulBatches)
	}
	taken, err := w.writeCareful(ctx, b, items)
	w.count(taken, err)
	return err
}

// count counts a batch that met so many keys that were taken.
func (w *writer) count(taken int, err error) {
	if taken > 0 {
		w.l.careful.Store(carefulBatches)
	} else if err == nil && w.l.careful.Load() > 0 {
		w.l.careful.Add(-1)
	}
}

// writeFast copies keys and events and expects none of the keys to be taken.
func (w *writer) writeFast(ctx context.Context, b *Batch, items []*prepared) error {
	var positions []int64
	err := w.run(func(tx pgx.Tx) error {
		var at time.Time
		var err error
		if positions, at, err = drawToWrite(ctx, tx, b, len(items)); err != nil {
			return err
		}
		keys := encodeKeys(items, positions, at)
		if _, err := pg.CopyIn(ctx, tx, sqlCopyKeys, keys); err != nil {
			return err
		}
		return copyRows(ctx, tx, b, items, positions, at)
	})
	if err != nil {
		return err
	}
	for i, p := range items {
		b.Outcomes[p.input] = Outcome{Status: Recorded, Position: positions[i]}
	}
	return nil
}

const sqlDraw = `
SELECT positions, recorded_at, declared, NULL
FROM ledger.draw($1)`

// A program that stops in the middle of a COPY is no idle session, and its connection lives: only a
// limit for the statement lets watermarks go on. Ours take seconds; a limit of the operator's stays.
const sqlDrawToWrite = `
SELECT positions, recorded_at, declared, CASE current_setting('statement_timeout') WHEN '0' THEN set_config('statement_timeout', '2min', true) END
FROM ledger.draw($1)`

// drawn are positions, and what came with them.
type drawn struct {
	positions  []int64
	recordedAt time.Time
	declared   int64 // how many declarations are in force
}

// draw gets n positions and the time of recording. From here to the end of the transaction
// watermarks wait for us: nothing may wait for a client any more.
func draw(ctx context.Context, tx pgx.Tx, sql string, n int) (d drawn, err error) {
	err = tx.QueryRow(ctx, sql, n).Scan(&d.positions, &d.recordedAt, &d.declared, nil)
	if err == nil && len(d.positions) != n {
		err = fmt.Errorf("drew %d positions instead of %d: %w", len(d.positions), n, ErrCorrupt)
	}
	return d, err
}

// errDeclared says that something was declared after a batch was prepared: it must be prepared again.
var errDeclared = errors.New("something was declared meanwhile")

// drawToWrite draws positions for n events of b. The error is errDeclared if b was prepared by fewer
// declarations than are in force.
func drawToWrite(ctx context.Context, tx pgx.Tx, b *Batch, n int) (positions []int64, recordedAt time.Time, err error) {
	d, err := draw(ctx, tx, sqlDrawToWrite, n)
	if err == nil && d.declared != b.by.n {
		err = errDeclared
	}
	return d.positions, d.recordedAt, err
}

// DrawTx draws n positions for facts of the packages above, as their transaction's last step before
// it inserts them.
func DrawTx(ctx context.Context, tx pgx.Tx, n int) (positions []int64, recordedAt time.Time, err error) {
	d, err := draw(ctx, tx, sqlDraw, n)
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("draw positions: %w", err)
	}
	return d.positions, d.recordedAt, nil
}

// encodeKeys encodes the key rows of items in the order of insertion.
func encodeKeys(items []*prepared, positions []int64, at time.Time) []byte {
	type numbered struct {
		*prepared
		position int64
	}
	sorted := make([]numbered, len(items))
	for i, p := range items {
		sorted[i] = numbered{p, positions[i]}
	}
	slices.SortFunc(sorted, func(a, b numbered) int { return order(a.prepared, b.prepared) })
	d := make([]byte, 0, 124*len(items))
	for _, s := range sorted {
		d = appendKeyTuple(d, s.prepared, s.position, at)
	}
	return d
}

// copyRows copies the events and private rows of items, which have the positions given.
func copyRows(ctx context.Context, tx pgx.Tx, b *Batch, items []*prepared, positions []int64, at time.Time) error {
	events, private := make([][]byte, len(items)), [][]byte(nil)
	for i, p := range items {
		events[i] = p.tuple.of(b.tuples)
		patch(events[i], positions[i], at)
		if p.row.to > p.row.from {
			row := p.row.of(b.private)
			patch(row, positions[i], at)
			private = append(private, row)
		}
	}
	if _, err := pg.CopyIn(ctx, tx, b.by.layout.sqlCopy, events...); err != nil {
		return err
	}
	if err := insertFlags(ctx, tx, items, positions, at); err != nil {
		return err
	}
	if len(private) == 0 {
		return nil
	}
	_, err := pg.CopyIn(ctx, tx, sqlCopyPrivate, private...)
	return err
}

// bisect writes the halves of items, which the database refused as a whole because of a value in
// them, until the bad one stands alone. cause is what the database said.
func (w *writer) bisect(ctx context.Context, b *Batch, items []*prepared, cause error) error {
	if len(items) == 1 {
		bad := items[0].input
		b.Outcomes[bad] = Outcome{Status: Rejected, Err: Invalid("event", b.events[bad].ID, "the database can't store it: "+pg.Message(cause))}
		return nil
	}
	half := len(items) / 2
	for _, part := range [][]*prepared{items[:half], items[half:]} {
		err := w.writeOnce(ctx, b, part)
		if pg.IsDataError(err) {
			err = w.bisect(ctx, b, part, err)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
