//go:build linux || darwin

package embedded

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

// chargeEnv carries the supervisor's orders from spawn to Supervise.
const chargeEnv = "DELTALEDGER_PG_SUPERVISE"

// charge is what a supervisor is told: Options with Dir and BinDir settled.
type charge struct {
	Options
	Version string // of the programs in BinDir
}

const (
	logFile    = "server.log"
	logLimit   = 8 << 20 // bytes at which a new log is begun; the one before is kept
	readyWord  = "ready"
	otherWord  = "other" // there was one already
	readyPipe  = 3       // the first of exec.Cmd.ExtraFiles
	supervisor = "deltaledger-postgres-supervisor"
)

// errSpeechless: a supervisor was killed before it was ready.
var errSpeechless = errors.New("the supervisor ended without a word")

// spawn starts the supervisor and waits for its word: that a server is ready or on
// its way, or what went wrong.
// The caller holds the gate.
func spawn(ctx context.Context, o Options) error {
	bin, version, err := chooseBinaries(ctx, o)
	if err != nil {
		return err
	}
	o.BinDir = bin
	orders, err := json.Marshal(charge{Options: o, Version: version})
	if err != nil {
		return err
	}
	log, err := openLog(o.Dir)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	cmd, err := supervisorCommand(o.Dir, orders, log, w)
	if err == nil {
		err = cmd.Start()
	}
	_ = w.Close() // the supervisor's copy is the one that counts
	if err != nil {
		return fmt.Errorf("start the supervisor: %w", err)
	}
	go func() { _ = cmd.Wait() }() // it may end before us, and mustn't stay as a zombie
	defer context.AfterFunc(ctx, func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = r.SetReadDeadline(time.Now().Add(10 * time.Second))
	})()
	word, err := io.ReadAll(r)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return fmt.Errorf("wait for the supervisor: %w", err)
	case string(word) == readyWord, string(word) == otherWord:
		return nil // the caller looks again in any case
	case len(word) == 0:
		return fmt.Errorf("%w: see %s", errSpeechless, log.Name())
	}
	return errors.New(string(word))
}

// supervisorCommand is this program again. It has nothing of ours open but the
// pipe: not our output either, for which "go test" and shells would wait.
func supervisorCommand(dir string, orders []byte, log, word *os.File) (*exec.Cmd, error) {
	program := "/proc/self/exe" // stays ours when the file is replaced by an upgrade
	if runtime.GOOS != "linux" || !exists(program) {
		var err error
		if program, err = os.Executable(); err != nil {
			return nil, err
		}
	}
	cmd := exec.Command(program)
	cmd.Args = []string{supervisor, dir} // what ps shows
	cmd.Env = append(os.Environ(), chargeEnv+"="+string(orders),
		"GORACE=atexit_sleep_ms=0") // a program built with -race would end a second late
	cmd.Dir = "/"
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = []*os.File{word}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return cmd, nil
}

func openLog(dir string) (*os.File, error) {
	name := filepath.Join(dir, logFile)
	if st, err := os.Stat(name); err == nil && st.Size() > logLimit {
		if err := os.Rename(name, name+".1"); err != nil {
			return nil, err
		}
	}
	return os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
}
