//go:build linux || darwin

package main

import (
	"encoding/csv"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// From an event to its lines and back, and onto paper.
func TestTraceAndPrint(t *testing.T) {
	t.Parallel()
	p := newProgram(t)
	p.must("terms", "set", "--file", p.file("terms.json", `{"charges":[{"name":"sales","measure":"amount","model":"sum"},{"name":"fee","model":"per_event","unit_amount":"0.10"}]}`))
	p.must("ingest", p.file("events.ndjson", `{"id":"1","source":"shop","stream":"o1","seqn":1,"type":"sold","account":"acme","occurred_at":"2025-01-05T10:00:00Z","currency":"EUR","amount":"120.00","payload":{"note":"secret"}}
{"id":"2","source":"shop","stream":"o1","seqn":2,"type":"sold","account":"acme","occurred_at":"2025-01-06T10:00:00Z","currency":"EUR","amount":"19.90"}
`))
	if r := p.run("events", "trace", "shop", "1"); r.code != exitDone || !strings.Contains(r.stdout, "closable") || !strings.Contains(r.stdout, "its cycle can be closed, and wasn't yet") {
		t.Errorf("before the close: %+v", r)
	}
	p.must("close", "--through", "2025-01-31")
	var trace struct {
		Rows []struct {
			Billed []struct {
				Number string
				Lines  []struct{ Charge, Amount string }
			}
		}
	}
	p.into(&trace, "events", "trace", "shop", "1")
	if len(trace.Rows) != 1 || len(trace.Rows[0].Billed[0].Lines) != 2 || trace.Rows[0].Billed[0].Lines[0].Amount != "139.90" {
		t.Fatalf("%+v", trace)
	}
	number := trace.Rows[0].Billed[0].Number
	rows, err := csv.NewReader(strings.NewReader(p.must("events", "trace", "shop", "1", "--output", "csv"))).ReadAll()
	if err != nil || len(rows) != 3 || rows[2][5] != number || rows[2][12] != "fee" {
		t.Errorf("%v %q", err, rows)
	}
	if out := p.must("invoices", "events", number, "--line", "2", "--ndjson", "--limit", "1"); strings.Count(out, "\n") != 1 || !strings.Contains(out, `"lines":[1,2]`) || strings.Contains(out, "secret") {
		t.Errorf("%s", out)
	}
	if out := p.must("invoices", "events", number); !strings.Contains(out, "2 events") || !strings.Contains(out, "1 2\n") {
		t.Errorf("%s", out)
	}
	if r := p.run("invoices", "events", number, "--line", "3"); r.code != exitFailed || !strings.Contains(r.stderr, "not found") {
		t.Errorf("a line that there isn't: %+v", r)
	}

	p.file("letterhead.json", `{"from":["Marketplace <Ltd>"],"to":["Acme"],"notes":["Payable within 14 days"]}`)
	p.must("invoices", "print", number, "--letterhead", "letterhead.json", "--paper", "letter", "--to", "invoice.html")
	html, err := os.ReadFile(filepath.Join(p.dir, "invoice.html"))
	if err != nil || !strings.Contains(string(html), "Marketplace &lt;Ltd&gt;") || !strings.Contains(string(html), "EUR 140.10") || !strings.Contains(string(html), "size: letter") {
		t.Errorf("%v\n%s", err, html)
	}
	var shown struct{ Total string }
	p.into(&shown, "invoices", "print", number)
	if shown.Total != "140.10" {
		t.Errorf("%+v", shown)
	}
	var note struct{ Number string }
	p.ask(&note, "invoices", "credit", number, "--line", "1=9.90", "--reason", "damaged")
	if out := p.must("credit-notes", "print", note.Number); !strings.Contains(out, "EUR 9.90") || !strings.Contains(out, "damaged") {
		t.Errorf("%s", out)
	}
	p.must("credit-notes", "print", note.Number, "--output", "csv")
	p.must("credit-notes", "print", note.Number, "--output", "json")
	for _, wrong := range [][]string{{"--paper", "a3"}, {"--letterhead", "events.ndjson"}} {
		if r := p.run(append([]string{"invoices", "print", number}, wrong...)...); r.code != exitUsage {
			t.Errorf("%v: %+v", wrong, r)
		}
	}
	if r := p.run("invoices", "print", number, "--to", "missing/invoice.html"); r.code != exitFailed {
		t.Errorf("into a folder that there isn't: %+v", r)
	}
}
