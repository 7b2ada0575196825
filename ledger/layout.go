package ledger

import (
	"encoding/binary"
	"encoding/hex"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// layout says where the parts of an event are stored, by the catalogue: declared measures and
// dimensions in columns of their own, private dimensions apart from the event, the others as JSON.
type layout struct {
	sqlCopy string
	small   smallWay
	columns []Column            // declared ones of the events, by name, in the order of the tuples
	keys    map[string]placeFor // declared dimensions
	owning  map[string]string   // of those that describe the stream, the type
}

// placeFor is where a declared dimension goes.
type placeFor struct {
	column  int // of layout.columns
	kind    string
	private bool
}

func newLayout(c Catalogue) *layout {
	l := &layout{keys: map[string]placeFor{}, owning: map[string]string{}}
	var names strings.Builder
	for _, column := range c.columns {
		if column.BuiltIn {
			continue
		}
		if !column.Measure() {
			l.keys[column.Name] = placeFor{column: len(l.columns), kind: column.Type, private: column.PII}
		}
		if !column.Measure() && !column.PII && column.Describes == DescribesStream {
			l.owning[column.Name] = column.Type
		}
		if !column.PII {
			l.columns = append(l.columns, column)
			names.WriteString(", " + pgx.Identifier{column.Name}.Sanitize())
		}
	}
	l.sqlCopy = strings.Replace(sqlCopyEvents, "commitment)", "commitment"+names.String()+")", 1)
	l.small = newSmallWay(l.columns)
	return l
}

// parts are the dimensions of an event, by where they are stored.
type parts struct {
	columns [][]byte // the encoded values of layout.columns that are dimensions; nil where there is none
	others  []byte   // canonical JSON of the dimensions without a column, nil if there is none
	private []byte   // canonical JSON of the private ones, nil if there is none
	public  []byte   // canonical JSON of all that aren't private; set only if some are
}

// split divides dimensions, which are canonical JSON. Those named in hidden are private like those that are
// declared so. A value that isn't of its declared type is an error, and stands among those without a column; the
// private and public parts are whole all the same.
func (l *layout) split(dimensions []byte, hidden []string) (parts, *FieldError) {
	if len(dimensions) == 0 || len(l.keys)+len(hidden) == 0 {
		return parts{others: dimensions}, nil
	}
	var (
		p                       parts
		others, private, public []byte
		known                   bool
		bad                     *FieldError
	)
	err := eachMember(dimensions, func(key, value, member []byte) {
		place, declared := l.keys[string(key)]
		if len(hidden) > 0 && slices.Contains(hidden, string(key)) {
			declared, place.private = true, true
		}
		known = known || declared
		switch {
		case !declared:
			others, public = appendMember(others, member), appendMember(public, member)
			return
		case place.private:
			private = appendMember(private, member)
			if place.kind == "" { // hidden, and not declared
				return
			}
		default:
			public = appendMember(public, member)
		}
		encoded, rule := encodeDimension(place.kind, value)
		switch {
		case rule != "" && !place.private:
			others = appendMember(others, member)
		case rule != "":
			value = nil // what is private isn't repeated
		case !place.private:
			if p.columns == nil {
				p.columns = make([][]byte, len(l.columns))
			}
			p.columns[place.column] = encoded
		}
		if rule != "" && bad == nil {
			bad = Invalid("dimensions."+shown(string(key)), string(value), rule)
		}
	})
	if err != nil {
		return p, jsonError("dimensions", err)
	}
	if !known {
		return parts{others: dimensions}, nil
	}
	p.others = closed(others)
	if p.private = closed(private); p.private != nil {
		p.public = closed(public)
	}
	return p, bad
}

// encodeDimension encodes a canonical JSON scalar as PostgreSQL's binary form of a column's type. If it
// can't be one, it returns the rule that it breaks. Numbers, booleans and texts that spell the value are taken alike: a
// CSV has texts alone.
func encodeDimension(kind string, value []byte) (encoded []byte, rule string) {
	text, rule := unquoted(value)
	if rule != "" {
		return nil, rule
	}
	switch kind {
	case "text":
		return []byte(text), ""
	case "bigint":
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || strconv.FormatInt(n, 10) != text {
			return nil, "must be a whole number from -9223372036854775808 to 9223372036854775807, such as 42"
		}
		return binary.BigEndian.AppendUint64(nil, uint64(n)), ""
	case "boolean":
		switch text {
		case "true":
			return []byte{1}, ""
		case "false":
			return []byte{0}, ""
		}
		return nil, "must be true or false"
	case "date":
		t, err := time.Parse(time.DateOnly, text)
		if err != nil || t.Year() < 1 {
			return nil, "must be a date such as 2026-01-31"
		}
		return binary.BigEndian.AppendUint32(nil, uint32(businessDay(t, time.UTC))), ""
	case "uuid":
		return encodeUUID(text)
	}
	return nil, "is declared as " + kind + ", which events can't carry"
}

func encodeUUID(text string) (encoded []byte, rule string) {
	const form = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx"
	var hexes []byte
	for i := range len(text) {
		if len(text) != len(form) || (form[i] == '-') != (text[i] == '-') {
			break
		}
		if text[i] != '-' {
			hexes = append(hexes, text[i])
		}
	}
	encoded = make([]byte, 16)
	if n, err := hex.Decode(encoded, hexes); err != nil || n != len(encoded) {
		return nil, "must be a UUID such as 5c0f7a1e-9f63-4f0b-8d8e-2f7f6f0c9a11"
	}
	return encoded, ""
}

// appendColumns encodes the values of the declared columns.
func (l *layout) appendColumns(d []byte, s stored) []byte {
	for i, c := range l.columns {
		switch {
		case c.Measure():
			d = appendNumeric(d, measureOf(s.Measures, c.Name))
		case s.parts.columns == nil:
			d = appendNull(d)
		default:
			d = appendBytes(d, s.parts.columns[i])
		}
	}
	return d
}

// measureOf is the value of a measure among all, which are sorted by name.
func measureOf(all []Measure, name string) Amount {
	i, found := slices.BinarySearchFunc(all, name, func(m Measure, name string) int { return strings.Compare(m.Name, name) })
	if !found {
		return Amount{}
	}
	return all[i].Value
}
