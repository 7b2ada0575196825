package api_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"deltaledger/api"
	"deltaledger/ledger"
)

const ndjson = "application/x-ndjson"

// lines are n events as NDJSON, of the numbers from on.
func lines(from, n int) string {
	var b strings.Builder
	for i := from; i < from+n; i++ {
		b.WriteString(event(fmt.Sprintf("e%d", i), i, "amount", `"1.25"`))
		b.WriteByte('\n')
	}
	return b.String()
}

// counts is what an answer says of many events.
func counts(t *testing.T, a answer) string {
	t.Helper()
	return fmt.Sprintf("%s/%s/%s/%s", a.at(t, "recorded"), a.at(t, "duplicate"), a.at(t, "conflict"), a.at(t, "invalid"))
}

// recorded is how many events the ledger holds.
func (s *service) recorded() (n int) {
	s.t.Helper()
	if err := s.db.Super.QueryRow(s.t.Context(), "SELECT count(*) FROM ledger.events").Scan(&n); err != nil {
		s.t.Fatal(err)
	}
	return n
}

func TestIngestStream(t *testing.T) {
	t.Parallel()
	s := start(t, time.Time{}, nil)
	body := lines(1, 50_000)
	a := s.want(s.post("/v1/events", body, "Content-Type", ndjson), 200)
	if counts(t, a) != "50000/0/0/0" || a.at(t, "watermark") == "0" {
		t.Errorf("%s", a.body)
	}
	if a = s.want(s.post("/v1/events", body, "Content-Type", ndjson), 200); counts(t, a) != "0/50000/0/0" {
		t.Errorf("%s", a.body)
	}
	sum := s.want(s.get("/v1/aggregates?measure=amount"), 200)
	if sum.at(t, "rows.0.amount") != "62500" || sum.at(t, "rows.0.count") != "50000" || sum.at(t, "rows.0.currency") != "USD" {
		t.Errorf("%s", sum.body)
	}
}

func TestIngestProblems(t *testing.T) {
	t.Parallel()
	s := start(t, time.Time{}, nil)
	s.want(s.post("/v1/events", event("e1", 1)), 201)
	body := lines(2, 2) + event("e4", 4, "amount", `"12,50"`) + "\nnonsense\n" + event("e1", 1, "amount", `"9"`) + "\n" + lines(5, 1)
	a := s.want(s.post("/v1/events", body, "Content-Type", ndjson), 200)
	if counts(t, a) != "3/0/1/2" {
		t.Fatalf("%s", a.body)
	}
	for path, want := range map[string]string{
		"problems.0.line": "3", "problems.0.id": "e4", "problems.0.field": "amount", "problems.0.value": "12,50", "problems.0.status": "invalid",
		"problems.1.line": "4", "problems.1.field": "event",
		"problems.2.line": "5", "problems.2.id": "e1", "problems.2.status": "conflict", "problems.2.differs.0": "amount",
		"problems_truncated": "false",
	} {
		if got := a.at(t, path); got != want {
			t.Errorf("%s is %q, want %q\n%s", path, got, want, a.body)
		}
	}
	many := s.want(s.post("/v1/events", strings.Repeat("x\n", 1500), "Content-Type", ndjson), 200)
	if n := many.count(t, "problems"); n != 1000 || many.at(t, "problems_truncated") != "true" || many.at(t, "invalid") != "1500" {
		t.Errorf("%d problems", n)
	}
}

func TestIngestAtomic(t *testing.T) {
	t.Parallel()
	s := start(t, time.Time{}, nil)
	for name, bad := range map[string]string{"no event": "nonsense", "a rule": event("e9", 9, "currency", `"XQZ"`)} {
		for _, query := range []string{"?atomic=true", "?atomic=true&outcomes=all"} {
			a := s.want(s.post("/v1/events"+query, lines(1, 3)+bad+"\n", "Content-Type", ndjson), 422)
			if a.at(t, "type") != "/docs#problem-atomic" || a.at(t, "summary.refused") != "3" || a.at(t, "summary.invalid") != "1" || a.at(t, "problems.0.line") != "4" {
				t.Errorf("%s%s: %s", name, query, a.body)
			}
		}
	}
	if n := s.recorded(); n != 0 {
		t.Fatalf("%d events recorded", n)
	}
	if a := s.want(s.post("/v1/events?atomic=true", lines(1, 3), "Content-Type", ndjson), 200); counts(t, a) != "3/0/0/0" {
		t.Errorf("%s", a.body)
	}
}

func TestIngestOutcomes(t *testing.T) {
	t.Parallel()
	s := start(t, time.Time{}, nil)
	first := s.want(s.post("/v1/events", event("e1", 1)), 201)
	body := "[" + strings.Join([]string{event("e1", 1), event("e2", 2), `{"id":7}`, event("e3", 2)}, ",") + "]"
	a := s.want(s.post("/v1/events?outcomes=all", body), 200)
	if counts(t, a) != "1/1/1/1" || a.at(t, "watermark") == "0" {
		t.Fatalf("%s", a.body)
	}
	for i, want := range []string{"duplicate", "recorded", "invalid", "conflict"} {
		if got := a.at(t, fmt.Sprintf("outcomes.%d.status", i)); got != want {
			t.Errorf("event %d: %s, want %s", i, got, want)
		}
	}
	if a.at(t, "outcomes.0.position") != first.at(t, "position") || a.at(t, "outcomes.1.position") == "" {
		t.Errorf("%s", a.body)
	}
	s.want(s.post("/v1/events?outcomes=all", lines(10, 10_001), "Content-Type", ndjson), 413)
	s.want(s.post("/v1/events?outcomes=some", "[]"), 422)
}

func TestIngestCSVAndCompression(t *testing.T) {
	t.Parallel()
	s := start(t, time.Time{}, nil)
	body := "id,source,stream,seqn,type,account,occurred_at,currency,amount,country,note\n" +
		"e1,orders,o1,1,order.placed,acme,2026-01-15T12:00:00Z,USD,12.50,US,by phone\n" +
		"e2,orders,o1,2,order.placed,acme,2026-01-15T12:00:00Z,USD,-2.50,,\n"
	var zipped, zstandard bytes.Buffer
	z := gzip.NewWriter(&zipped)
	if _, err := io.WriteString(z, body); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	packer, err := zstd.NewWriter(&zstandard)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(packer, body); err != nil {
		t.Fatal(err)
	}
	if err := packer.Close(); err != nil {
		t.Fatal(err)
	}
	query := "/v1/events?payload_columns=note"
	if a := s.want(s.post(query, zipped.String(), "Content-Type", "text/csv", "Content-Encoding", "gzip"), 200); counts(t, a) != "2/0/0/0" {
		t.Fatalf("%s", a.body)
	}
	if a := s.want(s.post(query, zstandard.String(), "Content-Type", "text/csv; charset=utf-8", "Content-Encoding", "zstd"), 200); counts(t, a) != "0/2/0/0" {
		t.Errorf("%s", a.body)
	}
	if a := s.want(s.get("/v1/events/orders/e1?payload=true"), 200); a.at(t, "payload.note") != "by phone" || a.at(t, "dimensions.country") != "US" {
		t.Errorf("%s", a.body)
	}
	if a := s.want(s.get("/v1/events/orders/e1"), 200); a.at(t, "payload") != "" {
		t.Errorf("private content without asking: %s", a.body)
	}
	s.want(s.post(query, "[]"), 422)
	s.want(s.post("/v1/events?payload_columns=nothere", body, "Content-Type", "text/csv"), 422)
	s.want(s.post("/v1/events", "a,b\n1,2\n", "Content-Type", "text/csv"), 422)
	cut := zipped.String()[:zipped.Len()-12]
	if a := s.want(s.post(query, cut, "Content-Type", "text/csv", "Content-Encoding", "gzip"), 400); !strings.Contains(a.at(t, "detail"), "gzip") {
		t.Errorf("%s", a.body)
	}
}

// TestOverlappingWriters sends the same events from eight clients at once, in batches that overlap.
func TestOverlappingWriters(t *testing.T) {
	t.Parallel()
	s := start(t, time.Time{}, nil)
	const writers, all = 8, 4000
	var wg sync.WaitGroup
	totals := make([]int, writers)
	for w := range writers {
		wg.Go(func() {
			for from := 1 + w*50; from <= all; from += 300 {
				n := min(700, all-from+1)
				a := s.post("/v1/events", lines(from, n), "Content-Type", ndjson)
				var recorded, duplicate int
				_, err := fmt.Sscan(a.at(t, "recorded")+" "+a.at(t, "duplicate"), &recorded, &duplicate)
				if a.status != 200 || err != nil || recorded+duplicate != n {
					t.Errorf("writer %d: %d %s", w, a.status, a.body)
				}
				totals[w] += recorded
			}
		})
	}
	wg.Wait()
	sum := 0
	for _, n := range totals {
		sum += n
	}
	if sum != all || s.recorded() != all {
		t.Errorf("%d were called recorded, %d are, and there are %d", sum, s.recorded(), all)
	}
	if a := s.get("/v1/conflicts"); a.count(t, "conflicts") != 0 {
		t.Errorf("conflicts: %s", a.body)
	}
}

// dial sends the head of a POST by hand, so that a test can break off its body.
func (s *service) dial(contentType string) *net.TCPConn {
	s.t.Helper()
	host := strings.TrimPrefix(s.url, "http://")
	address, err := net.ResolveTCPAddr("tcp", host)
	if err != nil {
		s.t.Fatal(err)
	}
	conn, err := net.DialTCP("tcp", nil, address)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = conn.Close() }) // it was broken off by then
	_, err = fmt.Fprintf(conn, "POST /v1/events HTTP/1.1\r\nHost: %s\r\nContent-Type: %s\r\nTransfer-Encoding: chunked\r\n\r\n", host, contentType)
	if err != nil {
		s.t.Fatal(err)
	}
	return conn
}

func chunk(text string) string { return fmt.Sprintf("%x\r\n%s\r\n", len(text), text) }

// TestClientHangsUp: whole events in front of the break may be recorded; one that was cut must not be,
// also where what arrived of it looks like a whole one.
func TestClientHangsUp(t *testing.T) {
	t.Parallel()
	s := start(t, time.Time{}, nil)
	header := "id,source,stream,seqn,type,account,currency,occurred_at,amount\n"
	row := "e%d,orders,o1,%d,order.placed,acme,USD,2026-01-15T12:00:00Z,12"
	for contentType, body := range map[string]string{
		"text/csv": header + fmt.Sprintf(row, 1, 1) + ".50\n" + fmt.Sprintf(row, 2, 2),
		ndjson:     event("n1", 1, "stream", `"n"`) + "\n" + event("n2", 2, "stream", `"n"`),
	} {
		conn := s.dial(contentType)
		if _, err := io.WriteString(conn, chunk(body)); err != nil {
			t.Fatal(err)
		}
		if err := conn.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		response, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatalf("%s: %v", contentType, err)
		}
		problem, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil || response.StatusCode != 400 || !bytes.Contains(problem, []byte("broke off")) {
			t.Errorf("%s: %d %s %v\n%s", contentType, response.StatusCode, problem, err, s.log)
		}
	}
	for _, id := range []string{"e2", "n2"} {
		s.want(s.get("/v1/events/orders/"+id), 404)
	}
}

// TestSilentClient: a client that stops sending doesn't keep its connection for ever, and one that is
// slow, but not silent, is waited for.
func TestSilentClient(t *testing.T) {
	t.Parallel()
	s := start(t, time.Time{}, func(c *api.Config) { c.Silence = 400 * time.Millisecond })
	conn := s.dial(ndjson)
	for i := range 6 {
		time.Sleep(100 * time.Millisecond) // what the test is about: being slow
		if _, err := io.WriteString(conn, chunk(lines(i+1, 1))); err != nil {
			t.Fatal(err)
		}
	}
	if err := conn.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != 408 {
		t.Errorf("status %d\n%s", response.StatusCode, s.log)
	}
}

// occupy begins a stream that keeps the only place. One that comes while a request of ours has the place is
// refused itself, and then another one is begun.
func (s *service) occupy() net.Conn {
	for range 20 {
		conn := s.dial(ndjson)
		if _, err := io.WriteString(conn, chunk(lines(1, 10))); err != nil {
			s.t.Fatal(err)
		}
		for range 50 {
			if s.want2(s.post("/v1/events?outcomes=all", "[]"), 200, 503).status == 503 && s.silent(conn) {
				return conn
			}
		}
		if err := conn.Close(); err != nil {
			s.t.Fatal(err)
		}
	}
	s.t.Fatal("no stream gets the place")
	return nil
}

// silent reports that nothing was answered on a connection: its request is being served.
func (s *service) silent(conn net.Conn) bool {
	if err := conn.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
		s.t.Fatal(err)
	}
	_, err := conn.Read(make([]byte, 1))
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	if err := conn.SetReadDeadline(time.Time{}); err != nil {
		s.t.Fatal(err)
	}
	return true
}

// TestTooManyStreams: what doesn't fit is refused at once; one event, or few, always fit.
func TestTooManyStreams(t *testing.T) {
	t.Parallel()
	s := start(t, time.Time{}, func(c *api.Config) { c.Streams = 1 })
	conn := s.occupy()
	s.want(s.post("/v1/events", event("one", 100)), 201)
	s.want(s.post("/v1/events", "["+event("few", 101)+"]"), 200)
	if _, err := io.WriteString(conn, "0\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != 200 {
		t.Errorf("status %d", response.StatusCode)
	}
	s.want(s.post("/v1/events?atomic=true", "[]"), 200)
}

// TestManyClientsOfFewEvents: 64 clients at once send one event, arrays and lines; what one of them sends
// wrong, or again, is its own affair.
func TestManyClientsOfFewEvents(t *testing.T) {
	t.Parallel()
	s := start(t, time.Time{}, nil)
	const clients, each = 64, 5
	var group sync.WaitGroup
	for c := range clients {
		group.Go(func() {
			stream := fmt.Sprintf(`"c%d"`, c)
			for n := range each {
				one := event(fmt.Sprintf("c%d-%d", c, n), n, "stream", stream)
				other := event(fmt.Sprintf("c%d-%d", c, n), n, "stream", stream, "amount", `"99"`)
				next := event(fmt.Sprintf("c%d-%d", c, n+each), n+each, "stream", stream)
				bad := event("bad", n, "currency", `"XQZ"`)
				s.want(s.post("/v1/events", one), 201)
				s.want(s.post("/v1/events", one), 200)
				s.want(s.post("/v1/events", other), 409)
				s.want(s.post("/v1/events", bad), 422)
				array := s.want(s.post("/v1/events", "["+strings.Join([]string{one, next, next, bad, other}, ",")+"]"), 200)
				if counts(t, array) != "1/2/1/1" || array.count(t, "problems") != 2 || array.at(t, "watermark") == "0" {
					t.Errorf("%s", array.body)
				}
				if lines := s.want(s.post("/v1/events", one+"\n"+next+"\n", "Content-Type", ndjson), 200); counts(t, lines) != "0/2/0/0" {
					t.Errorf("%s", lines.body)
				}
			}
		})
	}
	group.Wait()
	if n := s.recorded(); n != clients*each*2 {
		t.Errorf("%d events are recorded, want %d", n, clients*each*2)
	}
}

// TestQueueIsFull: who comes when as much waits as may is told to come again, and one that waits is
// answered in the end.
func TestQueueIsFull(t *testing.T) {
	t.Parallel()
	var batcher *ledger.Batcher
	s := start(t, time.Time{}, func(c *api.Config) {
		batcher = ledger.NewBatcher(c.Ledger, ledger.BatcherConfig{MaxEvents: 1})
		c.Batcher = batcher
	})
	t.Cleanup(func() {
		if err := batcher.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	tx, err := s.db.Super.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), "SELECT pg_advisory_xact_lock(17484, 1)"); err != nil { // what every writer needs
		t.Fatal(err)
	}
	var first sync.WaitGroup
	first.Go(func() { s.want(s.post("/v1/events", event("e1", 1)), 201) })
	for batcher.Stats().HeldEvents == 0 {
		time.Sleep(time.Millisecond) // there is no signal that something is queued
	}
	a := s.want(s.post("/v1/events", event("e2", 2)), 503)
	if a.header.Get("Retry-After") != "1" || a.at(t, "type") != "/docs#problem-busy" {
		t.Errorf("%v\n%s", a.header, a.body)
	}
	s.want(s.post("/v1/events", "["+event("e2", 2)+"]"), 503)
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	first.Wait()
	s.want(s.post("/v1/events", event("e2", 2)), 201)
}
