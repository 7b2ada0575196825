package api_test

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"deltaledger/api"
	"deltaledger/migrations/pgtest"
)

const (
	singleClients = 64
	singleSeconds = 4 // of each measurement
)

// BenchmarkSingleEvents sends single events over HTTP, each acknowledged before its client sends the next
// one, from 64 clients that keep their connections; and compares the rate with that of pgbench, which
// inserts the same rows into one table with the columns and indexes of ledger.events, from as many
// clients, on the same server. It prints the ratio.
func BenchmarkSingleEvents(b *testing.B) {
	asServed(b)
	for range b.N {
		s := start(b, time.Time{}, func(c *api.Config) {
			c.Logger = slog.New(slog.NewJSONHandler(io.Discard, nil)) // written as it is to a terminal, and read by nobody
		})
		_, idle := pgtest.CPU(b, s.db)
		inserts := pgbench(b, s.db)
		self, server := pgtest.CPU(b, s.db)
		events := singleRate(b, s)
		selfAfter, serverAfter := pgtest.CPU(b, s.db)
		b.ReportMetric(inserts, "pgbench-events/s")
		b.ReportMetric(events, "http-events/s")
		b.ReportMetric(events/inserts, "http/pgbench")
		perEvent := func(rate float64, took time.Duration) float64 {
			return took.Seconds() / (rate * singleSeconds) * 1e6
		}
		b.ReportMetric(perEvent(inserts, server-idle), "pgbench-server-cpu-us/event")
		b.ReportMetric(perEvent(events, serverAfter-server), "http-server-cpu-us/event")
		b.ReportMetric(perEvent(events, selfAfter-self), "http-program-cpu-us/event")
	}
}

// asServed gives the benchmark what serve gives the service: a floor under the heap, and a thread to spare.
func asServed(b *testing.B) {
	b.Helper()
	ballast := make([]byte, 64<<20)
	before := runtime.GOMAXPROCS(0)
	runtime.GOMAXPROCS(before + 1)
	b.Cleanup(func() {
		runtime.GOMAXPROCS(before)
		runtime.KeepAlive(ballast)
	})
}

// singleRate is how many events a second the service acknowledges.
func singleRate(b *testing.B, s *service) float64 {
	address, err := url.Parse(s.url)
	if err != nil {
		b.Fatal(err)
	}
	var recorded atomic.Int64
	var group errgroup.Group
	began := time.Now()
	end := began.Add(singleSeconds * time.Second)
	for c := range singleClients {
		group.Go(func() error {
			client, err := dialSingle(address.Host)
			if err != nil {
				return err
			}
			defer func() { _ = client.conn.Close() }()
			for n := 0; time.Now().Before(end); n++ {
				if err := client.send(singleEvent(c, n)); err != nil {
					return err
				}
				recorded.Add(1)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		b.Fatal(err)
	}
	took := time.Since(began)
	if n := s.recorded(); int64(n) != recorded.Load() {
		b.Fatalf("%d events were acknowledged, and %d are recorded", recorded.Load(), n)
	}
	return float64(recorded.Load()) / took.Seconds()
}

// singleEvent is event n of client c.
func singleEvent(c, n int) string {
	return fmt.Sprintf(`{"id":"s-%d/%d","source":"shop","stream":"s-%d-%d","seqn":%d,"type":"line.sold","account":"cust-%d",`+
		`"occurred_at":"2026-01-%02dT%02d:26:00Z","currency":"GBP","amount":"%d.%02d","quantity":"%d","dimensions":{"country":"United Kingdom","stock_code":"8%d"}}`,
		c, n, c, n/10, n%10, (c*7919+n)%4373, 1+n%28, n%24, n%97, n%100, 1+n%12, n*31%10007)
}

// singleClient is as little as a client can be, as pgbench is: what it costs comes off the server's share
// of the processors.
type singleClient struct {
	conn    net.Conn
	host    string
	request []byte
	answer  []byte
}

func dialSingle(host string) (*singleClient, error) {
	conn, err := net.Dial("tcp", host)
	if err != nil {
		return nil, err
	}
	return &singleClient{conn: conn, host: host, answer: make([]byte, 16<<10)}, nil
}

// send sends an event and waits until it is acknowledged as recorded.
func (c *singleClient) send(event string) error {
	r := append(c.request[:0], "POST /v1/events HTTP/1.1\r\nHost: "...)
	r = append(append(r, c.host...), "\r\nContent-Type: application/json\r\nContent-Length: "...)
	r = append(strconv.AppendInt(r, int64(len(event)), 10), "\r\n\r\n"...)
	c.request = append(r, event...)
	if _, err := c.conn.Write(c.request); err != nil {
		return err
	}
	n := 0
	for {
		more, err := c.conn.Read(c.answer[n:])
		if err != nil {
			return fmt.Errorf("read an answer, after %q: %w", c.answer[:n], err)
		}
		n += more
		if whole(c.answer[:n]) {
			break
		}
	}
	if !bytes.HasPrefix(c.answer[:n], []byte("HTTP/1.1 201 ")) {
		return fmt.Errorf("%s", c.answer[:n])
	}
	return nil
}

// whole reports that an answer arrived to its end.
func whole(answer []byte) bool {
	head, body, found := bytes.Cut(answer, []byte("\r\n\r\n"))
	if !found {
		return false
	}
	_, length, _ := bytes.Cut(head, []byte("\r\nContent-Length: "))
	length, _, _ = bytes.Cut(length, []byte("\r\n"))
	n, err := strconv.Atoi(string(length))
	return err == nil && len(body) >= n
}

// pgbench is how many rows a second pgbench inserts, each in a transaction of its own, by the simple
// protocol.
func pgbench(b *testing.B, db *pgtest.DB) float64 {
	b.Helper()
	if _, err := db.Super.Exec(b.Context(), `CREATE SCHEMA bench; CREATE SEQUENCE bench.position; CREATE TABLE bench.events (LIKE ledger.events INCLUDING ALL)`); err != nil {
		b.Fatal(err)
	}
	script := filepath.Join(b.TempDir(), "insert.sql")
	if err := os.WriteFile(script, []byte(`\set n random(0, 1000000)
\set order :n / 10
INSERT INTO bench.events (position, recorded_at, seqn, occurred_at, business_date, source, event_id, stream, type, account, currency, kind, amount, quantity, dimensions) VALUES (nextval('bench.position'), clock_timestamp(), :n % 10, '2026-01-15T12:26:00Z', '2026-01-15', 'shop', 's-:client_id/:n', 's-:client_id-:order', 'line.sold', 'cust-:n', 'GBP', 'upstream', 12.34, 7, '{"country":"United Kingdom","stock_code":"85123"}');
`), 0o600); err != nil {
		b.Fatal(err)
	}
	config := db.Super.Config().ConnConfig
	cmd := exec.CommandContext(b.Context(), program(b, "pgbench"), "-n", "-M", "simple", "-c", fmt.Sprint(singleClients), "-j", "2",
		"-T", fmt.Sprint(singleSeconds), "-f", script, "-h", config.Host, "-p", fmt.Sprint(config.Port), "-U", config.User, config.Database)
	cmd.Env = append(os.Environ(), "PGPASSWORD="+config.Password, "PGOPTIONS=-c synchronous_commit=on")
	out, err := cmd.CombinedOutput()
	if err != nil {
		b.Fatalf("pgbench: %v\n%s", err, out)
	}
	for line := range strings.SplitSeq(string(out), "\n") {
		if after, found := strings.CutPrefix(line, "tps = "); found {
			text, _, _ := strings.Cut(after, " ")
			rate, err := strconv.ParseFloat(text, 64)
			if err != nil {
				b.Fatal(err)
			}
			return rate
		}
	}
	b.Fatalf("pgbench said no rate:\n%s", out)
	return 0
}

// program finds a program of PostgreSQL on PATH or where packages put it.
func program(b *testing.B, name string) string {
	b.Helper()
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
	if err != nil || len(found) == 0 {
		b.Fatalf("%s is not on PATH; it comes with the server or the client programs of PostgreSQL", name)
	}
	return found[len(found)-1]
}
