package ledger

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"deltaledger/ledger/pg"
)

// CompletenessQuery asks what of the sources has arrived.
type CompletenessQuery struct {
	Source string // one source; empty: all that are declared or of which something was recorded
	// Month (such as 2026-01) or Through (a date, inclusive) asks whether everything that occurred until its
	// end, in the reporting zone, has arrived. At most one of them.
	Month, Through string
}

// Completeness says how far the sources have arrived without gaps.
type Completeness struct {
	Position int64                `json:"position"`      // what is said is as of this position,
	Behind   int64                `json:"behind"`        // which is so many below the newest watermark; 0: nothing is left to look at
	End      *time.Time           `json:"end,omitempty"` // end, exclusive, of the period that was asked for
	Sources  []SourceCompleteness `json:"sources"`       // by name
}

// What is said of a period.
const (
	CompleteYes     = "yes"     // no number is missing before or within it, and something later has arrived
	CompleteNo      = "no"      // numbers are missing before events of the period
	CompleteNotYet  = "not yet" // no number is missing, but nothing later has arrived
	CompleteUnknown = "unknown" // it can't be told; the reason says why
)

// SourceCompleteness says how far one source has arrived. Only its own events count: neither adjustments
// nor rows that the ledger made.
type SourceCompleteness struct {
	Source           string       `json:"source"`
	Numbering        string       `json:"numbering"`
	Declared         bool         `json:"declared"`                     // false: its numbering is taken to be stream
	Events           int64        `json:"events"`                       // recorded
	Streams          int64        `json:"streams"`                      // numbering stream: how many have numbered events
	StreamsWithGaps  int64        `json:"streams_with_gaps"`            // of these, those with an open gap
	Gaps             int64        `json:"gaps"`                         // open ones
	Missing          int64        `json:"missing"`                      // numbers in them
	Doubled          int64        `json:"doubled"`                      // numbering source: events whose number another event had
	ThroughSeqn      *int64       `json:"contiguous_through,omitempty"` // numbering source: every number through here has arrived
	LastSeqn         *int64       `json:"last_seqn,omitempty"`          // numbering source: the highest number
	ThroughTime      *time.Time   `json:"contiguous_until,omitempty"`   // no event that occurred before has an open gap before it
	Newest           *NewestEvent `json:"newest,omitempty"`             // the event with the latest occurred_at
	LagSeconds       *int64       `json:"lag_seconds,omitempty"`        // since the newest event occurred
	LookedAtThrough  *int64       `json:"looked_at_through,omitempty"`  // position, if the source is being looked at anew
	Complete         string       `json:"complete,omitempty"`           // of the period asked for: one of CompleteYes, …
	Reason           string       `json:"reason"`                       // in words, what there is to know
	PeriodGaps       int64        `json:"period_gaps"`                  // open gaps with events of the period behind them
	PeriodMissing    int64        `json:"period_missing"`               // numbers in them
	UncertainMissing int64        `json:"uncertain_missing"`            // numbers that may belong to the period: it ends within their gap
}

// NewestEvent is the event of a source that occurred last.
type NewestEvent struct {
	Position   int64     `json:"position"`
	OccurredAt time.Time `json:"occurred_at"`
	RecordedAt time.Time `json:"recorded_at"`
}

// completenessPatience is how long a question waits for events to be looked at.
const completenessPatience = 2 * time.Second

// Completeness looks at the newest events, for a bounded time, and says how far the sources have arrived.
// A source that is neither declared nor has events is ErrNotFound.
func (l *Ledger) Completeness(ctx context.Context, q CompletenessQuery) (Completeness, error) {
	end, err := l.endOf(q)
	if err != nil {
		return Completeness{}, err
	}
	w, err := l.catchUp(ctx)
	if err != nil {
		return Completeness{}, err
	}
	c := Completeness{End: end}
	err = pg.InSnapshot(ctx, l.pool, func(tx pgx.Tx) error {
		s, err := readCompletenessState(ctx, tx)
		if err != nil {
			return err
		}
		c.Position, c.Behind = s.position, max(w.Position-s.position, 0)
		c.Sources, err = readCompleteness(ctx, tx, q.Source, end)
		return err
	})
	if err != nil {
		return Completeness{}, readError("read completeness", err)
	}
	if q.Source != "" && len(c.Sources) == 0 {
		return Completeness{}, fmt.Errorf("source %s: nothing of it is recorded, and it isn't declared: %w", q.Source, ErrNotFound)
	}
	for i := range c.Sources {
		c.Sources[i].judge(end, c.Behind > 0)
	}
	return c, nil
}

// catchUp takes everything acknowledged until now into account, if that doesn't take long.
func (l *Ledger) catchUp(ctx context.Context) (Watermark, error) {
	w, err := l.Current(ctx)
	if err != nil {
		return w, err
	}
	_, err = l.AdvanceCompleteness(ctx, completenessPatience)
	return w, err
}

// endOf is the end of the period that is asked for.
func (l *Ledger) endOf(q CompletenessQuery) (*time.Time, error) {
	if q.Source != "" && !storable(q.Source) {
		return nil, Invalid("source", strings.ToValidUTF8(q.Source, "�"), ruleStorable)
	}
	var first time.Time
	var err error
	switch {
	case q.Month != "" && q.Through != "":
		return nil, Invalid("through", q.Through, "must be left out beside month")
	case q.Month != "":
		if first, err = time.Parse("2006-01", q.Month); err != nil {
			return nil, Invalid("month", q.Month, "must be a month such as 2026-01")
		}
		first = first.AddDate(0, 1, 0)
	case q.Through != "":
		if first, err = time.Parse(time.DateOnly, q.Through); err != nil {
			return nil, Invalid("through", q.Through, "must be a date such as 2026-01-31")
		}
		first = first.AddDate(0, 0, 1)
	default:
		return nil, nil
	}
	end := startOfDate(first, l.zone)
	if end.Year() > 9999 { // no event occurs there, and answers have no spelling for it
		return nil, Invalid("through", q.Through+q.Month, "must end within the year 9999")
	}
	return &end, nil
}

// startOfDate is the first instant of a date in a zone, in UTC. Where midnight doesn't exist it is the
// instant at which the clocks were put forward.
func startOfDate(date time.Time, zone *time.Location) time.Time {
	t := time.Date(date.Year(), date.Month(), date.Day(), 0, 0, 0, 0, zone)
	if t.Day() != date.Day() {
		_, t = t.ZoneBounds()
	}
	return t.UTC()
}

// Where a source is asked for by name it is found by its keys. What is missing is counted for the period
// from the gaps alone, which are few.
const sqlReadCompleteness = `
WITH named AS (
    SELECT n.source
    FROM (
        SELECT c.source FROM ledger.completeness_sources c WHERE $1 = '' OR c.source = $1
        UNION
        SELECT s.name FROM ledger.sources s WHERE $1 = '' OR s.name = $1) n
)
SELECT n.source, COALESCE(d.numbering, 'stream'), d.numbering IS NOT NULL, COALESCE(c.events, 0), COALESCE(c.streams, 0), COALESCE(c.streams_with_gaps, 0),
       COALESCE(c.gaps, 0), COALESCE(c.missing, 0), COALESCE(c.doubled, 0), f.from_seqn, c.last_seqn, f.earliest,
       c.newest_position, c.newest_occurred_at, c.newest_recorded_at, extract(epoch FROM clock_timestamp() - c.newest_occurred_at)::bigint, c.through,
       COALESCE(p.gaps, 0), COALESCE(p.missing, 0), COALESCE(p.uncertain, 0)
FROM named n
LEFT JOIN ledger.completeness_sources c ON c.source = n.source
LEFT JOIN LATERAL (SELECT s.numbering FROM ledger.sources s WHERE s.name = n.source ORDER BY s.n DESC LIMIT 1) d ON true
LEFT JOIN LATERAL (
    SELECT (SELECT g.from_seqn FROM ledger.completeness_gaps g WHERE g.source = n.source AND g.stream = '' ORDER BY g.from_seqn LIMIT 1) AS from_seqn,
           (SELECT min(g.earliest) FROM ledger.completeness_gaps g WHERE g.source = n.source) AS earliest) f ON c.gaps > 0
LEFT JOIN LATERAL (
    SELECT count(*) FILTER (WHERE g.earliest < $2) AS gaps,
           sum(g.to_seqn - g.from_seqn + 1) FILTER (WHERE g.earliest < $2)::bigint AS missing,
           sum(g.to_seqn - g.from_seqn + 1) FILTER (WHERE g.earliest >= $2 AND COALESCE(g.previous_occurred_at < $2, true))::bigint AS uncertain
    FROM ledger.completeness_gaps g
    WHERE g.source = n.source) p ON c.gaps > 0 AND $2 IS NOT NULL
ORDER BY n.source`

func readCompleteness(ctx context.Context, tx pgx.Tx, source string, end *time.Time) ([]SourceCompleteness, error) {
	all := []SourceCompleteness{}
	var s SourceCompleteness
	var firstMissing, position *int64
	var occurred, recorded *time.Time
	err := pg.ForEach(ctx, tx, []any{
		&s.Source, &s.Numbering, &s.Declared, &s.Events, &s.Streams, &s.StreamsWithGaps,
		&s.Gaps, &s.Missing, &s.Doubled, &firstMissing, &s.LastSeqn, &s.ThroughTime, &position, &occurred, &recorded, &s.LagSeconds, &s.LookedAtThrough,
		&s.PeriodGaps, &s.PeriodMissing, &s.UncertainMissing,
	}, func() error {
		one := s
		if position != nil {
			one.Newest = &NewestEvent{*position, occurred.UTC(), recorded.UTC()}
		}
		one.through(firstMissing)
		all = append(all, one)
		return nil
	}, sqlReadCompleteness, source, end)
	return all, err
}

// through says how far the source is contiguous.
func (s *SourceCompleteness) through(firstMissing *int64) {
	if s.LagSeconds != nil {
		*s.LagSeconds = max(*s.LagSeconds, 0) // a clock upstream may be ahead
	}
	switch {
	case s.Numbering == NumberingNone || s.Newest == nil || s.LookedAtThrough != nil:
		s.ThroughTime = nil
	case s.ThroughTime == nil:
		s.ThroughTime = &s.Newest.OccurredAt
	default:
		*s.ThroughTime = s.ThroughTime.UTC()
	}
	switch {
	case s.Numbering != NumberingSource || s.LastSeqn == nil || s.LookedAtThrough != nil:
	case firstMissing != nil:
		last := *firstMissing - 1
		s.ThroughSeqn = &last
	default:
		s.ThroughSeqn = s.LastSeqn
	}
}

// judge says whether the period through end is complete, and why.
func (s *SourceCompleteness) judge(end *time.Time, behind bool) {
	if s.Reason = s.tell(); end == nil {
		return
	}
	switch {
	case s.Newest == nil:
		s.Complete = CompleteNotYet
	case s.LookedAtThrough != nil || behind:
		s.Complete, s.Reason = CompleteUnknown, "events are still being looked at: ask again in a moment"
	case s.Numbering == NumberingNone:
		s.Complete = CompleteUnknown
	case s.PeriodMissing > 0:
		s.Complete, s.Reason = CompleteNo, fmt.Sprintf("%s missing before events of the period, in %s", count(s.PeriodMissing, "number is", "numbers are"), count(s.PeriodGaps, "gap", "gaps"))
	case s.UncertainMissing > 0:
		s.Complete, s.Reason = CompleteUnknown, fmt.Sprintf("%s missing that may belong to the period: what came before occurred within it, what came after did not",
			count(s.UncertainMissing, "number is", "numbers are"))
	case s.Newest.OccurredAt.Before(*end):
		s.Complete, s.Reason = CompleteNotYet, "no number is missing, but nothing that occurred after the period has arrived"
	default:
		s.Complete, s.Reason = CompleteYes, "no number is missing, and events that occurred later have arrived"
	}
}

// tell says what there is to know of the source, whatever the period.
func (s *SourceCompleteness) tell() string {
	switch {
	case s.Newest == nil:
		return "nothing of it has been recorded"
	case s.LookedAtThrough != nil:
		return "its events are being looked at anew by its new numbering"
	case s.Numbering == NumberingNone:
		return "its events have no numbers, so that what is missing can't be told"
	case s.Missing == 0 && s.Doubled > 0:
		return fmt.Sprintf("no number is missing, but %s a number that another has", count(s.Doubled, "event bears", "events bear"))
	case s.Missing == 0:
		return "no number is missing"
	case s.Numbering == NumberingSource:
		return fmt.Sprintf("%s missing in %s", count(s.Missing, "number is", "numbers are"), count(s.Gaps, "gap", "gaps"))
	}
	return fmt.Sprintf("%s missing in %s of %s", count(s.Missing, "number is", "numbers are"), count(s.Gaps, "gap", "gaps"), count(s.StreamsWithGaps, "stream", "streams"))
}

// count is a number with the word that suits it.
func count(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
