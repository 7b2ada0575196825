package ledger_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"
	"pgregory.net/rapid"

	"deltaledger/ledger"
	"deltaledger/ledger/pg"
	"deltaledger/migrations"
	"deltaledger/migrations/pgtest"
)

// openIn is a new ledger with a reporting zone.
func openIn(t testing.TB, zone string) (*ledger.Ledger, *pgtest.DB) {
	t.Helper()
	db := pgtest.Empty(t)
	if err := migrations.Up(t.Context(), db.URL, migrations.Options{Zone: zone}); err != nil {
		t.Fatal(err)
	}
	pool, err := pg.Open(t.Context(), db.URL, pg.Options{Role: pg.App})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	l, err := ledger.Open(t.Context(), ledger.Config{Pool: pool})
	if err != nil {
		t.Fatal(err)
	}
	return l, db
}

// history is what a ledger holds, as the tests know it.
type history struct {
	l    *ledger.Ledger
	db   *pgtest.DB
	rows []fact
	cuts []int64 // watermarks taken on the way
}

// fact is a recorded row as the model sees it.
type fact struct {
	ledger.Event
	position int64
	dims     map[string]any
}

// corners are instants around which zones change their clocks or dates.
var corners = []time.Time{
	time.Date(2025, 11, 2, 5, 30, 0, 0, time.UTC),   // New York repeats 01:00
	time.Date(2026, 3, 8, 6, 30, 0, 0, time.UTC),    // New York leaves out 02:00
	time.Date(2025, 4, 5, 15, 10, 0, 0, time.UTC),   // Lord Howe repeats half an hour
	time.Date(2025, 10, 25, 23, 30, 0, 0, time.UTC), // London, hours before it repeats 01:00
	time.Date(2025, 12, 31, 22, 0, 0, 0, time.UTC),  // a new year, and an ISO week across it
	time.Date(2026, 3, 31, 23, 59, 0, 0, time.UTC),  // a new quarter
}

func randomFact(r *rand.Rand, n int) fact {
	pick := func(of ...string) string { return of[r.IntN(len(of))] }
	e := ledger.Event{
		ID: fmt.Sprintf("e%d", n), Source: pick("shop", "ads"), Stream: pick("s1", "s2", "s3"), Seqn: int64(n), HasSeqn: true,
		Type: pick("sold", "returned", "Ärger"), Account: pick("acme", "b", "Zeta"), Currency: pick("EUR", "USD", "JPY"),
		OccurredAt: corners[r.IntN(len(corners))].Add(time.Duration(r.Int64N(int64(6 * time.Hour)))).Truncate(time.Microsecond),
	}
	if r.IntN(10) > 0 {
		e.Amount = amount(decimal.New(r.Int64N(2_000_000)-1_000_000, -int32(r.IntN(19))).String())
	}
	if r.IntN(3) == 0 {
		e.Quantity = amount(strconv.Itoa(r.IntN(7) - 3))
	}
	dims := map[string]any{}
	if r.IntN(4) > 0 {
		dims["country"] = pick("US", "FR", "", "a'b\"c")
	}
	if r.IntN(2) == 0 {
		dims["n"] = r.IntN(3)
	}
	if r.IntN(5) == 0 {
		dims["flag"] = r.IntN(2) == 0
	}
	if r.IntN(5) == 0 {
		dims["nothing"] = nil
	}
	if len(dims) > 0 {
		e.Dimensions, _ = json.Marshal(dims)
	}
	if r.IntN(8) == 0 {
		e.Kind, e.Reason, e.Reference, e.Maker = ledger.Adjustment, "why", "doc", pick("ann", "bob")
		e.HasSeqn = false
	}
	return fact{Event: e, dims: dims}
}

const insertMade = `
INSERT INTO ledger.events (position, recorded_at, occurred_at, business_date, source, event_id, stream, seqn, type, account, currency, kind, amount, dimensions, caused_by)
SELECT d.positions[1], d.recorded_at, $2, ($2::timestamptz AT TIME ZONE $3)::date, 'deltaledger', $1, $4, $5, $6, $7, $8, 'reorder', $9::text::numeric, $10, 1
FROM ledger.draw(1) d
RETURNING position`

// recordMade inserts a row as the ledger makes them.
func recordMade(t testing.TB, db *pgtest.DB, zone string, f *fact) {
	t.Helper()
	f.Kind, f.Source, f.Quantity = ledger.Reorder, ledger.ReservedSource, ledger.Amount{}
	f.Reason, f.Reference, f.Maker, f.HasSeqn = "", "", "", true
	if !f.Amount.Valid() {
		f.Amount = amount("1")
	}
	err := db.App.QueryRow(context.Background(), insertMade, f.ID, f.OccurredAt, zone, f.Stream, f.Seqn, f.Type, f.Account, f.Currency,
		f.Amount.String(), f.Dimensions).Scan(&f.position)
	if err != nil {
		t.Fatal(err)
	}
}

// record makes a history of n random facts.
func record(t testing.TB, zone string, n int, seed uint64) *history {
	t.Helper()
	h := &history{}
	h.l, h.db = openIn(t, zone)
	h.db.App = h.l.Pool()
	r := rand.New(rand.NewPCG(seed, 1))
	for len(h.rows) < n {
		var batch []fact
		var events []ledger.Event
		for range 1 + r.IntN(60) {
			f := randomFact(r, len(h.rows)+len(batch))
			batch, events = append(batch, f), append(events, f.Event)
		}
		for i, o := range appendAll(t, h.l, events...) {
			if o.Status != ledger.Recorded {
				t.Fatalf("%+v: %+v", events[i], o)
			}
			if batch[i].position = o.Position; batch[i].Kind == "" {
				batch[i].Kind = ledger.Upstream
			}
		}
		made := randomFact(r, len(h.rows)+len(batch))
		recordMade(t, h.db, zone, &made)
		h.rows = append(append(h.rows, batch...), made)
		w, err := h.l.TakeWatermark(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		h.cuts = append(h.cuts, w.Position)
	}
	return h
}

// value is what key says of f, nil where there is nothing, computed without the database.
func (f fact) value(key string, zone, reporting *time.Location) *string {
	local := f.OccurredAt.In(zone)
	text := func(s string) *string {
		return &s
	}
	optional := func(s string) *string {
		if s == "" {
			return nil
		}
		return &s
	}
	switch key {
	case "source":
		return text(f.Source)
	case "type":
		return text(f.Type)
	case "account":
		return text(f.Account)
	case "currency":
		return text(f.Currency)
	case "kind":
		return text(string(f.Kind))
	case "maker":
		return optional(f.Maker)
	case "quantity":
		return optional(f.Quantity.String())
	case "seqn":
		if !f.HasSeqn {
			return nil
		}
		return text(strconv.FormatInt(f.Seqn, 10))
	case "occurred_at":
		return text(f.OccurredAt.UTC().Format("2006-01-02T15:04:05.000000Z"))
	case "business_date":
		return text(f.OccurredAt.In(reporting).Format(time.DateOnly))
	case "hour":
		return text(local.Format("2006-01-02T15:00:00-07:00"))
	case "day":
		return text(local.Format(time.DateOnly))
	case "week":
		y, w := local.ISOWeek()
		return text(fmt.Sprintf("%04d-W%02d", y, w))
	case "month":
		return text(local.Format("2006-01"))
	case "quarter":
		return text(fmt.Sprintf("%04d-Q%d", local.Year(), (local.Month()+2)/3))
	case "year":
		return text(local.Format("2006"))
	}
	v, ok := f.dims[strings.TrimPrefix(key, "dimensions.")]
	if !ok || v == nil {
		return nil
	}
	return text(fmt.Sprint(v))
}

var someKeys = []string{
	"source", "type", "account", "currency", "kind", "maker", "quantity", "seqn", "occurred_at", "business_date",
	"hour", "day", "week", "month", "quarter", "year", "country", "dimensions.country", "n", "flag", "nothing", "no such key", `x"; DROP TABLE ledger.events; --`,
}

// question is a random question and whether a fact is within it.
type question struct {
	q      ledger.AggregateQuery
	zone   *time.Location
	within func(fact) bool
}

func (h *history) ask(t *rapid.T) question {
	reporting := h.l.Zone()
	name := rapid.SampledFrom([]string{"", "UTC", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "Europe/London", "Pacific/Kiritimati"}).Draw(t, "zone")
	zone := reporting
	if name != "" {
		var err error
		if zone, err = time.LoadLocation(name); err != nil {
			t.Fatal(err)
		}
	}
	q := ledger.AggregateQuery{Zone: name, Measures: []string{}}
	q.By = rapid.SliceOfNDistinct(rapid.SampledFrom(someKeys), 0, 4, rapid.ID[string]).Draw(t, "by")
	q.Measures = rapid.SampledFrom([][]string{nil, {"amount"}, {"quantity"}, {"quantity", "amount"}}).Draw(t, "measures")
	tests := []func(fact) bool{}
	for range rapid.IntRange(0, 2).Draw(t, "filters") {
		key := rapid.SampledFrom(someKeys).Draw(t, "key")
		if slices.ContainsFunc(q.Where, func(f ledger.Filter) bool { return f.Key == key }) {
			continue
		}
		var accepted []string
		for range rapid.IntRange(1, 3).Draw(t, "values") {
			v := rapid.SampledFrom(h.rows).Draw(t, "like").value(key, zone, reporting)
			if v == nil || rapid.IntRange(0, 5).Draw(t, "absent") == 0 {
				v = new(string)
			}
			accepted = append(accepted, *v)
		}
		q.Where = append(q.Where, ledger.Filter{Key: key, Values: accepted})
		tests = append(tests, func(f fact) bool {
			v := f.value(key, zone, reporting)
			if v == nil {
				return slices.Contains(accepted, "")
			}
			return *v != "" && slices.Contains(accepted, *v)
		})
	}
	from := rapid.SampledFrom(h.rows).Draw(t, "from").OccurredAt
	switch rapid.IntRange(0, 2).Draw(t, "range") {
	case 1:
		q.From = from.Format(time.RFC3339Nano)
		tests = append(tests, func(f fact) bool { return !f.OccurredAt.Before(from) })
	case 2:
		day := from.In(zone).Format(time.DateOnly)
		q.To = day
		tests = append(tests, func(f fact) bool { return f.OccurredAt.In(zone).Format(time.DateOnly) < day })
	}
	w := rapid.SampledFrom(h.cuts).Draw(t, "as of")
	q.AsOf = strconv.FormatInt(w, 10)
	tests = append(tests, func(f fact) bool { return f.position <= w })
	return question{q, zone, func(f fact) bool {
		return !slices.ContainsFunc(tests, func(test func(fact) bool) bool { return !test(f) })
	}}
}

// expected is the answer computed from the model, as lines of text.
func (h *history) expected(q question) []string {
	type sum struct {
		count int
		sums  []decimal.Decimal
	}
	by := q.q.By
	if slices.Contains(q.q.Measures, "amount") && !slices.Contains(by, "currency") {
		by = append(slices.Clone(by), "currency")
	}
	groups := map[string]*sum{}
	if len(by) == 0 {
		groups[""] = &sum{sums: make([]decimal.Decimal, len(q.q.Measures))}
	}
	for _, f := range h.rows {
		if !q.within(f) {
			continue
		}
		var key strings.Builder
		for _, k := range by {
			key.WriteString(sortable(f.value(k, q.zone, h.l.Zone())))
		}
		g := groups[key.String()]
		if g == nil {
			g = &sum{sums: make([]decimal.Decimal, len(q.q.Measures))}
			groups[key.String()] = g
		}
		if f.Kind == ledger.Upstream || f.Kind == ledger.Adjustment {
			g.count++
		}
		for i, m := range q.q.Measures {
			g.sums[i] = g.sums[i].Add(map[string]ledger.Amount{"amount": f.Amount, "quantity": f.Quantity}[m].Decimal())
		}
	}
	var lines []string
	for key, g := range groups {
		lines = append(lines, line(key, g.count, g.sums))
	}
	slices.Sort(lines)
	return lines
}

// sortable is a key so that text sorts by its bytes and null last.
func sortable(v *string) string {
	if v == nil {
		return "\xff\x00"
	}
	return *v + "\x00"
}

func line[T fmt.Stringer](key string, count int, sums []T) string {
	s := key + "\x00" + strconv.Itoa(count)
	for _, v := range sums {
		s += " " + v.String()
	}
	return s
}

func answered(r ledger.AggregateResult) (lines []string) {
	for _, row := range r.Rows {
		var key strings.Builder
		for _, k := range row.Key {
			key.WriteString(sortable(k))
		}
		lines = append(lines, line(key.String(), int(row.Count), row.Sum))
	}
	return lines
}
