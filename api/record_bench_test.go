package api_test

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"deltaledger/migrations/pgtest"
)

// BenchmarkRecordStream records NDJSON over HTTP, as one request, and compares the rate with that of
// binary COPY of the very rows that came of it into the same tables of another ledger, by 10,000 to a
// transaction and with as many connections as processors. DELTALEDGER_BENCH_EVENTS says how many: 200,000.
func BenchmarkRecordStream(b *testing.B) {
	n := 200_000
	if text := os.Getenv("DELTALEDGER_BENCH_EVENTS"); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil {
			b.Fatal(err)
		}
	}
	var file bytes.Buffer
	for i := range n {
		file.WriteString(singleEvent(i/10, i%10) + "\n")
	}
	asServed(b)
	for range b.N {
		s := start(b, time.Time{}, nil)
		began := time.Now()
		a := s.want(s.do("POST", "/v1/events", bytes.NewReader(file.Bytes()), "Content-Type", ndjson), 200)
		recorded := float64(n) / time.Since(began).Seconds()
		if got := a.at(b, "recorded"); got != fmt.Sprint(n) {
			b.Fatalf("%s events are recorded", got)
		}
		copied := pgtest.CopyAgain(b, s.db.Super, start(b, time.Time{}, nil).db.Super, n)
		b.ReportMetric(copied, "copy-events/s")
		b.ReportMetric(recorded, "http-events/s")
		b.ReportMetric(recorded/copied, "http/copy")
	}
}
