//go:build linux || darwin

package embedded

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

// A durable server that dies under its users is started again, but not for ever:
// one that died this often within this time has a reason that needs a person.
const (
	restartLimit = 20
	restartSpan  = time.Minute
)

// Supervise turns this process into a supervisor if Acquire started it as one, and
// then never returns. It must be the first thing that the program does.
func Supervise() {
	orders := os.Getenv(chargeEnv)
	if orders == "" {
		return
	}
	os.Exit(supervise(orders))
}

func supervise(orders string) (code int) {
	_ = os.Unsetenv(chargeEnv) // not for our children
	syscall.CloseOnExec(readyPipe)
	word := os.NewFile(readyPipe, "ready")
	// SIGTERM comes from a user that gave up the start, or from the system.
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	signal.Ignore(syscall.SIGHUP)
	var s steward
	err := json.Unmarshal([]byte(orders), &s.charge)
	if err == nil {
		err = s.serve(ctx, func() {
			_, _ = word.WriteString(readyWord) // the command may be gone; others may come
			_ = word.Close()
		})
	}
	if errors.Is(err, errOther) {
		_, _ = word.WriteString(otherWord)
		return 0
	}
	if err != nil {
		log.Print("supervisor: ", err)
		_, _ = word.WriteString(err.Error()) // fails, rightly, when ready was said
		return 1
	}
	return 0
}

// errOther: another supervisor lives.
var errOther = errors.New("another supervisor runs")

// steward is the supervisor's work for one directory.
type steward struct {
	charge
	use      lockFile
	pg       *postmaster
	restarts []time.Time
}

// serve owns PostgreSQL until nobody uses it or ctx ends.
func (s *steward) serve(ctx context.Context, ready func()) error {
	alive, err := openLock(s.Dir, aliveFile)
	if err != nil {
		return err
	}
	// Who only looks whether we live holds it for a moment. Another supervisor holds it for
	// long; it was on its way when the command that had started it was killed.
	wait, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
	defer cancel()
	if err := alive.exclude(wait); errors.Is(err, context.DeadlineExceeded) {
		return errOther
	} else if err != nil {
		return err
	}
	if err := dropState(s.Dir); err != nil { // a killed supervisor's
		return err
	}
	if s.use, err = openLock(s.Dir, useFile); err != nil {
		return err
	}
	if err := s.prepare(ctx); err != nil {
		s.discard()
		return err
	}
	if err := s.start(ctx); err != nil {
		s.discard()
		return err
	}
	ready()
	return s.attend(ctx)
}

// start runs PostgreSQL and says where.
func (s *steward) start(ctx context.Context) error {
	pg, err := launch(ctx, s.charge)
	if err != nil {
		return err
	}
	pg.state.Supervisor = os.Getpid()
	s.pg = pg
	if err := writeState(pg.state); err != nil {
		return errors.Join(err, pg.stop())
	}
	return nil
}

func (s *steward) attend(ctx context.Context) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	var idle time.Time // since when nobody uses it; zero while somebody does
	for {
		select {
		case err := <-s.pg.exited:
			if err := s.revive(ctx, err); err != nil {
				return err
			}
		case <-ctx.Done():
			log.Print("supervisor: told to stop")
			defer s.discard()
			return errors.Join(dropState(s.Dir), s.pg.stop())
		case <-tick.C:
		}
		if s.wanted() {
			idle = time.Time{}
			continue
		}
		if idle.IsZero() {
			idle = time.Now()
		}
		if time.Since(idle) < s.Linger && (s.WaitFor == 0 || running(s.WaitFor)) {
			continue
		}
		if done, err := s.stopIfUnused(); done {
			return err
		}
	}
}

func (s *steward) wanted() bool {
	return exists(filepath.Join(s.Dir, keepFile)) || s.use.held()
}

// revive starts a server again that died under its users.
func (s *steward) revive(ctx context.Context, died error) error {
	end := fmt.Errorf("postgres ended by itself: %w", orNothing(died))
	if err := dropState(s.Dir); err != nil {
		return errors.Join(end, err)
	}
	if s.Ephemeral { // its unsynced cluster isn't worth a second look
		s.discard()
		return end
	}
	now := time.Now()
	s.restarts = append(s.restarts, now)
	if n := len(s.restarts) - restartLimit; n >= 0 && now.Sub(s.restarts[n]) < restartSpan {
		return fmt.Errorf("%d times in %v: %w", restartLimit, restartSpan, end)
	}
	if !s.wanted() || !hasCluster(s.Dir) { // hasCluster: somebody removed the directory
		return end
	}
	log.Print("supervisor: starting it again: ", end)
	if err := s.start(ctx); err != nil {
		return errors.Join(end, err)
	}
	return nil
}

func orNothing(err error) error {
	if err == nil {
		return errors.New("without an error")
	}
	return err
}

// stopIfUnused closes the gate, so that nobody can join, looks once more, and stops
// the server. It reports false when somebody is there, or on the way in.
func (s *steward) stopIfUnused() (bool, error) {
	gate, err := openLock(s.Dir, gateFile)
	if err != nil {
		return true, s.pg.stop() // somebody removed the directory
	}
	defer gate.free()
	if !gate.tryExclude() || !s.use.tryExclude() {
		return false, nil
	}
	err = errors.Join(dropState(s.Dir), s.pg.stop())
	s.discard()
	if s.Ephemeral {
		for _, name := range []string{logFile, logFile + ".1", keepFile, useFile, aliveFile} {
			_ = os.Remove(filepath.Join(s.Dir, name))
		}
		// Last, while we hold it: who waits for it sees that it is unlinked, and begins anew.
		_ = os.Remove(filepath.Join(s.Dir, gateFile))
		_ = os.Remove(s.Dir) // fails, rightly, when somebody has begun anew, or keeps other things there
	}
	return true, err
}

// discard removes an ephemeral cluster. A durable one is never touched.
func (s *steward) discard() {
	if !s.Ephemeral {
		return
	}
	// Not with the supervisor's own context, which may be what ended.
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := removeScratch(ctx, s.Dir); err != nil {
		log.Print("supervisor: ", err)
	}
}
