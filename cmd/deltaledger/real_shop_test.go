//go:build linux || darwin

package main

import (
	"context"
	"fmt"
	"hash/fnv"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"deltaledger/ledger/pg"
)

// shopLine is one event of the file with what it must come to.
type shopLine struct {
	cycle  shopCycle // where it belongs
	target string    // the first date of the cycle that bills it
	mills  int64     // its amount in thousandths
	sold   bool
	pins   int
}

// shopCycle is what is priced together: of an account or of one of its orders, in one cycle.
type shopCycle struct {
	account, stream string // stream: empty for an invoice of the account
	start           string // first date
}

// shop is the real data as the test computes with it: in whole numbers, by dates of its own.
type shop struct {
	zones      [len(realZones)]*time.Location
	groups     map[string]int // of accounts
	lines      map[string]*shopLine
	deliveries [len(realClosed)]string // files, by the close before which they come
	held       int64
	late       [len(realClosed)]int64 // events that each close has to bill late
}

// readShop reads the file and splits it into deliveries. Two in a hundred events are held back from the delivery
// that they belong to, for one to three closes.
func readShop(t *testing.T, path string, seed int, dir string) *shop {
	t.Helper()
	s := &shop{groups: map[string]int{}, lines: make(map[string]*shopLine, realEvents)}
	for i, name := range realZones {
		var err error
		if s.zones[i], err = time.LoadLocation(name); err != nil {
			t.Fatal(err)
		}
	}
	splitReal(t, path, func(_ int, record []string) string {
		id, stream, account, country := record[0], record[2], record[5], record[10]
		group, known := s.groups[account]
		if !known { // a few customers moved: what they agreed on first holds
			group = realGroup(country)
			s.groups[strings.Clone(account)] = group
		}
		at, err := time.Parse(time.RFC3339, record[6])
		if err != nil {
			t.Fatal(err)
		}
		local := at.In(s.zones[group])
		l := &shopLine{cycle: shopCycle{account: strings.Clone(account)}, mills: mills(t, record[8]), sold: record[4] == "line.sold"}
		if group != linesMonthly {
			l.cycle.stream = "online-retail/" + strings.Clone(stream)
		}
		start, last := shopDates(group, local)
		l.cycle.start = start
		s.lines[strings.Clone(id)] = l

		own := 0 // the close that closes the cycle
		for realClosed[own] < last {
			own++
		}
		arrives := 0 // the close before which it should come
		for realClosed[arrives] < local.Format(time.DateOnly) {
			arrives++
		}
		h := fnv.New64a()
		_, _ = fmt.Fprint(h, seed, "/", id) // a hash takes everything
		if sum := h.Sum64() >> 11; sum%50 == 0 {
			s.held++
			arrives += 1 + int(sum/50%realWaves)
		}
		l.target = start
		if arrives > own { // the first cycle that isn't closed by then bills it
			s.late[arrives]++
			closed, err := time.ParseInLocation(time.DateOnly, realClosed[arrives-1], s.zones[group])
			if err != nil {
				t.Fatal(err)
			}
			l.target, _ = shopDates(group, closed.AddDate(0, 0, 1))
			for s.lateTarget(group, l.target) > arrives { // that cycle ends after the close: it bills the event later
				s.late[arrives]--
				arrives++
				s.late[arrives]++
			}
		}
		if s.deliveries[arrives] == "" {
			s.deliveries[arrives] = filepath.Join(dir, fmt.Sprintf("delivery-%d.csv", arrives))
		}
		return s.deliveries[arrives]
	})
	return s
}

// lateTarget is the close that closes the cycle of a group that starts at a date.
func (s *shop) lateTarget(group int, start string) int {
	at, _ := time.ParseInLocation(time.DateOnly, start, s.zones[group])
	_, last := shopDates(group, at)
	for i, through := range realClosed {
		if last <= through {
			return i
		}
	}
	return len(realClosed)
}

// shopDates are the first and the last date of the cycle of a group that a local time is in.
func shopDates(group int, local time.Time) (start, last string) {
	y, m, d := local.Date()
	from, to := time.Date(y, m, 1, 0, 0, 0, 0, time.UTC), time.Date(y, m+1, 0, 0, 0, 0, 0, time.UTC)
	if group == ordersWeekly {
		from = time.Date(y, m, d-(int(local.Weekday())+6)%7, 0, 0, 0, 0, time.UTC)
		to = from.AddDate(0, 0, 6)
	}
	return from.Format(time.DateOnly), to.Format(time.DateOnly)
}

// mills reads an amount of at most three digits after the point as thousandths.
func mills(t *testing.T, text string) int64 {
	t.Helper()
	digits, negative := strings.CutPrefix(text, "-")
	whole, fraction, _ := strings.Cut(digits, ".")
	var n int64
	if _, err := fmt.Sscanf(whole+(fraction + "000")[:3], "%d", &n); err != nil || len(fraction) > 3 {
		t.Fatalf("amount %s: %v", text, err)
	}
	if negative {
		return -n
	}
	return n
}

// round is what some millionths of a pound are in pence: halves away from zero.
func round(millionths int64) int64 {
	if millionths < 0 {
		return -((-millionths + 5000) / 10_000)
	}
	return (millionths + 5000) / 10_000
}

const sqlRealPins = `
SELECT e.event_id, p.invoice_id::text, p.origin_start, i.cycle_start, i.account, COALESCE(i.stream, '')
FROM billing.pins p
JOIN billing.invoices i ON i.account = p.account AND i.id = p.invoice_id
JOIN ledger.events e ON e.position = p.position AND e.recorded_at = p.recorded_at`

const sqlRealLines = `
SELECT i.id::text, l.origin_start, l.charge, i.account, COALESCE(i.stream, ''), l.late, l.events, (l.added * 1000)::bigint, (l.before * 1000)::bigint,
       (l.billed * 100)::bigint, (l.amount * 100)::bigint, (i.total * 100)::bigint
FROM billing.invoices i
JOIN billing.invoice_lines l ON l.account = i.account AND l.invoice_id = i.id
ORDER BY i.position, l.line`

// shopSums are what some events come to.
type shopSums struct{ mills, events, sold int64 }

func (s shopSums) plus(l *shopLine) shopSums {
	s.mills, s.events = s.mills+l.mills, s.events+1
	if l.sold {
		s.sold++
	}
	return s
}

// pence is what a charge bills for the events of a cycle.
func (s shopSums) pence(charge string, group int) int64 {
	commission := s.mills * 15 // 1.5 % of thousandths are millionths
	switch {
	case charge == "order" && s.sold > 0:
		return 10
	case charge == "commission" && group == linesMonthly:
		return round(commission + 100_000*s.events)
	case charge == "commission":
		return round(commission)
	}
	return 0
}

// pinnedOn is the part of an invoice that is for one cycle.
type pinnedOn struct {
	invoice string
	cycle   shopCycle
}

// check holds what was billed against the file.
func (s *shop) check(t *testing.T, conn *pgx.Conn) {
	t.Helper()
	parts := s.checkPins(t, conn)
	whole := map[shopCycle]shopSums{}
	for _, l := range s.lines {
		if whole[l.cycle] = whole[l.cycle].plus(l); l.pins != 1 {
			t.Errorf("an event of %+v has %d pins", l.cycle, l.pins)
		}
	}
	billed := s.checkLines(t, conn, parts)
	var want, got int64
	for cycle, sums := range whole {
		pence := sums.pence("commission", s.groups[cycle.account])
		if cycle.stream != "" {
			pence += sums.pence("order", s.groups[cycle.account])
		}
		if want += pence; billed[cycle] != pence {
			t.Errorf("%+v: %d pence were billed, want %d", cycle, billed[cycle], pence)
		}
	}
	if got = one[int64](t, conn, `SELECT (sum(total) * 100)::bigint FROM billing.invoices`); got != want || len(billed) != len(whole) {
		t.Errorf("all invoices come to %d pence for %d cycles, want %d for %d", got, len(billed), want, len(whole))
	}
	t.Logf("%d pence for %d orders and accounts by cycle", got, len(whole))
}

// checkPins holds every pin against the cycle of its event and the one that had to bill it, and adds up the events of each invoice.
func (s *shop) checkPins(t *testing.T, conn *pgx.Conn) map[pinnedOn]shopSums {
	t.Helper()
	parts := map[pinnedOn]shopSums{}
	var id, invoice string
	var c shopCycle
	var origin, target time.Time
	err := pg.ForEach(context.Background(), conn, []any{&id, &invoice, &origin, &target, &c.account, &c.stream}, func() error {
		l := s.lines[id]
		if l == nil {
			return fmt.Errorf("event %s isn't one of the file", id)
		}
		l.pins++
		zone := s.zones[s.groups[c.account]]
		c.start = origin.In(zone).Format(time.DateOnly)
		if at := target.In(zone).Format(time.DateOnly); c != l.cycle || at != l.target {
			t.Errorf("event %s is pinned for %+v in the cycle from %s, want %+v from %s", id, c, at, l.cycle, l.target)
		}
		at := pinnedOn{invoice, c}
		parts[at] = parts[at].plus(l)
		return nil
	}, sqlRealPins)
	if err != nil {
		t.Fatal(err)
	}
	return parts
}

// checkLines computes every line again, in the order of the invoices, and returns what was billed for each cycle.
func (s *shop) checkLines(t *testing.T, conn *pgx.Conn, parts map[pinnedOn]shopSums) map[shopCycle]int64 {
	t.Helper()
	type chain struct {
		cycle  shopCycle
		charge string
	}
	type past struct {
		sums   shopSums
		billed int64
	}
	before, billed := map[chain]past{}, map[shopCycle]int64{}
	totals, lines := map[string][2]int64{}, 0
	var invoice, charge string
	var origin time.Time
	var c shopCycle
	var late bool
	var events, added, held, charged, amount, total int64
	err := pg.ForEach(context.Background(), conn, []any{&invoice, &origin, &charge, &c.account, &c.stream, &late, &events, &added, &held, &charged, &amount, &total}, func() error {
		lines++
		group := s.groups[c.account]
		c.start = origin.In(s.zones[group]).Format(time.DateOnly)
		key := chain{c, charge}
		part, p := parts[pinnedOn{invoice, c}], before[key]
		now := past{shopSums{p.sums.mills + part.mills, p.sums.events + part.events, p.sums.sold + part.sold}, 0}
		now.billed = now.sums.pence(charge, group)
		ok := amount == now.billed-p.billed && charged == p.billed && (late || p.sums.events == 0)
		if charge == "commission" {
			ok = ok && added == part.mills && events == part.events && held == p.sums.mills
		} else {
			ok = ok && events == part.sold
		}
		if !ok {
			t.Errorf("invoice %s, %s for %+v: %d events, %d added to %d, %d billed to %d; computed %+v after %+v", invoice, charge, c, events, added, held, amount, charged, now, p)
		}
		before[key], billed[c] = now, billed[c]+amount
		totals[invoice] = [2]int64{totals[invoice][0] + amount, total}
		return nil
	}, sqlRealLines)
	if err != nil {
		t.Fatal(err)
	}
	for invoice, sum := range totals {
		if sum[0] != sum[1] {
			t.Errorf("invoice %s has the total %d, and its lines come to %d", invoice, sum[1], sum[0])
		}
	}
	t.Logf("%d invoices of %d lines computed again", len(totals), lines)
	return billed
}
