//go:build linux || darwin

package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"deltaledger/migrations/pgtest"
)

// plantedFaults are what somebody with every right, or a bug, could do to a ledger, by the rule that must
// find it.
var plantedFaults = []struct{ finds, statements string }{
	{"event without its key", `DELETE FROM ledger.event_keys WHERE position = (SELECT min(position) FROM ledger.event_keys)`},
	{"key without its event", `DELETE FROM ledger.events WHERE position = (SELECT min(position) FROM ledger.events)`},
	{"event that is lost", `DELETE FROM ledger.events WHERE position = (SELECT min(position) FROM ledger.events)`},
	{"event without its key", `UPDATE ledger.events SET event_id = 'other' WHERE position = (SELECT min(position) FROM ledger.events)`},
	{"key twice", `
		ALTER TABLE ledger.event_keys DROP CONSTRAINT event_keys_pkey, DROP CONSTRAINT event_keys_position_key;
		INSERT INTO ledger.event_keys SELECT event_key, NULL, position + 1000000, recorded_at, digest_version, digest FROM ledger.event_keys LIMIT 1`},
	{"place in a stream twice", `
		ALTER TABLE ledger.event_keys DROP CONSTRAINT event_keys_position_key;
		UPDATE ledger.event_keys SET position_key = (SELECT min(position_key::text)::uuid FROM ledger.event_keys) WHERE position_key IS NOT NULL`},
	{"numbered event without its place", `UPDATE ledger.event_keys SET position_key = NULL`},
	{"key position twice", `UPDATE ledger.event_keys SET position = (SELECT min(position) FROM ledger.event_keys)`},
	{"id twice", `
		INSERT INTO ledger.events (position, recorded_at, occurred_at, business_date, source, event_id, type, account, currency, kind, amount)
		SELECT nextval('ledger.position_seq'), recorded_at, occurred_at, business_date, source, event_id, type, account, currency, kind, amount
		FROM ledger.events LIMIT 1`},
	{"seqn twice", `
		INSERT INTO ledger.events (position, recorded_at, occurred_at, business_date, source, event_id, stream, seqn, type, account, currency, kind, amount)
		SELECT nextval('ledger.position_seq'), recorded_at, occurred_at, business_date, source, 'other', stream, seqn, type, account, currency, kind, amount
		FROM ledger.events WHERE seqn IS NOT NULL LIMIT 1`},
	{"event position twice", `
		INSERT INTO ledger.events (position, recorded_at, occurred_at, business_date, source, event_id, type, account, currency, kind, amount)
		SELECT position, recorded_at + interval '1 microsecond', occurred_at, business_date, source, 'other', type, account, currency, kind, amount
		FROM ledger.events LIMIT 1`},
	{"digest that is none", `UPDATE ledger.event_keys SET digest = '\x00'`},
	{"position that was never given out", `ALTER SEQUENCE ledger.position_seq RESTART`},
	{"private content without its event", `INSERT INTO ledger.private (position, recorded_at, salt) VALUES (0, now(), '\x00')`},
	{"event without its private content", `DELETE FROM ledger.private`},
	{"watermark that went back", `INSERT INTO ledger.watermarks (position, taken_at) VALUES (0, now())`},
	{"conflict with nothing", `UPDATE ledger.conflicts SET existing_position = 0`},
	{"pin of nothing", `UPDATE billing.pins SET position = -position WHERE position = (SELECT min(position) FROM billing.pins)`},
	{"event billed twice", `
		ALTER TABLE billing.pins DROP CONSTRAINT pins_one_live;
		INSERT INTO billing.pins (account, position, recorded_at, origin_start, invoice_id)
		SELECT account, position, recorded_at, origin_start, gen_random_uuid() FROM billing.pins LIMIT 1`},
	{"invoice that isn't its pins", `DELETE FROM billing.pins WHERE position = (SELECT min(position) FROM billing.pins)`},
	{"event that isn't billed", `DELETE FROM billing.pins WHERE position = (SELECT min(position) FROM billing.pins)`},
	{"amount of the ledger's own rows that isn't billed", `
		DELETE FROM billing.pins WHERE position IN (SELECT position FROM ledger.events WHERE kind IN ('reorder', 'reversal'))`},
	{"invoice that isn't its lines", `UPDATE billing.invoices SET total = total + 0.01`},
	{"cycle whose lines aren't the sum of its billed events", `UPDATE billing.invoice_lines SET amount = amount + 0.01; UPDATE billing.invoices SET total = total + 0.01`},
	{"cycle whose lines aren't the sum of its billed events", `UPDATE ledger.events SET amount = amount + 0.01`},
	{"event that was sent otherwise", `UPDATE ledger.events SET amount = -amount`},
	{"stream of states whose sum isn't its last state", `UPDATE ledger.events SET amount = amount + 1 WHERE source = 'meter'`},
	{"stream of states whose sum isn't its last state", `DELETE FROM ledger.events WHERE kind IN ('reorder', 'reversal')`},
	{"event that was sent otherwise", `UPDATE ledger.events SET account = 'other' WHERE position = (SELECT min(position) FROM ledger.events)`},
	{"gap in the numbers", `DELETE FROM billing.invoice_numbers WHERE number = 1`},
	{"invoice without a number", `DELETE FROM billing.invoice_numbers WHERE number = 1`},
	{"invoice with two numbers", `
		ALTER TABLE billing.invoice_numbers DROP CONSTRAINT invoice_numbers_invoice_id CASCADE, DROP CONSTRAINT invoice_numbers_printed, DROP CONSTRAINT invoice_numbers_position;
		INSERT INTO billing.invoice_numbers SELECT series, number + 1000, printed, account, invoice_id, position, issued_at FROM billing.invoice_numbers LIMIT 1`},
	{"frozen month that isn't its events", `UPDATE export.freezes SET rows = rows + 1`},
	{"frozen month that isn't its events", `DELETE FROM ledger.events WHERE position = (SELECT min(position) FROM ledger.events)`},
	{"event that nobody sent, or that was refused", `UPDATE ledger.events SET event_id = event_id || '!'`},
}

// TestAuditFindsFaults plants each fault in a ledger that is in order.
func TestAuditFindsFaults(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	pgtest.New(t) // lets the roles log in
	db := pgtest.Empty(t)
	p := &program{t: t, dir: room(t), env: []string{"DATABASE_URL=" + db.URL}}
	p.must("migrate", "--zone", "UTC")
	facts := map[string]string{}
	var lines strings.Builder
	for n := range 40 {
		fmt.Fprintf(&lines, `{"id":"e%d","source":"shop","stream":"o%d","seqn":%d,"type":"sold","account":"a%d","occurred_at":"2024-01-%02dT10:00:00Z","currency":"USD","amount":"1.005","payload":{"n":%d}}`+"\n",
			n, n/4, n%4, n%3, n%28+1, n)
		facts[fmt.Sprintf("shop/e%d", n)] = fmt.Sprintf("upstream a%d o%d %d sold %d USD 1.005 -", n%3, n/4, n%4, 1704103200+(n%28)*86400)
	}
	p.must("ingest", p.file("events.ndjson", lines.String()))
	conflicting := strings.Replace(lines.String()[:strings.Index(lines.String(), "\n")+1], "1.005", "2", 1)
	if r := p.run("ingest", p.file("conflict.ndjson", conflicting)); r.code == exitDone {
		t.Fatalf("a conflict: %+v", r)
	}
	p.must("close", "--through", "2024-01-31")
	conn, err := pgx.Connect(ctx, db.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	p.must("sources", "declare", "meter", "--states")
	p.must("ingest", p.file("states.ndjson", `{"id":"s1","source":"meter","stream":"m","seqn":1,"type":"read","account":"a1","occurred_at":"2024-01-01T10:00:00Z","currency":"USD","state":{"amount":"5","quantity":"1"}}
{"id":"s0","source":"meter","stream":"m","seqn":0,"type":"read","account":"a0","occurred_at":"2024-01-01T10:00:00Z","currency":"USD","state":{"amount":"3","quantity":"1"}}
`))
	facts["meter/s0"], facts["meter/s1"] = "upstream a0 m 0 read 1704103200 USD state 3 1", "upstream a1 m 1 read 1704103200 USD state 5 1"
	p.must("close", "--through", "2024-02-29")
	w := holding{facts: facts, states: map[string]string{"meter/m": "a1 5 1"}, closed: true}
	passesAudit(t, conn, w)
	tried := map[string]bool{}
	for _, fault := range plantedFaults {
		tried[fault.finds] = true
		problems := planted(t, conn, fault.statements, w)
		if !slices.ContainsFunc(problems, func(p string) bool { return strings.HasPrefix(p, fault.finds+": ") }) {
			t.Errorf("%q isn't found after %s: %v", fault.finds, fault.statements, problems)
		}
	}
	for _, r := range slices.Concat(auditRules, closedRules) {
		if !tried[r.name] {
			t.Errorf("no fault was planted for %q", r.name)
		}
	}
	w.positions = map[string]int64{"shop/e0": 1 << 40}
	if problems, err := auditLedger(ctx, conn, w); err != nil || len(problems) != 1 || !strings.Contains(problems[0], "shop/e0: at ") {
		t.Errorf("an event at another position than was acknowledged: %v, %v", problems, err)
	}
}

// sqlDisarm takes away every trigger, those of foreign keys too.
const sqlDisarm = `
DO $$
DECLARE t regclass;
BEGIN
    FOR t IN SELECT oid FROM pg_class WHERE relkind IN ('r', 'p') AND relnamespace IN ('ledger'::regnamespace, 'billing'::regnamespace, 'export'::regnamespace)
    LOOP
        EXECUTE format('ALTER TABLE %s DISABLE TRIGGER ALL', t);
    END LOOP;
END $$;`

// planted is what the audit finds after the statements, which are taken back.
func planted(t *testing.T, conn *pgx.Conn, statements string, w holding) []string {
	t.Helper()
	ctx := t.Context()
	tx, err := conn.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := tx.Rollback(ctx); err != nil {
			t.Fatal(err)
		}
	}()
	if _, err := tx.Exec(ctx, sqlDisarm+statements); err != nil {
		t.Fatalf("%s: %v", statements, err)
	}
	problems, err := auditLedger(ctx, tx, w)
	if err != nil {
		t.Fatalf("%s: %v", statements, err)
	}
	return problems
}
