package wire

import (
	"context"
	"encoding/base64"
	"reflect"
	"strings"
	"testing"

	"deltaledger/ledger"
)

const (
	ceData = "{" + ceRest
	ceRest = `"seqn":7,"account":"acme","currency":"USD","amount":"-12.50","dimensions":{"partner":"pub-7"},"payload":{"x":1}}`
	ceFull = `{"specversion":"1.0","id":"e1","source":"/orders","type":"order.returned","subject":"order-1","time":"2026-01-31T23:59:59.5-05:00",` +
		`"datacontenttype":"application/json","dataschema":"https://example.com/s","data":` + ceData + `}`
	ceNative = `{"id":"e1","source":"/orders","type":"order.returned","stream":"order-1","occurred_at":"2026-01-31T23:59:59.5-05:00",` + ceRest
)

// message decodes one message by its headers, given as name and value in turn.
func message(t *testing.T, o MessageOptions, value string, headers ...string) []Item {
	t.Helper()
	if o.Measures == nil {
		o.Measures = declared.Measures
	}
	d, err := NewMessageDecoder(o)
	if err != nil {
		t.Fatal(err)
	}
	m := Message{Topic: "orders", Partition: 3, Offset: 42, Key: []byte("acme"), Value: []byte(value)}
	for i := 0; i+1 < len(headers); i += 2 {
		m.Headers = append(m.Headers, Header{headers[i], []byte(headers[i+1])})
	}
	items, err := d.Decode(context.Background(), m)
	if err != nil {
		t.Fatal(err)
	}
	return items
}

func TestCloudEventModes(t *testing.T) {
	t.Parallel()
	want, fault := DecodeOne([]byte(ceNative), declared)
	if fault != nil {
		t.Fatal(fault)
	}
	binary := []string{
		"ce_specversion", "1.0", "ce_id", "e1", "ce_source", "/orders", "ce_type", "order.returned", "ce_subject", "order-1",
		"ce_time", "2026-01-31T23:59:59.5-05:00", "content-type", "application/json; charset=utf-8",
	}
	overHTTP := make([]string, len(binary))
	for i, s := range binary {
		overHTTP[i] = strings.Replace(s, "ce_", "Ce-", 1)
	}
	overHTTP[3] = "%65%31"
	packed := strings.Replace(ceFull, `"data":`+ceData, `"data_base64":"`+base64.StdEncoding.EncodeToString([]byte(ceData))+`"`, 1)
	for name, items := range map[string][]Item{
		"native":              message(t, MessageOptions{}, ceNative),
		"native by name":      message(t, MessageOptions{Format: JSON}, ceNative, "content-type", "text/plain"),
		"structured":          message(t, MessageOptions{}, ceFull, "content-type", "application/cloudevents+json; charset=UTF-8"),
		"structured by topic": message(t, MessageOptions{Format: CloudEvents}, ceFull),
		"base64":              message(t, MessageOptions{Format: CloudEvents}, packed),
		"binary":              message(t, MessageOptions{}, ceData, binary...),
		"binary by topic":     message(t, MessageOptions{Format: CloudEvents}, ceData, binary...),
		"binary over HTTP":    message(t, MessageOptions{}, ceData, overHTTP...),
		"batch":               message(t, MessageOptions{}, "[ "+ceFull+" ]", "Content-Type", "application/cloudevents-batch+json"),
		"file of one":         decodeAll(t, ceFull, CloudEvents, declared),
		"file of an array":    decodeAll(t, "["+ceFull+"]", CloudEvents, declared),
	} {
		if len(items) != 1 || items[0].Err != nil || items[0].Line != 1 || !reflect.DeepEqual(items[0].Event, want) {
			t.Errorf("%s: %+v\nwant %+v", name, items, want)
		}
	}
}

func TestCloudEventExtensions(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ extra, data, dimensions, stream string }{
		{`"region":"eu","priority":5,"test":false,"none":null,"traceparent":"00-a-b-01","tracestate":"x"`, `{"dimensions":{"a":1}}`, `{"a":1,"priority":5,"region":"eu","test":false}`, ""},
		{`"sequence":"7","sequencetype":"Integer"`, `{"stream":"s"}`, ``, "s"},
		{`"sequence":"7","sequencetype":"Integer","subject":"t"`, `{"stream":"s","seqn":7}`, `{"sequence":"7","sequencetype":"Integer"}`, "s"},
		{`"sequence":"0000A"`, `{"seqn":7}`, `{"sequence":"0000A"}`, ""},
		{`"region":"` + `\u00e9"`, `{"seqn":7}`, `{"region":"é"}`, ""},
	} {
		items := message(t, MessageOptions{Format: CloudEvents}, `{"specversion":"1.0","id":"e","source":"s","type":"t",`+c.extra+`,"data":`+c.data+`}`)
		e := items[0].Event
		if items[0].Err != nil || string(e.Dimensions) != c.dimensions || e.Stream != c.stream || strings.Contains(c.extra+c.data, "7") != e.HasSeqn {
			t.Errorf("%s: %v %s %+v", c.extra, items[0].Err, e.Dimensions, e)
		}
	}
}

func TestBadCloudEvents(t *testing.T) {
	t.Parallel()
	const head = `{"specversion":"1.0","id":"e","source":"s","type":"t"`
	for _, c := range []struct{ value, field, shown, rule string }{
		{`{"id":"e","source":"s","type":"t"}`, "specversion", "", ruleRequired},
		{`{"specversion":"0.3","id":"e","source":"s","type":"t"}`, "specversion", "0.3", ruleSpecVersion},
		{`{"specversion":"1.0","source":"s","type":"t"}`, "id", "", ruleRequired},
		{`{"specversion":"1.0","id":"","source":"s","type":"t"}`, "id", "", ruleNotEmpty},
		{`{"specversion":"1.0","id":7,"source":"s","type":"t"}`, "id", "7", ruleString},
		{`{"specversion":"1.0","id":"e","id":"e","source":"s","type":"t"}`, "id", "", ruleTwice},
		{`{"specversion":"1.0","id":"e","source":null,"type":"t"}`, "source", "", ruleRequired},
		{`{"specversion":"1.0","id":"e","source":"s"}`, "type", "", ruleRequired},
		{head + `,"time":"2026-01-31T00:00:00"}`, "time", "2026-01-31T00:00:00", ruleZone},
		{head + `,"time":"2026-01-31T00:00:00Z","data":{"occurred_at":"2026-01-31T00:00:00Z"}}`, "data.occurred_at", "", ruleTimeTwice},
		{head + `,"subject":""}`, "subject", "", ruleNotEmpty},
		{head + `,"occurred_at":"x"}`, "occurred_at", `"x"`, ruleAttribute},
		{head + `,"Region":"x"}`, "Region", `"x"`, ruleAttribute},
		{head + `,"region":{"a":1}}`, "region", `{"a":1}`, ruleScalar},
		{head + `,"region":"a","data":{"dimensions":{"region":"b"}}}`, "data.dimensions.region", "", ruleBeside},
		{head + `,"priority":1e400}`, "priority", "", "must have at most 38 digits"},
		{head + `,"datacontenttype":"application/xml","data":"<a/>"}`, "datacontenttype", "application/xml", ruleContentType},
		{head + `,"data":"{}"}`, "data", `"{}"`, ruleData},
		{head + `,"data":[1]}`, "data", `[1]`, ruleData},
		{head + `,"data":{},"data_base64":"e30="}`, "data_base64", "", ruleBothData},
		{head + `,"data_base64":"e30"}`, "data_base64", `"e30"`, ruleBase64},
		{head + `,"data_base64":5}`, "data_base64", `5`, ruleString},
		{head + `,"data":{"id":"f"}}`, "data.id", "f", ruleOfAttribute},
		{head + `,"data":{"source":"f"}}`, "data.source", "f", ruleOfAttribute},
		{head + `,"data":{"amount":12.5}}`, "data.amount", "12.5", ruleQuotes},
		{head + `,"data":{"amount":"1e5"}}`, "data.amount", "1e5", ""},
		{head + `,"data":{"price":"1"}}`, "data.price", `"1"`, ""},
		{head + `,"data":{"measures":{"price":"1"}}}`, "data.measures.price", `"1"`, ""},
		{head + `,"sequence":"a","sequencetype":"Integer"}`, "sequence", "a", ruleSequence},
		{head, "event", head[max(0, len(head)-30):], ""},
		{head + `} x`, "event", "", ""},
		{`[` + head + `}]`, "event", "", ""},
		{``, "event", "", ""},
	} {
		items := message(t, MessageOptions{Format: CloudEvents}, c.value)
		if len(items) != 1 || items[0].Err == nil {
			t.Errorf("%s: %+v", c.value, items)
			continue
		}
		got := items[0].Err
		checkFault(t, got)
		if got.Field != c.field || c.shown != "" && got.Value != c.shown || c.rule != "" && got.Rule != c.rule || !reflect.DeepEqual(items[0].Event, ledger.Event{}) {
			t.Errorf("%s: %s, %q, %q", c.value, got.Field, got.Value, got.Rule)
		}
	}
}

// TestBadMessages: what the headers say is wrong, or nothing is there.
func TestBadMessages(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		value, field string
		headers      []string
	}{
		{ceData, "content-type", []string{"content-type", "text/xml"}},
		{ceData, "content-type", []string{"content-type", "application/cloudevents+avro"}},
		{ceData, "content-type", []string{"content-type", ";"}},
		{"\x00\x00\x00\x00\x01x", "event", nil},
		{ceData, "id", []string{"ce_specversion", "1.0"}},
		{ceData, "id", []string{"ce_specversion", "1.0", "ce_id", "a\x00"}},
		{ceData, "id", []string{"ce_specversion", "1.0", "ce_id", "a", "ce-id", "b"}},
		{ceData, "some_thing", []string{"ce_specversion", "1.0", "ce_some_thing", "a"}},
		{"<a/>", "datacontenttype", []string{"ce_specversion", "1.0", "ce_id", "a", "ce_source", "s", "ce_type", "t", "content-type", "text/xml"}},
		{"5", "data", []string{"ce_specversion", "1.0", "ce_id", "a", "ce_source", "s", "ce_type", "t"}},
		{"{", "event", []string{"content-type", mediaCloudEventsBatch}},
		{"[{}", "event", []string{"content-type", mediaCloudEventsBatch}},
		{"[{}", "event", nil},
	} {
		items := message(t, MessageOptions{}, c.value, c.headers...)
		if len(items) != 1 || items[0].Err == nil || items[0].Err.Field != c.field {
			t.Errorf("%q %q: %+v", c.value, c.headers, items)
		}
	}
	d, err := NewMessageDecoder(MessageOptions{})
	if err != nil {
		t.Fatal(err)
	}
	items, err := d.Decode(context.Background(), Message{})
	if err != nil || len(items) != 1 || items[0].Err == nil || items[0].Err.Rule != ruleTombstone {
		t.Errorf("a tombstone: %+v %v", items, err)
	}
	if _, err := NewMessageDecoder(MessageOptions{Format: CSV}); err == nil {
		t.Error("messages of CSV")
	}
	items = message(t, MessageOptions{}, `[`+ceFull+`,5,{"specversion":"1.0"},`+ceFull+`]`, "content-type", mediaCloudEventsBatch)
	if got := summary(items); got != "1:e1 2!event 3!id 4:e1" {
		t.Errorf("a batch: %s", got)
	}
}
