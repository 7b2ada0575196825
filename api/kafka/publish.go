package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	kafkago "github.com/segmentio/kafka-go"

	"deltaledger/ledger"
)

// PublishConfig is what NewPublisher needs. Brokers, Name and Topic must be given.
type PublishConfig struct {
	Brokers  []string // host:port of some of the cluster's brokers
	Security Security
	Name     string // under which is stored how far it came; of publishers with one name one is at work
	Topic    string
	Kinds    []string           // of facts to publish; none: all
	Facts    []ledger.FactTable // that there are besides events
	// From is the position to begin with, whatever is stored: what is published already is published again. 0: where the
	// last publisher of this name ended, or the ledger's first fact.
	From int64
	// Once ends Run when everything is published that was recorded before it began.
	Once bool

	Poll     time.Duration         // how often is looked for new facts and, while another publisher is at work, for its end; 0: 200 milliseconds
	Log      *slog.Logger          // nil: nothing is logged
	Registry prometheus.Registerer // gets the metrics; nil: nobody
}

func (c PublishConfig) settled() (PublishConfig, error) {
	problems := []error{c.Security.Check()}
	wrong := func(field, value, rule string) { problems = append(problems, ledger.Invalid(field, value, rule)) }
	if len(c.Brokers) == 0 || slices.Contains(c.Brokers, "") {
		wrong("brokers", "", "must be host:port of at least one broker")
	}
	if c.Name == "" {
		wrong("name", "", "must be the name of a publisher")
	}
	if c.Topic == "" {
		wrong("topic", "", "must be the name of a topic")
	}
	if c.From < 0 {
		wrong("from", fmt.Sprint(c.From), "must be a position of 1 or more")
	}
	c.Kinds = slices.Compact(slices.Sorted(slices.Values(c.Kinds)))
	c.Poll = either(c.Poll, 200*time.Millisecond)
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c, errors.Join(problems...)
}

// errHalted says that a publisher can't go on until somebody does something.
var errHalted = errors.New("nothing is published until that is settled")

// Publisher writes the facts of a ledger to a topic. Make one with NewPublisher.
type Publisher struct {
	config    PublishConfig
	ledger    *ledger.Ledger
	pool      *pgxpool.Pool
	feed      *ledger.Feed
	link      *link
	client    *kafkago.Client
	transport *kafkago.Transport
	log       *slog.Logger
	metrics   *publishMetrics

	mu     sync.Mutex
	status PublisherStatus
}

// NewPublisher makes a publisher of what is recorded in l. Nothing is connected before Run. pool is l's.
func NewPublisher(l *ledger.Ledger, pool *pgxpool.Pool, c PublishConfig) (*Publisher, error) {
	if l == nil || pool == nil {
		return nil, errors.New("kafka.NewPublisher needs a ledger and its pool")
	}
	c, err := c.settled()
	if err != nil {
		return nil, err
	}
	p := &Publisher{config: c, ledger: l, pool: pool, log: c.Log.With("publisher", c.Name)}
	if p.feed, err = ledger.NewFeed(l, c.Kinds, c.Facts...); err != nil {
		return nil, err
	}
	if p.link, err = newLink(c.Security); err != nil {
		return nil, err
	}
	p.client, p.transport = p.link.client(c.Brokers)
	p.transport.MetadataTTL = time.Second // after which a new leader is known
	p.metrics, err = newPublishMetrics(p, c.Registry)
	return p, err
}

// Run publishes until ctx ends, or with Once until it is done. While another publisher of its name is at work it waits
// for the end of that one. Troubles of Kafka and of the database are waited out; what is an error needs somebody to act.
func (p *Publisher) Run(ctx context.Context) error {
	defer p.transport.CloseIdleConnections()
	if p.config.From > 0 {
		if err := p.rewind(ctx); err != nil {
			return err
		}
	}
	for wait := newPatience(); ; {
		err := p.work(ctx, wait)
		p.note(func(s *PublisherStatus) { s.Active, s.Problem = false, err })
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil, errors.Is(err, errHalted), errors.Is(err, ledger.ErrInvalid):
			return err
		case errors.Is(err, errMoved):
			p.log.Info("the stored position was moved by somebody else; going on from there")
		default:
			p.log.Warn("publishing failed; trying again", "error", err)
			p.metrics.errors.WithLabelValues("database").Inc()
		}
		if !wait.sleep(ctx) {
			return nil
		}
	}
}

// work publishes for the time for which this publisher is the one at work. Without an error everything is published that Once
// asks for.
func (p *Publisher) work(ctx context.Context, wait *patience) error {
	s, err := p.claim(ctx)
	if err != nil {
		return err
	}
	defer s.release()
	p.note(func(now *PublisherStatus) { now.Active, now.Problem, now.Position = true, nil, s.position })
	p.log.Info("publishing", "topic", p.config.Topic, "after", s.position, "partitions", s.partitions)
	wait.reset()
	end := int64(-1)
	if p.config.Once {
		w, err := p.ledger.ShareWatermark(ctx)
		if err != nil {
			return err
		}
		end = w.Position
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	batches := make(chan stretch)
	var reading sync.WaitGroup
	defer reading.Wait()
	defer cancel(nil)
	reading.Go(func() {
		defer close(batches)
		if err := p.read(ctx, s.position, end, batches); err != nil {
			cancel(err)
		}
	})
	for {
		select {
		case b, more := <-batches:
			if !more {
				return context.Cause(ctx) // nil: all that was asked for
			}
			if err := p.publish(ctx, s, b); err != nil {
				return err
			}
		case <-time.After(holdEvery):
			if err := s.check(ctx); err != nil {
				return err
			}
		}
	}
}

// holdEvery is how often an idle publisher sees to it that it is still the one at work, and that nobody moved it.
const holdEvery = time.Second

// stretch is a range of positions with its facts.
type stretch struct {
	after, through int64
	facts          []ledger.Fact
}

// read reads what is decided, one stretch ahead of what is being published. It ends at the position end, unless that is
// negative.
func (p *Publisher) read(ctx context.Context, at, end int64, to chan<- stretch) error {
	for {
		w, err := p.ledger.Current(ctx)
		if err != nil {
			return err
		}
		p.note(func(s *PublisherStatus) { s.see(w) })
		through := w.Position
		if end >= 0 {
			if at >= end {
				return nil
			}
			through = min(through, end)
		}
		if at >= through {
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-time.After(p.config.Poll):
			}
			continue
		}
		s := stretch{after: at}
		if s.facts, s.through, err = p.feed.Read(ctx, at, through); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case to <- s:
		}
		at = s.through
	}
}

// publish writes a stretch to the topic, and then stores that it is there.
func (p *Publisher) publish(ctx context.Context, s *shift, b stretch) error {
	began := time.Now()
	if err := p.send(ctx, s, b.facts); err != nil {
		return err
	}
	if err := s.move(ctx, b.after, b.through); err != nil {
		return err
	}
	p.metrics.published(b.facts, time.Since(began))
	p.note(func(now *PublisherStatus) { now.reach(b.through) })
	return nil
}
