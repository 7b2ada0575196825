package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"deltaledger/ledger"
	"deltaledger/migrations/pgtest"
)

func startBatcher(t testing.TB, l *ledger.Ledger, c ledger.BatcherConfig) *ledger.Batcher {
	t.Helper()
	b := ledger.NewBatcher(l, c)
	t.Cleanup(func() {
		if err := b.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return b
}

// hold locks what every writer needs until the returned function is called, so that groups are under way
// for as long as a test wants.
func hold(t testing.TB, db *pgtest.DB) (release func()) {
	t.Helper()
	tx, err := db.Super.Begin(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(context.Background(), `SELECT pg_advisory_xact_lock(17484, 1)`); err != nil {
		t.Fatal(err)
	}
	var once sync.Once
	release = func() {
		once.Do(func() {
			if err := tx.Rollback(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(release)
	return release
}

// waitingBackends waits until n sessions of the app wait for a lock, and returns their process ids.
func waitingBackends(t testing.TB, db *pgtest.DB, n int) []int32 {
	t.Helper()
	for {
		rows, err := db.Super.Query(t.Context(), `SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`)
		if err != nil {
			t.Fatal(err)
		}
		pids, err := pgx.CollectRows(rows, pgx.RowTo[int32])
		if err != nil {
			t.Fatal(err)
		}
		if len(pids) >= n {
			return pids
		}
	}
}

// until returns once the batcher's figures satisfy done.
func until(t testing.TB, b *ledger.Batcher, done func(ledger.BatcherStats) bool) {
	t.Helper()
	for !done(b.Stats()) {
		if err := t.Context().Err(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Millisecond) // there is no signal that something is queued
	}
}

// Each event has the outcome that it would have alone, whatever the others of its group are.
func TestBatcherKeepsRequestsApart(t *testing.T) {
	t.Parallel()
	l, db := open(t)
	b := startBatcher(t, l, ledger.BatcherConfig{LockWait: 20 * time.Second})
	appendAll(t, l, sales("old", 40)...)
	const callers, each = 24, 20
	var group sync.WaitGroup
	var mu sync.Mutex
	firsts, positions := map[string]int{}, map[string]int64{} // of the events that all callers send
	for c := range callers {
		group.Go(func() {
			for i := range each {
				fresh := sale(fmt.Sprint("new", c), i+1)
				fresh.Payload = []byte(fmt.Sprintf(`{"n":%d}`, i))
				changed := sale("old", 1+i)
				changed.Amount = amount("99")
				bad := sale("old", 1)
				bad.Currency = "XQZ"
				shared := sale("shared", i+1) // all callers send it
				want := []ledger.Status{ledger.Recorded, ledger.Conflict, ledger.Rejected, ledger.Duplicate, ""}
				out, err := b.Append(context.Background(), []ledger.Event{fresh, changed, bad, sale("old", 40-i), shared})
				if err != nil {
					t.Error(err)
					return
				}
				for k, o := range out {
					if o.Status != want[k] && k < 4 {
						t.Errorf("event %d: %+v, want %s", k, o, want[k])
					}
				}
				mu.Lock()
				if out[4].Status == ledger.Recorded {
					firsts[shared.ID]++
				} else if out[4].Status != ledger.Duplicate {
					t.Errorf("%s: %+v", shared.ID, out[4])
				}
				if p := positions[shared.ID]; p != 0 && p != out[4].Position {
					t.Errorf("%s is at %d and at %d", shared.ID, p, out[4].Position)
				}
				positions[shared.ID] = out[4].Position
				mu.Unlock()
			}
		})
	}
	group.Wait()
	for id, n := range firsts {
		if n != 1 {
			t.Errorf("%s was recorded %d times", id, n)
		}
	}
	if n := one[int](t, db, countEvents); n != 40+callers*each+each || len(firsts) != each {
		t.Errorf("%d events are recorded", n)
	}
	if n := one[int](t, db, `SELECT count(*) FROM ledger.private`); n != callers*each {
		t.Errorf("%d payloads are kept", n)
	}
	if s := b.Stats(); s.Requests != callers*each || s.Groups == 0 || s.HeldEvents != 0 || s.HeldBytes != 0 || s.Failed != 0 {
		t.Errorf("%+v", s)
	}
}

// What the database refuses, or can't compare, is one request's own affair.
func TestBatcherGroupFails(t *testing.T) {
	t.Parallel()
	l, db := open(t)
	appendAll(t, l, sale("strange", 1))
	for _, sql := range []string{
		`ALTER TABLE ledger.events ADD CONSTRAINT poison CHECK (account <> 'poison')`,
		`SET session_replication_role = replica; ALTER TABLE ledger.event_keys DISABLE TRIGGER ALL; UPDATE ledger.event_keys SET digest_version = 99`,
	} {
		if _, err := db.Super.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	b := startBatcher(t, l, ledger.BatcherConfig{Committers: 1, LockWait: 20 * time.Second})
	release := hold(t, db)
	var group sync.WaitGroup
	send := func(e ledger.Event, check func(ledger.Outcome, error) bool) {
		group.Go(func() {
			out, err := b.Append(context.Background(), []ledger.Event{e})
			if out == nil {
				out = []ledger.Outcome{{}}
			}
			if !check(out[0], err) {
				t.Errorf("%s: %+v, %v", e.ID, out[0], err)
			}
		})
	}
	good := func(o ledger.Outcome, err error) bool { return err == nil && o.Status == ledger.Recorded }
	send(sale("first", 1), good)
	waitingBackends(t, db, 1)
	for i := range 10 { // they queue up behind the first
		send(sale("good", i+1), good)
	}
	poison := sale("poison", 1)
	poison.Account = "poison"
	send(poison, func(o ledger.Outcome, err error) bool { return err == nil && o.Status == ledger.Rejected })
	send(sale("strange", 1), func(_ ledger.Outcome, err error) bool { return errors.Is(err, ledger.ErrCorrupt) })
	until(t, b, func(s ledger.BatcherStats) bool { return s.QueuedRequests == 12 })
	release()
	group.Wait()
	if n := one[int](t, db, countEvents); n != 12 {
		t.Errorf("%d events are recorded", n)
	}
	if s := b.Stats(); s.Failed != 1 || s.GroupSize[0] != 1 || s.GroupSize[4] != 1 {
		t.Errorf("%+v", s)
	}
}

// A request that meets somebody else's unfinished transaction is told to come again; the others go on.
func TestBatcherDoesNotWaitForOthers(t *testing.T) {
	t.Parallel()
	l, db := open(t)
	b := startBatcher(t, l, ledger.BatcherConfig{Committers: 1, LockWait: 50 * time.Millisecond})
	tx, err := db.Super.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	key := ledger.EventKey("shop", "o1/1")
	if _, err := tx.Exec(t.Context(), `INSERT INTO ledger.event_keys (event_key, position, recorded_at, digest_version, digest)
		VALUES ($1, 1000000, now(), 1, '')`, fmt.Sprintf("%x", key[:])); err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for n := range 8 {
		group.Go(func() {
			out, err := b.Append(context.Background(), []ledger.Event{sale("o1", n+1)})
			if n == 0 && !errors.Is(err, ledger.ErrBusy) {
				t.Errorf("%+v, %v", out, err)
			}
			if n > 0 && (err != nil || out[0].Status != ledger.Recorded) {
				t.Errorf("%+v, %v", out, err)
			}
		})
	}
	group.Wait()
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if out, err := b.Append(t.Context(), []ledger.Event{sale("o1", 1)}); err != nil || out[0].Status != ledger.Recorded {
		t.Errorf("%+v, %v", out, err)
	}
}

// Callers that leave take nothing from the others; an event of theirs is recorded as a whole or not at all.
func TestBatcherCallersLeave(t *testing.T) {
	t.Parallel()
	l, db := open(t)
	if _, err := l.Prepare(t.Context(), nil); err != nil { // what is declared is known before callers hurry
		t.Fatal(err)
	}
	b := startBatcher(t, l, ledger.BatcherConfig{})
	const callers, each = 32, 30
	var group sync.WaitGroup
	var mu sync.Mutex
	acknowledged := map[string]bool{}
	for c := range callers {
		group.Go(func() {
			random := rand.New(rand.NewPCG(7, uint64(c)))
			for i := range each {
				ctx, cancel := context.Background(), context.CancelFunc(func() {})
				if c%2 == 0 {
					ctx, cancel = context.WithTimeout(ctx, time.Duration(random.IntN(3000))*time.Microsecond)
				}
				e := sale(fmt.Sprint("c", c), i+1)
				e.Payload = []byte(`{"private":1}`)
				out, err := b.Append(ctx, []ledger.Event{e})
				cancel()
				switch {
				case err == nil && out[0].Status == ledger.Recorded:
					mu.Lock()
					acknowledged[e.ID] = true
					mu.Unlock()
				case c%2 == 1 || !errors.Is(err, context.DeadlineExceeded):
					t.Errorf("caller %d: %+v, %v", c, out, err)
				}
			}
		})
	}
	group.Wait()
	if err := b.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := one[int](t, db, `SELECT count(*) FROM ledger.events WHERE event_id = ANY ($1)`, slices.Collect(keys(acknowledged))); n != len(acknowledged) {
		t.Errorf("%d events are acknowledged, %d of them recorded", len(acknowledged), n)
	}
	if n := one[int](t, db, `SELECT count(*) FROM ledger.events e FULL JOIN ledger.event_keys k USING (position, recorded_at)
		FULL JOIN ledger.private p USING (position, recorded_at) WHERE e IS NULL OR k IS NULL OR p IS NULL`); n != 0 {
		t.Errorf("%d events are recorded in part", n)
	}
	if s := b.Stats(); s.Abandoned == 0 || s.HeldEvents != 0 || s.QueuedRequests != 0 {
		t.Errorf("%+v", s)
	}
}

func keys(m map[string]bool) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}

// Columns that are declared while small requests pour in are filled, privacy included.
func TestBatcherNoticesDeclarations(t *testing.T) {
	t.Parallel()
	l, db := open(t)
	b := startBatcher(t, l, ledger.BatcherConfig{})
	const callers, each = 12, 40
	var group sync.WaitGroup
	for c := range callers {
		group.Go(func() {
			for i := range each {
				e := sale(fmt.Sprint("c", c), i+1)
				e.Dimensions = []byte(`{"level":7,"secret":"s","vip":true}`)
				if out, err := b.Append(context.Background(), []ledger.Event{e}); err != nil || out[0].Status != ledger.Recorded {
					t.Errorf("%+v, %v", out, err)
				}
			}
		})
	}
	declareColumn(t, db, "level", "dimension", "bigint", false)
	declareColumn(t, db, "vip", "dimension", "boolean", false)
	declareColumn(t, db, "secret", "dimension", "text", true)
	w, err := l.TakeWatermark(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	group.Wait()
	appendAll(t, l, sale("last", 1))
	last := sale("last", 2)
	last.Dimensions = []byte(`{"level":8,"secret":"s","vip":false}`)
	if out, err := b.Append(t.Context(), []ledger.Event{last}); err != nil || out[0].Status != ledger.Recorded {
		t.Errorf("%+v, %v", out, err)
	}
	if n := one[int](t, db, `SELECT count(*) FROM ledger.events WHERE position > $1 AND stream <> 'last' AND (dimensions IS NOT NULL OR level <> 7 OR NOT vip OR commitment IS NULL)`, w.Position); n != 0 {
		t.Errorf("%d events were recorded by declarations that were no longer in force", n)
	}
	if n := one[int](t, db, `SELECT count(*) FROM ledger.events JOIN ledger.private USING (position) WHERE level = 8 AND NOT vip AND pii = '{"secret":"s"}'`); n != 1 {
		t.Error("the declared columns are not filled")
	}
}

// A watermark that several take together covers what each had recorded before.
func TestSharedWatermark(t *testing.T) {
	t.Parallel()
	l, db := open(t)
	var group sync.WaitGroup
	const callers = 24
	for c := range callers {
		group.Go(func() {
			out, err := l.Append(context.Background(), sales(fmt.Sprint("c", c), 1))
			if err != nil {
				t.Error(err)
				return
			}
			if w, err := l.ShareWatermark(context.Background()); err != nil || w.Position < out[0].Position {
				t.Errorf("%+v, %v, after position %d", w, err, out[0].Position)
			}
		})
	}
	group.Wait()
	if n := one[int](t, db, `SELECT count(*) FROM ledger.watermarks`); n > callers {
		t.Errorf("%d watermarks for %d callers", n, callers)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.ShareWatermark(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("a caller that had left: %v", err)
	}
	if _, err := l.ShareWatermark(t.Context()); err != nil {
		t.Errorf("after one that was given up: %v", err)
	}
}

// States go with others through one batcher, and a stream that somebody holds stops nobody else's events.
func TestBatcherRecordsStates(t *testing.T) {
	t.Parallel()
	l, db := open(t)
	if err := l.DeclareSource(t.Context(), ledger.Source{Name: "states", States: true, Numbering: ledger.NumberingStream, By: "test"}); err != nil {
		t.Fatal(err)
	}
	b := startBatcher(t, l, ledger.BatcherConfig{})
	tx, err := db.Super.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `SELECT pg_advisory_xact_lock(17485, s) FROM generate_series(0, 255) AS s`); err != nil {
		t.Fatal(err)
	}
	const streams, each = 8, 5
	var held sync.WaitGroup
	for s := range streams {
		held.Go(func() {
			for n := range each {
				e := sale(fmt.Sprint("s", s), n+1)
				e.Source, e.Amount, e.State = "states", ledger.Amount{}, []ledger.Measure{{Name: "amount", Value: amount(fmt.Sprint(10 * (n + 1)))}}
				if out, err := b.Append(context.Background(), []ledger.Event{e}); err != nil || out[0].Status != ledger.Recorded {
					t.Errorf("%+v, %v", out, err)
				}
			}
		})
	}
	waitingBackends(t, db, 1)
	for n := range 10 {
		if out, err := b.Append(t.Context(), []ledger.Event{sale("free", n+1)}); err != nil || out[0].Status != ledger.Recorded {
			t.Errorf("%+v, %v", out, err)
		}
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	held.Wait()
	if sum := one[string](t, db, `SELECT sum(amount)::text FROM ledger.events WHERE source = 'states'`); sum != fmt.Sprint(streams*each*10) {
		t.Errorf("the states come to %s", sum)
	}
}
