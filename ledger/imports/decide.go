package imports

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"deltaledger/ledger"
	"deltaledger/ledger/pg"
)

// Outcome is what a person decides about a file.
type Outcome string

const (
	Retry   Outcome = "retry"   // read it from its beginning, as it is now; what was recorded before counts as duplicate
	Discard Outcome = "discard" // leave it
)

// Decision is what a person decided about a file, and how it stood until then.
type Decision struct {
	N         int64     `json:"n"`
	Outcome   Outcome   `json:"outcome"`
	State     State     `json:"state"`
	Pass      int       `json:"pass"`
	Recorded  int64     `json:"recorded"`
	Duplicate int64     `json:"duplicate"`
	Conflict  int64     `json:"conflict"`
	Invalid   int64     `json:"invalid"`
	Why       string    `json:"why"`
	By        string    `json:"decided_by"`
	At        time.Time `json:"decided_at"`
}

// One decision at a time about a file, and none while somebody takes it up.
const sqlDeciding = `SELECT ` + columns + `
FROM ledger.import_files f
WHERE f.n = $1
FOR UPDATE`

const sqlDecide = `
INSERT INTO ledger.import_decisions (file, outcome, state, pass, recorded, duplicate, conflict, invalid, why, decided_by)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`

const sqlRetry = `
UPDATE ledger.import_files
SET state = 'queued', reason = NULL, pass = pass + 1, failures = 0, resume = 0, recorded = 0, duplicate = 0, conflict = 0, invalid = 0,
    sha256 = NULL, next_at = clock_timestamp(), begun_at = NULL, ended_at = NULL
WHERE n = $1`

const sqlDiscard = `
UPDATE ledger.import_files
SET state = 'discarded', ended_at = COALESCE(ended_at, clock_timestamp())
WHERE n = $1`

// Decide decides about a file and returns it as it is then. The error wraps ledger.ErrNotFound if there is none, and
// ledger.ErrConflict if it is being read, or is done without anything to decide.
func Decide(ctx context.Context, pool *pgxpool.Pool, n int64, what Outcome, why, by string) (File, error) {
	switch {
	case what != Retry && what != Discard:
		return File{}, ledger.Invalid("outcome", string(what), "must be retry or discard")
	case why == "":
		return File{}, ledger.Invalid("why", "", "must say why, which is kept")
	case by == "":
		return File{}, ledger.Invalid("by", "", "must say who decides")
	}
	err := pg.InTx(ctx, pool, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, sqlDeciding, n)
		if err != nil {
			return err
		}
		files, err := pgx.CollectRows(rows, scanFile)
		switch {
		case err != nil:
			return err
		case len(files) == 0:
			return ledger.ErrNotFound
		}
		f := files[0]
		if err := f.decidable(what); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, sqlDecide, n, what, f.State, f.Pass, f.Recorded, f.Duplicate, f.Conflict, f.Invalid, why, by); err != nil {
			return err
		}
		if what == Retry {
			_, err = tx.Exec(ctx, sqlRetry, n)
		} else {
			_, err = tx.Exec(ctx, sqlDiscard, n)
		}
		return err
	})
	if err != nil {
		return File{}, fmt.Errorf("file %s: %w", strconv.FormatInt(n, 10), err)
	}
	return Get(ctx, pool, n)
}

// decidable says why nothing can be decided about f.
func (f File) decidable(what Outcome) error {
	switch f.State {
	case Running:
		return fmt.Errorf("%s reads it: wait until it ends: %w", f.Importer, ledger.ErrConflict)
	case Queued:
		if what == Discard {
			return nil
		}
		return fmt.Errorf("it waits to be read already: %w", ledger.ErrConflict)
	case Failed, Changed, Gone:
		return nil
	case Discarded:
		if what == Discard {
			return fmt.Errorf("it is discarded already: %w", ledger.ErrConflict)
		}
		return nil
	case Done:
		if what == Retry {
			return nil
		}
		return fmt.Errorf("what was recorded of it stays: nothing can be discarded: %w", ledger.ErrConflict)
	}
	return fmt.Errorf("it holds what was read before: nothing is left to do: %w", ledger.ErrConflict)
}

const sqlDecisions = `
SELECT n, outcome, state, pass, recorded, duplicate, conflict, invalid, why, decided_by, decided_at
FROM ledger.import_decisions
WHERE file = $1
ORDER BY n
LIMIT 1000`

// Decisions lists what was decided about a file, the first first.
func Decisions(ctx context.Context, q pg.Querier, n int64) ([]Decision, error) {
	rows, err := q.Query(ctx, sqlDecisions, n)
	if err != nil {
		return nil, fmt.Errorf("list decisions about file %d: %w", n, err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Decision])
	if err != nil {
		return nil, fmt.Errorf("list decisions about file %d: %w", n, err)
	}
	for k := range all {
		all[k].At = all[k].At.UTC()
	}
	return all, nil
}
