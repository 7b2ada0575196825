package ledger

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// LetterDecide says who decides about dead letters, and why.
type LetterDecide struct {
	Why string // kept; must be given to discard
	By  string
}

func (d LetterDecide) validate(discard bool) error {
	switch {
	case discard && strings.TrimSpace(d.Why) == "":
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

// The letters are claimed in their order, so that two of these wait for each other instead of in a circle. Whoever comes
// second waits here until the first one's transaction has ended.
const sqlClaimLetters = `
INSERT INTO ledger.dead_letter_decisions (letter, outcome, why, decided_by)
SELECT n, $2, $3, $4
FROM unnest($1::bigint[]) AS n
ORDER BY n
ON CONFLICT DO NOTHING
RETURNING letter`

// DiscardLetter decides that a dead letter isn't wanted. The same decision again changes nothing and is answered with the
// first; ErrConflict if it was retried, ErrNotFound if there is none of that number.
func (l *Ledger) DiscardLetter(ctx context.Context, n int64, by LetterDecide) (DeadLetter, error) {
	if err := by.validate(true); err != nil {
		return DeadLetter{}, err
	}
	if _, err := l.DeadLetter(ctx, n); err != nil {
		return DeadLetter{}, err
	}
	if _, err := l.pool.Exec(ctx, sqlClaimLetters, []int64{n}, LetterDiscarded, optional(by.Why), by.By); err != nil {
		return DeadLetter{}, readError("discard a dead letter", err)
	}
	d, err := l.DeadLetter(ctx, n)
	if err != nil {
		return DeadLetter{}, err
	}
	if d.State != LetterDiscarded {
		return DeadLetter{}, fmt.Errorf("dead letter %d was %s by %s on %s: %w", n, d.State, shown(d.Decision.By), d.Decision.DecidedAt.Format(time.RFC3339), ErrConflict)
	}
	return d, nil
}

// OpenLetters counts the dead letters of each topic about which nobody has decided.
type OpenLetters struct {
	Topic   string
	Letters int64
	Oldest  int64 // its number
	Since   time.Time
}

const sqlOpenLetters = `
SELECT l.topic, count(*), min(l.n), min(l.first_seen)
FROM ledger.dead_letters l
WHERE NOT EXISTS (SELECT FROM ledger.dead_letter_decisions d WHERE d.letter = l.n)
  AND NOT EXISTS (SELECT FROM ledger.erased_dead_letters x WHERE x.letter = l.n)
GROUP BY l.topic
ORDER BY l.topic`

// CountOpenLetters counts dead letters, by topic in the order of their names. db is a pool or a transaction.
func CountOpenLetters(ctx context.Context, db querier) ([]OpenLetters, error) {
	rows, err := db.Query(ctx, sqlOpenLetters)
	if err != nil {
		return nil, readError("count dead letters", err)
	}
	defer rows.Close()
	var all []OpenLetters
	for rows.Next() {
		var o OpenLetters
		if err := rows.Scan(&o.Topic, &o.Letters, &o.Oldest, &o.Since); err != nil {
			return nil, readError("count dead letters", err)
		}
		o.Since = o.Since.UTC()
		all = append(all, o)
	}
	if err := rows.Err(); err != nil {
		return nil, readError("count dead letters", err)
	}
	return all, nil
}
