package wire

import (
	"bytes"
	"strconv"
	"strings"
	"unicode/utf8"

	"deltaledger/ledger"
	"deltaledger/ledger/canonical"
)

// rowDecoder decodes events from the records of a CSV, whose quotes were found to be in order.
type rowDecoder struct {
	slab slab
	row  cells
}

func (d *rowDecoder) decode(e *ledger.Event, h *columns, raw []byte) *ledger.FieldError {
	row, bad := d.cells(h, raw)
	if bad != nil {
		return bad
	}
	for i := range h.at {
		if row[i] == "" {
			continue
		}
		if bad := d.cell(e, &h.at[i], row[i]); bad != nil {
			return bad
		}
	}
	e.Dimensions = d.object(h.dimensions, row)
	e.Payload = d.object(h.payload, row)
	return nil
}

// cells splits a record, which must have the cells of the header.
func (d *rowDecoder) cells(h *columns, raw []byte) ([]string, *ledger.FieldError) {
	line := string(raw)
	row := d.row.split(line)
	if len(row) != len(h.at) {
		rule := "must have " + strconv.Itoa(len(h.at)) + " cells like the header, not " + strconv.Itoa(len(row))
		if n := strings.Count(line, "\n"); n > 0 {
			rule += "; it goes on for " + strconv.Itoa(n) + " lines, up to the quote that ends a cell"
		}
		return nil, invalid(fieldEvent, line[:min(len(line), excerpt)], rule)
	}
	if badText(raw) != "" {
		for i, cell := range row {
			if rule := badText([]byte(cell)); rule != "" {
				return nil, invalid(h.at[i].name, cell, rule)
			}
		}
	}
	return row, nil
}

// document is the record as an object of texts; an empty cell is absent.
func (d *rowDecoder) document(h *columns, raw []byte) (Value, *ledger.FieldError) {
	row, bad := d.cells(h, raw)
	if bad != nil {
		return Value{}, bad
	}
	items := make([]Value, len(row))
	for i, cell := range row {
		if cell != "" {
			items[i] = TextValue(cell)
		}
	}
	return ObjectValue(h.names, items), nil
}

// cell puts what stands in a column into e.
func (d *rowDecoder) cell(e *ledger.Event, c *column, text string) (bad *ledger.FieldError) {
	switch c.field {
	case noField:
		if c.measure == "" {
			return nil
		}
		m := ledger.Measure{Name: c.measure}
		if m.Value, bad = parseAmount(c.name, text); bad == nil {
			e.Measures = insertMeasure(e.Measures, m)
		}
	case fieldSeqn:
		return setSeqn(e, text)
	case fieldOccurredAt:
		return setTime(e, text)
	case fieldAmount:
		e.Amount, bad = parseAmount(c.name, text)
	case fieldQuantity:
		e.Quantity, bad = parseAmount(c.name, text)
	default:
		setText(e, c.field, text)
	}
	return bad
}

// object is the JSON object of the cells that aren't empty, nil if all are.
func (d *rowDecoder) object(keys []keyed, row []string) []byte {
	size := 0
	for _, k := range keys {
		size += len(k.key) + len(row[k.at]) + len(`"",`)
	}
	if size == 0 {
		return nil
	}
	out := append(d.slab.room(size+len("{}")), '{')
	for _, k := range keys {
		if row[k.at] == "" {
			continue
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = canonical.AppendString(append(out, k.key...), row[k.at])
	}
	if len(out) == 1 {
		return nil
	}
	return d.slab.take(append(out, '}'))
}

// badText is the rule that text breaks which can't be kept.
func badText(b []byte) (rule string) {
	switch {
	case bytes.IndexByte(b, 0) >= 0:
		return ruleNUL
	case !utf8.Valid(b):
		return ruleUTF8
	}
	return ""
}

// cells are those of one record.
type cells struct{ list []string }

// split gives the cells of a record; they are valid until the next call.
func (c *cells) split(record string) []string {
	c.list = c.list[:0]
	for {
		cell, rest, more := record, "", false
		if record != "" && record[0] == '"' {
			cell, rest, more = quotedCell(record)
		} else if i := strings.IndexByte(record, ','); i >= 0 {
			cell, rest, more = record[:i], record[i+1:], true
		}
		c.list = append(c.list, cell)
		if !more {
			return c.list
		}
		record = rest
	}
}

// quotedCell is the text of the cell in quotes that s begins with, and what comes behind its comma.
func quotedCell(s string) (cell, rest string, more bool) {
	end, doubled := 1, false
	for end < len(s) {
		if s[end] == '"' {
			if end+1 == len(s) || s[end+1] != '"' {
				break
			}
			doubled = true
			end++
		}
		end++
	}
	cell = s[1:min(end, len(s))]
	if doubled {
		cell = strings.ReplaceAll(cell, `""`, `"`)
	}
	if strings.Contains(cell, "\r\n") { // as encoding/csv does
		cell = strings.ReplaceAll(cell, "\r\n", "\n")
	}
	if end+1 < len(s) {
		return cell, s[end+2:], true
	}
	return cell, "", false
}
