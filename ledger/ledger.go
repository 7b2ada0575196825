package ledger

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"deltaledger/ledger/pg"
)

// Ledger records events and answers questions about them. Make one with Open; it is safe for
// concurrent use.
type Ledger struct {
	pool     *pgxpool.Pool
	settings Settings
	zone     *time.Location
	skew     time.Duration
	now      func() time.Time
	random   io.Reader

	declarations atomic.Pointer[declarations] // what was read last; nil before the first time
	settled      atomic.Int64                 // no writer is under way that knows fewer declarations; see awaitDeclared
	careful      atomic.Int64                 // batches that still go the careful way; see writer.writeOnce
	step         int64                        // how many events one step of completeness looks at
	shared       shared                       // watermark that several callers wait for
}

// Settings are fixed when a ledger is created.
type Settings struct {
	ID            uuid.UUID
	ReportingZone string        // IANA name; business dates and months are dates in it
	FreezeGrace   time.Duration // a month may be frozen this long after its end
	CreatedAt     time.Time
}

// Config is what Open needs. Pool must run as deltaledger_app.
type Config struct {
	Pool      *pgxpool.Pool
	ClockSkew time.Duration    // how far in the future occurred_at may lie; 0: 24 hours
	Now       func() time.Time // the clock that ClockSkew is measured against; nil: the system's
	Random    io.Reader        // of salts; nil: crypto/rand
}

const sqlSettings = `
SELECT ledger_id, reporting_zone, freeze_grace_seconds, created_at
FROM ledger.settings`

// Open reads the ledger's settings. It fails if the database isn't migrated.
func Open(ctx context.Context, c Config) (*Ledger, error) {
	if c.Pool == nil {
		return nil, fmt.Errorf("open ledger: Config.Pool is missing: %w", ErrInvalid)
	}
	l := &Ledger{pool: c.Pool, skew: c.ClockSkew, now: c.Now, step: completenessStep, shared: shared{taking: make(chan struct{}, 1)}}
	if l.skew == 0 {
		l.skew = 24 * time.Hour
	}
	if l.now == nil {
		l.now = time.Now
	}
	if l.random = c.Random; l.random == nil {
		l.random = rand.Reader
	}
	var grace int64
	s := &l.settings
	err := c.Pool.QueryRow(ctx, sqlSettings).Scan(&s.ID, &s.ReportingZone, &grace, &s.CreatedAt)
	switch {
	case pg.IsUndefined(err):
		return nil, fmt.Errorf("open ledger: the database isn't migrated (run: deltaledger migrate): %w", ErrNotFound)
	case err != nil:
		return nil, fmt.Errorf("open ledger: read the settings: %w", err)
	}
	s.FreezeGrace = time.Duration(grace) * time.Second
	s.CreatedAt = s.CreatedAt.UTC()
	if l.zone, err = time.LoadLocation(s.ReportingZone); err != nil {
		return nil, fmt.Errorf("open ledger: reporting zone: %w", err)
	}
	return l, nil
}

// Settings are what was fixed when the ledger was created.
func (l *Ledger) Settings() Settings { return l.settings }

// Zone is the reporting zone.
func (l *Ledger) Zone() *time.Location { return l.zone }

// Pool is the ledger's pool, for the packages above that keep their own tables beside it.
func (l *Ledger) Pool() *pgxpool.Pool { return l.pool }
