package pgtest

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"deltaledger/ledger/pg/embedded"
)

// urlEnv names a superuser's URL of a server to use instead of one of our own.
const urlEnv = "DELTALEDGER_TEST_DATABASE_URL"

// cluster is the server that this process's tests share.
type cluster struct {
	state    embedded.State
	lease    *embedded.Server // nil for a server that the environment named
	given    string           // the URL that the environment named, or ""
	admin    *pgxpool.Pool    // makes and drops databases
	hold     *pgx.Conn        // its locks say which databases are in use; open as long as the process
	token    string           // in the names of this process's databases
	strategy string           // how databases are cloned
	template func() (string, error)
}

// server is one for each process: its lease ends with the process, not with a test.
var server = sync.OnceValues(func() (*cluster, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	c := &cluster{given: os.Getenv(urlEnv), token: strings.ToLower(rand.Text()[:12])}
	if err := c.connect(ctx); err != nil {
		if c.lease != nil {
			_ = c.lease.Close() // so that a failed run doesn't keep the server
		}
		return nil, err
	}
	c.template = sync.OnceValues(c.migrated)
	return c, nil
})

func (c *cluster) connect(ctx context.Context) error {
	if c.given == "" {
		if err := c.start(ctx); err != nil {
			return fmt.Errorf("%w (or set %s to a server that tests may use)", err, urlEnv)
		}
	}
	adminURL := c.given
	if adminURL == "" {
		adminURL = c.state.URL("postgres")
	}
	cfg, err := pgxpool.ParseConfig(adminURL)
	if err != nil {
		return fmt.Errorf("read %s: %w", urlEnv, err)
	}
	cfg.MaxConns = 4
	if c.hold, err = pgx.ConnectConfig(ctx, cfg.ConnConfig); err != nil {
		return err
	}
	if c.given != "" {
		c.state = embedded.State{
			Host: cfg.ConnConfig.Host, Port: int(cfg.ConnConfig.Port), Password: cfg.ConnConfig.Password,
			Version: c.hold.PgConn().ParameterStatus("server_version"),
		}
	}
	if c.admin, err = pgxpool.NewWithConfig(ctx, cfg); err != nil {
		return err
	}
	if _, err := c.hold.Exec(ctx, sqlHold, lockClass, testPrefix+c.token); err != nil {
		return fmt.Errorf("mark this process's databases: %w", err)
	}
	return nil
}

// start shares the checkout's own server.
func (c *cluster) start(ctx context.Context) (err error) {
	dir, err := serverDir()
	if err != nil {
		return err
	}
	c.lease, err = embedded.Acquire(ctx, embedded.Options{
		Dir: dir, Ephemeral: true,
		Linger: 15 * time.Second, WaitFor: os.Getppid(), // "go test", which may still be compiling the next package
		Say: func(line string) { fmt.Fprintln(os.Stderr, "pgtest:", line) },
	})
	if err != nil {
		return err
	}
	c.state = c.lease.State
	c.strategy = " STRATEGY file_copy" // quicker than the default by far where nothing is synced
	return nil
}

// url is that of a database, for a role. On a server of our own every role logs in;
// on another one the superuser takes the role, because its password isn't ours to set.
func (c *cluster) url(role embedded.Role, database string) string {
	if c.given == "" {
		return c.state.RoleURL(role, database)
	}
	u, err := url.Parse(c.given)
	if err != nil || u.Scheme == "" { // the form "host=… dbname=…", in which the last word counts
		words := c.given + " dbname=" + database
		if role != embedded.Superuser {
			words += " role=" + role.User()
		}
		return words
	}
	u.Path = "/" + database
	if role != embedded.Superuser {
		q := u.Query()
		q.Set("role", role.User())
		u.RawQuery = q.Encode()
	}
	return u.String()
}

// serverDir is one for each user and checkout.
func serverDir() (string, error) {
	root, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for d := root; d != filepath.Dir(d); d = filepath.Dir(d) {
		if _, err := os.Stat(filepath.Join(d, "go.mod")); err == nil {
			root = d
			break
		}
	}
	if root, err = filepath.EvalSymlinks(root); err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(root))
	return filepath.Join(base(), fmt.Sprintf("deltaledger-test-%d-%x", os.Geteuid(), sum[:4])), nil
}
