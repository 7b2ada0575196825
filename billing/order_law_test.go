package billing

import (
	"errors"
	"flag"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/shopspring/decimal"
	"pgregory.net/rapid"

	"deltaledger/ledger"
)

// Each history costs about a second.
var orderWorlds = flag.Int("order-worlds", 12, "how many random histories of billing by order are played")

// orderWorld is a random history of orders: of a few accounts that share them, billed by order or by event as
// their terms change.
type orderWorld struct {
	*fixture
	rt       *rapid.T
	base     time.Time
	tag      string
	accounts []string
	streams  []string
	events   map[int64]ledger.Event
}

func (w *orderWorld) setTerms() {
	account := rapid.SampledFrom(w.accounts).Draw(w.rt, "account of terms")
	on := rapid.SampledFrom([]string{
		`"bill_on":"event"`, `"bill_on":"order","finalising":["order.completed"]`, `"bill_on":"order","finalising":["order.completed"]`,
		`"bill_on":"order","finalising":["order.completed","order.cancelled"]`,
	}).Draw(w.rt, "bill on")
	w.terms(fmt.Sprintf(`{"account":%q,"cadence":%q,"zone":"UTC","grace":%q,"group_by":%q,%s}`, account,
		rapid.SampledFrom([]string{"weekly", "monthly"}).Draw(w.rt, "cadence"), rapid.SampledFrom([]string{"0h", "3d"}).Draw(w.rt, "grace"),
		rapid.SampledFrom([]string{"account", "stream"}).Draw(w.rt, "group by"), on))
}

func (w *orderWorld) arrive() {
	n := rapid.IntRange(1, 10).Draw(w.rt, "events")
	batch := make([]ledger.Event, n)
	for i := range batch {
		back := time.Duration(rapid.IntRange(0, 80*24).Draw(w.rt, "hours ago")) * time.Hour
		a, err := ledger.AmountOf(decimal.New(rapid.Int64Range(-9999, 9999).Draw(w.rt, "amount"), -3))
		if err != nil {
			w.rt.Fatal(err)
		}
		batch[i] = ledger.Event{
			ID: fmt.Sprintf("%s-%d", w.tag, w.next.Add(1)), Source: "orders", OccurredAt: w.now().Add(-back).UTC(), Amount: a,
			Account:  rapid.SampledFrom(w.accounts).Draw(w.rt, "account"),
			Stream:   rapid.SampledFrom(w.streams).Draw(w.rt, "stream"),
			Type:     rapid.SampledFrom([]string{"order.placed", "order.placed", "order.placed", "page.viewed", "order.completed", "order.cancelled"}).Draw(w.rt, "type"),
			Currency: rapid.SampledFrom([]string{"USD", "EUR"}).Draw(w.rt, "currency"),
		}
	}
	kept := slices.Clone(batch)
	for i, p := range w.record(batch...) {
		w.events[p] = kept[i]
	}
}

func (w *orderWorld) closeSome() {
	r := CloseRequest{Through: DateOf(w.now().AddDate(0, 0, -rapid.IntRange(0, 20).Draw(w.rt, "days back"))), By: "t"}
	if rapid.Bool().Draw(w.rt, "one") {
		r.Account = rapid.SampledFrom(w.accounts).Draw(w.rt, "account to close")
	}
	done, err := w.b.Close(w.Context(), r)
	if errors.Is(err, ledger.ErrNotFound) && r.Account != "" {
		return
	}
	if err != nil || len(done.Failed) > 0 {
		w.rt.Fatalf("close: %v %+v", err, done.Failed)
	}
}

func (w *orderWorld) heal() {
	account, at := rapid.SampledFrom(w.accounts).Draw(w.rt, "account to heal"), w.watermark()
	want, _, err := w.b.LateCandidates(w.Context(), account, at)
	if err != nil {
		w.rt.Fatal(err)
	}
	if late, healed, err := w.b.Heal(w.Context(), account, at, "run"); err != nil || late != want || healed != want {
		w.rt.Fatalf("healed %d of %d, want %d: %v", healed, late, want, err)
	}
	if left, _, err := w.b.LateCandidates(w.Context(), account, at); err != nil || left != 0 {
		w.rt.Fatalf("%d are left: %v", left, err)
	}
}

// preview holds the drafts against the events that are on them: it must be possible at any time.
func (w *orderWorld) preview() {
	if _, err := w.b.Preview(w.Context(), PreviewRequest{Account: rapid.SampledFrom(w.accounts).Draw(w.rt, "account to preview")}); err != nil {
		w.rt.Fatal(err)
	}
}

// period is the time, about an instant, in which a calendar bills by order, found cycle by cycle.
func (w *orderWorld) period(cal *Calendar, at time.Time) (since, until time.Time, ok bool) {
	byOrder := func(at time.Time) bool { return cal.TermsAt(cal.Cycle(at).Start).BillOn == BillOnOrder }
	if !byOrder(at) {
		return since, until, false
	}
	since, until = cal.Cycle(at).Start, cal.Cycle(at).End
	for since.After(w.base.AddDate(-2, 0, 0)) && byOrder(since.Add(-1)) {
		since = cal.Cycle(since.Add(-1)).Start
	}
	for until.Before(w.base.AddDate(3, 0, 0)) && byOrder(until) {
		until = cal.Cycle(until).End
	}
	return since, until, true
}

// final is when the order of an event was final for its account, by all that is recorded; zero: it isn't, or it was
// before the account was billed by order.
func (w *orderWorld) final(cal *Calendar, e ledger.Event) (at time.Time, before bool) {
	since, until, _ := w.period(cal, e.OccurredAt)
	for _, f := range w.events {
		types := cal.TermsAt(cal.Cycle(f.OccurredAt).Start).Finalising
		if f.OccurredAt.Before(since) {
			types = cal.TermsAt(since).Finalising
		}
		if f.Stream == e.Stream && slices.Contains(types, f.Type) && f.OccurredAt.Before(until) && (at.IsZero() || f.OccurredAt.Before(at)) {
			at = f.OccurredAt
		}
	}
	if at.IsZero() && until.Before(w.base.AddDate(3, 0, 0)) {
		at = until
	}
	return at, !at.IsZero() && at.Before(since)
}

// where is what became of an event.
type where struct {
	invoices  int64
	cycle     time.Time // of the invoice
	origin    time.Time
	waits     bool
	finalised *time.Time // as a close found it
}

const sqlWhere = `
SELECT count(p.position), COALESCE(max(i.cycle_start), '0001-01-01Z'), COALESCE(max(p.origin_start), '0001-01-01Z'),
       EXISTS (SELECT FROM billing.carried w WHERE w.account = $1 AND w.position = $2 AND w.settled IS NULL),
       (SELECT max(o.finalised_at) FROM billing.orders o WHERE o.account = $1 AND o.stream = $3 AND o.since = $4)
FROM billing.pins_v1 p
JOIN billing.invoices i ON i.id = p.invoice_id
WHERE p.account = $1 AND p.position = $2 AND p.live`

func (w *orderWorld) find(position int64, e ledger.Event, since time.Time) where {
	var found where
	if err := w.db.App.QueryRow(w.Context(), sqlWhere, e.Account, position, e.Stream, since).
		Scan(&found.invoices, &found.cycle, &found.origin, &found.waits, &found.finalised); err != nil {
		w.rt.Fatal(err)
	}
	return found
}

// check holds every event against the law: it is on one invoice, or waits for its order, or no charge selects it.
func (w *orderWorld) check() {
	for position, e := range w.events {
		cal, err := w.b.calendarOf(w.Context(), w.b.pool, e.Account)
		if err != nil {
			w.rt.Fatal(err)
		}
		closed, _, err := w.b.ClosedThrough(w.Context(), e.Account)
		if err != nil {
			w.rt.Fatal(err)
		}
		own := cal.Cycle(e.OccurredAt)
		var since time.Time
		if p := periodAt(cal.orderPeriods(), e.OccurredAt); p != nil {
			since = p.since
		}
		_, _, byOrder := w.period(cal, e.OccurredAt)
		found := w.find(position, e, since)
		origin, open := own, false
		if byOrder && e.Stream != "" {
			at, before := w.final(cal, e)
			if found.finalised != nil {
				at, before = *found.finalised, false
			}
			open = at.IsZero() || !at.Before(closed)
			if !open && !before {
				origin = cal.Cycle(at)
			}
		}
		billable := e.Type != "page.viewed"
		switch {
		case own.End.After(closed): // of a cycle that isn't closed
			if found.invoices != 0 || found.waits {
				w.rt.Errorf("event %d of %s is billed or waits before its cycle is closed", position, e.Stream)
			}
		case open:
			if found.invoices != 0 || !found.waits {
				w.rt.Errorf("event %d of the open order %s of %s, at %s: %+v", position, e.Stream, e.Account, e.OccurredAt, found)
			}
		case found.waits:
			w.rt.Errorf("event %d waits, though %s is final", position, e.Stream)
		case billable != (found.invoices == 1):
			w.rt.Errorf("event %d of %s of type %s, at %s, is on %d invoices: %+v", position, e.Stream, e.Type, e.OccurredAt, found.invoices, found)
		case billable && !found.origin.Equal(origin.Start):
			w.rt.Errorf("event %d of %s of %s, at %s, has the cycle of %s, want %s: %+v", position, e.Stream, e.Account, e.OccurredAt, found.origin, origin.Start, found)
		}
	}
}

// Whatever arrives when, and however accounts change between billing by event and by order: every event of a closed
// cycle is on exactly one invoice, or waits for its order, and the sums are those of the events.
func TestOrderLaw(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "1950-01-01T00:00:00Z")
	f.terms(`{"charges":[{"name":"all","measure":"amount","types":["order.placed","order.completed","order.cancelled"],"model":"sum"},
		{"name":"fee","measure":"amount","types":["order.placed"],"model":"percentage","rate":"1.37"}]}`)
	played := 0
	start := mustTime(t, "1950-03-15T10:00:00Z")
	rapid.Check(t, func(rt *rapid.T) {
		if played == *orderWorlds && !t.Failed() {
			return
		}
		w := &orderWorld{fixture: f, rt: rt, base: start.AddDate(played*6, 0, 0), events: map[int64]ledger.Event{}, streams: []string{""}}
		played++
		w.tag = fmt.Sprintf("w%d", played)
		for i := range rapid.IntRange(1, 3).Draw(rt, "accounts") {
			w.accounts = append(w.accounts, fmt.Sprintf("%s-%d", w.tag, i))
		}
		for i := range rapid.IntRange(1, 5).Draw(rt, "streams") {
			w.streams = append(w.streams, fmt.Sprintf("%s/%d", w.tag, i))
		}
		w.clock.Store(&w.base)
		for range w.accounts {
			w.setTerms()
		}
		rt.Repeat(map[string]func(*rapid.T){
			"":        func(*rapid.T) {},
			"terms":   func(*rapid.T) { w.setTerms() },
			"arrive":  func(*rapid.T) { w.arrive() },
			"arrive2": func(*rapid.T) { w.arrive() },
			"close":   func(*rapid.T) { w.closeSome() },
			"heal":    func(*rapid.T) { w.heal() },
			"preview": func(*rapid.T) { w.preview() },
			"wait": func(rt *rapid.T) {
				later := w.now().AddDate(0, 0, rapid.IntRange(1, 25).Draw(rt, "days"))
				if later.Before(w.base.AddDate(1, 0, 0)) {
					w.clock.Store(&later)
				}
			},
		})
		for range 2 {
			later := w.now().AddDate(0, 1, 12)
			w.clock.Store(&later)
			done, err := w.b.Close(w.Context(), CloseRequest{Through: DateOf(later), By: "t"})
			if err != nil || len(done.Failed) > 0 {
				rt.Fatalf("close: %v %+v", err, done.Failed)
			}
		}
		w.check()
		for law, sql := range laws {
			if n := f.number(sql); n != 0 {
				rt.Errorf("%s: %d", law, n)
			}
		}
	})
}
