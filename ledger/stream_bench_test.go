package ledger_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"deltaledger/ledger"
	"deltaledger/ledger/wire"
)

// streamLooks is how many streams BenchmarkStreamView looks at, after a tenth of them to warm up.
const streamLooks = 5000

// BenchmarkStreamView shows random streams of ten events, as of a watermark, in a ledger of as many events as benchEvents
// says. It prints the time that 99 of 100 of them stay below, beside that of looking up one key in the index of identities.
func BenchmarkStreamView(b *testing.B) {
	n := benchEvents(b)
	for range b.N {
		l, db := open(b)
		fillStreams(b, l, n)
		if _, err := db.Super.Exec(b.Context(), "VACUUM ANALYZE"); err != nil {
			b.Fatal(err)
		}
		w, err := l.TakeWatermark(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		asOf, random := strconv.FormatInt(w.Position, 10), rand.New(rand.NewPCG(1, 2))
		views := looks(b, func() error {
			v, err := l.Stream(b.Context(), "shop", fmt.Sprint("f-", random.IntN(n/10)), asOf)
			if err == nil && len(v.Entries) != 10 {
				err = fmt.Errorf("%d events in stream %s", len(v.Entries), v.Stream)
			}
			return err
		})
		conn, err := db.App.Acquire(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		lookups := looks(b, func() error {
			i := random.IntN(n)
			key := uuid.UUID(ledger.EventKey("shop", fmt.Sprintf("f-%d/%d", i/10, i%10)))
			var position int64
			return conn.QueryRow(b.Context(), "SELECT position FROM ledger.event_keys WHERE event_key = $1", [16]byte(key)).Scan(&position)
		})
		conn.Release()
		b.ReportMetric(float64(n), "events")
		b.ReportMetric(milliseconds(views[len(views)/2]), "stream-p50-ms")
		b.ReportMetric(milliseconds(views[len(views)*99/100]), "stream-p99-ms")
		b.ReportMetric(milliseconds(lookups[len(lookups)*99/100]), "lookup-p99-ms")
		b.ReportMetric(float64(views[len(views)*99/100])/float64(lookups[len(lookups)*99/100]), "stream/lookup")
		b.ReportMetric(0, "ns/op")
	}
}

// fillStreams records n events in streams of ten, by as many writers as there are processors.
func fillStreams(b *testing.B, l *ledger.Ledger, n int) {
	b.Helper()
	group, ctx := errgroup.WithContext(b.Context())
	group.SetLimit(runtime.GOMAXPROCS(0))
	for from := 0; from < n; from += ledger.MaxBatch {
		group.Go(func() error {
			events := make([]ledger.Event, 0, ledger.MaxBatch)
			for i := from; i < min(n, from+ledger.MaxBatch); i++ {
				e, bad := wire.DecodeOne([]byte(shopLine("f", i)), wire.Options{})
				if bad != nil {
					return bad
				}
				events = append(events, e)
			}
			_, err := l.Append(ctx, events)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		b.Fatal(err)
	}
}

// looks measures look after look and returns what they took, sorted.
func looks(b *testing.B, look func() error) []time.Duration {
	b.Helper()
	took := make([]time.Duration, 0, streamLooks)
	for i := range streamLooks + streamLooks/10 {
		began := time.Now()
		if err := look(); err != nil {
			b.Fatal(err)
		}
		if i >= streamLooks/10 {
			took = append(took, time.Since(began))
		}
	}
	slices.Sort(took)
	return took
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
