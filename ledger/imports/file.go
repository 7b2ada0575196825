package imports

import (
	"context"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"deltaledger/ledger"
	"deltaledger/ledger/pg"
)

// State is where a file stands.
type State string

// A file is queued, then running, and ends in one of the others. It leaves those only when a person asks for a retry.
const (
	Queued    State = "queued"
	Running   State = "running"
	Done      State = "done"      // read to its end; what became of its rows is counted
	Same      State = "same"      // written anew with the content that was read before; nothing was done
	Failed    State = "failed"    // can't be read as events; reason says why
	Changed   State = "changed"   // holds something else than what was read under its name before; a person decides
	Gone      State = "gone"      // was taken away before it was read
	Discarded State = "discarded" // a person decided that it isn't wanted
)

// File is one content of an object, as it is registered.
type File struct {
	N          int64      `json:"n"`
	Location   string     `json:"location"`
	Name       string     `json:"name"`
	Version    int        `json:"version"`
	Size       int64      `json:"size"`
	ModifiedAt time.Time  `json:"modified_at"`
	ETag       string     `json:"etag,omitempty"`
	SHA256     string     `json:"sha256,omitempty"` // in hex, of the bytes as they lie there
	Format     string     `json:"format,omitempty"`
	Mapping    string     `json:"mapping,omitempty"`
	MappingSum string     `json:"mapping_sha256,omitempty"`
	State      State      `json:"state"`
	Reason     string     `json:"reason,omitempty"`
	Pass       int        `json:"pass"`    // 1, and one more for each retry that was asked for
	Attempt    int        `json:"attempt"` // how often it was taken up
	Resume     int64      `json:"resume"`  // events of the pass that are settled
	Recorded   int64      `json:"recorded"`
	Duplicate  int64      `json:"duplicate"`
	Conflict   int64      `json:"conflict"`
	Invalid    int64      `json:"invalid"`
	Importer   string     `json:"importer,omitempty"`
	FoundAt    time.Time  `json:"found_at"`
	BegunAt    *time.Time `json:"begun_at,omitempty"`
	EndedAt    *time.Time `json:"ended_at,omitempty"`

	failures int // attempts in a row that could not read the place
}

// Bad is how many rows of the pass are not in the ledger as they were sent.
func (f File) Bad() int64 { return f.Conflict + f.Invalid }

// columns of a File, for every statement that reads one.
const columns = `f.n, f.location, f.name, f.version, f.size, f.modified_at, f.etag, f.sha256, COALESCE(f.format, ''), COALESCE(f.mapping, ''),
       f.mapping_sha256, f.state, COALESCE(f.reason, ''), f.pass, f.attempt, f.failures, f.resume,
       f.recorded, f.duplicate, f.conflict, f.invalid, COALESCE(f.importer, ''), f.found_at, f.begun_at, f.ended_at`

func scanFile(row pgx.CollectableRow) (File, error) {
	var f File
	var sum, mapping []byte
	err := row.Scan(&f.N, &f.Location, &f.Name, &f.Version, &f.Size, &f.ModifiedAt, &f.ETag, &sum, &f.Format, &f.Mapping,
		&mapping, &f.State, &f.Reason, &f.Pass, &f.Attempt, &f.failures, &f.Resume,
		&f.Recorded, &f.Duplicate, &f.Conflict, &f.Invalid, &f.Importer, &f.FoundAt, &f.BegunAt, &f.EndedAt)
	f.SHA256, f.MappingSum = hex.EncodeToString(sum), hex.EncodeToString(mapping)
	f.ModifiedAt, f.FoundAt = f.ModifiedAt.UTC(), f.FoundAt.UTC()
	for _, t := range []*time.Time{f.BegunAt, f.EndedAt} {
		if t != nil {
			*t = t.UTC()
		}
	}
	return f, err
}

// ListQuery chooses files; the zero value takes the newest hundred of all.
type ListQuery struct {
	Location string  // Identity of a place; empty: all
	Name     string  // of the object
	States   []State // none: all
	Bad      bool    // only those with rows that are not in the ledger as they were sent
	Limit    int     // 1 to 1000; 0: 100
	Before   int64   // only those with a lower n; 0: all
}

const sqlFiles = `SELECT ` + columns + `
FROM ledger.import_files f
WHERE ($1 = '' OR f.location = $1)
  AND ($2 = '' OR f.name = $2)
  AND (cardinality($3::text[]) = 0 OR f.state = ANY($3))
  AND (NOT $4 OR f.conflict + f.invalid > 0)
  AND ($5::bigint = 0 OR f.n < $5)
ORDER BY f.n DESC
LIMIT $6`

// List lists files, the newest first.
func List(ctx context.Context, q pg.Querier, o ListQuery) ([]File, error) {
	switch {
	case o.Limit < 0 || o.Limit > 1000:
		return nil, ledger.Invalid("limit", fmt.Sprint(o.Limit), "must be 1 to 1000")
	case o.Limit == 0:
		o.Limit = 100
	}
	states := []string{}
	for _, s := range o.States {
		switch s {
		case Queued, Running, Done, Same, Failed, Changed, Gone, Discarded:
			states = append(states, string(s))
		default:
			return nil, ledger.Invalid("state", string(s), "must be queued, running, done, same, failed, changed, gone or discarded")
		}
	}
	rows, err := q.Query(ctx, sqlFiles, o.Location, o.Name, states, o.Bad, o.Before, o.Limit)
	if err != nil {
		return nil, fmt.Errorf("list files: %w", err)
	}
	files, err := pgx.CollectRows(rows, scanFile)
	if err != nil {
		return nil, fmt.Errorf("list files: %w", err)
	}
	return files, nil
}

const sqlFile = `SELECT ` + columns + `
FROM ledger.import_files f
WHERE f.n = $1`

// Get is one file. The error wraps ledger.ErrNotFound if there is none of that number.
func Get(ctx context.Context, q pg.Querier, n int64) (File, error) {
	rows, err := q.Query(ctx, sqlFile, n)
	if err != nil {
		return File{}, fmt.Errorf("read file %d: %w", n, err)
	}
	files, err := pgx.CollectRows(rows, scanFile)
	switch {
	case err != nil:
		return File{}, fmt.Errorf("read file %d: %w", n, err)
	case len(files) == 0:
		return File{}, fmt.Errorf("file %d: %w", n, ledger.ErrNotFound)
	}
	return files[0], nil
}

// Problem is a row of a file that is not in the ledger as it was sent.
type Problem struct {
	Pass     int      `json:"pass"`
	Item     int64    `json:"item"` // number of the event in the file, from 1
	Line     int64    `json:"line"`
	Status   string   `json:"status"` // invalid or conflict
	EventID  string   `json:"id,omitempty"`
	Field    string   `json:"field,omitempty"`
	Value    string   `json:"value,omitempty"`
	Rule     string   `json:"rule,omitempty"`
	Differs  []string `json:"differs,omitempty"`
	Position int64    `json:"position,omitempty"` // of a conflict: that of the recorded event
}

const sqlProblems = `
SELECT pass, item, line, status, COALESCE(event_id, ''), COALESCE(field, ''), COALESCE(value, ''), COALESCE(rule, ''), differs, COALESCE(existing_position, 0)
FROM ledger.import_problems
WHERE file = $1 AND pass = $2 AND item > $3
ORDER BY item
LIMIT $4`

// Problems lists the bad rows of a pass of a file, in its order, behind that of the number after.
func Problems(ctx context.Context, q pg.Querier, n int64, pass int, after int64, limit int) ([]Problem, error) {
	rows, err := q.Query(ctx, sqlProblems, n, pass, after, limit)
	if err != nil {
		return nil, fmt.Errorf("list the bad rows of file %d: %w", n, err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[Problem])
	if err != nil {
		return nil, fmt.Errorf("list the bad rows of file %d: %w", n, err)
	}
	return all, nil
}
