package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"deltaledger/ledger"
	"deltaledger/migrations/pgtest"
)

// way is one of the ways in which events are recorded.
type way struct {
	name   string
	states bool // the source is one that sends states
	record func(t *testing.T, l *ledger.Ledger, events ...ledger.Event) []ledger.Outcome
}

func ways() []way {
	appended := func(t *testing.T, l *ledger.Ledger, events ...ledger.Event) []ledger.Outcome {
		return appendAll(t, l, events...)
	}
	careful := func(t *testing.T, l *ledger.Ledger, events ...ledger.Event) []ledger.Outcome {
		first := sale("before", 1)
		appendAll(t, l, first)
		appendAll(t, l, first)
		return appendAll(t, l, events...)
	}
	atomic := func(t *testing.T, l *ledger.Ledger, events ...ledger.Event) []ledger.Outcome {
		out, err := l.AppendAtomic(t.Context(), events)
		if err != nil && !errors.Is(err, ledger.ErrAtomic) {
			t.Error(err)
		}
		return out
	}
	batched := func(t *testing.T, l *ledger.Ledger, events ...ledger.Event) []ledger.Outcome {
		out, err := startBatcher(t, l, ledger.BatcherConfig{}).Append(t.Context(), events)
		if err != nil {
			t.Error(err)
		}
		return out
	}
	grouped := func(t *testing.T, l *ledger.Ledger, events ...ledger.Event) []ledger.Outcome {
		b := startBatcher(t, l, ledger.BatcherConfig{Committers: 1})
		out := make([]ledger.Outcome, len(events))
		var group sync.WaitGroup
		for i, e := range events {
			group.Go(func() {
				o, err := b.Append(context.Background(), []ledger.Event{e})
				if err != nil {
					t.Error(err)
					return
				}
				out[i] = o[0]
			})
		}
		group.Wait()
		return out
	}
	crowded := func(t *testing.T, l *ledger.Ledger, events ...ledger.Event) []ledger.Outcome {
		return batched(t, l, append(events, sales("crowd", 700)...)...)[:len(events)]
	}
	return []way{
		{"append", false, appended},
		{"careful", false, careful},
		{"atomic", false, atomic},
		{"batcher", false, batched},
		{"group", false, grouped},
		{"crowd", false, crowded},
		{"states", true, appended},
		{"careful states", true, careful},
		{"atomic states", true, atomic},
		{"batcher of states", true, batched},
		{"group of states", true, grouped},
	}
}

// everything is a few events with all that an event can have.
func everything() []ledger.Event {
	var all []ledger.Event
	for i, dimensions := range []string{
		`{"country":"FR","region":"north","level":7,"vip":true,"day_of":"2026-01-31","device":"5c0f7a1e-9f63-4f0b-8d8e-2f7f6f0c9a11","mail":"jane@b.example","free":1.50}`,
		`{"note":"` + mail + `","level":"-3"}`,
		`{"note":"see ` + iban + `"}`,
		`{"mail":"x"}`,
		``,
	} {
		e := sale("o1", i+1)
		e.Source, e.Dimensions = "orders", []byte(dimensions)
		e.Quantity, e.Measures = amount("-1.5"), []ledger.Measure{{Name: "fee", Value: amount("0.000000000000000001")}}
		if i%2 == 0 {
			e.Payload = []byte(`{"a": [1, 2.50]}`)
		}
		if i > 0 {
			e.Corrects = "o1/1"
		}
		all = append(all, e)
	}
	free := sale("", 0)
	free.ID, free.Source, free.HasSeqn, free.Kind, free.Reason, free.Reference, free.Maker = "adj", "orders", false, ledger.Adjustment, "r", "doc", "m"
	free.Payload = []byte(`"p"`)
	return append(all, free)
}

// keptOfOrders is all that is kept of the source orders, without what differs from time to time.
func keptOfOrders(t *testing.T, db *pgtest.DB) string {
	return one[string](t, db, `SELECT string_agg(concat_ws(' | ',
			to_jsonb(e) - 'position' - 'recorded_at' - 'commitment', e.commitment IS NOT NULL, encode(k.digest, 'hex'), k.position_key, k.event_key, p.payload, p.pii,
			(SELECT string_agg(f.field || ':' || f.rule, ',' ORDER BY f.field, f.rule) FROM ledger.content_flags f WHERE f.position = e.position)), E'\n' ORDER BY e.event_id)
		FROM ledger.events e JOIN ledger.event_keys k USING (position, recorded_at) LEFT JOIN ledger.private p USING (position, recorded_at)
		WHERE e.source = 'orders'`)
}

// Whichever way events are recorded, they are the same events: all that is declared and all that policies say holds
// for each, they come again as duplicates by every way, and what collides with them is kept once.
func TestEveryWayRecordsTheSame(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var first string
	for _, w := range ways() {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			l, s, db := sealing(t)
			for _, c := range []ledger.Column{
				column("region", ledger.KindDimension, "text"), column("level", ledger.KindDimension, "int"), column("vip", ledger.KindDimension, "bool"),
				column("day_of", ledger.KindDimension, "date"), column("device", ledger.KindDimension, "uuid"), column("fee", ledger.KindMoney, ""),
			} {
				addColumn(t, l, c)
			}
			secret := column("mail", ledger.KindDimension, "text")
			secret.PII = true
			addColumn(t, l, secret)
			if err := l.DeclareSource(t.Context(), ledger.Source{
				Name: "orders", States: w.states, Numbering: ledger.NumberingStream, By: "test",
				ContentPolicy: ledger.ContentPolicy{CardNumbers: "refuse", IBANs: "flag", Emails: "private"},
			}); err != nil {
				t.Fatal(err)
			}
			for i, o := range w.record(t, l, everything()...) {
				if o.Status != ledger.Recorded {
					t.Errorf("event %d: %+v", i, o)
				}
			}
			have := keptOfOrders(t, db)
			mu.Lock()
			if first == "" {
				first = have
			}
			if have != first {
				t.Errorf("%s\nnot\n%s", have, first)
			}
			mu.Unlock()
			if strings.Contains(one[string](t, db, `SELECT string_agg(e::text, ' ') FROM ledger.events e`), "jane") {
				t.Error("private content is public")
			}
			var others []ledger.Event
			for _, e := range everything() {
				e.Amount = amount("99")
				others = append(others, e)
			}
			hidden := everything()[1]
			hidden.Dimensions = []byte(`{"note":"john@b.example","level":"-3"}`)
			others = append(others, hidden)
			for _, again := range ways() {
				if again.states != w.states {
					continue
				}
				for i, o := range again.record(t, l, everything()...) {
					if o.Status != ledger.Duplicate && !(o.Status == ledger.Refused && strings.HasPrefix(again.name, "atomic")) {
						t.Errorf("%s again, event %d: %+v", again.name, i, o)
					}
				}
				for i, o := range again.record(t, l, others...) {
					want := []string{"amount"}
					if i == len(others)-1 {
						want = []string{"pii"}
					}
					if o.Status != ledger.Conflict || !slices.Equal(o.Differs, want) {
						t.Errorf("%s in conflict, event %d: %+v", again.name, i, o)
					}
				}
			}
			if n := one[int](t, db, `SELECT count(*) FROM ledger.conflicts WHERE source = 'orders'`); n != len(others) {
				t.Errorf("%d conflicts are kept, want %d", n, len(others))
			}
			if text := one[string](t, db, `SELECT string_agg(content, ' ') FROM ledger.conflicts`); strings.Contains(text, "jane") || strings.Contains(text, "john") {
				t.Error("private content is public in a conflict")
			}
			if have := keptOfOrders(t, db); have != first {
				t.Errorf("after all: %s", have)
			}
			sealAll(t, l, s)
			clean(t, s)
			decided, err := l.DecideConflict(t.Context(), one[int64](t, db, `SELECT max(conflict) FROM ledger.conflict_private WHERE pii::text LIKE '%john%'`), ledger.Decide{RecordAs: fmt.Sprint("as ", w.name), Seqn: new(int64(50)), Why: "w", By: "b"})
			if err != nil {
				t.Fatal(err)
			}
			if text := one[string](t, db, `SELECT concat_ws(' ', e.dimensions, e.level, p.pii) FROM ledger.events e JOIN ledger.private p USING (position) WHERE e.position = $1`, *decided.Position); text != `-3 {"note": "john@b.example"}` {
				t.Error(text)
			}
			sealAll(t, l, s)
			clean(t, s)
		})
	}
}

// What is declared while events are recorded by every way holds for all that is recorded afterwards, and for what is
// kept of conflicts; nothing is lost or recorded twice meanwhile.
func TestDeclaringUnderEveryWay(t *testing.T) {
	t.Parallel()
	l, s, db := sealing(t)
	declareStates(t, l, "orders")
	appendAll(t, l, sale("taken", 1))
	taken := stateOf("taken", 1, "acme", "amount 1")
	appendAll(t, l, taken)
	ctx, stop := context.WithCancel(t.Context())
	var group sync.WaitGroup
	var mu sync.Mutex
	acknowledged := map[string]bool{}
	const dimensions = `{"mail0":"jane0@b.example","mail1":"jane1@b.example","mail2":"jane2@b.example"}`
	for i, w := range ways() {
		if w.name == "crowd" || w.name == "careful" || w.name == "careful states" {
			continue
		}
		group.Go(func() {
			for n := 1; ctx.Err() == nil; n++ {
				fresh, other := sale(fmt.Sprint("w", i), n), sale("taken", 1)
				if w.states {
					fresh, other = stateOf(fmt.Sprint("w", i), n, "acme", fmt.Sprint("amount ", n)), taken
				}
				fresh.Dimensions, other.Dimensions = []byte(dimensions), []byte(fmt.Sprintf(`{"mail0":"john@b.example","n":%d}`, n*100+i))
				if out := w.record(t, l, fresh); len(out) != 1 || out[0].Status != ledger.Recorded {
					t.Errorf("%s: %+v", w.name, out)
					return
				}
				mu.Lock()
				acknowledged[fresh.Source+" "+fresh.ID] = true
				mu.Unlock()
				if out := w.record(t, l, other); len(out) != 1 || out[0].Status != ledger.Conflict {
					t.Errorf("%s, in conflict: %+v", w.name, out)
					return
				}
			}
		})
	}
	declarer, err := ledger.Open(t.Context(), ledger.Config{Pool: db.App}) // another process
	if err != nil {
		t.Fatal(err)
	}
	var kept int64
	for i := range 3 {
		c := column(fmt.Sprint("mail", i), ledger.KindDimension, "text")
		c.PII = true
		addColumn(t, declarer, c)
		if i == 0 {
			kept = one[int64](t, db, `SELECT COALESCE(max(n), 0) FROM ledger.conflicts`)
			addColumn(t, declarer, column("region", ledger.KindDimension, "text"))
		}
	}
	stop()
	group.Wait()
	if n := one[int](t, db, `SELECT count(*) FROM ledger.events e JOIN ledger.column_floors f ON e.position > f.position AND e.dimensions ? f.name`); n != 0 {
		t.Errorf("%d events have public dimensions that were private by then", n)
	}
	if n := one[int](t, db, `SELECT count(*) FROM ledger.conflicts WHERE n > $1 AND content LIKE '%john%'`, kept); n != 0 {
		t.Errorf("of %d conflicts private content is public", n)
	}
	if n := one[int](t, db, `SELECT count(*) FROM ledger.events WHERE kind = 'upstream' AND source || ' ' || event_id = ANY ($1)`, slices.Collect(keys(acknowledged))); n != len(acknowledged) {
		t.Errorf("%d events are acknowledged, %d recorded", len(acknowledged), n)
	}
	if n := one[int](t, db, `SELECT count(*) - count(DISTINCT (source, event_id)) FROM ledger.events`); n != 0 {
		t.Errorf("%d events are recorded twice", n)
	}
	sealAll(t, l, s)
	clean(t, s)
	t.Logf("%d events, %d conflicts", len(acknowledged), one[int](t, db, `SELECT count(*) FROM ledger.conflicts`))
}
