package ledger

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"deltaledger/ledger/pg"
)

// StreamView is the history of one stream in upstream order, as of a watermark. A stream without
// events as of it is an empty view, not an error: which of the two it is may not change later.
type StreamView struct {
	Source    string        `json:"source"`
	Stream    string        `json:"stream"`
	AsOf      Watermark     `json:"as_of"`
	FirstSeqn *int64        `json:"first_seqn,omitempty"`
	LastSeqn  *int64        `json:"last_seqn,omitempty"`
	Gaps      []Gap         `json:"gaps"`   // between first and last; none for a source that numbers across its streams
	Totals    []Total       `json:"totals"` // of all entries
	Entries   []StreamEntry `json:"entries"`
}

// Gap is a run of sequence numbers of which no event is recorded, both ends included.
type Gap struct {
	From int64 `json:"from"`
	To   int64 `json:"to"`
}

// Total is the sum of one measure in one currency.
type Total struct {
	Currency string `json:"currency,omitempty"` // empty for a quantity
	Measure  string `json:"measure"`
	Sum      Amount `json:"sum"`
}

// StreamEntry is an event in its stream.
//
// Numbered events stand in the order of seqn. A row that the ledger made stands right before the event
// whose seqn it bears, so that the running totals beside a state are what it states. An event without number stands after the last numbered event that occurred
// before it or at the same instant; several such by occurred_at, then position.
type StreamEntry struct {
	Event       Row      `json:"event"`
	GapBefore   *Gap     `json:"gap_before,omitempty"`
	Totals      []Total  `json:"totals"`                 // running, this entry included
	Cause       string   `json:"cause,omitempty"`        // of a row that the ledger made: id of the event that it made it because of
	CorrectedBy []string `json:"corrected_by,omitempty"` // ids of the events of this stream that correct it
	Billed      []Billed `json:"billed,omitempty"`       // the live invoice first, then void ones, newest first
}

// MaxStreamView is how many events a stream view shows at most.
const MaxStreamView = 20_000

// Stream is the view of a stream, as of what Ledger.AsOf takes.
func (l *Ledger) Stream(ctx context.Context, source, stream string, asOf string) (StreamView, error) {
	return l.stream(ctx, source, stream, asOf, false)
}

// StreamPrivate is Stream with the private content of the events, for callers with the right to it.
func (l *Ledger) StreamPrivate(ctx context.Context, source, stream string, asOf string) (StreamView, error) {
	return l.stream(ctx, source, stream, asOf, true)
}

func (l *Ledger) stream(ctx context.Context, source, stream, asOf string, private bool) (StreamView, error) {
	if err := checkStream(source, stream); err != nil {
		return StreamView{}, err
	}
	w, err := l.AsOf(ctx, asOf)
	if err != nil {
		return StreamView{}, err
	}
	declared, found, err := declaredSource(ctx, l.pool, source)
	if err != nil {
		return StreamView{}, err
	}
	catalogue, err := l.Catalogue(ctx)
	if err != nil {
		return StreamView{}, err
	}
	v := StreamView{Source: source, Stream: stream, AsOf: w}
	var rows []Row
	var billed map[int64][]Billed
	err = pg.InSnapshot(ctx, l.pool, func(tx pgx.Tx) error {
		p, err := locateStream(ctx, tx, source, stream, w.Position)
		if err != nil {
			return err
		}
		if rows, err = l.fetch(ctx, tx, catalogue, p, private); err != nil {
			return err
		}
		// The key holds 10 bytes of a hash: somebody with much patience could find two streams with the same.
		rows = slices.DeleteFunc(rows, func(r Row) bool { return r.CausedBy == nil && (r.Source != source || r.Stream != stream) })
		billed, err = billedOf(ctx, tx, rows, w.Position)
		return err
	})
	if err != nil {
		return StreamView{}, readError("read stream", err)
	}
	v.fill(rows, billed, catalogue, !found || declared.Numbering == NumberingStream)
	return v, nil
}

func checkStream(source, stream string) error {
	for _, f := range []struct{ name, value string }{{"source", source}, {"stream", stream}} {
		if f.value == "" {
			return Invalid(f.name, "", "is missing")
		}
		if !storable(f.value) {
			return Invalid(f.name, shown(f.value), ruleStorable)
		}
	}
	return nil
}

const sqlNumberedPlaces = `
SELECT position, recorded_at
FROM ledger.event_keys
WHERE position_key BETWEEN $1 AND $2 AND position <= $3
ORDER BY position_key
LIMIT $4`

// Not sorted: where little is known of a table, the order would make the planner read all of it by its primary key.
const sqlUnnumberedPlaces = `
SELECT position, recorded_at
FROM ledger.every_event
WHERE source = $1 AND stream = $2 AND seqn IS NULL AND position <= $3
LIMIT $4`

// What the ledger made because of the stream's events: it bears the reserved source.
const sqlCausedPlaces = `
SELECT position, recorded_at
FROM ledger.every_event
WHERE caused_by = ANY ($1) AND caused_by IS NOT NULL AND position <= $2
LIMIT $3`

// locateStream finds the events of a stream without regard to their order.
func locateStream(ctx context.Context, tx pgx.Tx, source, stream string, asOf int64) (places, error) {
	const most = MaxStreamView + 1
	var found places
	for _, q := range []struct {
		sql  string
		args func() []any
	}{
		{sqlNumberedPlaces, func() []any {
			return []any{uuid.UUID(PositionKey(source, stream, 0)), uuid.UUID(PositionKey(source, stream, MaxSeqn)), asOf, most}
		}},
		{sqlUnnumberedPlaces, func() []any { return []any{source, stream, asOf, most} }},
		{sqlCausedPlaces, func() []any { return []any{found.positions(), asOf, most} }},
	} {
		rows, err := tx.Query(ctx, q.sql, q.args()...)
		if err != nil {
			return nil, err
		}
		more, err := pgx.CollectRows(rows, pgx.RowToStructByPos[place])
		if err != nil {
			return nil, err
		}
		if found = append(found, more...); len(found) >= most {
			return nil, invalidf("stream", stream, "has more than %d events: list them page by page, with the filters source and stream", MaxStreamView)
		}
	}
	return found, nil
}

func (p places) positions() []int64 {
	positions := make([]int64, len(p))
	for i := range p {
		positions[i] = p[i].Position
	}
	return positions
}

// fill puts the rows of a stream in order and sums them up.
func (v *StreamView) fill(rows []Row, billed map[int64][]Billed, c Catalogue, gaps bool) {
	rows = inStreamOrder(rows)
	corrections, ids := map[string][]string{}, make(map[int64]string, len(rows))
	for _, r := range rows {
		ids[r.Position] = r.ID
		if r.Corrects != "" && r.Source == v.Source {
			corrections[r.Corrects] = append(corrections[r.Corrects], r.ID)
		}
	}
	running := newTotals(c)
	v.Gaps, v.Entries = []Gap{}, make([]StreamEntry, 0, len(rows))
	for _, r := range rows {
		e := StreamEntry{Event: r, Billed: billed[r.Position]}
		if r.Source == v.Source {
			e.CorrectedBy = corrections[r.ID]
		}
		if r.CausedBy != nil {
			e.Cause = ids[*r.CausedBy]
		}
		if r.Seqn != nil && r.Source == v.Source {
			if v.LastSeqn != nil && gaps && *r.Seqn > *v.LastSeqn+1 {
				e.GapBefore = &Gap{*v.LastSeqn + 1, *r.Seqn - 1}
				v.Gaps = append(v.Gaps, *e.GapBefore)
			}
			if v.LastSeqn = r.Seqn; v.FirstSeqn == nil {
				v.FirstSeqn = r.Seqn
			}
		}
		running.add(r)
		e.Totals = running.list()
		v.Entries = append(v.Entries, e)
	}
	v.Totals = running.list()
}

// inStreamOrder sorts the rows of a stream as StreamEntry says.
func inStreamOrder(rows []Row) []Row {
	var numbered, others []Row
	for _, r := range rows {
		if r.Seqn != nil {
			numbered = append(numbered, r)
		} else {
			others = append(others, r)
		}
	}
	slices.SortFunc(numbered, func(a, b Row) int {
		return cmp.Or(cmp.Compare(*a.Seqn, *b.Seqn), -cmp.Compare(made(a), made(b)), cmp.Compare(a.Position, b.Position))
	})
	slices.SortFunc(others, func(a, b Row) int {
		return cmp.Or(a.OccurredAt.Compare(b.OccurredAt), cmp.Compare(a.Position, b.Position))
	})
	// from[i] is the earliest occurred_at of numbered[i:]: an event without number that occurred before
	// it stands before numbered[i].
	from := make([]time.Time, len(numbered))
	for i := len(numbered) - 1; i >= 0; i-- {
		from[i] = numbered[i].OccurredAt
		if i+1 < len(numbered) && from[i+1].Before(from[i]) {
			from[i] = from[i+1]
		}
	}
	ordered := make([]Row, 0, len(rows))
	for i := range numbered {
		for len(others) > 0 && others[0].OccurredAt.Before(from[i]) {
			ordered, others = append(ordered, others[0]), others[1:]
		}
		ordered = append(ordered, numbered[i])
	}
	return append(ordered, others...)
}

// made is 1 for what the ledger made because of an event, 0 for anything else.
func made(r Row) int {
	if r.Kind == Reorder || r.Kind == Reversal {
		return 1
	}
	return 0
}
