package ledger_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"

	"deltaledger/ledger"
)

func seqn(n int64) *int64 { return &n }

func TestConflictSideBySide(t *testing.T) {
	t.Parallel()
	l, _ := open(t)
	e := sale("o1", 1)
	e.Payload = []byte(`{"card":"visa one"}`)
	other := sale("o1", 1)
	other.Amount, other.Dimensions, other.Payload = amount("7"), []byte(`{"country":"DE","vip":true}`), []byte(`{"card":"visa two"}`)
	appendAll(t, l, e)
	appendAll(t, l, other)
	for _, private := range []bool{false, true} {
		v, err := l.Conflict(t.Context(), 1, private)
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]string{}
		for _, f := range v.Fields {
			text := func(s *string) string {
				if s == nil {
					return "-"
				}
				return *s
			}
			if f.Differs {
				got[f.Name] = text(f.Recorded) + "|" + text(f.Arrived)
			}
		}
		want := map[string]string{"amount": "1.25|7", "dimensions.country": "FR|DE", "dimensions.vip": "-|true"}
		if private {
			want["payload"] = `{"card":"visa one"}|{"card":"visa two"}`
		}
		a, _ := json.Marshal(got)
		b, _ := json.Marshal(want)
		if string(a) != string(b) || len(v.Fields) < 10 {
			t.Errorf("private %v: %s, want %s", private, a, b)
		}
		if whole, _ := json.Marshal(v); strings.Contains(string(whole), "visa ") != private {
			t.Errorf("private %v: %s", private, whole)
		}
	}
	if _, err := l.Conflict(t.Context(), 99, true); !errors.Is(err, ledger.ErrNotFound) {
		t.Error(err)
	}
}

func TestDecideConflicts(t *testing.T) {
	t.Parallel()
	l, db := open(t)
	declareColumn(t, db, "mail", "dimension", "text", true)
	appendAll(t, l, sale("o1", 1), sale("o1", 2))
	for n := 1; n <= 2; n++ {
		other := sale("o1", n)
		other.Amount, other.Payload, other.Dimensions = amount("7"), []byte(`{"card":"visa one"}`), []byte(`{"mail":"a@b.example","x":"y"}`)
		appendAll(t, l, other)
	}
	decide := func(n int64, d ledger.Decide) (ledger.ConflictDecision, error) {
		d.Why, d.By = "tested", "jane"
		return l.DecideConflict(t.Context(), n, d)
	}
	for name, c := range map[string]struct {
		n    int64
		d    ledger.Decide
		want error
	}{
		"nothing asked":        {1, ledger.Decide{}, ledger.ErrInvalid},
		"both asked":           {1, ledger.Decide{Dismiss: true, RecordAs: "x"}, ledger.ErrInvalid},
		"seqn of none":         {1, ledger.Decide{Dismiss: true, Seqn: seqn(1)}, ledger.ErrInvalid},
		"unknown":              {77, ledger.Decide{Dismiss: true}, ledger.ErrNotFound},
		"place taken":          {1, ledger.Decide{RecordAs: "o1/1b"}, ledger.ErrConflict},
		"other place taken":    {1, ledger.Decide{RecordAs: "o1/1b", Seqn: seqn(2)}, ledger.ErrConflict},
		"identity taken":       {1, ledger.Decide{RecordAs: "o1/2", Seqn: seqn(9)}, ledger.ErrConflict},
		"number out of bounds": {1, ledger.Decide{RecordAs: "o1/1b", Seqn: seqn(-1)}, ledger.ErrInvalid},
	} {
		if _, err := decide(c.n, c.d); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := one[int](t, db, `SELECT (SELECT count(*) FROM ledger.conflict_decisions) + (SELECT count(*) FROM ledger.conflicts) - 2 + (SELECT count(*) FROM ledger.events) - 2`); n != 0 {
		t.Fatalf("what was refused left %d rows", n)
	}
	first, err := decide(1, ledger.Decide{RecordAs: "o1/1b", Seqn: seqn(3)})
	if err != nil || first.Outcome != "recorded" || first.Position == nil {
		t.Fatalf("%+v, %v", first, err)
	}
	row, err := l.Get(t.Context(), "shop", "o1/1b", true)
	if err != nil || row.Position != *first.Position || *row.Seqn != 3 || row.Amount != amount("7") || string(row.Payload) != `{"card":"visa one"}` ||
		string(row.PII) != `{"mail": "a@b.example"}` || string(row.Dimensions) != `{"x": "y"}` {
		t.Errorf("%+v, %v", row, err)
	}
	if again, err := decide(1, ledger.Decide{RecordAs: "o1/1b", Seqn: seqn(3)}); err != nil || again.Why != first.Why || !again.DecidedAt.Equal(first.DecidedAt) {
		t.Errorf("the same again: %+v, %v", again, err)
	}
	for _, d := range []ledger.Decide{{Dismiss: true}, {RecordAs: "o1/1c"}, {RecordAs: "o1/1b"}} {
		if _, err := decide(1, d); !errors.Is(err, ledger.ErrConflict) {
			t.Errorf("another decision: %v", err)
		}
	}
	if d, err := decide(2, ledger.Decide{Dismiss: true}); err != nil || d.Outcome != "dismissed" {
		t.Errorf("%+v, %v", d, err)
	}
	if list, err := l.ListConflicts(t.Context(), ledger.ConflictQuery{State: "open"}); err != nil || len(list) != 0 {
		t.Errorf("open: %+v, %v", list, err)
	}
	if list, err := l.ListConflicts(t.Context(), ledger.ConflictQuery{State: "decided", Source: "shop", Reason: "content"}); err != nil || len(list) != 2 || list[1].Decision.EventID != "o1/1b" {
		t.Errorf("decided: %+v, %v", list, err)
	}
}

// What was private when it arrived stays private when it is recorded, whatever is declared then.
func TestDecisionKeepsPrivateWhatWas(t *testing.T) {
	t.Parallel()
	l, db := open(t)
	appendAll(t, l, sale("o1", 1))
	if _, err := db.Super.Exec(t.Context(), `WITH p AS (
			INSERT INTO ledger.conflict_private (event_key, digest, tag, pii) VALUES (gen_random_uuid(), '', '', '{"mail":"a@b.example"}') RETURNING conflict)
		INSERT INTO ledger.conflicts (n, reason, source, event_id, event_key, existing_position, existing_recorded_at, differs, content, digest)
		SELECT conflict, 'content', 'shop', 'o1/1', gen_random_uuid(), position, recorded_at, '{}',
			'{"account":"a","currency":"EUR","dimensions":{"k":"v"},"id":"o1/1","occurred_at":"2026-01-15T12:00:01Z","private":true,"seqn":1,"source":"shop","stream":"o1","type":"t"}', ''
		FROM p, ledger.events`); err != nil {
		t.Fatal(err)
	}
	if _, err := l.DecideConflict(t.Context(), 1, ledger.Decide{RecordAs: "x", Seqn: seqn(2), Why: "w", By: "b"}); err != nil {
		t.Fatal(err)
	}
	row, err := l.Get(t.Context(), "shop", "x", true)
	if err != nil || string(row.PII) != `{"mail": "a@b.example"}` || string(row.Dimensions) != `{"k": "v"}` {
		t.Errorf("%+v, %v", row, err)
	}
}

func TestDecisionsThatRace(t *testing.T) {
	t.Parallel()
	l, db := open(t)
	appendAll(t, l, sale("o1", 1))
	other := sale("o1", 1)
	other.Amount = amount("7")
	appendAll(t, l, other)
	var group sync.WaitGroup
	var mu sync.Mutex
	won := map[string]int{}
	for i := range 8 {
		group.Go(func() {
			id := []string{"a", "b"}[i%2]
			_, err := l.DecideConflict(context.Background(), 1, ledger.Decide{RecordAs: id, Seqn: seqn(int64(10 + i%2)), Why: "w", By: "b"})
			if err != nil && !errors.Is(err, ledger.ErrConflict) {
				t.Error(err)
			}
			if err == nil {
				mu.Lock()
				won[id]++
				mu.Unlock()
			}
		})
	}
	group.Wait()
	if len(won) != 1 || won["a"]+won["b"] != 4 {
		t.Errorf("%v", won)
	}
	if n := one[int](t, db, `SELECT count(*) FROM ledger.events`); n != 2 {
		t.Errorf("%d events", n)
	}
}
