package reconcile

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"deltaledger/ledger"
	"deltaledger/ledger/pg"
)

// Finding is one thing that a run found wrong.
type Finding struct {
	ID          uuid.UUID       `json:"id"`
	Fingerprint string          `json:"-"` // what it is about: a later run that finds the same sees this one again
	Check       string          `json:"check"`
	Account     string          `json:"account,omitempty"`
	Currency    string          `json:"currency,omitempty"`
	Subject     json.RawMessage `json:"subject"` // the figures behind the detail
	Detail      string          `json:"detail"`  // in words, as the newest run saw it
	Run         uuid.UUID       `json:"run"`     // the run that found it first
	FoundAt     time.Time       `json:"found_at"`
}

// fingerprint names what a finding is about.
func fingerprint(parts ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return parts[0] + ":" + hex.EncodeToString(sum[:12])
}

// A finding is open unless its newest resolution is newer than its newest sighting.
const sqlOpenFindings = `
SELECT f.id, f.fingerprint, f.check_name, COALESCE(f.account, ''), COALESCE(f.currency, ''), f.subject, COALESCE(s.detail, f.detail), f.run, f.found_at
FROM reconcile.findings f
LEFT JOIN LATERAL (SELECT s.detail, s.seen_at FROM reconcile.sightings s WHERE s.finding = f.id ORDER BY s.seen_at DESC LIMIT 1) s ON true
WHERE NOT EXISTS (SELECT FROM reconcile.resolutions r WHERE r.finding = f.id AND r.resolved_at >= COALESCE(s.seen_at, f.found_at))
ORDER BY f.position`

// Findings lists what is open, oldest first.
func (r *Reconciler) Findings(ctx context.Context) ([]Finding, error) {
	return readFindings(ctx, r.pool)
}

type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

func readFindings(ctx context.Context, q querier) ([]Finding, error) {
	rows, err := q.Query(ctx, sqlOpenFindings)
	if err != nil {
		return nil, fmt.Errorf("read findings: %w", err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Finding])
	if err != nil {
		return nil, fmt.Errorf("read findings: %w", err)
	}
	for i := range all {
		all[i].FoundAt = all[i].FoundAt.UTC()
	}
	return all, nil
}

// Never before what it resolves: sightings have the clock of the database, which may be ahead.
const sqlInsertResolution = `
INSERT INTO reconcile.resolutions (finding, outcome, why, resolved_by, resolved_at)
SELECT f.id, $2, $3, $4, greatest($5, f.found_at, (SELECT max(s.seen_at) FROM reconcile.sightings s WHERE s.finding = f.id))
FROM reconcile.findings f
WHERE f.id = $1`

// Resolve records that a person has dealt with a finding: corrected (what was wrong is put right) or
// accepted (it stays, and is no longer a finding). Should a later run see more of the same, the finding
// is open again.
func (r *Reconciler) Resolve(ctx context.Context, id uuid.UUID, outcome, why, by string) error {
	switch {
	case outcome != "accepted" && outcome != "corrected":
		return ledger.Invalid("outcome", outcome, "must be accepted or corrected")
	case strings.TrimSpace(why) == "":
		return ledger.Invalid("why", "", "must say why")
	case strings.TrimSpace(by) == "":
		return ledger.Invalid("by", by, "must say who")
	}
	tag, err := r.pool.Exec(ctx, sqlInsertResolution, id, outcome, why, by, r.now().UTC())
	if err != nil {
		return fmt.Errorf("resolve finding %s: %w", id, err)
	}
	if tag.RowsAffected() == 0 {
		return fmt.Errorf("finding %s: %w", id, ledger.ErrNotFound)
	}
	return nil
}

const sqlInsertReconcileRun = `
INSERT INTO reconcile.runs (id, watermark, since, heal, late, healed, checks, started_at, position, ended_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`

// A finding that is there already keeps what it was found with.
const sqlInsertFinding = `
INSERT INTO reconcile.findings (id, fingerprint, check_name, account, currency, subject, detail, run, position, found_at)
VALUES ($1, $2, $3, NULLIF($4, ''), NULLIF($5, ''), $6, $7, $8, $9, $10)
ON CONFLICT (fingerprint) DO NOTHING`

// Something that was accepted is seen again only if it isn't what was accepted any more.
const sqlInsertSighting = `
INSERT INTO reconcile.sightings (finding, run, detail, seen_at)
SELECT f.id, $2, $3, $4
FROM reconcile.findings f
WHERE f.fingerprint = $1
  AND NOT (
    COALESCE((SELECT r.outcome FROM reconcile.resolutions r WHERE r.finding = f.id ORDER BY r.n DESC LIMIT 1), '') = 'accepted'
    AND COALESCE((SELECT s.detail FROM reconcile.sightings s WHERE s.finding = f.id ORDER BY s.seen_at DESC LIMIT 1), f.detail) = $3)`

const sqlGone = `
INSERT INTO reconcile.resolutions (finding, outcome, why, resolved_by, resolved_at)
VALUES ($1, 'gone', 'a later run looked again and found it in order', $2, $3)`

// What is in order by a declaration is accepted, unless it is already and nothing was seen since.
const sqlExcuse = `
INSERT INTO reconcile.resolutions (finding, outcome, why, resolved_by, resolved_at)
SELECT f.id, 'accepted', 'its type is declared not to be billable', $2, greatest($3, f.found_at, s.seen_at)
FROM reconcile.findings f
LEFT JOIN LATERAL (SELECT max(s.seen_at) AS seen_at FROM reconcile.sightings s WHERE s.finding = f.id) s ON true
LEFT JOIN LATERAL (SELECT r.outcome, r.resolved_at FROM reconcile.resolutions r WHERE r.finding = f.id ORDER BY r.n DESC LIMIT 1) r ON true
WHERE f.fingerprint = $1 AND (r.outcome IS DISTINCT FROM 'accepted' OR r.resolved_at < COALESCE(s.seen_at, f.found_at))`

// What the run itself put right, with what it did.
const sqlMend = `
WITH seen AS (
    INSERT INTO reconcile.sightings (finding, run, detail, seen_at)
    SELECT f.id, $2, $3, $5 FROM reconcile.findings f WHERE f.fingerprint = $1
)
INSERT INTO reconcile.resolutions (finding, outcome, why, resolved_by, resolved_at)
SELECT f.id, 'corrected', $3, $4, greatest($5, f.found_at, (SELECT max(s.seen_at) FROM reconcile.sightings s WHERE s.finding = f.id))
FROM reconcile.findings f
WHERE f.fingerprint = $1`

const sqlInsertBalance = `
INSERT INTO reconcile.balances (account, currency, watermark, closed_through, unbilled, oldest, run)
SELECT b.account, b.currency, $1, b.closed_through, b.unbilled, b.oldest, $2
FROM unnest($3::text[], $4::text[], $5::timestamptz[], $6::numeric[], $7::timestamptz[]) AS b (account, currency, closed_through, unbilled, oldest)`

// One run is kept at a time: two at once would both roll the same balances forward.
const sqlLockRuns = `SELECT pg_advisory_xact_lock(17484, 8)`

// keep writes the run with all that it found, in one transaction that draws its positions last.
func (u *run) keep(ctx context.Context) error {
	checks, err := json.Marshal(u.result.Checks)
	if err != nil {
		return err
	}
	var open []Finding
	err = pg.InTx(ctx, u.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, sqlLockRuns); err != nil {
			return err
		}
		if newest, err := lastRun(ctx, tx); err != nil || newest.Position != u.since.Position {
			return errors.Join(err, overtaken(newest, u.since))
		}
		positions, at, err := ledger.DrawTx(ctx, tx, 1+len(u.found)+len(u.excused)+len(u.mended))
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, sqlInsertReconcileRun, u.id, u.at.Position, u.since.Position, u.request.Heal, u.result.Late, u.result.Healed,
			checks, u.startedAt, positions[0], at); err != nil {
			return err
		}
		if err := u.keepFindings(ctx, tx, positions[1:], at); err != nil {
			return err
		}
		if u.request.Heal {
			if err := u.keepBalances(ctx, tx); err != nil {
				return err
			}
		}
		open, err = readFindings(ctx, tx)
		return err
	})
	u.result.Findings = append(u.result.Findings, open...)
	return err
}

// overtaken is an error if another run was kept since this one began.
func overtaken(newest, since ledger.Watermark) error {
	if newest.Position == since.Position {
		return nil
	}
	return fmt.Errorf("another run ended meanwhile, at watermark %d: run again: %w", newest.Position, ledger.ErrBusy)
}

func (u *run) keepFindings(ctx context.Context, tx pgx.Tx, positions []int64, at time.Time) error {
	again := map[string]bool{}
	for i, f := range u.found {
		again[f.Fingerprint] = true
		if _, err := tx.Exec(ctx, sqlInsertFinding, f.ID, f.Fingerprint, f.Check, f.Account, f.Currency, f.Subject, f.Detail, f.Run, positions[i], at); err != nil {
			return fmt.Errorf("keep a finding: %w", err)
		}
		if _, err := tx.Exec(ctx, sqlInsertSighting, f.Fingerprint, u.id, f.Detail, at); err != nil {
			return fmt.Errorf("keep a sighting: %w", err)
		}
	}
	for i, f := range u.excused {
		again[f.Fingerprint] = true
		if _, err := tx.Exec(ctx, sqlInsertFinding, f.ID, f.Fingerprint, f.Check, f.Account, f.Currency, f.Subject, f.Detail, f.Run, positions[len(u.found)+i], at); err != nil {
			return fmt.Errorf("keep a finding: %w", err)
		}
		if _, err := tx.Exec(ctx, sqlExcuse, f.Fingerprint, u.request.By, at); err != nil {
			return fmt.Errorf("accept a finding: %w", err)
		}
	}
	for i, f := range u.mended {
		again[f.Fingerprint] = true
		if _, err := tx.Exec(ctx, sqlInsertFinding, f.ID, f.Fingerprint, f.Check, f.Account, f.Currency, f.Subject, f.Detail, f.Run, positions[len(u.found)+len(u.excused)+i], at); err != nil {
			return fmt.Errorf("keep a finding: %w", err)
		}
		if _, err := tx.Exec(ctx, sqlMend, f.Fingerprint, u.id, f.Detail, u.request.By, at); err != nil {
			return fmt.Errorf("resolve a finding: %w", err)
		}
	}
	for _, f := range u.open {
		// These are about one run's range, which no later run looks at: a person resolves them.
		if again[f.Fingerprint] || f.Check == checkRollForward || f.Check == checkContent {
			continue
		}
		if _, err := tx.Exec(ctx, sqlGone, f.ID, u.request.By, at); err != nil {
			return fmt.Errorf("resolve a finding: %w", err)
		}
	}
	return nil
}

func (u *run) keepBalances(ctx context.Context, tx pgx.Tx) error {
	n := len(u.balances)
	accounts, currencies, closed, amounts := make([]string, n), make([]string, n), make([]*time.Time, n), make([]string, n)
	oldest := make([]*time.Time, n)
	for i, b := range u.balances {
		accounts[i], currencies[i], closed[i], amounts[i] = b.account, b.currency, b.closedThrough, b.unbilled.String()
		if !b.oldest.IsZero() {
			oldest[i] = &u.balances[i].oldest
		}
	}
	if _, err := tx.Exec(ctx, sqlInsertBalance, u.at.Position, u.id, accounts, currencies, closed, amounts, oldest); err != nil {
		return fmt.Errorf("keep balances: %w", err)
	}
	return nil
}

// wrap says what was being done when err happened; nil stays nil.
func wrap(err error, action string) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", action, err)
}

func isNoRows(err error) bool { return errors.Is(err, pgx.ErrNoRows) }
