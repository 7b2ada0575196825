//go:build linux || darwin

package embedded

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// pidFile is PostgreSQL's own. Its first line is the process id (PostgreSQL's
// LOCK_FILE_LINE_PID), its eighth the status, "ready" in the end.
const pidFile = "postmaster.pid"

// stopPatience is how long a server may take to write its last checkpoint before it
// is stopped without one, which recovery makes good.
const stopPatience = 20 * time.Second

// postmaster is a PostgreSQL server that is our child.
type postmaster struct {
	state  State
	cmd    *exec.Cmd
	exited chan error // one value, when it has ended
}

// launch settles what a dead predecessor left and runs the server until it is ready.
func launch(ctx context.Context, c charge) (*postmaster, error) {
	cred, err := serverUser(c.Dir)
	if err != nil {
		return nil, err
	}
	for _, dir := range []string{c.Dir, c.BinDir} {
		if closed := barrier(dir, cred); closed != "" {
			return nil, fmt.Errorf("PostgreSQL runs as user id %d, which may not enter %s", cred.Uid, closed)
		}
	}
	const tries = 4
	for try := 1; ; try++ {
		if err := settle(ctx, c.dataDir()); err != nil {
			return nil, err
		}
		pg, err := run(ctx, c, cred)
		if err == nil || try == tries || ctx.Err() != nil {
			return pg, err
		}
		log.Printf("supervisor: start %d of %d: %v", try, tries, err) // a port that was just taken, a process that still dies
		if err := pause(ctx, time.Duration(try)*200*time.Millisecond); err != nil {
			return nil, err
		}
	}
}

// run starts the server and waits until it takes connections, which after a crash
// takes as long as recovery does.
func run(ctx context.Context, c charge, cred *syscall.Credential) (*postmaster, error) {
	pg := &postmaster{exited: make(chan error, 1), state: State{Dir: c.Dir, Version: c.Version, BinDir: c.BinDir, Ephemeral: c.Ephemeral}}
	args, err := pg.settings(c, cred)
	if err != nil {
		return nil, err
	}
	data := c.dataDir()
	pg.cmd = exec.Command(filepath.Join(c.BinDir, "postgres"), append([]string{"-D", data}, args...)...)
	pg.cmd.Dir, pg.cmd.Env = "/", serverEnv()
	pg.cmd.Stdout, pg.cmd.Stderr = os.Stderr, os.Stderr // the log
	atOurDeath := syscall.SIGINT
	if c.Ephemeral {
		atOurDeath = syscall.SIGQUIT
	}
	pg.cmd.SysProcAttr = childAttr(cred, atOurDeath)
	logged := logSize(c.Dir)
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // the signal at our death is one at the death of this thread, which Wait keeps
		err := pg.cmd.Start()
		started <- err
		if err == nil {
			pg.exited <- pg.cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start postgres: %w", err)
	}
	pg.state.Postgres = pg.cmd.Process.Pid
	for !isReady(data, pg.state.Postgres) {
		select {
		case err := <-pg.exited:
			return nil, fmt.Errorf("postgres ended at its start: %w\n%s", orNothing(err), complaints(c.Dir, logged))
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), pg.stop())
		case <-time.After(5 * time.Millisecond):
		}
	}
	return pg, nil
}

func isReady(data string, pid int) bool {
	b, err := os.ReadFile(filepath.Join(data, pidFile))
	if err != nil {
		return false
	}
	lines := strings.Split(string(b), "\n")
	return len(lines) > 7 && lines[0] == strconv.Itoa(pid) && strings.TrimSpace(lines[7]) == "ready"
}

// settings are the server's arguments. Later ones win over earlier ones, and all of
// them over the files in the cluster.
func (pg *postmaster) settings(c charge, cred *syscall.Credential) ([]string, error) {
	first := []string{
		"timezone=UTC", "log_timezone=UTC", "log_checkpoints=off",
		"log_min_error_statement=panic", "log_error_verbosity=terse",
	} // statements and details may hold private content
	last := []string{"cluster_name=" + mark(c.dataDir())}
	if c.Ephemeral {
		sock := filepath.Join(c.Dir, socketFolder)
		if err := os.MkdirAll(sock, 0o700); err != nil {
			return nil, err
		}
		if err := give(sock, cred); err != nil {
			return nil, err
		}
		pg.state.Host, pg.state.Port = sock, 5432 // no port: the number is part of the socket's name
		first = append(first, "max_connections=500", "wal_level=minimal", "max_wal_senders=0", "max_wal_size=256MB", "autovacuum=off")
		last = append(last, "fsync=off", "full_page_writes=off", "synchronous_commit=off",
			"listen_addresses=", `unix_socket_directories="`+strings.ReplaceAll(sock, `"`, `""`)+`"`,
			"dynamic_shared_memory_type=mmap") // inside the cluster, so that even kill -9 leaves nothing elsewhere
	} else {
		secret, err := os.ReadFile(filepath.Join(c.Dir, passwordFile))
		if err != nil {
			return nil, fmt.Errorf("the superuser's password: %w", err)
		}
		pg.state.Host, pg.state.Password = "127.0.0.1", string(secret)
		if pg.state.Port, err = freePort(filepath.Join(c.Dir, "port")); err != nil {
			return nil, err
		}
		last = append(last, "fsync=on", "full_page_writes=on", "synchronous_commit=on",
			"listen_addresses="+pg.state.Host, "unix_socket_directories=")
	}
	last = append(last, "port="+strconv.Itoa(pg.state.Port))
	var args []string
	for _, setting := range slices.Concat(first, c.Settings, last) {
		args = append(args, "-c", setting)
	}
	return args, nil
}

// freePort is last time's port if it is free, so that a URL stays true; else any.
func freePort(file string) (int, error) {
	b, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, err
	}
	last, err := strconv.ParseUint(string(b), 10, 16)
	if err != nil {
		last = 0 // none, or a torn file
	}
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.FormatUint(last, 10)))
	if err != nil {
		l, err = net.Listen("tcp", "127.0.0.1:0")
	}
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	_, text, err := net.SplitHostPort(l.Addr().String())
	if err := errors.Join(err, l.Close()); err != nil {
		return 0, err
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		return 0, err
	}
	return port, os.WriteFile(file, []byte(text), 0o600)
}

// stop ends the server with a last checkpoint; an ephemeral one without.
func (pg *postmaster) stop() error {
	how := syscall.SIGINT
	if pg.state.Ephemeral {
		how = syscall.SIGQUIT
	}
	_ = pg.cmd.Process.Signal(how) // it may have ended already
	select {
	case err := <-pg.exited:
		if pg.state.Ephemeral {
			return nil // its exit status is 2 by design
		}
		return err
	case <-time.After(stopPatience):
		_ = pg.cmd.Process.Signal(syscall.SIGQUIT)
		return <-pg.exited
	}
}

func logSize(dir string) int64 {
	st, err := os.Stat(filepath.Join(dir, logFile))
	if err != nil {
		return 0
	}
	return st.Size()
}

// complaints are the reasons for not starting that the log names from an offset on.
func complaints(dir string, from int64) string {
	f, err := os.Open(filepath.Join(dir, logFile))
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }()
	b, err := io.ReadAll(io.NewSectionReader(f, from, 64<<10))
	if err != nil {
		return ""
	}
	var out []string
	for line := range strings.Lines(string(b)) {
		for _, word := range []string{"FATAL:", "PANIC:", "DETAIL:", "HINT:", "rror while loading"} {
			if strings.Contains(line, word) {
				out = append(out, strings.TrimSpace(line))
				break
			}
		}
	}
	return strings.Join(out, "\n")
}
