package imports

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"deltaledger/ledger/pg"
	"deltaledger/ledger/wire"
)

// errLost says that somebody else has the file: this importer was silent for too long, or a person decided.
var errLost = errors.New("the file was taken over by another importer")

// Takes the oldest file that nobody reads. The lock keeps two importers from taking the same one, and SKIP LOCKED from
// waiting for each other. An older content of the same name comes first, whoever reads it.
const sqlClaim = `
UPDATE ledger.import_files f
SET state = 'running', importer = $2, leased_until = clock_timestamp() + $3::interval, attempt = f.attempt + 1,
    begun_at = COALESCE(f.begun_at, clock_timestamp())
WHERE f.n = (
    SELECT o.n
    FROM ledger.import_files o
    WHERE o.location = $1 AND o.state IN ('queued', 'running')
      AND (o.state = 'queued' AND o.next_at <= clock_timestamp() OR o.leased_until < clock_timestamp())
      AND NOT EXISTS (
          SELECT FROM ledger.import_files e
          WHERE e.location = o.location AND e.name = o.name AND e.version < o.version AND e.state IN ('queued', 'running'))
    ORDER BY o.n
    LIMIT 1
    FOR UPDATE SKIP LOCKED)
RETURNING ` + columns

// claim takes a file up; ok is false if there is none to take.
func (i *Importer) claim(ctx context.Context) (f File, ok bool, err error) {
	err = pg.InTx(ctx, i.pool, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, sqlClaim, i.location, i.c.Name, i.c.Lease)
		if err != nil {
			return err
		}
		files, err := pgx.CollectRows(rows, scanFile)
		if ok = len(files) > 0; ok {
			f = files[0]
		}
		return err
	})
	if err != nil {
		return File{}, false, fmt.Errorf("take up a file: %w", err)
	}
	return f, ok, nil
}

const sqlRenew = `
UPDATE ledger.import_files
SET leased_until = clock_timestamp() + $3::interval
WHERE n = $1 AND attempt = $2 AND state = 'running'`

// keep renews the lease of a file until ctx ends, and calls lost when somebody else has it.
func (i *Importer) keep(ctx context.Context, f File, lost func()) {
	tick := time.NewTicker(i.c.Lease / 3)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		tag, err := i.pool.Exec(ctx, sqlRenew, f.N, f.Attempt, i.c.Lease)
		if err == nil && tag.RowsAffected() == 0 {
			lost()
			return
		}
	}
}

const sqlFinish = `
UPDATE ledger.import_files
SET state = $3, reason = NULLIF($4, ''), sha256 = $5, etag = $6, format = NULLIF($7, ''), mapping = NULLIF($8, ''), mapping_sha256 = $9,
    importer = NULL, leased_until = NULL, failures = 0, ended_at = clock_timestamp()
WHERE n = $1 AND attempt = $2 AND state = 'running'`

// ending is how a file ends.
type ending struct {
	state  State
	reason string
	sha256 []byte // nil: not all of it was read
	etag   string

	format wire.Format // empty: it wasn't decoded
	rule   Rule
}

// finish ends the reading of a file.
func (i *Importer) finish(ctx context.Context, f File, e ending) error {
	return i.move(ctx, "finish", sqlFinish, f.N, f.Attempt, e.state, e.reason, e.sha256, e.etag, string(e.format), e.rule.MappingName, e.rule.MappingSHA256)
}

const sqlPostpone = `
UPDATE ledger.import_files
SET state = 'queued', reason = NULLIF($3, ''), size = $4, modified_at = $5, next_at = clock_timestamp() + $6::interval, failures = $7,
    importer = NULL, leased_until = NULL
WHERE n = $1 AND attempt = $2 AND state = 'running'`

// postpone gives a file back, to be taken up after a span. What is seen of the object may only be new to a file of which
// nothing was read.
func (i *Importer) postpone(ctx context.Context, f File, seen Object, reason string, failures int, after time.Duration) error {
	return i.move(ctx, "postpone", sqlPostpone, f.N, f.Attempt, reason, seen.Size, seen.ModifiedAt, after, failures)
}

// move changes the state of a file that this importer has. It is done also while the importer is being stopped, so that
// others needn't wait until the lease ends.
func (i *Importer) move(ctx context.Context, action, sql string, args ...any) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
	defer cancel()
	tag, err := i.pool.Exec(ctx, sql, args...)
	switch {
	case err != nil:
		return fmt.Errorf("%s a file: %w", action, err)
	case tag.RowsAffected() == 0:
		return errLost
	}
	return nil
}

// farewell bounds what is done for a file after the importer was told to stop.
const farewell = 10 * time.Second
