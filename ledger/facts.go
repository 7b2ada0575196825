package ledger

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"deltaledger/ledger/pg"
)

// FactTable is a table whose rows are facts with a position of their own, drawn from the ledger's sequence.
// Seals bind each of its rows, with every column that isn't null. The packages above name their tables to
// NewSeals: this one doesn't know them.
type FactTable struct {
	Kind  string // of the fact, such as invoice
	Table string // with its schema; has a column position with a unique index
	Parts []FactPart
}

// FactPart is what hangs on the rows of a FactTable: rows of another table, which are bound with them.
type FactPart struct {
	Name    string      // in the leaf; sorts behind "kind"
	Table   string      // with its schema
	On      [][2]string // pairs of columns that are equal: of the part, of the fact
	OrderBy []string    // columns of the part that order its rows, uniquely beside On
	Digest  bool        // bind only their number and the SHA-256 of their texts: there may be a million
}

func (t FactTable) check() error {
	last := "kind"
	for _, p := range t.Parts {
		if p.Name <= last {
			return fmt.Errorf("facts of kind %s: part %q must sort behind %q: %w", t.Kind, p.Name, last, ErrInvalid)
		}
		last = p.Name
	}
	if t.Kind == "" || t.Kind == kindEvent || len(strings.Split(t.Table, ".")) != 2 {
		return fmt.Errorf("facts of kind %q: a kind of its own and a table with its schema are needed: %w", t.Kind, ErrInvalid)
	}
	return nil
}

// kindEvent is the kind of the facts that this package records itself.
const kindEvent = "event"

// Where events and their keys are read: all of them, those of detached months too.
const (
	eventsTable = "ledger.every_event"
	keysTable   = "ledger.event_keys"
)

// ownFacts are the facts of this package besides events.
func ownFacts() []FactTable {
	ofErasure := [][2]string{{"erasure", "erasure"}}
	return []FactTable{
		{Kind: "column", Table: "ledger.columns"}, // those that are built in have no position
		{
			Kind: "erasure", Table: "ledger.erasure_ends",
			Parts: []FactPart{
				{Name: "lost_conflicts", Table: "ledger.erased_conflicts", On: ofErasure, OrderBy: []string{"conflict"}, Digest: true},
				{Name: "lost_dead_letters", Table: "ledger.erased_dead_letters", On: ofErasure, OrderBy: []string{"letter"}, Digest: true},
				{Name: "lost_events", Table: "ledger.erased", On: ofErasure, OrderBy: []string{"position"}, Digest: true},
				{Name: "request", Table: "ledger.erasures", On: [][2]string{{"n", "erasure"}}, OrderBy: []string{"n"}},
			},
		},
	}
}

// shape is the columns of a table, sorted by name.
type shape struct {
	table   string
	columns []leafColumn
}

// index is where a column stands, -1 if there is none of that name.
func (s shape) index(name string) int {
	return slices.IndexFunc(s.columns, func(c leafColumn) bool { return c.name == name })
}

// list are the columns of table alias a for a SELECT.
func (s shape) list(a string) string {
	names := make([]string, len(s.columns))
	for i, c := range s.columns {
		names[i] = a + "." + pgx.Identifier{c.name}.Sanitize()
	}
	return strings.Join(names, ", ")
}

// Sorted by bytes, whatever the database's collation. What is generated follows from the other columns.
const sqlShapes = `
SELECT n.nspname || '.' || c.relname, a.attname::text, a.atttypid
FROM pg_attribute a
JOIN pg_class c ON c.oid = a.attrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname || '.' || c.relname = ANY ($1) AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
ORDER BY 1, a.attname COLLATE "C"`

// readShapes reads which columns tables have now. It must run in a statement after the one that says
// through which position facts are read: what was recorded up to there has no other columns.
func readShapes(ctx context.Context, tx pgx.Tx, tables []string) (map[string]shape, error) {
	shapes := map[string]shape{}
	var table, name string
	var oid uint32
	err := pg.ForEach(ctx, tx, []any{&table, &name, &oid}, func() error {
		if !known(oid) {
			return fmt.Errorf("column %s of %s has a type that has no canonical form, so that it can't be sealed", name, table)
		}
		s := shapes[table]
		s.table = table
		s.columns = append(s.columns, leafColumn{name: name, member: []byte(`"` + name + `":`), oid: oid})
		shapes[table] = s
		return nil
	}, sqlShapes, tables)
	if err != nil {
		return nil, fmt.Errorf("read the columns of facts: %w", err)
	}
	for _, table := range tables {
		if _, ok := shapes[table]; !ok {
			return nil, fmt.Errorf("there is no table %s: %w", table, ErrCorrupt)
		}
	}
	return shapes, nil
}
