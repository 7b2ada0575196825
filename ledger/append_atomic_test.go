package ledger_test

import (
	"errors"
	"strings"
	"testing"

	"deltaledger/ledger"
)

// TestAtomicRequestThatContradictsItself: what was rolled back isn't named as what is recorded, and no
// conflict with it is kept.
func TestAtomicRequestThatContradictsItself(t *testing.T) {
	t.Parallel()
	l, db := open(t)
	appendAll(t, l, sale("old", 1))
	other := sale("o1", 1)
	other.Amount = amount("99")
	place := sale("o1", 2)
	place.ID = "another"
	old := sale("old", 1)
	old.Amount = amount("98")
	out, err := l.AppendAtomic(t.Context(), []ledger.Event{sale("o1", 1), sale("o1", 2), other, place, old})
	if !errors.Is(err, ledger.ErrAtomic) {
		t.Fatal(err)
	}
	for i, want := range []ledger.Status{ledger.Refused, ledger.Refused, ledger.Conflict, ledger.Conflict, ledger.Conflict} {
		if out[i].Status != want {
			t.Errorf("event %d: %v, want %v", i, out[i].Status, want)
		}
	}
	for i, field := range map[int]string{2: "id", 3: "seqn"} {
		if out[i].Position != 0 || out[i].Err.Field != field || strings.Contains(out[i].Err.Rule, "position") {
			t.Errorf("event %d: position %d, %v", i, out[i].Position, out[i].Err)
		}
	}
	if out[4].Position != 1 {
		t.Errorf("the conflict with a recorded event names position %d", out[4].Position)
	}
	const sql = `
SELECT count(*) || ' of ' || count(e.position)
FROM ledger.conflicts c
LEFT JOIN ledger.events e ON e.position = c.existing_position`
	if got := one[string](t, db, sql); got != "1 of 1" {
		t.Errorf("conflicts kept, and of recorded events: %s", got)
	}
}

// TestAsOfNonsenseWritesNothing: a position that was never given out takes no watermark.
func TestAsOfNonsenseWritesNothing(t *testing.T) {
	t.Parallel()
	l, db := open(t)
	appendAll(t, l, sale("o1", 1))
	if _, err := l.AsOf(t.Context(), "9000000000"); !errors.Is(err, ledger.ErrInvalid) {
		t.Errorf("a position that nobody has: %v", err)
	}
	if n := one[int64](t, db, "SELECT count(*) FROM ledger.watermarks"); n != 0 {
		t.Errorf("%d watermarks were taken", n)
	}
	if w, err := l.AsOf(t.Context(), "1"); err != nil || w.Position != 1 {
		t.Errorf("a position that is taken: %v, %v", w, err)
	}
}

// TestZonesOfTheMachine: names that mean something else on another machine, or count leap seconds.
func TestZonesOfTheMachine(t *testing.T) {
	t.Parallel()
	l, _ := open(t)
	for _, zone := range []string{"Local", "localtime", "posixrules", "Factory", "right/UTC", "posix/Europe/London", "../UTC"} {
		q := ledger.AggregateQuery{Measures: []string{"amount"}, By: []string{"day"}, Zone: zone}
		if _, err := l.Aggregate(t.Context(), q); !errors.Is(err, ledger.ErrInvalid) {
			t.Errorf("%s: %v", zone, err)
		}
	}
}
