package api_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestListEvents(t *testing.T) {
	t.Parallel()
	s := start(t, time.Time{}, nil)
	for i := 1; i <= 5; i++ {
		country := []string{`{"country":"US"}`, `{"country":"DE"}`}[i%2]
		s.want(s.post("/v1/events", event(fmt.Sprintf("e%d", i), i, "dimensions", country, "occurred_at", fmt.Sprintf(`"2026-01-1%dT12:00:00Z"`, i))), 201)
	}
	ids := func(a answer) string {
		t.Helper()
		var list []string
		for i := range s.want(a, 200).count(t, "events") {
			list = append(list, a.at(t, fmt.Sprintf("events.%d.id", i)))
		}
		return strings.Join(list, " ")
	}
	for query, want := range map[string]string{
		"":                    "e5 e4 e3 e2 e1",
		"?order=oldest":       "e1 e2 e3 e4 e5",
		"?where=country%3DUS": "e4 e2",
		"?where=country=US&where=country=DE&where=account=acme": "e5 e4 e3 e2 e1",
		"?where=country=FR":              "",
		"?from=2026-01-12&to=2026-01-14": "e3 e2",
		"?where=seqn=4":                  "e4",
	} {
		if got := ids(s.get("/v1/events" + query)); got != want {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
	first := s.want(s.get("/v1/events?limit=2&where=account=acme"), 200)
	s.want(s.post("/v1/events", event("e6", 6)), 201)
	next := s.want(s.get("/v1/events?limit=2&cursor="+url.QueryEscape(first.at(t, "next_cursor"))), 200)
	if ids(first) != "e5 e4" || ids(next) != "e3 e2" || next.at(t, "as_of.position") != first.at(t, "as_of.position") {
		t.Errorf("pages %q and %q", ids(first), ids(next))
	}
	if got := ids(s.get("/v1/events?as_of=" + first.at(t, "as_of.position"))); got != "e5 e4 e3 e2 e1" {
		t.Errorf("as of the first page: %q", got)
	}
	for query, location := range map[string]string{
		"?where=country": "query.where", "?limit=0": "query.limit", "?limit=1001": "query.limit", "?limit=x": "query.limit",
		"?cursor=nonsense": "query.cursor", "?as_of=tomorrow": "query.as_of", "?as_of=2999-01-01T00:00:00Z": "query.as_of",
		"?as_of=99999999": "query.as_of", "?from=yesterday": "query.from", "?order=up": "query.order", "?where=seqn=x": "query.where.seqn",
	} {
		if a := s.want(s.get("/v1/events"+query), 422); a.at(t, "errors.0.location") != location {
			t.Errorf("%s: %s", query, a.body)
		}
	}
}

func TestGetEventAndStream(t *testing.T) {
	t.Parallel()
	s := start(t, time.Time{}, nil)
	stream := `"order/1 a+b%2F"`
	for i, amount := range []string{`"10.00"`, `"-2.5"`} {
		s.want(s.post("/v1/events", event(fmt.Sprintf("é/%d?", i+1), i+1, "stream", stream, "amount", amount, "payload", `{"x":1}`)), 201)
	}
	a := s.want(s.get("/v1/events/orders/"+url.PathEscape("é/2?")), 200)
	if a.at(t, "id") != "é/2?" || a.at(t, "amount") != "-2.5" || a.at(t, "business_date") != "2026-01-15" || a.at(t, "payload") != "" {
		t.Errorf("%s", a.body)
	}
	s.want(s.get("/v1/events/orders/nope"), 404)
	path := "/v1/streams/orders/" + url.PathEscape("order/1 a+b%2F")
	v := s.want(s.get(path), 200)
	if v.at(t, "view.entries.1.totals.0.sum") != "7.5" || v.at(t, "view.last_seqn") != "2" {
		t.Errorf("%s", v.body)
	}
	first := a.at(t, "position")
	s.want(s.post("/v1/events", event("e4", 4, "stream", stream)), 201)
	if old := s.want(s.get(path+"?as_of="+first), 200); old.count(t, "view.entries") != 2 {
		t.Errorf("%s", old.body)
	}
	d := s.want(s.get(path+"?diff_from="+first), 200)
	if d.at(t, "diff.added.0.id") != "e4" || d.at(t, "diff.totals.0.before") != "7.5" || d.at(t, "diff.totals.0.after") != "20" {
		t.Errorf("%s", d.body)
	}
	if gaps := s.want(s.get(path), 200); gaps.at(t, "view.gaps.0.from") != "3" {
		t.Errorf("%s", gaps.body)
	}
	if none := s.want(s.get("/v1/streams/orders/none"), 200); none.count(t, "view.entries") != 0 {
		t.Errorf("%s", none.body)
	}
	for _, query := range []string{"?diff_to=5", "?diff_from=1&as_of=2", "?diff_from=" + first + "&diff_to=1", "?as_of=never"} {
		s.want(s.get(path+query), 422)
	}
}

func TestAggregate(t *testing.T) {
	t.Parallel()
	s := start(t, time.Time{}, nil)
	for i, of := range [][2]string{{`"2026-01-31T23:30:00Z"`, `{"country":"=US"}`}, {`"2026-01-15T12:00:00Z"`, `{"country":"DE","count":"x"}`}, {`"2026-02-01T12:00:00Z"`, ""}} {
		s.want(s.post("/v1/events", event(fmt.Sprintf("e%d", i), i, "occurred_at", of[0], "dimensions", of[1], "amount", `"0.1"`, "quantity", `"2"`)), 201)
	}
	a := s.want(s.get("/v1/aggregates?measure=amount,quantity&by=month"), 200)
	rows := fmt.Sprint(a.object(t)["rows"])
	if rows != "[map[amount:0.2 count:2 currency:USD month:2026-01 quantity:4] map[amount:0.1 count:1 currency:USD month:2026-02 quantity:2]]" {
		t.Errorf("%s", a.body)
	}
	if !strings.HasPrefix(string(a.body), `{"rows":[{"month":"2026-01","currency":"USD","amount":"0.2","quantity":"4","count":2}`) {
		t.Errorf("the keys are out of order: %s", a.body)
	}
	berlin := s.want(s.get("/v1/aggregates?measure=amount&by=month&zone=Europe/Berlin"), 200)
	if berlin.at(t, "rows.0.count") != "1" || berlin.at(t, "zone") != "Europe/Berlin" {
		t.Errorf("%s", berlin.body)
	}
	want := "country,currency,amount,count\n'=US,USD,0.1,1\nDE,USD,0.1,1\n,USD,0.1,1\n"
	for name, b := range map[string]answer{
		"by parameter": s.get("/v1/aggregates?measure=amount&by=country&format=csv"),
		"by Accept":    s.get("/v1/aggregates?measure=amount&by=country", "Accept", "text/csv"),
	} {
		s.want(b, 200)
		if string(b.body) != want || !strings.HasPrefix(b.header.Get("Content-Type"), "text/csv") || b.header.Get("Ledger-Watermark") == "" {
			t.Errorf("%s: %s\n%s", name, b.header.Get("Content-Type"), b.body)
		}
	}
	if d := s.want(s.get("/v1/aggregates?measure=amount&by=dimensions.count"), 200); !strings.Contains(string(d.body), `"dimensions.count":"x"`) {
		t.Errorf("%s", d.body)
	}
	for query, location := range map[string]string{
		"": "query.measure", "?measure=amuont": "query.measure", "?measure=amount&by=count": "query.by", "?measure=amount&zone=Mars/Base": "query.zone",
		"?measure=amount&format=xml": "query.format", "?measure=amount&limit=0": "query.limit",
	} {
		if b := s.want(s.get("/v1/aggregates"+query), 422); b.at(t, "errors.0.location") != location {
			t.Errorf("%s: %s", query, b.body)
		}
	}
	if b := s.want(s.get("/v1/aggregates?measure=amount&by=month&limit=1"), 200); b.at(t, "more") != "true" || b.header.Get("Ledger-Truncated") != "true" {
		t.Errorf("%s", b.body)
	}
}

func TestAdjustments(t *testing.T) {
	t.Parallel()
	s := start(t, time.Time{}, nil)
	with := func(id, amount string) string {
		return event(id, 0, "seqn", "", "amount", `"`+amount+`"`, "reason", `"late parcel"`, "reference", `"t-1"`, "maker", `"jane"`)
	}
	s.want(s.post("/v1/adjustments", with("a1", "-5")), 201)
	s.want(s.post("/v1/adjustments", with("a1", "-5")), 200)
	s.want(s.post("/v1/adjustments", with("a1", "-6")), 409)
	if a := s.want(s.get("/v1/events/orders/a1"), 200); a.at(t, "kind") != "adjustment" || a.at(t, "maker") != "jane" {
		t.Errorf("%s", a.body)
	}
	if a := s.want(s.post("/v1/adjustments", event("a2", 0, "seqn", "")), 422); a.at(t, "errors.0.location") != "body.reason" {
		t.Errorf("%s", a.body)
	}
	if a := s.want(s.post("/v1/adjustments", event("a2", 1)), 422); a.at(t, "errors.0.location") != "body.seqn" {
		t.Errorf("%s", a.body)
	}
	if a := s.want(s.post("/v1/adjustments", "["+with("a2", "1")+","+with("a3", "x")+"]"), 422); a.at(t, "problems.0.line") != "2" || a.at(t, "summary.refused") != "1" {
		t.Errorf("%s", a.body)
	}
	s.want(s.get("/v1/events/orders/a2"), 404)
	if a := s.want(s.post("/v1/adjustments", "["+with("a2", "1")+","+with("a3", "2")+"]"), 200); counts(t, a) != "2/0/0/0" {
		t.Errorf("%s", a.body)
	}
	s.want(s.post("/v1/adjustments", "[1"), 400)
	s.want(s.post("/v1/adjustments", ""), 400)
	s.want(s.post("/v1/adjustments", "["+strings.Repeat(" ", 5<<20)+"]"), 413)
	s.want(s.post("/v1/events", with("a9", "1")), 422)
}

func TestSourcesAndConflicts(t *testing.T) {
	t.Parallel()
	s := start(t, time.Time{}, nil)
	if a := s.want(s.get("/v1/sources"), 200); string(a.body) != `{"sources":[]}`+"\n" {
		t.Errorf("%s", a.body)
	}
	s.want(s.post("/v1/events", event("e1", 0, "seqn", "")), 422)
	a := s.want(s.post("/v1/sources", `{"name":"orders","numbering":"none","by":"jane"}`), 200)
	if a.at(t, "numbering") != "none" || a.at(t, "declared_by") != "jane" || a.at(t, "states") != "false" {
		t.Errorf("%s", a.body)
	}
	if b := s.want(s.get("/v1/sources"), 200); b.at(t, "sources.0.name") != "orders" {
		t.Errorf("%s", b.body)
	}
	for body, location := range map[string]string{
		`{"name":"deltaledger"}`: "body.name", `{"name":"x","numbering":"odd"}`: "body.numbering", `{}`: "body", `{"name":""}`: "body.name",
	} {
		if b := s.want(s.post("/v1/sources", body), 422); b.at(t, "errors.0.location") != location {
			t.Errorf("%s: %s", body, b.body)
		}
	}
	s.want(s.post("/v1/sources", `{"name":"shop","states":true}`), 200)
	s.want(s.post("/v1/sources", `{"name":"shop"}`), 409)

	s.want(s.post("/v1/events", event("c1", 1)), 201)
	s.want(s.post("/v1/events", event("c1", 1, "amount", `"99"`)), 409)
	s.want(s.post("/v1/events", event("c2", 1)), 409)
	c := s.want(s.get("/v1/conflicts"), 200)
	if c.at(t, "conflicts.0.reason") != "sequence" || c.at(t, "conflicts.1.reason") != "content" || c.at(t, "conflicts.1.differs.0") != "amount" {
		t.Errorf("%s", c.body)
	}
	if d := s.want(s.get("/v1/conflicts?limit=1&after="+c.at(t, "conflicts.0.n")), 200); d.at(t, "conflicts.0.reason") != "content" {
		t.Errorf("%s", d.body)
	}
}
