package ledger

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// settleDoubts looks for events that break what is declared now: what was recorded before the declaration is a
// duplicate when it comes again, or in conflict, as ever (invariant 3). What isn't recorded stays invalid. It comes after
// the batch was written, so that an event meets those that came with it.
func (w *writer) settleDoubts(ctx context.Context, b *Batch) error {
	if len(b.doubts) == 0 {
		return nil
	}
	doubts := make([]*prepared, len(b.doubts))
	for i := range b.doubts {
		doubts[i] = &b.doubts[i]
	}
	err := w.run(func(tx pgx.Tx) error {
		known, err := lookUp(ctx, tx, doubts)
		if err != nil {
			return err
		}
		return w.compare(ctx, tx, b, known)
	})
	if err == nil && !w.whole {
		b.doubts = nil
	}
	return err
}
