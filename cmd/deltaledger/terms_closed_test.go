//go:build linux || darwin

package main

import (
	"strings"
	"testing"
)

// What new default terms change for closed cycles is seen for all accounts, with the sum, before it is recorded; then the next
// close brings it.
func TestDefaultTermsForClosedCycles(t *testing.T) {
	t.Parallel()
	p := newProgram(t)
	p.must("sources", "declare", "shop", "--numbering", "none")
	terms := func(rate string) string {
		return p.file("default-"+rate+".json", `{"effective_from":"2025-01-01","charges":[{"name":"commission","measure":"amount","model":"percentage","rate":"`+rate+`"}]}`)
	}
	p.must("terms", "set", "--file", terms("10"))
	p.must("terms", "set", "--file", p.file("quarters.json", `{"account":"own","effective_from":"2025-01-01","charges":[{"name":"fee","measure":"amount","model":"sum"}]}`))
	var lines []string
	for _, account := range []string{"acme", "initech", "own"} {
		lines = append(lines, `{"id":"`+account+`","source":"shop","type":"sold","account":"`+account+`","occurred_at":"2025-01-10T12:00:00Z","currency":"EUR","amount":"100"}`)
	}
	p.must("ingest", p.file("events.ndjson", strings.Join(lines, "\n")+"\n"))
	p.must("close", "--through", "2025-01-31")

	var ahead []struct {
		Account string
		Changes int
		Sums    map[string]string
	}
	p.ask(&ahead, "terms", "preview", "--file", terms("7"), "--closed")
	if len(ahead) != 2 || ahead[0].Account != "acme" || ahead[1].Account != "initech" || ahead[1].Changes != 1 || ahead[1].Sums["EUR"] != "-3.00" {
		t.Errorf("preview: %+v", ahead)
	}
	if p.ask(&ahead, "terms", "preview", "--file", terms("7"), "--closed", "--after", "acme"); len(ahead) != 1 {
		t.Errorf("after acme: %+v", ahead)
	}
	if out := p.must("terms", "preview", "--file", terms("7"), "--closed"); !strings.Contains(out, "3 accounts looked at; the next closes change the bills of 2 by -6.00 EUR") {
		t.Errorf("preview:\n%s", out)
	}
	for _, wrong := range [][]string{{"terms", "preview"}, {"terms", "preview", "acme", "--closed", "--after", "x"}, {"terms", "set", "--file", terms("7"), "--adjust-closed"}} {
		if r := p.run(wrong...); r.code != exitUsage {
			t.Errorf("%v: %d %s", wrong, r.code, r.stderr)
		}
	}
	var recorded struct {
		Accounts int64 `json:"adjusts_accounts"`
		LeftOut  int64 `json:"left_out"`
	}
	p.ask(&recorded, "terms", "set", "--file", terms("7"), "--adjust-closed", "--why", "new price list", "--by", "jane")
	if recorded.Accounts != 2 || recorded.LeftOut != 0 {
		t.Errorf("recorded: %+v", recorded)
	}
	var r closeResult
	if p.ask(&r, "close", "--through", "2025-02-28"); r.Totals["EUR"] != "-6.00" || r.Invoices != 2 {
		t.Errorf("February: %+v", r)
	}
	p.must("reconcile")
	p.must("seal")
	p.must("verify")
}
