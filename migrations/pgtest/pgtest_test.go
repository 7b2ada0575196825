package pgtest_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"deltaledger/ledger/pg/embedded"
	"deltaledger/migrations/pgtest"
)

func TestEachTestHasItsOwnMigratedDatabase(t *testing.T) {
	t.Parallel()
	a, b := pgtest.New(t), pgtest.New(t)
	if a.URL == b.URL {
		t.Fatalf("both have %s", a.URL)
	}
	if _, err := a.Super.Exec(t.Context(), "CREATE TABLE public.only_here ()"); err != nil {
		t.Fatal(err)
	}
	if n := one[int](t, b.Super, "SELECT count(*) FROM pg_tables WHERE tablename = 'only_here'"); n != 0 {
		t.Error("the table is in both")
	}
	for _, db := range []*pgtest.DB{a, b} {
		if n := one[int](t, db.Super, "SELECT count(*) FROM pg_tables WHERE schemaname = 'ledger' AND tablename = 'events'"); n != 1 {
			t.Error("the migrations didn't run")
		}
	}
}

func TestEveryConnectionIsItsRoles(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	if got := one[string](t, db.Super, "SELECT rolsuper::text FROM pg_roles WHERE rolname = current_user"); got != "true" {
		t.Errorf("Super is no superuser")
	}
	for role, url := range map[embedded.Role]string{
		embedded.App: db.AppURL, embedded.Owner: db.OwnerURL,
		embedded.Reader: db.RoleURL(embedded.Reader), embedded.Private: db.RoleURL(embedded.Private),
	} {
		conn, err := pgx.Connect(t.Context(), url)
		if err != nil {
			t.Fatal(err)
		}
		var user string
		if err := conn.QueryRow(t.Context(), "SELECT current_user").Scan(&user); err != nil || user != role.User() {
			t.Errorf("%s: %s, %v", role, user, err)
		}
		_ = conn.Close(context.WithoutCancel(t.Context()))
	}
	// A dozen at once, so that they are different connections.
	var all sync.WaitGroup
	here := make(chan struct{}, 12)
	for range 12 {
		all.Go(func() {
			conn, err := db.App.Acquire(t.Context())
			if err != nil {
				t.Error(err)
				here <- struct{}{}
				return
			}
			defer conn.Release()
			var user string
			if err := conn.QueryRow(t.Context(), "SELECT current_user").Scan(&user); err != nil || user != "deltaledger_app" {
				t.Errorf("%s, %v", user, err)
			}
			here <- struct{}{}
			for len(here) < 12 {
				if t.Context().Err() != nil {
					return
				}
				time.Sleep(time.Millisecond) // until all twelve have one
			}
		})
	}
	all.Wait()
}

func TestEmptyHasNothingOfTheLedger(t *testing.T) {
	t.Parallel()
	db := pgtest.Empty(t)
	if n := one[int](t, db.Super, "SELECT count(*) FROM pg_namespace WHERE nspname IN ('ledger', 'billing')"); n != 0 {
		t.Error("it has the ledger's schemas")
	}
}

func TestServerTellsWhereItIs(t *testing.T) {
	t.Parallel()
	st := pgtest.Server(t)
	if st.Host == "" || st.Port == 0 || st.Version == "" {
		t.Errorf("%+v", st)
	}
}

func TestDatabaseGoesWithItsTest(t *testing.T) {
	t.Parallel()
	other := pgtest.New(t)
	var name string
	t.Run("inner", func(t *testing.T) {
		name = one[string](t, pgtest.New(t).Super, "SELECT current_database()")
	})
	if n := one[int](t, other.Super, "SELECT count(*) FROM pg_database WHERE datname = $1", name); n != 0 {
		t.Errorf("%s is still there", name)
	}
}

func one[T any](t testing.TB, pool *pgxpool.Pool, query string, args ...any) (v T) {
	t.Helper()
	if err := pool.QueryRow(t.Context(), query, args...).Scan(&v); err != nil {
		t.Fatal(err)
	}
	return v
}
