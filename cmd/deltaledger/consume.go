package main

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"deltaledger/api/kafka"
)

type consumeCmd struct {
	Start   consumeRunCmd     `cmd:"" name:"run" default:"withargs" help:"Record the messages of topics until a signal comes (what consume does without a further word)."`
	Offsets consumeOffsetsCmd `cmd:"" help:"List how far the topics are recorded."`
	Reset   consumeResetCmd   `cmd:"" help:"Let a topic be recorded from another place on, also while it is."`
}

type consumeRunCmd struct {
	kafkaReading
	Listen string `env:"DELTALEDGER_KAFKA_LISTEN" placeholder:"HOST:PORT" help:"Answer /metrics, /healthz and /readyz on this address; without it nothing listens."`
}

// Help is shown below the command's flags.
func (consumeRunCmd) Help() string {
	return `Events and the offset behind their message are recorded in one transaction, so nothing is lost and nothing recorded twice, whatever is killed. Several of these commands with the same group share the partitions. A message that can't be recorded is set aside with the reason, and the others go on; a database or a broker that is away is waited for.

  deltaledger consume --brokers kafka-1:9092,kafka-2:9092 --topics orders,refunds
  deltaledger consume offsets
  deltaledger consume reset --brokers kafka-1:9092 --topic orders --to-time 2026-01-31T00:00:00Z`
}

// Run records until ctx ends.
func (c *consumeRunCmd) Run(ctx context.Context, s *session) error {
	return withApp(ctx, s, func(a *app) error {
		registry := newRegistry()
		consumer, err := c.consumer(s, a, registry)
		if err != nil {
			return err
		}
		jobs, err := startJobs(ctx, serviceJobs(a, s.log), s.log)
		if err != nil {
			return err
		}
		defer jobs.stop()
		s.warn("recording %s as group %s", strings.Join(trimmed(c.Topics), ", "), c.Group)
		if c.Listen == "" {
			return consumer.Run(ctx)
		}
		return serveBeside(ctx, s, c.Listen, consumerPages(consumer, registry), consumer.Run)
	})
}

// consumerPages are what a consumer answers.
func consumerPages(consumer *kafka.Consumer, registry *prometheus.Registry) http.Handler {
	return probes(registry, func(context.Context) []string { return consumer.Unready() })
}

type consumeOffsetsCmd struct{}

// Run lists what is stored.
func (consumeOffsetsCmd) Run(ctx context.Context, s *session) error {
	return withApp(ctx, s, func(a *app) error {
		list, err := kafka.Offsets(ctx, a.ledger)
		if err != nil {
			return err
		}
		t := table{columns: []column{text("group"), text("topic"), number("partition"), number("offset"), text("topic_id"), text("updated_at")}}
		for _, o := range list {
			t.add(o.Group, o.Topic, strconv.Itoa(int(o.Partition)), strconv.FormatInt(o.Offset, 10), o.TopicID.String(), stamp(o.UpdatedAt))
		}
		return s.show(orNone(list), t)
	})
}

type consumeResetCmd struct {
	kafkaCluster
	groupFlag
	Topic     string     `required:"" placeholder:"TOPIC" help:"Topic whose offsets are set."`
	Partition []int32    `placeholder:"N,…" help:"Partitions; without it all."`
	ToOffset  *int64     `xor:"to" placeholder:"N" help:"The offset to go on from."`
	ToTime    *time.Time `xor:"to" placeholder:"TIME" help:"Go on from the first message that isn't older than this, such as 2026-01-31T00:00:00Z."`
	To        string     `xor:"to" placeholder:"PLACE" help:"oldest: from the oldest message that is still there; newest: leave out what is there."`
}

// Help is shown below the command's flags.
func (consumeResetCmd) Help() string {
	return `Messages that are read again record nothing twice: their events are duplicates. Messages that are left out are not recorded. Consumers that are running notice within seconds. It is also how a topic that was deleted and made anew, or lost messages, is read again.`
}

// Run sets offsets and shows where they were.
func (c *consumeResetCmd) Run(ctx context.Context, s *session) error {
	if c.ToOffset == nil && c.ToTime == nil && c.To == "" {
		return usagef("say where to go on: --to-offset N, --to-time TIME, --to oldest or --to newest")
	}
	security, err := c.security()
	if err != nil {
		return err
	}
	return withApp(ctx, s, func(a *app) error {
		moves, err := kafka.Reset(ctx, a.ledger, kafka.ResetOptions{
			Brokers: trimmed(c.Brokers), Security: security, Group: c.Group, Topic: c.Topic, Partitions: c.Partition,
			To: kafka.Target{Offset: c.ToOffset, Time: c.ToTime, Place: kafka.Start(c.To)},
		})
		if err != nil {
			return err
		}
		t := table{columns: []column{text("topic"), number("partition"), number("from"), number("to"), number("end")}}
		for _, m := range moves {
			from := ""
			if m.From != nil {
				from = strconv.FormatInt(*m.From, 10)
			}
			t.add(m.Topic, strconv.Itoa(int(m.Partition)), from, strconv.FormatInt(m.To, 10), strconv.FormatInt(m.End, 10))
		}
		return s.show(orNone(moves), t)
	})
}
