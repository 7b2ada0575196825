package pgtest

import (
	"context"
	"testing"
	"time"
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

// At sets the clock by which db records, takes watermarks and makes partitions, from which on it runs, and makes the
// partitions of the 12 months that follow. It can only be set forward.
func At(t testing.TB, db *DB, at time.Time) {
	t.Helper()
	ctx := context.Background()
	var there bool
	if err := db.Super.QueryRow(ctx, `SELECT to_regnamespace('test') IS NOT NULL`).Scan(&there); err != nil {
		t.Fatal(err)
	}
	statements := []string{`UPDATE test.shift SET seconds = extract(epoch FROM $1::timestamptz - clock_timestamp())`, `SELECT ledger.create_partitions(12)`}
	if !there {
		if _, err := db.Super.Exec(ctx, sqlFakeClock); err != nil {
			t.Fatal(err)
		}
	}
	for i, sql := range statements {
		var args []any
		if i == 0 {
			args = append(args, at)
		}
		if _, err := db.Super.Exec(ctx, sql, args...); err != nil {
			t.Fatal(err)
		}
	}
}
