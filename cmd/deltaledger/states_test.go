package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const statesFile = `{"id":"b1","source":"bookings","stream":"trip-7","seqn":1,"type":"booked","account":"acme","occurred_at":"2026-01-02T08:00:00Z","currency":"EUR","state":{"amount":"100.00","quantity":"2"}}
{"id":"b3","source":"bookings","stream":"trip-7","seqn":3,"type":"changed","account":"globex","occurred_at":"2026-01-06T08:00:00Z","currency":"EUR","state":{"amount":"70.00"}}
{"id":"b2","source":"bookings","stream":"trip-7","seqn":2,"type":"changed","account":"acme","occurred_at":"2026-01-04T08:00:00Z","currency":"EUR","state":{"amount":"90.00"}}
`

// A source that sends states, from its declaration to the month's file.
func TestStatesFromOutside(t *testing.T) {
	t.Parallel()
	p := newProgram(t)
	p.must("migrate")
	file := p.file("bookings.ndjson", statesFile)
	if r := p.run("ingest", file); r.code == 0 || !strings.Contains(r.stderr, "deltaledger sources declare bookings --states") {
		t.Errorf("undeclared: %+v", r)
	}
	p.must("sources", "declare", "bookings", "--states", "--by", "test")
	p.must("ingest", file)
	p.must("ingest", file)
	shown := p.must("stream", "bookings", "trip-7")
	for _, want := range []string{
		"state: amount 90", "reversal: b3 moved from acme to globex", "reorder: b2 came late, and b3 had taken its change already", "3 events and 2 rows made because of them, total 2 quantity, 70 EUR",
	} {
		if !strings.Contains(shown, want) {
			t.Errorf("%q isn't in\n%s", want, shown)
		}
	}
	var sums []map[string]any
	p.ask(&sums, "aggregate", "--by", "account", "--measure", "amount")
	if len(sums) != 2 || sums[0]["amount"] != "0" || fmt.Sprint(sums[0]["count"]) != "2" || sums[1]["amount"] != "70" || fmt.Sprint(sums[1]["count"]) != "1" {
		t.Errorf("%+v", sums)
	}
	if listed := p.must("events", "list", "--where", "kind=reversal"); !strings.Contains(listed, "-100") || strings.Contains(listed, "b1") {
		t.Errorf("%s", listed)
	}
	dir := t.TempDir()
	p.must("export", "month", "2026-01", "--open", "--out", dir)
	files, err := filepath.Glob(filepath.Join(dir, "*.csv"))
	if err != nil || len(files) != 1 {
		t.Fatalf("%v, %v", files, err)
	}
	month, err := os.ReadFile(files[0])
	if err != nil || strings.Count(string(month), ",reorder,") != 1 || strings.Count(string(month), ",reversal,") != 1 {
		t.Errorf("%s, %v", month, err)
	}
	if r := p.run("sources", "declare", "bookings", "--by", "test"); r.code == 0 {
		t.Errorf("states withdrawn: %+v", r)
	}
}
