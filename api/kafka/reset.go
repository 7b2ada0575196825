package kafka

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	kafkago "github.com/segmentio/kafka-go"

	"deltaledger/ledger"
	"deltaledger/ledger/pg"
)

// Target is where partitions are reset to; exactly one of its fields is set.
type Target struct {
	Offset *int64
	Time   *time.Time // the first message that isn't older, by the messages' own times; where there is none, the end
	Place  Start      // the oldest message that is still there, or the end
}

// ResetOptions says what Reset resets.
type ResetOptions struct {
	Brokers    []string
	Security   Security
	Group      string
	Topic      string
	Partitions []int32 // none: all
	To         Target
}

// Moved is a partition that was reset.
type Moved struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	From      *int64 `json:"from"` // nil: it was never read
	To        int64  `json:"to"`
	End       int64  `json:"end"` // the offset behind the last message
}

// Reset sets stored offsets, and with them the identity of the topic, so that messages are read again or left out. Reading
// again records nothing twice. Consumers that are running go on from there within seconds.
func Reset(ctx context.Context, l *ledger.Ledger, o ResetOptions) ([]Moved, error) {
	given := 0
	for _, is := range []bool{o.To.Offset != nil, o.To.Time != nil, o.To.Place != ""} {
		if is {
			given++
		}
	}
	if given != 1 {
		return nil, ledger.Invalid("to", "", "must be one of an offset, a time, and oldest or newest")
	}
	link, err := newLink(o.Security)
	if err != nil {
		return nil, err
	}
	client, transport := link.client(o.Brokers)
	defer transport.CloseIdleConnections()
	topics, err := link.describe(ctx, o.Brokers, []string{o.Topic})
	if err != nil {
		return nil, err
	}
	t := topics[o.Topic]
	if t.err != nil {
		return nil, fmt.Errorf("topic %s: %w", o.Topic, t.err)
	}
	if len(o.Partitions) == 0 {
		o.Partitions = t.partitions()
	}
	moves := make([]Moved, len(o.Partitions))
	for i, p := range o.Partitions {
		if !slices.Contains(t.partitions(), p) {
			return nil, ledger.Invalid("partition", fmt.Sprint(p), fmt.Sprintf("must be one of the topic's, which has %d", len(t.leaders)))
		}
		if moves[i], err = o.target(ctx, client, slot{o.Topic, p}); err != nil {
			return nil, err
		}
	}
	return moves, resetAll(ctx, l, o.Group, t.id, moves)
}

// target finds the offset that a partition is reset to.
func (o *ResetOptions) target(ctx context.Context, client *kafkago.Client, s slot) (Moved, error) {
	p := int(s.partition)
	first, last, err := bounds(ctx, client, s)
	if err != nil {
		return Moved{}, err
	}
	m := Moved{Topic: s.topic, Partition: s.partition, To: last, End: last}
	switch {
	case o.To.Place == StartOldest:
		m.To = first
	case o.To.Place == StartNewest:
	case o.To.Place != "":
		return m, ledger.Invalid("to", string(o.To.Place), "must be oldest or newest")
	case o.To.Offset != nil:
		if m.To = *o.To.Offset; m.To < first || m.To > last {
			return m, ledger.Invalid("to-offset", fmt.Sprint(m.To), fmt.Sprintf("must be from %d to %d in partition %d of topic %s", first, last, p, s.topic))
		}
	default:
		res, err := client.ListOffsets(ctx, &kafkago.ListOffsetsRequest{
			Topics: map[string][]kafkago.OffsetRequest{s.topic: {kafkago.TimeOffsetOf(p, *o.To.Time)}},
		})
		if err != nil {
			return m, fmt.Errorf("ask for the first message of a time: %w", err)
		}
		for _, found := range res.Topics[s.topic] {
			if found.Error != nil {
				return m, fmt.Errorf("ask for the first message of a time: %w", found.Error)
			}
			for offset := range found.Offsets {
				if offset >= 0 {
					m.To = offset
				}
			}
		}
	}
	return m, nil
}

const sqlReset = `
INSERT INTO ledger.offsets AS o (consumer, topic, partition, topic_id, "offset")
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT ON CONSTRAINT offsets_pkey DO UPDATE
SET topic_id = EXCLUDED.topic_id, "offset" = EXCLUDED."offset", updated_at = clock_timestamp()`

// resetAll stores where partitions go on, and fills in where they were.
func resetAll(ctx context.Context, l *ledger.Ledger, group string, id uuid.UUID, moves []Moved) error {
	slots := make([]slot, len(moves))
	for i, m := range moves {
		slots[i] = slot{m.Topic, m.Partition}
	}
	return pg.InTx(ctx, l.Pool(), func(tx pgx.Tx) error {
		stored, err := marks(ctx, tx, group, slots)
		if err != nil {
			return err
		}
		for i := range moves {
			m := &moves[i]
			m.From = nil
			if was, found := stored[slots[i]]; found {
				m.From = &was.offset
			}
			if _, err := tx.Exec(ctx, sqlReset, group, m.Topic, m.Partition, id, m.To); err != nil {
				return fmt.Errorf("reset partition %d of topic %s: %w", m.Partition, m.Topic, err)
			}
		}
		return nil
	})
}

// Offset is how far a consumer group has recorded a partition.
type Offset struct {
	Group     string    `json:"group"`
	Topic     string    `json:"topic"`
	Partition int32     `json:"partition"`
	Offset    int64     `json:"offset"` // of the next message to record
	TopicID   uuid.UUID `json:"topic_id"`
	UpdatedAt time.Time `json:"updated_at"`
}

const sqlOffsets = `
SELECT o.consumer, o.topic, o.partition, o."offset", o.topic_id, o.updated_at
FROM ledger.offsets o
ORDER BY o.consumer, o.topic, o.partition
LIMIT 100000`

// Offsets lists what is stored, of all groups.
func Offsets(ctx context.Context, l *ledger.Ledger) ([]Offset, error) {
	var o Offset
	var all []Offset
	err := pg.ForEach(ctx, l.Pool(), []any{&o.Group, &o.Topic, &o.Partition, &o.Offset, &o.TopicID, &o.UpdatedAt}, func() error {
		o.UpdatedAt = o.UpdatedAt.UTC()
		all = append(all, o)
		return nil
	}, sqlOffsets)
	if err != nil {
		return nil, fmt.Errorf("list offsets: %w", err)
	}
	return all, nil
}
