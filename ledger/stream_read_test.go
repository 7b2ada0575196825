package ledger_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"deltaledger/ledger"
	"deltaledger/ledger/pg"
	"deltaledger/migrations/pgtest"
)

func unnumbered(id string, at time.Time, value string) ledger.Event {
	return ledger.Event{
		ID: id, Source: "shop", Stream: "o1", Type: "corrected", Account: "acme", OccurredAt: at, Currency: "EUR", Amount: amount(value),
		Kind: ledger.Adjustment, Reason: "why", Reference: "doc", Maker: "ann",
	}
}

// describe is a view in one line for each entry.
func describe(v ledger.StreamView) (lines []string) {
	for _, e := range v.Entries {
		s := e.Event.ID
		if e.GapBefore != nil {
			s += fmt.Sprintf(" gap %d-%d", e.GapBefore.From, e.GapBefore.To)
		}
		for _, t := range e.Totals {
			s += strings.TrimRight(fmt.Sprintf(" %s=%s%s", t.Measure, t.Sum, t.Currency), " ")
		}
		if len(e.CorrectedBy) > 0 {
			s += " corrected by " + strings.Join(e.CorrectedBy, ",")
		}
		for _, b := range e.Billed {
			s += fmt.Sprintf(" on %s", b.Invoice.String()[35:])
			if b.Number != nil {
				s += fmt.Sprintf(" no %d", *b.Number)
			}
			if b.Late {
				s += " late"
			}
			if b.Void {
				s += " void"
			}
		}
		lines = append(lines, s)
	}
	return lines
}

func sameLines(t testing.TB, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s:\n got  %s\n want %s", what, strings.Join(got, "\n      "), strings.Join(want, "\n      "))
	}
}

func view(t testing.TB, l *ledger.Ledger, asOf string) ledger.StreamView {
	t.Helper()
	v, err := l.Stream(t.Context(), "shop", "o1", asOf)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestStreamIsInUpstreamOrder(t *testing.T) {
	t.Parallel()
	l, db := open(t)
	events := []ledger.Event{sale("o1", 9), sale("o1", 2), sale("o1", 1), sale("o1", 5), sale("o2", 3), sale("o11", 3)}
	events[0].Quantity = amount("2")
	events[1].Corrects = "o1/1"
	events[3].Currency = "USD"
	appendAll(t, l, events...)
	early := view(t, l, "").AsOf
	appendAll(t, l,
		unnumbered("last", noon.Add(time.Hour), "-1"),
		unnumbered("with 2", noon.Add(2*time.Second), "0.5"),
		unnumbered("first", noon, "-0.5"),
		unnumbered("between b", noon.Add(5*time.Second+1000), "1"),
		unnumbered("between a", noon.Add(4*time.Second), "1"))
	made := fact{Event: sale("o1", 5)}
	made.ID, made.Currency, made.Amount = "made", "USD", amount("-5.25")
	cause := one[int64](t, db, "SELECT position FROM ledger.events WHERE event_id = 'o1/2'")
	recordMadeFor(t, db, &made, cause)
	v := view(t, l, "")
	sameLines(t, "all", describe(v), []string{
		"first amount=-0.5EUR",
		"o1/1 amount=0.75EUR corrected by o1/2",
		"o1/2 amount=3EUR",
		"with 2 amount=3.5EUR",
		"between a amount=4.5EUR",
		"made amount=4.5EUR amount=-5.25USD",
		"o1/5 gap 3-4 amount=4.5EUR amount=0USD",
		"between b amount=5.5EUR amount=0USD",
		"o1/9 gap 6-8 quantity=2 amount=14.75EUR amount=0USD",
		"last quantity=2 amount=13.75EUR amount=0USD",
	})
	if *v.FirstSeqn != 1 || *v.LastSeqn != 9 || !slices.Equal(v.Gaps, []ledger.Gap{{From: 3, To: 4}, {From: 6, To: 8}}) {
		t.Errorf("header: %d to %d, gaps %v", *v.FirstSeqn, *v.LastSeqn, v.Gaps)
	}
	sameLines(t, "as of before", describe(view(t, l, fmt.Sprint(early.Position))), []string{
		"o1/1 amount=1.25EUR corrected by o1/2",
		"o1/2 amount=3.5EUR",
		"o1/5 gap 3-4 amount=3.5EUR amount=5.25USD",
		"o1/9 gap 6-8 quantity=2 amount=12.75EUR amount=5.25USD",
	})
	if v := view(t, l, "0"); len(v.Entries) != 0 || v.FirstSeqn != nil {
		t.Errorf("as of nothing: %+v", v)
	}
}

// recordMadeFor records a reorder row that cause made necessary.
func recordMadeFor(t testing.TB, db *pgtest.DB, f *fact, cause int64) {
	t.Helper()
	_, err := db.App.Exec(context.Background(), strings.Replace(insertMade, ", 1\nFROM", ", $11\nFROM", 1), f.ID, f.OccurredAt, "UTC", f.Stream, f.Seqn, f.Type,
		f.Account, f.Currency, f.Amount.String(), f.Dimensions, cause)
	if err != nil {
		t.Fatal(err)
	}
}

func TestStreamOfASourceThatNumbersAcrossStreamsHasNoGaps(t *testing.T) {
	t.Parallel()
	l, _ := open(t)
	if err := l.DeclareSource(t.Context(), ledger.Source{Name: "shop", Numbering: ledger.NumberingSource, By: "ops"}); err != nil {
		t.Fatal(err)
	}
	appendAll(t, l, sale("o1", 1), sale("o2", 2), sale("o1", 3))
	if v := view(t, l, ""); len(v.Gaps) != 0 || len(v.Entries) != 2 {
		t.Errorf("%+v", v)
	}
}

func TestStreamPrivate(t *testing.T) {
	t.Parallel()
	l, _ := open(t)
	e := sale("o1", 1)
	e.Payload = []byte(`{"x":1}`)
	appendAll(t, l, e, sale("o1", 2))
	v, err := l.StreamPrivate(t.Context(), "shop", "o1", "")
	if err != nil || string(v.Entries[0].Event.Payload) != `{"x":1}` || v.Entries[1].Event.Payload != nil {
		t.Errorf("%+v, %v", v.Entries, err)
	}
	if p := view(t, l, "").Entries[0].Event.Payload; p != nil {
		t.Errorf("without the right: %s", p)
	}
	for _, bad := range [][2]string{{"", "o1"}, {"shop", ""}, {"shop\x00", "o1"}, {"shop", "\xff"}} {
		if _, err := l.Stream(t.Context(), bad[0], bad[1], ""); !errors.Is(err, ledger.ErrInvalid) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// books writes the billing facts that reads look at.
type books struct {
	testing.TB
	db  *pgtest.DB
	run int64
}

func newBooks(t testing.TB, db *pgtest.DB) *books {
	t.Helper()
	b := &books{TB: t, db: db}
	b.exec(`INSERT INTO billing.close_runs (through, watermark, taken_at, terms, ran_at, ran_by) VALUES ('2026-01-31', 1, now(), 0, now(), 'test')`)
	b.run = one[int64](t, db, "SELECT n FROM billing.close_runs")
	return b
}

func (b *books) exec(sql string, args ...any) {
	b.Helper()
	if _, err := b.db.App.Exec(context.Background(), sql, args...); err != nil {
		b.Fatalf("%s: %v", sql, err)
	}
}

func invoiceID(n int) uuid.UUID { return uuid.UUID{15: byte(n)} }

// invoice pins events on invoice n, of the cycle that is month m of 2026; void says which invoice it replaces.
func (b *books) invoice(n, m int, events []string, void int) {
	b.Helper()
	start := time.Date(2026, time.Month(m), 1, 0, 0, 0, 0, time.UTC)
	err := pg.InTx(context.Background(), b.db.App, func(tx pgx.Tx) error {
		var replaces *uuid.UUID
		run := &b.run // what replaces an invoice is made by no run
		var batch pgx.Batch
		batch.Queue(`INSERT INTO billing.cycles (account, starts_at, ends_at, terms, base, run) VALUES ('acme', $1, $2, 0, 0, $3) ON CONFLICT DO NOTHING`,
			start, start.AddDate(0, 1, 0), b.run)
		if void > 0 {
			id := invoiceID(void)
			replaces, run = &id, nil
			batch.Queue(`INSERT INTO billing.voids (account, invoice_id, outcome, why, voided_by, position, voided_at)
				SELECT 'acme', $1, 'rebill', 'why', 'test', positions[1], recorded_at FROM ledger.draw(1)`, id)
		}
		batch.Queue(`INSERT INTO billing.invoice_ids (account, id) VALUES ('acme', $1)`, invoiceID(n))
		for _, id := range events {
			batch.Queue(`INSERT INTO billing.pins (account, position, recorded_at, origin_start, invoice_id, replaces)
				SELECT account, position, recorded_at, date_trunc('month', occurred_at, 'UTC'), $2, $3 FROM ledger.events WHERE event_id = $1`, id, invoiceID(n), replaces)
		}
		batch.Queue(`INSERT INTO billing.invoices (account, id, cycle_start, cycle_end, currency, total, events, pinned, rebills, run, watermark, position, created_at)
			SELECT 'acme', $1, $2, $3, 'EUR', 1, $4, $4, $5, $6, 1, positions[1], recorded_at FROM ledger.draw(1)`,
			invoiceID(n), start, start.AddDate(0, 1, 0), len(events), replaces, run)
		return tx.SendBatch(context.Background(), &batch).Close()
	})
	if err != nil {
		b.Fatal(err)
	}
}

func (b *books) issue(n, number int) {
	b.Helper()
	b.exec(`INSERT INTO billing.invoice_numbers (series, number, printed, account, invoice_id, position, issued_at)
		SELECT 'INV', $1, 'INV-' || $1::bigint, 'acme', $2, positions[1], recorded_at FROM ledger.draw(1)`, number, invoiceID(n))
}

func position(t testing.TB, l *ledger.Ledger) string {
	t.Helper()
	w, err := l.TakeWatermark(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(w.Position)
}

func TestStreamSaysWhereEventsAreBilledAsOfThen(t *testing.T) {
	t.Parallel()
	l, db := open(t)
	appendAll(t, l, sales("o1", 3)...)
	b := newBooks(t, db)
	start := position(t, l)
	b.invoice(1, 1, []string{"o1/1", "o1/2"}, 0)
	billed := position(t, l)
	b.issue(1, 17)
	issued := position(t, l)
	b.invoice(2, 1, []string{"o1/1", "o1/2"}, 1)
	b.invoice(3, 2, []string{"o1/3"}, 0)
	end := position(t, l)
	for asOf, want := range map[string][3]string{
		start:  {"", "", ""},
		billed: {" on 1", " on 1", ""},
		issued: {" on 1 no 17", " on 1 no 17", ""},
		end:    {" on 2 on 1 no 17 void", " on 2 on 1 no 17 void", " on 3 late"},
	} {
		sameLines(t, "as of "+asOf, describe(view(t, l, asOf)),
			[]string{"o1/1 amount=1.25EUR" + want[0], "o1/2 amount=3.5EUR" + want[1], "o1/3 amount=6.75EUR" + want[2]})
	}
}

// What did support see then, and why is it other now?
func TestStreamDiff(t *testing.T) {
	t.Parallel()
	l, db := open(t)
	appendAll(t, l, sale("o1", 1), sale("o1", 3))
	b := newBooks(t, db)
	before := position(t, l)
	late := sale("o1", 2)
	late.Currency = "USD"
	appendAll(t, l, late, unnumbered("fix", noon.Add(time.Minute), "-1"))
	b.invoice(1, 1, []string{"o1/1", "o1/2"}, 0)
	after := position(t, l)
	d, err := l.StreamDiff(t.Context(), "shop", "o1", before, after)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(idsOf(d.Added), []string{"o1/2", "fix"}) {
		t.Errorf("added: %v", idsOf(d.Added))
	}
	totals, _ := json.Marshal(d.Totals)
	if want := `[{"currency":"EUR","measure":"amount","before":"4.5","after":"3.5"},{"currency":"USD","measure":"amount","after":"2.25"}]`; string(totals) != want {
		t.Errorf("totals: %s", totals)
	}
	var changed []string
	for _, c := range d.Billing {
		changed = append(changed, fmt.Sprint(c.ID, len(c.Before), len(c.After)))
	}
	if !slices.Equal(changed, []string{"o1/10 1", "o1/20 1"}) {
		t.Errorf("billing: %v", changed)
	}
	if d, err := l.StreamDiff(t.Context(), "shop", "o1", after, after); err != nil || len(d.Added)+len(d.Billing) != 0 {
		t.Errorf("with itself: %+v, %v", d, err)
	}
	for _, bad := range [][2]string{{after, before}, {"", after}, {"soon", after}} {
		if _, err := l.StreamDiff(t.Context(), "shop", "o1", bad[0], bad[1]); !errors.Is(err, ledger.ErrInvalid) {
			t.Errorf("%v: %v", bad, err)
		}
	}
}

func groups(t testing.TB, l *ledger.Ledger, q ledger.AggregateQuery) (lines []string) {
	t.Helper()
	r, err := l.Aggregate(t.Context(), q)
	if err != nil {
		t.Fatalf("%+v: %v", q, err)
	}
	for _, row := range r.Rows {
		var s []string
		for _, k := range row.Key {
			if k == nil {
				s = append(s, "null")
			} else {
				s = append(s, *k)
			}
		}
		lines = append(lines, fmt.Sprintf("%s:%d%v", strings.Join(s, " "), row.Count, row.Sum))
	}
	return lines
}

// Invariant 6 as seen by a reader: at any watermark an event is on one live invoice or on none.
func TestBilledAndInvoiceAreAsOfTheWatermark(t *testing.T) {
	t.Parallel()
	l, db := open(t)
	appendAll(t, l, sales("o1", 3)...)
	b := newBooks(t, db)
	first, last := position(t, l), ""
	b.invoice(1, 1, []string{"o1/1", "o1/2"}, 0)
	middle := position(t, l)
	b.invoice(2, 1, []string{"o1/1", "o1/2"}, 1)
	last = position(t, l)
	one, two := invoiceID(1).String(), invoiceID(2).String()
	sum := []string{"amount"}
	for asOf, want := range map[string][2][]string{
		first:  {{"false EUR:3[6.75]"}, {"null EUR:3[6.75]"}},
		middle: {{"false EUR:1[3.25]", "true EUR:2[3.5]"}, {one + " EUR:2[3.5]", "null EUR:1[3.25]"}},
		last:   {{"false EUR:1[3.25]", "true EUR:2[3.5]"}, {two + " EUR:2[3.5]", "null EUR:1[3.25]"}},
	} {
		sameLines(t, "billed as of "+asOf, groups(t, l, ledger.AggregateQuery{By: []string{"billed"}, Measures: sum, AsOf: asOf}), want[0])
		sameLines(t, "invoice as of "+asOf, groups(t, l, ledger.AggregateQuery{By: []string{"invoice"}, Measures: sum, AsOf: asOf}), want[1])
	}
	for key, want := range map[string][]string{
		"billed=true": {"o1/1", "o1/2"}, "billed=false": {"o1/3"}, "invoice=" + two: {"o1/1", "o1/2"},
		"invoice=" + one: nil, "invoice=": {"o1/3"},
	} {
		where, err := ledger.ParseWhere([]string{key})
		if err != nil {
			t.Fatal(err)
		}
		if rows, _ := listAll(t, l, ledger.ListQuery{Where: where, OldestFirst: true}); !slices.Equal(idsOf(rows), want) {
			t.Errorf("%s: %v", key, idsOf(rows))
		}
	}
	// As of any position, also one within the transaction of a void, nothing is billed twice.
	for w := range 20 {
		r, err := l.Aggregate(t.Context(), ledger.AggregateQuery{By: []string{"billed"}, AsOf: fmt.Sprint(w)})
		if errors.Is(err, ledger.ErrInvalid) {
			break // above the newest watermark
		}
		if n := r.Rows; err != nil || len(n) > 0 && n[0].Count+n[len(n)-1].Count*int64(len(n)-1) > 3 {
			t.Errorf("as of %d: %+v, %v", w, r.Rows, err)
		}
	}
}

// The chain of frozen months, read by its law: the first whose month isn't before the event's and
// whose watermark isn't below its position.
func TestBookedMonthIsTheFirstFreezeThatHoldsTheEvent(t *testing.T) {
	t.Parallel()
	l, db := open(t)
	type frozen struct {
		month     time.Month
		watermark int64
	}
	var chain []frozen
	months := []time.Month{11, 12, 1, 2}
	yearOf := func(m time.Month) int {
		if m > 6 {
			return 2025
		}
		return 2026
	}
	var facts []fact
	recordSome := func() {
		var events []ledger.Event
		for _, m := range months {
			e := sale("o1", len(facts)+len(events)+1)
			e.OccurredAt = time.Date(yearOf(m), m, 28, 23, 59, 59, 0, time.UTC)
			events = append(events, e)
		}
		for i, o := range appendAll(t, l, events...) {
			facts = append(facts, fact{Event: events[i], position: o.Position})
		}
	}
	key := func(m time.Month) string { return fmt.Sprintf("%d-%02d", yearOf(m), m) }
	check := func() {
		t.Helper()
		asOf := position(t, l)
		want := map[string][]string{}
		for _, f := range facts {
			month := f.OccurredAt.Format("2006-01")
			booked := ""
			for _, c := range chain {
				if key(c.month) >= month && c.watermark >= f.position {
					booked = key(c.month)
					break
				}
			}
			want[booked] = append(want[booked], f.ID)
		}
		for _, booked := range append([]string{""}, key(11), key(12), key(1)) {
			rows, _ := listAll(t, l, ledger.ListQuery{AsOf: asOf, OldestFirst: true, Where: []ledger.Filter{{Key: "booked_month", Values: []string{booked}}}})
			if !slices.Equal(idsOf(rows), want[booked]) {
				t.Errorf("booked in %q: %v, want %v", booked, idsOf(rows), want[booked])
			}
		}
		var lines []string
		for _, booked := range []string{key(11), key(12), key(1), ""} {
			if n := len(want[booked]); n > 0 {
				name := booked
				if name == "" {
					name = "null"
				}
				lines = append(lines, fmt.Sprintf("%s:%d[]", name, n))
			}
		}
		sameLines(t, "as of "+asOf, groups(t, l, ledger.AggregateQuery{By: []string{"booked_month"}, AsOf: asOf}), lines)
	}
	recordSome()
	check()
	for _, m := range months[:3] {
		recordSome()
		w, err := l.TakeWatermark(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		freezeMonth(t, db, time.Date(yearOf(m), m, 1, 0, 0, 0, 0, time.UTC), w.Position)
		chain = append(chain, frozen{m, w.Position})
		check()
		recordSome()
		check()
	}
}

func freezeMonth(t testing.TB, db *pgtest.DB, month time.Time, watermark int64) {
	t.Helper()
	_, err := db.App.Exec(context.Background(), `
		INSERT INTO export.freezes (month, previous, watermark, previous_watermark, format_version, columns, rows, late_rows, first_position, last_position, tzdata, frozen_by, position, frozen_at)
		SELECT $1, (SELECT max(month) FROM export.freezes), $2, COALESCE((SELECT max(watermark) FROM export.freezes), 0), 1, '{}', 1, 0, 1, 1, 'x', 'test', positions[1], recorded_at
		FROM ledger.draw(1)`, month, watermark)
	if err != nil {
		t.Fatal(err)
	}
}
