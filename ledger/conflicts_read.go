package ledger

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// ConflictRow is what arrived under an identity, or for a place in a stream, that other content had.
type ConflictRow struct {
	N                  int64             `json:"n"` // the conflict's own number
	DetectedAt         time.Time         `json:"detected_at"`
	Reason             string            `json:"reason"` // content: the identity was taken; sequence: the place in the stream; currency: the stream has another
	Source             string            `json:"source"`
	EventID            string            `json:"id"`
	ExistingPosition   int64             `json:"existing_position"` // of the recorded event that it collides with
	ExistingRecordedAt time.Time         `json:"existing_recorded_at"`
	Differs            []string          `json:"differs"`            // names of the fields that differ
	Content            json.RawMessage   `json:"content"`            // public content as received, canonical
	Decision           *ConflictDecision `json:"decision,omitempty"` // nil: nobody has decided yet
	Erased             *Erased           `json:"erased,omitempty"`   // its private content is gone
}

// ConflictQuery asks for conflicts. The zero value asks for the newest ones.
type ConflictQuery struct {
	Source string // of what arrived; empty: of any
	Reason string // content, sequence or currency; empty: any
	State  string // open: nobody has decided yet; decided; empty: both
	Limit  int    // 1 to MaxLimit; 0: DefaultLimit
	After  int64  // go on after the conflict of this number; 0: begin with the newest
}

// The states that ConflictQuery takes.
const (
	ConflictOpen    = "open"
	ConflictDecided = "decided"
)

// conflictColumns are in the order of scanConflict; of ledger.conflicts c and ledger.conflict_decisions d.
const conflictColumns = `c.n, c.detected_at, c.reason, c.source, c.event_id, c.existing_position, c.existing_recorded_at, c.differs, c.content,
       d.outcome, d.event_id, d.seqn, d.position, d.why, d.decided_by, d.decided_at`

const sqlListConflicts = `
SELECT ` + conflictColumns + `
FROM ledger.conflicts c
LEFT JOIN ledger.conflict_decisions d ON d.conflict = c.n
WHERE c.n < $1
  AND ($2::text IS NULL OR c.source = $2)
  AND ($3::text IS NULL OR c.reason = $3)
  AND ($4::boolean IS NULL OR (d.conflict IS NOT NULL) = $4)
ORDER BY c.n DESC
LIMIT $5`

// ListConflicts lists conflicts, newest first.
func (l *Ledger) ListConflicts(ctx context.Context, q ConflictQuery) ([]ConflictRow, error) {
	limit, err := limitOf(q.Limit, DefaultLimit, MaxLimit)
	if err != nil {
		return nil, err
	}
	after, err := afterOf(q.After)
	if err != nil {
		return nil, err
	}
	var decided *bool
	switch q.State {
	case "":
	case ConflictOpen, ConflictDecided:
		is := q.State == ConflictDecided
		decided = &is
	default:
		return nil, Invalid("state", q.State, "must be open or decided")
	}
	if q.Reason != "" && q.Reason != reasonContent && q.Reason != reasonSequence && q.Reason != reasonCurrency {
		return nil, Invalid("reason", q.Reason, "must be content, sequence or currency")
	}
	if !storable(q.Source) {
		return nil, Invalid("source", shown(q.Source), ruleStorable)
	}
	rows, err := l.pool.Query(ctx, sqlListConflicts, after, optional(q.Source), optional(q.Reason), decided, limit)
	if err != nil {
		return nil, readError("list conflicts", err)
	}
	list, err := pgx.CollectRows(rows, scanConflict)
	if err != nil {
		return nil, readError("list conflicts", err)
	}
	return list, markErasedConflicts(ctx, l.pool, list)
}

func markErasedConflicts(ctx context.Context, db querier, list []ConflictRow) error {
	numbers := make([]int64, len(list))
	for i := range list {
		numbers[i] = list[i].N
	}
	erased, err := readErased(ctx, db, sqlErasedConflicts, numbers)
	if err != nil {
		return err
	}
	for i := range list {
		if e, ok := erased[list[i].N]; ok {
			list[i].Erased = &e
		}
	}
	return nil
}

func scanConflict(row pgx.CollectableRow) (ConflictRow, error) {
	var (
		c                    ConflictRow
		content              string
		outcome, id, why, by *string
		seqn, position       *int64
		decidedAt            *time.Time
	)
	err := row.Scan(&c.N, &c.DetectedAt, &c.Reason, &c.Source, &c.EventID, &c.ExistingPosition, &c.ExistingRecordedAt, &c.Differs, &content,
		&outcome, &id, &seqn, &position, &why, &by, &decidedAt)
	if err != nil {
		return c, err
	}
	c.DetectedAt, c.ExistingRecordedAt, c.Content = c.DetectedAt.UTC(), c.ExistingRecordedAt.UTC(), json.RawMessage(content)
	if outcome != nil {
		c.Decision = &ConflictDecision{
			Conflict: c.N, Outcome: *outcome, EventID: text(id), Seqn: seqn, Position: position, Why: text(why), By: text(by), DecidedAt: decidedAt.UTC(),
		}
	}
	return c, nil
}

// ConflictView is a conflict beside what it collides with.
type ConflictView struct {
	Conflict ConflictRow     `json:"conflict"`
	Recorded Row             `json:"recorded"`          // the event that was there
	Fields   []ConflictField `json:"fields"`            // of both, in a fixed order
	Payload  json.RawMessage `json:"payload,omitempty"` // of what arrived; only where private content was asked for
	PII      json.RawMessage `json:"pii,omitempty"`     // private dimensions; as the payload
}

// ConflictField is one field of the two versions, as text; nil where a version doesn't have it.
type ConflictField struct {
	Name     string  `json:"name"` // as in an event: amount, dimensions.country, measures.commission
	Recorded *string `json:"recorded"`
	Arrived  *string `json:"arrived"`
	Differs  bool    `json:"differs"`
}

const sqlConflict = `
SELECT ` + conflictColumns + `
FROM ledger.conflicts c
LEFT JOIN ledger.conflict_decisions d ON d.conflict = c.n
WHERE c.n = $1`

const sqlConflictPrivate = `
SELECT payload, pii::text
FROM ledger.conflict_private
WHERE conflict = $1`

// Conflict shows a conflict; ErrNotFound if there is none of that number. With private, the private content of
// both versions comes along, as far as there is any and it wasn't erased.
func (l *Ledger) Conflict(ctx context.Context, n int64, private bool) (ConflictView, error) {
	c, err := readConflict(ctx, l.pool, n)
	if err != nil {
		return ConflictView{}, err
	}
	catalogue, err := l.Catalogue(ctx)
	if err != nil {
		return ConflictView{}, err
	}
	v := ConflictView{Conflict: c}
	rows, err := l.fetch(ctx, l.pool, catalogue, places{{c.ExistingPosition, c.ExistingRecordedAt}}, private)
	if err != nil {
		return ConflictView{}, err
	}
	if len(rows) != 1 {
		return ConflictView{}, fmt.Errorf("conflict %d is with position %d, which is not among the events: %w", n, c.ExistingPosition, ErrCorrupt)
	}
	v.Recorded = rows[0]
	arrived, err := eventOfContent(c.Content)
	if err != nil {
		return ConflictView{}, fmt.Errorf("read conflict %d: %w", n, err)
	}
	if private {
		var payload, pii *string
		err := l.pool.QueryRow(ctx, sqlConflictPrivate, n).Scan(&payload, &pii)
		if err != nil && !isNoRows(err) {
			return ConflictView{}, readError("read the private content of a conflict", err)
		}
		if v.Payload, err = jsonOf(payload); err != nil {
			return ConflictView{}, err
		}
		if pii != nil {
			v.PII = json.RawMessage(*pii)
		}
	}
	v.Fields, err = sideBySide(&v, &arrived)
	return v, err
}

func readConflict(ctx context.Context, db querier, n int64) (ConflictRow, error) {
	rows, err := db.Query(ctx, sqlConflict, n)
	if err != nil {
		return ConflictRow{}, readError("read a conflict", err)
	}
	list, err := pgx.CollectRows(rows, scanConflict)
	if err != nil {
		return ConflictRow{}, readError("read a conflict", err)
	}
	if len(list) == 0 {
		return ConflictRow{}, fmt.Errorf("conflict %d: %w", n, ErrNotFound)
	}
	return list[0], markErasedConflicts(ctx, db, list)
}
