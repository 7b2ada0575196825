package wire

import (
	"context"
	"net/url"
	"strings"

	"deltaledger/ledger"
	"deltaledger/ledger/canonical"
)

// cloudEvents decodes the CloudEvents of a message: one in the JSON format, an array of them, or one whose
// attributes are headers.
func (d *messages) cloudEvents(_ context.Context, m *Message, f Format) ([]Item, error) {
	switch f {
	case cloudEventsBinary:
		e, bad := d.binary(m)
		return one(e, bad), nil
	case cloudEventsBatch:
		return d.batch(m), nil
	}
	e, bad := d.structured(m, m.Value)
	return one(e, bad), nil
}

// structured decodes one CloudEvent in the JSON format.
func (d *messages) structured(m *Message, raw []byte) (e ledger.Event, bad *ledger.FieldError) {
	o := objectDecoder{measures: d.Measures}
	if d.Mapping != nil {
		doc, bad := o.cloudDocument(raw)
		if bad != nil {
			return e, bad
		}
		return d.Mapping.Event(doc, m.Meta(), d.Measures)
	}
	if bad = o.cloudEvent(&e, raw); bad != nil {
		return ledger.Event{}, bad
	}
	return e, nil
}

// cloudDocument is a CloudEvent in the JSON format as a document, whose data_base64 is data too.
func (d *objectDecoder) cloudDocument(raw []byte) (doc Value, bad *ledger.FieldError) {
	var a attributes
	data, bad := d.envelope(&a, raw)
	if bad == nil {
		bad = a.check()
	}
	if bad == nil {
		doc, bad = ParseJSON(raw)
	}
	if bad != nil {
		return Value{}, bad
	}
	i := doc.find("data_base64")
	if i < 0 || doc.items[i].kind == Null {
		return doc, nil
	}
	v, bad := ParseJSON(data)
	if bad != nil {
		return Value{}, under("data_base64", bad)
	}
	if null := doc.find("data"); null >= 0 {
		doc.items[null], doc.items[i] = v, Value{}
		return doc, nil
	}
	doc.names[i], doc.items[i] = "data", v
	return doc, nil
}

// batch decodes an array of CloudEvents. A text that is no JSON is one fault: nobody can tell its elements apart.
func (d *messages) batch(m *Message) []Item {
	var s canonical.Scanner
	s.Reset(m.Value)
	whole := objectDecoder{raw: m.Value}
	if s.Peek() != '[' {
		return bad(invalid(fieldEvent, string(m.Value[:min(len(m.Value), excerpt)]), ruleBatchDocument))
	}
	var elements [][]byte
	err := s.Open('[')
	for first := true; err == nil; first = false {
		var more bool
		if more, err = s.More(']', first); err != nil || !more {
			break
		}
		var raw []byte
		if raw, err = s.Skip(canonical.Limits{Depth: canonical.DefaultDepth + 2}); err == nil {
			elements = append(elements, raw)
		}
	}
	if err == nil {
		err = s.End()
	}
	if err != nil {
		return bad(whole.fault("", err))
	}
	items := make([]Item, len(elements))
	for i, raw := range elements {
		items[i].Line = int64(i + 1)
		items[i].Event, items[i].Err = d.structured(m, raw)
	}
	return items
}

// binary decodes a CloudEvent whose attributes are headers: ce_NAME in a log, ce-NAME over HTTP.
func (d *messages) binary(m *Message) (e ledger.Event, bad *ledger.FieldError) {
	if len(m.Value) > ledger.MaxEvent {
		return e, tooLong(m.Value)
	}
	var a attributes
	if bad = a.headers(m); bad != nil {
		return e, bad
	}
	if d.Mapping != nil {
		doc, bad := a.document(m.Value)
		if bad != nil {
			return e, bad
		}
		return d.Mapping.Event(doc, m.Meta(), d.Measures)
	}
	o := objectDecoder{measures: d.Measures}
	if bad = a.event(&o, &e, m.Value); bad != nil {
		return ledger.Event{}, bad
	}
	return e, nil
}

// document is the CloudEvent whose attributes were headers as one in the JSON format would be.
func (a *attributes) document(data []byte) (doc Value, bad *ledger.FieldError) {
	if bad := a.check(); bad != nil {
		return Value{}, bad
	}
	doc = ObjectValue(a.names, a.values)
	if len(data) == 0 {
		return doc, nil
	}
	v, bad := ParseJSON(data)
	if bad != nil {
		return Value{}, under("data", bad)
	}
	doc.names, doc.items = append(doc.names, "data"), append(doc.items, v)
	return doc, nil
}

// headers takes the attributes from the headers of a message.
func (a *attributes) headers(m *Message) *ledger.FieldError {
	given := map[string]bool{}
	for i := range m.Headers {
		key, value := strings.ToLower(m.Headers[i].Key), string(m.Headers[i].Value)
		name, isAttribute := strings.CutPrefix(key, "ce_")
		overHTTP := false
		if !isAttribute {
			name, overHTTP = strings.CutPrefix(key, "ce-")
		}
		switch {
		case key == "content-type":
			name = "datacontenttype"
		case !isAttribute && !overHTTP:
			continue
		}
		if given[name] {
			return invalid(namedField(name), value, ruleTwice)
		}
		given[name] = true
		if overHTTP {
			if unescaped, err := url.PathUnescape(value); err == nil {
				value = unescaped
			}
		}
		if rule := badText([]byte(value)); rule != "" {
			return invalid(namedField(name), value, rule)
		}
		a.names, a.values = append(a.names, name), append(a.values, TextValue(value))
		if bad := a.set(name, value, canonical.AppendString(nil, value)); bad != nil {
			return bad
		}
	}
	return nil
}
