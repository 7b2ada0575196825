package pg

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
)

// Beginner is what can begin a transaction: a pool, a connection, or a transaction (a savepoint).
type Beginner interface {
	BeginTx(ctx context.Context, o pgx.TxOptions) (pgx.Tx, error)
}

// ReadCommitted is the isolation level of InTx, for InTxWith.
const ReadCommitted = pgx.ReadCommitted

// maxTries bounds how often a transaction that met a deadlock is run.
const maxTries = 6

// InTx runs f in a READ COMMITTED transaction and commits it. A deadlock or serialization failure
// runs f again, from its beginning, a bounded number of times: f sets its results from scratch and does
// nothing outside the database. Any other error rolls back and is returned as it is.
func InTx(ctx context.Context, db Beginner, f func(pgx.Tx) error) error {
	return InTxWith(ctx, db, pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, f)
}

// InSnapshot runs f, which only reads, on one snapshot of the database.
func InSnapshot(ctx context.Context, db Beginner, f func(pgx.Tx) error) error {
	return InTxWith(ctx, db, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, f)
}

// InTxWith is InTx with options of the caller's.
func InTxWith(ctx context.Context, db Beginner, o pgx.TxOptions, f func(pgx.Tx) error) error {
	return again(ctx, func() error { return once(ctx, db, o, f) })
}

// again runs f until it ends otherwise than by a deadlock or a serialization failure, but not for ever.
func again(ctx context.Context, f func() error) error {
	for try := 1; ; try++ {
		err := f()
		if err == nil || !IsRetryable(err) {
			return err
		}
		if try == maxTries {
			return fmt.Errorf("after %d tries: %w", try, err)
		}
		if err := backoff(ctx, try); err != nil {
			return err
		}
	}
}

// InTxOnce is InTx without further tries, for what must pause for longer between them.
func InTxOnce(ctx context.Context, db Beginner, f func(pgx.Tx) error) error {
	return once(ctx, db, pgx.TxOptions{IsoLevel: pgx.ReadCommitted}, f)
}

// backoff waits a random time that grows with the number of tries, from about 5 ms on.
func backoff(ctx context.Context, try int) error {
	most := 5 * time.Millisecond << min(try, 7)
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(rand.N(most)): // jitter decides nothing, so it needs no seed
		return nil
	}
}

// InSavepoint runs f in a savepoint of tx: if f fails, only what f did is rolled back. It never runs f
// again: after a deadlock the whole transaction has to.
func InSavepoint(ctx context.Context, tx pgx.Tx, f func(pgx.Tx) error) error {
	sub, err := tx.Begin(ctx)
	if err != nil {
		return err
	}
	if err := f(sub); err != nil {
		clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if e := sub.Rollback(clean); e != nil && !errors.Is(e, pgx.ErrTxClosed) {
			return errors.Join(err, e)
		}
		return err
	}
	return sub.Commit(ctx)
}

func once(ctx context.Context, db Beginner, o pgx.TxOptions, f func(pgx.Tx) error) (err error) {
	tx, err := db.BeginTx(ctx, o)
	if err != nil {
		return err
	}
	committed := false
	defer func() {
		if committed {
			return
		}
		// Not ctx: it may have ended, and the connection would be lost with its locks held.
		clean, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if e := tx.Rollback(clean); e != nil && !errors.Is(e, pgx.ErrTxClosed) && err == nil {
			err = e
		}
	}()
	if err := f(tx); err != nil {
		return err
	}
	if err := tx.Commit(ctx); err != nil {
		return err
	}
	committed = true
	return nil
}
