package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	"deltaledger/ledger"
)

// Consumer records the messages of topics, together with the other consumers of its group. Make one with New.
type Consumer struct {
	config    Config
	ledger    *ledger.Ledger
	link      *link
	client    *kafkago.Client
	transport *kafkago.Transport
	log       *slog.Logger
	metrics   *metrics
	measures  *measures
	decode    Decode

	mu      sync.Mutex
	current *generation // nil while no partition is this consumer's
	joined  bool        // the group has this consumer
	problem error       // why the group can't be joined
}

// New makes a consumer that records into l. Nothing is connected before Run.
func New(l *ledger.Ledger, c Config) (*Consumer, error) {
	if l == nil {
		return nil, errors.New("kafka.New needs a ledger")
	}
	c, err := c.settled()
	if err != nil {
		return nil, err
	}
	made := &Consumer{config: c, ledger: l, log: c.Log, measures: &measures{l: l}}
	if made.decode, err = c.NewDecode(made.measures.declared); err != nil {
		return nil, err
	}
	if made.link, err = newLink(c.Security); err != nil {
		return nil, err
	}
	made.client, made.transport = made.link.client(c.Brokers)
	made.metrics, err = newMetrics(made, c.Registry)
	return made, err
}

// rebalanceTime is how long the group waits for its consumers when partitions are handed over: longer than a transaction
// that is under way may take.
const rebalanceTime = settleTime + 30*time.Second

// Run records until ctx ends, and then leaves the group when what is under way is recorded. Troubles of Kafka and of the
// database are waited out: only a configuration that can't work is an error. It may be called once.
func (c *Consumer) Run(ctx context.Context) error {
	defer c.transport.CloseIdleConnections()
	group, err := kafkago.NewConsumerGroup(kafkago.ConsumerGroupConfig{
		ID: c.config.Group, Brokers: c.config.Brokers, Dialer: c.link.dialer(), Topics: c.config.Topics,
		GroupBalancers:    []kafkago.GroupBalancer{kafkago.RoundRobinGroupBalancer{}, kafkago.RangeGroupBalancer{}},
		HeartbeatInterval: min(3*time.Second, c.config.SessionTimeout/5), SessionTimeout: c.config.SessionTimeout,
		RebalanceTimeout: rebalanceTime, JoinGroupBackoff: time.Second, Timeout: 10 * time.Second,
	})
	if err != nil {
		return fmt.Errorf("join consumer group %s: %w", c.config.Group, err)
	}
	var members sync.WaitGroup
	for {
		g, err := group.Next(ctx)
		switch {
		case ctx.Err() != nil:
			err := group.Close()
			members.Wait()
			return err
		case errors.Is(err, kafkago.RebalanceInProgress):
			continue
		case err != nil:
			c.lost(err)
			continue
		}
		members.Add(1)
		g.Start(func(over context.Context) {
			defer members.Done()
			c.serve(ctx, over, g)
		})
	}
}

// lost notes that the group can't be joined. The client library tries again.
func (c *Consumer) lost(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.problem == nil || c.problem.Error() != err.Error() {
		c.log.Warn("the consumer group can't be joined; trying again", "group", c.config.Group, "error", err)
	}
	c.joined, c.problem = false, err
	c.metrics.errors.WithLabelValues("group").Inc()
}

// serve is one generation: until the group gives the partitions anew, or ctx ends.
func (c *Consumer) serve(ctx, over context.Context, gen *kafkago.Generation) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(over, cancel)
	defer stop()
	var slots []slot
	for topic, partitions := range gen.Assignments {
		for _, p := range partitions {
			slots = append(slots, slot{topic, int32(p.ID)})
		}
	}
	slices.SortFunc(slots, slot.compare)
	g := newGeneration(c, slots)
	c.mu.Lock()
	c.current, c.joined, c.problem = g, true, nil
	c.mu.Unlock()
	c.metrics.rebalances.Inc()
	c.log.Info("partitions were given to this consumer", "group", c.config.Group, "generation", gen.ID, "member", gen.MemberID, "partitions", texts(slots))
	var watching sync.WaitGroup
	watching.Go(func() { c.watch(ctx, cancel) })
	g.run(ctx, gen.CommitOffsets)
	cancel()
	watching.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.current = nil
}

// watch ends a generation when a topic got partitions, or appeared: to join again is how they are given out.
func (c *Consumer) watch(ctx context.Context, end func()) {
	tick := time.NewTicker(c.config.LookEvery)
	defer tick.Stop()
	var before map[string]topicState
	for {
		now, err := c.link.describe(ctx, c.config.Brokers, c.config.Topics)
		if err == nil {
			for _, name := range c.config.Topics {
				if before == nil && now[name].err != nil {
					c.log.Warn("a topic can't be read", "topic", name, "error", now[name].err)
				}
				if before != nil && len(before[name].leaders) < len(now[name].leaders) {
					c.log.Info("a topic has more partitions", "topic", name, "partitions", len(now[name].leaders))
					end()
				}
			}
			before = now
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
