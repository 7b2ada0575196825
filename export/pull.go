package export

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"deltaledger/ledger"
	"deltaledger/ledger/pg"
)

const sqlInsertPull = `
INSERT INTO export.exports (month, name, frozen, watermark, rows, bytes, sha256, pulled_by)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
RETURNING n, pulled_at`

const sqlEarlierPulls = `
SELECT n, pulled_at, sha256
FROM export.exports
WHERE month = $1 AND name = $2 AND n < $3
ORDER BY n DESC
LIMIT 100`

const sqlFirstPull = `
SELECT n, pulled_at, sha256
FROM export.exports
WHERE month = $1 AND name = $2
ORDER BY n
LIMIT 1`

// logPull records a pull and adds to m when it was and what earlier ones were. If the first pull of the
// file had other bytes, the error wraps ledger.ErrCorrupt; the pull is recorded all the same, as evidence.
func (f File) logPull(ctx context.Context, m *Manifest) error {
	sum, err := hex.DecodeString(m.SHA256)
	if err != nil {
		return fmt.Errorf("log the pull: %w", err)
	}
	month := m.Month.midnight()
	var n int64
	var earlier, first []Pull
	err = pg.InTx(ctx, f.e.ledger.Pool(), func(tx pgx.Tx) error {
		err := tx.QueryRow(ctx, sqlInsertPull, month, m.File, m.Frozen, m.Watermark, m.Rows, m.Bytes, sum, f.by).Scan(&n, &m.PulledAt)
		if err != nil {
			return err
		}
		if earlier, err = pulls(ctx, tx, sqlEarlierPulls, month, m.File, n); err != nil {
			return err
		}
		first, err = pulls(ctx, tx, sqlFirstPull, month, m.File)
		return err
	})
	if err != nil {
		return fmt.Errorf("log the pull: %w", err)
	}
	m.PulledAt = m.PulledAt.UTC()
	slices.Reverse(earlier)
	m.EarlierPulls = earlier
	if was := first[0]; was.SHA256 != m.SHA256 {
		return fmt.Errorf("THE FILE IS NOT WHAT IT WAS: pull %d at %s had SHA-256 %s, this one (pull %d) has %s; don't use it: "+
			"recorded events were changed behind the ledger: %w",
			was.N, was.PulledAt.Format(time.RFC3339), was.SHA256, n, m.SHA256, ledger.ErrCorrupt)
	}
	return nil
}

func pulls(ctx context.Context, tx pgx.Tx, sql string, args ...any) ([]Pull, error) {
	rows, err := tx.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (Pull, error) {
		var p Pull
		var sum []byte
		err := row.Scan(&p.N, &p.PulledAt, &sum)
		p.PulledAt, p.SHA256 = p.PulledAt.UTC(), hex.EncodeToString(sum)
		return p, err
	})
	if all == nil {
		all = []Pull{}
	}
	return all, err
}

// PullRecord is a line of the log of pulls.
type PullRecord struct {
	Pull
	Month     Month  `json:"month"`
	Name      string `json:"name"` // of the uncompressed file
	Frozen    bool   `json:"frozen"`
	Watermark int64  `json:"watermark"`
	Rows      int64  `json:"rows"`
	Bytes     int64  `json:"bytes"` // of the uncompressed file
	By        string `json:"pulled_by"`
}

const sqlPulls = `
SELECT n, pulled_at, sha256, month, name, frozen, watermark, rows, bytes, pulled_by
FROM export.exports
WHERE $1::date IS NULL OR month = $1
ORDER BY n DESC
LIMIT 1000`

// Pulls lists the pulls of a month's files, frozen and open, newest first, at most 1,000; the zero month
// means all months.
func (e *Exporter) Pulls(ctx context.Context, m Month) ([]PullRecord, error) {
	var first *time.Time
	if !m.IsZero() {
		day := m.midnight()
		first = &day
	}
	rows, err := e.ledger.Pool().Query(ctx, sqlPulls, first)
	if err != nil {
		return nil, fmt.Errorf("read the log of pulls: %w", err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (PullRecord, error) {
		var p PullRecord
		var sum []byte
		var month time.Time
		err := row.Scan(&p.N, &p.PulledAt, &sum, &month, &p.Name, &p.Frozen, &p.Watermark, &p.Rows, &p.Bytes, &p.By)
		p.PulledAt, p.SHA256, p.Month = p.PulledAt.UTC(), hex.EncodeToString(sum), MonthOf(month)
		return p, err
	})
	if err != nil {
		return nil, fmt.Errorf("read the log of pulls: %w", err)
	}
	return all, nil
}
