//go:build linux || darwin

package embedded_test

import (
	"bufio"
	"context"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"deltaledger/ledger/pg/embedded"
)

// made is a directory with a stopped durable cluster that holds one row.
func made(t *testing.T) (dir string, was embedded.State) {
	t.Helper()
	dir = filepath.Join(room(t), "x")
	s := acquire(t, embedded.Options{Dir: dir, Settings: small})
	execute(t, s.URL("postgres"), "CREATE TABLE kept AS SELECT 42 AS n")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := embedded.Release(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	return dir, s.State
}

func wantKept(t *testing.T, dir string) {
	t.Helper()
	s := acquire(t, embedded.Options{Dir: dir, Settings: small})
	if n := one[int](t, s.URL("postgres"), "SELECT n FROM kept"); n != 42 {
		t.Errorf("kept %d", n)
	}
}

// fingerprint is of every name, mode and byte below dir.
func fingerprint(t *testing.T, dir string) string {
	t.Helper()
	sum := sha256.New()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		fmt.Fprintln(sum, path, info.Mode(), info.ModTime())
		if !d.Type().IsRegular() {
			return nil
		}
		b, err := os.ReadFile(path)
		fmt.Fprintf(sum, "%x\n", sha256.Sum256(b))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", sum.Sum(nil))
}

func TestOtherMajorVersionIsRefusedAndUntouched(t *testing.T) {
	t.Parallel()
	dir, was := made(t)
	data := filepath.Join(dir, "data")
	version, err := os.ReadFile(filepath.Join(data, "PG_VERSION"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(data, "PG_VERSION"), []byte("13\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	before := fingerprint(t, data)
	for _, bin := range []string{"", was.BinDir} {
		_, err := embedded.Acquire(t.Context(), embedded.Options{Dir: dir, BinDir: bin})
		if err == nil {
			t.Fatal("a cluster of version 13 was taken")
		}
		for _, want := range []string{data, "PostgreSQL 13", was.Version, "nothing was changed", embedded.BinEnv} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("the error doesn't say %q: %v", want, err)
			}
		}
	}
	if fingerprint(t, data) != before {
		t.Error("the cluster was changed")
	}
	if err := os.WriteFile(filepath.Join(data, "PG_VERSION"), version, 0o600); err != nil {
		t.Fatal(err)
	}
	wantKept(t, dir)
}

func TestEphemeralServerLeavesADurableClusterAlone(t *testing.T) {
	t.Parallel()
	dir, _ := made(t)
	s := acquire(t, embedded.Options{Dir: dir, Ephemeral: true})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the ephemeral cluster is gone", func() bool {
		_, err := os.Stat(filepath.Join(dir, "gate"))
		return err != nil && !alive(s.Supervisor)
	})
	if _, err := os.Stat(filepath.Join(dir, "scratch")); err == nil {
		t.Error("the ephemeral cluster is still there")
	}
	wantKept(t, dir)
}

func TestForeignFilesInTheDataFolderStay(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(room(t), "x")
	file := filepath.Join(dir, "data", "thesis.txt")
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	before := fingerprint(t, dir+"/data")
	if _, err := embedded.Acquire(t.Context(), embedded.Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), "PG_VERSION is missing") {
		t.Errorf("acquire: %v", err)
	}
	if fingerprint(t, dir+"/data") != before {
		t.Error("the folder was changed")
	}
}

func TestHalfMadeClusterIsMadeAnew(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(room(t), "x")
	half := filepath.Join(dir, "data.new.KILLED")
	if err := os.MkdirAll(half+"/base", 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{half + "/PG_VERSION", half + ".password"} {
		if err := os.WriteFile(name, []byte("15\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	acquire(t, embedded.Options{Dir: dir, Settings: small})
	left, err := filepath.Glob(dir + "/data.new*")
	if err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// asOwner runs a program as the user that the cluster belongs to, standing in it.
func asOwner(t *testing.T, data, program string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Dir = data
	info, err := os.Stat(data)
	if err != nil {
		t.Fatal(err)
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && os.Geteuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: st.Uid, Gid: st.Gid}}
	}
	return cmd
}

// killBoth ends supervisor and server without either being able to do anything.
func killBoth(t *testing.T, s embedded.State) {
	t.Helper()
	if err := syscall.Kill(s.Supervisor, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	kill(t, s.Postgres)
	kill(t, s.Supervisor)
}

func TestStaleLockFile(t *testing.T) {
	t.Parallel()
	dir, _ := made(t)
	data := filepath.Join(dir, "data")
	// Runs as the server's user and stands in its folder, and is still none of its processes.
	bystander := asOwner(t, data, "cat")
	stdin, err := bystander.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := bystander.Start(); err != nil {
		t.Fatal(err)
	}
	for _, first := range []string{strconv.Itoa(bystander.Process.Pid), strconv.Itoa(os.Getpid()), "", "torn"} {
		s := acquire(t, embedded.Options{Dir: dir, Settings: small})
		killBoth(t, s.State)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(data, "postmaster.pid")
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(b), "\n")
		if first != "" {
			rest = first + "\n" + rest
		} else {
			rest = ""
		}
		if err := os.WriteFile(file, []byte(rest), 0o600); err != nil {
			t.Fatal(err)
		}
		wantKept(t, dir)
		if err := acquire(t, embedded.Options{Dir: dir}).Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := stdin.Close(); err != nil {
		t.Fatal(err)
	}
	if err := bystander.Wait(); err != nil { // it ended because we let it, not by a signal
		t.Errorf("the bystander: %v", err)
	}
}

func TestServerStartedByHandIsLeftAlone(t *testing.T) {
	t.Parallel()
	dir, was := made(t)
	data := filepath.Join(dir, "data")
	byHand := asOwner(t, data, filepath.Join(was.BinDir, "postgres"), "-D", data, "-c", "listen_addresses=", "-c", "unix_socket_directories="+data)
	stderr, err := byHand.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := byHand.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	started := make(chan bool, 1)
	go func() {
		for in := bufio.NewScanner(stderr); in.Scan(); {
			if strings.Contains(in.Text(), "ready to accept connections") {
				started <- true
			}
		}
		ended <- byHand.Wait()
	}()
	<-started
	_, err = embedded.Acquire(t.Context(), embedded.Options{Dir: dir})
	if err == nil || !strings.Contains(err.Error(), strconv.Itoa(byHand.Process.Pid)) {
		t.Errorf("acquire: %v", err)
	}
	if err := byHand.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Errorf("the server that was started by hand: %v", err)
	}
	wantKept(t, dir)
}

func TestEphemeralServerLeavesNothing(t *testing.T) {
	t.Parallel()
	for _, victim := range []string{"user", "user at the start", "postgres", "supervisor"} {
		t.Run(victim, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(room(t), "x")
			w := startWorker(t, dir, ephemeralEnv+"=1")
			if victim == "user at the start" {
				eventually(t, "initdb has begun", func() bool { m, _ := filepath.Glob(dir + "/scratch.new.*"); return len(m) > 0 })
			} else {
				w.wait(t, "ack")
				st, err := embedded.Status(dir)
				if err != nil {
					t.Fatal(err)
				}
				switch victim {
				case "postgres":
					kill(t, st.Postgres)
				case "supervisor":
					kill(t, st.Supervisor)
				}
			}
			w.kill()
			if victim == "postgres" || victim == "supervisor" { // the next run cleans up after them
				eventually(t, "no process is left", func() bool { return len(processes(t, dir)) == 0 })
				s := acquire(t, embedded.Options{Dir: dir, Ephemeral: true})
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
			}
			eventually(t, "no process is left", func() bool { return len(processes(t, dir)) == 0 })
			if _, err := os.Stat(dir); err == nil {
				t.Error("the directory is still there")
			}
		})
	}
}

func TestDirectoryThatTheServersUserMayNotEnter(t *testing.T) {
	t.Parallel()
	closed := t.TempDir() // mode 0700
	if err := os.Chmod(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(closed, "ledger")
	var said []string
	s := acquire(t, embedded.Options{Dir: dir, Settings: small, Say: func(line string) { said = append(said, line) }})
	inPlace := strings.HasSuffix(s.Dir, "/ledger")
	if root := os.Geteuid() == 0; root == inPlace || root != (len(said) == 1) {
		t.Errorf("as user %d it is in %s, and said %q", os.Geteuid(), s.Dir, said)
	}
	if !inPlace {
		t.Cleanup(func() {
			_ = os.RemoveAll(s.Dir)
			_ = os.Remove(filepath.Dir(s.Dir)) // stays if other ledgers are there
		})
		if !strings.Contains(said[0], s.Dir) {
			t.Errorf("it said %q", said)
		}
	}
	execute(t, s.URL("postgres"), "CREATE TABLE kept AS SELECT 42 AS n")
	if st, err := embedded.Status(dir); err != nil || st.Postgres != s.Postgres {
		t.Errorf("status: %+v, %v", st, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := embedded.Release(context.WithoutCancel(t.Context()), dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(closed, 0o755); err != nil { // the ledger stays where it is
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Dir(closed), 0o755); err != nil {
		t.Fatal(err)
	}
	again := acquire(t, embedded.Options{Dir: dir, Settings: small})
	if n := one[int](t, again.URL("postgres"), "SELECT n FROM kept"); n != 42 {
		t.Errorf("kept %d", n)
	}
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
	if err := embedded.Release(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
}
