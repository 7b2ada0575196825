package api_test

import (
	"strings"
	"testing"
	"time"
)

func TestRecordOneEvent(t *testing.T) {
	t.Parallel()
	s := start(t, time.Time{}, nil)
	a := s.want(s.post("/v1/events", event("e/1", 1)), 201)
	if a.at(t, "status") != "recorded" || a.at(t, "position") == "" || a.at(t, "id") != "e/1" {
		t.Errorf("answer %s", a.body)
	}
	if got := a.header.Get("Location"); got != "/v1/events/orders/e%2F1" {
		t.Errorf("Location %s", got)
	}
	again := s.want(s.post("/v1/events", event("e/1", 1)), 200)
	if again.at(t, "status") != "duplicate" || again.at(t, "position") != a.at(t, "position") {
		t.Errorf("answer %s", again.body)
	}
	other := s.want(s.post("/v1/events", event("e/1", 1, "amount", `"13"`)), 409)
	if other.at(t, "differs.0") != "amount" || other.at(t, "position") != a.at(t, "position") || other.at(t, "type") != "/docs#problem-conflict" {
		t.Errorf("problem %s", other.body)
	}
	place := s.want(s.post("/v1/events", event("e2", 1)), 409)
	if !strings.Contains(place.at(t, "detail"), `"e/1"`) || place.at(t, "errors.0.location") != "body.seqn" {
		t.Errorf("problem %s", place.body)
	}
}

func TestRefuseOneEvent(t *testing.T) {
	t.Parallel()
	s := start(t, time.Time{}, nil)
	for name, c := range map[string]struct {
		body     string
		status   int
		location string
	}{
		"missing id":       {event("", 1), 422, "body.id"},
		"number as amount": {event("e1", 1, "amount", "12.5"), 422, "body.amount"},
		"exponent":         {event("e1", 1, "amount", `"1e5"`), 422, "body.amount"},
		"60 digits":        {event("e1", 1, "amount", `"`+strings.Repeat("9", 60)+`"`), 422, "body.amount"},
		"unknown currency": {event("e1", 1, "currency", `"XQZ"`), 422, "body.currency"},
		"no zone":          {event("e1", 1, "occurred_at", `"2026-01-15T12:00:00"`), 422, "body.occurred_at"},
		"nanoseconds":      {event("e1", 1, "occurred_at", `"2026-01-15T12:00:00.123456789Z"`), 422, "body.occurred_at"},
		"unknown field":    {event("e1", 1, "amuont", `"1"`), 422, "body.amuont"},
		"field twice":      {`{"id":"a","id":"b"}`, 422, "body.id"},
		"measure":          {event("e1", 1, "measures", `{"commission":"1"}`), 422, "body.measures.commission"},
		"no JSON":          {`{"id":`, 400, ""},
		"two values":       {event("e1", 1) + event("e2", 2), 400, ""},
		"a text":           {`"hello"`, 400, ""},
		"nothing":          {"", 400, ""},
		"spaces":           {"  \n", 400, ""},
		"too large":        {event("e1", 1, "payload", `"`+strings.Repeat("x", 300_000)+`"`), 413, ""},
	} {
		a := s.post("/v1/events", c.body)
		s.want(a, c.status)
		if c.location != "" && a.at(t, "errors.0.location") != c.location {
			t.Errorf("%s: %s", name, a.body)
		}
		t.Logf("%-18s %s", name, a.body)
	}
	if n := s.want(s.post("/v1/events", "[]"), 200).at(t, "recorded"); n != "0" {
		t.Errorf("an empty array recorded %s", n)
	}
}
