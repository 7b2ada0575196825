package ledger_test

import (
	"errors"
	"strings"
	"testing"

	"deltaledger/ledger"
)

func policy(t testing.TB, l *ledger.Ledger, p ledger.ContentPolicy) {
	t.Helper()
	err := l.DeclareSource(t.Context(), ledger.Source{Name: "shop", Numbering: "stream", ContentPolicy: p, By: "jane"})
	if err != nil {
		t.Fatal(err)
	}
}

const (
	card = "4111111111111111"
	mail = "jane@b.example"
	iban = "DE89370400440532013000"
)

func TestPolicyRefuses(t *testing.T) {
	t.Parallel()
	l, db := open(t)
	before := sale("o0", 1)
	before.Dimensions = []byte(`{"note":"` + card + `"}`)
	appendAll(t, l, before)
	policy(t, l, ledger.ContentPolicy{CardNumbers: "refuse", IBANs: "refuse", Emails: "refuse"})
	for field, change := range map[string]func(*ledger.Event){
		"id":                  func(e *ledger.Event) { e.ID = "x-" + card },
		"stream":              func(e *ledger.Event) { e.Stream = mail },
		"type":                func(e *ledger.Event) { e.Type = iban },
		"account":             func(e *ledger.Event) { e.Account = mail },
		"corrects":            func(e *ledger.Event) { e.Corrects = card },
		"dimensions.note":     func(e *ledger.Event) { e.Dimensions = []byte(`{"a":"b","note":"pay \u0034111 1111 1111 1111"}`) },
		"dimensions.number":   func(e *ledger.Event) { e.Dimensions = []byte(`{"number":` + card + `}`) },
		"reason":              func(e *ledger.Event) { e.Reason = "to " + iban },
		"reference":           func(e *ledger.Event) { e.Reference = mail },
		"maker":               func(e *ledger.Event) { e.Maker = mail },
		"dimensions":          func(e *ledger.Event) { e.Dimensions = []byte(`{"` + mail + `":"` + card + `"}`) },
		"dimensions.weird\"k": func(e *ledger.Event) { e.Dimensions = []byte(`{"weird\"k":"` + mail + `"}`) },
	} {
		e := sale("o1", 1)
		if field == "reason" || field == "reference" || field == "maker" {
			e.Kind, e.HasSeqn, e.Reason, e.Reference, e.Maker = ledger.Adjustment, false, "r", "r", "m"
		}
		change(&e)
		for _, record := range []func() ([]ledger.Outcome, error){
			func() ([]ledger.Outcome, error) { return l.Append(t.Context(), []ledger.Event{e}) },
			func() ([]ledger.Outcome, error) { return l.AppendAtomic(t.Context(), []ledger.Event{e}) },
		} {
			out, err := record()
			if err != nil && !errors.Is(err, ledger.ErrAtomic) {
				t.Fatal(err)
			}
			o := out[0]
			if o.Status != ledger.Rejected || o.Err.Field != field || strings.Contains(o.Err.Error(), "4111") || strings.Contains(o.Err.Error(), "jane@") || strings.Contains(o.Err.Error(), "DE89") {
				t.Errorf("%s: %+v", field, o)
			}
			if shown := o.ShownID(e.ID); strings.Contains(shown, "4111") {
				t.Errorf("%s: shown as %s", field, shown)
			}
		}
	}
	// Private content may hold anything.
	e := sale("o1", 1)
	e.Payload = []byte(`{"card":"` + card + `"}`)
	if o := appendAll(t, l, e)[0]; o.Status != ledger.Recorded {
		t.Errorf("%+v", o)
	}
	// What was recorded before the policy is known; a version of it that the policy refuses isn't kept.
	if o := appendAll(t, l, before)[0]; o.Status != ledger.Duplicate {
		t.Errorf("recorded before: %+v", o)
	}
	other := before
	other.Amount = amount("77")
	if o := appendAll(t, l, other)[0]; o.Status != ledger.Rejected || o.Err.Field != "dimensions.note" {
		t.Errorf("in conflict: %+v", o)
	}
	if n := one[int](t, db, `SELECT count(*) FROM ledger.conflicts`); n != 0 {
		t.Errorf("%d conflicts are kept", n)
	}
	policy(t, l, ledger.ContentPolicy{CardNumbers: "allow"}) // the others stay
	e = sale("o2", 1)
	e.Dimensions = []byte(`{"note":"` + card + `"}`)
	if o := appendAll(t, l, e)[0]; o.Status != ledger.Recorded {
		t.Errorf("allowed again: %+v", o)
	}
	if s, err := l.SourceOf(t.Context(), "shop"); err != nil || s.ContentPolicy != (ledger.ContentPolicy{CardNumbers: "allow", IBANs: "refuse", Emails: "refuse"}) {
		t.Errorf("%+v, %v", s, err)
	}
	if err := l.DeclareSource(t.Context(), ledger.Source{Name: "shop", Numbering: "stream", ContentPolicy: ledger.ContentPolicy{Emails: "maybe"}, By: "j"}); !errors.Is(err, ledger.ErrInvalid) {
		t.Error(err)
	}
}

func TestPolicyHides(t *testing.T) {
	t.Parallel()
	l, db := open(t)
	event := func(n int) ledger.Event {
		e := sale("o1", n)
		e.Dimensions = []byte(`{"country":"FR","note":"ask ` + mail + `","number":` + card + `}`)
		return e
	}
	appendAll(t, l, event(1))
	policy(t, l, ledger.ContentPolicy{CardNumbers: "private", Emails: "private"})
	appendAll(t, l, event(2))
	row, err := l.Get(t.Context(), "shop", "o1/2", true)
	if err != nil || string(row.Dimensions) != `{"country": "FR"}` || string(row.PII) != `{"note": "ask jane@b.example", "number": 4111111111111111}` {
		t.Errorf("%+v, %v", row, err)
	}
	taken := event(2)
	taken.Amount = amount("9")
	if o := appendAll(t, l, taken)[0]; o.Status != ledger.Conflict || strings.Join(o.Differs, ",") != "amount" {
		t.Errorf("%+v", o)
	}
	if n := one[int](t, db, `SELECT count(*) FROM ledger.conflicts c JOIN ledger.conflict_private p ON p.conflict = c.n WHERE content LIKE '%4111%' OR content LIKE '%@%' OR pii IS NULL`); n != 0 {
		t.Errorf("%d conflicts hold publicly what is private", n)
	}
	for _, p := range []string{"private", "refuse", "flag", "allow", "private"} {
		policy(t, l, ledger.ContentPolicy{CardNumbers: p, Emails: p})
		for n := 1; n <= 2; n++ {
			if o := appendAll(t, l, event(n))[0]; o.Status != ledger.Duplicate {
				t.Errorf("under %s, event %d again: %+v", p, n, o)
			}
		}
	}
	// Decided later, it stays hidden, also where nothing hides it any more.
	policy(t, l, ledger.ContentPolicy{CardNumbers: "allow", Emails: "allow"})
	if _, err := l.DecideConflict(t.Context(), 1, ledger.Decide{RecordAs: "o1/2b", Seqn: seqn(7), Why: "w", By: "b"}); err != nil {
		t.Fatal(err)
	}
	if row, err := l.Get(t.Context(), "shop", "o1/2b", false); err != nil || string(row.Dimensions) != `{"country": "FR"}` {
		t.Errorf("%+v, %v", row, err)
	}
	policy(t, l, ledger.ContentPolicy{CardNumbers: "private"})
	e := sale("o9", 1)
	e.Account = card
	if o := appendAll(t, l, e)[0]; o.Status != ledger.Rejected || o.Err.Field != "account" || strings.Contains(o.Err.Error(), card) {
		t.Errorf("a field that can't be private: %+v", o)
	}
	erase(t, l, ledger.EraseRequest{Account: "acme"})
	for n := 1; n <= 2; n++ {
		if o := appendAll(t, l, event(n))[0]; o.Status != ledger.Duplicate {
			t.Errorf("erased, event %d again: %+v", n, o)
		}
	}
}

func TestPolicyFlags(t *testing.T) {
	t.Parallel()
	l, db := open(t)
	policy(t, l, ledger.ContentPolicy{CardNumbers: "flag", IBANs: "flag", Emails: "private"})
	e := sale("o1", 1)
	e.ID, e.Dimensions = card, []byte(`{"a":"`+iban+` `+card+`","b":"`+mail+` `+card+`"}`)
	plain := sale("o1", 2)
	small := sale("o1", 3)
	small.Dimensions = []byte(`{"c":"` + card + `"}`)
	appendAll(t, l, e, plain)
	b := ledger.NewBatcher(l, ledger.BatcherConfig{})
	if out, err := b.Append(t.Context(), []ledger.Event{small}); err != nil || out[0].Status != ledger.Recorded {
		t.Fatalf("%+v, %v", out, err)
	}
	if err := b.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	appendAll(t, l, e, small) // again
	got := one[string](t, db, `SELECT string_agg(concat_ws(' ', f.source, f.field, f.rule), ', ' ORDER BY f.position, f.field, f.rule)
		FROM ledger.content_flags f JOIN ledger.events e ON e.position = f.position AND e.recorded_at = f.recorded_at`)
	if want := "shop dimensions.a card_number, shop dimensions.a iban, shop id card_number, shop dimensions.c card_number"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// A batcher must find out that an event was recorded before what refuses it now.
func TestBatcherSettlesDoubts(t *testing.T) {
	t.Parallel()
	l, _ := open(t)
	e := sale("o1", 1)
	e.Dimensions = []byte(`{"note":"` + card + `"}`)
	appendAll(t, l, e)
	policy(t, l, ledger.ContentPolicy{CardNumbers: "refuse"})
	b := ledger.NewBatcher(l, ledger.BatcherConfig{Committers: 1})
	for range 20 {
		done := make(chan string, 4)
		for i := range 4 {
			go func() {
				again := e
				if i%2 == 1 {
					again.ID, again.HasSeqn, again.Seqn = "new", true, 9
				}
				out, err := b.Append(t.Context(), []ledger.Event{again})
				if err != nil {
					done <- err.Error()
					return
				}
				done <- again.ID + " " + string(out[0].Status)
			}()
		}
		for range 4 {
			if got := <-done; got != "o1/1 duplicate" && got != "new invalid" {
				t.Error(got)
			}
		}
	}
	if err := b.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}
