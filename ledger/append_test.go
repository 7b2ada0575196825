package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"deltaledger/ledger"
	"deltaledger/ledger/pg"
	"deltaledger/migrations"
	"deltaledger/migrations/pgtest"
)

func open(t testing.TB) (*ledger.Ledger, *pgtest.DB) {
	t.Helper()
	db := pgtest.New(t)
	l, err := ledger.Open(t.Context(), ledger.Config{Pool: db.App})
	if err != nil {
		t.Fatal(err)
	}
	return l, db
}

var noon = time.Date(2026, 1, 15, 12, 0, 0, 0, time.UTC)

// sale is event n of stream s: distinct in every field that matters.
func sale(stream string, n int) ledger.Event {
	return ledger.Event{
		ID: fmt.Sprintf("%s/%d", stream, n), Source: "shop", Stream: stream, Seqn: int64(n), HasSeqn: true, Type: "line.sold",
		Account: "acme", OccurredAt: noon.Add(time.Duration(n) * time.Second), Currency: "EUR", Amount: amount(fmt.Sprintf("%d.25", n)),
		Dimensions: []byte(`{"country":"FR"}`),
	}
}

func sales(stream string, n int) []ledger.Event {
	all := make([]ledger.Event, n)
	for i := range all {
		all[i] = sale(stream, i+1)
	}
	return all
}

func amount(s string) ledger.Amount {
	a, err := ledger.ParseAmount(s)
	if err != nil {
		panic(err)
	}
	return a
}

func appendAll(t testing.TB, l *ledger.Ledger, events ...ledger.Event) []ledger.Outcome {
	t.Helper()
	out, err := l.Append(t.Context(), events)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func statuses(out []ledger.Outcome) (s []ledger.Status) {
	for _, o := range out {
		s = append(s, o.Status)
	}
	return s
}

func tally(out []ledger.Outcome) map[ledger.Status]int {
	n := map[ledger.Status]int{}
	for _, o := range out {
		n[o.Status]++
	}
	return n
}

func one[T any](t testing.TB, db *pgtest.DB, sql string, args ...any) (v T) {
	t.Helper()
	if err := db.Super.QueryRow(context.Background(), sql, args...).Scan(&v); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return v
}

const countEvents = `SELECT count(*) FROM ledger.events`

func TestEventIsRecordedOnce(t *testing.T) {
	t.Parallel()
	l, db := open(t)
	first := appendAll(t, l, sales("o1", 3)...)
	if want := []ledger.Status{ledger.Recorded, ledger.Recorded, ledger.Recorded}; !slices.Equal(statuses(first), want) {
		t.Fatalf("first delivery: %v", first)
	}
	again := appendAll(t, l, sales("o1", 4)...)
	if want := []ledger.Status{ledger.Duplicate, ledger.Duplicate, ledger.Duplicate, ledger.Recorded}; !slices.Equal(statuses(again), want) {
		t.Fatalf("second delivery: %v", again)
	}
	for i := range first {
		if first[i].Position != again[i].Position || first[i].Position == 0 {
			t.Errorf("event %d: recorded at %d, found again at %d", i, first[i].Position, again[i].Position)
		}
	}
	if n := one[int](t, db, countEvents); n != 4 {
		t.Errorf("%d events are recorded", n)
	}
}

func TestOtherContentUnderTheSameIdentityIsAConflict(t *testing.T) {
	t.Parallel()
	l, db := open(t)
	appendAll(t, l, sales("o1", 2)...)
	changed := sale("o1", 1)
	changed.Amount, changed.Account = amount("99"), "globex"
	for range 2 { // kept once, however often it comes
		out := appendAll(t, l, changed, sale("o1", 3))
		if out[0].Status != ledger.Conflict || !slices.Equal(out[0].Differs, []string{"account", "amount"}) {
			t.Fatalf("outcome %+v", out[0])
		}
	}
	if n := one[int](t, db, `SELECT count(*) FROM ledger.conflicts WHERE differs = '{account,amount}' AND content LIKE '%globex%'`); n != 1 {
		t.Errorf("%d conflicts are kept", n)
	}
	if n := one[int](t, db, `SELECT count(*) FROM ledger.events WHERE account = 'globex'`); n != 0 {
		t.Error("the conflict was recorded")
	}
}

func TestManyWritersOfTheSameConflicts(t *testing.T) {
	t.Parallel()
	l, db := open(t)
	const writers, events = 6, 500
	appendAll(t, l, sales("o1", events)...)
	var group sync.WaitGroup
	for w := range writers {
		group.Go(func() {
			mine := sales("o1", events)
			for i := range mine {
				mine[i].Account, mine[i].Payload = "globex", []byte(`{"why":"moved"}`)
			}
			if w%2 == 1 {
				slices.Reverse(mine)
			}
			out, err := l.Append(context.Background(), mine)
			if n := tally(out); n[ledger.Conflict] != events || err != nil {
				t.Errorf("outcomes %v, error %v", n, err)
			}
		})
	}
	group.Wait()
	if n := one[int](t, db, `SELECT count(*) FROM ledger.conflicts JOIN ledger.conflict_private ON conflict = n`); n != events {
		t.Errorf("%d conflicts are kept with their payloads", n)
	}
}

func TestPlaceInAStreamIsTakenOnce(t *testing.T) {
	t.Parallel()
	l, db := open(t)
	const senders, events = 4, 500
	var group sync.WaitGroup
	outcomes := make([][]ledger.Outcome, senders)
	for s := range senders {
		group.Go(func() {
			mine := sales("o1", events)
			for i := range mine {
				mine[i].ID = fmt.Sprintf("sender %d, %s", s, mine[i].ID)
			}
			out, err := l.Append(context.Background(), mine)
			if err != nil {
				t.Error(err)
			}
			outcomes[s] = out
		})
	}
	group.Wait()
	n := tally(slices.Concat(outcomes...))
	if n[ledger.Recorded] != events || n[ledger.Conflict] != (senders-1)*events {
		t.Errorf("outcomes %v", n)
	}
	if n := one[int](t, db, `SELECT count(DISTINCT seqn) FROM ledger.events`); n != events {
		t.Errorf("%d places are taken", n)
	}
	if n := one[int](t, db, `SELECT count(*) FROM ledger.conflicts WHERE reason = 'sequence'`); n != (senders-1)*events {
		t.Errorf("%d conflicts are kept", n)
	}
}

func TestOverlappingBatchesOfManyWriters(t *testing.T) {
	t.Parallel()
	l, db := open(t)
	const writers, events = 8, 1200
	var group sync.WaitGroup
	all := make([][]ledger.Outcome, writers)
	for w := range writers {
		group.Go(func() {
			mine := sales("o1", events)
			if w%2 == 1 {
				slices.Reverse(mine)
			}
			for part := range slices.Chunk(mine, 100+37*w) {
				out, err := l.Append(context.Background(), part)
				if err != nil {
					t.Error(err)
				}
				all[w] = append(all[w], out...)
			}
		})
	}
	group.Wait()
	n := tally(slices.Concat(all...))
	if n[ledger.Recorded] != events || n[ledger.Duplicate] != (writers-1)*events {
		t.Errorf("outcomes %v", n)
	}
	if n := one[int](t, db, countEvents); n != events {
		t.Errorf("%d events are recorded", n)
	}
	if n := one[int](t, db, `SELECT count(*) FROM ledger.event_keys k JOIN ledger.events e USING (position, recorded_at)`); n != events {
		t.Errorf("%d events have their key", n)
	}
}

func TestRepeatsWithinABatch(t *testing.T) {
	t.Parallel()
	l, _ := open(t)
	stored := sale("o1", 1)
	appendAll(t, l, stored)

	changed := sale("o2", 1)
	changed.Amount = amount("77")
	taken := sale("o2", 1)
	taken.ID = "other id, same place"
	moved := sale("o1", 1) // conflicts with what is stored, and names place 9
	moved.Seqn = 9
	free := sale("o1", 9) // so place 9 stays free for this one
	out := appendAll(t, l, sale("o2", 1), sale("o2", 1), changed, taken, moved, free, stored)
	want := []ledger.Status{
		ledger.Recorded, ledger.Duplicate, ledger.Conflict, ledger.Conflict, ledger.Conflict, ledger.Recorded, ledger.Duplicate,
	}
	if !slices.Equal(statuses(out), want) {
		t.Errorf("outcomes %v, want %v", statuses(out), want)
	}
	if out[1].Position != out[0].Position || out[3].Position != out[0].Position {
		t.Errorf("repeats name positions %d and %d instead of %d", out[1].Position, out[3].Position, out[0].Position)
	}
}

func TestEventThatTheDatabaseRefusesStandsAlone(t *testing.T) {
	t.Parallel()
	l, db := open(t)
	if _, err := db.Super.Exec(t.Context(), `ALTER TABLE ledger.events ADD CONSTRAINT poison CHECK (account <> 'poison')`); err != nil {
		t.Fatal(err)
	}
	for name, batch := range map[string][]ledger.Event{"new events": sales("o1", 300), "with duplicates": sales("o1", 400)} {
		t.Run(name, func(t *testing.T) {
			for _, i := range []int{0, 150, 299} {
				batch[i].Account, batch[i].ID = "poison", batch[i].ID+"!"
				batch[i].Seqn += 1000
			}
			out := appendAll(t, l, batch...)
			if n := tally(out)[ledger.Rejected]; n != 3 || out[150].Status != ledger.Rejected || out[150].Err == nil {
				t.Errorf("%d invalid, outcome of the bad one %+v", n, out[150])
			}
			if n := tally(out); n[ledger.Recorded]+n[ledger.Duplicate] != len(batch)-3 {
				t.Errorf("outcomes %v", n)
			}
		})
	}
}

// A month without a partition is nobody's fault but the operator's: no event may be called invalid for it.
func TestMonthWithoutPartition(t *testing.T) {
	t.Parallel()
	l, db := open(t)
	leaf := one[string](t, db, `SELECT to_char(now() AT TIME ZONE 'UTC', '"ledger.events_"YYYY_MM')`)
	drop := func() {
		t.Helper()
		if _, err := db.Super.Exec(t.Context(), "DROP TABLE "+leaf); err != nil {
			t.Fatal(err)
		}
	}
	drop()
	if out := appendAll(t, l, sales("o1", 3)...); tally(out)[ledger.Recorded] != 3 {
		t.Errorf("outcomes %+v", out)
	}
	drop()
	out, err := l.AppendAtomic(t.Context(), sales("o2", 3))
	if tally(out)[ledger.Recorded] != 3 || err != nil {
		t.Errorf("atomic: outcomes %+v, error %v", out, err)
	}
	// The clock is beyond what partitions are made for.
	drop()
	one[int64](t, db, `SELECT setval('ledger.taken_seq', (extract(epoch FROM now() + interval '20 months') * 1000000)::bigint)`)
	if out, err := l.Append(t.Context(), sales("o3", 3)); err == nil {
		t.Errorf("outcomes %+v", out)
	}
}

// A business date in the year 0 couldn't be named: no month, file or filter takes it.
func TestBusinessDateBeforeTheYearOne(t *testing.T) {
	t.Parallel()
	db := pgtest.Empty(t)
	if err := migrations.Up(t.Context(), db.URL, migrations.Options{Zone: "America/New_York"}); err != nil {
		t.Fatal(err)
	}
	pool, err := pg.Open(t.Context(), db.URL, pg.Options{Role: pg.App})
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	l, err := ledger.Open(t.Context(), ledger.Config{Pool: pool})
	if err != nil {
		t.Fatal(err)
	}
	before, after := sale("o1", 1), sale("o1", 2)
	before.OccurredAt = time.Date(1, 1, 1, 4, 0, 0, 0, time.UTC)
	after.OccurredAt = time.Date(1, 1, 1, 5, 0, 0, 0, time.UTC) // New York was 4:56 behind
	out := appendAll(t, l, before, after)
	if out[0].Status != ledger.Rejected || out[0].Err.Field != "occurred_at" || out[1].Status != ledger.Recorded {
		t.Errorf("outcomes %+v", out)
	}
	if date := one[string](t, db, `SELECT business_date::text FROM ledger.events`); date != "0001-01-01" {
		t.Errorf("business date %s", date)
	}
}

func TestKindsThatOnlyTheLedgerMakes(t *testing.T) {
	t.Parallel()
	l, _ := open(t)
	for i, kind := range []ledger.Kind{ledger.Reorder, ledger.Reversal, "gift", "\x00\xff"} {
		e := sale("o1", i)
		e.Kind = kind
		if out := appendAll(t, l, e); out[0].Status != ledger.Rejected || out[0].Err.Field != "kind" {
			t.Errorf("kind %q: %+v", kind, out[0])
		}
	}
}

func TestPrivateContent(t *testing.T) {
	t.Parallel()
	l, db := open(t)
	with := func(payload string) ledger.Event {
		e := sale("o1", 1)
		e.Payload = []byte(payload)
		return e
	}
	appendAll(t, l, with(`{"card": "visa one", "n": 1.50}`))
	if got := one[string](t, db, `SELECT payload FROM ledger.private`); got != `{"card": "visa one", "n": 1.50}` {
		t.Errorf("the payload is kept as %s", got)
	}
	ok := one[bool](t, db, `SELECT e.commitment = sha256(p.salt || convert_to('{"payload":{"card":"visa one","n":1.5}}', 'UTF8'))
		FROM ledger.events e JOIN ledger.private p USING (position)`)
	if !ok {
		t.Error("the commitment isn't SHA-256 over salt and canonical content")
	}
	for payload, want := range map[string]ledger.Status{
		`{"n":1.5,"card":"visa one"}`: ledger.Duplicate, // spelled otherwise
		`{"n":1.5,"card":"visa two"}`: ledger.Conflict,
		``:                            ledger.Conflict,
	} {
		out := appendAll(t, l, with(payload))
		if out[0].Status != want {
			t.Errorf("payload %s: %+v", payload, out[0])
		}
		if want == ledger.Conflict && !slices.Equal(out[0].Differs, []string{"payload"}) {
			t.Errorf("payload %s differs in %v", payload, out[0].Differs)
		}
	}
	if n := one[int](t, db, `SELECT count(*) FROM ledger.conflict_private WHERE payload IS NOT NULL`); n != 1 {
		t.Errorf("%d private contents of conflicts are kept", n)
	}
}

func TestAtomic(t *testing.T) {
	t.Parallel()
	l, db := open(t)
	appendAll(t, l, sale("o1", 1))

	bad := sales("o1", 3)
	bad[2].Currency = "XXQ"
	changed := sale("o1", 1)
	changed.Amount = amount("5")
	for name, c := range map[string]struct {
		events []ledger.Event
		want   []ledger.Status
	}{
		"invalid":  {bad, []ledger.Status{ledger.Refused, ledger.Refused, ledger.Rejected}},
		"conflict": {[]ledger.Event{sale("o1", 2), changed}, []ledger.Status{ledger.Refused, ledger.Conflict}},
	} {
		out, err := l.AppendAtomic(t.Context(), c.events)
		if !errors.Is(err, ledger.ErrAtomic) || !errors.Is(err, ledger.ErrInvalid) {
			t.Errorf("%s: error %v", name, err)
		}
		if !slices.Equal(statuses(out), c.want) {
			t.Errorf("%s: outcomes %v, want %v", name, statuses(out), c.want)
		}
	}
	if n := one[int](t, db, countEvents); n != 1 {
		t.Fatalf("%d events are recorded", n)
	}
	if n := one[int](t, db, `SELECT count(*) FROM ledger.conflicts`); n != 1 {
		t.Errorf("%d conflicts are kept", n)
	}
	out, err := l.AppendAtomic(t.Context(), sales("o1", 25_000))
	if n := tally(out); err != nil || n[ledger.Recorded] != 24_999 || n[ledger.Duplicate] != 1 {
		t.Errorf("outcomes %v, error %v", n, err)
	}
}

func TestSessionThatDiesLeavesNothingHalf(t *testing.T) {
	t.Parallel()
	l, db := open(t)
	const events, kills = 20_000, 25
	finished := make(chan struct{})
	var group sync.WaitGroup
	group.Go(func() {
		for range kills {
			one[int](t, db, `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
				WHERE datname = current_database() AND pid <> pg_backend_pid() AND query LIKE '%COPY%' AND state <> 'idle'`)
			select {
			case <-finished:
				return
			case <-time.After(7 * time.Millisecond): // the moment is random on purpose
			}
		}
	})
	for part := range slices.Chunk(sales("o1", events), 1000) {
		for try := 0; ; try++ {
			_, err := l.Append(t.Context(), slices.Clone(part))
			if err == nil {
				break
			}
			if try > 2*kills {
				t.Fatal(err)
			}
		}
	}
	close(finished)
	group.Wait()
	if n := one[int](t, db, countEvents); n != events {
		t.Errorf("%d events are recorded", n)
	}
	if n := one[int](t, db, `SELECT count(*) FROM ledger.event_keys k FULL JOIN ledger.events e USING (position, recorded_at)
		WHERE k.event_key IS NULL OR e.event_id IS NULL`); n != 0 {
		t.Errorf("%d events without key or keys without event", n)
	}
}

func TestNobodyChangesAnEvent(t *testing.T) {
	t.Parallel()
	l, db := open(t)
	events := sales("o1", 2)
	events[0].Payload = []byte(`{"card":"visa one"}`) // only a row of private content is what DELETE meets a refusal at
	appendAll(t, l, events...)
	leaf := one[string](t, db, `SELECT tableoid::regclass::text FROM ledger.events LIMIT 1`)
	for _, table := range []string{"ledger.events", leaf, "ledger.event_keys", "ledger.private", "ledger.conflicts", "ledger.settings"} {
		column := one[string](t, db, `SELECT attname FROM pg_attribute WHERE attrelid = $1::regclass AND attname NOT IN ('n')
			AND attnum > 0 ORDER BY attnum LIMIT 1`, table)
		for _, sql := range []string{
			fmt.Sprintf("UPDATE %s SET %s = %s", table, column, column), "DELETE FROM " + table, "TRUNCATE " + table + " CASCADE",
		} {
			if _, err := db.App.Exec(t.Context(), sql); !pg.IsRefused(err) {
				t.Errorf("as app: %s: %v", sql, err)
			}
			if _, err := db.Super.Exec(t.Context(), sql); !pg.IsRefused(err) {
				t.Errorf("as superuser: %s: %v", sql, err)
			}
			if _, err := db.Super.Exec(t.Context(), "SET session_replication_role = replica; "+sql); !pg.IsRefused(err) {
				t.Errorf("as a replica: %s: %v", sql, err)
			}
		}
	}
	if _, err := db.Super.Exec(t.Context(), "ALTER TABLE ledger.events DETACH PARTITION "+leaf); err != nil {
		t.Fatal(err)
	}
	for _, sql := range []string{"UPDATE " + leaf + " SET amount = 0", "DELETE FROM " + leaf, "TRUNCATE " + leaf} {
		if _, err := db.Super.Exec(t.Context(), sql); !pg.IsRefused(err) {
			t.Errorf("detached: %s: %v", sql, err)
		}
	}
}
