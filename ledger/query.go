package ledger

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"deltaledger/ledger/pg"
)

// The limit of a page.
const (
	DefaultLimit = 100
	MaxLimit     = 1000
)

// ListQuery asks for events. The zero value asks for the newest ones.
type ListQuery struct {
	Where       []Filter
	From, To    string // bounds of occurred_at, as in Range, in the reporting zone
	AsOf        string // as Ledger.AsOf takes it; empty: everything acknowledged until now
	Limit       int    // 1 to MaxLimit; 0: DefaultLimit, or that of the page before
	Cursor      string // NextCursor of the page before; the other fields but Limit and Scope must then be empty or the same
	OldestFirst bool
	Scope       []Filter // rows that the caller may see at all; never taken from a cursor, and wanted for each page
}

// Page is a part of a listing.
type Page struct {
	Events     []Row     `json:"events"`
	NextCursor string    `json:"next_cursor,omitempty"` // empty: this is the last page
	AsOf       Watermark `json:"as_of"`                 // of the whole listing: events recorded since are on none of its pages

	// Detached months that may hold events that were asked for, which are on none of the pages; without any it is whole.
	NotCovered []DetachedMonth `json:"not_covered,omitempty"`
}

// List lists events by position, newest first unless q asks otherwise.
func (l *Ledger) List(ctx context.Context, q ListQuery) (Page, error) {
	if err := checkWhere(q.Where); err != nil {
		return Page{}, err
	}
	c, err := l.listing(ctx, q)
	if err != nil {
		return Page{}, err
	}
	if c.Limit, err = limitOf(q.Limit, c.Limit, MaxLimit); err != nil {
		return Page{}, err
	}
	catalogue, err := l.Catalogue(ctx)
	if err != nil {
		return Page{}, err
	}
	freezes, err := l.freezesFor(ctx, c.AsOf, keysOf(c.Where, q.Scope))
	if err != nil {
		return Page{}, err
	}
	b := newBuilder(catalogue, c.AsOf, l.settings.ReportingZone, true, freezes)
	sql, reader, err := b.list(c, q.Scope)
	if err != nil {
		return Page{}, err
	}
	rows, err := l.pool.Query(ctx, sql, b.args...)
	if err != nil {
		return Page{}, readError("list events", err)
	}
	page := Page{AsOf: c.watermark()}
	page.Events, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (Row, error) { return reader.scan(row) })
	if err != nil {
		return Page{}, readError("list events", err)
	}
	if len(page.Events) > c.Limit {
		page.Events = page.Events[:c.Limit]
		c.Last = page.Events[c.Limit-1].Position
		page.NextCursor = c.encode(l.settings.ID)
	}
	page.NotCovered, err = l.notCovered(ctx, extent{
		asOf: c.AsOf, zone: l.settings.ReportingZone, dates: true, span: Range{c.From, c.To}, where: slices.Concat(c.Where, q.Scope),
	})
	if err != nil {
		return Page{}, err
	}
	return page, markErased(ctx, l.pool, page.Events)
}

// listing is the cursor to read from: the one given, or that of a new listing.
func (l *Ledger) listing(ctx context.Context, q ListQuery) (cursor, error) {
	if q.Cursor == "" {
		w, err := l.AsOf(ctx, q.AsOf)
		if err != nil {
			return cursor{}, err
		}
		return newCursor(q, w), nil
	}
	c, err := decodeCursor(q.Cursor, l.settings.ID)
	if err != nil {
		return cursor{}, err
	}
	if err := c.excludes(q); err != nil {
		return cursor{}, err
	}
	// A cursor comes from outside: that its watermark is decided isn't believed.
	if _, err := l.asOfPosition(ctx, c.AsOf); err != nil {
		if errors.Is(err, ErrInvalid) {
			err = Invalid("cursor", "", ruleCursor)
		}
		return cursor{}, err
	}
	return c, nil
}

// list is the SQL of a page and of one row more, which tells whether there is a next page.
func (b *builder) list(c cursor, scope []Filter) (string, rowReader, error) {
	reader := b.rows()
	if err := b.where(c.Where); err != nil {
		return "", reader, err
	}
	if err := b.where(scope); err != nil {
		return "", reader, err
	}
	if err := b.within(Range{c.From, c.To}); err != nil {
		return "", reader, err
	}
	direction := "DESC"
	if c.OldestFirst {
		direction = "ASC"
	}
	switch {
	case c.Last == 0:
	case c.OldestFirst:
		last := b.arg(c.Last, "bigint")
		b.add("e.position > " + last)
		b.add(fmt.Sprintf(recordedAfter, last))
	default:
		b.add("e.position < " + b.arg(c.Last, "bigint"))
	}
	sql := "SELECT " + reader.columns + b.from() + "\nORDER BY e.position " + direction + "\nLIMIT " + b.arg(c.Limit+1, "bigint")
	return sql, reader, nil
}

// What has a position above a watermark was recorded when it was taken or later, so that earlier
// partitions need not be looked at. There is no such bound to the other side: a transaction may draw a
// position below a watermark and read the clock after it was taken.
const recordedAfter = `e.recorded_at >= COALESCE((
    SELECT w.taken_at
    FROM ledger.watermarks w
    WHERE w.position <= %s
    ORDER BY w.position DESC, w.n DESC
    LIMIT 1), '-infinity')`

const sqlLocate = `
SELECT position, recorded_at
FROM ledger.event_keys
WHERE event_key = $1`

// Get finds one event by its upstream identity, as soon as it is recorded. With private its payload
// and private dimensions come along, if it has any and they weren't erased. ErrNotFound if there is
// no such event.
func (l *Ledger) Get(ctx context.Context, source, id string, private bool) (Row, error) {
	catalogue, err := l.Catalogue(ctx)
	if err != nil {
		return Row{}, err
	}
	p := make(places, 1)
	err = l.pool.QueryRow(ctx, sqlLocate, uuid.UUID(EventKey(source, id))).Scan(&p[0].Position, &p[0].RecordedAt)
	if isNoRows(err) {
		return Row{}, fmt.Errorf("event %q of source %q: %w", shown(id), shown(source), ErrNotFound)
	}
	if err != nil {
		return Row{}, readError("look up event", err)
	}
	rows, err := l.fetch(ctx, l.pool, catalogue, p, private)
	if err != nil {
		return Row{}, err
	}
	if len(rows) != 1 {
		return Row{}, fmt.Errorf("position %d is in the identity index but not among the events: %w", p[0].Position, ErrCorrupt)
	}
	return rows[0], nil
}

// place is where an event is stored; recorded_at says in which partition.
type place struct {
	Position   int64
	RecordedAt time.Time
}

type places []place

// querier is a pool or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// EventAtP is SQL that joins, as e, the event at the place p, which is anything with a position and a recorded_at, wherever
// the event is kept. With OFFSET 0 each half looks into one partition only: through the view every_event all of them would
// be probed, 0.9 against 0.2 ms for 42 events in 20 months. Both tables have the same columns in the same order.
const EventAtP = `
CROSS JOIN ` + lateralEventAtP

const lateralEventAtP = `LATERAL (
    (SELECT x.* FROM ledger.events x WHERE x.position = p.position AND x.recorded_at = p.recorded_at OFFSET 0)
  UNION ALL
    (SELECT x.* FROM archive.events x WHERE x.position = p.position AND x.recorded_at = p.recorded_at OFFSET 0)
) AS e`

// fetch reads the events at places, in the order of the places. The arrays are unnested so that the
// plan is the same for any number of them and is made once.
func (l *Ledger) fetch(ctx context.Context, db querier, c Catalogue, p places, private bool) ([]Row, error) {
	if len(p) == 0 {
		return nil, nil
	}
	positions, times := make([]int64, len(p)), make([]time.Time, len(p))
	for i := range p {
		positions[i], times[i] = p[i].Position, p[i].RecordedAt
	}
	b := &builder{catalogue: c}
	reader := b.rows()
	sql := "SELECT " + reader.columns
	if private {
		sql += ", s.payload, s.pii"
	}
	sql += "\nFROM unnest(" + b.arg(positions, "bigint[]") + ", " + b.arg(times, "timestamptz[]") + ") WITH ORDINALITY AS p (position, recorded_at, i)" + EventAtP
	if private {
		sql += "\nLEFT JOIN ledger.private s ON s.position = p.position"
	}
	rows, err := db.Query(ctx, sql+"\nORDER BY p.i", b.args...)
	if err != nil {
		return nil, readError("read events", err)
	}
	events, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (Row, error) { return reader.withPrivate(row, private) })
	if err != nil {
		return nil, readError("read events", err)
	}
	return events, markErased(ctx, db, events)
}

// withPrivate scans a row that has its private content behind it, or hasn't.
func (r rowReader) withPrivate(row pgx.CollectableRow, private bool) (Row, error) {
	if !private {
		return r.scan(row)
	}
	var payload *string
	var pii []byte
	e, err := r.scan(row, &payload, &pii)
	if err != nil {
		return Row{}, err
	}
	e.PII = pii
	e.Payload, err = jsonOf(payload)
	return e, err
}

// keysOf are the keys of filters.
func keysOf(filters ...[]Filter) []string {
	var keys []string
	for _, some := range filters {
		for _, f := range some {
			keys = append(keys, f.Key)
		}
	}
	return keys
}

func limitOf(asked, standard, most int) (int, error) {
	switch {
	case asked == 0:
		return standard, nil
	case asked < 0 || asked > most:
		return 0, invalidf("limit", fmt.Sprint(asked), "must be between 1 and %d", most)
	}
	return asked, nil
}

// shown is text from outside, fit for a message.
func shown(s string) string {
	if len(s) > 80 {
		s = s[:80] + "…"
	}
	return strings.ToValidUTF8(s, "�")
}

// readError says what a failed read means for the caller: ErrBusy if the time limit of reads stopped
// it or the database can't be reached, ErrInvalid if the database can't work with a value of the request.
func readError(action string, err error) error {
	switch {
	case errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("%s: %w", action, err)
	case pg.IsTimeout(err):
		return fmt.Errorf("%s: took longer than reads may; narrow it by account, dates or other filters: %w", action, ErrBusy)
	case pg.IsUnavailable(err):
		return fmt.Errorf("%s: %w: %w", action, ErrBusy, err)
	case pg.IsDataError(err):
		return fmt.Errorf("%s: %s: %w", action, pg.Message(err), ErrInvalid)
	}
	return fmt.Errorf("%s: %w", action, err)
}
