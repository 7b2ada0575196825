//go:build linux || darwin

package embedded

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	stateFile = "state.json"
	keepFile  = "keep"
)

var (
	errChanging = errors.New("the server is starting or stopping")
	errSilent   = errors.New("the server gives no answer")
)

// Status tells about the server of dir without using it: ErrNotRunning when there
// is none. dir is what Acquire was given.
func Status(dir string) (State, error) {
	dir, err := locate(dir)
	if err != nil {
		return State{}, err
	}
	return current(dir)
}

// current is the state of the server that runs in dir: ErrNotRunning without a
// living supervisor, errChanging while it isn't ready.
func current(dir string) (State, error) {
	alive, err := findLock(dir, aliveFile)
	if errors.Is(err, errGone) {
		return State{}, ErrNotRunning
	}
	if err != nil {
		return State{}, err
	}
	defer alive.free()
	// A shared lock, so that two who look at once don't take each other for a supervisor.
	if alive.flock(syscall.LOCK_SH|syscall.LOCK_NB) == nil {
		return State{}, ErrNotRunning
	}
	b, err := os.ReadFile(filepath.Join(dir, stateFile))
	if errors.Is(err, fs.ErrNotExist) {
		return State{}, errChanging
	}
	if err != nil {
		return State{}, err
	}
	var st State
	if err := json.Unmarshal(b, &st); err != nil {
		return State{}, fmt.Errorf("read %s: %w", filepath.Join(dir, stateFile), err)
	}
	return st, nil
}

// answers connects once, as the caller will. Refusing us is an answer too, unless
// it says that the server is starting or stopping.
func (s State) answers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.URL("postgres"))
	if err == nil {
		return conn.Close(ctx)
	}
	const cannotConnectNow = "57P03"
	var refusal interface{ SQLState() string }
	if errors.As(err, &refusal) && refusal.SQLState() != cannotConnectNow {
		return nil
	}
	return fmt.Errorf("%w: %w", errSilent, err)
}

// Keep makes the server stay when nobody uses it, until Release. It doesn't start
// by itself after the machine was started anew.
func (s *Server) Keep() error {
	if err := os.WriteFile(filepath.Join(s.Dir, keepFile), nil, 0o600); err != nil {
		return fmt.Errorf("keep the server: %w", err)
	}
	return nil
}

// Release ends Keep and waits until the server of dir is gone. It fails with
// ErrInUse if others still use it when ctx ends: it then stops after the last one.
func Release(ctx context.Context, dir string) error {
	dir, err := locate(dir)
	if err != nil {
		return err
	}
	if err := os.Remove(filepath.Join(dir, keepFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("release the server: %w", err)
	}
	for {
		if _, err := current(dir); errors.Is(err, ErrNotRunning) {
			return sweep(ctx, dir)
		}
		if pause(ctx, 20*time.Millisecond) != nil {
			return ErrInUse
		}
	}
}

// sweep stops a server whose supervisor was killed.
func sweep(ctx context.Context, dir string) error {
	if !hasCluster(dir) {
		return nil
	}
	gate, err := openLock(dir, gateFile)
	if err != nil {
		return err
	}
	defer gate.free()
	alive, err := openLock(dir, aliveFile)
	if err != nil {
		return err
	}
	defer alive.free()
	if !gate.tryExclude() || !alive.tryExclude() {
		return nil // somebody has just come, and will settle it
	}
	return settle(ctx, filepath.Join(dir, durableFolder))
}

// writeState says that the server is ready. Readers see all of it or nothing.
func writeState(st State) error {
	b, err := json.Marshal(st)
	if err != nil {
		return err
	}
	name := filepath.Join(st.Dir, stateFile)
	if err := os.WriteFile(name+".new", b, 0o600); err != nil {
		return err
	}
	return os.Rename(name+".new", name)
}

// dropState says that the server isn't ready, or no more.
func dropState(dir string) error {
	if err := os.Remove(filepath.Join(dir, stateFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
