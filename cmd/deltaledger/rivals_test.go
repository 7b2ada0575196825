//go:build linux || darwin

package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"deltaledger/ledger/pg/embedded"
)

// rivals is how many processes close the same accounts at once.
const rivals = 3

// TestRivalCloses has three processes close the same accounts at once, month after month, and kills one of them each time, after
// any number of invoices. What is billed is what one process alone bills: every event once, the same invoices, numbers without
// gaps (invariants 2, 6 and 7).
func TestRivalCloses(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 1))
	p := newProgram(t)
	conn := p.connect(embedded.Superuser)
	p.file("events.csv", crashCSV())
	p.must("ingest", "events.csv")
	hits := 0
	for month := range crashMonths {
		killAt := int64(month*crashAccounts + 1 + random.IntN(crashAccounts*3/4))
		if rivalMonth(t, p, conn, fmt.Sprintf("2025-%02d-%d", month+1, []int{31, 28, 31}[month]), killAt, random.IntN(rivals)) {
			hits++
		}
	}
	if hits == 0 {
		t.Error("no kill hit a close under way")
	}
	(&crash{t: t, p: p, watch: conn}).check()

	alone := newProgram(t)
	other := alone.connect(embedded.Superuser)
	alone.file("events.csv", crashCSV())
	alone.must("ingest", "events.csv")
	for month := range crashMonths {
		alone.must("close", "--through", fmt.Sprintf("2025-%02d-%d", month+1, []int{31, 28, 31}[month]))
	}
	if got, want := one[string](t, conn, sqlBilledAtAll), one[string](t, other, sqlBilledAtAll); got != want {
		t.Errorf("three processes bill other invoices than one: %s, not %s", got, want)
	}
	var run struct{ Findings []struct{ Detail string } }
	if p.ask(&run, "reconcile"); len(run.Findings) != 0 {
		t.Errorf("findings: %v", run.Findings)
	}
}

// All that is billed, as one text, without what differs from ledger to ledger: ids, positions and numbers.
const sqlBilledAtAll = `
SELECT count(*) || ' ' || md5(string_agg(b.bill, '' ORDER BY b.bill))
FROM (
    SELECT concat_ws(' ', i.account, i.cycle_start, i.cycle_end, i.currency, i.total, i.events,
                     (SELECT string_agg(concat_ws(' ', l.line, l.charge, l.origin_start, l.late, l.events, l.added, l.exact, l.amount), ';' ORDER BY l.line)
                      FROM billing.invoice_lines l WHERE l.account = i.account AND l.invoice_id = i.id),
                     (SELECT string_agg(e.event_id, ',' ORDER BY e.event_id)
                      FROM billing.pins p JOIN ledger.events e ON e.position = p.position AND e.recorded_at = p.recorded_at
                      WHERE p.account = i.account AND p.invoice_id = i.id)) AS bill
    FROM billing.invoices i
) b`

// rivalMonth has several processes close through a date at once, and kills one of them as soon as there are so many invoices. It
// reports whether that was under way then. The others must come to their end.
func rivalMonth(t *testing.T, p *program, conn *pgx.Conn, through string, killAt int64, victim int) (hit bool) {
	t.Helper()
	commands, outputs := make([]*exec.Cmd, rivals), make([]bytes.Buffer, rivals)
	ended := make(chan int, rivals)
	for i := range commands {
		commands[i] = p.command(context.Background(), "close", "--through", through, "--output", "json")
		commands[i].Stdout, commands[i].Stderr = &outputs[i], &outputs[i]
		if err := commands[i].Start(); err != nil {
			t.Fatal(err)
		}
		go func() { _ = commands[i].Wait(); ended <- i }()
	}
	over := map[int]bool{}
	for len(over) < rivals {
		select {
		case i := <-ended:
			over[i] = true
			continue
		default:
		}
		if !hit && !over[victim] && one[int64](t, conn, "SELECT count(*) FROM billing.invoices") >= killAt {
			hit = true
			kill(t, commands[victim].Process.Pid)
		}
	}
	for i, cmd := range commands {
		if (i != victim || !hit) && cmd.ProcessState.ExitCode() != exitDone {
			t.Errorf("close through %s: %v\n%s", through, cmd.ProcessState, outputs[i].String())
		}
	}
	return hit && commands[victim].ProcessState.ExitCode() != exitDone
}
