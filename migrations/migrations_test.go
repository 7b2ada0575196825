package migrations_test

import (
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"deltaledger/ledger/pg"
	"deltaledger/migrations"
	"deltaledger/migrations/pgtest"
)

var update = flag.Bool("update", false, "write derived files instead of comparing them")

func TestSchemaIsCurrent(t *testing.T) {
	t.Parallel()
	got := dump(t, pgtest.New(t).Super)
	if *update {
		if err := os.WriteFile("schema.sql", []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("schema.sql")
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("schema.sql isn't what the migrations make (make generate writes it); first difference:\n%s", firstDifference(got, string(want)))
	}
}

func firstDifference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			return fmt.Sprintf("line %d\n  made: %s\n  file: %s", i+1, g[i], w[i])
		}
	}
	return fmt.Sprintf("%d lines made, %d in the file", len(g), len(w))
}

// Operational tables hold what may be updated; every other table holds facts.
var operational = map[string]bool{
	"ledger.offsets": true, "ledger.import_files": true, "ledger.publishers": true, "ledger.migrations": true, "billing.accounts": true, "billing.progress": true,
	"billing.finalising_types": true, "billing.finalisations": true, "billing.carried": true, "billing.open_adjustments": true,
	"ledger.completeness_progress": true, "ledger.completeness_sources": true, "ledger.completeness_gaps": true,
	"ledger.completeness_filled": true, "ledger.completeness_doubled": true,
}

// Erasable tables hold private content: DELETE meets a refusal only at rows, if no erasure covers them.
var erasable = map[string]bool{"ledger.private": true, "ledger.conflict_private": true, "ledger.dead_letter_content": true}

func names(t *testing.T, db *pgtest.DB, sql string, args ...any) []string {
	t.Helper()
	rows, err := db.Super.Query(t.Context(), sql, args...)
	if err != nil {
		t.Fatal(err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return all
}

const sqlTables = `
SELECT c.oid::regclass::text
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = ANY($1) AND c.relkind IN ('r', 'p')
ORDER BY 1`

func TestEveryFactTableRefusesChange(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	tables := names(t, db, sqlTables, schemas)
	if len(tables) < 40 {
		t.Fatalf("only %d tables: %v", len(tables), tables)
	}
	for _, table := range tables {
		if operational[table] {
			continue
		}
		if grants := names(t, db, `SELECT privilege_type || ' to ' || grantee::regrole FROM pg_class, aclexplode(relacl)
			WHERE oid = $1::regclass AND grantee <> relowner AND privilege_type NOT IN ('SELECT', 'INSERT')`, table); len(grants) > 0 {
			t.Errorf("%s: %v", table, grants)
		}
		// DELETE and TRUNCATE meet a statement trigger even where there is no row.
		for _, sql := range []string{"DELETE FROM " + table, "TRUNCATE " + table + " CASCADE"} {
			if erasable[table] && strings.HasPrefix(sql, "DELETE") {
				continue
			}
			if _, err := db.Super.Exec(t.Context(), sql); !pg.IsRefused(err) {
				t.Errorf("%s as superuser: %v", sql, err)
			}
		}
		rows := names(t, db, `SELECT tgname FROM pg_trigger WHERE tgrelid = $1::regclass AND NOT tgisinternal
			AND tgenabled = 'A' AND tgparentid = 0 AND tgtype & (1 | 2 | 8 | 16) = (1 | 2 | 8 | 16)`, table)
		if len(rows) == 0 { // tgtype: 1 row, 2 before, 8 delete, 16 update
			t.Errorf("%s has no row trigger of its own that refuses", table)
		}
	}
}

func TestPartitions(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	const sqlPartitions = `SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'ledger.events'::regclass ORDER BY 1`
	if n := len(names(t, db, sqlPartitions)); n != 13 {
		t.Errorf("%d partitions, want this month and 12 ahead", n)
	}
	var made int
	if err := db.App.QueryRow(t.Context(), `SELECT ledger.create_partitions(14)`).Scan(&made); err != nil || made != 2 {
		t.Fatalf("made %d, %v", made, err)
	}
	all := names(t, db, sqlPartitions)
	newest := all[len(all)-1]
	if _, err := db.Super.Exec(t.Context(), "TRUNCATE "+newest); !pg.IsRefused(err) {
		t.Errorf("a partition made later: %v", err)
	}
	if _, err := db.Super.Exec(t.Context(), "ALTER TABLE ledger.events DETACH PARTITION "+newest); err != nil {
		t.Fatal(err)
	}
	for _, sql := range []string{"UPDATE %s SET amount = 0", "DELETE FROM %s", "TRUNCATE %s"} {
		if _, err := db.Super.Exec(t.Context(), fmt.Sprintf(sql, newest)); !pg.IsRefused(err) {
			t.Errorf("detached: %s: %v", sql, err)
		}
	}
	if rows := names(t, db, `SELECT tgname FROM pg_trigger WHERE tgrelid = $1::regclass AND NOT tgisinternal AND tgtype & 1 = 1`, newest); len(rows) != 1 {
		t.Errorf("detached: row triggers %v, want its own", rows)
	}
}

func TestRowsGoToTheMonthOfTheirRecording(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	_, err := db.App.Exec(t.Context(), `INSERT INTO ledger.events (position, recorded_at, occurred_at, business_date, source, event_id, type, account, currency, kind)
		SELECT 1, clock_timestamp() + interval '20 months', now(), now(), 's', 'i', 't', 'a', 'EUR', 'upstream'`)
	if err == nil {
		t.Error("an event of a month without a partition was stored")
	}
}

func TestManyMigrateAtOnce(t *testing.T) {
	t.Parallel()
	db := pgtest.Empty(t)
	var group sync.WaitGroup
	for range 5 {
		group.Go(func() {
			if err := migrations.Up(context.Background(), db.URL, migrations.Options{Zone: "Europe/London"}); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if zones := names(t, db, `SELECT reporting_zone FROM ledger.settings`); len(zones) != 1 || zones[0] != "Europe/London" {
		t.Errorf("zones %v", zones)
	}
	numbered, err := filepath.Glob("0*.sql")
	if n := len(names(t, db, `SELECT version_id::text FROM ledger.migrations WHERE version_id > 0`)); n != len(numbered) || err != nil {
		t.Errorf("%d of %d migrations are listed, %v", n, len(numbered), err)
	}
}

// Who migrates need not be a superuser, nor a member of the roles that serve.
func TestMemberOfTheOwnerMigrates(t *testing.T) {
	t.Parallel()
	pgtest.New(t) // the roles belong to the server: another database has made them
	db := pgtest.Empty(t)
	name := "migrator_" + strings.ToLower(rand.Text()[:12])
	database := names(t, db, `SELECT current_database()::text`)[0]
	for _, sql := range []string{
		"CREATE ROLE " + name + " LOGIN PASSWORD 'x' IN ROLE deltaledger_owner",
		"ALTER DATABASE " + database + " OWNER TO " + name,
	} {
		if _, err := db.Super.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		for _, sql := range []string{"REASSIGN OWNED BY " + name + " TO CURRENT_USER", "DROP OWNED BY " + name, "DROP ROLE " + name} {
			if _, err := db.Super.Exec(context.Background(), sql); err != nil {
				t.Error(err)
			}
		}
	})
	cfg := db.Super.Config().ConnConfig
	url := fmt.Sprintf("host=%s port=%d user=%s password=x dbname=%s", cfg.Host, cfg.Port, name, database)
	for range 2 {
		if err := migrations.Up(t.Context(), url, migrations.Options{}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSettingsAreFixed(t *testing.T) {
	t.Parallel()
	db := pgtest.Empty(t)
	day := 24 * time.Hour
	if err := migrations.Up(t.Context(), db.URL, migrations.Options{Zone: "Asia/Tokyo", FreezeGrace: &day}); err != nil {
		t.Fatal(err)
	}
	if err := migrations.Up(t.Context(), db.URL, migrations.Options{}); err != nil {
		t.Errorf("again, without options: %v", err)
	}
	two := 2 * day
	for _, o := range []migrations.Options{{Zone: "UTC"}, {FreezeGrace: &two}} {
		if err := migrations.Up(t.Context(), db.URL, o); !errors.Is(err, migrations.ErrFixed) {
			t.Errorf("%+v: %v", o, err)
		}
	}
	month := 32 * day
	for _, o := range []migrations.Options{{Zone: "Mars/Olympus"}, {Zone: "Local"}, {FreezeGrace: &month}} {
		if err := migrations.Up(t.Context(), db.URL, o); err == nil {
			t.Errorf("%+v was accepted", o)
		}
	}
}

func TestAppCanDoWhatItNeedsAndNoMore(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	for _, sql := range []string{
		`SELECT nextval('ledger.position_seq')`, `SELECT setval('ledger.position_seq', 1)`, `CREATE TABLE ledger.mine (a int)`,
		`ALTER TABLE ledger.events DISABLE TRIGGER ALL`, `DROP TABLE ledger.events`, `SELECT ledger.protect('ledger.events')`,
		`INSERT INTO ledger.settings (reporting_zone, freeze_grace_seconds) VALUES ('UTC', 0)`, `ALTER TABLE ledger.events DETACH PARTITION ledger.events_2026_12`,
	} {
		if _, err := db.App.Exec(t.Context(), sql); err == nil {
			t.Errorf("the app may: %s", sql)
		}
	}
	if _, err := db.App.Exec(t.Context(), `SELECT * FROM ledger.draw(2)`); err != nil {
		t.Errorf("the app may not draw positions: %v", err)
	}
}

func TestOlderProgramLeavesANewerLedgerAlone(t *testing.T) {
	t.Parallel()
	db := pgtest.New(t)
	if _, err := db.Super.Exec(t.Context(), `INSERT INTO ledger.migrations (version_id, is_applied) VALUES (99999, true)`); err != nil {
		t.Fatal(err)
	}
	if err := migrations.Up(t.Context(), db.URL, migrations.Options{}); !errors.Is(err, migrations.ErrNewer) {
		t.Errorf("migrate by an older program: %v", err)
	}
}
