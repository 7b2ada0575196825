package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"

	"deltaledger/billing"
	"deltaledger/export"
	"deltaledger/export/archive"
	"deltaledger/ledger"
	"deltaledger/ledger/pg"
	"deltaledger/ledger/pg/embedded"
	"deltaledger/reconcile"
)

// app is everything that a command may need, joined. Open it with openApp and close it.
type app struct {
	server *embedded.Server // nil with a database URL
	pool   *pgxpool.Pool

	ownerURL string // of the database, for what only deltaledger_owner may do

	ledger     *ledger.Ledger
	billing    *billing.Billing
	exporter   *export.Exporter
	reconciler *reconcile.Reconciler
	seals      *ledger.Seals
	archiver   *archive.Archiver

	closers []func() error
}

// openApp opens the ledger's database, the private one where there is no URL, and what stands on it.
// Sessions run as deltaledger_app, whoever the URL's user is.
func openApp(ctx context.Context, s *session) (a *app, err error) {
	a = &app{}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.close())
			a = nil
		}
	}()
	address := s.DatabaseURL
	a.ownerURL = address
	if address == "" {
		if a.server, err = openServer(ctx, s, nil); err != nil {
			return a, err
		}
		a.closers = append(a.closers, a.server.Close)
		a.watch(ctx, s)
		address = a.server.RoleURL(embedded.App, database)
		a.ownerURL = a.server.RoleURL(embedded.Owner, database)
	}
	if err = a.join(ctx, s, address); err != nil {
		return a, err
	}
	return a, nil
}

// join makes the services, each on those before it.
func (a *app) join(ctx context.Context, s *session, address string) (err error) {
	a.pool, err = pg.Open(ctx, address, pg.Options{Role: pg.App, MaxConns: poolSize})
	if err != nil {
		return explainOpen(s, err)
	}
	a.closers = append(a.closers, func() error { a.pool.Close(); return nil })
	if a.ledger, err = ledger.Open(ctx, ledger.Config{Pool: a.pool, ClockSkew: s.ClockSkew, Now: s.now}); err != nil {
		return err
	}
	if a.billing, err = billing.New(a.ledger, billing.Options{Now: s.now, ClockSkew: s.ClockSkew}); err != nil {
		return err
	}
	if a.exporter, err = export.New(a.ledger, export.Options{}); err != nil {
		return err
	}
	if a.reconciler, err = reconcile.New(a.ledger, a.billing, reconcile.Options{Now: s.now}); err != nil {
		return err
	}
	if a.seals, err = ledger.NewSeals(a.ledger, sealedFacts()...); err != nil {
		return err
	}
	a.archiver, err = archive.New(a.ledger, a.seals, a.billing, archive.Options{Now: s.now, Tell: func(text string) { s.say("%s", text) }})
	if err != nil {
		return err
	}
	return nil
}

// sealedFacts are the tables besides the events that draw positions.
func sealedFacts() []ledger.FactTable {
	return slices.Concat(billing.Facts(), reconcile.Facts(), export.Facts())
}

// poolSize is enough for a writer and a reader on each processor of a large machine, and small enough for
// a server that others use too.
const poolSize = 16

// watch has a private server started again that dies together with its supervisor while we use it.
func (a *app) watch(ctx context.Context, s *session) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		err := a.server.Watch(ctx)
		if ctx.Err() == nil {
			s.warn("the private PostgreSQL can't be started again: %v", err)
		}
	}()
	a.closers = append(a.closers, func() error { cancel(); <-done; return nil })
}

// close closes everything in reverse order.
func (a *app) close() error {
	var problems []error
	for _, c := range slices.Backward(a.closers) {
		problems = append(problems, c())
	}
	a.closers = nil
	return errors.Join(problems...)
}

// withApp opens the app for f and closes it.
func withApp(ctx context.Context, s *session, f func(*app) error) error {
	a, err := openApp(ctx, s)
	if err != nil {
		return err
	}
	return errors.Join(f(a), a.close())
}

// explainOpen says what to do about a database that can't be opened.
func explainOpen(s *session, err error) error {
	switch {
	case s.DatabaseURL == "":
		return err
	case pg.IsDataError(err): // SET ROLE: there is no such role
		return fmt.Errorf("the database isn't migrated: run `deltaledger migrate` with the same --database-url (%w)", err)
	case pg.IsRefused(err):
		return fmt.Errorf("the user of --database-url may not act as %s: run `deltaledger migrate` with it, or let a superuser GRANT %s to it (%w)", pg.App, pg.App, err)
	}
	return err
}

// quote makes a text constant for a statement that takes no parameters.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
