package api_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/avro"
	"github.com/twmb/avro/ocf"
)

// ceHeaders are those of a CloudEvent in binary mode.
func ceHeaders(id string) []string {
	return []string{
		"ce-specversion", "1.0", "ce-id", id, "ce-source", "orders", "ce-type", "order.placed", "ce-subject", "order-1",
		"ce-time", "2026-01-15T12:00:00Z", "ce-region", "eu%20west",
	}
}

// TestCloudEvents: the same event in every mode, and in our own JSON, is recorded once.
func TestCloudEvents(t *testing.T) {
	t.Parallel()
	s := start(t, time.Time{}, nil)
	const data = `{"seqn":1,"account":"acme","currency":"USD","amount":"12.50"}`
	const head = `{"specversion":"1.0","id":"e1","source":"orders","type":"order.placed","subject":"order-1","time":"2026-01-15T12:00:00Z","region":"eu west",`
	structured := head + `"data":` + data + `}`
	one, many := "application/cloudevents+json; charset=UTF-8", "application/cloudevents-batch+json"
	if a := s.want(s.post("/v1/events", structured, "Content-Type", one), 201); a.at(t, "id") != "e1" || a.at(t, "status") != "recorded" {
		t.Errorf("%s", a.body)
	}
	packed := head + `"data_base64":"` + base64.StdEncoding.EncodeToString([]byte(data)) + `"}`
	for name, a := range map[string]answer{
		"structured": s.post("/v1/events", structured, "Content-Type", one),
		"base64":     s.post("/v1/events", packed, "Content-Type", one),
		"binary":     s.post("/v1/events", data, ceHeaders("e1")...),
		"native":     s.post("/v1/events", event("e1", 1, "dimensions", `{"region":"eu west"}`)),
	} {
		if s.want(a, 200); a.at(t, "status") != "duplicate" {
			t.Errorf("%s: %s", name, a.body)
		}
	}
	if a := s.want(s.post("/v1/events", "["+structured+",5]", "Content-Type", many), 200); counts(t, a) != "0/1/0/1" {
		t.Errorf("a batch: %s", a.body)
	}
	if a := s.want(s.post("/v1/events?outcomes=all", "["+structured+"]", "Content-Type", many), 200); a.at(t, "outcomes.0.status") != "duplicate" {
		t.Errorf("a batch with all outcomes: %s", a.body)
	}
	if a := s.want(s.post("/v1/events", data, ceHeaders("e2")...), 409); a.at(t, "errors.0.location") != "body.seqn" {
		t.Errorf("a place that is taken: %s", a.body)
	}
	if n := s.recorded(); n != 1 {
		t.Errorf("%d events are recorded", n)
	}
	s.want(s.post("/v1/events", "["+structured+"]", "Content-Type", one), 400)
	s.want(s.post("/v1/events", structured, "Content-Type", many), 400)
	s.want(s.post("/v1/events", structured, "Content-Type", "application/cloudevents+xml"), 415)
	s.want(s.post("/v1/events", structured, "Content-Type", "application/cloudevents+json; charset=utf-16"), 415)
	s.want(s.post("/v1/events", "{", "Content-Type", one), 400)
	s.want(s.post("/v1/events", `{"specversion":"1.0"}`, "Content-Type", one), 422)
	s.want(s.post("/v1/events", "", ceHeaders("e3")...), 422)
	s.want(s.post("/v1/events", "{", ceHeaders("e3")...), 400)
	s.want(s.post("/v1/adjustments", structured, "Content-Type", one), 415)
	s.want(s.post("/v1/events", "PAR1", "Content-Type", "application/vnd.apache.parquet"), 415)
}

// TestAvroBody records a file of Avro objects.
func TestAvroBody(t *testing.T) {
	t.Parallel()
	s := start(t, time.Time{}, nil)
	schema := avro.MustParse(`{"type":"record","name":"E","fields":[{"name":"id","type":"string"},{"name":"source","type":"string"},{"name":"stream","type":"string"},
		{"name":"seqn","type":"long"},{"name":"type","type":"string"},{"name":"account","type":"string"},{"name":"occurred_at","type":{"type":"long","logicalType":"timestamp-millis"}},
		{"name":"currency","type":"string"},{"name":"amount","type":"string"}]}`)
	var b bytes.Buffer
	w, err := ocf.NewWriter(&b, schema, ocf.WithCodec(ocf.DeflateCodec(6)))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		amount := "12.50"
		if i == 1 {
			amount = "12,50"
		}
		err := w.Encode(map[string]any{
			"id": fmt.Sprintf("e%d", i), "source": "orders", "stream": "order-1", "seqn": int64(i), "type": "order.placed", "account": "acme",
			"occurred_at": time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC), "currency": "USD", "amount": amount,
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	a := s.want(s.post("/v1/events", b.String(), "Content-Type", "application/avro"), 200)
	if counts(t, a) != "2/0/0/1" || a.at(t, "problems.0.line") != "2" || a.at(t, "problems.0.field") != "amount" {
		t.Errorf("%s", a.body)
	}
	if a := s.want(s.post("/v1/events", event("e2", 2)), 200); a.at(t, "status") != "duplicate" {
		t.Errorf("the same as JSON: %s", a.body)
	}
	s.want(s.post("/v1/events", b.String()[:b.Len()-5], "Content-Type", "application/avro"), 422)
}
