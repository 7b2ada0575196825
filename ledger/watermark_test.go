package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"deltaledger/ledger"
	"deltaledger/migrations/pgtest"
)

// hang begins a transaction that has drawn a position, and returns what ends it.
func hang(t *testing.T, db *pgtest.DB) (position int64, end func()) {
	t.Helper()
	tx, err := db.App.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	positions, _, err := ledger.DrawTx(t.Context(), tx, 1)
	if err != nil {
		t.Fatal(err)
	}
	return positions[0], sync.OnceFunc(func() {
		if err := tx.Rollback(context.Background()); err != nil && !errors.Is(err, pgx.ErrTxClosed) {
			t.Error(err)
		}
	})
}

func TestWriterThatHangsMakesNobodyElseWait(t *testing.T) {
	t.Parallel()
	l, db := open(t)
	appendAll(t, l, sale("o1", 1))
	before, err := l.TakeWatermark(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, end := hang(t, db)
	defer end()

	taken := make(chan ledger.Watermark)
	go func() {
		w, err := l.TakeWatermark(context.Background())
		if err != nil {
			t.Error(err)
		}
		taken <- w
	}()
	waitFor(t, db, `SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND classid = 17484 AND objid = 2 AND granted
		AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))`)
	began := time.Now()
	for i := range 50 { // while a taker waits for the writer that hangs
		appendAll(t, l, sale("o1", i+2))
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("50 writes took %v beside a writer that hangs", took)
	}
	w, err := l.Current(t.Context())
	if err != nil || w.N != before.N {
		t.Errorf("a reader gets watermark %+v, %v; want %+v", w, err, before)
	}
	select {
	case w := <-taken:
		t.Errorf("watermark %+v was taken while a writer below it hangs", w)
	default:
	}
	end()
	if w := <-taken; w.Position <= before.Position {
		t.Errorf("watermark %+v after %+v", w, before)
	}
	if w, err = l.Current(t.Context()); err != nil || w.Position < 52 {
		t.Errorf("watermark %+v, %v doesn't cover what is recorded", w, err)
	}
}

func waitFor(t *testing.T, db *pgtest.DB, sql string) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !one[bool](t, db, sql); {
		if time.Now().After(end) {
			t.Fatalf("in vain: %s", sql)
		}
	}
}

const sqlFingerprint = `SELECT count(*) || ' ' || COALESCE(sum(amount), 0) || ' ' || COALESCE(md5(string_agg(event_id, ',' ORDER BY position)), '')
	FROM ledger.events WHERE position <= $1`

func TestNothingAppearsBelowAWatermark(t *testing.T) {
	t.Parallel()
	l, db := open(t)
	const enough = 8 // watermarks to be taken while others write
	var done atomic.Bool
	var writers sync.WaitGroup
	for w := range 6 {
		writers.Go(func() {
			for i := 0; !done.Load(); i++ {
				appendAll(t, l, sales(fmt.Sprintf("w%d-%d", w, i), 1+i%5)...)
			}
		})
	}
	writers.Go(func() { // positions drawn early and committed late, or never
		for i := 0; !done.Load(); i++ {
			_, end := hang(t, db)
			appendAll(t, l, sale(fmt.Sprint("late ", i), 1))
			end()
		}
	})
	seen := map[int64]string{}
	for len(seen) < enough && !t.Failed() {
		w, err := l.TakeWatermark(t.Context())
		if err != nil {
			t.Error(err)
			break
		}
		seen[w.Position] = one[string](t, db, sqlFingerprint, w.Position)
	}
	done.Store(true)
	writers.Wait()
	for w, before := range seen {
		if now := one[string](t, db, sqlFingerprint, w); now != before {
			t.Errorf("as of %d: was %s, is %s", w, before, now)
		}
	}
	disorder := one[int](t, db, `SELECT count(*) FROM ledger.watermarks a JOIN ledger.watermarks b ON b.n = a.n + 1
		WHERE b.taken_at < a.taken_at OR b.position < a.position`)
	early := one[int](t, db, `SELECT count(*) FROM ledger.events e JOIN ledger.watermarks w ON e.position > w.position AND e.recorded_at < w.taken_at`)
	if disorder != 0 || early != 0 {
		t.Errorf("%d watermarks out of order; %d events recorded before a watermark below them was taken", disorder, early)
	}
}

// What is recorded above a watermark must not seem older than it, whatever the clock does: readers leave
// out whole months by it. Here the clock was an hour ahead when the last watermark was taken.
func TestClockThatWasSetBack(t *testing.T) {
	t.Parallel()
	l, db := open(t)
	appendAll(t, l, sale("o1", 1))
	ahead := one[time.Time](t, db, `INSERT INTO ledger.watermarks (position, taken_at) VALUES (1, clock_timestamp() + interval '1 hour') RETURNING taken_at`)

	taker, err := db.App.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = taker.Rollback(context.Background()) }()
	var w ledger.Watermark
	if err := taker.QueryRow(t.Context(), `SELECT last_position, taken_at FROM ledger.begin_watermark()`).Scan(&w.Position, &w.TakenAt); err != nil {
		t.Fatal(err)
	}
	if w.Position != 1 || !w.TakenAt.Equal(ahead) {
		t.Fatalf("watermark %+v, want one at position 1, taken at %v", w, ahead)
	}
	appendAll(t, l, sale("o1", 2)) // while the taker hasn't committed
	if at := one[time.Time](t, db, `SELECT recorded_at FROM ledger.event_keys WHERE position = 2`); at.Before(ahead) {
		t.Errorf("position 2 is recorded at %v, before the watermark below it was taken, at %v", at, ahead)
	}
}

// A watermark from a clock that ran years ahead would take every later event to a month that doesn't exist.
func TestClockThatRanAhead(t *testing.T) {
	t.Parallel()
	l, db := open(t)
	one[int](t, db, `INSERT INTO ledger.watermarks (position, taken_at) VALUES (0, clock_timestamp() + interval '20 months') RETURNING 1`)
	if w, err := l.TakeWatermark(t.Context()); err == nil {
		t.Errorf("watermark %+v", w)
	}
	appendAll(t, l, sale("o1", 1))
}

// A plain SELECT from a sequence can see more than was drawn, and read it before the clock in the same
// statement: both would let positions appear below a watermark, or before it in time.
func TestLastPositionIsNeverAheadOfTheDraws(t *testing.T) {
	t.Parallel()
	_, db := open(t)
	ctx, cancel := context.WithCancel(t.Context())
	var drawers sync.WaitGroup
	for range 2 {
		drawers.Go(func() {
			for ctx.Err() == nil {
				if _, err := db.App.Exec(ctx, `SELECT ledger.draw(2000)`); err != nil && ctx.Err() == nil {
					t.Error(err)
				}
			}
		})
	}
	for last, n := int64(0), 0; n < 1500; n++ {
		now := one[int64](t, db, `SELECT last_position FROM ledger.begin_watermark()`)
		if now < last {
			t.Fatalf("the last position was %d, and then %d", last, now)
		}
		last = now
	}
	cancel()
	drawers.Wait()
}

func TestAsOf(t *testing.T) {
	t.Parallel()
	l, db := open(t)
	start := one[time.Time](t, db, `SELECT clock_timestamp()`)
	appendAll(t, l, sales("o1", 3)...)
	w, err := l.Current(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	between := one[time.Time](t, db, `SELECT clock_timestamp()`)
	appendAll(t, l, sales("o2", 3)...)

	for text, want := range map[string]int64{
		"":                                 6,
		"2":                                2,
		"0":                                0,
		start.Format(time.RFC3339Nano):     0,
		w.TakenAt.Format(time.RFC3339Nano): 3,
		between.Format(time.RFC3339Nano):   3,
	} {
		got, err := l.AsOf(t.Context(), text)
		if err != nil || got.Position != want {
			t.Errorf("as of %q: %+v, %v; want position %d", text, got, err, want)
		}
	}
	for _, text := range []string{"-1", "7", "yesterday", "2026-01-01", "2999-01-01T00:00:00Z", "99999999999999999999"} {
		if got, err := l.AsOf(t.Context(), text); !errors.Is(err, ledger.ErrInvalid) {
			t.Errorf("as of %q: %+v, %v", text, got, err)
		}
	}
}

func TestSequenceThatWasSetBackIsNoticed(t *testing.T) {
	t.Parallel()
	l, db := open(t)
	appendAll(t, l, sales("o1", 30)...)
	if _, err := l.TakeWatermark(t.Context()); err != nil {
		t.Fatal(err)
	}
	one[int64](t, db, `SELECT setval('ledger.position_seq', 10)`)
	if w, err := l.TakeWatermark(t.Context()); err == nil || !strings.Contains(err.Error(), "was set back") {
		t.Errorf("watermark %+v, %v", w, err)
	}
}

// Cuts that look right and are wrong: what is below them can change. It shows that the comparison with a
// late writer, which watermarks pass, can fail.
func TestOtherCutsThanWatermarksChange(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, sql string
		changes   bool
	}{
		{"highest position that can be seen", `SELECT max(position) FROM ledger.events`, true},
		{"last number of the sequence", `SELECT last_value FROM ledger.position_seq`, true},
		{"wall clock", `SELECT max(position) FROM ledger.events WHERE recorded_at <= clock_timestamp()`, true},
		{"watermark", "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			l, db := open(t)
			appendAll(t, l, sale("before", 1))
			if _, err := l.TakeWatermark(t.Context()); err != nil {
				t.Fatal(err)
			}
			late, err := db.App.Begin(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			positions, at, err := ledger.DrawTx(t.Context(), late, 1)
			if err != nil {
				t.Fatal(err)
			}
			appendAll(t, l, sale("above", 1))
			cut := int64(0)
			if c.sql != "" {
				cut = one[int64](t, db, c.sql)
			} else {
				w, err := l.Current(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				cut = w.Position
			}
			before := one[string](t, db, sqlFingerprint, cut)
			if _, err := late.Exec(t.Context(), `INSERT INTO ledger.events (position, recorded_at, occurred_at, business_date, source, event_id, type, account, currency, kind, amount)
				VALUES ($1, $2, $2, '2026-01-15', 'shop', 'late', 'sold', 'acme', 'EUR', 'upstream', 7)`, positions[0], at); err != nil {
				t.Fatal(err)
			}
			if err := late.Commit(t.Context()); err != nil {
				t.Fatal(err)
			}
			if after := one[string](t, db, sqlFingerprint, cut); (after != before) != c.changes {
				t.Errorf("cut at %d: was %s, is %s", cut, before, after)
			}
		})
	}
}

// Many readers who ask while a writer hangs wait a second, not for one another, and with one connection
// between them; and they see what is newest as soon as it has ended.
func TestManyReadersBesideAWriterThatHangs(t *testing.T) {
	t.Parallel()
	l, db := open(t)
	appendAll(t, l, sale("o1", 1))
	before, err := l.TakeWatermark(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, end := hang(t, db)
	defer end()
	appendAll(t, l, sale("o1", 2))
	began := time.Now()
	var readers sync.WaitGroup
	for range 200 {
		readers.Go(func() {
			if w, err := l.Current(context.Background()); err != nil || w.N != before.N {
				t.Errorf("watermark %+v, %v", w, err)
			}
		})
	}
	readers.Wait()
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("200 readers took %v", took)
	}
	end()
	taken := one[int](t, db, `SELECT count(*) FROM ledger.watermarks`)
	for range 200 {
		readers.Go(func() {
			if w, err := l.Current(context.Background()); err != nil || w.Position < 3 {
				t.Errorf("watermark %+v, %v", w, err)
			}
		})
	}
	readers.Wait()
	if more := one[int](t, db, `SELECT count(*) FROM ledger.watermarks`) - taken; more < 1 || more > 3 {
		t.Errorf("200 readers took %d watermarks", more)
	}
}

func TestNoWatermarkIsTakenForNothing(t *testing.T) {
	t.Parallel()
	l, db := open(t)
	appendAll(t, l, sale("o1", 1))
	for range 20 {
		if _, err := l.Current(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := one[int](t, db, `SELECT count(*) FROM ledger.watermarks`); n != 1 {
		t.Errorf("%d watermarks for one event", n)
	}
}

func TestAsOfHasOneSpelling(t *testing.T) {
	t.Parallel()
	l, db := open(t)
	appendAll(t, l, sales("o1", 3)...)
	if _, err := l.TakeWatermark(t.Context()); err != nil {
		t.Fatal(err)
	}
	now := one[time.Time](t, db, `SELECT clock_timestamp()`)
	for _, text := range []string{"0", "3", now.UTC().Format(time.RFC3339), now.Format("2006-01-02T15:04:05.999999999-07:00"), "2026-01-31T23:59:59-05:00"} {
		if _, err := l.AsOf(t.Context(), text); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	for text, says := range map[string]string{
		"+3": "without sign", "-1": "without sign", "03": "zeros", "00": "zeros", " 3": "digits", "3 ": "digits", "3.0": "digits", "1e3": "digits", "0x3": "digits", "٣": "digits",
		"9223372036854775808": "at most", "99999999999999999999999": "at most",
		"2026-01-31t23:59:59Z": "upper-case", "2026-01-31T23:59:59z": "upper-case", "2026-01-31 23:59:59Z": "%2B", "2026-01-31T23:59:59": "offset",
		"2026-01-31T23:59:59 05:00": "%2B", "2026-01-31T3:59:59Z": "RFC 3339", "2026-01-31T23:59:59,5Z": "RFC 3339", "2026-01-31T23:59:59.Z": "RFC 3339",
		"2026-01-31T23:59:59+24:00": "RFC 3339", "2026-01-31T23:59:59+0500": "RFC 3339", "2026-02-30T00:00:00Z": "calendar", "2026-01-31T24:00:00Z": "calendar",
		"2026-01-31": "RFC 3339", "now": "RFC 3339", "2026-01-31T23:59:59.1234567890Z": "RFC 3339",
	} {
		_, err := l.AsOf(t.Context(), text)
		var bad *ledger.FieldError
		if !errors.As(err, &bad) || bad.Field != "as_of" || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v", text, err)
		}
	}
}
