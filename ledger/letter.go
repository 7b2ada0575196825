package ledger

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// The states that a dead letter has, and LetterQuery takes.
const (
	LetterOpen      = "open"      // nobody has decided about it
	LetterRetried   = "retried"   // its events were recorded after all
	LetterDiscarded = "discarded" // somebody decided that it isn't wanted
	LetterErased    = "erased"    // its message is gone before anybody decided
)

// DeadLetter is a message that couldn't be recorded. What is known of its event is what could be decoded.
type DeadLetter struct {
	N         int64           `json:"n"` // its own number
	State     string          `json:"state"`
	Topic     string          `json:"topic"`
	TopicID   uuid.UUID       `json:"topic_id"` // tells apart topics of the same name, made one after the other
	Partition int32           `json:"partition"`
	Offset    int64           `json:"offset"`
	Reason    string          `json:"reason"`              // why it couldn't be recorded when it came
	Source    string          `json:"source,omitempty"`    // of the first event in it that wasn't recorded
	EventID   string          `json:"id,omitempty"`        // likewise
	Account   string          `json:"account,omitempty"`   // likewise
	Withheld  bool            `json:"withheld,omitempty"`  // its source was declared not to send what is in it, so that it wasn't kept
	SentAt    *time.Time      `json:"sent_at,omitempty"`   // as the message says
	FirstSeen time.Time       `json:"first_seen,omitzero"` // when it became a dead letter
	Decision  *LetterDecision `json:"decision,omitempty"`  // nil: nobody has decided
	Erased    *LetterErasure  `json:"erased,omitempty"`    // its message is gone
}

// LetterDecision is what was decided about a dead letter. There is one at most.
type LetterDecision struct {
	Outcome   string        `json:"outcome"` // LetterRetried or LetterDiscarded
	Events    []LetterEvent `json:"events"`  // of a retry, in the order of the message
	Why       string        `json:"why,omitempty"`
	By        string        `json:"by"`
	DecidedAt time.Time     `json:"decided_at,omitzero"`
}

// LetterEvent is what became of one event of a message that was retried.
type LetterEvent struct {
	Status   Status `json:"status"` // recorded, duplicate or conflict
	Source   string `json:"source"`
	ID       string `json:"id"`
	Position int64  `json:"position"` // of the event; of a conflict, of the one that was there
}

// LetterErasure says that the message of a dead letter is gone.
type LetterErasure struct {
	At      time.Time `json:"at,omitzero"`
	Erasure int64     `json:"erasure"` // its number
	Why     string    `json:"why"`
	By      string    `json:"by"`
}

// LetterQuery asks for dead letters. The zero value asks for the newest ones.
type LetterQuery struct {
	Topic  string    // empty: any
	Source string    // as far as it could be decoded; empty: any
	Since  time.Time // not seen before; zero: any time
	State  string    // one of the states; empty: any
	Limit  int       // 1 to MaxLimit; 0: DefaultLimit
	After  int64     // go on after the letter of this number; 0: begin with the newest
}

// letterColumns are in the order of scanLetter; of ledger.dead_letters l and what letterTables joins.
const letterColumns = `l.n, l.topic, l.topic_id, l.partition, l."offset", l.reason, COALESCE(l.source, ''), COALESCE(l.event_id, ''), COALESCE(l.account, ''),
       l.withheld, l.sent_at, l.first_seen, d.outcome, d.why, d.decided_by, d.decided_at, x.erased_at, x.erasure, e.why, e.erased_by,
       (SELECT json_agg(json_build_object('status', v.status, 'source', v.source, 'id', v.event_id, 'position', v.position) ORDER BY v.item)
        FROM ledger.dead_letter_events v WHERE v.letter = l.n)`

const letterTables = `
FROM ledger.dead_letters l
LEFT JOIN ledger.dead_letter_decisions d ON d.letter = l.n
LEFT JOIN ledger.erased_dead_letters x ON x.letter = l.n
LEFT JOIN ledger.erasures e ON e.n = x.erasure`

const sqlListLetters = `
SELECT ` + letterColumns + letterTables + `
WHERE l.n < $1
  AND ($2::text IS NULL OR l.topic = $2)
  AND ($3::text IS NULL OR l.source = $3)
  AND ($4::timestamptz IS NULL OR l.first_seen >= $4)
  AND ($5::text IS NULL OR COALESCE(d.outcome, CASE WHEN x.letter IS NULL THEN 'open' ELSE 'erased' END) = $5)
ORDER BY l.n DESC
LIMIT $6`

// DeadLetters lists dead letters, newest first, without what is in them.
func (l *Ledger) DeadLetters(ctx context.Context, q LetterQuery) ([]DeadLetter, error) {
	limit, err := limitOf(q.Limit, DefaultLimit, MaxLimit)
	if err != nil {
		return nil, err
	}
	after, err := afterOf(q.After)
	if err != nil {
		return nil, err
	}
	switch q.State {
	case "", LetterOpen, LetterRetried, LetterDiscarded, LetterErased:
	default:
		return nil, Invalid("state", q.State, "must be open, retried, discarded or erased")
	}
	for _, f := range []struct{ name, value string }{{"topic", q.Topic}, {"source", q.Source}} {
		if !storable(f.value) {
			return nil, Invalid(f.name, shown(f.value), ruleStorable)
		}
	}
	var since *time.Time
	if !q.Since.IsZero() {
		since = &q.Since
	}
	rows, err := l.pool.Query(ctx, sqlListLetters, after, optional(q.Topic), optional(q.Source), since, optional(q.State), limit)
	if err != nil {
		return nil, readError("list dead letters", err)
	}
	list, err := pgx.CollectRows(rows, scanLetter)
	if err != nil {
		return nil, readError("list dead letters", err)
	}
	return list, nil
}

func scanLetter(row pgx.CollectableRow) (DeadLetter, error) {
	var (
		d                                 DeadLetter
		outcome, why, by, goneWhy, goneBy *string
		decidedAt, goneAt                 *time.Time
		erasure                           *int64
		events                            []byte
	)
	err := row.Scan(&d.N, &d.Topic, &d.TopicID, &d.Partition, &d.Offset, &d.Reason, &d.Source, &d.EventID, &d.Account, &d.Withheld, &d.SentAt, &d.FirstSeen,
		&outcome, &why, &by, &decidedAt, &goneAt, &erasure, &goneWhy, &goneBy, &events)
	if err != nil {
		return d, err
	}
	d.State, d.FirstSeen = LetterOpen, d.FirstSeen.UTC()
	if d.SentAt != nil {
		at := d.SentAt.UTC()
		d.SentAt = &at
	}
	if erasure != nil {
		d.State = LetterErased
		d.Erased = &LetterErasure{At: goneAt.UTC(), Erasure: *erasure, Why: text(goneWhy), By: text(goneBy)}
	}
	if outcome == nil {
		return d, nil
	}
	d.State = *outcome
	d.Decision = &LetterDecision{Outcome: *outcome, Events: []LetterEvent{}, Why: text(why), By: text(by), DecidedAt: decidedAt.UTC()}
	if events != nil {
		err = json.Unmarshal(events, &d.Decision.Events)
	}
	return d, err
}

const sqlLetter = `
SELECT ` + letterColumns + letterTables + `
WHERE l.n = $1`

// DeadLetter is one dead letter, without what is in it; ErrNotFound if there is none of that number.
func (l *Ledger) DeadLetter(ctx context.Context, n int64) (DeadLetter, error) {
	rows, err := l.pool.Query(ctx, sqlLetter, n)
	if err != nil {
		return DeadLetter{}, readError("read a dead letter", err)
	}
	d, err := pgx.CollectExactlyOneRow(rows, scanLetter)
	if isNoRows(err) {
		return DeadLetter{}, fmt.Errorf("dead letter %d: %w", n, ErrNotFound)
	}
	if err != nil {
		return DeadLetter{}, readError("read a dead letter", err)
	}
	return d, nil
}

// LetterMessage is the message of a dead letter as it came.
type LetterMessage struct {
	N         int64
	Topic     string
	Partition int32
	Offset    int64
	SentAt    time.Time // zero: it said nothing of use
	Key       []byte    // nil: none
	Body      []byte    // nil: none
	Headers   []LetterHeader
}

// LetterHeader is one header of a message. Keys may repeat.
type LetterHeader struct {
	Key   string
	Value []byte // nil: none
}

const sqlLetterMessages = `
SELECT l.n, l.topic, l.partition, l."offset", l.sent_at, c.key, c.body, c.headers
FROM ledger.dead_letters l
JOIN ledger.dead_letter_content c ON c.letter = l.n
WHERE l.n = ANY ($1)
ORDER BY l.n`

// letterMessages reads messages, in the order of their numbers; those that were withheld or erased are missing.
func (l *Ledger) letterMessages(ctx context.Context, numbers []int64) ([]LetterMessage, error) {
	rows, err := l.pool.Query(ctx, sqlLetterMessages, numbers)
	if err != nil {
		return nil, readError("read the messages of dead letters", err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (m LetterMessage, err error) {
		var at *time.Time
		var headers []byte
		if err := row.Scan(&m.N, &m.Topic, &m.Partition, &m.Offset, &at, &m.Key, &m.Body, &headers); err != nil {
			return m, err
		}
		if at != nil {
			m.SentAt = at.UTC()
		}
		m.Headers, err = letterHeaders(headers)
		return m, err
	})
	if err != nil {
		return nil, readError("read the messages of dead letters", err)
	}
	return list, nil
}

// DeadLetterMessage is the message of a dead letter, which may hold private content; ErrNotFound if it was withheld or erased.
func (l *Ledger) DeadLetterMessage(ctx context.Context, n int64) (LetterMessage, error) {
	list, err := l.letterMessages(ctx, []int64{n})
	if err != nil {
		return LetterMessage{}, err
	}
	if len(list) == 0 {
		return LetterMessage{}, fmt.Errorf("the message of dead letter %d was withheld or erased: %w", n, ErrNotFound)
	}
	return list[0], nil
}

// letterHeaders decodes headers as the table keeps them.
func letterHeaders(stored []byte) ([]LetterHeader, error) {
	if len(stored) == 0 {
		return nil, nil
	}
	var list []struct {
		Key       string  `json:"key"`
		KeyBase64 string  `json:"key_base64"`
		Value     *string `json:"value"`
	}
	if err := json.Unmarshal(stored, &list); err != nil {
		return nil, fmt.Errorf("headers: %w", err)
	}
	headers := make([]LetterHeader, len(list))
	for i, s := range list {
		headers[i].Key = s.Key
		if s.KeyBase64 != "" {
			key, err := base64.StdEncoding.DecodeString(s.KeyBase64)
			if err != nil {
				return nil, fmt.Errorf("headers: %w", err)
			}
			headers[i].Key = string(key)
		}
		if s.Value != nil {
			value, err := base64.StdEncoding.DecodeString(*s.Value)
			if err != nil {
				return nil, fmt.Errorf("headers: %w", err)
			}
			headers[i].Value = value
		}
	}
	return headers, nil
}
