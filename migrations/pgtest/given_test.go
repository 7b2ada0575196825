//go:build linux || darwin

package pgtest_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"

	"deltaledger/ledger/pg/embedded"
)

// The tests above run once more on a server that the environment names, in both forms of
// its address; what killed tests and older migrations left there goes.
func TestServerThatTheEnvironmentNames(t *testing.T) {
	t.Parallel()
	base, err := os.MkdirTemp("", "dl-")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(base, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(base) })
	// A durable one: it asks for a password, as such a server does.
	dir := filepath.Join(base, "x")
	s, err := embedded.Acquire(t.Context(), embedded.Options{Dir: dir, Settings: []string{"max_connections=200"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = s.Close()
		if err := embedded.Release(context.WithoutCancel(t.Context()), dir); err != nil {
			t.Error(err)
		}
	})
	pool, err := pgxpool.New(t.Context(), s.URL("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	for _, statement := range []string{"CREATE DATABASE deltaledger_test_killed_1", "CREATE DATABASE deltaledger_template_old IS_TEMPLATE true"} {
		if _, err := pool.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	words := fmt.Sprintf("host=%s port=%d user=postgres password=%s dbname=postgres sslmode=disable", s.Host, s.Port, s.Password)
	for _, address := range []string{s.URL("postgres"), words} {
		cmd := exec.Command(os.Args[0], "-test.run", "OwnMigrated|EveryConnection|Empty|ServerTells|GoesWith")
		cmd.Env = append(os.Environ(), "DELTALEDGER_TEST_DATABASE_URL="+address)
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "PASS") {
			t.Fatalf("%v\n%s", err, out)
		}
		if n := one[int](t, pool, "SELECT count(*) FROM pg_database WHERE datname LIKE 'deltaledger_test%' OR datname = 'deltaledger_template_old'"); n != 0 {
			t.Errorf("%d databases are left", n)
		}
		if n := one[int](t, pool, "SELECT count(*) FROM pg_database WHERE datname LIKE 'deltaledger_template%'"); n != 1 {
			t.Errorf("%d templates", n)
		}
	}
}
