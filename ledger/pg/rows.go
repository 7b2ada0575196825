package pg

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// Querier is what runs a query: a pool, a connection or a transaction.
type Querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// ForEach runs a query and calls f after each row was scanned into the variables that into points to. It
// ends at the first error, of the query, of a row or of f.
func ForEach(ctx context.Context, db Querier, into []any, f func() error, sql string, args ...any) error {
	rows, err := db.Query(ctx, sql, args...) //nolint:rowserrcheck // ForEachRow returns what rows.Err says
	if err != nil {
		return err
	}
	_, err = pgx.ForEachRow(rows, into, f)
	return err
}
