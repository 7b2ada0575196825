package wire

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/twmb/avro"

	"deltaledger/ledger"
)

// fakeRegistry has schemas by id. down: it doesn't answer for those that weren't asked for before.
type fakeRegistry map[int]string

func (f fakeRegistry) Schema(_ context.Context, id int) (*AvroSchema, error) {
	text, ok := f[id]
	switch {
	case !ok:
		return nil, ledger.ErrNotFound
	case text == "down":
		return nil, fmt.Errorf("no answer: %w", ledger.ErrBusy)
	}
	return ParseAvroSchema(text)
}

// framed is data in Confluent's wire format.
func framed(id uint32, data []byte) string {
	return string(append(binary.BigEndian.AppendUint32([]byte{0}, id), data...))
}

func avroData(t testing.TB, schema string, v any) []byte {
	t.Helper()
	s, err := avro.Parse(schema)
	if err != nil {
		t.Fatalf("%s: %v", schema, err)
	}
	data, err := s.Encode(v)
	if err != nil {
		t.Fatalf("%s: %v", schema, err)
	}
	return data
}

const avroNative = `{"type":"record","name":"Event","namespace":"shop","fields":[
	{"name":"id","type":{"type":"string","logicalType":"uuid"}},
	{"name":"source","type":"string"},
	{"name":"stream","type":["null","string"],"default":null},
	{"name":"seqn","type":["null","long"],"default":null},
	{"name":"type","type":{"type":"enum","name":"Type","symbols":["sold","returned"]}},
	{"name":"account","type":"string"},
	{"name":"occurred_at","type":{"type":"long","logicalType":"timestamp-micros"}},
	{"name":"currency","type":"string"},
	{"name":"amount","type":["null",{"type":"bytes","logicalType":"decimal","precision":38,"scale":18}]},
	{"name":"quantity","type":"int"},
	{"name":"measures","type":{"type":"map","values":{"type":"fixed","name":"D","size":8,"logicalType":"decimal","precision":18,"scale":4}}},
	{"name":"dimensions","type":{"type":"map","values":["null","string","long","boolean","double"]}},
	{"name":"payload","type":["null",{"type":"record","name":"P","fields":[{"name":"x","type":{"type":"array","items":"int"}},{"name":"raw","type":"bytes"}]}]}]}`

func nativeRecord() map[string]any {
	amount, _ := new(big.Rat).SetString("-99999999999999999999.123456789012345678")
	return map[string]any{
		"id": "0f8fad5b-d9cb-469f-a165-70867728950e", "source": "orders", "stream": "o1", "seqn": int64(7), "type": "returned", "account": "acme",
		"occurred_at": time.Date(2026, 1, 31, 23, 59, 59, 123456000, time.UTC), "currency": "USD", "amount": amount, "quantity": int32(-1),
		"measures": map[string]any{"commission": big.NewRat(-63, 100)}, "dimensions": map[string]any{"a": "x", "b": int64(5), "c": true, "d": nil, "e": 0.25},
		"payload": map[string]any{"x": []any{int32(1), int32(2)}, "raw": []byte{1, 2}},
	}
}

func TestAvroEvent(t *testing.T) {
	t.Parallel()
	want, fault := DecodeOne([]byte(`{"id":"0f8fad5b-d9cb-469f-a165-70867728950e","source":"orders","stream":"o1","seqn":7,"type":"returned","account":"acme",
		"occurred_at":"2026-01-31T23:59:59.123456Z","currency":"USD","amount":"-99999999999999999999.123456789012345678","quantity":"-1",
		"measures":{"commission":"-0.63"},"dimensions":{"a":"x","b":5,"c":true,"e":0.25},"payload":{"x":[1,2],"raw":"AQI="}}`), declared)
	if fault != nil {
		t.Fatal(fault)
	}
	data := avroData(t, avroNative, nativeRecord())
	for name, o := range map[string]MessageOptions{"by topic": {Format: Avro}, "by its first byte": {}} {
		o.Schemas = fakeRegistry{300: avroNative}
		items := message(t, o, framed(300, data))
		if len(items) != 1 || items[0].Err != nil || !reflect.DeepEqual(items[0].Event, want) {
			t.Errorf("%s: %v\ngot  %+v\nwant %+v", name, items[0].Err, items[0].Event, want)
		}
	}
}

// avroRow writes value under the writer's schema and reads it under the reader's, if there is one.
type avroRow struct {
	name           string
	writer, reader string // types, or fields of a record where they begin with a bracket
	value          any
	want           string // JSON of the document, or a part of the error after "!"
}

func recordOf(fields string) string {
	if strings.HasPrefix(fields, "[{") {
		return `{"type":"record","name":"R","fields":` + fields + `}`
	}
	return fields
}

var avroRows = []avroRow{
	// What types become.
	{"null", `"null"`, "", nil, "null"},
	{"boolean", `"boolean"`, "", true, "true"},
	{"int", `"int"`, "", int32(-5), "-5"},
	{"long", `"long"`, "", int64(-9223372036854775808), "-9223372036854775808"},
	{"float", `"float"`, "", float32(0.1), "0.1"},
	{"double", `"double"`, "", 1e300, "1e+300"},
	{"bytes", `"bytes"`, "", []byte{255}, `"/w=="`},
	{"fixed", `{"type":"fixed","name":"F","size":2}`, "", []byte{1, 2}, `"AQI="`},
	{"array", `{"type":"array","items":"int"}`, "", []any{int32(1), int32(2)}, "[1,2]"},
	{"empty array", `{"type":"array","items":"int"}`, "", []any{}, "[]"},
	{"map", `{"type":"map","values":"int"}`, "", map[string]any{"a": int32(1)}, `{"a":1}`},
	{"enum", `{"type":"enum","name":"E","symbols":["A","B"]}`, "", "B", `"B"`},
	{"union", `["null","string",{"type":"array","items":"int"}]`, "", []any{int32(1)}, "[1]"},
	{"decimal bytes", `{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}`, "", big.NewRat(-1250, 100), "-12.50"},
	{"decimal zero", `{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}`, "", big.NewRat(0, 1), "0.00"},
	{"decimal negative power", `{"type":"bytes","logicalType":"decimal","precision":9,"scale":0}`, "", big.NewRat(-128, 1), "-128"},
	{"decimal fixed", `{"type":"fixed","name":"F","size":16,"logicalType":"decimal","precision":38,"scale":18}`, "", big.NewRat(-1, 8), "-0.125000000000000000"},
	{"decimal of scale 20", `{"type":"bytes","logicalType":"decimal","precision":38,"scale":20}`, "", big.NewRat(5, 4), "1.25000000000000000000"},
	{"timestamp-millis", `{"type":"long","logicalType":"timestamp-millis"}`, "", int64(1767225600123), `"2026-01-01T00:00:00.123Z"`},
	{"timestamp-micros before 1970", `{"type":"long","logicalType":"timestamp-micros"}`, "", int64(-1), `"1969-12-31T23:59:59.999999Z"`},
	{"timestamp-nanos", `{"type":"long","logicalType":"timestamp-nanos"}`, "", int64(1767225600123456789), `"2026-01-01T00:00:00.123456789Z"`},
	{"timestamp-nanos before 1970", `{"type":"long","logicalType":"timestamp-nanos"}`, "", int64(-1), `"1969-12-31T23:59:59.999999999Z"`},
	{"local timestamp", `{"type":"long","logicalType":"local-timestamp-millis"}`, "", int64(1767225600123), `"2026-01-01T00:00:00.123"`},
	{"date", `{"type":"int","logicalType":"date"}`, "", int32(20454), `"2026-01-01"`},
	{"time of day", `{"type":"int","logicalType":"time-millis"}`, "", int32(3723004), `"01:02:03.004"`},
	{"uuid string", `{"type":"string","logicalType":"uuid"}`, "", "0f8fad5b-d9cb-469f-a165-70867728950e", `"0f8fad5b-d9cb-469f-a165-70867728950e"`},
	{"uuid fixed", `{"type":"fixed","name":"U","size":16,"logicalType":"uuid"}`, "", []byte("0123456789abcdef"), `"30313233-3435-3637-3839-616263646566"`},
	{"a logical type that isn't known", `{"type":"long","logicalType":"fortnights"}`, "", int64(3), "3"},
	{
		"recursive", `{"type":"record","name":"N","namespace":"a.b","fields":[{"name":"v","type":"int"},{"name":"next","type":["null","N"]}]}`, "",
		map[string]any{"v": int32(1), "next": map[string]any{"v": int32(2), "next": nil}},
		`{"v":1,"next":{"v":2,"next":null}}`,
	},

	// Backward: a newer reader's schema, older data.
	{"a field was added with a default", `[{"name":"a","type":"int"}]`, `[{"name":"a","type":"int"},{"name":"b","type":"string","default":"x"}]`, map[string]any{"a": int32(1)}, `{"a":1,"b":"x"}`},
	{"a nullable field was added", `[{"name":"a","type":"int"}]`, `[{"name":"b","type":["null","string"],"default":null},{"name":"a","type":"int"}]`, map[string]any{"a": int32(1)}, `{"a":1,"b":null}`},
	{"a decimal was added with a default", `[{"name":"a","type":"int"}]`, `[{"name":"a","type":"int"},{"name":"d","type":{"type":"bytes","logicalType":"decimal","precision":9,"scale":2},"default":"\u0005"}]`, map[string]any{"a": int32(1)}, `{"a":1,"d":0.05}`},
	{"a record was added with a default", `[{"name":"a","type":"int"}]`, `[{"name":"a","type":"int"},{"name":"r","type":{"type":"record","name":"S","fields":[{"name":"x","type":"long"}]},"default":{"x":7}}]`, map[string]any{"a": int32(1)}, `{"a":1,"r":{"x":7}}`},
	{"a field was added without a default", `[{"name":"a","type":"int"}]`, `[{"name":"a","type":"int"},{"name":"b","type":"string"}]`, map[string]any{"a": int32(1)}, "!can't be read under the reader's schema"},
	{"a field was removed", `[{"name":"a","type":"int"},{"name":"b","type":"string"}]`, `[{"name":"a","type":"int"}]`, map[string]any{"a": int32(1), "b": "kept"}, `{"a":1,"b":"kept"}`},
	{"a field was renamed", `[{"name":"total","type":"int"}]`, `[{"name":"amount","aliases":["total"],"type":"int"}]`, map[string]any{"total": int32(1)}, `{"amount":1}`},
	{"fields changed places", `[{"name":"a","type":"int"},{"name":"b","type":"string"}]`, `[{"name":"b","type":"string"},{"name":"a","type":"int"}]`, map[string]any{"a": int32(1), "b": "x"}, `{"a":1,"b":"x"}`},
	{"a field became nullable", `[{"name":"a","type":"string"}]`, `[{"name":"a","type":["null","string"]}]`, map[string]any{"a": "x"}, `{"a":"x"}`},
	{"a nullable field became required", `[{"name":"a","type":["null","string"]}]`, `[{"name":"a","type":"string"}]`, map[string]any{"a": "x"}, "!can't be read"},
	{"int to long", `[{"name":"a","type":"int"}]`, `[{"name":"a","type":"long"}]`, map[string]any{"a": int32(-7)}, `{"a":-7}`},
	{"int to double keeps its digits", `[{"name":"a","type":"long"}]`, `[{"name":"a","type":"double"}]`, map[string]any{"a": int64(9007199254740993)}, `{"a":9007199254740993}`},
	{"float to double", `[{"name":"a","type":"float"}]`, `[{"name":"a","type":"double"}]`, map[string]any{"a": float32(0.1)}, `{"a":0.1}`},
	{"long to int", `[{"name":"a","type":"long"}]`, `[{"name":"a","type":"int"}]`, map[string]any{"a": int64(1)}, "!can't be read"},
	{"string to bytes", `[{"name":"a","type":"string"}]`, `[{"name":"a","type":"bytes"}]`, map[string]any{"a": "x"}, `{"a":"x"}`},
	{"bytes to string", `[{"name":"a","type":"bytes"}]`, `[{"name":"a","type":"string"}]`, map[string]any{"a": []byte("é")}, `{"a":"é"}`},
	{"bytes to string that is none", `[{"name":"a","type":"bytes"}]`, `[{"name":"a","type":"string"}]`, map[string]any{"a": []byte{0xff}}, "!a: \"�\": must be valid UTF-8"},
	{"another scale", `{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}`, `{"type":"bytes","logicalType":"decimal","precision":9,"scale":3}`, big.NewRat(5, 4), "!can't be read"},
	{"a long became a timestamp", `"long"`, `{"type":"long","logicalType":"timestamp-millis"}`, int64(1767225600123), `"2026-01-01T00:00:00.123Z"`},
	{"a symbol was removed", `{"type":"enum","name":"E","symbols":["A","B"]}`, `{"type":"enum","name":"E","symbols":["A"],"default":"A"}`, "B", `"A"`},
	{
		"a record within was changed", `[{"name":"r","type":["null",{"type":"record","name":"S","fields":[{"name":"x","type":"int"}]}]}]`,
		`[{"name":"r","type":["null",{"type":"record","name":"S","fields":[{"name":"y","aliases":["x"],"type":"long"},{"name":"z","type":"int","default":3}]}]}]`,
		map[string]any{"r": map[string]any{"x": int32(1)}},
		`{"r":{"y":1,"z":3}}`,
	},
	{"elements were promoted", `{"type":"array","items":"int"}`, `{"type":"array","items":["null","long"]}`, []any{int32(1)}, "[1]"},
	{
		"recursive, with a field added", `{"type":"record","name":"N","fields":[{"name":"v","type":"int"},{"name":"next","type":["null","N"]}]}`,
		`{"type":"record","name":"N","fields":[{"name":"v","type":"long"},{"name":"w","type":"int","default":9},{"name":"next","type":["null","N"]}]}`,
		map[string]any{"v": int32(1), "next": map[string]any{"v": int32(2), "next": nil}},
		`{"v":1,"next":{"v":2,"next":null,"w":9},"w":9}`,
	},

	// Forward: an older reader's schema, newer data.
	{"the writer added a field", `[{"name":"a","type":"int"},{"name":"new","type":["null","string"]}]`, `[{"name":"a","type":"int"}]`, map[string]any{"a": int32(1), "new": "y"}, `{"a":1,"new":"y"}`},
	{"the writer removed a field that has a default", `[{"name":"a","type":"int"}]`, `[{"name":"a","type":"int"},{"name":"old","type":"int","default":5}]`, map[string]any{"a": int32(1)}, `{"a":1,"old":5}`},
	{"the writer added a symbol", `{"type":"enum","name":"E","symbols":["A","NEW"]}`, `{"type":"enum","name":"E","symbols":["A"],"default":"A"}`, "NEW", `"A"`},
	{"the writer added a branch", `["null","int","string"]`, `["null","int"]`, int32(4), "!can't be read"},
}

// TestAvroEvolution is the table of what becomes of data when its schema changes.
func TestAvroEvolution(t *testing.T) {
	t.Parallel()
	for _, c := range avroRows {
		writer, err := ParseAvroSchema(recordOf(c.writer))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if c.reader != "" {
			reader, err := ParseAvroSchema(recordOf(c.reader))
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
				continue
			}
			if writer, err = writer.Under(reader); err != nil {
				if want, fails := strings.CutPrefix(c.want, "!"); !fails || !strings.Contains(err.Error(), want) || !errors.Is(err, ledger.ErrInvalid) {
					t.Errorf("%s: %v, want %s", c.name, err, c.want)
				}
				continue
			}
		}
		v, fault := writer.Value(avroData(t, recordOf(c.writer), c.value))
		got := string(v.AppendJSON(nil))
		if fault != nil {
			checkFault(t, fault)
			got = "!" + fault.Error()
		}
		if got != c.want && (fault == nil || !strings.HasPrefix(got, c.want)) {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// TestAvroAliasesOfTheWriter: a mapping that knows the old name of a field finds it under the new one.
func TestAvroAliasesOfTheWriter(t *testing.T) {
	t.Parallel()
	const schema = `[{"name":"key","type":"string"},{"name":"total_amount","aliases":["total"],"type":{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}},
		{"name":"when","type":{"type":"long","logicalType":"timestamp-millis"}},{"name":"extra","type":"int"}]`
	m, err := ParseMapping("m", []byte(mapHead+"id: key\namount: total\noccurred_at: when\ncurrency: {constant: EUR}\nrest: dimensions\n"))
	if err != nil {
		t.Fatal(err)
	}
	data := avroData(t, recordOf(schema), map[string]any{"key": "k", "total_amount": big.NewRat(-5, 4), "when": int64(0), "extra": int32(5)})
	items := message(t, MessageOptions{Format: Avro, Schemas: fakeRegistry{1: recordOf(schema)}, Mapping: m}, framed(1, data))
	if e := items[0].Event; items[0].Err != nil || e.Amount.String() != "-1.25" || string(e.Dimensions) != `{"extra":5}` {
		t.Errorf("%+v", items)
	}
}

// TestBadAvroEvents: what is Avro, and no event of ours.
func TestBadAvroEvents(t *testing.T) {
	t.Parallel()
	decimalType := `{"type":"bytes","logicalType":"decimal","precision":60,"scale":20}`
	big20, _ := new(big.Rat).SetString("1.00000000000000000001")
	for _, c := range []struct {
		field, schema string
		value         any
		name, rule    string
	}{
		{"amount", decimalType, big20, "amount", "must have at most 18 digits after the point"},
		{"amount", `"double"`, 12.5, "amount", ruleFloat},
		{"amount", `"long"`, int64(1250), "amount", ruleWholeMoney},
		{"amount", `"bytes"`, []byte("1"), "amount", ruleExact},
		{"amount", `"string"`, "1e5", "amount", "must be a plain decimal"},
		{"occurred_at", `{"type":"long","logicalType":"timestamp-nanos"}`, int64(1), "occurred_at", ruleMicros},
		{"occurred_at", `{"type":"long","logicalType":"local-timestamp-micros"}`, int64(1), "occurred_at", ruleLocalTime},
		{"occurred_at", `"long"`, int64(1), "occurred_at", ruleTimestamp},
		{"occurred_at", `{"type":"long","logicalType":"timestamp-millis"}`, int64(1) << 60, "occurred_at", ruleAvroRange},
		{"seqn", `"string"`, "7", "seqn", ruleWhole},
		{"seqn", `"long"`, int64(-1), "seqn", ruleWhole},
		{"id", `"int"`, int32(1), "id", ruleText},
		{"id", `"string"`, "a\x00", "id", ruleNUL},
		{"id", `"string"`, "\xff", "id", ruleUTF8},
		{"price", `"int"`, int32(1), "price", ruleUnknown},
		{"reason", `"string"`, "x", "reason", ruleUnknown},
		{"measures", `{"type":"map","values":"string"}`, map[string]any{"price": "1"}, "measures.price", "is not a measure"},
		{"measures", `{"type":"map","values":"string"}`, map[string]any{"amount": "1"}, "measures.amount", ruleOwn},
		{"measures", `{"type":"map","values":"double"}`, map[string]any{"tax": 1.5}, "measures.tax", ruleFloat},
		{"measures", `"int"`, int32(1), "measures", "must be a record"},
		{"state", `{"type":"map","values":"string"}`, map[string]any{}, "state", ruleNoState},
		{"dimensions", `{"type":"map","values":{"type":"array","items":"int"}}`, map[string]any{"a": []any{int32(1)}}, "dimensions.a", "must be a string, a number"},
		{"dimensions", `{"type":"map","values":"double"}`, map[string]any{"a": 1e300}, "dimensions.a", "must have at most 38 digits"},
	} {
		schema := recordOf(`[{"name":"` + c.field + `","type":` + c.schema + `}]`)
		data, err := avro.MustParse(schema).Encode(map[string]any{c.field: c.value})
		if err != nil {
			t.Errorf("%s: %v", c.field, err)
			continue
		}
		items := message(t, MessageOptions{Format: Avro, Schemas: fakeRegistry{1: schema}}, framed(1, data))
		checkFault(t, items[0].Err)
		if items[0].Err == nil || items[0].Err.Field != c.name || !strings.HasPrefix(items[0].Err.Rule, c.rule) {
			t.Errorf("%s of %v: %v, want %s: %s", c.field, c.value, items[0].Err, c.name, c.rule)
		}
	}
}

// TestBadAvro: what is no Avro, or not in the wire format; and a registry that has no answer.
func TestBadAvro(t *testing.T) {
	t.Parallel()
	schema := recordOf(`[{"name":"a","type":"string"},{"name":"l","type":{"type":"array","items":"null"}},{"name":"m","type":{"type":"map","values":"int"}},{"name":"b","type":["null","boolean"]}]`)
	nested := `{"type":"record","name":"N","fields":[{"name":"next","type":["null","N"]}]}`
	registry := fakeRegistry{1: schema, 2: `{"type":`, 3: "down", 4: nested, 5: `{"type":"bytes","logicalType":"decimal","precision":200,"scale":2}`}
	for _, c := range []struct{ value, field, rule string }{
		{"", "event", ruleWireFormat},
		{"\x00\x00\x00\x00", "event", ruleWireFormat},
		{"\x01\x00\x00\x00\x01x", "event", ruleWireFormat},
		{framed(9, nil), "schema", ruleNoID},
		{framed(2, nil), "schema", "must be a schema of Avro"},
		{framed(1, nil), "a", ruleAvroEnds},
		{framed(1, []byte{4, 'x'}), "a", ruleAvroEnds},
		{framed(1, []byte{1}), "a", ruleAvroLength},
		{framed(1, []byte("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")), "a", ruleAvroVarint},
		{framed(1, []byte("\x02x\xfe\xff\xff\xff\x0f")), "l", ruleAvroMany},
		{framed(1, []byte("\x02x\x80\x80\x08\x80\x80\x08")), "l", ruleAvroMany},
		{framed(1, []byte("\x02x\x00\x04\x02a\x02\x02a\x02\x00\x00")), "m.a", ruleAvroKeys},
		{framed(1, []byte("\x02x\x00\x00\x04")), "b", ruleAvroBranch},
		{framed(1, []byte("\x02x\x00\x00\x02\x02")), "b", ruleAvroBool},
		{framed(1, []byte("\x02x\x00\x00\x00\x00")), "event", ruleAvroRest},
		{framed(4, []byte(strings.Repeat("\x02", 40))), "next.next", ruleAvroDeep},
		{framed(5, []byte{0}), "event", ruleNumberNone},
		{framed(5, append([]byte{140, 1}, make([]byte, 70)...)), "event", ruleNumberSize},
		{framed(1, make([]byte, ledger.MaxEvent+1)), "event", ruleTooLong},
	} {
		items := message(t, MessageOptions{Format: Avro, Schemas: registry}, c.value)
		checkFault(t, items[0].Err)
		if got := items[0].Err; got == nil || !strings.HasPrefix(got.Field, c.field) || !strings.HasPrefix(got.Rule, c.rule) {
			t.Errorf("%q: %v, want %s: %s", c.value[:min(len(c.value), 40)], got, c.field, c.rule)
		}
	}
	d, err := NewMessageDecoder(MessageOptions{Schemas: registry})
	if err != nil {
		t.Fatal(err)
	}
	if items, err := d.Decode(context.Background(), Message{Value: []byte(framed(3, nil))}); !errors.Is(err, ledger.ErrBusy) || items != nil {
		t.Errorf("while the registry is down: %v, %v", items, err)
	}
	if _, err := NewMessageDecoder(MessageOptions{Schemas: registry, Reader: "{"}); !errors.Is(err, ledger.ErrInvalid) {
		t.Errorf("a reader's schema that is none: %v", err)
	}
	if _, err := NewMessageDecoder(MessageOptions{Format: Avro}); !errors.Is(err, ledger.ErrInvalid) {
		t.Errorf("Avro without a registry: %v", err)
	}
}
