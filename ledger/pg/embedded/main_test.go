//go:build linux || darwin

package embedded_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"deltaledger/ledger/pg/embedded"
)

// workerEnv makes the test binary a worker in the directory that it names.
const workerEnv = "DELTALEDGER_TEST_WORKER"

// ephemeralEnv makes the worker's server an ephemeral one.
const ephemeralEnv = "DELTALEDGER_TEST_EPHEMERAL"

func TestMain(m *testing.M) {
	embedded.Supervise()
	if dir := os.Getenv(workerEnv); dir != "" {
		if err := work(context.Background(), dir); err != nil {
			fmt.Println("failed:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// small keeps a durable test server's memory and start small.
var small = []string{"dynamic_shared_memory_type=mmap", "shared_buffers=8MB", "max_connections=30", "max_wal_size=64MB"}

const sqlRows = `
SELECT pg_advisory_lock(1);  -- two workers that make the table at once would collide in the catalogue
CREATE TABLE IF NOT EXISTS rows (worker text NOT NULL, n bigint NOT NULL);
SELECT pg_advisory_unlock(1)`

const sqlInsert = `INSERT INTO rows (worker, n) VALUES ($1, $2)`

// work stands for a command of the program: it uses the server until its standard
// input ends, inserts rows, and prints a line for each that was acknowledged.
func work(ctx context.Context, dir string) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s, err := embedded.Acquire(ctx, embedded.Options{Dir: dir, Ephemeral: os.Getenv(ephemeralEnv) != "", Settings: small})
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	if !s.Ephemeral {
		go func() { _ = s.Watch(ctx) }()
	}
	fmt.Println("joined", s.Postgres)
	me := strconv.Itoa(os.Getpid()) + "/" + strconv.FormatInt(time.Now().UnixNano(), 36)
	var conn *pgx.Conn
	for n := 1; ; n++ {
		if conn == nil {
			if conn, err = connect(ctx, s); err != nil {
				if ctx.Err() != nil {
					return nil
				}
				return err
			}
		}
		if _, err := conn.Exec(ctx, sqlInsert, me, n); err != nil {
			_ = conn.Close(context.WithoutCancel(ctx))
			conn = nil // this row may be there or not; it isn't tried again
			continue
		}
		fmt.Println("ack", me, n)
	}
}

// connect comes back to a server that is being started again.
func connect(ctx context.Context, s *embedded.Server) (*pgx.Conn, error) {
	for deadline := time.Now().Add(30 * time.Second); ; {
		conn, err := pgx.Connect(ctx, s.URL("postgres"))
		if err == nil {
			if _, err = conn.Exec(ctx, sqlRows); err == nil {
				return conn, nil
			}
			_ = conn.Close(context.WithoutCancel(ctx))
		}
		if ctx.Err() != nil || time.Now().After(deadline) {
			return nil, fmt.Errorf("come back: %w", err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// worker is a started worker process.
type worker struct {
	cmd   *exec.Cmd
	stdin io.Closer
	lines chan string // closed when the process has ended
}

func startWorker(t *testing.T, dir string, env ...string) *worker {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), append(env, workerEnv+"="+dir)...)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w := &worker{cmd: cmd, stdin: stdin, lines: make(chan string, 100_000)}
	go func() {
		for in := bufio.NewScanner(out); in.Scan(); {
			w.lines <- in.Text()
		}
		_ = cmd.Wait()
		close(w.lines)
	}()
	t.Cleanup(w.kill)
	return w
}

func (w *worker) kill() { _ = w.cmd.Process.Kill() }

// wait returns the rest of a line that begins with word.
func (w *worker) wait(t *testing.T, word string) string {
	t.Helper()
	for deadline := time.After(60 * time.Second); ; {
		select {
		case line, ok := <-w.lines:
			if rest, found := strings.CutPrefix(line, word); found {
				return strings.TrimSpace(rest)
			}
			if !ok || strings.HasPrefix(line, "failed") {
				t.Fatalf("worker ended instead of saying %q: %s", word, line)
			}
		case <-deadline:
			t.Fatalf("worker never said %q", word)
		}
	}
}

// memory is a folder in memory if there is one with room for a few clusters: what is
// killed here are processes, and they leave what they wrote there as well as on a disk.
func memory() string {
	const folder = "/dev/shm"
	var fs syscall.Statfs_t
	if err := syscall.Statfs(folder, &fs); err == nil && fs.Bavail*uint64(fs.Bsize) >= 1<<30 {
		return folder
	}
	return ""
}

// room is a directory to put servers in, which another user may enter. What ran in
// its folders is stopped at the end.
func room(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp(memory(), "dl-")
	if err != nil {
		t.Fatal(err)
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		eventually(t, "nothing runs in "+dir, func() bool { return len(processes(t, dir)) == 0 })
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func acquire(t *testing.T, o embedded.Options) *embedded.Server {
	t.Helper()
	s, err := embedded.Acquire(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// running is a process as ps shows it.
type running struct {
	pid     int
	command string
}

// processes are those that name dir in their command line.
func processes(t *testing.T, dir string) (found []running) {
	t.Helper()
	out, err := exec.Command("ps", "-axww", "-o", "pid=,command=").Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		number, command, _ := strings.Cut(strings.TrimSpace(line), " ")
		if pid, err := strconv.Atoi(number); err == nil && strings.Contains(command, dir) {
			found = append(found, running{pid, command})
		}
	}
	return found
}

func alive(pid int) bool { return !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) }

// eventually looks at what other processes do, which can't tell us when it is done.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !done(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("still not so: %s", what)
		}
	}
}

// one runs a query that returns one value.
func one[T any](t *testing.T, url, query string, args ...any) (v T) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	if err := conn.QueryRow(t.Context(), query, args...).Scan(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

func execute(t *testing.T, url, statement string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.WithoutCancel(t.Context()))
	if _, err := conn.Exec(t.Context(), statement); err != nil {
		t.Fatal(err)
	}
}

func kill(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}
