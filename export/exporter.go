package export

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"deltaledger/ledger"
)

// Exporter freezes months and writes their files. Make one with New; it is safe for concurrent use.
type Exporter struct {
	ledger *ledger.Ledger
	o      Options
}

// Options of an Exporter.
type Options struct {
	// Now is the clock that the end of a month and the grace are measured against. Nil: the database's;
	// then a freeze is measured against the time at which its watermark was taken.
	Now func() time.Time
	// By is who pulls and freezes where a call names nobody. Empty: deltaledger.
	By string
}

// New makes an Exporter for l, whose pool must run as deltaledger_app.
func New(l *ledger.Ledger, o Options) (*Exporter, error) {
	if l == nil {
		return nil, fmt.Errorf("new exporter: the ledger is missing: %w", ledger.ErrInvalid)
	}
	if o.By == "" {
		o.By = "deltaledger"
	}
	return &Exporter{ledger: l, o: o}, nil
}

func (e *Exporter) by(name string) string {
	if name == "" {
		return e.o.By
	}
	return name
}

// querier is what can be asked: the pool or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

const sqlNow = `SELECT clock_timestamp()`

// now is the clock of the options.
func (e *Exporter) now(ctx context.Context) (time.Time, error) {
	if e.o.Now != nil {
		return e.o.Now().UTC(), nil
	}
	var t time.Time
	if err := e.ledger.Pool().QueryRow(ctx, sqlNow).Scan(&t); err != nil {
		return time.Time{}, fmt.Errorf("read the clock of the database: %w", err)
	}
	return t.UTC(), nil
}

// instantOf is what the grace of a freeze at w is measured against.
func (e *Exporter) instantOf(ctx context.Context, w ledger.Watermark) (time.Time, error) {
	if e.o.Now == nil && !w.TakenAt.IsZero() {
		return w.TakenAt.UTC(), nil
	}
	return e.now(ctx)
}

// available is when m can be frozen: its end in the reporting zone plus the ledger's grace.
func (e *Exporter) available(m Month) time.Time {
	return m.End(e.ledger.Zone()).Add(e.ledger.Settings().FreezeGrace)
}

// lastAvailable is the newest month that can be frozen at an instant.
func (e *Exporter) lastAvailable(at time.Time) Month {
	m := MonthOf(at.In(e.ledger.Zone()))
	for e.available(m).After(at) {
		m = m.Previous()
	}
	return m
}
