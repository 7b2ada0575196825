package ledger

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"deltaledger/ledger/canonical"
)

const (
	reasonContent  = "content"  // the identity is recorded with other content
	reasonSequence = "sequence" // the place in the stream is taken by another event
	reasonCurrency = "currency" // the stream, of a source that sends states, is recorded in another currency
)

// conflict is an event whose identity or place is taken by other content.
type conflict struct {
	p        *prepared
	event    *Event
	then     *Event // event divided as the recorded one, for comparison; nil: it is divided so already
	existing taken
	reason   string
	other    Event    // the recorded event, its public content
	differs  []string // names of the fields that differ, sorted
	tag      []byte   // tells versions of the private content apart
}

func (c conflict) outcome() Outcome {
	o := Outcome{Status: Conflict, Position: c.existing.position, Differs: c.differs}
	switch c.reason {
	case reasonSequence:
		o.Err = invalidf("seqn", "", "%d of stream %q is taken by event %q at position %d", c.event.Seqn, c.event.Stream, c.other.ID, c.existing.position)
	case reasonCurrency:
		o.Err = invalidf("currency", c.event.Currency, "must be %s, which stream %q is recorded in, with event %q at position %d: states of one stream have one currency",
			c.other.Currency, c.event.Stream, c.other.ID, c.existing.position)
	default:
		o.Err = invalidf("id", c.event.ID, "is recorded at position %d with other content: %v", c.existing.position, c.differs)
	}
	return o
}

// describe fills in what differs from the recorded events.
func describe(ctx context.Context, tx pgx.Tx, conflicts []conflict, c Catalogue, ledgerID uuid.UUID) error {
	recorded, err := recordedEvents(ctx, tx, conflicts, c)
	if err != nil {
		return fmt.Errorf("read what is recorded: %w", err)
	}
	for i := range conflicts {
		c := &conflicts[i]
		old, ok := recorded[c.existing.position]
		if !ok {
			return fmt.Errorf("position %d is in the identity index but not among the events: %w", c.existing.position, ErrCorrupt)
		}
		c.other = old.Event
		if c.reason == reasonCurrency { // everything else differs too: they are two events
			c.differs = []string{"currency"}
		} else if c.differs = differs(&old, cmp.Or(c.then, c.event)); len(c.differs) == 0 {
			c.differs = []string{"dimensions"} // in how a value is spelled: "7" and 7
		}
		sum := sha256.Sum256(slices.Concat(ledgerID[:], c.p.eventKey[:], c.p.canonical))
		c.tag = sum[:8]
	}
	slices.SortFunc(conflicts, func(a, b conflict) int { return cmp.Compare(a.p.input, b.p.input) })
	return nil
}

// recordedEvent is an event that a conflict met, with its private content.
type recordedEvent struct {
	Event
	erased bool // its private content is gone
}

// recordedEvents reads the events that conflicts met, by position.
func recordedEvents(ctx context.Context, tx pgx.Tx, conflicts []conflict, c Catalogue) (map[int64]recordedEvent, error) {
	positions, times := make([]int64, len(conflicts)), make([]time.Time, len(conflicts))
	for i, c := range conflicts {
		positions[i], times[i] = c.existing.position, c.existing.recordedAt
	}
	b := &builder{catalogue: c}
	reader := b.rows()
	rows, err := tx.Query(ctx, "SELECT "+reader.columns+", e.commitment IS NOT NULL, s.payload, s.pii::text"+
		"\nFROM unnest("+b.arg(positions, "bigint[]")+", "+b.arg(times, "timestamptz[]")+") AS p (position, recorded_at)"+EventAtP+
		"\nLEFT JOIN ledger.private s ON s.position = p.position", b.args...)
	if err != nil {
		return nil, err
	}
	recorded := map[int64]recordedEvent{}
	_, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (struct{}, error) {
		var private bool
		var payload, pii *string
		r, err := reader.scan(row, &private, &payload, &pii)
		if err != nil {
			return struct{}{}, err
		}
		e, err := r.event()
		if err != nil {
			return struct{}{}, err
		}
		old := recordedEvent{Event: e, erased: private && payload == nil && pii == nil}
		old.Payload = []byte(text(payload))
		if pii != nil {
			old.private, err = CanonicalDimensions([]byte(*pii))
		}
		recorded[r.Position] = old
		return struct{}{}, err
	})
	return recorded, err
}

// event is the public content of a row as an event.
func (r Row) event() (Event, error) {
	e := Event{
		ID: r.ID, Source: r.Source, Stream: r.Stream, Type: r.Type, Account: r.Account, OccurredAt: r.OccurredAt,
		Currency: r.Currency, Amount: r.Amount, Quantity: r.Quantity, Corrects: r.Corrects, Kind: r.Kind,
		Reason: r.Reason, Reference: r.Reference, Maker: r.Maker,
	}
	if r.Seqn != nil {
		e.Seqn, e.HasSeqn = *r.Seqn, true
	}
	for name, value := range r.Measures {
		e.Measures = append(e.Measures, Measure{name, value})
	}
	slices.SortFunc(e.Measures, func(a, b Measure) int { return cmp.Compare(a.Name, b.Name) })
	var err error
	if len(r.State) > 0 { // the changes are the ledger's own
		e.Amount, e.Quantity, e.Measures = Amount{}, Amount{}, nil
		if e.State, err = measuresOf(r.State); err != nil {
			return e, err
		}
	}
	if len(r.Dimensions) == 0 {
		return e, nil
	}
	e.Dimensions, err = CanonicalDimensions(r.Dimensions)
	return e, err
}

// differs names the fields in which b isn't a. Of private content that was erased it can only tell whether there
// was any; that counts as the payload.
func differs(a *recordedEvent, b *Event) []string {
	var names []string
	add := func(name string, same bool) {
		if !same {
			names = append(names, name)
		}
	}
	add("account", a.Account == b.Account)
	add("amount", a.Amount == b.Amount)
	add("corrects", a.Corrects == b.Corrects)
	add("currency", a.Currency == b.Currency)
	add("dimensions", sameDimensions(a.Dimensions, b.Dimensions))
	add("id", a.ID == b.ID)
	add("kind", a.Kind == b.Kind)
	add("maker", a.Maker == b.Maker)
	add("measures", slices.Equal(a.Measures, b.Measures))
	add("occurred_at", a.OccurredAt.Equal(b.OccurredAt))
	if a.erased {
		add("payload", b.hasPrivate())
	} else {
		add("payload", samePayload(a.Payload, b.Payload))
		add("pii", bytes.Equal(a.private, b.private))
	}
	add("quantity", a.Quantity == b.Quantity)
	add("reason", a.Reason == b.Reason)
	add("reference", a.Reference == b.Reference)
	add("seqn", a.HasSeqn == b.HasSeqn && a.Seqn == b.Seqn)
	add("state", slices.Equal(a.State, b.State))
	add("stream", a.Stream == b.Stream)
	add("type", a.Type == b.Type)
	return names
}

// sameDimensions compares dimensions by what their values spell: a declared column doesn't tell "7" from 7.
func sameDimensions(a, b []byte) bool {
	return bytes.Equal(a, b) || maps.EqualFunc(spelled(a), spelled(b), strings.EqualFold)
}

// samePayload compares payloads by their canonical form, as commitments do.
func samePayload(a, b []byte) bool {
	if bytes.Equal(a, b) || len(a) == 0 || len(b) == 0 {
		return bytes.Equal(a, b)
	}
	x, err := canonical.Append(nil, a, payloadLimits)
	if err != nil {
		return false
	}
	y, err := canonical.Append(nil, b, payloadLimits)
	return err == nil && bytes.Equal(x, y)
}

func spelled(dimensions []byte) map[string]string {
	var values map[string]json.RawMessage
	if len(dimensions) == 0 || json.Unmarshal(dimensions, &values) != nil {
		return nil
	}
	texts := make(map[string]string, len(values))
	for key, value := range values {
		text := string(value)
		if len(value) > 0 && value[0] == '"' && json.Unmarshal(value, &text) != nil {
			text = string(value)
		}
		texts[key] = text
	}
	return texts
}

// A conflict that was kept before, by us or by somebody at the same time, is kept once. Private content that
// was erased can't be compared and counts as the same.
const sqlInsertConflict = `
WITH kept AS (
    INSERT INTO ledger.conflict_private (event_key, digest, tag, payload, pii)
    SELECT $4, $9, $10, $11, $12
    WHERE NOT EXISTS (
        SELECT
        FROM ledger.conflicts c
        JOIN ledger.erased_conflicts x ON x.conflict = c.n
        WHERE c.event_key = $4 AND c.digest = $9)
    ON CONFLICT ON CONSTRAINT conflict_private_once DO NOTHING
    RETURNING conflict
)
INSERT INTO ledger.conflicts (n, reason, source, event_id, event_key, existing_position, existing_recorded_at, differs, content, digest)
SELECT conflict, $1, $2, $3, $4, $5, $6, $7, $8, $9
FROM kept`

// conflictsAtOnce is how many conflicts are sent before an answer is waited for.
const conflictsAtOnce = 500

// insertConflicts keeps conflicts. Their order is the same for every writer, so that two writers of the
// same conflicts wait for each other instead of deadlocking.
func insertConflicts(ctx context.Context, tx pgx.Tx, conflicts []conflict) error {
	sorted := slices.SortedFunc(slices.Values(conflicts), func(a, b conflict) int {
		return cmp.Or(bytes.Compare(a.p.eventKey[:], b.p.eventKey[:]), bytes.Compare(a.p.digest[:], b.p.digest[:]), bytes.Compare(a.tag, b.tag))
	})
	for part := range slices.Chunk(sorted, conflictsAtOnce) {
		var queue pgx.Batch
		for _, c := range part {
			payload, pii := optional(string(c.event.Payload)), optional(string(c.event.private))
			queue.Queue(sqlInsertConflict, c.reason, c.event.Source, c.event.ID, uuid.UUID(c.p.eventKey), c.existing.position,
				c.existing.recordedAt, c.differs, string(AppendCanonical(nil, c.event)), c.p.digest[:], c.tag, payload, pii)
		}
		if err := tx.SendBatch(ctx, &queue).Close(); err != nil {
			return fmt.Errorf("keep conflicts: %w", err)
		}
	}
	return nil
}
