package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"deltaledger/ledger"
	"deltaledger/ledger/pg"
	"deltaledger/migrations/pgtest"
)

// column is the declaration of a dimension or measure, complete.
func column(name, kind, columnType string) ledger.Column {
	return ledger.Column{Name: name, Kind: kind, Type: columnType, Description: "what " + name + " is", Owner: "data", By: "jane"}
}

func addColumn(t testing.TB, l *ledger.Ledger, c ledger.Column) ledger.Column {
	t.Helper()
	got, err := l.AddColumn(t.Context(), c, 0)
	if err != nil {
		t.Fatalf("add %s: %v", c.Name, err)
	}
	return got
}

func ownerPool(t testing.TB, db *pgtest.DB) *pgxpool.Pool {
	t.Helper()
	p, err := pg.Open(t.Context(), db.URL, pg.Options{Role: pg.Owner, MaxConns: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

func TestAddedColumnIsInTheCatalogueAndOnEveryPartition(t *testing.T) {
	t.Parallel()
	l, db := open(t)
	stream := column("region", ledger.KindDimension, "")
	stream.Describes = ledger.DescribesStream
	secret := column("mail", ledger.KindDimension, "text")
	secret.PII = true
	for _, c := range []ledger.Column{
		stream, column("level", ledger.KindDimension, "int"), column("vip", ledger.KindDimension, "bool"), column("day_of", ledger.KindDimension, "date"),
		column("device", ledger.KindDimension, "uuid"), secret, column("commission", ledger.KindMoney, ""), column("weight", ledger.KindQuantity, ""),
	} {
		got := addColumn(t, l, c)
		if got.Since.IsZero() || got.Position == 0 || got.By != "jane" || got.Describes == "" {
			t.Errorf("%+v", got)
		}
		again := addColumn(t, l, c)
		if !again.Since.Equal(got.Since) || again.Position != got.Position {
			t.Errorf("declared again: %+v, was %+v", again, got)
		}
	}
	if n := one[int](t, db, `SELECT count(*) FROM pg_attribute WHERE attname IN ('region','level','vip','day_of','device','commission','weight') AND attnum > 0
		AND attrelid IN (SELECT 'ledger.events'::regclass UNION SELECT inhrelid FROM pg_inherits WHERE inhparent = 'ledger.events'::regclass)`); n != 7*14 {
		t.Errorf("%d columns on the table and its 13 partitions, want %d", n, 7*14)
	}
	if n := one[int](t, db, `SELECT count(*) FROM pg_attribute WHERE attname = 'mail'`); n != 0 {
		t.Error("a private dimension has a column among the events")
	}
	if n := one[int](t, db, `SELECT count(*) FROM ledger.column_floors`); n != 8 {
		t.Errorf("%d columns are known to be followed, want 8", n)
	}
	if _, err := db.Super.Exec(t.Context(), `INSERT INTO ledger.events (position, recorded_at, occurred_at, business_date, source, event_id, type, account, currency, kind, commission)
		SELECT 99, now(), now(), now(), 's', 'i', 't', 'a', 'EUR', 'upstream', 1e38`); !pg.IsDataError(err) {
		t.Errorf("a measure out of range: %v", err)
	}
	// The months to come have them too, and the checks with them.
	if _, err := db.App.Exec(t.Context(), `SELECT ledger.create_partitions(14)`); err != nil {
		t.Error(err)
	}
	if got := one[string](t, db, `SELECT string_agg(column_name, ' ' ORDER BY ordinal_position) FROM information_schema.columns WHERE table_schema = 'ledger' AND table_name = 'events_v2' AND ordinal_position > 20`); got != "region level vip day_of device commission weight" {
		t.Errorf("the view shows %s", got)
	}
	if n := one[int](t, db, `SELECT count(*) FROM information_schema.columns WHERE table_schema = 'ledger' AND table_name = 'events_v1'`); n != 20 {
		t.Errorf("events_v1 has %d columns", n)
	}
}

func TestDeclarationsThatAreRefused(t *testing.T) {
	t.Parallel()
	l, _ := open(t)
	addColumn(t, l, column("region", ledger.KindDimension, "text"))
	with := func(c ledger.Column, change func(*ledger.Column)) ledger.Column { change(&c); return c }
	plain := column("x", ledger.KindDimension, "text")
	for _, c := range []struct {
		column ledger.Column
		field  string
	}{
		{column("", "dimension", ""), "name"},
		{column("Region", "dimension", ""), "name"},
		{column("1st", "dimension", ""), "name"},
		{column("a-b", "dimension", ""), "name"},
		{column(strings.Repeat("x", 60), "dimension", ""), "name"},
		{column("a;drop", "dimension", ""), "name"},
		{column("order", "dimension", ""), "name"},
		{column("xmin", "dimension", ""), "name"},
		{column("booked_month", "dimension", ""), "name"},
		{column("late_from", "dimension", ""), "name"},
		{column("month", "dimension", ""), "name"},
		{column("measures", "dimension", ""), "name"},
		{column("id", "dimension", ""), "name"},
		{column("count", "money", ""), "name"},
		{column("ledger_x", "dimension", ""), "name"},
		{column("pii", "dimension", ""), "name"},
		{column("x", "number", ""), "kind"},
		{column("x", "dimension", "float"), "type"},
		{column("x", "dimension", "numeric"), "type"},
		{column("x", "money", "text"), "type"},
		{with(plain, func(c *ledger.Column) { c.Description = " " }), "description"},
		{with(plain, func(c *ledger.Column) { c.Owner = "" }), "owner"},
		{with(plain, func(c *ledger.Column) { c.By = "" }), "by"},
		{with(plain, func(c *ledger.Column) { c.Describes = "account" }), "describes"},
		{with(plain, func(c *ledger.Column) { c.PII, c.Describes = true, "stream" }), "describes"},
		{with(plain, func(c *ledger.Column) { c.PII, c.Indexed = true, true }), "index"},
		{with(column("x", "money", ""), func(c *ledger.Column) { c.PII = true }), "pii"},
		{with(column("x", "quantity", ""), func(c *ledger.Column) { c.Indexed = true }), "index"},
		{with(column("x", "money", ""), func(c *ledger.Column) { c.Describes = "stream" }), "describes"},
	} {
		_, err := l.AddColumn(t.Context(), c.column, 0)
		if bad := new(ledger.FieldError); !errors.As(err, &bad) || bad.Field != c.field {
			t.Errorf("%+v: %v, want an error of %s", c.column, err, c.field)
		}
	}
	for _, c := range []ledger.Column{column("region", "dimension", "int"), column("region", "money", ""), with(column("region", "dimension", ""), func(c *ledger.Column) { c.Owner = "other" }), column("account", "dimension", "text")} {
		_, err := l.AddColumn(t.Context(), c, 0)
		if !errors.Is(err, ledger.ErrConflict) || c.Name == "region" && (!strings.Contains(err.Error(), "dimension of type text") || !strings.Contains(err.Error(), "what is asked for is")) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	e := sale("o1", 1)
	e.Dimensions = []byte(`{"tip":"large"}`)
	appendAll(t, l, e)
	if _, err := l.AddColumn(t.Context(), column("tip", "money", ""), 0); !errors.Is(err, ledger.ErrConflict) || !strings.Contains(err.Error(), `"o1/1"`) {
		t.Errorf("a measure with the name of a dimension in use: %v", err)
	}
}

// Nobody waits behind a declaration for longer than its tries take, and nothing is left of one that gave up.
func TestDeclarationGivesUpBehindALongReader(t *testing.T) {
	t.Parallel()
	l, db := open(t)
	tx, err := db.App.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var pid int
	if err := tx.QueryRow(t.Context(), `SELECT pg_backend_pid() FROM (SELECT count(*) FROM ledger.events) AS e`).Scan(&pid); err != nil {
		t.Fatal(err)
	}
	_, err = l.AddColumn(t.Context(), column("region", "dimension", "text"), 600*time.Millisecond)
	if !errors.Is(err, ledger.ErrBusy) || !strings.Contains(err.Error(), fmt.Sprintf("process %d", pid)) {
		t.Errorf("%v", err)
	}
	if c, err := l.Catalogue(t.Context()); err != nil || len(c.Columns()) != 17 {
		t.Errorf("%v, %v", c, err)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	addColumn(t, l, column("region", "dimension", "text"))
}

// Invariant 5 for every type: events from before and after a declaration stand in one answer, found by what their values
// spell, whatever JSON type they had, and what isn't of the declared type stays where it was.
func TestOldAndNewEventsInOneAnswer(t *testing.T) {
	t.Parallel()
	l, db := open(t)
	const id = "5c0f7a1e-9f63-4f0b-8d8e-2f7f6f0c9a11"
	old := []string{
		`{"level":7,"vip":true,"day_of":"2026-01-31","device":"` + id + `","region":"north"}`,
		`{"level":"7","vip":"true","day_of":"2026-01-31","device":"` + id + `","region":"north"}`,
		`{"level":"seven","vip":1,"day_of":"31.01.2026","device":"none","region":5}`,
		`{"level":7.5,"vip":"","day_of":20260131,"device":true,"region":true}`, `{}`,
	}
	for i, d := range old {
		e := sale("o1", i+1)
		e.Dimensions = []byte(d)
		appendAll(t, l, e)
	}
	before, err := l.TakeWatermark(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	by := []string{"level", "vip", "day_of", "device", "region"}
	wheres := []string{"level=7", "vip=true", "day_of=2026-01-31", "device=" + id, "region=north", "region=5", "level=", "dimensions.level=seven", "dimensions.vip=1", "dimensions.level=7.5", "dimensions.day_of=31.01.2026", "dimensions.region=true"}
	answers := func(asOf string) (all []string) {
		for _, item := range wheres {
			where, _ := ledger.ParseWhere([]string{item})
			rows, _ := listAll(t, l, ledger.ListQuery{Where: where, OldestFirst: true, AsOf: asOf})
			all = append(all, item+": "+strings.Join(idsOf(rows), " "))
		}
		return append(all, groups(t, l, ledger.AggregateQuery{By: by, Measures: []string{"amount"}, AsOf: asOf})...)
	}
	asOf := fmt.Sprint(before.Position)
	then := answers(asOf)
	for i, kind := range []string{"int", "bool", "date", "uuid", "text"} {
		addColumn(t, l, column(by[i], "dimension", kind))
	}
	sameLines(t, "as of before the declarations", answers(asOf), then)
	for i, d := range []string{
		`{"level":7,"vip":true,"day_of":"2026-01-31","device":"` + strings.ToUpper(id) + `","region":"north"}`,
		`{"level":"7","vip":"true","day_of":"2026-01-31","device":"` + id + `","region":5}`, `{}`,
	} {
		e := sale("o2", i+1)
		e.Dimensions = []byte(d)
		if o := appendAll(t, l, e)[0]; o.Status != ledger.Recorded {
			t.Fatalf("%+v", o)
		}
	}
	sameLines(t, "both", answers(""), []string{
		"level=7: o1/1 o1/2 o2/1 o2/2", "vip=true: o1/1 o1/2 o2/1 o2/2", "day_of=2026-01-31: o1/1 o1/2 o2/1 o2/2", "device=" + id + ": o1/1 o1/2 o2/1 o2/2",
		"region=north: o1/1 o1/2 o2/1", "region=5: o1/3 o2/2", "level=: o1/5 o2/3", "dimensions.level=seven: o1/3", "dimensions.vip=1: o1/3", "dimensions.level=7.5: o1/4",
		"dimensions.day_of=31.01.2026: o1/3", "dimensions.region=true: o1/4",
		"7 true 2026-01-31 " + id + " 5 EUR:1[2.25]", "7 true 2026-01-31 " + id + " north EUR:3[4.75]", "7.5  20260131 true true EUR:1[4.25]", "seven 1 31.01.2026 none 5 EUR:1[3.25]", "null null null null null EUR:2[8.5]",
	})
	if _, err := l.Aggregate(t.Context(), ledger.AggregateQuery{Where: []ledger.Filter{{Key: "level", Values: []string{"seven"}}}}); !errors.Is(err, ledger.ErrInvalid) {
		t.Errorf("a value that isn't of the type: %v", err)
	}
	if got := one[string](t, db, `SELECT string_agg(concat_ws(' ', level, vip, day_of, device, region), '|' ORDER BY position) FROM ledger.events_v2`); got != strings.Join([]string{
		"7 t 2026-01-31 " + id + " north", "7 t 2026-01-31 " + id + " north", "5", "true", "", "7 t 2026-01-31 " + id + " north", "7 t 2026-01-31 " + id + " 5", "",
	}, "|") {
		t.Errorf("the view shows %s", got)
	}
	all, err := l.Schema(t.Context())
	i := slices.IndexFunc(all, func(f ledger.Filled) bool { return f.Name == "level" })
	if err != nil || all[i].Filled != 6 || all[i].Sampled != 8 {
		t.Errorf("%+v, %v", all[i], err)
	}
}

// plan is how PostgreSQL would answer.
func plan(t testing.TB, db *pgtest.DB, sql string, args ...any) string {
	t.Helper()
	tx, err := db.Super.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.Background()) }()
	rows, err := tx.Query(t.Context(), "EXPLAIN (COSTS OFF) "+sql, args...)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(lines, "\n")
}

func TestIndexesAreBuiltAndResumed(t *testing.T) {
	t.Parallel()
	l, db := open(t)
	owner := ownerPool(t, db)
	region := column("region", "dimension", "text")
	addColumn(t, l, region)
	region.Indexed = true
	if c := addColumn(t, l, region); !c.Indexed {
		t.Errorf("%+v", c)
	}
	if n, err := l.IndexesMissing(t.Context()); err != nil || n != 13 {
		t.Errorf("%d missing, %v", n, err)
	}
	// One that was interrupted when it was half built, and one that was built but not attached.
	parts := strings.Split(one[string](t, db, `SELECT string_agg(inhrelid::regclass::text, ' ' ORDER BY inhrelid::regclass::text) FROM pg_inherits WHERE inhparent = 'ledger.events'::regclass`), " ")
	for _, sql := range []string{
		"CREATE INDEX half ON " + parts[0] + " (region) WHERE region IS NOT NULL", "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'ledger.half'::regclass",
		"CREATE INDEX loose ON " + parts[1] + " (region) WHERE region IS NOT NULL",
	} {
		if _, err := db.Super.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	stopped, cancel := context.WithCancel(t.Context())
	n, err := l.BuildIndexes(stopped, owner, func(_, partition string) {
		if partition == parts[3] {
			cancel()
		}
	})
	if err == nil || n != 4 {
		t.Errorf("built %d, %v", n, err)
	}
	if n, err = l.BuildIndexes(t.Context(), owner, nil); err != nil || n != 10 {
		t.Errorf("built %d, %v", n, err)
	}
	if n, err = l.BuildIndexes(t.Context(), owner, nil); err != nil || n != 0 {
		t.Errorf("built %d once more, %v", n, err)
	}
	if _, err := db.App.Exec(t.Context(), `SELECT ledger.create_partitions(14)`); err != nil {
		t.Fatal(err)
	}
	if n, err := l.IndexesMissing(t.Context()); err != nil || n != 0 {
		t.Errorf("%d missing on partitions made later, %v", n, err)
	}
	if got := one[string](t, db, `SELECT count(*) || ' ' || bool_and(valid) FROM ledger.event_indexes`); got != "16 true" {
		t.Errorf("indexes: %s, want that of the table and of its 15 partitions", got)
	}
}

func TestFilterOfAnIndexedColumnUsesTheIndex(t *testing.T) {
	t.Parallel()
	l, db := open(t)
	var old []ledger.Event
	for i := range 3000 {
		e := sale(fmt.Sprint("s", i), 1)
		e.Dimensions = fmt.Appendf(nil, `{"level":%d,"region":"r%d"}`, i, i)
		old = append(old, e)
	}
	for _, name := range []string{"level", "region"} {
		c := column(name, "dimension", map[string]string{"level": "int"}[name])
		c.Indexed = true
		addColumn(t, l, c)
	}
	if _, err := l.BuildIndexes(t.Context(), ownerPool(t, db), nil); err != nil {
		t.Fatal(err)
	}
	appendAll(t, l, old...)
	if _, err := db.Super.Exec(t.Context(), "ANALYZE ledger.events"); err != nil {
		t.Fatal(err)
	}
	for item, index := range map[string]string{"level=77": "level_idx", "region=r77": "region_idx"} {
		where, _ := ledger.ParseWhere([]string{item})
		sql, args, err := l.ListSQL(t.Context(), where)
		if err != nil {
			t.Fatal(err)
		}
		if got := plan(t, db, sql, args...); !strings.Contains(got, index) || strings.Contains(got, "Seq Scan on events_"+time.Now().UTC().Format("2006_01")) {
			t.Errorf("%s:\n%s\n%s", item, sql, got)
		}
	}
}

// Columns are added while events pour in: no writer sees an error, every event is recorded with every value, and nobody
// waits for long, though somebody reads at length.
func TestColumnsAreAddedUnderLoad(t *testing.T) {
	t.Parallel()
	l, db := open(t)
	other, err := ledger.Open(t.Context(), ledger.Config{Pool: db.App}) // another service of the same ledger
	if err != nil {
		t.Fatal(err)
	}
	const columns, writers = 10, 6
	dims := strings.Builder{}
	for i := range columns {
		fmt.Fprintf(&dims, `,"extra_%d":%d`, i, i)
	}
	var (
		group sync.WaitGroup
		stop  atomic.Bool
		sent  atomic.Int64
		worst [2]atomic.Int64 // microseconds: without and with declarations
		phase atomic.Int64
	)
	for w := range writers {
		group.Go(func() {
			for n := 1; !stop.Load(); n++ {
				e := sale(fmt.Sprint("w", w), n)
				e.Dimensions = []byte("{" + dims.String()[1:] + "}")
				began, during := time.Now(), phase.Load()
				out, err := []*ledger.Ledger{l, other}[w%2].Append(context.Background(), []ledger.Event{e})
				if err != nil || out[0].Status != ledger.Recorded {
					t.Errorf("%+v, %v", out, err)
					return
				}
				took := time.Since(began).Microseconds()
				for most := &worst[during]; ; {
					old := most.Load()
					if took <= old || most.CompareAndSwap(old, took) {
						break
					}
				}
				sent.Add(1)
			}
		})
	}
	group.Go(func() { // whose reads keep a column out for longer than a try waits
		for !stop.Load() {
			tx, err := db.Super.Begin(context.Background())
			if err == nil {
				_, err = tx.Exec(context.Background(), `SELECT count(*), pg_sleep(0.35) FROM ledger.events`)
			}
			if err == nil {
				err = tx.Rollback(context.Background())
			}
			if err != nil {
				t.Error(err)
				return
			}
			time.Sleep(100 * time.Millisecond) // paces the reads; nothing is concluded from it
		}
	})
	for sent.Load() < 300 && !t.Failed() {
		time.Sleep(time.Millisecond) // paces the load; nothing is concluded from it
	}
	phase.Store(1)
	for i := range columns {
		if _, err := l.AddColumn(t.Context(), column(fmt.Sprint("extra_", i), "dimension", "int"), 0); err != nil {
			t.Error(err)
		}
	}
	mark := sent.Load()
	for sent.Load() < mark+300 && !t.Failed() {
		time.Sleep(time.Millisecond)
	}
	stop.Store(true)
	group.Wait()
	t.Logf("%d events; the slowest append took %v before and %v while columns were added", sent.Load(),
		time.Duration(worst[0].Load())*time.Microsecond, time.Duration(worst[1].Load())*time.Microsecond)
	// A try keeps others waiting for 50 milliseconds; the rest is room for a slow machine.
	if most := worst[0].Load() + time.Second.Microseconds(); worst[1].Load() > most {
		t.Errorf("a writer waited %d µs, more than %d", worst[1].Load(), most)
	}
	if n := one[int64](t, db, `SELECT count(*) FROM ledger.events`); n != sent.Load() {
		t.Errorf("%d events are recorded, %d were sent", n, sent.Load())
	}
	for i := range columns {
		name := fmt.Sprint("extra_", i)
		if n := one[int64](t, db, fmt.Sprintf(`SELECT count(*) FROM ledger.events WHERE COALESCE(%[1]s::text, dimensions->>'%[1]s') = '%[2]d'`, name, i)); n != sent.Load() {
			t.Errorf("%d events have %s, want %d", n, name, sent.Load())
		}
		if n := one[int64](t, db, fmt.Sprintf(`SELECT count(*) FROM ledger.events e JOIN ledger.column_floors f ON f.name = '%[1]s' WHERE e.position > f.position AND e.%[1]s IS NULL
			OR e.%[1]s IS NOT NULL AND e.position < (SELECT c.position FROM ledger.columns c WHERE c.name = '%[1]s')`, name)); n != 0 {
			t.Errorf("%d events don't follow the declaration of %s", n, name)
		}
	}
}
