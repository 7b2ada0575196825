package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"deltaledger/ledger/pg/embedded"
	"deltaledger/migrations"
)

// database is the ledger's name on the private server.
const database = "deltaledger"

// sqlMark reads which schema the ledger's database has; no row without a database.
const sqlMark = `
SELECT COALESCE(shobj_description(d.oid, 'pg_database'), '')
FROM pg_database d
WHERE d.datname = $1`

// One maker of the database at a time: two at once would both find it missing. The session holds the
// lock until its connection ends.
const sqlLockMaker = `SELECT pg_advisory_lock(17484000002)`

// openServer joins the private server of the data directory, and makes sure that the ledger's database
// is there, up to date, and can be logged in to by the ledger's roles. With o the settings of the ledger
// are held against its options too, which is what migrate wants.
func openServer(ctx context.Context, s *session, o *migrations.Options) (*embedded.Server, error) {
	server, err := embedded.Acquire(ctx, embedded.Options{Dir: s.DataDir, Say: func(line string) { s.say("%s", line) }})
	if errors.Is(err, embedded.ErrUnsupported) {
		return nil, embedded.ErrUnsupported
	}
	if err != nil {
		return nil, err
	}
	if err := prepareDatabase(ctx, s, server, o); err != nil {
		return nil, errors.Join(err, server.Close())
	}
	return server, nil
}

// prepareDatabase leaves a database alone that carries this program's mark.
func prepareDatabase(ctx context.Context, s *session, server *embedded.Server, o *migrations.Options) error {
	conn, err := pgx.Connect(ctx, server.URL("postgres"))
	if err != nil {
		return fmt.Errorf("connect to the private PostgreSQL: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	mark, _, err := readMark(ctx, conn)
	if err != nil || mark == markNow() && o == nil {
		return err
	}
	if _, err := conn.Exec(ctx, sqlLockMaker); err != nil {
		return fmt.Errorf("wait for another command that makes the ledger: %w", err)
	}
	mark, exists, err := readMark(ctx, conn) // again: another command may have been quicker
	if err != nil || mark == markNow() && o == nil {
		return err
	}
	if o == nil {
		o = &migrations.Options{}
	}
	if err := makeDatabase(ctx, conn, server, *o, exists); err != nil {
		return err
	}
	switch {
	case mark == "":
		s.say("made a new ledger in %s, on a private PostgreSQL %s", server.Dir, server.Version)
	case mark != markNow():
		s.say("brought the ledger in %s up to date", server.Dir)
	}
	return nil
}

// markNow is the mark of a database that this program made or brought up to date.
func markNow() string { return "deltaledger schema " + migrations.Fingerprint() }

func readMark(ctx context.Context, conn *pgx.Conn) (mark string, exists bool, err error) {
	err = conn.QueryRow(ctx, sqlMark, database).Scan(&mark)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", false, nil
	}
	if err != nil {
		return "", false, fmt.Errorf("look for the ledger's database: %w", err)
	}
	return mark, true, nil
}

// makeDatabase may be stopped at any moment: the mark is its last step, and without it the next command
// does all of it again.
func makeDatabase(ctx context.Context, conn *pgx.Conn, server *embedded.Server, o migrations.Options, exists bool) error {
	if !exists {
		// C sorts by bytes, on every system alike and for ever; what a locale says changes with its version.
		create := "CREATE DATABASE " + database + " TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'"
		if _, err := conn.Exec(ctx, create); err != nil {
			return fmt.Errorf("make the ledger's database: %w", err)
		}
	}
	if err := migrations.Up(ctx, server.URL(database), o); err != nil {
		return err
	}
	for _, role := range []embedded.Role{embedded.Owner, embedded.App, embedded.Reader, embedded.Private} {
		login := "ALTER ROLE " + role.User() + " LOGIN PASSWORD " + quote(server.Password)
		if _, err := conn.Exec(ctx, login); err != nil {
			return fmt.Errorf("let %s log in: %w", role.User(), err)
		}
	}
	if _, err := conn.Exec(ctx, "COMMENT ON DATABASE "+database+" IS "+quote(markNow())); err != nil {
		return fmt.Errorf("mark the ledger's database: %w", err)
	}
	return nil
}
