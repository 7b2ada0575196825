package billing

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/shopspring/decimal"
	"pgregory.net/rapid"

	"deltaledger/ledger"
)

// What must hold of a ledger in which nothing billable of a closed cycle is open any more. Each query
// counts rows that break the law.
var laws = map[string]string{
	"an invoice isn't the sum of its lines": `
		SELECT count(*) FROM billing.invoices i
		WHERE i.total <> (SELECT COALESCE(sum(l.amount), 0) FROM billing.invoice_lines l WHERE l.account = i.account AND l.invoice_id = i.id)`,
	"an invoice doesn't hold as many pins as it says": `
		SELECT count(*) FROM billing.invoices i
		WHERE i.pinned <> (SELECT count(*) FROM billing.pins p WHERE p.account = i.account AND p.invoice_id = i.id)`,
	"an event has two live pins": `
		SELECT count(*) FROM (SELECT position FROM billing.pins_v1 WHERE live GROUP BY position HAVING count(*) > 1) d`,
	"numbers have gaps": `
		SELECT COALESCE(sum(s.gaps), 0)::bigint FROM (
			SELECT max(number) - count(*) AS gaps FROM billing.invoice_numbers GROUP BY series
			UNION ALL SELECT max(number) - count(*) FROM billing.credit_note_numbers GROUP BY series) s`,
	"an invoice shows another sum than its payments and credit notes": `
		SELECT count(*) FROM billing.invoices_v1 i
		WHERE i.voided IS NULL AND i.open <> i.total - COALESCE((SELECT sum(p.amount) FROM billing.payments_v1 p WHERE p.invoice_id = i.id), 0)
			- COALESCE((SELECT sum(l.amount) FROM billing.credit_note_lines_v1 l WHERE l.invoice_id = i.id), 0)`,
	"a void invoice is paid or credited": `
		SELECT count(*) FROM billing.invoices_v1 i
		WHERE i.voided IS NOT NULL AND (i.paid <> 0 OR EXISTS (SELECT FROM billing.credit_notes_v1 c WHERE c.invoice_id = i.id))`,
	"credit notes take back more than a line bills": `
		SELECT count(*) FROM billing.invoice_lines l
		JOIN (SELECT account, invoice_id, line, sum(amount) AS amount FROM billing.credit_note_lines GROUP BY 1, 2, 3) c USING (account, invoice_id, line)
		WHERE sign(c.amount) = -sign(l.amount) AND c.amount <> 0 OR abs(c.amount) > abs(l.amount)`,
	"a credit note that is cancelled takes something back": `
		SELECT count(*) FROM billing.credit_notes c JOIN billing.credit_notes x ON x.account = c.account AND x.cancels = c.id
		WHERE x.total <> -c.total OR x.cancels IS NULL OR c.cancels IS NOT NULL OR x.position < c.position`,
	"an invoice that waits for a person was issued": `
		SELECT count(*) FROM billing.invoices_v1 i
		WHERE i.review IS NOT NULL AND i.printed IS NOT NULL AND NOT EXISTS (SELECT FROM billing.approvals a WHERE a.invoice_id = i.id)`,
	"a pin is on an earlier cycle's invoice": `
		SELECT count(*) FROM billing.pins p JOIN billing.invoices i ON i.id = p.invoice_id WHERE p.origin_start > i.cycle_start`,
	"a pin is above its invoice's watermark": `
		SELECT count(*) FROM billing.pins p JOIN billing.invoices i ON i.id = p.invoice_id WHERE p.position > i.watermark`,
	"an event is on another cycle than its own without a record of why": `
		SELECT count(*) FROM billing.pins p JOIN billing.invoices i ON i.id = p.invoice_id
		WHERE p.origin_start <> i.cycle_start
		  AND NOT EXISTS (SELECT FROM billing.late_events n WHERE n.account = p.account AND n.position = p.position AND (n.origin_start = p.origin_start OR n.finalised_by IS NOT NULL))
		  AND NOT EXISTS (
			SELECT FROM ledger.events e JOIN billing.orders o ON o.account = e.account AND o.stream = e.stream
			WHERE e.position = p.position AND o.finalised_at >= p.origin_start AND o.finalised_at < e.occurred_at)
		  AND NOT EXISTS (SELECT FROM billing.invoice_lines l WHERE l.account = p.account AND l.origin_start = p.origin_start AND l.rerating IS NOT NULL)`,
	"an event that waits is on an invoice": `
		SELECT count(*) FROM billing.carried w WHERE w.settled IS NULL AND EXISTS (SELECT FROM billing.pins p WHERE p.account = w.account AND p.position = w.position)`,
	"an event is on the invoice of a cycle before its own": `
		SELECT count(*) FROM billing.pins p JOIN billing.invoices i ON i.id = p.invoice_id JOIN ledger.events e ON e.position = p.position
		WHERE e.occurred_at >= i.cycle_end`,
	"an adjustment counts twice, or before anybody approved it": `
		SELECT count(*) FROM (
			SELECT a.id FROM billing.adjustments a
			JOIN billing.invoice_lines l ON l.adjustment = a.id
			LEFT JOIN billing.adjustment_decisions d ON d.adjustment = a.id
			WHERE NOT EXISTS (SELECT FROM billing.voids v WHERE v.invoice_id = l.invoice_id)
			GROUP BY a.id HAVING count(*) > 1 OR bool_or(a.waits AND d.outcome IS DISTINCT FROM 'approved') OR bool_or(l.amount <> a.amount)) x`,
	"an event in its own cycle is recorded as late": `
		SELECT count(*) FROM billing.pins p JOIN billing.invoices i ON i.id = p.invoice_id
		JOIN billing.late_events n ON n.account = p.account AND n.position = p.position
		WHERE p.origin_start = i.cycle_start`,
	"the lines of a cycle don't add up to its rounded price": `
		SELECT count(*) FROM (
			SELECT sum(l.amount) AS amount, sum(l.added) * COALESCE(((array_agg(l.definition))[1]->>'rate')::numeric / 100, 1) AS exact
			FROM billing.invoice_lines l JOIN billing.invoices i ON i.id = l.invoice_id
			WHERE l.adjustment IS NULL
			  AND NOT EXISTS (SELECT FROM billing.reratings r WHERE r.account = l.account AND l.origin_start >= r.from_at AND l.origin_start < r.through_at)
			  AND NOT EXISTS (SELECT FROM billing.voids v WHERE v.invoice_id = i.id)
			GROUP BY i.account, l.charge, l.origin_start, i.currency, i.stream
		) s WHERE amount <> round(exact, 2)`,
	"a late line doesn't name the invoice of its cycle": `
		SELECT count(*) FROM billing.invoice_lines l JOIN billing.invoices i ON i.id = l.invoice_id
		WHERE l.late AND l.origin_invoice IS NULL AND l.before_counted > 0`,
	"a line doesn't hold what the pins say": `
		SELECT count(*) FROM billing.invoice_lines l
		WHERE l.charge = 'all' AND l.pinned || ' ' || trim_scale(l.added) IS DISTINCT FROM (
			SELECT count(*) || ' ' || trim_scale(COALESCE(sum(e.amount), 0)) FROM billing.pins p JOIN ledger.events e USING (position, recorded_at)
			WHERE p.account = l.account AND p.invoice_id = l.invoice_id AND p.origin_start = l.origin_start AND e.type <> 'page.viewed')`,
}

func (f *fixture) checkLaws() {
	f.Helper()
	for law, sql := range laws {
		if n := f.number(sql); n != 0 {
			f.Errorf("%s: %d", law, n)
		}
	}
}

// Each history costs about a second.
var worlds = flag.Int("worlds", 12, "how many random histories of billing are played")

// world is a random history of one ledger. Each history is played in years of its own, after those
// of the one before, so that one database serves many.
type world struct {
	*fixture
	rt       *rapid.T
	base     time.Time
	tag      string
	accounts []string
	events   map[int64]ledger.Event
}

const perTenth = `{"account":%q,"cadence":%q,"zone":%q,"grace":%q,"group_by":%q,"charges":[
	{"name":"all","measure":"amount","types":["order.placed","order.returned"],"model":"sum"},
	{"name":"fee","measure":"amount","types":["order.placed"],"model":"percentage","rate":"1.37"}]}`

func (w *world) setTerms() {
	account := rapid.SampledFrom(append(w.accounts, "")).Draw(w.rt, "account of terms")
	cadence := rapid.SampledFrom([]string{"weekly", "monthly", "daily"}).Draw(w.rt, "cadence")
	raw := fmt.Sprintf(perTenth, account, cadence,
		rapid.SampledFrom([]string{"UTC", "America/New_York", "Asia/Tokyo"}).Draw(w.rt, "zone"),
		rapid.SampledFrom([]string{"0h", "2d", "9d"}).Draw(w.rt, "grace"), rapid.SampledFrom([]string{"account", "stream"}).Draw(w.rt, "group by"))
	if account == "" {
		raw = "{" + raw[len(`{"account":"",`):]
	} else if rapid.Bool().Draw(w.rt, "partly") {
		raw = w.partly(account)
	}
	if cadence == "daily" && account == "" {
		raw = `{"every":11,` + raw[1:]
	}
	w.terms(raw)
}

// partly are terms of an account that leave most to the default terms.
func (w *world) partly(account string) string {
	start := DateOf(w.now().AddDate(0, 0, rapid.IntRange(-40, 40).Draw(w.rt, "start"))).String()
	return fmt.Sprintf(rapid.SampledFrom([]string{
		`{"account":%q}`,
		`{"account":%q,"grace":"4d"}`,
		`{"account":%q,"cadence":"daily","every":5}`,
		`{"account":%q,"zone":"America/Santiago"}`,
		`{"account":%q,"anchor":"anniversary","start":"` + start + `"}`,
		`{"account":%q,"cadence":"monthly","start":"` + start + `"}`,
		`{"account":%q,"effective_from":"` + start + `","group_by":"stream"}`,
	}).Draw(w.rt, "document"), account)
}

func (w *world) arrive() {
	n := rapid.IntRange(1, 12).Draw(w.rt, "events")
	batch := make([]ledger.Event, n)
	for i := range batch {
		back := time.Duration(rapid.IntRange(0, 100*24).Draw(w.rt, "hours ago")) * time.Hour
		e := ledger.Event{
			ID: fmt.Sprintf("%s-%d", w.tag, w.next.Add(1)), Source: "orders", Currency: "USD", OccurredAt: w.now().Add(-back).UTC(),
			Account: rapid.SampledFrom(w.accounts).Draw(w.rt, "account"),
			Stream:  rapid.SampledFrom([]string{"", "s1", "s2"}).Draw(w.rt, "stream"),
			Type:    rapid.SampledFrom([]string{"order.placed", "order.placed", "order.returned", "page.viewed"}).Draw(w.rt, "type"),
		}
		e.Currency = rapid.SampledFrom([]string{"USD", "EUR"}).Draw(w.rt, "currency")
		a, err := ledger.AmountOf(decimal.New(rapid.Int64Range(-99999, 99999).Draw(w.rt, "amount"), -3))
		if err != nil {
			w.rt.Fatal(err)
		}
		e.Amount = a
		batch[i] = e
	}
	kept := append([]ledger.Event{}, batch...)
	for i, p := range w.record(batch...) {
		w.events[p] = kept[i]
	}
}

func (w *world) closeSome() {
	account := ""
	if rapid.IntRange(0, 2).Draw(w.rt, "one") == 0 {
		account = rapid.SampledFrom(w.accounts).Draw(w.rt, "account to close")
	}
	through := DateOf(w.now().AddDate(0, 0, -rapid.IntRange(0, 20).Draw(w.rt, "days back")))
	ctx := w.Context()
	if rapid.IntRange(0, 4).Draw(w.rt, "interrupt") == 0 { // a run that is stopped somewhere
		stopped, cancel := context.WithTimeout(ctx, time.Duration(rapid.IntRange(1, 40).Draw(w.rt, "after ms"))*time.Millisecond)
		_, _ = w.b.Close(stopped, CloseRequest{Through: through, Account: account, By: "t"})
		cancel()
	}
	done, err := w.b.Close(ctx, CloseRequest{Through: through, Account: account, By: "t"})
	if errors.Is(err, ledger.ErrNotFound) && account != "" {
		return
	}
	if err != nil || len(done.Failed) > 0 {
		w.rt.Fatalf("close: %v %+v", err, done.Failed)
	}
}

func (w *world) heal() {
	account := rapid.SampledFrom(w.accounts).Draw(w.rt, "account to heal")
	at := w.watermark()
	want, _, err := w.b.LateCandidates(w.Context(), account, at)
	if err != nil {
		w.rt.Fatal(err)
	}
	late, healed, err := w.b.Heal(w.Context(), account, at, "run")
	if err != nil || late != want || healed != want {
		w.rt.Fatalf("healed %d of %d, want %d: %v", healed, late, want, err)
	}
	if late, _, err := w.b.Heal(w.Context(), account, at, "run"); err != nil || late != 0 {
		w.rt.Fatalf("healed again: %d %v", late, err)
	}
}

func (w *world) voidOne() {
	p, err := w.b.List(w.Context(), InvoiceQuery{Account: rapid.SampledFrom(w.accounts).Draw(w.rt, "account to void"), Status: Issued})
	if err != nil || len(p.Invoices) == 0 {
		return
	}
	v := rapid.SampledFrom(p.Invoices).Draw(w.rt, "invoice to void")
	w.fixture.void(v.ID.String(), Rebill)
}

// check compares every event with the invoice that it must be on: that of its own cycle if its
// position isn't above the watermark of any close of it, and of a later one otherwise.
func (w *world) check() {
	const sqlPin = `
SELECT p.origin_start, i.cycle_start, COALESCE(i.stream, '')
FROM billing.pins_v1 p JOIN billing.invoices i ON i.id = p.invoice_id
WHERE p.account = $1 AND p.position = $2 AND p.live`
	for position, e := range w.events {
		cal, err := w.b.calendarOf(w.Context(), w.b.pool, e.Account)
		if err != nil {
			w.rt.Fatal(err)
		}
		cy := cal.Cycle(e.OccurredAt)
		billable := false
		for _, c := range cal.TermsAt(cy.Start).Charges {
			billable = billable || c.SelectsType(e.Type)
		}
		var origin, on time.Time
		var stream string
		err = w.db.App.QueryRow(w.Context(), sqlPin, e.Account, position).Scan(&origin, &on, &stream)
		switch {
		case isNoRows(err):
			if billable {
				w.rt.Errorf("event %d of %s at %s is on no invoice", position, e.Account, e.OccurredAt)
			}
			continue
		case err != nil:
			w.rt.Fatal(err)
		case !billable:
			w.rt.Errorf("event %d of type %s is on an invoice", position, e.Type)
		case !origin.Equal(cy.Start):
			w.rt.Errorf("event %d at %s has the cycle of %s, want %s", position, e.OccurredAt, origin, cy.Start)
		}
		if byStream := cal.TermsAt(cy.Start).GroupBy == GroupByStream && e.Stream != ""; byStream != (stream != "") {
			w.rt.Errorf("event %d is on the invoice of stream %q", position, stream)
		}
	}
}

// exact holds the sum of the exact amounts of the live lines against the events.
func (w *world) exact() {
	const sqlExact = `
SELECT COALESCE(sum(l.exact), 0)
FROM billing.invoice_lines l
JOIN billing.invoices i ON i.id = l.invoice_id
WHERE l.account = $1 AND i.currency = $2 AND l.charge = 'fee' AND NOT EXISTS (SELECT FROM billing.voids v WHERE v.invoice_id = i.id)`
	for _, account := range w.accounts {
		for _, currency := range []string{"USD", "EUR"} {
			want := decimal.Zero
			cal, err := w.b.calendarOf(w.Context(), w.b.pool, account)
			if err != nil {
				w.rt.Fatal(err)
			}
			for _, e := range w.events {
				terms := cal.TermsAt(e.OccurredAt)
				if e.Account == account && e.Currency == currency && e.Type == "order.placed" && len(terms.Charges) == 2 {
					want = want.Add(e.Amount.Decimal().Mul(dec("0.0137")))
				}
			}
			var got decimal.Decimal
			if err := w.db.App.QueryRow(w.Context(), sqlExact, account, currency).Scan(&got); err != nil {
				w.rt.Fatal(err)
			}
			if !got.Equal(want) {
				w.rt.Errorf("%s %s: lines have %s, events %s", account, currency, got, want)
			}
		}
	}
}

// Whatever arrives when, is closed, interrupted, healed, voided and given other terms: in the end every
// billable event is on exactly one live invoice, and everything adds up.
func TestBillingLaw(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "1950-01-01T00:00:00Z")
	f.terms(`{"charges":[{"name":"all","measure":"amount","types":["order.placed","order.returned"],"model":"sum"},
		{"name":"fee","measure":"amount","types":["order.placed"],"model":"percentage","rate":"1.37"}]}`)
	world0 := 0
	start := mustTime(t, "1950-03-15T10:00:00Z")
	rapid.Check(t, func(rt *rapid.T) {
		if world0 == *worlds && !t.Failed() {
			return
		}
		w := &world{fixture: f, rt: rt, base: start.AddDate(world0, 0, 0), events: map[int64]ledger.Event{}}
		world0++
		w.tag = fmt.Sprintf("w%d", world0)
		for i := range rapid.IntRange(1, 3).Draw(rt, "accounts") {
			w.accounts = append(w.accounts, fmt.Sprintf("%s-%d", w.tag, i))
		}
		w.clock.Store(&w.base)
		rt.Repeat(map[string]func(*rapid.T){
			"terms":  func(*rapid.T) { w.setTerms() },
			"arrive": func(*rapid.T) { w.arrive() },
			"close":  func(*rapid.T) { w.closeSome() },
			"heal":   func(*rapid.T) { w.heal() },
			"void":   func(*rapid.T) { w.voidOne() },
			"wait": func(rt *rapid.T) {
				later := w.now().AddDate(0, 0, rapid.IntRange(1, 25).Draw(rt, "days"))
				if later.Before(w.base.AddDate(0, 8, 0)) {
					w.clock.Store(&later)
				}
			},
		})
		for range 2 { // the second closes the cycle that what is late by then goes to
			later := w.now().AddDate(0, 1, 12)
			w.clock.Store(&later)
			done, err := w.b.Close(w.Context(), CloseRequest{Through: DateOf(later), By: "t"})
			if err != nil || len(done.Failed) > 0 {
				rt.Fatalf("close: %v %+v", err, done.Failed)
			}
		}
		w.check()
		w.exact()
		for law, sql := range laws {
			if n := f.number(sql); n != 0 {
				rt.Errorf("%s: %d", law, n)
			}
		}
	})
}

// Runs at the same time have the effect of one.
func TestRunsAtTheSameTime(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "2026-02-03T00:00:00Z")
	var events []ledger.Event
	for i := range 60 {
		events = append(events, f.event(fmt.Sprintf("a%d", i%20), "2026-01-10T00:00:00Z", "1"))
	}
	f.record(events...)
	results := make([]CloseResult, 4)
	var all sync.WaitGroup
	for i := range results {
		all.Go(func() {
			var err error
			if results[i], err = f.b.Close(f.Context(), CloseRequest{Through: mustDate(t, "2026-01-31"), By: "tester"}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	var invoices, pinned int64
	for _, r := range results {
		invoices, pinned = invoices+r.Invoices, pinned+r.Pinned
		if len(r.Failed) > 0 {
			t.Errorf("failed: %+v", r.Failed)
		}
	}
	if invoices != 20 || pinned != 60 || f.number("SELECT count(*) FROM billing.invoice_numbers") != 20 {
		t.Errorf("%d invoices, %d pins", invoices, pinned)
	}
	f.checkLaws()
}

// A run that is stopped anywhere leaves nothing that the next one can't finish.
func TestStoppedRunsAreFinishedByTheNext(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "2026-02-03T00:00:00Z")
	random := rand.New(rand.NewPCG(1, 2))
	var events []ledger.Event
	for i := range 200 {
		events = append(events, f.event(fmt.Sprintf("a%d", i%100), "2026-01-10T00:00:00Z", "1"))
	}
	f.record(events...)
	for range 12 {
		ctx, cancel := context.WithCancel(f.Context())
		stop := random.IntN(40)
		_, err := f.b.Close(ctx, CloseRequest{Through: mustDate(t, "2026-01-31"), By: "tester", Progress: func(done, _ int) {
			if done == stop {
				cancel()
			}
		}})
		cancel()
		if err == nil {
			break
		}
	}
	f.close("2026-01-31")
	if n := f.number("SELECT count(*) FROM billing.pins"); n != 200 {
		t.Errorf("%d pins", n)
	}
	if n := f.number("SELECT count(*) FROM billing.invoice_numbers"); n != 100 {
		t.Errorf("%d numbers", n)
	}
	f.checkLaws()
}

// Events that are held back in an open transaction while a run takes its watermark are late, also of
// an account that was never seen, and for a cycle that was empty.
func TestHeldBackEvents(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "2026-02-03T00:00:00Z")
	f.record(f.event("acme", "2025-12-05T00:00:00Z", "1"))
	w := f.watermark()
	f.record(f.event("acme", "2026-01-05T00:00:00Z", "2"), f.event("new", "2026-01-05T00:00:00Z", "4"), f.event("new", "1980-01-05T00:00:00Z", "8"))
	f.closeAt(w, "2026-01-31")
	if n := f.number("SELECT count(*) FROM billing.pins"); n != 1 {
		t.Fatalf("%d events were billed at the watermark", n)
	}
	at := f.watermark()
	for account, want := range map[string]int64{"acme": 1, "new": 2} {
		late, healed, err := f.b.Heal(f.Context(), account, at, "night")
		if err != nil || late != want || healed != want {
			t.Errorf("%s: late %d, healed %d, want %d: %v", account, late, healed, want, err)
		}
	}
	if n := f.number("SELECT count(*) FROM billing.late_events WHERE found_by = 'reconcile' AND run = 'night' AND closed_watermark = $1 AND target_start = '2026-02-01Z'", w.Position); n != 3 {
		t.Errorf("%d records of lateness", n)
	}
	f.at("2026-03-03T00:00:00Z")
	if done := f.close("2026-02-28"); done.Late != 3 {
		t.Errorf("result: %+v", done)
	}
	if n := f.number("SELECT count(*) FROM billing.late_events"); n != 3 {
		t.Errorf("%d records of lateness after the close", n)
	}
	f.checkLaws()
}

// closeAt is a run whose watermark was taken some time ago.
func (f *fixture) closeAt(w ledger.Watermark, through string) {
	f.Helper()
	r := CloseRequest{Through: mustDate(f, through), By: "tester"}
	run, err := f.b.beginRun(f.Context(), r, w)
	if err != nil {
		f.Fatal(err)
	}
	if err := f.b.DeriveAccounts(f.Context(), w); err != nil {
		f.Fatal(err)
	}
	c := &closing{Billing: f.b, run: run, request: r, result: CloseResult{Totals: map[string]Money{}}}
	if err := c.all(f.Context()); err != nil {
		f.Fatal(err)
	}
	if err := c.end(f.Context()); err != nil {
		f.Fatal(err)
	}
}
