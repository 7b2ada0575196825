package billing

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// writes are statements that go to the database together, in one round trip, each with what is to be
// done with its result.
type writes struct {
	batch pgx.Batch
	then  []func(pgx.BatchResults) error
}

// exec queues a statement without rows; then, if any, is told how many rows it touched.
func (w *writes) exec(then func(rows int64) error, sql string, args ...any) {
	w.batch.Queue(sql, args...)
	w.then = append(w.then, func(results pgx.BatchResults) error {
		tag, err := results.Exec()
		if err != nil || then == nil {
			return err
		}
		return then(tag.RowsAffected())
	})
}

// query queues a statement whose rows then reads.
func (w *writes) query(then func(pgx.Rows) error, sql string, args ...any) {
	w.batch.Queue(sql, args...)
	w.then = append(w.then, func(results pgx.BatchResults) error {
		rows, err := results.Query()
		if err != nil {
			return err
		}
		defer rows.Close()
		if err := then(rows); err != nil {
			return err
		}
		return rows.Err()
	})
}

// send runs the statements in order, up to the first that fails.
func (w *writes) send(ctx context.Context, tx pgx.Tx) error {
	if len(w.then) == 0 {
		return nil
	}
	results := tx.SendBatch(ctx, &w.batch)
	for _, then := range w.then {
		if err := then(results); err != nil {
			_ = results.Close() // the error at hand says more; the transaction is rolled back
			return err
		}
	}
	return results.Close()
}
