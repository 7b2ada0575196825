package archive

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"deltaledger/export"
	"deltaledger/ledger"
)

const sqlInsertArchive = `
INSERT INTO ledger.archives (month, url, manifest, manifest_sha256, rows, first_position, last_position, first_occurred_at, last_occurred_at,
    first_business_date, last_business_date, first_seal, last_seal, recorded_by)
SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14
WHERE NOT EXISTS (SELECT FROM ledger.archives a WHERE a.month = $1 AND a.url = $2 AND a.manifest_sha256 = $4)`

// record writes down that a copy was verified, once for each.
func (a *Archiver) record(ctx context.Context, s *store, m Manifest, text []byte, by string) error {
	sum := sha256.Sum256(text)
	_, err := a.pool.Exec(ctx, sqlInsertArchive, start(m.Month), s.url, manifestName(m.Month), sum[:], m.Rows, m.FirstPosition, m.LastPosition,
		m.FirstOccurredAt, m.LastOccurredAt, m.FirstBusinessDate, m.LastBusinessDate, m.Seals.First, m.Seals.Last, by)
	return busyError("record the copy", err)
}

// Copy is the record of a copy.
type Copy struct {
	N              int64        `json:"n"`
	Month          export.Month `json:"month"`
	URL            string       `json:"url"`
	Manifest       string       `json:"manifest"`
	ManifestSHA256 string       `json:"manifest_sha256"`
	Rows           int64        `json:"rows"`
	FirstPosition  int64        `json:"first_position"`
	LastPosition   int64        `json:"last_position"`
	FirstSeal      int64        `json:"first_seal"`
	LastSeal       int64        `json:"last_seal"`
	VerifiedAt     time.Time    `json:"verified_at"`
	By             string       `json:"recorded_by"`
	Detached       bool         `json:"detached"` // the month was detached by this copy
}

const sqlCopies = `
SELECT a.n, a.month, a.url, a.manifest, a.manifest_sha256, a.rows, a.first_position, a.last_position, a.first_seal, a.last_seal, a.verified_at, a.recorded_by,
       EXISTS (SELECT FROM ledger.detached_months d WHERE d.archive = a.n)
FROM ledger.archives a
WHERE $1::date IS NULL OR a.month = $1
ORDER BY a.month, a.n`

// Copies lists the recorded copies by month; the zero month means all of them.
func (a *Archiver) Copies(ctx context.Context, m export.Month) ([]Copy, error) {
	var month *time.Time
	if !m.IsZero() {
		first := start(m)
		month = &first
	}
	rows, err := a.pool.Query(ctx, sqlCopies, month)
	if err != nil {
		return nil, busyError("list copies", err)
	}
	copies, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (c Copy, err error) {
		var first time.Time
		var sum []byte
		err = row.Scan(&c.N, &first, &c.URL, &c.Manifest, &sum, &c.Rows, &c.FirstPosition, &c.LastPosition, &c.FirstSeal, &c.LastSeal,
			&c.VerifiedAt, &c.By, &c.Detached)
		c.Month, c.ManifestSHA256, c.VerifiedAt = export.MonthOf(first), hex.EncodeToString(sum), c.VerifiedAt.UTC()
		return c, err
	})
	return copies, busyError("list copies", err)
}

// The partitions of past months of both tables, by their names.
const sqlPartitions = `
SELECT to_date(right(c.relname, 7), 'YYYY_MM')
FROM pg_inherits i
JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = 'ledger.events'::regclass AND c.relname ~ '^events_[0-9]{4}_[0-9]{2}$'
  AND EXISTS (SELECT FROM ledger.event_keys)
ORDER BY 1`

const sqlHasEvents = `
SELECT EXISTS (SELECT FROM ledger.events e WHERE e.recorded_at >= $1 AND e.recorded_at < $2)`

// partitions lists the months that aren't detached and have events.
func (a *Archiver) partitions(ctx context.Context) ([]export.Month, error) {
	rows, err := a.pool.Query(ctx, sqlPartitions)
	if err != nil {
		return nil, busyError("list partitions", err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowTo[time.Time])
	if err != nil {
		return nil, busyError("list partitions", err)
	}
	var months []export.Month
	for _, first := range all {
		m := export.MonthOf(first)
		if m.Compare(export.MonthOf(a.o.Now().UTC())) >= 0 {
			break
		}
		var has bool
		if err := a.pool.QueryRow(ctx, sqlHasEvents, start(m), start(m.Next())).Scan(&has); err != nil {
			return nil, busyError("look for events", err)
		}
		if has {
			months = append(months, m)
		}
	}
	return months, nil
}

// Verify holds copies against the seals: with a month, all that are recorded of it; with a location, all that are
// there. It returns what was verified, and an error that wraps ledger.ErrCorrupt for the first that isn't what it was.
func (a *Archiver) Verify(ctx context.Context, what string) ([]Result, error) {
	if m, err := export.ParseMonth(what); err == nil {
		return a.verifyRecorded(ctx, m)
	}
	location, err := Location(what)
	if err != nil {
		return nil, err
	}
	s, err := a.open(ctx, location, false)
	if err != nil {
		return nil, err
	}
	done, err := a.verifyStore(ctx, s)
	return done, errors.Join(err, s.close())
}

func (a *Archiver) verifyStore(ctx context.Context, s *store) (done []Result, err error) {
	names, err := s.list(ctx, "events-")
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		month, ok := strings.CutSuffix(strings.TrimPrefix(name, "events-"), "/manifest.json")
		m, err := export.ParseMonth(month)
		if !ok || err != nil {
			continue
		}
		r, err := a.verifyOne(ctx, s, m, "")
		if err != nil {
			return done, err
		}
		done = append(done, r)
	}
	if len(done) == 0 {
		return nil, fmt.Errorf("there is no whole copy of a month at %s: %w", s.url, ledger.ErrNotFound)
	}
	return done, nil
}

func (a *Archiver) verifyRecorded(ctx context.Context, m export.Month) (done []Result, err error) {
	copies, err := a.Copies(ctx, m)
	if err != nil {
		return nil, err
	}
	if len(copies) == 0 {
		return nil, fmt.Errorf("no copy of %s is recorded: %w", m, ledger.ErrNotFound)
	}
	for _, c := range copies {
		r, err := a.verifyCopy(ctx, c)
		if err != nil {
			return done, err
		}
		done = append(done, r)
	}
	return done, nil
}

// verifyCopy verifies a recorded copy where it is.
func (a *Archiver) verifyCopy(ctx context.Context, c Copy) (r Result, err error) {
	s, err := a.open(ctx, c.URL, false)
	if err != nil {
		return r, err
	}
	r, err = a.verifyOne(ctx, s, c.Month, c.ManifestSHA256)
	return r, errors.Join(err, s.close())
}

// verifyOne verifies the copy of a month; its manifest must have the hash that is recorded, if one is.
func (a *Archiver) verifyOne(ctx context.Context, s *store, m export.Month, recorded string) (r Result, err error) {
	r = Result{Month: m, URL: s.url, Manifest: manifestName(m)}
	text, found, err := s.read(ctx, r.Manifest)
	switch {
	case err != nil:
		return r, err
	case !found:
		return r, fmt.Errorf("%s is gone from %s: %w", r.Manifest, s.url, ledger.ErrCorrupt)
	}
	if sum := sha256.Sum256(text); recorded != "" && hex.EncodeToString(sum[:]) != recorded {
		return r, damaged(r.Manifest, "it has SHA-256 %x, and %s is recorded", sum, recorded)
	}
	manifest, err := parseManifest(text, a.ledger.Settings().ID)
	if err != nil {
		return r, err
	}
	r.Rows = manifest.Rows
	for _, f := range manifest.Files {
		r.Bytes += f.Bytes
	}
	return r, a.checkMonth(ctx, s, m, manifest)
}
