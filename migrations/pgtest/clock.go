package pgtest

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// Where the ledger's functions read the clock, they read test.clock() instead. Whether a month is over long enough to
// be detached is still measured by the real clock.
const sqlFakeClock = `
CREATE SCHEMA test;
CREATE TABLE test.shift (seconds double precision NOT NULL);
INSERT INTO test.shift VALUES (0);
CREATE FUNCTION test.clock() RETURNS timestamptz LANGUAGE sql VOLATILE SECURITY DEFINER
    RETURN clock_timestamp() + (SELECT seconds FROM test.shift) * interval '1 second';
GRANT USAGE ON SCHEMA test TO PUBLIC;
DO $$
DECLARE
    f regprocedure;
BEGIN
    FOREACH f IN ARRAY ARRAY['ledger.draw(integer)', 'ledger.begin_watermark()', 'ledger.create_partitions(integer)']::regprocedure[] LOOP
        EXECUTE replace(pg_get_functiondef(f), 'clock_timestamp()', 'test.clock()');
    END LOOP;
END $$`

// Super begins transactions of a superuser: DB.Super, or a connection.
type Super interface {
	Begin(ctx context.Context) (pgx.Tx, error)
}

// At sets the clock by which a ledger records, takes watermarks and makes partitions, from which on it runs, and makes the
// partitions of the 12 months that follow. It can only be set forward.
func At(t testing.TB, db Super, at time.Time) {
	t.Helper()
	if err := pgx.BeginFunc(context.Background(), db, func(tx pgx.Tx) error { return setClock(tx, at) }); err != nil {
		t.Fatal(err)
	}
}

func setClock(tx pgx.Tx, at time.Time) error {
	ctx := context.Background()
	var there bool
	if err := tx.QueryRow(ctx, `SELECT to_regnamespace('test') IS NOT NULL`).Scan(&there); err != nil {
		return err
	}
	if !there {
		if _, err := tx.Exec(ctx, sqlFakeClock); err != nil {
			return err
		}
	}
	if _, err := tx.Exec(ctx, `UPDATE test.shift SET seconds = extract(epoch FROM $1::timestamptz - clock_timestamp())`, at); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, `SELECT ledger.create_partitions(12)`)
	return err
}
