package archive

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"gocloud.dev/blob"

	"deltaledger/billing"
	"deltaledger/export"
	"deltaledger/ledger"
	"deltaledger/ledger/pg"
)

// Archiver copies months and detaches them. Make one with New; it is safe for concurrent use.
type Archiver struct {
	ledger  *ledger.Ledger
	seals   *ledger.Seals
	billing *billing.Billing
	pool    *pgxpool.Pool
	o       Options
}

// Options of an Archiver.
type Options struct {
	// Open opens a directory or bucket by its URL. Nil: blob.OpenBucket, for the schemes whose drivers the program has.
	Open func(ctx context.Context, url string) (*blob.Bucket, error)
	// Now is the clock. Nil: time.Now.
	Now func() time.Time
	// RowsPerFile bounds the files of a month. 0: 10,000,000.
	RowsPerFile int64
	// Tell is told what is being done, for people. Nil: nobody is.
	Tell func(text string)
}

// New makes an Archiver.
func New(l *ledger.Ledger, s *ledger.Seals, b *billing.Billing, o Options) (*Archiver, error) {
	if l == nil || s == nil || b == nil {
		return nil, fmt.Errorf("new archiver: ledger, seals and billing are needed: %w", ledger.ErrInvalid)
	}
	if o.Open == nil {
		o.Open = blob.OpenBucket
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.RowsPerFile <= 0 {
		o.RowsPerFile = 10_000_000
	}
	if o.Tell == nil {
		o.Tell = func(string) {}
	}
	return &Archiver{ledger: l, seals: s, billing: b, pool: l.Pool(), o: o}, nil
}

// start is the first instant of a month of recorded_at.
func start(m export.Month) time.Time { return time.Date(m.Year, m.Month, 1, 0, 0, 0, 0, time.UTC) }

// NotReadyError says why a month can't be archived or detached, and what to do. It wraps ledger.ErrConflict.
type NotReadyError struct {
	Month   export.Month
	Reasons []string // each with what to do
}

func (e *NotReadyError) Error() string {
	text := e.Month.String() + ": "
	for i, r := range e.Reasons {
		if i > 0 {
			text += "; "
		}
		text += r
	}
	return text
}

// Unwrap makes errors.Is(err, ledger.ErrConflict) true.
func (e *NotReadyError) Unwrap() error { return ledger.ErrConflict }

// Before lists the months before one that may be archived and have events, oldest first. The current month (UTC) and the
// one before it are never among them.
func (a *Archiver) Before(ctx context.Context, before export.Month) ([]export.Month, error) {
	last := export.MonthOf(a.o.Now().UTC()).Previous()
	if before.Compare(last) < 0 {
		last = before
	}
	months, err := a.partitions(ctx)
	if err != nil {
		return nil, err
	}
	var due []export.Month
	for _, m := range months {
		if m.Compare(last) < 0 {
			due = append(due, m)
		}
	}
	return due, nil
}

// checkOver refuses a month that is still in use.
func (a *Archiver) checkOver(m export.Month) error {
	if last := export.MonthOf(a.o.Now().UTC()).Previous(); m.Compare(last) >= 0 {
		return &NotReadyError{Month: m, Reasons: []string{fmt.Sprintf("is still in use: the current month and the one before it stay; it can be archived from %s on",
			start(m.Next().Next()).Format(time.DateOnly))}}
	}
	return nil
}

// checkSealed refuses a month of which an event isn't sealed.
func (a *Archiver) checkSealed(ctx context.Context, m export.Month) error {
	s, err := a.seals.SealedMonth(ctx, start(m))
	switch {
	case err != nil:
		return err
	case s.First == 0:
		return &NotReadyError{Month: m, Reasons: []string{"nothing was recorded in it"}}
	case !s.Sealed():
		return &NotReadyError{Month: m, Reasons: []string{fmt.Sprintf("it isn't wholly sealed: its events reach position %d, the seals %d: run deltaledger seal", s.Last, s.Through)}}
	}
	return nil
}

// Result is what became of a month.
type Result struct {
	Month    export.Month `json:"month"`
	URL      string       `json:"url"`
	Manifest string       `json:"manifest"` // its name at the URL
	Rows     int64        `json:"rows"`
	Bytes    int64        `json:"bytes"`
	Written  bool         `json:"written"`  // false: it was there, and was verified anew
	Detached bool         `json:"detached"` // by this call
}

// One archiver at a time, for as long as its session lives: two would clear away each other's half-written files.
const (
	sqlLockArchiver   = `SELECT pg_try_advisory_lock(17484, 18)`
	sqlUnlockArchiver = `SELECT pg_advisory_unlock(17484, 18)`
)

// alone runs f while no other archiver works.
func (a *Archiver) alone(ctx context.Context, f func() error) error {
	conn, err := a.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	var got bool
	if err := conn.QueryRow(ctx, sqlLockArchiver).Scan(&got); err != nil {
		return err
	}
	if !got {
		return fmt.Errorf("another session archives: %w", ledger.ErrBusy)
	}
	defer func() {
		if _, err := conn.Exec(context.WithoutCancel(ctx), sqlUnlockArchiver); err != nil {
			_ = conn.Conn().Close(context.WithoutCancel(ctx)) // the end of the session releases the lock too
		}
	}()
	return f()
}

// Archive copies a month to a location, verifies the copy against the seals and records it. A copy that is there already
// is verified and, if it isn't yet, recorded; one that was left half written is begun anew.
func (a *Archiver) Archive(ctx context.Context, m export.Month, location, by string) (r Result, err error) {
	for _, check := range []func() error{func() error { return a.checkOver(m) }, func() error { return a.checkSealed(ctx, m) }} {
		if err := check(); err != nil {
			return r, fmt.Errorf("archive: %w", err)
		}
	}
	err = a.alone(ctx, func() error {
		s, err := a.open(ctx, location, true)
		if err != nil {
			return err
		}
		r, err = a.archive(ctx, s, m, by)
		return errors.Join(err, s.close())
	})
	if err != nil {
		return r, fmt.Errorf("archive %s: %w", m, err)
	}
	return r, nil
}

func (a *Archiver) archive(ctx context.Context, s *store, m export.Month, by string) (r Result, err error) {
	r = Result{Month: m, URL: s.url, Manifest: manifestName(m)}
	text, found, err := s.read(ctx, r.Manifest)
	if err != nil {
		return r, err
	}
	var manifest Manifest
	if found {
		if manifest, err = parseManifest(text, a.ledger.Settings().ID); err != nil {
			return r, err
		}
		a.o.Tell(fmt.Sprintf("%s is at %s already: verifying it", m, s.url))
		if err := a.checkMonth(ctx, s, m, manifest); err != nil {
			return r, err
		}
	} else if manifest, text, err = a.writeMonth(ctx, s, m, by); err != nil {
		return r, err
	}
	r.Written, r.Rows = !found, manifest.Rows
	for _, f := range manifest.Files {
		r.Bytes += f.Bytes
	}
	return r, a.record(ctx, s, manifest, text, by)
}

// busyError says what a failed statement means.
func busyError(action string, err error) error {
	if err != nil && pg.IsUnavailable(err) {
		return fmt.Errorf("%s: %w: %w", action, ledger.ErrBusy, err)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", action, err)
	}
	return nil
}
