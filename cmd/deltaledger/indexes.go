package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/jackc/pgx/v5/pgxpool"

	"deltaledger/ledger"
	"deltaledger/ledger/pg"
)

// openOwner opens a pool whose sessions may make indexes.
func (a *app) openOwner(ctx context.Context) (*pgxpool.Pool, error) {
	pool, err := pg.Open(ctx, a.ownerURL, pg.Options{Role: pg.Owner, MaxConns: 2, Name: "deltaledger indexes"})
	if pg.IsRefused(err) {
		return nil, fmt.Errorf("indexes are built as %s, as which the user of --database-url may not act: run `deltaledger schema index` with the URL that migrates: %w: %w", pg.Owner, ledger.ErrForbidden, err)
	}
	return pool, err
}

// buildIndexes builds the declared indexes that are missing.
func buildIndexes(ctx context.Context, s *session, a *app) (int, error) {
	missing, err := a.ledger.IndexesMissing(ctx)
	if err != nil || missing == 0 {
		return 0, err
	}
	owner, err := a.openOwner(ctx)
	if err != nil {
		return 0, err
	}
	defer owner.Close()
	return a.ledger.BuildIndexes(ctx, owner, func(column, partition string) { s.say("index of %s on %s", column, partition) })
}

// indexer builds declared indexes in the background of a service, after it has started.
type indexer struct {
	app     *app
	log     *slog.Logger
	refused bool // told of once
}

func (x *indexer) do(ctx context.Context) error {
	missing, err := x.app.ledger.IndexesMissing(ctx)
	if err != nil || missing == 0 {
		return err
	}
	owner, err := x.app.openOwner(ctx)
	if errors.Is(err, ledger.ErrForbidden) {
		if !x.refused {
			x.log.Warn("declared indexes are missing, and this service may not build them: run `deltaledger schema index` with the URL that migrates", "missing", missing)
		}
		x.refused = true
		return nil
	}
	if err != nil {
		return err
	}
	defer owner.Close()
	built, err := x.app.ledger.BuildIndexes(ctx, owner, nil)
	if built > 0 {
		x.log.Info("built declared indexes", "count", built)
	}
	if errors.Is(err, ledger.ErrBusy) { // another service builds them
		return nil
	}
	return err
}
