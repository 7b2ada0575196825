package ledger

import (
	"context"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"deltaledger/ledger/pg"
)

// GapQuery asks for the open gaps of a source.
type GapQuery struct {
	Source         string
	Stream         string // of one stream; empty: of all
	Month, Through string // as in CompletenessQuery: only gaps in which numbers of the period may be missing
	Limit          int    // 1 to MaxLimit; 0: DefaultLimit
	Cursor         string // NextCursor of the page before
}

// GapPage is a part of the open gaps of a source, by stream and number.
type GapPage struct {
	Gaps       []OpenGap       `json:"gaps"`
	NextCursor string          `json:"next_cursor,omitempty"` // empty: this is the last page
	Filled     []FilledGap     `json:"filled"`                // the newest of the gaps that were open for a while and filled in the last 30 days; at most 100
	Doubled    []DoubledNumber `json:"doubled"`               // the newest events with a number that another event had; at most 100
	Extent     *StreamExtent   `json:"extent,omitempty"`      // of the stream that was asked for, if it has numbered events
}

// StreamExtent says how far one stream goes.
type StreamExtent struct {
	ThroughSeqn int64 `json:"contiguous_through"` // every number from 1 through here has arrived
	LastSeqn    int64 `json:"last_seqn"`
}

// OpenGap is a run of numbers, both ends included, of which no event has arrived, although one with a
// higher number has. A stream is expected to begin at 0 or 1: if its first number is higher, what is
// below it is a gap.
type OpenGap struct {
	Source             string     `json:"source"`
	Stream             string     `json:"stream,omitempty"` // empty: the source numbers across its streams
	From               int64      `json:"from"`
	To                 int64      `json:"to"`
	Since              time.Time  `json:"since"`                          // when an event with a higher number was recorded first
	PreviousOccurredAt *time.Time `json:"previous_occurred_at,omitempty"` // when the event before the gap occurred; absent: the gap is at the beginning
	NextPosition       int64      `json:"next_position"`                  // of the event behind the gap
	NextOccurredAt     time.Time  `json:"next_occurred_at"`
	NextAccount        string     `json:"next_account"`
}

// FilledGap is a run of numbers that were missing and have arrived.
type FilledGap struct {
	Stream   string    `json:"stream,omitempty"`
	From     int64     `json:"from"`
	To       int64     `json:"to"`
	Since    time.Time `json:"since"`     // when they were found missing
	FilledAt time.Time `json:"filled_at"` // when the last of them was recorded
}

// DoubledNumber is an event whose number another event of the source had before.
type DoubledNumber struct {
	Source     string    `json:"source"`
	Seqn       int64     `json:"seqn"`
	Stream     string    `json:"stream"`
	ID         string    `json:"id"`
	Position   int64     `json:"position"`
	RecordedAt time.Time `json:"recorded_at"`
}

// Gaps lists the open gaps of a source, as Completeness sees them.
func (l *Ledger) Gaps(ctx context.Context, q GapQuery) (GapPage, error) {
	if q.Source == "" {
		return GapPage{}, Invalid("source", "", "is missing")
	}
	if !storable(q.Stream) {
		return GapPage{}, Invalid("stream", shown(q.Stream), ruleStorable)
	}
	end, err := l.endOf(CompletenessQuery{Source: q.Source, Month: q.Month, Through: q.Through})
	if err != nil {
		return GapPage{}, err
	}
	limit, err := limitOf(q.Limit, DefaultLimit, MaxLimit)
	if err != nil {
		return GapPage{}, err
	}
	after, err := decodeGapCursor(q.Cursor)
	if err != nil {
		return GapPage{}, err
	}
	if _, err := l.catchUp(ctx); err != nil {
		return GapPage{}, err
	}
	var page GapPage
	err = pg.InSnapshot(ctx, l.pool, func(tx pgx.Tx) (err error) {
		page, err = readGapPage(ctx, tx, q, end, after, limit)
		return err
	})
	if err != nil {
		return GapPage{}, readError("read gaps", err)
	}
	return page, nil
}

const sqlGapPage = `
SELECT g.source, g.stream, g.from_seqn, g.to_seqn, g.since, g.previous_occurred_at, g.next_position, g.next_occurred_at, g.next_account
FROM ledger.completeness_gaps g
WHERE g.source = $1 AND ($2::text = '' OR g.stream = $2) AND (g.stream, g.from_seqn) > ($3, $4::bigint)
  AND ($5::timestamptz IS NULL OR g.earliest < $5 OR COALESCE(g.previous_occurred_at < $5, true))
ORDER BY g.stream, g.from_seqn
LIMIT $6`

const sqlFilled = `
SELECT f.stream, f.from_seqn, f.to_seqn, f.since, f.filled_at
FROM ledger.completeness_filled f
WHERE f.source = $1 AND ($2 = '' OR f.stream = $2)
ORDER BY f.filled_at DESC, f.n DESC
LIMIT 100`

const sqlDoubled = `
SELECT d.source, d.seqn, d.stream, d.event_id, d.position, d.recorded_at
FROM ledger.completeness_doubled d
WHERE d.source = $1 AND ($2 = '' OR d.stream = $2)
ORDER BY d.position DESC
LIMIT 100`

func readGapPage(ctx context.Context, tx pgx.Tx, q GapQuery, end *time.Time, after gapCursor, limit int) (page GapPage, err error) {
	if page.Gaps, err = collect[OpenGap](ctx, tx, sqlGapPage, q.Source, q.Stream, after.stream, after.from, end, limit+1); err != nil {
		return page, err
	}
	if len(page.Gaps) > limit {
		page.Gaps = page.Gaps[:limit]
		page.NextCursor = gapCursor{page.Gaps[limit-1].Stream, page.Gaps[limit-1].From}.encode()
	}
	for i := range page.Gaps {
		page.Gaps[i].utc()
	}
	if page.Filled, err = collect[FilledGap](ctx, tx, sqlFilled, q.Source, q.Stream); err != nil {
		return page, err
	}
	for i := range page.Filled {
		f := &page.Filled[i]
		f.Since, f.FilledAt = f.Since.UTC(), f.FilledAt.UTC()
	}
	if page.Doubled, err = collect[DoubledNumber](ctx, tx, sqlDoubled, q.Source, q.Stream); err != nil {
		return page, err
	}
	for i := range page.Doubled {
		page.Doubled[i].RecordedAt = page.Doubled[i].RecordedAt.UTC()
	}
	if q.Stream != "" {
		page.Extent, err = readExtent(ctx, tx, q.Source, q.Stream)
	}
	return page, err
}

func (g *OpenGap) utc() {
	g.Since, g.NextOccurredAt = g.Since.UTC(), g.NextOccurredAt.UTC()
	if g.PreviousOccurredAt != nil {
		at := g.PreviousOccurredAt.UTC()
		g.PreviousOccurredAt = &at
	}
}

// collect reads rows into values whose fields stand in the order of the columns. No rows are an empty list.
func collect[T any](ctx context.Context, tx pgx.Tx, sql string, args ...any) ([]T, error) {
	rows, err := tx.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[T])
}

const sqlExtent = `
SELECT k.position_key, COALESCE((SELECT min(g.from_seqn) - 1 FROM ledger.completeness_gaps g WHERE g.source = $3 AND g.stream = $4), -1)
FROM ledger.event_keys k
WHERE k.position_key BETWEEN $1 AND $2 AND k.position <= (SELECT p.position FROM ledger.completeness_progress p)
  AND EXISTS (SELECT FROM ledger.completeness_sources c WHERE c.source = $3 AND c.numbering = 'stream')
ORDER BY k.position_key DESC
LIMIT 1`

// readExtent says how far a stream goes; nil if it has no numbered events.
func readExtent(ctx context.Context, tx pgx.Tx, source, stream string) (*StreamExtent, error) {
	var key [16]byte
	var e StreamExtent
	err := tx.QueryRow(ctx, sqlExtent, [16]byte(PositionKey(source, stream, 0)), [16]byte(PositionKey(source, stream, MaxSeqn)), source, stream).Scan(&key, &e.ThroughSeqn)
	if isNoRows(err) {
		return nil, nil
	}
	if e.LastSeqn = seqnOf(key); e.ThroughSeqn < 0 {
		e.ThroughSeqn = e.LastSeqn
	}
	return &e, err
}

// gapCursor is the last gap of a page.
type gapCursor struct {
	stream string
	from   int64
}

func (c gapCursor) encode() string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%d %s", c.from, c.stream))
}

func decodeGapCursor(text string) (c gapCursor, err error) {
	if text == "" {
		return gapCursor{}, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(text)
	from, stream, found := strings.Cut(string(raw), " ")
	if err == nil {
		c.from, err = strconv.ParseInt(from, 10, 64)
	}
	if c.stream = stream; err != nil || !found || !storable(stream) {
		return gapCursor{}, Invalid("cursor", "", ruleCursor)
	}
	return c, nil
}

const sqlOldestGaps = `
SELECT g.source, g.stream, g.from_seqn, g.to_seqn, g.since, g.previous_occurred_at, g.next_position, g.next_occurred_at, g.next_account
FROM ledger.completeness_sources c
CROSS JOIN LATERAL (
    SELECT n.source, n.stream, n.from_seqn, n.to_seqn, n.since, n.previous_occurred_at, n.next_position, n.next_occurred_at, n.next_account, n.since_position
    FROM ledger.completeness_gaps n
    WHERE n.source = c.source
    ORDER BY n.since_position, n.stream, n.from_seqn
    LIMIT $1) g
WHERE c.gaps > 0 AND c.through IS NULL
ORDER BY g.source, g.since_position, g.stream, g.from_seqn`

const sqlOldestDoubled = `
SELECT d.source, d.seqn, d.stream, d.event_id, d.position, d.recorded_at
FROM ledger.completeness_sources c
CROSS JOIN LATERAL (
    SELECT n.source, n.seqn, n.stream, n.event_id, n.position, n.recorded_at
    FROM ledger.completeness_doubled n
    WHERE n.source = c.source
    ORDER BY n.seqn, n.position
    LIMIT $1) d
WHERE c.doubled > 0 AND c.through IS NULL
ORDER BY d.source, d.seqn, d.position`

// GapReport is what is open in all sources.
type GapReport struct {
	Sources []SourceCompleteness // all sources, by name
	Gaps    []OpenGap            // of each source the oldest ones
	Doubled []DoubledNumber      // of each source those with the lowest numbers
}

// GapReportTx reads what is open, at most `most` gaps and doubled numbers of each source. What was
// looked at is what counts: call AdvanceCompleteness before the transaction.
func (l *Ledger) GapReportTx(ctx context.Context, tx pgx.Tx, most int) (r GapReport, err error) {
	if r.Sources, err = readCompleteness(ctx, tx, "", nil); err != nil {
		return r, fmt.Errorf("read completeness: %w", err)
	}
	if r.Gaps, err = collect[OpenGap](ctx, tx, sqlOldestGaps, most); err != nil {
		return r, fmt.Errorf("read gaps: %w", err)
	}
	for i := range r.Gaps {
		r.Gaps[i].utc()
	}
	if r.Doubled, err = collect[DoubledNumber](ctx, tx, sqlOldestDoubled, most); err != nil {
		return r, fmt.Errorf("read doubled numbers: %w", err)
	}
	return r, nil
}
