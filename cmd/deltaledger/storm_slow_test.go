//go:build linux || darwin

package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// slowMemory is how much memory the service may take while everything waits for the disk.
const slowMemory = 600 << 20

// TestStormSlowDisk makes every write of PostgreSQL's log to the disk take 100 ms longer, and then lets the
// disk hang altogether, with hundreds of clients that wait. The first is commit_delay, which PostgreSQL waits
// just before it syncs the log, while it holds the lock under which the log is written: to those that commit
// it is a disk whose fsync takes as long. For the second every process of PostgreSQL is stopped.
func TestStormSlowDisk(t *testing.T) {
	t.Parallel()
	p := privateLedger(t)
	s := newStorm(t, p, stormSeed(t), "")
	s.begin()
	slow := fault{"commits take 100 ms longer", func(*rand.Rand) {
		s.commitDelay(100 * time.Millisecond)
		defer s.commitDelay(0)
		s.flood(200, 3*time.Second)
		if !s.acknowledgedWithin(10 * time.Second) {
			t.Error("nothing is recorded while the disk is slow")
		}
		s.keeper.await(http.StatusOK, 10*time.Second)
		s.boundsMemory()
	}}
	hangs := fault{"the disk hangs", func(*rand.Rand) {
		goOn := hang(t, postmaster(t, p))
		defer goOn()
		s.flood(200, 3*time.Second)
		s.keeper.await(http.StatusServiceUnavailable, 30*time.Second)
		s.boundsMemory()
		goOn()
		s.recovers("the disk went on")
	}}
	s.during(stormTime(t, 4*time.Second), time.Second, slow, hangs)
	s.end()
}

// commitDelay makes commits slower, or as they were.
func (s *storm) commitDelay(d time.Duration) {
	s.t.Helper()
	for _, statement := range []string{
		fmt.Sprintf("ALTER SYSTEM SET commit_delay = %d", d.Microseconds()),
		"ALTER SYSTEM SET commit_siblings = 0", // also where nobody else commits
		"SELECT pg_reload_conf()",
	} {
		if _, err := s.direct().Exec(s.t.Context(), statement); err != nil {
			s.t.Errorf("%s: %v", statement, err)
		}
	}
}

// hang stops every process of PostgreSQL until goOn is called.
func hang(t *testing.T, postmaster int) (goOn func()) {
	t.Helper()
	if postmaster <= 0 {
		return func() {}
	}
	stopped := append([]int{postmaster}, children(t, postmaster)...)
	for _, pid := range stopped {
		if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil && !errors.Is(err, syscall.ESRCH) {
			t.Error(err)
		}
	}
	var once sync.Once
	goOn = func() {
		once.Do(func() {
			for _, pid := range stopped {
				if err := syscall.Kill(pid, syscall.SIGCONT); err != nil && !errors.Is(err, syscall.ESRCH) {
					t.Error(err)
				}
			}
		})
	}
	t.Cleanup(goOn)
	return goOn
}

// flood lets many more clients send one event each, again and again until each is acknowledged, and returns
// after d although they may still wait. They are writers like the others.
func (s *storm) flood(clients int, d time.Duration) {
	end := time.Now().Add(d)
	s.floods++
	for n := range clients {
		w := &writer{storm: s, n: 1000*s.floods + n, random: s.random(1000*s.floods + n)}
		s.writing.Go(func() {
			for time.Now().Before(end) {
				e := w.event()
				r := request{what: "flood", path: "/v1/events", body: e.json(), media: "application/json", events: []stormEvent{e}, single: true}
				s.model.send(r.events)
				s.until(r, w.random)
			}
		})
	}
	time.Sleep(d)
}

// boundsMemory holds the memory of the service against its bound.
func (s *storm) boundsMemory() {
	s.t.Helper()
	out, err := exec.Command("ps", "-o", "rss=", "-p", strconv.Itoa(s.keeper.process().Process.Pid)).Output()
	if err != nil {
		s.t.Errorf("the memory of the service: %v", err)
		return
	}
	kib, err := strconv.Atoi(strings.TrimSpace(string(out)))
	if err != nil {
		s.t.Error(err)
	}
	s.t.Logf("the service takes %d MiB", kib>>10)
	if kib<<10 > slowMemory {
		s.t.Errorf("the service takes %d MiB while everything waits, more than %d", kib>>10, slowMemory>>20)
	}
}
