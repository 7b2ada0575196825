//go:build linux || darwin

package main

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"
	"time"

	"deltaledger/ledger/imports"
	"deltaledger/ledger/pg/embedded"
)

// importSize is how much TestImportersAreKilled drops: "1000x1000" in DELTALEDGER_TEST_IMPORT_SIZE is a thousand files of as
// many events.
func importSize(t *testing.T) (files, events int) {
	t.Helper()
	text := os.Getenv("DELTALEDGER_TEST_IMPORT_SIZE")
	if text == "" {
		return 120, 200
	}
	if _, err := fmt.Sscanf(text, "%dx%d", &files, &events); err != nil {
		t.Fatalf("DELTALEDGER_TEST_IMPORT_SIZE is %q, but must be such as 1000x1000: %v", text, err)
	}
	return files, events
}

// importers are processes that share a directory; one that was killed is started again.
type importers struct {
	t      *testing.T
	p      *program
	cmds   [3]*exec.Cmd
	stderr [3]*bytes.Buffer
}

func (m *importers) start(k int) {
	m.t.Helper()
	m.stderr[k] = &bytes.Buffer{}
	cmd := m.p.command(context.Background(), "import", "drop", "--watch", "--rules", "rules.yaml", "--every", "200ms", "--lease", "1s")
	cmd.Stderr = m.stderr[k]
	if err := cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	m.cmds[k] = cmd
}

// end ends one, and waits for it.
func (m *importers) end(k int, signal os.Signal) {
	m.t.Helper()
	if err := m.cmds[k].Process.Signal(signal); err != nil {
		m.t.Fatalf("importer %d ended by itself: %v\n%s", k, err, m.stderr[k])
	}
	tooLong := time.AfterFunc(stopTime, func() { _ = m.cmds[k].Process.Signal(syscall.SIGQUIT) }) // it says what it was at
	err := m.cmds[k].Wait()
	if !tooLong.Stop() {
		m.t.Errorf("importer %d doesn't end: %v\n%s", k, err, m.stderr[k])
	}
}

// stopTime is how long an importer may take to stop.
const stopTime = time.Minute

// TestImportersAreKilled drops files while three importers read them and one after the other is killed: each event is
// recorded once, by the count of the one file that held it, and each file is reported once.
func TestImportersAreKilled(t *testing.T) {
	t.Parallel()
	files, events := importSize(t)
	p := newProgram(t)
	d := newDrop(t, p)
	p.file("rules.yaml", "prefixes:\n- prefix: \"\"\n  ready: at-once\n")
	watch := p.connect(embedded.App)
	settled := func() int64 {
		return one[int64](t, watch, `SELECT COALESCE(sum(resume), 0)::bigint FROM ledger.import_files`)
	}
	m := &importers{t: t, p: p}
	for k := range m.cmds {
		m.start(k)
	}
	dropped := make(chan error, 1)
	go func() {
		for k := range files {
			if err := d.rename(fmt.Sprintf("f%04d.ndjson", k), saleLines(k*events, events)); err != nil {
				dropped <- err
				return
			}
		}
		dropped <- nil
	}()
	defer func() {
		if err := <-dropped; err != nil {
			t.Error(err)
		}
	}()
	total := int64(files) * int64(events)
	kills, rng := 0, rand.New(rand.NewPCG(1, 2))
	// Killed by what was recorded, not by the clock: on a slow machine as often as on a fast one.
	for next := total / 12; ; next += total / 12 {
		for settled() < min(next, total) {
			time.Sleep(10 * time.Millisecond) // the register can't tell us when it changes
		}
		if next >= total {
			break
		}
		k := rng.IntN(len(m.cmds))
		m.end(k, os.Kill)
		kills++
		m.start(k)
	}
	for one[int64](t, watch, `SELECT count(*) FROM ledger.import_files WHERE state = 'done'`) < int64(files) {
		time.Sleep(10 * time.Millisecond)
	}
	took := one[time.Duration](t, watch, `SELECT max(ended_at) - min(found_at) FROM ledger.import_files`)
	for k := range m.cmds {
		m.end(k, os.Interrupt)
	}
	t.Logf("%d files of %d events in %v, %d kills; %s of the files were taken up more than once", files, events, took, kills,
		strconv.FormatInt(one[int64](t, watch, `SELECT count(*) FROM ledger.import_files WHERE attempt > 1`), 10))
	if n := one[int64](t, watch, `SELECT count(*) FROM ledger.events`); n != total {
		t.Errorf("%d events are recorded, want %d", n, total)
	}
	if n := one[int64](t, watch, `SELECT count(DISTINCT name) FROM ledger.import_files`); n != int64(files) {
		t.Errorf("%d names are registered, want %d", n, files)
	}
	if n := one[int64](t, watch, `SELECT count(*) FROM ledger.import_files
		WHERE state = $1 AND version = 1 AND pass = 1 AND recorded = $2 AND duplicate = 0 AND conflict = 0 AND invalid = 0`, imports.Done, int64(events)); n != int64(files) {
		t.Errorf("%d files are done with all of their events recorded, want %d", n, files)
	}
	for _, f := range d.files("--state", "queued,running,failed,changed,gone,same") {
		t.Errorf("%+v", f)
	}
}
