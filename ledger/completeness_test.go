package ledger_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"deltaledger/ledger"
)

// monthly is event n of stream s, at a date.
func monthly(s string, n int, date string) ledger.Event {
	e := sale(s, n)
	at, err := time.Parse(time.DateOnly, date)
	if err != nil {
		panic(err)
	}
	e.OccurredAt = at
	return e
}

func complete(t *testing.T, l *ledger.Ledger, month string) ledger.SourceCompleteness {
	t.Helper()
	c, err := l.Completeness(t.Context(), ledger.CompletenessQuery{Source: "shop", Month: month})
	if err != nil || len(c.Sources) != 1 || c.Behind != 0 {
		t.Fatalf("%+v, %v", c, err)
	}
	return c.Sources[0]
}

func TestIsJanuaryComplete(t *testing.T) {
	t.Parallel()
	l, _ := open(t)
	want := func(answer string) ledger.SourceCompleteness {
		t.Helper()
		c := complete(t, l, "2026-01")
		if c.Complete != answer {
			t.Errorf("%q, want %q: %+v", c.Complete, answer, c)
		}
		return c
	}
	if _, err := l.Completeness(t.Context(), ledger.CompletenessQuery{Source: "shop"}); !errors.Is(err, ledger.ErrNotFound) {
		t.Errorf("of nothing: %v", err)
	}
	appendAll(t, l, monthly("a", 1, "2026-01-05"), monthly("a", 2, "2026-01-20"))
	want(ledger.CompleteNotYet)
	appendAll(t, l, monthly("b", 1, "2026-02-02"))
	want(ledger.CompleteYes)
	appendAll(t, l, monthly("a", 4, "2026-02-10"))
	if c := want(ledger.CompleteUnknown); c.UncertainMissing != 1 { // number 3 may have occurred in January
		t.Errorf("%+v", c)
	}
	appendAll(t, l, monthly("c", 3, "2026-01-31"))
	if c := want(ledger.CompleteNo); c.PeriodMissing != 2 || c.StreamsWithGaps != 2 || c.Streams != 3 || !c.ThroughTime.Equal(time.Date(2026, 1, 31, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("%+v", c)
	}
	appendAll(t, l, monthly("a", 3, "2026-01-30"), monthly("c", 1, "2026-01-29"), monthly("c", 2, "2026-01-30"))
	want(ledger.CompleteYes)
	page, err := l.Gaps(t.Context(), ledger.GapQuery{Source: "shop", Stream: "c"})
	if err != nil || len(page.Gaps) != 0 || len(page.Filled) != 1 || page.Filled[0].From != 1 || page.Filled[0].To != 2 || page.Extent.ThroughSeqn != 3 {
		t.Errorf("%+v, %v", page, err)
	}
	if err := l.DeclareSource(t.Context(), ledger.Source{Name: "shop", Numbering: ledger.NumberingNone, By: "test"}); err != nil {
		t.Fatal(err)
	}
	want(ledger.CompleteUnknown)
}

func TestGapsPageByPage(t *testing.T) {
	t.Parallel()
	l, _ := open(t)
	for _, stream := range []string{"a b", "c", "d"} {
		appendAll(t, l, monthly(stream, 3, "2026-01-05"), monthly(stream, 7, "2026-01-05"))
	}
	var seen []string
	for cursor := "first"; cursor != ""; {
		q := ledger.GapQuery{Source: "shop", Limit: 2, Cursor: cursor}
		if cursor == "first" {
			q.Cursor = ""
		}
		page, err := l.Gaps(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		for _, g := range page.Gaps {
			seen = append(seen, g.Stream)
		}
		cursor = page.NextCursor
	}
	if want := []string{"a b", "a b", "c", "c", "d", "d"}; !slices.Equal(seen, want) {
		t.Errorf("%q", seen)
	}
	for _, q := range []ledger.GapQuery{{}, {Source: "shop", Cursor: "x y"}, {Source: "shop", Month: "2026-13"}, {Source: "shop", Limit: 1001}, {Source: "shop", Month: "2026-01", Through: "2026-01-31"}} {
		if _, err := l.Gaps(t.Context(), q); !errors.Is(err, ledger.ErrInvalid) {
			t.Errorf("%+v: %v", q, err)
		}
	}
}

// The same number in one stream is refused as it is recorded; in two streams of a source that numbers
// across them it is recorded, and said.
func TestSameNumberTwice(t *testing.T) {
	t.Parallel()
	l, _ := open(t)
	if err := l.DeclareSource(t.Context(), ledger.Source{Name: "shop", Numbering: ledger.NumberingSource, By: "test"}); err != nil {
		t.Fatal(err)
	}
	appendAll(t, l, sale("a", 1), sale("a", 2))
	again := sale("a", 2)
	again.ID = "other"
	if out := appendAll(t, l, again); out[0].Status != ledger.Conflict {
		t.Errorf("in the stream: %+v", out)
	}
	if out := appendAll(t, l, sale("b", 2), sale("b", 5)); out[0].Status != ledger.Recorded {
		t.Errorf("in another stream: %+v", out)
	}
	c := complete(t, l, "")
	if c.Doubled != 1 || c.Missing != 2 || *c.ThroughSeqn != 2 || *c.LastSeqn != 5 {
		t.Errorf("%+v", c)
	}
}
