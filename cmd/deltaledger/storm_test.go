//go:build linux || darwin

package main

import (
	"context"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"deltaledger/ledger/pg/embedded"
)

// The storms last as long as these say; without them a few seconds, which every run of the tests can spare.
const (
	stormEnv     = "DELTALEDGER_CHAOS"      // how long each storm lasts, as in 10m
	stormSeedEnv = "DELTALEDGER_CHAOS_SEED" // makes the same random choices again
)

// stormTime is how long a storm lasts that takes at least short.
func stormTime(t *testing.T, short time.Duration) time.Duration {
	t.Helper()
	text := os.Getenv(stormEnv)
	if text == "" {
		return short
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("%s: %v", stormEnv, err)
	}
	return max(d, short)
}

// stormSeed is the seed of all random choices; it is printed, so that they can be made again.
func stormSeed(t *testing.T) uint64 {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv(stormSeedEnv); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("%s: %v", stormSeedEnv, err)
		}
	}
	t.Logf("seed: %s=%d", stormSeedEnv, seed)
	return seed
}

const (
	stormWriters = 16
	stormStates  = "meter" // the source that sends states
)

// storm is a service under load while something fails: 16 writers that send again what they got no answer
// for, readers whose answers must never change, closes and reconciliations. In the end everything that was
// sent is acknowledged, and the ledger holds exactly that.
type storm struct {
	t      *testing.T
	seed   uint64
	p      *program
	keeper *keeper
	base   func() string // the address that clients go to
	client *http.Client
	model  *model
	seen   *answers

	watch   *pgx.Conn   // past all proxies; see direct
	calm    atomic.Bool // nothing fails any more: every request must get through soon
	began   time.Time
	floods  int
	writing sync.WaitGroup
	other   sync.WaitGroup
	stop    context.CancelFunc // writers begin nothing new
}

// newStorm makes a ledger on a private server and a service on it. serveOn is the database that the service
// is given, "" for the private server of the data directory.
func newStorm(t *testing.T, p *program, seed uint64, serveOn string, args ...string) *storm {
	t.Helper()
	s := &storm{t: t, seed: seed, p: p, model: newModel(), seen: &answers{}}
	s.keeper = keep(t, p, serveOn, args...)
	s.base = s.keeper.address
	s.client = &http.Client{
		Timeout:   10 * time.Second,
		Transport: &http.Transport{MaxIdleConnsPerHost: 300, DisableCompression: true},
	}
	t.Cleanup(s.client.CloseIdleConnections)
	return s
}

// privateLedger is the program on a new private server that stays up.
func privateLedger(t *testing.T) *program {
	t.Helper()
	p := newProgram(t)
	p.must("migrate", "--zone", "UTC", "--freeze-grace", "0s")
	p.must("sources", "declare", stormStates, "--states")
	p.must("db", "start")
	return p
}

// begin starts the load.
func (s *storm) begin() {
	s.began = time.Now()
	ctx, cancel := context.WithCancel(context.Background())
	s.stop = cancel
	for n := range stormWriters {
		w := &writer{storm: s, n: n, random: s.random(n)}
		s.writing.Go(func() { w.run(ctx) })
	}
	for n := range 2 {
		s.other.Go(func() { s.read(ctx, s.random(100+n)) })
	}
	s.other.Go(func() { s.bill(ctx, s.random(200)) })
}

// random is a source of random choices of its own for each who chooses.
func (s *storm) random(n int) *rand.Rand { return rand.New(rand.NewPCG(s.seed, uint64(n))) }

// during lets faults happen, each chosen at random after a random pause, for as long as d and at least once
// each. Between two of them something is acknowledged: on a slow machine faults that come too fast would keep the service
// from ever working.
func (s *storm) during(d time.Duration, pause time.Duration, faults ...fault) {
	s.t.Helper()
	random := s.random(300)
	var happened []string
	for n := 0; n < len(faults) || time.Since(s.began) < d; n++ {
		f := faults[random.IntN(len(faults))]
		if n < len(faults) {
			f = faults[n]
		}
		time.Sleep(time.Duration(random.Int64N(int64(pause))) + pause/4)
		s.works()
		f.do(random)
		happened = append(happened, f.name)
	}
	counts := map[string]int{}
	for _, name := range happened {
		counts[name]++
	}
	s.t.Logf("faults: %v", counts)
}

// works returns once something more was acknowledged, and asked again, or after a minute; then the end says what is
// missing.
func (s *storm) works() {
	count := func() (acknowledged, compared int) {
		s.model.mu.Lock()
		defer s.model.mu.Unlock()
		s.seen.mu.Lock()
		defer s.seen.mu.Unlock()
		return s.model.statuses["200"] + s.model.statuses["201"], s.seen.compared
	}
	acknowledged, compared := count()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if a, c := count(); a > acknowledged && c > compared {
			return
		}
	}
}

// direct is a connection to PostgreSQL that nothing stands in the way of. One user at a time.
func (s *storm) direct() *pgx.Conn {
	s.t.Helper()
	if s.watch == nil {
		s.watch = s.p.connect(embedded.Superuser)
	}
	return s.watch
}

// fault is something that fails.
type fault struct {
	name string
	do   func(*rand.Rand)
}

// end stops the load, closes everything and audits the ledger.
func (s *storm) end() {
	t := s.t
	t.Helper()
	s.calm.Store(true)
	s.stop()
	s.writing.Wait() // what was begun is sent until it is acknowledged
	s.other.Wait()
	if t.Failed() {
		s.keeper.show()
	}
	s.closeThrough(context.Background(), stormEnd)
	s.reconcile(context.Background())
	s.closeThrough(context.Background(), stormEnd)
	s.pull(context.Background())
	s.lookAtSeals(context.Background())
	s.seen.check(s)
	s.keeper.stop()
	s.verify()
	s.reconciles()
	conn := s.p.connect(embedded.Superuser)
	passesAudit(t, conn, s.model.holding())
	s.countConflicts(conn)
	s.model.mu.Lock()
	defer s.model.mu.Unlock()
	t.Logf("%d events in %v, %d answered as recorded, %d conflicts, %d answers that were read again, %d pulls of %d files",
		len(s.model.facts), time.Since(s.began).Round(time.Second), len(s.model.recorded), len(s.model.conflicts), s.seen.compared, s.seen.pulls, len(s.seen.files))
	t.Logf("answers: %v", s.model.statuses)
	if len(s.model.facts) == 0 || s.seen.compared == 0 {
		t.Errorf("nothing was recorded, or nothing read")
	}
}

// reconciles makes a last run, which finds nothing but the conflicts that were provoked.
func (s *storm) reconciles() {
	s.t.Helper()
	r := s.p.run("reconcile", "--output", "json")
	var run struct {
		Findings []struct {
			Check, Detail string
		}
	}
	if r.code != exitDone && r.code != exitFindings {
		s.t.Fatalf("reconcile: %+v", r)
	}
	document(s.t, r.stdout, &run)
	conflicts := false
	for _, f := range run.Findings {
		if f.Check != "conflicts" {
			s.t.Errorf("finding: %s: %s", f.Check, f.Detail)
		}
		conflicts = conflicts || f.Check == "conflicts"
	}
	if conflicts != (len(s.model.conflicts) > 0) {
		s.t.Errorf("%d conflicts were answered, and the reconciliation says of conflicts: %v", len(s.model.conflicts), conflicts)
	}
}

// verify seals what is there and recomputes every seal.
func (s *storm) verify() {
	s.t.Helper()
	s.p.must("seal")
	var r struct {
		Seals, Facts int64
		Unsealed     struct{ Facts int64 }
		Difference   any
	}
	s.p.ask(&r, "verify")
	if r.Seals == 0 || r.Facts < int64(len(s.model.facts)) || r.Unsealed.Facts != 0 || r.Difference != nil {
		s.t.Errorf("verified: %+v", r)
	}
	s.seen.mu.Lock()
	defer s.seen.mu.Unlock()
	s.t.Logf("%d seals over %d facts verify; %d of the seals were seen before", r.Seals, r.Facts, len(s.seen.seals))
}

// countConflicts: each that was answered is kept, once.
func (s *storm) countConflicts(conn *pgx.Conn) {
	s.t.Helper()
	rows, err := conn.Query(context.Background(), "SELECT source || '/' || event_id FROM ledger.conflicts")
	if err != nil {
		s.t.Fatal(err)
	}
	kept, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		s.t.Fatal(err)
	}
	slices.Sort(kept)
	if again := slices.Compact(slices.Clone(kept)); len(again) != len(kept) {
		s.t.Errorf("%d conflicts are kept of %d events", len(kept), len(again))
	}
	for name, answer := range s.model.conflicts {
		if _, found := slices.BinarySearch(kept, name); !found {
			s.t.Errorf("a conflict of %s was answered and isn't kept: %s", name, answer)
		}
	}
	for _, name := range kept {
		if s.model.conflicts[name] == "" {
			s.t.Errorf("a conflict is kept of %s, which nobody was told", name)
		}
	}
}

// complain reports a problem of a kind once: one fault can show in thousands of answers.
func (s *storm) complain(kind, format string, args ...any) {
	s.model.mu.Lock()
	said := s.model.problems[kind]
	s.model.problems[kind] = true
	s.model.mu.Unlock()
	if !said {
		s.t.Errorf(kind+": "+format, args...)
	}
}

// acknowledgedWithin reports whether anything new is acknowledged within d.
func (s *storm) acknowledgedWithin(d time.Duration) bool {
	before := s.acknowledged()
	for deadline := time.Now().Add(d); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if s.acknowledged() > before {
			return true
		}
	}
	return false
}

// acknowledged is how many events were answered as recorded or as duplicates for the first time.
func (s *storm) acknowledged() int {
	s.model.mu.Lock()
	defer s.model.mu.Unlock()
	return len(s.model.positions)
}

// recovers waits until events are acknowledged again and the service is ready.
func (s *storm) recovers(after string) {
	s.t.Helper()
	began := time.Now()
	for !s.acknowledgedWithin(time.Second) {
		if time.Since(began) > time.Minute {
			s.t.Errorf("%s, but nothing is recorded", after)
			s.keeper.show()
			return
		}
	}
	s.keeper.await(http.StatusOK, time.Minute)
	s.t.Logf("events were recorded, and the service was ready, %v after %s", time.Since(began).Round(100*time.Millisecond), after)
}
