package kafka_test

import (
	"context"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"deltaledger/api/kafka/kafkatest"
)

// producer is a transactional producer.
type producer struct {
	t     testing.TB
	c     *kgo.Client
	topic string
}

func transactional(t testing.TB, b *kafkatest.Broker, topic string, codec kgo.CompressionCodec) *producer {
	t.Helper()
	return &producer{t, b.Client(t, kgo.TransactionalID(kafkatest.Name(t)), kgo.ProducerBatchCompression(codec)), topic}
}

func (p *producer) begin() {
	p.t.Helper()
	if err := p.c.BeginTransaction(); err != nil {
		p.t.Fatal(err)
	}
}

func (p *producer) put(ids ...string) {
	p.t.Helper()
	for _, id := range ids {
		kafkatest.Send(p.t, p.c, p.topic, 0, event(id))
	}
}

func (p *producer) end(commit bool) {
	p.t.Helper()
	if err := p.c.EndTransaction(context.Background(), kgo.TransactionEndTry(commit)); err != nil {
		p.t.Fatal(err)
	}
}

// TestTransactions records what counts, in every compression: not what was aborted, and not what isn't decided.
func TestTransactions(t *testing.T) {
	t.Parallel()
	b := kafkatest.Shared(t)
	for name, codec := range map[string]kgo.CompressionCodec{
		"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			topic := b.Topic(t, 1)
			x, y := transactional(t, b, topic, codec), transactional(t, b, topic, codec)
			plain := b.Client(t, kgo.ProducerBatchCompression(codec))
			x.begin()
			y.begin()
			x.put("x-aborted-1", "x-aborted-2")
			y.put("y-committed-1")
			kafkatest.Send(t, plain, topic, 0, event("plain-1"))
			x.put("x-aborted-3")
			x.end(false)
			y.put("y-committed-2")
			y.end(true)
			x.begin()
			x.put("x-committed-1")
			x.end(true)
			x.begin()
			x.end(false) // an empty one
			y.begin()
			y.put("y-open")
			kafkatest.Send(t, plain, topic, 0, event("plain-behind-open"))

			l, db := open(t)
			group := kafkatest.Name(t)
			consumer := consume(t, l, config(b, group, topic))
			want := []string{"plain-1", "x-committed-1", "y-committed-1", "y-committed-2"}
			until(t, "what is decided is recorded", func() bool { return slices.Equal(recorded(t, db), want) })
			if lag := consumer.Partitions()[0].Lag(); lag < 2 {
				t.Errorf("the lag is %d, and two messages aren't decided", lag)
			}
			y.end(false)
			want = append(want, "plain-behind-open")
			slices.Sort(want)
			until(t, "what was behind the open one is recorded", func() bool { return slices.Equal(recorded(t, db), want) })
			until(t, "nothing is left", func() bool { return consumer.Partitions()[0].Lag() == 0 })
			consumer.stop()
			if got := recorded(t, db); !slices.Equal(got, want) {
				t.Errorf("recorded %v instead of %v", got, want)
			}
			if n := one[int](t, db, `SELECT count(*) FROM ledger.dead_letters`); n != 0 {
				t.Errorf("%d dead letters", n)
			}
		})
	}
}
