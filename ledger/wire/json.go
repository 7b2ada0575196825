package wire

import (
	"slices"
	"strconv"

	"deltaledger/ledger"
	"deltaledger/ledger/canonical"
)

// DecodeOne decodes one event from JSON. Of the options it uses Measures.
func DecodeOne(line []byte, o Options) (ledger.Event, *ledger.FieldError) {
	d := objectDecoder{measures: o.Measures}
	var e ledger.Event
	if bad := d.decode(&e, line); bad != nil {
		return ledger.Event{}, bad
	}
	return e, nil
}

// objectDecoder decodes events from JSON objects. Events share memory among them, not with what they were
// decoded from.
type objectDecoder struct {
	measures   func(name string) bool // declared measures; nil: none
	adjustment bool                   // decode adjustments instead of events
	slab       slab

	scan  canonical.Scanner
	raw   []byte            // the object
	text  string            // the same, so that texts without escapes need no memory of their own
	names []string          // of the measures of the object that is being read
	known map[string]string // names of declared measures that were met, to find them without allocating
}

// dimensionLimits: what filters and groups must be flat, and its numbers within the ledger's limits.
var dimensionLimits = canonical.Limits{Decimal: true, ScalarsOnly: true}

func (d *objectDecoder) decode(e *ledger.Event, raw []byte) *ledger.FieldError {
	if len(raw) > ledger.MaxEvent {
		return tooLong(raw)
	}
	s := &d.scan
	s.Reset(raw)
	d.raw, d.text = raw, string(raw)
	if err := s.Open('{'); err != nil {
		return d.fault("", err)
	}
	var seen uint32
	for first := true; ; first = false {
		more, err := s.More('}', first)
		if err != nil {
			return d.fault("", err)
		}
		if !more {
			break
		}
		key, _, err := s.Key()
		if err != nil {
			return d.fault("", err)
		}
		f := fieldOf(key)
		if !d.allows(f) {
			return d.unknown(string(key))
		}
		if seen&(1<<f) != 0 {
			return invalid(f.String(), "", ruleTwice)
		}
		seen |= 1 << f
		if s.Null() {
			continue
		}
		if bad := d.value(e, f); bad != nil {
			return bad
		}
	}
	if err := s.End(); err != nil {
		return d.fault("", err)
	}
	if e.State != nil && (e.Amount.Valid() || e.Quantity.Valid() || e.Measures != nil) {
		return invalid(fieldState.String(), "", ruleAlone)
	}
	return nil
}

// allows reports whether f may be sent. An adjustment has no place in a stream, and is no state.
func (d *objectDecoder) allows(f field) bool {
	if d.adjustment {
		return f != noField && f != fieldSeqn && f != fieldState
	}
	return f != noField && f < fieldReason
}

// value reads the value of f, which isn't null, into e.
func (d *objectDecoder) value(e *ledger.Event, f field) (bad *ledger.FieldError) {
	switch f {
	case fieldSeqn:
		return d.seqn(e)
	case fieldOccurredAt:
		text, bad := d.string(f.String(), ruleString)
		if bad != nil {
			return bad
		}
		return setTime(e, text)
	case fieldAmount:
		e.Amount, bad = d.amount(f.String())
	case fieldQuantity:
		e.Quantity, bad = d.amount(f.String())
	case fieldMeasures:
		e.Measures, bad = d.object(f)
	case fieldState:
		if e.State, bad = d.object(f); bad == nil && e.State == nil {
			bad = invalid(f.String(), "", ruleNoState)
		}
	case fieldDimensions:
		e.Dimensions, bad = d.dimensions()
	case fieldPayload:
		payload, err := d.scan.Skip(canonical.Limits{})
		if err != nil {
			return d.fault(f.String(), err)
		}
		e.Payload = d.slab.copy(payload)
	default:
		var text string
		if text, bad = d.string(f.String(), ruleString); bad == nil {
			setText(e, f, text)
		}
	}
	return bad
}

// string reads a string; rule is what anything else breaks.
func (d *objectDecoder) string(name, rule string) (string, *ledger.FieldError) {
	if c := d.scan.Peek(); c != '"' && c != 0 {
		return "", d.wrongType(name, rule)
	}
	text, plain, err := d.scan.Text()
	if err != nil {
		return "", d.fault(name, err)
	}
	if plain {
		end := d.scan.Pos() - 1
		return d.text[end-len(text) : end], nil
	}
	return string(text), nil
}

func (d *objectDecoder) amount(name string) (ledger.Amount, *ledger.FieldError) {
	text, bad := d.string(name, ruleQuotes)
	if bad != nil {
		return ledger.Amount{}, bad
	}
	return parseAmount(name, text)
}

func (d *objectDecoder) seqn(e *ledger.Event) *ledger.FieldError {
	if c := d.scan.Peek(); (c < '0' || c > '9') && c != 0 {
		return d.wrongType(fieldSeqn.String(), ruleSeqn)
	}
	number, err := d.scan.Number()
	if err != nil {
		return d.fault(fieldSeqn.String(), err)
	}
	return setSeqn(e, number)
}

func (d *objectDecoder) dimensions() ([]byte, *ledger.FieldError) {
	const usual = 1024
	out, err := d.scan.Value(d.slab.room(min(usual, len(d.raw)-d.scan.Pos())), dimensionLimits)
	if err != nil {
		return nil, d.fault(fieldDimensions.String(), err)
	}
	if len(out) == len("{}") {
		return nil, nil
	}
	return d.slab.take(out), nil
}

// object reads the values under measures or state, sorted by name; nil if there is none.
func (d *objectDecoder) object(f field) ([]ledger.Measure, *ledger.FieldError) {
	if err := d.scan.Open('{'); err != nil {
		return nil, d.fault(f.String(), err)
	}
	var values []ledger.Measure
	d.names = d.names[:0]
	for first := true; ; first = false {
		more, err := d.scan.More('}', first)
		if err != nil {
			return nil, d.fault(f.String(), err)
		}
		if !more {
			break
		}
		name, bad := d.measureName(f)
		if bad != nil {
			return nil, bad
		}
		if d.scan.Null() {
			continue
		}
		value, bad := d.amount(f.String() + "." + name)
		if bad != nil {
			return nil, bad
		}
		values = insertMeasure(values, ledger.Measure{Name: name, Value: value})
	}
	return values, nil
}

// measureName reads the key of a value under measures or state.
func (d *objectDecoder) measureName(f field) (string, *ledger.FieldError) {
	key, _, err := d.scan.Key()
	if err != nil {
		return "", d.fault(f.String(), err)
	}
	name, known := d.known[string(key)]
	if !known {
		name = string(key)
		own := name == fieldAmount.String() || name == fieldQuantity.String()
		switch {
		case own && f == fieldMeasures:
			return "", invalid(f.String()+"."+name, d.rest(), ruleOwn)
		case !own && (d.measures == nil || !d.measures(name)):
			return "", undeclared(f, name, d.rest())
		case !own:
			if d.known == nil {
				d.known = map[string]string{}
			}
			d.known[name] = name
		}
	}
	if slices.Contains(d.names, name) {
		return "", invalid(f.String()+"."+name, "", ruleTwice)
	}
	d.names = append(d.names, name)
	return name, nil
}

func (d *objectDecoder) unknown(name string) *ledger.FieldError {
	fields := eventFields
	if d.adjustment {
		fields = adjustmentFields
	}
	if name == "" {
		name = `""`
	}
	return invalid(name, d.rest(), ruleUnknown+fields)
}

// wrongType is the error for a value of another JSON type than that of the field.
func (d *objectDecoder) wrongType(name, rule string) *ledger.FieldError {
	return invalid(name, d.rest(), rule)
}

// rest is the spelling of the value that comes next, for a message; empty if it is no JSON.
func (d *objectDecoder) rest() string {
	spelling, err := d.scan.Skip(canonical.Limits{})
	if err != nil {
		return ""
	}
	return string(spelling)
}

// fault says where the text of an event, or of one of its fields, breaks the rules of JSON.
func (d *objectDecoder) fault(name string, err *canonical.Error) *ledger.FieldError {
	switch {
	case err.Path != "" && err.Path[0] != '[':
		name += "." + err.Path
	case name == "":
		name = fieldEvent
	default:
		name += err.Path
	}
	const around = 30
	value := d.raw[max(0, err.Offset-around):min(len(d.raw), err.Offset+around)]
	return invalid(name, string(value), err.Rule+" (at byte "+strconv.Itoa(err.Offset)+")")
}

func tooLong(raw []byte) *ledger.FieldError {
	return invalid(fieldEvent, string(raw[:min(len(raw), excerpt)]), ruleTooLong)
}

const (
	ruleTooLong = "must be at most 262144 bytes"
	excerpt     = 100 // how many bytes are kept of what is too long, more than is shown
)
