package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"deltaledger/ledger/pace"
	"deltaledger/ledger/pg"
)

// completenessStep is how many events one transaction looks at: few enough that nobody waits long for
// the lock, or for the rows that it changes.
const completenessStep = 2_000

// filledKept is how long a gap that was filled can still be seen.
const filledKept = 30 * 24 * time.Hour

// AdvanceCompleteness looks at the events through the newest watermark that completeness hasn't seen
// yet, step by step, each in a transaction of its own. It begins no further step after `within`; 0 means
// no limit. It returns how many positions are left to look at.
//
// It may run in any number of processes at once.
func (l *Ledger) AdvanceCompleteness(ctx context.Context, within time.Duration) (behind int64, err error) {
	began := l.now()
	for steps := pace.Of(ctx); ; steps.Step() {
		w, err := l.newest(ctx)
		if err != nil {
			return 0, err
		}
		var s completenessState
		if err := pg.InTx(ctx, l.pool, func(tx pgx.Tx) (err error) { s, err = l.stepCompleteness(ctx, tx, w); return err }); err != nil {
			return 0, fmt.Errorf("advance completeness: %w", err)
		}
		if behind = s.behind(w); behind == 0 || within > 0 && l.now().Sub(began) >= within {
			return behind, nil
		}
	}
}

// RebuildCompleteness forgets what completeness has found, so that AdvanceCompleteness finds it anew
// from the events. The record of which gaps were filled when begins anew with it.
func (l *Ledger) RebuildCompleteness(ctx context.Context) error {
	err := pg.InTx(ctx, l.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, sqlLockCompleteness); err != nil {
			return err
		}
		for _, sql := range []string{sqlForgetGaps, sqlForgetFilled, sqlForgetDoubled, sqlForgetSources, sqlForgetProgress} {
			if _, err := tx.Exec(ctx, sql); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("forget completeness: %w", err)
	}
	return nil
}

// One at a time looks at events: two would find the same gaps twice. Held for a step, not longer.
const sqlLockCompleteness = `SELECT pg_advisory_xact_lock(17484, 11)`

const (
	sqlForgetGaps     = `DELETE FROM ledger.completeness_gaps`
	sqlForgetFilled   = `DELETE FROM ledger.completeness_filled`
	sqlForgetDoubled  = `DELETE FROM ledger.completeness_doubled`
	sqlForgetSources  = `DELETE FROM ledger.completeness_sources`
	sqlForgetProgress = `DELETE FROM ledger.completeness_progress`
)

// completenessState says how far completeness is.
type completenessState struct {
	position int64  // the events of every source are looked at through here,
	anew     string // but for those that are made anew; one of them, or empty
	through  int64  // of that source
}

func (s completenessState) behind(w Watermark) int64 {
	if s.anew != "" {
		return max(w.Position-s.through, 1)
	}
	return max(w.Position-s.position, 0)
}

const sqlCompletenessState = `
SELECT COALESCE((SELECT p.position FROM ledger.completeness_progress p), 0), COALESCE(a.source, ''), COALESCE(a.through, 0)
FROM (VALUES (1)) AS one
LEFT JOIN (
    SELECT c.source, c.through
    FROM ledger.completeness_sources c
    WHERE c.through IS NOT NULL
    ORDER BY c.source
    LIMIT 1) a ON true`

func readCompletenessState(ctx context.Context, tx pgx.Tx) (s completenessState, err error) {
	err = tx.QueryRow(ctx, sqlCompletenessState).Scan(&s.position, &s.anew, &s.through)
	return s, err
}

// stepCompleteness looks at the next events through w, if there are any: first those of a source that is
// made anew, then those of all.
func (l *Ledger) stepCompleteness(ctx context.Context, tx pgx.Tx, w Watermark) (s completenessState, err error) {
	if _, err := tx.Exec(ctx, sqlLockCompleteness); err != nil {
		return s, err
	}
	if err := renewChanged(ctx, tx); err != nil {
		return s, err
	}
	if s, err = readCompletenessState(ctx, tx); err != nil {
		return s, err
	}
	switch {
	case s.anew != "":
		if err := l.stepSource(ctx, tx, s); err != nil {
			return s, fmt.Errorf("source %s: %w", s.anew, err)
		}
	case s.position < w.Position:
		if err := l.stepAll(ctx, tx, s.position, w.Position); err != nil {
			return s, err
		}
	default:
		return s, nil
	}
	return readCompletenessState(ctx, tx)
}

// A source whose numbering was declared otherwise since.
const sqlChangedNumbering = `
SELECT c.source, d.numbering
FROM ledger.completeness_sources c
CROSS JOIN LATERAL (
    SELECT COALESCE((SELECT s.numbering FROM ledger.sources s WHERE s.name = c.source ORDER BY s.n DESC LIMIT 1), 'stream') AS numbering) d
WHERE c.numbering <> d.numbering`

const (
	sqlForgetGapsOf    = `DELETE FROM ledger.completeness_gaps WHERE source = $1`
	sqlForgetFilledOf  = `DELETE FROM ledger.completeness_filled WHERE source = $1`
	sqlForgetDoubledOf = `DELETE FROM ledger.completeness_doubled WHERE source = $1`
)

// What is newest doesn't depend on the numbering, and is found again.
const sqlRenewSource = `
UPDATE ledger.completeness_sources
SET numbering = $2, through = 0, events = 0, streams = 0, streams_with_gaps = 0, gaps = 0, missing = 0, doubled = 0,
    first_seqn = NULL, last_seqn = NULL, last_occurred_at = NULL
WHERE source = $1`

// renewChanged has the sources made anew whose numbering was declared otherwise.
func renewChanged(ctx context.Context, tx pgx.Tx) error {
	var source, numbering string
	changed := map[string]string{}
	err := pg.ForEach(ctx, tx, []any{&source, &numbering}, func() error { changed[source] = numbering; return nil }, sqlChangedNumbering)
	if err != nil {
		return fmt.Errorf("compare numberings: %w", err)
	}
	for source, numbering := range changed {
		for _, sql := range []string{sqlForgetGapsOf, sqlForgetFilledOf, sqlForgetDoubledOf} {
			if _, err := tx.Exec(ctx, sql, source); err != nil {
				return err
			}
		}
		if _, err := tx.Exec(ctx, sqlRenewSource, source, numbering); err != nil {
			return err
		}
	}
	return nil
}

const sqlBeginProgress = `
INSERT INTO ledger.completeness_progress (position)
VALUES (0)
ON CONFLICT DO NOTHING`

const sqlMoveProgress = `
UPDATE ledger.completeness_progress
SET position = $2, changed_at = clock_timestamp()
WHERE position = $1`

const sqlForgetOldFilled = `
DELETE FROM ledger.completeness_filled
WHERE n IN (SELECT f.n FROM ledger.completeness_filled f WHERE f.filled_at < clock_timestamp() - $1::interval LIMIT 10000)`

// stepAll looks at the next events of all sources but those that are made anew.
func (l *Ledger) stepAll(ctx context.Context, tx pgx.Tx, done, until int64) error {
	if _, err := tx.Exec(ctx, sqlBeginProgress); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, sqlForgetOldFilled, filledKept); err != nil {
		return err
	}
	until, err := l.endOfStep(ctx, tx, done, until)
	if err != nil {
		return err
	}
	if err := look(ctx, tx, stretch{done, until}, nil); err != nil {
		return err
	}
	tag, err := tx.Exec(ctx, sqlMoveProgress, done, until)
	return moved(tag.RowsAffected(), err)
}

const sqlMoveSource = `
UPDATE ledger.completeness_sources
SET through = NULLIF($3::bigint, $4::bigint)
WHERE source = $1 AND through = $2`

// stepSource looks at the next events of a source that is made anew.
func (l *Ledger) stepSource(ctx context.Context, tx pgx.Tx, s completenessState) error {
	until, err := l.endOfStep(ctx, tx, s.through, s.position)
	if err != nil {
		return err
	}
	if err := look(ctx, tx, stretch{s.through, until}, &s.anew); err != nil {
		return err
	}
	tag, err := tx.Exec(ctx, sqlMoveSource, s.anew, s.through, until, s.position)
	return moved(tag.RowsAffected(), err)
}

var errMoved = errors.New("somebody else moved the progress of completeness without holding its lock")

// moved says whether progress was where the step began.
func moved(rows int64, err error) error {
	if err == nil && rows != 1 {
		err = fmt.Errorf("%w: %w", errMoved, ErrBusy)
	}
	return err
}

// stretch is the positions after one and through another.
type stretch struct{ after, through int64 }

// What is above a position was recorded when a watermark below it was taken, or later; see recordedAfter.
const sqlEndOfStep = `
SELECT count(*), COALESCE(max(s.position), 0)
FROM (
    SELECT e.position
    FROM ledger.every_event e
    WHERE e.position > $1 AND e.position <= $2
      AND e.recorded_at >= COALESCE((SELECT w.taken_at FROM ledger.watermarks w WHERE w.position <= $1 ORDER BY w.position DESC, w.n DESC LIMIT 1), '-infinity')
    ORDER BY e.position
    LIMIT $3) s`

// endOfStep is the position through which the next step goes.
func (l *Ledger) endOfStep(ctx context.Context, tx pgx.Tx, after, through int64) (int64, error) {
	var count, last int64
	if err := tx.QueryRow(ctx, sqlEndOfStep, after, through, l.step).Scan(&count, &last); err != nil {
		return 0, fmt.Errorf("find the next events: %w", err)
	}
	if count < l.step {
		return through, nil
	}
	return last, nil
}
