package export

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"time"

	"github.com/jackc/pgx/v5"

	"deltaledger/ledger"
	"deltaledger/ledger/pg"
)

// Mode says which kind of file is asked for.
type Mode int

const (
	ModeFrozen Mode = iota // the frozen file or none
	ModeOpen               // what there is as of a watermark: the frozen file if the month was frozen then, else an open one
)

// FileRequest asks for the file of a month.
type FileRequest struct {
	Month Month
	Mode  Mode
	AsOf  string // of ModeOpen only: a watermark or an RFC 3339 time, as in ledger.AsOf; empty: now
	By    string // who pulls, for the log; empty: Options.By
}

// File describes a file that can be written, as often as wanted, with the same bytes each time.
type File struct {
	Name      string // of the uncompressed file
	Month     Month
	Frozen    bool
	Watermark int64
	Rows      int64 // without the header
	LateRows  int64
	Header    []string

	e       *Exporter
	by      string
	span    Span
	columns []column
	first   int64 // position
	last    int64
	tzdata  string
}

// fileName is the name of a month's frozen file.
func fileName(m Month) string { return "events-" + m.String() + ".csv" }

// openName is the name of a month's open file at a watermark.
func openName(m Month, w int64) string { return fmt.Sprintf("events-%s.open-W%d.csv", m, w) }

// File finds the file of a month and writes nothing. In ModeFrozen, a month that isn't frozen is a
// *NotFrozenError, and one that was passed over a *NoFileError; both wrap ledger.ErrConflict.
func (e *Exporter) File(ctx context.Context, r FileRequest) (File, error) {
	if err := checkMonth(r.Month); err != nil {
		return File{}, fmt.Errorf("export: %w", err)
	}
	f, err := e.file(ctx, r)
	if err != nil {
		return File{}, fmt.Errorf("export %s: %w", r.Month, err)
	}
	f.e, f.by = e, e.by(r.By)
	f.Header = header(f.columns)
	return f, nil
}

func (e *Exporter) file(ctx context.Context, r FileRequest) (File, error) {
	through := int64(maxPosition)
	switch {
	case r.Mode == ModeOpen:
		w, err := e.ledger.AsOf(ctx, r.AsOf)
		if err != nil {
			return File{}, err
		}
		through = w.Position
	case r.AsOf != "":
		return File{}, ledger.Invalid("as_of", r.AsOf, "is only for open files: a frozen one has its own watermark")
	}
	all, err := chain(ctx, e.ledger.Pool(), through)
	if err != nil {
		return File{}, err
	}
	if f, ok := frozenIn(all, r.Month); ok {
		return e.frozenFile(ctx, f)
	}
	tail := tailOf(all)
	if r.Month.Compare(tail.Month) <= 0 {
		return File{}, passedOver(ctx, e.ledger.Pool(), all, r.Month)
	}
	if r.Mode == ModeOpen {
		return e.openFile(ctx, tail, r.Month, through)
	}
	now, err := e.now(ctx)
	if err != nil {
		return File{}, err
	}
	return File{}, &NotFrozenError{Month: r.Month, Available: e.available(r.Month), Now: now}
}

func (e *Exporter) frozenFile(ctx context.Context, f Frozen) (File, error) {
	if f.FormatVersion != FormatVersion {
		return File{}, fmt.Errorf("it was frozen in format version %d, and this program writes %d: %w", f.FormatVersion, FormatVersion, ledger.ErrConflict)
	}
	declared, err := catalogue(ctx, e.ledger.Pool(), time.Time{})
	if err != nil {
		return File{}, err
	}
	columns, err := thaw(f.Columns, declared)
	if err != nil {
		return File{}, err
	}
	return File{
		Name: f.Name(), Month: f.Month, Frozen: true, Watermark: f.Watermark, Rows: f.Rows, LateRows: f.LateRows,
		span: f.Span, columns: columns, first: f.FirstPosition, last: f.LastPosition, tzdata: f.TZData,
	}, nil
}

// Takes the table's ACCESS SHARE lock, which waits for a change of the columns that is about to commit:
// otherwise a column could be missing from an open file whose watermark comes after its declaration.
const sqlEventsLock = `SELECT position FROM ledger.every_event LIMIT 0`

func (e *Exporter) openFile(ctx context.Context, tail Span, m Month, w int64) (File, error) {
	f := File{
		Name: openName(m, w), Month: m, Watermark: w, tzdata: zoneData(e.ledger.Settings().ReportingZone),
		span: Span{Month: m, Previous: tail.Month, Watermark: w, PreviousWatermark: tail.Watermark},
	}
	err := pg.InTx(ctx, e.ledger.Pool(), func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, sqlNoTimeout); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, sqlEventsLock); err != nil {
			return err
		}
		at, err := decidedAt(ctx, tx, w)
		if err != nil {
			return err
		}
		declared, err := catalogue(ctx, tx, at)
		if err != nil {
			return err
		}
		f.columns = layout(declared)
		months, err := monthsBetween(ctx, tx, tail.Month, m, w)
		if err != nil {
			return err
		}
		late, err := lateAfter(ctx, tx, tail, w)
		if err != nil {
			return err
		}
		f.fit(plan(tail, months, late, m, w))
		return nil
	})
	return f, err
}

// fit takes over what a plan says of the file's month, which may be that it would hold nothing.
func (f *File) fit(files []planned) {
	if len(files) == 0 {
		return
	}
	last := files[len(files)-1]
	if last.Month != f.Month { // months before it take what is there
		f.span.Previous, f.span.PreviousWatermark = last.Month, last.Watermark
		return
	}
	f.span, f.Rows, f.LateRows, f.first, f.last = last.Span, last.rows, last.late, last.first, last.last
}

// Write streams the file to w in constant memory, and then logs the pull. A pull that doesn't come out as
// earlier ones of the same name is logged too, but an error that wraps ledger.ErrCorrupt: what was
// written must not be used. After any other error nothing is logged.
func (f File) Write(ctx context.Context, w io.Writer) (Manifest, error) {
	m, err := f.write(ctx, w)
	if err != nil {
		return m, fmt.Errorf("export %s: %w", f.Name, err)
	}
	return m, nil
}

func (f File) write(ctx context.Context, w io.Writer) (Manifest, error) {
	s, err := f.stream(ctx, w)
	if err != nil {
		return Manifest{}, err
	}
	m := Manifest{
		Bytes: s.bytes, Columns: f.Header, File: f.Name, FormatVersion: FormatVersion, Frozen: f.Frozen, LateRows: s.tally.late,
		Ledger: f.e.ledger.Settings().ID, Month: f.Month, PreviousMonth: f.span.Previous, PreviousWatermark: f.span.PreviousWatermark,
		ReportingZone: f.e.ledger.Settings().ReportingZone, Rows: s.tally.rows, SHA256: hex.EncodeToString(s.sum),
		TZData: f.tzdata, Watermark: f.Watermark,
	}
	m.Sums, m.Quantity = s.tally.sums()
	if err := f.logPull(ctx, &m); err != nil {
		return m, err
	}
	if m.Rows != f.Rows || m.LateRows != f.LateRows {
		return m, fmt.Errorf("it has %d rows, %d of them late, where %d and %d were counted: recorded events were changed behind the ledger: %w",
			m.Rows, m.LateRows, f.Rows, f.LateRows, ledger.ErrCorrupt)
	}
	return m, nil
}
