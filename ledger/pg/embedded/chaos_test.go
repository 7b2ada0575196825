//go:build linux || darwin

package embedded_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"deltaledger/ledger/pg/embedded"
)

// How often the chaos test kills: processes of servers that are in use, and of servers
// that are being made for the first time.
const (
	killsInUse   = 76
	killsAtStart = 24
)

// TestNoAcknowledgedRowIsLost kills commands, supervisors, servers and initdb with
// SIGKILL at random moments. Afterwards every row that was acknowledged is there, once
// (invariant 2), and every directory could be started every time.
func TestNoAcknowledgedRowIsLost(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	tally := &tally{kills: map[string]int{}}
	t.Run("all", func(t *testing.T) {
		for i := range uint64(2) {
			t.Run(fmt.Sprint("in use ", i), func(t *testing.T) {
				t.Parallel()
				killInUse(t, rand.New(rand.NewPCG(seed, i)), tally, killsInUse/2)
			})
			t.Run(fmt.Sprint("at the first start ", i), func(t *testing.T) {
				t.Parallel()
				killAtStart(t, rand.New(rand.NewPCG(seed, 9+i)), tally, killsAtStart/2)
			})
		}
	})
	t.Logf("killed %v; %d rows acknowledged", tally.kills, tally.rows)
	for _, kind := range []string{"command", "supervisor", "postgres", "initdb"} {
		if tally.kills[kind] == 0 {
			t.Errorf("no %s was killed", kind)
		}
	}
}

// tally counts over the whole test.
type tally struct {
	mu    sync.Mutex
	kills map[string]int
	rows  int
}

func (c *tally) killed(kind string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.kills[kind]++
}

func (c *tally) acknowledged(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rows += n
}

// killInUse kills one of two commands, their supervisor or their server, again and
// again, sometimes before it has recovered from the last time.
func killInUse(t *testing.T, random *rand.Rand, tally *tally, kills int) {
	dir := filepath.Join(room(t), "x")
	acks := &ledger{}
	workers := []*worker{startWorker(t, dir), startWorker(t, dir)}
	for _, w := range workers {
		acks.take(w.wait(t, "ack"))
	}
	for killed := 0; killed < kills; {
		i := random.IntN(len(workers))
		if random.IntN(3) > 0 { // mostly in full swing, sometimes while it starts
			acks.take(workers[i].wait(t, "ack"))
		}
		time.Sleep(time.Duration(random.IntN(60)) * time.Millisecond)
		kind := []string{"command", "supervisor", "postgres", "postgres"}[random.IntN(4)]
		if kind == "command" {
			workers[i].kill()
			acks.drain(workers[i])
			workers[i] = startWorker(t, dir)
		} else if !strike(t, dir, kind, random) {
			continue // it isn't there just now
		}
		killed++
		tally.killed(kind)
	}
	for i, w := range workers { // they all came back
		acks.drainNow(w)
		acks.take(w.wait(t, "ack"))
		w.kill()
		acks.drain(workers[i])
	}
	tally.acknowledged(acks.check(t, dir))
}

// killAtStart kills whatever there is of a server that is being made.
func killAtStart(t *testing.T, random *rand.Rand, tally *tally, kills int) {
	base := room(t)
	for killed := 0; killed < kills; {
		dir := filepath.Join(base, fmt.Sprint("first", killed))
		acks := &ledger{}
		w := startWorker(t, dir)
		for range 1 + random.IntN(3) { // up to three blows to the same start
			time.Sleep(time.Duration(random.IntN(500)) * time.Millisecond)
			kind := []string{"initdb", "initdb", "supervisor", "postgres", "command"}[random.IntN(5)]
			if kind == "command" {
				w.kill()
				acks.drain(w)
				w = startWorker(t, dir)
			} else if !strike(t, dir, kind, random) {
				continue
			}
			killed++
			tally.killed(kind)
		}
		w.kill()
		acks.drain(w)
		tally.acknowledged(acks.check(t, dir))
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	}
}

// strike kills a process of dir's server, and reports whether there was one.
func strike(t *testing.T, dir, kind string, random *rand.Rand) bool {
	t.Helper()
	var victims []int
	for _, p := range processes(t, dir) {
		program, _, _ := strings.Cut(p.command, " ")
		program = filepath.Base(program)
		if kind == "supervisor" && program == "deltaledger-postgres-supervisor" || kind == program {
			victims = append(victims, p.pid)
		}
	}
	if len(victims) == 0 {
		return false
	}
	err := syscall.Kill(victims[random.IntN(len(victims))], syscall.SIGKILL)
	if errors.Is(err, syscall.ESRCH) {
		return false
	}
	if err != nil {
		t.Fatal(err)
	}
	return true
}

// ledger is what was acknowledged: "worker n".
type ledger struct{ rows []string }

func (l *ledger) take(row string) { l.rows = append(l.rows, row) }

func (l *ledger) line(s string) {
	if row, ok := strings.CutPrefix(s, "ack "); ok {
		l.take(row)
	}
}

// drain reads to the end what a killed worker said.
func (l *ledger) drain(w *worker) {
	for s := range w.lines {
		l.line(s)
	}
}

// drainNow reads what a living worker has said up to now.
func (l *ledger) drainNow(w *worker) {
	for range len(w.lines) {
		l.line(<-w.lines)
	}
}

// check compares the table with what was acknowledged, and returns how much that was.
func (l *ledger) check(t *testing.T, dir string) int {
	t.Helper()
	s := acquire(t, embedded.Options{Dir: dir, Settings: small})
	conn, err := pgx.Connect(t.Context(), s.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Exec(t.Context(), sqlRows); err != nil {
		t.Fatal(err)
	}
	rows, err := conn.Query(t.Context(), `SELECT worker || ' ' || n FROM rows`)
	if err != nil {
		t.Fatal(err)
	}
	there, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close(t.Context())
	times := map[string]int{}
	for _, row := range there {
		if times[row]++; times[row] > 1 {
			t.Errorf("row %s is there %d times", row, times[row])
		}
	}
	lost := 0
	for _, row := range l.rows {
		if times[row] == 0 {
			lost++
		}
	}
	if lost > 0 {
		t.Errorf("%d of %d acknowledged rows are lost", lost, len(l.rows))
		b, _ := os.ReadFile(filepath.Join(dir, "server.log"))
		t.Logf("%s", b)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := embedded.Release(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	return len(l.rows)
}
