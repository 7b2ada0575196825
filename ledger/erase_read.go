package ledger

import (
	"context"
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5"
)

// Erased says that the private content of an event or a conflict is gone.
type Erased struct {
	At      time.Time `json:"at"`      // UTC
	Erasure int64     `json:"erasure"` // number of the erasure that covered it
	Why     string    `json:"why"`
	By      string    `json:"by"`
	Payload bool      `json:"payload"`       // it had a payload
	PII     []string  `json:"pii,omitempty"` // names of the private dimensions that it had
}

// MarshalJSON writes the time as other answers do.
func (e Erased) MarshalJSON() ([]byte, error) {
	type fields Erased
	return json.Marshal(struct {
		At string `json:"at"`
		fields
	}{e.At.UTC().Format(microLayout), fields(e)})
}

const sqlErasedOf = `
SELECT x.position, x.erased_at, x.erasure, e.why, e.erased_by, x.payload, x.pii
FROM ledger.erased x
JOIN ledger.erasures e ON e.n = x.erasure
WHERE x.position = ANY ($1)`

// markErased says of rows whose private content was erased that it was.
func markErased(ctx context.Context, db querier, rows []Row) error {
	positions := make([]int64, len(rows))
	for i := range rows {
		positions[i] = rows[i].Position
	}
	erased, err := readErased(ctx, db, sqlErasedOf, positions)
	if err != nil {
		return err
	}
	for i := range rows {
		if e, ok := erased[rows[i].Position]; ok {
			rows[i].Erased = &e
		}
	}
	return nil
}

const sqlErasedConflicts = `
SELECT x.conflict, x.erased_at, x.erasure, e.why, e.erased_by, x.payload, x.pii
FROM ledger.erased_conflicts x
JOIN ledger.erasures e ON e.n = x.erasure
WHERE x.conflict = ANY ($1)`

// readErased reads which of some positions or conflicts were erased.
func readErased(ctx context.Context, db querier, sql string, of []int64) (map[int64]Erased, error) {
	if len(of) == 0 {
		return nil, nil
	}
	rows, err := db.Query(ctx, sql, of)
	if err != nil {
		return nil, readError("read what was erased", err)
	}
	found := map[int64]Erased{}
	_, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (struct{}, error) {
		var of int64
		var e Erased
		err := row.Scan(&of, &e.At, &e.Erasure, &e.Why, &e.By, &e.Payload, &e.PII)
		e.At = e.At.UTC()
		found[of] = e
		return struct{}{}, err
	})
	if err != nil {
		return nil, readError("read what was erased", err)
	}
	return found, nil
}

// What an erasure that was stopped had erased is counted.
const sqlErasures = `
SELECT e.n, e.scope, COALESCE(e.account, ''), COALESCE(e.source, ''), COALESCE(e.event_id, ''), COALESCE(e.before::text, ''), COALESCE(e.letter, 0), e.why, e.erased_by,
       e.begun_at, d.ended_at,
       COALESCE(d.events, (SELECT count(*) FROM ledger.erased x WHERE x.erasure = e.n)),
       COALESCE(d.conflicts, (SELECT count(*) FROM ledger.erased_conflicts x WHERE x.erasure = e.n)),
       COALESCE(d.dead_letters, (SELECT count(*) FROM ledger.erased_dead_letters x WHERE x.erasure = e.n))
FROM ledger.erasures e
LEFT JOIN ledger.erasure_ends d ON d.erasure = e.n
WHERE e.n < $1
ORDER BY e.n DESC
LIMIT $2`

// Erasures lists erasures, newest first: at most limit (1 to MaxLimit, 0: DefaultLimit) of those that come
// after the erasure numbered after in that order; 0 begins with the newest.
func (l *Ledger) Erasures(ctx context.Context, limit int, after int64) ([]Erasure, error) {
	limit, err := limitOf(limit, DefaultLimit, MaxLimit)
	if err != nil {
		return nil, err
	}
	if after, err = afterOf(after); err != nil {
		return nil, err
	}
	rows, err := l.pool.Query(ctx, sqlErasures, after, limit)
	if err != nil {
		return nil, readError("list erasures", err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (e Erasure, err error) {
		err = row.Scan(&e.N, &e.Scope, &e.Account, &e.Source, &e.Event, &e.Before, &e.Letter, &e.Why, &e.By, &e.BegunAt, &e.EndedAt, &e.Events, &e.Conflicts, &e.Letters)
		e.BegunAt = e.BegunAt.UTC()
		if e.EndedAt != nil {
			at := e.EndedAt.UTC()
			e.EndedAt = &at
		}
		return e, err
	})
	if err != nil {
		return nil, readError("list erasures", err)
	}
	return list, nil
}

// afterOf is the number below which a listing goes on, newest first; 0 begins with the newest.
func afterOf(after int64) (int64, error) {
	switch {
	case after < 0:
		return 0, Invalid("after", "", "must not be negative")
	case after == 0:
		return 1<<63 - 1, nil
	}
	return after, nil
}
