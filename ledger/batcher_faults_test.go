package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"deltaledger/ledger"
	"deltaledger/ledger/pg"
	"deltaledger/migrations/pgtest"
)

func TestBatcherIsFullAndDrains(t *testing.T) {
	t.Parallel()
	l, db := open(t)
	b := startBatcher(t, l, ledger.BatcherConfig{Committers: 1, MaxEvents: 5, LockWait: 20 * time.Second})
	release := hold(t, db)
	var group sync.WaitGroup
	var mu sync.Mutex
	outcomes := map[ledger.Status]int{}
	for n := range 5 {
		group.Go(func() {
			out, err := b.Append(context.Background(), []ledger.Event{sale("o1", n+1)})
			if err != nil {
				t.Error(err)
				return
			}
			mu.Lock()
			outcomes[out[0].Status]++
			mu.Unlock()
		})
	}
	until(t, b, func(s ledger.BatcherStats) bool { return s.HeldEvents == 5 })
	if _, err := b.Append(t.Context(), []ledger.Event{sale("o1", 6)}); !errors.Is(err, ledger.ErrFull) || !errors.Is(err, ledger.ErrBusy) {
		t.Errorf("full: %v", err)
	}
	closed := make(chan error)
	go func() { closed <- b.Close(context.Background()) }()
	for {
		_, err := b.Append(t.Context(), []ledger.Event{sale("o1", 6)})
		if errors.Is(err, ledger.ErrStopping) {
			break
		}
		if !errors.Is(err, ledger.ErrFull) {
			t.Fatalf("closing: %v", err)
		}
	}
	release()
	if err := <-closed; err != nil {
		t.Error(err)
	}
	group.Wait()
	if n := one[int](t, db, countEvents); n != 5 || outcomes[ledger.Recorded] != 5 {
		t.Errorf("%d events are recorded, outcomes %v", n, outcomes)
	}
	if s := b.Stats(); s.Refused < 2 || s.HeldEvents != 0 {
		t.Errorf("%+v", s)
	}
}

// A queue that can't be drained in time is given up, and nobody hangs.
func TestBatcherThatCannotDrain(t *testing.T) {
	t.Parallel()
	l, db := open(t)
	b := ledger.NewBatcher(l, ledger.BatcherConfig{LockWait: time.Minute})
	hold(t, db)
	failed := make(chan error)
	go func() {
		_, err := b.Append(context.Background(), []ledger.Event{sale("o1", 1)})
		failed <- err
	}()
	waitingBackends(t, db, 1)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if err := b.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("closed with %v", err)
	}
	if err := <-failed; err == nil {
		t.Error("the request was acknowledged")
	}
}

// Connections that die under the committers lose nothing that was acknowledged; the rest is sent again.
func TestBatcherConnectionsDie(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	pool, err := pg.Open(t.Context(), db.URL, pg.Options{Role: pg.App, Name: "doomed"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	l, err := ledger.Open(t.Context(), ledger.Config{Pool: pool})
	if err != nil {
		t.Fatal(err)
	}
	b := startBatcher(t, l, ledger.BatcherConfig{})
	const callers, each = 16, 40
	stop := make(chan struct{})
	var killer, group sync.WaitGroup
	killed := 0
	killer.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			var n int
			if err := db.Super.QueryRow(context.Background(), `SELECT count(*) FROM (SELECT pg_terminate_backend(pid) FROM pg_stat_activity
				WHERE application_name = 'doomed' AND datname = current_database() AND state = 'active') AS k`).Scan(&n); err != nil {
				t.Error(err)
				return
			}
			killed += n
			time.Sleep(5 * time.Millisecond) // so that some groups live
		}
	})
	var mu sync.Mutex
	failures := 0
	positions := map[string]int64{}
	for c := range callers {
		group.Go(func() {
			for i := range each {
				e := sale(fmt.Sprint("c", c), i+1)
				for { // until it is acknowledged
					out, err := b.Append(context.Background(), []ledger.Event{e})
					mu.Lock()
					if err == nil {
						positions[e.ID] = out[0].Position
						if s := out[0].Status; s != ledger.Recorded && s != ledger.Duplicate {
							t.Errorf("%+v", out[0])
						}
						mu.Unlock()
						break
					}
					failures++
					mu.Unlock()
					if !pg.IsUnavailable(err) {
						t.Errorf("not a failure of the connection: %v", err)
					}
				}
			}
		})
	}
	group.Wait()
	close(stop)
	killer.Wait()
	if killed == 0 || failures == 0 {
		t.Errorf("%d sessions were ended, %d requests failed: the test tested nothing", killed, failures)
	}
	if n := one[int](t, db, countEvents); n != callers*each || len(positions) != n {
		t.Errorf("%d events are recorded, %d acknowledged, %d sent", n, len(positions), callers*each)
	}
	for id, position := range positions {
		if p := one[int64](t, db, `SELECT position FROM ledger.events WHERE event_id = $1`, id); p != position {
			t.Errorf("%s is at %d, and was acknowledged at %d", id, p, position)
		}
	}
}
