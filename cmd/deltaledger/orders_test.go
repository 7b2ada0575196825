//go:build linux || darwin

package main

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
)

// openOrder is a row of the list of open orders.
type openOrder struct {
	Account, Stream, Currency, Amount string
	Events                            int64
}

// An order through the months, by the command line and the API: it waits while it is open, is billed when it is final,
// and what comes later is an adjustment.
func TestOrdersAreBilledWhenFinal(t *testing.T) {
	t.Parallel()
	p := newProgram(t)
	p.must("sources", "declare", "shop", "--numbering", "stream")
	p.must("terms", "set", "--file", p.file("terms.json", `{"bill_on":"order","finalising":["order.completed"],"charges":[
		{"name":"commission","measure":"amount","model":"percentage","rate":"10"}]}`))
	record := func(lines ...string) {
		t.Helper()
		p.must("ingest", p.file("events.ndjson", strings.Join(lines, "\n")+"\n"))
	}
	event := func(order, seqn, typ, day, amount string) string {
		return `{"id":"` + order + "-" + seqn + `","source":"shop","stream":"` + order + `","seqn":` + seqn + `,"type":"order.` + typ + `","account":"acme","occurred_at":"` +
			day + `T12:00:00Z","currency":"EUR","amount":"` + amount + `"}`
	}
	record(event("o-1", "1", "placed", "2025-01-10", "200"), event("o-2", "1", "placed", "2025-01-11", "50"), event("o-2", "2", "completed", "2025-01-20", "0"))
	var ahead struct {
		Waiting []struct {
			Currency, Amount string
			Orders, Events   int64
		}
	}
	p.ask(&ahead, "terms", "preview", "acme", "--count", "0")
	if len(ahead.Waiting) != 1 || ahead.Waiting[0].Orders != 1 || ahead.Waiting[0].Amount != "200.00" {
		t.Errorf("waiting: %+v", ahead.Waiting)
	}
	if out := p.must("terms", "preview", "acme", "--count", "0"); !strings.Contains(out, "1 order waiting to be final: 200.00 EUR of 1 event") {
		t.Errorf("preview:\n%s", out)
	}
	var r closeResult
	if p.ask(&r, "close", "--through", "2025-01-31"); r.Pinned != 2 || r.Totals["EUR"] != "5.00" {
		t.Errorf("January: %+v", r)
	}
	p.must("reconcile")
	var open struct{ Orders []openOrder }
	p.ask(&open, "orders", "open")
	if len(open.Orders) != 1 || open.Orders[0] != (openOrder{"acme", "o-1", "EUR", "200.00", 1}) {
		t.Errorf("open: %+v", open.Orders)
	}
	record(event("o-1", "2", "completed", "2025-02-10", "-20"))
	if p.ask(&r, "close", "--through", "2025-02-28"); r.Pinned != 2 || r.Totals["EUR"] != "18.00" {
		t.Errorf("February: %+v", r)
	}
	record(event("o-1", "3", "returned", "2025-03-05", "-180"))
	if p.ask(&r, "close", "--through", "2025-03-31"); r.Pinned != 1 || r.Totals["EUR"] != "-18.00" || r.Late != 0 {
		t.Errorf("March: %+v", r)
	}
	p.must("reconcile")
	p.ask(&open, "orders", "open", "--account", "acme")
	if len(open.Orders) != 0 {
		t.Errorf("open: %+v", open.Orders)
	}
	var page invoicePage
	p.ask(&page, "invoices", "list")
	if len(page.Invoices) != 3 {
		t.Fatalf("%d invoices", len(page.Invoices))
	}
	var adjusted struct {
		Lines []struct {
			Late          bool
			OriginInvoice string `json:"origin_invoice"`
		}
	}
	p.ask(&adjusted, "invoices", "show", page.Invoices[0].Number)
	if l := adjusted.Lines; len(l) != 1 || !l[0].Late || l[0].OriginInvoice != page.Invoices[1].ID {
		t.Errorf("the adjustment doesn't name the invoice of the order, %s: %+v", page.Invoices[1].ID, l)
	}
	ordersOverHTTP(t, p, event("o-3", "1", "placed", "2025-04-05", "7"))
}

// ordersOverHTTP asks the API for what waits.
func ordersOverHTTP(t *testing.T, p *program, event string) {
	s := p.serve()
	answer, err := http.Post(s.url+"/v1/events", "application/json", strings.NewReader("["+event+"]"))
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	if answer, err = http.Get(s.url + "/v1/orders/open?account=acme"); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	var open struct{ Orders []openOrder }
	if err := json.Unmarshal(body, &open); err != nil || len(open.Orders) != 1 || open.Orders[0].Stream != "o-3" || open.Orders[0].Amount != "7.00" {
		t.Errorf("open: %s, %v", body, err)
	}
}
