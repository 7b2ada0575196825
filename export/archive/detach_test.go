package archive_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"deltaledger/billing"
	"deltaledger/export"
	"deltaledger/export/archive"
	"deltaledger/ledger"
	"deltaledger/ledger/pg"
)

// seen is everything that must be the same before and after a detach.
func (w *world) seen(at int64) map[string]string {
	w.Helper()
	ctx := w.Context()
	all := map[string]string{}
	note := func(name string, v any, err error) {
		w.Helper()
		w.must(err)
		text, err := json.Marshal(v)
		w.must(err)
		all[name] = string(text)
	}
	asOf := fmt.Sprint(at)
	for i := range 7 {
		stream := fmt.Sprintf("o%d", i)
		for _, source := range []string{"shop", "loose"} {
			v, err := w.l.StreamPrivate(ctx, source, stream, asOf)
			note("stream "+source+" "+stream, v, err)
		}
	}
	v, err := w.l.Stream(ctx, "orders", "s1", asOf)
	note("states", v, err)
	for _, id := range []string{"e4", "e13", "e40"} {
		for _, source := range []string{"shop", "loose"} {
			if row, err := w.l.Get(ctx, source, id, true); !errors.Is(err, ledger.ErrNotFound) {
				note("event "+source+" "+id, row, err)
			}
		}
	}
	invoices, err := w.b.List(ctx, billing.InvoiceQuery{Limit: 1000})
	w.must(err)
	for _, i := range invoices.Invoices {
		var events []billing.PinnedEvent
		err := w.b.Events(ctx, i.ID.String(), func(e billing.PinnedEvent) error { events = append(events, e); return nil })
		note("invoice "+i.ID.String(), events, err)
	}
	freezes, err := w.e.Freezes(ctx)
	w.must(err)
	for _, f := range freezes {
		file, err := w.e.File(ctx, export.FileRequest{Month: f.Month})
		w.must(err)
		var out bytes.Buffer
		_, err = file.Write(ctx, &out)
		note("file "+f.Month.String(), out.String(), err)
	}
	open, err := w.e.File(ctx, export.FileRequest{Month: w.old, Mode: export.ModeOpen, AsOf: "30"})
	w.must(err)
	var out bytes.Buffer
	_, err = open.Write(ctx, &out)
	note("open file", out.String(), err)
	var views string
	w.must(w.db.Super.QueryRow(ctx, `SELECT jsonb_agg(v ORDER BY v.position)::text FROM ledger.events_v2 v WHERE v.position <= $1`, at).Scan(&views))
	all["view"] = views
	p, err := w.seals.Prove(ctx, "shop", "e4", 0)
	note("proof", p.Leaf, err)
	return all
}

// verified runs a verification of everything.
func (w *world) verified() {
	w.Helper()
	r, err := w.seals.Verify(w.Context(), ledger.VerifyRequest{})
	w.must(err)
	if r.Difference != nil {
		w.Fatalf("verify: %s", r.Difference)
	}
}

// What must be whole is the same after a month was detached, and again after it was attached; what was recorded in it
// is still known.
func TestDetachedMonthsAreReadWhole(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 5)
	w.record(w.state("s1", 1, "10"), w.state("s1", 3, "30"))
	events := w.fill(40)
	w.at(35)
	w.fill(17)
	w.record(w.state("s1", 5, "50"))
	w.now()
	w.settle()
	at, err := w.l.TakeWatermark(t.Context())
	w.must(err)
	before := w.seen(at.Position)
	aggregate := ledger.AggregateQuery{Measures: []string{"amount"}, By: []string{"account"}}
	whole, err := w.l.Aggregate(t.Context(), aggregate)
	w.must(err)
	w.archive()
	w.detach()
	w.same("after the detach", before, w.seen(at.Position))
	w.verified()
	for _, e := range events {
		again, other := e, e
		other.Type = "other"
		outcomes, err := w.l.Append(t.Context(), []ledger.Event{again, other})
		w.must(err)
		if outcomes[0].Status != ledger.Duplicate || outcomes[1].Status != ledger.Conflict || len(outcomes[1].Differs) != 1 {
			t.Fatalf("%+v", outcomes)
		}
	}
	// Late states: their neighbours, and what changes because of them, are in the detached month.
	w.record(w.state("s1", 2, "25"), w.state("s1", 4, "35"))
	v, err := w.l.Stream(t.Context(), "orders", "s1", "")
	if err != nil || len(v.Totals) != 1 || v.Totals[0].Sum.String() != "50" || len(v.Gaps) != 0 {
		t.Errorf("%+v, %v", v.Totals, err)
	}
	list, err := w.l.List(t.Context(), ledger.ListQuery{})
	if err != nil || len(list.NotCovered) != 1 || list.NotCovered[0].Month != w.old.String() || list.NotCovered[0].Events != 42 {
		t.Errorf("%+v, %v", list.NotCovered, err)
	}
	less, err := w.l.Aggregate(t.Context(), aggregate)
	if err != nil || len(less.NotCovered) != 1 || reflect.DeepEqual(less.Rows, whole.Rows) {
		t.Errorf("%+v, %v", less, err)
	}
	past := w.first().AddDate(0, 1, 0)
	for _, q := range []ledger.AggregateQuery{
		{Measures: []string{"amount"}, From: past.Format(time.RFC3339)},
		{Measures: []string{"amount"}, From: past.Format(time.DateOnly)},
		{Measures: []string{"amount"}, To: w.first().AddDate(0, 0, -1).Format(time.DateOnly), Zone: "Asia/Tokyo"},
		{Measures: []string{"amount"}, AsOf: "0"},
		{Measures: []string{"amount"}, Where: []ledger.Filter{{Key: "business_date", Values: []string{past.Format(time.DateOnly)}}}},
	} {
		if r, err := w.l.Aggregate(t.Context(), q); err != nil || len(r.NotCovered) != 0 {
			t.Errorf("%+v: %+v, %v", q, r.NotCovered, err)
		}
	}
	column := ledger.Column{Name: "fee", Kind: ledger.KindMoney, Description: "d", Owner: "o", By: by}
	if _, err := w.l.AddColumn(t.Context(), column, 0); err != nil {
		t.Fatal(err)
	}
	w.seal()
	w.verified()
	if _, err := w.a.Verify(t.Context(), w.old.String()); err != nil {
		t.Errorf("the copy after a column was declared: %v", err)
	}
	if moved, err := w.a.Attach(t.Context(), w.old, archive.DetachOptions{}, by); err != nil || !moved {
		t.Fatalf("attach: %t %v", moved, err)
	}
	if list, err := w.l.List(t.Context(), ledger.ListQuery{}); err != nil || list.NotCovered != nil {
		t.Errorf("%+v, %v", list.NotCovered, err)
	}
	w.verified()
	w.detach()
	w.verified()
}

func (w *world) same(when string, before, after map[string]string) {
	w.Helper()
	for name, want := range before {
		if have := after[name]; have != want {
			w.Errorf("%s, %s:\n%.2000s\nnot\n%.2000s", when, name, have, want)
		}
	}
}

func TestDetachedTablesRefuseChange(t *testing.T) {
	t.Parallel()
	w := settled(t)
	w.archive()
	w.detach()
	leaf := "archive.events_" + strings.ReplaceAll(w.old.String(), "-", "_")
	for _, table := range []string{leaf, "archive.events"} {
		for _, sql := range []string{"UPDATE %s SET amount = 0", "DELETE FROM %s", "TRUNCATE %s"} {
			if _, err := w.db.Super.Exec(t.Context(), fmt.Sprintf(sql, table)); !pg.IsRefused(err) {
				t.Errorf("%s of %s: %v", sql, table, err)
			}
		}
		var may bool
		w.must(w.db.Super.QueryRow(t.Context(), `SELECT has_table_privilege('deltaledger_app', $1, 'INSERT')`, table).Scan(&may))
		if may {
			t.Errorf("the app may insert into %s", table)
		}
	}
	if again, err := w.a.Detach(t.Context(), w.old, true, archive.DetachOptions{}, by); err != nil || again {
		t.Errorf("again: %t %v", again, err)
	}
}

func TestWhatCantBeDetached(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 5)
	w.fill(20)
	w.record(w.state("s1", 1, "10"))
	w.now()
	w.seal()
	refused := func(want ...string) {
		t.Helper()
		_, err := w.a.Detach(t.Context(), w.old, true, archive.DetachOptions{}, by)
		var not *archive.NotReadyError
		if !errors.As(err, &not) || !errors.Is(err, ledger.ErrConflict) {
			t.Fatalf("%v", err)
		}
		for _, text := range want {
			if !strings.Contains(err.Error(), text) {
				t.Errorf("%s is missing in: %v", text, err)
			}
		}
		if len(not.Reasons) != len(want) {
			t.Errorf("%d reasons, not %d: %v", len(not.Reasons), len(want), err)
		}
	}
	refused("no frozen file", `"Zeta" and type "returned"`, `account "acme"`, "aren't closed", "and so", "stand on a state", "", "", "no verified copy")
	w.settle()
	refused("stand on a state", "no verified copy")
	w.archive()
	refused("stand on a state")
	w.record(w.state("s1", 2, "11"))
	w.settle()
	w.detach()

	late := newWorld(t, 5)
	late.fill(20)
	late.at(40)
	late.settle()
	late.at(65)
	late.fill(10) // of the old month, and late
	late.now()
	late.seal()
	m := late.old.Next().Next()
	_, err := late.a.Detach(t.Context(), m, true, archive.DetachOptions{}, by)
	if err == nil || !strings.Contains(err.Error(), "no invoice") || !strings.Contains(err.Error(), "no frozen file") {
		t.Errorf("%v", err)
	}
	for _, sql := range []string{`SELECT ledger.detach_month(date_trunc('month', now())::date, 'x')`, `SELECT ledger.detach_month(date_trunc('month', now() - interval '4 months')::date, 'x')`, `SELECT ledger.detach_month('2000-01-01', 'x')`} {
		if _, err := late.db.App.Exec(t.Context(), sql); !pg.IsDataError(err) {
			t.Errorf("%s: %v", sql, err)
		}
	}
}

// Writers and readers go on while a month is detached and attached: nothing fails, and nothing is missing.
func TestDetachUnderLoad(t *testing.T) {
	t.Parallel()
	w := settled(t)
	w.archive()
	ctx, stop := context.WithCancel(t.Context())
	var group sync.WaitGroup
	var slowest [3]time.Duration
	for i := range slowest {
		group.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				began := time.Now()
				e := ledger.Event{
					ID: fmt.Sprintf("w%d-%d", i, n), Source: "loose", Type: "sold", Account: "acme", Currency: "EUR", Amount: amount("1"), OccurredAt: began.UTC().Truncate(time.Microsecond),
				}
				if o, err := w.l.Append(t.Context(), []ledger.Event{e}); err != nil || o[0].Status != ledger.Recorded {
					t.Errorf("%+v, %v", o, err)
					return
				}
				if v, err := w.l.Stream(t.Context(), "shop", "o1", ""); err != nil || len(v.Entries) < 5 {
					t.Errorf("%d entries, %v", len(v.Entries), err)
					return
				}
				slowest[i] = max(slowest[i], time.Since(began))
			}
		})
	}
	for range 3 {
		w.detach()
		if moved, err := w.a.Attach(t.Context(), w.old, archive.DetachOptions{}, by); err != nil || !moved {
			t.Errorf("attach: %t %v", moved, err)
		}
	}
	stop()
	group.Wait()
	t.Logf("slowest record and read: %v", slowest)
	w.seal()
	w.verified()
}
