package ledger

import (
	"context"
	"crypto/sha256"

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
	return w.run(func(tx pgx.Tx) error {
		known, err := lookUp(ctx, tx, doubts)
		if err != nil {
			return err
		}
		return w.compare(ctx, tx, b, known)
	})
}

// asRecorded is p as the declarations made of it that may have been in force when position was recorded: dimensions that were
// declared private since were public then. It is nil unless that gives the digest that is recorded.
func (b *Batch) asRecorded(p *prepared, t taken) *prepared {
	if p.public.private == nil {
		return nil
	}
	sent := &b.events[p.input]
	// Between the position of a declaration and its floor an event may have been recorded by either.
	for _, since := range []func(Column) bool{
		func(c Column) bool { return c.Position < t.position },
		func(c Column) bool { return c.floor != nil && *c.floor < t.position },
	} {
		private := b.by.catalogue.some(func(c Column) bool { return c.PII && since(c) })
		then := *sent
		parts, _ := newLayout(newCatalogue(private)).split(sent.Dimensions) // a wrong type was told of before
		if parts.private != nil {
			then.Dimensions, then.private = parts.public, parts.private
		}
		if sha256.Sum256(AppendCanonical(nil, &then)) != t.digest {
			continue
		}
		again := *p
		again.public, again.digest, again.canonical = &then, t.digest, nil
		if content, err := appendPrivate(nil, &then); err == nil && then.hasPrivate() {
			again.canonical = content
		}
		return &again
	}
	return nil
}
