package ledger

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"github.com/jackc/pgx/v5"

	"deltaledger/ledger/pg"
	"deltaledger/ledger/proof"
)

// MaxSealed is how many facts a seal binds at most.
const MaxSealed = 65_536

// tagSize is how much of a leaf's hash is stored beside its seal.
const tagSize = 4

// Seals makes the chain of seals over the facts of a ledger, and verifies it. Make one with NewSeals; it
// is safe for concurrent use.
type Seals struct {
	l      *Ledger
	tables []FactTable
}

// NewSeals is the chain of seals of l. tables are the facts besides events that draw positions; every
// Seals of a ledger must be given the same ones.
func NewSeals(l *Ledger, tables ...FactTable) (*Seals, error) {
	if l == nil {
		return nil, fmt.Errorf("new seals: the ledger is missing: %w", ErrInvalid)
	}
	for _, t := range tables {
		if err := t.check(); err != nil {
			return nil, fmt.Errorf("new seals: %w", err)
		}
	}
	return &Seals{l: l, tables: append(ownFacts(), tables...)}, nil
}

// How far the seals are behind the newest watermark, in positions.
const sqlBehind = `
SELECT COALESCE((SELECT w.position FROM ledger.watermarks w ORDER BY w.n DESC LIMIT 1), 0)
     - COALESCE((SELECT s.last_position FROM ledger.seals s ORDER BY s.number DESC LIMIT 1), 0)`

const sqlSummarizeKeys = `SELECT ledger.summarize_keys()`

// summarizeFrom is how many positions must be new before the index of keys by position is brought up to
// date by ourselves; fewer are read in no time without it.
const summarizeFrom = 4096

// prepare brings the index up to date where much is to be read.
func (s *Seals) prepare(ctx context.Context) error {
	var behind int64
	if err := s.l.pool.QueryRow(ctx, sqlBehind).Scan(&behind); err != nil {
		return fmt.Errorf("see how far is sealed: %w", err)
	}
	if behind < summarizeFrom {
		return nil
	}
	if _, err := s.l.pool.Exec(ctx, sqlSummarizeKeys); err != nil {
		return fmt.Errorf("bring the index of keys up to date: %w", err)
	}
	return nil
}

// One sealer at a time: two would hang their seals on the same end of the chain.
const sqlLockSealer = `SELECT pg_advisory_xact_lock(17484, 10)`

const sqlNewestSeal = `
SELECT number, last_position, hash, frontier
FROM ledger.seals
ORDER BY number DESC
LIMIT 1`

const sqlInsertSeal = `
INSERT INTO ledger.seals (number, format, first_position, last_position, count, root, positions, positions_sha256, tags, tags_sha256,
    previous, hash, frontier, tree_root, position, sealed_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)`

// SealNext seals the next block of facts, at most MaxSealed, up to the newest watermark. If there is
// nothing to seal it returns false. An error that is ErrCorrupt says that a fact can't be sealed because the
// ledger can't have written it; nothing is sealed until somebody looked.
func (s *Seals) SealNext(ctx context.Context) (done proof.Seal, made bool, err error) {
	if err := s.prepare(ctx); err != nil {
		return proof.Seal{}, false, err
	}
	err = pg.InTx(ctx, s.l.pool, func(tx pgx.Tx) error {
		done, made, err = s.sealNext(ctx, tx)
		return err
	})
	if err != nil {
		return proof.Seal{}, false, fmt.Errorf("seal: %w", err)
	}
	return done, made, nil
}

// SealAll seals everything up to the newest watermark and returns how many seals that took and how many
// facts they bind.
func (s *Seals) SealAll(ctx context.Context) (seals, facts int64, err error) {
	for {
		done, made, err := s.SealNext(ctx)
		if err != nil || !made {
			return seals, facts, err
		}
		seals, facts = seals+1, facts+done.Count
	}
}

func (s *Seals) sealNext(ctx context.Context, tx pgx.Tx) (next proof.Seal, made bool, err error) {
	if _, err := tx.Exec(ctx, sqlLockSealer); err != nil {
		return next, false, err
	}
	var (
		newest       proof.Seal
		hash, stored []byte
		frontier     proof.Frontier
		watermark    Watermark
	)
	switch err := tx.QueryRow(ctx, sqlNewestSeal).Scan(&newest.Number, &newest.Last, &hash, &stored); {
	case isNoRows(err):
	case err != nil:
		return next, false, fmt.Errorf("read the newest seal: %w", err)
	default:
		if frontier, err = proof.ReadFrontier(newest.Number, stored); err != nil || len(hash) != sha256.Size {
			return next, false, fmt.Errorf("seal %d can't be followed: %w: %w", newest.Number, err, ErrCorrupt)
		}
		next.Previous = proof.Hash(hash)
	}
	err = tx.QueryRow(ctx, sqlNewestWatermark).Scan(&watermark.N, &watermark.Position, &watermark.TakenAt)
	if isNoRows(err) {
		return next, false, nil
	}
	if err != nil {
		return next, false, fmt.Errorf("read the newest watermark: %w", err)
	}
	first, found, err := nextFact(ctx, tx, s.tables, newest.Last, watermark.Position)
	if err != nil || !found {
		return next, false, err
	}
	next.Ledger, next.Format, next.Number, next.First = s.l.settings.ID, proof.SealFormat, newest.Number+1, newest.Last+1
	next.Last = min(watermark.Position, first+MaxSealed-1)
	leaves, err := s.leavesOf(ctx, tx, next)
	if err != nil {
		return next, false, err
	}
	return next, true, s.insert(ctx, tx, &next, leaves, frontier)
}

// leavesOf reads the leaves of the block of a seal that is to be made.
func (s *Seals) leavesOf(ctx context.Context, tx pgx.Tx, next proof.Seal) ([]leaf, error) {
	r := newLeafReader(s.tables)
	if err := r.begin(ctx, tx); err != nil {
		return nil, err
	}
	b, err := r.read(ctx, next.First-1, next.Last)
	if err != nil {
		return nil, err
	}
	if len(b.odd) > 0 {
		return nil, fmt.Errorf("position %d can't be sealed: %s: %w", b.odd[0].position, b.odd[0].text, ErrCorrupt)
	}
	for i := 1; i < len(b.leaves); i++ {
		if b.leaves[i].position == b.leaves[i-1].position {
			return nil, fmt.Errorf("position %d can't be sealed: two facts have it: %w", b.leaves[i].position, ErrCorrupt)
		}
	}
	return b.leaves, nil
}

// insert draws the seal's position, as the last step, and stores the seal.
func (s *Seals) insert(ctx context.Context, tx pgx.Tx, next *proof.Seal, leaves []leaf, frontier proof.Frontier) error {
	positions, tags := encodePositions(next.First, leaves), encodeTags(leaves)
	next.Count, next.Root = int64(len(leaves)), rootOf(leaves)
	next.Positions, next.Tags = sha256.Sum256(positions), sha256.Sum256(tags)
	drawn, at, err := DrawTx(ctx, tx, 1)
	if err != nil {
		return err
	}
	next.Position, next.SealedAt = drawn[0], at.UTC()
	hash := next.Hash()
	frontier = frontier.Add(hash)
	root := frontier.Root()
	var previous []byte
	if next.Number > 1 {
		previous = next.Previous[:]
	}
	_, err = tx.Exec(ctx, sqlInsertSeal, next.Number, next.Format, next.First, next.Last, next.Count, next.Root[:], positions, next.Positions[:],
		tags, next.Tags[:], previous, hash[:], frontier.Bytes(), root[:], next.Position, next.SealedAt)
	if err != nil {
		return fmt.Errorf("store seal %d: %w", next.Number, err)
	}
	return nil
}

func rootOf(leaves []leaf) proof.Hash { return proof.Root(hashesOf(leaves)) }

func hashesOf(leaves []leaf) []proof.Hash {
	hashes := make([]proof.Hash, len(leaves))
	for i := range leaves {
		hashes[i] = leaves[i].hash
	}
	return hashes
}

// encodePositions writes the gaps between positions, the first one from the position before the block.
func encodePositions(first int64, leaves []leaf) []byte {
	d := make([]byte, 0, len(leaves)+8)
	before := first - 1
	for _, l := range leaves {
		d = binary.AppendUvarint(d, uint64(l.position-before))
		before = l.position
	}
	return d
}

// decodePositions reads what encodePositions wrote.
func decodePositions(first int64, d []byte) ([]int64, error) {
	positions := make([]int64, 0, len(d))
	for at := first - 1; len(d) > 0; {
		gap, n := binary.Uvarint(d)
		if n <= 0 || gap == 0 || gap > 1<<62 {
			return nil, fmt.Errorf("the list of positions is broken")
		}
		at += int64(gap)
		positions, d = append(positions, at), d[n:]
	}
	return positions, nil
}

func encodeTags(leaves []leaf) []byte {
	d := make([]byte, 0, tagSize*len(leaves))
	for i := range leaves {
		d = append(d, leaves[i].hash[:tagSize]...)
	}
	return d
}
