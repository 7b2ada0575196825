package api_test

import (
	"strings"
	"testing"
	"time"
)

func TestDecideConflicts(t *testing.T) {
	t.Parallel()
	s := start(t, time.Time{}, nil)
	s.want(s.post("/v1/events", event("e1", 1, "amount", `"1"`, "payload", `{"card":"visa one"}`)), 201)
	for _, amount := range []string{`"2"`, `"3"`} {
		s.want(s.post("/v1/events", event("e1", 1, "amount", amount, "payload", `{"card":"visa two"}`)), 409)
	}
	a := s.want(s.get("/v1/conflicts?state=open&source=orders&reason=content"), 200)
	if a.count(t, "conflicts") != 2 || a.at(t, "conflicts.1.n") != "1" {
		t.Fatalf("%s", a.body)
	}
	a = s.want(s.get("/v1/conflicts/1"), 200)
	if !strings.Contains(string(a.body), `{"name":"amount","recorded":"1","arrived":"2","differs":true}`) || strings.Contains(string(a.body), "visa two") || strings.Contains(string(a.body), "visa one") {
		t.Errorf("%s", a.body)
	}
	if a = s.want(s.get("/v1/conflicts/1?payload=true"), 200); a.at(t, "payload.card") != "visa two" || a.at(t, "recorded.payload.card") != "visa one" {
		t.Errorf("%s", a.body)
	}
	s.want(s.get("/v1/conflicts/99"), 404)
	s.want(s.get("/v1/conflicts/0"), 422)
	s.want(s.get("/v1/conflicts?state=closed"), 422)
	const path = "/v1/conflicts/1/decision"
	s.want(s.post(path, `{"outcome":"recorded","why":"w"}`), 422)
	s.want(s.post(path, `{"outcome":"dismissed"}`), 422)
	s.want(s.post(path, `{"outcome":"recorded","id":"e1b","why":"w"}`), 409) // its place is taken
	const record = `{"outcome":"recorded","id":"e1b","seqn":2,"why":"a second one","by":"jane"}`
	for range 2 {
		if a = s.want(s.post(path, record), 200); a.at(t, "outcome") != "recorded" || a.at(t, "by") != "jane" {
			t.Errorf("%s", a.body)
		}
	}
	if e := s.want(s.get("/v1/events/orders/e1b?payload=true"), 200); e.at(t, "position") != a.at(t, "position") || e.at(t, "payload.card") != "visa two" || e.at(t, "amount") != "2" {
		t.Errorf("%s", e.body)
	}
	s.want(s.post(path, `{"outcome":"dismissed","why":"w"}`), 409)
	s.want(s.post("/v1/conflicts/2/decision", `{"outcome":"dismissed","why":"w"}`), 200)
	s.want(s.post("/v1/conflicts/99/decision", `{"outcome":"dismissed","why":"w"}`), 404)
	if a = s.want(s.get("/v1/conflicts?state=open"), 200); a.count(t, "conflicts") != 0 {
		t.Errorf("%s", a.body)
	}
}

func TestErase(t *testing.T) {
	t.Parallel()
	s := start(t, time.Time{}, nil)
	s.want(s.post("/v1/events", event("e1", 1, "payload", `{"card":"visa one"}`)), 201)
	s.want(s.post("/v1/events", event("e2", 2, "payload", `{"card":"visa one"}`, "account", `"globex"`)), 201)
	for _, body := range []string{
		`{"why":"w"}`, `{"account":"acme"}`, `{"account":"acme","before":"2026-01-01","why":"w"}`, `{"event":"e1","why":"w"}`, `{"before":"x","why":"w"}`,
	} {
		s.want(s.post("/v1/erasures", body), 422)
	}
	s.want(s.post("/v1/erasures", `{"source":"orders","event":"e9","why":"w","by":"jane"}`), 404)
	if a := s.want(s.post("/v1/erasures", `{"account":"acme","why":"request 1","by":"jane","dry_run":true}`), 200); a.at(t, "events") != "1" || a.at(t, "n") != "0" {
		t.Errorf("%s", a.body)
	}
	if a := s.want(s.get("/v1/erasures"), 200); a.count(t, "erasures") != 0 {
		t.Errorf("%s", a.body)
	}
	if a := s.want(s.post("/v1/erasures", `{"account":"acme","why":"request 1","by":"jane"}`), 200); a.at(t, "events") != "1" || a.at(t, "n") != "1" || a.at(t, "ended_at") == "" {
		t.Errorf("%s", a.body)
	}
	a := s.want(s.get("/v1/events/orders/e1?payload=true"), 200)
	if a.at(t, "payload") != "" || a.at(t, "erased.why") != "request 1" || a.at(t, "erased.payload") != "true" {
		t.Errorf("%s", a.body)
	}
	if a = s.want(s.get("/v1/events?order=oldest"), 200); a.at(t, "events.0.erased.erasure") != "1" || a.at(t, "events.1.erased") != "" {
		t.Errorf("%s", a.body)
	}
	if a = s.want(s.get("/v1/erasures?limit=1"), 200); a.at(t, "erasures.0.account") != "acme" {
		t.Errorf("%s", a.body)
	}
	s.want(s.post("/v1/events", event("e1", 1, "payload", `{"card":"visa one"}`)), 200) // still known
}

func TestPolicyOfASource(t *testing.T) {
	t.Parallel()
	s := start(t, time.Time{}, nil)
	s.want(s.post("/v1/sources", `{"name":"orders","card_numbers":"refuse","emails":"private"}`), 200)
	a := s.want(s.post("/v1/sources", `{"name":"orders","ibans":"flag"}`), 200)
	if a.at(t, "card_numbers") != "refuse" || a.at(t, "emails") != "private" || a.at(t, "ibans") != "flag" {
		t.Errorf("%s", a.body)
	}
	s.want(s.post("/v1/sources", `{"name":"orders","ibans":"maybe"}`), 422)
	const card = "4111111111111111"
	for _, body := range []string{
		event(card, 1), event("e1", 1, "dimensions", `{"note":"`+card+`"}`), "[" + event(card, 1) + "]", "[" + event("e1", 1, "dimensions", `{"note":"`+card+`"}`) + "]",
	} {
		for _, query := range []string{"", "?outcomes=all", "?atomic=true"} {
			if query != "" && body[0] != '[' {
				continue
			}
			a := s.post("/v1/events"+query, body)
			if strings.Contains(string(a.body), card) || !strings.Contains(string(a.body), "card number") {
				t.Errorf("%s %s: %d %s", query, body, a.status, a.body)
			}
		}
	}
	s.want(s.post("/v1/events", event("e1", 1, "dimensions", `{"note":"jane@b.example"}`)), 201)
	if a := s.want(s.get("/v1/events"), 200); strings.Contains(string(a.body), "jane") {
		t.Errorf("%s", a.body)
	}
}
