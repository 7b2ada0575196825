package kafka

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"deltaledger/ledger/pg"
)

// errMoved says that somebody else moved an offset: another consumer that the partition was given to, or a reset.
var errMoved = errors.New("an offset isn't where this consumer believes it to be")

// slot names a partition of a topic.
type slot struct {
	topic     string
	partition int32
}

// mark is what is stored of a partition.
type mark struct {
	topicID uuid.UUID
	offset  int64 // of the next message to read
}

const sqlMarks = `
SELECT o.topic, o.partition, o.topic_id, o."offset"
FROM ledger.offsets o
JOIN unnest($2::text[], $3::integer[]) AS s (topic, partition) USING (topic, partition)
WHERE o.consumer = $1`

// marks reads what is stored of some partitions.
func marks(ctx context.Context, db pg.Querier, consumer string, slots []slot) (map[slot]mark, error) {
	topics, partitions := columns(slots)
	var s slot
	var m mark
	found := map[slot]mark{}
	err := pg.ForEach(ctx, db, []any{&s.topic, &s.partition, &m.topicID, &m.offset}, func() error {
		found[s] = m
		return nil
	}, sqlMarks, consumer, topics, partitions)
	if err != nil {
		return nil, fmt.Errorf("read stored offsets: %w", err)
	}
	return found, nil
}

func columns(slots []slot) (topics []string, partitions []int32) {
	for _, s := range slots {
		topics, partitions = append(topics, s.topic), append(partitions, s.partition)
	}
	return topics, partitions
}

const sqlFirstMark = `
INSERT INTO ledger.offsets (consumer, topic, partition, topic_id, "offset")
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT DO NOTHING`

// begin stores where a partition begins of which nothing is stored.
func begin(ctx context.Context, db *pgxpool.Pool, consumer string, s slot, m mark) error {
	if _, err := db.Exec(ctx, sqlFirstMark, consumer, s.topic, s.partition, m.topicID, m.offset); err != nil {
		return fmt.Errorf("store where partition %d of %s begins: %w", s.partition, s.topic, err)
	}
	return nil
}

// The row locks make two consumers that both believe to own a partition wait for each other here, before anything is
// recorded; the second one then finds the offset moved.
const sqlMove = `
UPDATE ledger.offsets o
SET "offset" = m.next, updated_at = clock_timestamp()
FROM unnest($2::text[], $3::integer[], $4::uuid[], $5::bigint[], $6::bigint[]) AS m (topic, partition, topic_id, was, next)
WHERE o.consumer = $1 AND o.topic = m.topic AND o.partition = m.partition AND o.topic_id = m.topic_id AND o."offset" = m.was
RETURNING o.partition`

// move moves the offsets of parts from where they are believed to be. The error is errMoved if one of them isn't there.
func move(ctx context.Context, tx pgx.Tx, consumer string, parts []part) error {
	var (
		slots      = make([]slot, len(parts))
		ids        = make([]uuid.UUID, len(parts))
		was, nexts = make([]int64, len(parts)), make([]int64, len(parts))
	)
	for i, p := range parts {
		slots[i], ids[i], was[i], nexts[i] = p.reader.slot, p.topicID, p.from, p.to
	}
	topics, partitions := columns(slots)
	rows, err := tx.Query(ctx, sqlMove, consumer, topics, partitions, ids, was, nexts)
	if err != nil {
		return fmt.Errorf("move offsets: %w", err)
	}
	moved, err := pgx.CollectRows(rows, pgx.RowTo[int32])
	if err != nil {
		return fmt.Errorf("move offsets: %w", err)
	}
	if len(moved) != len(parts) {
		return errMoved
	}
	return nil
}
