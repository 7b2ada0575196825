package export

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"deltaledger/billing"
	"deltaledger/ledger"
	"deltaledger/ledger/pg"
)

// Freeze freezes m at w, and first, at the same watermark, each earlier unfrozen month that holds events.
// It returns the new freezes in order, m's last; for a month that is frozen already, that freeze alone. The
// zero watermark means one that is taken now; one below the chain's last is raised to that.
//
// Refused are a month before its end and grace (NotFrozenError), one that would have an empty file
// (NothingError), and one that was passed over (NoFileError); then nothing is frozen.
func (e *Exporter) Freeze(ctx context.Context, m Month, w ledger.Watermark, by string) ([]Frozen, error) {
	if err := checkMonth(m); err != nil {
		return nil, fmt.Errorf("freeze: %w", err)
	}
	w, at, err := e.settle(ctx, w)
	if err != nil {
		return nil, fmt.Errorf("freeze %s: %w", m, err)
	}
	var done []Frozen
	err = pg.InTx(ctx, e.ledger.Pool(), func(tx pgx.Tx) error {
		var err error
		done, err = e.freezeTx(ctx, tx, m, w.Position, at, by)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("freeze %s: %w", m, err)
	}
	return done, nil
}

// FreezeThrough freezes every month up to last that holds events and whose end and grace have passed, at w:
// what an all-accounts close calls with its own watermark, and the nightly job with the zero one, which means
// one taken now. The zero month is no bound. It returns the new freezes, none if there was nothing to do.
func (e *Exporter) FreezeThrough(ctx context.Context, w ledger.Watermark, last Month, by string) ([]Frozen, error) {
	w, at, err := e.settle(ctx, w)
	if err != nil {
		return nil, fmt.Errorf("freeze what is due: %w", err)
	}
	var done []Frozen
	err = pg.InTx(ctx, e.ledger.Pool(), func(tx pgx.Tx) error {
		done = nil
		all, err := e.lockChain(ctx, tx)
		if err != nil {
			return err
		}
		tail := tailOf(all)
		through := max(w.Position, tail.Watermark)
		due := e.lastAvailable(at)
		if last != (Month{}) && last.Compare(due) < 0 {
			due = last
		}
		months, err := monthsBetween(ctx, tx, tail.Month, due, through)
		if err != nil || len(months) == 0 {
			return err
		}
		done, err = e.extend(ctx, tx, tail, months, months[len(months)-1].month, through, by)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("freeze what is due: %w", err)
	}
	return done, nil
}

// FreezeClosed freezes the months that end by a date and whose grace has passed, at the watermark of the close of
// all accounts through that date, so that invoices and files of a month hold the same. It returns the months
// that it froze.
func (e *Exporter) FreezeClosed(ctx context.Context, r billing.CloseResult, through billing.Date, by string) ([]Month, error) {
	after := through.AddDays(1)
	last := Month{after.Year, after.Month}.Previous()
	frozen, err := e.FreezeThrough(ctx, ledger.Watermark{Position: r.Watermark}, last, by)
	months := []Month{}
	for _, f := range frozen {
		months = append(months, f.Month)
	}
	if err != nil {
		return months, fmt.Errorf("close run %d is done, but the months that are over aren't frozen: %w", r.Run, err)
	}
	return months, nil
}

// settle takes a watermark if there is none, makes sure of the one that there is, and finds the instant that
// the graces are measured against.
func (e *Exporter) settle(ctx context.Context, w ledger.Watermark) (ledger.Watermark, time.Time, error) {
	if w == (ledger.Watermark{}) {
		var err error
		if w, err = e.ledger.TakeWatermark(ctx); err != nil {
			return w, time.Time{}, err
		}
	} else if _, err := e.ledger.AsOf(ctx, strconv.FormatInt(w.Position, 10)); err != nil {
		return w, time.Time{}, err
	}
	at, err := e.instantOf(ctx, w)
	return w, at, err
}

// One freeze at a time: two would hang a file each on the same end of the chain.
const sqlFreezeLock = `SELECT pg_advisory_xact_lock(17484, 3)`

// Counting a large month may take longer than the pool's limit for one statement.
const sqlNoTimeout = `SELECT set_config('statement_timeout', '0', true)`

func (e *Exporter) lockChain(ctx context.Context, tx pgx.Tx) ([]Frozen, error) {
	if _, err := tx.Exec(ctx, sqlNoTimeout); err != nil {
		return nil, err
	}
	if _, err := tx.Exec(ctx, sqlFreezeLock); err != nil {
		return nil, err
	}
	return chain(ctx, tx, maxPosition)
}

func (e *Exporter) freezeTx(ctx context.Context, tx pgx.Tx, m Month, w int64, at time.Time, by string) ([]Frozen, error) {
	all, err := e.lockChain(ctx, tx)
	if err != nil {
		return nil, err
	}
	if f, ok := frozenIn(all, m); ok {
		return []Frozen{f}, nil
	}
	tail := tailOf(all)
	w = max(w, tail.Watermark)
	if m.Compare(tail.Month) <= 0 {
		return nil, passedOver(ctx, tx, all, m)
	}
	if due := e.available(m); at.Before(due) {
		return nil, &NotFrozenError{Month: m, Available: due, Now: at}
	}
	months, err := monthsBetween(ctx, tx, tail.Month, m, w)
	if err != nil {
		return nil, err
	}
	return e.extend(ctx, tx, tail, months, m, w, by)
}

// extend hangs the files of months, up to m, on the end of the chain.
func (e *Exporter) extend(ctx context.Context, tx pgx.Tx, tail Span, months []found, m Month, w int64, by string) ([]Frozen, error) {
	late, err := lateAfter(ctx, tx, tail, w)
	if err != nil {
		return nil, err
	}
	files := plan(tail, months, late, m, w)
	if len(files) == 0 || files[len(files)-1].Month != m {
		nothing := &NothingError{Month: m, Watermark: w}
		for _, f := range files {
			nothing.Earlier = append(nothing.Earlier, f.Month)
		}
		return nil, nothing
	}
	declared, err := catalogue(ctx, tx, time.Time{})
	if err != nil {
		return nil, err
	}
	return e.record(ctx, tx, files, header(layout(declared)), e.by(by))
}

const sqlDraw = `SELECT positions, recorded_at FROM ledger.draw($1)`

const sqlInsertFreeze = `
INSERT INTO export.freezes (month, previous, watermark, previous_watermark, format_version, columns, rows, late_rows,
                            first_position, last_position, tzdata, frozen_by, position, frozen_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)`

// record writes the freezes. Positions are drawn last: from then on to the commit a watermark waits.
func (e *Exporter) record(ctx context.Context, tx pgx.Tx, files []planned, columns []string, by string) ([]Frozen, error) {
	zone := zoneData(e.ledger.Settings().ReportingZone)
	var positions []int64
	var at time.Time
	if err := tx.QueryRow(ctx, sqlDraw, len(files)).Scan(&positions, &at); err != nil {
		return nil, fmt.Errorf("draw positions: %w", err)
	}
	if len(positions) != len(files) {
		return nil, errors.New("draw positions: the database gave another number")
	}
	done := make([]Frozen, 0, len(files))
	for i, p := range files {
		f := Frozen{
			Span: p.Span, FormatVersion: FormatVersion, Columns: columns, Rows: p.rows, LateRows: p.late,
			FirstPosition: p.first, LastPosition: p.last, TZData: zone, By: by, Position: positions[i], At: at.UTC(),
		}
		var previous *time.Time
		if !f.Previous.IsZero() {
			first := f.Previous.midnight()
			previous = &first
		}
		_, err := tx.Exec(ctx, sqlInsertFreeze, f.Month.midnight(), previous, f.Watermark, f.PreviousWatermark, f.FormatVersion,
			f.Columns, f.Rows, f.LateRows, f.FirstPosition, f.LastPosition, f.TZData, f.By, f.Position, f.At)
		if err != nil {
			return nil, fmt.Errorf("record the freeze of %s: %w", f.Month, err)
		}
		done = append(done, f)
	}
	return done, nil
}
