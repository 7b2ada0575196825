//go:build linux || darwin

package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/twmb/avro"
	"github.com/twmb/avro/ocf"
)

const shopMapping = `
id: {template: "{number}/{version}"}
source: {constant: till}
stream: number
seqn: version
type: {from: kind, table: {S: sold, R: returned}}
account: {from: customer, default: walk-in}
occurred_at: {from: at, time: unix_ms}
currency: {from: cur, case: upper}
amount: {from: cents, units: minor}
dimensions: [shop]
payload: [note]
`

// avroOrders is a file of Avro objects that has an upstream's own fields.
func avroOrders(t *testing.T) string {
	t.Helper()
	schema := avro.MustParse(`{"type":"record","name":"Order","fields":[{"name":"number","type":"string"},{"name":"version","type":"int"},{"name":"kind","type":{"type":"enum","name":"K","symbols":["S","R","X"]}},
		{"name":"customer","type":["null","string"]},{"name":"at","type":"long"},{"name":"cur","type":"string"},{"name":"cents","type":"long"},{"name":"shop","type":"string"},{"name":"note","type":["null","string"]}]}`)
	var b bytes.Buffer
	w, err := ocf.NewWriter(&b, schema, ocf.WithCodec(ocf.SnappyCodec()))
	if err != nil {
		t.Fatal(err)
	}
	for i, kind := range []string{"S", "R", "X"} {
		err := w.Encode(map[string]any{
			"number": "n1", "version": int32(i), "kind": kind, "customer": nil, "at": int64(1767225600000), "cur": "jpy", "cents": int64(1250 * i), "shop": "north", "note": "x",
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestMapping: a file that has an upstream's own fields is recorded by a mapping, whatever its format.
func TestMapping(t *testing.T) {
	t.Parallel()
	p := newProgram(t)
	p.file("map.yaml", shopMapping)
	p.file("orders.avro", avroOrders(t))
	r := p.run("ingest", "--mapping", "map.yaml", "orders.avro", "--output", "json")
	var sum summary
	document(t, r.stdout, &sum)
	if r.code != exitFailed || sum.Recorded != 2 || sum.Invalid != 1 || !strings.Contains(r.stderr, `orders.avro:3: type: "X": is not in the table of the mapping; it is mapped from kind`) {
		t.Errorf("exit code %d, %+v\n%s", r.code, sum, r.stderr)
	}
	var event struct {
		Account, Amount, Currency string
		Occurred                  string `json:"occurred_at"`
		Dimensions, Payload       map[string]string
	}
	p.into(&event, "events", "show", "till", "n1/1")
	if event.Account != "walk-in" || event.Amount != "1250" || event.Currency != "JPY" || event.Dimensions["shop"] != "north" || event.Payload["note"] != "x" || !strings.HasPrefix(event.Occurred, "2026-01-01T00:00:00") {
		t.Errorf("%+v", event)
	}
	p.file("orders.csv", "number,version,kind,customer,at,cur,cents,shop,note\nn1,1,R,,1767225600000,jpy,1250,north,x\n")
	p.file("orders.ndjson", `{"number":"n1","version":1,"kind":"R","at":1767225600000,"cur":"JPY","cents":1250,"shop":"north","note":"x"}`)
	p.file("plain", avroOrders(t)) // known by its content
	p.ask(&sum, "ingest", "--mapping", "map.yaml", "orders.csv", "orders.ndjson")
	if sum.Duplicate != 2 || sum.Recorded != 0 {
		t.Errorf("the same in CSV and NDJSON: %+v", sum)
	}
	r = p.run("ingest", "--mapping", "map.yaml", "plain", "--output", "json")
	if document(t, r.stdout, &sum); sum.Duplicate != 2 {
		t.Errorf("a file known by its content: %+v", sum)
	}
	p.file("bad.yaml", shopMapping+"rest: drop\n")
	if r := p.run("ingest", "--mapping", "bad.yaml", "orders.csv"); r.code != exitUsage || !strings.Contains(r.stderr, `bad.yaml:13: rest: "drop": must be refuse, dimensions or payload`) {
		t.Errorf("a bad mapping: %+v", r)
	}
	if r := p.run("ingest", "--mapping", "map.yaml", "--payload-columns", "note", "orders.csv"); r.code != exitUsage {
		t.Errorf("a mapping and payload columns: %+v", r)
	}
	if r := p.run("ingest", "--mapping", "none.yaml", "orders.csv"); r.code == exitDone {
		t.Errorf("no mapping: %+v", r)
	}
	p.file("ce.json", `[{"specversion":"1.0","id":"c1","source":"till","type":"sold","time":"2026-01-01T00:00:00Z","subject":"s","data":{"seqn":1,"account":"a","currency":"EUR","amount":"1"}}]`)
	if p.ask(&sum, "ingest", "--format", "cloudevents", "ce.json"); sum.Recorded != 1 {
		t.Errorf("CloudEvents: %+v", sum)
	}
}
