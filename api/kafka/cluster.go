package kafka

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"
	kafkago "github.com/segmentio/kafka-go"
)

// topicState is what the cluster says of a topic.
type topicState struct {
	id      uuid.UUID
	leaders map[int32]string // of each partition: its broker's address, or "" while it has none
	err     error            // why nothing is known of it, such as kafkago.UnknownTopicOrPartition
}

// describe asks the cluster for topics.
func (l *link) describe(ctx context.Context, brokers, topics []string) (map[string]topicState, error) {
	var problems []error
	for _, address := range brokers {
		b, err := l.connect(ctx, address)
		if err == nil {
			var found map[string]topicState
			found, err = b.describe(ctx, topics)
			b.close()
			if err == nil {
				return found, nil
			}
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		problems = append(problems, err)
	}
	return nil, fmt.Errorf("ask Kafka for topics: %w", errors.Join(problems...))
}

const describePatience = 15 * time.Second

func (b *broker) describe(ctx context.Context, topics []string) (map[string]topicState, error) {
	var body builder
	body.count(len(topics))
	for _, t := range topics {
		body.uuid(uuid.Nil)
		body.string(t)
		body.tags()
	}
	body.int8(0) // don't create them
	body.int8(0) // without authorised operations
	body.tags()
	answer, err := b.ask(ctx, keyMetadata, versionMetadata, true, body, describePatience)
	if err != nil {
		return nil, err
	}
	f := &frame{b: answer}
	f.int32() // throttle
	addresses := map[int32]string{}
	f.array(func() {
		id, host, port := f.int32(), f.string(), f.int32()
		f.bytes() // rack
		f.tags()
		addresses[id] = net.JoinHostPort(host, strconv.Itoa(int(port)))
	})
	f.bytes() // cluster id
	f.int32() // controller
	found := map[string]topicState{}
	f.array(func() {
		name, t := readTopic(f, addresses)
		found[name] = t
	})
	for _, name := range topics {
		if _, ok := found[name]; !ok && f.err == nil {
			f.err = errFrame
		}
	}
	return found, f.err
}

func readTopic(f *frame, addresses map[int32]string) (name string, t topicState) {
	t.leaders = map[int32]string{}
	code := f.int16()
	name, t.id = f.string(), f.uuid()
	f.int8() // internal
	f.array(func() {
		f.int16() // a fault of the partition shows in its leader
		partition, leader := f.int32(), f.int32()
		f.int32() // leader epoch
		for range 3 {
			f.array(func() { f.int32() }) // replicas, those in sync, those offline
		}
		f.tags()
		t.leaders[partition] = addresses[leader]
	})
	f.int32() // authorised operations
	f.tags()
	if code != 0 {
		t.err = kafkago.Error(code)
	}
	return name, t
}

// partitions are the numbers of a topic's partitions, in order.
func (t topicState) partitions() []int32 {
	var all []int32
	for p := range t.leaders {
		all = append(all, p)
	}
	slices.Sort(all)
	return all
}
