package api_test

import (
	"bytes"
	"strings"
	"testing"
)

// What happens to an invoice after it was written, over HTTP.
func TestAfterTheInvoice(t *testing.T) {
	t.Parallel()
	s := start(t, afterJanuary, nil)
	s.want(s.post("/v1/events", event("e1", 1, "amount", `"100"`)), 201)
	s.want(s.post("/v1/cycles/close", `{"through":"2026-01-31","review":true,"by":"jane"}`), 200)
	ready := s.want(s.get("/v1/invoices?status=ready"), 200)
	id := ready.at(t, "invoices.0.id")
	if ready.at(t, "invoices.0.review") == "" || ready.at(t, "invoices.0.open") != "100.00" {
		t.Errorf("%s", ready.body)
	}
	pay := func(body string, status int) answer {
		return s.want(s.post("/v1/invoices/INV-000001/payments", body), status)
	}
	pay(`{"reference":"r1","amount":"1","by":"jane"}`, 404)
	s.want(s.post("/v1/invoices/"+id+"/payments", `{"reference":"r1","amount":"1","by":"jane"}`), 409)
	s.want(s.post("/v1/invoices/issue", `{"invoices":[],"by":"jane"}`), 422)
	s.want(s.post("/v1/invoices/issue", `{"invoices":["INV-000009"],"by":"jane"}`), 404)
	issued := s.want(s.post("/v1/invoices/issue", `{"invoices":["`+id+`"],"by":"jane"}`), 200)
	if issued.at(t, "invoices.0.number") != "INV-000001" || issued.at(t, "invoices.0.approved_by") != "jane" {
		t.Errorf("%s", issued.body)
	}
	if v := s.want(s.post("/v1/invoices/INV-000001/sent", `{"note":"mail","by":"jane"}`), 200); v.at(t, "status") != "sent" || v.at(t, "sent_at") == "" {
		t.Errorf("%s", v.body)
	}

	first := pay(`{"reference":"r1","amount":"40.00","date":"2026-02-04","by":"jane"}`, 200)
	if first.at(t, "open") != "60.00" || first.at(t, "payment.amount") != "40.00" {
		t.Errorf("%s", first.body)
	}
	pay(`{"reference":"r2","amount":"60.01","by":"jane"}`, 409)
	pay(`{"reference":"r1","amount":"41","by":"jane"}`, 409)
	if a := pay(`{"reference":"r2","amount":"0.001","by":"jane"}`, 422); a.at(t, "errors.0.location") != "body.amount" {
		t.Errorf("%s", a.body)
	}
	pay(`{"reference":"r2","amount":"1","date":"2026-02-30","by":"jane"}`, 422)
	pay(`{"reference":"r2","amount":1,"by":"jane"}`, 422)
	pay(`{"reference":"r2","amount":"10","by":"jane"}`, 200)
	if again := pay(`{"reference":"r1","amount":"40","by":"joe"}`, 200); !bytes.Equal(again.body, first.body) {
		t.Errorf("the same again: %s\nfirst %s", again.body, first.body)
	}
	if l := s.want(s.get("/v1/invoices/INV-000001/payments"), 200); l.count(t, "payments") != 2 || l.at(t, "open") != "50.00" {
		t.Errorf("%s", l.body)
	}
	if a := s.want(s.post("/v1/invoices/INV-000001/void", `{"outcome":"rebill","why":"x","by":"jane"}`), 409); !strings.Contains(a.at(t, "detail"), "credit note") {
		t.Errorf("%s", a.body)
	}

	credit := func(body string, status int) answer {
		return s.want(s.post("/v1/invoices/"+id+"/credit-notes", body), status)
	}
	credit(`{"lines":[{"line":1,"amount":"100.01"}],"reason":"x","by":"jane"}`, 409)
	if a := credit(`{"lines":[{"line":2}],"reason":"x","by":"jane"}`, 422); a.at(t, "errors.0.location") != "body.lines[0].line" {
		t.Errorf("%s", a.body)
	}
	note := credit(`{"lines":[{"line":1,"amount":"2.5"}],"reason":"broken","reference":"case-1","by":"jane"}`, 200)
	if note.at(t, "number") != "CN-000001" || note.at(t, "total") != "2.50" || note.at(t, "corrects") != "INV-000001" {
		t.Errorf("%s", note.body)
	}
	if again := credit(`{"lines":[{"line":1,"amount":"2.50"}],"reason":"broken","reference":"case-1","by":"jane"}`, 200); !bytes.Equal(again.body, note.body) {
		t.Errorf("the same again: %s", again.body)
	}
	if l := s.want(s.get("/v1/credit-notes?account=acme&invoice=INV-000001"), 200); l.count(t, "credit_notes") != 1 || l.at(t, "credit_notes.0.lines.0.amount") != "2.50" {
		t.Errorf("%s", l.body)
	}
	if n := s.want(s.get("/v1/credit-notes/CN-000001"), 200); !bytes.Equal(n.body, note.body) {
		t.Errorf("%s", n.body)
	}
	s.want(s.get("/v1/credit-notes/CN-000002"), 404)
	s.want(s.get("/v1/credit-notes/no%20number"), 404)
	v := s.want(s.get("/v1/invoices/INV-000001"), 200)
	if v.at(t, "status") != "part-paid" || v.at(t, "credited") != "2.50" || v.at(t, "open") != "47.50" || v.count(t, "payments") != 2 || v.count(t, "credit_notes") != 1 || v.at(t, "lines.0.credited") != "2.50" {
		t.Errorf("%s", v.body)
	}
	cancel := s.want(s.post("/v1/credit-notes/CN-000001/cancel", `{"reason":"for another customer","by":"jane"}`), 200)
	if cancel.at(t, "number") != "CN-000002" || cancel.at(t, "cancels") != note.at(t, "id") || cancel.at(t, "total") != "-2.50" || cancel.at(t, "lines.0.amount") != "-2.50" {
		t.Errorf("%s", cancel.body)
	}
	if again := s.want(s.post("/v1/credit-notes/CN-000001/cancel", `{"reason":"for another customer","by":"jane"}`), 200); !bytes.Equal(again.body, cancel.body) {
		t.Errorf("the same again: %s", again.body)
	}
	s.want(s.post("/v1/credit-notes/CN-000001/cancel", `{"reason":"another","by":"jane"}`), 409)
	s.want(s.post("/v1/credit-notes/CN-000002/cancel", `{"reason":"x","by":"jane"}`), 409)
	s.want(s.post("/v1/credit-notes/CN-000009/cancel", `{"reason":"x","by":"jane"}`), 404)
	s.want(s.post("/v1/credit-notes/CN-000001/cancel", `{"by":"jane"}`), 422)
	if v := s.want(s.get("/v1/invoices/INV-000001"), 200); v.at(t, "credited") != "0.00" || v.at(t, "open") != "50.00" || v.at(t, "credit_notes.0.cancelled_by") != cancel.at(t, "id") {
		t.Errorf("%s", v.body)
	}

	if n := s.want(s.post("/v1/numbers", `{"kind":"invoice","format":"R{year}-{number:04}","by":"jane"}`), 200); n.at(t, "numbers.0.format") != "R{year}-{number:04}" || n.at(t, "numbers.1.next") != "CN-000003" {
		t.Errorf("%s", n.body)
	}
	s.want(s.get("/v1/numbers"), 200)
	s.want(s.post("/v1/numbers", `{"kind":"invoice","format":"R","by":"jane"}`), 422)
	s.want(s.post("/v1/numbers", `{"kind":"credit-note","format":"R{year}-{number}","by":"jane"}`), 409)
}

func TestParkedAccounts(t *testing.T) {
	t.Parallel()
	s := start(t, afterJanuary, nil)
	const big = `"99999999999999999999999999999999999999"`
	s.want(s.post("/v1/events", "["+event("e1", 1, "amount", big)+","+event("e2", 2, "amount", big)+"]"), 200)
	if a := s.want(s.get("/v1/parkings"), 200); string(a.body) != `{"parked":[]}`+"\n" {
		t.Errorf("%s", a.body)
	}
	if a := s.want(s.post("/v1/cycles/close", `{"through":"2026-01-31"}`), 200); a.at(t, "failed.0.parked") != "true" {
		t.Errorf("%s", a.body)
	}
	if a := s.want(s.post("/v1/cycles/close", `{"through":"2026-01-31"}`), 200); a.at(t, "parked.0.account") != "acme" || a.count(t, "failed") != 0 {
		t.Errorf("%s", a.body)
	}
	if a := s.want(s.get("/v1/parkings"), 200); a.at(t, "parked.0.account") != "acme" || a.at(t, "parked.0.finding") == "" {
		t.Errorf("%s", a.body)
	}
	s.want(s.post("/v1/accounts/nobody/release", `{"why":"x","by":"jane"}`), 404)
	s.want(s.post("/v1/accounts/acme/release", `{"why":"","by":"jane"}`), 422)
	if a := s.want(s.post("/v1/accounts/acme/release", `{"why":"looked","by":"jane"}`), 200); a.at(t, "released.account") != "acme" {
		t.Errorf("%s", a.body)
	}
	s.want(s.post("/v1/accounts/acme/release", `{"why":"looked","by":"jane"}`), 409)
}
