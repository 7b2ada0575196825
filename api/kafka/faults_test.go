package kafka_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"deltaledger/api/kafka"
	"deltaledger/api/kafka/kafkatest"
	"deltaledger/migrations/pgtest"
)

// ids are the ids of events(prefix, from, to), as recorded gives them.
func ids(prefix string, from, to int) []string {
	var all []string
	for _, text := range events(prefix, from, to) {
		_, id, _ := strings.Cut(text, `"id":"`)
		id, _, _ = strings.Cut(id, `"`)
		all = append(all, id)
	}
	slices.Sort(all)
	return all
}

// mustRecord waits until exactly these events are recorded.
func mustRecord(t testing.TB, db *pgtest.DB, want ...[]string) {
	t.Helper()
	all := slices.Concat(want...)
	slices.Sort(all)
	until(t, "the events are recorded", func() bool { return one[int](t, db, `SELECT count(*) FROM ledger.events`) >= len(all) })
	if got := recorded(t, db); !slices.Equal(got, all) {
		t.Fatalf("recorded %d events instead of %d: %v", len(got), len(all), got)
	}
}

// TestMovedOffset lets somebody else move the offset while a consumer is about to record: what it has is rolled back, and
// it goes on from there.
func TestMovedOffset(t *testing.T) {
	t.Parallel()
	b := kafkatest.Shared(t)
	topic, group := b.Topic(t, 1), kafkatest.Name(t)
	b.Produce(t, topic, 0, events("first", 0, 3)...)
	l, db := open(t)
	consumer := consume(t, l, config(b, group, topic))
	mustRecord(t, db, ids("first", 0, 3))
	ctx := context.Background()
	other, err := db.Super.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Rollback(ctx) }()
	if _, err := other.Exec(ctx, `UPDATE ledger.offsets SET "offset" = 8 WHERE consumer = $1`, group); err != nil {
		t.Fatal(err)
	}
	b.Produce(t, topic, 0, events("then", 3, 13)...)
	until(t, "the consumer waits for the row", func() bool {
		return one[int](t, db, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%UPDATE ledger.offsets%'`) > 0
	})
	if err := other.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	until(t, "the rest is recorded", func() bool { return offset(t, db, group, topic, 0) == 13 })
	consumer.stop()
	mustRecord(t, db, ids("first", 0, 3), ids("then", 8, 13))
	if n := consumer.count(t, "deltaledger_kafka_offset_moved_total"); n < 1 {
		t.Error("no transaction is counted as rolled back")
	}
}

// TestRebalance shares the partitions among consumers that come and go.
func TestRebalance(t *testing.T) {
	t.Parallel()
	b := kafkatest.Shared(t)
	topic, group := b.Topic(t, 4), kafkatest.Name(t)
	l, db := open(t)
	sent := 0
	send := func() {
		for p := range 4 {
			b.Produce(t, topic, int32(p), events("e", sent, sent+25)...)
			sent += 25
		}
	}
	send()
	one := consume(t, l, config(b, group, topic))
	until(t, "one consumer has all", func() bool { return len(one.Partitions()) == 4 })
	two := consume(t, l, config(b, group, topic))
	send()
	until(t, "both have half", func() bool { return len(one.Partitions()) == 2 && len(two.Partitions()) == 2 })
	send()
	mustRecord(t, db, ids("e", 0, sent))
	one.stop()
	send()
	until(t, "the other one has all", func() bool { return len(two.Partitions()) == 4 })
	mustRecord(t, db, ids("e", 0, sent))
	for p := range 4 {
		until(t, "the group is told", func() bool {
			told, err := b.Admin(t).FetchOffsets(context.Background(), group)
			at, ok := told.Lookup(topic, int32(p))
			return err == nil && ok && at.At == offset(t, db, group, topic, p)
		})
	}
}

// TestBrokerRestarts kills a broker under a consumer.
func TestBrokerRestarts(t *testing.T) {
	t.Parallel()
	b := kafkatest.Own(t)
	topic, group := b.Topic(t, 2), kafkatest.Name(t)
	l, db := open(t)
	consume(t, l, config(b, group, topic))
	b.Produce(t, topic, 0, events("e", 0, 50)...)
	mustRecord(t, db, ids("e", 0, 50))
	b.Kill(t)
	b.Start(t)
	b.Produce(t, topic, 1, events("e", 50, 100)...)
	mustRecord(t, db, ids("e", 0, 100))
	b.Stop(t)
	b.Start(t)
	b.Produce(t, topic, 0, events("e", 100, 150)...)
	mustRecord(t, db, ids("e", 0, 150))
}

// TestDatabaseAway takes the database away while good and bad messages arrive: nothing good is set aside.
func TestDatabaseAway(t *testing.T) {
	t.Parallel()
	b := kafkatest.Shared(t)
	topic, group := b.Topic(t, 1), kafkatest.Name(t)
	l, db := open(t)
	consumer := consume(t, l, config(b, group, topic))
	b.Produce(t, topic, 0, events("e", 0, 10)...)
	mustRecord(t, db, ids("e", 0, 10))
	exec := func(sql string) {
		t.Helper()
		if _, err := db.Super.Exec(context.Background(), sql); err != nil {
			t.Fatal(err)
		}
	}
	exec(`DO $$ BEGIN EXECUTE format('ALTER DATABASE %I CONNECTION LIMIT 0', current_database()); END $$`)
	exec(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND usename = 'deltaledger_app'`)
	b.Produce(t, topic, 0, slices.Concat(events("e", 10, 30), []string{"not json"}, events("e", 30, 40))...)
	until(t, "the consumer has met it", func() bool { return consumer.count(t, "deltaledger_kafka_errors_total") > 0 })
	exec(`DO $$ BEGIN EXECUTE format('ALTER DATABASE %I CONNECTION LIMIT -1', current_database()); END $$`)
	mustRecord(t, db, ids("e", 0, 40))
	until(t, "the offset is behind all", func() bool { return offset(t, db, group, topic, 0) == 41 })
	if got := column[int64](t, db, `SELECT "offset" FROM ledger.dead_letters`); !slices.Equal(got, []int64{30}) {
		t.Errorf("dead letters at %v", got)
	}
}

// TestTopicMadeAnew deletes a topic and makes it again: the old offsets mean nothing there, which is said, and a reset helps.
func TestTopicMadeAnew(t *testing.T) {
	t.Parallel()
	b := kafkatest.Shared(t)
	topic, other, group := b.Topic(t, 1), b.Topic(t, 1), kafkatest.Name(t)
	l, db := open(t)
	consumer := consume(t, l, config(b, group, topic, other))
	b.Produce(t, topic, 0, events("old", 0, 5)...)
	mustRecord(t, db, ids("old", 0, 5))
	if _, err := b.Admin(t).DeleteTopics(context.Background(), topic); err != nil {
		t.Fatal(err)
	}
	until(t, "it is said that the topic is gone", func() bool { return strings.Contains(strings.Join(consumer.Unready(), " "), "was deleted") })
	until(t, "it can be made again", func() bool {
		_, err := b.Admin(t).CreateTopic(context.Background(), 1, 1, nil, topic)
		return err == nil
	})
	b.Produce(t, topic, 0, events("new", 0, 10)...)
	until(t, "it is said that the topic is another one", func() bool { return strings.Contains(strings.Join(consumer.Unready(), " "), "made anew") })
	b.Produce(t, other, 0, events("other", 0, 5)...)
	mustRecord(t, db, ids("old", 0, 5), ids("other", 0, 5))
	moves, err := kafka.Reset(t.Context(), l, kafka.ResetOptions{Brokers: []string{b.Address}, Group: group, Topic: topic, To: kafka.Target{Place: kafka.StartOldest}})
	if err != nil || len(moves) != 1 || *moves[0].From != 5 || moves[0].To != 0 || moves[0].End != 10 {
		t.Fatalf("%+v, %v", moves, err)
	}
	mustRecord(t, db, ids("old", 0, 5), ids("new", 0, 10), ids("other", 0, 5))
	until(t, "the consumer is ready", func() bool { return len(consumer.Unready()) == 0 })
}

// TestMessagesLost deletes messages that weren't recorded yet.
func TestMessagesLost(t *testing.T) {
	t.Parallel()
	b := kafkatest.Shared(t)
	topic, group := b.Topic(t, 1), kafkatest.Name(t)
	l, db := open(t)
	first := consume(t, l, config(b, group, topic))
	b.Produce(t, topic, 0, events("e", 0, 5)...)
	mustRecord(t, db, ids("e", 0, 5))
	first.stop()
	b.Produce(t, topic, 0, events("e", 5, 20)...)
	var before kadm.Offsets
	before.AddOffset(topic, 0, 15, -1)
	if _, err := b.Admin(t).DeleteRecords(context.Background(), before); err != nil {
		t.Fatal(err)
	}
	second := consume(t, l, config(b, group, topic))
	until(t, "it is said what is missing", func() bool {
		return strings.Contains(strings.Join(second.Unready(), " "), "10 offsets were deleted before they were recorded")
	})
	if _, err := kafka.Reset(t.Context(), l, kafka.ResetOptions{Brokers: []string{b.Address}, Group: group, Topic: topic, To: kafka.Target{Place: kafka.StartOldest}}); err != nil {
		t.Fatal(err)
	}
	mustRecord(t, db, ids("e", 0, 5), ids("e", 15, 20))
}

// TestReset reads again, from an offset in the middle of an aborted transaction too, and from a time; and takes partitions
// that appear.
func TestReset(t *testing.T) {
	t.Parallel()
	b := kafkatest.Shared(t)
	topic, group := b.Topic(t, 1), kafkatest.Name(t)
	p := transactional(t, b, topic, kgo.NoCompression())
	p.begin()
	p.put("aborted-1", "aborted-2", "aborted-3")
	p.end(false)
	p.begin()
	p.put("committed-1", "committed-2")
	p.end(true)
	l, db := open(t)
	if _, err := kafka.Reset(t.Context(), l, to(b, group, topic, 1)); err != nil {
		t.Fatal(err)
	}
	consumer := consume(t, l, config(b, group, topic))
	want := []string{"committed-1", "committed-2"}
	mustRecord(t, db, want)
	until(t, "the markers are passed", func() bool { return offset(t, db, group, topic, 0) == 7 })
	if _, err := kafka.Reset(t.Context(), l, to(b, group, topic, 2)); err != nil {
		t.Fatal(err)
	}
	until(t, "it is read again", func() bool { return consumer.count(t, "deltaledger_kafka_events_total") == 4 })
	until(t, "the markers are passed again", func() bool { return offset(t, db, group, topic, 0) == 7 })
	mustRecord(t, db, want)
	if _, err := kafka.Reset(t.Context(), l, to(b, group, topic, 99)); err == nil || !strings.Contains(err.Error(), "must be from 0 to 7") {
		t.Errorf("a reset behind the end: %v", err)
	}
	if _, err := b.Admin(t).UpdatePartitions(context.Background(), 2, topic); err != nil {
		t.Fatal(err)
	}
	until(t, "the new partition is read", func() bool { return len(consumer.Partitions()) == 2 })
	b.Produce(t, topic, 1, event("in-the-second"))
	mustRecord(t, db, want, []string{"in-the-second"})
}

func to(b *kafkatest.Broker, group, topic string, offset int64) kafka.ResetOptions {
	return kafka.ResetOptions{Brokers: []string{b.Address}, Group: group, Topic: topic, To: kafka.Target{Offset: &offset}}
}
