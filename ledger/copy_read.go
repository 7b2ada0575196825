package ledger

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"deltaledger/ledger/pg"
	"deltaledger/ledger/proof"
)

// CopyColumn is a column of the events, or of their keys, as a copy outside of the database has it.
type CopyColumn struct {
	Name string `json:"name"`
	Type string `json:"type"` // bigint, smallint, text, numeric, timestamptz, date, boolean, uuid, bytea or jsonb
}

// CopyShape says which columns events and their keys have, each sorted by name.
type CopyShape struct {
	Events []CopyColumn `json:"events"`
	Keys   []CopyColumn `json:"keys"`
}

// copyTypes are the types of columns that a copy can hold.
var copyTypes = map[string]uint32{
	"bigint": pgtype.Int8OID, "smallint": pgtype.Int2OID, "text": pgtype.TextOID, "numeric": pgtype.NumericOID, "timestamptz": pgtype.TimestamptzOID,
	"date": pgtype.DateOID, "boolean": pgtype.BoolOID, "uuid": pgtype.UUIDOID, "bytea": pgtype.ByteaOID, "jsonb": pgtype.JSONBOID,
}

// copyLeafColumns are columns as leaves are made by them.
func copyLeafColumns(columns []CopyColumn) ([]leafColumn, error) {
	all := make([]leafColumn, len(columns))
	for i, c := range columns {
		oid, ok := copyTypes[c.Type]
		if !ok || i > 0 && columns[i-1].Name >= c.Name {
			return nil, fmt.Errorf("column %q of type %q: no such type, or not sorted by name: %w", c.Name, c.Type, ErrInvalid)
		}
		all[i] = leafColumn{name: c.Name, member: []byte(`"` + c.Name + `":`), oid: oid}
	}
	return all, nil
}

// CopyShape reads which columns events and their keys have now.
func (s *Seals) CopyShape(ctx context.Context) (c CopyShape, err error) {
	err = pg.InSnapshot(ctx, s.l.pool, func(tx pgx.Tx) error {
		shapes, err := readShapes(ctx, tx, []string{eventsTable, keysTable})
		if err != nil {
			return err
		}
		c = CopyShape{}
		for _, to := range []struct {
			columns *[]CopyColumn
			table   string
		}{{&c.Events, eventsTable}, {&c.Keys, keysTable}} {
			for _, column := range shapes[to.table].columns {
				name := ""
				for t, oid := range copyTypes {
					if oid == column.oid {
						name = t
					}
				}
				if name == "" {
					return fmt.Errorf("column %s of %s has a type that a copy can't hold: %w", column.name, to.table, ErrCorrupt)
				}
				*to.columns = append(*to.columns, CopyColumn{column.name, name})
			}
		}
		return nil
	})
	return c, err
}

// MonthBounds are the first and the last position of the events of a month of recorded_at.
type MonthBounds struct {
	First, Last int64 // 0: the month has no events
}

const sqlMonthBounds = `
SELECT COALESCE(min(e.position), 0), COALESCE(max(e.position), 0)
FROM ledger.every_event e
WHERE e.recorded_at >= $1 AND e.recorded_at < $2`

// MonthBounds reads where the events of a month begin and end; month is its first instant, in UTC.
func (s *Seals) MonthBounds(ctx context.Context, month time.Time) (b MonthBounds, err error) {
	if err := s.l.pool.QueryRow(ctx, sqlMonthBounds, month, month.AddDate(0, 1, 0)).Scan(&b.First, &b.Last); err != nil {
		return b, readError("read where the month begins and ends", err)
	}
	return b, nil
}

// copyStep is how many positions are read at once: their keys are held in memory.
const copyStep = 1 << 15

// CopyMonth reads all events of a month, which is over and decided, with their keys, in the order of positions.
// The tuples are in the order of the shape, in PostgreSQL's binary form, and valid until each returns. Each step is
// a transaction of its own: nothing holds the database back for long.
func (s *Seals) CopyMonth(ctx context.Context, month time.Time, shape CopyShape, each func(position int64, event, key pg.Tuple) error) error {
	bounds, err := s.MonthBounds(ctx, month)
	if err != nil {
		return err
	}
	r := copyReader{shape: shape, month: month, each: each, keys: map[int64]pg.Tuple{}}
	if r.at = slices.IndexFunc(shape.Events, func(c CopyColumn) bool { return c.Name == "position" }); r.at < 0 {
		return fmt.Errorf("the shape has no position: %w", ErrInvalid)
	}
	for after := bounds.First - 1; bounds.First > 0 && after < bounds.Last; {
		through := min(after+copyStep, bounds.Last)
		err := pg.InSnapshot(ctx, s.l.pool, func(tx pgx.Tx) error { return r.read(ctx, tx, after, through) })
		if err != nil {
			return fmt.Errorf("copy events: %w", err)
		}
		if after = through; r.found == 0 && after < bounds.Last { // a gap
			if err := s.l.pool.QueryRow(ctx, sqlNextOfMonth, after, month, month.AddDate(0, 1, 0)).Scan(&after); err != nil {
				return readError("find the next event of the month", err)
			}
			after--
		}
	}
	return nil
}

const sqlNextOfMonth = `
SELECT e.position
FROM ledger.every_event e
WHERE e.position > $1 AND e.recorded_at >= $2 AND e.recorded_at < $3
ORDER BY e.position
LIMIT 1`

// copyReader reads the events of ranges with their keys.
type copyReader struct {
	shape CopyShape
	month time.Time
	each  func(int64, pg.Tuple, pg.Tuple) error
	at    int // of the position
	keys  map[int64]pg.Tuple
	found int
	last  int64 // position that was handed over last: a transaction may be run again
}

func listOf(columns []CopyColumn) string {
	list := ""
	for i, c := range columns {
		if i > 0 {
			list += ", "
		}
		list += pgx.Identifier{c.Name}.Sanitize()
	}
	return list
}

// ofMonth is the condition that something was recorded in a month. The texts are the ledger's own.
func ofMonth(month time.Time) string {
	const layout = "2006-01-02T15:04:05Z"
	return "(recorded_at >= '" + month.UTC().Format(layout) + "' AND recorded_at < '" + month.UTC().AddDate(0, 1, 0).Format(layout) + "')"
}

// read hands over the events of a range.
func (r *copyReader) read(ctx context.Context, tx pgx.Tx, after, through int64) error {
	clear(r.keys)
	r.found = 0
	where := " WHERE " + within("k", after, through) + " AND " + ofMonth(r.month)
	err := pg.CopyTuples(ctx, tx, "SELECT position, "+listOf(r.shape.Keys)+" FROM "+keysTable+" k"+where, func(row pg.Tuple) error {
		position, err := int64Of(row, 0)
		if err != nil {
			return err
		}
		key := make(pg.Tuple, len(row)-1)
		for i, v := range row[1:] {
			key[i] = slices.Clone(v)
		}
		r.keys[position] = key
		return nil
	})
	if err != nil {
		return err
	}
	where += " ORDER BY position"
	return pg.CopyTuples(ctx, tx, "SELECT "+listOf(r.shape.Events)+" FROM "+eventsTable+" k"+where, func(row pg.Tuple) error {
		position, err := int64Of(row, r.at)
		if err != nil {
			return err
		}
		key, ok := r.keys[position]
		if !ok {
			return fmt.Errorf("position %d has no key in ledger.event_keys: %w", position, ErrCorrupt)
		}
		r.found++
		if position <= r.last {
			return nil
		}
		r.last = position
		return r.each(position, row, key)
	})
}

// CopyLeaves makes the leaves of copied events. It keeps its room and belongs to one goroutine.
type CopyLeaves struct {
	events, keys []leafColumn
	writer       leafWriter
	text, key    []byte
}

// NewCopyLeaves makes leaves by the shape that a copy has. Columns that were declared since then are null in it,
// and nulls stand in no leaf.
func NewCopyLeaves(shape CopyShape) (*CopyLeaves, error) {
	events, err := copyLeafColumns(shape.Events)
	if err != nil {
		return nil, err
	}
	keys, err := copyLeafColumns(shape.Keys)
	return &CopyLeaves{events: events, keys: keys}, err
}

// Leaf is the hash that a seal binds the event by.
func (c *CopyLeaves) Leaf(event, key pg.Tuple) (h proof.Hash, err error) {
	if c.key, err = c.writer.appendRow(c.key[:0], c.keys, key); err != nil {
		return h, fmt.Errorf("the key: %w", err)
	}
	if c.text, err = c.writer.appendEvent(c.text[:0], c.events, event, c.key); err != nil {
		return h, err
	}
	return proof.LeafHash(c.text), nil
}
