//go:build linux || darwin

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"deltaledger/export/archive"
	"deltaledger/ledger"
	"deltaledger/ledger/pg/embedded"
	"deltaledger/migrations/pgtest"
)

// A month of long ago is archived, detached, read, verified and attached again, all from outside.
func TestArchive(t *testing.T) {
	t.Parallel()
	p := newProgram(t)
	p.must("migrate")
	super := p.connect(embedded.Superuser)
	now := time.Now().UTC()
	old := time.Date(now.Year(), now.Month()-5, 1, 0, 0, 0, 0, time.UTC)
	month, next := old.Format("2006-01"), old.AddDate(0, 1, 0)
	pgtest.At(t, super, old.AddDate(0, 0, 3))
	p.must("sources", "declare", "shop", "--numbering", "stream")
	lines := ""
	for i := range 20 {
		lines += fmt.Sprintf(`{"id":"e%d","source":"shop","stream":"o%d","seqn":%d,"type":"sold","account":"acme","occurred_at":"%s","currency":"EUR","amount":"%d.25","payload":{"note":"private"}}`+"\n",
			i, i%3, i, old.Add(time.Duration(i)*time.Hour).Format(time.RFC3339), i)
	}
	p.must("ingest", p.file("old.ndjson", lines))
	pgtest.At(t, super, next.AddDate(0, 0, 10))
	p.must("ingest", p.file("newer.ndjson", strings.NewReplacer(`"id":"e`, `"id":"f`, `"stream":"o`, `"stream":"n`).Replace(lines)))
	pgtest.At(t, super, now)

	before := time.Now().UTC().Format("2006-01")
	dir := filepath.Join(p.dir, "copies")
	r := p.run("archive", "--before", before, "--to", dir, "--detach")
	if r.code != exitFailed || !strings.Contains(r.stderr, "run deltaledger seal") {
		t.Errorf("%+v", r)
	}
	p.must("seal")
	r = p.run("archive", "--before", before, "--detach", "--dry-run")
	for _, want := range []string{"aren't closed", "no frozen file"} {
		if r.code != exitDone || !strings.Contains(r.stderr, want) {
			t.Errorf("%s: %+v", want, r)
		}
	}
	p.must("close", "--through", now.AddDate(0, 0, -5).Format(time.DateOnly))
	p.must("seal")
	var done []archived
	p.ask(&done, "archive", "--before", next.Format("2006-01"), "--to", dir, "--detach")
	if len(done) != 1 || done[0].Rows != 20 || !done[0].Detached || !done[0].Written {
		t.Fatalf("%+v", done)
	}
	if raw, err := os.ReadFile(filepath.Join(dir, "events-"+month, "manifest.json")); err != nil || !strings.Contains(string(raw), "Not in it: private content") {
		t.Errorf("%s, %v", raw, err)
	}
	var copies []archive.Copy
	p.into(&copies, "archive", "list")
	if len(copies) != 1 || !copies[0].Detached || copies[0].By != maker {
		t.Errorf("%+v", copies)
	}
	for _, what := range []string{month, dir} {
		p.must("archive", "verify", what)
	}
	r = p.run("events", "list", "--output", "csv")
	if r.code != exitDone || !strings.Contains(r.stderr, "not covered: months that were detached: "+month+" (20 events") || strings.Count(r.stdout, "\n") != 21 {
		t.Errorf("%+v", r)
	}
	var page ledger.Page
	p.ask(&page, "events", "list")
	if len(page.NotCovered) != 1 {
		t.Errorf("%+v", page.NotCovered)
	}
	if r := p.run("aggregate", "--measure", "amount", "--from", next.Format(time.DateOnly)); r.code != exitDone || strings.Contains(r.stderr, "not covered") {
		t.Errorf("%+v", r)
	}
	var shown struct{ Payload json.RawMessage }
	p.ask(&shown, "events", "show", "shop", "e3")
	if !strings.Contains(string(shown.Payload), "private") {
		t.Errorf("%s", shown.Payload)
	}
	p.must("proof", "shop", "e3", "--file", filepath.Join(p.dir, "e3.proof"))
	p.must("verify")
	var again summary
	p.ask(&again, "ingest", "old.ndjson")
	if again.Duplicate != 20 {
		t.Errorf("%+v", again)
	}
	p.must("archive", "attach", month)
	if r := p.run("events", "list", "--output", "csv"); strings.Contains(r.stderr, "not covered") {
		t.Errorf("%+v", r)
	}
	p.must("archive", "--before", next.Format("2006-01"), "--detach")
	p.must("verify")
}
