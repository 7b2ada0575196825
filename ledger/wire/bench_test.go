package wire

import (
	"bytes"
	"context"
	"fmt"
	"testing"
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
