package pg

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Role is the database role that a pool's sessions run as, whoever the URL's user is.
type Role string

const (
	App    Role = "deltaledger_app"    // adds and reads facts
	Owner  Role = "deltaledger_owner"  // owns the tables; migrations only
	Reader Role = "deltaledger_reader" // sees the versioned views
	Login  Role = ""                   // the URL's user, as it is
)

// Options of a pool; the zero value of each field means what its comment says.
type Options struct {
	Role             Role
	MaxConns         int32         // 0: pgx's default
	StatementTimeout time.Duration // 0: none
	IdleInTxTimeout  time.Duration // 0: 60 s; a session that hangs in a transaction holds watermarks back
	Name             string        // application_name; empty: deltaledger
}

// A commit must not be acknowledged before it is on disk (invariant 2), whatever the server's default.
// Stricter settings than on stay.
const sqlDurable = `
SELECT set_config('synchronous_commit', 'on', false)
WHERE current_setting('synchronous_commit') = 'off'`

// Open opens a pool and proves that a session of it works. Sessions run in UTC, as o.Role, with the
// timeouts of o, and commit durably.
func Open(ctx context.Context, url string, o Options) (*pgxpool.Pool, error) {
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, fmt.Errorf("database URL: %w", err)
	}
	if o.MaxConns > 0 {
		cfg.MaxConns = o.MaxConns
	}
	if o.Name == "" {
		o.Name = "deltaledger"
	}
	if o.IdleInTxTimeout == 0 {
		o.IdleInTxTimeout = time.Minute
	}
	set := cfg.ConnConfig.RuntimeParams
	set["application_name"] = o.Name
	set["timezone"] = "UTC"
	set["idle_in_transaction_session_timeout"] = milliseconds(o.IdleInTxTimeout)
	set["statement_timeout"] = milliseconds(o.StatementTimeout)
	set["tcp_user_timeout"] = "30000" // a peer that vanished must not keep its locks
	set["jit"] = "off"                // compiles for longer than most of our queries run
	cfg.ConnConfig.DialFunc = dialer(cfg.ConnConfig.DialFunc)
	begin := sqlDurable
	if o.Role != Login {
		begin = "SET ROLE " + string(o.Role) + ";" + sqlDurable
	}
	cfg.AfterConnect = func(ctx context.Context, c *pgx.Conn) error {
		_, err := c.Exec(ctx, begin)
		return err
	}
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	if err := pool.Ping(ctx); err != nil {
		pool.Close()
		return nil, fmt.Errorf("open database: %w", err)
	}
	return pool, nil
}

func milliseconds(d time.Duration) string { return fmt.Sprint(d.Milliseconds()) }
