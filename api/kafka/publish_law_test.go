package kafka_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"deltaledger/api/kafka"
	"deltaledger/api/kafka/kafkatest"
	"deltaledger/ledger"
)

// TestPublishedWhereKafkasClientWouldPutThem: whoever produces beside the ledger, with accounts as keys, meets its facts
// in the same partitions.
func TestPublishedWhereKafkasClientWouldPutThem(t *testing.T) {
	t.Parallel()
	b := kafkatest.Shared(t)
	l, db := open(t)
	topic := b.Topic(t, 5)
	record(t, l, "a", 40)
	if err := once(t, l, db, publishConfig(b, topic)); err != nil {
		t.Fatal(err)
	}
	theirs := kgo.StickyKeyPartitioner(nil).ForTopic(topic)
	for _, m := range topicOf(t, b, topic) {
		if want := theirs.Partition(&kgo.Record{Key: m.Key}, 5); int(m.Partition) != want {
			t.Errorf("account %s is in partition %d instead of %d", m.Account, m.Partition, want)
		}
	}
}

// TestNothingAboveTheWatermarkIsPublished: an open transaction has drawn a position; what was committed above it isn't
// published before that is decided.
func TestNothingAboveTheWatermarkIsPublished(t *testing.T) {
	t.Parallel()
	b := kafkatest.Shared(t)
	l, db := open(t)
	topic := b.Topic(t, 2)
	record(t, l, "a", 10)
	p := publish(t, l, db, publishConfig(b, topic))
	until(t, "ten are published", func() bool { return len(topicOf(t, b, topic)) == 10 })
	tx, err := db.App.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.Background()) }()
	if _, err := tx.Exec(t.Context(), "SELECT ledger.draw(1)"); err != nil {
		t.Fatal(err)
	}
	record(t, l, "b", 10)
	held, err := l.Current(t.Context()) // a second after which the publisher has asked for one too
	if err != nil {
		t.Fatal(err)
	}
	if all := topicOf(t, b, topic); len(all) != 10 || slices.ContainsFunc(all, func(m told) bool { return m.Position > held.Position }) {
		t.Errorf("%d are published while the watermark is %d", len(all), held.Position)
	}
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	until(t, "all are published", func() bool { return p.Status().Lag() == 0 && len(topicOf(t, b, topic)) == 20 })
	whole(t, topicOf(t, b, topic), decided(t, db))
}

// TestPublishingThroughBrokerRestarts kills the broker while a backlog is being published, and while there is nothing to publish.
func TestPublishingThroughBrokerRestarts(t *testing.T) {
	t.Parallel()
	b := kafkatest.Own(t)
	l, db := open(t)
	topic := b.Topic(t, 3)
	record(t, l, "a", 30_000)
	p := publish(t, l, db, publishConfig(b, topic))
	until(t, "some are published", func() bool { return p.Status().Position > 0 })
	b.Kill(t)
	record(t, l, "b", 5_000)
	until(t, "the broker is missed", func() bool { return len(p.Unready()) > 0 })
	b.Start(t)
	last := decided(t, db)[34_999]
	until(t, "all are published", func() bool { return p.Status().Position >= last })
	if reasons := p.Unready(); len(reasons) > 0 {
		t.Errorf("unready after all: %v", reasons)
	}
	b.Kill(t)
	record(t, l, "c", 100)
	b.Start(t)
	last = decided(t, db)[35_099]
	until(t, "the rest is published", func() bool { return p.Status().Position >= last })
	t.Logf("%d repeats", whole(t, topicOf(t, b, topic), decided(t, db)))
}

// TestOnePublisherOfAName: of three only one is at work, and when it ends another one goes on.
func TestOnePublisherOfAName(t *testing.T) {
	t.Parallel()
	b := kafkatest.Shared(t)
	l, db := open(t)
	topic := b.Topic(t, 2)
	c := publishConfig(b, topic)
	all := []*publishing{publish(t, l, db, c), publish(t, l, db, c), publish(t, l, db, c)}
	active := func() (at []int) {
		for i, p := range all {
			if p.Status().Active {
				at = append(at, i)
			}
		}
		return at
	}
	for round := range 3 {
		record(t, l, string(rune('a'+round)), 50)
		last := decided(t, db)[50*(round+1)-1]
		until(t, "somebody publishes", func() bool {
			at := active()
			return len(at) == 1 && all[at[0]].Status().Position >= last
		})
		at := active()[0]
		if err := all[at].stop(); err != nil {
			t.Fatal(err)
		}
		all = slices.Delete(all, at, at+1)
	}
	if n := whole(t, topicOf(t, b, topic), decided(t, db)); n > 0 {
		t.Errorf("%d repeats although every publisher ended in order", n)
	}
}

// TestPublisherThatLostItsSession: the session of the one at work is killed while it goes on; the other one takes over.
// What both write is repeats, and the position is moved by one of them.
func TestPublisherThatLostItsSession(t *testing.T) {
	t.Parallel()
	b := kafkatest.Shared(t)
	l, db := open(t)
	topic := b.Topic(t, 3)
	c := publishConfig(b, topic)
	record(t, l, "a", 20_000)
	publish(t, l, db, c)
	publish(t, l, db, c)
	for range 5 {
		holder := func() []int32 {
			return column[int32](t, db, `SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND classid = 17486 AND granted
				AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`)
		}
		until(t, "somebody is at work", func() bool { return len(holder()) == 1 })
		for _, pid := range holder() {
			column[bool](t, db, `SELECT pg_terminate_backend($1)`, pid)
		}
	}
	last := decided(t, db)[19_999]
	until(t, "all are published", func() bool {
		return one[int64](t, db, `SELECT COALESCE(max(position), 0) FROM ledger.publishers`) >= last
	})
	t.Logf("%d repeats", whole(t, topicOf(t, b, topic), decided(t, db)))
}

// TestReplay publishes again from a position, while a publisher is at work.
func TestReplay(t *testing.T) {
	t.Parallel()
	b := kafkatest.Shared(t)
	l, db := open(t)
	topic := b.Topic(t, 2)
	record(t, l, "a", 100)
	c := publishConfig(b, topic)
	p := publish(t, l, db, c)
	positions := decided(t, db)
	until(t, "all are published", func() bool { return len(topicOf(t, b, topic)) == 100 })
	again := c
	again.From = positions[60]
	other := publish(t, l, db, again)
	until(t, "forty are published again", func() bool { return len(topicOf(t, b, topic)) == 140 })
	if repeats := whole(t, topicOf(t, b, topic), positions); repeats != 40 {
		t.Errorf("%d repeats", repeats)
	}
	for _, x := range []*publishing{p, other} {
		if err := x.stop(); err != nil {
			t.Error(err)
		}
	}
	again.From = positions[99] + 2_000_000
	if err := once(t, l, db, again); err == nil || !strings.Contains(err.Error(), "the newest watermark is") {
		t.Errorf("from a position that isn't decided: %v", err)
	}
}

// TestPublisherHalts where to go on would leave a gap, and says how to begin anew.
func TestPublisherHalts(t *testing.T) {
	t.Parallel()
	b := kafkatest.Shared(t)
	l, db := open(t)
	topic := b.Topic(t, 2)
	record(t, l, "a", 10)
	c := publishConfig(b, topic)
	if err := once(t, l, db, c); err != nil {
		t.Fatal(err)
	}
	other := c
	other.Topic = b.Topic(t, 2)
	narrow := c
	narrow.Kinds = []string{"event"}
	for want, c := range map[string]kafka.PublishConfig{"has written to topic": other, "has published facts of every kind": narrow} {
		if err := once(t, l, db, c); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "publish --from") {
			t.Errorf("%v instead of %q", err, want)
		}
	}
	unknown := c
	unknown.Kinds = []string{"cake"}
	if err := once(t, l, db, unknown); err == nil || !strings.Contains(err.Error(), "must be among event") {
		t.Errorf("a kind that there isn't: %v", err)
	}
	if _, err := b.Admin(t).DeleteTopics(t.Context(), topic); err != nil {
		t.Fatal(err)
	}
	until(t, "the topic can be made anew", func() bool {
		_, err := b.Admin(t).CreateTopic(t.Context(), 2, 1, nil, topic)
		return err == nil
	})
	var err error
	until(t, "the new topic is seen", func() bool {
		err = once(t, l, db, c)
		return err != nil
	})
	if !strings.Contains(err.Error(), "was made anew") {
		t.Errorf("a topic that was made anew: %v", err)
	}
	c.From = 1
	if err := once(t, l, db, c); err != nil {
		t.Fatal(err)
	}
	whole(t, topicOf(t, b, topic), decided(t, db))
}

// TestPublisherSaysHowFarItIs by its metrics.
func TestPublisherSaysHowFarItIs(t *testing.T) {
	t.Parallel()
	b := kafkatest.Shared(t)
	l, db := open(t)
	topic := b.Topic(t, 1)
	record(t, l, "a", 10)
	c := publishConfig(b, topic)
	c.Facts = []ledger.FactTable{ledger.SealFacts()}
	p := publish(t, l, db, c)
	until(t, "all are published", func() bool { s := p.Status(); return s.Active && s.Position > 0 && s.Lag() == 0 })
	gathered, err := p.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]float64{}
	for _, f := range gathered {
		for _, m := range f.Metric {
			found[f.GetName()] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	for name, want := range map[string]float64{
		"deltaledger_publisher_active": 1, "deltaledger_publisher_lag_positions": 0, "deltaledger_publisher_lag_seconds": 0,
		"deltaledger_publisher_messages_total": 10, "deltaledger_publisher_position": float64(p.Status().Position),
	} {
		if got, there := found[name]; !there || got != want {
			t.Errorf("%s is %v (%v), want %v", name, got, there, want)
		}
	}
}
