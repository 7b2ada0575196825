//go:build linux || darwin

package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"

	"deltaledger/ledger/imports"
)

// saleLines are n events of NDJSON, from number first on, each of an order of its own.
func saleLines(first, n int) string {
	var b strings.Builder
	for k := first; k < first+n; k++ {
		fmt.Fprintf(&b, `{"id":"i%d","source":"shop","stream":"o%d","seqn":1,"type":"sold","account":"a%d","occurred_at":"2025-01-05T10:00:00Z","currency":"EUR","amount":"1.25"}`+"\n", k, k, k%7)
	}
	return b.String()
}

// drop is a directory of the program's into which files are dropped.
type drop struct {
	p   *program
	dir string
}

func newDrop(t *testing.T, p *program) drop {
	t.Helper()
	d := drop{p, filepath.Join(p.dir, "drop")}
	if err := os.MkdirAll(filepath.Join(d.dir, "csv"), 0o755); err != nil {
		t.Fatal(err)
	}
	return d
}

// put renames a file into place.
func (d drop) put(name, content string) {
	d.p.t.Helper()
	if err := d.rename(name, content); err != nil {
		d.p.t.Fatal(err)
	}
}

func (d drop) rename(name, content string) error {
	part := filepath.Join(d.dir, "."+filepath.Base(name))
	if err := os.WriteFile(part, []byte(content), 0o644); err != nil {
		return err
	}
	return os.Rename(part, filepath.Join(d.dir, filepath.FromSlash(name)))
}

func (d drop) files(args ...string) []imports.File {
	d.p.t.Helper()
	var all []imports.File
	d.p.into(&all, append([]string{"import", "list", "--limit", "1000"}, args...)...)
	return all
}

// file is the newest that is registered under a name.
func (d drop) file(name string) imports.File {
	d.p.t.Helper()
	all := d.files("--name", name)
	if len(all) == 0 {
		d.p.t.Fatalf("%s isn't registered", name)
	}
	return all[0]
}

func packed(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestImport goes through what can become of a file.
func TestImport(t *testing.T) {
	t.Parallel()
	p := newProgram(t)
	d := newDrop(t, p)
	p.must("sources", "declare", "till", "--numbering", "none")
	p.file("rules.yaml", "prefixes:\n- prefix: \"\"\n  ready: at-once\n- prefix: csv/\n  format: csv\n  mapping: shop.yaml\n  ready: marker\n- prefix: other/\n  skip: true\n")
	p.file("shop.yaml", `{"id": "Nr", "source": {"constant": "till"}, "type": {"constant": "sold"}, "account": "Customer", "occurred_at": "When", "currency": {"constant": "EUR"}, "amount": "Total", "rest": "dimensions"}`)
	run := func(want int) importSummary {
		t.Helper()
		r := p.run("import", "drop", "--rules", "rules.yaml", "--output", "json", "--settle", "1ms")
		if r.code != want {
			t.Fatalf("exit code %d, want %d\n%s%s", r.code, want, r.stdout, r.stderr)
		}
		var sum importSummary
		document(t, r.stdout, &sum)
		return sum
	}
	d.put("a.ndjson", saleLines(0, 20))
	d.put("b.ndjson.gz", packed(t, saleLines(20, 30)))
	d.put("csv/c.sales", "Nr,When,Total,Customer,Shelf\n1,2025-01-05T10:00:00Z,3.50,acme,A7\n2,yesterday,3.50,acme,A7\n3,2025-01-05T10:00:00Z,4.50,acme,A8\n")
	d.put("half.ndjson.tmp", saleLines(900, 1))
	if sum := run(exitDone); sum.Files != 2 || sum.Recorded != 50 || sum.Growing != 1 {
		t.Errorf("first run: %+v", sum)
	}
	d.put("csv/c.sales.done", "")
	if sum := run(exitFailed); sum.Files != 1 || sum.Recorded != 2 || sum.Invalid != 1 {
		t.Errorf("second run: %+v", sum)
	}
	var shown fileView
	p.into(&shown, "import", "show", fmt.Sprint(d.file("csv/c.sales").N))
	if len(shown.Problems) != 1 || shown.Problems[0].Line != 3 || shown.Problems[0].Field != "occurred_at" || shown.Problems[0].Value != "yesterday" ||
		shown.Format != "csv" || shown.Mapping != "shop.yaml" || shown.SHA256 == "" {
		t.Errorf("%+v", shown)
	}

	// Written anew with the same content is nothing; with another one waits for a person.
	d.put("a.ndjson", saleLines(0, 20))
	if err := os.Chtimes(filepath.Join(d.dir, "a.ndjson"), time.Unix(0, 0), time.Unix(0, 0)); err != nil {
		t.Fatal(err)
	}
	d.put("b.ndjson.gz", packed(t, saleLines(20, 31)))
	if sum := run(exitFindings); sum.Files != 2 || sum.Recorded != 0 || sum.Changed != 1 {
		t.Errorf("third run: %+v", sum)
	}
	if f := d.file("a.ndjson"); f.State != imports.Same || f.Version != 2 {
		t.Errorf("%+v", f)
	}
	changed := d.file("b.ndjson.gz")
	if changed.State != imports.Changed || changed.Version != 2 {
		t.Errorf("%+v", changed)
	}
	if sum := run(exitDone); sum.Files != 0 {
		t.Errorf("with nothing new: %+v", sum)
	}
	p.must("import", "retry", fmt.Sprint(changed.N), "--why", "the upstream sent one more")
	if sum := run(exitDone); sum.Files != 1 || sum.Recorded != 1 || sum.Duplicate != 30 {
		t.Errorf("after the retry: %+v", sum)
	}

	// What can't be read as events fails, and a retry after the mend reads what is there then.
	d.put("d.csv", "no,header\n")
	d.put("README.txt", "not events")
	d.put("e.ndjson.gz", packed(t, saleLines(100, 1))[:20])
	if sum := run(exitFailed); sum.Failed != 3 {
		t.Errorf("fourth run: %+v", sum)
	}
	d.put("e.ndjson.gz", packed(t, saleLines(100, 500)))
	p.must("import", "discard", fmt.Sprint(d.file("README.txt").N), "--why", "a note")
	if sum := run(exitDone); sum.Files != 1 || sum.Recorded != 500 { // nothing of what was there before was recorded
		t.Errorf("fifth run: %+v", sum)
	}
	if r := p.run("import", "discard", fmt.Sprint(d.file("a.ndjson").N), "--why", "x"); r.code != exitFailed {
		t.Errorf("discard of what is the same: %d %s", r.code, r.stderr)
	}
	p.into(&shown, "import", "show", fmt.Sprint(d.file("README.txt").N))
	if shown.State != imports.Discarded || len(shown.Decisions) != 1 || shown.Decisions[0].By != maker {
		t.Errorf("%+v", shown)
	}
}
