package ledger

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sort"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"deltaledger/ledger/pg"
	"deltaledger/ledger/proof"
)

// DefaultSeals is how many seals List returns where no limit is given, MaxSeals how many it returns at most.
const (
	DefaultSeals = 100
	MaxSeals     = 1000
)

const sqlListSeals = `
SELECT number, format, first_position, last_position, count, root, positions_sha256, tags_sha256, previous, hash, frontier, tree_root,
       position, sealed_at
FROM ledger.seals
WHERE $1::bigint = 0 OR number < $1
ORDER BY number DESC
LIMIT $2`

// SealRow is a seal as lists show it.
type SealRow struct {
	proof.Seal
	TreeRoot proof.Hash // of the tree over the hashes of the seals up to this one
}

// List returns seals, newest first: those before number before, 0 for the newest ones. limit 0 means
// DefaultSeals.
func (s *Seals) List(ctx context.Context, limit int, before int64) ([]SealRow, error) {
	switch {
	case limit == 0:
		limit = DefaultSeals
	case limit < 0 || limit > MaxSeals:
		return nil, invalidf("limit", fmt.Sprint(limit), "must be from 1 to %d", MaxSeals)
	}
	if before < 0 {
		return nil, Invalid("before", fmt.Sprint(before), "must be the number of a seal")
	}
	rows, err := s.l.pool.Query(ctx, sqlListSeals, before, limit)
	if err != nil {
		return nil, readError("list seals", err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (SealRow, error) {
		h, err := s.sound(row)
		return SealRow{h.Seal, h.treeRoot}, err
	})
	if err != nil {
		return nil, readError("list seals", err)
	}
	return all, nil
}

const sqlCheckpoint = `
SELECT number, tree_root
FROM ledger.seals
WHERE $1::bigint = 0 OR number = $1
ORDER BY number DESC
LIMIT 1`

// Checkpoint is the state of the chain after size seals; 0 means all there are. It trusts the rows: what
// it says is true if Verify finds no difference.
func (s *Seals) Checkpoint(ctx context.Context, size int64) (proof.Checkpoint, error) {
	c := proof.Checkpoint{Origin: proof.Origin(s.l.settings.ID)}
	var root []byte
	err := s.l.pool.QueryRow(ctx, sqlCheckpoint, size).Scan(&c.Size, &root)
	switch {
	case isNoRows(err) && size == 0:
		return c, fmt.Errorf("nothing is sealed yet: %w", ErrNotFound)
	case isNoRows(err):
		return c, fmt.Errorf("there is no seal %d: %w", size, ErrNotFound)
	case err != nil:
		return c, readError("read the newest seal", err)
	}
	if copy(c.Root[:], root) != sha256.Size {
		return c, fmt.Errorf("seal %d has a tree root of %d bytes: %w", c.Size, len(root), ErrCorrupt)
	}
	return c, nil
}

const sqlPositionOf = `
SELECT position
FROM ledger.event_keys
WHERE event_key = $1`

const sqlSealCovering = `
SELECT number, format, first_position, last_position, count, root, positions_sha256, tags_sha256, previous, hash, frontier, tree_root,
       position, sealed_at
FROM ledger.seals
WHERE last_position >= $1
ORDER BY last_position
LIMIT 1`

// Prove makes a proof that an event is in the ledger, for the tree of the first size seals; 0 means all
// there are. An event that isn't sealed yet, or isn't in that tree, is ErrBusy: it will be.
func (s *Seals) Prove(ctx context.Context, source, id string, size int64) (p proof.Proof, err error) {
	tree, err := s.Checkpoint(ctx, size)
	if err != nil && (size != 0 || !errors.Is(err, ErrNotFound)) {
		return proof.Proof{}, err
	}
	err = pg.InSnapshot(ctx, s.l.pool, func(tx pgx.Tx) error {
		var position int64
		err := tx.QueryRow(ctx, sqlPositionOf, uuid.UUID(EventKey(source, id))).Scan(&position)
		switch {
		case isNoRows(err):
			return fmt.Errorf("no event %q of source %q is recorded: %w", id, source, ErrNotFound)
		case err != nil:
			return err
		}
		p, err = s.prove(ctx, tx, position, tree)
		return err
	})
	if err != nil {
		return proof.Proof{}, fmt.Errorf("make a proof: %w", err)
	}
	return p, nil
}

// prove proves the fact at a position.
func (s *Seals) prove(ctx context.Context, tx pgx.Tx, position int64, tree proof.Checkpoint) (proof.Proof, error) {
	rows, err := tx.Query(ctx, sqlSealCovering, position)
	if err != nil {
		return proof.Proof{}, err
	}
	seals, err := pgx.CollectRows(rows, s.sound)
	if err != nil {
		return proof.Proof{}, err
	}
	if len(seals) == 0 || seals[0].Number > tree.Size {
		return proof.Proof{}, fmt.Errorf("position %d isn't covered by the first %d seals yet: %w", position, tree.Size, ErrBusy)
	}
	seal := seals[0].Seal
	r := newLeafReader(s.tables)
	r.want = position
	if err := r.begin(ctx, tx); err != nil {
		return proof.Proof{}, err
	}
	b, err := r.read(ctx, seal.First-1, seal.Last)
	if err != nil {
		return proof.Proof{}, err
	}
	at := sort.Search(len(b.leaves), func(i int) bool { return b.leaves[i].position >= position })
	hashes := hashesOf(b.leaves)
	if at == len(hashes) || b.leaves[at].position != position || proof.Root(hashes) != seal.Root || seal.Hash() != seals[0].hash {
		return proof.Proof{}, fmt.Errorf("the block of seal %d isn't what was sealed (run: deltaledger verify): %w", seal.Number, ErrCorrupt)
	}
	p := proof.Proof{
		Version: proof.Version, Leaf: string(r.wanted), Index: int64(at), Path: proof.Path(hashes, at), Seal: seal, Tree: tree,
	}
	p.SealPath, err = proof.GrowingPath(seal.Number-1, tree.Size,
		func(i int64) (proof.Hash, error) { return storedHash(ctx, tx, sqlHashOfSeal, i+1) },
		func(size int64) (proof.Hash, error) { return storedHash(ctx, tx, sqlLastOfFrontier, size) })
	if err != nil {
		return proof.Proof{}, err
	}
	if err := p.Check(""); err != nil {
		return proof.Proof{}, fmt.Errorf("%w (run: deltaledger verify): %w", err, ErrCorrupt)
	}
	return p, nil
}

const sqlHashOfSeal = `
SELECT hash
FROM ledger.seals
WHERE number = $1`

const sqlLastOfFrontier = `
SELECT substring(frontier FROM length(frontier) - 31)
FROM ledger.seals
WHERE number = $1`

// storedHash reads one hash of a seal.
func storedHash(ctx context.Context, tx pgx.Tx, sql string, number int64) (proof.Hash, error) {
	var raw []byte
	if err := tx.QueryRow(ctx, sql, number).Scan(&raw); err != nil {
		return proof.Hash{}, fmt.Errorf("read seal %d: %w", number, err)
	}
	if len(raw) != sha256.Size {
		return proof.Hash{}, fmt.Errorf("seal %d has a hash of %d bytes: %w", number, len(raw), ErrCorrupt)
	}
	return proof.Hash(raw), nil
}
