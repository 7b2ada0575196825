package pgtest

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"deltaledger/ledger/pg/embedded"
)

// A test binary is started a second time, as the supervisor of the shared server. That
// must branch off before any test runs, and without this init, the only one of the
// module, every package with a database test would need the same TestMain.
func init() { embedded.Supervise() }

// appConns is the size of DB.App: enough for tests that race a dozen writers.
const appConns = 16

// DB is a test's own database.
type DB struct {
	URL      string        // as superuser
	AppURL   string        // as deltaledger_app
	OwnerURL string        // as deltaledger_owner
	App      *pgxpool.Pool // every connection is deltaledger_app's; up to 16
	Super    *pgxpool.Pool // every connection is a superuser's; up to 4

	name string
	c    *cluster
}

// RoleURL is the database's URL for any of the ledger's roles.
func (db *DB) RoleURL(role embedded.Role) string { return db.c.url(role, db.name) }

// New gives t a migrated database. It goes, with its connections, when t ends.
func New(t testing.TB) *DB {
	t.Helper()
	c := shared(t)
	template, err := c.template()
	if err != nil {
		t.Fatalf("pgtest: make the template: %v", err)
	}
	db := create(t, c, template)
	db.App = pool(t, db.AppURL, appConns)
	return db
}

// Empty gives t a database without any of the ledger in it, for tests of the
// migrations themselves. App is nil, because the role may not exist yet.
func Empty(t testing.TB) *DB {
	t.Helper()
	return create(t, shared(t), "template0")
}

// Server tells where the shared server is, for tests that need more of it than a
// database. Others use it at the same time: don't stop or change it. Of a server that
// the environment named, Dir and the process ids aren't known.
func Server(t testing.TB) embedded.State {
	t.Helper()
	return shared(t).state
}

func shared(t testing.TB) *cluster {
	t.Helper()
	c, err := server()
	if err != nil {
		t.Fatalf("pgtest: no server: %v", err)
	}
	return c
}

// count numbers the databases of this process.
var count atomic.Int64

func create(t testing.TB, c *cluster, template string) *DB {
	t.Helper()
	ctx := context.Background() // t.Context ends before the clean-up does
	name := fmt.Sprintf("%s%s_%d", testPrefix, c.token, count.Add(1))
	if _, err := c.admin.Exec(ctx, "CREATE DATABASE "+name+" TEMPLATE "+template+c.strategy); err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	t.Cleanup(func() {
		if _, err := c.admin.Exec(ctx, "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			t.Errorf("pgtest: %v", err)
		}
	})
	db := &DB{name: name, c: c}
	db.URL, db.AppURL, db.OwnerURL = db.RoleURL(embedded.Superuser), db.RoleURL(embedded.App), db.RoleURL(embedded.Owner)
	db.Super = pool(t, db.URL, 4)
	return db
}

// pool connects when it is used, and is closed when t ends.
func pool(t testing.TB, url string, conns int32) *pgxpool.Pool {
	t.Helper()
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	cfg.MaxConns = conns
	p, err := pgxpool.NewWithConfig(context.Background(), cfg)
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	t.Cleanup(func() {
		done := make(chan struct{})
		go func() { p.Close(); close(done) }() // waits for connections in use
		select {
		case <-done:
		case <-time.After(10 * time.Second):
			t.Errorf("pgtest: the test ended with %d connections in use: close rows, and release what it acquired", p.Stat().AcquiredConns())
		}
	})
	return p
}
