package main

import (
	"encoding/json"
	"fmt"
)

// rows writes a result of any length while it is read: of a table, only the first rows are held, which the widths of its
// columns are taken from.
type rows interface {
	// add writes an element, in JSON, or its cells.
	add(element any, cells []string) error
	// end ends the result; the note stands below a table.
	end(note string) error
}

// newRows begins a result in the form that the session wants. With lines, JSON is one object on each line.
func (s *session) newRows(columns []column, lines bool) rows {
	switch {
	case s.Output == outputCSV:
		return &csvRows{newCSV(s.out, columns)}
	case lines:
		enc := json.NewEncoder(s.out)
		enc.SetEscapeHTML(false)
		return jsonLines{enc}
	case s.Output == outputJSON:
		return &jsonArray{s: s}
	}
	return &tableRows{out: newAligned(s.out, columns)}
}

// measured is how many rows of a table decide the widths of its columns.
const measured = 1000

// tableRows holds rows until there are enough to measure.
type tableRows struct {
	out   *aligned
	held  [][]string
	begun bool
}

func (t *tableRows) add(_ any, cells []string) error {
	if t.begun {
		return t.out.line(cells)
	}
	t.held = append(t.held, cells)
	t.out.measure(cells)
	if len(t.held) < measured {
		return nil
	}
	return t.begin()
}

func (t *tableRows) begin() error {
	t.begun = true
	if err := t.out.header(); err != nil {
		return err
	}
	for _, cells := range t.held {
		if err := t.out.line(cells); err != nil {
			return err
		}
	}
	t.held = nil
	return nil
}

func (t *tableRows) end(note string) error {
	if !t.begun {
		if err := t.begin(); err != nil {
			return err
		}
	}
	return writeNote(t.out.w, note)
}

type csvRows struct{ csvWriter }

func (c *csvRows) add(_ any, cells []string) error { return c.Write(cells) }

func (c *csvRows) end(string) error {
	c.Flush()
	return c.Error()
}

// jsonLines writes one JSON object on each line.
type jsonLines struct{ enc *json.Encoder }

func (l jsonLines) add(element any, _ []string) error { return l.enc.Encode(element) }

func (l jsonLines) end(string) error { return nil }

// jsonArray writes a JSON array element by element.
type jsonArray struct {
	s     *session
	begun bool
}

func (l *jsonArray) add(element any, _ []string) error {
	before := ",\n  "
	if !l.begun {
		before, l.begun = "[\n  ", true
	}
	b, err := json.Marshal(element)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprint(l.s.out, before); err != nil {
		return err
	}
	_, err = l.s.out.Write(b)
	return err
}

func (l *jsonArray) end(string) error {
	after := "\n]\n"
	if !l.begun {
		after = "[]\n"
	}
	_, err := fmt.Fprint(l.s.out, after)
	return err
}
