package ledger

import (
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"deltaledger/ledger/pg"
)

// Only upstream's own events: what people and the ledger add has no upstream number.
const sqlArrivals = `
SELECT e.position, e.recorded_at, e.occurred_at, e.source, COALESCE(e.stream, ''), COALESCE(e.seqn, 0), e.seqn IS NOT NULL, e.account, e.event_id
FROM ledger.every_event e
WHERE e.position > $1 AND e.position <= $2
  AND e.recorded_at >= COALESCE((SELECT w.taken_at FROM ledger.watermarks w WHERE w.position <= $1 ORDER BY w.position DESC, w.n DESC LIMIT 1), '-infinity')
  AND e.kind = 'upstream' AND e.source = COALESCE($3, e.source)
ORDER BY e.position`

// look takes the events of a span into account: those of one source, or of all that aren't made anew.
func look(ctx context.Context, tx pgx.Tx, s stretch, source *string) error {
	rows, err := tx.Query(ctx, sqlArrivals, s.after, s.through, source)
	if err != nil {
		return fmt.Errorf("read events: %w", err)
	}
	arrivals, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (a arrival, err error) {
		err = row.Scan(&a.position, &a.recordedAt, &a.occurredAt, &a.source, &a.stream, &a.seqn, &a.numbered, &a.account, &a.id)
		return a, err
	})
	if err != nil {
		return fmt.Errorf("read events: %w", err)
	}
	if len(arrivals) == 0 {
		return nil
	}
	l := looker{tx: tx, done: s.after, anew: source != nil, sources: map[string]*sourceState{}, lines: map[lineKey]*numberLine{}}
	for _, step := range []func(context.Context, []arrival) error{l.loadSources, l.loadGaps, l.loadLast} {
		if err := step(ctx, arrivals); err != nil {
			return err
		}
	}
	l.take(arrivals)
	return l.store(ctx)
}

// looker looks at the events of one step.
type looker struct {
	tx      pgx.Tx
	done    int64 // position through which everything was looked at before
	anew    bool
	sources map[string]*sourceState
	lines   map[lineKey]*numberLine
	order   []*numberLine // the lines, so that what is stored is in one order
}

type lineKey struct{ source, stream string }

// sourceState is a row of ledger.completeness_sources.
type sourceState struct {
	source, numbering string
	skip              bool // it is made anew, by itself
	events, streams   int64
	withGaps          int64
	gaps, missing     int64
	doubled           int64
	first, last       *int64
	lastAt            *time.Time
	newest            arrival
}

const sqlCompletenessSources = `
SELECT w.source, COALESCE(c.numbering, d.numbering, 'stream'), c.through IS NOT NULL, COALESCE(c.events, 0), COALESCE(c.streams, 0),
       COALESCE(c.streams_with_gaps, 0), COALESCE(c.gaps, 0), COALESCE(c.missing, 0), COALESCE(c.doubled, 0), c.first_seqn, c.last_seqn, c.last_occurred_at,
       COALESCE(c.newest_position, 0), COALESCE(c.newest_occurred_at, 'epoch'), COALESCE(c.newest_recorded_at, 'epoch')
FROM unnest($1::text[]) AS w (source)
LEFT JOIN ledger.completeness_sources c ON c.source = w.source
LEFT JOIN LATERAL (SELECT s.numbering FROM ledger.sources s WHERE s.name = w.source ORDER BY s.n DESC LIMIT 1) d ON true`

func (l *looker) loadSources(ctx context.Context, arrivals []arrival) error {
	var names []string
	for _, a := range arrivals {
		if _, known := l.sources[a.source]; !known {
			l.sources[a.source] = nil
			names = append(names, a.source)
		}
	}
	var s sourceState
	dest := []any{
		&s.source, &s.numbering, &s.skip, &s.events, &s.streams, &s.withGaps, &s.gaps, &s.missing, &s.doubled, &s.first, &s.last, &s.lastAt,
		&s.newest.position, &s.newest.occurredAt, &s.newest.recordedAt,
	}
	err := pg.ForEach(ctx, l.tx, dest, func() error {
		one := s
		one.skip = s.skip && !l.anew
		l.sources[one.source] = &one
		return nil
	}, sqlCompletenessSources, names)
	if err != nil {
		return fmt.Errorf("read sources: %w", err)
	}
	return nil
}

// line is where the number of a counts; nil if it doesn't.
func (l *looker) line(a arrival) *numberLine {
	s := l.sources[a.source]
	if s.skip || !a.numbered || s.numbering == NumberingNone {
		return nil
	}
	key := lineKey{a.source, a.stream}
	if s.numbering == NumberingSource {
		key.stream = ""
	}
	n := l.lines[key]
	if n == nil {
		n = newNumberLine(key.source, key.stream)
		if s.numbering == NumberingSource {
			n.known = s.last != nil
			if n.known {
				n.first, n.last, n.lastAt = *s.first, *s.last, s.lastAt
			}
		}
		l.lines[key] = n
		l.order = append(l.order, n)
	}
	return n
}

// The gap that a number is in or behind, and the one before: should the first be filled, what lies behind
// it belongs to the other.
const sqlGapsNear = `
SELECT g.source, g.stream, g.from_seqn, g.to_seqn, g.since, g.since_position, g.previous_occurred_at,
       g.next_position, g.next_recorded_at, g.next_occurred_at, g.next_account, g.earliest
FROM unnest($1::text[], $2::text[], $3::bigint[]) AS w (source, stream, seqn)
CROSS JOIN LATERAL (
    SELECT n.source, n.stream, n.from_seqn, n.to_seqn, n.since, n.since_position, n.previous_occurred_at,
           n.next_position, n.next_recorded_at, n.next_occurred_at, n.next_account, n.earliest
    FROM ledger.completeness_gaps n
    WHERE n.source = w.source AND n.stream = w.stream AND n.from_seqn <= greatest(w.seqn, 1)
    ORDER BY n.from_seqn DESC
    LIMIT 2) g`

// loadGaps loads the gaps that the arrivals can touch.
func (l *looker) loadGaps(ctx context.Context, arrivals []arrival) error {
	var sources, streams []string
	var numbers []int64
	for _, a := range arrivals {
		if n := l.line(a); n != nil && l.sources[a.source].gaps > 0 {
			sources, streams, numbers = append(sources, n.source), append(streams, n.stream), append(numbers, a.seqn)
		}
	}
	if len(numbers) == 0 {
		return nil
	}
	var g openGap
	err := pg.ForEach(ctx, l.tx, gapColumns(&g), func() error {
		n := l.lines[lineKey{g.source, g.stream}]
		n.load(g)
		n.known = true
		return nil
	}, sqlGapsNear, sources, streams, numbers)
	if err != nil {
		return fmt.Errorf("read gaps: %w", err)
	}
	return nil
}

func gapColumns(g *openGap) []any {
	return []any{
		&g.source, &g.stream, &g.from, &g.to, &g.since, &g.sincePosition, &g.previousAt,
		&g.next.position, &g.next.recordedAt, &g.next.occurredAt, &g.next.account, &g.earliest,
	}
}

// The highest number of a stream below one that arrived, as of the step before. Events of later steps in
// between are passed over; each only once, because from then on they are below the highest.
const sqlLastBefore = `
SELECT w.i, k.position_key, k.position, k.recorded_at
FROM unnest($1::uuid[], $2::uuid[]) WITH ORDINALITY AS w (low, high, i)
CROSS JOIN LATERAL (
    SELECT e.position_key, e.position, e.recorded_at
    FROM ledger.event_keys e
    WHERE e.position_key >= w.low AND e.position_key < w.high AND e.position <= $3
    ORDER BY e.position_key DESC
    LIMIT 1) k`

const sqlOccurredAt = `
SELECT p.i, e.occurred_at
FROM unnest($1::bigint[], $2::timestamptz[]) WITH ORDINALITY AS p (position, recorded_at, i)` + EventAtP

// above is a stream with an arrival that is in no gap, and so above what it had.
type above struct {
	line          *numberLine
	lowest, first int64 // of those arrivals: the lowest number, and the first one that came; 0 counts as the highest
}

// loadLast finds the highest numbers of the streams in which a higher one arrives.
func (l *looker) loadLast(ctx context.Context, arrivals []arrival) error {
	var wanted []*above
	by := map[*numberLine]*above{}
	for _, a := range arrivals {
		n := l.line(a)
		if n == nil || l.sources[a.source].numbering != NumberingStream || n.missing(a.seqn) {
			continue
		}
		seqn := a.seqn
		if seqn == 0 {
			seqn = MaxSeqn
		}
		if w := by[n]; w == nil {
			by[n] = &above{n, seqn, seqn}
			wanted = append(wanted, by[n])
		} else if w.lowest = min(w.lowest, seqn); w.first == MaxSeqn {
			w.first = seqn
		}
	}
	low, high := make([][16]byte, len(wanted)), make([][16]byte, len(wanted)) // of a uuid.UUID the driver would make a text first
	for i, w := range wanted {
		low[i], high[i] = PositionKey(w.line.source, w.line.stream, 0), PositionKey(w.line.source, w.line.stream, w.lowest)
	}
	return l.findLast(ctx, wanted, low, high)
}

func (l *looker) findLast(ctx context.Context, wanted []*above, low, high [][16]byte) error {
	var i int
	var key [16]byte
	var p place
	var lines []*numberLine // that will have a gap behind their highest number
	var positions []int64
	var times []time.Time
	err := pg.ForEach(ctx, l.tx, []any{&i, &key, &p.Position, &p.RecordedAt}, func() error {
		w := wanted[i-1]
		w.line.known, w.line.last = true, seqnOf(key)
		if w.first > w.line.last+1 {
			lines, positions, times = append(lines, w.line), append(positions, p.Position), append(times, p.RecordedAt)
		}
		return nil
	}, sqlLastBefore, low, high, l.done)
	if err != nil {
		return fmt.Errorf("read the highest numbers: %w", err)
	}
	if len(lines) == 0 {
		return nil
	}
	var at time.Time
	err = pg.ForEach(ctx, l.tx, []any{&i, &at}, func() error { t := at; lines[i-1].lastAt = &t; return nil }, sqlOccurredAt, positions, times)
	if err != nil {
		return fmt.Errorf("read the events before gaps: %w", err)
	}
	return nil
}

// seqnOf is the number in a key that PositionKey made.
func seqnOf(k Key) int64 {
	return int64(binary.BigEndian.Uint16(k[10:]))<<32 | int64(binary.BigEndian.Uint32(k[12:]))
}

// take puts the arrivals into their lines, in the order of their positions.
func (l *looker) take(arrivals []arrival) {
	for _, a := range arrivals {
		s := l.sources[a.source]
		if s.skip {
			continue
		}
		s.events++
		if c := cmp.Or(a.occurredAt.Compare(s.newest.occurredAt), cmp.Compare(a.position, s.newest.position)); c > 0 || s.newest.position == 0 {
			s.newest = a
		}
		if n := l.line(a); n != nil {
			if s.numbering == NumberingStream && !n.known {
				n.known = true
				s.streams++
			}
			n.take(a)
		}
	}
	for _, n := range l.order {
		if s := l.sources[n.source]; s.numbering == NumberingSource {
			s.first, s.last, s.lastAt = &n.first, &n.last, n.lastAt
			s.doubled += int64(len(n.doubled))
		}
	}
	slices.SortFunc(l.order, func(a, b *numberLine) int {
		return cmp.Or(cmp.Compare(a.source, b.source), cmp.Compare(a.stream, b.stream))
	})
}
