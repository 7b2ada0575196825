package kafka

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	kafkago "github.com/segmentio/kafka-go"

	"deltaledger/ledger"
)

// reader reads one partition for as long as it is this consumer's. All but slot and limit are under the mutex of its
// generation.
type reader struct {
	slot
	limit int // bytes of messages that may wait

	topicID uuid.UUID
	stored  int64 // where the database is: the offset of the next message to record
	next    int64 // of the next message to fetch
	turn    int   // how often the reader was sent elsewhere: what was fetched before doesn't count any more

	queue []item    // fetched and decoded, from stored on
	bytes int       // of the queue
	since time.Time // when the queue ceased to be empty, or had only offsets to move
	busy  bool      // a transaction with messages of this partition is under way

	end       int64     // the offset behind the last message of the partition, -1 if it isn't known
	recorded  time.Time // when the newest recorded message was sent
	committed int64     // what the group was told
	halted    error     // why nothing is read until an operator or the topic helps
}

// item is a message with what was made of it.
type item struct {
	message Message
	events  []ledger.Event
	fault   error // why it is a dead letter
	bytes   int
}

const (
	maxFetch   = 8 << 20 // bytes asked for at a time
	eventBytes = 1 << 10 // about what an event takes in memory besides the bytes of its message
)

// Error codes of brokers that the client library has no names for.
const (
	unknownTopicID      = kafkago.Error(100)
	inconsistentTopicID = kafkago.Error(103)
)

// read fetches r until ctx ends.
func (g *generation) read(ctx context.Context, r *reader) {
	var b *broker
	defer func() {
		if b != nil {
			b.close()
		}
	}()
	wait := newPatience()
	for {
		p, turn, ok := g.room(ctx, r)
		if !ok {
			return
		}
		err := func() (err error) {
			if b == nil {
				if b, err = g.leader(ctx, r.slot); err != nil {
					return err
				}
			}
			return g.readOnce(ctx, b, r, p, turn)
		}()
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			wait.reset()
			continue
		}
		if b != nil {
			b.close()
			b = nil
		}
		g.trouble(ctx, r, p, err)
		if !wait.sleep(ctx) {
			return
		}
	}
}

// readOnce fetches once and puts what came into the queue.
func (g *generation) readOnce(ctx context.Context, b *broker, r *reader, p place, turn int) error {
	got, err := b.fetch(ctx, p, int32(min(maxFetch, r.limit)))
	if err != nil {
		return err
	}
	messages, next, err := readCommitted(nil, r.topic, r.partition, got.records, got.aborted, p.offset)
	if err != nil {
		return err
	}
	items, err := g.decode(ctx, r, messages)
	if err != nil {
		return err
	}
	g.enqueue(r, turn, items, next, got.end)
	return nil
}

// decode makes events of messages. What can't be decoded now is tried again until it can, or until ctx ends.
func (g *generation) decode(ctx context.Context, r *reader, messages []Message) ([]item, error) {
	if len(messages) == 0 {
		return nil, nil
	}
	err := g.insist(ctx, r, &messages[0], func() error { return g.c.measures.refresh(ctx) })
	if err != nil {
		return nil, err
	}
	items := make([]item, len(messages))
	events := make([]ledger.Event, 0, len(messages))
	for i := range messages {
		it, from := &items[i], len(events)
		it.message = messages[i]
		err := g.insist(ctx, r, &it.message, func() error {
			decoded, err := g.c.decode(ctx, &it.message, events)
			if errors.Is(err, ledger.ErrInvalid) {
				it.fault, err = err, nil
			}
			if err == nil {
				events = decoded
			}
			return err
		})
		if err != nil {
			return nil, err
		}
		it.events = events[from:len(events):len(events)]
		it.bytes = len(it.message.Key) + len(it.message.Value) + eventBytes*max(1, len(it.events))
	}
	return items, nil
}

// insist does what must be done before a message can be recorded, until it succeeds or ctx ends.
func (g *generation) insist(ctx context.Context, r *reader, m *Message, do func() error) error {
	for wait := newPatience(); ; {
		err := do()
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		g.c.log.Warn("a message can't be decoded now; trying again", "topic", r.topic, "partition", r.partition, "offset", m.Offset, "error", err)
		g.c.metrics.errors.WithLabelValues("decode").Inc()
		if !wait.sleep(ctx) {
			return context.Cause(ctx)
		}
	}
}

// room waits until there is room for more of r and says what to fetch; false when ctx ends.
func (g *generation) room(ctx context.Context, r *reader) (place, int, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for ctx.Err() == nil && r.bytes >= r.limit {
		g.changed.Wait()
	}
	return place{topic: r.topic, topicID: r.topicID, partition: r.partition, offset: r.next}, r.turn, ctx.Err() == nil
}

// enqueue puts what was fetched behind what waits.
func (g *generation) enqueue(r *reader, turn int, items []item, next, end int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if turn != r.turn {
		return
	}
	if r.halted != nil {
		g.c.log.Info("a partition is read again", "topic", r.topic, "partition", r.partition, "offset", r.next)
		r.halted = nil
	}
	r.end = end
	if next > r.next && r.next == r.stored && len(r.queue) == 0 {
		r.since = time.Now()
	}
	if len(items) > 0 && len(r.queue) == 0 {
		r.since = time.Now()
	}
	r.queue = append(r.queue, items...)
	for i := range items {
		r.bytes += items[i].bytes
	}
	if next > r.next {
		r.next = next
		g.changed.Broadcast()
	}
}

// trouble finds out what an error of fetching means.
func (g *generation) trouble(ctx context.Context, r *reader, p place, err error) {
	switch {
	case errors.Is(err, kafkago.OffsetOutOfRange):
		err = g.outOfRange(ctx, p)
	case errors.Is(err, unknownTopicID), errors.Is(err, inconsistentTopicID), errors.Is(err, kafkago.UnknownTopicOrPartition):
		err = g.otherTopic(ctx, p, err)
	case errors.Is(err, kafkago.NotLeaderForPartition), errors.Is(err, kafkago.LeaderNotAvailable):
		return // as after any restart of a broker
	}
	if ctx.Err() != nil {
		return
	}
	g.c.metrics.errors.WithLabelValues("fetch").Inc()
	halt := (*haltError)(nil)
	if !errors.As(err, &halt) {
		g.c.log.Warn("a partition can't be read; trying again", "topic", p.topic, "partition", p.partition, "offset", p.offset, "error", err)
		return
	}
	g.mu.Lock()
	if r.halted == nil || r.halted.Error() != err.Error() {
		g.c.log.Error("a partition is not read any more", "topic", p.topic, "partition", p.partition, "offset", p.offset, "error", err)
	}
	r.halted = err
	g.mu.Unlock()
	// Somebody may have reset it meanwhile.
	if err := g.look(ctx, []*reader{r}); err != nil {
		g.c.log.Warn("a stored offset can't be read; trying again", "topic", p.topic, "partition", p.partition, "error", err)
	}
}

// haltError is why a partition isn't read until somebody does something.
type haltError struct{ text string }

func (e *haltError) Error() string { return e.text }

const resetHint = "see what became of them, and then let it go on with `deltaledger consume reset`"

// outOfRange says why there is no message at an offset.
func (g *generation) outOfRange(ctx context.Context, p place) error {
	first, last, err := g.c.bounds(ctx, p.slot())
	if err != nil {
		return err
	}
	switch {
	case p.offset < first:
		return &haltError{fmt.Sprintf("partition %d of topic %s is to be read from offset %d on, but begins at %d: %d offsets were deleted before they were recorded; %s",
			p.partition, p.topic, p.offset, first, first-p.offset, resetHint)}
	case p.offset > last:
		return &haltError{fmt.Sprintf("partition %d of topic %s is to be read from offset %d on, but ends at %d: messages that are recorded are not in Kafka any more, so that new ones got their offsets; %s",
			p.partition, p.topic, p.offset, last, resetHint)}
	}
	return fmt.Errorf("offset %d of partition %d of topic %s is there, but isn't given: %w", p.offset, p.partition, p.topic, kafkago.OffsetOutOfRange)
}

// otherTopic says what became of a topic whose id no broker knows.
func (g *generation) otherTopic(ctx context.Context, p place, cause error) error {
	topics, err := g.c.link.describe(ctx, g.c.config.Brokers, []string{p.topic})
	if err != nil {
		return err
	}
	t := topics[p.topic]
	switch {
	case errors.Is(t.err, kafkago.UnknownTopicOrPartition):
		return &haltError{fmt.Sprintf("topic %s was deleted; offset %d of its partition %d was to come next", p.topic, p.offset, p.partition)}
	case t.err != nil:
		return t.err
	case t.id != p.topicID:
		return &haltError{fmt.Sprintf("topic %s was deleted and made anew (it was %s and is %s), so that offset %d of its partition %d means another message now; %s",
			p.topic, p.topicID, t.id, p.offset, p.partition, resetHint)}
	}
	return cause
}

func (p place) slot() slot { return slot{p.topic, p.partition} }

// leader connects to the broker that leads a partition.
func (g *generation) leader(ctx context.Context, s slot) (*broker, error) {
	topics, err := g.c.link.describe(ctx, g.c.config.Brokers, []string{s.topic})
	if err != nil {
		return nil, err
	}
	t := topics[s.topic]
	address := t.leaders[s.partition]
	switch {
	case t.err != nil:
		return nil, t.err
	case address == "":
		return nil, kafkago.LeaderNotAvailable
	}
	return g.c.link.connect(ctx, address)
}
