//go:build linux || darwin

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"

	"deltaledger/ledger/pg/embedded"
)

// programEnv makes the test binary the program itself, so that the tests drive it from outside and no
// build of its own is needed.
const programEnv = "DELTALEDGER_TEST_PROGRAM"

func TestMain(m *testing.M) {
	embedded.Supervise()
	if os.Getenv(programEnv) != "" {
		main()
	}
	os.Exit(m.Run())
}

// maker is who the commands think calls them.
const maker = "jane"

// program is the command line on one ledger.
type program struct {
	t    testing.TB
	dir  string   // working directory of the commands; the data directory is in it
	args []string // of every command, after its own
	env  []string // besides what every command gets
}

// newProgram is the program on a new data directory. What ran there is stopped at the end.
func newProgram(t testing.TB) *program {
	t.Helper()
	p := &program{t: t, dir: room(t)}
	p.args = []string{"--data-dir", filepath.Join(p.dir, "data")}
	t.Cleanup(func() {
		if r := p.run("db", "stop"); r.code != exitDone {
			t.Errorf("db stop: %s", r.stderr)
		}
	})
	return p
}

// on is the same program for a subtest.
func (p *program) on(t testing.TB) *program {
	sub := *p
	sub.t = t
	return &sub
}

// room is a directory that PostgreSQL's user may enter: in memory where there is much of it, because what
// is killed here are processes, and they leave what they wrote there as well as on a disk.
func room(t testing.TB) string {
	t.Helper()
	const memory, enough = "/dev/shm", 6 << 30
	base := ""
	var fs syscall.Statfs_t
	if err := syscall.Statfs(memory, &fs); err == nil && fs.Bavail*uint64(fs.Bsize) >= enough {
		base = memory
	}
	dir, err := os.MkdirTemp(base, "deltaledger-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil { // also for another user
		t.Fatal(err)
	}
	return dir
}

// result is what a command left behind.
type result struct {
	stdout, stderr string
	code           int
}

// command prepares a command without starting it.
func (p *program) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, os.Args[0], slices.Concat(args, p.args)...)
	cmd.Dir = p.dir
	for _, v := range os.Environ() {
		name, _, _ := strings.Cut(v, "=")
		if name != "DATABASE_URL" && name != "USER" && (!strings.HasPrefix(name, "DELTALEDGER_") || name == embedded.BinEnv) {
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.Env = append(cmd.Env, append(p.env, programEnv+"=1", "USER="+maker,
		"GORACE=atexit_sleep_ms=0")...) // else every command of a program built with -race would end a second late
	return cmd
}

// run runs a command to its end.
func (p *program) run(args ...string) result { return p.feed(nil, args...) }

// feed runs a command on standard input.
func (p *program) feed(in io.Reader, args ...string) result {
	p.t.Helper()
	cmd := p.command(context.Background(), args...) // the test's context ends before its clean-up
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, &out, &errs
	err := cmd.Run()
	if _, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		p.t.Fatalf("%s: %v", strings.Join(args, " "), err)
	}
	return result{out.String(), errs.String(), cmd.ProcessState.ExitCode()}
}

// must runs a command that has to succeed and returns its result.
func (p *program) must(args ...string) string {
	p.t.Helper()
	r := p.run(args...)
	if r.code != exitDone {
		p.t.Fatalf("%s: exit code %d\n%s%s", strings.Join(args, " "), r.code, r.stdout, r.stderr)
	}
	return r.stdout
}

// into runs a command that has to succeed and reads its JSON.
func (p *program) into(v any, args ...string) {
	p.t.Helper()
	p.must(args...) // the other forms must work too, wherever the JSON does
	document(p.t, p.must(append(args, "--output", "json")...), v)
}

// ask is into for commands that change something, and so run once.
func (p *program) ask(v any, args ...string) {
	p.t.Helper()
	document(p.t, p.must(append(args, "--output", "json")...), v)
}

// document reads text that must be exactly one JSON document.
func document(t testing.TB, text string, v any) {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(text))
	if err := dec.Decode(v); err != nil {
		t.Fatalf("standard output isn't the JSON that it should be: %v\n%s", err, text)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		t.Fatalf("standard output is more than one JSON document:\n%s", text)
	}
}

// file writes a file into the working directory and returns its path.
func (p *program) file(name, content string) string {
	p.t.Helper()
	path := filepath.Join(p.dir, name)
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		p.t.Fatal(err)
	}
	return path
}

// connect opens a connection to the ledger's database as a role, and keeps the server up for the test.
func (p *program) connect(role embedded.Role) *pgx.Conn {
	p.t.Helper()
	p.must("db", "start")
	url := strings.TrimSpace(p.must("db", "url", "--role", string(role)))
	conn, err := pgx.Connect(context.Background(), url)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

// one runs a query that returns one value.
func one[T any](t testing.TB, conn *pgx.Conn, query string, args ...any) (v T) {
	t.Helper()
	if err := conn.QueryRow(context.Background(), query, args...).Scan(&v); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return v
}

// summary is the result of ingest.
type summary struct {
	Recorded, Duplicate, Conflict, Invalid, Refused, Watermark int64
}
