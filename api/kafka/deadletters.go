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
	withheld bool // it holds what may not be kept
}

// A message that is read again is a dead letter already.
const sqlBury = `
INSERT INTO ledger.dead_letters (topic, topic_id, partition, "offset", key, headers, body, withheld, reason, sent_at)
SELECT d.topic, d.topic_id, d.partition, d."offset", d.key, d.headers, d.body, d.withheld, d.reason, d.sent_at
FROM unnest($1::text[], $2::uuid[], $3::integer[], $4::bigint[], $5::bytea[], $6::jsonb[], $7::bytea[], $8::boolean[], $9::text[],
    $10::timestamptz[]) AS d (topic, topic_id, partition, "offset", key, headers, body, withheld, reason, sent_at)
ON CONFLICT ON CONSTRAINT dead_letters_once DO NOTHING`

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
		text, err := MarshalHeaders(m.Headers)
		if err != nil {
			return fmt.Errorf("store a dead letter: %w", err)
		}
		keys[i], headers[i], bodies[i] = m.Key, text, m.Value
	}
	_, err := tx.Exec(ctx, sqlBury, topics, ids, partitions, offsets, keys, headers, bodies, withheld, reasons, times)
	if err != nil {
		return fmt.Errorf("store dead letters: %w", err)
	}
	return nil
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
