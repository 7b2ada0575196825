package export

import (
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"deltaledger/ledger"
)

// FormatVersion is the version of the file format that new freezes and open files get. A change of what
// bytes stand for the same events is another version; files keep the version that they were frozen with.
const FormatVersion = 1

// kind says how the binary value of a column becomes a cell.
type kind uint8

const (
	kindPosition kind = iota
	kindBusinessDate
	kindText
	kindCurrency
	kindBigint
	kindNumeric
	kindTimestamp
	kindDate
	kindBoolean
	kindUUID
	kindJSON
)

// column is a column of ledger.events that a file shows.
type column struct {
	name    string
	kind    kind
	measure bool   // summed in the manifest
	of      string // SQL function that makes a value of a dimension's text; empty for a text. Meaningless unless declared
	// declared says that it is a declared dimension: events recorded before its declaration hold it among the others.
	declared bool
}

// The columns of format version 1, in order; the declared ones stand between leading and trailing. The
// cells of booked_month and late_from come from the file and the business date.
var (
	leading = []column{
		{name: "position", kind: kindPosition},
		{name: "business_date", kind: kindBusinessDate},
		{name: "occurred_at", kind: kindTimestamp},
		{name: "recorded_at", kind: kindTimestamp},
		{name: "source", kind: kindText},
		{name: "event_id", kind: kindText},
		{name: "stream", kind: kindText},
		{name: "seqn", kind: kindBigint},
		{name: "type", kind: kindText},
		{name: "kind", kind: kindText},
		{name: "account", kind: kindText},
		{name: "currency", kind: kindCurrency},
		{name: "amount", kind: kindNumeric, measure: true},
		{name: "quantity", kind: kindNumeric, measure: true},
	}
	trailing = []column{
		{name: "dimensions", kind: kindJSON},
		{name: "corrects", kind: kindText},
		{name: "reason", kind: kindText},
		{name: "reference", kind: kindText},
		{name: "maker", kind: kindText},
	}
)

// header lists the cells of a file's first line.
func header(columns []column) []string {
	names := make([]string, 0, len(columns)+2)
	for _, c := range columns {
		if c.kind == kindBusinessDate {
			names = append(names, "booked_month", "late_from")
		}
		names = append(names, c.name)
	}
	return names
}

// layout is all columns of a file with these declared columns.
func layout(declared []column) []column {
	all := make([]column, 0, len(leading)+len(declared)+len(trailing))
	return append(append(append(all, leading...), declared...), trailing...)
}

// thaw finds the columns of a frozen header again. The declared ones are known by their place.
func thaw(names []string, catalogue []column) ([]column, error) {
	fixed := header(layout(nil))
	extra := len(names) - len(fixed)
	if extra < 0 {
		return nil, fmt.Errorf("a frozen file lists %d columns, fewer than its format has: %w", len(names), ledger.ErrCorrupt)
	}
	before := len(leading) + 2
	known := make(map[string]column, len(catalogue))
	for _, c := range catalogue {
		known[c.name] = c
	}
	declared := make([]column, 0, extra)
	for _, name := range names[before : before+extra] {
		c, ok := known[name]
		if !ok {
			return nil, fmt.Errorf("a frozen file lists the column %q, which isn't declared: %w", name, ledger.ErrCorrupt)
		}
		declared = append(declared, c)
	}
	all := layout(declared)
	for i, name := range header(all) {
		if names[i] != name {
			return nil, fmt.Errorf("a frozen file lists %q where its format has %q: %w", names[i], name, ledger.ErrCorrupt)
		}
	}
	return all, nil
}

// kinds of the types that a declared column may have.
var kinds = map[string]kind{
	"text": kindText, "bigint": kindBigint, "boolean": kindBoolean, "date": kindDate,
	"uuid": kindUUID, "timestamptz": kindTimestamp, "numeric": kindNumeric,
}

// declaredColumn makes a column out of a row of the catalogue.
func declaredColumn(name, role, sqlType string) (column, error) {
	k, ok := kinds[sqlType]
	if !ok {
		return column{}, fmt.Errorf("the declared column %q has the type %s, which no file can show: %w", name, sqlType, ledger.ErrCorrupt)
	}
	c := column{name: name, kind: k, measure: role != "dimension", declared: role == "dimension"}
	if c.declared && k != kindText {
		c.of = "ledger." + pgx.Identifier{sqlType + "_of"}.Sanitize()
	}
	return c, nil
}

// selectList names the columns for a query; the catalogue is where they come from. Their names hold nothing that would
// have to be escaped in a text.
func selectList(columns []column) string {
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = pgx.Identifier{c.name}.Sanitize()
		if c.declared {
			names[i] = "COALESCE(" + names[i] + ", " + c.of + "(dimensions ->> '" + strings.ReplaceAll(c.name, "'", "''") + "'))"
		}
	}
	return strings.Join(names, ", ")
}
