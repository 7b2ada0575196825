package wire

import (
	"deltaledger/ledger"
	"deltaledger/ledger/canonical"
)

// Mapping says how an event is made of a document that has the field names of an upstream. It is read from a
// mapping file, see ParseMapping, and is a pure function: the same document gives the same event. Several
// goroutines may use one.
type Mapping struct {
	currency *mapped   // comes first: minor units depend on it
	fields   []mapped  // of the event itself
	measures []mapped  // by name
	state    []mapped  // by name
	named    []mapped  // dimensions by name
	uses     *pathNode // every path that is read, kept or left out
	rest     restPolicy
	whole    bool // the payload is the whole document
	payload  bool // some paths go into the payload
}

// restPolicy says what becomes of what no path names.
type restPolicy uint8

const (
	restRefuse restPolicy = iota
	restDimensions
	restPayload
)

// mapped is one value of the event and what it is made of.
type mapped struct {
	field field       // noField: a measure, a dimension or a value of a state
	name  string      // as it is named in errors
	key   string      // of a measure, a dimension or a value of a state
	from  []fieldPath // the first that is there counts
	parts []part      // of a template

	constant *string
	fallback *string // where nothing is there

	table     map[string]string
	otherwise *string // for what isn't in the table; nil: it is refused
	keep      bool    // what isn't in the table stays
	casing    casing

	scale scaling
	sign  sign
	time  timeForm
}

const (
	ruleMissingPart = "is missing, and makes part of the template"
	ruleNotScalar   = "must be one value: it holds several"
	ruleFloat       = "must not be a floating point number, whose digits aren't those that were meant: send a decimal, an integer or a string"
	ruleTable       = "is not in the table of the mapping"
	ruleUnmapped    = "is not mapped: map it, name it under ignore, or let rest be dimensions or payload"
	ruleRestParts   = "holds parts that can't be a dimension: name it under payload or ignore"
	ruleSameTwice   = "must not become the same dimension twice"
	ruleDocumentMap = "must be an object: a mapping names fields"
)

// Event makes the event that doc stands for. meta holds what is around the document, as an object whose names
// begin with a dollar sign; measures says which measures are declared, nil: none.
func (m *Mapping) Event(doc, meta Value, measures func(string) bool) (ledger.Event, *ledger.FieldError) {
	r := mapRun{Mapping: m, doc: doc, meta: meta}
	if doc.kind != Object {
		return ledger.Event{}, invalid(fieldEvent, doc.String(), ruleDocumentMap)
	}
	steps := [...]func() *ledger.FieldError{
		r.own,
		func() (bad *ledger.FieldError) {
			r.e.Measures, bad = r.values(fieldMeasures, m.measures, measures)
			return bad
		},
		func() (bad *ledger.FieldError) { r.e.State, bad = r.values(fieldState, m.state, measures); return bad },
		r.dimensions,
	}
	for _, step := range steps {
		if bad := step(); bad != nil {
			return ledger.Event{ID: readable(r.e.ID)}, bad
		}
	}
	return r.e, nil
}

// mapRun makes one event.
type mapRun struct {
	*Mapping
	doc, meta Value
	e         ledger.Event
}

// own makes the fields of the event itself.
func (r *mapRun) own() *ledger.FieldError {
	if bad := r.text(r.currency); bad != nil {
		return bad
	}
	for i := range r.fields {
		m := &r.fields[i]
		var bad *ledger.FieldError
		switch m.field {
		case fieldAmount:
			r.e.Amount, bad = r.amount(m)
		case fieldQuantity:
			r.e.Quantity, bad = r.amount(m)
		case fieldSeqn:
			bad = r.seqn(m)
		case fieldOccurredAt:
			bad = r.occurredAt(m)
		default:
			bad = r.text(m)
		}
		if bad != nil {
			return bad
		}
	}
	return nil
}

func (r *mapRun) text(m *mapped) *ledger.FieldError {
	if m == nil {
		return nil
	}
	v, at, bad := r.read(m)
	if bad != nil || v.kind == Null {
		return bad
	}
	text, bad := m.plain(v, at)
	if bad == nil {
		setText(&r.e, m.field, text)
	}
	return bad
}

func (r *mapRun) seqn(m *mapped) *ledger.FieldError {
	v, at, bad := r.read(m)
	if bad != nil || v.kind == Null {
		return bad
	}
	if v.kind != Integer && v.kind != Decimal && v.kind != Text || setSeqn(&r.e, v.String()) != nil {
		return m.fault(at, v.String(), ruleSeqn)
	}
	return nil
}

// values makes the measures, or the values of a state.
func (r *mapRun) values(owner field, all []mapped, declared func(string) bool) (values []ledger.Measure, bad *ledger.FieldError) {
	for i := range all {
		m := &all[i]
		a, bad := r.amount(m)
		if bad != nil {
			return nil, bad
		}
		if !a.Valid() {
			continue
		}
		own := m.key == fieldAmount.String() || m.key == fieldQuantity.String()
		if !own && (declared == nil || !declared(m.key)) {
			return nil, undeclared(owner, m.key, a.String())
		}
		values = insertMeasure(values, ledger.Measure{Name: m.key, Value: a})
	}
	if owner == fieldState && len(all) > 0 && values == nil {
		return nil, invalid(owner.String(), "", ruleNoState)
	}
	return values, nil
}

// dimensions makes those that are named, and does with the rest what the mapping says; it makes the payload too.
func (r *mapRun) dimensions() *ledger.FieldError {
	object := []byte(nil)
	add := func(name string, v Value) {
		separator := byte(',')
		if object == nil {
			separator = '{'
		}
		object = v.AppendJSON(append(canonical.AppendString(append(object, separator), name), ':'))
	}
	for i := range r.named {
		m := &r.named[i]
		v, at, bad := r.read(m)
		switch {
		case bad != nil:
			return bad
		case v.kind == Null:
			continue
		case m.table != nil || m.casing != asIs:
			text, bad := m.plain(v, at)
			if bad != nil {
				return bad
			}
			v = TextValue(text)
		case !v.scalar():
			return m.fault(at, v.String(), ruleNotScalar)
		}
		add(m.key, v)
	}
	if r.rest != restPayload && !r.whole {
		if bad := r.remainder(r.doc, r.uses, "", add); bad != nil {
			return bad
		}
	}
	if object != nil {
		out, err := canonical.Append(nil, append(object, '}'), dimensionLimits)
		if err != nil {
			return dimensionFault(err)
		}
		if len(out) > len("{}") {
			r.e.Dimensions = out
		}
	}
	r.keep()
	return nil
}

func dimensionFault(err error) *ledger.FieldError {
	bad := extensionFault(err)
	if bad.Rule == ruleBeside {
		bad.Rule = ruleSameTwice
		return &ledger.FieldError{Field: bad.Field[len("data."):], Rule: ruleSameTwice}
	}
	return &ledger.FieldError{Field: shown("dimensions." + bad.Field), Value: bad.Value, Rule: bad.Rule}
}

// read gives what m is made of, and where it stood; Null if there is nothing.
func (r *mapRun) read(m *mapped) (v Value, at fieldPath, bad *ledger.FieldError) {
	switch {
	case m.constant != nil:
		return TextValue(*m.constant), fieldPath{}, nil
	case m.parts != nil:
		v, bad = r.join(m)
		return v, fieldPath{}, bad
	}
	for _, p := range m.from {
		if v = p.get(r.doc, r.meta); v.kind != Null {
			return v, p, nil
		}
	}
	if m.fallback != nil {
		return TextValue(*m.fallback), fieldPath{}, nil
	}
	return Value{}, fieldPath{}, nil
}

// plain is the text of v, after the table.
func (m *mapped) plain(v Value, at fieldPath) (string, *ledger.FieldError) {
	switch {
	case !v.scalar():
		return "", m.fault(at, v.String(), ruleNotScalar)
	case v.kind == Float:
		return "", m.fault(at, v.String(), ruleFloat)
	}
	text := m.casing.of(v.String())
	if m.table == nil {
		return text, nil
	}
	to, known := m.table[text]
	switch {
	case known:
		return to, nil
	case m.keep:
		return text, nil
	case m.otherwise != nil:
		return *m.otherwise, nil
	}
	return "", m.fault(at, text, ruleTable)
}

// fault is the error for a value of m that stood at a path of the document.
func (m *mapped) fault(at fieldPath, value, rule string) *ledger.FieldError {
	if at.text != "" {
		rule += "; it is mapped from " + shown(at.text)
	}
	return invalid(m.name, value, rule)
}
