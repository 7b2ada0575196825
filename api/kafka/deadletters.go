package kafka

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"deltaledger/ledger"
)

// deadLetter is a message that can't be recorded, and why.
type deadLetter struct {
	message  *Message
	topicID  uuid.UUID
	reason   string
	withheld bool          // it holds what may not be kept
	event    *ledger.Event // the first that wasn't recorded; nil: it couldn't be decoded
}

// A message that is read again is a dead letter already.
const sqlBury = `
WITH d AS (
    SELECT d.topic, d.topic_id, d.partition, d."offset", d.source, d.event_id, d.account, d.occurred_at, d.key, d.headers, d.body, d.withheld, d.reason,
           d.sent_at
    FROM unnest($1::text[], $2::uuid[], $3::integer[], $4::bigint[], $5::text[], $6::text[], $7::text[], $8::timestamptz[], $9::bytea[], $10::jsonb[],
        $11::bytea[], $12::boolean[], $13::text[], $14::timestamptz[])
        AS d (topic, topic_id, partition, "offset", source, event_id, account, occurred_at, key, headers, body, withheld, reason, sent_at)),
buried AS (
    INSERT INTO ledger.dead_letters (topic, topic_id, partition, "offset", source, event_id, account, occurred_at, withheld, reason, sent_at)
    SELECT d.topic, d.topic_id, d.partition, d."offset", d.source, d.event_id, d.account, d.occurred_at, d.withheld, d.reason, d.sent_at
    FROM d
    ON CONFLICT ON CONSTRAINT dead_letters_once DO NOTHING
    RETURNING n, topic, topic_id, partition, "offset")
INSERT INTO ledger.dead_letter_content (letter, key, headers, body)
SELECT b.n, d.key, d.headers, d.body
FROM buried b
JOIN d USING (topic, topic_id, partition, "offset")
WHERE NOT d.withheld`

// bury stores dead letters.
func bury(ctx context.Context, tx pgx.Tx, letters []deadLetter) error {
	if len(letters) == 0 {
		return nil
	}
	n := len(letters)
	var (
		topics     = make([]string, n)
		ids        = make([]uuid.UUID, n)
		partitions = make([]int32, n)
		offsets    = make([]int64, n)
		sources    = make([]*string, n)
		eventIDs   = make([]*string, n)
		accounts   = make([]*string, n)
		occurred   = make([]*time.Time, n)
		keys       = make([][]byte, n)
		headers    = make([][]byte, n)
		bodies     = make([][]byte, n)
		withheld   = make([]bool, n)
		reasons    = make([]string, n)
		times      = make([]*time.Time, n)
	)
	for i, d := range letters {
		m := d.message
		topics[i], ids[i], partitions[i], offsets[i] = m.Topic, d.topicID, m.Partition, m.Offset
		withheld[i], reasons[i], times[i] = d.withheld, storable(d.reason), storableTime(m.Time)
		if d.withheld {
			continue
		}
		if e := d.event; e != nil {
			sources[i], eventIDs[i], accounts[i], occurred[i] = known(e.Source), known(e.ID), known(e.Account), knownTime(e.OccurredAt)
		}
		text, err := MarshalHeaders(m.Headers)
		if err != nil {
			return fmt.Errorf("store a dead letter: %w", err)
		}
		keys[i], headers[i], bodies[i] = m.Key, text, m.Value
	}
	_, err := tx.Exec(ctx, sqlBury, topics, ids, partitions, offsets, sources, eventIDs, accounts, occurred, keys, headers, bodies, withheld, reasons, times)
	if err != nil {
		return fmt.Errorf("store dead letters: %w", err)
	}
	return nil
}

// known is s, or nil where it says nothing, or isn't fit for a column that is searched.
func known(s string) *string {
	if s == "" || len(s) > ledger.MaxID || storable(s) != s {
		return nil
	}
	return &s
}

// knownTime is when an event says that it occurred, or nil where it says nothing of use.
func knownTime(t time.Time) *time.Time {
	if y := t.Year(); t.IsZero() || y < 1 || y > 9999 {
		return nil
	}
	return &t
}

// storable is s as a text column takes it.
func storable(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

// storableTime is t, or nil where a producer's clock says what no calendar of the database holds.
func storableTime(t time.Time) *time.Time {
	if y := t.Year(); y < 1970 || y > 9999 {
		return nil
	}
	return &t
}

// reasonOf says why the event of a message wasn't recorded; empty if it was, or is kept elsewhere.
func reasonOf(e *ledger.Event, o ledger.Outcome) string {
	if o.Status != ledger.Rejected {
		return ""
	}
	if id := o.ShownID(e.ID); id != "" && !o.Withheld {
		return fmt.Sprintf("event %s: %v", id, ledger.Message(o.Err))
	}
	return ledger.Message(o.Err)
}
