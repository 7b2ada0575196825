package ledger

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"deltaledger/ledger/pg"
)

// SetCompletenessStep sets how many events a step looks at.
func (l *Ledger) SetCompletenessStep(n int64) { l.step = n }

// Encoded is a batch of rows ready for COPY, positions and keys included.
type Encoded struct {
	keys, events []byte
	sql          string
}

// EncodeAll prepares events as batches of MaxBatch whose rows begin at position first. They must be
// without private content.
func (l *Ledger) EncodeAll(ctx context.Context, events []Event, first int64, at time.Time) (all []Encoded, err error) {
	for len(events) > 0 {
		n := min(MaxBatch, len(events))
		b, err := l.Prepare(ctx, events[:n])
		if err != nil {
			return nil, err
		}
		items, positions := b.all(), make([]int64, n)
		for i, p := range items {
			positions[i] = first + int64(i)
			patch(p.tuple.of(b.tuples), positions[i], at)
		}
		all = append(all, Encoded{keys: encodeKeys(items, positions, at), events: b.tuples, sql: b.by.layout.sqlCopy})
		events, first = events[n:], first+int64(n)
	}
	return all, nil
}

// CopyEncoded is the least that storing the rows can cost: two binary COPYs and a commit.
func CopyEncoded(ctx context.Context, pool *pgxpool.Pool, e Encoded) error {
	return pg.InTx(ctx, pool, func(tx pgx.Tx) error {
		if _, err := pg.CopyIn(ctx, tx, sqlCopyKeys, e.keys); err != nil {
			return err
		}
		_, err := pg.CopyIn(ctx, tx, e.sql, e.events)
		return err
	})
}

// ListSQL is the statement that lists events.
func (l *Ledger) ListSQL(ctx context.Context, where []Filter) (string, []any, error) {
	catalogue, err := l.Catalogue(ctx)
	if err != nil {
		return "", nil, err
	}
	b := newBuilder(catalogue, 1<<40, "UTC", true, nil)
	sql, _, err := b.list(cursor{Where: where, Limit: 10}, nil)
	return sql, b.args, err
}

// NumericCopy is the binary form of a, without its length.
func NumericCopy(a Amount) []byte { return appendNumeric(nil, a)[4:] }
