package api_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/klauspost/compress/zstd"

	"deltaledger/api"
	"deltaledger/ledger/pg"
	"deltaledger/migrations/pgtest"
)

// TestTextsThatNobodyStores: what the database can't hold is the client's fault, wherever it stands.
func TestTextsThatNobodyStores(t *testing.T) {
	t.Parallel()
	s := start(t, afterJanuary, nil)
	for _, path := range []string{
		"/v1/invoices?account=%s", "/v1/terms?account=%s", "/v1/accounts/%s/terms", "/v1/accounts/%s/preview", "/v1/exports/months/2026-01.csv?open=true&by=%s",
		"/v1/events/%s/a", "/v1/events/a/%s", "/v1/streams/a/%s", "/v1/invoices/%s", "/v1/events?where=account=%s", "/v1/aggregates?measure=amount&by=%s",
	} {
		for _, text := range []string{"%00", "%ff", "a%00b"} {
			s.want(s.get(fmt.Sprintf(path, text)), 422)
		}
	}
	for path, body := range map[string]string{
		"/v1/cycles/close":        `{"through":"2026-01-31","by":"%s"}`,
		"/v1/sources":             `{"name":"%s"}`,
		"/v1/reconciliations":     `{"by":"%s"}`,
		"/v1/invoices/INV-1/void": `{"outcome":"rebill","why":"%s","by":"x"}`,
	} {
		for _, text := range []string{`\u0000`, `\ud800`, `\udc00\ud800`, "\xff"} {
			s.want(s.post(path, fmt.Sprintf(body, text)), 400)
		}
	}
	if strings.Contains(s.log.String(), `"level":"ERROR"`) {
		t.Errorf("log:\n%s", s.log.String())
	}
}

// TestEchoesAreShort: what is sent comes back shortened, whatever its part of the request.
func TestEchoesAreShort(t *testing.T) {
	t.Parallel()
	s := start(t, time.Time{}, nil)
	long := strings.Repeat("x", 30_000)
	var many []string
	for i := range 2000 {
		many = append(many, fmt.Sprintf("p%d=1", i))
	}
	for name, a := range map[string]answer{
		"parameter":  s.get("/v1/events?" + long + "=1"),
		"parameters": s.get("/v1/events?" + strings.Join(many, "&")),
		"value":      s.get("/v1/events?order=" + long),
		"filter":     s.get("/v1/events?where=" + long + "=1"),
		"path":       s.get("/v1/invoices/" + long),
		"member":     s.post("/v1/sources", `{"name":"a","`+long+`":1}`),
		"field":      s.post("/v1/events", `{"id":"a","`+long+`":1}`),
	} {
		if len(a.body) > 8<<10 {
			t.Errorf("%s: an answer of %d bytes", name, len(a.body))
		}
		s.want2(a, 404, 422)
	}
}

// TestPagesThatEmbed: a browser that reads on behalf of another site's page costs nothing; a person who
// follows a link is served.
func TestPagesThatEmbed(t *testing.T) {
	t.Parallel()
	s := start(t, time.Time{}, nil)
	const path = "/v1/aggregates?measure=amount"
	for _, site := range []string{"cross-site", "same-site"} {
		s.want(s.get(path, "Sec-Fetch-Site", site, "Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "image"), 403)
		s.want(s.get(path, "Sec-Fetch-Site", site, "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "iframe"), 403)
		s.want(s.get(path, "Sec-Fetch-Site", site, "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"), 200)
	}
	s.want(s.get(path, "Sec-Fetch-Site", "none", "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"), 200)
	s.want(s.get(path, "Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", "empty"), 200)
	if a := s.want(s.get(path), 200); a.header.Get("Cross-Origin-Resource-Policy") != "same-origin" {
		t.Errorf("%v", a.header)
	}
}

// TestLocationOfStrangeIDs: the address of an event leads to it, also for clients that tidy addresses up.
func TestLocationOfStrangeIDs(t *testing.T) {
	t.Parallel()
	s := start(t, time.Time{}, nil)
	for i, id := range []string{".", "..", "a/b", "%2F", "a b", "?x#y", "../../x", "ü", "\\r\\n", "a+b;c"} {
		a := s.want(s.post("/v1/events", event("x", i, "id", `"`+id+`"`)), 201)
		location := a.header.Get("Location")
		if u, err := url.Parse(location); err != nil || strings.HasSuffix(location, "/.") || strings.HasSuffix(location, "/..") || u.RawQuery != "" || u.Fragment != "" {
			t.Errorf("%q: %s, %v", id, location, err)
		}
		if found := s.want(s.get(location), 200); found.at(t, "position") != a.at(t, "position") {
			t.Errorf("%q: %s leads to %s", id, location, found.body)
		}
	}
}

func TestByteOrderMark(t *testing.T) {
	t.Parallel()
	s := start(t, time.Time{}, nil)
	s.want(s.post("/v1/events", "\xef\xbb\xbf"+event("one", 1)), 201)
	s.want(s.post("/v1/events", "\xef\xbb\xbf["+event("two", 2)+"]"), 200)
	s.want(s.post("/v1/events", "\xef\xbb\xbf"), 400)
	s.want(s.post("/v1/events", "\xef\xbb"), 400)
}

// TestMonthAtTheEndOfTime: a month that ends after the last year that can be written.
func TestMonthAtTheEndOfTime(t *testing.T) {
	t.Parallel()
	s := start(t, time.Time{}, nil)
	if a := s.want(s.get("/v1/exports/months/9999-12.csv"), 409); a.at(t, "available_from") != "" {
		t.Errorf("%s", a.body)
	}
}

// TestBomb: a body that unpacks into far more than events do is given up before it takes long.
func TestBomb(t *testing.T) {
	t.Parallel()
	s := start(t, time.Time{}, nil)
	var bomb bytes.Buffer
	z, err := zstd.NewWriter(&bomb, zstd.WithEncoderLevel(zstd.SpeedFastest))
	if err != nil {
		t.Fatal(err)
	}
	nothing := bytes.Repeat([]byte("\n"), 1<<20)
	for range 256 {
		if _, err := z.Write(nothing); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	a := s.do(http.MethodPost, "/v1/events", &bomb, "Content-Type", ndjson, "Content-Encoding", "zstd")
	s.want(a, 413)
	s.want(s.post("/v1/sources", "\x1f\x8b", "Content-Encoding", "gzip"), 415)
}

// TestManyRunsAtOnce: reconciliations that wait for each other leave the connections to the one that runs.
func TestManyRunsAtOnce(t *testing.T) {
	t.Parallel()
	s := startOn(t, afterJanuary, func(c *api.Config) { c.Patience = time.Hour }, func(db *pgtest.DB) *pgxpool.Pool {
		pool, err := pg.Open(t.Context(), db.URL, pg.Options{Role: pg.App, MaxConns: 4})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(pool.Close)
		return pool
	})
	s.want(s.post("/v1/events", lines(1, 100), "Content-Type", ndjson), 200)
	var all sync.WaitGroup
	for i := range 12 {
		all.Go(func() {
			path, body := "/v1/reconciliations", `{}`
			if i%3 == 0 {
				path, body = "/v1/cycles/close", `{"through":"2026-01-31"}`
			}
			if a := s.post(path, body); a.status != 200 {
				t.Errorf("%s: %d %s", path, a.status, a.body)
			}
		})
	}
	all.Wait()
}

// TestWindowOfZstd: how far back a frame may refer decides how much memory a few bytes can take.
func TestWindowOfZstd(t *testing.T) {
	t.Parallel()
	s := start(t, time.Time{}, nil)
	for exponent, status := range map[byte]int{13: 200, 14: 400, 15: 400} { // 8, 16 and 32 MiB
		frame := "\x28\xb5\x2f\xfd\x00" + string(rune(exponent<<3)) + "\x11\x00\x00[]"
		a := s.do(http.MethodPost, "/v1/events", strings.NewReader(frame), "Content-Type", "application/json", "Content-Encoding", "zstd")
		s.want(a, status)
	}
}
