package wire

import (
	"bytes"
	"encoding/base64"
	"mime"
	"slices"
	"strings"

	"deltaledger/ledger"
	"deltaledger/ledger/canonical"
)

const (
	mediaCloudEvents      = "application/cloudevents+json"
	mediaCloudEventsBatch = "application/cloudevents-batch+json"

	cloudEventsBatch  Format = "cloudevents-batch"  // an array of them; as files both are CloudEvents
	cloudEventsBinary Format = "cloudevents-binary" // the attributes are headers

	ruleSpecVersion   = `must be "1.0", the version of CloudEvents that is read here`
	ruleAttribute     = "is not an attribute of CloudEvents: their names have lower-case letters and digits; fields of the ledger stand under data"
	ruleScalar        = "must be a string, a number, true or false: what has parts stands under data"
	ruleData          = "must be a JSON object with the fields of the event that CloudEvents have no attribute for"
	ruleBothData      = "must not stand beside data"
	ruleBase64        = "must be base64 of JSON"
	ruleContentType   = "must be a media type of JSON"
	ruleRequired      = "is missing: CloudEvents 1.0 require it"
	ruleNotEmpty      = "must not be empty"
	ruleOfAttribute   = "must not stand under data: it is an attribute of the CloudEvent"
	ruleTimeTwice     = "must not stand beside the attribute time: leave one of them out"
	ruleSequence      = "must be an integer from 0 to 281474976710655, as sequencetype says"
	ruleBeside        = "must not be a dimension of data and an extension of the CloudEvent"
	ruleBatchDocument = "must be a JSON array of CloudEvents"
)

// attributes are those of one CloudEvent. Empty: absent, as the specification lets none be empty but strings of
// extensions, which say nothing then.
type attributes struct {
	specversion, id, source, typ, time, subject, contentType string

	sequence, sequenceType string
	extensions             []byte // a JSON object of scalars in the making, without the brace at its end

	names  []string // of those that were headers
	values []Value
}

// set keeps an attribute. spelling is its value as JSON.
func (a *attributes) set(name, text string, spelling []byte) *ledger.FieldError {
	if rule := attributeRule(name); rule != "" {
		return invalid(namedField(name), text, rule)
	}
	known := a.known(name)
	switch {
	case name == "dataschema" || name == "traceparent" || name == "tracestate":
		return nil // how it is written, and how it travelled
	case known == nil:
		a.extend(name, spelling)
		return nil
	case len(spelling) == 0 || spelling[0] != '"':
		return invalid(name, string(spelling), ruleString)
	case text == "" && known != &a.sequence && known != &a.sequenceType:
		return invalid(name, "", ruleNotEmpty)
	}
	*known = text
	return nil
}

func (a *attributes) extend(name string, spelling []byte) {
	separator := byte(',')
	if a.extensions == nil {
		separator = '{'
	}
	a.extensions = append(canonical.AppendString(append(a.extensions, separator), name), ':')
	a.extensions = append(a.extensions, spelling...)
}

// known is where an attribute is kept that isn't an extension for the dimensions.
func (a *attributes) known(name string) *string {
	switch name {
	case "specversion":
		return &a.specversion
	case "id":
		return &a.id
	case "source":
		return &a.source
	case "type":
		return &a.typ
	case "time":
		return &a.time
	case "subject":
		return &a.subject
	case "datacontenttype":
		return &a.contentType
	case "sequence":
		return &a.sequence
	case "sequencetype":
		return &a.sequenceType
	}
	return nil
}

// attributeRule is the rule that the name of an attribute breaks.
func attributeRule(name string) string {
	for i := range len(name) {
		if c := name[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return ruleAttribute
		}
	}
	if name == "" {
		return ruleAttribute
	}
	return ""
}

// namedField is a name that may be empty, as a message shows it.
func namedField(name string) string {
	if name == "" {
		return `""`
	}
	return name
}

// check makes sure of what every CloudEvent has, and that its data is JSON.
func (a *attributes) check() *ledger.FieldError {
	for _, required := range [...]struct{ name, value string }{
		{"specversion", a.specversion}, {"id", a.id}, {"source", a.source}, {"type", a.typ},
	} {
		if required.value == "" {
			return invalid(required.name, "", ruleRequired)
		}
	}
	if a.specversion != "1.0" {
		return invalid("specversion", a.specversion, ruleSpecVersion)
	}
	if a.contentType == "" {
		return nil
	}
	if media, _, err := mime.ParseMediaType(a.contentType); err != nil || !isJSON(media) {
		return invalid("datacontenttype", a.contentType, ruleContentType)
	}
	return nil
}

// event joins the attributes with data, a JSON object of our fields or nothing.
func (a *attributes) event(d *objectDecoder, e *ledger.Event, data []byte) *ledger.FieldError {
	if bad := a.check(); bad != nil {
		return bad
	}
	if len(data) > 0 {
		if bytes.TrimLeft(data, " \t\r\n")[0] != '{' {
			return invalid("data", string(data[:min(len(data), excerpt)]), ruleData)
		}
		if bad := d.decode(e, data); bad != nil {
			return under("data", bad)
		}
	}
	for _, own := range [...]struct{ name, value string }{
		{"id", e.ID}, {"source", e.Source}, {"type", e.Type},
	} {
		if own.value != "" {
			return invalid("data."+own.name, own.value, ruleOfAttribute)
		}
	}
	e.ID, e.Source, e.Type = a.id, a.source, a.typ
	if a.time != "" {
		if !e.OccurredAt.IsZero() {
			return invalid("data.occurred_at", "", ruleTimeTwice)
		}
		t, rule := parseTime(a.time)
		if rule != "" {
			return invalid("time", a.time, rule)
		}
		e.OccurredAt = t
	}
	if e.Stream == "" {
		e.Stream = a.subject
	}
	return a.place(d, e)
}

// place gives the event the number that the extension sequence has, and its other extensions as dimensions.
func (a *attributes) place(d *objectDecoder, e *ledger.Event) *ledger.FieldError {
	if a.sequence != "" && a.sequenceType == "Integer" && !e.HasSeqn {
		if bad := setSeqn(e, a.sequence); bad != nil {
			return invalid("sequence", a.sequence, ruleSequence)
		}
	} else {
		for _, kept := range [...]struct{ name, text string }{{"sequence", a.sequence}, {"sequencetype", a.sequenceType}} {
			if kept.text != "" {
				a.extend(kept.name, canonical.AppendString(nil, kept.text))
			}
		}
	}
	if a.extensions == nil {
		return nil
	}
	joined := append(slices.Clip(a.extensions), '}')
	if len(e.Dimensions) > len("{}") {
		joined = append(append(joined[:len(joined)-1], ','), e.Dimensions[1:]...)
	}
	out, err := canonical.Append(d.slab.room(len(joined)), joined, dimensionLimits)
	if err != nil {
		return extensionFault(err)
	}
	if len(out) > len("{}") {
		e.Dimensions = d.slab.take(out)
	}
	return nil
}

// extensionFault is what the canonical form of the dimensions broke on.
func extensionFault(err error) *ledger.FieldError {
	bad, _ := err.(*canonical.Error) //nolint:errorlint // Append says that it is one, and wraps none
	if bad == nil {
		return invalid("dimensions", "", err.Error())
	}
	if strings.Contains(bad.Rule, "twice") {
		return invalid("data.dimensions."+bad.Path, "", ruleBeside)
	}
	return invalid(bad.Path, "", bad.Rule)
}

// under puts a fault of data under its name.
func under(owner string, bad *ledger.FieldError) *ledger.FieldError {
	field := owner + "." + bad.Field
	if bad.Field == fieldEvent || strings.HasPrefix(bad.Field, fieldEvent+".") {
		field = owner + strings.TrimPrefix(bad.Field, fieldEvent)
	}
	return &ledger.FieldError{Field: shown(field), Value: bad.Value, Rule: bad.Rule}
}

// cloudEvent decodes a CloudEvent in the JSON format.
func (d *objectDecoder) cloudEvent(e *ledger.Event, raw []byte) *ledger.FieldError {
	var a attributes
	data, bad := d.envelope(&a, raw)
	if bad == nil {
		bad = a.event(d, e, data)
	}
	if bad != nil {
		e.ID = a.id
	}
	return bad
}

// envelope reads the attributes, and gives the JSON of data.
func (d *objectDecoder) envelope(a *attributes, raw []byte) (data []byte, bad *ledger.FieldError) {
	if len(raw) > ledger.MaxEvent {
		return nil, tooLong(raw)
	}
	s := &d.scan
	s.Reset(raw)
	d.raw, d.text = raw, string(raw)
	if err := s.Open('{'); err != nil {
		return nil, d.fault("", err)
	}
	d.names = d.names[:0]
	for first := true; ; first = false {
		more, err := s.More('}', first)
		if err != nil {
			return nil, d.fault("", err)
		}
		if !more {
			break
		}
		key, _, err := s.Key()
		if err != nil {
			return nil, d.fault("", err)
		}
		name := string(key)
		if slices.Contains(d.names, name) {
			return nil, invalid(name, "", ruleTwice)
		}
		d.names = append(d.names, name)
		if s.Null() {
			continue
		}
		if data, bad = d.attribute(a, name, data); bad != nil {
			return nil, bad
		}
	}
	if err := s.End(); err != nil {
		return nil, d.fault("", err)
	}
	return data, nil
}

// attribute reads the value of an attribute, or of data.
func (d *objectDecoder) attribute(a *attributes, name string, data []byte) ([]byte, *ledger.FieldError) {
	switch {
	case name == "data" || name == "data_base64":
		value, err := d.scan.Skip(canonical.Limits{})
		switch {
		case err != nil:
			return nil, d.fault(name, err)
		case data != nil:
			return nil, invalid("data_base64", "", ruleBothData)
		case name == "data":
			return value, nil
		}
		return unpackBase64(value)
	case attributeRule(name) != "":
		return nil, invalid(namedField(name), d.rest(), ruleAttribute)
	}
	switch c := d.scan.Peek(); c {
	case '{', '[':
		return nil, invalid(name, d.rest(), ruleScalar)
	case '"':
		start := d.scan.Pos()
		text, bad := d.string(name, ruleString)
		if bad != nil {
			return nil, bad
		}
		return data, a.set(name, text, d.raw[start:d.scan.Pos()])
	}
	spelling, err := d.scan.Skip(canonical.Limits{})
	if err != nil {
		return nil, d.fault(name, err)
	}
	return data, a.set(name, string(spelling), spelling)
}

// unpackBase64 gives the bytes that a JSON string of base64 stands for.
func unpackBase64(value []byte) ([]byte, *ledger.FieldError) {
	if value[0] != '"' {
		return nil, invalid("data_base64", string(value[:min(len(value), excerpt)]), ruleString)
	}
	data, err := base64.StdEncoding.AppendDecode(nil, bytes.Trim(value, `"`))
	if err != nil || len(bytes.TrimSpace(data)) == 0 {
		return nil, invalid("data_base64", string(value[:min(len(value), excerpt)]), ruleBase64)
	}
	return data, nil
}
