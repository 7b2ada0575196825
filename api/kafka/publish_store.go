package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"deltaledger/ledger"
)

// shift is the hold that a publisher has on its name: a session of the database with a lock, by which alone the stored
// position is moved. When the session ends, so does the hold.
type shift struct {
	p          *Publisher
	conn       *pgxpool.Conn
	topicID    uuid.UUID
	partitions int
	position   int64 // through which everything is in the topic
}

// One publisher of a name at a time. The session holds it, so that the server lets go of it when the publisher is killed.
const sqlLockPublisher = `SELECT pg_try_advisory_lock(17486, hashtext($1))`

const sqlUnlockPublisher = `SELECT pg_advisory_unlock(17486, hashtext($1))`

// claim waits until no other publisher of this name is at work, and takes over.
func (p *Publisher) claim(ctx context.Context) (*shift, error) {
	conn, err := p.pool.Acquire(ctx)
	if err != nil {
		return nil, fmt.Errorf("connect to the database: %w", err)
	}
	for told := false; ; told = true {
		var got bool
		if err := conn.QueryRow(ctx, sqlLockPublisher, p.config.Name).Scan(&got); err != nil {
			conn.Release()
			return nil, fmt.Errorf("lock publisher %s: %w", p.config.Name, err)
		}
		if got {
			break
		}
		if !told {
			p.log.Info("another publisher of this name is at work; waiting for its end")
		}
		select {
		case <-ctx.Done():
			conn.Release()
			return nil, context.Cause(ctx)
		case <-time.After(p.config.Poll):
		}
	}
	s := &shift{p: p, conn: conn}
	if err := s.begin(ctx); err != nil {
		s.release()
		return nil, err
	}
	return s, nil
}

// release lets go of the name.
func (s *shift) release() {
	ctx, cancel := context.WithTimeout(context.Background(), dialTimeout)
	defer cancel()
	if _, err := s.conn.Exec(ctx, sqlUnlockPublisher, s.p.config.Name); err != nil {
		_ = s.conn.Conn().Close(ctx) // a session that isn't given back holds nothing
	}
	s.conn.Release()
}

const sqlPublisher = `
SELECT topic, topic_id, partitions, COALESCE(kinds, '{}'), position
FROM ledger.publishers
WHERE name = $1`

const sqlFirstPublisher = `
INSERT INTO ledger.publishers (name, topic, topic_id, partitions, kinds, position)
VALUES ($1, $2, $3, $4, $5, 0)`

// begin reads where to go on, and sees to it that the topic is the one that was written to.
func (s *shift) begin(ctx context.Context) error {
	c := s.p.config
	id, partitions, err := s.p.topic(ctx)
	if err != nil {
		return err
	}
	var topic string
	var kinds []string
	err = s.conn.QueryRow(ctx, sqlPublisher, c.Name).Scan(&topic, &s.topicID, &s.partitions, &kinds, &s.position)
	if errors.Is(err, pgx.ErrNoRows) {
		s.topicID, s.partitions = id, partitions
		if _, err := s.conn.Exec(ctx, sqlFirstPublisher, c.Name, c.Topic, id, partitions, kindsOrNull(c.Kinds)); err != nil {
			return fmt.Errorf("store publisher %s: %w", c.Name, err)
		}
		return nil
	}
	if err != nil {
		return fmt.Errorf("read how far publisher %s came: %w", c.Name, err)
	}
	again := fmt.Sprintf("publish --from POSITION begins anew: with 1 everything, with %d what comes next", s.position+1)
	switch {
	case topic != c.Topic:
		return fmt.Errorf("publisher %s has written to topic %s, and not to %s; give this one another name, or %s: %w", c.Name, topic, c.Topic, again, errHalted)
	case !slices.Equal(kinds, c.Kinds):
		return fmt.Errorf("publisher %s has published %s, and not %s; give this one another name, or %s: %w", c.Name, kindsText(kinds), kindsText(c.Kinds), again, errHalted)
	case s.topicID != id:
		return fmt.Errorf("topic %s was made anew since publisher %s wrote to it, and what it held is gone; %s: %w", topic, c.Name, again, errHalted)
	case partitions < s.partitions:
		return fmt.Errorf("topic %s has %d partitions, and publisher %s knows %d; %s: %w", topic, partitions, c.Name, s.partitions, again, errHalted)
	case partitions > s.partitions:
		s.p.log.Info("the topic has more partitions than are used: to spread accounts over all of them would put facts of one account into two",
			"topic", topic, "used", s.partitions, "partitions", partitions)
	}
	return nil
}

// topic looks for the topic. That it isn't there is an error that is waited out: it may be made.
func (p *Publisher) topic(ctx context.Context) (id uuid.UUID, partitions int, err error) {
	found, err := p.link.describe(ctx, p.config.Brokers, []string{p.config.Topic})
	if err != nil {
		return uuid.Nil, 0, err
	}
	t := found[p.config.Topic]
	if t.err != nil {
		return uuid.Nil, 0, fmt.Errorf("topic %s: %w", p.config.Topic, t.err)
	}
	return t.id, len(t.leaders), nil
}

// check sees to it that the session lives and the position is where this publisher believes it to be.
func (s *shift) check(ctx context.Context) error {
	var topic string
	var id uuid.UUID
	var partitions int
	var kinds []string
	var position int64
	if err := s.conn.QueryRow(ctx, sqlPublisher, s.p.config.Name).Scan(&topic, &id, &partitions, &kinds, &position); err != nil {
		return fmt.Errorf("read how far publisher %s came: %w", s.p.config.Name, err)
	}
	if position != s.position || id != s.topicID || partitions != s.partitions {
		return errMoved
	}
	return nil
}

const sqlMovePublisher = `
UPDATE ledger.publishers
SET position = $4, updated_at = clock_timestamp()
WHERE name = $1 AND topic_id = $2 AND position = $3 AND partitions = $5
RETURNING position`

// move stores that everything through a position is in the topic. The error is errMoved if the stored position isn't
// where this publisher believes it to be.
func (s *shift) move(ctx context.Context, after, through int64) error {
	err := s.conn.QueryRow(ctx, sqlMovePublisher, s.p.config.Name, s.topicID, after, through, s.partitions).Scan(&s.position)
	if errors.Is(err, pgx.ErrNoRows) {
		return errMoved
	}
	if err != nil {
		return fmt.Errorf("store how far publisher %s came: %w", s.p.config.Name, err)
	}
	return nil
}

const sqlRewind = `
INSERT INTO ledger.publishers (name, topic, topic_id, partitions, kinds, position)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT ON CONSTRAINT publishers_pkey DO UPDATE
SET topic = EXCLUDED.topic, topic_id = EXCLUDED.topic_id, partitions = EXCLUDED.partitions, kinds = EXCLUDED.kinds,
    position = EXCLUDED.position, updated_at = clock_timestamp()`

// rewind sets the stored position, for the topic as it is now. A publisher that is at work finds it moved.
func (p *Publisher) rewind(ctx context.Context) error {
	w, err := p.ledger.Current(ctx)
	if err != nil {
		return err
	}
	if p.config.From > w.Position+1 {
		return ledger.Invalid("from", fmt.Sprint(p.config.From), fmt.Sprintf("must be a position up to %d: the newest watermark is %d", w.Position+1, w.Position))
	}
	id, partitions, err := p.topic(ctx)
	if err != nil {
		return err
	}
	_, err = p.pool.Exec(ctx, sqlRewind, p.config.Name, p.config.Topic, id, partitions, kindsOrNull(p.config.Kinds), p.config.From-1)
	if err != nil {
		return fmt.Errorf("store where publisher %s begins: %w", p.config.Name, err)
	}
	return nil
}

func kindsOrNull(kinds []string) []string {
	if len(kinds) == 0 {
		return nil
	}
	return kinds
}

func kindsText(kinds []string) string {
	if len(kinds) == 0 {
		return "facts of every kind"
	}
	return "facts of kind " + strings.Join(kinds, ", ")
}
