//go:build linux || darwin

package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"deltaledger/ledger/pg/embedded"
)

// tableOfNumbers is what a command stands still at when it is about to write numbers, with the approvals there and the issuer's lock held.
const tableOfNumbers = "billing.invoice_numbers"

// TestKillsWhileIssuing kills invoices issue between two of its approvals, before the issuer begins, and within the transaction
// that gives the numbers. Run again it issues the rest: every invoice has one number, in the order of the request, from 1 on.
func TestKillsWhileIssuing(t *testing.T) {
	t.Parallel()
	const invoices, first, middle = 40, 3, 20
	p := newProgram(t)
	conn := p.connect(embedded.Superuser)
	var events strings.Builder
	events.WriteString("id,source,stream,seqn,type,account,occurred_at,currency,amount\n")
	for i := range invoices {
		fmt.Fprintf(&events, "%d,shop,o%d,1,sold,account-%02d,2025-01-10T10:00:00Z,USD,%d\n", i, i, i, i+1)
	}
	p.must("ingest", p.file("events.csv", events.String()))
	p.must("close", "--through", "2025-01-31", "--review")
	var page struct {
		Invoices []struct{ ID, Number, Account string }
	}
	p.ask(&page, "invoices", "list", "--status", "ready")
	if len(page.Invoices) != invoices {
		t.Fatalf("%d invoices wait", len(page.Invoices))
	}
	var ids, accounts []string
	for _, v := range page.Invoices {
		ids, accounts = append(ids, v.ID), append(accounts, v.Account)
	}
	issue := append([]string{"invoices", "issue"}, ids...)
	p.must(append([]string{"invoices", "issue"}, ids[:first]...)...)

	check := func(when string, approvals, numbers int64) {
		t.Helper()
		if n := one[int64](t, conn, "SELECT count(*) FROM billing.approvals"); n != approvals {
			t.Errorf("%s there are %d approvals, want %d", when, n, approvals)
		}
		if n := one[int64](t, conn, "SELECT count(*) FROM billing.invoice_numbers"); n != numbers {
			t.Errorf("%s there are %d numbers, want %d", when, n, numbers)
		}
	}
	p.killAt(conn, fmt.Sprintf("hashtextextended('%s', 17484)", accounts[middle]), issue...)
	check("killed between two approvals", middle, first)
	p.killAt(conn, lockOfIssuer, issue...)
	check("killed before the issuer began", invoices, first)
	p.killAtTable(conn, tableOfNumbers, issue...)
	check("killed while numbers were given", invoices, first)

	for range 2 { // and once more: it has the same answer
		page.Invoices = nil
		p.ask(&page, issue...)
		for i, v := range page.Invoices {
			if want := fmt.Sprintf("INV-%06d", i+1); v.ID != ids[i] || v.Number != want {
				t.Errorf("invoice %d of the request has the number %s, want %s", i+1, v.Number, want)
			}
		}
		check("in the end", invoices, invoices)
	}
	numbersHaveNoGaps(t, conn)
	if n := one[int64](t, conn, "SELECT count(DISTINCT invoice_id) FROM billing.invoice_numbers"); n != invoices {
		t.Errorf("%d invoices have a number, want %d", n, invoices)
	}
	if n := one[int64](t, conn, sqlWithoutNumber); n != 0 || slices.Contains(ids, "") {
		t.Errorf("%d invoices have no number", n)
	}
	var run struct{ Findings []struct{ Detail string } }
	if p.ask(&run, "reconcile"); len(run.Findings) != 0 {
		t.Errorf("findings: %v", run.Findings)
	}
}
