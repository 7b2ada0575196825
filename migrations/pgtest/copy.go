package pgtest

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"
)

const sqlBatchEnd = `
SELECT COALESCE(max(e.position), 0)
FROM (SELECT position FROM ledger.events WHERE position > $1 ORDER BY position LIMIT $2) e`

// CopyAgain copies the keys and events of one ledger into another with binary COPY, by 10,000 to a transaction and with as
// many connections as processors, and says how many events it did in a second: what recording is compared with.
func CopyAgain(b testing.TB, from, to *pgxpool.Pool, n int) float64 {
	b.Helper()
	const each = 10_000
	type batch struct{ keys, events bytes.Buffer }
	var batches []*batch
	for low, high := int64(0), int64(0); ; low = high {
		if err := from.QueryRow(b.Context(), sqlBatchEnd, low, each).Scan(&high); err != nil {
			b.Fatal(err)
		}
		if high == 0 {
			break
		}
		part := &batch{}
		rows := fmt.Sprintf("position > %d AND position <= %d", low, high)
		copyOut(b, from, &part.keys, "COPY (SELECT * FROM ledger.event_keys WHERE "+rows+" ORDER BY COALESCE(position_key, event_key), event_key) TO STDOUT BINARY")
		copyOut(b, from, &part.events, "COPY (SELECT * FROM ledger.events WHERE "+rows+" ORDER BY position) TO STDOUT BINARY")
		batches = append(batches, part)
	}
	group, ctx := errgroup.WithContext(b.Context())
	group.SetLimit(runtime.GOMAXPROCS(0))
	began := time.Now()
	for _, part := range batches {
		group.Go(func() error { return copyBoth(ctx, to, &part.keys, &part.events) })
	}
	if err := group.Wait(); err != nil {
		b.Fatal(err)
	}
	return float64(n) / time.Since(began).Seconds()
}

func copyOut(b testing.TB, pool *pgxpool.Pool, to *bytes.Buffer, sql string) {
	b.Helper()
	if err := pool.AcquireFunc(b.Context(), func(c *pgxpool.Conn) error {
		_, err := c.Conn().PgConn().CopyTo(b.Context(), to, sql)
		return err
	}); err != nil {
		b.Fatal(err)
	}
}

func copyBoth(ctx context.Context, pool *pgxpool.Pool, keys, events *bytes.Buffer) error {
	tx, err := pool.Begin(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback(ctx) }() // after a commit it does nothing
	conn := tx.Conn().PgConn()
	if _, err := conn.CopyFrom(ctx, keys, "COPY ledger.event_keys FROM STDIN BINARY"); err != nil {
		return err
	}
	if _, err := conn.CopyFrom(ctx, events, "COPY ledger.events FROM STDIN BINARY"); err != nil {
		return err
	}
	return tx.Commit(ctx)
}
