package ledger

import (
	"context"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"deltaledger/ledger/pg"
	"deltaledger/ledger/proof"
)

// header is a seal as it is stored, without the lists beside it.
type header struct {
	proof.Seal
	hash     proof.Hash
	frontier []byte
	treeRoot proof.Hash
	bad      string // what makes it no seal at all, such as a hash that is too short
}

const sqlSealHeaders = `
SELECT number, format, first_position, last_position, count, root, positions_sha256, tags_sha256, previous, hash, frontier, tree_root,
       position, sealed_at
FROM ledger.seals
WHERE number > $1 AND number <= $2
ORDER BY number
LIMIT $3`

// pageOfSeals is how many seals are read at once.
const pageOfSeals = 1000

// headers reads seals in the order of their numbers.
func (s *Seals) headers(ctx context.Context, db pg.Querier, after, through int64, limit int) ([]header, error) {
	rows, err := db.Query(ctx, sqlSealHeaders, after, through, limit)
	if err != nil {
		return nil, fmt.Errorf("read seals: %w", err)
	}
	all, err := pgx.CollectRows(rows, s.header)
	if err != nil {
		return nil, fmt.Errorf("read seals: %w", err)
	}
	return all, nil
}

// header reads one seal; whether it is one is said by bad.
func (s *Seals) header(row pgx.CollectableRow) (h header, err error) {
	var root, positions, tags, previous, hash, tree []byte
	var at time.Time
	err = row.Scan(&h.Number, &h.Format, &h.First, &h.Last, &h.Count, &root, &positions, &tags, &previous, &hash, &h.frontier, &tree,
		&h.Position, &at)
	if err != nil {
		return h, err
	}
	for _, f := range []struct {
		to   *proof.Hash
		from []byte
	}{{&h.Root, root}, {&h.Positions, positions}, {&h.Tags, tags}, {&h.Previous, previous}, {&h.hash, hash}, {&h.treeRoot, tree}} {
		if copied := len(f.from); copied != sha256.Size && f.to != &h.Previous {
			h.bad = fmt.Sprintf("a hash of %d bytes", copied)
		}
		copy(f.to[:], f.from)
	}
	switch {
	case h.Number == 1 && previous != nil:
		h.bad = "a previous hash, although there is nothing before it"
	case h.Number != 1 && len(previous) != sha256.Size:
		h.bad = fmt.Sprintf("a previous hash of %d bytes", len(previous))
	}
	h.Ledger, h.SealedAt = s.l.settings.ID, at.UTC()
	return h, nil
}

// sound reads one seal that must be one.
func (s *Seals) sound(row pgx.CollectableRow) (header, error) {
	h, err := s.header(row)
	if err == nil && h.bad != "" {
		err = fmt.Errorf("seal %d has %s (run: deltaledger verify): %w", h.Number, h.bad, ErrCorrupt)
	}
	return h, err
}

// chain is the state of the chain after a number of seals.
type chain struct {
	last     header
	frontier proof.Frontier
}

const sqlChainEnds = `
SELECT COALESCE((SELECT s.number FROM ledger.seals s ORDER BY s.number DESC LIMIT 1), 0),
       COALESCE((SELECT s.last_position FROM ledger.seals s ORDER BY s.number DESC LIMIT 1), 0),
       COALESCE((SELECT w.position FROM ledger.watermarks w ORDER BY w.n DESC LIMIT 1), 0)`

// walkChain checks the seals one after the other and gives their blocks to each, in groups, until each
// returns false. It returns what is wrong with the first seal that is.
func (v *verification) walkChain(ctx context.Context, each func([]header) (bool, error)) (*Difference, error) {
	var count, watermark int64
	err := v.in(ctx, func(tx pgx.Tx) error {
		return tx.QueryRow(ctx, sqlChainEnds).Scan(&count, &v.last, &watermark)
	})
	if err != nil {
		return nil, fmt.Errorf("read how long the chain is: %w", err)
	}
	var (
		state chain
		group grouping
		wrong *Difference
	)
	wrong = v.checkpoints(state, 0)
	for wrong == nil && state.last.Number < count {
		var page []header
		err := v.in(ctx, func(tx pgx.Tx) (err error) {
			page, err = v.headers(ctx, tx, state.last.Number, count, pageOfSeals)
			return err
		})
		if err != nil {
			return nil, err
		}
		if len(page) == 0 {
			wrong = &Difference{Seal: state.last.Number + 1, What: DiffChain, Expected: fmt.Sprintf("%d seals", count), Found: "fewer"}
		}
		for _, h := range page {
			if wrong = state.add(h, watermark); wrong == nil {
				wrong = v.checkpoints(state, h.Number)
			}
			if wrong != nil {
				break
			}
			v.report.Seals = h.Number
			if h.Number < v.report.From {
				continue
			}
			if full := group.add(h); full != nil {
				if more, err := each(full); err != nil || !more {
					return nil, err
				}
			}
		}
	}
	v.report.Tree = proof.Checkpoint{Origin: proof.Origin(v.l.settings.ID), Size: state.frontier.Size, Root: state.frontier.Root()}
	if wrong == nil {
		wrong = v.missingCheckpoints(count)
	}
	if len(group.headers) > 0 {
		if _, err := each(group.headers); err != nil {
			return nil, err
		}
	}
	return wrong, nil
}

// add checks the next seal and adds it to the chain.
func (c *chain) add(h header, watermark int64) *Difference {
	want := c.last.Number + 1
	wrong := func(expected, found string, detail ...string) *Difference {
		return &Difference{Seal: want, What: DiffChain, Expected: expected, Found: found, Detail: detail}
	}
	switch {
	case h.Number != want:
		return wrong(fmt.Sprintf("seal %d", want), fmt.Sprintf("seal %d", h.Number), "seals are missing")
	case h.bad != "":
		return wrong("a seal", h.bad)
	case h.Format != proof.SealFormat:
		return wrong(fmt.Sprintf("format %d", proof.SealFormat), fmt.Sprintf("format %d", h.Format), "this program can't recompute another one")
	case h.First != c.last.Last+1:
		return wrong(fmt.Sprintf("first position %d", c.last.Last+1), fmt.Sprint(h.First), "blocks must follow each other")
	case h.Previous != c.last.hash:
		return wrong("previous hash "+c.last.hash.String(), h.Previous.String(), "it doesn't hang on the seal before it")
	case h.Seal.Hash() != h.hash:
		return wrong("hash "+h.Seal.Hash().String(), h.hash.String(), "the stored hash isn't that of the seal's columns: one of them was changed")
	case h.Position <= c.last.Position:
		return wrong(fmt.Sprintf("a position above %d", c.last.Position), fmt.Sprint(h.Position))
	case h.Last > watermark:
		return wrong(fmt.Sprintf("a block that ends by the newest watermark, %d", watermark), fmt.Sprint(h.Last), "what it covers wasn't decided")
	}
	next := c.frontier.Add(h.hash)
	if string(next.Bytes()) != string(h.frontier) {
		return wrong("frontier of the tree of "+fmt.Sprint(want)+" seals", "another one", "the column frontier was changed")
	}
	if root := next.Root(); root != h.treeRoot {
		return wrong("tree root "+root.String(), h.treeRoot.String(), "the column tree_root was changed")
	}
	c.last, c.frontier = h, next
	return nil
}

// checkpoints holds the chain of so many seals against the checkpoints of that size.
func (v *verification) checkpoints(c chain, size int64) *Difference {
	for _, k := range v.q.Checkpoints {
		if k.Size != size {
			continue
		}
		if origin := proof.Origin(v.l.settings.ID); k.Origin != origin {
			return &Difference{What: DiffCheckpoint, Expected: "a checkpoint of " + origin, Found: "one of " + k.Origin}
		}
		if root := c.frontier.Root(); root != k.Root {
			return &Difference{
				Seal: size, What: DiffCheckpoint, Expected: "tree root " + k.Root.String(), Found: root.String(),
				Detail: []string{fmt.Sprintf("one of the seals up to %d isn't what it was when the checkpoint was made: the chain was made anew", size)},
			}
		}
		v.report.Contained = append(v.report.Contained, size)
	}
	return nil
}

// missingCheckpoints finds one that is of more seals than there are.
func (v *verification) missingCheckpoints(count int64) *Difference {
	for _, k := range v.q.Checkpoints {
		if k.Size > count {
			return &Difference{
				Seal: count + 1, What: DiffCheckpoint, Expected: fmt.Sprintf("%d seals, of which there is a checkpoint", k.Size), Found: fmt.Sprint(count),
				Detail: []string{"seals were removed from the end of the chain, or the database is an older copy"},
			}
		}
	}
	return nil
}

// grouping joins blocks that follow each other and are small, so that a ledger that grows slowly takes
// no longer to read than one that grew fast.
type grouping struct{ headers []header }

// add adds a block; if it doesn't fit any more, the group before it is full and returned.
func (g *grouping) add(h header) (full []header) {
	if len(g.headers) > 0 && h.Last-g.headers[0].First >= MaxSealed {
		full = g.headers
		g.headers = nil
	}
	g.headers = append(g.headers, h)
	return full
}
