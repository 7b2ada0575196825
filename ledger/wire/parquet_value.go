package wire

import (
	"encoding/binary"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/format"

	"deltaledger/ledger"
)

// parquetNode is a column, or a group of columns.
type parquetNode struct {
	name        string
	optional    bool
	repeated    bool
	rep, def    int // levels at which an element begins, and at which the node is there
	first, last int // its columns: first … last-1
	children    []*parquetNode
	names       []string // of the children
	list, keyed bool     // a LIST, a MAP: the levels between it and its elements are left out

	leaves []*parquetNode // of the root: all columns
	typ    parquet.Type   // of a column
}

// parquetTree makes nodes.
type parquetTree struct {
	leaves []*parquetNode
	wide   bool
}

func (p *parquetTree) node(c *parquet.Column, rep, def, depth int) *parquetNode {
	n := &parquetNode{name: c.Name(), optional: c.Optional() && depth > 0, repeated: c.Repeated() && depth > 0, first: len(p.leaves)}
	if n.repeated {
		rep++
	}
	if n.optional || n.repeated {
		def++
	}
	n.rep, n.def = rep, def
	if p.wide = p.wide || len(p.leaves) >= maxColumns || depth > maxAvroDepth; p.wide {
		return n
	}
	if c.Leaf() {
		n.typ = c.Type()
		p.leaves = append(p.leaves, n)
	} else {
		for _, child := range c.Columns() {
			n.children = append(n.children, p.node(child, rep, def, depth+1))
			n.names = append(n.names, child.Name())
		}
		n.grouped(c)
	}
	n.last = len(p.leaves)
	return n
}

// grouped finds out whether a group is a list or a map.
func (n *parquetNode) grouped(c *parquet.Column) {
	if len(n.children) != 1 || !n.children[0].repeated || n.repeated {
		return
	}
	logical := logicalTypeOf(c.Type())
	switch logical.(type) {
	case *format.ListType:
		n.list = true
	case *format.MapType:
		n.keyed = len(n.children[0].children) == 2
	}
}

func logicalTypeOf(t parquet.Type) format.LogicalTypeValue {
	if t == nil || t.LogicalType() == nil {
		return nil
	}
	return t.LogicalType().Value
}

// cell is one value of a column.
type cell struct {
	rep, def int
	raw      []byte
}

// rowReader makes documents of rows.
type rowReader struct {
	columns [][]cell
}

// read makes the document of a row that appendRow wrote.
func (r *rowReader) read(root *parquetNode, raw []byte) (Value, *ledger.FieldError) {
	if len(r.columns) != len(root.leaves) {
		r.columns = make([][]cell, len(root.leaves))
	}
	for i := range r.columns {
		r.columns[i] = r.columns[i][:0]
	}
	for len(raw) > 0 {
		column, n := binary.Uvarint(raw)
		size, m := binary.Uvarint(raw[n+2:])
		start := n + 2 + m
		r.columns[column] = append(r.columns[column], cell{int(raw[n]), int(raw[n+1]), raw[start : start+int(size)]}) //nolint:gosec // as it was written
		raw = raw[start+int(size):]                                                                                   //nolint:gosec // see above
	}
	v, bad := root.group(r.columns)
	if bad != nil {
		return Value{}, invalid(bad.path, bad.value, bad.rule)
	}
	return v, nil
}

// group makes an object of the children; columns are those of n.
func (n *parquetNode) group(columns [][]cell) (v Value, bad *avroFault) {
	v = Value{kind: Object, names: n.names, items: make([]Value, len(n.children))}
	for i, child := range n.children {
		if v.items[i], bad = child.value(columns[child.first-n.first : child.last-n.first]); bad != nil {
			return v, bad.under(child.name)
		}
	}
	return v, nil
}

// value makes what n holds.
func (n *parquetNode) value(columns [][]cell) (v Value, bad *avroFault) {
	if n.repeated {
		return n.elements(columns)
	}
	return n.one(columns)
}

// elements makes a list of what n repeats.
func (n *parquetNode) elements(columns [][]cell) (v Value, bad *avroFault) {
	v.kind = List
	if len(columns) == 0 || len(columns[0]) == 0 || columns[0][0].def < n.def {
		return v, nil
	}
	rest := slices.Clone(columns)
	for len(rest[0]) > 0 {
		element := make([][]cell, len(rest))
		for i, cells := range rest {
			end := 1
			for end < len(cells) && cells[end].rep > n.rep {
				end++
			}
			end = min(end, len(cells))
			element[i], rest[i] = cells[:end], cells[end:]
		}
		item, bad := n.present(element)
		if bad != nil {
			return v, bad.under("[" + strconv.Itoa(len(v.items)) + "]")
		}
		v.items = append(v.items, item)
	}
	return v, nil
}

func (n *parquetNode) one(columns [][]cell) (v Value, bad *avroFault) {
	if len(columns) == 0 || len(columns[0]) == 0 || n.optional && columns[0][0].def < n.def {
		return v, nil
	}
	return n.present(columns)
}

// present makes what n holds once.
func (n *parquetNode) present(columns [][]cell) (v Value, bad *avroFault) {
	switch {
	case n.typ != nil:
		return n.leaf(columns[0][0].raw)
	case n.list:
		v, bad = n.children[0].elements(columns)
		if inner := n.children[0]; bad == nil && len(inner.children) == 1 {
			for i, item := range v.items {
				v.items[i] = item.items[0]
			}
		}
		return v, bad
	case !n.keyed:
		return n.group(columns)
	}
	pairs, bad := n.children[0].elements(columns)
	v.kind = Object
	for _, pair := range pairs.items {
		key := pair.items[0].String()
		if bad == nil && v.find(key) >= 0 {
			bad = fault(ruleAvroKeys).under(key)
		}
		v.names, v.items = append(v.names, key), append(v.items, pair.items[1])
	}
	return v, bad
}

// leaf is the value of a column, as Parquet writes it plainly.
func (n *parquetNode) leaf(raw []byte) (v Value, bad *avroFault) {
	switch t := logicalTypeOf(n.typ).(type) {
	case *format.DecimalType:
		return n.decimal(raw, int(t.Scale))
	case *format.StringType, *format.EnumType:
		return textOf(raw)
	case *format.JsonType:
		doc, wrong := ParseJSON(raw)
		if wrong != nil {
			return v, &avroFault{value: wrong.Value, rule: wrong.Rule}
		}
		return doc, nil
	case *format.UUIDType:
		if id, err := uuid.FromBytes(raw); err == nil {
			return TextValue(id.String()), nil
		}
	case *format.DateType:
		return dateValue(n.integer(raw))
	case *format.TimestampType:
		return timestamp(n.integer(raw), t)
	case *format.TimeType:
		return n.timeOfDay(raw, t)
	case *format.IntType:
		if whole := n.integer(raw); t.IsSigned || whole >= 0 {
			return IntegerValue(whole), nil
		} else if n.typ.Kind() == parquet.Int32 {
			return IntegerValue(int64(uint32(whole))), nil //nolint:gosec // the bits are those of the number
		}
		return DecimalValue(strconv.FormatUint(binary.LittleEndian.Uint64(raw), 10)), nil
	}
	switch n.typ.Kind() {
	case parquet.Boolean:
		return BoolValue(raw[0] != 0), nil
	case parquet.Int32, parquet.Int64:
		return IntegerValue(n.integer(raw)), nil
	case parquet.Float:
		return Value{kind: Float, text: strconv.FormatFloat(float64(math.Float32frombits(binary.LittleEndian.Uint32(raw))), 'g', -1, 32)}, nil
	case parquet.Double:
		return Value{kind: Float, text: strconv.FormatFloat(math.Float64frombits(binary.LittleEndian.Uint64(raw)), 'g', -1, 64)}, nil
	}
	return Value{kind: Binary, text: string(raw)}, nil
}

func textOf(raw []byte) (v Value, _ *avroFault) {
	if rule := badText(raw); rule != "" {
		return v, &avroFault{value: string(raw), rule: rule}
	}
	return TextValue(string(raw)), nil
}

// integer is the number of a column of 32 or 64 bits.
func (n *parquetNode) integer(raw []byte) int64 {
	if n.typ.Kind() == parquet.Int32 {
		return int64(int32(binary.LittleEndian.Uint32(raw))) //nolint:gosec // the bits are those of the number
	}
	return int64(binary.LittleEndian.Uint64(raw)) //nolint:gosec // see above
}

func (n *parquetNode) decimal(raw []byte, scale int) (v Value, _ *avroFault) {
	if scale < 0 || scale > maxScale {
		return v, fault("must not be a decimal of a scale beyond 128")
	}
	if kind := n.typ.Kind(); kind == parquet.Int32 || kind == parquet.Int64 {
		return DecimalValue(movePoint(strconv.FormatInt(n.integer(raw), 10), scale)), nil
	}
	return decimalOf(raw, scale)
}

// timestamp is a point in time, or one without a zone.
func timestamp(n int64, t *format.TimestampType) (v Value, _ *avroFault) {
	v = Value{kind: Local, n: n}
	if t.IsAdjustedToUTC {
		v.kind = Instant
	}
	switch t.Unit.Value.(type) {
	case *format.MilliSeconds:
		if v.n = n * 1000; v.n/1000 != n {
			return v, fault(ruleAvroRange)
		}
	case *format.NanoSeconds:
		v = InstantValue(time.Unix(0, n))
		if !t.IsAdjustedToUTC {
			v.kind = Local
		}
	}
	if v.n < earliestMicro || v.n > latestMicro {
		return v, &avroFault{value: strconv.FormatInt(n, 10), rule: ruleAvroRange}
	}
	return v, nil
}

func (n *parquetNode) timeOfDay(raw []byte, t *format.TimeType) (Value, *avroFault) {
	switch t.Unit.Value.(type) {
	case *format.MilliSeconds:
		return timeOfDay(n.integer(raw), time.Millisecond)
	case *format.NanoSeconds:
		return timeOfDay(n.integer(raw), time.Nanosecond)
	}
	return timeOfDay(n.integer(raw), time.Microsecond)
}
