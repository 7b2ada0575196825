package ledger_test

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"

	"deltaledger/ledger"
	"deltaledger/migrations/pgtest"
)

// stored is an event as it is stored, for the model.
type stored struct {
	Position       int64
	Recorded       time.Time
	Occurred       time.Time
	Source, Stream string
	Seqn           *int64
	Account, ID    string
}

const sqlFacts = `SELECT position, recorded_at, occurred_at, source, COALESCE(stream, ''), seqn, account, event_id FROM ledger.events
	WHERE kind = 'upstream' AND position > $1 AND position <= $2 ORDER BY position`

func storedEvents(t interface{ Fatal(...any) }, db *pgtest.DB, after, through int64) []stored {
	rows, err := db.Super.Query(context.Background(), sqlFacts, after, through)
	if err != nil {
		t.Fatal(err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowToStructByPos[stored])
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func at(t time.Time) string { return t.UTC().Format("15:04:05.000000") }

// modelOf says what completeness must hold, by looking at every number of every stream.
func modelOf(all []stored, numbering map[string]string) []string {
	bySource := map[string][]stored{}
	for _, f := range all {
		bySource[f.Source] = append(bySource[f.Source], f)
	}
	var lines []string
	for source, events := range bySource {
		how := cmp.Or(numbering[source], ledger.NumberingStream)
		newest := slices.MaxFunc(events, func(a, b stored) int {
			return cmp.Or(a.Occurred.Compare(b.Occurred), cmp.Compare(a.Position, b.Position))
		})
		byLine := map[string][]stored{}
		for _, f := range events {
			switch {
			case f.Seqn == nil || how == ledger.NumberingNone:
			case how == ledger.NumberingSource:
				byLine[""] = append(byLine[""], f)
			default:
				byLine[f.Stream] = append(byLine[f.Stream], f)
			}
		}
		var streams, withGaps, gaps, missing, doubled int64
		ends := "- -"
		for stream, line := range byLine {
			found, twice := modelLine(source, stream, line)
			lines = append(lines, slices.Concat(found.lines, twice)...)
			gaps, missing, doubled = gaps+int64(len(found.lines)), missing+found.missing, doubled+int64(len(twice))
			if how == ledger.NumberingSource {
				ends = fmt.Sprint(found.first, " ", found.last)
				continue
			}
			if streams++; len(found.lines) > 0 {
				withGaps++
			}
		}
		lines = append(lines, fmt.Sprintf("source %s %s events=%d streams=%d/%d gaps=%d missing=%d doubled=%d ends=%s newest=%d %s %s",
			source, how, len(events), withGaps, streams, gaps, missing, doubled, ends, newest.Position, at(newest.Occurred), at(newest.Recorded)))
	}
	slices.Sort(lines)
	return lines
}

type modelGaps struct {
	lines       []string
	missing     int64
	first, last int64
}

func modelLine(source, stream string, line []stored) (g modelGaps, doubled []string) {
	by := map[int64][]stored{}
	for _, f := range line {
		if by[*f.Seqn] = append(by[*f.Seqn], f); len(by[*f.Seqn]) > 1 {
			doubled = append(doubled, fmt.Sprintf("doubled %s %d %s %s %d", source, *f.Seqn, f.Stream, f.ID, f.Position))
		}
	}
	numbers := slices.Sorted(maps.Keys(by))
	g.first, g.last = numbers[0], numbers[len(numbers)-1]
	type hole struct{ from, to int64 }
	var holes []hole
	for n := int64(1); n < g.last; n++ {
		if by[n] != nil {
			continue
		}
		g.missing++
		if k := len(holes) - 1; k >= 0 && holes[k].to == n-1 {
			holes[k].to = n
		} else {
			holes = append(holes, hole{n, n})
		}
	}
	for k, h := range holes {
		until := int64(math.MaxInt64)
		if k+1 < len(holes) {
			until = holes[k+1].from
		}
		var first *stored // to make it known
		var earliest time.Time
		for i, f := range line {
			if *f.Seqn > h.to && (first == nil || f.Position < first.Position) {
				first = &line[i]
			}
			if *f.Seqn > h.to && *f.Seqn < until && (earliest.IsZero() || f.Occurred.Before(earliest)) {
				earliest = f.Occurred
			}
		}
		previous, next := "-", by[h.to+1][0]
		if before := by[h.from-1]; len(before) > 0 {
			previous = at(before[0].Occurred)
		}
		g.lines = append(g.lines, fmt.Sprintf("gap %s %q %d-%d since=%d %s previous=%s next=%d %s %s %s earliest=%s", source, stream, h.from, h.to,
			first.Position, at(first.Recorded), previous, next.Position, at(next.Recorded), at(next.Occurred), next.Account, at(earliest)))
	}
	return g, doubled
}

const sqlHeld = `
SELECT format('source %s %s events=%s streams=%s/%s gaps=%s missing=%s doubled=%s ends=%s %s newest=%s %s %s', source, numbering, events,
	streams_with_gaps, streams, gaps, missing, doubled, COALESCE(first_seqn::text, '-'), COALESCE(last_seqn::text, '-'), newest_position,
	to_char(newest_occurred_at AT TIME ZONE 'UTC', 'HH24:MI:SS.US'), to_char(newest_recorded_at AT TIME ZONE 'UTC', 'HH24:MI:SS.US')) AS line
FROM ledger.completeness_sources
UNION ALL
SELECT format('gap %s "%s" %s-%s since=%s %s previous=%s next=%s %s %s %s earliest=%s', source, stream, from_seqn, to_seqn, since_position,
	to_char(since AT TIME ZONE 'UTC', 'HH24:MI:SS.US'), COALESCE(to_char(previous_occurred_at AT TIME ZONE 'UTC', 'HH24:MI:SS.US'), '-'), next_position,
	to_char(next_recorded_at AT TIME ZONE 'UTC', 'HH24:MI:SS.US'), to_char(next_occurred_at AT TIME ZONE 'UTC', 'HH24:MI:SS.US'), next_account,
	to_char(earliest AT TIME ZONE 'UTC', 'HH24:MI:SS.US'))
FROM ledger.completeness_gaps
UNION ALL
SELECT format('doubled %s %s %s %s %s', source, seqn, stream, event_id, position)
FROM ledger.completeness_doubled`

func held(t interface{ Fatal(...any) }, db *pgtest.DB) []string {
	rows, err := db.App.Query(context.Background(), sqlHeld)
	if err != nil {
		t.Fatal(err)
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(lines)
	return lines
}

// Whatever order events arrive in, in whatever batches and steps, and whatever is declared meanwhile:
// what completeness holds is what looking at every number of every stream finds, and the same when it is
// made anew.
func TestCompletenessIsThatOfAModel(t *testing.T) {
	t.Parallel()
	l, db := open(t)
	run := 0
	rapid.Check(t, func(r *rapid.T) {
		run++
		base := begin(t, r, l, db) // what earlier runs recorded doesn't count
		l.SetCompletenessStep(int64(rapid.IntRange(2, 20).Draw(r, "step")))
		plain, across, free, moves := fmt.Sprint("plain", run), fmt.Sprint("across", run), fmt.Sprint("free", run), fmt.Sprint("moves", run)
		sources := []string{plain, across, free, moves}
		numbering := map[string]string{}
		declare := func(source, how string) {
			if err := l.DeclareSource(t.Context(), ledger.Source{Name: source, Numbering: how, By: "test"}); err != nil {
				r.Fatal(err)
			}
			numbering[source] = how
		}
		declare(across, ledger.NumberingSource)
		declare(free, ledger.NumberingNone)
		for range rapid.IntRange(1, 6).Draw(r, "rounds") {
			switch rapid.IntRange(0, 9).Draw(r, "what") {
			case 0:
				declare(moves, rapid.SampledFrom([]string{ledger.NumberingStream, ledger.NumberingSource, ledger.NumberingNone}).Draw(r, "numbering"))
			default:
				appendAll(t, l, rapid.SliceOfN(rapid.Custom(func(r *rapid.T) ledger.Event { return anyArrival(r, sources) }), 1, 20).Draw(r, "batch")...)
			}
			if rapid.Bool().Draw(r, "look") {
				checkCompleteness(t, r, l, db, base, numbering)
			}
		}
		checkCompleteness(t, r, l, db, base, numbering)
		before := held(r, db)
		beginAt(t, r, l, db, base)
		checkCompleteness(t, r, l, db, base, numbering)
		if after := held(r, db); !slices.Equal(before, after) {
			r.Fatalf("made anew:\n%s\nbefore:\n%s", strings.Join(after, "\n"), strings.Join(before, "\n"))
		}
	})
}

// begin has completeness forget everything and begin behind what is recorded now.
func begin(t *testing.T, r *rapid.T, l *ledger.Ledger, db *pgtest.DB) (base int64) {
	w, err := l.Current(t.Context())
	if err != nil {
		r.Fatal(err)
	}
	beginAt(t, r, l, db, w.Position)
	return w.Position
}

func beginAt(t *testing.T, r *rapid.T, l *ledger.Ledger, db *pgtest.DB, base int64) {
	if err := l.RebuildCompleteness(t.Context()); err != nil {
		r.Fatal(err)
	}
	if _, err := db.App.Exec(t.Context(), `INSERT INTO ledger.completeness_progress (position) VALUES ($1)`, base); err != nil {
		r.Fatal(err)
	}
}

func anyArrival(r *rapid.T, sources []string) ledger.Event {
	source := rapid.SampledFrom(sources).Draw(r, "source")
	stream, n := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(r, "stream"), rapid.IntRange(0, 14).Draw(r, "seqn")
	e := sale(stream, n)
	e.Source, e.Account = source, fmt.Sprint("acme-", n%3)
	e.OccurredAt = noon.Add(time.Duration((n*7+len(stream)+int(stream[0]))%10) * time.Hour)
	if rapid.IntRange(0, 9).Draw(r, "adjust") == 0 {
		e.HasSeqn, e.Seqn, e.Kind, e.Reason, e.Reference, e.Maker = false, 0, ledger.Adjustment, "late", "T-1", "jane"
		e.ID += "-adjusted"
	}
	if strings.HasPrefix(source, "free") && rapid.Bool().Draw(r, "unnumbered") {
		e.HasSeqn, e.Seqn = false, 0
	}
	return e
}

func checkCompleteness(t *testing.T, r *rapid.T, l *ledger.Ledger, db *pgtest.DB, base int64, numbering map[string]string) {
	w, err := l.Current(t.Context())
	if err != nil {
		r.Fatal(err)
	}
	behind, err := l.AdvanceCompleteness(t.Context(), 0)
	if err != nil || behind != 0 {
		r.Fatalf("%d behind, %v", behind, err)
	}
	want, have := modelOf(storedEvents(r, db, base, w.Position), numbering), held(r, db)
	if !slices.Equal(want, have) {
		r.Fatalf("completeness holds\n%s\nbut the events say\n%s", strings.Join(have, "\n"), strings.Join(want, "\n"))
	}
}
