package archive

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"slices"

	"github.com/parquet-go/parquet-go"

	"deltaledger/export"
	"deltaledger/ledger"
	"deltaledger/ledger/pg"
)

// reader reads the events of a copy, file by file.
type reader struct {
	ctx    context.Context
	s      *store
	m      Manifest
	fields []field
	schema *parquet.Schema
	tally  *tally
	leaves *ledger.CopyLeaves

	next   int // of m.Files
	file   *os.File
	groups []parquet.RowGroup
	rows   parquet.Rows
	buffer []parquet.Row
	have   []parquet.Row
	read   int64 // rows of the file
	ended  bool  // of rows
}

// readBatch is how many rows are decoded at once.
const readBatch = 256

func (a *Archiver) newReader(ctx context.Context, s *store, m Manifest) (r *reader, err error) {
	r = &reader{ctx: ctx, s: s, m: m, fields: fieldsOf(m.Shape), buffer: make([]parquet.Row, readBatch)}
	if r.schema, err = schemaOf(r.fields); err != nil {
		return nil, err
	}
	if r.tally, err = newTally(m.Shape); err != nil {
		return nil, err
	}
	r.leaves, err = ledger.NewCopyLeaves(m.Shape)
	return r, err
}

func (r *reader) close() error {
	var problems []error
	if r.rows != nil {
		problems = append(problems, r.rows.Close())
		r.rows = nil
	}
	if r.file != nil {
		problems = append(problems, r.file.Close())
		r.file = nil
	}
	return errors.Join(problems...)
}

// ErrDamaged says that what a copy holds isn't what was sealed. It wraps ledger.ErrCorrupt. Nothing says whether the
// database still holds it: a verification of the ledger does.
var ErrDamaged = fmt.Errorf("the copy isn't what was sealed: %w", ledger.ErrCorrupt)

func damaged(name, format string, args ...any) error {
	return fmt.Errorf("%s: %s: %w", name, fmt.Sprintf(format, args...), ErrDamaged)
}

// event reads the next event and its key; false: there are no more.
func (r *reader) event() (event, key pg.Tuple, more bool, err error) {
	for len(r.have) == 0 {
		if more, err := r.fill(); err != nil || !more {
			return nil, nil, false, err
		}
	}
	row := r.have[0]
	r.have = r.have[1:]
	r.read++
	name := r.m.Files[r.next-1].Name
	if event, key, err = tuplesOf(row, r.fields, r.m.Shape); err != nil {
		return nil, nil, false, damaged(name, "row %d: %v", r.read, err)
	}
	return event, key, true, nil
}

// fill reads rows, of the next group or file where one is at its end. What is damaged may make the decoder panic.
func (r *reader) fill() (more bool, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = damaged(r.m.Files[max(r.next-1, 0)].Name, "can't be decoded: %v", p)
		}
	}()
	if r.rows != nil && !r.ended {
		n, err := r.rows.ReadRows(r.buffer)
		r.have = r.buffer[:n]
		if r.ended = errors.Is(err, io.EOF); err != nil && !r.ended {
			return false, damaged(r.m.Files[r.next-1].Name, "can't be read: %v", err)
		}
		return true, r.ctx.Err()
	}
	if r.rows != nil {
		if err := r.rows.Close(); err != nil {
			return false, err
		}
		r.rows = nil
	}
	if len(r.groups) > 0 {
		r.rows, r.groups, r.ended = r.groups[0].Rows(), r.groups[1:], false
		return true, nil
	}
	if r.next > 0 && r.read != r.m.Files[r.next-1].Rows {
		return false, damaged(r.m.Files[r.next-1].Name, "it has %d rows, and the manifest says %d", r.read, r.m.Files[r.next-1].Rows)
	}
	if r.next == len(r.m.Files) {
		return false, nil
	}
	return true, r.openFile()
}

// openFile fetches the next file and compares its bytes before anything of it is decoded.
func (r *reader) openFile() error {
	if err := r.close(); err != nil {
		return err
	}
	f := r.m.Files[r.next]
	r.next++
	r.read = 0
	file, size, sum, err := r.s.fetch(r.ctx, f.Name)
	if err != nil {
		return err
	}
	r.file = file
	if have := hex.EncodeToString(sum); have != f.SHA256 || size != f.Bytes {
		return damaged(f.Name, "it has %d bytes with SHA-256 %s, and the manifest says %d with %s", size, have, f.Bytes, f.SHA256)
	}
	p, err := parquet.OpenFile(file, size)
	if err != nil {
		return damaged(f.Name, "no Parquet file: %v", err)
	}
	if !parquet.EqualNodes(p.Schema(), r.schema) {
		return damaged(f.Name, "its columns aren't those of the manifest")
	}
	r.groups = slices.Clone(p.RowGroups())
	return nil
}

// leaf makes the leaf of the next event.
func (r *reader) leaf() (leaf ledger.CopyLeaf, more bool, err error) {
	event, key, more, err := r.event()
	if err != nil || !more {
		return leaf, false, err
	}
	if leaf.Position, err = r.tally.add(event); err != nil {
		return leaf, false, damaged(r.m.Files[r.next-1].Name, "row %d: %v", r.read, err)
	}
	if leaf.Hash, err = r.leaves.Leaf(event, key); err != nil {
		return leaf, false, damaged(r.m.Files[r.next-1].Name, "row %d: %v", r.read, err)
	}
	return leaf, true, nil
}

// readBack reads a copy and holds it against its manifest and against the seals.
func (a *Archiver) readBack(ctx context.Context, s *store, m Manifest) (report ledger.CopyReport, err error) {
	r, err := a.newReader(ctx, s, m)
	if err != nil {
		return report, err
	}
	report, err = a.seals.CheckCopy(ctx, ledger.CopyCheck{Month: start(m.Month), First: m.FirstPosition, Last: m.LastPosition, Next: r.leaf})
	if err = errors.Join(err, r.close()); err != nil {
		return report, err
	}
	if report.Difference != nil {
		return report, damaged(folder(m.Month), "%s", report.Difference)
	}
	have, want := m, m
	r.tally.describe(&have)
	if !reflect.DeepEqual(have, want) {
		return report, damaged(manifestName(m.Month), "its counts, bounds or sums aren't those of the files")
	}
	a.o.Tell(fmt.Sprintf("%s: %d events are what seals %d to %d bind", m.Month, report.Events, report.FirstSeal, report.LastSeal))
	return report, nil
}

// checkMonth is readBack of a copy that was there, which must be of a month.
func (a *Archiver) checkMonth(ctx context.Context, s *store, month export.Month, m Manifest) error {
	if m.Month != month {
		return damaged(manifestName(month), "it is of %s", m.Month)
	}
	report, err := a.readBack(ctx, s, m)
	if err == nil && m.Seals != (SealSpan{report.FirstSeal, report.LastSeal}) {
		return damaged(manifestName(month), "it names seals %d to %d, and its events are bound by %d to %d", m.Seals.First, m.Seals.Last, report.FirstSeal, report.LastSeal)
	}
	return err
}
