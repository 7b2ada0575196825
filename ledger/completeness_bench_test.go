package ledger_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"deltaledger/ledger"
)

// BenchmarkCompletenessStep looks at 10,000 new events in a ledger of 100,000 events, and in the same one
// when it has 1,000,000: in-order ones of new streams, and ones that continue old streams and fill gaps
// in them. It prints the growth. DELTALEDGER_BENCH_EVENTS is the larger size.
func BenchmarkCompletenessStep(b *testing.B) {
	const batch, rounds = 10_000, 9
	for range b.N {
		l, db := open(b)
		n := 0
		small := fill(b, l, &n, 100_000)
		few := steps(b, l, &n, batch, rounds)
		b.Logf("%d events, %d of them before the first step: %v for %d more", n, small, few, batch)
		large := max(benchEvents(b), 1_000_000)
		began := time.Now()
		fill(b, l, &n, large-n)
		b.Logf("recorded and looked at the rest in %v", time.Since(began).Round(time.Millisecond))
		many := steps(b, l, &n, batch, rounds)
		b.Logf("%d events: %v for %d more; %d gaps are open", n, many, batch, one[int](b, db, `SELECT count(*) FROM ledger.completeness_gaps`))
		b.ReportMetric(float64(few.Microseconds())/1000, "step-at-100k-ms")
		b.ReportMetric(float64(many.Microseconds())/1000, "step-at-1M-ms")
		b.ReportMetric(float64(many)/float64(few), "growth")
	}
}

// arrivals are n events from number *from on: streams of ten, in which every fiftieth event is missing
// until 5,000 events later.
func arrivals(from *int, n int) []ledger.Event {
	all := make([]ledger.Event, 0, n)
	for ; len(all) < n; *from++ {
		if *from%50 == 3 {
			if *from > 5_000 {
				all = append(all, arrivalOf(*from-5_000))
			}
			continue
		}
		all = append(all, arrivalOf(*from))
	}
	return all
}

func arrivalOf(n int) ledger.Event {
	e := sale(fmt.Sprint("order-", n/10), n%10)
	e.ID = fmt.Sprint("e", n)
	return e
}

// fill records n events and has them looked at.
func fill(b *testing.B, l *ledger.Ledger, from *int, n int) int {
	b.Helper()
	for done := 0; done < n; done += ledger.MaxBatch {
		appendAll(b, l, arrivals(from, min(ledger.MaxBatch, n-done))...)
	}
	look(b, l)
	return n
}

// look has everything looked at that is recorded, and returns how long that took.
func look(b *testing.B, l *ledger.Ledger) time.Duration {
	b.Helper()
	if _, err := l.TakeWatermark(b.Context()); err != nil {
		b.Fatal(err)
	}
	began := time.Now()
	if behind, err := l.AdvanceCompleteness(b.Context(), 0); err != nil || behind != 0 {
		b.Fatalf("%d behind, %v", behind, err)
	}
	return time.Since(began)
}

// steps is the median time that it takes to look at a batch of new events.
func steps(b *testing.B, l *ledger.Ledger, from *int, batch, rounds int) time.Duration {
	b.Helper()
	took := make([]time.Duration, rounds)
	for i := range took {
		appendAll(b, l, arrivals(from, batch)...)
		took[i] = look(b, l)
	}
	slices.Sort(took)
	return took[rounds/2]
}
