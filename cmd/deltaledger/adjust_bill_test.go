//go:build linux || darwin

package main

import (
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
	p.must("reconcile")
	p.must("seal")
	p.must("verify")
	if out := p.must("invoices", "list"); strings.Count(out, "acme") != 4 {
		t.Errorf("invoices:\n%s", out)
	}
}
