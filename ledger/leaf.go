package ledger

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"deltaledger/ledger/canonical"
	"deltaledger/ledger/pg"
)

// leafColumn is a column as it stands in a leaf.
type leafColumn struct {
	name   string
	member []byte // "name":
	oid    uint32
}

// leafWriter appends rows as canonical JSON. It keeps its room and belongs to one goroutine.
type leafWriter struct{ scanner canonical.Scanner }

// appendRow appends a row as an object of its columns, which are sorted by name, without those that are
// null: a column that is added later changes no row that was there before.
func (w *leafWriter) appendRow(d []byte, columns []leafColumn, row pg.Tuple) ([]byte, error) {
	if len(row) != len(columns) {
		return d, fmt.Errorf("a row has %d columns instead of %d", len(row), len(columns))
	}
	begin := byte('{')
	var err error
	for i, value := range row {
		if value == nil {
			continue
		}
		d = append(append(d, begin), columns[i].member...)
		begin = ','
		if d, err = w.appendValue(d, columns[i].oid, value); err != nil {
			return d, fmt.Errorf("column %s: %w", columns[i].name, err)
		}
	}
	if begin == '{' {
		d = append(d, '{')
	}
	return append(d, '}'), nil
}

// appendEvent appends the text of an event's leaf; key is the text of its row of event_keys, nil if it has none.
func (w *leafWriter) appendEvent(d []byte, columns []leafColumn, row pg.Tuple, key []byte) ([]byte, error) {
	d, err := w.appendRow(append(d, `{"fact":`...), columns, row)
	if err != nil {
		return d, err
	}
	if key != nil {
		d = append(append(d, `,"key":`...), key...)
	}
	return append(d, `,"kind":"event"}`...), nil
}

// known reports whether appendValue can write values of the type.
func known(oid uint32) bool {
	switch oid {
	case pgtype.BoolOID, pgtype.Int2OID, pgtype.Int4OID, pgtype.Int8OID, pgtype.TextOID, pgtype.VarcharOID, pgtype.NumericOID,
		pgtype.TimestamptzOID, pgtype.DateOID, pgtype.UUIDOID, pgtype.ByteaOID, pgtype.JSONBOID, pgtype.TextArrayOID:
		return true
	}
	return false
}

// appendValue appends a value as PostgreSQL sends it in binary. Integers are numbers, decimals strings:
// no reader may send money through a float.
func (w *leafWriter) appendValue(d []byte, oid uint32, v []byte) ([]byte, error) {
	if want, fixed := fixedSize(oid); fixed && len(v) != want {
		return d, fmt.Errorf("a value of %d bytes instead of %d", len(v), want)
	}
	switch oid {
	case pgtype.BoolOID:
		return strconv.AppendBool(d, v[0] != 0), nil
	case pgtype.Int2OID:
		return strconv.AppendInt(d, int64(int16(binary.BigEndian.Uint16(v))), 10), nil
	case pgtype.Int4OID:
		return strconv.AppendInt(d, int64(int32(binary.BigEndian.Uint32(v))), 10), nil
	case pgtype.Int8OID:
		return strconv.AppendInt(d, int64(binary.BigEndian.Uint64(v)), 10), nil
	case pgtype.TextOID, pgtype.VarcharOID:
		return canonical.AppendString(d, v), nil
	case pgtype.NumericOID:
		return appendNumericText(d, v)
	case pgtype.TimestamptzOID:
		return append(appendInstant(append(d, '"'), int64(binary.BigEndian.Uint64(v))), '"'), nil
	case pgtype.DateOID:
		return append(appendDay(append(d, '"'), int32(binary.BigEndian.Uint32(v))), '"'), nil
	case pgtype.UUIDOID:
		return append(appendUUID(append(d, '"'), v), '"'), nil
	case pgtype.ByteaOID:
		return append(hex.AppendEncode(append(d, '"'), v), '"'), nil
	case pgtype.JSONBOID:
		return w.appendJSONB(d, v)
	case pgtype.TextArrayOID:
		return appendTexts(d, v)
	}
	return d, fmt.Errorf("values of type %d have no canonical form", oid)
}

func fixedSize(oid uint32) (int, bool) {
	switch oid {
	case pgtype.BoolOID:
		return 1, true
	case pgtype.Int2OID:
		return 2, true
	case pgtype.Int4OID, pgtype.DateOID:
		return 4, true
	case pgtype.Int8OID, pgtype.TimestamptzOID:
		return 8, true
	case pgtype.UUIDOID:
		return 16, true
	}
	return 0, false
}

// leafDepth bounds how deep JSON may be nested; what the ledger stores is far from it.
const leafDepth = 10_000

func (w *leafWriter) appendJSONB(d, v []byte) ([]byte, error) {
	if len(v) == 0 || v[0] != 1 {
		return d, fmt.Errorf("jsonb of an unknown version")
	}
	if paddedNumber(v[1:]) {
		return canonical.AppendString(d, v[1:]), nil
	}
	w.scanner.Reset(v[1:])
	out, bad := w.scanner.Value(d, canonical.Limits{Depth: leafDepth})
	if bad == nil {
		bad = w.scanner.End()
	}
	if bad != nil {
		return d, bad
	}
	return out, nil
}

// paddedNumber reports whether JSON as jsonb writes it holds a number with zeros at its end that say nothing, which PostgreSQL
// keeps. In its canonical form it would be the same as one without, but filters and groups read it as another.
func paddedNumber(text []byte) bool {
	if bytes.IndexByte(text, '.') < 0 {
		return false
	}
	quoted, fraction := false, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++ // what is escaped ends no string
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '.':
			fraction = true
		case c < '0' || c > '9': // behind a number, or between others
			if fraction && text[i-1] == '0' {
				return true
			}
			fraction = false
		}
	}
	return fraction && text[len(text)-1] == '0'
}

// Sign words of a numeric besides numericNegative.
const (
	numericNaN      = 0xC000
	numericInfinity = 0xD000
	numericMinus    = 0xF000
)

// appendNumericText appends a numeric as a plain decimal in quotes, without zeros that say nothing.
func appendNumericText(d, v []byte) ([]byte, error) {
	if len(v) < 8 {
		return d, fmt.Errorf("a numeric of %d bytes", len(v))
	}
	n, weight, sign := int(binary.BigEndian.Uint16(v)), int(int16(binary.BigEndian.Uint16(v[2:]))), binary.BigEndian.Uint16(v[4:])
	if len(v) != 8+2*n {
		return d, fmt.Errorf("a numeric of %d groups in %d bytes", n, len(v))
	}
	d = append(d, '"')
	switch sign {
	case numericNaN:
		return append(d, `NaN"`...), nil
	case numericInfinity:
		return append(d, `Infinity"`...), nil
	case numericMinus:
		return append(d, `-Infinity"`...), nil
	case numericNegative:
		if n > 0 {
			d = append(d, '-')
		}
	}
	group := func(i int) int {
		if i < 0 || i >= n {
			return 0
		}
		return int(binary.BigEndian.Uint16(v[8+2*i:]))
	}
	if weight < 0 {
		d = append(d, '0')
	} else {
		d = strconv.AppendInt(d, int64(group(0)), 10)
		for i := 1; i <= weight; i++ {
			d = appendPadded(d, group(i), 4)
		}
	}
	if n <= weight+1 {
		return append(d, '"'), nil
	}
	d = append(d, '.')
	for i := weight + 1; i < n; i++ {
		d = appendPadded(d, group(i), 4)
	}
	for d[len(d)-1] == '0' {
		d = d[:len(d)-1]
	}
	if d[len(d)-1] == '.' {
		d = d[:len(d)-1]
	}
	return append(d, '"'), nil
}

// appendPadded appends n in width decimal digits.
func appendPadded(d []byte, n, width int) []byte {
	at := len(d)
	for range width {
		d = append(d, '0')
	}
	for i := at + width - 1; i >= at; i-- {
		d[i] = byte('0' + n%10)
		n /= 10
	}
	return d
}

const (
	microsPerDay = 86400 * 1_000_000
	// Days since 2000-01-01 of 0001-01-01 and of 10000-01-01.
	firstDay = -730119
	endDay   = 2921940
)

// appendInstant appends microseconds since 2000-01-01 UTC as digestTime does.
func appendInstant(d []byte, micros int64) []byte {
	switch micros {
	case math.MaxInt64:
		return append(d, "infinity"...)
	case math.MinInt64:
		return append(d, "-infinity"...)
	}
	day := micros / microsPerDay
	rest := micros % microsPerDay
	if rest < 0 {
		day, rest = day-1, rest+microsPerDay
	}
	if day < firstDay || day >= endDay { // nothing that the ledger records
		return time.Unix(micros/1_000_000+epochSeconds, micros%1_000_000*1000).UTC().AppendFormat(d, digestTime)
	}
	d = append(appendDay(d, int32(day)), 'T')
	seconds, fraction := int(rest/1_000_000), int(rest%1_000_000)
	d = append(appendPadded(d, seconds/3600, 2), ':')
	d = append(appendPadded(d, seconds/60%60, 2), ':')
	d = appendPadded(d, seconds%60, 2)
	if fraction > 0 {
		d = appendPadded(append(d, '.'), fraction, 6)
		for d[len(d)-1] == '0' {
			d = d[:len(d)-1]
		}
	}
	return append(d, 'Z')
}

// appendDay appends days since 2000-01-01 as a date.
func appendDay(d []byte, day int32) []byte {
	switch {
	case day == math.MaxInt32:
		return append(d, "infinity"...)
	case day == math.MinInt32:
		return append(d, "-infinity"...)
	case day < firstDay || day >= endDay:
		return time.Unix(int64(day)*86400+epochSeconds, 0).UTC().AppendFormat(d, time.DateOnly)
	}
	// Years that begin in March have their leap day at the end: the months before it are of fixed length.
	const fourCenturies = 146097
	z := int(day) + 730425 // days since 0000-03-01
	era := z / fourCenturies
	inEra := z % fourCenturies
	year := (inEra - inEra/1460 + inEra/36524 - inEra/146096) / 365
	inYear := inEra - (365*year + year/4 - year/100)
	month := (5*inYear + 2) / 153
	date := inYear - (153*month+2)/5 + 1
	year += 400 * era
	if month += 3; month > 12 {
		month, year = month-12, year+1
	}
	d = append(appendPadded(d, year, 4), '-')
	d = append(appendPadded(d, month, 2), '-')
	return appendPadded(d, date, 2)
}

func appendUUID(d, v []byte) []byte {
	for i, part := range [][]byte{v[:4], v[4:6], v[6:8], v[8:10], v[10:]} {
		if i > 0 {
			d = append(d, '-')
		}
		d = hex.AppendEncode(d, part)
	}
	return d
}

// appendTexts appends a one-dimensional array of text.
func appendTexts(d, v []byte) ([]byte, error) {
	broken := fmt.Errorf("no array of text of one dimension")
	if len(v) < 12 {
		return d, broken
	}
	dimensions := binary.BigEndian.Uint32(v)
	if dimensions == 0 {
		return append(d, '[', ']'), nil
	}
	if dimensions != 1 || len(v) < 20 {
		return d, broken
	}
	count := binary.BigEndian.Uint32(v[12:])
	v = v[20:]
	d = append(d, '[')
	for i := range count {
		if i > 0 {
			d = append(d, ',')
		}
		if len(v) < 4 {
			return d, broken
		}
		size := int32(binary.BigEndian.Uint32(v))
		if v = v[4:]; size < 0 {
			d = append(d, "null"...)
			continue
		}
		if len(v) < int(size) {
			return d, broken
		}
		d = canonical.AppendString(d, v[:size])
		v = v[size:]
	}
	return append(d, ']'), nil
}
