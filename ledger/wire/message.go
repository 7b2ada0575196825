package wire

import (
	"bytes"
	"context"
	"mime"
	"strings"
	"sync"
	"time"

	"deltaledger/ledger"
)

// Message is one message of a log, or the body of one request.
type Message struct {
	Topic     string
	Partition int32
	Offset    int64
	Time      time.Time // the log's, zero where it isn't known
	Key       []byte
	Value     []byte // nil of a tombstone
	Headers   []Header
}

// Header is one header of a message.
type Header struct {
	Key   string
	Value []byte
}

// header is the last value under a name, whatever its case, as readers of a log see it.
func (m *Message) header(name string) (value string, ok bool) {
	for i := len(m.Headers) - 1; i >= 0; i-- {
		if h := &m.Headers[i]; strings.EqualFold(h.Key, name) {
			return string(h.Value), true
		}
	}
	return "", false
}

// A MessageDecoder makes events of messages. Several goroutines may use one.
type MessageDecoder interface {
	// Decode gives an item for each event of the message, in order, numbered from 1. An item with an Err
	// is a part of the message that is no event and never will be. An error says that the message could
	// not be decoded now, because a registry doesn't answer (it wraps ledger.ErrBusy) or ctx ended: the
	// same message is to be decoded again later.
	Decode(ctx context.Context, m Message) ([]Item, error)
}

// MessageOptions says how to decode the messages of a topic.
type MessageOptions struct {
	// Format is JSON, CloudEvents or Avro; empty: each message says so itself, by its headers, or, where
	// there are Schemas, by the zero byte in front of Confluent's wire format. A message that says nothing
	// is JSON.
	Format Format
	// Measures reports whether a measure is declared, besides amount and quantity; nil: none is.
	Measures func(name string) bool
	// Mapping says what the fields of the upstream are; nil: the messages have ours. Of CloudEvents it sees
	// the attributes beside data.
	Mapping *Mapping
	// Schemas has the schemas of Avro; nil: Avro is refused.
	Schemas Schemas
	// Reader is the schema under which Avro is to be read, in the JSON of Avro; empty: each message is read
	// as it was written. It gives fields the names that they have in it, by its aliases, and absent ones
	// their defaults.
	Reader string
}

const (
	ruleTombstone = "must hold an event: the message has no value, as tombstones have none"
	ruleNoSchemas = "is Avro in the wire format of a schema registry, but no registry is configured for it"
	ruleMessage   = "must be application/json, application/cloudevents+json, application/cloudevents-batch+json, or Avro in the wire format of a schema registry"
)

// NewMessageDecoder is a decoder of the messages of a topic. Its error wraps ledger.ErrInvalid.
func NewMessageDecoder(o MessageOptions) (MessageDecoder, error) {
	switch o.Format {
	case "", JSON, CloudEvents:
	case Avro:
		if o.Schemas == nil {
			return nil, invalid("format", string(o.Format), "needs a schema registry")
		}
	default:
		return nil, invalid("format", string(o.Format), "must be json, cloudevents or avro: messages have no other format")
	}
	d := &messages{MessageOptions: o}
	if o.Schemas == nil {
		return d, nil
	}
	var err error
	d.avro, err = NewAvroMessages(o.Schemas, o.Reader)
	return d, err
}

// messages decodes what a message says it is.
type messages struct {
	MessageOptions
	avro    *AvroMessages // nil: without Schemas
	readers sync.Pool     // of *avroReader
}

func (d *messages) Decode(ctx context.Context, m Message) ([]Item, error) {
	if m.Value == nil {
		return bad(invalid(fieldEvent, "", ruleTombstone)), nil
	}
	f, fault := d.formatOf(&m)
	if fault != nil {
		return bad(fault), nil
	}
	switch f {
	case CloudEvents, cloudEventsBatch, cloudEventsBinary:
		return d.cloudEvents(ctx, &m, f)
	case Avro:
		return d.avroEvent(ctx, &m)
	}
	e, fault := d.object(&m, m.Value)
	return one(e, fault), nil
}

// bad is the only item of a message that is no event.
func bad(fault *ledger.FieldError) []Item { return []Item{{Line: 1, Err: fault}} }

// one is the only item of a message.
func one(e ledger.Event, fault *ledger.FieldError) []Item {
	if fault != nil {
		return bad(fault)
	}
	return []Item{{Line: 1, Event: e}}
}

// formatOf is how the message is written.
func (d *messages) formatOf(m *Message) (Format, *ledger.FieldError) {
	_, binary := m.header("ce_specversion")
	if !binary {
		_, binary = m.header("ce-specversion")
	}
	contentType, typed := m.header("content-type")
	media := ""
	if typed {
		var err error
		if media, _, err = mime.ParseMediaType(contentType); err != nil && d.Format == "" {
			return "", invalid("content-type", contentType, ruleMessage)
		}
	}
	switch {
	case d.Format == CloudEvents && media == mediaCloudEventsBatch:
		return cloudEventsBatch, nil
	case d.Format == CloudEvents && binary && media != mediaCloudEvents:
		return cloudEventsBinary, nil
	case d.Format != "":
		return d.Format, nil
	case media == mediaCloudEvents:
		return CloudEvents, nil
	case media == mediaCloudEventsBatch:
		return cloudEventsBatch, nil
	case strings.HasPrefix(media, "application/cloudevents"):
		return "", invalid("content-type", contentType, ruleMessage)
	case binary:
		return cloudEventsBinary, nil
	case bytes.HasPrefix(m.Value, []byte{0}):
		if d.Schemas == nil {
			return "", invalid(fieldEvent, "", ruleNoSchemas)
		}
		return Avro, nil
	case media == "" || isJSON(media):
		return JSON, nil
	}
	return "", invalid("content-type", contentType, ruleMessage)
}

// isJSON reports whether a media type is JSON, or a format in JSON.
func isJSON(media string) bool {
	return strings.HasSuffix(media, "/json") || strings.HasSuffix(media, "+json")
}

// object decodes an event of JSON.
func (d *messages) object(m *Message, raw []byte) (ledger.Event, *ledger.FieldError) {
	if d.Mapping == nil {
		return DecodeOne(raw, Options{Measures: d.Measures})
	}
	v, fault := ParseJSON(raw)
	if fault != nil {
		return ledger.Event{}, fault
	}
	return d.Mapping.Event(v, m.Meta(), d.Measures)
}

// Meta is what a mapping may take from around the document: $topic, $partition, $offset, $key, $timestamp and
// $headers, by name.
func (m *Message) Meta() Value {
	names := []string{"$topic", "$partition", "$offset"}
	items := []Value{TextValue(m.Topic), IntegerValue(int64(m.Partition)), IntegerValue(m.Offset)}
	add := func(name string, v Value) { names, items = append(names, name), append(items, v) }
	if m.Key != nil {
		add("$key", bytesValue(m.Key))
	}
	if !m.Time.IsZero() {
		add("$timestamp", InstantValue(m.Time))
	}
	if len(m.Headers) > 0 {
		headers := Value{kind: Object}
		for i := len(m.Headers) - 1; i >= 0; i-- { // the last of a name counts
			if h := &m.Headers[i]; headers.find(h.Key) < 0 {
				headers.names = append(headers.names, h.Key)
				headers.items = append(headers.items, bytesValue(h.Value))
			}
		}
		add("$headers", headers)
	}
	return ObjectValue(names, items)
}

// bytesValue is text where the bytes are fit for one.
func bytesValue(b []byte) Value {
	if badText(b) == "" {
		return TextValue(string(b))
	}
	return Value{kind: Binary, text: string(b)}
}
