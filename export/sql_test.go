package export

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"pgregory.net/rapid"

	"deltaledger/ledger"
	"deltaledger/ledger/pg"
	"deltaledger/migrations/pgtest"
	"deltaledger/migrations/sqltest"
)

func TestStatements(t *testing.T) {
	t.Parallel()
	sqltest.Prepare(t, pgtest.New(t).App, ".")
}

// TestFreezesFollowTheModel runs random histories against PostgreSQL and the model at once: months frozen in
// any order, again, too early for their events, with events that come late for months that were frozen or
// passed over. Every outcome, every chain and every byte must agree, and no file may ever change.
func TestFreezesFollowTheModel(t *testing.T) {
	t.Parallel()
	histories := rapid.Custom(drawSteps)
	for seed := range 12 {
		t.Run(strconv.Itoa(seed), func(t *testing.T) {
			t.Parallel()
			runHistory(t, histories.Example(seed))
		})
	}
}

type history struct {
	model
	exporter *Exporter
	db       *pgtest.DB
	files    map[Month]string
}

func runHistory(t *testing.T, steps []step) {
	db := pgtest.New(t)
	l, err := ledger.Open(t.Context(), ledger.Config{Pool: db.App})
	if err != nil {
		t.Fatal(err)
	}
	e, err := New(l, Options{Now: func() time.Time { return time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC) }})
	if err != nil {
		t.Fatal(err)
	}
	h := history{exporter: e, db: db, files: map[Month]string{}}
	for _, s := range steps {
		if s.freeze {
			h.freezeBoth(t, s)
		} else {
			h.record(t, s.month)
		}
	}
	end := Month{2026, time.August}
	h.record(t, end)
	h.freezeBoth(t, step{month: end})
	for m := (Month{2025, time.September}); m != end; m = m.Next() {
		h.freezeBoth(t, step{month: m}) // again, or passed over
	}
	total := 0
	for _, f := range h.files {
		total += strings.Count(f, "\n") - 1
	}
	if total != len(h.events) {
		t.Errorf("%d events are in the frozen files, %d were recorded", total, len(h.events))
	}
}

func (h *history) record(t *testing.T, m Month) {
	t.Helper()
	out, err := h.exporter.ledger.Append(t.Context(), []ledger.Event{{
		ID: fmt.Sprint(len(h.events)), Source: "s", Stream: "o", Seqn: int64(len(h.events)), HasSeqn: true, Type: "t", Account: "a", Currency: "EUR",
		OccurredAt: m.midnight().Add(time.Duration(len(h.events)) * 9 * time.Hour),
	}})
	if err != nil || out[0].Status != ledger.Recorded {
		t.Fatalf("record: %v, %v", out, err)
	}
	h.events = append(h.events, modelEvent{out[0].Position, m})
}

// freezeBoth freezes a month in the model and in the database, and compares.
func (h *history) freezeBoth(t *testing.T, s step) {
	t.Helper()
	ctx := t.Context()
	w, err := h.exporter.ledger.TakeWatermark(ctx)
	if err != nil {
		t.Fatal(err)
	}
	w.Position = max(0, w.Position-s.back)
	before := len(h.model.files)
	outcome := h.model.freeze(s.month, w.Position)
	h.checkOpen(t, s.month, w.Position, outcome)
	got, err := h.exporter.Freeze(ctx, s.month, w, "")
	var nothing *NothingError
	var passed *NoFileError
	if errors.As(err, &nothing) != (outcome == isNothing) || errors.As(err, &passed) != (outcome == isPassed) ||
		(err == nil) != (outcome == isFrozen || outcome == isAgain) {
		t.Fatalf("freeze %s at %d: %v; the model says %s", s.month, w.Position, err, outcome)
	}
	if passed != nil {
		h.checkPassed(t, passed)
	}
	if outcome == isFrozen {
		for i, f := range h.model.files[before:] {
			if got[i].Span != f.Span || got[i].Rows != f.rows || got[i].LateRows != f.late || got[i].FirstPosition != f.first || got[i].LastPosition != f.last {
				t.Fatalf("freeze %s: %+v, the model says %+v", s.month, got[i], f)
			}
		}
	}
	for _, f := range h.model.files {
		file := h.pull(t, FileRequest{Month: f.Month})
		want(t, "file "+f.Month.String(), positions(file), h.content(f.Span))
		if was, ok := h.files[f.Month]; ok && was != file {
			t.Fatalf("the frozen file of %s changed", f.Month)
		}
		h.files[f.Month] = file
	}
}

// checkPassed holds what is said of a month without a file against the model.
func (h *history) checkPassed(t *testing.T, e *NoFileError) {
	t.Helper()
	in, next := map[Month]bool{}, false
	for _, ev := range h.events {
		if ev.month != e.Month {
			continue
		}
		if s, ok := FileOf(h.spans(), ev.month, ev.position); ok {
			in[s.Month] = true
		} else {
			next = true
		}
	}
	want(t, "files of "+e.Month.String(), e.In, slices.SortedFunc(maps.Keys(in), Month.Compare))
	if e.Next != next {
		t.Fatalf("events of %s that wait: %v, want %v", e.Month, e.Next, next)
	}
}

// checkOpen compares the open file with what is about to be frozen at the same watermark. The freezes that
// count there are those whose own position is at or below it.
func (h *history) checkOpen(t *testing.T, m Month, w int64, o outcome) {
	t.Helper()
	if o != isFrozen || h.model.files[len(h.model.files)-1].Watermark != w {
		return
	}
	all, err := h.exporter.Freezes(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(all) > 0 && all[len(all)-1].Position > w {
		return
	}
	file := h.pull(t, FileRequest{Month: m, Mode: ModeOpen, AsOf: fmt.Sprint(w)})
	want(t, "open file "+m.String(), positions(file), h.content(h.model.files[len(h.model.files)-1].Span))
}

func (h *history) pull(t *testing.T, r FileRequest) string {
	t.Helper()
	f, err := h.exporter.File(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if _, err := f.Write(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// positions of the rows of a file whose cells have no line breaks.
func positions(file string) []int64 {
	var all []int64
	for line := range strings.Lines(file) {
		cell, _, _ := strings.Cut(line, ",")
		if p, err := strconv.ParseInt(cell, 10, 64); err == nil {
			all = append(all, p)
		}
	}
	return all
}

func want[T comparable](t *testing.T, what string, got, wanted []T) {
	t.Helper()
	if !slices.Equal(got, wanted) {
		t.Fatalf("%s: %v, want %v", what, got, wanted)
	}
}

// TestRowsComeWithoutSorting holds the plan of a file's query: a sort would keep a whole month on disk.
func TestRowsComeWithoutSorting(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	f := File{
		Month: Month{2025, time.December}, columns: layout(nil), first: 1, last: 1_000_000,
		span: Span{Month: Month{2025, time.December}, Previous: Month{2025, time.November}, Watermark: 1_000_000, PreviousWatermark: 10},
	}
	query, ok := strings.CutPrefix(f.copyStatement(), "COPY (")
	query, _, found := strings.Cut(query, ") TO STDOUT")
	if !ok || !found {
		t.Fatal(f.copyStatement())
	}
	var plan []string
	err := pg.InTx(t.Context(), db.App, func(tx pgx.Tx) error {
		if _, err := tx.Exec(t.Context(), sqlStreaming); err != nil {
			return err
		}
		rows, err := tx.Query(t.Context(), "EXPLAIN "+query)
		if err != nil {
			return err
		}
		plan, err = pgx.CollectRows(rows, pgx.RowTo[string])
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if text := strings.Join(plan, "\n"); strings.Contains(text, "Sort  ") || strings.Contains(text, "Seq Scan") || !strings.Contains(text, "Merge Append") {
		t.Error(text)
	}
}
