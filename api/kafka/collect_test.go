package kafka_test

import "github.com/jackc/pgx/v5"

func collect[T any](rows pgx.Rows) ([]T, error) { return pgx.CollectRows(rows, pgx.RowTo[T]) }
