package wire

import (
	"errors"
	"fmt"
	"slices"

	"github.com/twmb/avro"

	"deltaledger/ledger"
)

// AvroSchema is a schema of Avro, ready to decode what was written under it. Several goroutines may use one.
type AvroSchema struct {
	source  *avro.Schema
	written *avroType // what data is written under
	root    *avroType // the same, as it is read
}

// MaxAvroSchema is the most bytes that a schema may have, with those that it refers to.
const MaxAvroSchema = 1 << 20

// ParseAvroSchema reads a schema in the JSON of Avro. references are the schemas that it refers to by name, in the order
// in which they refer to each other. The error wraps ledger.ErrInvalid.
func ParseAvroSchema(text string, references ...string) (*AvroSchema, error) {
	size := len(text)
	for _, r := range references {
		size += len(r)
	}
	if size > MaxAvroSchema {
		return nil, invalid("schema", "", "must have at most 1048576 bytes")
	}
	var named avro.SchemaCache
	for _, r := range references {
		if _, err := named.Parse(r); err != nil {
			return nil, invalid("schema", "", "refers to a schema that is none: "+shown(err.Error()))
		}
	}
	source, err := named.Parse(text)
	if err != nil {
		return nil, invalid("schema", "", shown(err.Error()))
	}
	c := avroCompiler{named: map[string]*avroType{}}
	root, err := c.compile(source.Root(), "", 0)
	if err != nil {
		return nil, err
	}
	return &AvroSchema{source, root, root}, nil
}

// avroKind is how a value is written.
type avroKind uint8

const (
	avroNull avroKind = iota
	avroBoolean
	avroInt
	avroLong
	avroFloat
	avroDouble
	avroBytes
	avroString
	avroFixed
	avroEnum
	avroArray
	avroMap
	avroUnion
	avroRecord
)

// avroLogical is what a value means beyond that.
type avroLogical uint8

const (
	avroPlain avroLogical = iota
	avroDecimal
	avroUUID
	avroDate
	avroTimeMillis
	avroTimeMicros
	avroMillis
	avroMicros
	avroNanos
	avroLocalMillis
	avroLocalMicros
	avroLocalNanos
	avroDuration
)

// avroType is a schema, or a part of one, as it is decoded.
type avroType struct {
	kind    avroKind
	logical avroLogical
	name    string // of a record, enum or fixed, in full
	size    int    // of a fixed
	scale   int    // of a decimal

	names   []string       // of the fields of a record
	fields  []*avroType    // of a record; the branches of a union
	aliases map[string]int // of a record: further names of its fields
	items   *avroType      // of an array and of the values of a map
	symbols []string       // of an enum

	absent  []Value  // of a record that is read under another schema: fields that it doesn't have, with their defaults
	unread  []string // of an enum that is read under another schema: what each symbol becomes; empty: it has none there
	textual bool     // bytes that are read as a string

	node *avro.SchemaNode // of a record and an enum: for their defaults
}

const (
	maxAvroDepth = 32  // how deep values are nested
	maxScale     = 128 // of a decimal in a schema; what is more than 18 has to be zeros
)

// avroCompiler makes types of nodes.
type avroCompiler struct {
	named map[string]*avroType
	n     int // types made
}

var errSchemaSize = errors.New("has more than 20,000 parts")

// compile makes the type of a node, within which names without a dot are those of the namespace space.
func (c *avroCompiler) compile(n *avro.SchemaNode, space string, depth int) (*avroType, error) {
	if c.n++; c.n > 20_000 || depth > 200 {
		return nil, fmt.Errorf("schema: %w: %w", errSchemaSize, ledger.ErrInvalid)
	}
	for _, name := range []string{space + "." + n.Type, n.Type} {
		if known := c.named[name]; known != nil {
			return known, nil
		}
	}
	t := &avroType{name: n.Name, size: n.Size, symbols: n.Symbols, node: n}
	if n.Name != "" {
		if space = n.Namespace; space != "" {
			t.name = space + "." + n.Name
		}
	}
	kinds := map[string]avroKind{
		"null": avroNull, "boolean": avroBoolean, "int": avroInt, "long": avroLong, "float": avroFloat, "double": avroDouble, "bytes": avroBytes,
		"string": avroString, "fixed": avroFixed, "enum": avroEnum, "array": avroArray, "map": avroMap, "union": avroUnion, "record": avroRecord, "error": avroRecord,
	}
	kind, known := kinds[n.Type]
	if !known {
		return nil, invalid("schema", n.Type, "is not a type of Avro")
	}
	t.kind = kind
	t.logical = logicalOf(kind, n)
	if t.logical == avroDecimal {
		if t.scale = n.Scale; t.scale > maxScale {
			return nil, invalid("schema", t.name, "must not have decimals of a scale beyond 128")
		}
	}
	if t.name != "" {
		c.named[t.name] = t
	}
	return t, c.parts(t, n, space, depth)
}

// parts compiles what t consists of.
func (c *avroCompiler) parts(t *avroType, n *avro.SchemaNode, space string, depth int) (err error) {
	switch t.kind {
	case avroArray:
		t.items, err = c.compile(n.Items, space, depth+1)
	case avroMap:
		t.items, err = c.compile(n.Values, space, depth+1)
	case avroUnion:
		t.fields = make([]*avroType, len(n.Branches))
		for i := range n.Branches {
			if t.fields[i], err = c.compile(&n.Branches[i], space, depth+1); err != nil {
				return err
			}
		}
	case avroRecord:
		t.names, t.fields = make([]string, len(n.Fields)), make([]*avroType, len(n.Fields))
		for i := range n.Fields {
			t.names[i] = n.Fields[i].Name
			if t.fields[i], err = c.compile(&n.Fields[i].Type, space, depth+1); err != nil {
				return err
			}
		}
		for i := range n.Fields {
			for _, alias := range n.Fields[i].Aliases {
				t.alias(alias, i)
			}
		}
	}
	return err
}

// alias makes field i known under a further name, unless another field has that.
func (t *avroType) alias(name string, i int) {
	if _, taken := t.aliases[name]; taken || slices.Contains(t.names, name) {
		return
	}
	if t.aliases == nil {
		t.aliases = map[string]int{}
	}
	t.aliases[name] = i
}

// logicalOf is the logical type of a node, where it is one that its kind can have; others are to be ignored.
func logicalOf(kind avroKind, n *avro.SchemaNode) avroLogical {
	name := n.LogicalType
	switch kind {
	case avroBytes, avroFixed:
		switch {
		case name == "decimal":
			return avroDecimal
		case name == "uuid" && n.Size == 16:
			return avroUUID
		case name == "duration" && n.Size == 12:
			return avroDuration
		}
	case avroInt:
		switch name {
		case "date":
			return avroDate
		case "time-millis":
			return avroTimeMillis
		}
	case avroLong:
		return map[string]avroLogical{
			"time-micros": avroTimeMicros, "timestamp-millis": avroMillis, "timestamp-micros": avroMicros, "timestamp-nanos": avroNanos,
			"local-timestamp-millis": avroLocalMillis, "local-timestamp-micros": avroLocalMicros, "local-timestamp-nanos": avroLocalNanos,
		}[name]
	}
	return avroPlain
}
