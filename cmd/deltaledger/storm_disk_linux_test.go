package main

import (
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// The small disk: enough for a new cluster and some minutes of work. The ballast is what an operator would
// delete, or add, to make room.
const (
	smallDisk = 420 << 20
)

// smallRoom is a directory on a disk of its own, which is small.
func smallRoom(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(room(t), "disk")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "mode=755,size="+strconv.Itoa(smallDisk)); err != nil {
		t.Fatalf("mount a small disk (tmpfs) on %s: %v: this test needs root with CAP_SYS_ADMIN, as in a container that is run with --privileged", dir, err)
	}
	t.Cleanup(func() {
		var err error
		for range 100 { // processes that have just ended may still have files open
			if err = syscall.Unmount(dir, 0); !errors.Is(err, syscall.EBUSY) {
				break
			}
			time.Sleep(100 * time.Millisecond)
		}
		if err != nil {
			t.Errorf("unmount %s: %v", dir, err)
		}
	})
	return dir
}

// free is how many bytes there is room for on the disk of dir.
func free(t *testing.T, dir string) int64 {
	t.Helper()
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); err != nil {
		t.Fatal(err)
	}
	return int64(fs.Bavail) * fs.Bsize
}

// fill writes a file until leave bytes are left on its disk.
func fill(t *testing.T, name string, leave int64) {
	t.Helper()
	n := free(t, filepath.Dir(name)) - leave
	if n <= 0 {
		return
	}
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(f, zeros{}, n); err != nil && !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil && !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// TestStormDiskFull fills the disk of PostgreSQL while events are recorded, until nothing can be recorded any
// more, makes room, and goes on: what was acknowledged is there.
func TestStormDiskFull(t *testing.T) {
	t.Parallel()
	disk := smallRoom(t)
	p := &program{t: t, dir: room(t)}
	p.args = []string{"--data-dir", filepath.Join(disk, "data")}
	t.Cleanup(func() {
		if r := p.run("db", "stop"); r.code != exitDone {
			t.Errorf("db stop: %s", r.stderr)
		}
	})
	p.must("migrate", "--zone", "UTC", "--freeze-grace", "0s")
	p.must("sources", "declare", stormStates, "--states")
	p.must("db", "start")
	s := newStorm(t, p, stormSeed(t), "")
	s.begin()
	filler := filepath.Join(disk, "filler")
	full := func(prepare func(*rand.Rand)) func(*rand.Rand) {
		return func(random *rand.Rand) {
			prepare(random)
			began := time.Now()
			for s.acknowledgedWithin(2 * time.Second) {
				if time.Since(began) > time.Minute {
					t.Errorf("the disk is full and events are still recorded; %d bytes are free", free(t, disk))
					break
				}
			}
			s.keeper.await(http.StatusServiceUnavailable, 30*time.Second)
			if err := os.Remove(filler); err != nil {
				t.Error(err)
			}
			s.recovers("there was room again")
		}
	}
	s.during(stormTime(t, 4*time.Second), time.Second,
		fault{"the disk is full for tables", full(func(random *rand.Rand) { fill(t, filler, random.Int64N(8<<20)) })},
		fault{"the disk is full for the log", full(func(*rand.Rand) {
			log := s.direct() // nobody connects to a server with a full disk
			fill(t, filler, 0)
			// The next file of the log is needed now; it may be there already, kept for that.
			for range 20 {
				if _, err := log.Exec(t.Context(), "SELECT pg_logical_emit_message(true, '', repeat('x', 1000000)), pg_switch_wal()"); err != nil {
					t.Logf("the log: %v", err)
					break
				}
			}
			s.watch = nil
		})})
	if s.model.count("503: the disk of the database is full: nothing can be recorded until an operator makes room") == 0 {
		t.Error("nobody was told that the disk is full")
	}
	s.end()
}
