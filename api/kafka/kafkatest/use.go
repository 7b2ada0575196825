package kafkatest

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// count makes the names of topics unique in this process.
var count atomic.Int64

// Name is a name of t's own for a topic, a group or a transactional id.
func Name(t testing.TB) string {
	clean := strings.NewReplacer("/", "-", "#", "-", " ", "-").Replace(strings.ToLower(t.Name()))
	return fmt.Sprintf("%s-%d", clean, count.Add(1))
}

// Topic makes a topic of t's own and returns its name. config are its settings, such as "retention.ms", "1000".
func (b *Broker) Topic(t testing.TB, partitions int, config ...string) string {
	t.Helper()
	name := Name(t)
	b.Create(t, name, partitions, config...)
	return name
}

// Create makes a topic.
func (b *Broker) Create(t testing.TB, name string, partitions int, config ...string) {
	t.Helper()
	settings := map[string]*string{}
	for i := 0; i+1 < len(config); i += 2 {
		settings[config[i]] = &config[i+1]
	}
	_, err := b.Admin(t).CreateTopic(context.Background(), int32(partitions), 1, settings, name)
	if err != nil {
		t.Fatalf("kafkatest: make topic %s: %v", name, err)
	}
}

// Client is a client of the broker, which is closed when t ends. Partitions of records are those that they name, unless o
// says otherwise.
func (b *Broker) Client(t testing.TB, o ...kgo.Opt) *kgo.Client {
	t.Helper()
	all := append([]kgo.Opt{kgo.SeedBrokers(b.Address), kgo.RecordPartitioner(kgo.ManualPartitioner())}, o...)
	client, err := kgo.NewClient(all...)
	if err != nil {
		t.Fatalf("kafkatest: %v", err)
	}
	t.Cleanup(client.Close)
	return client
}

// Admin is for topics and groups.
func (b *Broker) Admin(t testing.TB) *kadm.Client {
	t.Helper()
	return kadm.NewClient(b.Client(t))
}

// Produce sends values to a partition and waits until all are written.
func (b *Broker) Produce(t testing.TB, topic string, partition int32, values ...string) {
	t.Helper()
	Send(t, b.Client(t), topic, partition, values...)
}

// Send is Produce with a client of the caller's, in its transaction for example.
func Send(t testing.TB, client *kgo.Client, topic string, partition int32, values ...string) {
	t.Helper()
	records := make([]*kgo.Record, len(values))
	for i, v := range values {
		records[i] = &kgo.Record{Topic: topic, Partition: partition, Value: []byte(v)}
	}
	if err := client.ProduceSync(context.Background(), records...).FirstErr(); err != nil {
		t.Fatalf("kafkatest: write to %s: %v", topic, err)
	}
}
