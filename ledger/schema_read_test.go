package ledger_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"deltaledger/ledger"
)

// The catalogue describes the columns that there are.
func TestCatalogueNamesRealColumns(t *testing.T) {
	t.Parallel()
	l, db := open(t)
	c, err := l.Catalogue(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, column := range c.Columns() {
		got := one[string](t, db, `SELECT COALESCE((SELECT format_type(atttypid, NULL) FROM pg_attribute WHERE attrelid = 'ledger.events'::regclass AND attname = $1), 'missing')`, column.Name)
		if want := map[string]string{"timestamptz": "timestamp with time zone"}[column.Type]; got != column.Type && got != want {
			t.Errorf("%s: the column is %s", column, got)
		}
		if !column.BuiltIn || column.Description == "" || column.Since.IsZero() {
			t.Errorf("%+v", column)
		}
	}
	if id, ok := c.Column("id"); !ok || id.Name != "event_id" {
		t.Errorf("id: %+v", id)
	}
	if m := c.Measures(); len(m) != 2 || m[0].Name != "amount" || m[1].Name != "quantity" {
		t.Errorf("measures: %v", m)
	}
}

// Invariant 5: declaring a column changes no answer about the events recorded before.
func TestDeclaredColumns(t *testing.T) {
	t.Parallel()
	l, db := open(t)
	old := sales("o1", 2)
	old[0].Dimensions = []byte(`{"level":7,"region":"north","day_of":"2026-01-31","extra":true}`)
	old[1].Dimensions = nil
	appendAll(t, l, old...)
	before := groups(t, l, ledger.AggregateQuery{By: []string{"region", "level", "day_of"}, Measures: []string{"amount"}})
	for _, sql := range []string{
		`ALTER TABLE ledger.events ADD COLUMN region text, ADD COLUMN level bigint, ADD COLUMN day_of date, ADD COLUMN commission numeric, ADD COLUMN "odd ""name" text`,
		`ALTER TABLE archive.events ADD COLUMN region text, ADD COLUMN level bigint, ADD COLUMN day_of date, ADD COLUMN commission numeric, ADD COLUMN "odd ""name" text`,
		`SELECT ledger.show_every_event()`,
		`INSERT INTO ledger.columns (name, kind, type, description, owner, pii) VALUES
			('region', 'dimension', 'text', 'd', 'o', false), ('level', 'dimension', 'bigint', 'd', 'o', false), ('day_of', 'dimension', 'date', 'd', 'o', false),
			('commission', 'money', 'numeric', 'd', 'o', false), ('odd "name', 'dimension', 'text', 'd', 'o', false), ('mail', 'dimension', 'text', 'd', 'o', true)`,
	} {
		if _, err := db.Super.Exec(context.Background(), sql); err != nil {
			t.Fatal(err)
		}
	}
	sameLines(t, "after the declaration", groups(t, l, ledger.AggregateQuery{By: []string{"region", "level", "day_of"}, Measures: []string{"amount"}}), before)
	if _, err := db.App.Exec(context.Background(), `
		INSERT INTO ledger.events (position, recorded_at, occurred_at, business_date, source, event_id, stream, type, account, currency, kind, amount, region, level, day_of, commission, "odd ""name", dimensions)
		SELECT positions[1], recorded_at, '2026-01-15 12:00Z', '2026-01-15', 'shop', 'new', 'o1', 't', 'acme', 'EUR', 'upstream', 1.00, 'north', 7, '2026-01-31', -0.50, 'x', '{"extra": false}'
		FROM ledger.draw(1)`); err != nil {
		t.Fatal(err)
	}
	sameLines(t, "both", groups(t, l, ledger.AggregateQuery{By: []string{"region", "level", "day_of", "odd \"name"}, Measures: []string{"amount", "commission"}}),
		[]string{"north 7 2026-01-31 x EUR:1[1 -0.5]", "north 7 2026-01-31 null EUR:1[1.25 0]", "null null null null EUR:1[2.25 0]"})
	for item, want := range map[string][]string{
		"region=north": {"o1/1", "new"}, "level=7": {"o1/1", "new"}, "day_of=2026-01-31": {"o1/1", "new"},
		"level=": {"o1/2"}, "region=": {"o1/2"}, "commission=-0.5": {"new"}, "dimensions.region=north": {"o1/1", "new"}, "dimensions.level=7": {"o1/1", "new"}, "extra=false": {"new"},
	} {
		where, err := ledger.ParseWhere([]string{item})
		if err != nil {
			t.Fatal(err)
		}
		if rows, _ := listAll(t, l, ledger.ListQuery{Where: where, OldestFirst: true}); !slices.Equal(idsOf(rows), want) {
			t.Errorf("%s: %v", item, idsOf(rows))
		}
	}
	v := view(t, l, "")
	got, _ := json.Marshal(v.Entries[0]) // it has no number, and occurred first
	for _, want := range []string{
		`"measures":{"commission":"-0.5"}`, `"dimensions":{"extra":false,"level":7,"day_of":"2026-01-31","region":"north","odd \"name":"x"}`,
		`{"currency":"EUR","measure":"commission","sum":"-0.5"}`,
	} {
		if !strings.Contains(string(got), want) {
			t.Errorf("%s isn't in %s", want, got)
		}
	}
	for _, by := range []string{"mail"} {
		if _, err := l.Aggregate(t.Context(), ledger.AggregateQuery{By: []string{by}}); !errors.Is(err, ledger.ErrInvalid) {
			t.Errorf("by %s: %v", by, err)
		}
	}
}

func TestSources(t *testing.T) {
	t.Parallel()
	l, db := open(t)
	if _, err := l.SourceOf(t.Context(), "shop"); !errors.Is(err, ledger.ErrNotFound) {
		t.Errorf("undeclared: %v", err)
	}
	declare := func(name string, states bool, numbering string) error {
		return l.DeclareSource(t.Context(), ledger.Source{Name: name, States: states, Numbering: numbering, By: "ops"})
	}
	for _, err := range []error{declare("shop", false, "stream"), declare("shop", false, "stream"), declare("shop", true, "source"), declare("ads", false, "source")} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if n := one[int](t, db, "SELECT count(*) FROM ledger.sources"); n != 3 {
		t.Errorf("%d declarations are kept, want 3: one said nothing new", n)
	}
	all, err := l.Sources(t.Context())
	if err != nil || len(all) != 2 || all[0].Name != "ads" || all[1].Name != "shop" || !all[1].States || all[1].Numbering != "source" || all[1].By != "ops" {
		t.Errorf("%+v, %v", all, err)
	}
	if s, err := l.SourceOf(t.Context(), "shop"); err != nil || s != all[1] {
		t.Errorf("%+v, %v", s, err)
	}
	if err := declare("shop", false, "source"); !errors.Is(err, ledger.ErrConflict) {
		t.Errorf("states withdrawn: %v", err)
	}
	for _, err := range []error{
		declare("", false, "none"), declare("x", false, "some"), declare("x", true, "none"), declare(ledger.ReservedSource, false, "none"), declare("a\x00", false, "none"),
		declare(strings.Repeat("x", 65), false, "none"), l.DeclareSource(t.Context(), ledger.Source{Name: "x", Numbering: "none"}),
	} {
		if !errors.Is(err, ledger.ErrInvalid) {
			t.Errorf("%v", err)
		}
	}
}

func TestListConflicts(t *testing.T) {
	t.Parallel()
	l, _ := open(t)
	appendAll(t, l, sales("o1", 3)...)
	for i := range 3 {
		other := sale("o1", i+1)
		other.Account = "other"
		appendAll(t, l, other)
	}
	first, err := l.ListConflicts(t.Context(), ledger.ConflictQuery{Limit: 2})
	if err != nil || len(first) != 2 || first[0].EventID != "o1/3" || !slices.Equal(first[0].Differs, []string{"account"}) || !json.Valid(first[0].Content) {
		t.Fatalf("%+v, %v", first, err)
	}
	rest, err := l.ListConflicts(t.Context(), ledger.ConflictQuery{Limit: 2, After: first[1].N})
	if err != nil || len(rest) != 1 || rest[0].EventID != "o1/1" {
		t.Errorf("%+v, %v", rest, err)
	}
	for _, q := range []ledger.ConflictQuery{{After: -1}, {State: "closed"}, {Reason: "other"}, {Limit: 1001}, {Source: "\x00"}} {
		if _, err := l.ListConflicts(t.Context(), q); !errors.Is(err, ledger.ErrInvalid) {
			t.Errorf("%+v: %v", q, err)
		}
	}
}
