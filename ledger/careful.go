package ledger

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"deltaledger/ledger/pg"
)

// taken is the entry of the identity index that an event met.
type taken struct {
	eventKey   Key
	position   int64
	recordedAt time.Time
	version    int16
	digest     Digest
}

// writeCareful writes items of which some may be recorded already, or are being recorded by somebody
// else right now. It returns how many it didn't record because their keys were taken.
func (w *writer) writeCareful(ctx context.Context, b *Batch, items []*prepared) (int, error) {
	var (
		known     map[*prepared]taken
		positions map[*prepared]int64
	)
	err := w.run(func(tx pgx.Tx) error {
		var err error
		if known, err = lookUp(ctx, tx, items); err != nil {
			return err
		}
		rest := slices.DeleteFunc(slices.Clone(items), func(p *prepared) bool { _, found := known[p]; return found })
		if positions, err = insertFree(ctx, tx, b, rest); err != nil {
			return err
		}
		left := slices.DeleteFunc(rest, func(p *prepared) bool { _, done := positions[p]; return done })
		return w.classify(ctx, tx, b, left, known)
	})
	if err != nil {
		return 0, err
	}
	for p, position := range positions {
		b.Outcomes[p.input] = Outcome{Status: Recorded, Position: position}
	}
	return len(items) - len(positions), nil
}

// settle says what became of repeats: events whose identity or place another event of the batch had
// before them. It returns those that turn out to be free after all, because the other wasn't recorded.
func (w *writer) settle(ctx context.Context, b *Batch, repeats []*prepared) (free []*prepared, err error) {
	if len(repeats) == 0 {
		return nil, nil
	}
	err = w.run(func(tx pgx.Tx) error {
		free = nil
		known, err := lookUp(ctx, tx, repeats)
		if err != nil {
			return err
		}
		left := slices.DeleteFunc(slices.Clone(repeats), func(p *prepared) bool { _, found := known[p]; return found })
		places, err := lookUpPlaces(ctx, tx, left)
		if err != nil {
			return err
		}
		met := left[:0]
		for _, p := range left {
			if _, found := places[p]; found {
				met = append(met, p)
			} else {
				free = append(free, p)
			}
		}
		return w.classify(ctx, tx, b, met, known)
	})
	return free, err
}

// OFFSET 0: a look into the index for each key. Told that there are ten thousand of them, the planner would
// read the whole table instead.
const sqlLookUp = `
SELECT w.i, k.event_key, k.position, k.recorded_at, k.digest_version, k.digest
FROM unnest($1::uuid[]) WITH ORDINALITY AS w (event_key, i)
CROSS JOIN LATERAL (SELECT * FROM ledger.event_keys WHERE event_key = w.event_key OFFSET 0) AS k`

const sqlLookUpPlaces = `
SELECT w.i, k.event_key, k.position, k.recorded_at, k.digest_version, k.digest
FROM unnest($1::uuid[]) WITH ORDINALITY AS w (position_key, i)
CROSS JOIN LATERAL (SELECT * FROM ledger.event_keys WHERE position_key = w.position_key OFFSET 0) AS k`

// lookUp finds the items whose identity is recorded. It looks at their places first: rows were inserted in
// the order of places, so that those of a repeated delivery are neighbours on disk, and identities aren't.
func lookUp(ctx context.Context, tx pgx.Tx, items []*prepared) (map[*prepared]taken, error) {
	found, err := lookUpPlaces(ctx, tx, items)
	if err != nil {
		return nil, err
	}
	maps.DeleteFunc(found, func(p *prepared, t taken) bool { return t.eventKey != p.eventKey })
	if len(found) == len(items) {
		return found, nil
	}
	rest := slices.DeleteFunc(slices.Clone(items), func(p *prepared) bool { _, known := found[p]; return known })
	others, err := lookUpBy(ctx, tx, sqlLookUp, rest, func(p *prepared) Key { return p.eventKey })
	maps.Copy(found, others)
	return found, err
}

// lookUpPlaces finds the items whose place in their stream is taken.
func lookUpPlaces(ctx context.Context, tx pgx.Tx, items []*prepared) (map[*prepared]taken, error) {
	numbered := slices.DeleteFunc(slices.Clone(items), func(p *prepared) bool { return !p.numbered })
	return lookUpBy(ctx, tx, sqlLookUpPlaces, numbered, func(p *prepared) Key { return p.positionKey })
}

func lookUpBy(ctx context.Context, tx pgx.Tx, sql string, items []*prepared, key func(*prepared) Key) (map[*prepared]taken, error) {
	found := make(map[*prepared]taken, len(items))
	if len(items) == 0 {
		return found, nil
	}
	items = slices.SortedFunc(slices.Values(items), func(a, b *prepared) int { // as the index is: neighbours share pages
		x, y := key(a), key(b)
		return bytes.Compare(x[:], y[:])
	})
	keys := make([][16]byte, len(items)) // of a uuid.UUID the driver would make a text first
	for i, p := range items {
		keys[i] = key(p)
	}
	var (
		i      int64
		t      taken
		id     [16]byte
		digest pgtype.DriverBytes // ours until the next row
	)
	err := pg.ForEach(ctx, tx, []any{&i, &id, &t.position, &t.recordedAt, &t.version, &digest}, func() error {
		if copy(t.digest[:], digest) != len(t.digest) {
			return fmt.Errorf("the digest of position %d has %d bytes: %w", t.position, len(digest), ErrCorrupt)
		}
		t.eventKey = id
		found[items[i-1]] = t
		return nil
	}, sql, keys)
	if err != nil {
		return nil, fmt.Errorf("look up keys: %w", err)
	}
	return found, nil
}

// ON CONFLICT without a target: whichever of the two keys is taken, the row is left out. It waits for
// a transaction that is inserting the same key.
const sqlInsertKeys = `
INSERT INTO ledger.event_keys (event_key, position_key, position, recorded_at, digest_version, digest)
SELECT k.event_key, k.position_key, k.position, $4, $5, k.digest
FROM unnest($1::uuid[], $2::uuid[], $3::bigint[], $6::bytea[]) AS k (event_key, position_key, position, digest)
ON CONFLICT DO NOTHING
RETURNING position`

// insertFree records the items whose keys are free and returns their positions.
func insertFree(ctx context.Context, tx pgx.Tx, b *Batch, items []*prepared) (map[*prepared]int64, error) {
	done := map[*prepared]int64{}
	if len(items) == 0 {
		return done, nil
	}
	positions, at, err := drawToWrite(ctx, tx, b, len(items))
	if err != nil {
		return nil, err
	}
	byPosition := make(map[int64]*prepared, len(items))
	for i, p := range items {
		byPosition[positions[i]] = p
	}
	rows, err := tx.Query(ctx, sqlInsertKeys, keyArguments(items, positions, at)...)
	if err != nil {
		return nil, fmt.Errorf("insert keys: %w", err)
	}
	stored, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return nil, fmt.Errorf("insert keys: %w", err)
	}
	slices.Sort(stored)
	mine := make([]*prepared, len(stored))
	for i, position := range stored {
		mine[i] = byPosition[position]
		done[mine[i]] = position
	}
	if len(mine) == 0 {
		return done, nil
	}
	return done, copyRows(ctx, tx, b, mine, stored, at)
}

func keyArguments(items []*prepared, positions []int64, at time.Time) []any {
	index := make([]int, len(items))
	for i := range index {
		index[i] = i
	}
	slices.SortFunc(index, func(i, j int) int { return order(items[i], items[j]) })
	var (
		eventKeys  = make([][16]byte, len(items))
		placeKeys  = make([]*[16]byte, len(items))
		sortedPlus = make([]int64, len(items))
		digests    = make([][]byte, len(items))
	)
	for to, from := range index {
		p := items[from]
		eventKeys[to], sortedPlus[to], digests[to] = p.eventKey, positions[from], p.digest[:]
		if p.numbered {
			placeKeys[to] = (*[16]byte)(&p.positionKey)
		}
	}
	return []any{eventKeys, placeKeys, sortedPlus, at, int16(DigestVersion), digests}
}

// classify says for each of left why its keys were taken, and for each of known whether its content is
// the recorded one. It runs in a statement after the insert that left them out: the insert's own
// snapshot may be older than the row that it met.
func (w *writer) classify(ctx context.Context, tx pgx.Tx, b *Batch, left []*prepared, known map[*prepared]taken) error {
	again, err := lookUp(ctx, tx, left)
	if err != nil {
		return err
	}
	for p, t := range again {
		known[p] = t
	}
	rest := slices.DeleteFunc(slices.Clone(left), func(p *prepared) bool { _, found := known[p]; return found })
	places, err := lookUpPlaces(ctx, tx, rest)
	if err != nil {
		return err
	}
	for _, p := range rest {
		t, found := places[p]
		if !found {
			return fmt.Errorf("event %s of %s was refused by the index, but neither its identity nor its place is taken: %w",
				b.events[p.input].ID, b.events[p.input].Source, ErrCorrupt)
		}
		known[p] = t // with the same event key it was recorded between the two look-ups: a duplicate
	}
	return w.compare(ctx, tx, b, known)
}

// compare tells duplicates from conflicts.
func (w *writer) compare(ctx context.Context, tx pgx.Tx, b *Batch, known map[*prepared]taken) error {
	var same, others []*prepared
	var conflicts []conflict
	for p, t := range known {
		switch {
		case t.eventKey != p.eventKey:
			conflicts = append(conflicts, conflict{p: p, existing: t, event: p.public, reason: reasonSequence})
		case t.version != DigestVersion:
			return fmt.Errorf("position %d has a digest of version %d, which this program can't compare: %w", t.position, t.version, ErrCorrupt)
		case t.digest != p.digest:
			others = append(others, p)
		default:
			same = append(same, p)
		}
	}
	other, err := otherPrivate(ctx, tx, same, known)
	if err != nil {
		return err
	}
	for _, p := range same {
		b.Outcomes[p.input] = Outcome{Status: Duplicate, Position: known[p].position}
		if other[p] {
			conflicts = append(conflicts, conflict{p: p, existing: known[p], event: p.public, reason: reasonContent})
		}
	}
	divided, err := divideAsThen(ctx, tx, b, others, known)
	if err != nil {
		return err
	}
	for _, p := range others {
		if divided[p].same {
			b.Outcomes[p.input] = Outcome{Status: Duplicate, Position: known[p].position}
			continue
		}
		conflicts = append(conflicts, conflict{p: p, existing: known[p], event: p.public, then: divided[p].event, reason: reasonContent})
	}
	return w.keep(ctx, tx, b, conflicts)
}

const sqlCommitments = `
SELECT s.position, s.salt, e.commitment
FROM unnest($1::bigint[], $2::timestamptz[]) AS p (position, recorded_at)
JOIN ledger.private s ON s.position = p.position` + EventAtP

// otherPrivate finds the items whose private content isn't the recorded one. Content that was erased
// can't be compared and counts as the same.
func otherPrivate(ctx context.Context, tx pgx.Tx, items []*prepared, known map[*prepared]taken) (map[*prepared]bool, error) {
	var positions []int64
	var times []time.Time
	byPosition := map[int64][]*prepared{}
	for _, p := range items {
		if p.canonical != nil {
			t := known[p]
			positions, times = append(positions, t.position), append(times, t.recordedAt)
			byPosition[t.position] = append(byPosition[t.position], p)
		}
	}
	other := map[*prepared]bool{}
	if len(positions) == 0 {
		return other, nil
	}
	var position int64
	var salt, have []byte
	err := pg.ForEach(ctx, tx, []any{&position, &salt, &have}, func() error {
		for _, p := range byPosition[position] {
			if c := commitment(salt, p.canonical); string(c[:]) != string(have) {
				other[p] = true
			}
		}
		return nil
	}, sqlCommitments, positions, times)
	if err != nil {
		return nil, fmt.Errorf("compare private content: %w", err)
	}
	return other, nil
}

// keepAsDeclared lets conflicts of batches be kept: what is public of an event that was prepared by older declarations
// may be private by now, and conflicts are kept for ever. The error is errDeclared then. As with events, whoever declares
// waits for the transaction.
func keepAsDeclared(ctx context.Context, tx pgx.Tx, batches ...*Batch) error {
	for _, b := range batches {
		if _, _, err := drawToWrite(ctx, tx, b, 0); err != nil {
			return err
		}
	}
	return nil
}

// keep stores conflicts, in this transaction or, if the request is atomic, after it.
func (w *writer) keep(ctx context.Context, tx pgx.Tx, b *Batch, conflicts []conflict) error {
	conflicts = b.dropWithheld(conflicts)
	if len(conflicts) == 0 {
		return nil
	}
	if err := keepAsDeclared(ctx, tx, b); err != nil {
		return err
	}
	if err := describe(ctx, tx, conflicts, b.by.catalogue, w.l.settings.ID); err != nil {
		return err
	}
	for _, c := range conflicts {
		b.Outcomes[c.p.input] = c.outcome()
	}
	if w.atomic {
		w.conflicts = append(w.conflicts, conflicts...)
		return nil
	}
	return insertConflicts(ctx, tx, conflicts)
}
