package export_test

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"deltaledger/export"
	"deltaledger/ledger"
)

// benchRows is how many events the benchmark's month holds; DELTALEDGER_BENCH_ROWS sets another number.
func benchRows(b *testing.B) int {
	b.Helper()
	text := os.Getenv("DELTALEDGER_BENCH_ROWS")
	if text == "" {
		return 100_000
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		b.Fatal(err)
	}
	return n
}

// fill records n events of December 2025, and some of January that no file of December holds.
func (d *desk) fill(b *testing.B, n int) {
	b.Helper()
	start := time.Date(2025, 12, 1, 0, 0, 0, 0, time.UTC)
	step := 31 * 24 * time.Hour / time.Duration(n)
	for at := 0; at < n; {
		batch := make([]ledger.Event, 0, ledger.MaxBatch)
		for ; len(batch) < ledger.MaxBatch && at < n; at++ {
			when := start.Add(time.Duration(at) * step).Truncate(time.Microsecond)
			if at%10 == 9 {
				when = when.AddDate(0, 1, 0)
			}
			batch = append(batch, ledger.Event{
				ID: fmt.Sprintf("%08x-%04x-4000-8000-%012x", at*2654435761%(1<<32), at%65536, at), Source: "orders",
				Stream: fmt.Sprintf("order-%d", at/3), Seqn: int64(at % 3), HasSeqn: true, Type: "line.sold", Account: fmt.Sprintf("account-%d", at%997),
				OccurredAt: when, Currency: []string{"EUR", "USD", "GBP"}[at%3], Amount: amount(b, fmt.Sprintf("%d.%02d", at%500, at%100)), Quantity: amount(b, "1"),
				Dimensions: []byte(fmt.Sprintf(`{"campaign":"winter-%d","country":"FR","partner":"pub-%d"}`, at%20, at%50)),
			})
		}
		d.append(b, batch...)
	}
}

// The same rows by PostgreSQL itself. %[1]s is what precedes and %[2]s what follows the question, so that psql's
// \copy asks the same.
const benchCopy = `%[1]s (SELECT position, business_date, occurred_at, recorded_at, source, event_id, stream, seqn, type, kind, account, currency, amount,
	quantity, dimensions, corrects, reason, reference, maker FROM ledger.events WHERE business_date >= '2025-12-01' AND business_date < '2026-01-01'
	%[2]s) TO %[3]s CSV HEADER`

// BenchmarkMonthlyCSV pulls a month's file into a file, and compares with psql's \copy of the same rows into a file in
// the same run, in no order and in the file's. A ratio is our rate by psql's: above 1 is faster.
func BenchmarkMonthlyCSV(b *testing.B) {
	d, n := newDesk(b), benchRows(b)
	d.fill(b, n)
	d.freeze(b, "2025-12")
	if _, err := d.db.Super.Exec(b.Context(), "VACUUM ANALYZE ledger.events"); err != nil {
		b.Fatal(err)
	}
	f, err := d.File(b.Context(), export.FileRequest{Month: month(b, "2025-12")})
	if err != nil {
		b.Fatal(err)
	}
	dir := b.TempDir()
	var ours, unordered, ordered time.Duration
	var most uint64
	for b.Loop() {
		start := time.Now()
		out, err := os.Create(filepath.Join(dir, "ours.csv"))
		if err != nil {
			b.Fatal(err)
		}
		peak := &memory{out: out}
		if _, err := f.Write(b.Context(), peak); err != nil {
			b.Fatal(err)
		}
		if err := out.Close(); err != nil {
			b.Fatal(err)
		}
		ours += time.Since(start)
		most = max(most, peak.most)
		unordered += copied(b, d, dir, "")
		ordered += copied(b, d, dir, "ORDER BY position")
	}
	b.ReportMetric(float64(ours.Nanoseconds())/float64(b.N)/float64(f.Rows), "ns/row")
	b.ReportMetric(unordered.Seconds()/ours.Seconds(), "file/psql")
	b.ReportMetric(ordered.Seconds()/ours.Seconds(), "file/psql-ordered")
	b.ReportMetric(float64(most)/(1<<20), "heap-MiB")
}

// copied is how long psql takes.
func copied(b *testing.B, d *desk, dir, order string) time.Duration {
	b.Helper()
	// psql's \copy takes one line.
	question := strings.ReplaceAll(fmt.Sprintf(benchCopy, `\copy`, order, "'"+filepath.Join(dir, "psql.csv")+"'"), "\n", " ")
	cmd := exec.CommandContext(b.Context(), "psql", "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--command", question, d.db.URL)
	start := time.Now()
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("psql, which is what this compares with: %v\n%s", err, out)
	}
	return time.Since(start)
}

// memory watches the heap while a file passes through.
type memory struct {
	out  io.Writer
	n    int
	most uint64
}

func (m *memory) Write(p []byte) (int, error) {
	if m.n++; m.n%20 == 1 {
		var s runtime.MemStats
		runtime.ReadMemStats(&s)
		m.most = max(m.most, s.HeapInuse)
	}
	return m.out.Write(p)
}
