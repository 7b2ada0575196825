package reconcile_test

import (
	"strings"
	"testing"

	"deltaledger/ledger"
)

func TestConflictsAreFindingsUntilTheyAreDecided(t *testing.T) {
	t.Parallel()
	k := open(t)
	k.record(sale("acme", 1, 1, "sold", "1"), sale("acme", 1, 2, "sold", "1"))
	k.want(k.run(true), 0, 0)
	for n := 1; n <= 2; n++ {
		if _, err := k.l.Append(k.Context(), []ledger.Event{sale("acme", 1, n, "sold", "2")}); err != nil {
			t.Fatal(err)
		}
	}
	first := k.run(true)
	k.want(first, 0, 0, "conflicts")
	if text := details(first); !strings.Contains(text, `2 conflicts wait for a decision of what source shop sent; the oldest is conflict 1, arrived 20`) {
		t.Error(text)
	}
	decide := func(n int64) {
		t.Helper()
		if _, err := k.l.DecideConflict(k.Context(), n, ledger.Decide{Dismiss: true, Why: "twice", By: "test"}); err != nil {
			t.Fatal(err)
		}
	}
	decide(1)
	second := k.run(true)
	k.want(second, 0, 0, "conflicts")
	if second.Findings[0].ID != first.Findings[0].ID || !strings.Contains(details(second), "1 conflict waits") {
		t.Error(details(second))
	}
	decide(2)
	k.want(k.run(true), 0, 0)
}

func TestFlaggedContentIsAFindingUntilSomebodyResolvesIt(t *testing.T) {
	t.Parallel()
	k := open(t)
	if err := k.l.DeclareSource(k.Context(), ledger.Source{Name: "shop", Numbering: "stream", ContentPolicy: ledger.ContentPolicy{Emails: "flag"}, By: "test"}); err != nil {
		t.Fatal(err)
	}
	e := sale("acme", 1, 1, "sold", "1")
	e.Dimensions = []byte(`{"note":"jane@b.example"}`)
	k.record(e)
	for range 2 { // a later run doesn't look at what the first one saw, and it stays all the same
		r := k.run(true)
		k.want(r, 0, 0, "content")
		if text := details(r); !strings.Contains(text, "source shop holds what looks like an e-mail address, in dimensions.note: 1 event, position ") || strings.Contains(text, "jane") {
			t.Error(text)
		}
	}
	resolve := func() {
		t.Helper()
		open, err := k.r.Findings(k.Context())
		if err != nil || len(open) != 1 {
			t.Fatal(open, err)
		}
		if err := k.r.Resolve(k.Context(), open[0].ID, "accepted", "a test", "test"); err != nil {
			t.Fatal(err)
		}
	}
	resolve()
	k.want(k.run(true), 0, 0)
	e = sale("acme", 1, 2, "sold", "1")
	e.Dimensions = []byte(`{"note":"jane@b.example"}`)
	k.record(e)
	k.want(k.run(true), 0, 0, "content")
}
