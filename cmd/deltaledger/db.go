package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"time"

	"deltaledger/ledger/pg/embedded"
)

type dbCmd struct {
	Start  dbStartCmd  `cmd:"" help:"Start the private PostgreSQL and keep it up until it is stopped."`
	Stop   dbStopCmd   `cmd:"" help:"Let the private PostgreSQL stop, and wait until it has."`
	Status dbStatusCmd `cmd:"" help:"Tell whether the private PostgreSQL runs, and where."`
	URL    dbURLCmd    `cmd:"" name:"url" help:"Print the connection URL of the ledger's database, password included."`
	Psql   dbPsqlCmd   `cmd:"" help:"Open psql, where it is installed, on the ledger's database."`
}

// private refuses where commands work on a database of the operator's, so that nobody looks at one ledger
// and works on another.
func (s *session) private() error {
	if s.DatabaseURL != "" {
		return usagef("a database URL is given, so the private PostgreSQL isn't used: unset DATABASE_URL, or name the directory with --data-dir")
	}
	return nil
}

// dbStatus is the state of the private server, without its password.
type dbStatus struct {
	Running    bool   `json:"running"`
	Dir        string `json:"dir"`
	Host       string `json:"host,omitempty"`
	Port       int    `json:"port,omitempty"`
	Version    string `json:"version,omitempty"`
	Postgres   int    `json:"postgres_pid,omitempty"`
	Supervisor int    `json:"supervisor_pid,omitempty"`
}

func (s *session) showStatus(st embedded.State, running bool) error {
	d := dbStatus{Dir: s.DataDir}
	if running {
		d = dbStatus{true, st.Dir, st.Host, st.Port, st.Version, st.Postgres, st.Supervisor}
	}
	t := table{columns: []column{text("running"), text("dir"), text("host"), number("port"), text("version"), number("postgres_pid"), number("supervisor_pid")}}
	t.add(strconv.FormatBool(d.Running), d.Dir, d.Host, orEmpty(d.Port), d.Version, orEmpty(d.Postgres), orEmpty(d.Supervisor))
	return s.show(d, t)
}

func orEmpty(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

type dbStartCmd struct{}

// Run starts the server and makes the ledger, so that the roles can log in.
func (dbStartCmd) Run(ctx context.Context, s *session) error {
	if err := s.private(); err != nil {
		return err
	}
	server, err := openServer(ctx, s, nil)
	if err != nil {
		return err
	}
	if err := errors.Join(server.Keep(), server.Close()); err != nil {
		return err
	}
	return s.showStatus(server.State, true)
}

type dbStopCmd struct {
	Wait time.Duration `default:"1m" help:"How long to wait for other commands that use it (${default})."`
}

// Run lets go of the server.
func (c *dbStopCmd) Run(ctx context.Context, s *session) error {
	ctx, cancel := context.WithTimeout(ctx, c.Wait)
	defer cancel()
	err := embedded.Release(ctx, s.DataDir)
	if errors.Is(err, embedded.ErrInUse) {
		return fmt.Errorf("%w: it stops after the last of them", err)
	}
	if err != nil {
		return err
	}
	return s.showStatus(embedded.State{}, false)
}

type dbStatusCmd struct{}

// Run tells about the server without starting it.
func (dbStatusCmd) Run(ctx context.Context, s *session) error {
	st, err := settledStatus(ctx, s.DataDir)
	if errors.Is(err, embedded.ErrNotRunning) {
		return s.showStatus(st, false)
	}
	if err != nil {
		return err
	}
	return s.showStatus(st, true)
}

// settledStatus gives a server that is starting or stopping a moment to be through with it.
func settledStatus(ctx context.Context, dir string) (embedded.State, error) {
	for try := 0; ; try++ {
		st, err := embedded.Status(dir)
		if err == nil || errors.Is(err, embedded.ErrNotRunning) || errors.Is(err, embedded.ErrUnsupported) || try == 50 {
			return st, err
		}
		select {
		case <-ctx.Done():
			return st, ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

type dbURLCmd struct {
	Role string `default:"superuser" enum:"superuser,owner,app,reader,private" help:"Whose URL: superuser, owner, app, reader or private (${default})."`
}

// Run prints the URL. The URL works while the server runs.
func (c *dbURLCmd) Run(ctx context.Context, s *session) error {
	if err := s.private(); err != nil {
		return err
	}
	server, err := openServer(ctx, s, nil)
	if err != nil {
		return err
	}
	if err := server.Close(); err != nil {
		return err
	}
	url := server.RoleURL(embedded.Role(c.Role), database)
	if isTerminal(s.std.out) {
		s.say("it works while the server runs: `deltaledger db start` keeps it up")
	}
	if s.Output == outputTable { // one line that a shell can take as it is
		_, err := fmt.Fprintln(s.out, url)
		return err
	}
	t := table{columns: []column{text("url")}}
	t.add(url)
	return s.show(struct {
		URL string `json:"url"`
	}{url}, t)
}

type dbPsqlCmd struct {
	Role string   `default:"reader" enum:"superuser,owner,app,reader,private" help:"As whom: superuser, owner, app, reader or private (${default})."`
	Args []string `arg:"" optional:"" passthrough:"partial" help:"Arguments of psql, after --, such as -- -c 'SELECT 1'."`
}

// Run opens psql, and holds the server as long as that lasts.
func (c *dbPsqlCmd) Run(ctx context.Context, s *session) error {
	if err := s.private(); err != nil {
		return err
	}
	program, err := exec.LookPath("psql")
	if err != nil {
		return errors.New("psql isn't installed: install PostgreSQL's client programs (postgresql-client on Debian), or use another client with the URL that `deltaledger db url` prints while `deltaledger db start` keeps the server up")
	}
	server, err := openServer(ctx, s, nil)
	if err != nil {
		return err
	}
	// The URL is handed over in the environment: arguments can be read by everybody on the machine.
	cmd := exec.CommandContext(ctx, program, c.args()...)
	cmd.Env = append(os.Environ(), psqlEnv(server.State, embedded.Role(c.Role))...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = s.std.in, s.std.out, s.std.err
	err = cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		s.warn("psql ended with code %d", exit.ExitCode())
		err = errShown
	}
	return errors.Join(err, server.Close())
}

// args are what follows the -- that ends our own flags.
func (c *dbPsqlCmd) args() []string {
	if len(c.Args) > 0 && c.Args[0] == "--" {
		return c.Args[1:]
	}
	return c.Args
}

func psqlEnv(st embedded.State, role embedded.Role) []string {
	return []string{
		"PGHOST=" + st.Host, "PGPORT=" + strconv.Itoa(st.Port), "PGUSER=" + role.User(),
		"PGPASSWORD=" + st.Password, "PGDATABASE=" + database, "PGSSLMODE=disable",
	}
}
