package wire

import (
	"bytes"
	"context"
	"errors"
	"math/big"
	"reflect"
	"strings"
	"testing"

	"github.com/twmb/avro"

	"deltaledger/ledger"
)

// checkItems holds what a decoder of any format gives to the rules of the decoder of JSON.
func checkItems(t *testing.T, items []Item) {
	t.Helper()
	for _, i := range items {
		checkFault(t, i.Err)
		if i.Err == nil {
			checkEvent(t, i.Event)
		} else if !reflect.DeepEqual(i.Event, ledger.Event{ID: i.Event.ID}) {
			t.Fatalf("%v, but also %+v", i.Err, i.Event)
		}
	}
}

// FuzzCloudEvents: in every mode nothing panics, a fault can be shown, and an event is one that JSON could have said.
func FuzzCloudEvents(f *testing.F) {
	f.Add([]byte(ceFull), "region")
	f.Add([]byte("["+ceFull+"]"), "id")
	f.Add([]byte(ceData), "time")
	f.Add([]byte(`{"specversion":"1.0","id":"e","source":"s","type":"t","sequence":"7","sequencetype":"Integer","data_base64":"e30=","priority":1e5}`), "")
	f.Fuzz(func(t *testing.T, raw []byte, extra string) {
		if raw == nil {
			raw = []byte{}
		}
		d, err := NewMessageDecoder(MessageOptions{Measures: declared.Measures})
		if err != nil {
			t.Fatal(err)
		}
		binary := []Header{{"ce_specversion", []byte("1.0")}, {"ce_id", []byte("e")}, {"ce_source", []byte("s")}, {"ce_type", []byte("t")}, {"ce_" + extra, []byte(extra)}, {"Ce-" + extra, raw}}
		for _, headers := range [][]Header{{{"content-type", []byte(mediaCloudEvents)}}, {{"content-type", []byte(mediaCloudEventsBatch)}}, binary, {{"content-type", []byte(extra)}}} {
			items, err := d.Decode(context.Background(), Message{Value: raw, Headers: headers})
			if err != nil {
				t.Fatal(err)
			}
			checkItems(t, items)
		}
	})
}

// keptSchemas is a registry whose schemas were read before.
type keptSchemas map[int]*AvroSchema

func (k keptSchemas) Schema(_ context.Context, id int) (*AvroSchema, error) { return k[id], nil }

// FuzzAvro decodes any bytes under a schema that has every type, and under one that is read as another.
func FuzzAvro(f *testing.F) {
	const renamed = `{"type":"record","name":"R","fields":[{"name":"key","type":"string"},{"name":"total","type":{"type":"bytes","logicalType":"decimal","precision":38,"scale":20}},
		{"name":"e","type":{"type":"enum","name":"E","symbols":["A","B"]}},{"name":"many","type":{"type":"array","items":["null","long","R"]}}]}`
	const reader = `{"type":"record","name":"R","fields":[{"name":"id","aliases":["key"],"type":"string"},{"name":"total","type":{"type":"bytes","logicalType":"decimal","precision":38,"scale":20}},
		{"name":"e","type":{"type":"enum","name":"E","symbols":["A"],"default":"A"}},{"name":"seqn","type":"long","default":5}]}`
	f.Add(avroData(f, avroNative, nativeRecord()))
	f.Add(avroData(f, renamed, map[string]any{"key": "k", "total": big.NewRat(-5, 4), "e": "B", "many": []any{nil, int64(5)}}))
	registry := keptSchemas{}
	for id, text := range map[int]string{1: avroNative, 2: renamed} {
		schema, err := ParseAvroSchema(text)
		if err != nil {
			f.Fatal(err)
		}
		registry[id] = schema
	}
	m, err := ParseMapping("m", []byte(mapHead+"id: {from: [id, key]}\noccurred_at: occurred_at\ncurrency: {constant: EUR}\namount: {from: [total, amount]}\nrest: payload\n"))
	if err != nil {
		f.Fatal(err)
	}
	var decoders []MessageDecoder
	for _, o := range []MessageOptions{{}, {Mapping: m}, {Reader: reader}, {Reader: reader, Mapping: m}} {
		o.Format, o.Schemas, o.Measures = Avro, registry, declared.Measures
		d, err := NewMessageDecoder(o)
		if err != nil {
			f.Fatal(err)
		}
		decoders = append(decoders, d)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for id := range uint32(2) {
			for _, d := range decoders {
				items, err := d.Decode(context.Background(), Message{Value: []byte(framed(id+1, data))})
				if err != nil {
					t.Fatal(err)
				}
				checkItems(t, items)
			}
		}
	})
}

// FuzzAvroSchema: no schema breaks its reader, and a value under it can be read or is refused.
func FuzzAvroSchema(f *testing.F) {
	for _, c := range avroRows {
		data, err := avro.MustParse(recordOf(c.writer)).Encode(c.value)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(recordOf(c.writer), recordOf(c.reader), data)
	}
	f.Fuzz(func(t *testing.T, writer, reader string, data []byte) {
		w, err := ParseAvroSchema(writer)
		if err != nil {
			if !errors.Is(err, ledger.ErrInvalid) {
				t.Fatal(err)
			}
			return
		}
		for range 2 {
			v, fault := w.Value(data)
			checkFault(t, fault)
			if fault == nil {
				_ = v.AppendJSON(nil)
			}
			r, err := ParseAvroSchema(reader)
			if err != nil {
				return
			}
			if w, err = w.Under(r); err != nil {
				return
			}
		}
	})
}

// FuzzAvroFile: no file makes Decode panic, and pieces don't matter.
func FuzzAvroFile(f *testing.F) {
	f.Add(avroFile(f, 5, 2, false, nil), uint8(3))
	f.Fuzz(func(t *testing.T, file []byte, size uint8) {
		whole, err1 := collect(bytes.NewReader(file), Avro, Options{})
		parts, err2 := collect(&pieces{text: string(file), n: int(size) + 1}, Avro, Options{BatchSize: int(size%5) + 1})
		if !reflect.DeepEqual(whole, parts) || (err1 == nil) != (err2 == nil) || err1 != nil && !errors.Is(err1, ledger.ErrInvalid) {
			t.Fatalf("%s, %v, in pieces: %s, %v", summary(whole), err1, summary(parts), err2)
		}
		checkItems(t, whole)
	})
}

// FuzzParquet: a broken file is an error, and never a panic.
func FuzzParquet(f *testing.F) {
	f.Add(parquetFile(f, nativeColumns(), []map[string]any{nativeRow(1), nativeRow(2)}))
	f.Fuzz(func(t *testing.T, file []byte) {
		items, err := decodeParquet(t, file, declared)
		if err != nil && !errors.Is(err, ledger.ErrInvalid) {
			t.Fatal(err)
		}
		checkItems(t, items)
	})
}

// FuzzMapping: a mapping is read or refused with its reason, and what it makes of a document is an event or a fault.
func FuzzMapping(f *testing.F) {
	f.Add(mapFields+"amount: {from: n, units: minor, sign: {from: k, plus: [a], minus: [b]}}\nrest: dimensions\n", `{"order":{"id":"o"},"at":1,"cur":"usd","n":5,"k":"b"}`)
	f.Add(mapFields+"stream: {template: '{a}/{b.0}'}\npayload: [b]\nignore: [c]\nrest: payload\n", `{"order":{"id":"o"},"at":1,"cur":"usd","a":1,"b":[2,{"c":3}],"c":null}`)
	f.Add(mapHead+"id: a\ncurrency: {from: b, table: {x: EUR}, otherwise: keep}\noccurred_at: {from: c, time: 'YYYY-MM-DD hh:mm:ss.f', zone: Europe/Paris, ambiguous: later}\n", `{"a":"1","b":"x","c":"2026-10-25 02:30:00"}`)
	f.Fuzz(func(t *testing.T, mapping, doc string) {
		m, err := ParseMapping("m.yaml", []byte(mapping))
		if err != nil {
			if !errors.Is(err, ledger.ErrInvalid) || !strings.HasPrefix(err.Error(), "m.yaml:") {
				t.Fatal(err)
			}
			return
		}
		v, fault := ParseJSON([]byte(doc))
		if checkFault(t, fault); fault != nil {
			return
		}
		first, bad := m.Event(v, Value{}, declared.Measures)
		again, _ := m.Event(v, Value{}, declared.Measures)
		if !reflect.DeepEqual(first, again) {
			t.Fatalf("%+v and %+v", first, again)
		}
		checkItems(t, []Item{{Event: first, Err: bad}})
	})
}
