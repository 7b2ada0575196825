package kafka_test

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"deltaledger/api/kafka/kafkatest"
)

// BenchmarkPublish publishes a backlog of 200,000 events and prints the ratio to writing the same messages to the same
// broker with a client that does nothing else and keeps several requests under way.
func BenchmarkPublish(b *testing.B) {
	const n = 200_000
	broker := kafkatest.Shared(b)
	l, db := open(b)
	record(b, l, "a", n)
	for b.Loop() {
		topic := broker.Topic(b, 6)
		began := time.Now()
		if err := once(b, l, db, publishConfig(broker, topic)); err != nil {
			b.Fatal(err)
		}
		ours := time.Since(began)
		all := topicOf(b, broker, topic)
		if len(all) != n {
			b.Fatalf("%d messages", len(all))
		}
		bare := broker.Topic(b, 6)
		client := broker.Client(b, kgo.RequiredAcks(kgo.AllISRAcks()), kgo.ProducerBatchCompression(kgo.NoCompression()))
		records := make([]*kgo.Record, n)
		for i, m := range all {
			records[i] = &kgo.Record{Topic: bare, Partition: m.Partition, Key: m.Key, Value: m.Value}
			for k, v := range m.Headers {
				records[i].Headers = append(records[i].Headers, kgo.RecordHeader{Key: k, Value: []byte(v)})
			}
		}
		began = time.Now()
		if err := client.ProduceSync(context.Background(), records...).FirstErr(); err != nil {
			b.Fatal(err)
		}
		theirs := time.Since(began)
		b.ReportMetric(n/ours.Seconds(), "published/s")
		b.ReportMetric(n/theirs.Seconds(), "bare/s")
		b.ReportMetric(theirs.Seconds()/ours.Seconds(), "ratio")
	}
}
