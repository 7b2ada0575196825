//go:build linux || darwin

package main

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"deltaledger/ledger/pg/embedded"
)

// The locks at which a command stands still while the test holds them: that of the invoice's account, before anything is
// written, and that of the issuer of numbers, when the document is there and its number isn't.
const (
	lockOfAccount = "hashtextextended('acme', 17484)"
	lockOfIssuer  = "17484, 4"
)

// afterStep is something that is done to an invoice after it was issued.
type afterStep struct {
	name  string
	args  []string
	rows  string // counts what it writes
	twice bool   // the same again has the same answer, and isn't refused
	issue bool   // it makes a document, which gets a number
}

func afterSteps() []afterStep {
	return []afterStep{
		{"payment", []string{"invoices", "pay", "INV-000001", "--reference", "bank-1", "--amount", "10"}, "SELECT count(*) FROM billing.payments", true, false},
		{"credit note", []string{"invoices", "credit", "INV-000001", "--line", "1=5", "--reason", "broken", "--reference", "case-1"}, "SELECT count(*) FROM billing.credit_notes", true, true},
		{"cancellation", []string{"credit-notes", "cancel", "CN-000001", "--reason", "wrong"}, "SELECT count(*) FROM billing.credit_notes", true, true},
		{"second credit note", []string{"invoices", "credit", "INV-000001", "--reason", "all of it", "--reference", "case-2"}, "SELECT count(*) FROM billing.credit_notes", true, true},
		{"second cancellation", []string{"credit-notes", "cancel", "CN-000003", "--reason", "wrong"}, "SELECT count(*) FROM billing.credit_notes", true, true},
		{"void and rebill", []string{"invoices", "void", "INV-000002", "--outcome", "rebill", "--why", "wrong address"}, "SELECT count(*) FROM billing.invoices", false, true},
	}
}

// TestKillsAfterTheInvoice kills the program while it waits for a lock: at the account's nothing has happened, and at the issuer's
// the document counts without its number. Run again it happens once, whoever issues next gives the number, and no number is lost.
func TestKillsAfterTheInvoice(t *testing.T) {
	t.Parallel()
	p := newProgram(t)
	conn := p.connect(embedded.Superuser)
	p.file("events.csv", "id,source,stream,seqn,type,account,occurred_at,currency,amount\n"+
		"1,shop,o1,1,sold,acme,2025-01-10T10:00:00Z,USD,100\n2,shop,o1,2,sold,acme,2025-02-10T10:00:00Z,USD,50\n")
	p.must("ingest", "events.csv")
	p.must("close", "--through", "2025-01-31")
	p.must("close", "--through", "2025-02-28")
	for _, step := range afterSteps() {
		before := one[int64](t, conn, step.rows)
		p.killAt(conn, lockOfAccount, step.args...)
		if n := one[int64](t, conn, step.rows); n != before {
			t.Errorf("%s: killed before it could begin, and there are %d rows of %d", step.name, n, before)
		}
		if step.issue {
			p.killAt(conn, lockOfIssuer, step.args...)
			if n := one[int64](t, conn, step.rows); n != before+1 {
				t.Errorf("%s: killed before the number was given, and there are %d rows of %d", step.name, n, before+1)
			}
			if n := one[int64](t, conn, sqlWithoutNumber); n != 1 {
				t.Errorf("%s: %d documents have no number", step.name, n)
			}
		}
		want := exitDone
		if step.issue && !step.twice {
			want = exitFailed // it is void already
			p.must("close", "--through", "2025-02-28")
		}
		if r := p.run(step.args...); r.code != want {
			t.Errorf("%s again: %+v", step.name, r)
		}
		if n := one[int64](t, conn, step.rows); n != before+1 {
			t.Errorf("%s: there are %d rows, want %d", step.name, n, before+1)
		}
		if n := one[int64](t, conn, sqlWithoutNumber); n != 0 {
			t.Errorf("%s: %d documents have no number in the end", step.name, n)
		}
	}
	for kind, query := range map[string]string{
		"invoices": "SELECT count(*) || ' ' || max(number) FROM billing.invoice_numbers", "credit notes": "SELECT count(*) || ' ' || max(number) FROM billing.credit_note_numbers",
	} {
		if got, want := one[string](t, conn, query), map[string]string{"invoices": "3 3", "credit notes": "4 4"}[kind]; got != want {
			t.Errorf("numbers of %s: %s, want %s", kind, got, want)
		}
	}
	var v struct{ Status, Credited, Paid, Open string }
	if p.into(&v, "invoices", "show", "INV-000001"); v.Status != "part-paid" || v.Credited != "0.00" || v.Paid != "10.00" || v.Open != "90.00" {
		t.Errorf("the invoice: %+v", v)
	}
	var run struct{ Findings []struct{ Detail string } }
	if p.ask(&run, "reconcile"); len(run.Findings) != 0 {
		t.Errorf("findings: %v", run.Findings)
	}
}

const sqlWithoutNumber = `
SELECT (SELECT count(*) FROM billing.invoices i
        WHERE NOT EXISTS (SELECT FROM billing.invoice_numbers n WHERE n.account = i.account AND n.invoice_id = i.id))
     + (SELECT count(*) FROM billing.credit_notes c
        WHERE NOT EXISTS (SELECT FROM billing.credit_note_numbers n WHERE n.account = c.account AND n.credit_note_id = c.id))`

// killAt runs a command while the advisory lock is held, and kills it when it waits there.
func (p *program) killAt(conn *pgx.Conn, lock string, args ...string) {
	p.t.Helper()
	p.killWhile(conn, fmt.Sprintf("SELECT pg_advisory_lock(%s)", lock), fmt.Sprintf("SELECT pg_advisory_unlock(%s)", lock), "advisory", args...)
}

// killAtTable runs a command while nobody can write to the table, and kills it when it waits there.
func (p *program) killAtTable(conn *pgx.Conn, table string, args ...string) {
	p.t.Helper()
	p.killWhile(conn, fmt.Sprintf("BEGIN; LOCK TABLE %s IN SHARE MODE", table), "COMMIT", "relation", args...)
}

// killWhile runs a command while something is held, kills it when it waits for a lock of that kind, lets go, and returns when the
// command's session in the database has ended, so that nothing of it goes on.
func (p *program) killWhile(conn *pgx.Conn, hold, release, kind string, args ...string) {
	p.t.Helper()
	ctx := context.Background()
	if _, err := conn.Exec(ctx, hold); err != nil {
		p.t.Fatal(err)
	}
	cmd := p.command(ctx, args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	const waiting = "SELECT COALESCE(max(l.pid), 0) FROM pg_locks l WHERE l.locktype = $1 AND NOT l.granted AND l.pid <> pg_backend_pid()"
	var session int64
	for deadline := time.Now().Add(2 * time.Minute); session == 0; time.Sleep(time.Millisecond) {
		select {
		case <-ended:
			p.t.Fatalf("%v ended before it came to the lock: %s", args, out.String())
		default:
		}
		if session = one[int64](p.t, conn, waiting, kind); time.Now().After(deadline) {
			p.t.Fatalf("%v doesn't come to the lock", args)
		}
	}
	kill(p.t, cmd.Process.Pid)
	<-ended
	if _, err := conn.Exec(ctx, release); err != nil {
		p.t.Fatal(err)
	}
	for deadline := time.Now().Add(2 * time.Minute); one[bool](p.t, conn, "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $1)", session); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			p.t.Fatalf("the session of %v doesn't end", args)
		}
	}
}
