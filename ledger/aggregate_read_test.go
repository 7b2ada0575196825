package ledger_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"deltaledger/ledger"
	"deltaledger/ledger/pg"
)

// Invariants 4 and 5: sums are exact, and as of a watermark nothing that comes later is seen.
func TestAggregatesAreTheSumsOfTheEvents(t *testing.T) {
	t.Parallel()
	for i, zone := range []string{"UTC", "America/New_York"} {
		t.Run(zone, func(t *testing.T) {
			t.Parallel()
			h := record(t, zone, 500, uint64(i))
			rapid.Check(t, func(t *rapid.T) {
				q := h.ask(t)
				got, err := h.l.Aggregate(context.Background(), q.q)
				if err != nil {
					t.Fatalf("%+v: %v", q.q, err)
				}
				if want := h.expected(q); !slices.Equal(answered(got), want) {
					t.Fatalf("%+v:\ngot  %q\nwant %q", q.q, answered(got), want)
				}
			})
		})
	}
}

func TestAggregateRefusesWhatItCannotAnswer(t *testing.T) {
	t.Parallel()
	l, _ := open(t)
	for _, c := range []struct {
		q     ledger.AggregateQuery
		field string
	}{
		{ledger.AggregateQuery{Measures: []string{"revenue"}}, "measure"},
		{ledger.AggregateQuery{Measures: []string{"account"}}, "measure"},
		{ledger.AggregateQuery{Measures: []string{"amount", "amount"}}, "measure"},
		{ledger.AggregateQuery{By: []string{"day", "day"}}, "by"},
		{ledger.AggregateQuery{By: []string{""}}, "by"},
		{ledger.AggregateQuery{By: []string{"a\x00b"}}, "by"},
		{ledger.AggregateQuery{By: []string{"\xff"}}, "by"},
		{ledger.AggregateQuery{By: []string{strings.Repeat("k", 10_000)}}, "by"},
		{ledger.AggregateQuery{By: strings.Split(strings.Repeat("k,", 20), ",")}, "by"},
		{ledger.AggregateQuery{Zone: "Mars/Olympus"}, "zone"},
		{ledger.AggregateQuery{Zone: "Local"}, "zone"},
		{ledger.AggregateQuery{Zone: "EST5EDT4,M3.2.0,M11.1.0"}, "zone"},
		{ledger.AggregateQuery{From: "yesterday"}, "from"},
		{ledger.AggregateQuery{To: "2026-02-30"}, "to"},
		{ledger.AggregateQuery{To: "2026-02-01T00:00:00"}, "to"},
		{ledger.AggregateQuery{From: "2026-02-01T00:00:00.0000001Z"}, "from"},
		{ledger.AggregateQuery{Limit: -1}, "limit"},
		{ledger.AggregateQuery{Limit: ledger.MaxGroups + 1}, "limit"},
		{ledger.AggregateQuery{AsOf: "99999"}, "as_of"},
		{ledger.AggregateQuery{Where: []ledger.Filter{{Key: "seqn", Values: []string{"7a"}}}}, "where.seqn"},
		{ledger.AggregateQuery{Where: []ledger.Filter{{Key: "amount", Values: []string{"1e3"}}}}, "where.amount"},
		{ledger.AggregateQuery{Where: []ledger.Filter{{Key: "business_date", Values: []string{"2026-13-01"}}}}, "where.business_date"},
		{ledger.AggregateQuery{Where: []ledger.Filter{{Key: "occurred_at", Values: []string{"2026-01-01"}}}}, "where.occurred_at"},
		{ledger.AggregateQuery{Where: []ledger.Filter{{Key: "billed", Values: []string{"yes"}}}}, "where.billed"},
		{ledger.AggregateQuery{Where: []ledger.Filter{{Key: "invoice", Values: []string{"1"}}}}, "where.invoice"},
		{ledger.AggregateQuery{Where: []ledger.Filter{{Key: "booked_month", Values: []string{"2026-1"}}}}, "where.booked_month"},
		{ledger.AggregateQuery{Where: []ledger.Filter{{Key: "week", Values: []string{"2025-W53"}}}}, "where.week"},
		{ledger.AggregateQuery{Where: []ledger.Filter{{Key: "quarter", Values: []string{"2025-Q5"}}}}, "where.quarter"},
		{ledger.AggregateQuery{Where: []ledger.Filter{{Key: "hour", Values: []string{"2025-01-01T01:30:00Z"}}}}, "where.hour"},
		{ledger.AggregateQuery{Where: []ledger.Filter{{Key: "country"}}}, "where.country"},
		{ledger.AggregateQuery{Where: []ledger.Filter{{Key: "country", Values: []string{"a\x00"}}}}, "where.country"},
	} {
		_, err := l.Aggregate(t.Context(), c.q)
		if f, ok := errors.AsType[*ledger.FieldError](err); !ok || f.Field != c.field {
			t.Errorf("%+v: %v, want an error of %s", c.q, err, c.field)
		}
	}
}

func TestAggregateSaysThatThereIsMore(t *testing.T) {
	t.Parallel()
	l, _ := open(t)
	appendAll(t, l, sales("o1", 5)...)
	q := ledger.AggregateQuery{By: []string{"seqn"}, Limit: 4}
	r, err := l.Aggregate(t.Context(), q)
	if err != nil || !r.More || len(r.Rows) != 4 {
		t.Errorf("limit 4: %+v, %v", r, err)
	}
	q.Limit = 5
	if r, err = l.Aggregate(t.Context(), q); err != nil || r.More || len(r.Rows) != 5 {
		t.Errorf("limit 5: %+v, %v", r, err)
	}
}

// A sum may have more digits than an event may.
func TestSumsKeepEveryDigit(t *testing.T) {
	t.Parallel()
	l, _ := open(t)
	events := sales("o1", 3)
	events[0].Amount = amount("99999999999999999999999999999999999999")
	events[1].Amount = amount("99999999999999999999999999999999999999")
	events[2].Amount = amount("0.000000000000000001")
	appendAll(t, l, events...)
	r, err := l.Aggregate(t.Context(), ledger.AggregateQuery{Measures: []string{"amount"}})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := r.Rows[0].Sum[0].String(), "199999999999999999999999999999999999998.000000000000000001"; got != want {
		t.Errorf("sum is %s, want %s", got, want)
	}
	b, err := json.Marshal(r)
	if want := `"rows":[{"key":["EUR"],"count":3,"sum":["199999999999999999999999999999999999998.000000000000000001"]}],"more":false`; err != nil || !strings.Contains(string(b), want) {
		t.Errorf("JSON is %s, %v", b, err)
	}
}

func TestSlowReadIsBusy(t *testing.T) {
	t.Parallel()
	l, db := open(t)
	appendAll(t, l, sales("o1", 1)...)
	pool, err := pg.Open(t.Context(), db.URL, pg.Options{Role: pg.App, StatementTimeout: 200 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	limited, err := ledger.Open(t.Context(), ledger.Config{Pool: pool})
	if err != nil {
		t.Fatal(err)
	}
	tx, err := db.Super.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.Background()) }()
	if _, err := tx.Exec(t.Context(), "LOCK TABLE ledger.columns IN ACCESS EXCLUSIVE MODE"); err != nil { // makes every read wait
		t.Fatal(err)
	}
	if _, err := limited.Aggregate(t.Context(), ledger.AggregateQuery{AsOf: "0"}); !errors.Is(err, ledger.ErrBusy) || !strings.Contains(err.Error(), "narrow") {
		t.Errorf("a read over its time: %v", err)
	}
}
