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

// A peer that vanished is noticed by its silence: after silence without a sign of life it is asked, and
// given up when it answers none of the probes. A server that lives may still take as long as it likes.
const (
	silence = 10 * time.Second
	probes  = 3
	probing = 5 * time.Second // between two probes
	vanish  = silence + probes*probing
)

// A pool asks a connection that lay idle whether it still works, and makes new ones, within these times: a
// request must not wait for a network that swallows everything.
const (
	pingTimeout    = 5 * time.Second
	connectTimeout = 15 * time.Second
)

// Open opens a pool and proves that a session of it works. Sessions run in UTC, as o.Role, with the
// timeouts of o, and commit durably. A timeout that the URL gives counts more than that of o.
//
// When either end of a connection vanishes without a word, the other one notices within half a minute: the
// server then rolls back what was open, so that watermarks go on, and here calls fail as unavailable.
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
	for name, value := range map[string]string{
		"idle_in_transaction_session_timeout": milliseconds(o.IdleInTxTimeout),
		"statement_timeout":                   milliseconds(o.StatementTimeout),
		"tcp_user_timeout":                    milliseconds(vanish), // what was sent and isn't acknowledged
		"tcp_keepalives_idle":                 seconds(silence),     // nothing is sent
		"tcp_keepalives_interval":             seconds(probing),
		"tcp_keepalives_count":                fmt.Sprint(probes),
		"jit":                                 "off", // compiles for longer than most of our queries run
	} {
		if _, given := set[name]; !given {
			set[name] = value
		}
	}
	cfg.PingTimeout = pingTimeout
	if cfg.ConnConfig.ConnectTimeout == 0 {
		cfg.ConnConfig.ConnectTimeout = connectTimeout
	}
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

func seconds(d time.Duration) string { return fmt.Sprint(int(d.Seconds())) }
