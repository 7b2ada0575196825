package api_test

import (
	"bytes"
	"encoding/csv"
	"strings"
	"testing"
)

func TestDocumentsToPrint(t *testing.T) {
	t.Parallel()
	s := start(t, afterJanuary, nil)
	s.want(s.post("/v1/events", "["+event("e1", 1, "amount", `"10"`)+","+event("e2", 2, "amount", `"-2.5"`)+"]"), 200)
	s.want(s.post("/v1/cycles/close", `{"through":"2026-01-31"}`), 200)
	number := s.want(s.get("/v1/invoices"), 200).at(t, "invoices.0.number")
	path := "/v1/invoices/" + number + "/document"
	a := s.want(s.get(path), 200)
	policy := a.header.Get("Content-Security-Policy")
	if !strings.HasPrefix(policy, "default-src 'none'; ") || !strings.Contains(policy, "frame-ancestors 'none'") || strings.Contains(policy, "unsafe") || a.header.Get("Content-Type") != "text/html; charset=utf-8" {
		t.Errorf("%v", a.header)
	}
	if !strings.Contains(string(a.body), "USD 7.50") || !strings.Contains(string(a.body), "size: A4") || a.header.Get("Content-Disposition") != `inline; filename="`+number+`.html"` {
		t.Errorf("%v\n%s", a.header, a.body)
	}
	b := s.want(s.post(path+"?paper=letter", `{"from":["Marketplace <Ltd>"],"notes":["Payable within 14 days"]}`), 200)
	if !strings.Contains(string(b.body), "Marketplace &lt;Ltd&gt;") || !strings.Contains(string(b.body), "size: letter") || b.header.Get("Content-Security-Policy") == policy {
		t.Errorf("%s", b.body)
	}
	lines := s.want(s.get(path, "Accept", "text/csv"), 200)
	if rows, err := csv.NewReader(bytes.NewReader(lines.body)).ReadAll(); err != nil || len(rows) != 2 || rows[1][1] != number || rows[1][19] != "7.50" {
		t.Errorf("%v\n%s", err, lines.body)
	}
	note := s.want(s.post("/v1/invoices/"+number+"/credit-notes", `{"reason":"damaged","by":"jane"}`), 200).at(t, "number")
	if c := s.want(s.get("/v1/credit-notes/"+note+"/document"), 200); !strings.Contains(string(c.body), "Total credited") || !strings.Contains(string(c.body), number) {
		t.Errorf("%s", c.body)
	}
	s.want(s.post("/v1/credit-notes/"+note+"/document?format=csv", `{}`), 200)
	for _, missing := range []string{"/v1/invoices/INV-999999/document", "/v1/invoices/nonsense/document", "/v1/credit-notes/CN-999999/document", "/v1/credit-notes/nonsense/document"} {
		s.want(s.get(missing), 404)
	}
	if p := s.want(s.get("/v1/accounts/acme/preview/document?paper=letter"), 404); !strings.Contains(string(p.body), "hold nothing yet") {
		t.Errorf("%s", p.body)
	}
	s.want(s.post("/v1/events", "["+event("e3", 3, "amount", `"1.25"`, "occurred_at", `"2026-02-01T10:00:00Z"`)+"]"), 200)
	if p := s.want(s.get("/v1/accounts/acme/preview/document?paper=letter"), 200); !strings.Contains(string(p.body), "Draft without a number") ||
		!strings.Contains(string(p.body), "USD 1.25") || !strings.Contains(string(p.body), "size: letter") || p.header.Get("Content-Type") != "text/html; charset=utf-8" {
		t.Errorf("%v\n%s", p.header, p.body)
	}
	s.want(s.get(path+"?paper=a3"), 422)
	s.want(s.get(path+"?format=pdf"), 422)
	if wrong := s.want(s.post(path, `{"from":["`+strings.Repeat("x", 1001)+`"]}`), 422); wrong.at(t, "errors.0.location") != "body.from[0]" {
		t.Errorf("%s", wrong.body)
	}
	s.want(s.post(path, `{"form":[]}`), 422)
}
