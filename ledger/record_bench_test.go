package ledger_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"deltaledger/ledger"
	"deltaledger/ledger/wire"
	"deltaledger/migrations/pgtest"
)

// benchEvents is how many events the benchmarks record: DELTALEDGER_BENCH_EVENTS, else 200,000.
func benchEvents(b *testing.B) int {
	text := os.Getenv("DELTALEDGER_BENCH_EVENTS")
	if text == "" {
		return 200_000
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		b.Fatal(err)
	}
	return n
}

// shopLine is event n of a made-up shop with streams of ten events, as it stands in an NDJSON file.
func shopLine(prefix string, n int) string {
	return fmt.Sprintf(`{"id":"%s-%d/%d","source":"shop","stream":"%s-%d","seqn":%d,"type":"line.sold","account":"cust-%d",`+
		`"occurred_at":"2026-01-%02dT%02d:26:00Z","currency":"GBP","amount":"%d.%02d","quantity":"%d","dimensions":{"country":"United Kingdom","stock_code":"8%d"}}`,
		prefix, n/10, n%10, prefix, n/10, n%10, n/10*7919%4373, 1+n/10%28, n%24, n%97, n%100, 1+n%12, n*31%10007)
}

// BenchmarkRecord records NDJSON, line by line what a client would send, and compares the rate with that
// of binary COPY of the same rows, encoded beforehand, into the same tables with as many connections as
// processors, and with sending the same lines a second time. It prints the ratios.
func BenchmarkRecord(b *testing.B) {
	n := benchEvents(b)
	for round := range b.N {
		l, db := open(b)
		cpu := cpuPerEvent(b, db, n)
		batches := encoded(b, l, fmt.Sprint("c", round), n)
		copied, copyCPU := cpu(func() float64 { return copyRate(b, l, batches, n) })
		var file bytes.Buffer
		for i := range n {
			file.WriteString(shopLine(fmt.Sprint("r", round), i) + "\n")
		}
		before := one[int64](b, db, sqlDisk)
		first, firstCPU := cpu(func() float64 {
			return ingestRate(b, l, file.Bytes(), func(s wire.Summary) int64 { return s.Recorded }, n)
		})
		disk := one[int64](b, db, sqlDisk) - before
		again, againCPU := cpu(func() float64 {
			return ingestRate(b, l, file.Bytes(), func(s wire.Summary) int64 { return s.Duplicate }, n)
		})
		b.ReportMetric(copied, "copy-events/s")
		b.ReportMetric(first, "record-events/s")
		b.ReportMetric(first/copied, "record/copy")
		b.ReportMetric(again/first, "again/first")
		b.ReportMetric(firstCPU/copyCPU, "record/copy-cpu")
		b.ReportMetric(firstCPU, "record-cpu-us/event")
		b.ReportMetric(againCPU, "again-cpu-us/event")
		b.ReportMetric(float64(disk)/float64(n), "disk-bytes/event")
	}
}

// What a recorded event takes on disk: its row, its key, its private content, and their indexes.
const sqlDisk = `
SELECT sum(pg_total_relation_size(c.oid))::bigint
FROM pg_class c
WHERE c.relnamespace = 'ledger'::regnamespace AND c.relkind = 'r'
  AND (c.relispartition OR c.relname IN ('event_keys', 'private'))`

func ingestRate(b *testing.B, l *ledger.Ledger, file []byte, counted func(wire.Summary) int64, n int) float64 {
	began := time.Now()
	sum, err := wire.Ingest(b.Context(), l, bytes.NewReader(file), wire.NDJSON, wire.IngestOptions{})
	took := time.Since(began)
	if err != nil || counted(sum) != int64(n) {
		b.Fatalf("%+v, %v", sum, err)
	}
	return float64(n) / took.Seconds()
}

func encoded(b *testing.B, l *ledger.Ledger, prefix string, n int) []ledger.Encoded {
	events := make([]ledger.Event, n)
	for i := range events {
		e, bad := wire.DecodeOne([]byte(shopLine(prefix, i)), wire.Options{})
		if bad != nil {
			b.Fatal(bad)
		}
		events[i] = e
	}
	const far = 1 << 40 // away from the positions that the ledger draws
	batches, err := l.EncodeAll(b.Context(), events, far, time.Now())
	if err != nil {
		b.Fatal(err)
	}
	return batches
}

func copyRate(b *testing.B, l *ledger.Ledger, batches []ledger.Encoded, n int) float64 {
	group, ctx := errgroup.WithContext(context.Background())
	group.SetLimit(runtime.GOMAXPROCS(0))
	began := time.Now()
	for _, e := range batches {
		group.Go(func() error { return ledger.CopyEncoded(ctx, l.Pool(), e) })
	}
	if err := group.Wait(); err != nil {
		b.Fatal(err)
	}
	return float64(n) / time.Since(began).Seconds()
}

// cpuPerEvent measures beside a rate the processor time of one of n events, of this process and the server, in
// microseconds.
func cpuPerEvent(b *testing.B, db *pgtest.DB, n int) func(rate func() float64) (float64, float64) {
	return func(rate func() float64) (float64, float64) {
		self, server := pgtest.CPU(b, db)
		events := rate()
		selfAfter, serverAfter := pgtest.CPU(b, db)
		return events, (selfAfter + serverAfter - self - server).Seconds() / float64(n) * 1e6
	}
}

// BenchmarkRecordStates records streams of ten events that say what stands, of every hundred one after
// its successor, and compares the rate with that of the same streams sent as changes.
func BenchmarkRecordStates(b *testing.B) {
	n := benchEvents(b)
	for round := range b.N {
		l, db := open(b)
		cpu := cpuPerEvent(b, db, n)
		declareStates(b, l, "till")
		var deltas, states bytes.Buffer
		for i := range n {
			deltas.WriteString(shopLine(fmt.Sprint("d", round), i) + "\n")
			states.WriteString(stateLine(fmt.Sprint("s", round), lateInHundred(i)) + "\n")
		}
		recorded := func(s wire.Summary) int64 { return s.Recorded }
		changes, changesCPU := cpu(func() float64 { return ingestRate(b, l, deltas.Bytes(), recorded, n) })
		stands, standsCPU := cpu(func() float64 { return ingestRate(b, l, states.Bytes(), recorded, n) })
		b.ReportMetric(changes, "delta-events/s")
		b.ReportMetric(stands, "state-events/s")
		b.ReportMetric(stands/changes, "states/deltas")
		b.ReportMetric(standsCPU/changesCPU, "states/deltas-cpu")
		b.ReportMetric(standsCPU, "state-cpu-us/event")
	}
}

// lateInHundred is the order in which events come of which one in a hundred is overtaken by the next.
func lateInHundred(i int) int {
	switch i % 100 {
	case 42:
		return i + 1
	case 43:
		return i - 1
	}
	return i
}

// stateLine is event n of a made-up till with streams of ten events.
func stateLine(prefix string, n int) string {
	line := strings.Replace(shopLine(prefix, n), `"source":"shop"`, `"source":"till"`, 1)
	at := strings.Index(line, `"amount"`)
	end := strings.Index(line, `,"dimensions"`)
	return line[:at] + `"state":{` + line[at:end] + `}` + line[end:]
}
