package pgtest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"deltaledger/ledger/pg/embedded"
	"deltaledger/migrations"
)

const (
	testPrefix     = "deltaledger_test_"     // then the process's token and a number
	templatePrefix = "deltaledger_template_" // then what it was made of
)

// lockClass keeps our advisory locks apart from others of the same database.
const lockClass int32 = 0x706774

// A shared lock on a name says that databases of that name are in use; it ends with
// the session, and so with the process.
const sqlHold = `SELECT pg_advisory_lock_shared($1, hashtext($2))`

// One process at a time makes, drops or chooses templates.
const sqlLock = `SELECT pg_advisory_lock($1, hashtext('making templates'))`

const sqlUnlock = `SELECT pg_advisory_unlock($1, hashtext('making templates'))`

const sqlIsWhole = `SELECT COALESCE((SELECT datistemplate FROM pg_database WHERE datname = $1), false)`

// migrated makes the template, unless another process did, and returns its name.
func (c *cluster) migrated() (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	// The migrations make partitions from the current month on, so that a template
	// that outlives its month is another one.
	name := templatePrefix + migrations.Fingerprint() + time.Now().UTC().Format("_200601")
	if _, err := c.hold.Exec(ctx, sqlLock, lockClass); err != nil {
		return "", err
	}
	err := c.makeTemplate(ctx, name)
	if err == nil {
		_, err = c.hold.Exec(ctx, sqlHold, lockClass, name) // before others may drop it
	}
	if err == nil {
		err = c.sweep(ctx, name)
	}
	_, unlocking := c.hold.Exec(context.WithoutCancel(ctx), sqlUnlock, lockClass)
	return name, errors.Join(err, unlocking)
}

// makeTemplate makes the database that tests are cloned from. The flag datistemplate
// is set last: what a killed process left without it isn't whole, and is made anew.
func (c *cluster) makeTemplate(ctx context.Context, name string) error {
	var whole bool
	if err := c.hold.QueryRow(ctx, sqlIsWhole, name).Scan(&whole); err != nil || whole {
		return err
	}
	for _, statement := range []string{"DROP DATABASE IF EXISTS " + name + " WITH (FORCE)", "CREATE DATABASE " + name + " TEMPLATE template0"} {
		if _, err := c.hold.Exec(ctx, statement); err != nil {
			return err
		}
	}
	if err := migrations.Up(ctx, c.url(embedded.Superuser, name), migrations.Options{}); err != nil {
		return err
	}
	if c.given == "" { // roles belong to the whole server, and the migrations let none of them log in
		for _, role := range []embedded.Role{embedded.Owner, embedded.App, embedded.Reader, embedded.Private} {
			if _, err := c.hold.Exec(ctx, "ALTER ROLE "+role.User()+" LOGIN"); err != nil {
				return err
			}
		}
	}
	_, err := c.hold.Exec(ctx, "ALTER DATABASE "+name+" WITH IS_TEMPLATE true ALLOW_CONNECTIONS false")
	return err
}

const sqlDatabases = `SELECT datname, datistemplate FROM pg_database WHERE starts_with(datname, $1) OR starts_with(datname, $2)`

// A lock that can be had says that nobody uses the name any more.
const sqlTryLock = `SELECT pg_try_advisory_lock($1, hashtext($2))`

const sqlTryUnlock = `SELECT pg_advisory_unlock($1, hashtext($2))`

// sweep drops what killed tests and older migrations left. It holds the lock that
// choosing a template needs, so that nobody begins to use one meanwhile.
func (c *cluster) sweep(ctx context.Context, ours string) error {
	type database struct {
		Name     string `db:"datname"`
		Template bool   `db:"datistemplate"`
	}
	rows, err := c.hold.Query(ctx, sqlDatabases, testPrefix, templatePrefix)
	if err != nil {
		return err
	}
	found, err := pgx.CollectRows(rows, pgx.RowToStructByName[database])
	if err != nil {
		return err
	}
	for _, db := range found {
		user := db.Name // whose lock says that it is in use
		if rest, ok := strings.CutPrefix(db.Name, testPrefix); ok {
			token, _, _ := strings.Cut(rest, "_")
			user = testPrefix + token
		}
		if db.Name == ours || user == testPrefix+c.token {
			continue
		}
		var unused bool
		if err := c.hold.QueryRow(ctx, sqlTryLock, lockClass, user).Scan(&unused); err != nil {
			return err
		}
		if !unused {
			continue
		}
		err := c.drop(ctx, db.Name, db.Template)
		_, unlocking := c.hold.Exec(ctx, sqlTryUnlock, lockClass, user)
		if err := errors.Join(err, unlocking); err != nil {
			return fmt.Errorf("drop %s, which nobody uses: %w", db.Name, err)
		}
	}
	return nil
}

func (c *cluster) drop(ctx context.Context, name string, template bool) error {
	if template {
		if _, err := c.hold.Exec(ctx, "ALTER DATABASE "+name+" WITH IS_TEMPLATE false"); err != nil {
			return err
		}
	}
	_, err := c.hold.Exec(ctx, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)")
	return err
}
