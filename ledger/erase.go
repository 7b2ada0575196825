package ledger

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"deltaledger/ledger/pg"
)

// Scopes of an erasure.
const (
	EraseAccount = "account" // everything of one account
	EraseEvent   = "event"   // one event
	EraseBefore  = "before"  // everything with an earlier business date, of one source or of all
	EraseLetter  = "dead_letter"
)

// EraseRequest asks to erase private content: payloads, dimensions that are private, and the messages of dead letters.
// Exactly one of Account, Event with Source, Before and Letter is given.
type EraseRequest struct {
	Account string // the account as events name it, exactly
	Source  string // of Event; or narrows Before
	Event   string // ID of the event within Source
	Before  string // a date, such as 2024-01-01: what has an earlier business date
	Letter  int64  // number of a dead letter about which somebody decided
	Why     string // the reason, which is kept for ever
	By      string // who decides
	DryRun  bool   // only count

	// Progress is told how many contents are erased of how many there were to erase; may be nil.
	Progress func(done, total int64)
}

// Erasure is the record of one erasure.
type Erasure struct {
	N         int64      `json:"n"`     // its number; 0 of a dry run
	Scope     string     `json:"scope"` // EraseAccount, EraseEvent, EraseBefore or EraseLetter
	Account   string     `json:"account,omitempty"`
	Source    string     `json:"source,omitempty"`
	Event     string     `json:"event,omitempty"`
	Before    string     `json:"before,omitempty"` // date
	Letter    int64      `json:"dead_letter,omitempty"`
	Why       string     `json:"why"`
	By        string     `json:"by"`
	BegunAt   time.Time  `json:"begun_at,omitzero"`  // UTC
	EndedAt   *time.Time `json:"ended_at,omitempty"` // UTC; nil: it was stopped before its end, or is under way
	Events    int64      `json:"events"`             // that lost their private content; of a dry run, that would lose it
	Conflicts int64      `json:"conflicts"`          // likewise
	Letters   int64      `json:"dead_letters"`       // that lost their message; likewise
	DryRun    bool       `json:"dry_run,omitempty"`  // nothing was erased
}

// eraseAtOnce is how many rows one transaction of an erasure looks at: it takes well under a second.
const eraseAtOnce = 5000

func (q EraseRequest) erasure() (Erasure, error) {
	e := Erasure{Account: q.Account, Source: q.Source, Event: q.Event, Before: q.Before, Letter: q.Letter, Why: strings.TrimSpace(q.Why), By: q.By, DryRun: q.DryRun}
	for _, f := range []struct {
		name, value string
		most        int
	}{{"account", q.Account, MaxAccount}, {"source", q.Source, MaxSource}, {"event", q.Event, MaxID}, {"why", q.Why, MaxText}, {"by", q.By, MaxText}} {
		if len(f.value) > f.most || !storable(f.value) {
			return e, invalidf(f.name, f.value, "%s, in at most %d bytes", ruleStorable, f.most)
		}
	}
	const rule = "one of account, event (with its source) and before says what to erase"
	switch {
	case q.Letter != 0 && (q.Letter < 0 || q.Account+q.Event+q.Before+q.Source != ""):
		return e, Invalid("dead_letter", "", "must be the number of one, and stand alone")
	case q.Letter != 0:
		e.Scope = EraseLetter
	case q.Account != "" && q.Event+q.Before+q.Source == "":
		e.Scope = EraseAccount
	case q.Event != "" && q.Source != "" && q.Account+q.Before == "":
		e.Scope = EraseEvent
	case q.Before != "" && q.Account+q.Event == "":
		e.Scope = EraseBefore
		if _, err := time.Parse(time.DateOnly, q.Before); err != nil {
			return e, Invalid("before", q.Before, "must be a date, such as 2024-01-01")
		}
	case q.Account+q.Event+q.Before == "":
		return e, Invalid("account", "", "is missing: "+rule)
	case q.Event != "" && q.Source == "":
		return e, Invalid("source", "", "is missing: an id names an event only within its source")
	default:
		return e, Invalid("account", "", "must not stand beside the others: "+rule)
	}
	switch {
	case e.Why == "":
		return e, Invalid("why", "", "must say why")
	case q.By == "":
		return e, Invalid("by", "", "must say who")
	}
	return e, nil
}

// Erase erases private content for ever, with the salts that bind it: the one exception of invariant 1.
// Everything else of the events stays, and whatever was said about their sums, seals and proofs stays true.
// It covers what is recorded when it looks; what arrives later isn't covered. A scope without private
// content is recorded too, as an erasure of nothing; an event that was never recorded is ErrNotFound.
//
// Large scopes are erased in parts. If it is stopped between them, what was erased stays so, and the same
// request again goes on where it was stopped, under the same number.
func (l *Ledger) Erase(ctx context.Context, q EraseRequest) (Erasure, error) {
	e, err := q.erasure()
	if err != nil {
		return Erasure{}, err
	}
	// A slip in the year would erase everything, and nothing brings it back.
	if tomorrow := l.now().In(l.zone).AddDate(0, 0, 1).Format(time.DateOnly); e.Before > tomorrow {
		return Erasure{}, invalidf("before", e.Before, "must not be after tomorrow, %s, which means everything", tomorrow)
	}
	if err = l.countErasable(ctx, &e); err != nil || q.DryRun {
		return e, err
	}
	if err := l.beginErasure(ctx, &e); err != nil {
		return Erasure{}, err
	}
	t := eraseTally{total: e.Events + e.Conflicts + e.Letters, tell: q.Progress}
	if err := l.eraseAll(ctx, &e, &t); err != nil {
		return Erasure{}, fmt.Errorf("erasure %d was stopped; the same request again goes on with it: %w", e.N, err)
	}
	return e, l.endErasure(ctx, &e)
}

// eraseAll erases what is in the scope of e.
func (l *Ledger) eraseAll(ctx context.Context, e *Erasure, t *eraseTally) error {
	if e.Scope != EraseLetter {
		if err := l.eraseEvents(ctx, e.N, t); err != nil {
			return err
		}
		if err := l.eraseConflicts(ctx, e.N, t); err != nil {
			return err
		}
	}
	return l.eraseLetters(ctx, e.N, t)
}

// eraseTally counts for whoever wants to see it.
type eraseTally struct {
	done, total int64
	tell        func(done, total int64)
}

func (t *eraseTally) add(n int64) {
	t.done += n
	if t.tell != nil {
		t.tell(t.done, max(t.total, t.done))
	}
}

const sqlCountErasableEvents = `
SELECT count(*)
FROM ledger.private p` + EventAtP + `
WHERE ($1::text IS NULL OR e.account = $1)
  AND ($2::text IS NULL OR e.source = $2)
  AND ($3::uuid IS NULL OR e.position = (SELECT k.position FROM ledger.event_keys k WHERE k.event_key = $3))
  AND ($4::date IS NULL OR e.business_date < $4)`

const sqlCountErasableConflicts = `
SELECT count(*)
FROM ledger.conflicts c
JOIN ledger.conflict_private s ON s.conflict = c.n AND (s.payload IS NOT NULL OR s.pii IS NOT NULL)
CROSS JOIN LATERAL (SELECT c.existing_position, c.existing_recorded_at) AS p (position, recorded_at)
LEFT JOIN ` + lateralEventAtP + ` ON true
WHERE ($1::text IS NULL OR c.content::jsonb ->> 'account' = $1 OR e.account = $1)
  AND ($2::text IS NULL OR c.source = $2)
  AND ($3::uuid IS NULL OR c.event_key = $3)
  AND ($4::date IS NULL OR ((c.content::jsonb ->> 'occurred_at')::timestamptz AT TIME ZONE $5)::date < $4)`

const sqlIsKnown = `
SELECT EXISTS (SELECT FROM ledger.event_keys WHERE event_key = $1) OR EXISTS (SELECT FROM ledger.conflicts WHERE event_key = $1)
    OR EXISTS (SELECT FROM ledger.dead_letters WHERE source = $2 AND event_id = $3)`

// countErasable counts the private contents in a scope.
func (l *Ledger) countErasable(ctx context.Context, e *Erasure) error {
	var key *uuid.UUID
	if e.Scope == EraseEvent {
		k := uuid.UUID(EventKey(e.Source, e.Event))
		key = &k
		var known bool
		if err := l.pool.QueryRow(ctx, sqlIsKnown, k, e.Source, e.Event).Scan(&known); err != nil {
			return readError("look for what to erase", err)
		}
		if !known {
			return fmt.Errorf("event %q of source %q: %w", shown(e.Event), shown(e.Source), ErrNotFound)
		}
	}
	if err := l.countErasableLetters(ctx, e); err != nil || e.Scope == EraseLetter {
		return err
	}
	args := []any{optional(e.Account), optional(e.Source), key, optional(e.Before)}
	if err := l.pool.QueryRow(ctx, sqlCountErasableEvents, args...).Scan(&e.Events); err != nil {
		return readError("count what to erase", err)
	}
	if err := l.pool.QueryRow(ctx, sqlCountErasableConflicts, append(args, l.settings.ReportingZone)...).Scan(&e.Conflicts); err != nil {
		return readError("count what to erase", err)
	}
	return nil
}

// optional is nil for an empty text, which the database keeps as null.
func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// Two of the same request at once would both find none to go on with, and record it twice.
const sqlLockErasures = `SELECT pg_advisory_xact_lock(17484, 16)`

const sqlUnendedErasure = `
SELECT e.n, e.begun_at
FROM ledger.erasures e
WHERE e.scope = $1 AND e.account IS NOT DISTINCT FROM $2 AND e.source IS NOT DISTINCT FROM $3 AND e.event_id IS NOT DISTINCT FROM $4
  AND e.before IS NOT DISTINCT FROM $5 AND e.letter IS NOT DISTINCT FROM $6 AND e.why = $7 AND e.erased_by = $8
  AND NOT EXISTS (SELECT FROM ledger.erasure_ends d WHERE d.erasure = e.n)
ORDER BY e.n
LIMIT 1`

const sqlInsertErasure = `
INSERT INTO ledger.erasures (scope, account, source, event_id, before, letter, why, erased_by)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
RETURNING n, begun_at`

// beginErasure records the request, or finds it where it was stopped.
func (l *Ledger) beginErasure(ctx context.Context, e *Erasure) error {
	var letter *int64
	if e.Scope == EraseLetter {
		letter = &e.Letter
	}
	args := []any{e.Scope, optional(e.Account), optional(e.Source), optional(e.Event), optional(e.Before), letter, e.Why, e.By}
	err := pg.InTx(ctx, l.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, sqlLockErasures); err != nil {
			return err
		}
		err := tx.QueryRow(ctx, sqlUnendedErasure, args...).Scan(&e.N, &e.BegunAt)
		if isNoRows(err) {
			err = tx.QueryRow(ctx, sqlInsertErasure, args...).Scan(&e.N, &e.BegunAt)
		}
		return err
	})
	e.BegunAt = e.BegunAt.UTC()
	if err != nil {
		return readError("record the erasure", err)
	}
	return nil
}

const sqlEraseEvents = `
SELECT looked, gone, last_time, last_position
FROM ledger.erase_events($1, $2, $3, $4)`

func (l *Ledger) eraseEvents(ctx context.Context, n int64, t *eraseTally) error {
	last, position := any("-infinity"), int64(-1)
	for {
		var looked, gone int64
		var lastTime *time.Time
		var lastPosition *int64
		if err := l.pool.QueryRow(ctx, sqlEraseEvents, n, last, position, eraseAtOnce).Scan(&looked, &gone, &lastTime, &lastPosition); err != nil {
			return readError("erase private content", err)
		}
		t.add(gone)
		if looked < eraseAtOnce {
			return nil
		}
		last, position = *lastTime, *lastPosition
	}
}

const sqlEraseConflicts = `
SELECT looked, gone, last_n
FROM ledger.erase_conflicts($1, $2, $3)`

func (l *Ledger) eraseConflicts(ctx context.Context, n int64, t *eraseTally) error {
	for last := int64(0); ; {
		var looked, gone int64
		var lastN *int64
		if err := l.pool.QueryRow(ctx, sqlEraseConflicts, n, last, eraseAtOnce).Scan(&looked, &gone, &lastN); err != nil {
			return readError("erase private content of conflicts", err)
		}
		t.add(gone)
		if looked < eraseAtOnce {
			return nil
		}
		last = *lastN
	}
}

const sqlEndErasure = `
SELECT events, conflicts, dead_letters, ended_at
FROM ledger.end_erasure($1)`

func (l *Ledger) endErasure(ctx context.Context, e *Erasure) error {
	var ended time.Time
	if err := l.pool.QueryRow(ctx, sqlEndErasure, e.N).Scan(&e.Events, &e.Conflicts, &e.Letters, &ended); err != nil {
		return readError("end the erasure", err)
	}
	ended = ended.UTC()
	e.EndedAt = &ended
	return nil
}
