//go:build linux || darwin

package main

import (
	"bytes"
	"strings"
	"syscall"
	"testing"

	"deltaledger/ledger/pg/embedded"
)

// TestTogether runs the same ingest and the same close in several processes at once: each event and each
// invoice is there once (invariants 3 and 6).
func TestTogether(t *testing.T) {
	t.Parallel()
	p := newProgram(t)
	conn := p.connect(embedded.Superuser)
	p.file("events.csv", crashCSV())
	together := func(n int, args ...string) (results []result) {
		ended := make(chan result, n)
		for range n {
			go func() { ended <- p.run(append(args, "--output", "json")...) }()
		}
		for range n {
			r := <-ended
			if r.code != exitDone {
				t.Errorf("%s: %+v", strings.Join(args, " "), r)
				continue
			}
			results = append(results, r)
		}
		return results
	}
	var recorded, duplicate, invoices int64
	for _, r := range together(4, "ingest", "events.csv") {
		var sum summary
		document(t, r.stdout, &sum)
		recorded, duplicate = recorded+sum.Recorded, duplicate+sum.Duplicate
	}
	if recorded != crashEvents || duplicate != 3*crashEvents {
		t.Errorf("%d recorded and %d duplicates of %d events sent four times", recorded, duplicate, crashEvents)
	}
	for _, r := range together(2, "close", "--through", "2025-03-31") {
		var c closeResult
		document(t, r.stdout, &c)
		invoices += c.Invoices
	}
	if invoices != crashInvoices {
		t.Errorf("two closes wrote %d invoices, not %d", invoices, crashInvoices)
	}
	(&crash{t: t, p: p, watch: conn}).check()
}

// TestInterrupt stops an ingest by Ctrl-C: it says that it was stopped, and what was recorded counts.
func TestInterrupt(t *testing.T) {
	t.Parallel()
	p := newProgram(t)
	conn := p.connect(embedded.Superuser)
	cmd := p.command(t.Context(), "ingest", "-", "--format", "ndjson")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for n := range 25_000 { // more than a batch; the input doesn't end
		if _, err := in.Write([]byte(goodLine(n) + "\n")); err != nil {
			t.Fatal(err)
		}
	}
	for one[int64](t, conn, "SELECT count(*) FROM ledger.events") == 0 { // until something is recorded
	}
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // its code tells
	if cmd.ProcessState.ExitCode() != exitFailed || out.Len() > 0 || !strings.Contains(errs.String(), "stopped by a signal") {
		t.Errorf("%v\n%s%s", cmd.ProcessState, out.String(), errs.String())
	}
	var sum summary
	there := one[int64](t, conn, "SELECT count(*) FROM ledger.events")
	var all strings.Builder
	for n := range 25_000 {
		all.WriteString(goodLine(n) + "\n")
	}
	r := p.feed(strings.NewReader(all.String()), "ingest", "-", "--output", "json")
	document(t, r.stdout, &sum)
	if sum.Duplicate != there || sum.Recorded != 25_000-there {
		t.Errorf("%d were there; sent again: %+v", there, sum)
	}
}
