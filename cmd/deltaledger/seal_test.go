//go:build linux || darwin

package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"deltaledger/ledger"
	"deltaledger/ledger/pg/embedded"
	"deltaledger/ledger/proof"
	"deltaledger/migrations/pgtest"
)

// elsewhere are the tables with a position that isn't drawn for their rows, and why.
var elsewhere = map[string]string{
	"ledger.events":                "sealed with its keys, by package ledger itself",
	"ledger.event_keys":            "part of the leaves of events",
	"ledger.private":               "bound by the commitments of the events; erasable",
	"ledger.erased":                "position of the event",
	"ledger.watermarks":            "a position that was read; verify holds them against each other",
	"ledger.seals":                 "chained already",
	"ledger.column_floors":         "a position that was read",
	"ledger.publishers":            "how far was published",
	"ledger.content_flags":         "position of the event",
	"ledger.conflict_decisions":    "position of the event",
	"ledger.dead_letter_events":    "position of the event",
	"ledger.completeness_progress": "derived: how far was looked",
	"ledger.completeness_doubled":  "derived: position of the event",
	"billing.pins":                 "position of the event; bound with the invoice",
	"billing.late_events":          "position of the event",
	"billing.orders":               "position of the event that finalised the order; follows from events and closes",
	"billing.carried":              "derived: position of the event",
	"billing.finalisations":        "derived: position of the event",
}

// TestEveryFactIsSealed: whoever makes a table with positions either gives it to the sealer, or says here
// why not.
func TestEveryFactIsSealed(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	sealed := map[string]bool{"ledger.columns": true, "ledger.erasure_ends": true}
	for _, f := range sealedFacts() {
		sealed[f.Table] = true
	}
	rows, err := db.App.Query(t.Context(), `SELECT n.nspname || '.' || c.relname FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
		JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE a.attname = 'position' AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND n.nspname IN ('ledger', 'billing', 'reconcile', 'export', 'auth')`)
	if err != nil {
		t.Fatal(err)
	}
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range tables {
		if sealed[table] == (elsewhere[table] != "") {
			t.Errorf("%s has positions: it must be among the facts that are sealed, or among elsewhere, and not in both", table)
		}
		delete(sealed, table)
	}
	for table := range sealed {
		t.Errorf("%s is sealed and has no positions", table)
	}
}

// TestSealsFromOutside drives seal, verify, checkpoint and proof.
func TestSealsFromOutside(t *testing.T) {
	t.Parallel()
	p := newProgram(t)
	p.must("ingest", p.file("e.csv", shopCSV))
	var sealed sealResult
	p.ask(&sealed, "seal")
	if sealed.Seals != 1 || sealed.Facts == 0 || sealed.Tree == nil || sealed.Tree.Size != 1 {
		t.Fatalf("%+v", sealed)
	}
	var report ledger.Report
	p.into(&report, "verify")
	if report.Facts != sealed.Facts || report.Difference != nil || report.Tree != *sealed.Tree {
		t.Errorf("%+v", report)
	}
	var seals []proof.Seal
	p.into(&seals, "seals")
	if len(seals) != 1 || seals[0].Count != sealed.Facts {
		t.Errorf("%+v", seals)
	}
	p.must("checkpoint", "new-key", "k")
	p.must("checkpoint", "new-key", "other", "--ledger", seals[0].Ledger.String())
	if r := p.run("checkpoint", "new-key", "k"); r.code != exitFailed || !strings.Contains(r.stderr, "exists already") {
		t.Errorf("a key is written over: %d %s", r.code, r.stderr)
	}
	if info, err := os.Stat(filepath.Join(p.dir, "k")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the secret key: %v, %v", info.Mode(), err)
	}
	p.must("checkpoint", "--key", "k", "--to", "auditor")
	p.must("checkpoint", "--key", "k", "--to", "file://"+filepath.Join(p.dir, "auditor")) // again
	file := filepath.Join("auditor", "checkpoint-0000000001")
	p.must("verify", "--checkpoint", file, "--key", "k.pub")
	if r := p.run("verify", "--checkpoint", file, "--key", "other.pub"); r.code != exitFailed || !strings.Contains(r.stderr, "no valid signature") {
		t.Errorf("another key: %d %s", r.code, r.stderr)
	}

	event := one[[]string](t, p.connect(embedded.App), `SELECT ARRAY[source, event_id] FROM ledger.events ORDER BY position LIMIT 1`)
	p.must("proof", event[0], event[1], "--checkpoint", file, "--file", "proof.json")
	p.must("verify-proof", "proof.json", "--key", "k.pub")
	p.must("verify-proof", "proof.json", "--checkpoint", file, "--key", "k.pub")
	raw, err := os.ReadFile(filepath.Join(p.dir, "proof.json"))
	if err != nil {
		t.Fatal(err)
	}
	p.file("forged.json", strings.Replace(string(raw), `\"amount\":\"`, `\"amount\":\"1`, 1))
	if r := p.run("verify-proof", "forged.json"); r.code != exitFailed || !strings.Contains(r.stderr, "the leaf isn't in the block of seal 1") {
		t.Errorf("a forged proof: %d %s", r.code, r.stderr)
	}
	if r := p.run("verify-proof", "proof.json", "--key", "other.pub"); r.code != exitFailed {
		t.Errorf("a proof for another key: %d %s", r.code, r.stderr)
	}
	if r := p.run("proof", "shop", "nothing"); r.code != exitFailed || !strings.Contains(r.stderr, "no event") {
		t.Errorf("a proof of nothing: %d %s", r.code, r.stderr)
	}
	p.tampered(event[1])
}

// tampered changes an event as a superuser would, and sees verify fail.
func (p *program) tampered(id string) {
	p.t.Helper()
	conn := p.connect(embedded.Superuser)
	leaf := one[string](p.t, conn, "SELECT tableoid::regclass::text FROM ledger.events LIMIT 1")
	for _, sql := range []string{
		"ALTER TABLE " + leaf + " DISABLE TRIGGER ALL", "UPDATE " + leaf + " SET quantity = 1000 WHERE event_id = '" + id + "'",
	} {
		if _, err := conn.Exec(p.t.Context(), sql); err != nil {
			p.t.Fatal(err)
		}
	}
	r := p.run("verify", "--output", "json")
	var report ledger.Report
	if err := json.Unmarshal([]byte(r.stdout), &report); err != nil {
		p.t.Fatal(err)
	}
	position := one[int64](p.t, conn, "SELECT position FROM ledger.events WHERE event_id = $1", id)
	if d := report.Difference; r.code != exitFailed || d == nil || d.Position != position || d.Seal != 1 || d.What != ledger.DiffChanged ||
		!strings.Contains(r.stderr, "corrupt") || !strings.Contains(d.String(), "the content or the digest was changed") {
		p.t.Errorf("exit code %d, %v\n%s", r.code, report.Difference, r.stderr)
	}
}
