package wire

import (
	"encoding/base64"
	"strconv"
	"strings"
	"time"

	"deltaledger/ledger/canonical"
)

// ValueKind says what a Value is.
type ValueKind uint8

const (
	Null    ValueKind = iota // nothing: null, or absent
	Bool                     // true or false
	Integer                  // a whole number of 64 bits
	Decimal                  // an exact number as it was spelled; also every number of JSON
	Float                    // a binary floating point number: no money is ever made of one
	Text                     // a string; also dates, times of day, UUIDs and symbols of enums
	Instant                  // a point in time
	Local                    // a date and a time of day without a zone
	Binary                   // bytes
	List                     // values in order
	Object                   // values by name, in the order of their source
)

// Value is one value of a document as an upstream wrote it, whatever format it came in. Decoders make
// documents, and a Mapping makes an event of one. The zero value is null. A Value may share memory with
// others, and is only read.
type Value struct {
	kind  ValueKind
	nanos uint16   // of an Instant and a Local, behind the microseconds
	n     int64    // of a Bool (0, 1) and an Integer; of an Instant and a Local microseconds since 1970
	text  string   // of a Text; of a Decimal and a Float the spelling; of a Binary the bytes
	names []string // of an Object, beside items
	items []Value  // of an Object and a List

	aliases map[string]int // of an Object: other names of items, from the schema it was written under
}

// TextValue is a string, which must be valid UTF-8 without NUL.
func TextValue(s string) Value { return Value{kind: Text, text: s} }

// IntegerValue is a whole number.
func IntegerValue(n int64) Value { return Value{kind: Integer, n: n} }

// DecimalValue is an exact number, spelled as JSON spells numbers.
func DecimalValue(spelling string) Value { return Value{kind: Decimal, text: spelling} }

// BoolValue is true or false.
func BoolValue(b bool) Value {
	if b {
		return Value{kind: Bool, n: 1}
	}
	return Value{kind: Bool}
}

// InstantValue is a point in time; what is finer than nanoseconds doesn't exist.
func InstantValue(t time.Time) Value {
	return Value{kind: Instant, n: t.UnixMicro(), nanos: uint16(t.Nanosecond() % 1000)}
}

// ListValue is values in order.
func ListValue(items ...Value) Value { return Value{kind: List, items: items} }

// ObjectValue is values by name: names and items have the same length, and no name stands twice.
func ObjectValue(names []string, items []Value) Value {
	return Value{kind: Object, names: names, items: items}
}

// Kind says what v is.
func (v Value) Kind() ValueKind { return v.kind }

// Get is the value of that name in an object, or else of that alias; Null where there is none, or v is no object.
func (v Value) Get(name string) Value {
	if v.kind == Object {
		if i := v.find(name); i >= 0 {
			return v.items[i]
		}
	}
	return Value{}
}

// Names are those of an object, in order; not to be changed.
func (v Value) Names() []string { return v.names }

// Items are the values of an object, beside Names, or of a list; not to be changed.
func (v Value) Items() []Value { return v.items }

// Int is the number that v holds exactly, if it is a whole one of 64 bits.
func (v Value) Int() (n int64, ok bool) {
	switch v.kind {
	case Integer:
		return v.n, true
	case Decimal:
		n, err := strconv.ParseInt(v.text, 10, 64)
		return n, err == nil
	}
	return 0, false
}

// String is v as text: a string as it is, numbers as they are spelled, instants as RFC 3339, bytes as
// base64, null as the empty string; lists and objects as JSON.
func (v Value) String() string {
	switch v.kind {
	case Null:
		return ""
	case Bool:
		return strconv.FormatBool(v.n != 0)
	case Integer:
		return strconv.FormatInt(v.n, 10)
	case Decimal, Float, Text:
		return v.text
	case Instant:
		return v.clock(time.RFC3339Nano)
	case Local:
		return v.clock("2006-01-02T15:04:05.999999999")
	case Binary:
		return base64.StdEncoding.EncodeToString([]byte(v.text))
	}
	return string(v.AppendJSON(nil))
}

func (v Value) clock(layout string) string {
	return time.UnixMicro(v.n).UTC().Add(time.Duration(v.nanos)).Format(layout)
}

// scalar reports whether v is neither null nor holds other values.
func (v Value) scalar() bool { return v.kind != Null && v.kind < List }

// AppendJSON appends v as JSON. Instants and bytes become strings, as in String, and so do floating point
// numbers that aren't numbers.
func (v Value) AppendJSON(dst []byte) []byte {
	switch v.kind {
	case Null:
		return append(dst, "null"...)
	case Bool, Integer, Decimal:
		return append(dst, v.String()...)
	case Float:
		if strings.ContainsAny(v.text, "nN") { // NaN, Inf
			return canonical.AppendString(dst, v.text)
		}
		return append(dst, v.text...)
	case List:
		dst = append(dst, '[')
		for i, item := range v.items {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = item.AppendJSON(dst)
		}
		return append(dst, ']')
	case Object:
		dst = append(dst, '{')
		for i, item := range v.items {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = item.AppendJSON(append(canonical.AppendString(dst, v.names[i]), ':'))
		}
		return append(dst, '}')
	}
	return canonical.AppendString(dst, v.String())
}
