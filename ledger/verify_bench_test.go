package ledger_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"deltaledger/ledger"
	"deltaledger/ledger/wire"
)

// BenchmarkVerify seals and verifies a ledger, and compares the rate of verifying with that of the program
// sha256sum over the same canonical texts, as many at once as there are processors. It prints the ratio,
// and what sealing costs for each event.
func BenchmarkVerify(b *testing.B) {
	n := benchEvents(b)
	l, s, _ := sealing(b)
	var file bytes.Buffer
	for i := range n {
		file.WriteString(shopLine("v", i) + "\n")
	}
	if _, err := wire.Ingest(b.Context(), l, &file, wire.NDJSON, wire.IngestOptions{}); err != nil {
		b.Fatal(err)
	}
	w, err := l.TakeWatermark(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	began := time.Now()
	if _, facts, err := s.SealAll(b.Context()); err != nil || facts != int64(n) {
		b.Fatal(facts, err)
	}
	b.ReportMetric(float64(time.Since(began).Microseconds())/float64(n), "seal-µs/event")
	texts, err := s.LeafBytes(b.Context(), 0, w.Position)
	if err != nil {
		b.Fatal(err)
	}
	for range b.N {
		began = time.Now()
		r, err := s.Verify(b.Context(), ledger.VerifyRequest{})
		took := time.Since(began)
		if err != nil || r.Difference != nil || r.Facts != int64(n) {
			b.Fatalf("%+v, %v", r, err)
		}
		size, summed := sha256sum(b, texts)
		b.ReportMetric(float64(n)/took.Seconds(), "verify-events/s")
		b.ReportMetric(float64(size)/float64(n), "bytes/event")
		b.ReportMetric(summed.Seconds()/took.Seconds(), "verify/sha256sum")
	}
}

// sha256sum hashes the texts with the program of that name, in as many files at once as there are processors.
func sha256sum(b *testing.B, texts [][]byte) (size int, took time.Duration) {
	b.Helper()
	workers := runtime.GOMAXPROCS(0)
	files := make([]bytes.Buffer, workers)
	for i, text := range texts {
		files[i*workers/len(texts)].Write(text)
		size += len(text)
	}
	dir := b.TempDir()
	for i := range files {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), files[i].Bytes(), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	var group errgroup.Group
	began := time.Now()
	for i := range files {
		group.Go(func() error { return exec.Command("sha256sum", filepath.Join(dir, fmt.Sprint(i))).Run() })
	}
	if err := group.Wait(); err != nil {
		b.Fatal(err)
	}
	return size, time.Since(began)
}
