//go:build linux || darwin

package main

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"deltaledger/ledger/pg/embedded"
)

// The ledger of the crash tests: each account has the same events in each of three months.
const (
	crashAccounts = 1500
	crashMonths   = 3
	crashEach     = 8 // events of an account in a month
	crashEvents   = crashAccounts * crashMonths * crashEach
	crashInvoices = crashAccounts * crashMonths
)

func crashCSV() string {
	var b bytes.Buffer
	b.WriteString("id,source,stream,seqn,type,account,occurred_at,currency,amount,quantity\n")
	for i := range crashEvents {
		account, month, n := i%crashAccounts, i/crashAccounts%crashMonths, i/crashAccounts/crashMonths
		fmt.Fprintf(&b, "e%d,shop,o%d,%d,sold,account-%04d,2025-%02d-%02dT10:00:00Z,USD,1.005,1\n", i, account, month*crashEach+n, account, month+1, n+1)
	}
	return b.String()
}

// victim is what kill -9 hits.
type victim string

const (
	theProgram  victim = "program"
	thePostgres victim = "postgres"
)

// TestCrashes kills the program, and PostgreSQL, while events are recorded and while cycles are closed. Run
// again, nothing is lost and nothing is there twice (invariants 2, 3 and 6).
func TestCrashes(t *testing.T) {
	t.Parallel()
	for _, v := range []victim{theProgram, thePostgres} {
		t.Run(string(v), func(t *testing.T) {
			t.Parallel()
			c := newCrash(t, v)
			c.p.file("events.csv", crashCSV())
			c.during("SELECT count(*) FROM ledger.events", []int64{1, crashEvents / 3, crashEvents * 2 / 3}, "ingest", "events.csv", "--writers", "2")
			var sum summary
			if c.p.ask(&sum, "ingest", "events.csv"); sum.Recorded+sum.Duplicate != crashEvents {
				t.Errorf("after the crashes: %+v", sum)
			}
			c.during("SELECT count(*) FROM billing.invoices", []int64{1, crashInvoices / 3, crashInvoices * 2 / 3}, "close", "--through", "2025-03-31")
			var r closeResult
			c.p.ask(&r, "close", "--through", "2025-03-31")
			var run struct{ Findings []struct{ Detail string } }
			if c.p.ask(&run, "reconcile"); len(run.Findings) != 0 {
				t.Errorf("findings: %v", run.Findings)
			}
			c.check()
		})
	}
}

// crash is a ledger that is worked on while something is killed.
type crash struct {
	t      *testing.T
	p      *program
	victim victim
	url    string
	watch  *pgx.Conn
}

func newCrash(t *testing.T, v victim) *crash {
	t.Helper()
	c := &crash{t: t, p: newProgram(t), victim: v}
	c.p.must("db", "start")
	c.url = strings.TrimSpace(c.p.must("db", "url"))
	c.connect()
	t.Cleanup(func() { _ = c.watch.Close(context.Background()) })
	return c
}

// connect comes back to a server that is being started again, which can't tell us when it is done.
func (c *crash) connect() {
	c.t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		var err error
		if c.watch, err = pgx.Connect(c.t.Context(), c.url); err == nil {
			return
		}
		if time.Now().After(deadline) {
			c.t.Fatalf("PostgreSQL doesn't come back: %v", err)
		}
	}
}

// during runs a command and kills the victim when the query counts as many rows, once for each count that
// is not there yet. At least one of the kills must hit work under way.
func (c *crash) during(query string, counts []int64, args ...string) {
	c.t.Helper()
	hits := 0
	for _, count := range counts {
		if one[int64](c.t, c.watch, query) < count && c.kill(query, count, args...) {
			hits++
		}
	}
	if hits == 0 {
		c.t.Errorf("%s: no kill hit it under way", args[0])
	}
}

// kill reports whether the command was under way when the victim was killed.
func (c *crash) kill(query string, count int64, args ...string) bool {
	c.t.Helper()
	cmd := c.p.command(context.Background(), args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	done := func() bool {
		select {
		case <-ended:
			return true
		default:
			return false
		}
	}
	var there int64
	for deadline := time.Now().Add(2 * time.Minute); there < count && !done(); time.Sleep(time.Millisecond) {
		if there = one[int64](c.t, c.watch, query); time.Now().After(deadline) {
			c.t.Fatalf("%s makes no progress: %d of %d\n%s", args[0], there, count, out.String())
		}
	}
	pid := cmd.Process.Pid
	if c.victim == thePostgres {
		st, err := embedded.Status(c.p.args[1])
		if err != nil {
			c.t.Fatal(err)
		}
		pid = st.Postgres
	}
	hit := !done()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && hit && !done() {
		c.t.Fatal(err)
	}
	<-ended
	if c.victim == thePostgres {
		_ = c.watch.Close(context.Background())
		c.connect()
		if hit && cmd.ProcessState.ExitCode() != exitFailed && cmd.ProcessState.ExitCode() != exitDone {
			c.t.Errorf("%s ended with %v: %s", args[0], cmd.ProcessState, out.String())
		}
	}
	if now := one[int64](c.t, c.watch, query); now < there {
		c.t.Errorf("%d of %d rows that could be seen are gone", there-now, there)
	}
	return hit
}

// check holds everything against what was sent.
func (c *crash) check() {
	c.t.Helper()
	for _, k := range []struct {
		what, query string
		want        int64
	}{
		{"events", "SELECT count(*) FROM ledger.events", crashEvents},
		{"different events", "SELECT count(DISTINCT event_id) FROM ledger.events", crashEvents},
		{"identities", "SELECT count(*) FROM ledger.event_keys", crashEvents},
		{"live pins", "SELECT count(*) FROM billing.pins_v1 WHERE live", crashEvents},
		{"pinned events", "SELECT count(DISTINCT position) FROM billing.pins_v1", crashEvents},
		{"invoices", "SELECT count(*) FROM billing.invoices", crashInvoices},
		{"thousandths on lines", "SELECT (sum(exact) * 1000)::bigint FROM billing.invoice_lines", crashEvents * 1005},
	} {
		if got := one[int64](c.t, c.watch, k.query); got != k.want {
			c.t.Errorf("%s: %d, want %d", k.what, got, k.want)
		}
	}
	numbersHaveNoGaps(c.t, c.watch)
}
