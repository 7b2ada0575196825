package export

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"

	"deltaledger/ledger"
	"deltaledger/ledger/canonical"
)

// errTuple says that the server sent what isn't a binary COPY of the expected columns.
var errTuple = errors.New("not a row of a binary COPY")

// encoder turns the tuples of COPY … TO STDOUT BINARY into the lines of one file, and keeps its sums. It
// is pure: the same tuples make the same bytes.
type encoder struct {
	columns []column
	month   string // the file's, for booked_month
	first   int64  // its first day, in days since 2000-01-01
	end     int64  // the first day of the next month
	tally   tally
	last    int64 // position of the last row
	done    bool  // the trailer was seen
	scanner canonical.Scanner
	scratch []byte
	day     dayText
	row     *currencyTally // of the row at hand
}

func newEncoder(columns []column, m Month) *encoder {
	return &encoder{
		columns: columns, month: m.String(), last: -1,
		first: daysSince2000(m), end: daysSince2000(m.Next()), tally: newTally(columns),
	}
}

// appendHeader appends the first line of a file.
func appendHeader(dst []byte, names []string) []byte {
	for i, name := range names {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendQuoted(dst, []byte(name))
	}
	return append(dst, '\n')
}

// copyHead is what a binary COPY begins with: signature, flags and the length of an empty extension.
const copyHead = "PGCOPY\n\xff\r\n\x00\x00\x00\x00\x00\x00\x00\x00\x00"

// rows appends a line for each tuple. tuples must end where a tuple ends. Errors wrap ledger.ErrCorrupt.
func (e *encoder) rows(dst, tuples []byte) ([]byte, error) {
	for len(tuples) > 0 {
		if len(tuples) < 2 || e.done {
			return dst, e.fail(errTuple)
		}
		n := int(int16(binary.BigEndian.Uint16(tuples)))
		tuples = tuples[2:]
		if n == -1 {
			e.done = true
			continue
		}
		if n != len(e.columns) {
			return dst, e.fail(errTuple)
		}
		var err error
		if dst, tuples, err = e.line(dst, tuples); err != nil {
			return dst, e.fail(err)
		}
	}
	return dst, nil
}

func (e *encoder) fail(err error) error {
	return fmt.Errorf("after position %d: %w: %w", e.last, err, ledger.ErrCorrupt)
}

// line appends the line of the tuple that tuples begins with, and returns what follows it.
func (e *encoder) line(dst, tuples []byte) (line, rest []byte, err error) {
	measure := 0
	for i := range e.columns {
		c := &e.columns[i]
		if len(tuples) < 4 {
			return dst, nil, errTuple
		}
		n := int(int32(binary.BigEndian.Uint32(tuples)))
		tuples = tuples[4:]
		if i > 0 {
			dst = append(dst, ',')
		}
		switch {
		case n == -1 && c.kind == kindBusinessDate, n < -1, n > len(tuples):
			return dst, nil, errTuple
		case n >= 0:
			var sum *total
			if c.measure && e.row != nil {
				sum = &e.row.sums[measure]
			}
			if dst, err = e.cell(dst, tuples[:n], c.kind, sum); err != nil {
				return dst, nil, fmt.Errorf("column %s: %w", c.name, err)
			}
			tuples = tuples[n:]
		}
		if c.measure {
			measure++
		}
	}
	return append(dst, '\n'), tuples, nil
}

// cell appends one value; a numeric is added to sum unless that is nil.
func (e *encoder) cell(dst, v []byte, k kind, sum *total) ([]byte, error) {
	switch k {
	case kindText:
		return appendText(dst, v), nil
	case kindNumeric:
		return appendNumeric(dst, v, sum)
	case kindCurrency:
		e.row = e.tally.currency(v)
		return appendText(dst, v), nil
	case kindPosition:
		return e.position(dst, v)
	case kindBusinessDate:
		return e.businessDate(dst, v)
	case kindTimestamp:
		return e.timestamp(dst, v)
	case kindJSON:
		return e.json(dst, v)
	}
	return appendFixed(dst, v, k)
}

// appendFixed appends a value of a type of fixed width.
func appendFixed(dst, v []byte, k kind) ([]byte, error) {
	switch {
	case k == kindBigint && len(v) == 8:
		return strconv.AppendInt(dst, int64(binary.BigEndian.Uint64(v)), 10), nil
	case k == kindBoolean && len(v) == 1:
		return strconv.AppendBool(dst, v[0] != 0), nil
	case k == kindDate && len(v) == 4:
		return appendDate(dst, int64(int32(binary.BigEndian.Uint32(v))))
	case k == kindUUID && len(v) == 16:
		for i, part := range [...][]byte{v[:4], v[4:6], v[6:8], v[8:10], v[10:]} {
			if i > 0 {
				dst = append(dst, '-')
			}
			dst = hex.AppendEncode(dst, part)
		}
		return dst, nil
	}
	return dst, errTuple
}

// position appends the position, and makes sure that the rows come in order.
func (e *encoder) position(dst, v []byte) ([]byte, error) {
	if len(v) != 8 {
		return dst, errTuple
	}
	p := int64(binary.BigEndian.Uint64(v))
	if p <= e.last {
		return dst, fmt.Errorf("position %d comes out of order", p)
	}
	e.last = p
	e.tally.rows++
	e.row = nil
	return strconv.AppendInt(dst, p, 10), nil
}

// businessDate appends the cells of booked_month, late_from and business_date.
func (e *encoder) businessDate(dst, v []byte) ([]byte, error) {
	if len(v) != 4 {
		return dst, errTuple
	}
	day := int64(int32(binary.BigEndian.Uint32(v)))
	dst = append(append(dst, e.month...), ',')
	text, err := e.day.of(day)
	if err != nil {
		return dst, err
	}
	if day < e.first || day >= e.end {
		e.tally.late++
		dst = append(dst, text[:len(text)-len("-01")]...)
	}
	return append(append(dst, ','), text...), nil
}

// json appends the canonical form of a jsonb, quoted.
func (e *encoder) json(dst, v []byte) ([]byte, error) {
	if len(v) < 1 || v[0] != 1 { // the version of the binary form
		return dst, errTuple
	}
	e.scanner.Reset(v[1:])
	out, err := e.scanner.Value(e.scratch[:0], canonical.Limits{})
	if err != nil {
		return dst, err
	}
	e.scratch = out
	return appendQuoted(dst, out), nil
}

// guarded are the bytes that a text cell may not begin with as it is.
func guarded(c byte) bool {
	switch c {
	case '=', '+', '-', '@', '\t', '\r', '\'':
		return true
	}
	return false
}

// appendText appends a cell of a text column: formula-safe, and quoted where it must be. An empty text is
// "", which an absent value isn't.
func appendText(dst, text []byte) []byte {
	if len(text) == 0 {
		return append(dst, '"', '"')
	}
	if !guarded(text[0]) {
		return appendQuoted(dst, text)
	}
	start := len(dst)
	dst = append(dst, '\'')
	dst = appendQuoted(dst, text)
	if dst[start+1] == '"' { // the apostrophe belongs inside the quotes
		dst[start], dst[start+1] = '"', '\''
	}
	return dst
}

// appendQuoted appends a cell, in quotes if it holds a comma, a quote or a line break.
func appendQuoted(dst, cell []byte) []byte {
	special := false
	for _, c := range cell {
		if c <= ',' && (c == ',' || c == '"' || c == '\n' || c == '\r') {
			special = true
			break
		}
	}
	if !special {
		return append(dst, cell...)
	}
	dst = append(dst, '"')
	from := 0
	for i, c := range cell {
		if c == '"' {
			dst = append(dst, cell[from:i+1]...)
			from = i // the quote once more
		}
	}
	return append(append(dst, cell[from:]...), '"')
}

// Guard is the text of a text cell of a CSV that people open in a spreadsheet: with an apostrophe in front where a
// spreadsheet would take it for a formula, or where it begins with an apostrophe itself.
func Guard(text string) string {
	if text != "" && guarded(text[0]) {
		return "'" + text
	}
	return text
}

// Unguard gives back the text of a text cell: it takes off the apostrophe that a file put in front.
func Unguard(cell string) string {
	if cell != "" && cell[0] == '\'' {
		return cell[1:]
	}
	return cell
}
