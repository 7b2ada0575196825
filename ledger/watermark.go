package ledger

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"deltaledger/ledger/pg"
)

// Watermark is a position W such that every position <= W is decided: committed, or never to be.
// What an answer "as of W" says is true for ever.
type Watermark struct {
	N        int64     `json:"n"`        // the watermark's own number
	Position int64     `json:"position"` // W
	TakenAt  time.Time `json:"taken_at"` // when the ledger's last position was read, by the clock of the database
}

// Takers of watermarks queue in here, until the end of their transactions.
const sqlBeginWatermark = `
SELECT taken_at, last_position
FROM ledger.begin_watermark()`

// Who holds the shared lock now: transactions that have drawn, or may draw, positions. A statement after
// the one that reads the sequence: whoever drew a lower number held the lock before, and holds it until
// its commit is done.
const sqlWriters = `
SELECT COALESCE(array_agg(virtualtransaction), '{}')
FROM pg_locks
WHERE locktype = 'advisory' AND classid = 17484 AND objid = 1 AND objsubid = 2 AND granted
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`

const sqlInsertWatermark = `
INSERT INTO ledger.watermarks (position, taken_at)
VALUES ($1, $2)
RETURNING n`

// Whether the position, up to which all writers have ended by now, stands between an event and a row that
// the ledger made because of it: the number was read while the transaction of both was drawing. Such a row
// was recorded after taken_at, and its cause has a position above every older watermark.
const sqlDivides = `
SELECT EXISTS (
    SELECT FROM ledger.events
    WHERE caused_by <= $1 AND position > $1 AND recorded_at >= $2
      AND caused_by > COALESCE((SELECT w.position FROM ledger.watermarks w ORDER BY w.n DESC LIMIT 1), 0))`

// TakeWatermark takes a new watermark: it reads the last position given out and waits until every
// transaction that was writing then has ended. It makes no writer wait. It returns once its row is
// durable; if ctx ends before, there is no new watermark.
//
// A watermark never divides an event from the rows that the ledger made because of it: without them the
// sums as of it would be those of no moment. A number that does is read anew.
func (l *Ledger) TakeWatermark(ctx context.Context) (Watermark, error) {
	var w Watermark
	err := pg.InTx(ctx, l.pool, func(tx pgx.Tx) error {
		w = Watermark{}
		for divides := true; divides; {
			if err := tx.QueryRow(ctx, sqlBeginWatermark).Scan(&w.TakenAt, &w.Position); err != nil {
				return err
			}
			if err := waitForWriters(ctx, tx); err != nil {
				return err
			}
			if err := tx.QueryRow(ctx, sqlDivides, w.Position, w.TakenAt).Scan(&divides); err != nil {
				return err
			}
		}
		if _, err := tx.Exec(ctx, "SET LOCAL synchronous_commit = on"); err != nil {
			return err
		}
		return tx.QueryRow(ctx, sqlInsertWatermark, w.Position, w.TakenAt).Scan(&w.N)
	})
	if err != nil {
		return Watermark{}, fmt.Errorf("take watermark: %w", err)
	}
	w.TakenAt = w.TakenAt.UTC()
	return w, nil
}

// preparedTx begins the name of a transaction that was prepared for a two-phase commit: it goes on under
// another name than the one it ran with, so that one which turns up may be one that is waited for.
const preparedTx = "-1/"

// waitForWriters returns when each transaction that holds the writers' lock now has let go of it.
func waitForWriters(ctx context.Context, tx pgx.Tx) error {
	waiting := map[string]bool{}
	for first, pause := true, time.Millisecond; ; first = false {
		var holders []string
		if err := tx.QueryRow(ctx, sqlWriters).Scan(&holders); err != nil {
			return err
		}
		now := map[string]bool{}
		for _, h := range holders {
			if first || waiting[h] || strings.HasPrefix(h, preparedTx) {
				now[h] = true
			}
		}
		if waiting = now; len(waiting) == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
			pause = min(2*pause, 20*time.Millisecond)
		}
	}
}

const sqlNewestWatermark = `
SELECT n, position, taken_at
FROM ledger.watermarks
ORDER BY n DESC
LIMIT 1`

const sqlLastPosition = `
SELECT COALESCE(pg_sequence_last_value('ledger.position_seq'), 0)`

// freshness bounds how long Current waits for writers that haven't ended.
const freshness = time.Second

// Current is the watermark that a reader who names none gets: one that covers everything
// acknowledged until now. If a writer hangs, it is the newest one there is, after a second. Readers who
// ask at the same time share one.
func (l *Ledger) Current(ctx context.Context) (Watermark, error) {
	newest, err := l.newest(ctx)
	if err != nil {
		return Watermark{}, err
	}
	var last int64
	if err := l.pool.QueryRow(ctx, sqlLastPosition).Scan(&last); err != nil {
		return Watermark{}, fmt.Errorf("read the last position: %w", err)
	}
	if newest.N > 0 && newest.Position >= last {
		return newest, nil
	}
	bounded, cancel := context.WithTimeout(ctx, freshness)
	defer cancel()
	w, err := l.ShareWatermark(bounded)
	if err != nil && bounded.Err() != nil && ctx.Err() == nil && newest.N > 0 {
		return newest, nil
	}
	return w, err
}

func (l *Ledger) newest(ctx context.Context) (Watermark, error) {
	return l.oneWatermark(ctx, sqlNewestWatermark)
}

func (l *Ledger) oneWatermark(ctx context.Context, sql string, args ...any) (Watermark, error) {
	rows, err := l.pool.Query(ctx, sql, args...)
	if err != nil {
		return Watermark{}, fmt.Errorf("read watermark: %w", err)
	}
	w, err := pgx.CollectOneRow(rows, pgx.RowToStructByPos[Watermark])
	switch {
	case isNoRows(err):
		return Watermark{}, nil
	case err != nil:
		return Watermark{}, fmt.Errorf("read watermark: %w", err)
	}
	w.TakenAt = w.TakenAt.UTC()
	return w, nil
}

const sqlWatermarkAtOrBefore = `
SELECT n, position, taken_at
FROM ledger.watermarks
WHERE taken_at <= $1
ORDER BY taken_at DESC, n DESC
LIMIT 1`

const sqlDatabaseNow = `SELECT clock_timestamp()`

// AsOf resolves what a caller asks "as of": empty means Current; a whole number a position; anything
// else an RFC 3339 instant, which means the newest watermark taken at or before it. A position above
// every watermark and an instant in the future are refused: the answer could still change. ErrBusy: the
// clock of the database was set back, and an instant that was past is ahead again.
func (l *Ledger) AsOf(ctx context.Context, text string) (Watermark, error) {
	if text == "" {
		return l.Current(ctx)
	}
	if position, whole, err := parsePosition(text); whole {
		if err != nil {
			return Watermark{}, err
		}
		return l.asOfPosition(ctx, position)
	}
	at, err := parseAsOfInstant(text)
	if err != nil {
		return Watermark{}, err
	}
	return l.asOfInstant(ctx, at)
}

func (l *Ledger) asOfPosition(ctx context.Context, position int64) (Watermark, error) {
	if position < 0 { // of a cursor that was made up
		return Watermark{}, Invalid("as_of", strconv.FormatInt(position, 10), ruleAsOf)
	}
	newest, err := l.newest(ctx)
	if err == nil && newest.Position < position {
		newest, err = l.reaching(ctx, position, newest)
	}
	if err != nil {
		return Watermark{}, err
	}
	if newest.Position < position {
		return Watermark{}, invalidf("as_of", strconv.FormatInt(position, 10), "is not decided yet: the newest watermark is %d", newest.Position)
	}
	// The first watermark that covers it: the same one whenever this is asked again.
	w, err := l.oneWatermark(ctx, sqlWatermarkAtOrAbove, position)
	w.Position = position
	return w, err
}

// reaching takes a watermark for a position that has been given out; for one that hasn't, newest stays:
// asking for nonsense must not write.
func (l *Ledger) reaching(ctx context.Context, position int64, newest Watermark) (Watermark, error) {
	var last int64
	if err := l.pool.QueryRow(ctx, sqlLastPosition).Scan(&last); err != nil {
		return Watermark{}, fmt.Errorf("read the last position: %w", err)
	}
	if position > last {
		return newest, nil
	}
	return l.ShareWatermark(ctx)
}

const sqlWatermarkAtOrAbove = `
SELECT n, position, taken_at
FROM ledger.watermarks
WHERE position >= $1
ORDER BY position, n
LIMIT 1`

func (l *Ledger) asOfInstant(ctx context.Context, at time.Time) (Watermark, error) {
	var now time.Time
	if err := l.pool.QueryRow(ctx, sqlDatabaseNow).Scan(&now); err != nil {
		return Watermark{}, fmt.Errorf("read the database clock: %w", err)
	}
	if at.After(now) {
		return Watermark{}, invalidf("as_of", at.Format(time.RFC3339Nano), "is in the future: it is %s now", now.UTC().Format(time.RFC3339Nano))
	}
	newest, err := l.newest(ctx)
	if err != nil {
		return Watermark{}, err
	}
	if !newest.TakenAt.After(at) { // another one could still be taken at or before it
		w, err := l.ShareWatermark(ctx)
		if err != nil {
			return Watermark{}, err
		}
		if !w.TakenAt.After(at) {
			return Watermark{}, fmt.Errorf("as of %s: the clock of the database has not passed it yet: %w", at.UTC().Format(time.RFC3339Nano), ErrBusy)
		}
	}
	return l.oneWatermark(ctx, sqlWatermarkAtOrBefore, at) // none: position 0, an empty ledger
}
