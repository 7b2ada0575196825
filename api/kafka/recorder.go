package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"deltaledger/ledger"
)

// part is what one transaction records of a partition.
type part struct {
	reader   *reader
	topicID  uuid.UUID
	from, to int64 // offsets: to is that of the next message
	items    []item
}

// load is what one transaction records.
type load struct {
	parts  []part
	events int
	bytes  int
	items  int
}

// record records what is read until ctx ends. Several run at a time; no two have messages of the same partition.
func (g *generation) record(ctx context.Context) {
	wait := newPatience()
	for {
		l := g.take(ctx)
		if l == nil {
			return
		}
		err := g.write(ctx, l)
		for err != nil && ctx.Err() == nil {
			g.explain(l, err)
			if !errors.Is(err, errMoved) && !wait.sleep(ctx) {
				break
			}
			if err = g.reload(ctx, l.readers()); err == nil {
				break
			}
		}
		if err == nil {
			wait.reset()
		}
		g.release(l)
	}
}

func (l *load) readers() []*reader {
	var all []*reader
	for _, p := range l.parts {
		all = append(all, p.reader)
	}
	return all
}

// explain logs why a load wasn't recorded.
func (g *generation) explain(l *load, err error) {
	switch {
	case errors.Is(err, errMoved):
		g.c.metrics.moved.Inc()
		g.c.log.Warn("an offset was moved by somebody else; reading from there", "group", g.c.config.Group, "topic", l.parts[0].reader.topic)
	default:
		g.c.metrics.errors.WithLabelValues("record").Inc()
		g.c.log.Error("messages can't be recorded; trying again", "messages", l.items, "error", err)
	}
}

// take waits for enough messages, or for any that have waited long enough, and takes them; nil when ctx ends.
func (g *generation) take(ctx context.Context) *load {
	g.mu.Lock()
	defer g.mu.Unlock()
	for ctx.Err() == nil {
		events, bytes, oldest := 0, 0, time.Time{}
		for _, r := range g.readers {
			if !r.idle() {
				continue
			}
			if oldest.IsZero() || r.since.Before(oldest) {
				oldest = r.since
			}
			events, bytes = events+len(r.queue), bytes+r.bytes
		}
		if !oldest.IsZero() {
			left := g.c.config.MaxWait - time.Since(oldest)
			if events >= g.c.config.MaxEvents || bytes >= g.c.config.MaxBytes || left <= 0 {
				return g.fill()
			}
			g.wakeIn(left)
		}
		g.changed.Wait()
	}
	return nil
}

// idle reports that something of r waits and none is under way. The mutex is held.
func (r *reader) idle() bool { return !r.busy && r.next > r.stored }

// fill takes from the readers, beginning behind the one that was last, as much as one transaction holds.
func (g *generation) fill() *load {
	l := &load{}
	for range g.readers {
		r := g.readers[g.turn%len(g.readers)]
		g.turn++
		if !r.idle() {
			continue
		}
		p := part{reader: r, topicID: r.topicID, from: r.stored, to: r.next}
		n := 0
		for ; n < len(r.queue); n++ {
			it := &r.queue[n]
			if l.items > 0 && (l.events+len(it.events) > g.c.config.MaxEvents || l.bytes+it.bytes > g.c.config.MaxBytes) {
				p.to = it.message.Offset
				break
			}
			l.items++
			l.events += len(it.events)
			l.bytes += it.bytes
		}
		if p.to == p.from { // full before the first of its messages
			break
		}
		p.items = r.queue[:n:n]
		r.busy = true
		l.parts = append(l.parts, p)
		if l.events >= g.c.config.MaxEvents || l.bytes >= g.c.config.MaxBytes {
			break
		}
	}
	return l
}

// settleTime is how long a transaction may go on when the partitions are taken away, or the program ends.
const settleTime = 15 * time.Second

// write records a load: events, dead letters and offsets, or nothing.
func (g *generation) write(ctx context.Context, l *load) error {
	ctx, cancel := outlive(ctx, settleTime)
	defer cancel()
	began := time.Now()
	events := make([]ledger.Event, 0, l.events)
	for _, p := range l.parts {
		for i := range p.items {
			events = append(events, p.items[i].events...)
		}
	}
	b, err := g.c.ledger.Prepare(ctx, events)
	if err != nil {
		return err
	}
	var letters []deadLetter
	err = g.c.ledger.WriteAlong(ctx, b, ledger.Along{
		First: func(ctx context.Context, tx pgx.Tx) error { return move(ctx, tx, g.c.config.Group, l.parts) },
		Last: func(ctx context.Context, tx pgx.Tx, outcomes []ledger.Outcome) error {
			letters = l.deadLetters(events, outcomes)
			return bury(ctx, tx, letters)
		},
	})
	if err != nil {
		return err
	}
	g.c.metrics.settled(l, b.Outcomes, letters, time.Since(began))
	for _, d := range letters {
		g.c.log.Warn("a message can't be recorded and is a dead letter", "topic", d.message.Topic, "partition", d.message.Partition,
			"offset", d.message.Offset, "reason", storable(d.reason))
	}
	g.settle(l)
	return nil
}

// outlive is ctx, which ends only some time after it has.
func outlive(ctx context.Context, by time.Duration) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	end := fmt.Errorf("not done %v after the partitions were given up: %w", by, context.Canceled)
	stop := context.AfterFunc(ctx, func() {
		timer := time.AfterFunc(by, func() { cancel(end) })
		context.AfterFunc(longer, func() { timer.Stop() })
	})
	return longer, func() { stop(); cancel(nil) }
}

// deadLetters are the messages of l of which an event, or nothing at all, could be recorded.
func (l *load) deadLetters(events []ledger.Event, outcomes []ledger.Outcome) []deadLetter {
	var letters []deadLetter
	at := 0
	for _, p := range l.parts {
		for i := range p.items {
			it := &p.items[i]
			d := deadLetter{message: &it.message, topicID: p.topicID}
			if it.fault != nil {
				d.reason = ledger.Message(it.fault)
			}
			for range it.events {
				if reason := reasonOf(&events[at], outcomes[at]); reason != "" && d.reason == "" {
					d.reason, d.event = reason, &events[at]
				}
				d.withheld = d.withheld || outcomes[at].Withheld
				at++
			}
			if d.reason != "" {
				letters = append(letters, d)
			}
		}
	}
	return letters
}

// settle notes that a load is recorded.
func (g *generation) settle(l *load) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, p := range l.parts {
		r := p.reader
		if r.stored != p.from { // sent elsewhere meanwhile, which the database would have refused
			continue
		}
		r.stored = p.to
		for i := range p.items {
			r.bytes -= p.items[i].bytes
		}
		clear(r.queue[:len(p.items)])
		if r.queue = r.queue[len(p.items):]; len(r.queue) == 0 {
			r.queue = nil
		}
		if n := len(p.items); n > 0 {
			r.recorded = p.items[n-1].message.Time
		}
		r.since = time.Now()
	}
}

// release lets others record the partitions of a load.
func (g *generation) release(l *load) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, p := range l.parts {
		p.reader.busy = false
	}
	g.changed.Broadcast()
}
