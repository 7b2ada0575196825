package billing

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"deltaledger/ledger"
	"deltaledger/ledger/pg"
)

// Billing keeps terms, closes cycles and writes invoices for the accounts of a ledger. Make one with
// New; it is safe for concurrent use, and any number of processes may work on one database.
type Billing struct {
	ledger *ledger.Ledger
	pool   *pgxpool.Pool
	zone   *time.Location
	now    func() time.Time
	newID  func() uuid.UUID
	skew   time.Duration

	// What was read last of the close runs, and of the default terms. Both only grow, and whoever uses
	// them asks the database first whether they still are all.
	runs     atomic.Pointer[runs]
	defaults atomic.Pointer[book]
}

// Options of New; the zero value of each field means what its comment says.
type Options struct {
	// Now is the clock that graces are measured against. Nil: the system's.
	Now func() time.Time
	// NewID makes the ids of invoices. Nil: UUIDs of version 7, which grow with time and so keep
	// the pins of one invoice, and of one run, together on disk.
	NewID func() uuid.UUID
	// ClockSkew is how far in the future the value date of a payment may begin. Zero: 24 hours.
	ClockSkew time.Duration
}

const defaultSkew = 24 * time.Hour

// New makes the billing of a ledger, on the ledger's own pool.
func New(l *ledger.Ledger, o Options) (*Billing, error) {
	if l == nil {
		return nil, fmt.Errorf("billing: the ledger is missing: %w", ledger.ErrInvalid)
	}
	b := &Billing{ledger: l, pool: l.Pool(), zone: l.Zone(), now: o.Now, newID: o.NewID, skew: o.ClockSkew}
	if b.now == nil {
		b.now = time.Now
	}
	if b.skew == 0 {
		b.skew = defaultSkew
	}
	if b.newID == nil {
		b.newID = func() uuid.UUID { return uuid.Must(uuid.NewV7()) }
	}
	return b, nil
}

// The lock of the terms, shared: whoever applies terms keeps them from changing until it has
// committed what it made of them.
const sqlHoldTerms = `SELECT pg_advisory_xact_lock_shared(17484, 7)`

// The lock of the terms, exclusive: a new version is recorded while nobody applies the old ones, so
// the boundary through which an account is closed can't move behind its back.
const sqlChangeTerms = `SELECT pg_advisory_xact_lock(17484, 7)`

// The account's lock, after that of the terms: one close, heal or void of an account at a time. The key
// is a hash, so two accounts may share it; a transaction takes one only, so that they merely wait.
const sqlHoldAccount = `SELECT pg_advisory_xact_lock_shared(17484, 7), pg_advisory_xact_lock(hashtextextended($1, 17484))`

// querier is what reads: a pool or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// busy turns an error of a server that is gone, full or over its time limit into ErrBusy.
func busy(err error) error {
	if err == nil || errors.Is(err, ledger.ErrBusy) {
		return err
	}
	if pg.IsUnavailable(err) || pg.IsRetryable(err) || pg.IsTimeout(err) {
		return fmt.Errorf("%w: %w", ledger.ErrBusy, err)
	}
	return err
}

// wrap says what was being done when err happened; nil stays nil.
func wrap(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), busy(err))
}

func isNoRows(err error) bool { return errors.Is(err, pgx.ErrNoRows) }

// utc is the instant in UTC, and zero for none.
func utc(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}

// orNull is the instant, and nil for zero.
func orNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
