package main

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"deltaledger/api/kafka"
	"deltaledger/ledger"
)

// kafkaWriting says what is published to Kafka, for publish and serve alike.
type kafkaWriting struct {
	kafkaCluster
	Topic string   `env:"DELTALEDGER_PUBLISH_TOPIC" placeholder:"TOPIC" help:"Topic to write to; it must be there."`
	Name  string   `env:"DELTALEDGER_PUBLISH_NAME" default:"deltaledger" placeholder:"NAME" help:"Name under which the ledger keeps how far was published; one publisher of a name is at work at a time (${default})."`
	Kinds []string `env:"DELTALEDGER_PUBLISH_KINDS" placeholder:"KIND,…" help:"Kinds of facts, such as event,invoice,seal; without it all."`
}

// publisher makes the publisher that the flags describe. registry gets its metrics.
func (c kafkaWriting) publisher(s *session, a *app, from int64, once bool, registry prometheus.Registerer) (*kafka.Publisher, error) {
	security, err := c.security()
	if err != nil {
		return nil, err
	}
	if security.Mechanism == "PLAIN" && !security.TLS {
		s.log.Warn("the password for Kafka goes over the network as it is: switch TLS on, or use SCRAM-SHA-512")
	}
	p, err := kafka.NewPublisher(a.ledger, a.pool, kafka.PublishConfig{
		Brokers: trimmed(c.Brokers), Security: security, Name: c.Name, Topic: c.Topic, Kinds: trimmed(c.Kinds),
		Facts: append(sealedFacts(), ledger.SealFacts()), From: from, Once: once, Log: s.log, Registry: registry,
	})
	return p, usage(err)
}

type publishCmd struct {
	kafkaWriting
	From   int64  `placeholder:"POSITION" help:"Begin with this position, whatever was published; 1 is everything. Needed too for another topic, other kinds, or to use partitions that a topic has got since."`
	Listen string `env:"DELTALEDGER_PUBLISH_LISTEN" placeholder:"HOST:PORT" help:"Answer /metrics, /healthz and /readyz on this address; without it nothing listens."`
	Once   bool   `help:"End when everything is published that is recorded now."`
}

// Help is shown below the command's flags.
func (publishCmd) Help() string {
	return `Writes recorded facts to a topic of Kafka: events, invoices and what becomes of them, findings, seals. Each arrives at least once, behind the watermark, those of an account in the order of their positions and in one partition. A message that comes again has a position that its reader has seen in that partition.

  deltaledger publish --brokers kafka-1:9092 --topic ledger
  deltaledger publish --brokers kafka-1:9092 --topic ledger --from 1 --once`
}

// Run publishes until ctx ends, or with Once until it is done.
func (c *publishCmd) Run(ctx context.Context, s *session) error {
	if s.given["from"] && c.From < 1 {
		return usagef("--from is %d, but must be a position of 1 or more", c.From)
	}
	return withApp(ctx, s, func(a *app) error {
		registry := newRegistry()
		p, err := c.publisher(s, a, c.From, c.Once, registry)
		if err != nil {
			return err
		}
		if c.Listen == "" {
			return p.Run(ctx)
		}
		return serveBeside(ctx, s, c.Listen, probes(registry, func(context.Context) []string { return p.Unready() }), p.Run)
	})
}

// serveWriting lets a service publish.
type serveWriting struct {
	Publish bool         `env:"DELTALEDGER_PUBLISH" help:"Write recorded facts to a topic of Kafka too, as publish does."`
	Writing kafkaWriting `embed:"" prefix:"publish-"`
}

// publishAgain is how long a service waits when its publisher can't go on until somebody does something.
const publishAgain = 30 * time.Second

// jobs are the publisher, if the service shall have one; registry gets its metrics. That it can't go on doesn't make the
// service unready: it records all the same.
func (c serveWriting) jobs(s *session, a *app, registry prometheus.Registerer) ([]job, error) {
	if !c.Publish {
		return nil, nil
	}
	p, err := c.Writing.publisher(s, a, 0, false, registry)
	if err != nil {
		return nil, err
	}
	return []job{{name: "publish to Kafka", every: publishAgain, later: true, do: p.Run}}, nil
}
