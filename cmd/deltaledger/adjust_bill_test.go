//go:build linux || darwin

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// adjusted is what these tests look at of an adjustment of bills.
type adjusted struct {
	ID, Status, Amount, DecidedBy string
}

// Terms for cycles that are closed are previewed, change nothing unless somebody says so, and bring the difference on the
// next invoice; an amount above the limit waits for a second person.
func TestClosedCyclesAndAdjustments(t *testing.T) {
	t.Parallel()
	p := newProgram(t)
	p.must("sources", "declare", "shop", "--numbering", "none")
	terms := func(rate string) string {
		return p.file("terms-"+rate+".json", `{"account":"acme","effective_from":"2025-01-01","approve_above":"10","charges":[
			{"name":"commission","measure":"amount","model":"percentage","rate":"`+rate+`"}]}`)
	}
	p.must("terms", "set", "--file", terms("10"))
	event := func(id, day, amount string) string {
		return `{"id":"` + id + `","source":"shop","type":"sold","account":"acme","occurred_at":"` + day + `T12:00:00Z","currency":"EUR","amount":"` + amount + `"}`
	}
	p.must("ingest", p.file("events.ndjson", event("1", "2025-01-10", "100")+"\n"+event("2", "2025-02-10", "50")+"\n"))
	p.must("close", "--through", "2025-02-28")

	var ahead struct {
		Cycles []struct{ Charge, Billed, Rerated, Difference string }
		Sums   map[string]string
	}
	p.ask(&ahead, "terms", "preview", "acme", "--file", terms("7"), "--closed")
	if len(ahead.Cycles) != 2 || ahead.Cycles[0].Billed != "10.00" || ahead.Cycles[0].Rerated != "7.00" || ahead.Sums["EUR"] != "-4.50" {
		t.Errorf("preview: %+v", ahead)
	}
	if r := p.run("terms", "set", "--file", terms("7"), "--adjust-closed"); r.code != exitUsage || !strings.Contains(r.stderr, "--why") {
		t.Errorf("without a reason: %d %s", r.code, r.stderr)
	}
	p.must("terms", "set", "--file", terms("7"), "--adjust-closed", "--why", "contract of December", "--by", "jane")

	var small, large adjusted
	p.ask(&small, "adjust", "bill", "acme", "--amount=-2.50", "--currency", "EUR", "--reason", "goodwill", "--reference", "t-1", "--by", "jane")
	if small.Status != "ready" {
		t.Errorf("below the limit: %+v", small)
	}
	var again adjusted
	if p.ask(&again, "adjust", "bill", "acme", "--amount=-2.50", "--currency", "EUR", "--reason", "goodwill", "--reference", "t-1", "--by", "jane"); again.ID != small.ID {
		t.Errorf("the same reference made another one: %+v", again)
	}
	p.ask(&large, "adjust", "bill", "acme", "--amount=20", "--currency", "EUR", "--reason", "set-up", "--by", "jane")
	if large.Status != "waiting" {
		t.Errorf("above the limit: %+v", large)
	}
	if r := p.run("adjust", "approve", large.ID, "--why", "mine", "--by", "jane"); r.code == exitDone {
		t.Errorf("its maker approved it: %d %s", r.code, r.stderr)
	}
	var r closeResult
	if p.ask(&r, "close", "--through", "2025-03-31"); r.Totals["EUR"] != "-7.00" { // 7 - 10 + 3.50 - 5 - 2.50
		t.Errorf("March: %+v", r)
	}
	if p.ask(&large, "adjust", "approve", large.ID, "--why", "contract seen", "--by", "john"); large.Status != "ready" || large.DecidedBy != "" && large.DecidedBy != "john" {
		t.Errorf("approved: %+v", large)
	}
	if p.ask(&r, "close", "--through", "2025-04-30"); r.Totals["EUR"] != "20.00" {
		t.Errorf("April: %+v", r)
	}
	facesOfAdjustments(t, p)
	p.must("reconcile")
	p.must("seal")
	p.must("verify")
	if out := p.must("invoices", "list"); strings.Count(out, "acme") != 4 {
		t.Errorf("invoices:\n%s", out)
	}
}

// facesOfAdjustments looks at the invoice of March, which brings terms for closed cycles and an adjustment, on all faces.
func facesOfAdjustments(t *testing.T, p *program) {
	t.Helper()
	const march = "INV-000003"
	for _, c := range []struct {
		args []string
		want []string
	}{
		{[]string{"invoices", "print", march}, []string{"goodwill", "Made by jane", "By terms that were changed: contract of December", "Recorded by jane", "billed first on INV-000001"}},
		{[]string{"invoices", "print", "INV-000004"}, []string{"set-up", "Made by jane, approved by john"}},
		{[]string{"invoices", "print", "INV-000004", "--output", "csv"}, []string{"manual,set-up,jane,john"}},
		{[]string{"invoices", "show", "INV-000004"}, []string{"APPROVED_BY", "set-up"}},
		{[]string{"invoices", "explain", march}, []string{"ORIGIN_INVOICE", "INV-000001", "INV-000002", "contract of December"}},
		{[]string{"events", "trace", "shop", "1"}, []string{"RERATES", march, "terms"}},
		{[]string{"events", "trace", "shop", "1", "--output", "csv"}, []string{",rerates,", ",terms,"}},
	} {
		out := p.must(c.args...)
		for _, want := range c.want {
			if !strings.Contains(out, want) {
				t.Errorf("%v lacks %q:\n%s", c.args, want, out)
			}
		}
	}
	var e struct {
		Lines []struct {
			Late         bool
			OriginNumber string `json:"origin_number"`
		}
	}
	p.ask(&e, "invoices", "explain", march)
	for _, l := range e.Lines {
		if l.Late != strings.HasPrefix(l.OriginNumber, "INV-00000") {
			t.Errorf("a line of another cycle names the invoice that billed it first: %+v", e)
		}
	}
}

// Drafts are printed without a number and marked as drafts, and nothing is billed by it.
func TestPreviewIsPrinted(t *testing.T) {
	t.Parallel()
	p := newProgram(t)
	p.must("sources", "declare", "shop", "--numbering", "none")
	p.must("terms", "set", "--file", p.file("terms.json", `{"account":"acme","charges":[{"name":"commission","measure":"amount","model":"percentage","rate":"10"}]}`))
	if r := p.run("terms", "preview", "acme", "--print", "draft.html"); r.code != exitFailed || !strings.Contains(r.stderr, "no draft to print") {
		t.Errorf("without drafts: %+v", r)
	}
	p.must("ingest", p.file("events.ndjson", `{"id":"1","source":"shop","type":"sold","account":"acme","occurred_at":"2025-01-10T12:00:00Z","currency":"EUR","amount":"100"}`+"\n"))
	p.must("close", "--through", "2024-12-31")
	p.must("adjust", "bill", "acme", "--amount=-2.50", "--currency", "EUR", "--reason", "goodwill", "--by", "jane")
	if out := p.must("terms", "preview", "acme", "--print", "draft.html"); !strings.Contains(out, "adjustment: -2.50, goodwill, by jane") {
		t.Errorf("%s", out)
	}
	html, err := os.ReadFile(filepath.Join(p.dir, "draft.html"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Draft without a number", `<div class="stamp"`, "EUR 7.50", "goodwill", "Made by jane", "preview, nothing is billed"} {
		if !strings.Contains(string(html), want) {
			t.Errorf("the draft lacks %q", want)
		}
	}
	if strings.Contains(string(html), "INV-") {
		t.Errorf("the draft has a number:\n%s", html)
	}
	p.must("terms", "preview", "acme", "--file", "terms.json", "--print", "draft.html", "--paper", "letter")
	if html, err = os.ReadFile(filepath.Join(p.dir, "draft.html")); err != nil || !strings.Contains(string(html), "proposed, not recorded") || !strings.Contains(string(html), "size: letter") {
		t.Errorf("by terms that aren't recorded: %v\n%s", err, html)
	}
	for _, wrong := range [][]string{{"--closed", "--print", "x.html"}, {"--letterhead", "terms.json"}, {"--print", "x.html", "--paper", "a3"}} {
		if r := p.run(append([]string{"terms", "preview", "acme"}, wrong...)...); r.code != exitUsage {
			t.Errorf("%v: %+v", wrong, r)
		}
	}
	if out := p.must("invoices", "list"); strings.Contains(out, "acme") {
		t.Errorf("a preview billed something:\n%s", out)
	}
}
