package wire

import (
	"deltaledger/ledger"
	"deltaledger/ledger/canonical"
)

const (
	ruleText       = "must be a string"
	ruleExact      = "must be a decimal, or a string that holds one"
	ruleWholeMoney = "must be a decimal, or a string that holds one: an integer doesn't say whether it counts cents; a mapping can"
	ruleWhole      = "must be an integer from 0 to 281474976710655"
	ruleTimestamp  = "must be a timestamp, or a string with a time of RFC 3339"
	ruleLocalTime  = "must have a zone: a local timestamp doesn't say which instant it is; a mapping can name the zone"
	ruleRecord     = "must be a record, or a map, of our fields"
)

// Event makes the event that a document with our own fields stands for. It refuses what the decoder of JSON
// refuses; measures says which measures are declared, nil: none. Numbers of money are decimals or strings.
func (v Value) Event(measures func(string) bool) (e ledger.Event, bad *ledger.FieldError) {
	if bad = v.into(&e, measures); bad != nil {
		return ledger.Event{ID: readable(e.ID)}, bad
	}
	return e, nil
}

func (v Value) into(e *ledger.Event, measures func(string) bool) (bad *ledger.FieldError) {
	if v.kind != Object {
		return invalid(fieldEvent, v.String(), ruleRecord)
	}
	var seen uint32
	for i, name := range v.names {
		f := v.fieldAt(i)
		if f == noField || f >= fieldReason {
			return invalid(namedField(name), v.items[i].String(), ruleUnknown+eventFields)
		}
		if seen&(1<<f) != 0 {
			return invalid(f.String(), "", ruleTwice)
		}
		seen |= 1 << f
		if v.items[i].kind == Null {
			continue
		}
		if bad = v.items[i].fill(e, f, measures); bad != nil {
			return bad
		}
	}
	if e.State != nil && (e.Amount.Valid() || e.Quantity.Valid() || e.Measures != nil) {
		return invalid(fieldState.String(), "", ruleAlone)
	}
	return nil
}

// fieldAt is the field that item i is, by its name or by an alias of that.
func (v *Value) fieldAt(i int) field {
	f := fieldOf(v.names[i])
	if f != noField || v.aliases == nil {
		return f
	}
	for alias, at := range v.aliases {
		if known := fieldOf(alias); at == i && known != noField && v.find(alias) == i {
			f = max(f, known) // the same one, whatever the order
		}
	}
	return f
}

// fill puts v, which isn't null, into the event.
func (v Value) fill(e *ledger.Event, f field, measures func(string) bool) (bad *ledger.FieldError) {
	name := f.String()
	switch f {
	case fieldSeqn:
		if v.kind != Integer || setSeqn(e, v.String()) != nil {
			return invalid(name, v.String(), ruleWhole)
		}
	case fieldOccurredAt:
		return v.instantInto(e)
	case fieldAmount:
		e.Amount, bad = v.number(name, false)
	case fieldQuantity:
		e.Quantity, bad = v.number(name, true)
	case fieldMeasures:
		e.Measures, bad = v.numbers(f, measures)
	case fieldState:
		if e.State, bad = v.numbers(f, measures); bad == nil && e.State == nil {
			bad = invalid(name, "", ruleNoState)
		}
	case fieldDimensions:
		return v.dimensionsInto(e)
	case fieldPayload:
		e.Payload = v.AppendJSON(nil)
	default:
		if v.kind != Text {
			return invalid(name, v.String(), ruleText)
		}
		setText(e, f, v.text)
	}
	return bad
}

func (v Value) instantInto(e *ledger.Event) *ledger.FieldError {
	name := fieldOccurredAt.String()
	switch v.kind {
	case Text:
		return setTime(e, v.text)
	case Local:
		return invalid(name, v.String(), ruleLocalTime)
	case Instant:
	default:
		return invalid(name, v.String(), ruleTimestamp)
	}
	t := v.time()
	switch {
	case v.nanos != 0:
		return invalid(name, v.String(), ruleMicros)
	case t.Year() < 1 || t.Year() > 9999:
		return invalid(name, v.String(), ruleYears)
	}
	e.OccurredAt = t
	return nil
}

// number is an amount; whole says that an integer is clear enough.
func (v Value) number(name string, whole bool) (ledger.Amount, *ledger.FieldError) {
	switch {
	case v.kind == Text || v.kind == Decimal || v.kind == Integer && whole:
		return parseAmount(name, v.String())
	case v.kind == Integer:
		return ledger.Amount{}, invalid(name, v.String(), ruleWholeMoney)
	case v.kind == Float:
		return ledger.Amount{}, invalid(name, v.String(), ruleFloat)
	}
	return ledger.Amount{}, invalid(name, v.String(), ruleExact)
}

// numbers are the values under measures or state.
func (v Value) numbers(f field, measures func(string) bool) (values []ledger.Measure, _ *ledger.FieldError) {
	if v.kind != Object {
		return nil, invalid(f.String(), v.String(), "must be a record, or a map")
	}
	for i, name := range v.names {
		item := v.items[i]
		own := name == fieldAmount.String() || name == fieldQuantity.String()
		switch {
		case own && f == fieldMeasures:
			return nil, invalid(f.String()+"."+name, item.String(), ruleOwn)
		case !own && (measures == nil || !measures(name)):
			return nil, undeclared(f, name, item.String())
		case item.kind == Null:
			continue
		}
		a, bad := item.number(f.String()+"."+name, name == fieldQuantity.String())
		if bad != nil {
			return nil, bad
		}
		values = insertMeasure(values, ledger.Measure{Name: name, Value: a})
	}
	return values, nil
}

func (v Value) dimensionsInto(e *ledger.Event) *ledger.FieldError {
	name := fieldDimensions.String()
	if v.kind != Object {
		return invalid(name, v.String(), "must be a record, or a map")
	}
	for i, item := range v.items {
		if item.kind > List-1 {
			return invalid(name+"."+v.names[i], item.String(), "must be a string, a number, true or false")
		}
	}
	out, err := canonical.Append(nil, v.AppendJSON(nil), dimensionLimits)
	if err != nil {
		return dimensionFault(err)
	}
	if len(out) > len("{}") {
		e.Dimensions = out
	}
	return nil
}
