package api_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"deltaledger/migrations/pgtest"
)

func TestProblemsOfRouting(t *testing.T) {
	t.Parallel()
	s := start(t, time.Time{}, nil)
	for name, c := range map[string]struct {
		method, path, body string
		headers            []string
		status             int
		kind               string
	}{
		"unknown path":           {"GET", "/v1/nope", "", nil, 404, "not-found"},
		"unknown path, other":    {"DELETE", "/nope", "", nil, 404, "not-found"},
		"method":                 {"DELETE", "/v1/events", "", nil, 405, "method"},
		"method of a page":       {"POST", "/docs", "", nil, 405, "method"},
		"strange method":         {"BREW", "/v1/events", "", nil, 405, "method"},
		"strange method, path":   {"BREW", "/nope", "", nil, 404, "not-found"},
		"media type":             {"POST", "/v1/events", "<a/>", []string{"Content-Type", "application/xml"}, 415, "media-type"},
		"form":                   {"POST", "/v1/events", "a=b", []string{"Content-Type", "application/x-www-form-urlencoded"}, 415, "media-type"},
		"charset":                {"POST", "/v1/events", "id", []string{"Content-Type", "text/csv; charset=iso-8859-1"}, 415, "media-type"},
		"encoding":               {"POST", "/v1/events", "[]", []string{"Content-Type", "application/json", "Content-Encoding", "br"}, 415, "media-type"},
		"no gzip":                {"POST", "/v1/events", "[]", []string{"Content-Type", "application/json", "Content-Encoding", "gzip"}, 400, "malformed"},
		"broken gzip":            {"POST", "/v1/events", "\x1f\x8b\x08 nonsense", []string{"Content-Type", "application/json", "Content-Encoding", "gzip"}, 400, "malformed"},
		"adjustments as CSV":     {"POST", "/v1/adjustments", "id", []string{"Content-Type", "text/csv"}, 415, "media-type"},
		"JSON body, other type":  {"POST", "/v1/cycles/close", "through=x", []string{"Content-Type", "text/plain"}, 415, "media-type"},
		"JSON body, too large":   {"POST", "/v1/cycles/close", `{"through":"` + strings.Repeat("x", 70_000) + `"}`, []string{"Content-Type", "application/json"}, 413, "too-large"},
		"JSON body, none":        {"POST", "/v1/cycles/close", "", []string{"Content-Type", "application/json"}, 400, "malformed"},
		"JSON body, broken":      {"POST", "/v1/cycles/close", `{"through":`, []string{"Content-Type", "application/json"}, 400, "malformed"},
		"JSON body, twice":       {"POST", "/v1/cycles/close", `{"through":"2026-01-31","Through":"2026-02-28"}`, []string{"Content-Type", "application/json"}, 400, "malformed"},
		"JSON body, unknown":     {"POST", "/v1/cycles/close", `{"through":"2026-01-31","acount":"a"}`, []string{"Content-Type", "application/json"}, 422, "invalid"},
		"JSON body, two values":  {"POST", "/v1/cycles/close", `{"through":"2026-01-31"} {}`, []string{"Content-Type", "application/json"}, 400, "malformed"},
		"unknown parameter":      {"GET", "/v1/aggregates?measure=amount&form=2026-01-01", "", nil, 422, "invalid"},
		"parameter twice":        {"GET", "/v1/aggregates?measure=amount&from=2026-01-01&from=2026-02-01", "", nil, 422, "invalid"},
		"parameter twice, list":  {"GET", "/v1/aggregates?measure=amount&measure=quantity", "", nil, 422, "invalid"},
		"parameter, empty":       {"GET", "/v1/events?as_of=", "", nil, 422, "invalid"},
		"broken query":           {"GET", "/v1/events?as_of=%zz", "", nil, 400, "malformed"},
		"other host":             {"GET", "/v1/events", "", []string{"Host", "evil.example"}, 421, "host"},
		"host like loopback":     {"GET", "/v1/events", "", []string{"Host", "127.0.0.1.evil.example"}, 421, "host"},
		"page of another site":   {"POST", "/v1/reconciliations", "{}", []string{"Content-Type", "text/plain", "Sec-Fetch-Site", "cross-site"}, 403, "forbidden"},
		"origin of another site": {"POST", "/v1/events", "[]", []string{"Content-Type", "application/json", "Origin", "https://evil.example"}, 403, "forbidden"},
	} {
		a := s.do(c.method, c.path, strings.NewReader(c.body), c.headers...)
		if a.status != c.status {
			t.Errorf("%s: status %d, want %d: %s", name, a.status, c.status, a.body)
			continue
		}
		s.want(a, c.status)
		if got := a.at(t, "type"); got != "/docs#problem-"+c.kind {
			t.Errorf("%s: type %s, want %s: %s", name, got, c.kind, a.body)
		}
	}
	if a := s.do("DELETE", "/v1/events", nil); a.header.Get("Allow") != "GET, HEAD, POST" {
		t.Errorf("Allow: %s", a.header.Get("Allow"))
	}
	if a := s.post("/v1/events", "[]", "Content-Encoding", "br"); a.header.Get("Accept-Encoding") != "gzip, zstd" {
		t.Errorf("Accept-Encoding: %s", a.header.Get("Accept-Encoding"))
	}
}

func TestRequestID(t *testing.T) {
	t.Parallel()
	s := start(t, time.Time{}, nil)
	if got := s.get("/healthz", "X-Request-Id", "job-17/a").header.Get("X-Request-Id"); got != "job-17/a" {
		t.Errorf("a sane name became %q", got)
	}
	first := s.get("/healthz").header.Get("X-Request-Id")
	if second := s.get("/healthz").header.Get("X-Request-Id"); len(first) != 32 || first == second {
		t.Errorf("names %q and %q", first, second)
	}
	for _, bad := range []string{"with space", strings.Repeat("x", 129), `quo"te`} {
		if got := s.get("/healthz", "X-Request-Id", bad).header.Get("X-Request-Id"); got == bad {
			t.Errorf("%q was taken", bad)
		}
	}
	s.get("/v1/nope", "X-Request-Id", "find-me")
	if log := s.log.String(); !strings.Contains(log, `"request_id":"find-me"`) || !strings.Contains(log, `"status":404`) {
		t.Errorf("log:\n%s", log)
	}
}

func TestHosts(t *testing.T) {
	t.Parallel()
	s := start(t, time.Time{}, nil)
	for _, host := range []string{"localhost", "localhost:8080", "LOCALHOST", "a.localhost", "127.0.0.1:1", "127.9.9.9", "[::1]:8080", "::1"} {
		if a := s.get("/v1/sources", "Host", host); a.status != 200 {
			t.Errorf("%s: %d", host, a.status)
		}
	}
	// Probes ask by whatever address they know.
	s.want(s.get("/healthz", "Host", "10.1.2.3:8080"), 200)
	s.want(s.get("/v1/sources", "Host", "10.1.2.3:8080"), 421)
}

func TestPages(t *testing.T) {
	t.Parallel()
	s := start(t, time.Time{}, nil)
	if a := s.get("/"); a.status != 302 || a.header.Get("Location") != "/docs" {
		t.Errorf("/: %d to %s", a.status, a.header.Get("Location"))
	}
	a := s.want(s.get("/docs"), 200)
	if !strings.Contains(a.header.Get("Content-Security-Policy"), "default-src 'none'") {
		t.Errorf("policy %s", a.header.Get("Content-Security-Policy"))
	}
	for _, foreign := range []string{"<script", "src=", "http://unpkg", "https://"} {
		if bytes.Contains(a.body, []byte(foreign)) {
			t.Errorf("the page holds %q", foreign)
		}
	}
	if bytes.Contains(a.body, []byte("ZgotmplZ")) {
		t.Error("the template refused a value")
	}
	for link := range strings.SplitSeq(string(a.body), `href="#`) {
		anchor, _, _ := strings.Cut(link, `"`)
		if !strings.HasPrefix(link, "<!doctype") && !bytes.Contains(a.body, []byte(`id="`+anchor+`"`)) {
			t.Errorf("a link to #%s leads nowhere", anchor)
		}
	}
	bodies := strings.Split(string(a.body), "<h4>Body: <code>application/json</code></h4>")
	for _, body := range bodies[1:] {
		if fields, _, _ := strings.Cut(body, "<h4>"); !strings.Contains(fields, "<table") {
			t.Errorf("a body without its fields: %.300s", body)
		}
	}
	if len(bodies) < 10 {
		t.Errorf("%d bodies are described", len(bodies)-1)
	}
	if head := s.do(http.MethodHead, "/docs", nil); head.status != 200 || len(head.body) > 0 {
		t.Errorf("HEAD: %d with %d bytes", head.status, len(head.body))
	}
	if a := s.want(s.get("/openapi.json"), 200); a.at(t, "openapi") != "3.1.0" {
		t.Errorf("OpenAPI %s", a.at(t, "openapi"))
	}
}

func TestHealth(t *testing.T) {
	t.Parallel()
	s := start(t, time.Time{}, nil)
	s.want(s.get("/healthz"), 200)
	if a := s.want(s.get("/readyz"), 200); a.at(t, "status") != "ready" {
		t.Errorf("%s", a.body)
	}
	// The partitions of the months from the next but one on go away.
	for months := 2; months <= 13; months++ {
		leaf := "ledger.events_" + time.Now().UTC().AddDate(0, 0, 1-time.Now().UTC().Day()).AddDate(0, months, 0).Format("2006_01")
		if _, err := s.db.Super.Exec(t.Context(), "ALTER TABLE ledger.events DETACH PARTITION "+leaf); err != nil && months < 13 {
			t.Fatal(err)
		}
	}
	if a := s.want(s.get("/readyz"), 503); !strings.Contains(a.at(t, "errors.0.message"), "1 months ahead") || a.header.Get("Retry-After") == "" {
		t.Errorf("%s", a.body)
	}
	s.want(s.get("/healthz"), 200)
}

// TestDatabaseGone: what the service can't do says so, and that it may be tried again.
func TestDatabaseGone(t *testing.T) {
	t.Parallel()
	var gone atomic.Bool
	s := startOn(t, time.Time{}, nil, func(db *pgtest.DB) *pgxpool.Pool {
		cfg, err := pgxpool.ParseConfig(db.AppURL)
		if err != nil {
			t.Fatal(err)
		}
		dial := cfg.ConnConfig.DialFunc
		cfg.ConnConfig.DialFunc = func(ctx context.Context, network, addr string) (net.Conn, error) {
			if gone.Load() {
				return nil, errors.New("no route to the database")
			}
			return dial(ctx, network, addr)
		}
		pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(pool.Close)
		return pool
	})
	s.want(s.get("/readyz"), 200)
	gone.Store(true)
	s.l.Pool().Reset()
	s.want(s.get("/healthz"), 200)
	for name, a := range map[string]answer{
		"ready":     s.get("/readyz"),
		"list":      s.get("/v1/events"),
		"invoices":  s.get("/v1/invoices"),
		"record":    s.post("/v1/events", event("e1", 1)),
		"many":      s.post("/v1/events", lines(1, 3), "Content-Type", ndjson),
		"close":     s.post("/v1/cycles/close", `{"through":"2026-01-31"}`),
		"reconcile": s.post("/v1/reconciliations", `{}`),
		"month":     s.get("/v1/exports/months/2026-01.csv"),
	} {
		if s.want(a, 503).header.Get("Retry-After") == "" {
			t.Errorf("%s: no Retry-After", name)
		}
		if strings.Contains(string(a.body), "no route to the database") {
			t.Errorf("%s tells about the inside: %s", name, a.body)
		}
	}
	if !strings.Contains(s.log.String(), "no route to the database") {
		t.Error("the log doesn't say what happened")
	}
}
