package ledger

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
)

// DecodeLetter makes events of the message of a dead letter. An error that wraps ErrInvalid says what is wrong with it;
// with any other, it can't be told now.
type DecodeLetter func(ctx context.Context, m LetterMessage) ([]Event, error)

// RetriedLetter is what became of a dead letter that was to be retried.
type RetriedLetter struct {
	N        int64           `json:"n"`
	State    string          `json:"state"`              // LetterRetried; LetterOpen: it still can't be recorded; else somebody decided otherwise before
	Reason   string          `json:"reason,omitempty"`   // why it still can't
	Decision *LetterDecision `json:"decision,omitempty"` // by whoever was first
}

// lettersAtOnce is how many dead letters one transaction records.
const lettersAtOnce = 500

// lettersDropped rolls a transaction back because some of its letters can't be in it.
type lettersDropped struct{ numbers map[int64]string }

func (e *lettersDropped) Error() string {
	return fmt.Sprintf("%d dead letters can't be recorded with the others", len(e.numbers))
}

// readyLetter is a dead letter with the events in it.
type readyLetter struct {
	n      int64
	events []Event
}

// RetryLetters decodes dead letters again and records their events under the identities that they have, each letter's in one
// transaction with the decision about it. One of whose events any still can't be recorded stays open, with nothing of it
// recorded. An event that was recorded meanwhile is a duplicate; one that collides is a conflict, which is kept, to be
// decided there. Letters about which somebody decided before are answered with that decision: several people may retry the
// same ones at once. ErrNotFound if there is none of some number.
func (l *Ledger) RetryLetters(ctx context.Context, numbers []int64, decode DecodeLetter, by LetterDecide) ([]RetriedLetter, error) {
	if err := by.validate(false); err != nil {
		return nil, err
	}
	numbers = slices.Compact(slices.Sorted(slices.Values(numbers)))
	var all []RetriedLetter
	for part := range slices.Chunk(numbers, lettersAtOnce) {
		done, err := l.retryPart(ctx, part, decode, by)
		if err != nil {
			return all, err
		}
		all = append(all, done...)
	}
	return all, nil
}

const sqlOpenLetterNumbers = `
SELECT l.n
FROM ledger.dead_letters l
WHERE l.n > $1
  AND ($2::text IS NULL OR l.topic = $2)
  AND ($3::text IS NULL OR l.source = $3)
  AND ($4::timestamptz IS NULL OR l.first_seen >= $4)
  AND NOT EXISTS (SELECT FROM ledger.dead_letter_decisions d WHERE d.letter = l.n)
  AND NOT EXISTS (SELECT FROM ledger.erased_dead_letters x WHERE x.letter = l.n)
ORDER BY l.n
LIMIT $5`

// RetryAll is RetryLetters with every open letter that Topic, Source and Since of q select, oldest first. tell gets those of
// each transaction after it has ended.
func (l *Ledger) RetryAll(ctx context.Context, q LetterQuery, decode DecodeLetter, by LetterDecide, tell func([]RetriedLetter) error) error {
	if err := by.validate(false); err != nil {
		return err
	}
	var since *time.Time
	if !q.Since.IsZero() {
		since = &q.Since
	}
	for after := int64(0); ; {
		rows, err := l.pool.Query(ctx, sqlOpenLetterNumbers, after, optional(q.Topic), optional(q.Source), since, lettersAtOnce)
		if err != nil {
			return readError("find dead letters", err)
		}
		numbers, err := pgx.CollectRows(rows, pgx.RowTo[int64])
		if err != nil {
			return readError("find dead letters", err)
		}
		if len(numbers) == 0 {
			return nil
		}
		done, err := l.retryPart(ctx, numbers, decode, by)
		if err != nil {
			return err
		}
		if err := tell(done); err != nil {
			return err
		}
		after = numbers[len(numbers)-1]
	}
}

func (l *Ledger) retryPart(ctx context.Context, numbers []int64, decode DecodeLetter, by LetterDecide) ([]RetriedLetter, error) {
	reasons := map[int64]string{}
	ready, err := l.decodeLetters(ctx, numbers, decode, reasons)
	if err != nil {
		return nil, err
	}
	for len(ready) > 0 {
		n, events := 0, 0 // as many as one batch holds
		for ; n < len(ready) && (n == 0 || events+len(ready[n].events) <= MaxBatch); n++ {
			events += len(ready[n].events)
		}
		err := l.recordLetters(ctx, ready[:n], by)
		if dropped := (*lettersDropped)(nil); errors.As(err, &dropped) {
			for number, reason := range dropped.numbers {
				reasons[number] = reason
			}
			ready = slices.DeleteFunc(ready, func(r readyLetter) bool { _, gone := dropped.numbers[r.n]; return gone })
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("retry dead letters: %w", err)
		}
		ready = ready[n:]
	}
	done := make([]RetriedLetter, len(numbers))
	for i, n := range numbers {
		d, err := l.DeadLetter(ctx, n)
		if err != nil {
			return nil, err
		}
		done[i] = RetriedLetter{N: n, State: d.State, Decision: d.Decision}
		if d.State == LetterOpen {
			done[i].Reason = reasons[n]
		}
	}
	return done, nil
}

// decodeLetters decodes what isn't decided, and says in reasons why some of it can't be.
func (l *Ledger) decodeLetters(ctx context.Context, numbers []int64, decode DecodeLetter, reasons map[int64]string) ([]readyLetter, error) {
	for _, n := range numbers {
		reasons[n] = "its message wasn't kept, because it holds what its source was declared not to send: have it sent again"
	}
	messages, err := l.letterMessages(ctx, numbers)
	if err != nil {
		return nil, err
	}
	var ready []readyLetter
	for _, m := range messages {
		events, err := decode(ctx, m)
		switch {
		case errors.Is(err, ErrInvalid):
			reasons[m.N] = Message(err)
		case err != nil:
			return nil, fmt.Errorf("decode dead letter %d: %w", m.N, err)
		case len(events) > MaxBatch:
			reasons[m.N] = fmt.Sprintf("it holds %d events, and one transaction records at most %d", len(events), MaxBatch)
		default:
			delete(reasons, m.N)
			ready = append(ready, readyLetter{m.N, events})
		}
	}
	return ready, nil
}

// recordLetters records the events of letters with the decisions about them, or nothing at all.
func (l *Ledger) recordLetters(ctx context.Context, letters []readyLetter, by LetterDecide) error {
	var events []Event
	numbers := make([]int64, len(letters))
	for i, r := range letters {
		numbers[i] = r.n
		events = append(events, r.events...)
	}
	b, err := l.Prepare(ctx, events)
	if err != nil {
		return err
	}
	return l.WriteAlong(ctx, b, Along{
		First: func(ctx context.Context, tx pgx.Tx) error { return claimLetters(ctx, tx, numbers, by) },
		Last: func(ctx context.Context, tx pgx.Tx, outcomes []Outcome) error {
			return settleLetters(ctx, tx, letters, outcomes)
		},
	})
}

// claimLetters decides that letters are retried. Its error names those that somebody else decided about.
func claimLetters(ctx context.Context, tx pgx.Tx, numbers []int64, by LetterDecide) error {
	rows, err := tx.Query(ctx, sqlClaimLetters, numbers, LetterRetried, optional(by.Why), by.By)
	if err != nil {
		return fmt.Errorf("claim dead letters: %w", err)
	}
	claimed, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return fmt.Errorf("claim dead letters: %w", err)
	}
	if len(claimed) == len(numbers) {
		return nil
	}
	taken := map[int64]string{}
	for _, n := range numbers {
		if !slices.Contains(claimed, n) {
			taken[n] = ""
		}
	}
	return &lettersDropped{taken}
}

const sqlLetterEvents = `
INSERT INTO ledger.dead_letter_events (letter, item, status, source, event_id, account, occurred_at, position)
SELECT e.letter, e.item, e.status, e.source, e.event_id, e.account, e.occurred_at, e.position
FROM unnest($1::bigint[], $2::integer[], $3::text[], $4::text[], $5::text[], $6::text[], $7::timestamptz[], $8::bigint[])
    AS e (letter, item, status, source, event_id, account, occurred_at, position)`

// settleLetters writes down what became of the events of letters. Its error names the letters of which an event can't be
// recorded.
func settleLetters(ctx context.Context, tx pgx.Tx, letters []readyLetter, outcomes []Outcome) error {
	refused := map[int64]string{}
	var (
		numbers, positions               []int64
		items                            []int32
		statuses, sources, ids, accounts []string
		times                            []time.Time
	)
	at := 0
	for _, r := range letters {
		for i := range r.events {
			e, o := &r.events[i], outcomes[at]
			at++
			if o.Status == Rejected {
				if _, said := refused[r.n]; !said {
					refused[r.n] = Message(o.Err)
				}
				continue
			}
			numbers, items, statuses = append(numbers, r.n), append(items, int32(i+1)), append(statuses, string(o.Status))
			sources, ids, accounts = append(sources, e.Source), append(ids, e.ID), append(accounts, e.Account)
			times, positions = append(times, e.OccurredAt), append(positions, o.Position)
		}
	}
	if len(refused) > 0 {
		return &lettersDropped{refused}
	}
	if _, err := tx.Exec(ctx, sqlLetterEvents, numbers, items, statuses, sources, ids, accounts, times, positions); err != nil {
		return fmt.Errorf("note what became of dead letters: %w", err)
	}
	return nil
}
