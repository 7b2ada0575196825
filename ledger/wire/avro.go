package wire

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"sync"

	"deltaledger/ledger"
)

// Schemas has the schemas of a registry.
type Schemas interface {
	// Schema is the schema of that id. An error that wraps ledger.ErrNotFound or ledger.ErrInvalid says that
	// the registry has none of that id, or one that is not Avro; any other, that it can't be told now.
	Schema(ctx context.Context, id int) (*AvroSchema, error)
}

const (
	ruleWireFormat = "must be in the wire format of a schema registry: a zero byte, four bytes with the schema's id, and the data"
	ruleNoID       = "must be the id of a schema in the registry: it has none of that id"
)

// AvroMessages decodes Avro in Confluent's wire format. Several goroutines may use one.
type AvroMessages struct {
	schemas Schemas
	reader  *AvroSchema // nil: what was written is read as it is
	under   sync.Map    // of the schemas that were met, as they are read: *AvroSchema to underResult
}

type underResult struct {
	schema *AvroSchema
	err    error
}

// NewAvroMessages decodes messages under the schemas of a registry; reader is the schema under which they are to be
// read, in the JSON of Avro, or empty. The error wraps ledger.ErrInvalid.
func NewAvroMessages(schemas Schemas, reader string) (*AvroMessages, error) {
	a := &AvroMessages{schemas: schemas}
	if reader != "" {
		var err error
		if a.reader, err = ParseAvroSchema(reader); err != nil {
			return nil, fmt.Errorf("the reader's schema: %w", err)
		}
	}
	return a, nil
}

// Value is the document that a message holds. An error that wraps ledger.ErrInvalid says that the message is bad and stays
// bad; any other, that its schema can't be had now.
func (a *AvroMessages) Value(ctx context.Context, raw []byte) (Value, error) {
	var r avroReader
	return a.value(ctx, &r, raw)
}

func (a *AvroMessages) value(ctx context.Context, r *avroReader, raw []byte) (Value, error) {
	const head = 1 + 4
	if len(raw) < head || raw[0] != 0 {
		return Value{}, invalid(fieldEvent, string(raw[:min(len(raw), head)]), ruleWireFormat)
	}
	id := int(binary.BigEndian.Uint32(raw[1:]))
	s, err := a.schema(ctx, id)
	if err != nil {
		return Value{}, err
	}
	v, bad := r.read(s.root, raw[head:])
	if bad != nil {
		return Value{}, bad
	}
	return v, nil
}

// schema is that of an id, as it is to be read.
func (a *AvroMessages) schema(ctx context.Context, id int) (*AvroSchema, error) {
	s, err := a.schemas.Schema(ctx, id)
	switch {
	case err == nil:
	case errors.Is(err, ledger.ErrNotFound):
		return nil, invalid("schema", strconv.Itoa(id), ruleNoID)
	case errors.Is(err, ledger.ErrInvalid):
		return nil, invalid("schema", strconv.Itoa(id), "must be a schema of Avro: "+shown(err.Error()))
	default:
		return nil, fmt.Errorf("schema %d: %w", id, err)
	}
	if a.reader == nil {
		return s, nil
	}
	if known, ok := a.under.Load(s); ok {
		u, _ := known.(underResult)
		return u.schema, u.err
	}
	var u underResult
	u.schema, u.err = s.Under(a.reader)
	a.under.Store(s, u)
	return u.schema, u.err
}

// avroEvent decodes the event of a message.
func (d *messages) avroEvent(ctx context.Context, m *Message) ([]Item, error) {
	r, _ := d.readers.Get().(*avroReader)
	if r == nil {
		r = &avroReader{}
	}
	defer d.readers.Put(r)
	v, err := d.avro.value(ctx, r, m.Value)
	if err != nil {
		if fault := new(ledger.FieldError); errors.As(err, &fault) {
			return bad(fault), nil
		}
		return nil, err
	}
	if d.Mapping != nil {
		return one(d.Mapping.Event(v, m.Meta(), d.Measures)), nil
	}
	return one(v.Event(d.Measures)), nil
}
