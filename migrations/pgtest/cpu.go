package pgtest

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// CPU is the processor time, of user and system, that this process and the server of db have taken until
// now; of what other tests do at the same time too. The server must be on this machine. Where there is no
// /proc both are 0.
func CPU(t testing.TB, db *DB) (self, server time.Duration) {
	t.Helper()
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		return 0, 0
	}
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		t.Fatalf("pgtest: processor time of this process: %v", err)
	}
	self = time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	var backend int
	if err := db.Super.QueryRow(t.Context(), "SELECT pg_backend_pid()").Scan(&backend); err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	_, postmaster, _ := statOf(strconv.Itoa(backend))
	all, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	for _, dir := range all {
		pid := filepath.Base(dir)
		own, parent, ended := statOf(pid)
		switch postmaster {
		case pid:
			server += own + ended
		case parent:
			server += own
		}
	}
	return self, server
}

// statOf reads /proc/PID/stat: the time of the process, who started it, and the time of the children that
// it has seen end. Of a process that is gone all are empty.
func statOf(pid string) (own time.Duration, parent string, ended time.Duration) {
	raw, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		return 0, "", 0
	}
	_, rest, _ := strings.Cut(string(raw), ") ") // the name, in parentheses, may have spaces
	fields := strings.Fields(rest)
	const tick = 10 * time.Millisecond
	ticks := func(i int) time.Duration {
		n, _ := strconv.ParseInt(fields[i], 10, 64)
		return time.Duration(n) * tick
	}
	return ticks(11) + ticks(12), fields[1], ticks(13) + ticks(14)
}
