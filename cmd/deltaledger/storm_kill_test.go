//go:build linux || darwin

package main

import (
	"errors"
	"math/rand/v2"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"deltaledger/ledger/pg/embedded"
)

// TestStormKillsService kills the service, which is started again, while it is used.
func TestStormKillsService(t *testing.T) {
	t.Parallel()
	s := newStorm(t, privateLedger(t), stormSeed(t), "")
	s.begin()
	s.during(stormTime(t, 6*time.Second), 800*time.Millisecond, fault{"kill -9 of the service", func(*rand.Rand) { s.keeper.kill() }})
	s.end()
}

// TestStormKillsPostgres kills PostgreSQL, its postmaster or one of its other processes, while the service
// is used.
func TestStormKillsPostgres(t *testing.T) {
	t.Parallel()
	p := privateLedger(t)
	s := newStorm(t, p, stormSeed(t), "")
	s.begin()
	s.during(stormTime(t, 8*time.Second), 2500*time.Millisecond,
		fault{"kill -9 of the postmaster", func(*rand.Rand) { kill(t, postmaster(t, p)) }},
		fault{"kill -9 of a process of PostgreSQL", func(random *rand.Rand) {
			if all := children(t, postmaster(t, p)); len(all) > 0 {
				kill(t, all[random.IntN(len(all))])
			}
		}},
		fault{"kill -9 of both", func(*rand.Rand) { s.keeper.kill(); kill(t, postmaster(t, p)) }})
	s.end()
}

// postmaster is the process id of the private server, which may just be starting again.
func postmaster(t *testing.T, p *program) int {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		st, err := embedded.Status(p.args[1])
		if err == nil {
			return st.Postgres
		}
		if time.Now().After(deadline) {
			t.Errorf("PostgreSQL doesn't come back: %v", err)
			return 0
		}
	}
}

// children are the processes that a process started.
func children(t *testing.T, parent int) (all []int) {
	t.Helper()
	out, err := exec.Command("ps", "-A", "-o", "pid=,ppid=").Output()
	if err != nil {
		t.Error(err)
	}
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		if len(fields) == 2 && fields[1] == strconv.Itoa(parent) {
			pid, err := strconv.Atoi(fields[0])
			if err != nil {
				t.Error(err)
			}
			all = append(all, pid)
		}
	}
	return all
}

// kill ends a process, which may have ended by itself.
func kill(t testing.TB, pid int) {
	t.Helper()
	if pid <= 0 {
		return
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		t.Error(err)
	}
}
