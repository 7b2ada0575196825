//go:build linux || darwin

package main

import (
	"bufio"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"deltaledger/ledger/pg/embedded"
	"deltaledger/migrations/pgtest"
)

// service is a started `serve`.
type service struct {
	cmd  *exec.Cmd
	url  string
	rest chan string // what it said after its address, once it has ended
}

// serve starts the program as a service on a free port.
func (p *program) serve() *service {
	p.t.Helper()
	s := &service{cmd: p.command(p.t.Context(), "serve", "--addr", "127.0.0.1:0"), rest: make(chan string, 1)}
	stderr, err := s.cmd.StderrPipe()
	if err != nil {
		p.t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	lines, said := bufio.NewReader(stderr), ""
	for {
		line, err := lines.ReadString('\n')
		if said += line; err != nil {
			p.t.Fatalf("the service ended before it listened: %v\n%s", err, said)
		}
		if _, after, found := strings.Cut(line, "listening on "); found {
			s.url, _, _ = strings.Cut(after, " ")
			break
		}
	}
	go func() { s.rest <- tail(lines) }() // ends with the service
	return s
}

// tail reads to the end and returns the end of it: a service under load for an hour logs gigabytes.
func tail(r io.Reader) string {
	const keep = 16 << 20
	var rest []byte
	for part := make([]byte, 64<<10); ; {
		n, err := r.Read(part)
		if rest = append(rest, part[:n]...); len(rest) > 2*keep {
			rest = rest[:copy(rest, rest[len(rest)-keep:])]
		}
		if err != nil {
			return string(rest)
		}
	}
}

// TestServe records over HTTP what the commands see, and ends politely.
func TestServe(t *testing.T) {
	t.Parallel()
	p := newProgram(t)
	s := p.serve()
	response, err := http.Post(s.url+"/v1/events", "text/csv", strings.NewReader(shopCSV))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	var sum summary
	document(t, string(body), &sum)
	if sum.Recorded != 5 {
		t.Errorf("status %d: %s", response.StatusCode, body)
	}
	var groups []group
	p.into(&groups, "aggregate", "--measure", "quantity")
	if len(groups) != 1 || groups[0].Count != 5 {
		t.Errorf("beside the service: %+v", groups)
	}
	for _, path := range []string{"/healthz", "/readyz", "/openapi.json"} {
		response, err := http.Get(s.url + path)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusOK {
			t.Errorf("%s: status %d", path, response.StatusCode)
		}
	}
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	rest := <-s.rest
	if err := s.cmd.Wait(); err != nil {
		t.Errorf("after SIGTERM: %v\n%s", err, rest)
	}
}

// TestDatabaseURL works on a database of the operator's: nothing is migrated by surprise, and sessions run
// as deltaledger_app whoever logs in.
func TestDatabaseURL(t *testing.T) {
	t.Parallel()
	pgtest.New(t) // the first database of a server lets the ledger's roles log in
	db := pgtest.Empty(t)
	p := &program{t: t, dir: room(t), env: []string{"DATABASE_URL=" + db.URL}}
	if r := p.run("events", "list"); r.code != exitFailed || !strings.Contains(r.stderr, "deltaledger migrate") || r.stdout != "" {
		t.Errorf("before migrate: %+v", r)
	}
	var m struct {
		Zone string `json:"reporting_zone"`
	}
	p.ask(&m, "migrate", "--zone", "Europe/London")
	if m.Zone != "Europe/London" {
		t.Errorf("migrated: %+v", m)
	}
	var sum summary
	p.ask(&sum, "ingest", p.file("shop.csv", shopCSV))
	if sum.Recorded != 5 {
		t.Errorf("ingest: %+v", sum)
	}
	for _, args := range []string{"db start", "db url", "db psql"} {
		if r := p.run(strings.Fields(args)...); r.code != exitUsage || !strings.Contains(r.stderr, "DATABASE_URL") {
			t.Errorf("%s: %+v", args, r)
		}
	}
	if r := p.run("events", "list", "--database-url", db.URL, "--data-dir", "x"); r.code != exitUsage {
		t.Errorf("two places for the ledger: %+v", r)
	}
	reader := &program{t: t, dir: p.dir, env: []string{"DATABASE_URL=" + db.RoleURL(embedded.Reader)}}
	if r := reader.run("events", "list"); r.code != exitFailed || !strings.Contains(r.stderr, "GRANT deltaledger_app") {
		t.Errorf("as a user who may not act as the app: %+v", r)
	}
	wrong := &program{t: t, dir: p.dir, env: []string{"DATABASE_URL=postgres://nobody:secret@127.0.0.1:1/x"}}
	if r := wrong.run("events", "list"); r.code != exitFailed || strings.Contains(r.stderr, "secret") || !strings.Contains(r.stderr, "gives no answer") {
		t.Errorf("a database that isn't there: %+v", r)
	}
}
