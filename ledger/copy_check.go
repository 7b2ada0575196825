package ledger

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"deltaledger/ledger/pg"
	"deltaledger/ledger/proof"
)

// CopyLeaf is the leaf of a copied event.
type CopyLeaf struct {
	Position int64
	Hash     proof.Hash
}

// CopyCheck is a copy of all events of a month that is to be held against the seals.
type CopyCheck struct {
	Month       time.Time                      // its first instant, in UTC, of recorded_at
	First, Last int64                          // positions that the copy says it begins and ends with
	Next        func() (CopyLeaf, bool, error) // the copied events in the order of positions; false: there are no more
	Progress    func(done, all int64)          // positions; nil: not wanted
}

// CopyReport is what CheckCopy found.
type CopyReport struct {
	FirstSeal, LastSeal int64       // that bind events of the month
	Events              int64       // of the copy
	Difference          *Difference // nil: the copy holds what was sealed, all of it and nothing else
}

// SealedMonth says whether each event of a month is decided and sealed.
type SealedMonth struct {
	MonthBounds
	Decided bool  // a watermark was taken after the end of the month: nothing can come any more
	Through int64 // the last position that is sealed; 0: nothing is
}

// Sealed reports whether nothing of the month is missing in the seals.
func (m SealedMonth) Sealed() bool { return m.Decided && m.Through >= m.Last }

// What is above a watermark was recorded when it was taken, or later.
const sqlSealedThrough = `
SELECT EXISTS (SELECT FROM ledger.watermarks w WHERE w.taken_at >= $1),
       COALESCE((SELECT max(s.last_position) FROM ledger.seals s), 0)`

// SealedMonth reads how far a month is sealed.
func (s *Seals) SealedMonth(ctx context.Context, month time.Time) (m SealedMonth, err error) {
	if err := s.l.pool.QueryRow(ctx, sqlSealedThrough, month.AddDate(0, 1, 0)).Scan(&m.Decided, &m.Through); err != nil {
		return m, readError("read how far is sealed", err)
	}
	m.MonthBounds, err = s.MonthBounds(ctx, month)
	return m, err
}

const sqlSealNumbers = `
SELECT COALESCE((SELECT s.number FROM ledger.seals s WHERE s.last_position >= $1 ORDER BY s.last_position LIMIT 1), 0),
       COALESCE((SELECT s.number FROM ledger.seals s WHERE s.last_position >= $2 ORDER BY s.last_position LIMIT 1), 0)`

// CheckCopy recomputes each block of the seals that bind the month from the copy alone; of facts that aren't events of
// the month, which may share a block with them, from the database. The first difference is in the report: the
// error is of the database, or of reading the copy.
func (s *Seals) CheckCopy(ctx context.Context, c CopyCheck) (r CopyReport, err error) {
	bounds, err := s.MonthBounds(ctx, c.Month)
	if err != nil {
		return r, err
	}
	first, last := c.First, c.Last
	if bounds.First > 0 { // what the copy leaves out counts too
		first, last = min(first, bounds.First), max(last, bounds.Last)
	}
	if err := s.l.pool.QueryRow(ctx, sqlSealNumbers, first, last).Scan(&r.FirstSeal, &r.LastSeal); err != nil {
		return r, readError("find the seals of the month", err)
	}
	if r.FirstSeal == 0 || r.LastSeal == 0 {
		return r, fmt.Errorf("positions %d to %d aren't all sealed: %w", first, last, ErrConflict)
	}
	k := copyChecker{s: s, c: c, reader: newLeafReader(s.tables), report: &r}
	k.reader.without = " AND NOT " + ofMonth(c.Month)
	if err := k.advance(); err != nil {
		return r, err
	}
	for after := r.FirstSeal - 1; after < r.LastSeal && r.Difference == nil; {
		page, err := s.headers(ctx, s.l.pool, after, r.LastSeal, pageOfSeals)
		if err != nil {
			return r, err
		}
		if len(page) == 0 {
			return r, fmt.Errorf("seal %d is missing: %w", after+1, ErrCorrupt)
		}
		for _, h := range page {
			if err := k.block(ctx, h); err != nil || r.Difference != nil {
				return r, err
			}
			after = h.Number
			if c.Progress != nil {
				c.Progress(min(h.Last, last)-first+1, last-first+1)
			}
		}
	}
	if k.more && r.Difference == nil {
		r.Difference = &Difference{Position: k.next.Position, What: DiffAdded, Found: "an event that no seal of the month binds"}
	}
	return r, nil
}

// copyChecker holds the blocks of a copy against their seals, one after the other.
type copyChecker struct {
	s      *Seals
	c      CopyCheck
	reader *leafReader
	report *CopyReport
	next   CopyLeaf
	more   bool
}

// advance takes the next leaf of the copy, which must come behind the one before.
func (k *copyChecker) advance() error {
	before := k.next.Position
	next, more, err := k.c.Next()
	if err != nil {
		return err
	}
	if k.next, k.more = next, more; !more {
		return nil
	}
	if k.report.Events++; next.Position <= before && k.report.Difference == nil {
		k.report.Difference = &Difference{Position: next.Position, What: DiffAdded, Found: fmt.Sprintf("an event behind position %d", before)}
	}
	return nil
}

// block checks the facts of one seal.
func (k *copyChecker) block(ctx context.Context, h header) error {
	if sum := h.Seal.Hash(); sum != h.hash {
		k.report.Difference = &Difference{Seal: h.Number, What: DiffChain, Expected: "hash " + sum.String(), Found: h.hash.String()}
		return nil
	}
	var rest []leaf
	var beside map[int64]lists
	err := pg.InSnapshot(ctx, k.s.l.pool, func(tx pgx.Tx) error {
		if err := k.reader.begin(ctx, tx); err != nil {
			return err
		}
		others, err := k.reader.read(ctx, h.First-1, h.Last)
		if err != nil {
			return err
		}
		rest = others.leaves
		beside, err = readLists(ctx, tx, []header{h})
		return err
	})
	if err != nil {
		return err
	}
	all := make([]leaf, 0, h.Count)
	for k.more && k.next.Position <= h.Last && k.report.Difference == nil {
		for len(rest) > 0 && rest[0].position < k.next.Position {
			all, rest = append(all, rest[0]), rest[1:]
		}
		all = append(all, leaf{k.next.Position, k.next.Hash})
		if err := k.advance(); err != nil {
			return err
		}
	}
	if k.report.Difference == nil {
		k.report.Difference = checkBlock(h, beside[h.Number], append(all, rest...))
	}
	return nil
}
