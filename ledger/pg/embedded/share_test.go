//go:build linux || darwin

package embedded_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"deltaledger/ledger/pg/embedded"
)

func TestTwoCommandsShareAndTheLastOneStops(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(room(t), "x")
	a, b := startWorker(t, dir), startWorker(t, dir) // at once, from nothing
	if first, second := a.wait(t, "joined"), b.wait(t, "joined"); first != second {
		t.Fatalf("two servers: %s and %s", first, second)
	}
	st, err := embedded.Status(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.stdin.Close(); err != nil {
		t.Fatal(err)
	}
	for range a.lines {
	}
	b.wait(t, "ack")
	b.wait(t, "ack")
	if !alive(st.Postgres) {
		t.Fatal("the first to leave stopped it")
	}
	b.kill()
	eventually(t, "the server is gone", func() bool { return !alive(st.Postgres) && !alive(st.Supervisor) })
	if _, err := embedded.Status(dir); !errors.Is(err, embedded.ErrNotRunning) {
		t.Fatalf("status: %v", err)
	}
}

func TestManyJoinFromNothing(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(room(t), "x")
	var wg sync.WaitGroup
	pids := make([]int, 16)
	var leases [16]*embedded.Server
	for i := range pids {
		wg.Go(func() {
			s, err := embedded.Acquire(t.Context(), embedded.Options{Dir: dir, Ephemeral: true})
			if err != nil {
				t.Error(err)
				return
			}
			pids[i], leases[i] = s.Postgres, s
		})
	}
	wg.Wait()
	for i, pid := range pids {
		if pid != pids[0] {
			t.Errorf("another server: %d and %d", pid, pids[0])
		}
		if err := leases[i].Close(); err != nil {
			t.Error(err)
		}
	}
	eventually(t, "the directory is gone", func() bool { _, err := os.Stat(dir); return err != nil })
}

func TestKeepAndRelease(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(room(t), "x")
	s := acquire(t, embedded.Options{Dir: dir, Settings: small})
	if err := s.Keep(); err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	<-short.Done() // three of the supervisor's looks
	st, err := embedded.Status(dir)
	if err != nil || st.Postgres != s.Postgres {
		t.Fatalf("kept server: %+v, %v", st, err)
	}
	again := acquire(t, embedded.Options{Dir: dir})
	if again.Postgres != s.Postgres || again.URL("x") != s.URL("x") {
		t.Fatalf("another server: %d, %d", again.Postgres, s.Postgres)
	}
	short, cancel = context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := embedded.Release(short, dir); !errors.Is(err, embedded.ErrInUse) {
		t.Fatalf("release under a user: %v", err)
	}
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
	if err := embedded.Release(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	if alive(s.Postgres) {
		t.Fatal("still there")
	}
}

func TestURLsAndPasswordStay(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(room(t), "x")
	s := acquire(t, embedded.Options{Dir: dir, Settings: append([]string{"fsync=off", "full_page_writes=off", "synchronous_commit=off"}, small...)})
	for _, name := range []string{"fsync", "full_page_writes", "synchronous_commit"} {
		if got := one[string](t, s.URL("postgres"), "SELECT current_setting($1)", name); got != "on" {
			t.Errorf("%s is %s in a durable server", name, got)
		}
	}
	execute(t, s.URL("postgres"), "CREATE ROLE deltaledger_app LOGIN PASSWORD '"+s.Password+"'")
	if got := one[string](t, s.RoleURL(embedded.App, "postgres"), "SELECT session_user::text"); got != "deltaledger_app" {
		t.Errorf("logged in as %s", got)
	}
	if st, err := os.Stat(filepath.Join(dir, "password")); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("the password's file: %v, %v", st.Mode(), err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := embedded.Release(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	if again := acquire(t, embedded.Options{Dir: dir, Settings: small}); again.Password != s.Password || again.URL("a") != s.URL("a") {
		t.Errorf("%s became %s", s.URL("a"), again.URL("a"))
	}
}

func TestServerOfTheOtherKindIsRefused(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(room(t), "x")
	acquire(t, embedded.Options{Dir: dir, Settings: small})
	if _, err := embedded.Acquire(t.Context(), embedded.Options{Dir: dir, Ephemeral: true}); err == nil {
		t.Fatal("a test got the durable server")
	}
}

func TestGivingUpTheStart(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(room(t), "x")
	for _, patience := range []time.Duration{20, 100, 300} {
		ctx, cancel := context.WithTimeout(t.Context(), patience*time.Millisecond)
		if s, err := embedded.Acquire(ctx, embedded.Options{Dir: dir, Settings: small}); err == nil {
			_ = s.Close() // it was quick enough
		}
		cancel()
	}
	acquire(t, embedded.Options{Dir: dir, Settings: small})
}

func TestStartedAgainUnderItsUsers(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(room(t), "x")
	w := startWorker(t, dir)
	w.wait(t, "ack")
	for range 2 {
		st, err := embedded.Status(dir)
		if err != nil {
			t.Fatal(err)
		}
		kill(t, st.Postgres) // the supervisor sees to it
		eventually(t, "another server", func() bool { now, err := embedded.Status(dir); return err == nil && now.Postgres != st.Postgres })
		for len(w.lines) > 0 {
			<-w.lines
		}
		w.wait(t, "ack")
	}
	st, err := embedded.Status(dir)
	if err != nil {
		t.Fatal(err)
	}
	kill(t, st.Supervisor) // Watch sees to it
	eventually(t, "another supervisor", func() bool { now, err := embedded.Status(dir); return err == nil && now.Supervisor != st.Supervisor })
	for len(w.lines) > 0 {
		<-w.lines
	}
	w.wait(t, "ack")
}
