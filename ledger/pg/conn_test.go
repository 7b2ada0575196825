package pg_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"deltaledger/ledger/pg"
	"deltaledger/migrations/pgtest"
)

// proxy stands between a client and the server of db; cut breaks all connections without a word.
func proxy(t *testing.T, db *pgtest.DB) (url string, cut func()) {
	t.Helper()
	cfg := db.Super.Config().ConnConfig
	network, address := pgconn.NetworkAddress(cfg.Host, cfg.Port)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	var mu sync.Mutex
	var open []net.Conn
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial(network, address)
			if err != nil {
				_ = client.Close()
				continue
			}
			mu.Lock()
			open = append(open, client, server)
			mu.Unlock()
			for _, way := range [][2]net.Conn{{server, client}, {client, server}} {
				go func() { _, _ = io.Copy(way[0], way[1]) }() // until either is cut
			}
		}
	}()
	cut = func() {
		mu.Lock()
		defer mu.Unlock()
		for _, c := range open {
			_ = c.Close()
		}
	}
	t.Cleanup(cut)
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	url = fmt.Sprintf("host=127.0.0.1 port=%s user=%s password='%s' dbname=%s sslmode=disable",
		port, cfg.User, cfg.Password, cfg.Database)
	return url, cut
}

// A server that is killed says nothing. It must not look as if the client of a request had broken off.
func TestConnectionThatBreaks(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	url, cut := proxy(t, db)
	pool, err := pg.Open(t.Context(), url, pg.Options{Role: pg.App, Name: "cut"})
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	failed := make(chan error)
	go func() {
		_, err := pool.Exec(context.Background(), "SELECT pg_sleep(60)")
		failed <- err
	}()
	for running := false; !running; {
		if err := db.Super.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM pg_stat_activity
			WHERE application_name = 'cut' AND query LIKE '%pg_sleep%' AND datname = current_database() AND pid <> pg_backend_pid())`).Scan(&running); err != nil {
			t.Fatal(err)
		}
	}
	cut()
	if err := <-failed; !pg.IsUnavailable(err) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		t.Errorf("error %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := pool.Exec(ctx, "SELECT pg_sleep(60)"); !errors.Is(err, context.DeadlineExceeded) || pg.IsUnavailable(err) {
		t.Errorf("a statement that the caller gave up: %v", err)
	}
}

func TestCommitsAreDurable(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	for setting, want := range map[string]string{"off": "on", "on": "on", "remote_apply": "remote_apply"} {
		name := db.Super.Config().ConnConfig.Database
		if _, err := db.Super.Exec(t.Context(), "ALTER DATABASE "+name+" SET synchronous_commit = "+setting); err != nil {
			t.Fatal(err)
		}
		pool, err := pg.Open(t.Context(), db.URL, pg.Options{Role: pg.App})
		if err != nil {
			t.Fatal(err)
		}
		var got, role string
		if err := pool.QueryRow(t.Context(), "SELECT current_setting('synchronous_commit'), current_user").Scan(&got, &role); err != nil || got != want || role != string(pg.App) {
			t.Errorf("%s: %s as %s, %v", setting, got, role, err)
		}
		pool.Close()
	}
}
