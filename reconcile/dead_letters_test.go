package reconcile_test

import (
	"strings"
	"testing"

	"deltaledger/ledger"
)

func TestDeadLettersAreFindingsUntilTheyAreDecided(t *testing.T) {
	t.Parallel()
	k := open(t)
	k.want(k.run(true), 0, 0)
	_, err := k.db.Super.Exec(k.Context(), `INSERT INTO ledger.dead_letters (topic, topic_id, partition, "offset", reason)
		VALUES ('orders', '7a1c3c0e-0000-4000-8000-000000000000', 0, 1, 'r'), ('orders', '7a1c3c0e-0000-4000-8000-000000000000', 0, 2, 'r')`)
	if err != nil {
		t.Fatal(err)
	}
	first := k.run(true)
	k.want(first, 0, 0, "dead-letters")
	if text := details(first); !strings.Contains(text, `2 dead letters wait for a decision of what came in topic orders; the oldest is dead letter 1, seen `) {
		t.Error(text)
	}
	discard := func(n int64) {
		t.Helper()
		if _, err := k.l.DiscardLetter(k.Context(), n, ledger.LetterDecide{Why: "a test", By: "test"}); err != nil {
			t.Fatal(err)
		}
	}
	discard(1)
	second := k.run(true)
	k.want(second, 0, 0, "dead-letters")
	if second.Findings[0].ID != first.Findings[0].ID || !strings.Contains(details(second), "1 dead letter waits") {
		t.Error(details(second))
	}
	discard(2)
	k.want(k.run(true), 0, 0)
}
