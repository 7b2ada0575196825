package kafka

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	kafkago "github.com/segmentio/kafka-go"

	"deltaledger/ledger"
)

// Headers of published messages.
const (
	headerContentType = "content-type" // application/json
	headerKind        = "kind"         // of the fact
	headerPosition    = "position"     // of the fact, as a decimal number
)

const (
	// requestBytes bounds the messages of a request: brokers take about a million bytes unless they are told otherwise.
	requestBytes = 900_000
	// messageBytes is about what a message takes besides its key and value.
	messageBytes = 96
	// requestTime is how long a request may take before it is tried again.
	requestTime = 30 * time.Second
)

// partitionOf is where the facts of an account go: where the standard client of Kafka puts messages with the account as
// key. Facts of no account have no key, and go where their kind would.
func partitionOf(f *ledger.Fact, partitions int) int {
	key := f.Account
	if key == "" {
		key = f.Kind
	}
	return int(murmur2([]byte(key))&0x7fffffff) % partitions
}

// murmur2 is the hash by which Kafka's clients spread keys over partitions.
func murmur2(data []byte) uint32 {
	const seed, m = 0x9747b28c, 0x5bd1e995
	h := seed ^ uint32(len(data))
	for ; len(data) >= 4; data = data[4:] {
		k := (uint32(data[0]) | uint32(data[1])<<8 | uint32(data[2])<<16 | uint32(data[3])<<24) * m
		k ^= k >> 24
		h = h*m ^ k*m
	}
	switch len(data) {
	case 3:
		h ^= uint32(data[2]) << 16
		fallthrough
	case 2:
		h ^= uint32(data[1]) << 8
		fallthrough
	case 1:
		h = (h ^ uint32(data[0])) * m
	}
	h = (h ^ h>>13) * m
	return h ^ h>>15
}

// send writes facts to the topic and returns when all of them are there. The partitions are written side by side; in
// each one request follows the other, so that a fact is only sent when those before it are there. What is sent again
// because no answer came may be there twice.
func (p *Publisher) send(ctx context.Context, s *shift, facts []ledger.Fact) error {
	spread := make([][]*ledger.Fact, s.partitions)
	for i := range facts {
		n := partitionOf(&facts[i], s.partitions)
		spread[n] = append(spread[n], &facts[i])
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var sending sync.WaitGroup
	for partition, some := range spread {
		if len(some) == 0 {
			continue
		}
		sending.Go(func() {
			if err := p.sendTo(ctx, s, partition, some); err != nil {
				cancel(err)
			}
		})
	}
	sending.Wait()
	return context.Cause(ctx)
}

// sendTo writes facts to a partition, in their order.
func (p *Publisher) sendTo(ctx context.Context, s *shift, partition int, facts []*ledger.Fact) error {
	for len(facts) > 0 {
		var messages []message
		for size := 0; len(messages) < len(facts); {
			m := p.message(facts[len(messages)])
			if size += len(m.value) + len(m.key) + messageBytes; size > requestBytes && len(messages) > 0 {
				break
			}
			messages = append(messages, m)
		}
		if err := p.insist(ctx, s, partition, messages, facts[0].Position); err != nil {
			return err
		}
		facts = facts[len(messages):]
	}
	return nil
}

// message is a fact as it is sent.
type message struct {
	key, value []byte
	headers    []kafkago.Header
}

func (p *Publisher) message(f *ledger.Fact) message {
	m := message{value: envelope(p.ledger.Settings().ID, f), headers: []kafkago.Header{
		{Key: headerContentType, Value: []byte("application/json")},
		{Key: headerKind, Value: []byte(f.Kind)},
		{Key: headerPosition, Value: strconv.AppendInt(nil, f.Position, 10)},
	}}
	if f.Account != "" {
		m.key = []byte(f.Account)
	}
	return m
}

// insist writes messages until the partition has them, however long that takes.
func (p *Publisher) insist(ctx context.Context, s *shift, partition int, messages []message, first int64) error {
	for wait, told := newPatience(), false; ; {
		err := p.produce(ctx, partition, messages)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, kafkago.MessageSizeTooLarge), errors.Is(err, kafkago.RecordListTooLarge):
			return fmt.Errorf("topic %s refuses messages from position %d on as too large; it must have max.message.bytes of 1048588, the usual, or more: %w: %w",
				p.config.Topic, first, err, errHalted)
		}
		p.metrics.errors.WithLabelValues("kafka").Inc()
		p.note(func(now *PublisherStatus) { now.Problem = err })
		if !told {
			told = true
			p.log.Warn("Kafka doesn't take messages; trying again", "partition", partition, "position", first, "error", err)
		}
		if !wait.sleep(ctx) {
			return context.Cause(ctx)
		}
		if id, _, err := p.topic(ctx); err == nil && id != s.topicID {
			return errMoved // that the topic was made anew is said when it is begun with
		}
	}
}

// produce writes messages to a partition, with the acknowledgement of every replica that is in sync.
func (p *Publisher) produce(ctx context.Context, partition int, messages []message) error {
	ctx, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	records := make([]kafkago.Record, len(messages)) // made for each try: a request uses them up
	for i, m := range messages {
		records[i] = kafkago.Record{Key: kafkago.NewBytes(m.key), Value: kafkago.NewBytes(m.value), Headers: m.headers}
	}
	answer, err := p.client.Produce(ctx, &kafkago.ProduceRequest{
		Topic: p.config.Topic, Partition: partition, RequiredAcks: kafkago.RequireAll, Records: kafkago.NewRecordReader(records...),
	})
	if err != nil {
		return err
	}
	if answer.Error != nil {
		return answer.Error
	}
	p.note(func(now *PublisherStatus) { now.Problem = nil })
	return nil
}
