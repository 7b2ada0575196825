package kafka_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"deltaledger/api/kafka"
	"deltaledger/api/kafka/kafkatest"
	"deltaledger/ledger/wire"
	"deltaledger/migrations/pgtest"
)

// BenchmarkConsume records the messages of six partitions, as JSON and as Avro, and compares the rate with that of binary
// COPY of the very rows that came of it into the same tables of another ledger. Joining the group isn't counted.
// DELTALEDGER_BENCH_EVENTS says how many messages: 200,000.
func BenchmarkConsume(b *testing.B) {
	n := 200_000
	if text := os.Getenv("DELTALEDGER_BENCH_EVENTS"); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil {
			b.Fatal(err)
		}
	}
	for name, body := range map[string]func(i int) []byte{"json": jsonSale, "avro": avroSale} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				consumeAll(b, n, body)
			}
		})
	}
}

func jsonSale(i int) []byte {
	return fmt.Appendf(nil, `{"id":"e%d","source":"shop","stream":"o%d","seqn":%d,"type":"line.sold","account":"acct-%d","occurred_at":"2026-01-31T12:00:00.%06dZ","currency":"EUR","amount":"%d.25","dimensions":{"country":"FR"}}`,
		i, i/10, i%10, i%1000, i%1_000_000, i%90+1)
}

const saleSchema = `{"type":"record","name":"sale","fields":[
	{"name":"id","type":"string"},{"name":"source","type":"string"},{"name":"stream","type":"string"},{"name":"seqn","type":"long"},
	{"name":"type","type":"string"},{"name":"account","type":"string"},{"name":"occurred_at","type":{"type":"long","logicalType":"timestamp-micros"}},
	{"name":"currency","type":"string"},{"name":"amount","type":{"type":"bytes","logicalType":"decimal","precision":18,"scale":2}},
	{"name":"dimensions","type":{"type":"map","values":"string"}}]}`

// avroSale is what jsonSale is, under saleSchema.
func avroSale(i int) []byte {
	raw := []byte{0, 0, 0, 0, 1}
	text := func(s string) { raw = append(binary.AppendVarint(raw, int64(len(s))), s...) }
	text(fmt.Sprintf("e%d", i))
	text("shop")
	text(fmt.Sprintf("o%d", i/10))
	raw = binary.AppendVarint(raw, int64(i%10))
	text("line.sold")
	text(fmt.Sprintf("acct-%d", i%1000))
	raw = binary.AppendVarint(raw, time.Date(2026, 1, 31, 12, 0, 0, i%1_000_000*1000, time.UTC).UnixMicro())
	text("EUR")
	raw = binary.BigEndian.AppendUint16(binary.AppendVarint(raw, 2), uint16((i%90+1)*100+25))
	raw = binary.AppendVarint(raw, 1)
	text("country")
	text("FR")
	return append(raw, 0)
}

// saleSchemas have saleSchema.
type saleSchemas struct{ *wire.AvroSchema }

func (s saleSchemas) Schema(context.Context, int) (*wire.AvroSchema, error) { return s.AvroSchema, nil }

func consumeAll(b *testing.B, n int, body func(int) []byte) {
	b.Helper()
	broker := kafkatest.Shared(b)
	topic := broker.Topic(b, 6)
	records := make([]*kgo.Record, n)
	for i := range records {
		records[i] = &kgo.Record{Topic: topic, Partition: int32(i / 10 % 6), Value: body(i)}
	}
	if err := broker.Client(b).ProduceSync(b.Context(), records...).FirstErr(); err != nil {
		b.Fatal(err)
	}
	schema, err := wire.ParseAvroSchema(saleSchema)
	if err != nil {
		b.Fatal(err)
	}
	l, db := open(b)
	_, to := open(b)
	joined := time.Time{}
	consumer := consume(b, l, kafka.Config{
		Brokers: []string{broker.Address}, Group: kafkatest.Name(b), Topics: []string{topic},
		NewDecode: func(measures func(string) bool) (kafka.Decode, error) {
			d, err := wire.NewMessageDecoder(wire.MessageOptions{Measures: measures, Schemas: saleSchemas{schema}})
			return kafka.By(d), err
		},
	})
	for read := int64(0); read < int64(n); time.Sleep(5 * time.Millisecond) {
		if joined.IsZero() && len(consumer.Partitions()) > 0 {
			joined = time.Now()
		}
		read = 0
		for _, p := range consumer.Partitions() {
			read += p.Offset
		}
	}
	consumed := float64(n) / time.Since(joined).Seconds()
	consumer.stop()
	if got := one[int](b, db, `SELECT count(*) FROM ledger.events`); got != n {
		b.Fatalf("%d events are recorded", got)
	}
	copied := pgtest.CopyAgain(b, db.Super, to.Super, n)
	b.ReportMetric(copied, "copy-events/s")
	b.ReportMetric(consumed, "consumed/s")
	b.ReportMetric(consumed/copied, "consumed/copy")
}
