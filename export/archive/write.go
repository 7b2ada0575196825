package archive

import (
	"context"
	"encoding/hex"
	"fmt"

	"github.com/parquet-go/parquet-go"

	"deltaledger/export"
	"deltaledger/ledger"
	"deltaledger/ledger/pg"
)

// A group of rows is held in memory until it is written: it ends at the first of these.
const (
	groupRows  = 32_768
	groupBytes = 32 << 20
)

// writeMonth writes the files of a month, verifies what is there then, and writes the manifest.
func (a *Archiver) writeMonth(ctx context.Context, s *store, m export.Month, by string) (manifest Manifest, text []byte, err error) {
	half, err := s.list(ctx, folder(m))
	if err != nil {
		return manifest, nil, err
	}
	if len(half) > 0 { // without a manifest nobody relied on it
		a.o.Tell(fmt.Sprintf("%s: a copy that was left half written is begun anew", m))
	}
	for _, name := range half {
		if err := s.bucket.Delete(ctx, name); err != nil {
			return manifest, nil, s.failed("clear away", name, err)
		}
	}
	if manifest, err = a.writeFiles(ctx, s, m); err != nil {
		return manifest, nil, err
	}
	report, err := a.readBack(ctx, s, manifest)
	if err != nil {
		return manifest, nil, err
	}
	manifest.Seals = SealSpan{report.FirstSeal, report.LastSeal}
	manifest.WrittenAt, manifest.WrittenBy = a.o.Now().UTC(), by
	if text, err = manifest.encode(); err != nil {
		return manifest, nil, err
	}
	u, err := s.create(ctx, manifestName(m), "application/json")
	if err != nil {
		return manifest, nil, err
	}
	if _, err := u.Write(text); err != nil {
		u.drop()
		return manifest, nil, s.failed("write", u.name, err)
	}
	return manifest, text, u.finish()
}

// writer writes the events of a month into files.
type writer struct {
	a      *Archiver
	s      *store
	month  export.Month
	fields []field
	schema *parquet.Schema
	tally  *tally
	files  []FileEntry

	upload *upload
	out    *parquet.GenericWriter[any]
	row    parquet.Row
	held   int64 // bytes of the group of rows, about
}

func (a *Archiver) writeFiles(ctx context.Context, s *store, m export.Month) (manifest Manifest, err error) {
	shape, err := a.seals.CopyShape(ctx)
	if err != nil {
		return manifest, err
	}
	w := &writer{a: a, s: s, month: m, fields: fieldsOf(shape)}
	if w.schema, err = schemaOf(w.fields); err != nil {
		return manifest, err
	}
	if w.tally, err = newTally(shape); err != nil {
		return manifest, err
	}
	err = a.seals.CopyMonth(ctx, start(m), shape, func(_ int64, event, key pg.Tuple) error { return w.add(ctx, event, key) })
	if err == nil && w.out != nil {
		err = w.endFile()
	}
	if err != nil {
		if w.upload != nil {
			w.upload.drop()
		}
		return manifest, err
	}
	catalogue, err := a.ledger.Catalogue(ctx)
	if err != nil {
		return manifest, err
	}
	manifest = Manifest{
		Format: Format, Ledger: a.ledger.Settings().ID, Month: m, Contents: contents, Shape: shape, Columns: describe(w.fields, catalogue),
		Files: w.files, Verified: verified,
	}
	w.tally.describe(&manifest)
	return manifest, nil
}

// describe says what the columns of the files are.
func describe(fields []field, catalogue ledger.Catalogue) []Column {
	own := map[string]string{
		"caused_by":  "Position of the event that made the ledger write this row",
		"commitment": "SHA-256 over salt and private content, where the event has any", "dimensions": "Dimensions without a column of their own, as JSON",
		"position": "The ledger's own number of the event", "state": "The absolute values that were sent, as JSON",
		"_digest": "SHA-256 of the canonical public content", "_digest_version": "Which canonical form that is",
		"_event_key": "Hash of source and id", "_position_key": "Hash of source and stream, and seqn",
	}
	columns := make([]Column, len(fields))
	for i, f := range fields {
		columns[i] = Column{Name: f.name, Type: f.kind, Description: own[f.name]}
		switch c, ok := catalogue.Column(f.name); {
		case f.text:
			columns[i].Type = "text"
			columns[i].Description = "The value of " + f.name[len(textPrefix):] + " where it has more than 20 digits before the point; it is null there then"
		case f.kind == "numeric":
			columns[i].Type = "decimal(38,18)"
			columns[i].Description = c.Description
		case ok && columns[i].Description == "":
			columns[i].Description = c.Description
		}
	}
	return columns
}

func (w *writer) add(ctx context.Context, event, key pg.Tuple) (err error) {
	if w.out == nil {
		if err := w.beginFile(ctx); err != nil {
			return err
		}
	}
	position, err := w.tally.add(event)
	if err != nil {
		return err
	}
	if w.row, err = rowOf(w.row, w.fields, event, key); err != nil {
		return fmt.Errorf("position %d: %w", position, err)
	}
	if _, err := w.out.WriteRows([]parquet.Row{w.row}); err != nil {
		return w.s.failed("write", w.upload.name, err)
	}
	f := &w.files[len(w.files)-1]
	if f.Rows == 0 {
		f.FirstPosition = position
	}
	f.Rows++
	f.LastPosition = position
	for _, v := range event {
		w.held += int64(len(v)) + 8
	}
	if w.held > groupBytes || f.Rows%groupRows == 0 {
		if err := w.out.Flush(); err != nil {
			return w.s.failed("write", w.upload.name, err)
		}
		w.held = 0
	}
	if f.Rows >= w.a.o.RowsPerFile {
		return w.endFile()
	}
	return ctx.Err()
}

func (w *writer) beginFile(ctx context.Context) (err error) {
	name := fmt.Sprintf("%s%05d.parquet", folder(w.month), len(w.files)+1)
	if w.upload, err = w.s.create(ctx, name, "application/vnd.apache.parquet"); err != nil {
		return err
	}
	w.files = append(w.files, FileEntry{Name: name})
	w.out = parquet.NewGenericWriter[any](w.upload, w.schema, parquet.CreatedBy("deltaledger", fmt.Sprint(Format), ""),
		parquet.KeyValueMetadata("deltaledger.ledger", w.a.ledger.Settings().ID.String()), parquet.KeyValueMetadata("deltaledger.month", w.month.String()))
	w.held = 0
	return nil
}

func (w *writer) endFile() error {
	u := w.upload
	if err := w.out.Close(); err != nil {
		return w.s.failed("write", u.name, err)
	}
	w.out, w.upload = nil, nil
	f := &w.files[len(w.files)-1]
	f.Bytes, f.SHA256 = u.bytes, hex.EncodeToString(u.hash.Sum(nil))
	if err := u.finish(); err != nil {
		return err
	}
	w.a.o.Tell(fmt.Sprintf("%s: wrote %s, %d events", w.month, u.name, f.Rows))
	return nil
}
