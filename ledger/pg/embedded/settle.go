//go:build linux || darwin

package embedded

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// mark is the cluster_name that our servers run under. PostgreSQL shows it in the
// command line of the server and in the title of each of its children, so a killed
// server's processes are known as ours, and as this cluster's, without a note of
// ours that a kill could have prevented.
func mark(data string) string {
	sum := sha256.Sum256([]byte(data))
	return "deltaledger-" + hex.EncodeToString(sum[:6])
}

// process is one that uses a cluster.
type process struct {
	pid  int
	ours bool
}

// settle ends what a killed predecessor left in the cluster, and makes its lock file
// usable. The caller holds "alive", so no living supervisor owns what it finds. A
// server that somebody started by hand is left alone, and refused.
func settle(ctx context.Context, data string) error {
	// A postmaster is asked and tells its children; children without one are told
	// themselves (SIGINT would only cancel their statement). The last step can't
	// harm either: recovery makes it good.
	steps := []struct {
		after              time.Duration
		postmaster, orphan syscall.Signal
	}{
		{0, syscall.SIGINT, syscall.SIGTERM},
		{8 * time.Second, syscall.SIGQUIT, syscall.SIGQUIT},
		{16 * time.Second, syscall.SIGKILL, syscall.SIGKILL},
	}
	for begin := time.Now(); ; {
		owner, err := lockOwner(data)
		if err != nil {
			return err
		}
		left, err := clusterProcesses(data, owner)
		if err != nil {
			return fmt.Errorf("look for processes of %s: %w", data, err)
		}
		if len(left) == 0 {
			return freeLockFile(data)
		}
		spent := time.Since(begin)
		for _, p := range left {
			if !p.ours && spent > time.Second { // one of ours may be changing its title just now
				return fmt.Errorf("process %d, a PostgreSQL that deltaledger didn't start, uses %s: stop it first", p.pid, data)
			}
		}
		left = slices.DeleteFunc(left, func(p process) bool { return !p.ours })
		if len(left) > 0 && len(steps) > 0 && spent >= steps[0].after {
			tell(left, owner, steps[0].postmaster, steps[0].orphan)
			steps = steps[1:]
		}
		if spent > 20*time.Second {
			return fmt.Errorf("processes %v still use %s", left, data)
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			return err
		}
	}
}

// tell signals the postmaster, or where there is none all that it left.
func tell(left []process, owner int, postmaster, orphan syscall.Signal) {
	if i := slices.IndexFunc(left, func(p process) bool { return p.pid == owner }); i >= 0 {
		log.Printf("supervisor: a killed one left the server %d: %v", owner, postmaster)
		_ = syscall.Kill(owner, postmaster)
		return
	}
	for _, p := range left {
		log.Printf("supervisor: a killed server left its process %d: %v", p.pid, orphan)
		_ = syscall.Kill(p.pid, orphan)
	}
}

// lockOwner is the process id in the cluster's lock file; 0 if there is no such
// file or no number in it. A single-user server writes its number as a negative one.
func lockOwner(data string) (int, error) {
	b, err := os.ReadFile(filepath.Join(data, pidFile))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	first, _, _ := bytes.Cut(b, []byte("\n"))
	pid, err := strconv.Atoi(strings.TrimSpace(string(first)))
	if err != nil {
		return 0, nil // torn by a kill: freeLockFile removes it
	}
	return max(pid, -pid), nil
}

// freeLockFile makes a lock file usable that no server stands behind any more. By
// now its number may be another process's, or a zombie's that nobody reaps, and
// PostgreSQL would refuse to start. It takes its own parent's number for stale, and
// that will be us; it still checks the shared memory that the file names. A file
// torn by a kill says nothing, and is refused for ever: it goes.
func freeLockFile(data string) error {
	name := filepath.Join(data, pidFile)
	b, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	owner, err := lockOwner(data)
	if err != nil {
		return err
	}
	if owner == 0 {
		log.Print("supervisor: postmaster.pid is torn, removing it")
		return os.Remove(name)
	}
	if !running(owner) || owner == os.Getpid() {
		return nil
	}
	log.Printf("supervisor: postmaster.pid names %d, which is no server of %s", owner, data)
	_, rest, _ := bytes.Cut(b, []byte("\n"))
	st, err := os.Stat(name)
	if err != nil {
		return err
	}
	tmp := name + ".new"
	if err := os.WriteFile(tmp, append([]byte(strconv.Itoa(os.Getpid())+"\n"), rest...), 0o600); err != nil {
		return err
	}
	if sys, ok := st.Sys().(*syscall.Stat_t); ok && os.Geteuid() == 0 {
		if err := os.Lchown(tmp, int(sys.Uid), int(sys.Gid)); err != nil {
			return err
		}
	}
	return os.Rename(tmp, name)
}

// running reports whether a process, or its zombie, has this number.
func running(pid int) bool { return !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) }
