//go:build linux || darwin

package main

import (
	"strings"
	"testing"

	"deltaledger/ledger/pg/embedded"
)

const buryOne = `WITH l AS (INSERT INTO ledger.dead_letters (topic, topic_id, partition, "offset", reason)
		VALUES ('orders', '7a1c3c0e-0000-4000-8000-000000000000', 0, $1, 'a reason') RETURNING n)
	INSERT INTO ledger.dead_letter_content (letter, body) SELECT n, $2 FROM l`

func TestDeadLettersOnTheCommandLine(t *testing.T) {
	t.Parallel()
	p := newProgram(t)
	p.must("db", "start")
	db := p.connect(embedded.Superuser)
	const event = `{"id":"e1","source":"shop","stream":"o","seqn":0,"type":"sold","account":"acme","occurred_at":"2026-01-05T10:00:00Z","currency":"EUR","amount":"10","measures":{"commission":"1"}}`
	for i, body := range []string{event, `{"id":"sesame`, strings.NewReplacer("e1", "e2", `"amount"`, `"betrag"`, `,"measures":{"commission":"1"}`, "", `"seqn":0`, `"seqn":1`).Replace(event)} {
		if _, err := db.Exec(t.Context(), buryOne, i, []byte(body)); err != nil {
			t.Fatal(err)
		}
	}
	if out := p.must("deadletters", "list", "--topic", "orders", "--state", "open"); strings.Count(out, "a reason") != 3 || strings.Contains(out, "sesame") {
		t.Errorf("%s", out)
	}
	if out := p.must("deadletters", "show", "2"); strings.Contains(out, "sesame") || !strings.Contains(out, "may hold private content") {
		t.Errorf("%s", out)
	}
	if out := p.must("deadletters", "show", "2", "--private"); !strings.Contains(out, "sesame") {
		t.Errorf("%s", out)
	}
	if r := p.run("reconcile"); r.code != exitFindings || !strings.Contains(r.stdout, "3 dead letters wait") {
		t.Errorf("exit code %d: %s%s", r.code, r.stdout, r.stderr)
	}
	for _, args := range [][]string{{}, {"1", "--all"}, {"1", "--topic", "orders"}} {
		if r := p.run(append([]string{"deadletters", "retry"}, args...)...); r.code != exitUsage {
			t.Errorf("%v: exit code %d: %s", args, r.code, r.stderr)
		}
	}
	if r := p.run("deadletters", "retry", "1"); r.code != exitFailed || !strings.Contains(r.stdout, "commission") {
		t.Errorf("exit code %d: %s%s", r.code, r.stdout, r.stderr)
	}
	p.must("schema", "add", "measure", "commission", "--description", "what a partner gets", "--owner", "shop")
	if r := p.run("deadletters", "retry", "--all", "--topic", "orders", "--why", "declared it"); r.code != exitFailed || !strings.Contains(r.stdout, "shop e1: recorded") {
		t.Errorf("exit code %d: %s%s", r.code, r.stdout, r.stderr)
	}
	mapping := p.file("m.yaml", "id: id\nsource: source\nstream: stream\nseqn: seqn\ntype: type\naccount: account\noccurred_at: occurred_at\ncurrency: currency\namount: betrag\n")
	if out := p.must("deadletters", "retry", "3", "--mapping", mapping); !strings.Contains(out, "shop e2: recorded") {
		t.Errorf("%s", out)
	}
	if out := p.must("deadletters", "discard", "2", "--erase", "--why", "cut off"); !strings.Contains(out, "discarded") {
		t.Errorf("%s", out)
	}
	if out := p.must("deadletters", "show", "2", "--private"); strings.Contains(out, "sesame") || !strings.Contains(out, "erased") {
		t.Errorf("%s", out)
	}
	if out := p.must("erasures"); !strings.Contains(out, "dead_letter") {
		t.Errorf("%s", out)
	}
	p.must("seal")
	p.must("verify")
}
