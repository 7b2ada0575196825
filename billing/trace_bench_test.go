package billing

import (
	"io"
	"runtime"
	"testing"
	"time"
)

const sqlPinnedAlone = `
COPY (
    SELECT e.position, e.recorded_at, e.occurred_at, p.origin_start, e.source, e.event_id, e.stream, e.seqn, e.type, e.kind, e.currency, e.amount, e.quantity
    FROM billing.pins p
    JOIN ledger.events e ON e.position = p.position AND e.recorded_at = p.recorded_at
    ORDER BY p.position
) TO STDOUT (FORMAT binary)`

// The events of an invoice of a million, against a COPY of the same columns of the same rows. The ratio is the rate over that
// of the COPY; heap is how much more is live in the middle of it than before.
func BenchmarkEventsOfInvoice(b *testing.B) {
	const n = 1_000_000
	f := newFixture(b, "2026-02-10T00:00:00Z")
	f.fill(n, 1)
	f.close("2026-01-31")
	if _, err := f.db.Super.Exec(b.Context(), "ANALYZE billing.pins"); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		before, seen, most := live(), 0, uint64(0)
		start := time.Now()
		var measuring time.Duration
		err := f.b.Events(b.Context(), "INV-000001", func(PinnedEvent) error {
			if seen++; seen%250_000 == 0 {
				at := time.Now()
				most = max(most, live())
				measuring += time.Since(at)
			}
			return nil
		})
		if err != nil || seen != n {
			b.Fatalf("%d events: %v", seen, err)
		}
		took := time.Since(start) - measuring
		b.StopTimer()
		conn, err := f.db.App.Acquire(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		start = time.Now()
		if _, err := conn.Conn().PgConn().CopyTo(b.Context(), io.Discard, sqlPinnedAlone); err != nil {
			b.Fatal(err)
		}
		alone := time.Since(start)
		conn.Release()
		b.ReportMetric(n/took.Seconds(), "events/s")
		b.ReportMetric(alone.Seconds()/took.Seconds(), "ratio")
		b.ReportMetric(float64(int64(most)-int64(before))/(1<<20), "heap-MiB")
		b.StartTimer()
	}
}

// live is how many bytes are in use after a collection.
func live() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
