//go:build linux || darwin

package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// badLines are one of every kind, each with what must be said about it.
var badLines = []struct{ name, line, field string }{
	{"bad decimal", `{"id":"b1","source":"shop","stream":"o","seqn":1,"type":"sold","account":"a","occurred_at":"2025-01-01T00:00:00Z","currency":"USD","amount":"12,50"}`, "amount"},
	{"60 digits", `{"id":"b2","source":"shop","stream":"o","seqn":2,"type":"sold","account":"a","occurred_at":"2025-01-01T00:00:00Z","currency":"USD","amount":"` + strings.Repeat("9", 60) + `"}`, "amount"},
	{"exponent bomb", `{"id":"b3","source":"shop","stream":"o","seqn":3,"type":"sold","account":"a","occurred_at":"2025-01-01T00:00:00Z","currency":"USD","amount":"1e999999999"}`, "amount"},
	{"NaN", `{"id":"b4","source":"shop","stream":"o","seqn":4,"type":"sold","account":"a","occurred_at":"2025-01-01T00:00:00Z","currency":"USD","amount":"NaN"}`, "amount"},
	{"unknown currency", `{"id":"b5","source":"shop","stream":"o","seqn":5,"type":"sold","account":"a","occurred_at":"2025-01-01T00:00:00Z","currency":"XQQ","amount":"1"}`, "currency"},
	{"no zone", `{"id":"b6","source":"shop","stream":"o","seqn":6,"type":"sold","account":"a","occurred_at":"2025-01-01T00:00:00","currency":"USD","amount":"1"}`, "occurred_at"},
	{"nanoseconds", `{"id":"b7","source":"shop","stream":"o","seqn":7,"type":"sold","account":"a","occurred_at":"2025-01-01T00:00:00.123456789Z","currency":"USD","amount":"1"}`, "occurred_at"},
	{"missing id", `{"source":"shop","stream":"o","seqn":8,"type":"sold","account":"a","occurred_at":"2025-01-01T00:00:00Z","currency":"USD","amount":"1"}`, "id"},
	{"1 MB field", `{"id":"b9","source":"shop","stream":"o","seqn":9,"type":"sold","account":"a","occurred_at":"2025-01-01T00:00:00Z","currency":"USD","amount":"1","payload":{"x":"` + strings.Repeat("x", 1<<20) + `"}}`, "event"},
	{"invalid UTF-8", "{\"id\":\"b10\",\"source\":\"shop\",\"stream\":\"o\",\"seqn\":10,\"type\":\"so\xffld\",\"account\":\"a\",\"occurred_at\":\"2025-01-01T00:00:00Z\",\"currency\":\"USD\",\"amount\":\"1\"}", "type"},
	{"a number that isn't text", `{"id":"b11","source":"shop","stream":"o","seqn":11,"type":"sold","account":"a","occurred_at":"2025-01-01T00:00:00Z","currency":"USD","amount":1.5}`, "amount"},
	{"cut off", `{"id":"b12","source":"shop"`, "event"},
	{"a state", `{"id":"b13","source":"shop","stream":"o","seqn":13,"type":"sold","account":"a","occurred_at":"2025-01-01T00:00:00Z","currency":"USD","state":{"amount":"1"}}`, "state"},
}

func goodLine(n int) string {
	return fmt.Sprintf(`{"id":"g%d","source":"shop","stream":"good","seqn":%d,"type":"sold","account":"a","occurred_at":"2025-01-01T00:00:00Z","currency":"USD","amount":"0.01"}`, n, n)
}

// TestBadLines: each is named by line, field and rule; the good ones beside them are recorded (invariant 10).
func TestBadLines(t *testing.T) {
	t.Parallel()
	p := newProgram(t)
	var text strings.Builder
	for i, b := range badLines {
		fmt.Fprintln(&text, goodLine(i))
		fmt.Fprintln(&text, b.line)
	}
	p.file("bad.ndjson", text.String())
	r := p.run("ingest", "bad.ndjson", "--output", "json", "--errors", "errors.ndjson")
	var sum summary
	document(t, r.stdout, &sum)
	if n := int64(len(badLines)); r.code != exitFailed || sum.Recorded != n || sum.Invalid != n || sum.Conflict != 0 {
		t.Errorf("exit code %d, %+v\n%.2000s", r.code, sum, r.stderr)
	}
	for i, b := range badLines {
		if want := fmt.Sprintf("bad.ndjson:%d: %s: ", 2*i+2, b.field); !strings.Contains(r.stderr, want) {
			t.Errorf("%s: standard error has no %q:\n%.4000s", b.name, want, r.stderr)
		}
	}
	raw, err := os.ReadFile(filepath.Join(p.dir, "errors.ndjson"))
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.Split(bytes.TrimSpace(raw), []byte("\n"))
	if len(lines) != len(badLines) {
		t.Errorf("%d lines in the file of errors, not %d", len(lines), len(badLines))
	}
	for i, line := range lines {
		var found struct {
			File, Status, Field, Rule string
			Line                      int
		}
		if err := json.Unmarshal(line, &found); err != nil || found.Line != 2*i+2 || found.Rule == "" || found.File != "bad.ndjson" {
			t.Errorf("line %d of the file of errors: %v %+v", i+1, err, found)
		}
	}
}

// TestBadCSV: a row of another width stops no other row.
func TestBadCSV(t *testing.T) {
	t.Parallel()
	p := newProgram(t)
	rows := strings.Split(shopCSV, "\n")
	rows[2] += ",too,many"
	rows[3] = "e3,shop"
	rows[4] = strings.Replace(rows[4], "umbrella", "umbr\xffella", 1)
	p.file("bad.csv", strings.Join(rows, "\n"))
	r := p.run("ingest", "bad.csv", "--output", "json")
	var sum summary
	document(t, r.stdout, &sum)
	if r.code != exitFailed || sum.Recorded != 2 || sum.Invalid != 3 {
		t.Errorf("exit code %d, %+v\n%s", r.code, sum, r.stderr)
	}
	for _, line := range []string{"bad.csv:3: ", "bad.csv:4: ", "bad.csv:5: account: "} {
		if !strings.Contains(r.stderr, line) {
			t.Errorf("standard error has no %q:\n%s", line, r.stderr)
		}
	}
	if r := p.run("ingest", "bad.csv", "--errors", "./bad.csv"); r.code != exitUsage {
		t.Errorf("errors over an input: %+v", r)
	}
	p.file("worse.csv", "a,b,c\n1,2,3\n")
	if r := p.run("ingest", "worse.csv"); r.code != exitFailed || r.stdout != "" || !strings.Contains(r.stderr, "worse.csv") {
		t.Errorf("a file with another header: %+v", r)
	}
}

// TestManyBadLines: standard error gets the first ones and the number of the rest.
func TestManyBadLines(t *testing.T) {
	t.Parallel()
	p := newProgram(t)
	r := p.feed(strings.NewReader(strings.Repeat("{}\n", 75)), "ingest", "-", "--format", "ndjson")
	if n := strings.Count(r.stderr, "-:"); n != 50 || !strings.Contains(r.stderr, "… and 25 more") {
		t.Errorf("%d lines named:\n%s", n, r.stderr)
	}
}

// TestConflict: the field that differs is named, on standard error and in the list of conflicts.
func TestConflict(t *testing.T) {
	t.Parallel()
	p := newProgram(t)
	p.must("ingest", p.file("shop.csv", shopCSV))
	p.file("changed.csv", strings.Replace(shopCSV, "100.00", "100.01", 1))
	r := p.run("ingest", "changed.csv", "--output", "json")
	var sum summary
	document(t, r.stdout, &sum)
	if r.code != exitFailed || sum.Conflict != 1 || sum.Duplicate != 4 || sum.Recorded != 0 {
		t.Errorf("exit code %d, %+v", r.code, sum)
	}
	if !strings.Contains(r.stderr, "changed.csv:2: conflict: ") || !strings.Contains(r.stderr, "amount") {
		t.Errorf("standard error: %s", r.stderr)
	}
	var conflicts []struct{ Differs []string }
	p.into(&conflicts, "conflicts", "list")
	if len(conflicts) != 1 || fmt.Sprint(conflicts[0].Differs) != "[amount]" {
		t.Errorf("conflicts: %+v", conflicts)
	}
}

// TestAtomic: a bad line leaves nothing of its file behind, and the other files are not its concern.
func TestAtomic(t *testing.T) {
	t.Parallel()
	p := newProgram(t)
	p.file("bad.ndjson", goodLine(1)+"\n{}\n"+goodLine(2)+"\n")
	p.file("good.ndjson", goodLine(3)+"\n")
	r := p.run("ingest", "--atomic", "bad.ndjson", "good.ndjson", "--output", "json")
	var sum summary
	document(t, r.stdout, &sum)
	if r.code != exitFailed || sum.Recorded != 1 || sum.Invalid != 1 || sum.Refused != 2 {
		t.Errorf("exit code %d, %+v\n%s", r.code, sum, r.stderr)
	}
	if !strings.Contains(r.stderr, "bad.ndjson:2: ") || !strings.Contains(r.stderr, "nothing was recorded") {
		t.Errorf("standard error: %s", r.stderr)
	}
	p.file("mended.ndjson", goodLine(1)+"\n"+goodLine(2)+"\n"+goodLine(3)+"\n")
	p.ask(&sum, "ingest", "--atomic", "mended.ndjson")
	if sum.Recorded != 2 || sum.Duplicate != 1 {
		t.Errorf("mended: %+v", sum)
	}
}

// TestForms: every format and compression is known by its name or its content, and the same events are the
// same whatever they come in.
func TestForms(t *testing.T) {
	t.Parallel()
	p := newProgram(t)
	csv := "id,source,stream,seqn,type,account,occurred_at,currency,amount,note\n" +
		"g1,shop,good,1,sold,a,2025-01-01T00:00:00Z,USD,0.01,\ng2,shop,good,2,sold,a,2025-01-01T00:00:00Z,USD,0.01,\n"
	ndjson := goodLine(1) + "\n" + goodLine(2) + "\n"
	array := "[" + goodLine(1) + ",\n" + goodLine(2) + "]"
	p.must("ingest", p.file("first.csv", csv))
	for name, content := range map[string][]byte{
		"a.csv": []byte(csv), "a.ndjson": []byte(ndjson), "a.json": []byte(array), "csv": []byte(csv), "ndjson": []byte(ndjson), "array": []byte(array),
		"a.csv.gz": zip(t, csv), "zipped": zip(t, ndjson), "a.json.zst": zst(t, array), "bom.csv": []byte("\ufeff" + csv),
	} {
		var sum summary
		p.ask(&sum, "ingest", p.file(name, string(content)))
		if sum.Duplicate != 2 || sum.Recorded != 0 {
			t.Errorf("%s: %+v", name, sum)
		}
		r := p.feed(bytes.NewReader(content), "ingest", "-", "--output", "json")
		document(t, r.stdout, &sum)
		if sum.Duplicate != 2 || r.code != exitDone {
			t.Errorf("%s on standard input: %+v %s", name, sum, r.stderr)
		}
	}
	var event struct {
		Payload    map[string]string
		Dimensions map[string]string
	}
	p.file("private.csv", "id,source,stream,seqn,type,account,occurred_at,currency,amount,note,country\n"+
		"g9,shop,good,9,sold,a,2025-01-01T00:00:00Z,USD,0.01,between us,US\n")
	p.must("ingest", "--payload-columns", "note", "private.csv")
	p.into(&event, "events", "show", "shop", "g9")
	if event.Payload["note"] != "between us" || len(event.Dimensions) != 1 || event.Dimensions["country"] != "US" {
		t.Errorf("an event with a payload: %+v", event)
	}
}

func zip(t *testing.T, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func zst(t *testing.T, text string) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return w.EncodeAll([]byte(text), nil)
}
