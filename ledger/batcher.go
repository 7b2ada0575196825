package ledger

import (
	"container/list"
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"deltaledger/ledger/pg"
)

// MaxTogether is how many events a request may have to be recorded together with others. A larger one
// gains nothing from company.
const MaxTogether = 1000

// BatcherConfig bounds what a Batcher holds. The zero value is usable.
type BatcherConfig struct {
	// Committers is how many transactions are under way at once at most; of requests with events of
	// sources that send states as many again. There is one, unless it takes longer than Overdue, or
	// many requests wait: more of them only make the groups smaller. 0: 3.
	Committers int
	// Overdue is how long a group may take before another one is begun beside it: on a slow disk several
	// have to be under way. 0: 4 milliseconds.
	Overdue time.Duration
	// MaxEvents is how many events may wait or be under way. 0: 20,000.
	MaxEvents int
	// MaxBytes is how many encoded bytes may wait or be under way. 0: 64 MiB.
	MaxBytes int
	// Timeout is how long a group may take before it is given up with an error. 0: 30 seconds.
	Timeout time.Duration
	// LockWait is how long a group, and then each of its requests on its own, waits for somebody else who
	// is writing the same event. It is given in whole milliseconds. 0: 250 milliseconds.
	LockWait time.Duration
	// Now is the clock that waiting times are measured with. Nil: the system's.
	Now func() time.Time
}

// ErrFull says that as many events wait as may. It wraps ErrBusy.
var ErrFull = fmt.Errorf("more events are waiting to be recorded than the server holds; none of this request was recorded: %w", ErrBusy)

// ErrStopping says that the service ends. It wraps ErrBusy.
var ErrStopping = fmt.Errorf("the server stops; nothing of this request was recorded: %w", ErrBusy)

// errLocked says that somebody else was writing an event of the request for longer than it waited.
var errLocked = fmt.Errorf("an event of this request is being recorded by somebody else at the moment: %w", ErrBusy)

// Batcher records the events of small requests together: what is queued while the last group is being
// committed goes into the next one, so that many callers share the price of a commit and one caller alone
// waits for nobody. Make one with NewBatcher; it is safe for concurrent use.
type Batcher struct {
	l *Ledger
	c BatcherConfig

	mu      sync.Mutex
	lanes   [lanes]lane
	events  int // of requests that wait or are under way
	bytes   int // of the same
	closed  bool
	stats   batcherCounts
	abandon context.CancelFunc // ends the groups that are under way
	base    context.Context    // theirs
	running sync.WaitGroup     // the committers
}

// Requests with events of sources that send states have a lane of their own: they wait for the locks of
// their streams, for which others needn't wait with them.
const (
	plain = iota
	lawfully
	lanes
)

// lane is a queue with its committers.
type lane struct {
	queue   list.List   // of *waiting, oldest first
	wake    sync.Cond   // signalled when a committer may have something to do
	busy    int         // groups under way
	newest  int         // requests of the newest of them
	overdue bool        // the newest of them takes long
	timer   *time.Timer // sets overdue
}

// enough is how many requests, if they are also as many as those under way, make a group of their own: it
// uses the processors while the other one waits for the disk. Smaller groups would cost more than that gains.
const enough = 32

// may reports that a committer may begin a group.
func (l *lane) may() bool {
	waiting := l.queue.Len()
	return waiting > 0 && (l.busy == 0 || l.overdue || l.busy == 1 && waiting >= max(enough, l.newest))
}

// waiting is a request that waits for its outcomes.
type waiting struct {
	batch *Batch
	since time.Time
	lane  *lane
	place *list.Element // nil once a group has it, or its caller left
	done  chan error    // gets one value, and has room for it: the caller may have left
}

func (w *waiting) events() int { return len(w.batch.events) }

// bytes is about what the request holds in memory: its rows, and the events that they were made from, of which not all have
// rows yet.
func (w *waiting) bytes() int {
	const event = 1 << 10
	n := len(w.batch.tuples) + len(w.batch.private) + event*len(w.batch.events)
	for i := range w.batch.events {
		n += len(w.batch.events[i].Payload) + len(w.batch.events[i].Dimensions)
	}
	return n
}

// NewBatcher starts a batcher of l. Close it.
func NewBatcher(l *Ledger, c BatcherConfig) *Batcher {
	if c.Committers <= 0 {
		c.Committers = 3
	}
	if c.Overdue <= 0 {
		c.Overdue = 4 * time.Millisecond
	}
	if c.MaxEvents <= 0 {
		c.MaxEvents = 20_000
	}
	if c.MaxBytes <= 0 {
		c.MaxBytes = 64 << 20
	}
	if c.Timeout <= 0 {
		c.Timeout = 30 * time.Second
	}
	if c.LockWait <= 0 {
		c.LockWait = 250 * time.Millisecond
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	b := &Batcher{l: l, c: c}
	b.base, b.abandon = context.WithCancel(context.Background())
	for i := range b.lanes {
		l := &b.lanes[i]
		l.wake.L = &b.mu
		l.timer = time.AfterFunc(c.Overdue, func() { b.late(l) })
		l.timer.Stop()
		for range c.Committers {
			b.running.Go(func() { b.commitAll(l) })
		}
	}
	return b
}

// Append is Ledger.Append, in the company of other small requests. Each event has the outcome that it
// would have alone. If ctx ends while the request is queued, nothing of it is recorded; if it ends later,
// the error is the same, but the events may be recorded: sending them again is safe. ErrFull and
// ErrStopping say that nothing was recorded. A request of more than MaxTogether events goes alone.
func (b *Batcher) Append(ctx context.Context, events []Event) ([]Outcome, error) {
	if len(events) > MaxTogether {
		return b.l.Append(ctx, events)
	}
	batch, err := b.l.Prepare(ctx, events)
	if err != nil {
		return nil, err
	}
	if len(batch.items)+len(batch.doubts) == 0 {
		return batch.Outcomes, nil
	}
	w := &waiting{batch: batch, lane: &b.lanes[plain], since: b.c.Now(), done: make(chan error, 1)}
	if batch.lawful() {
		w.lane = &b.lanes[lawfully]
	}
	if err := b.enqueue(w); err != nil {
		return nil, err
	}
	select {
	case err = <-w.done:
	case <-ctx.Done():
		if b.leave(w) {
			return nil, context.Cause(ctx)
		}
		select {
		case err = <-w.done: // settled at the same moment
		default:
			return nil, context.Cause(ctx)
		}
	}
	if err != nil {
		return nil, err
	}
	return batch.Outcomes, nil
}

func (b *Batcher) enqueue(w *waiting) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.closed:
		b.stats.refused++
		return ErrStopping
	case b.events > 0 && (b.events+w.events() > b.c.MaxEvents || b.bytes+w.bytes() > b.c.MaxBytes):
		b.stats.refused++
		return ErrFull
	}
	b.events += w.events()
	b.bytes += w.bytes()
	w.place = w.lane.queue.PushBack(w)
	if w.lane.may() {
		w.lane.wake.Signal()
	}
	return nil
}

// late lets another group of a lane begin, because the one before takes long.
func (b *Batcher) late(l *lane) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if l.overdue = l.busy > 0; l.may() {
		l.wake.Signal()
	}
}

// leave takes a request out of the queue; false if a group has it already.
func (b *Batcher) leave(w *waiting) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stats.abandoned++
	if w.place == nil {
		return false
	}
	w.dequeue()
	b.events -= w.events()
	b.bytes -= w.bytes()
	return true
}

func (w *waiting) dequeue() {
	w.lane.queue.Remove(w.place)
	w.place = nil
}

// Close lets the queue run empty and returns when all that was accepted has its outcome, or with an error
// when ctx ends: what is left then is given up, and its callers get errors. Later requests get ErrStopping.
func (b *Batcher) Close(ctx context.Context) error {
	b.mu.Lock()
	b.closed = true
	for i := range b.lanes {
		b.lanes[i].wake.Broadcast()
	}
	b.mu.Unlock()
	stop := context.AfterFunc(ctx, b.abandon)
	b.running.Wait()
	b.abandon()
	if !stop() {
		return fmt.Errorf("record what is queued: %w", context.Cause(ctx))
	}
	return nil
}

// commitAll is a committer: it commits groups until the batcher is closed and its queue is empty.
func (b *Batcher) commitAll(from *lane) {
	for {
		group := b.take(from)
		if group == nil {
			return
		}
		b.commit(group)
		b.done(from)
	}
}

// done notes that a group has ended.
func (b *Batcher) done(l *lane) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if l.busy--; l.busy == 0 {
		l.overdue = false
		l.timer.Stop()
	}
	if l.may() {
		l.wake.Signal()
	}
	if b.closed && l.queue.Len() == 0 {
		l.wake.Broadcast()
	}
}

// take waits for requests and takes as many as one transaction holds; nil if there will be none.
func (b *Batcher) take(from *lane) []*waiting {
	b.mu.Lock()
	defer b.mu.Unlock()
	for !from.may() {
		if b.closed && from.queue.Len() == 0 {
			return nil
		}
		from.wake.Wait()
	}
	from.busy++
	from.overdue = false
	from.timer.Reset(b.c.Overdue)
	var group []*waiting
	now, events := b.c.Now(), 0
	for e := from.queue.Front(); e != nil; e = from.queue.Front() {
		w, ok := e.Value.(*waiting)
		if !ok || events > 0 && events+w.events() > MaxTogether {
			break
		}
		w.dequeue()
		group = append(group, w)
		events += w.events()
		b.stats.waited(now.Sub(w.since))
	}
	from.newest = len(group)
	b.stats.grouped(len(group), events)
	return group
}

// commit records a group and tells each caller, under a context that no caller ends.
func (b *Batcher) commit(group []*waiting) {
	ctx, cancel := context.WithTimeout(b.base, b.c.Timeout)
	defer cancel()
	all := group[0].batch
	var err error
	if len(group) > 1 {
		all, err = b.merge(ctx, group)
	}
	if err == nil {
		err = b.write(ctx, all)
	}
	if err != nil {
		all.doubtConflicts()
	}
	at := 0
	for _, w := range group {
		n := w.events()
		if w.batch != all {
			copy(w.batch.Outcomes, all.Outcomes[at:at+n])
		}
		at += n
		alone := err
		if err != nil && len(group) > 1 {
			alone = b.commitAlone(ctx, w, err)
		}
		b.settle(w, alone)
	}
}

// commitAlone records a request whose group failed, if that may have been the fault of another one.
func (b *Batcher) commitAlone(ctx context.Context, w *waiting, cause error) error {
	before := slices.Clone(w.batch.Outcomes)
	if w.batch.settled() {
		return nil
	}
	if pg.IsUnavailable(cause) || ctx.Err() != nil {
		return cause
	}
	b.count(func(s *batcherCounts) { s.alone++ })
	if err := b.write(ctx, w.batch); err != nil {
		return err
	}
	for i, o := range before {
		if o.Status == Recorded { // by the group, which failed later: this time it looked like a duplicate
			w.batch.Outcomes[i] = o
		}
	}
	return nil
}

// As sqlWriteSmall does for itself.
const sqlLockWait = `SELECT set_config('lock_timeout', $1, true)`

// write writes a batch. Also what isn't recorded in one statement waits no longer for others than LockWait says, a few
// times; but events of sources that send states wait for the others of their streams.
func (b *Batcher) write(ctx context.Context, batch *Batch) error {
	run := func(f func(pgx.Tx) error) error {
		return b.l.inTx(ctx, func(tx pgx.Tx) error {
			if !batch.lawful() {
				if _, err := tx.Exec(ctx, sqlLockWait, strconv.FormatInt(b.c.LockWait.Milliseconds(), 10)); err != nil {
					return err
				}
			}
			return f(tx)
		})
	}
	w := writer{l: b.l, run: run, small: true, lockWait: b.c.LockWait}
	err := w.writeAll(ctx, batch)
	switch {
	case err == nil:
		return nil
	case pg.IsLocked(err):
		return errLocked
	}
	return fmt.Errorf("record events: %w", err)
}

// settle gives a request its end.
func (b *Batcher) settle(w *waiting, err error) {
	b.mu.Lock()
	b.events -= w.events()
	b.bytes -= w.bytes()
	if err != nil {
		b.stats.failed++
	}
	b.mu.Unlock()
	w.done <- err
}

func (b *Batcher) count(f func(*batcherCounts)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f(&b.stats)
}

// doubtConflicts takes back that events are in conflict: the transaction that should have kept the conflicts
// may be the one that failed, and nobody may be told of one that isn't kept (invariant 3).
func (b *Batch) doubtConflicts() {
	for i, o := range b.Outcomes {
		if o.Status == Conflict {
			b.Outcomes[i] = Outcome{}
		}
	}
}

// settled reports that every event has an outcome, and none is in doubt.
func (b *Batch) settled() bool {
	return len(b.doubts) == 0 && !slices.ContainsFunc(b.Outcomes, func(o Outcome) bool { return o.Status == "" })
}

// merge makes one batch of those of a group, in their order. It shares nothing with them that is written to.
func (b *Batcher) merge(ctx context.Context, group []*waiting) (*Batch, error) {
	events, tuples, private, mixed := 0, 0, 0, false
	for _, w := range group {
		events, tuples, private = events+w.events(), tuples+len(w.batch.tuples), private+len(w.batch.private)
	}
	all := &Batch{
		by: group[0].batch.by, Outcomes: make([]Outcome, 0, events), events: make([]Event, 0, events), items: make([]prepared, 0, events),
		tuples: make([]byte, 0, tuples), private: make([]byte, 0, private),
	}
	for _, w := range group {
		for _, p := range w.batch.items {
			p.input += len(all.events)
			p.tuple = p.tuple.moved(len(all.tuples))
			p.row = p.row.moved(len(all.private))
			all.items = append(all.items, p)
		}
		for _, p := range w.batch.doubts {
			p.input += len(all.events)
			all.doubts = append(all.doubts, p)
		}
		all.Outcomes = append(all.Outcomes, w.batch.Outcomes...)
		all.events = append(all.events, w.batch.events...)
		all.tuples = append(all.tuples, w.batch.tuples...)
		all.private = append(all.private, w.batch.private...)
		mixed = mixed || w.batch.by != all.by
	}
	if mixed { // something was declared while they came
		return all, b.l.prepareAgain(ctx, all)
	}
	return all, nil
}

func (s span) moved(by int) span { return span{s.from + by, s.to + by} }
