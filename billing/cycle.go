package billing

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// passage is how far an account is closed: every cycle that ends by end, at the watermark. The zero
// value is an account that was never closed.
type passage struct {
	end       time.Time
	watermark int64
	takenAt   time.Time // of the watermark
}

func passageOf(end *time.Time, watermark *int64, takenAt *time.Time) passage {
	if end == nil || watermark == nil {
		return passage{}
	}
	return passage{end: end.UTC(), watermark: *watermark, takenAt: utc(takenAt)}
}

// A close run for all accounts that came to its end closed, without a row anywhere, the accounts that
// had nothing to bill. How far is a pure function of what the run recorded when it began: the date,
// the instant, and the terms that there were. So the answer is the same for ever, also after later
// versions of the terms have given the account another calendar.
//
// It doesn't hold for an account that the run failed for, nor for one whose terms changed while it
// ran: nobody can tell by which of them the run passed it. Such an account had nothing to bill then,
// and the next run closes it.
type coveringRun struct {
	n         int64
	through   Date
	ranAt     time.Time
	watermark int64
	takenAt   time.Time
	terms     [2]int64 // the newest version when the run began, and when it ended
}

// runs are the close runs for all accounts as they were read.
type runs struct {
	ended  []coveringRun             // by number
	open   []int64                   // begun, and not ended
	newest int64                     // highest number of all
	failed map[string]map[int64]bool // by account: which ended runs failed for it
}

const sqlFailures = `
SELECT f.run, f.account
FROM billing.close_failures f
JOIN billing.close_run_ends e ON e.run = f.run`

// readFailures reads by account the ended runs that failed for it.
func readFailures(ctx context.Context, q querier) (map[string]map[int64]bool, error) {
	rows, err := q.Query(ctx, sqlFailures)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	failed := map[string]map[int64]bool{}
	for rows.Next() {
		var run int64
		var account string
		if err := rows.Scan(&run, &account); err != nil {
			return nil, err
		}
		if failed[account] == nil {
			failed[account] = map[int64]bool{}
		}
		failed[account][run] = true
	}
	return failed, rows.Err()
}

const sqlAllAccountsRuns = `
SELECT r.n, r.through, r.ran_at, r.watermark, r.taken_at, r.terms, e.terms
FROM billing.close_runs r
LEFT JOIN billing.close_run_ends e ON e.run = r.n
WHERE r.account IS NULL
ORDER BY r.n`

func (b *Billing) readRuns(ctx context.Context, q querier) (*runs, error) {
	all := &runs{}
	rows, err := q.Query(ctx, sqlAllAccountsRuns)
	if err != nil {
		return nil, fmt.Errorf("read close runs: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var r coveringRun
		var through time.Time
		var ended *int64
		if err := rows.Scan(&r.n, &through, &r.ranAt, &r.watermark, &r.takenAt, &r.terms[0], &ended); err != nil {
			return nil, fmt.Errorf("read close runs: %w", err)
		}
		all.newest = r.n
		if ended == nil {
			all.open = append(all.open, r.n)
			continue
		}
		r.through, r.ranAt, r.takenAt, r.terms[1] = DateOf(through), r.ranAt.UTC(), r.takenAt.UTC(), *ended
		all.ended = append(all.ended, r)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read close runs: %w", err)
	}
	if all.failed, err = readFailures(ctx, q); err != nil {
		return nil, fmt.Errorf("read failures of close runs: %w", err)
	}
	b.runs.Store(all)
	return all, nil
}

// coveredBy returns the boundary through which an ended run closed the accounts of the timeline that it
// had nothing to bill for; ok is false if their terms changed meanwhile.
func (t *timeline) coveredBy(r coveringRun) (end time.Time, ok bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if c, known := t.covered[r.n]; known {
		return c.end, c.ok, nil
	}
	then := t.through(r.terms[0])
	c := coveredThen{ok: then == t.through(r.terms[1])}
	if c.ok {
		cal, err := t.after(then)
		if err != nil {
			return time.Time{}, false, err
		}
		c.end = cal.LastBoundary(r.through, r.ranAt)
	}
	if t.covered == nil {
		t.covered = map[int64]coveredThen{}
	}
	t.covered[r.n] = c
	return c.end, c.ok, nil
}

// mayReach reports whether the run can have closed anything through end, without asking a calendar.
func (r coveringRun) mayReach(end time.Time) bool {
	// No zone is more than a day from UTC.
	return !r.ranAt.Before(end) && !r.through.AddDays(3).In(time.UTC).Before(end)
}

// closed returns how far an account is closed: the furthest of its newest row in billing.closes and
// of the ended runs for all accounts. Of two runs that came equally far the earlier watermark counts:
// what came after it wasn't billed by the later one, which found the cycle closed.
func (all *runs) closed(t *timeline, account string, explicit passage) (passage, error) {
	best := explicit
	for _, r := range all.ended {
		if all.failed[account][r.n] || !r.mayReach(best.end) {
			continue
		}
		end, ok, err := t.coveredBy(r)
		if err != nil {
			return passage{}, err
		}
		further := end.After(best.end)
		earlier := end.Equal(best.end) && !end.Equal(explicit.end) && r.watermark < best.watermark
		if ok && (further || earlier) {
			best = passage{end: end, watermark: r.watermark, takenAt: r.takenAt}
		}
	}
	return best, nil
}

// closers returns every passage that may have closed cycles of the account ending at or after end.
func (all *runs) closers(t *timeline, account string, explicit []passage, end time.Time) ([]passage, error) {
	found := explicit
	for _, r := range all.ended {
		if all.failed[account][r.n] || !r.mayReach(end) {
			continue
		}
		through, ok, err := t.coveredBy(r)
		if err != nil {
			return nil, err
		}
		if ok {
			found = append(found, passage{end: through, watermark: r.watermark, takenAt: r.takenAt})
		}
	}
	return found, nil
}

// closerOf returns the watermark of the close that closed the cycle ending at end: the lowest of those
// that passed it.
func closerOf(passages []passage, end time.Time) (watermark int64, ok bool) {
	for _, p := range passages {
		if !p.end.Before(end) && (!ok || p.watermark < watermark) {
			watermark, ok = p.watermark, true
		}
	}
	return watermark, ok
}

// state is what the database knows of an account at one moment.
type state struct {
	from     time.Time // as in pending
	known    bool      // it has a row in billing.accounts
	explicit passage
	own      bool  // it has terms of its own
	terms    int64 // the newest version of anybody's terms
	carries  bool  // events of it wait for their orders to be final
	waits    int64 // how many of them
	waited   int64 // how many there were after its newest row of billing.closes
	ended    bool  // a run for all accounts has ended that runs doesn't know as ended
	rerated  bool  // it has rows of billing.reratings
	adjusted bool  // it has adjustments that are ready to be billed
}

const sqlState = `
SELECT a.pending_from, a.account IS NOT NULL, c.through_at, c.watermark, c.taken_at,
       EXISTS (SELECT FROM billing.terms t WHERE t.account = $1),
       (SELECT COALESCE(max(t.n), 0) FROM billing.terms t),
       (SELECT count(*) FROM billing.carried k WHERE k.account = $1 AND k.settled IS NULL), COALESCE(c.carried, 0),
       EXISTS (
           SELECT FROM billing.close_run_ends e
           JOIN billing.close_runs r ON r.n = e.run
           WHERE r.account IS NULL AND (e.run = ANY($2) OR e.run > $3)),
       EXISTS (SELECT FROM billing.reratings t WHERE t.account = $1),
       EXISTS (` + readyAdjustments + ` WHERE o.account = $1 AND s.status = 'ready')
FROM (VALUES ($1::text COLLATE "C")) AS wanted (account)
LEFT JOIN billing.accounts a ON a.account = wanted.account
LEFT JOIN LATERAL (
    SELECT k.through_at, k.watermark, k.carried, r.taken_at
    FROM billing.closes k
    JOIN billing.close_runs r ON r.n = k.run
    WHERE k.account = wanted.account
    ORDER BY k.through_at DESC
    LIMIT 1
) c ON true`

func (b *Billing) readState(ctx context.Context, q querier, all *runs, account string) (state, error) {
	return scanState(q.QueryRow(ctx, sqlState, account, all.open, all.newest))
}

func scanState(row pgx.Row) (state, error) {
	var s state
	var from, end, taken *time.Time
	var w *int64
	if err := row.Scan(&from, &s.known, &end, &w, &taken, &s.own, &s.terms, &s.waits, &s.waited, &s.ended, &s.rerated, &s.adjusted); err != nil {
		return state{}, fmt.Errorf("read the state of the account: %w", err)
	}
	s.from, s.explicit, s.carries = utc(from), passageOf(end, w, taken), s.waits > 0
	return s, nil
}

// view is an account with everything that decides what can be closed of it, read under its lock.
type view struct {
	account string
	line    *timeline
	cal     *Calendar
	runs    *runs
	closed  passage
	state

	reratings   []rerating          // all of them, by version
	due         []rerating          // those that the next close brings; see prepare
	plain       *Calendar           // without those that are due
	held        time.Time           // where any is due: the start of the first cycle that holds anything
	adjustments []pendingAdjustment // see prepare
}

// known is what a close run knows of terms and runs beforehand, so that most accounts need not read
// them again. The zero value is nothing.
type known struct {
	line  *timeline
	terms int64
	runs  *runs
}

// hold takes the account's lock until the end of the transaction and reads its view, after some statements that have
// neither parameters nor results.
func (b *Billing) hold(ctx context.Context, tx pgx.Tx, account string, before known, first ...string) (*view, error) {
	v := &view{account: account, runs: before.runs}
	if v.runs == nil {
		v.runs = b.knownRuns()
	}
	var reads writes
	for _, sql := range first {
		reads.exec(nil, sql)
	}
	reads.exec(nil, sqlHoldAccount, account)
	reads.query(func(rows pgx.Rows) error {
		var err error
		v.state, err = pgx.CollectExactlyOneRow(rows, func(row pgx.CollectableRow) (state, error) { return scanState(row) })
		return err
	}, sqlState, account, v.runs.open, v.runs.newest)
	if err := reads.send(ctx, tx); err != nil {
		return nil, err
	}
	return v, b.complete(ctx, tx, v, before)
}

// complete fills in a view of which the state was read, reading again what isn't known as it is now.
func (b *Billing) complete(ctx context.Context, q querier, v *view, before known) (err error) {
	if v.ended {
		if v.runs, err = b.readRuns(ctx, q); err != nil {
			return err
		}
	}
	defaults := b.defaults.Load()
	switch {
	case before.line != nil && v.terms == before.terms:
		v.line = before.line
	case !v.own && defaults != nil && v.terms == defaults.newest:
		v.line = defaults.defaults
	default:
		k, err := b.readBook(ctx, q, v.account)
		if err != nil {
			return err
		}
		v.line = k.timeline(v.account)
	}
	if v.cal, err = v.line.calendar(); err != nil {
		return err
	}
	if v.rerated {
		if v.reratings, err = readReratings(ctx, q, v.account, v.line.history); err != nil {
			return err
		}
		v.cal = v.cal.with(v.reratings, false)
	}
	v.plain = v.cal
	v.closed, err = v.runs.closed(v.line, v.account, v.explicit)
	return err
}

// knownRuns are the runs as they were read last; none if they weren't yet.
func (b *Billing) knownRuns() *runs {
	if all := b.runs.Load(); all != nil {
		return all
	}
	return &runs{}
}

// ClosedThrough returns the end of the last closed cycle of an account and the watermark of its
// close. The instant is zero if no cycle is closed.
func (b *Billing) ClosedThrough(ctx context.Context, account string) (end time.Time, watermark int64, err error) {
	v := &view{account: account, runs: b.knownRuns()}
	if v.state, err = b.readState(ctx, b.pool, v.runs, account); err != nil {
		return time.Time{}, 0, wrap(err, "closed through")
	}
	if err := b.complete(ctx, b.pool, v, known{}); err != nil {
		return time.Time{}, 0, wrap(err, "closed through")
	}
	return v.closed.end, v.closed.watermark, nil
}
