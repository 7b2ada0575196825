//go:build linux || darwin

package main

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// holding is what a ledger must hold.
type holding struct {
	facts     map[string]string // by source and id, as sqlFacts spells them; nil: nobody knows
	positions map[string]int64  // by source and id: what was answered to who sent them
	states    map[string]string // by source and stream: account and values of its last state, as sqlStates spells them
	closed    bool              // everything is billed: the last close came after the last event
}

// rule is something that holds in every ledger: its query gives a line for each place where it doesn't.
type rule struct{ name, query string }

// eventKeySQL is the identity of an event of e, computed by PostgreSQL.
const eventKeySQL = `encode(substr(sha256(
    int4send(octet_length(e.source)) || convert_to(e.source, 'UTF8') ||
    int4send(octet_length(e.event_id)) || convert_to(e.event_id, 'UTF8')), 1, 16), 'hex')::uuid`

// auditRules need nothing but the ledger.
var auditRules = []rule{
	{"event without its key", `
		SELECT e.source || '/' || e.event_id FROM ledger.events e
		LEFT JOIN ledger.event_keys k ON k.event_key = ` + eventKeySQL + ` AND k.position = e.position AND k.recorded_at = e.recorded_at
		WHERE k.event_key IS NULL`},
	{"key without its event", `
		SELECT k.event_key::text FROM ledger.event_keys k
		LEFT JOIN ledger.events e ON e.position = k.position AND e.recorded_at = k.recorded_at AND k.event_key = ` + eventKeySQL + `
		WHERE e.position IS NULL`},
	{"key twice", `SELECT event_key::text FROM ledger.event_keys GROUP BY event_key HAVING count(*) > 1`},
	{"place in a stream twice", `SELECT position_key::text FROM ledger.event_keys WHERE position_key IS NOT NULL GROUP BY position_key HAVING count(*) > 1`},
	{"numbered event without its place", `
		SELECT e.source || '/' || e.event_id FROM ledger.events e JOIN ledger.event_keys k ON k.position = e.position
		WHERE e.kind = 'upstream' AND (e.seqn IS NULL) <> (k.position_key IS NULL)`},
	{"key position twice", `SELECT position::text FROM ledger.event_keys GROUP BY position HAVING count(*) > 1`},
	{"id twice", `SELECT source || '/' || event_id FROM ledger.events GROUP BY source, event_id HAVING count(*) > 1`},
	{"seqn twice", `
		SELECT source || '/' || stream || '/' || seqn FROM ledger.events
		WHERE seqn IS NOT NULL AND kind = 'upstream' GROUP BY source, stream, seqn HAVING count(*) > 1`},
	{"event position twice", `SELECT position::text FROM ledger.events GROUP BY position HAVING count(*) > 1`},
	{"digest that is none", `SELECT event_key::text FROM ledger.event_keys WHERE octet_length(digest) <> 32`},
	{"position that was never given out", `
		SELECT position::text FROM ledger.events WHERE position > COALESCE(pg_sequence_last_value('ledger.position_seq'), 0)`},
	{"private content without its event", `
		SELECT p.position::text FROM ledger.private p
		WHERE NOT EXISTS (SELECT FROM ledger.events e WHERE e.position = p.position AND e.recorded_at = p.recorded_at AND e.commitment IS NOT NULL)`},
	{"event without its private content", `
		SELECT e.position::text FROM ledger.events e
		WHERE e.commitment IS NOT NULL AND NOT EXISTS (SELECT FROM ledger.private p WHERE p.position = e.position)`},
	{"watermark that went back", `
		SELECT n::text FROM (SELECT n, position, lag(position) OVER (ORDER BY n) AS before FROM ledger.watermarks) w WHERE position < before`},
	{"conflict with nothing", `
		SELECT c.n::text FROM ledger.conflicts c WHERE NOT EXISTS (SELECT FROM ledger.events e WHERE e.position = c.existing_position)`},

	{"pin of nothing", `
		SELECT p.position::text FROM billing.pins p
		WHERE NOT EXISTS (SELECT FROM ledger.events e WHERE e.position = p.position AND e.recorded_at = p.recorded_at AND e.account = p.account)`},
	{"event billed twice", `SELECT position::text FROM billing.pins_v1 WHERE live GROUP BY position HAVING count(*) > 1`},
	{"invoice that isn't its pins", `
		SELECT i.id::text FROM billing.invoices i
		WHERE (i.pinned, i.events) <> (
		    SELECT count(*), count(*) FILTER (WHERE e.kind IN ('upstream', 'adjustment')) FROM billing.pins p
		    JOIN ledger.every_event e ON e.position = p.position AND e.recorded_at = p.recorded_at
		    WHERE p.account = i.account AND p.invoice_id = i.id)`},
	{"invoice that isn't its lines", `
		SELECT i.id::text FROM billing.invoices i
		WHERE i.total <> COALESCE((SELECT sum(l.amount) FROM billing.invoice_lines l WHERE l.account = i.account AND l.invoice_id = i.id), 0)`},
	{"cycle whose lines aren't the sum of its billed events", `
		WITH billed AS (
		    SELECT p.account, i.currency, p.origin_start, sum(e.amount) AS amount
		    FROM billing.pins_v1 p
		    JOIN billing.invoices i ON i.account = p.account AND i.id = p.invoice_id
		    JOIN ledger.events e ON e.position = p.position AND e.recorded_at = p.recorded_at
		    WHERE p.live GROUP BY 1, 2, 3
		), lines AS (
		    SELECT l.account, i.currency, l.origin_start, sum(l.amount) AS amount
		    FROM billing.invoice_lines l
		    JOIN billing.invoices i ON i.account = l.account AND i.id = l.invoice_id
		    WHERE NOT EXISTS (SELECT FROM billing.voids v WHERE v.account = i.account AND v.invoice_id = i.id)
		    GROUP BY 1, 2, 3
		)
		SELECT account || ' ' || currency || ' ' || origin_start || ': ' || COALESCE(b.amount, 0) || ' is billed as ' || COALESCE(l.amount, 0)
		FROM billed b FULL JOIN lines l USING (account, currency, origin_start)
		WHERE COALESCE(round(b.amount, 2), 0) <> COALESCE(l.amount, 0)`},
	{"gap in the numbers", `
		SELECT series || ' ' || number FROM (
		    SELECT series, number, lag(number, 1, 0::bigint) OVER (PARTITION BY series ORDER BY number) AS before FROM billing.invoice_numbers) n
		WHERE number <> before + 1`},
	{"invoice with two numbers", `SELECT invoice_id::text FROM billing.invoice_numbers GROUP BY invoice_id HAVING count(*) > 1`},
	{"frozen month that isn't its events", `
		SELECT f.month::text FROM export.freezes f
		WHERE f.rows <> (
		    SELECT count(*) FROM ledger.events e
		    WHERE date_trunc('month', e.business_date) <= f.month AND e.position <= f.watermark
		      AND (e.position > f.previous_watermark OR date_trunc('month', e.business_date) > COALESCE(f.previous, '-infinity'::date)))`},
}

// closedRules hold once everything is billed.
var closedRules = []rule{
	{"event that isn't billed", `
		SELECT e.source || '/' || e.event_id FROM ledger.events e
		WHERE e.kind IN ('upstream', 'adjustment')
		  AND NOT EXISTS (SELECT FROM billing.pins_v1 p WHERE p.account = e.account AND p.position = e.position AND p.live)`},
	// Those that cancel each other out need no invoice.
	{"amount of the ledger's own rows that isn't billed", `
		SELECT e.account || ' ' || e.currency || ': ' || sum(e.amount) FROM ledger.events e
		WHERE e.kind NOT IN ('upstream', 'adjustment')
		  AND NOT EXISTS (SELECT FROM billing.pins_v1 p WHERE p.account = e.account AND p.position = e.position AND p.live)
		GROUP BY e.account, e.currency HAVING sum(e.amount) <> 0`},
	{"invoice without a number", `
		SELECT i.id::text FROM billing.invoices i
		WHERE NOT EXISTS (SELECT FROM billing.invoice_numbers n WHERE n.account = i.account AND n.invoice_id = i.id)`},
}

// sqlFacts spells what was sent, one line for each event that isn't the ledger's own.
const sqlFacts = `
SELECT source || '/' || event_id, position,
       concat_ws(' ', kind, account, COALESCE(stream, '-'), COALESCE(seqn::text, '-'), type, extract(epoch FROM occurred_at)::bigint, currency,
                 CASE WHEN state IS NULL THEN concat_ws(' ', COALESCE(trim_scale(amount)::text, '-'), COALESCE(trim_scale(quantity)::text, '-'))
                      ELSE concat_ws(' ', 'state', state->>'amount', state->>'quantity') END)
FROM ledger.events
WHERE kind IN ('upstream', 'adjustment')`

// sqlStates is where the sums of each stream of states stand, with the rows that the ledger made for them.
const sqlStates = `
SELECT COALESCE(c.source, e.source) || '/' || e.stream, concat_ws(' ', e.account, trim_scale(sum(e.amount)), trim_scale(sum(e.quantity)))
FROM ledger.events e
LEFT JOIN ledger.events c ON c.position = e.caused_by
WHERE e.state IS NOT NULL OR e.kind IN ('reorder', 'reversal')
GROUP BY COALESCE(c.source, e.source), e.stream, e.account
HAVING sum(e.amount) <> 0 OR sum(e.quantity) <> 0`

// querier is a connection or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// shownProblems is how many places a problem names.
const shownProblems = 5

// auditLedger holds a ledger against every rule and against what it must hold, and says what is wrong. It
// must see everything: q is a superuser's.
func auditLedger(ctx context.Context, q querier, w holding) (problems []string, err error) {
	rules := auditRules
	if w.closed {
		rules = append(rules[:len(rules):len(rules)], closedRules...)
	}
	for _, r := range rules {
		rows, err := q.Query(ctx, r.query)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", r.name, err)
		}
		places, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", r.name, err)
		}
		problems = listProblem(problems, r.name, places)
	}
	if w.facts == nil {
		return problems, nil
	}
	more, err := compareFacts(ctx, q, w)
	if err != nil {
		return nil, err
	}
	problems = append(problems, more...)
	more, err = compareStates(ctx, q, w)
	return append(problems, more...), err
}

func listProblem(problems []string, name string, places []string) []string {
	if len(places) == 0 {
		return problems
	}
	return append(problems, fmt.Sprintf("%s: %d, such as %s", name, len(places), strings.Join(places[:min(len(places), shownProblems)], ", ")))
}

// compareFacts holds the events against what was sent, in both directions, and against what was answered.
func compareFacts(ctx context.Context, q querier, w holding) ([]string, error) {
	rows, err := q.Query(ctx, sqlFacts) //nolint:rowserrcheck // ForEachRow returns it
	if err != nil {
		return nil, err
	}
	seen := make(map[string]bool, len(w.facts))
	var unsent, changed, moved, lost []string
	var name, fact string
	var position int64
	_, err = pgx.ForEachRow(rows, []any{&name, &position, &fact}, func() error {
		sent, known := w.facts[name]
		switch {
		case !known:
			unsent = append(unsent, name)
		case sent != fact:
			changed = append(changed, fmt.Sprintf("%s: %q was sent as %q", name, fact, sent))
		case w.positions[name] != 0 && w.positions[name] != position:
			moved = append(moved, fmt.Sprintf("%s: at %d, acknowledged at %d", name, position, w.positions[name]))
		}
		seen[name] = true
		return nil
	})
	if err != nil {
		return nil, err
	}
	for name := range w.facts {
		if !seen[name] {
			lost = append(lost, name)
		}
	}
	problems := listProblem(nil, "event that nobody sent, or that was refused", unsent)
	problems = listProblem(problems, "event that was sent otherwise", changed)
	problems = listProblem(problems, "event at another position than its sender was told", moved)
	return listProblem(problems, "event that is lost", lost), nil
}

// compareStates: all that a stream of states adds up to is its last state, under the account of that.
func compareStates(ctx context.Context, q querier, w holding) ([]string, error) {
	rows, err := q.Query(ctx, sqlStates)
	if err != nil {
		return nil, err
	}
	sums, err := pgx.CollectRows(rows, pgx.RowToStructByPos[struct{ Stream, Sum string }])
	if err != nil {
		return nil, err
	}
	var wrong []string
	seen := map[string]bool{}
	for _, s := range sums {
		if w.states[s.Stream] != s.Sum {
			wrong = append(wrong, fmt.Sprintf("%s: %q, its last state is %q", s.Stream, s.Sum, w.states[s.Stream]))
		}
		seen[s.Stream] = true
	}
	for stream, last := range w.states {
		if !seen[stream] && !strings.HasSuffix(last, " 0 0") {
			wrong = append(wrong, fmt.Sprintf("%s: nothing, its last state is %q", stream, last))
		}
	}
	return listProblem(nil, "stream of states whose sum isn't its last state", wrong), nil
}

// passesAudit reports every problem of a ledger.
func passesAudit(t *testing.T, conn *pgx.Conn, w holding) {
	t.Helper()
	problems, err := auditLedger(context.Background(), conn, w)
	if err != nil {
		t.Fatalf("audit: %v", err)
	}
	for _, p := range problems {
		t.Errorf("audit: %s", p)
	}
}
