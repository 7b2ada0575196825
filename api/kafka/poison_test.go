package kafka_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"deltaledger/api/kafka"
	"deltaledger/api/kafka/kafkatest"
	"deltaledger/ledger"
	"deltaledger/ledger/wire"
)

// schemas are those of a registry that has one.
type schemas struct{ t testing.TB }

func (s schemas) Schema(_ context.Context, id int) (*wire.AvroSchema, error) {
	if id != 1 {
		return nil, fmt.Errorf("schema %d: %w", id, ledger.ErrNotFound)
	}
	return wire.ParseAvroSchema(`{"type":"record","name":"event","fields":[{"name":"id","type":"string"},{"name":"source","type":"string"}]}`)
}

// anyFormat decodes messages as their headers and first bytes say.
func anyFormat(t testing.TB) kafka.NewDecode {
	return func(measures func(string) bool) (kafka.Decode, error) {
		d, err := decoderOf(t, measures)
		return kafka.By(d), err
	}
}

func decoderOf(t testing.TB, measures func(string) bool) (wire.MessageDecoder, error) {
	return wire.NewMessageDecoder(wire.MessageOptions{Measures: measures, Schemas: schemas{t}})
}

// with is the event of an id, changed.
func with(id string, changes ...string) []byte {
	return []byte(strings.NewReplacer(changes...).Replace(event(id)))
}

// avro is a message in the wire format of a registry.
func avro(id uint32, data ...byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{0}, id), data...)
}

// poison are messages that can't be recorded, by what is wrong with them. n tells apart those of a kind.
func poison(n int) map[string]*kgo.Record {
	id := fmt.Sprintf("poison-%d", n)
	more := func(text string) []byte { return with(id, `"amount":`, text+`,"amount":`) }
	bodies := map[string][]byte{
		"broken JSON":                     []byte(`{"id":"` + id),
		"two documents":                   []byte(event(id) + event(id)),
		"no object":                       []byte(`"` + id + `"`),
		"duplicate keys":                  more(`"amount":"2"`),
		"too large":                       more(`"payload":{"x":"` + strings.Repeat("x", 300<<10) + `"}`),
		"NUL":                             with(id, `"acme"`, `"ac\u0000me"`),
		"NUL byte":                        with(id, `acme`, "ac\x00me"),
		"lone surrogate":                  with(id, `"acme"`, `"\ud800"`),
		"no UTF-8":                        with(id, `acme`, "\xff\xfe"),
		"unknown currency":                with(id, `"EUR"`, `"EURO"`),
		"unknown field":                   more(`"colour":"red"`),
		"unknown measure":                 more(`"measures":{"commission":"1"}`),
		"state from an undeclared source": with(id, `"amount":"1.25"`, `"state":{"amount":"1.25"}`),
		"reserved source":                 with(id, `"shop"`, `"deltaledger"`),
		"no account":                      with(id, `"account":"acme",`, ``),
		"an id that is too long":          with(id, `"id":"`, `"id":"`+strings.Repeat("y", 300)),
		"no such month":                   with(id, `2026-01-31T12`, `2026-13-31T12`),
		"no zone":                         with(id, `12:00:00Z`, `12:00:00`),
		"nanoseconds":                     with(id, `12:00:00Z`, `12:00:00.123456789Z`),
		"far in the future":               with(id, `2026-01-31`, `9999-01-31`),
		"year 10000":                      with(id, `2026-01-31`, `10000-01-31`),
		"an exponent":                     with(id, `"1.25"`, `"1e999"`),
		"no number":                       with(id, `"1.25"`, `"NaN"`),
		"19 decimals":                     with(id, `"1.25"`, `"1.1234567890123456789"`),
		"39 digits":                       with(id, `"1.25"`, `"`+strings.Repeat("9", 39)+`"`),
		"a seqn beyond":                   with(id, `"seqn":0`, `"seqn":281474976710656`),
		"a seqn below":                    with(id, `"seqn":0`, `"seqn":-1`),
		"nested dimensions":               more(`"dimensions":{"a":{"b":1}}`),
		"empty":                           {},
		"binary":                          {0xff, 0xd8, 0xff, 0xe0, 0, 0x10, 'J', 'F'},
		"deep nesting":                    more(`"payload":` + strings.Repeat(`[`, 10_000) + strings.Repeat(`]`, 10_000)),
		"a schema that isn't there":       avro(99, 2, 'a', 2, 'b'),
		"Avro that is cut":                avro(1, 40, 'a'),
		"Avro with a rest":                avro(1, 2, 'a', 2, 'b', 7, 7, 7),
		"the magic byte alone":            {0},
		"tombstone":                       nil,
	}
	records := map[string]*kgo.Record{}
	for kind, body := range bodies {
		if body != nil && kind != "unknown measure" { // an identity of its own: what is recorded under one decides before all else
			body = bytes.ReplaceAll(body, []byte(id), []byte(id+" "+kind))
		}
		records[kind] = &kgo.Record{Key: []byte(id), Value: body}
	}
	records["a content type of no event"] = &kgo.Record{Value: []byte(event(id)), Headers: []kgo.RecordHeader{{Key: "content-type", Value: []byte("image/png")}}}
	records["a CloudEvent without an id"] = &kgo.Record{Value: []byte(`{"specversion":"1.0"}`), Headers: []kgo.RecordHeader{{Key: "content-type", Value: []byte("application/cloudevents+json")}}}
	return records
}

// TestPoison sends every kind of bad message at random among good ones, with the database away in the middle: each is a
// dead letter, once and as it came; all good ones are recorded; and a mended one is recorded when it is retried.
func TestPoison(t *testing.T) {
	t.Parallel()
	b := kafkatest.Shared(t)
	l, db := open(t)
	topic := b.Topic(t, 3, "max.message.bytes", "2000000")
	var sent []*kgo.Record
	bad := map[*kgo.Record]string{}
	var good []string
	for n := range 3 {
		for kind, r := range poison(n) {
			bad[r] = kind
			sent = append(sent, r)
		}
	}
	for i := range 400 {
		good = append(good, fmt.Sprintf("good-%d", i))
		sent = append(sent, &kgo.Record{Value: []byte(event(good[i]))})
	}
	slices.Sort(good)
	random := rand.New(rand.NewPCG(1, 2))
	random.Shuffle(len(sent), func(i, j int) { sent[i], sent[j] = sent[j], sent[i] })
	for i, r := range sent {
		r.Topic, r.Partition = topic, int32(i%3)
	}
	client := b.Client(t, kgo.ProducerBatchMaxBytes(2_000_000))
	send := func(records []*kgo.Record) {
		t.Helper()
		if err := client.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	c := config(b, kafkatest.Name(t), topic)
	c.NewDecode = anyFormat(t)
	send(sent[:len(sent)/3])
	consumer := consume(t, l, c)
	until(t, "the first are recorded", func() bool { return len(recorded(t, db)) > 0 })

	name := one[string](t, db, `SELECT current_database()`)
	exec := func(sql string) {
		t.Helper()
		if _, err := db.Super.Exec(context.Background(), sql); err != nil {
			t.Fatal(err)
		}
	}
	exec(`ALTER DATABASE ` + name + ` CONNECTION LIMIT 0`) // superusers still come in
	exec(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND usename = 'deltaledger_app'`)
	send(sent[len(sent)/3 : 2*len(sent)/3])
	until(t, "the database is missed", func() bool { return counted(t, consumer, "deltaledger_kafka_errors_total") > 0 })
	exec(`ALTER DATABASE ` + name + ` CONNECTION LIMIT -1`)
	send(sent[2*len(sent)/3:])

	until(t, "everything is read", func() bool {
		sum := one[int64](t, db, `SELECT COALESCE(sum("offset"), 0)::bigint FROM ledger.offsets WHERE topic = $1`, topic)
		return sum == int64(len(sent))
	})
	consumer.stop()
	if got := recorded(t, db); !slices.Equal(got, good) {
		t.Errorf("%d events are recorded, and %d are good", len(got), len(good))
	}
	type place struct {
		partition int32
		offset    int64
	}
	want := map[place]*kgo.Record{}
	for r := range bad {
		want[place{r.Partition, r.Offset}] = r
	}
	list, err := l.DeadLetters(t.Context(), ledger.LetterQuery{Topic: topic, Limit: ledger.MaxLimit})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range list {
		r := want[place{d.Partition, d.Offset}]
		if r == nil {
			t.Errorf("a good message is a dead letter, or a bad one is twice: %+v", d)
			continue
		}
		delete(want, place{d.Partition, d.Offset})
		m, err := l.DeadLetterMessage(t.Context(), d.N)
		if err != nil || !bytes.Equal(m.Body, r.Value) || !bytes.Equal(m.Key, r.Key) || len(m.Headers) != len(r.Headers) || (m.Body == nil) != (r.Value == nil) || d.Reason == "" {
			t.Errorf("%s: %+v, %v", bad[r], d, err)
		}
	}
	for _, r := range want {
		t.Errorf("%s: is no dead letter", bad[r])
	}

	again := config(b, kafkatest.Name(t), topic)
	again.NewDecode = anyFormat(t)
	second := consume(t, l, again)
	until(t, "everything is read again", func() bool {
		return one[int64](t, db, `SELECT COALESCE(sum("offset"), 0)::bigint FROM ledger.offsets WHERE consumer = $1`, again.Group) == int64(len(sent))
	})
	if n := one[int](t, db, `SELECT count(*) FROM ledger.dead_letters`); n != len(bad) {
		t.Errorf("%d dead letters of %d bad messages", n, len(bad))
	}

	// While that one runs, a measure and a dimension are declared.
	for _, column := range []ledger.Column{
		{Name: "commission", Kind: ledger.KindMoney, Description: "d", Owner: "o", By: "test"},
		{Name: "partner", Kind: ledger.KindDimension, Type: "text", Description: "d", Owner: "o", By: "test"},
	} {
		if _, err := l.AddColumn(t.Context(), column, long); err != nil {
			t.Fatal(err)
		}
	}
	const fresh = "fresh"
	send([]*kgo.Record{{Topic: topic, Partition: 0, Value: with(fresh, `"amount":`, `"measures":{"commission":"0.5"},"dimensions":{"partner":"p7"},"amount":`)}})
	until(t, "all of them are read", func() bool {
		return one[int64](t, db, `SELECT sum("offset")::bigint FROM ledger.offsets WHERE consumer = $1`, again.Group) == int64(len(sent)+1)
	})
	second.stop()
	if got := one[string](t, db, `SELECT DISTINCT commission || ' ' || partner FROM ledger.events WHERE event_id = $1`, fresh); got != "0.5 p7" {
		t.Errorf("the columns hold %s", got)
	}
	measures, err := l.DeclaredMeasures(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	letters := wire.Letters(func(string) (wire.MessageDecoder, error) { return decoderOf(t, measures) })
	states := map[string]int{}
	err = l.RetryAll(t.Context(), ledger.LetterQuery{Topic: topic}, letters, ledger.LetterDecide{By: "test"}, func(done []ledger.RetriedLetter) error {
		for _, r := range done {
			states[r.State]++
		}
		return nil
	})
	if err != nil || states[ledger.LetterOpen] != len(bad)-3 || states[ledger.LetterRetried] != 3 {
		t.Errorf("%v, %v", states, err)
	}
	for n := range 3 {
		if !slices.Contains(recorded(t, db), fmt.Sprintf("poison-%d", n)) {
			t.Errorf("poison-%d isn't recorded under its own identity", n)
		}
	}
}

// counted is the sum of the counters of a name.
func counted(t testing.TB, r *running, name string) float64 {
	t.Helper()
	families, err := r.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, f := range families {
		if f.GetName() == name {
			for _, m := range f.GetMetric() {
				sum += m.GetCounter().GetValue()
			}
		}
	}
	return sum
}
