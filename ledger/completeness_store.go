package ledger

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"deltaledger/ledger/pg"
)

// store writes what the step changed.
func (l *looker) store(ctx context.Context) error {
	touched, before, err := l.storeGaps(ctx)
	if err != nil {
		return err
	}
	after, err := l.withGaps(ctx, touched)
	if err != nil {
		return err
	}
	for source, n := range after {
		l.sources[source].withGaps += n
	}
	for source, n := range before {
		l.sources[source].withGaps -= n
	}
	if err := l.storeFilled(ctx); err != nil {
		return err
	}
	if err := l.storeDoubled(ctx); err != nil {
		return err
	}
	return l.storeSources(ctx)
}

const sqlRemoveGaps = `
DELETE FROM ledger.completeness_gaps g
USING unnest($1::text[], $2::text[], $3::bigint[]) AS w (source, stream, from_seqn)
WHERE g.source = w.source AND g.stream = w.stream AND g.from_seqn = w.from_seqn`

const sqlPutGaps = `
INSERT INTO ledger.completeness_gaps (source, stream, from_seqn, to_seqn, since, since_position, previous_occurred_at,
    next_position, next_recorded_at, next_occurred_at, next_account, earliest)
SELECT w.source, w.stream, w.from_seqn, w.to_seqn, w.since, w.since_position, w.previous_occurred_at,
    w.next_position, w.next_recorded_at, w.next_occurred_at, w.next_account, w.earliest
FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::timestamptz[], $6::bigint[], $7::timestamptz[],
    $8::bigint[], $9::timestamptz[], $10::timestamptz[], $11::text[], $12::timestamptz[])
    AS w (source, stream, from_seqn, to_seqn, since, since_position, previous_occurred_at, next_position, next_recorded_at, next_occurred_at, next_account, earliest)
ON CONFLICT (source, stream, from_seqn) DO UPDATE SET
    to_seqn = EXCLUDED.to_seqn, since = EXCLUDED.since, since_position = EXCLUDED.since_position, previous_occurred_at = EXCLUDED.previous_occurred_at,
    next_position = EXCLUDED.next_position, next_recorded_at = EXCLUDED.next_recorded_at, next_occurred_at = EXCLUDED.next_occurred_at,
    next_account = EXCLUDED.next_account, earliest = EXCLUDED.earliest`

// gapArrays are gaps as the arguments of a statement.
type gapArrays struct {
	sources, streams, accounts        []string
	from, to, sincePosition, next     []int64
	since, nextRecorded, nextOccurred []time.Time
	earliest                          []time.Time
	previous                          []*time.Time
}

func (a *gapArrays) add(g openGap) {
	a.sources, a.streams, a.accounts = append(a.sources, g.source), append(a.streams, g.stream), append(a.accounts, g.next.account)
	a.from, a.to = append(a.from, g.from), append(a.to, g.to)
	a.sincePosition, a.next = append(a.sincePosition, g.sincePosition), append(a.next, g.next.position)
	a.since, a.earliest = append(a.since, g.since), append(a.earliest, g.earliest)
	a.nextRecorded, a.nextOccurred = append(a.nextRecorded, g.next.recordedAt), append(a.nextOccurred, g.next.occurredAt)
	a.previous = append(a.previous, g.previousAt)
}

// storeGaps brings the stored gaps to what the lines have, and returns the streams that changed with, for
// each source, how many of them had gaps before.
func (l *looker) storeGaps(ctx context.Context) (touched []*numberLine, before map[string]int64, err error) {
	var remove, put gapArrays
	for _, n := range l.order {
		c := n.change()
		if len(c.remove)+len(c.put) == 0 {
			continue
		}
		s := l.sources[n.source]
		if s.numbering == NumberingStream {
			touched = append(touched, n)
		}
		s.gaps += int64(len(n.gaps) - len(n.stored))
		for _, g := range n.gaps {
			s.missing += g.missing()
		}
		for _, g := range n.stored {
			s.missing -= g.missing()
		}
		for _, g := range c.remove {
			remove.add(g)
		}
		for _, g := range c.put {
			put.add(g)
		}
	}
	if before, err = l.withGaps(ctx, touched); err != nil {
		return nil, nil, err
	}
	if len(remove.from) > 0 {
		if _, err := l.tx.Exec(ctx, sqlRemoveGaps, remove.sources, remove.streams, remove.from); err != nil {
			return nil, nil, fmt.Errorf("remove gaps: %w", err)
		}
	}
	if len(put.from) > 0 {
		if _, err := l.tx.Exec(ctx, sqlPutGaps, put.sources, put.streams, put.from, put.to, put.since, put.sincePosition, put.previous,
			put.next, put.nextRecorded, put.nextOccurred, put.accounts, put.earliest); err != nil {
			return nil, nil, fmt.Errorf("write gaps: %w", err)
		}
	}
	return touched, before, nil
}

const sqlWithGaps = `
SELECT w.source, count(*)
FROM unnest($1::text[], $2::text[]) AS w (source, stream)
WHERE EXISTS (SELECT FROM ledger.completeness_gaps g WHERE g.source = w.source AND g.stream = w.stream)
GROUP BY w.source`

// withGaps counts for each source those of some lines that have stored gaps.
func (l *looker) withGaps(ctx context.Context, lines []*numberLine) (map[string]int64, error) {
	found := map[string]int64{}
	if len(lines) == 0 {
		return found, nil
	}
	var sources, streams []string
	for _, n := range lines {
		sources, streams = append(sources, n.source), append(streams, n.stream)
	}
	var source string
	var count int64
	err := pg.ForEach(ctx, l.tx, []any{&source, &count}, func() error { found[source] = count; return nil }, sqlWithGaps, sources, streams)
	if err != nil {
		return nil, fmt.Errorf("count streams with gaps: %w", err)
	}
	return found, nil
}

const sqlPutFilled = `
INSERT INTO ledger.completeness_filled (source, stream, from_seqn, to_seqn, since, filled_at)
SELECT w.source, w.stream, w.from_seqn, w.to_seqn, w.since, w.filled_at
FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::timestamptz[], $6::timestamptz[])
    AS w (source, stream, from_seqn, to_seqn, since, filled_at)`

func (l *looker) storeFilled(ctx context.Context) error {
	var a gapArrays
	for _, n := range l.order {
		for _, f := range n.filled() {
			a.add(openGap{source: n.source, stream: n.stream, from: f.from, to: f.to, since: f.since, earliest: f.at})
		}
	}
	if len(a.from) == 0 {
		return nil
	}
	if _, err := l.tx.Exec(ctx, sqlPutFilled, a.sources, a.streams, a.from, a.to, a.since, a.earliest); err != nil {
		return fmt.Errorf("write filled gaps: %w", err)
	}
	return nil
}

const sqlPutDoubled = `
INSERT INTO ledger.completeness_doubled (source, seqn, position, recorded_at, stream, event_id)
SELECT w.source, w.seqn, w.position, w.recorded_at, w.stream, w.event_id
FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::timestamptz[], $5::text[], $6::text[])
    AS w (source, seqn, position, recorded_at, stream, event_id)`

func (l *looker) storeDoubled(ctx context.Context) error {
	var sources, streams, ids []string
	var numbers, positions []int64
	var times []time.Time
	for _, n := range l.order {
		for _, a := range n.doubled {
			sources, streams, ids = append(sources, a.source), append(streams, a.stream), append(ids, a.id)
			numbers, positions, times = append(numbers, a.seqn), append(positions, a.position), append(times, a.recordedAt)
		}
	}
	if len(numbers) == 0 {
		return nil
	}
	if _, err := l.tx.Exec(ctx, sqlPutDoubled, sources, numbers, positions, times, streams, ids); err != nil {
		return fmt.Errorf("write doubled numbers: %w", err)
	}
	return nil
}

const sqlPutSource = `
INSERT INTO ledger.completeness_sources (source, numbering, events, streams, streams_with_gaps, gaps, missing, doubled, first_seqn, last_seqn,
    last_occurred_at, newest_position, newest_occurred_at, newest_recorded_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
ON CONFLICT (source) DO UPDATE SET
    events = EXCLUDED.events, streams = EXCLUDED.streams, streams_with_gaps = EXCLUDED.streams_with_gaps, gaps = EXCLUDED.gaps,
    missing = EXCLUDED.missing, doubled = EXCLUDED.doubled, first_seqn = EXCLUDED.first_seqn, last_seqn = EXCLUDED.last_seqn,
    last_occurred_at = EXCLUDED.last_occurred_at, newest_position = EXCLUDED.newest_position,
    newest_occurred_at = EXCLUDED.newest_occurred_at, newest_recorded_at = EXCLUDED.newest_recorded_at`

func (l *looker) storeSources(ctx context.Context) error {
	var all pgx.Batch
	for _, name := range slices.Sorted(maps.Keys(l.sources)) {
		if s := l.sources[name]; !s.skip {
			all.Queue(sqlPutSource, s.source, s.numbering, s.events, s.streams, s.withGaps, s.gaps, s.missing, s.doubled,
				s.first, s.last, s.lastAt, s.newest.position, s.newest.occurredAt, s.newest.recordedAt)
		}
	}
	if err := l.tx.SendBatch(ctx, &all).Close(); err != nil {
		return fmt.Errorf("write sources: %w", err)
	}
	return nil
}
