package kafka_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"deltaledger/api/kafka"
	"deltaledger/api/kafka/kafkatest"
	"deltaledger/ledger"
	"deltaledger/migrations/pgtest"
)

// long is how long a test waits for what must come. It decides nothing but when a failed test gives up.
const long = 3 * time.Minute

// until waits for a fact.
func until(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(long); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", long, what)
		}
	}
}

func open(t testing.TB) (*ledger.Ledger, *pgtest.DB) {
	t.Helper()
	db := pgtest.New(t)
	l, err := ledger.Open(t.Context(), ledger.Config{Pool: db.App})
	if err != nil {
		t.Fatal(err)
	}
	return l, db
}

// event is a message with event n.
func event(id string) string {
	return fmt.Sprintf(`{"id":%[1]q,"source":"shop","stream":%[1]q,"seqn":0,"type":"order.placed","account":"acme","occurred_at":"2026-01-31T12:00:00Z","currency":"EUR","amount":"1.25"}`, id)
}

func events(prefix string, from, to int) []string {
	var all []string
	for i := from; i < to; i++ {
		all = append(all, event(fmt.Sprintf("%s-%d", prefix, i)))
	}
	return all
}

// config reads topics of a broker quickly.
func config(b *kafkatest.Broker, group string, topics ...string) kafka.Config {
	return kafka.Config{
		Brokers: []string{b.Address}, Group: group, Topics: topics, NewDecode: kafka.JSON,
		MaxWait: 10 * time.Millisecond, CommitEvery: 100 * time.Millisecond, LookEvery: time.Second, SessionTimeout: 6 * time.Second,
		Log: logger(),
	}
}

func logger() *slog.Logger {
	if os.Getenv("DELTALEDGER_TEST_LOG") == "" {
		return nil
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// running is a consumer at work.
type running struct {
	*kafka.Consumer
	registry *prometheus.Registry
	stop     func() // and wait for the end
}

// consume runs a consumer until its stop is called, or the test ends.
func consume(t testing.TB, l *ledger.Ledger, c kafka.Config) *running {
	t.Helper()
	registry := prometheus.NewRegistry()
	c.Registry = registry
	consumer, err := kafka.New(l, c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- consumer.Run(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the consumer ended: %v", err)
		}
	})
	t.Cleanup(stop)
	return &running{consumer, registry, stop}
}

// recorded are the ids of the events in a ledger.
func recorded(t testing.TB, db *pgtest.DB) []string {
	t.Helper()
	return column[string](t, db, `SELECT event_id FROM ledger.events ORDER BY event_id`)
}

func column[T any](t testing.TB, db *pgtest.DB, sql string, args ...any) []T {
	t.Helper()
	rows, err := db.Super.Query(context.Background(), sql, args...)
	if err != nil {
		t.Fatal(err)
	}
	all, err := collect[T](rows)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func one[T any](t testing.TB, db *pgtest.DB, sql string, args ...any) T {
	t.Helper()
	all := column[T](t, db, sql, args...)
	if len(all) != 1 {
		t.Fatalf("%d rows instead of one: %s", len(all), sql)
	}
	return all[0]
}

// offset is what is stored of a partition; -1: nothing.
func offset(t testing.TB, db *pgtest.DB, group, topic string, partition int) int64 {
	t.Helper()
	return one[int64](t, db, `SELECT COALESCE(max("offset"), -1) FROM ledger.offsets WHERE consumer = $1 AND topic = $2 AND partition = $3`, group, topic, partition)
}

// count is the sum of the counters of a name.
func (r *running) count(t testing.TB, name string) float64 {
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
