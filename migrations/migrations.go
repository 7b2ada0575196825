// Package migrations makes the schema of a ledger and brings it up to date.
//
// Owns: the roles, schemas, tables, triggers and grants of a ledger database, as numbered SQL files,
// and the row of settings that is fixed when a ledger is created.
//
// Does not own: any data but those settings and the catalogue of built-in columns.
//
// Guarantees: any number of processes may run Up at once; each migration runs once, in order, as the
// role deltaledger_owner. There is no way down: a ledger is only added to.
package migrations

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/database"
	"github.com/pressly/goose/v3/lock"

	"deltaledger/ledger/pg"
)

//go:embed *.sql
var files embed.FS

// table holds goose's list of applied migrations.
const table = "ledger.migrations"

// Options are fixed when the ledger is created; a later Up with other values is refused.
type Options struct {
	// Zone is the ledger's reporting time zone, an IANA name such as Europe/London: business
	// dates and months are dates in it. Empty: UTC for a new ledger, whatever it is for an old one.
	Zone string
	// FreezeGrace is how long after its end a business month may be frozen, 0 to 31 days in whole
	// seconds. Nil: 48 hours for a new ledger, whatever it is for an old one.
	FreezeGrace *time.Duration
}

// ErrFixed says that Up was asked for a setting other than the one the ledger was created with.
var ErrFixed = errors.New("fixed when the ledger was created")

// ErrNewer says that a newer program has brought the ledger further than this one can.
var ErrNewer = errors.New("the ledger was brought up to date by a newer program: use that one")

// lockKey is the advisory lock that serialises migrations of one database.
const lockKey = 17484_000_001

// Up makes or updates the ledger in the database of url. The url's user must be a superuser, or have
// CREATEROLE and CREATE on the database, or be a member of deltaledger_owner when the roles exist.
func Up(ctx context.Context, url string, o Options) error {
	if err := o.validate(); err != nil {
		return err
	}
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		return fmt.Errorf("migrations: database URL: %w", err)
	}
	if err := bootstrap(ctx, cfg); err != nil {
		if pg.IsRefused(err) {
			err = fmt.Errorf("the user %s may not: migrate as a superuser, or as a member of deltaledger_owner who may create in the database: %w", cfg.User, err)
		}
		return fmt.Errorf("migrations: make roles and schemas: %w", err)
	}
	db := stdlib.OpenDB(*cfg, stdlib.OptionAfterConnect(func(ctx context.Context, c *pgx.Conn) error {
		_, err := c.Exec(ctx, "SET ROLE deltaledger_owner")
		return err
	}))
	defer db.Close()
	if err := migrate(ctx, db); err != nil {
		return fmt.Errorf("migrations: %w", err)
	}
	return settle(ctx, db, o)
}

func (o Options) validate() error {
	if o.Zone != "" {
		if _, err := time.LoadLocation(o.Zone); err != nil || o.Zone == "Local" {
			return fmt.Errorf("migrations: zone %q isn't an IANA time zone such as Europe/London", o.Zone)
		}
	}
	if g := o.FreezeGrace; g != nil && (*g < 0 || *g > 31*24*time.Hour || *g%time.Second != 0) {
		return fmt.Errorf("migrations: freeze grace %v isn't whole seconds between 0 and 31 days", *g)
	}
	return nil
}

func bootstrap(ctx context.Context, cfg *pgx.ConnConfig) error {
	script, err := files.ReadFile("bootstrap.sql")
	if err != nil {
		return err
	}
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	// Serialises migrations: two at once would both find a role or schema missing and both make it.
	if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock($1)", int64(lockKey)); err != nil {
		return err
	}
	_, err = conn.Exec(ctx, string(script))
	return err // the connection's end releases the lock
}

func migrate(ctx context.Context, db *sql.DB) error {
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockID(lockKey))
	if err != nil {
		return err
	}
	store, err := database.NewStore(goose.DialectPostgres, table)
	if err != nil {
		return err
	}
	numbered, err := fs.Sub(files, ".")
	if err != nil {
		return err
	}
	p, err := goose.NewProvider(goose.DialectCustom, db, numbered, goose.WithStore(store), goose.WithSessionLocker(locker),
		goose.WithExcludeNames([]string{"bootstrap.sql", "schema.sql"}))
	if err != nil {
		return err
	}
	have, err := p.GetDBVersion(ctx)
	if err != nil {
		return err
	}
	known := p.ListSources()
	if newest := known[len(known)-1].Version; have > newest {
		return fmt.Errorf("the schema has version %d, this program knows %d: %w", have, newest, ErrNewer)
	}
	if _, err := p.Up(ctx); err != nil {
		return err
	}
	// Also for an old ledger: months pass without anybody serving it.
	_, err = db.ExecContext(ctx, "SELECT ledger.create_partitions(12)")
	return err
}

const sqlSettle = `
INSERT INTO ledger.settings (reporting_zone, freeze_grace_seconds)
VALUES ($1, $2)
ON CONFLICT (only_row) DO NOTHING`

const sqlSettings = `
SELECT reporting_zone, freeze_grace_seconds
FROM ledger.settings`

// settle writes the settings of a new ledger, or holds o against those of an old one.
func settle(ctx context.Context, db *sql.DB, o Options) error {
	zone, grace := o.Zone, 48*time.Hour
	if zone == "" {
		zone = "UTC"
	}
	if o.FreezeGrace != nil {
		grace = *o.FreezeGrace
	}
	// The database must know the zone too: aggregates are bucketed there.
	if _, err := db.ExecContext(ctx, "SELECT now() AT TIME ZONE $1", zone); err != nil {
		return fmt.Errorf("migrations: the database doesn't know the zone %q: %w", zone, err)
	}
	if _, err := db.ExecContext(ctx, sqlSettle, zone, int64(grace/time.Second)); err != nil {
		return fmt.Errorf("migrations: write the settings: %w", err)
	}
	var haveZone string
	var seconds int64
	if err := db.QueryRowContext(ctx, sqlSettings).Scan(&haveZone, &seconds); err != nil {
		return fmt.Errorf("migrations: read the settings: %w", err)
	}
	have := time.Duration(min(seconds, math.MaxInt64/int64(time.Second))) * time.Second
	if o.Zone != "" && haveZone != o.Zone {
		return fmt.Errorf("migrations: the reporting zone is %s, not %s: %w", haveZone, o.Zone, ErrFixed)
	}
	if o.FreezeGrace != nil && have != grace {
		return fmt.Errorf("migrations: the freezing grace is %v, not %v: %w", have, grace, ErrFixed)
	}
	return nil
}

// Fingerprint names the state of the migration files: another hash, another schema.
func Fingerprint() string {
	sum := sha256.New()
	names, _ := fs.Glob(files, "*.sql") // the pattern is a constant
	for _, name := range names {
		if name == "schema.sql" {
			continue
		}
		b, _ := files.ReadFile(name) // listed a moment ago, and in memory
		fmt.Fprintf(sum, "%s %d\n%s", name, len(b), b)
	}
	return fmt.Sprintf("%x", sum.Sum(nil)[:8])
}
