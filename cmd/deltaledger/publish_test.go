//go:build linux || darwin

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"deltaledger/api/kafka/kafkatest"
	"deltaledger/ledger/pg/embedded"
)

// publishedFact is a message of a publisher.
type publishedFact struct {
	partition int32
	Position  int64  `json:"position"`
	Kind      string `json:"kind"`
	Account   string `json:"account"`
	Data      struct {
		Fact map[string]any   `json:"fact"`
		Rows []map[string]any `json:"lines"`
		Kind string           `json:"kind"`
	} `json:"data"`
}

// published reads all that is in a topic now.
func published(t testing.TB, b *kafkatest.Broker, topic string) (all []publishedFact) {
	t.Helper()
	ctx := context.Background()
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
			f := publishedFact{partition: r.Partition}
			if err := json.Unmarshal(r.Value, &f); err != nil {
				t.Fatalf("%s: %v", r.Value, err)
			}
			all = append(all, f)
		})
	}
	return all
}

// TestPublishEveryKindOfFact bills, issues, credits and seals, and finds all of it in the topic, each with its account.
func TestPublishEveryKindOfFact(t *testing.T) {
	t.Parallel()
	b := kafkatest.Shared(t)
	p := newProgram(t)
	conn := p.connect(embedded.Superuser)
	p.file("events.csv", "id,source,stream,seqn,type,account,occurred_at,currency,amount\n"+
		"1,shop,o1,1,sold,acme,2025-01-10T10:00:00Z,USD,100\n2,shop,o1,2,sold,acme,2025-02-10T10:00:00Z,USD,50\n")
	p.must("ingest", "events.csv")
	p.must("close", "--through", "2025-01-31")
	p.must("close", "--through", "2025-02-28")
	p.must("invoices", "credit", "INV-000001", "--line", "1=5", "--reason", "broken", "--reference", "case-1")
	p.must("invoices", "void", "INV-000002", "--outcome", "rebill", "--why", "wrong address")
	p.must("reconcile")
	p.must("seal")
	topic := b.Topic(t, 2)
	p.must("publish", "--brokers", b.Address, "--topic", topic, "--once")
	all := published(t, b, topic)
	kinds := map[string]int{}
	for _, f := range all {
		kinds[f.Kind]++
		if f.Kind != "event" && (f.Data.Kind != f.Kind || f.Data.Fact["position"] != float64(f.Position)) {
			t.Errorf("%+v", f)
		}
		if slices.Contains([]string{"event", "invoice", "void", "credit-note"}, f.Kind) && f.Account != "acme" {
			t.Errorf("account %q of %+v", f.Account, f)
		}
		if f.Kind == "invoice" && len(f.Data.Rows) == 0 {
			t.Errorf("an invoice without lines: %+v", f)
		}
	}
	for _, table := range sealedFacts() {
		if n := one[int](t, conn, "SELECT count(*)::integer FROM "+table.Table); kinds[table.Kind] != n {
			t.Errorf("%d facts of kind %s are published, and there are %d", kinds[table.Kind], table.Kind, n)
		}
	}
	for _, kind := range []string{"event", "invoice", "invoice-number", "void", "credit-note", "reconciliation", "seal"} {
		if kinds[kind] == 0 {
			t.Errorf("no fact of kind %s is published: %v", kind, kinds)
		}
	}
	p.must("publish", "--brokers", b.Address, "--topic", topic, "--once")
	if n := len(published(t, b, topic)); n != len(all) {
		t.Errorf("published again without anything new: %d messages, and %d before", n, len(all))
	}
	one := b.Topic(t, 1)
	p.must("publish", "--brokers", b.Address, "--topic", one, "--name", "bills", "--kinds", "invoice,void", "--once")
	if n := len(published(t, b, one)); n != kinds["invoice"]+kinds["void"] {
		t.Errorf("%d messages with two kinds of %v", n, kinds)
	}
	for want, args := range map[string][]string{
		"must be among event": {"--topic", topic, "--kinds", "cake"}, "name of a topic": {}, "--from is 0": {"--topic", topic, "--from", "0"},
	} {
		if r := p.run(append([]string{"publish", "--brokers", b.Address, "--once"}, args...)...); r.code != exitUsage || !strings.Contains(r.stderr, want) {
			t.Errorf("publish %v: %d %s", args, r.code, r.stderr)
		}
	}
}

// TestPublisherIsKilled kills the publisher with -9 while it works, several times: every position arrives, in order for
// whoever drops repeats.
func TestPublisherIsKilled(t *testing.T) {
	t.Parallel()
	b := kafkatest.Shared(t)
	p := newProgram(t)
	conn := p.connect(embedded.Superuser)
	var text strings.Builder
	text.WriteString("id,source,stream,seqn,type,account,occurred_at,currency,amount\n")
	const n = 60_000
	for i := range n {
		fmt.Fprintf(&text, "%d,shop,o%d,1,sold,account-%d,2025-01-10T10:00:00Z,USD,100\n", i, i, i%29)
	}
	p.file("events.csv", text.String())
	p.must("ingest", "events.csv")
	topic := b.Topic(t, 3)
	args := []string{"publish", "--brokers", b.Address, "--topic", topic}
	admin := b.Admin(t)
	messages := func() (n int64) {
		ends, err := admin.ListEndOffsets(t.Context(), topic)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range ends.Offsets()[topic] {
			n += o.At
		}
		return n
	}
	for range 4 {
		before := messages()
		cmd := p.command(t.Context(), args...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		wait(t, "the publisher writes", func() bool { return messages() > before })
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
	}
	p.must(append(args, "--once")...)
	seen, repeats := map[int32]int64{}, 0
	var positions []int64
	for _, f := range published(t, b, topic) {
		if f.Position <= seen[f.partition] {
			repeats++
			continue
		}
		seen[f.partition] = f.Position
		positions = append(positions, f.Position)
	}
	slices.Sort(positions)
	if want := one[[]int64](t, conn, "SELECT array_agg(position ORDER BY position) FROM ledger.events"); !slices.Equal(positions, want) {
		t.Errorf("%d positions are published instead of %d", len(positions), len(want))
	}
	t.Logf("%d repeats", repeats)
}

// TestServePublishes lets a service write what it records, and another one of the same name take over.
func TestServePublishes(t *testing.T) {
	t.Parallel()
	b := kafkatest.Shared(t)
	p := newProgram(t)
	topic := b.Topic(t, 1)
	flags := []string{"--addr", "127.0.0.1:0", "--publish", "--publish-brokers", b.Address, "--publish-topic", topic, "--publish-kinds", "event"}
	first := len(published(t, b, topic))
	for round := range 2 {
		cmd := p.command(t.Context(), append([]string{"serve"}, flags...)...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		p.must("ingest", p.file(fmt.Sprintf("%d.csv", round), fmt.Sprintf("id,source,stream,seqn,type,account,occurred_at,currency,amount\n%[1]d,till,s%[1]d,1,sold,acme,2025-01-10T10:00:00Z,USD,1\n", round)))
		wait(t, "the service publishes", func() bool { return len(published(t, b, topic)) > first })
		first = len(published(t, b, topic))
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("serve ended with %v", err)
		}
	}
}

// wait waits for a fact.
func wait(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(3 * time.Minute); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within three minutes: %s", what)
		}
	}
}
