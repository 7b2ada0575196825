package api

import (
	"encoding/json"

	"github.com/danielgtaylor/huma/v2"
)

func (s *server) recordEventsDoc() doc {
	return doc{
		id: "record-events", tag: tagRecord, packed: true, summary: "Record events",
		text: `The body is one event, an array of events, or a stream of them as NDJSON, CSV or a file of Avro objects; it may be compressed (Content-Encoding gzip or zstd). Streams have no limit.

**CloudEvents 1.0** come in structured mode, in batches, and in binary mode, with ce-id, ce-source, ce-type and the other attributes as headers. id, source, type and time are ours; subject is the stream where data has none; extensions become dimensions; the other fields of an event stand under data.

**One event** (a JSON object): 201 if it is recorded now, 200 if it was recorded before with the same content, 409 if its identity or its place in the stream is taken by other content, 422 if it breaks a rule.

**Many events**: 200, with the counts of what became of them and each problem with its line. Good events are recorded whatever stands beside them, unless the request is atomic. If the answer is lost or is an error, send all of it again: what was recorded is a duplicate then.`,
		status:  201,
		fails:   []kind{tooSlow, conflicting, tooLarge, unsupported, refused},
		body:    eventsBody(),
		answers: s.recordedAnswers(),
	}
}

// recordedAnswers are the answers to events and adjustments.
func (s *server) recordedAnswers() map[string]*huma.Response {
	one := s.schemaOf(EventOutcome{})
	many := s.schemaOf(IngestAnswer{})
	return map[string]*huma.Response{
		"200": {
			Description: "Many events: what became of them. One event: it was recorded before, with the same content",
			Content: map[string]*huma.MediaType{"application/json": {
				Schema: &huma.Schema{OneOf: []*huma.Schema{many, one}},
				Example: example(`{"recorded":541,"duplicate":2,"conflict":0,"invalid":1,"watermark":123456,"problems":[
 {"line":17,"id":"order-1234-7","status":"invalid","field":"amount","value":"12,50","rule":"must be a plain decimal"}],"problems_truncated":false}`),
			}},
		},
		"201": {
			Description: "One event: it is recorded",
			Content: map[string]*huma.MediaType{"application/json": {
				Schema:  one,
				Example: example(`{"status":"recorded","source":"orders","id":"order-1234-7","position":123456}`),
			}},
		},
	}
}

// eventsBody describes the body of POST /v1/events.
func eventsBody() *huma.RequestBody {
	event := eventSchema(false)
	return &huma.RequestBody{
		Required:    true,
		Description: "Events. The fields are the same in every format.",
		Content: map[string]*huma.MediaType{
			"application/json": {
				Schema:  &huma.Schema{OneOf: []*huma.Schema{event, {Type: huma.TypeArray, Items: event}}},
				Example: example(exampleEvent),
			},
			"application/x-ndjson": {
				Schema:  &huma.Schema{Type: huma.TypeString, Description: "One event as a JSON object on each line, in UTF-8"},
				Example: exampleNDJSON,
			},
			"text/csv": {
				Schema:  &huma.Schema{Type: huma.TypeString, Description: "RFC 4180 in UTF-8, with a header of the field names; a declared measure is measures.NAME; other columns become dimensions"},
				Example: exampleCSV,
			},
			"application/cloudevents+json": {
				Schema:  cloudEventSchema(event),
				Example: example(exampleCloudEvent),
			},
			"application/cloudevents-batch+json": {
				Schema:  &huma.Schema{Type: huma.TypeArray, Items: cloudEventSchema(event)},
				Example: example("[" + exampleCloudEvent + "]"),
			},
			"application/avro": {
				Schema: &huma.Schema{Type: huma.TypeString, Format: "binary", Description: "A file of Avro objects whose records have the fields of an event: money as decimal or string, occurred_at as timestamp or string"},
			},
		},
	}
}

// cloudEventSchema describes a CloudEvent that holds an event.
func cloudEventSchema(event *huma.Schema) *huma.Schema {
	data := &huma.Schema{Type: huma.TypeObject, Description: "The fields of the event that the CloudEvent has no attribute for", AdditionalProperties: false, Properties: map[string]*huma.Schema{}}
	for name, field := range event.Properties {
		if name != "id" && name != "source" && name != "type" {
			data.Properties[name] = field
		}
	}
	text := func(description string) *huma.Schema {
		return &huma.Schema{Type: huma.TypeString, Description: description}
	}
	return &huma.Schema{
		Type: huma.TypeObject, Title: "CloudEvent", Description: "Other attributes are extensions, and become dimensions",
		Properties: map[string]*huma.Schema{
			"specversion": {Type: huma.TypeString, Enum: []any{"1.0"}}, "id": event.Properties["id"], "source": event.Properties["source"], "type": event.Properties["type"],
			"time": event.Properties["occurred_at"], "subject": text("The stream, where data has none"), "datacontenttype": text("A media type of JSON"),
			"data": data, "data_base64": text("Instead of data: the same as base64"),
		},
		Required: []string{"specversion", "id", "source", "type"},
	}
}

const exampleCloudEvent = `{"specversion":"1.0","id":"order-1234-7","source":"orders","type":"order.returned","subject":"order-1234","time":"2026-01-31T23:59:59.123456-05:00",
 "data":{"seqn":7,"account":"acme","currency":"USD","amount":"-12.50","dimensions":{"partner":"pub-7"}}}`

const exampleNDJSON = `{"id":"order-1234-1","source":"orders","stream":"order-1234","seqn":1,"type":"order.placed","account":"acme","occurred_at":"2026-01-31T20:15:00Z","currency":"USD","amount":"120.00"}
{"id":"order-1234-2","source":"orders","stream":"order-1234","seqn":2,"type":"order.returned","account":"acme","occurred_at":"2026-01-31T23:59:59.123456-05:00","currency":"USD","amount":"-12.50"}
`

const exampleCSV = `id,source,stream,seqn,type,account,occurred_at,currency,amount,country
order-1234-1,orders,order-1234,1,order.placed,acme,2026-01-31T20:15:00Z,USD,120.00,US
`

const exampleEvent = `{"id":"order-1234-7","source":"orders","stream":"order-1234","seqn":7,"type":"order.returned","account":"acme",
 "occurred_at":"2026-01-31T23:59:59.123456-05:00","currency":"USD","amount":"-12.50","quantity":"-1",
 "dimensions":{"partner":"pub-7","campaign":"winter","country":"US"},"payload":{"reason":"damaged"}}`

// example is an example in JSON, which keeps the order of its keys.
func example(text string) json.RawMessage { return json.RawMessage(text) }

// eventSchema describes an event, or an adjustment, as it is sent.
func eventSchema(adjustment bool) *huma.Schema {
	text := func(most int, description, example string) *huma.Schema {
		return &huma.Schema{Type: huma.TypeString, MaxLength: &most, Description: description, Examples: []any{example}}
	}
	number := func(description, example string) *huma.Schema {
		return &huma.Schema{Type: huma.TypeString, Pattern: `^-?[0-9]+(\.[0-9]+)?$`, Format: "decimal", Description: description, Examples: []any{example}}
	}
	s := &huma.Schema{
		Type: huma.TypeObject, AdditionalProperties: false,
		Properties: map[string]*huma.Schema{
			"id":          text(256, "Unique within the source, for ever; at most 256 bytes", "order-1234-7"),
			"source":      text(64, "The upstream producer; at most 64 bytes", "orders"),
			"stream":      text(256, "What seqn orders within the source: an order, a subscription; at most 256 bytes", "order-1234"),
			"type":        text(128, "What happened; at most 128 bytes", "order.returned"),
			"account":     text(256, "The party that is billed; at most 256 bytes", "acme"),
			"occurred_at": {Type: huma.TypeString, Format: "date-time", Description: "When it happened upstream: RFC 3339 with an offset, not finer than microseconds", Examples: []any{"2026-01-31T23:59:59.123456-05:00"}},
			"currency":    {Type: huma.TypeString, Pattern: "^[A-Z]{3}$", Description: "ISO 4217 code of the money", Examples: []any{"USD"}},
			"amount":      number("Change of the amount of money: a plain decimal, at most 38 digits, 18 of them after the point", "-12.50"),
			"quantity":    number("Change of the quantity; the same limits", "-1"),
			"measures":    {Type: huma.TypeObject, AdditionalProperties: number("Change of the measure", "-0.63"), Description: "Changes of declared measures, by their names"},
			"dimensions":  {Type: huma.TypeObject, AdditionalProperties: &huma.Schema{Description: "A text, number, boolean or null"}, Description: "What to filter and group by: a flat object of texts, numbers and booleans; at most 16 KiB"},
			"corrects":    text(256, "Id of the event of the same source that this one corrects", "order-1234-3"),
			"payload":     {Description: "Any JSON, kept as it is for debugging; private, and never summed"},
		},
		Required: []string{"id", "source", "type", "account", "occurred_at", "currency"},
	}
	if !adjustment {
		most, least := float64(1<<48-1), float64(0)
		s.Title = "Event"
		s.Properties["seqn"] = &huma.Schema{
			Type: huma.TypeInteger, Format: "int64", Minimum: &least, Maximum: &most, Examples: []any{7},
			Description: "Upstream sequence number in the stream. May be left out only by a source that was declared not to number its events",
		}
		s.Properties["state"] = &huma.Schema{
			Type: huma.TypeObject, AdditionalProperties: number("What stands of the measure after the event", "87.50"),
			Description: "Instead of changes, from a source that was declared to send states: what stands in the stream after the event, of amount, quantity and declared measures; what isn't named stays as it was. Needs stream and seqn; JSON and NDJSON only",
		}
		return s
	}
	s.Title = "Adjustment"
	s.Properties["reason"] = text(1024, "Why it is made; at most 1,024 bytes", "Goodwill for a late delivery")
	s.Properties["reference"] = text(1024, "The document behind it; at most 1,024 bytes", "ticket 4711")
	s.Properties["maker"] = text(1024, "Who makes it; at most 1,024 bytes", "jane.doe")
	s.Required = append(s.Required, "reason", "reference", "maker")
	return s
}
