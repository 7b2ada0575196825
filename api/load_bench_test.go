package api_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"deltaledger/ledger"
)

const (
	loadRate  = 100             // single events a second that are sent beside the load
	loadQuiet = 8 * time.Second // how long they are measured with nothing else
	loadLeast = 4 * time.Second // how long a load is kept up at least
)

// BenchmarkDurableWriteUnderLoad sends single events at a steady, modest rate, whether earlier ones were
// answered or not, and measures how long each takes from the moment that it was due until it is
// acknowledged: first with nothing else, then while other work runs, one kind after the other and then all
// of it at once. It prints the 99th percentiles and their ratios to the quiet one. Beside them, as often, a row is inserted
// into a table of one column through a connection of its own: what that takes, no service can be quicker than.
//
// DELTALEDGER_BENCH_EVENTS is the size of the atomic request, else 500,000.
func BenchmarkDurableWriteUnderLoad(b *testing.B) {
	asServed(b)
	for range b.N {
		w := newLoadBench(b)
		quiet := w.measure("quiet", func(ctx context.Context) { pause(ctx, loadQuiet) })
		b.ReportMetric(milliseconds(p99(quiet.Events)), "quiet-p99-ms")
		for _, load := range w.loads() {
			b.ReportMetric(float64(p99(w.during(load).Events))/float64(p99(quiet.Events)), load.name+"/quiet")
		}
		together := w.together()
		b.ReportMetric(milliseconds(p99(together.Events)), "together-p99-ms")
		b.ReportMetric(float64(p99(together.Events))/float64(p99(quiet.Events)), "together/quiet")
		b.ReportMetric(float64(p99(together.Rows))/float64(p99(quiet.Rows)), "row-together/quiet")
	}
}

// loadBench is a service and those who send single events to it.
type loadBench struct {
	*testing.B
	s       *service
	senders *senders
	events  int
	columns atomic.Int64
	bodies  chan string // of atomic requests
}

// load is other work, done again until it has taken long enough.
type load struct {
	name string
	do   func(context.Context)
}

func newLoadBench(b *testing.B) *loadBench {
	b.Helper()
	w := &loadBench{B: b, s: start(b, time.Time{}, nil), events: 500_000}
	if text := os.Getenv("DELTALEDGER_BENCH_EVENTS"); text != "" {
		var err error
		if w.events, err = strconv.Atoi(text); err != nil {
			b.Fatal(err)
		}
	}
	address, err := url.Parse(w.s.url)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := w.s.db.Super.Exec(b.Context(), "CREATE TABLE public.bare (n bigint)"); err != nil {
		b.Fatal(err)
	}
	w.settleLog()
	w.senders = startSenders(b, sendersTo{Host: address.Host, Database: w.s.db.Super.Config().ConnString()})
	w.prepare(8)
	w.atomic(b.Context()) // so that there is something to read
	return w
}

func (w *loadBench) loads() []load {
	return []load{
		{"watermarks", func(ctx context.Context) { // serve takes one a second
			w.check(w.s.l.TakeWatermark(ctx))
			pause(ctx, 100*time.Millisecond)
		}},
		{"atomic", w.atomic},
		{"export", func(ctx context.Context) { w.read(ctx, http.MethodGet, "/v1/exports/months/2026-01.csv?open=true", "") }},
		{"reconcile", func(ctx context.Context) { w.read(ctx, http.MethodPost, "/v1/reconciliations", "{}") }},
		{"schema", w.addColumn},
	}
}

// addColumn declares a column, and then gives it a rest: nobody declares several in five seconds.
func (w *loadBench) addColumn(ctx context.Context) {
	_, err := w.s.l.AddColumn(ctx, ledger.Column{
		Name: fmt.Sprint("bench_", w.columns.Add(1)), Kind: "dimension", Type: "text", Description: "of a benchmark", Owner: "bench", By: "bench",
	}, 0)
	if err != nil && !errors.Is(err, ledger.ErrBusy) { // it doesn't get between those who read for long
		w.Error(err)
	}
	pause(ctx, 5*time.Second)
}

// atomic records events in one request, all or none.
func (w *loadBench) atomic(ctx context.Context) {
	w.read(ctx, http.MethodPost, "/v1/events?atomic=true", <-w.bodies)
}

// prepare makes the bodies of atomic requests, which costs what it is a client's to pay.
func (w *loadBench) prepare(n int) {
	w.bodies = make(chan string, n)
	for k := range n {
		var body strings.Builder
		for i := range w.events {
			body.WriteString(singleEvent(1_000_000+k, i) + "\n")
		}
		w.bodies <- body.String()
	}
}

// read sends a request and reads its whole answer.
func (w *loadBench) read(ctx context.Context, method, path, body string) {
	request, err := http.NewRequestWithContext(ctx, method, w.s.url+path, strings.NewReader(body))
	if err != nil {
		w.Error(err)
		return
	}
	if request.Header.Set("Content-Type", "application/json"); strings.HasPrefix(path, "/v1/events") {
		request.Header.Set("Content-Type", "application/x-ndjson")
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		w.Error(err)
		return
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode >= http.StatusMultipleChoices {
		text, _ := io.ReadAll(io.LimitReader(response.Body, 1000))
		w.Errorf("%s: %d %s", path, response.StatusCode, text)
	}
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		w.Error(err)
	}
}

func (w *loadBench) check(_ any, err error) {
	if err != nil {
		w.Error(err)
	}
}

// during measures while a load is kept up.
func (w *loadBench) during(l load) took {
	return w.measure(l.name, func(ctx context.Context) {
		for began := time.Now(); time.Since(began) < loadLeast && (l.name != "atomic" || len(w.bodies) > 1); {
			l.do(ctx)
		}
	})
}

// together measures while the atomic request runs once more, with all other loads beside it.
func (w *loadBench) together() took {
	return w.measure("together", func(ctx context.Context) {
		var done atomic.Bool
		var group sync.WaitGroup
		for _, l := range w.loads() {
			if l.name == "atomic" {
				continue
			}
			group.Go(func() {
				for !done.Load() {
					l.do(ctx)
				}
			})
		}
		w.atomic(ctx)
		done.Store(true)
		group.Wait()
	})
}

// settleLog writes as much of the server's log as it keeps files of, so that what is measured meets a server as it is after
// its first hour: it writes into files that are there, instead of making each file while all commits wait.
func (w *loadBench) settleLog() {
	for range 24 {
		if _, err := w.s.db.Super.Exec(w.Context(), "SELECT count(pg_logical_emit_message(false, 'bench', repeat('x', 1000000))) FROM generate_series(1, 64)"); err != nil {
			w.Fatal(err)
		}
	}
	for range 2 {
		if _, err := w.s.db.Super.Exec(w.Context(), "CHECKPOINT"); err != nil {
			w.Fatal(err)
		}
	}
}

// measure has single events sent and rows inserted while work is done, and returns how long each took.
func (w *loadBench) measure(name string, work func(context.Context)) took {
	began := time.Now()
	t, err := w.senders.during(func() { work(w.Context()) })
	if err != nil || len(t.Events) == 0 || len(t.Rows) == 0 {
		w.Fatalf("%s: %d events and %d rows were sent: %v", name, len(t.Events), len(t.Rows), err)
	}
	w.Logf("%-10s %6.1f s  %5d events  p50 %8.2f ms  p99 %8.2f ms  max %8.2f ms; a bare row  p50 %8.2f ms  p99 %8.2f ms", name,
		time.Since(began).Seconds(), len(t.Events), milliseconds(t.Events[len(t.Events)/2]), milliseconds(p99(t.Events)),
		milliseconds(t.Events[len(t.Events)-1]), milliseconds(t.Rows[len(t.Rows)/2]), milliseconds(p99(t.Rows)))
	return t
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

func p99(took []time.Duration) time.Duration {
	took = slices.Sorted(slices.Values(took))
	return took[min(len(took)-1, len(took)*99/100)]
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
