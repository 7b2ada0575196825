//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// soakClients is how many keep-alive clients send single events at once.
const soakClients = 64

// soakParts is in how many parts a soak is looked at: the first quarter of them is held against the last.
const soakParts = 20

// BenchmarkSoak finds the highest rate of single events over HTTP, and then sends at half of it for as long as
// DELTALEDGER_SOAK says (20s; the real thing is 1h) to a service on a durable PostgreSQL. It prints the latency, counted
// from when each event was due, and the memory of the service in the last quarter against the first, and how far seals
// stayed behind. At the end every acknowledged event must be there and the seals must verify.
func BenchmarkSoak(b *testing.B) {
	length := 20 * time.Second
	if text := os.Getenv("DELTALEDGER_SOAK"); text != "" {
		var err error
		if length, err = time.ParseDuration(text); err != nil {
			b.Fatal(err)
		}
	}
	for round := range b.N {
		s := newSoak(b, round)
		top := s.top(max(5*time.Second, min(length/10, 30*time.Second)))
		rate := top / 2
		parts := s.steady(rate, length)
		s.check()
		first, last := parts[:soakParts/4], parts[soakParts-soakParts/4:]
		b.ReportMetric(top, "top-events/s")
		b.ReportMetric(rate, "soak-events/s")
		b.ReportMetric(milliseconds(p99(last)), "last-p99-ms")
		b.ReportMetric(milliseconds(p99(last))/milliseconds(p99(first)), "p99-last/first")
		b.ReportMetric(memory(last)/memory(first), "memory-last/first")
		b.ReportMetric(memory(last)/(1<<20), "memory-MiB")
		b.ReportMetric(behind(parts), "seals-behind-s")
		b.ReportMetric(0, "ns/op")
	}
}

// soak is a service under load.
type soak struct {
	b       *testing.B
	p       *program
	service *service
	watch   *pgx.Conn
	client  *http.Client
	prefix  string
	next    atomic.Int64 // number of the next event
	acked   atomic.Int64
	failed  atomic.Int64
}

func newSoak(b *testing.B, round int) *soak {
	b.Helper()
	dir, err := os.MkdirTemp("/var/tmp", "deltaledger-soak-") // a disk, not memory
	if err != nil {
		b.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = os.RemoveAll(dir) })
	p := &program{t: b, dir: dir, args: []string{"--data-dir", filepath.Join(dir, "data"), "--quiet"}}
	b.Cleanup(func() { p.run("db", "stop") })
	s := &soak{b: b, p: p, prefix: fmt.Sprint("s", round), client: &http.Client{
		Transport: &http.Transport{MaxIdleConns: soakClients, MaxIdleConnsPerHost: soakClients, DisableCompression: true},
		Timeout:   time.Minute,
	}}
	s.service = p.serve()
	b.Cleanup(func() {
		_ = s.service.cmd.Process.Signal(syscall.SIGTERM)
		_ = s.service.cmd.Wait()
	})
	if s.watch, err = pgx.Connect(context.Background(), strings.TrimSpace(p.must("db", "url"))); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.watch.Close(context.Background()) })
	return s
}

// send sends the next event.
func (s *soak) send() {
	n := s.next.Add(1)
	body := fmt.Sprintf(`{"id":"%s-%d","source":"shop","stream":"%s-%d","seqn":%d,"type":"line.sold","account":"cust-%d","occurred_at":"2026-01-%02dT%02d:26:00Z",`+
		`"currency":"GBP","amount":"%d.%02d","quantity":"%d","dimensions":{"country":"United Kingdom","stock_code":"8%d"}}`,
		s.prefix, n, s.prefix, n/10, n%10, n/10*7919%4373, 1+n/10%28, n%24, n%97, n%100, 1+n%12, n*31%10007)
	response, err := s.client.Post(s.service.url+"/v1/events", "application/json", strings.NewReader(body))
	if err != nil {
		s.failed.Add(1)
		return
	}
	_, _ = io.Copy(io.Discard, response.Body)
	_ = response.Body.Close()
	if response.StatusCode == http.StatusCreated {
		s.acked.Add(1)
	} else {
		s.failed.Add(1)
	}
}

// top sends as fast as the clients can and returns the rate.
func (s *soak) top(length time.Duration) float64 {
	began, before := time.Now(), s.acked.Load()
	var clients sync.WaitGroup
	for range soakClients {
		clients.Go(func() {
			for time.Since(began) < length {
				s.send()
			}
		})
	}
	clients.Wait()
	return float64(s.acked.Load()-before) / time.Since(began).Seconds()
}

// part is what was seen in one part of a soak.
type part struct {
	latency []time.Duration // from when each event was due until its answer, sorted
	memory  float64         // of the service, in bytes
	behind  float64         // the oldest fact that no seal covers, in seconds
}

// steady sends at a rate, whatever the answers take.
func (s *soak) steady(rate float64, length time.Duration) []part {
	parts := make([]part, soakParts)
	var lock sync.Mutex
	began, number := time.Now(), atomic.Int64{}
	total := int64(rate * length.Seconds())
	var clients sync.WaitGroup
	for range soakClients {
		clients.Go(func() {
			for {
				i := number.Add(1) - 1
				if i >= total {
					return
				}
				due := began.Add(time.Duration(float64(i) / rate * float64(time.Second)))
				time.Sleep(time.Until(due))
				s.send()
				took := time.Since(due)
				lock.Lock()
				p := &parts[i*soakParts/total]
				p.latency = append(p.latency, took)
				lock.Unlock()
			}
		})
	}
	for i := range parts {
		time.Sleep(time.Until(began.Add(length * time.Duration(i+1) / soakParts)))
		memory, behind := s.memory(), one[float64](s.b, s.watch, sqlUnsealed)
		lock.Lock()
		parts[i].memory, parts[i].behind = memory, behind
		s.b.Logf("%5.1f%%: %d events, p99 %.1f ms, %.0f MiB, seals %.1f s behind", 100*float64(i+1)/soakParts, s.acked.Load(),
			milliseconds(p99(parts[i:i+1])), memory/(1<<20), behind)
		lock.Unlock()
	}
	clients.Wait()
	return parts
}

// How old the first event is that no seal covers.
const sqlUnsealed = `
SELECT COALESCE(extract(epoch FROM clock_timestamp() - (
    SELECT recorded_at
    FROM ledger.events
    WHERE position > COALESCE((SELECT max(last_position) FROM ledger.seals), 0)
    ORDER BY position
    LIMIT 1)), 0)::float8`

// memory is what the service has in memory, in bytes.
func (s *soak) memory() float64 {
	s.b.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.service.cmd.Process.Pid))
	if err != nil {
		s.b.Fatal(err)
	}
	for line := range bytes.Lines(status) {
		if rest, found := bytes.CutPrefix(line, []byte("VmRSS:")); found {
			kilobytes, err := strconv.ParseFloat(strings.Fields(string(rest))[0], 64)
			if err != nil {
				s.b.Fatal(err)
			}
			return 1024 * kilobytes
		}
	}
	s.b.Fatal("the system doesn't say how much memory the service has")
	return 0
}

// check holds the ledger against what was acknowledged.
func (s *soak) check() {
	s.b.Helper()
	if n := s.failed.Load(); n > 0 {
		s.b.Errorf("%d events were not recorded", n)
	}
	if n := one[int64](s.b, s.watch, "SELECT count(*) FROM ledger.events"); n != s.acked.Load() {
		s.b.Errorf("%d events are recorded, %d were acknowledged", n, s.acked.Load())
	}
	s.p.must("seal")
	s.p.must("verify")
}

func p99(parts []part) time.Duration {
	var all []time.Duration
	for _, p := range parts {
		all = append(all, p.latency...)
	}
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[len(all)*99/100]
}

func memory(parts []part) float64 {
	sum := 0.0
	for _, p := range parts {
		sum += p.memory
	}
	return sum / float64(len(parts))
}

func behind(parts []part) float64 {
	most := 0.0
	for _, p := range parts {
		most = max(most, p.behind)
	}
	return most
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
