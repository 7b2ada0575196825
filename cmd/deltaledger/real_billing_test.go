//go:build linux || darwin

package main

import (
	"flag"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"deltaledger/billing"
	"deltaledger/ledger"
	"deltaledger/ledger/pg"
	"deltaledger/ledger/pg/embedded"
)

// Each seed holds back other events, and costs about a minute.
var realSeeds = flag.Int("real.seeds", 1, "how many times the real data is billed, each time with other late events")

// The customers of the shop by what they agreed on, which their country decides. Everybody pays 1.5 %.
const (
	ordersMonthly = iota // and 0.10 for each order, every month, an invoice for each order: the default terms
	ordersWeekly         // and 0.10 for each order, every week from Monday on, an invoice for each order
	linesMonthly         // and 0.10 for each order line, every month, one invoice
)

// realGroup is what the customers of a country agreed on.
func realGroup(country string) int {
	switch country {
	case "Germany", "France", "EIRE", "Spain", "Netherlands", "Belgium", "Austria", "Switzerland":
		return ordersWeekly
	case "Australia", "Japan", "USA", "Canada", "Singapore", "Israel", "Brazil", "Norway":
		return linesMonthly
	}
	return ordersMonthly
}

// realZones are the zones of the groups' calendars.
var realZones = [...]string{ordersMonthly: "Europe/London", ordersWeekly: "Europe/Berlin", linesMonthly: "America/New_York"}

// An order is a stream of the data, and has an invoice of its own. So a price of one tier for the order lines
// sold on an invoice, however many there are, is a price for the order.
const perOrder = `[{"name":"commission","measure":"amount","model":"percentage","rate":"1.5"},
	{"name":"order","measure":"count","types":["line.sold"],"model":"volume","tiers":[{"flat_amount":"0.10"}]}]`

func realTerms(group int, account string) string {
	head := fmt.Sprintf(`{"account":%q,"zone":%q,`, account, realZones[group])
	switch group {
	case ordersWeekly:
		return head + `"cadence":"weekly","anchor":"2010-11-01","group_by":"stream","charges":` + perOrder + `}`
	case linesMonthly:
		return head + `"cadence":"monthly","group_by":"account","charges":[
			{"name":"commission","measure":"amount","model":"percentage","rate":"1.5","fixed_amount":"0.10"}]}`
	}
	return `{"zone":"` + realZones[group] + `","cadence":"monthly","group_by":"stream","charges":` + perOrder + `}`
}

// realClosed are the dates through which everything is closed, one after the other. What is held back of the
// events of one comes one, two or three closes later.
var realClosed = [...]string{"2011-09-30", "2011-10-31", "2011-11-30", "2011-12-31", "2012-01-31", "2012-02-29", "2012-03-31"}

const realWaves = 3

// TestRealBilling bills the real data by weekly and monthly terms, of which two in a hundred events come late in
// three waves, and holds every line, every invoice and their sum against figures that the test computes itself
// from the file.
func TestRealBilling(t *testing.T) {
	t.Parallel()
	path := realPath(t)
	if path == "" {
		return
	}
	for seed := range *realSeeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			billReal(t, path, seed)
		})
	}
}

func billReal(t *testing.T, path string, seed int) {
	p := newProgram(t)
	s := readShop(t, path, seed, p.dir)
	conn := p.connect(embedded.Superuser)
	p.must("ingest", s.deliveries[0])
	s.agree(t, p)
	var pinned, late, invoices int64
	for i, through := range realClosed {
		if i > 0 && s.deliveries[i] != "" {
			p.must("ingest", s.deliveries[i])
		}
		var r closeResult
		p.ask(&r, "close", "--through", through)
		pinned, late, invoices = pinned+r.Pinned, late+r.Late, invoices+r.Invoices
		if r.Late != s.late[i] {
			t.Errorf("close through %s: %d late events, want %d", through, r.Late, s.late[i])
		}
	}
	t.Logf("%d events pinned, %d of them late, %d held back; %d invoices", pinned, late, s.held, invoices)
	if pinned != realEvents || late < s.held/2 || late > s.held {
		t.Errorf("%d events pinned of %d, %d late of %d held back", pinned, realEvents, late, s.held)
	}
	s.check(t, conn)
	numbersHaveNoGaps(t, conn)
	var run struct {
		Late     int64
		Findings []struct{ Detail string }
		Checks   []struct {
			Check    string
			Compared int64
		}
	}
	p.ask(&run, "reconcile")
	if run.Late != 0 || len(run.Findings) != 0 {
		t.Errorf("reconcile: %d late, %v", run.Late, run.Findings)
	}
	for _, k := range run.Checks {
		if k.Check == "invoice" && k.Compared != invoices {
			t.Errorf("reconcile recomputed %d invoices of %d", k.Compared, invoices)
		}
	}
}

// agree records the terms: the default ones and those of each account that has others.
func (s *shop) agree(t *testing.T, p *program) {
	t.Helper()
	pool, err := pg.Open(t.Context(), strings.TrimSpace(p.must("db", "url")), pg.Options{Role: pg.App, MaxConns: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	b := billingOn(t, pool)
	set := func(raw string) {
		if _, err := b.SetTerms(t.Context(), []byte(raw), maker); err != nil {
			t.Fatal(err)
		}
	}
	set(realTerms(ordersMonthly, ""))
	for account, group := range s.groups {
		if group != ordersMonthly {
			set(realTerms(group, account))
		}
	}
}

// billingOn is the billing of the ledger that a pool is of.
func billingOn(t *testing.T, pool *pgxpool.Pool) *billing.Billing {
	t.Helper()
	l, err := ledger.Open(t.Context(), ledger.Config{Pool: pool})
	if err != nil {
		t.Fatal(err)
	}
	b, err := billing.New(l, billing.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return b
}
