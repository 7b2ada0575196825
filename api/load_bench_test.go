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

	"github.com/jackc/pgx/v5/pgxpool"

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
		b.ReportMetric(milliseconds(p99(quiet.events)), "quiet-p99-ms")
		for _, load := range w.loads() {
			b.ReportMetric(float64(p99(w.during(load).events))/float64(p99(quiet.events)), load.name+"/quiet")
		}
		together := w.together()
		b.ReportMetric(milliseconds(p99(together.events)), "together-p99-ms")
		b.ReportMetric(float64(p99(together.events))/float64(p99(quiet.events)), "together/quiet")
		b.ReportMetric(float64(p99(together.rows))/float64(p99(quiet.rows)), "row-together/quiet")
	}
}

// loadBench is a service and those who send single events to it.
type loadBench struct {
	*testing.B
	s       *service
	host    string
	clients chan *singleClient
	n       atomic.Int64
	events  int
	columns atomic.Int64
	bodies  chan string // of atomic requests
	rows    *pgxpool.Pool
}

// took is how long things took while something else was done, sorted.
type took struct{ events, rows []time.Duration }

// load is other work, done again until it has taken long enough.
type load struct {
	name string
	do   func(context.Context)
}

func newLoadBench(b *testing.B) *loadBench {
	b.Helper()
	w := &loadBench{B: b, s: start(b, time.Time{}, nil), clients: make(chan *singleClient, 1024), events: 500_000}
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
	w.host = address.Host
	if w.rows, err = pgxpool.NewWithConfig(b.Context(), w.s.db.Super.Config()); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(w.rows.Close)
	if _, err := w.rows.Exec(b.Context(), "CREATE TABLE public.bare (n bigint)"); err != nil {
		b.Fatal(err)
	}
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

// addColumn declares a column, and then gives it a rest: nobody declares several a second.
func (w *loadBench) addColumn(ctx context.Context) {
	_, err := w.s.l.AddColumn(ctx, ledger.Column{
		Name: fmt.Sprint("bench_", w.columns.Add(1)), Kind: "dimension", Type: "text", Description: "of a benchmark", Owner: "bench", By: "bench",
	}, 5*time.Second)
	if err != nil && !errors.Is(err, ledger.ErrBusy) { // it doesn't get between those who read for long
		w.Error(err)
	}
	pause(ctx, time.Second)
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

// measure sends single events and inserts rows while work is done, and returns how long each took.
func (w *loadBench) measure(name string, work func(context.Context)) took {
	ctx, cancel := context.WithCancel(w.Context())
	began := time.Now()
	events, rows := w.steadily(ctx, w.one), w.steadily(ctx, w.row)
	work(w.Context())
	cancel()
	t := took{<-events, <-rows}
	if len(t.events) == 0 || len(t.rows) == 0 {
		w.Fatalf("%s: nothing was sent", name)
	}
	w.Logf("%-10s %6.1f s  %5d events  p50 %8.2f ms  p99 %8.2f ms  max %8.2f ms; a bare row  p50 %8.2f ms  p99 %8.2f ms", name,
		time.Since(began).Seconds(), len(t.events), milliseconds(t.events[len(t.events)/2]), milliseconds(p99(t.events)),
		milliseconds(t.events[len(t.events)-1]), milliseconds(t.rows[len(t.rows)/2]), milliseconds(p99(t.rows)))
	return t
}

// steadily does something again and again until ctx ends, whether what it did before is done or not, and then says how long
// each time took from when it was due.
func (w *loadBench) steadily(ctx context.Context, do func()) <-chan []time.Duration {
	done := make(chan []time.Duration, 1)
	go func() {
		var mu sync.Mutex
		var all []time.Duration
		var group sync.WaitGroup
		began := time.Now()
		for i := 0; ; i++ {
			due := began.Add(time.Duration(i) * time.Second / loadRate)
			if pause(ctx, time.Until(due)); ctx.Err() != nil {
				break
			}
			group.Go(func() {
				do()
				mu.Lock()
				defer mu.Unlock()
				all = append(all, time.Since(due))
			})
		}
		group.Wait()
		slices.Sort(all)
		done <- all
	}()
	return done
}

// row inserts a row that nothing else is written for.
func (w *loadBench) row() {
	if _, err := w.rows.Exec(w.Context(), "INSERT INTO public.bare VALUES (1)"); err != nil {
		w.Error(err)
	}
}

// one sends one event and waits for its acknowledgement.
func (w *loadBench) one() {
	var client *singleClient
	select {
	case client = <-w.clients:
	default:
		var err error
		if client, err = dialSingle(w.host); err != nil {
			w.Error(err)
			return
		}
	}
	if err := client.send(singleEvent(2_000_000, int(w.n.Add(1)))); err != nil {
		w.Error(err)
		return
	}
	w.clients <- client
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
