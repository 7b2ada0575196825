//go:build linux || darwin

package main

import (
	"strings"
	"testing"

	"deltaledger/ledger/pg/embedded"
)

const privateEvents = `{"id":"1","source":"shop","stream":"o","seqn":1,"type":"sold","account":"acme","occurred_at":"2026-01-05T10:00:00Z","currency":"EUR","amount":"10","payload":{"card":"visa one"}}
{"id":"2","source":"shop","stream":"o","seqn":2,"type":"sold","account":"acme","occurred_at":"2026-01-06T10:00:00Z","currency":"EUR","amount":"20","dimensions":{"note":"jane@b.example"}}
`

func TestConflictsAndErasuresOnTheCommandLine(t *testing.T) {
	t.Parallel()
	p := newProgram(t)
	p.must("db", "start")
	p.must("sources", "declare", "shop", "--emails", "private", "--card-numbers", "flag")
	p.must("ingest", p.file("a.ndjson", privateEvents))
	changed := strings.NewReplacer(`"10"`, `"11"`, "visa one", "visa two").Replace(privateEvents)
	if r := p.run("ingest", p.file("b.ndjson", changed)); r.code != exitFailed {
		t.Errorf("exit code %d", r.code)
	}
	if shown := p.must("conflicts", "show", "1"); !strings.Contains(shown, "amount") || strings.Contains(shown, "visa two") || strings.Contains(shown, "visa one") {
		t.Errorf("%s", shown)
	}
	if shown := p.must("conflicts", "show", "1", "--private"); !strings.Contains(shown, "visa two") || !strings.Contains(shown, "visa one") {
		t.Errorf("%s", shown)
	}
	if r := p.run("reconcile"); r.code != exitFindings || !strings.Contains(r.stdout, "1 conflict waits") {
		t.Errorf("exit code %d: %s%s", r.code, r.stdout, r.stderr)
	}
	for _, args := range [][]string{{"1", "--why", "w"}, {"1", "--dismiss", "--record-as", "x", "--why", "w"}, {"1", "--dismiss"}} {
		if r := p.run(append([]string{"conflicts", "resolve"}, args...)...); r.code != exitUsage {
			t.Errorf("%v: exit code %d: %s", args, r.code, r.stderr)
		}
	}
	if r := p.run("conflicts", "resolve", "1", "--record-as", "1b", "--why", "w"); r.code != exitFailed || !strings.Contains(r.stderr, "give a seqn that is free") {
		t.Errorf("%+v", r)
	}
	var decision struct {
		Outcome, ID, By string
		Position        int64
	}
	for range 2 {
		p.into(&decision, "conflicts", "resolve", "1", "--record-as", "1b", "--seqn", "7", "--why", "a second order")
	}
	if decision.Outcome != "recorded" || decision.ID != "1b" || decision.By != maker || decision.Position == 0 {
		t.Errorf("%+v", decision)
	}
	var list []struct{ N int64 }
	if p.into(&list, "conflicts", "list", "--state", "open"); len(list) != 0 {
		t.Errorf("%+v", list)
	}
	if p.into(&list, "conflicts", "list", "--state", "decided", "--source", "shop", "--reason", "content"); len(list) != 1 {
		t.Errorf("%+v", list)
	}
	if r := p.run("reconcile"); r.code != exitFindings || strings.Contains(r.stdout, "conflict") { // gaps remain
		t.Errorf("exit code %d: %s%s", r.code, r.stdout, r.stderr)
	}

	var erased struct {
		N, Events, Conflicts int64
		DryRun               bool `json:"dry_run"`
	}
	if p.into(&erased, "erase", "--event", "shop", "1", "--why", "request 4711", "--dry-run"); erased.N != 0 || erased.Events != 1 || erased.Conflicts != 1 || !erased.DryRun {
		t.Errorf("%+v", erased)
	}
	if p.ask(&erased, "erase", "--event", "shop", "1", "--why", "request 4711"); erased.N != 1 || erased.Events != 1 {
		t.Errorf("%+v", erased)
	}
	erased.DryRun = false
	if p.ask(&erased, "erase", "--before", "2026-01-07", "--source", "shop", "--why", "too old"); erased.N != 2 || erased.Events != 2 {
		t.Errorf("%+v", erased)
	}
	if p.ask(&erased, "erase", "--account", "acme", "--why", "request 4712"); erased.N != 3 || erased.Events != 0 {
		t.Errorf("%+v", erased)
	}
	for _, args := range [][]string{{"--why", "w"}, {"--event", "shop", "1", "--source", "x", "--why", "w"}, {"--event", "shop"}, {"--account", "a"}} {
		if r := p.run(append([]string{"erase"}, args...)...); r.code == exitDone {
			t.Errorf("%v: exit code %d", args, r.code)
		}
	}
	for _, args := range [][]string{{"events", "show", "shop", "1"}, {"events", "list"}, {"stream", "shop", "o"}, {"conflicts", "show", "1", "--private"}, {"erasures"}} {
		if out := p.must(args...); !strings.Contains(out, "request 4711") || strings.Contains(out, "visa two") || strings.Contains(out, "visa one") || strings.Contains(out, "jane@") {
			t.Errorf("%v: %s", args, out)
		}
	}
	db := p.connect(embedded.Superuser)
	if n := one[int](t, db, `SELECT (SELECT count(*) FROM ledger.private) + (SELECT count(*) FROM ledger.conflict_private)`); n != 0 {
		t.Errorf("%d private contents are left", n)
	}
	if out := p.must("ingest", p.file("c.ndjson", privateEvents)); !strings.Contains(out, "2") {
		t.Errorf("%s", out)
	}
	p.must("seal")
	if out := p.must("verify"); !strings.Contains(out, "3") {
		t.Errorf("%s", out)
	}
}
