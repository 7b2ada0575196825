package ledger

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"deltaledger/ledger/pg"
	"deltaledger/ledger/proof"
)

// leaf is a fact as a seal binds it.
type leaf struct {
	position int64
	hash     proof.Hash
}

// bound is an event whose commitment binds private content.
type bound struct {
	position   int64
	recordedAt int64 // microseconds as PostgreSQL sends them
	commitment proof.Hash
}

// oddity is what the ledger can't have written: a key without its event, or the other way round.
type oddity struct {
	position int64
	text     string
}

// block is what was read of a range of positions.
type block struct {
	leaves []leaf // in the order of their positions
	events int64
	bound  []bound // in the order of their positions
	odd    []oddity
}

// leafReader reads the leaves of ranges in one transaction after the other. It keeps its room, and belongs
// to one goroutine.
type leafReader struct {
	tables  []FactTable
	tx      pgx.Tx
	shapes  map[string]shape
	want    int64 // position of the leaf whose text is kept in wanted; 0: none
	wanted  []byte
	each    func(text []byte) // sees every leaf's text; nil: not wanted
	without string            // a condition that leaves out events and their keys; empty: none

	out     block
	writer  leafWriter
	text    []byte
	keys    []byte // texts of event_keys, one behind the other
	entries []keyEntry
	index   []int32 // by position, one more than the place in entries; 0: there is none
	sparse  map[int64]int32
	after   int64 // of the range, for index
}

// keyEntry is a row of event_keys as it was read.
type keyEntry struct {
	position int64
	from, to int // of its text in leafReader.keys
	used     bool
}

func newLeafReader(tables []FactTable) *leafReader { return &leafReader{tables: tables} }

// begin makes the reader read in tx, which must have seen the watermark that covers what is read.
func (r *leafReader) begin(ctx context.Context, tx pgx.Tx) (err error) {
	tables := []string{eventsTable, keysTable}
	for _, t := range r.tables {
		tables = append(tables, t.Table)
		for _, p := range t.Parts {
			tables = append(tables, p.Table)
		}
	}
	r.tx = tx
	r.shapes, err = readShapes(ctx, tx, tables)
	return err
}

// within is the condition that a position of table alias a lies in (after, through].
func within(a string, after, through int64) string {
	position := a + ".position"
	return position + " > " + strconv.FormatInt(after, 10) + " AND " + position + " <= " + strconv.FormatInt(through, 10)
}

// read reads the leaves of the facts in (after, through]. What it returns is valid until the next call.
func (r *leafReader) read(ctx context.Context, after, through int64) (*block, error) {
	r.out.leaves, r.out.bound, r.out.odd, r.out.events = r.out.leaves[:0], r.out.bound[:0], r.out.odd[:0], 0
	r.wanted = r.wanted[:0]
	if err := r.readKeys(ctx, after, through); err != nil {
		return nil, fmt.Errorf("read the keys of events: %w", err)
	}
	if err := r.readEvents(ctx, after, through); err != nil {
		return nil, fmt.Errorf("read events: %w", err)
	}
	for i := range r.entries {
		if !r.entries[i].used {
			r.oddAt(r.entries[i].position, "there is a key in ledger.event_keys, and no event that it belongs to")
		}
	}
	for _, t := range r.tables {
		if err := r.readTable(ctx, t, after, through); err != nil {
			return nil, fmt.Errorf("read %s: %w", t.Table, err)
		}
	}
	byPosition := func(a, b leaf) int { return cmp.Compare(a.position, b.position) }
	if !slices.IsSortedFunc(r.out.leaves, byPosition) {
		slices.SortFunc(r.out.leaves, byPosition)
	}
	slices.SortFunc(r.out.bound, func(a, b bound) int { return cmp.Compare(a.position, b.position) })
	slices.SortStableFunc(r.out.odd, func(a, b oddity) int { return cmp.Compare(a.position, b.position) })
	return &r.out, nil
}

func (r *leafReader) oddAt(position int64, text string) {
	r.out.odd = append(r.out.odd, oddity{position, text})
}

// denseSpan bounds the positions of a range that are looked up in an array; ranges with gaps that are
// wider are looked up in a map.
const denseSpan = 1 << 20

// readKeys reads the keys of a range, which come in no order.
func (r *leafReader) readKeys(ctx context.Context, after, through int64) error {
	r.keys, r.entries, r.after = r.keys[:0], r.entries[:0], after
	r.index, r.sparse = r.index[:0], nil
	if span := through - after; span <= denseSpan {
		r.index = slices.Grow(r.index, int(span))[:span]
		clear(r.index)
	} else {
		r.sparse = map[int64]int32{}
	}
	s := r.shapes[keysTable]
	at := s.index("position")
	query := "SELECT " + s.list("k") + " FROM " + keysTable + " k WHERE " + within("k", after, through) + r.without
	return pg.CopyTuples(ctx, r.tx, query, func(row pg.Tuple) error {
		position, err := int64Of(row, at)
		if err != nil {
			return err
		}
		e := keyEntry{position: position, from: len(r.keys)}
		if r.keys, err = r.writer.appendRow(r.keys, s.columns, row); err != nil {
			return fmt.Errorf("position %d: %w", position, err)
		}
		e.to = len(r.keys)
		if r.key(position) != nil {
			r.oddAt(position, "there are two keys in ledger.event_keys for it")
			e.used = true
		} else if r.entries = append(r.entries, e); r.sparse == nil {
			r.index[position-after-1] = int32(len(r.entries))
		} else {
			r.sparse[position] = int32(len(r.entries))
		}
		return nil
	})
}

// key finds the key of a position.
func (r *leafReader) key(position int64) *keyEntry {
	n := int32(0)
	if r.sparse != nil {
		n = r.sparse[position]
	} else {
		n = r.index[position-r.after-1]
	}
	if n == 0 {
		return nil
	}
	return &r.entries[n-1]
}

// readEvents reads the events of a range and joins each with its key.
func (r *leafReader) readEvents(ctx context.Context, after, through int64) error {
	s := r.shapes[eventsTable]
	at, recorded, committed := s.index("position"), s.index("recorded_at"), s.index("commitment")
	query := "SELECT " + s.list("e") + " FROM " + eventsTable + " e WHERE " + within("e", after, through) + r.without
	return pg.CopyTuples(ctx, r.tx, query, func(row pg.Tuple) error {
		position, err := int64Of(row, at)
		if err != nil {
			return err
		}
		var text []byte
		switch key := r.key(position); {
		case key == nil:
			r.oddAt(position, "the event has no key in ledger.event_keys")
		case key.used:
			r.oddAt(position, "there are two events with this position")
		default:
			key.used = true
			text = r.keys[key.from:key.to]
		}
		if r.text, err = r.writer.appendEvent(append(r.text[:0], proof.LeafPrefix), s.columns, row, text); err != nil {
			return fmt.Errorf("position %d: %w", position, err)
		}
		r.add(position)
		r.out.events++
		if c := row[committed]; c != nil {
			b := bound{position: position}
			if b.recordedAt, err = int64Of(row, recorded); err != nil {
				return err
			}
			copy(b.commitment[:], c) // of another length it is another one
			r.out.bound = append(r.out.bound, b)
		}
		return nil
	})
}

// add adds the leaf whose text, behind the prefix of leaves, is in r.text.
func (r *leafReader) add(position int64) {
	r.out.leaves = append(r.out.leaves, leaf{position, sha256.Sum256(r.text)})
	if r.each != nil {
		r.each(r.text[1:])
	}
	if position == r.want {
		r.wanted = append(r.wanted[:0], r.text[1:]...)
	}
}

func int64Of(row pg.Tuple, i int) (int64, error) {
	if i < 0 || i >= len(row) || len(row[i]) != 8 {
		return 0, fmt.Errorf("a row without position or time: %w", ErrCorrupt)
	}
	return int64(binary.BigEndian.Uint64(row[i])), nil
}

// draft is a fact while its parts are read.
type draft struct {
	position int64
	text     []byte
}

// readTable reads the facts of a table of the packages above with what hangs on them.
func (r *leafReader) readTable(ctx context.Context, t FactTable, after, through int64) error {
	s := r.shapes[t.Table]
	at := s.index("position")
	var drafts []draft
	query := "SELECT " + s.list("f") + " FROM " + t.Table + " f WHERE " + within("f", after, through) + " ORDER BY f.position"
	err := pg.CopyTuples(ctx, r.tx, query, func(row pg.Tuple) error {
		position, err := int64Of(row, at)
		if err != nil {
			return err
		}
		text := append([]byte{proof.LeafPrefix}, `{"fact":`...)
		if text, err = r.writer.appendRow(text, s.columns, row); err != nil {
			return fmt.Errorf("position %d: %w", position, err)
		}
		text = append(append(append(text, `,"kind":"`...), t.Kind...), '"')
		drafts = append(drafts, draft{position, text})
		return nil
	})
	if err != nil || len(drafts) == 0 {
		return err
	}
	for _, p := range t.Parts {
		if err := r.readPart(ctx, t, p, drafts, within("f", after, through)); err != nil {
			return fmt.Errorf("%s: %w", p.Table, err)
		}
	}
	for _, d := range drafts {
		r.text = append(append(r.text[:0], d.text...), '}')
		r.add(d.position)
	}
	return nil
}

// part gathers the rows of a part that hang on one fact.
type part struct {
	count  int64
	digest hash.Hash
	rows   []byte
}

// readPart appends to each draft the rows that hang on it, or their digest; nothing where there are none.
func (r *leafReader) readPart(ctx context.Context, t FactTable, p FactPart, drafts []draft, where string) error {
	s := r.shapes[p.Table]
	var on, order []string
	for _, pair := range p.On {
		on = append(on, "p."+pgx.Identifier{pair[0]}.Sanitize()+" = f."+pgx.Identifier{pair[1]}.Sanitize())
	}
	for _, column := range p.OrderBy {
		order = append(order, "p."+pgx.Identifier{column}.Sanitize())
	}
	query := "SELECT f.position, " + s.list("p") + " FROM " + t.Table + " f JOIN " + p.Table + " p ON " + strings.Join(on, " AND ") +
		" WHERE " + where + " ORDER BY f.position, " + strings.Join(order, ", ")
	i, one := 0, part{}
	err := pg.CopyTuples(ctx, r.tx, query, func(row pg.Tuple) error {
		position, err := int64Of(row, 0)
		if err != nil {
			return err
		}
		for ; i < len(drafts) && drafts[i].position < position; i++ {
			one.finish(&drafts[i], p)
		}
		if i == len(drafts) {
			return fmt.Errorf("position %d has rows and isn't there itself: %w", position, ErrCorrupt)
		}
		return one.add(r, s, p, row[1:])
	})
	if err != nil {
		return err
	}
	for ; i < len(drafts); i++ {
		one.finish(&drafts[i], p)
	}
	return nil
}

func (o *part) add(r *leafReader, s shape, p FactPart, row pg.Tuple) (err error) {
	if o.count++; o.count > 1 && !p.Digest {
		o.rows = append(o.rows, ',')
	}
	if o.rows, err = r.writer.appendRow(o.rows, s.columns, row); err != nil || !p.Digest {
		return err
	}
	if o.digest == nil {
		o.digest = sha256.New()
	}
	o.digest.Write(append(o.rows, '\n'))
	o.rows = o.rows[:0]
	return nil
}

// finish writes what was gathered into the text of its fact and begins again.
func (o *part) finish(d *draft, p FactPart) {
	if o.count > 0 {
		d.text = append(append(append(d.text, `,"`...), p.Name...), '"', ':')
		if p.Digest {
			d.text = append(strconv.AppendInt(append(d.text, `{"count":`...), o.count, 10), `,"sha256":"`...)
			d.text = append(hex.AppendEncode(d.text, o.digest.Sum(nil)), '"', '}')
		} else {
			d.text = append(append(append(d.text, '['), o.rows...), ']')
		}
	}
	if o.digest != nil {
		o.digest.Reset()
	}
	o.count, o.rows = 0, o.rows[:0]
}

// nextFact finds the first position above after and up to through that a fact has.
func nextFact(ctx context.Context, tx pgx.Tx, tables []FactTable, after, through int64) (position int64, found bool, err error) {
	var first []string
	for _, table := range factTables(tables) {
		first = append(first, "(SELECT f.position FROM "+table+" f WHERE "+within("f", after, through)+" ORDER BY f.position LIMIT 1)")
	}
	var least *int64
	if err := tx.QueryRow(ctx, "SELECT least("+strings.Join(first, ", ")+")").Scan(&least); err != nil {
		return 0, false, fmt.Errorf("look for the next fact: %w", err)
	}
	if least == nil {
		return 0, false, nil
	}
	return *least, true, nil
}

// countFacts counts the facts above a position.
func countFacts(ctx context.Context, tx pgx.Tx, tables []FactTable, after int64) (n int64, err error) {
	var counts []string
	for _, table := range factTables(tables) {
		counts = append(counts, "(SELECT count(*) FROM "+table+" WHERE position > $1)")
	}
	if err := tx.QueryRow(ctx, "SELECT "+strings.Join(counts, " + "), after).Scan(&n); err != nil {
		return 0, fmt.Errorf("count the facts that aren't sealed: %w", err)
	}
	return n, nil
}

func factTables(tables []FactTable) []string {
	names := []string{eventsTable}
	for _, t := range tables {
		names = append(names, t.Table)
	}
	return names
}
