package main

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/rivo/uniseg"

	"deltaledger/export"
)

// table is a result as rows, for people and for spreadsheets.
type table struct {
	columns []column
	rows    [][]string // as many cells in each as there are columns
	note    string     // below a table for people; not in CSV
}

type column struct {
	name  string
	right bool // numbers are set flush right
	maybe bool // left out for people where no row has anything in it
}

// text and number begin a table: text("stream"), number("amount").
func text(name string) column   { return column{name: name} }
func number(name string) column { return column{name: name, right: true} }

// optional is a column that people aren't shown where it is empty in every row. CSV always has it.
func (c column) optional() column { c.maybe = true; return c }

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

// show writes the result of a command: document as one JSON document, or rows as a table or CSV.
func (s *session) show(document any, rows table) error {
	var err error
	switch s.Output {
	case outputJSON:
		err = writeJSON(s.out, document)
	case outputCSV:
		err = rows.writeCSV(s.out)
	default:
		err = rows.write(s.out)
	}
	if err != nil {
		return fmt.Errorf("write the result: %w", err)
	}
	return nil
}

// writeJSON writes one indented JSON document.
func writeJSON(w io.Writer, document any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(document)
}

// writeCSV writes RFC 4180 with LF.
func (t table) writeCSV(w io.Writer) error {
	out := newCSV(w, t.columns)
	for _, row := range t.rows {
		if err := out.Write(row); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

// write writes aligned columns.
func (t table) write(w io.Writer) error {
	t = t.shown()
	out := newAligned(w, t.columns)
	for _, row := range t.rows {
		out.measure(row)
	}
	if err := out.header(); err != nil {
		return err
	}
	for _, row := range t.rows {
		if err := out.line(row); err != nil {
			return err
		}
	}
	return writeNote(w, t.note)
}

// shown is the table without the optional columns that no row has anything in.
func (t table) shown() table {
	var keep []int
	for i, c := range t.columns {
		if !c.maybe || slices.ContainsFunc(t.rows, func(row []string) bool { return row[i] != "" }) {
			keep = append(keep, i)
		}
	}
	out := table{note: t.note}
	for _, i := range keep {
		out.columns = append(out.columns, t.columns[i])
	}
	for _, row := range t.rows {
		var cells []string
		for _, i := range keep {
			cells = append(cells, row[i])
		}
		out.add(cells...)
	}
	return out
}

func writeNote(w io.Writer, note string) error {
	if note == "" {
		return nil
	}
	_, err := fmt.Fprintln(w, printableLines(note))
	return err
}

// aligned writes the lines of a table, as wide as what was measured before.
type aligned struct {
	w       io.Writer
	columns []column
	widths  []int
}

func newAligned(w io.Writer, columns []column) *aligned {
	a := &aligned{w: w, columns: columns, widths: make([]int, len(columns))}
	for i, c := range columns {
		a.widths[i] = uniseg.StringWidth(c.name)
	}
	return a
}

func (a *aligned) measure(row []string) {
	for i, cell := range row {
		a.widths[i] = max(a.widths[i], uniseg.StringWidth(printable(cell)))
	}
}

func (a *aligned) header() error {
	names := make([]string, len(a.columns))
	for i, c := range a.columns {
		names[i] = strings.ToUpper(c.name)
	}
	return a.line(names)
}

// line writes a row. What is wider than its column pushes aside what follows.
func (a *aligned) line(row []string) error {
	var b strings.Builder
	for i, cell := range row {
		cell = printable(cell)
		pad := strings.Repeat(" ", max(0, a.widths[i]-uniseg.StringWidth(cell)))
		if i > 0 {
			b.WriteString("  ")
		}
		if a.columns[i].right {
			b.WriteString(pad + cell)
		} else {
			b.WriteString(cell + pad)
		}
	}
	_, err := fmt.Fprintln(a.w, strings.TrimRight(b.String(), " "))
	return err
}

// printableLines is printable for text of several lines. Where a line may not begin, such as within a name
// in a note, its writer calls printable.
func printableLines(s string) string {
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		lines[i] = printable(line)
	}
	return strings.Join(lines, "\n")
}

// plural counts: 1 event, 2 events.
func plural[N int | int64](n N, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %ss", n, one)
}

// printable shows what an upstream sent without letting it move the cursor.
func printable(s string) string {
	if strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) < 0 {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if unicode.IsPrint(r) {
			b.WriteRune(r)
		} else {
			fmt.Fprintf(&b, "\\u%04x", r)
		}
	}
	return b.String()
}

// csvWriter writes the rows of a table as CSV. Cells of text columns are safe to open in a spreadsheet.
type csvWriter struct {
	*csv.Writer
	columns []column
}

// newCSV begins a CSV of any length.
func newCSV(w io.Writer, columns []column) csvWriter {
	out := csvWriter{csv.NewWriter(w), columns}
	header := make([]string, len(columns))
	for i, c := range columns {
		header[i] = c.name
	}
	_ = out.Writer.Write(header) // a failure comes back from Error
	return out
}

// Write writes a row.
func (w csvWriter) Write(row []string) error {
	safe := make([]string, len(row))
	for i, cell := range row {
		if safe[i] = cell; !w.columns[i].right {
			safe[i] = export.Guard(cell)
		}
	}
	return w.Writer.Write(safe)
}

// sortedKeys are the keys of a map in order.
func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// shortDuration writes a duration without units that are zero: 48h, not 48h0m0s.
func shortDuration(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
