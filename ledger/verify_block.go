package ledger

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"

	"github.com/jackc/pgx/v5"

	"deltaledger/ledger/pg"
	"deltaledger/ledger/proof"
)

// lists are what is stored beside a seal to name the fact that differs.
type lists struct {
	positions []byte
	tags      []byte
}

const sqlSealLists = `
SELECT number, positions, tags
FROM ledger.seals
WHERE number BETWEEN $1 AND $2`

func readLists(ctx context.Context, tx pgx.Tx, group []header) (map[int64]lists, error) {
	all := make(map[int64]lists, len(group))
	var number int64
	var positions, tags []byte
	err := pg.ForEach(ctx, tx, []any{&number, &positions, &tags}, func() error {
		all[number] = lists{positions, tags}
		return nil
	}, sqlSealLists, group[0].Number, group[len(group)-1].Number)
	if err != nil {
		return nil, fmt.Errorf("read the lists of seals: %w", err)
	}
	return all, nil
}

// checkGroup recomputes the blocks of seals that follow each other.
func (v *verification) checkGroup(ctx context.Context, r *leafReader, group []header) (f finding, err error) {
	first, last := group[0], group[len(group)-1]
	err = v.in(ctx, func(tx pgx.Tx) error {
		f = finding{through: last.Number, position: last.Last}
		if err := r.begin(ctx, tx); err != nil {
			return err
		}
		beside, err := readLists(ctx, tx, group)
		if err != nil {
			return err
		}
		b, err := r.read(ctx, first.First-1, last.Last)
		if err != nil {
			return err
		}
		f.facts, f.events = int64(len(b.leaves)), b.events
		leaves := b.leaves
		for _, h := range group {
			n := 0
			for n < len(leaves) && leaves[n].position <= h.Last {
				n++
			}
			if f.difference = checkBlock(h, beside[h.Number], leaves[:n]); f.difference != nil {
				break
			}
			leaves = leaves[n:]
		}
		if err := v.checkPrivate(ctx, tx, group, b, &f); err != nil {
			return err
		}
		f.consider(group, b.odd)
		return v.explain(ctx, tx, b, f.difference)
	})
	return f, err
}

// consider takes what the ledger can't have written for the difference, if it comes first.
func (f *finding) consider(group []header, odd []oddity) {
	if len(odd) == 0 {
		return
	}
	d := &Difference{Seal: sealOf(group, odd[0].position), Position: odd[0].position, What: DiffAdded, Found: odd[0].text}
	if f.difference == nil || compareDifferences(d, f.difference) < 0 {
		f.difference = d
	}
}

// sealOf is the number of the seal that covers a position.
func sealOf(group []header, position int64) int64 {
	for _, h := range group {
		if position <= h.Last {
			return h.Number
		}
	}
	return group[len(group)-1].Number
}

// checkBlock holds the facts of a block against its seal.
func checkBlock(h header, beside lists, leaves []leaf) *Difference {
	wrong := func(position int64, what, expected, found string, detail ...string) *Difference {
		return &Difference{Seal: h.Number, Position: position, What: what, Expected: expected, Found: found, Detail: detail}
	}
	if sum := proof.Hash(sha256.Sum256(beside.positions)); sum != h.Positions {
		return wrong(0, DiffChain, "positions_sha256 "+h.Positions.String(), sum.String(), "the column positions was changed")
	}
	if sum := proof.Hash(sha256.Sum256(beside.tags)); sum != h.Tags {
		return wrong(0, DiffChain, "tags_sha256 "+h.Tags.String(), sum.String(), "the column tags was changed")
	}
	if int64(len(leaves)) == h.Count && rootOf(leaves) == h.Root {
		return nil
	}
	sealed, err := decodePositions(h.First, beside.positions)
	if err != nil || len(beside.tags) != tagSize*len(sealed) {
		return wrong(0, DiffChain, "lists of positions and tags", "broken ones")
	}
	for i, l := range leaves {
		tag := hex.EncodeToString(l.hash[:tagSize])
		switch {
		case i >= len(sealed) || l.position < sealed[i]:
			return wrong(l.position, DiffAdded, "no fact at this position", "a fact with hash "+tag+"…")
		case l.position > sealed[i]:
			return missing(h, sealed[i], tagAt(beside.tags, i))
		case tag != tagAt(beside.tags, i):
			return wrong(l.position, DiffChanged, "hash "+tagAt(beside.tags, i)+"…", tag+"…")
		}
	}
	if len(leaves) < len(sealed) {
		return missing(h, sealed[len(leaves)], tagAt(beside.tags, len(leaves)))
	}
	return wrong(0, DiffChanged, "root "+h.Root.String(), rootOf(leaves).String(), "the fact that differs can't be named: the beginnings of all hashes are right")
}

func missing(h header, position int64, tag string) *Difference {
	return &Difference{Seal: h.Number, Position: position, What: DiffMissing, Expected: "a fact with hash " + tag + "…"}
}

func tagAt(tags []byte, i int) string { return hex.EncodeToString(tags[tagSize*i : tagSize*(i+1)]) }

// privateRow is a row of ledger.private.
type privateRow struct {
	position, recordedAt int64
	sum                  proof.Hash // of salt and content
	bad                  string     // why there is no sum
}

// checkPrivate holds the private content of a group against the commitments of its events. If it finds a
// difference that comes before the one of f, that is the difference.
func (v *verification) checkPrivate(ctx context.Context, tx pgx.Tx, group []header, b *block, f *finding) error {
	after, through := group[0].First-1, group[len(group)-1].Last
	stored, err := readPrivate(ctx, tx, after, through)
	if err != nil || len(stored) == 0 && len(b.bound) == 0 {
		return err
	}
	var erased map[int64]bool
	differ := func(position int64, expected, found string) {
		d := &Difference{Seal: sealOf(group, position), Position: position, What: DiffPrivate, Expected: expected, Found: found}
		if f.difference == nil || compareDifferences(d, f.difference) < 0 {
			f.difference = d
		}
	}
	i := 0
	for _, e := range b.bound {
		for ; i < len(stored) && stored[i].position < e.position; i++ {
			differ(stored[i].position, "", "private content that no commitment binds")
		}
		there := i < len(stored) && stored[i].position == e.position
		if there && stored[i].agrees(e) {
			f.private++
			i++
			continue
		}
		if erased == nil {
			if erased, err = erasedBetween(ctx, tx, after, through); err != nil {
				return err
			}
		}
		found := "nothing, and no record of an erasure"
		if there {
			found = stored[i].says(e)
			i++
		}
		if !there && erased[e.position] {
			f.erased++
		} else {
			differ(e.position, "private content with commitment "+e.commitment.String(), found)
		}
	}
	for ; i < len(stored); i++ {
		differ(stored[i].position, "", "private content that no commitment binds")
	}
	return nil
}

func (p privateRow) agrees(e bound) bool {
	return p.bad == "" && p.sum == e.commitment && p.recordedAt == e.recordedAt
}

// says says what is wrong with private content.
func (p privateRow) says(e bound) string {
	switch {
	case p.bad != "":
		return p.bad
	case p.sum != e.commitment:
		return "content with " + p.sum.String()
	}
	return "content of another time of recording"
}

const queryPrivate = "SELECT s.position, s.recorded_at, s.salt, s.payload, s.pii FROM ledger.private s WHERE "

// readPrivate reads the private content of a range in the order of positions and hashes it.
func readPrivate(ctx context.Context, tx pgx.Tx, after, through int64) ([]privateRow, error) {
	var all []privateRow
	var text []byte
	err := pg.CopyTuples(ctx, tx, queryPrivate+within("s", after, through)+" ORDER BY s.position", func(row pg.Tuple) error {
		p := privateRow{position: int64(binary.BigEndian.Uint64(row[0])), recordedAt: int64(binary.BigEndian.Uint64(row[1]))}
		e := Event{Payload: row[3]}
		if len(row[4]) > 0 {
			canonical, err := CanonicalDimensions(row[4][1:]) // behind the version of jsonb
			if err != nil || paddedNumber(row[4][1:]) {
				p.bad = "private dimensions that aren't JSON of the ledger's"
			}
			e.private = canonical
		}
		var err error
		if text, err = appendPrivate(text[:0], &e); err != nil {
			p.bad = "a payload that isn't JSON"
		}
		p.sum = proof.Hash(commitment(row[2], text))
		all = append(all, p)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read private content: %w", err)
	}
	return all, nil
}

const sqlErasedBetween = `
SELECT x.position
FROM ledger.erased x
JOIN ledger.erasures e ON e.n = x.erasure
WHERE x.position > $1 AND x.position <= $2`

// erasedBetween are the positions in a range whose private content was erased with a record.
func erasedBetween(ctx context.Context, tx pgx.Tx, after, through int64) (map[int64]bool, error) {
	erased := map[int64]bool{}
	var position int64
	err := pg.ForEach(ctx, tx, []any{&position}, func() error {
		erased[position] = true
		return nil
	}, sqlErasedBetween, after, through)
	if err != nil {
		return nil, fmt.Errorf("read what was erased: %w", err)
	}
	return erased, nil
}

// explain adds to a difference what can be told about its event.
func (v *verification) explain(ctx context.Context, tx pgx.Tx, b *block, d *Difference) error {
	if d == nil || d.Position == 0 || d.What == DiffPrivate {
		return nil
	}
	for _, o := range b.odd {
		if o.position == d.Position && o.text != d.Found {
			d.Detail = append(d.Detail, o.text)
		}
	}
	if d.What != DiffChanged {
		return nil
	}
	details, err := v.l.examine(ctx, tx, d.Position)
	d.Detail = append(d.Detail, details...)
	return err
}
