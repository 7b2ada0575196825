package ledger

import (
	"context"
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5"
)

// ConflictRow is what arrived under an identity, or for a place in a stream, that other content had.
type ConflictRow struct {
	N                  int64           `json:"n"` // the conflict's own number
	DetectedAt         time.Time       `json:"detected_at"`
	Reason             string          `json:"reason"` // content: the identity was taken; sequence: the place in the stream; currency: the stream has another
	Source             string          `json:"source"`
	EventID            string          `json:"id"`
	ExistingPosition   int64           `json:"existing_position"` // of the recorded event that it collides with
	ExistingRecordedAt time.Time       `json:"existing_recorded_at"`
	Differs            []string        `json:"differs"` // names of the fields that differ
	Content            json.RawMessage `json:"content"` // public content as received, canonical
}

const sqlListConflicts = `
SELECT n, detected_at, reason, source, event_id, existing_position, existing_recorded_at, differs, content
FROM ledger.conflicts
WHERE n < $1
ORDER BY n DESC
LIMIT $2`

// ListConflicts lists conflicts, newest first: at most limit (1 to MaxLimit, 0: DefaultLimit) of those
// that come after the conflict numbered after in that order; 0 begins with the newest.
func (l *Ledger) ListConflicts(ctx context.Context, limit int, after int64) ([]ConflictRow, error) {
	limit, err := limitOf(limit, DefaultLimit, MaxLimit)
	if err != nil {
		return nil, err
	}
	if after < 0 {
		return nil, Invalid("after", "", "must not be negative")
	}
	if after == 0 {
		after = 1<<63 - 1
	}
	rows, err := l.pool.Query(ctx, sqlListConflicts, after, limit)
	if err != nil {
		return nil, readError("list conflicts", err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (ConflictRow, error) {
		var c ConflictRow
		var content string
		err := row.Scan(&c.N, &c.DetectedAt, &c.Reason, &c.Source, &c.EventID, &c.ExistingPosition, &c.ExistingRecordedAt, &c.Differs, &content)
		c.DetectedAt, c.ExistingRecordedAt, c.Content = c.DetectedAt.UTC(), c.ExistingRecordedAt.UTC(), json.RawMessage(content)
		return c, err
	})
	if err != nil {
		return nil, readError("list conflicts", err)
	}
	return list, nil
}
