package api_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"deltaledger/ledger"
)

// What is typed by somebody who means harm, or who errs, is refused with a reason, and never an error of the server's.
func TestBillingTakesNothingStrange(t *testing.T) {
	t.Parallel()
	s := start(t, afterJanuary, nil)
	s.want(s.post("/v1/events", event("e1", 1, "amount", `"100"`)), 201)
	s.want(s.post("/v1/cycles/close", `{"through":"2026-01-31"}`), 200)
	for _, amount := range []string{
		`"1e400000000"`, `"1e-400000000"`, `"NaN"`, `"Infinity"`, `"-Infinity"`, `""`, `" 1"`, `"1 "`, `"+"`, `"1_000"`, `"1,5"`, `"0x10"`, `"0"`, `"-0.00"`, `"1e-19"`, `"0.001"`,
		`"` + strings.Repeat("9", 39) + `"`, `"` + strings.Repeat("9", 60_000) + `"`, `"١"`, `"１"`, `null`, `1`, `[]`, `{}`, `true`,
	} {
		for path, body := range map[string]string{
			"/v1/invoices/INV-000001/payments":     `{"reference":"r","amount":%,"by":"jane"}`,
			"/v1/invoices/INV-000001/credit-notes": `{"lines":[{"line":1,"amount":%}],"reason":"r","by":"jane"}`,
			"/v1/bill-adjustments":                 `{"account":"acme","currency":"USD","amount":%,"reason":"r","by":"jane"}`,
		} {
			if a := s.post(path, strings.Replace(body, "%", amount, 1)); a.status != 422 {
				t.Errorf("%s with %.40s: %d %s", path, amount, a.status, a.body)
			} else if !strings.Contains(a.at(t, "errors.0.location"), "amount") || len(a.body) > 4096 {
				t.Errorf("%s with %.40s: %s", path, amount, a.body)
			}
		}
	}
	for _, c := range []struct {
		path, body string
		status     int
	}{
		{"/v1/invoices/INV-000001/payments", `{"reference":"r","amount":"1","amount":"2","by":"jane"}`, 400},
		{"/v1/invoices/INV-000001/payments", `{"reference":"r","amount":"1","Amount":"2","by":"jane"}`, 400},
		{"/v1/invoices/INV-000001/payments", `{"reference":"r","amount":"1","currency":"EUR","by":"jane"}`, 422},
		{"/v1/invoices/INV-000001/payments", `{"reference":" ","amount":"1","by":"jane"}`, 422},
		{"/v1/invoices/INV-000001/payments", `{"reference":"r","amount":"1","by":" "}`, 422},
		{"/v1/invoices/INV-000001/payments", `{"reference":"r","amount":"1","date":"9999-99-99","by":"jane"}`, 422},
		{"/v1/invoices/INV-000001/payments", `{"reference":"r","amount":"1","reverses":"r","by":"jane"}`, 422},
		{"/v1/invoices/INV-000001/payments", `{"reference":"r","amount":"-1","by":"jane"}`, 409},
		{"/v1/invoices/INV-000001/payments", `{"reference":"r","amount":"100.01","by":"jane"}`, 409},
		{"/v1/invoices/INV-000001/payments", `{"reference":"r","amount":"1","reverses":"nothing","by":"jane"}`, 404},
		{"/v1/invoices/INV-000001/credit-notes", `{"lines":[{"line":1},{"line":1}],"reason":"r","by":"jane"}`, 422},
		{"/v1/invoices/INV-000001/credit-notes", `{"lines":[{"line":9223372036854775807}],"reason":"r","by":"jane"}`, 422},
		{"/v1/invoices/INV-000001/credit-notes", `{"lines":[{"line":1e300}],"reason":"r","by":"jane"}`, 422},
		{"/v1/invoices/INV-000001/credit-notes", `{"lines":[],"reason":"r","by":"jane"}`, 422},
		{"/v1/invoices/INV-000001/credit-notes", `{"lines":null,"reason":"r","by":"jane"}`, 422},
		{"/v1/invoices/INV-000001/credit-notes", `{"lines":[{"line":1,"amount":""}],"reason":"r","by":"jane"}`, 422},
		{"/v1/invoices/INV-000001/payments", `{"reference":"r","amount":"1","date":"0000-01-01","by":"jane"}`, 422},
		{"/v1/invoices/INV-000001/credit-notes", `{"lines":[{"line":1.5}],"reason":"r","by":"jane"}`, 422},
		{"/v1/invoices/INV-000001/credit-notes", `{"lines":[{"line":1,"amount":"-1"}],"reason":"r","by":"jane"}`, 409},
		{"/v1/invoices/INV-000001/void", `{"outcome":"rebill","why":" ","by":"jane"}`, 422},
		{"/v1/invoices/INV-000001/void", `{"outcome":"rebill","why":"x","by":"  "}`, 422},
		{"/v1/invoices/INV-000001/void", `{"outcome":"Rebill","why":"x","by":"jane"}`, 422},
		{"/v1/bill-adjustments", `{"account":"acme","currency":"usd","amount":"1","reason":"r","by":"jane"}`, 422},
		{"/v1/bill-adjustments", `{"account":"acme","currency":"XXX'","amount":"1","reason":"r","by":"jane"}`, 422},
		{"/v1/bill-adjustments", `{"account":"acme","currency":"JPY","amount":"1.5","reason":"r","by":"jane"}`, 422},
		{"/v1/bill-adjustments", `{"account":"acme","currency":"USD","amount":"1","cycle":"9999-12-31","reason":"r","by":"jane"}`, 422},
		{"/v1/bill-adjustments", `{"account":"acme","currency":"USD","amount":"1","cycle":"0001-01-01","reason":"r","by":"jane"}`, 200},
		{"/v1/bill-adjustments", `{"account":"nobody","currency":"USD","amount":"1","reason":"r","by":"jane"}`, 404},
		{"/v1/cycles/close", `{"through":"9999-12-31"}`, 200},
		{"/v1/cycles/close", `{"through":"0001-01-01"}`, 200},
		{"/v1/cycles/close", `{"through":"0000-01-01"}`, 422},
		{"/v1/cycles/close", `{"through":"2026-01-31","by":" "}`, 422},
		{"/v1/cycles/close", `{"through":"2026-01-31","account":"nobody"}`, 404},
		{"/v1/numbers", `{"kind":"invoice","format":"=1+{number}","by":"jane"}`, 422},
		{"/v1/numbers", `{"kind":"invoice","format":"-1-{number}","by":"jane"}`, 422},
		{"/v1/numbers", `{"kind":"invoice","format":"../{number}","by":"jane"}`, 422},
		{"/v1/numbers", `{"kind":"invoice","format":"CN-{number}","by":"jane"}`, 409},
		{"/v1/accounts/nobody/release", `{"why":"x","by":"jane"}`, 404},
		{"/v1/accounts/acme/release", `{"why":"x","by":"jane"}`, 409},
		{"/v1/terms?by=%20", `{"charges":[{"name":"sales","measure":"amount","model":"sum"}]}`, 422},
		{"/v1/reconciliations", `{"by":" "}`, 422},
		{"/v1/invoices/issue", `{"invoices":["INV-000001"],"by":" "}`, 422},
	} {
		if a := s.post(c.path, c.body); a.status != c.status {
			t.Errorf("%s %s: %d, want %d\n%s", c.path, c.body, a.status, c.status, a.body)
		}
	}
	for _, path := range []string{
		"/v1/invoices?cursor=AAAA", "/v1/invoices?cursor=bnVsbA", "/v1/invoices?cursor=eyJxdWVyeSI6eyJhY2NvdW50IjoiYVx1MDAwMCJ9fQ", "/v1/orders/open?cursor=eyJhIjoiYVx1MDAwMCJ9",
		"/v1/invoices?limit=0", "/v1/invoices?limit=1001", "/v1/credit-notes?limit=100000", "/v1/bill-adjustments?before=-1", "/v1/invoices?from=2026-13-01",
		"/v1/bill-adjustments?before=9223372036854775808",
	} {
		a := s.get(path)
		if a.status != 422 {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
	for _, path := range []string{
		"/v1/invoices/00000000-0000-0000-0000-000000000000", "/v1/invoices/INV-000001%2F..", "/v1/invoices/%2e%2e/document", "/v1/credit-notes/INV-000001", "/v1/bill-adjustments/INV-000001",
		"/v1/invoices/INV-000001/events?line=2", "/v1/credit-notes?invoice=INV-000009",
	} {
		s.want(s.get(path), 404)
	}
	for line := range strings.Lines(s.log.String()) {
		if strings.Contains(line, `"level":"ERROR"`) {
			t.Errorf("log: %s", line)
		}
	}
}

// A request that is sent again because its answer was lost does nothing twice, also where its sender has no reference.
func TestIdempotencyKey(t *testing.T) {
	t.Parallel()
	s := start(t, afterJanuary, nil)
	s.want(s.post("/v1/events", event("e1", 1, "amount", `"100"`)), 201)
	s.want(s.post("/v1/cycles/close", `{"through":"2026-01-31"}`), 200)
	for path, body := range map[string]string{
		"/v1/invoices/INV-000001/credit-notes": `{"lines":[{"line":1,"amount":"2.50"}],"reason":"broken","by":"jane"}`,
		"/v1/bill-adjustments":                 `{"account":"acme","currency":"USD","amount":"-2.50","reason":"broken","by":"jane"}`,
	} {
		first := s.want(s.post(path, body, "Idempotency-Key", "k1"), 200)
		if again := s.want(s.post(path, body, "Idempotency-Key", "k1"), 200); again.at(t, "id") != first.at(t, "id") || again.at(t, "reference") != "k1" {
			t.Errorf("%s: %s, then %s", path, first.body, again.body)
		}
		if other := s.want(s.post(path, body, "Idempotency-Key", "k2"), 200); other.at(t, "id") == first.at(t, "id") {
			t.Errorf("%s: another key, the same %s", path, other.body)
		}
		s.want(s.post(path, strings.Replace(body, "2.50", "2.51", 1), "Idempotency-Key", "k1"), 409)
		if own := s.want(s.post(path, strings.Replace(body, `"by"`, `"reference":"r","by"`, 1), "Idempotency-Key", "k1"), 200); own.at(t, "reference") != "r" {
			t.Errorf("%s: %s", path, own.body)
		}
	}
}

// A stream that the database breaks off in the middle doesn't look whole to the client.
func TestInvoiceEventsThatBreakOff(t *testing.T) {
	t.Parallel()
	s := start(t, afterJanuary, nil)
	if err := s.l.DeclareSource(t.Context(), ledger.Source{Name: "meter", Numbering: ledger.NumberingNone, By: "jane"}); err != nil {
		t.Fatal(err)
	}
	const batches, each = 6, 5000
	for b := range batches {
		events := make([]ledger.Event, each)
		for i := range events {
			amount, err := ledger.ParseAmount("1")
			if err != nil {
				t.Fatal(err)
			}
			events[i] = ledger.Event{
				ID: fmt.Sprintf("%d-%d-%s", b, i, strings.Repeat("x", 230)), Source: "meter", Type: "order.placed", Account: "acme",
				OccurredAt: time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC), Currency: "USD", Amount: amount,
			}
		}
		if out, err := s.l.Append(t.Context(), events); err != nil || out[each-1].Status != ledger.Recorded {
			t.Fatal(out[each-1], err)
		}
	}
	s.want(s.post("/v1/cycles/close", `{"through":"2026-01-31"}`), 200)
	for _, format := range []string{"ndjson", "csv"} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+"/v1/invoices/INV-000001/events?format="+format, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		begin := make([]byte, 100_000)
		if n, err := io.ReadFull(response.Body, begin); err != nil {
			t.Fatalf("%s: status %d, %d bytes, %v: %.300s", format, response.StatusCode, n, err, begin[:n])
		}
		const sqlBreak = `SELECT count(pg_terminate_backend(a.pid)) FROM pg_stat_activity a WHERE a.datname = current_database() AND a.pid <> pg_backend_pid() AND a.query LIKE '%FROM billing.pins p%'`
		var cut int
		if err := s.db.Super.QueryRow(t.Context(), sqlBreak).Scan(&cut); err != nil || cut != 1 {
			t.Fatalf("%d connections cut: %v", cut, err)
		}
		rest, err := io.ReadAll(response.Body)
		if err == nil {
			t.Errorf("%s: status %d and %d bytes more, without a sign that they aren't all", format, response.StatusCode, len(rest))
		}
		_ = response.Body.Close()
	}
}
