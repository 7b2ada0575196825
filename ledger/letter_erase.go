package ledger

import (
	"context"
	"fmt"
)

const sqlCountErasableLetters = `
SELECT count(*)
FROM ledger.letters_to_erase($1, $2, $3, $4, $5)`

// countErasableLetters counts the dead letters in a scope that have their message still.
func (l *Ledger) countErasableLetters(ctx context.Context, e *Erasure) error {
	var letter *int64
	if e.Scope == EraseLetter {
		d, err := l.DeadLetter(ctx, e.Letter)
		if err != nil {
			return err
		}
		if d.Decision == nil && d.Erased == nil {
			return fmt.Errorf("nobody has decided about dead letter %d, so that its message is needed: discard or retry it first: %w", e.Letter, ErrConflict)
		}
		letter = &e.Letter
	}
	err := l.pool.QueryRow(ctx, sqlCountErasableLetters, optional(e.Account), optional(e.Source), optional(e.Event), optional(e.Before), letter).Scan(&e.Letters)
	if err != nil {
		return readError("count what to erase", err)
	}
	return nil
}

const sqlEraseLetters = `SELECT ledger.erase_dead_letters($1)`

func (l *Ledger) eraseLetters(ctx context.Context, n int64, t *eraseTally) error {
	var gone int64
	if err := l.pool.QueryRow(ctx, sqlEraseLetters, n).Scan(&gone); err != nil {
		return readError("erase the messages of dead letters", err)
	}
	if gone > 0 {
		t.add(gone)
	}
	return nil
}
