package api_test

import (
	"strings"
	"testing"
	"time"
)

func TestColumnsAndTypesAreDeclaredOverHTTP(t *testing.T) {
	t.Parallel()
	s := start(t, time.Time{}, nil)
	const event = `{"id":"%ID%","source":"shop","stream":"o1","seqn":%N%,"type":"sold","account":"acme","occurred_at":"2026-01-05T10:00:00Z","currency":"EUR",
		"amount":"%A%","measures":{"commission":"-0.5"},"dimensions":{"level":%L%}}`
	send := func(id, n, amount, level string) answer {
		return s.post("/v1/events", strings.NewReplacer("%ID%", id, "%N%", n, "%A%", amount, "%L%", level).Replace(event), "Content-Type", "application/json")
	}
	for _, c := range []struct {
		path, body string
		status     int
		holds      string
	}{
		{"/v1/schema/columns", `{"name":"commission","kind":"money","description":"d","owner":"o"}`, 200, `"declared_by":"api"`},
		{"/v1/schema/columns", `{"name":"level","kind":"dimension","type":"int","description":"d","owner":"o","index":true}`, 200, `"indexed":true`},
		{"/v1/schema/columns", `{"name":"level","kind":"dimension","type":"int","description":"d","owner":"o"}`, 200, `"type":"bigint"`},
		{"/v1/schema/columns", `{"name":"level","kind":"dimension","description":"d","owner":"o"}`, 409, "is declared since"},
		{"/v1/schema/columns", `{"name":"select","kind":"dimension","description":"d","owner":"o"}`, 422, "body.name"},
		{"/v1/types", `{"name":"sold","description":"d","owner":"o","signs":{"amount":"positive"}}`, 200, `"version":1`},
		{"/v1/types", `{"name":"sold","description":"d","owner":"o"}`, 409, "may add and tighten"},
		{"/v1/types", `{"name":"sold","description":"d","owner":"o","schema":{"$ref":"https://example.com/x"}}`, 422, "body.schema"},
		{"/v1/sources", `{"name":"shop","strict":true}`, 200, `"strict":true`},
		{"/v1/sources", `{"name":"shop","numbering":"stream"}`, 200, `"strict":true`},
	} {
		if a := s.want(s.post(c.path, c.body, "Content-Type", "application/json"), c.status); !strings.Contains(string(a.body), c.holds) {
			t.Errorf("%s %s: %s lacks %s", c.path, c.body, a.body, c.holds)
		}
	}
	s.want(send("1", "1", "2.00", `"7"`), 201)
	for _, c := range []struct{ amount, level, holds string }{{"-2", "7", "must be positive (type sold, version 1)"}, {"2", `"x"`, "dimensions.level"}} {
		if a := s.want(send("2", "2", c.amount, c.level), 422); !strings.Contains(string(a.body), c.holds) {
			t.Errorf("%s lacks %s", a.body, c.holds)
		}
	}
	if a := s.want(s.get("/v1/aggregates?measure=commission&by=level"), 200); !strings.Contains(string(a.body), `"level":"7"`) || !strings.Contains(string(a.body), `"-0.5"`) {
		t.Errorf("%s", a.body)
	}
	if a := s.want(s.get("/v1/schema"), 200); !strings.Contains(string(a.body), `"filled":1,"sampled":1`) {
		t.Errorf("%s", a.body)
	}
	if a := s.want(s.get("/v1/types?name=sold"), 200); strings.Count(string(a.body), `"version"`) != 1 {
		t.Errorf("%s", a.body)
	}
	s.want(s.get("/v1/types?name=none"), 404)
	if a := s.want(s.get("/v1/types"), 200); !strings.Contains(string(a.body), `"billable":true`) {
		t.Errorf("%s", a.body)
	}
}
