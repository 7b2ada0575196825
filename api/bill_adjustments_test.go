package api_test

import "testing"

// An adjustment above the limit waits for a second person; terms for closed cycles are previewed, and recorded with a reason.
func TestBillAdjustments(t *testing.T) {
	t.Parallel()
	s := start(t, afterJanuary, nil)
	const charges = `"grace":"0h","approve_above":{"EUR":"5"},"charges":[{"name":"fee","measure":"amount","model":"percentage","rate":"10"}]}`
	s.want(s.post("/v1/terms?by=jane", `{"account":"acme",`+charges), 200)
	made := s.want(s.post("/v1/bill-adjustments", `{"account":"acme","amount":"-5.01","currency":"EUR","reason":"goodwill","by":"jane"}`), 200)
	if made.at(t, "status") != "waiting" {
		t.Errorf("%s", made.body)
	}
	path := "/v1/bill-adjustments/" + made.at(t, "id")
	s.want(s.post(path+"/decision", `{"outcome":"approved","why":"seen","by":"jane"}`), 422)
	if a := s.want(s.post(path+"/decision", `{"outcome":"approved","why":"seen","by":"john"}`), 200); a.at(t, "status") != "ready" || a.at(t, "decided_by") != "john" {
		t.Errorf("%s", a.body)
	}
	s.want(s.post(path+"/decision", `{"outcome":"rejected","why":"no","by":"john"}`), 409)
	if l := s.want(s.get("/v1/bill-adjustments?status=ready&account=acme"), 200); l.count(t, "adjustments") != 1 {
		t.Errorf("%s", l.body)
	}
	s.want(s.get("/v1/bill-adjustments/7"), 404)
	s.want(s.post("/v1/bill-adjustments", `{"account":"nobody","amount":"1","currency":"EUR","reason":"r","by":"b"}`), 404)
	s.want(s.post("/v1/terms?by=jane&why=x", `{"account":"acme",`+charges), 422)
	s.want(s.post("/v1/terms?by=jane&adjust_closed=true&why=x", `{"account":"acme","cadence":"weekly",`+charges), 422)
	s.want(s.post("/v1/accounts/acme/preview/closed", `{"account":"acme",`+charges), 422)
	// Default terms are previewed for all accounts.
	s.want(s.post("/v1/cycles/close", `{"through":"2026-01-31","by":"jane"}`), 200)
	all := s.want(s.post("/v1/terms/preview/closed?limit=10", `{"effective_from":"2000-01-01",`+charges), 200)
	if all.at(t, "looked_at") == "0" {
		t.Errorf("%s", all.body)
	}
	s.want(s.post("/v1/terms/preview/closed", `{"account":"acme",`+charges), 422)
	s.want(s.post("/v1/terms/preview/closed?limit=1001", `{`+charges), 422)
	if set := s.want(s.post("/v1/terms?by=jane&adjust_closed=true&why=x", `{"effective_from":"2000-01-01",`+charges), 200); set.at(t, "adjusts.accounts") == "" {
		t.Errorf("%s", set.body)
	}
}
