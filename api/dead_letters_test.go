package api_test

import (
	"strings"
	"testing"
	"time"
)

func TestDeadLetters(t *testing.T) {
	t.Parallel()
	s := start(t, time.Time{}, nil)
	for i, body := range []string{event("e1", 1), `{"id":"e2"`, "\x00\x01"} {
		_, err := s.db.Super.Exec(t.Context(), `WITH l AS (INSERT INTO ledger.dead_letters (topic, topic_id, partition, "offset", reason)
				VALUES ('orders', '7a1c3c0e-0000-4000-8000-000000000000', 0, $1, 'a reason') RETURNING n)
			INSERT INTO ledger.dead_letter_content (letter, body) SELECT n, $2 FROM l`, i, []byte(body))
		if err != nil {
			t.Fatal(err)
		}
	}
	if a := s.want(s.get("/v1/dead-letters?state=open&topic=orders&limit=2"), 200); a.count(t, "dead_letters") != 2 || a.at(t, "dead_letters.1.n") != "2" || strings.Contains(string(a.body), "e2") {
		t.Errorf("%s", a.body)
	}
	if a := s.want(s.get("/v1/dead-letters/2"), 200); a.at(t, "reason") != "a reason" || a.at(t, "message") != "" {
		t.Errorf("%s", a.body)
	}
	if a := s.want(s.get("/v1/dead-letters/2?payload=true"), 200); a.at(t, "message.body.text") != `{"id":"e2"` {
		t.Errorf("%s", a.body)
	}
	if a := s.want(s.get("/v1/dead-letters/3?payload=true"), 200); a.at(t, "message.body.hex") != "0001" {
		t.Errorf("%s", a.body)
	}
	s.want(s.get("/v1/dead-letters/9"), 404)
	s.want(s.get("/v1/dead-letters?state=closed"), 422)
	for range 2 {
		a := s.want(s.post("/v1/dead-letters/1/retry", `{"why":"mended","by":"jane"}`), 200)
		if a.at(t, "state") != "retried" || a.at(t, "decision.events.0.status") != "recorded" || a.at(t, "decision.events.0.id") != "e1" || a.at(t, "decision.by") != "jane" {
			t.Errorf("%s", a.body)
		}
	}
	s.want(s.get("/v1/events/orders/e1"), 200)
	if a := s.want(s.post("/v1/dead-letters/2/retry", `{}`), 200); a.at(t, "state") != "open" || a.at(t, "reason") == "" {
		t.Errorf("%s", a.body)
	}
	s.want(s.post("/v1/dead-letters/9/retry", `{}`), 404)
	s.want(s.post("/v1/dead-letters/2/discard", `{}`), 422)
	s.want(s.post("/v1/dead-letters/1/discard", `{"why":"w"}`), 409)
	if a := s.want(s.post("/v1/dead-letters/2/discard", `{"why":"a test","by":"jane"}`), 200); a.at(t, "state") != "discarded" || a.at(t, "decision.why") != "a test" {
		t.Errorf("%s", a.body)
	}
	if a := s.want(s.get("/v1/dead-letters?state=open"), 200); a.count(t, "dead_letters") != 1 {
		t.Errorf("%s", a.body)
	}
}
