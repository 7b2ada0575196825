package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	kafkago "github.com/segmentio/kafka-go"
)

// generation is the time for which some partitions are this consumer's.
type generation struct {
	c       *Consumer
	readers []*reader

	mu      sync.Mutex
	changed sync.Cond // broadcast when there is something to record, room to read, or an end
	turn    int       // the reader that is taken from next
	timer   *time.Timer
	ends    time.Time // when timer fires; zero: it doesn't
}

// minBuffer is how many bytes every partition may hold in memory, however many there are.
const minBuffer = 1 << 20

func newGeneration(c *Consumer, slots []slot) *generation {
	g := &generation{c: c}
	g.changed.L = &g.mu
	limit := max(minBuffer, c.config.Buffer/max(1, len(slots)))
	for _, s := range slots {
		g.readers = append(g.readers, &reader{slot: s, limit: limit, end: -1, committed: -1})
	}
	return g
}

// run reads and records until ctx ends, and what is being recorded then is done. commit tells the group.
func (g *generation) run(ctx context.Context, commit func(map[string]map[int]int64) error) {
	stop := context.AfterFunc(ctx, func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.changed.Broadcast()
	})
	defer stop()
	for wait := newPatience(); ; {
		err := g.locate(ctx)
		if err == nil {
			break
		}
		if ctx.Err() == nil {
			g.c.metrics.errors.WithLabelValues("begin").Inc()
			g.c.log.Warn("it can't be found out where to begin; trying again", "group", g.c.config.Group, "error", err)
		}
		if !wait.sleep(ctx) {
			return
		}
	}
	var running sync.WaitGroup
	for _, r := range g.readers {
		running.Go(func() { g.read(ctx, r) })
	}
	for range g.c.config.Writers {
		running.Go(func() { g.record(ctx) })
	}
	tick := time.NewTicker(g.c.config.CommitEvery)
	defer tick.Stop()
	for ctx.Err() == nil {
		select {
		case <-tick.C:
			g.commit(commit)
			if err := g.look(ctx, g.readers); err != nil && ctx.Err() == nil {
				g.c.log.Warn("stored offsets can't be read; trying again", "group", g.c.config.Group, "error", err)
			}
		case <-ctx.Done():
		}
	}
	running.Wait()
	g.commit(commit)
}

// commit tells the group how far the partitions are recorded. It decides nothing: others see the lag by it.
func (g *generation) commit(tell func(map[string]map[int]int64) error) {
	offsets := map[string]map[int]int64{}
	g.mu.Lock()
	for _, r := range g.readers {
		if r.stored == r.committed {
			continue
		}
		if offsets[r.topic] == nil {
			offsets[r.topic] = map[int]int64{}
		}
		offsets[r.topic][int(r.partition)] = r.stored
	}
	g.mu.Unlock()
	if len(offsets) == 0 {
		return
	}
	if err := tell(offsets); err != nil {
		g.c.log.Info("the group can't be told how far this consumer is", "group", g.c.config.Group, "error", err)
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, r := range g.readers {
		if told, ok := offsets[r.topic][int(r.partition)]; ok {
			r.committed = told
		}
	}
}

// locate finds out where each partition goes on: where the database says, or, if that says nothing, where the
// configuration does, which is stored before the first message is read.
func (g *generation) locate(ctx context.Context) error {
	if len(g.readers) == 0 {
		return nil
	}
	slots := slotsOf(g.readers)
	stored, err := marks(ctx, g.c.ledger.Pool(), g.c.config.Group, slots)
	if err != nil {
		return err
	}
	if missing := slices.DeleteFunc(slots, func(s slot) bool { _, ok := stored[s]; return ok }); len(missing) > 0 {
		if err := g.c.beginAll(ctx, missing); err != nil {
			return err
		}
	}
	return g.reload(ctx, g.readers)
}

func slotsOf(readers []*reader) []slot {
	var all []slot
	for _, r := range readers {
		all = append(all, r.slot)
	}
	return all
}

// reload sends readers to what is stored, if they believe something else. Nobody else records their messages meanwhile.
func (g *generation) reload(ctx context.Context, readers []*reader) error {
	stored, err := marks(ctx, g.c.ledger.Pool(), g.c.config.Group, slotsOf(readers))
	if err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, r := range readers {
		m, found := stored[r.slot]
		if !found {
			return fmt.Errorf("nothing is stored of partition %d of topic %s any more", r.partition, r.topic)
		}
		g.send(r, m)
	}
	g.changed.Broadcast()
	return nil
}

// look sends readers to what is stored if somebody moved it while they had nothing to record.
func (g *generation) look(ctx context.Context, readers []*reader) error {
	believed := map[*reader]int64{}
	g.mu.Lock()
	for _, r := range readers {
		if !r.busy {
			believed[r] = r.stored
		}
	}
	g.mu.Unlock()
	stored, err := marks(ctx, g.c.ledger.Pool(), g.c.config.Group, slotsOf(readers))
	if err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, r := range readers {
		was, idle := believed[r]
		if m, found := stored[r.slot]; found && idle && !r.busy && r.stored == was {
			g.send(r, m)
		}
	}
	g.changed.Broadcast()
	return nil
}

// send lets r go on at m. What it had fetched is fetched again. The mutex is held.
func (g *generation) send(r *reader, m mark) {
	if m.offset == r.stored && m.topicID == r.topicID {
		return
	}
	if r.turn > 0 {
		g.c.log.Info("a partition goes on elsewhere", "topic", r.topic, "partition", r.partition, "believed", r.stored, "stored", m.offset)
	}
	r.turn++
	r.topicID, r.stored, r.next = m.topicID, m.offset, m.offset
	r.queue, r.bytes, r.end = nil, 0, -1
	r.halted = nil
}

// wakeIn wakes the recorders after d. The mutex is held.
func (g *generation) wakeIn(d time.Duration) {
	now := time.Now()
	if at := now.Add(d); g.ends.After(now) && !g.ends.After(at) {
		return // it wakes them before
	}
	g.ends = now.Add(d)
	if g.timer != nil {
		g.timer.Stop()
	}
	g.timer = time.AfterFunc(d, func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.ends = time.Time{}
		g.changed.Broadcast()
	})
}

// beginAll stores where partitions begin that were never read.
func (c *Consumer) beginAll(ctx context.Context, slots []slot) error {
	topics, err := c.link.describe(ctx, c.config.Brokers, c.config.Topics)
	if err != nil {
		return err
	}
	for _, s := range slots {
		t := topics[s.topic]
		if t.err != nil {
			return fmt.Errorf("topic %s: %w", s.topic, t.err)
		}
		first, last, err := c.bounds(ctx, s)
		if err != nil {
			return err
		}
		m := mark{topicID: t.id, offset: first}
		if c.config.Start == StartNewest {
			m.offset = last
		}
		if err := begin(ctx, c.ledger.Pool(), c.config.Group, s, m); err != nil {
			return err
		}
	}
	return nil
}

// bounds are the first offset of a partition and the one behind its last.
func (c *Consumer) bounds(ctx context.Context, s slot) (first, last int64, err error) {
	return bounds(ctx, c.client, s)
}

func bounds(ctx context.Context, client *kafkago.Client, s slot) (first, last int64, err error) {
	p := int(s.partition)
	res, err := client.ListOffsets(ctx, &kafkago.ListOffsetsRequest{
		Topics: map[string][]kafkago.OffsetRequest{s.topic: {kafkago.FirstOffsetOf(p), kafkago.LastOffsetOf(p)}},
	})
	if err != nil {
		return 0, 0, fmt.Errorf("ask where topic %s begins and ends: %w", s.topic, err)
	}
	for _, o := range res.Topics[s.topic] {
		if o.Partition == p {
			if o.Error != nil {
				return 0, 0, fmt.Errorf("ask where partition %d of topic %s begins and ends: %w", p, s.topic, o.Error)
			}
			return o.FirstOffset, o.LastOffset, nil
		}
	}
	return 0, 0, errors.New("Kafka gives no offsets of a partition: " + s.topic)
}
