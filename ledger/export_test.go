package ledger

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"deltaledger/ledger/pg"
	"deltaledger/ledger/proof"
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

// LeafOf reads the leaf of the fact at a position.
func (s *Seals) LeafOf(ctx context.Context, position int64) (text string, hash proof.Hash, err error) {
	err = pg.InSnapshot(ctx, s.l.pool, func(tx pgx.Tx) error {
		r := newLeafReader(s.tables)
		r.want = position
		if err := r.begin(ctx, tx); err != nil {
			return err
		}
		b, err := r.read(ctx, position-1, position)
		if err != nil || len(b.leaves) != 1 {
			return fmt.Errorf("%d leaves: %w", len(b.leaves), err)
		}
		text, hash = string(r.wanted), b.leaves[0].hash
		return nil
	})
	return text, hash, err
}

// LeafBytes is how many bytes of canonical text the leaves in a range have, and the texts themselves.
func (s *Seals) LeafBytes(ctx context.Context, after, through int64) (texts [][]byte, err error) {
	err = pg.InSnapshot(ctx, s.l.pool, func(tx pgx.Tx) error {
		r := newLeafReader(s.tables)
		if err := r.begin(ctx, tx); err != nil {
			return err
		}
		r.each = func(text []byte) { texts = append(texts, bytes.Clone(text)) }
		_, err := r.read(ctx, after, through)
		return err
	})
	return texts, err
}

// AppendInstant and AppendDay are how times stand in leaves.
var (
	AppendInstant = appendInstant
	AppendDay     = appendDay
)

// AppendValue is how a value of a type stands in a leaf.
func AppendValue(oid uint32, value []byte) (string, error) {
	var w leafWriter
	d, err := w.appendValue(nil, oid, value)
	return string(d), err
}
