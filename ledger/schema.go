package ledger

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// Kinds of columns in the catalogue.
const (
	KindDimension = "dimension" // to filter and group by
	KindMoney     = "money"     // a measure in the currency of its event
	KindQuantity  = "quantity"  // a measure without a currency
)

// Column describes one column of the events.
type Column struct {
	Name        string    `json:"name"`
	Kind        string    `json:"kind"` // KindDimension, KindMoney or KindQuantity
	Type        string    `json:"type"` // text, bigint, boolean, date, uuid, timestamptz or numeric
	Description string    `json:"description"`
	Owner       string    `json:"owner"`
	PII         bool      `json:"pii"`       // private: kept apart from the event, erasable, no filter and no group
	Describes   string    `json:"describes"` // event or stream
	BuiltIn     bool      `json:"built_in"`  // false: declared by the operator
	Since       time.Time `json:"since"`
	By          string    `json:"declared_by"`        // ledger: built in
	Position    int64     `json:"position,omitempty"` // every event with a value in the column has a higher one; 0: built in
	Indexed     bool      `json:"indexed"`            // has an index of its own, which may still be being built

	floor *int64 // events above it were recorded by writers that knew the column; nil: no such position is known
}

// Measure reports whether the column can be summed.
func (c Column) Measure() bool { return c.Kind == KindMoney || c.Kind == KindQuantity }

// Catalogue is the list of columns as it was when it was read. The zero value is empty.
type Catalogue struct {
	columns []Column // by name
	index   map[string]int
}

const sqlCatalogue = `
SELECT c.name, c.kind, c.type, c.description, c.owner, c.pii, c.describes, c.built_in, c.since, c.declared_by,
       COALESCE(c.position, 0), i.name IS NOT NULL, f.position
FROM ledger.columns c
LEFT JOIN ledger.column_indexes i ON i.name = c.name
LEFT JOIN ledger.column_floors f ON f.name = c.name
ORDER BY c.name`

// Catalogue reads the columns of the events: those built in and those declared since.
func (l *Ledger) Catalogue(ctx context.Context) (Catalogue, error) {
	c, err := readCatalogue(ctx, l.pool)
	if err != nil {
		return Catalogue{}, readError("read the catalogue of columns", err)
	}
	return c, nil
}

func readCatalogue(ctx context.Context, db querier) (Catalogue, error) {
	rows, err := db.Query(ctx, sqlCatalogue)
	if err != nil {
		return Catalogue{}, err
	}
	columns, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (c Column, err error) {
		err = row.Scan(&c.Name, &c.Kind, &c.Type, &c.Description, &c.Owner, &c.PII, &c.Describes, &c.BuiltIn, &c.Since, &c.By,
			&c.Position, &c.Indexed, &c.floor)
		return c, err
	})
	return newCatalogue(columns), err
}

func newCatalogue(columns []Column) Catalogue {
	c := Catalogue{columns: columns, index: make(map[string]int, len(columns))}
	for i := range columns {
		columns[i].Since = columns[i].Since.UTC()
		c.index[columns[i].Name] = i
	}
	return c
}

// Columns are all columns, by name.
func (c Catalogue) Columns() []Column { return slices.Clone(c.columns) }

// Column finds a column by its name. The wire name of event_id, id, finds it too.
func (c Catalogue) Column(name string) (Column, bool) {
	if name == "id" {
		name = "event_id"
	}
	i, ok := c.index[name]
	if !ok {
		return Column{}, false
	}
	return c.columns[i], true
}

// Measures are the columns that can be summed, by name.
func (c Catalogue) Measures() []Column {
	return c.some(Column.Measure)
}

// declaredMeasures are the measures besides amount and quantity.
func (c Catalogue) declaredMeasures() []Column {
	return c.some(func(column Column) bool { return column.Measure() && !column.BuiltIn })
}

// declaredDimensions are the dimensions that have a column because the operator declared them.
func (c Catalogue) declaredDimensions() []Column {
	return c.some(func(column Column) bool { return !column.Measure() && !column.BuiltIn && !column.PII })
}

func (c Catalogue) some(of func(Column) bool) []Column {
	var found []Column
	for _, column := range c.columns {
		if of(column) {
			found = append(found, column)
		}
	}
	return found
}

// identifier is the column's name in SQL, of the table alias e.
func (c Column) identifier() string { return "e." + pgx.Identifier{c.Name}.Sanitize() }

// String names the column and what it holds.
func (c Column) String() string { return fmt.Sprintf("%s (%s, %s)", c.Name, c.Kind, c.Type) }
