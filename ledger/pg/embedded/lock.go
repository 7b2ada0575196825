//go:build linux || darwin

package embedded

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// The lock files of a directory; doc.go says who holds which.
const (
	gateFile  = "gate"
	useFile   = "use"
	aliveFile = "alive"
)

// errGone: the last user of an ephemeral server removed the directory while we joined.
var errGone = errors.New("the directory went away")

// lockFile is a bare descriptor instead of an os.File, which would close itself,
// and so end a lease, when the garbage collector finds it unreachable.
type lockFile int

// openLock opens a lock file, and makes it: errGone without its directory.
func openLock(dir, name string) (lockFile, error) { return openFlock(dir, name, syscall.O_CREAT) }

// findLock opens a lock file: errGone where there is none.
func findLock(dir, name string) (lockFile, error) { return openFlock(dir, name, 0) }

func openFlock(dir, name string, flags int) (lockFile, error) {
	path := filepath.Join(dir, name)
	for {
		fd, err := syscall.Open(path, syscall.O_RDWR|syscall.O_CLOEXEC|flags, 0o600)
		switch {
		case err == nil:
			return lockFile(fd), nil
		case errors.Is(err, syscall.EINTR):
		case errors.Is(err, syscall.ENOENT):
			return -1, errGone
		default:
			return -1, &os.PathError{Op: "open", Path: path, Err: err}
		}
	}
}

// close gives the lock back. The kernel does so even when it reports an error.
func (f lockFile) close() error { return syscall.Close(int(f)) }

// free is close where nobody is left to tell.
func (f lockFile) free() { _ = f.close() }

func (f lockFile) flock(how int) error {
	for {
		if err := syscall.Flock(int(f), how); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}

// share waits for the shared lock. Nobody keeps the exclusive one for long
// without also holding the gate, which callers hold.
func (f lockFile) share() error { return f.flock(syscall.LOCK_SH) }

// exclude waits for the exclusive lock until ctx ends.
func (f lockFile) exclude(ctx context.Context) error {
	for {
		err := f.flock(syscall.LOCK_EX | syscall.LOCK_NB)
		if err == nil {
			return nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return fmt.Errorf("lock a file (the file system must support flock): %w", err)
		}
		if err := pause(ctx, 10*time.Millisecond); err != nil {
			return err
		}
	}
}

// tryExclude reports whether the exclusive lock could be had at once, and is had.
func (f lockFile) tryExclude() bool { return f.flock(syscall.LOCK_EX|syscall.LOCK_NB) == nil }

// held reports whether anybody has the lock, without keeping it.
func (f lockFile) held() bool {
	if !f.tryExclude() {
		return true
	}
	_ = f.flock(syscall.LOCK_UN)
	return false
}

// unlinked reports that others who open the name get another file than this one.
func (f lockFile) unlinked() bool {
	var st syscall.Stat_t
	return syscall.Fstat(int(f), &st) != nil || st.Nlink == 0
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
