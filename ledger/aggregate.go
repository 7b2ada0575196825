package ledger

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// The limit of the groups of an aggregate.
const (
	DefaultGroups = 10_000
	MaxGroups     = 100_000
	maxBy         = 16
	maxMeasures   = 32
)

// AggregateQuery asks for exact sums of the events, by groups.
type AggregateQuery struct {
	Measures []string // amount, quantity, and declared ones; the count of events is always there
	By       []string // keys as in Filter
	Where    []Filter
	From, To string   // bounds of occurred_at, as in Range, in Zone
	Zone     string   // IANA zone of the date buckets and of bounds that are dates; empty: the reporting zone
	AsOf     string   // as Ledger.AsOf takes it; empty: everything acknowledged until now
	Limit    int      // of groups, 1 to MaxGroups; 0: DefaultGroups
	Scope    []Filter // rows that the caller may see at all
}

// AggregateResult is the answer to an AggregateQuery. With the same question and the same watermark it
// is the same bytes, until a month that it touches is detached: then it says so in NotCovered.
type AggregateResult struct {
	By       []string       `json:"by"`       // the keys asked for, and last currency, where a money measure needs it
	Measures []string       `json:"measures"` // as asked for
	Rows     []AggregateRow `json:"rows"`     // by the bytes of their keys, a key that is absent last
	More     bool           `json:"more"`     // there are more groups than the limit: these are the first ones
	Zone     string         `json:"zone"`
	AsOf     Watermark      `json:"as_of"`

	// Detached months that may hold events that were asked for, which are in none of the sums; without any they are whole.
	NotCovered []DetachedMonth `json:"not_covered,omitempty"`
}

// AggregateRow is one group.
type AggregateRow struct {
	Key   []*string `json:"key"`   // beside AggregateResult.By; null where the events have none
	Count int64     `json:"count"` // events from upstream and adjustments; what the ledger derives from them isn't counted
	Sum   []Amount  `json:"sum"`   // beside AggregateResult.Measures; exact, and never absent
}

// Aggregate sums events by groups. Amounts of different currencies are never added up: a money measure
// groups by currency, asked for or not.
func (l *Ledger) Aggregate(ctx context.Context, q AggregateQuery) (AggregateResult, error) {
	limit, err := limitOf(q.Limit, DefaultGroups, MaxGroups)
	if err != nil {
		return AggregateResult{}, err
	}
	zone, err := l.zoneOf(q.Zone)
	if err != nil {
		return AggregateResult{}, err
	}
	w, err := l.AsOf(ctx, q.AsOf)
	if err != nil {
		return AggregateResult{}, err
	}
	catalogue, err := l.Catalogue(ctx)
	if err != nil {
		return AggregateResult{}, err
	}
	freezes, err := l.freezesFor(ctx, w.Position, append(keysOf(q.Where, q.Scope), q.By...))
	if err != nil {
		return AggregateResult{}, err
	}
	b := newBuilder(catalogue, w.Position, zone, zone == l.settings.ReportingZone, freezes)
	result := AggregateResult{Measures: append([]string{}, q.Measures...), Zone: zone, AsOf: w, Rows: []AggregateRow{}}
	sql, by, err := b.aggregate(q, limit)
	if err != nil {
		return AggregateResult{}, err
	}
	result.By = by
	rows, err := l.pool.Query(ctx, sql, b.args...)
	if err != nil {
		return AggregateResult{}, readError("aggregate events", err)
	}
	result.Rows, err = pgx.AppendRows(result.Rows, rows, func(row pgx.CollectableRow) (AggregateRow, error) {
		return scanGroup(row, len(by), len(q.Measures))
	})
	if err != nil {
		return AggregateResult{}, readError("aggregate events", err)
	}
	if result.More = len(result.Rows) > limit; result.More {
		result.Rows = result.Rows[:limit]
	}
	result.NotCovered, err = l.notCovered(ctx, extent{
		asOf: w.Position, zone: zone, dates: b.reporting, span: Range{q.From, q.To}, where: slices.Concat(q.Where, q.Scope),
	})
	if err != nil {
		return AggregateResult{}, err
	}
	return result, nil
}

// zoneOf is the name of a zone that Go and PostgreSQL both know; PostgreSQL alone would take more. Names
// whose meaning depends on the machine, or that count leap seconds, are refused: an answer as of a
// watermark must be the same everywhere (invariant 5).
func (l *Ledger) zoneOf(name string) (string, error) {
	if name == "" {
		return l.settings.ReportingZone, nil
	}
	first, _, _ := strings.Cut(name, "/")
	ofMachine := slices.Contains([]string{"Local", "localtime", "posixrules", "posix", "right", "Factory"}, first)
	if _, err := time.LoadLocation(name); err != nil || ofMachine {
		return "", Invalid("zone", shown(name), "must be an IANA time zone such as Europe/London")
	}
	return name, nil
}

// counted are the events that count: the ledger's own rows only move sums.
const counted = "count(*) FILTER (WHERE e.kind IN ('upstream', 'adjustment'))"

// aggregate is the SQL of q and the keys of its groups. Groups are made by the columns' own types and
// turned into text afterwards, which is quicker by far where the groups are few.
func (b *builder) aggregate(q AggregateQuery, limit int) (sql string, by []string, err error) {
	sums, money, err := b.sums(q.Measures)
	if err != nil {
		return "", nil, err
	}
	by = append([]string{}, q.By...)
	if money && !slices.Contains(by, "currency") {
		by = append(by, "currency")
	}
	if err := checkBy(by); err != nil {
		return "", nil, err
	}
	var inner, outer, ordinals, sorted []string
	for i, key := range by {
		t, err := b.term("by", key)
		if err != nil {
			return "", nil, err
		}
		if t.older != "" {
			t = term{sql: t.text(), sqlType: "text"}
		}
		group := fmt.Sprintf("k%d", i+1)
		shown := fmt.Sprintf(t.format(), "t."+group)
		inner = append(inner, t.sql+" AS "+group)
		outer = append(outer, shown)
		ordinals = append(ordinals, fmt.Sprint(i+1))
		sorted = append(sorted, "("+shown+`) COLLATE "C" ASC NULLS LAST`)
	}
	for i, sum := range sums {
		inner = append(inner, fmt.Sprintf("%s AS s%d", sum, i+1))
		outer = append(outer, fmt.Sprintf("t.s%d", i+1))
	}
	inner, outer = append(inner, counted+" AS events"), append(outer, "t.events")
	if err := b.where(q.Where); err != nil {
		return "", nil, err
	}
	if err := b.where(q.Scope); err != nil {
		return "", nil, err
	}
	if err := b.within(Range{q.From, q.To}); err != nil {
		return "", nil, err
	}
	sql = "SELECT " + strings.Join(outer, ", ") + "\nFROM (SELECT " + strings.Join(inner, ", ") + b.from()
	if len(by) > 0 {
		sql += "\nGROUP BY " + strings.Join(ordinals, ", ") + ") AS t\nORDER BY " + strings.Join(sorted, ", ")
	} else {
		sql += ") AS t"
	}
	return sql + "\nLIMIT " + b.arg(limit+1, "bigint"), by, nil
}

// sums are the sums of the measures as text, and whether one of them is money.
func (b *builder) sums(measures []string) (sums []string, money bool, err error) {
	if len(measures) > maxMeasures {
		return nil, false, invalidf("measure", "", "must be at most %d, not %d", maxMeasures, len(measures))
	}
	for i, name := range measures {
		c, ok := b.catalogue.Column(name)
		if !ok || !c.Measure() {
			return nil, false, invalidf("measure", shown(name), "must be one of %s; the count is always there", names(b.catalogue.Measures()))
		}
		if slices.Contains(measures[:i], name) {
			return nil, false, Invalid("measure", name, "is asked for twice")
		}
		sums = append(sums, "trim_scale(COALESCE(sum("+c.identifier()+"), 0))::text")
		money = money || c.Kind == KindMoney
	}
	return sums, money, nil
}

func checkBy(by []string) error {
	if len(by) > maxBy {
		return invalidf("by", "", "must be at most %d keys, not %d", maxBy, len(by))
	}
	for i, key := range by {
		if slices.Contains(by[:i], key) {
			return Invalid("by", shown(key), "is asked for twice")
		}
	}
	return nil
}

func scanGroup(row pgx.CollectableRow, keys, sums int) (AggregateRow, error) {
	r := AggregateRow{Key: make([]*string, keys), Sum: make([]Amount, sums)}
	into := make([]any, 0, keys+sums+1)
	for i := range r.Key {
		into = append(into, &r.Key[i])
	}
	for i := range r.Sum {
		into = append(into, &r.Sum[i].text) // a sum may have more digits than an event
	}
	err := row.Scan(append(into, &r.Count)...)
	return r, err
}

func names(columns []Column) string {
	list := make([]string, len(columns))
	for i, c := range columns {
		list[i] = c.Name
	}
	return strings.Join(list, ", ")
}
