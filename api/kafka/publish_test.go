package kafka_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"deltaledger/api/kafka"
	"deltaledger/api/kafka/kafkatest"
	"deltaledger/ledger"
	"deltaledger/migrations/pgtest"
)

// told is a message as it was found in a topic.
type told struct {
	Partition int32
	Key       []byte
	Headers   map[string]string
	Value     []byte
	Ledger    string          `json:"ledger"`
	Position  int64           `json:"position"`
	Kind      string          `json:"kind"`
	Account   string          `json:"account"`
	Data      json.RawMessage `json:"data"`
}

// topicOf reads all that is in a topic now.
func topicOf(t testing.TB, b *kafkatest.Broker, topic string) (all []told) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), long)
	defer cancel()
	ends, err := b.Admin(t).ListEndOffsets(ctx, topic)
	if err != nil {
		t.Fatal(err)
	}
	left := int64(0)
	from := map[int32]kgo.Offset{}
	for _, o := range ends.Offsets()[topic] {
		from[o.Partition] = kgo.NewOffset().AtStart()
		left += o.At
	}
	client := b.Client(t, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}))
	defer client.Close()
	for left > 0 {
		fetched := client.PollFetches(ctx)
		if err := fetched.Err(); err != nil {
			t.Fatal(err)
		}
		fetched.EachRecord(func(r *kgo.Record) {
			left--
			m := told{Partition: r.Partition, Key: r.Key, Value: r.Value, Headers: map[string]string{}}
			for _, h := range r.Headers {
				m.Headers[h.Key] = string(h.Value)
			}
			if err := json.Unmarshal(r.Value, &m); err != nil {
				t.Fatalf("%s: %v", r.Value, err)
			}
			all = append(all, m)
		})
	}
	return all
}

// whole fails unless a topic holds each of the positions, in order for the reader of a partition who drops what isn't
// above what it has seen, and the same account always in the same partition. It returns how many messages were repeats.
func whole(t testing.TB, all []told, positions []int64) (repeats int) {
	t.Helper()
	seen := map[int32]int64{}
	home := map[string]int32{}
	var found []int64
	for _, m := range all {
		if m.Headers["position"] != strconv.FormatInt(m.Position, 10) || m.Headers["kind"] != m.Kind || m.Headers["content-type"] != "application/json" {
			t.Fatalf("headers %v of %s", m.Headers, m.Value)
		}
		if string(m.Key) != m.Account || m.Account == "" && m.Key != nil {
			t.Fatalf("key %q of %s", m.Key, m.Value)
		}
		if at, known := home[m.Account]; known && at != m.Partition && m.Account != "" {
			t.Fatalf("account %s is in partitions %d and %d", m.Account, at, m.Partition)
		}
		home[m.Account] = m.Partition
		if m.Position <= seen[m.Partition] {
			repeats++
			continue
		}
		seen[m.Partition] = m.Position
		found = append(found, m.Position)
	}
	slices.Sort(found)
	if !slices.Equal(found, positions) {
		t.Fatalf("%d positions were published instead of %d", len(found), len(positions))
	}
	return repeats
}

// decided are the positions of all events.
func decided(t testing.TB, db *pgtest.DB) []int64 {
	t.Helper()
	return column[int64](t, db, `SELECT position FROM ledger.events ORDER BY position`)
}

// record records n events of some accounts.
func record(t testing.TB, l *ledger.Ledger, prefix string, n int) {
	t.Helper()
	price, err := ledger.ParseAmount("1.25")
	if err != nil {
		t.Fatal(err)
	}
	var events []ledger.Event
	for i := range n {
		id := fmt.Sprintf("%s-%d", prefix, i)
		events = append(events, ledger.Event{
			ID: id, Source: "shop", Stream: id, HasSeqn: true, Type: "order.placed", Account: fmt.Sprintf("account-%d", i%17),
			OccurredAt: time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC), Currency: "EUR", Amount: price,
		})
	}
	for some := range slices.Chunk(events, 5000) {
		outcomes, err := l.Append(context.Background(), some)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range outcomes {
			if o.Status != ledger.Recorded {
				t.Fatalf("%+v", o)
			}
		}
	}
}

// publishing is a publisher at work.
type publishing struct {
	*kafka.Publisher
	registry *prometheus.Registry
	stop     func() error // and wait for the end
}

func publishConfig(b *kafkatest.Broker, topic string) kafka.PublishConfig {
	return kafka.PublishConfig{Brokers: []string{b.Address}, Name: "out", Topic: topic, Poll: 20 * time.Millisecond, Log: logger()}
}

// publish runs a publisher until its stop is called, or the test ends.
func publish(t testing.TB, l *ledger.Ledger, db *pgtest.DB, c kafka.PublishConfig) *publishing {
	t.Helper()
	registry := prometheus.NewRegistry()
	c.Registry = registry
	p, err := kafka.NewPublisher(l, db.App, c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	stop := sync.OnceValue(func() error { cancel(); return <-done })
	t.Cleanup(func() { _ = stop() })
	return &publishing{p, registry, stop}
}

// once publishes what there is and ends.
func once(t testing.TB, l *ledger.Ledger, db *pgtest.DB, c kafka.PublishConfig) error {
	t.Helper()
	c.Once = true
	p, err := kafka.NewPublisher(l, db.App, c)
	if err != nil {
		return err
	}
	return p.Run(context.Background())
}

// TestPublish publishes what is recorded, before and while the publisher runs, and goes on where it ended.
func TestPublish(t *testing.T) {
	t.Parallel()
	b := kafkatest.Shared(t)
	l, db := open(t)
	topic := b.Topic(t, 3)
	record(t, l, "a", 12_000)
	c := publishConfig(b, topic)
	if err := once(t, l, db, c); err != nil {
		t.Fatal(err)
	}
	all := topicOf(t, b, topic)
	if n := whole(t, all, decided(t, db)); n > 0 {
		t.Errorf("%d repeats without any trouble", n)
	}
	p := publish(t, l, db, c)
	record(t, l, "b", 100)
	until(t, "what is recorded is published", func() bool { return len(topicOf(t, b, topic)) == 12_100 })
	if err := p.stop(); err != nil {
		t.Fatal(err)
	}
	whole(t, topicOf(t, b, topic), decided(t, db))
	var row ledger.Row
	page, err := l.List(t.Context(), ledger.ListQuery{Limit: 1, OldestFirst: true})
	if err != nil {
		t.Fatal(err)
	}
	first := all[slices.IndexFunc(all, func(m told) bool { return m.Position == page.Events[0].Position })]
	want, _ := json.Marshal(page.Events[0])
	if err := json.Unmarshal(first.Data, &row); err != nil || string(first.Data) != string(want) {
		t.Errorf("%s, %v, but the ledger lists %s", first.Data, err, want)
	}
	if first.Ledger != l.Settings().ID.String() || first.Kind != "event" {
		t.Errorf("%s", first.Value)
	}
}
