package ledger

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"deltaledger/ledger/pg"
)

// Fact is one fact as it is handed on to others. The same fact has the same bytes whenever it is read.
type Fact struct {
	Position int64
	Kind     string // event, or that of its FactTable
	Account  string // empty: it belongs to none
	// Data is JSON, without private content: of an event its Row, of any other fact what a seal binds.
	Data []byte
}

// Feed reads facts in the order of their positions. Make one with NewFeed; it is safe for concurrent use.
type Feed struct {
	l      *Ledger
	events bool
	tables []FactTable
}

// NewFeed is a feed of the events and of the facts in tables. kinds are those that are wanted; none: all. A kind that
// there isn't is ErrInvalid.
func NewFeed(l *Ledger, kinds []string, tables ...FactTable) (*Feed, error) {
	if l == nil {
		return nil, fmt.Errorf("new feed: the ledger is missing: %w", ErrInvalid)
	}
	f := &Feed{l: l, events: len(kinds) == 0 || slices.Contains(kinds, kindEvent)}
	known := []string{kindEvent}
	for _, t := range tables {
		if err := t.check(); err != nil {
			return nil, fmt.Errorf("new feed: %w", err)
		}
		known = append(known, t.Kind)
		if len(kinds) == 0 || slices.Contains(kinds, t.Kind) {
			f.tables = append(f.tables, t)
		}
	}
	for _, k := range kinds {
		if !slices.Contains(known, k) {
			return nil, Invalid("kinds", shown(k), "must be among "+strings.Join(known, ", "))
		}
	}
	return f, nil
}

const (
	// feedSpan is how many positions are read at once, feedDocuments how many where there are facts besides events
	// among them, which may be large.
	feedSpan      = 8192
	feedDocuments = 512
	// feedBytes is about how many bytes of events are read at once.
	feedBytes = 16 << 20
)

// Read reads facts above after, and returns with them the position through which they are all: through, or a lower one
// above after if there are many. through must be decided: at or below a watermark.
func (f *Feed) Read(ctx context.Context, after, through int64) (facts []Fact, last int64, err error) {
	if after >= through {
		return nil, after, nil
	}
	catalogue, err := f.l.Catalogue(ctx)
	if err != nil {
		return nil, after, err
	}
	err = pg.InTx(ctx, f.l.pool, func(tx pgx.Tx) (err error) {
		facts, last, err = f.read(ctx, tx, catalogue, after, through)
		return err
	})
	if err != nil {
		return nil, after, fmt.Errorf("read facts: %w", err)
	}
	slices.SortFunc(facts, func(a, b Fact) int { return int(a.Position - b.Position) })
	return facts, last, nil
}

func (f *Feed) read(ctx context.Context, tx pgx.Tx, c Catalogue, after, through int64) (facts []Fact, last int64, err error) {
	first, found, err := nextFact(ctx, tx, f.tables, after, through)
	if err != nil || !found {
		return nil, through, err
	}
	last = min(through, first-1+feedSpan)
	document, found, err := nextDocument(ctx, tx, f.tables, after, last)
	if err != nil {
		return nil, after, err
	}
	if found {
		last = min(last, max(document, first)-1+feedDocuments)
	}
	if f.events {
		if facts, last, err = f.readEvents(ctx, tx, c, after, last); err != nil {
			return nil, after, err
		}
	}
	if found && document <= last {
		documents, err := readDocuments(ctx, tx, f.tables, document-1, last)
		if err != nil {
			return nil, after, err
		}
		facts = append(facts, documents...)
	}
	return facts, last, nil
}

// readEvents reads the events in (after, through], and returns how far it came.
func (f *Feed) readEvents(ctx context.Context, tx pgx.Tx, c Catalogue, after, through int64) (facts []Fact, last int64, err error) {
	b := &builder{catalogue: c}
	reader := b.rows()
	from := b.arg(after, "bigint")
	sql := "SELECT " + reader.columns + "\nFROM " + eventsTable + " e\nWHERE e.position > " + from + " AND e.position <= " + b.arg(through, "bigint") +
		"\n  AND " + fmt.Sprintf(recordedAfter, from) + "\nORDER BY e.position"
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	rows, err := tx.Query(ctx, sql, b.args...)
	if err != nil {
		return nil, after, readError("read events", err)
	}
	defer rows.Close()
	size := 0
	for last = through; size < feedBytes && rows.Next(); {
		row, err := reader.scan(rows)
		if err != nil {
			return nil, after, readError("read events", err)
		}
		data, err := json.Marshal(row)
		if err != nil {
			return nil, after, fmt.Errorf("position %d: %w", row.Position, err)
		}
		size += len(data)
		facts = append(facts, Fact{Position: row.Position, Kind: kindEvent, Account: row.Account, Data: data})
	}
	if size >= feedBytes {
		last = facts[len(facts)-1].Position
	}
	rows.Close()
	if err := rows.Err(); err != nil {
		return nil, after, readError("read events", err)
	}
	return facts, last, nil
}
