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
	p.must("db", "start")
	s := newStorm(t, p, stormSeed(t), "")
	s.begin()
	filler := filepath.Join(disk, "filler")
	s.during(stormTime(t, 4*time.Second), time.Second, fault{"the disk is full", func(random *rand.Rand) {
		fill(t, filler, 1<<20+random.Int64N(8<<20))
		full := time.Now()
		for s.acknowledgedWithin(2 * time.Second) {
			if time.Since(full) > time.Minute {
				t.Errorf("the disk is full and events are still recorded; %d bytes are free", free(t, disk))
				break
			}
		}
		t.Logf("nothing could be recorded %v after the disk was filled", time.Since(full).Round(100*time.Millisecond))
		s.keeper.await(http.StatusServiceUnavailable, 30*time.Second)
		if err := os.Remove(filler); err != nil {
			t.Error(err)
		}
		room := time.Now()
		for !s.acknowledgedWithin(time.Second) {
			if time.Since(room) > time.Minute {
				t.Errorf("there is room again, but nothing is recorded")
				s.keeper.show()
				break
			}
		}
		t.Logf("events were recorded again %v after there was room", time.Since(room).Round(100*time.Millisecond))
		s.keeper.await(http.StatusOK, time.Minute)
	}})
	s.end()
}
