package ledger

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"deltaledger/ledger/pg"
)

// Along is what else happens in the transaction that records a batch: the place up to which its sender was read, for
// example, so that the two are never apart. Both functions may be called several times, each time in a new transaction:
// they do nothing outside the database. An error of theirs rolls everything back. Either may be nil.
type Along struct {
	// First runs before anything is recorded. What has to wait for somebody else waits here: no watermark waits for it.
	First func(ctx context.Context, tx pgx.Tx) error
	// Last runs when every event has its outcome, in the order of the batch; nothing but the commit follows. Watermarks
	// wait for it.
	Last func(ctx context.Context, tx pgx.Tx, outcomes []Outcome) error
}

// WriteAlong is Write in exactly one transaction, in which a has its part too. The events have the outcomes that Write
// would give them: bad ones don't stop the others, and conflicts are kept. Without error all of it is durable; with one,
// nothing is, unless it is the commit whose answer was lost: only what a wrote can tell then. An error of a's comes back
// wrapped.
func (l *Ledger) WriteAlong(ctx context.Context, b *Batch, a Along) error {
	for {
		err := l.writeAlong(ctx, b, a)
		if err == nil {
			return nil
		}
		if !errors.Is(err, errDeclared) {
			return fmt.Errorf("record events: %w", err)
		}
		b.forget()
		if err := l.prepareAgain(ctx, b); err != nil {
			return err
		}
	}
}

func (l *Ledger) writeAlong(ctx context.Context, b *Batch, a Along) error {
	if err := l.awaitDeclared(ctx, b); err != nil {
		return err
	}
	prepared := slices.Clone(b.Outcomes)
	return l.inTx(ctx, func(tx pgx.Tx) error {
		copy(b.Outcomes, prepared)
		if a.First != nil {
			if err := a.First(ctx, tx); err != nil {
				return err
			}
		}
		items := b.all()
		// All stripes first: a batch that locked more of them after another would deadlock with others.
		if err := lockStripes(ctx, tx, stripes(items)); err != nil {
			return err
		}
		w := writer{l: l, whole: true, run: func(f func(pgx.Tx) error) error { return pg.InSavepoint(ctx, tx, f) }}
		if err := w.write(ctx, b, items); err != nil {
			return err
		}
		if a.Last == nil {
			return nil
		}
		return a.Last(ctx, tx, b.Outcomes)
	})
}
