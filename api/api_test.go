package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"deltaledger/api"
	"deltaledger/billing"
	"deltaledger/export"
	"deltaledger/ledger"
	"deltaledger/migrations/pgtest"
	"deltaledger/reconcile"
)

// service is a running server of a ledger of its own.
type service struct {
	t   testing.TB
	db  *pgtest.DB
	l   *ledger.Ledger
	b   *billing.Billing
	e   *export.Exporter
	url string
	log *lockedBuffer
}

// start runs a server. now is the clock of billing and export; zero: the system's.
func start(t testing.TB, now time.Time, change func(*api.Config)) *service {
	t.Helper()
	return startOn(t, now, change, func(db *pgtest.DB) *pgxpool.Pool { return db.App })
}

// startOn is start with a pool of the test's own.
func startOn(t testing.TB, now time.Time, change func(*api.Config), pool func(*pgtest.DB) *pgxpool.Pool) *service {
	t.Helper()
	s := &service{t: t, db: pgtest.New(t), log: &lockedBuffer{}}
	clock := time.Now
	if !now.IsZero() {
		clock = func() time.Time { return now }
	}
	var err error
	if s.l, err = ledger.Open(t.Context(), ledger.Config{Pool: pool(s.db)}); err != nil {
		t.Fatal(err)
	}
	if s.b, err = billing.New(s.l, billing.Options{Now: clock}); err != nil {
		t.Fatal(err)
	}
	if s.e, err = export.New(s.l, export.Options{Now: clock}); err != nil {
		t.Fatal(err)
	}
	reconciler, err := reconcile.New(s.l, s.b, reconcile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	batcher := ledger.NewBatcher(s.l, ledger.BatcherConfig{})
	t.Cleanup(func() {
		if err := batcher.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	c := api.Config{
		Ledger: s.l, Batcher: batcher, Billing: s.b, Exporter: s.e, Reconciler: reconciler, Seals: s.sealer(t), Version: "test",
		Logger: slog.New(slog.NewJSONHandler(s.log, nil)),
	}
	if change != nil {
		change(&c)
	}
	h, err := api.New(c)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(h)
	server.Config = api.NewServer("", h)
	server.Start()
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

// sealer is the chain of seals of the service's ledger.
func (s *service) sealer(t testing.TB) *ledger.Seals {
	t.Helper()
	seals, err := ledger.NewSeals(s.l, slices.Concat(billing.Facts(), reconcile.Facts(), export.Facts())...)
	if err != nil {
		t.Fatal(err)
	}
	return seals
}

// answer is what a server said.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// object is the body as JSON.
func (a answer) object(t testing.TB) map[string]any {
	t.Helper()
	var v map[string]any
	d := json.NewDecoder(bytes.NewReader(a.body))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		t.Fatalf("not JSON: %v\n%s", err, a.body)
	}
	return v
}

// value is a value of the body by its path: names and numbers, separated by dots.
func (a answer) value(t testing.TB, path string) any {
	t.Helper()
	var v any = a.object(t)
	for step := range strings.SplitSeq(path, ".") {
		switch in := v.(type) {
		case map[string]any:
			v = in[step]
		case []any:
			var i int
			if _, err := fmt.Sscan(step, &i); err != nil || i >= len(in) {
				t.Fatalf("no %s in %s", path, a.body)
			}
			v = in[i]
		default:
			t.Fatalf("no %s in %s", path, a.body)
		}
	}
	return v
}

// at is a value as text, empty for none.
func (a answer) at(t testing.TB, path string) string {
	t.Helper()
	if v := a.value(t, path); v != nil {
		return fmt.Sprint(v)
	}
	return ""
}

// count is how many elements a list has.
func (a answer) count(t testing.TB, path string) int {
	t.Helper()
	list, ok := a.value(t, path).([]any)
	if !ok {
		t.Fatalf("%s is no list in %s", path, a.body)
	}
	return len(list)
}

// do sends a request; headers are pairs.
func (s *service) do(method, path string, body io.Reader, headers ...string) answer {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, body)
	if err != nil {
		s.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
		if headers[i] == "Host" {
			r.Host = headers[i+1]
		}
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(r)
	if err != nil {
		s.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer response.Body.Close()
	b, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatalf("%s %s: read the answer: %v", method, path, err)
	}
	return answer{response.StatusCode, response.Header, b}
}

func (s *service) get(path string, headers ...string) answer {
	s.t.Helper()
	return s.do(http.MethodGet, path, nil, headers...)
}

func (s *service) post(path, body string, headers ...string) answer {
	s.t.Helper()
	return s.do(http.MethodPost, path, strings.NewReader(body), append([]string{"Content-Type", "application/json"}, headers...)...)
}

// want holds an answer against a status; of failures also that they are problem documents.
func (s *service) want(a answer, status int) answer {
	s.t.Helper()
	if a.status != status {
		s.t.Fatalf("status %d, want %d:\n%s", a.status, status, a.body)
	}
	if status < 400 {
		return a
	}
	if ct := a.header.Get("Content-Type"); ct != "application/problem+json" {
		s.t.Fatalf("Content-Type %s of a problem:\n%s", ct, a.body)
	}
	if got := a.at(s.t, "status"); got != fmt.Sprint(status) {
		s.t.Errorf("status %s in the problem, %d in the answer", got, status)
	}
	for _, member := range []string{"type", "title", "detail", "request_id"} {
		if a.at(s.t, member) == "" {
			s.t.Errorf("a problem without %s:\n%s", member, a.body)
		}
	}
	if id := a.header.Get("X-Request-Id"); id == "" || id != a.at(s.t, "request_id") {
		s.t.Errorf("X-Request-Id is %q, in the problem %q", id, a.at(s.t, "request_id"))
	}
	return a
}

// want2 holds an answer against two statuses.
func (s *service) want2(a answer, one, other int) answer {
	s.t.Helper()
	if a.status == one {
		return a
	}
	return s.want(a, other)
}

// event is an event as JSON, changed by pairs of a field and its JSON value; an empty value leaves it out.
func event(id string, seqn int, changes ...string) string {
	fields := []string{"id", "source", "stream", "seqn", "type", "account", "occurred_at", "currency", "amount"}
	values := map[string]string{
		"id": fmt.Sprintf("%q", id), "source": `"orders"`, "stream": `"order-1"`, "seqn": fmt.Sprint(seqn), "type": `"order.placed"`,
		"account": `"acme"`, "occurred_at": `"2026-01-15T12:00:00Z"`, "currency": `"USD"`, "amount": `"12.50"`,
	}
	for i := 0; i < len(changes); i += 2 {
		if _, known := values[changes[i]]; !known {
			fields = append(fields, changes[i])
		}
		values[changes[i]] = changes[i+1]
	}
	var pairs []string
	for _, f := range fields {
		if values[f] != "" {
			pairs = append(pairs, fmt.Sprintf("%q:%s", f, values[f]))
		}
	}
	return "{" + strings.Join(pairs, ",") + "}"
}
