package ledger_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"deltaledger/ledger"
)

// listAll reads a listing page by page, each with the cursor of the one before alone.
func listAll(t testing.TB, l *ledger.Ledger, q ledger.ListQuery) (rows []ledger.Row, first ledger.Page) {
	t.Helper()
	for n := 0; ; n++ {
		p, err := l.List(t.Context(), q)
		if err != nil {
			t.Fatalf("page %d: %v", n, err)
		}
		if n == 0 {
			first = p
		}
		if p.AsOf != first.AsOf {
			t.Fatalf("page %d is as of %+v, the first one as of %+v", n, p.AsOf, first.AsOf)
		}
		rows = append(rows, p.Events...)
		if p.NextCursor == "" {
			return rows, first
		}
		q = ledger.ListQuery{Cursor: p.NextCursor, Limit: n % 3 * 7} // 0: as the first page
	}
}

func idsOf(rows []ledger.Row) (ids []string) {
	for _, r := range rows {
		ids = append(ids, r.ID)
	}
	return ids
}

// Invariant 5: pages are of one watermark, whatever is recorded while they are read.
func TestPagesAreTheWholeAsOfOneWatermark(t *testing.T) {
	t.Parallel()
	l, _ := open(t)
	appendAll(t, l, sales("o1", 150)...)
	var writers sync.WaitGroup
	done := make(chan struct{})
	defer writers.Wait()
	defer close(done)
	for w := range 2 {
		writers.Go(func() {
			for n := range 60 {
				select {
				case <-done:
					return
				default:
				}
				if _, err := l.Append(t.Context(), sales(fmt.Sprintf("w%d-%d", w, n), 5)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for n := range 6 {
		q := ledger.ListQuery{Limit: 1 + n*13, OldestFirst: n%2 == 0}
		rows, first := listAll(t, l, q)
		q.AsOf, q.Limit = fmt.Sprint(first.AsOf.Position), ledger.MaxLimit
		again, _ := listAll(t, l, q)
		if !slices.Equal(idsOf(rows), idsOf(again)) {
			t.Fatalf("listing %d: %d events page by page, %d asked again", n, len(rows), len(again))
		}
		if n%2 == 1 {
			slices.Reverse(rows)
		}
		if !slices.IsSortedFunc(rows, func(a, b ledger.Row) int { return int(a.Position - b.Position) }) || len(rows) < 150 {
			t.Fatalf("listing %d: %d events, or out of order", n, len(rows))
		}
	}
}

func TestListIsWhatTheFiltersSelect(t *testing.T) {
	t.Parallel()
	h := record(t, "America/New_York", 300, 7)
	r := rand.New(rand.NewPCG(3, 3))
	ny := h.l.Zone()
	for range 60 {
		like := h.rows[r.IntN(len(h.rows))]
		key := someKeys[r.IntN(len(someKeys))]
		v := like.value(key, ny, ny)
		if v == nil {
			v = new(string)
		} else if *v == "" {
			continue // an empty text can't be told from none by a filter
		}
		q := ledger.ListQuery{Where: []ledger.Filter{{Key: key, Values: []string{*v}}}, OldestFirst: true, Limit: 9}
		var want []string
		for _, f := range h.rows {
			got := f.value(key, ny, ny)
			if got == nil && *v == "" || got != nil && *got == *v {
				want = append(want, f.ID)
			}
		}
		rows, _ := listAll(t, h.l, q)
		if !slices.Equal(idsOf(rows), want) {
			t.Errorf("%s=%q: got %v, want %v", key, *v, idsOf(rows), want)
		}
	}
}

func TestParseWhere(t *testing.T) {
	t.Parallel()
	where, err := ledger.ParseWhere([]string{"country=US", "type=sold", "country=", "country=a=b"})
	want := []ledger.Filter{{Key: "country", Values: []string{"US", "", "a=b"}}, {Key: "type", Values: []string{"sold"}}}
	if err != nil || fmt.Sprint(where) != fmt.Sprint(want) {
		t.Errorf("got %v, %v", where, err)
	}
	for _, bad := range []string{"", "country", "=US", "a\x00=b", "a=\xff", strings.Repeat("k", 300) + "=v", "k=" + strings.Repeat("v", 2000)} {
		if _, err := ledger.ParseWhere([]string{bad}); !errors.Is(err, ledger.ErrInvalid) {
			t.Errorf("%.20q: %v", bad, err)
		}
	}
}

// What a caller sends never becomes SQL: as a key it finds no such dimension.
func TestKeysAndValuesStayData(t *testing.T) {
	t.Parallel()
	l, db := open(t)
	hostile := []string{`amount"; DROP TABLE ledger.events; --`, `a' || 'b`, `$1`, `%s%d%[1]s`, `e.amount`, `\`, `'`, `"`, `::text`, "\u2028", "{}", "?|", "dimensions.", "position"}
	events := sales("o1", len(hostile))
	for i, key := range hostile {
		events[i].Dimensions, _ = json.Marshal(map[string]string{key: key})
	}
	appendAll(t, l, events...)
	for i, key := range hostile {
		page, err := l.List(t.Context(), ledger.ListQuery{Where: []ledger.Filter{{Key: key, Values: []string{key}}}})
		if err != nil || len(page.Events) != 1 || page.Events[0].ID != events[i].ID {
			t.Errorf("list %q: %v, %v", key, idsOf(page.Events), err)
		}
		r, err := l.Aggregate(t.Context(), ledger.AggregateQuery{By: []string{key}, Measures: []string{"amount"}})
		if err != nil || len(r.Rows) != 2 || *r.Rows[0].Key[0] != key || r.Rows[1].Count != int64(len(hostile)-1) {
			t.Errorf("aggregate by %q: %+v, %v", key, r.Rows, err)
		}
	}
	if n := one[int](t, db, countEvents); n != len(hostile) {
		t.Errorf("%d events left", n)
	}
}

func TestRangeOfDatesIsInTheReportingZone(t *testing.T) {
	t.Parallel()
	l, _ := openIn(t, "Asia/Kolkata") // UTC+5:30
	events := sales("o1", 4)
	for i, at := range []string{"2026-01-31T18:29:59.999999Z", "2026-01-31T18:30:00Z", "2026-02-01T18:29:59.999999Z", "2026-02-01T18:30:00Z"} {
		events[i].OccurredAt, _ = time.Parse(time.RFC3339, at)
	}
	appendAll(t, l, events...)
	for _, q := range []ledger.ListQuery{
		{From: "2026-02-01", To: "2026-02-02"},
		{From: "2026-01-31T18:30:00Z", To: "2026-02-02"},
		{From: "2026-02-01", To: "2026-02-02T00:00:00+05:30"},
		{Where: []ledger.Filter{{Key: "business_date", Values: []string{"2026-02-01"}}}},
		{Where: []ledger.Filter{{Key: "day", Values: []string{"2026-02-01"}}}},
	} {
		q.OldestFirst = true
		if rows, _ := listAll(t, l, q); !slices.Equal(idsOf(rows), []string{"o1/2", "o1/3"}) {
			t.Errorf("%+v: %v", q, idsOf(rows))
		}
	}
}

func TestCursorIsRefusedBesideAnotherQuestion(t *testing.T) {
	t.Parallel()
	l, _ := open(t)
	appendAll(t, l, sales("o1", 5)...)
	where := []ledger.Filter{{Key: "account", Values: []string{"acme"}}}
	first, err := l.List(t.Context(), ledger.ListQuery{Limit: 2, Where: where, From: "2026-01-01"})
	if err != nil {
		t.Fatal(err)
	}
	same, err := l.List(t.Context(), ledger.ListQuery{Cursor: first.NextCursor, Where: where, From: "2026-01-01"})
	if err != nil || !slices.Equal(idsOf(same.Events), []string{"o1/3", "o1/2"}) {
		t.Errorf("the same question: %v, %v", idsOf(same.Events), err)
	}
	for field, q := range map[string]ledger.ListQuery{
		"where": {Where: []ledger.Filter{{Key: "account", Values: []string{"other"}}}},
		"from":  {From: "2026-01-02"},
		"to":    {To: "2026-01-02"},
		"as_of": {AsOf: "1"},
		"order": {OldestFirst: true},
		"limit": {Limit: 1001},
	} {
		q.Cursor = first.NextCursor
		_, err := l.List(t.Context(), q)
		if f, ok := errors.AsType[*ledger.FieldError](err); !ok || f.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
}

func TestBrokenCursorIsRefused(t *testing.T) {
	t.Parallel()
	l, _ := open(t)
	other, _ := openIn(t, "UTC") // a clone of the template would have the same id
	appendAll(t, l, sales("o1", 5)...)
	appendAll(t, other, sales("o1", 5)...)
	page, err := l.List(t.Context(), ledger.ListQuery{Limit: 2})
	if err != nil {
		t.Fatal(err)
	}
	good := page.NextCursor
	bad := []string{"x", "====", good + "A", good[1:], strings.Repeat("A", 5<<20), base64.RawURLEncoding.EncodeToString([]byte(`{"v":1}`))}
	for i := range good {
		changed := []byte(good)
		if changed[i]++; changed[i] == good[i] {
			continue
		}
		bad = append(bad, good[:i], string(changed))
	}
	for _, c := range bad {
		if c == "" {
			continue
		}
		_, err := l.List(t.Context(), ledger.ListQuery{Cursor: c})
		if f, ok := errors.AsType[*ledger.FieldError](err); !ok || f.Field != "cursor" {
			t.Fatalf("%.60q: %v", c, err)
		}
	}
	if _, err := other.List(t.Context(), ledger.ListQuery{Cursor: good}); !errors.Is(err, ledger.ErrInvalid) {
		t.Errorf("another ledger takes the cursor: %v", err)
	}
}

// Invariant 11: what a caller may see doesn't come from the cursor, which the caller holds.
func TestScopeHoldsForEveryPage(t *testing.T) {
	t.Parallel()
	l, _ := open(t)
	events := sales("o1", 6)
	for i := range events {
		events[i].Account = []string{"acme", "other"}[i%2]
	}
	appendAll(t, l, events...)
	wide, err := l.List(t.Context(), ledger.ListQuery{Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	narrow := []ledger.Filter{{Key: "account", Values: []string{"acme"}}}
	page, err := l.List(t.Context(), ledger.ListQuery{Cursor: wide.NextCursor, Scope: narrow, Limit: 10})
	if err != nil || !slices.Equal(idsOf(page.Events), []string{"o1/5", "o1/3", "o1/1"}) {
		t.Errorf("%v, %v", idsOf(page.Events), err)
	}
	r, err := l.Aggregate(t.Context(), ledger.AggregateQuery{Scope: narrow})
	if err != nil || r.Rows[0].Count != 3 {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestRowSaysEverythingThatWasSent(t *testing.T) {
	t.Parallel()
	l, db := open(t)
	e := sale("o1", 7)
	e.Corrects, e.Quantity = "o1/6", amount("-1")
	e.Payload = []byte(`{"reason": "damaged"}`)
	e.OccurredAt = time.Date(2026, 1, 31, 23, 59, 59, 120_000_000, time.UTC)
	out := appendAll(t, l, e)
	row, err := l.Get(t.Context(), "shop", "o1/7", false)
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(row)
	if err != nil {
		t.Fatal(err)
	}
	at := one[time.Time](t, db, "SELECT recorded_at FROM ledger.events").UTC().Format("2006-01-02T15:04:05.000000Z")
	want := fmt.Sprintf(`{"position":%d,"recorded_at":"%s","occurred_at":"2026-01-31T23:59:59.120000Z","id":"o1/7","source":"shop","stream":"o1","seqn":7,`+
		`"type":"line.sold","account":"acme","business_date":"2026-01-31","currency":"EUR","amount":"7.25","quantity":"-1","dimensions":{"country":"FR"},`+
		`"kind":"upstream","corrects":"o1/6"}`, out[0].Position, at)
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if row, err = l.Get(t.Context(), "shop", "o1/7", true); err != nil || string(row.Payload) != string(e.Payload) {
		t.Errorf("private: %s, %v", row.Payload, err)
	}
	for _, id := range []string{"", "o1/8", "o1/7\x00", "\xff", strings.Repeat("x", 9999)} {
		if _, err := l.Get(t.Context(), "shop", id, false); !errors.Is(err, ledger.ErrNotFound) {
			t.Errorf("%.10q: %v", id, err)
		}
	}
}
