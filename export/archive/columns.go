package archive

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/zstd"

	"deltaledger/ledger"
	"deltaledger/ledger/pg"
)

// Names that no declared column can have begin with an underscore.
const (
	textPrefix = "_text_" // of the column for decimals that don't fit
	keyPrefix  = "_"      // of the columns of the event's key
)

// PostgreSQL counts from 2000-01-01, Parquet from 1970-01-01.
const (
	epochDays   = 10957
	epochMicros = epochDays * 86400 * 1_000_000
)

// field is a column of the files.
type field struct {
	name     string
	kind     string // of the column it comes from, as in ledger.CopyColumn
	from     int    // its place in the tuple of the event, or of the key
	key      bool
	text     bool // holds the decimals that don't fit
	required bool
}

// fieldsOf are the columns of files of a shape, in the order in which Parquet has them: by name. Position and
// recorded_at stand in the key too, where they are the same.
func fieldsOf(shape ledger.CopyShape) []field {
	var fields []field
	for i, c := range shape.Events {
		fields = append(fields, field{name: c.Name, kind: c.Type, from: i, required: c.Name == "position" || c.Name == "recorded_at"})
		if c.Type == "numeric" {
			fields = append(fields, field{name: textPrefix + c.Name, kind: c.Type, from: i, text: true})
		}
	}
	for i, c := range shape.Keys {
		if !repeated(c.Name) {
			fields = append(fields, field{name: keyPrefix + c.Name, kind: c.Type, from: i, key: true})
		}
	}
	slices.SortFunc(fields, func(a, b field) int { return strings.Compare(a.name, b.name) })
	return fields
}

func repeated(keyColumn string) bool { return keyColumn == "position" || keyColumn == "recorded_at" }

// schemaOf is the schema of the files.
func schemaOf(fields []field) (*parquet.Schema, error) {
	group := parquet.Group{}
	codec := &zstd.Codec{Level: zstd.SpeedDefault, Concurrency: 1} // one for all: each keeps compressors of some megabytes
	for _, f := range fields {
		node, err := f.node()
		if err != nil {
			return nil, err
		}
		if !f.required {
			node = parquet.Optional(node)
		}
		group[f.name] = parquet.Compressed(node, codec)
	}
	return parquet.NewSchema("event", group), nil
}

// few are the texts of which a file has few different ones.
var few = []string{"source", "type", "currency", "kind", "account"}

func (f field) node() (parquet.Node, error) {
	switch f.kind {
	case "bigint":
		return parquet.Int(64), nil
	case "smallint":
		return parquet.Int(16), nil
	case "boolean":
		return parquet.Leaf(parquet.BooleanType), nil
	case "date":
		return parquet.Date(), nil
	case "timestamptz":
		return parquet.TimestampAdjusted(parquet.Microsecond, true), nil
	case "uuid":
		return parquet.UUID(), nil
	case "bytea":
		return parquet.Leaf(parquet.ByteArrayType), nil
	case "jsonb":
		return parquet.JSON(), nil
	case "numeric":
		if f.text {
			return parquet.String(), nil
		}
		return parquet.Decimal(scale, 38, parquet.FixedLenByteArrayType(decimalSize)), nil
	case "text":
		if slices.Contains(few, f.name) {
			return parquet.Encoded(parquet.String(), &parquet.RLEDictionary), nil
		}
		return parquet.String(), nil
	}
	return nil, fmt.Errorf("column %s has the type %s, which files can't hold: %w", f.name, f.kind, ledger.ErrInvalid)
}

// value makes the value of a file of one that PostgreSQL sent, null of nil.
func (f field) value(v []byte) (parquet.Value, error) {
	if v == nil {
		return parquet.NullValue(), nil
	}
	if size, fixed := sizes[f.kind]; fixed && len(v) != size {
		return parquet.Value{}, fmt.Errorf("column %s: a value of %d bytes: %w", f.name, len(v), ledger.ErrCorrupt)
	}
	switch f.kind {
	case "bigint":
		return parquet.Int64Value(int64(binary.BigEndian.Uint64(v))), nil
	case "smallint":
		return parquet.Int32Value(int32(int16(binary.BigEndian.Uint16(v)))), nil
	case "boolean":
		return parquet.BooleanValue(v[0] != 0), nil
	case "date":
		return parquet.Int32Value(int32(binary.BigEndian.Uint32(v)) + epochDays), nil
	case "timestamptz":
		return parquet.Int64Value(int64(binary.BigEndian.Uint64(v)) + epochMicros), nil
	case "uuid":
		return parquet.FixedLenByteArrayValue(v), nil
	case "bytea", "text":
		return parquet.ByteArrayValue(v), nil
	case "jsonb":
		if len(v) == 0 || v[0] != 1 {
			return parquet.Value{}, fmt.Errorf("column %s: jsonb of an unknown version: %w", f.name, ledger.ErrCorrupt)
		}
		return parquet.ByteArrayValue(v[1:]), nil
	}
	return f.decimal(v)
}

var sizes = map[string]int{"bigint": 8, "smallint": 2, "boolean": 1, "date": 4, "timestamptz": 8, "uuid": 16}

func (f field) decimal(v []byte) (parquet.Value, error) {
	d, fits, err := toDecimal(v)
	switch {
	case err != nil:
		return parquet.Value{}, fmt.Errorf("column %s: %w: %w", f.name, err, ledger.ErrCorrupt)
	case fits == f.text:
		return parquet.NullValue(), nil
	case fits:
		return parquet.FixedLenByteArrayValue(d[:]), nil
	}
	text, err := toText(v)
	return parquet.ByteArrayValue([]byte(text)), err
}

// back makes what PostgreSQL would send of the value of a file, which isn't null.
func (f field) back(v parquet.Value) ([]byte, error) {
	switch f.kind {
	case "bigint":
		return binary.BigEndian.AppendUint64(nil, uint64(v.Int64())), nil
	case "smallint":
		return binary.BigEndian.AppendUint16(nil, uint16(v.Int32())), nil
	case "boolean":
		if v.Boolean() {
			return []byte{1}, nil
		}
		return []byte{0}, nil
	case "date":
		return binary.BigEndian.AppendUint32(nil, uint32(v.Int32()-epochDays)), nil
	case "timestamptz":
		return binary.BigEndian.AppendUint64(nil, uint64(v.Int64()-epochMicros)), nil
	case "uuid", "bytea", "text":
		return append([]byte{}, v.ByteArray()...), nil
	case "jsonb":
		return append([]byte{1}, v.ByteArray()...), nil
	}
	if f.text {
		return fromText(string(v.ByteArray()))
	}
	return fromDecimal(v.ByteArray())
}

// rowOf makes the row of an event; row is room.
func rowOf(row parquet.Row, fields []field, event, key pg.Tuple) (parquet.Row, error) {
	row = row[:0]
	for i, f := range fields {
		from := event
		if f.key {
			from = key
		}
		v, err := f.value(from[f.from])
		if err != nil {
			return nil, err
		}
		defined := 1
		if v.IsNull() || f.required {
			defined = 0
		}
		row = append(row, v.Level(0, defined, i))
	}
	return row, nil
}

// tuplesOf makes the tuples of an event and its key of a row.
func tuplesOf(row parquet.Row, fields []field, shape ledger.CopyShape) (event, key pg.Tuple, err error) {
	event, key = make(pg.Tuple, len(shape.Events)), make(pg.Tuple, len(shape.Keys))
	if len(row) != len(fields) {
		return nil, nil, fmt.Errorf("a row of %d values instead of %d", len(row), len(fields))
	}
	for i, f := range fields {
		if row[i].IsNull() {
			continue
		}
		to := event
		if f.key {
			to = key
		}
		if to[f.from] != nil {
			return nil, nil, fmt.Errorf("column %s has a value in two columns", f.name)
		}
		if to[f.from], err = f.back(row[i]); err != nil {
			return nil, nil, fmt.Errorf("column %s: %w", f.name, err)
		}
	}
	for i, c := range shape.Keys {
		if repeated(c.Name) {
			at := slices.IndexFunc(shape.Events, func(e ledger.CopyColumn) bool { return e.Name == c.Name })
			if at < 0 {
				return nil, nil, fmt.Errorf("there is no column %s", c.Name)
			}
			key[i] = event[at]
		}
	}
	return event, key, nil
}
