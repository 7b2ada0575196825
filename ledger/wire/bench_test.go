package wire

import (
	"bytes"
	"context"
	"fmt"
	"math/big"
	"testing"
	"time"
)

// benchInput is n events of about 300 bytes in NDJSON, and the same in CSV.
func benchInput(n int) (ndjson, table []byte) {
	var a, b bytes.Buffer
	b.WriteString("id,source,stream,seqn,type,account,occurred_at,currency,amount,quantity,country,stock_code,campaign\n")
	for i := range n {
		fmt.Fprintf(&a, `{"id":"%08d-7f3a-4b1c","source":"online-retail","stream":"order-%d","seqn":%d,"type":"line.sold",`+
			`"account":"cust-%d","occurred_at":"2026-01-31T23:59:59.123456-05:00","currency":"GBP","amount":"%d.34","quantity":"6",`+
			`"dimensions":{"campaign":"winter","country":"United Kingdom","stock_code":"%d"}}`+"\n", i, i/7, i%7, i%5000, i%900, i%4000)
		fmt.Fprintf(&b, "%08d-7f3a-4b1c,online-retail,order-%d,%d,line.sold,cust-%d,2026-01-31T23:59:59.123456-05:00,GBP,%d.34,6,"+
			"United Kingdom,%d,winter\n", i, i/7, i%7, i%5000, i%900, i%4000)
	}
	return a.Bytes(), b.Bytes()
}

func benchmarkDecode(b *testing.B, f Format, input []byte, events, workers int) {
	b.SetBytes(int64(len(input)))
	b.ReportAllocs()
	for b.Loop() {
		seen := 0
		err := Decode(context.Background(), bytes.NewReader(input), f, Options{Workers: workers}, func(batch Batch) error {
			for i := range batch.Items {
				if batch.Items[i].Err != nil {
					return batch.Items[i].Err
				}
			}
			seen += len(batch.Items)
			return nil
		})
		if err != nil || seen != events {
			b.Fatalf("%d events, %v", seen, err)
		}
	}
	b.ReportMetric(float64(events)*float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

func BenchmarkDecode(b *testing.B) {
	const events = 100_000
	ndjson, table := benchInput(events)
	array := append(append([]byte("["), bytes.ReplaceAll(bytes.TrimSpace(ndjson), []byte("\n"), []byte(",\n"))...), ']')
	for _, c := range []struct {
		name  string
		f     Format
		input []byte
	}{{"ndjson", NDJSON, ndjson}, {"array", JSON, array}, {"csv", CSV, table}} {
		b.Run(c.name+"/workers=1", func(b *testing.B) { benchmarkDecode(b, c.f, c.input, events, 1) })
		b.Run(c.name+"/workers=all", func(b *testing.B) { benchmarkDecode(b, c.f, c.input, events, 0) })
	}
}

// BenchmarkDecodeOne is what an event costs one core without reading and handing on.
func BenchmarkDecodeOne(b *testing.B) {
	ndjson, _ := benchInput(1)
	line := bytes.TrimSpace(ndjson)
	b.SetBytes(int64(len(line)))
	b.ReportAllocs()
	for b.Loop() {
		if _, bad := DecodeOne(line, Options{}); bad != nil {
			b.Fatal(bad)
		}
	}
}

// BenchmarkMessage is what a message costs one core in each format; they hold the same event.
func BenchmarkMessage(b *testing.B) {
	const native = `{"id":"00000001-7f3a-4b1c","source":"online-retail","stream":"order-1","seqn":1,"type":"line.sold","account":"cust-1",` +
		`"occurred_at":"2026-01-31T23:59:59.123456Z","currency":"GBP","amount":"12.34","quantity":"6","dimensions":{"campaign":"winter","country":"United Kingdom","stock_code":"17"}}`
	const data = `{"seqn":1,"account":"cust-1","currency":"GBP","amount":"12.34","quantity":"6","dimensions":{"campaign":"winter","country":"United Kingdom","stock_code":"17"}}`
	const structured = `{"specversion":"1.0","id":"00000001-7f3a-4b1c","source":"online-retail","type":"line.sold","subject":"order-1","time":"2026-01-31T23:59:59.123456Z","data":` + data + `}`
	const schema = `{"type":"record","name":"E","fields":[{"name":"id","type":"string"},{"name":"source","type":"string"},{"name":"stream","type":"string"},{"name":"seqn","type":"long"},
		{"name":"type","type":"string"},{"name":"account","type":"string"},{"name":"occurred_at","type":{"type":"long","logicalType":"timestamp-micros"}},{"name":"currency","type":"string"},
		{"name":"amount","type":{"type":"bytes","logicalType":"decimal","precision":18,"scale":2}},{"name":"quantity","type":"int"},{"name":"dimensions","type":{"type":"map","values":"string"}}]}`
	parsed, err := ParseAvroSchema(schema)
	if err != nil {
		b.Fatal(err)
	}
	packed := avroData(b, schema, map[string]any{
		"id": "00000001-7f3a-4b1c", "source": "online-retail", "stream": "order-1", "seqn": int64(1), "type": "line.sold", "account": "cust-1",
		"occurred_at": time.Date(2026, 1, 31, 23, 59, 59, 123456000, time.UTC), "currency": "GBP", "amount": big.NewRat(1234, 100), "quantity": int32(6),
		"dimensions": map[string]any{"campaign": "winter", "country": "United Kingdom", "stock_code": "17"},
	})
	mapping, err := ParseMapping("m", []byte("id: id\nsource: source\nstream: stream\nseqn: seqn\ntype: type\naccount: account\noccurred_at: occurred_at\ncurrency: currency\namount: amount\nquantity: quantity\n"+
		"dimensions: [dimensions.campaign, dimensions.country, dimensions.stock_code]\n"))
	if err != nil {
		b.Fatal(err)
	}
	attributes := []Header{
		{"ce_specversion", []byte("1.0")},
		{"ce_id", []byte("00000001-7f3a-4b1c")},
		{"ce_source", []byte("online-retail")},
		{"ce_type", []byte("line.sold")},
		{"ce_subject", []byte("order-1")},
		{"ce_time", []byte("2026-01-31T23:59:59.123456Z")},
		{"content-type", []byte("application/json")},
	}
	for _, c := range []struct {
		name string
		o    MessageOptions
		m    Message
	}{
		{"json", MessageOptions{Format: JSON}, Message{Value: []byte(native)}},
		{"cloudevents", MessageOptions{Format: CloudEvents}, Message{Value: []byte(structured)}},
		{"cloudevents-binary", MessageOptions{}, Message{Value: []byte(data), Headers: attributes}},
		{"avro", MessageOptions{Format: Avro, Schemas: keptSchemas{1: parsed}}, Message{Value: []byte(framed(1, packed))}},
		{"json-mapped", MessageOptions{Format: JSON, Mapping: mapping}, Message{Value: []byte(native)}},
		{"avro-mapped", MessageOptions{Format: Avro, Schemas: keptSchemas{1: parsed}, Mapping: mapping}, Message{Value: []byte(framed(1, packed))}},
	} {
		d, err := NewMessageDecoder(c.o)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				items, err := d.Decode(context.Background(), c.m)
				if err != nil || items[0].Err != nil || items[0].Event.Amount.String() != "12.34" {
					b.Fatal(items, err)
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}
