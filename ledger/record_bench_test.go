package ledger_test

import (
	"bytes"
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
// of binary COPY of the same rows, encoded beforehand, into the same tables of another database with as many connections
// as processors, and with sending the same lines a second time. The two take turns with a part of the events each, so
// that both meet tables of every size and the same noise. It prints the ratios, of the last part too.
func BenchmarkRecord(b *testing.B) {
	n := benchEvents(b)
	size := min(max(n/10, 50_000), 500_000)
	for range b.N {
		l, db := open(b)
		other, _ := open(b)
		before := one[int64](b, db, sqlDisk)
		var copied, first, again spent
		var last float64 // the ratio of the last part
		for from := 0; from < n; from += size {
			part := min(size, n-from)
			batches, file := encoded(b, other, from, part), shopLines("r", from, part)
			c := measured(b, db, part, func() { copyAll(b, other, batches) })
			r := measured(b, db, part, func() { ingestAll(b, l, file, func(s wire.Summary) int64 { return s.Recorded }, part) })
			copied.add(c)
			first.add(r)
			last = r.rate() / c.rate()
			b.Logf("%9d: COPY %7.0f events/s, %5.2f µs each; record %7.0f, %5.2f", from+part, c.rate(), c.cpuEach(), r.rate(), r.cpuEach())
		}
		disk := one[int64](b, db, sqlDisk) - before
		for from := 0; from < n; from += size {
			part := min(size, n-from)
			file := shopLines("r", from, part)
			again.add(measured(b, db, part, func() { ingestAll(b, l, file, func(s wire.Summary) int64 { return s.Duplicate }, part) }))
		}
		b.ReportMetric(copied.rate(), "copy-events/s")
		b.ReportMetric(first.rate(), "record-events/s")
		b.ReportMetric(first.rate()/copied.rate(), "record/copy")
		b.ReportMetric(last, "last-record/copy")
		b.ReportMetric(again.rate()/first.rate(), "again/first")
		b.ReportMetric(first.cpuEach()/copied.cpuEach(), "record/copy-cpu")
		b.ReportMetric(first.cpuEach(), "record-cpu-us/event")
		b.ReportMetric(again.cpuEach(), "again-cpu-us/event")
		b.ReportMetric(float64(disk)/float64(n), "disk-bytes/event")
	}
}

// spent is what some events took: time, and processor time of this process and the server together.
type spent struct {
	events    int
	took, cpu time.Duration
}

func (s *spent) add(more spent) {
	s.events, s.took, s.cpu = s.events+more.events, s.took+more.took, s.cpu+more.cpu
}

func (s spent) rate() float64    { return float64(s.events) / s.took.Seconds() }
func (s spent) cpuEach() float64 { return s.cpu.Seconds() / float64(s.events) * 1e6 } // microseconds

// measured does something with n events after what was there has been tidied up.
func measured(b *testing.B, db *pgtest.DB, n int, do func()) spent {
	b.Helper()
	runtime.GC()
	self, server := pgtest.CPU(b, db)
	began := time.Now()
	do()
	took := time.Since(began)
	selfAfter, serverAfter := pgtest.CPU(b, db)
	return spent{n, took, selfAfter + serverAfter - self - server}
}

// shopLines is n events of a made-up shop, from event first on.
func shopLines(prefix string, first, n int) []byte {
	var file bytes.Buffer
	for i := range n {
		file.WriteString(shopLine(prefix, first+i) + "\n")
	}
	return file.Bytes()
}

// What a recorded event takes on disk: its row, its key, its private content, and their indexes.
const sqlDisk = `
SELECT sum(pg_total_relation_size(c.oid))::bigint
FROM pg_class c
WHERE c.relnamespace = 'ledger'::regnamespace AND c.relkind = 'r'
  AND (c.relispartition OR c.relname IN ('event_keys', 'private'))`

func ingestAll(b *testing.B, l *ledger.Ledger, file []byte, counted func(wire.Summary) int64, n int) {
	b.Helper()
	sum, err := wire.Ingest(b.Context(), l, bytes.NewReader(file), wire.NDJSON, wire.IngestOptions{})
	if err != nil || counted(sum) != int64(n) {
		b.Fatalf("%+v, %v", sum, err)
	}
}

// encoded are n events from event first on, as rows whose positions follow their numbers.
func encoded(b *testing.B, l *ledger.Ledger, first, n int) []ledger.Encoded {
	b.Helper()
	events := make([]ledger.Event, n)
	for i := range events {
		e, bad := wire.DecodeOne([]byte(shopLine("c", first+i)), wire.Options{})
		if bad != nil {
			b.Fatal(bad)
		}
		events[i] = e
	}
	batches, err := l.EncodeAll(b.Context(), events, int64(first+1), time.Now())
	if err != nil {
		b.Fatal(err)
	}
	return batches
}

func copyAll(b *testing.B, l *ledger.Ledger, batches []ledger.Encoded) {
	b.Helper()
	group, ctx := errgroup.WithContext(b.Context())
	group.SetLimit(runtime.GOMAXPROCS(0))
	for _, e := range batches {
		group.Go(func() error { return ledger.CopyEncoded(ctx, l.Pool(), e) })
	}
	if err := group.Wait(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkRecordStates records streams of ten events that say what stands, of every hundred one after
// its successor, and compares the rate with that of the same streams sent as changes.
func BenchmarkRecordStates(b *testing.B) {
	n := benchEvents(b)
	for round := range b.N {
		l, db := open(b)
		declareStates(b, l, "till")
		var deltas, states bytes.Buffer
		for i := range n {
			deltas.WriteString(shopLine(fmt.Sprint("d", round), i) + "\n")
			states.WriteString(stateLine(fmt.Sprint("s", round), lateInHundred(i)) + "\n")
		}
		recorded := func(s wire.Summary) int64 { return s.Recorded }
		changes := measured(b, db, n, func() { ingestAll(b, l, deltas.Bytes(), recorded, n) })
		stands := measured(b, db, n, func() { ingestAll(b, l, states.Bytes(), recorded, n) })
		b.ReportMetric(changes.rate(), "delta-events/s")
		b.ReportMetric(stands.rate(), "state-events/s")
		b.ReportMetric(stands.rate()/changes.rate(), "states/deltas")
		b.ReportMetric(stands.cpuEach()/changes.cpuEach(), "states/deltas-cpu")
		b.ReportMetric(stands.cpuEach(), "state-cpu-us/event")
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
