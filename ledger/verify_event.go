package ledger

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"deltaledger/ledger/pg"
)

// keyRow is a row of event_keys.
type keyRow struct {
	EventKey    uuid.UUID
	PositionKey *uuid.UUID
	RecordedAt  time.Time
	Version     int16
	Digest      []byte
}

const sqlKeysAt = `
SELECT event_key, position_key, recorded_at, digest_version, digest
FROM ledger.event_keys
WHERE position = $1`

// examine says of an event that isn't what was sealed what doesn't fit together in it. What was changed so
// that it fits again can't be told by that. It is read in a savepoint: what was changed may be unreadable.
func (l *Ledger) examine(ctx context.Context, tx pgx.Tx, position int64) (details []string, err error) {
	bad := pg.InSavepoint(ctx, tx, func(tx pgx.Tx) error {
		details = nil
		c, err := readCatalogue(ctx, tx)
		if err != nil {
			return err
		}
		b := &builder{catalogue: c}
		reader := b.rows()
		rows, err := tx.Query(ctx, "SELECT "+reader.columns+", e.commitment IS NOT NULL\nFROM "+eventsTable+" e\nWHERE e.position = "+b.arg(position, "bigint"), b.args...)
		if err != nil {
			return err
		}
		type found struct {
			Row
			private bool
		}
		events, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (f found, err error) {
			f.Row, err = reader.scan(row, &f.private)
			return f, err
		})
		if err != nil || len(events) != 1 {
			return err
		}
		if rows, err = tx.Query(ctx, sqlKeysAt, position); err != nil {
			return err
		}
		keys, err := pgx.CollectRows(rows, pgx.RowToStructByPos[keyRow])
		if err != nil || len(keys) != 1 {
			return err
		}
		details, err = compareParts(c, events[0].Row, events[0].private, keys[0], l.zone)
		return err
	})
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case bad != nil:
		return append(details, fmt.Sprintf("its parts can't be compared: %v", bad)), nil
	}
	return details, nil
}

// compareParts compares what is in an event twice.
func compareParts(c Catalogue, r Row, private bool, k keyRow, zone *time.Location) ([]string, error) {
	details := []string{fmt.Sprintf("it is event %q of source %q", r.ID, r.Source)}
	say := func(format string, args ...any) { details = append(details, fmt.Sprintf(format, args...)) }
	whole := true
	if want := uuid.UUID(EventKey(r.Source, r.ID)); want != k.EventKey {
		whole = false
		say("event_key is %s, and source and id make %s", k.EventKey, want)
	}
	switch {
	case r.Seqn == nil && k.PositionKey != nil:
		whole = false
		say("it has a position_key and no seqn")
	case made(r) > 0: // it bears the number of the event that it stands beside, and takes no place of its own
		if k.PositionKey != nil {
			whole = false
			say("it is a row that the ledger made, and has a position_key")
		}
	case r.Seqn != nil && k.PositionKey == nil:
		whole = false
		say("it has a seqn and no position_key")
	case r.Seqn != nil:
		if want := uuid.UUID(PositionKey(r.Source, r.Stream, *r.Seqn)); want != *k.PositionKey {
			whole = false
			say("position_key is %s, and source, stream and seqn make %s", *k.PositionKey, want)
		}
	}
	if !k.RecordedAt.Equal(r.RecordedAt) {
		whole = false
		say("recorded_at is %s in the event and %s in its key", r.RecordedAt.Format(microLayout), k.RecordedAt.UTC().Format(microLayout))
	}
	if want := r.OccurredAt.In(zone).Format(time.DateOnly); want != r.BusinessDate {
		whole = false
		say("business_date is %s, and occurred_at makes %s", r.BusinessDate, want)
	}
	if !digestable(c, r) || k.Version != DigestVersion {
		say("its digest can't be recomputed from the columns")
		return details, nil
	}
	e, err := r.event()
	if err != nil {
		return details, err
	}
	if private {
		e.Payload = []byte("{}") // a mark: the digest says only that there is private content
	}
	if sum := sha256.Sum256(AppendCanonical(nil, &e)); hex.EncodeToString(sum[:]) != hex.EncodeToString(k.Digest) {
		say("its public content has digest %x…, and its key says %x…: the content or the digest was changed", sum[:tagSize], k.Digest[:min(tagSize, len(k.Digest))])
	} else if whole && len(e.State) > 0 {
		say("its public content, with the state that was sent, has the digest that its key says: what was changed is in neither, such as the changes that were computed from the state, recorded_at, caused_by or commitment, or fits together again")
	} else if whole {
		say("its public content has the digest that its key says: what was changed is in neither, such as recorded_at, caused_by or commitment, or fits together again")
	}
	return details, nil
}

// digestable reports whether the columns say how each value was spelled that the digest was made over.
func digestable(c Catalogue, r Row) bool {
	for _, d := range c.declaredDimensions() {
		if d.Type != "text" {
			return false
		}
	}
	return true
}
