package wire

import (
	"fmt"
	"slices"
	"strings"

	"deltaledger/ledger"
	"deltaledger/ledger/canonical"
)

// columns says what the columns of a CSV hold.
type columns struct {
	at         []column // in the order of the header
	dimensions []keyed  // in the order of their names
	payload    []keyed  // in the order of the header
	names      []string // in the order of the header, where a mapping says what they hold
}

// column is what a column holds: a field of the event, or a measure. Neither: see dimensions and payload.
type column struct {
	name    string
	field   field
	measure string
}

// keyed is a column whose cells become values of a JSON object.
type keyed struct {
	at  int
	key []byte // as canonical JSON, with a colon
	raw string
}

// requiredColumns are those without which no event could be valid.
var requiredColumns = [...]field{fieldID, fieldSource, fieldType, fieldAccount, fieldOccurredAt, fieldCurrency}

// parseHeader reads the names of the columns. Every error means that no record can be trusted.
func parseHeader(names []string, o Options) (*columns, error) {
	h := &columns{at: make([]column, len(names))}
	if o.Mapping != nil {
		return h, h.name(names)
	}
	for i, name := range names {
		if bad := h.add(i, name, o); bad != nil {
			return nil, fmt.Errorf("header of the CSV: %w", bad)
		}
	}
	for _, f := range requiredColumns {
		if !slices.ContainsFunc(h.at, func(c column) bool { return c.field == f }) {
			return nil, fmt.Errorf("header of the CSV: %w", invalid(f.String(), "",
				"must be a column; required are id, source, type, account, occurred_at and currency"))
		}
	}
	for _, name := range o.PayloadColumns {
		if !slices.ContainsFunc(h.payload, func(k keyed) bool { return k.raw == name }) {
			return nil, fmt.Errorf("header of the CSV: %w", invalid(name, "",
				"must be a column, because it was named as one for the payload"))
		}
	}
	slices.SortFunc(h.dimensions, func(a, b keyed) int { return canonical.Compare(a.raw, b.raw) })
	for i, k := range h.dimensions[min(1, len(h.dimensions)):] {
		if k.raw == h.dimensions[i].raw {
			return nil, fmt.Errorf("header of the CSV: %w", invalid(k.raw, "", "must not be a column twice"))
		}
	}
	return h, nil
}

// name gives the columns their names, where a mapping says what they hold.
func (h *columns) name(names []string) error {
	for i, name := range names {
		rule := ""
		switch {
		case name == "":
			name, rule = fmt.Sprintf("column %d", i+1), "must have a name"
		case slices.Contains(names[:i], name):
			rule = "must not be a column twice"
		}
		if rule != "" {
			return fmt.Errorf("header of the CSV: %w", invalid(name, "", rule))
		}
		h.at[i].name = name
	}
	h.names = slices.Clone(names)
	return nil
}

// add says what column i holds.
func (h *columns) add(i int, name string, o Options) *ledger.FieldError {
	switch {
	case name == "":
		return invalid(fmt.Sprintf("column %d", i+1), "", "must have a name")
	case slices.ContainsFunc(h.at[:i], func(c column) bool { return c.name == name }):
		return invalid(name, "", "must not be a column twice")
	}
	h.at[i].name = name
	f := fieldOf(name)
	owner, rest, dotted := strings.Cut(name, ".")
	if slices.Contains(o.PayloadColumns, name) {
		if f != noField && f != fieldPayload || owner == fieldMeasures.String() && dotted {
			return invalid(name, "", "must not be a column of the payload: it is a field of the event")
		}
		h.payload = append(h.payload, newKeyed(i, name))
		return nil
	}
	switch f {
	case noField:
	case fieldMeasures, fieldDimensions, fieldState, fieldPayload, fieldReason, fieldReference, fieldMaker:
		return invalid(name, "", notAColumn(f))
	default:
		h.at[i].field = f
		return nil
	}
	if !dotted || rest == "" {
		owner, rest = "", name
	}
	switch fieldOf(owner) {
	case fieldMeasures:
		return h.addMeasure(i, rest, o)
	case fieldState, fieldPayload:
		return invalid(name, "", notAColumn(fieldOf(owner)))
	case fieldDimensions:
		h.dimensions = append(h.dimensions, newKeyed(i, rest))
		return nil
	}
	if meant := misspelt(name); meant != "" {
		return invalid(name, "", "must not look like the column "+meant+" and be a dimension: write "+meant+
			", or dimensions."+name+" if it is one")
	}
	h.dimensions = append(h.dimensions, newKeyed(i, name))
	return nil
}

func (h *columns) addMeasure(i int, name string, o Options) *ledger.FieldError {
	f := fieldOf(name)
	switch {
	case f == fieldAmount || f == fieldQuantity:
		return invalid(h.at[i].name, "", "must be the column "+name+": it is a field of the event itself")
	case o.Measures == nil || !o.Measures(name):
		return undeclared(fieldMeasures, name, "")
	}
	h.at[i].measure = name
	return nil
}

// notAColumn is why a field of an event can't be a column.
func notAColumn(f field) string {
	switch f {
	case fieldMeasures:
		return "must be a column for each measure: measures.NAME"
	case fieldDimensions:
		return "must be a column for each dimension, under its own name"
	case fieldPayload:
		return "must not be a column: name the columns that make up the payload instead"
	case fieldState:
		return "must not be a column: states are accepted as JSON only"
	}
	return "must not be a column: it belongs to adjustments, which are made one by one; write dimensions." + f.String() +
		" for a dimension of that name"
}

// misspelt is the field that a name was probably meant for, so that an amount doesn't become a text
// because of a capital letter or a space.
func misspelt(name string) string {
	plain := strings.ToLower(strings.TrimSpace(name))
	for f := fieldID; f <= fieldState; f++ {
		if plain == f.String() {
			return plain
		}
	}
	if strings.HasPrefix(plain, "measures.") || strings.HasPrefix(plain, "state.") {
		return plain
	}
	return ""
}

func newKeyed(i int, name string) keyed {
	return keyed{at: i, key: append(canonical.AppendString(nil, name), ':'), raw: name}
}
