package ledger

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"deltaledger/ledger/pg"
)

// One builder at a time, for as long as its session lives: two that build on one table wait for each other for ever.
const sqlLockBuilders = `SELECT pg_try_advisory_lock(17484, 17)`

const sqlUnlockBuilders = `SELECT pg_advisory_unlock(17484, 17)`

// What is missing: for each declared index and partition, the index that is there already, if there is one.
const sqlMissingIndexes = `
SELECT whole.name, p.inhrelid::regclass::text, whole.index::regclass::text,
       COALESCE(part.index::regclass::text, ''), COALESCE(part.valid, false)
FROM ledger.event_indexes whole
JOIN pg_inherits p ON p.inhparent = whole.of
LEFT JOIN ledger.event_indexes part ON part.of = p.inhrelid AND part.name = whole.name
WHERE whole.whole AND part.attached IS NULL
ORDER BY p.inhrelid::regclass::text, whole.name, part.valid DESC`

// missingIndex is an index of a partition that isn't there, or isn't finished.
type missingIndex struct {
	Column    string
	Partition string // these are identifiers as PostgreSQL quotes them
	Whole     string // the index of the partitioned table
	There     string // empty: none
	Valid     bool   // there is whole
}

// IndexesMissing counts the indexes of partitions that are declared and not built yet.
func (l *Ledger) IndexesMissing(ctx context.Context) (int, error) {
	missing, err := missingIndexes(ctx, l.pool)
	return len(missing), err
}

func missingIndexes(ctx context.Context, db querier) ([]missingIndex, error) {
	rows, err := db.Query(ctx, sqlMissingIndexes)
	if err != nil {
		return nil, readError("find missing indexes", err)
	}
	missing, err := pgx.CollectRows(rows, pgx.RowToStructByPos[missingIndex])
	if err != nil {
		return nil, readError("find missing indexes", err)
	}
	return missing, nil
}

// BuildIndexes builds the indexes that were declared, partition by partition, while others record and read. owner
// is a pool whose sessions are deltaledger_owner's and have no time limit. What was interrupted is built again; what is there
// stays, so that it may be called at any time. report, which may be nil, is told what is being built. It returns how many
// indexes it finished; ErrBusy: somebody else builds.
func (l *Ledger) BuildIndexes(ctx context.Context, owner *pgxpool.Pool, report func(column, partition string)) (int, error) {
	conn, err := owner.Acquire(ctx)
	if err != nil {
		return 0, fmt.Errorf("build indexes: %w", err)
	}
	defer conn.Release()
	var alone bool
	if err := conn.QueryRow(ctx, sqlLockBuilders).Scan(&alone); err != nil {
		return 0, readError("build indexes", err)
	}
	if !alone {
		return 0, fmt.Errorf("build indexes: another session builds them: %w", ErrBusy)
	}
	defer func() {
		if _, err := conn.Exec(context.WithoutCancel(ctx), sqlUnlockBuilders); err != nil {
			_ = conn.Conn().Close(context.WithoutCancel(ctx)) // the end of the session releases the lock too
		}
	}()
	missing, err := missingIndexes(ctx, conn)
	if err != nil {
		return 0, err
	}
	built, done := 0, map[[2]string]bool{}
	for _, m := range missing {
		key := [2]string{m.Column, m.Partition}
		if done[key] { // a second one, half built, beside one that is whole
			err = execute(ctx, conn.Conn(), "DROP INDEX CONCURRENTLY IF EXISTS "+m.There)
		} else {
			if report != nil {
				report(m.Column, m.Partition)
			}
			err = m.build(ctx, conn.Conn(), l)
			built++
		}
		if err != nil {
			return built, fmt.Errorf("build the index of %s on %s: %w", m.Column, m.Partition, err)
		}
		done[key] = true
	}
	return built, nil
}

func execute(ctx context.Context, conn *pgx.Conn, sql string) error {
	_, err := conn.Exec(ctx, sql)
	return err
}

const sqlBuiltIndex = `
SELECT part.index::regclass::text
FROM ledger.event_indexes part
WHERE part.of = $1::text::regclass AND part.name = $2 AND part.valid AND part.attached IS NULL
LIMIT 1`

// build builds one index, outside of any transaction, and attaches it.
func (m missingIndex) build(ctx context.Context, conn *pgx.Conn, l *Ledger) error {
	if m.There != "" && !m.Valid { // a build that was interrupted; PostgreSQL can't go on with it
		if err := execute(ctx, conn, "DROP INDEX CONCURRENTLY "+m.There); err != nil {
			return err
		}
	}
	if !m.Valid {
		column := pgx.Identifier{m.Column}.Sanitize()
		if err := execute(ctx, conn, "CREATE INDEX CONCURRENTLY ON "+m.Partition+" ("+column+") WHERE "+column+" IS NOT NULL"); err != nil {
			return err
		}
		if err := conn.QueryRow(ctx, sqlBuiltIndex, m.Partition, m.Column).Scan(&m.There); err != nil {
			return err
		}
	}
	return l.attachIndex(ctx, conn, m)
}

// attachIndex makes an index of a partition a part of that of the whole table. Writers queue behind it, so it waits for the
// statements under way for a moment only, and comes again.
func (l *Ledger) attachIndex(ctx context.Context, conn *pgx.Conn, m missingIndex) error {
	return l.Patiently(ctx, 0, func() error {
		return pg.InTxOnce(ctx, conn, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, "SET LOCAL lock_timeout = '50ms'"); err != nil {
				return err
			}
			_, err := tx.Exec(ctx, "ALTER INDEX "+m.Whole+" ATTACH PARTITION "+m.There)
			return err
		})
	})
}
