package ledger

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"deltaledger/ledger/pg"
)

// Outcomes of a decision about a conflict.
const (
	Dismissed    = "dismissed" // what arrived isn't wanted
	RecordedAsID = "recorded"  // what arrived was recorded as an event of its own
)

// ConflictDecision is what a person decided about a conflict. There is one for each conflict at most.
type ConflictDecision struct {
	Conflict  int64     `json:"conflict"` // its number
	Outcome   string    `json:"outcome"`  // Dismissed or RecordedAsID
	EventID   string    `json:"id,omitempty"`
	Seqn      *int64    `json:"seqn,omitempty"`     // the one that was asked for; nil: the one that it came with
	Position  *int64    `json:"position,omitempty"` // of the event that was recorded
	Why       string    `json:"why"`
	By        string    `json:"by"`
	DecidedAt time.Time `json:"decided_at"` // UTC
}

// Decide asks for a decision: to dismiss what arrived, or to record it as an event of its own.
type Decide struct {
	Dismiss  bool
	RecordAs string // new ID in the source of what arrived
	Seqn     *int64 // of the new event; nil: the one that it came with, or none
	Why      string // the reason, which is kept
	By       string // who decides
}

func (d Decide) validate() error {
	switch {
	case d.Dismiss == (d.RecordAs != ""):
		return Invalid("outcome", "", "must be either dismissed, or recorded with the id under which to record it")
	case d.Dismiss && d.Seqn != nil:
		return Invalid("seqn", "", "belongs to an event that is recorded")
	case len(d.RecordAs) > MaxID || !storable(d.RecordAs):
		return invalidf("id", d.RecordAs, "%s, in at most %d bytes", ruleStorable, MaxID)
	case strings.TrimSpace(d.Why) == "":
		return Invalid("why", "", "must say why")
	case d.By == "":
		return Invalid("by", "", "must say who")
	}
	for _, f := range []struct{ name, value string }{{"why", d.Why}, {"by", d.By}} {
		if len(f.value) > MaxText || !storable(f.value) {
			return invalidf(f.name, f.value, "%s, in at most %d bytes", ruleStorable, MaxText)
		}
	}
	return nil
}

// same reports whether d asks for what was decided.
func (d Decide) same(as *ConflictDecision) bool {
	if d.Dismiss {
		return as.Outcome == Dismissed
	}
	return as.Outcome == RecordedAsID && as.EventID == d.RecordAs && (as.Seqn == nil) == (d.Seqn == nil) && (d.Seqn == nil || *as.Seqn == *d.Seqn)
}

// DecideConflict records what a person decided about conflict n, and with RecordAs what arrived as an event of
// its own, both in one transaction. The event goes the usual way: it may be invalid (ErrInvalid) or collide
// again (ErrConflict), and then nothing is decided. The same decision again changes nothing and is answered with
// the first; another one is ErrConflict. ErrNotFound if there is no such conflict.
func (l *Ledger) DecideConflict(ctx context.Context, n int64, d Decide) (ConflictDecision, error) {
	if err := d.validate(); err != nil {
		return ConflictDecision{}, err
	}
	decision, err := l.decide(ctx, n, d)
	if pg.IsUniqueViolation(err) { // somebody decided at the same moment: what they decided is there now
		decision, err = l.decide(ctx, n, d)
	}
	return decision, err
}

func (l *Ledger) decide(ctx context.Context, n int64, d Decide) (ConflictDecision, error) {
	c, err := readConflict(ctx, l.pool, n)
	if err != nil {
		return ConflictDecision{}, err
	}
	if c.Decision != nil {
		if d.same(c.Decision) {
			return *c.Decision, nil
		}
		return ConflictDecision{}, decidedError(c.Decision)
	}
	if d.Dismiss {
		return insertDecision(ctx, l.pool, ConflictDecision{Conflict: n, Outcome: Dismissed, Why: d.Why, By: d.By})
	}
	e, err := l.arrived(ctx, c)
	if err != nil {
		return ConflictDecision{}, err
	}
	e.ID = d.RecordAs
	if d.Seqn != nil {
		e.Seqn, e.HasSeqn = *d.Seqn, true
	}
	b, err := l.Prepare(ctx, []Event{e})
	if err != nil {
		return ConflictDecision{}, err
	}
	for {
		decision, err := l.recordDecided(ctx, b, ConflictDecision{Conflict: n, Outcome: RecordedAsID, EventID: d.RecordAs, Seqn: d.Seqn, Why: d.Why, By: d.By})
		if !errors.Is(err, errDeclared) {
			return decision, err
		}
		b.forget()
		if err := l.prepareAgain(ctx, b); err != nil {
			return ConflictDecision{}, err
		}
	}
}

// recordDecided records the one event of b and the decision that it belongs to, or neither.
func (l *Ledger) recordDecided(ctx context.Context, b *Batch, d ConflictDecision) (decision ConflictDecision, err error) {
	if err := l.awaitDeclared(ctx, b); err != nil {
		return ConflictDecision{}, err
	}
	err = l.inTx(ctx, func(tx pgx.Tx) error {
		w := writer{l: l, atomic: true, run: func(f func(pgx.Tx) error) error { return pg.InSavepoint(ctx, tx, f) }}
		if err := w.write(ctx, b, b.all()); err != nil {
			return fmt.Errorf("record what arrived: %w", err)
		}
		o := b.Outcomes[0]
		if err := notRecorded(o); err != nil {
			return err
		}
		d.Position = &o.Position
		var err error
		decision, err = insertDecision(ctx, tx, d)
		return err
	})
	return decision, err
}

func decidedError(d *ConflictDecision) error {
	what := "dismissed"
	if d.Outcome == RecordedAsID {
		what = fmt.Sprintf("recorded as %q at position %d", d.EventID, *d.Position)
	}
	return fmt.Errorf("conflict %d was %s by %s on %s: %w", d.Conflict, what, shown(d.By), d.DecidedAt.Format(time.RFC3339), ErrConflict)
}

// notRecorded says why what arrived can't be recorded under another identity; nil if it is.
func notRecorded(o Outcome) error {
	switch o.Status {
	case Recorded, Duplicate:
		return nil
	case Conflict:
		hint := "choose another id"
		switch o.Err.Field {
		case "seqn":
			hint = "give a seqn that is free"
		case "currency":
			hint = "have it sent again in the currency of its stream, or record an adjustment"
		}
		return fmt.Errorf("%s; %s: %w", o.Err.Error(), hint, ErrConflict)
	default:
		return o.Err
	}
}

// arrived is the event that a conflict kept, as it was sent. What was private then stays private, whatever is
// declared now; what was erased is missing.
func (l *Ledger) arrived(ctx context.Context, c ConflictRow) (Event, error) {
	e, err := eventOfContent(c.Content)
	if err != nil {
		return Event{}, fmt.Errorf("read conflict %d: %w", c.N, err)
	}
	var payload, pii *string
	err = l.pool.QueryRow(ctx, sqlConflictPrivate, c.N).Scan(&payload, &pii)
	if err != nil && !(isNoRows(err) && c.Erased != nil) {
		return Event{}, readError(fmt.Sprintf("read the private content of conflict %d", c.N), err)
	}
	if payload != nil {
		e.Payload = []byte(*payload)
	}
	if pii != nil {
		names, err := scalars("", []byte(*pii))
		if err != nil {
			return Event{}, fmt.Errorf("read conflict %d: %w", c.N, err)
		}
		for _, f := range names {
			e.hidden = append(e.hidden, f.name)
		}
		if e.Dimensions, err = joined(e.Dimensions, *pii); err != nil {
			return Event{}, fmt.Errorf("read conflict %d: %w", c.N, err)
		}
	}
	return e, nil
}

const sqlInsertDecision = `
INSERT INTO ledger.conflict_decisions (conflict, outcome, event_id, seqn, position, why, decided_by)
VALUES ($1, $2, $3, $4, $5, $6, $7)
RETURNING decided_at`

type rowQuerier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

func insertDecision(ctx context.Context, db rowQuerier, d ConflictDecision) (ConflictDecision, error) {
	err := db.QueryRow(ctx, sqlInsertDecision, d.Conflict, d.Outcome, optional(d.EventID), d.Seqn, d.Position, d.Why, d.By).Scan(&d.DecidedAt)
	if err != nil {
		return ConflictDecision{}, fmt.Errorf("record the decision about conflict %d: %w", d.Conflict, err)
	}
	d.DecidedAt = d.DecidedAt.UTC()
	return d, nil
}
