package wire

import (
	"slices"
	"strings"

	"github.com/twmb/avro"

	"deltaledger/ledger"
)

// Under is s as it is read under another schema, by the rules of schema resolution of Avro, except that nothing that was
// written is left out: fields that the reader's schema doesn't have keep their names, and numbers that it promotes
// keep every digit. How s was read before doesn't matter. The error wraps ledger.ErrInvalid.
func (s *AvroSchema) Under(reader *AvroSchema) (*AvroSchema, error) {
	if err := avro.CheckCompatibility(s.source, reader.source); err != nil {
		return nil, invalid("schema", "", "can't be read under the reader's schema: "+shown(strings.TrimPrefix(err.Error(), "avro: ")))
	}
	r := avroResolver{done: map[[2]*avroType]*avroType{}}
	root := r.resolve(s.written, reader.written)
	if r.err != nil {
		return nil, r.err
	}
	return &AvroSchema{s.source, s.written, root}, nil
}

// avroResolver joins types of a writer with those of a reader that they are compatible with.
type avroResolver struct {
	done map[[2]*avroType]*avroType
	err  error
}

func (r *avroResolver) resolve(w, to *avroType) *avroType {
	key := [2]*avroType{w, to}
	if known := r.done[key]; known != nil {
		return known
	}
	t := new(avroType)
	*t = *w
	r.done[key] = t
	if w.kind == avroUnion {
		t.fields = make([]*avroType, len(w.fields))
		for i, branch := range w.fields {
			t.fields[i] = r.resolve(branch, to)
		}
		return t
	}
	if to.kind == avroUnion {
		if to = branchFor(w, to); to == nil { // only of a branch of a union, which may then hold no such value
			return t
		}
	}
	switch {
	case w.kind == avroBytes && to.kind == avroString:
		t.textual = t.logical == avroPlain
	case w.kind != to.kind:
	case w.kind == avroRecord:
		r.record(t, w, to)
	case w.kind == avroEnum:
		t.enum(w, to)
	case w.kind == avroArray || w.kind == avroMap:
		t.items = r.resolve(w.items, to.items)
	case t.logical == avroPlain && w.size == to.size: // a later schema says what the value always meant
		t.logical, t.scale = to.logical, to.scale
	}
	return t
}

// branchFor is the type of a reader's union that a value is read as: one of the same kind and name, or else the first
// that it may be promoted to.
func branchFor(w, union *avroType) *avroType {
	for _, sameName := range []bool{true, false} {
		for _, branch := range union.fields {
			if branch.kind == w.kind && (!sameName || branch.name == w.name) {
				return branch
			}
		}
	}
	promotions := map[avroKind][]avroKind{
		avroInt: {avroLong, avroFloat, avroDouble}, avroLong: {avroFloat, avroDouble}, avroFloat: {avroDouble}, avroString: {avroBytes}, avroBytes: {avroString},
	}
	for _, branch := range union.fields {
		if slices.Contains(promotions[w.kind], branch.kind) {
			return branch
		}
	}
	return nil
}

// record gives the fields of w the names that they have in the reader's schema, and adds the defaults of those that w
// doesn't have.
func (r *avroResolver) record(t, w, to *avroType) {
	t.names, t.fields, t.aliases = slices.Clone(w.names), slices.Clone(w.fields), nil
	met := make([]bool, len(to.fields))
	for i, name := range w.names {
		k := slices.Index(to.names, name)
		if k < 0 {
			if alias, ok := to.aliases[name]; ok && !slices.Contains(w.names, to.names[alias]) {
				k = alias
			}
		}
		if k >= 0 {
			met[k] = true
			t.names[i], t.fields[i] = to.names[k], r.resolve(w.fields[i], to.fields[k])
		}
	}
	for name, k := range to.aliases {
		if i := slices.Index(t.names, to.names[k]); i >= 0 {
			t.alias(name, i)
		}
	}
	for alias, i := range w.aliases {
		t.alias(alias, i)
	}
	for k, name := range to.names {
		if met[k] {
			continue
		}
		v, bad := to.defaultOf(k)
		if bad != nil && r.err == nil {
			r.err = bad
		}
		t.names, t.absent = append(t.names, name), append(t.absent, v)
	}
}

// defaultOf is the default of a field, which the check of compatibility found to be there.
func (t *avroType) defaultOf(k int) (Value, error) {
	field := &t.node.Fields[k]
	fail := func(err error) (Value, error) {
		return Value{}, invalid("schema", field.Name, "has a default that can't be read: "+shown(err.Error()))
	}
	schema, err := field.Type.Schema()
	if err != nil {
		return fail(err)
	}
	data, err := schema.Encode(field.Default)
	if err != nil {
		return fail(err)
	}
	var r avroReader
	v, bad := r.read(t.fields[k], data)
	if bad != nil {
		return fail(bad)
	}
	return v, nil
}

// enum gives each symbol of w the symbol that it is in the reader's schema.
func (t *avroType) enum(w, to *avroType) {
	t.unread = make([]string, len(w.symbols))
	for i, symbol := range w.symbols {
		switch {
		case slices.Contains(to.symbols, symbol):
			t.unread[i] = symbol
		case to.node.HasEnumDefault:
			t.unread[i] = to.node.EnumDefault
		}
	}
}

// Value decodes what was written under s, which must be one value and nothing else.
func (s *AvroSchema) Value(data []byte) (Value, *ledger.FieldError) {
	var r avroReader
	return r.read(s.root, data)
}
