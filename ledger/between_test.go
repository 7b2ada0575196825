package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"deltaledger/ledger"
	"deltaledger/ledger/pg/embedded"
)

// The views for BI tools answer those that they are for.
func TestReadersReadTheViews(t *testing.T) {
	t.Parallel()
	l, db := open(t)
	appendAll(t, l, sale("o1", 1))
	addColumn(t, l, column("region", ledger.KindDimension, ""))
	for _, role := range []embedded.Role{embedded.Reader, embedded.Private} {
		pool, err := pgxpool.New(t.Context(), db.RoleURL(role))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(pool.Close)
		for _, view := range []string{"ledger.events_v1", "ledger.events_v2", "ledger.seals_v1", "ledger.detached_months"} {
			var n int
			if err := pool.QueryRow(t.Context(), `SELECT count(*) FROM `+view).Scan(&n); err != nil {
				t.Errorf("%s reads %s: %v", role, view, err)
			}
		}
		for _, table := range []string{"ledger.events", "ledger.every_event", "archive.events", "ledger.conflicts", "ledger.conflict_private", "ledger.event_keys"} {
			if _, err := pool.Exec(t.Context(), `SELECT FROM `+table); err == nil {
				t.Errorf("%s reads %s", role, table)
			}
		}
	}
}

// The app can't have the owner run statements of its making.
func TestDeclareColumnTakesNoStatements(t *testing.T) {
	t.Parallel()
	_, db := open(t)
	const injected = `text; ALTER TABLE ledger.columns ALTER COLUMN kind DROP NOT NULL, DROP CONSTRAINT IF EXISTS columns_type;
		CREATE OR REPLACE FUNCTION ledger.show_columns() RETURNS void LANGUAGE sql AS 'SELECT'; GRANT DELETE ON ledger.events TO deltaledger_app; --`
	for _, args := range [][]any{
		{"x", nil, injected, "d", "o", false, "event", "me"},
		{"x", "dimension", injected, "d", "o", false, "event", "me"},
		{"x", "money", injected, "d", "o", false, nil, "me"},
		{"x", "dimension", nil, "d", "o", false, "event", "me"},
		{nil, "dimension", "text", "d", "o", false, "event", "me"},
		{"x", "dimension", "text", "d", "o", nil, "event", "me"},
	} {
		var made bool
		err := db.App.QueryRow(t.Context(), `SELECT ledger.declare_column($1, $2, $3, $4, $5, $6, $7, $8)`, args...).Scan(&made)
		if err == nil {
			t.Errorf("%v is declared: %v", args, made)
		}
	}
	if one[bool](t, db, `SELECT has_table_privilege('deltaledger_app', 'ledger.events', 'DELETE')`) {
		t.Error("the app may delete events")
	}
}

// A process that hasn't heard of a declaration keeps no conflict by what was declared before: what is private
// now would stand in public content, which can't be erased.
func TestConflictsAreKeptByWhatIsDeclared(t *testing.T) {
	t.Parallel()
	for name, record := range map[string]func(*testing.T, *ledger.Ledger, []ledger.Event) ([]ledger.Outcome, error){
		"append": func(t *testing.T, l *ledger.Ledger, e []ledger.Event) ([]ledger.Outcome, error) {
			return l.Append(t.Context(), e)
		},
		"atomic": func(t *testing.T, l *ledger.Ledger, e []ledger.Event) ([]ledger.Outcome, error) {
			out, err := l.AppendAtomic(t.Context(), e)
			if errors.Is(err, ledger.ErrAtomic) {
				err = nil
			}
			return out, err
		},
		"batcher": func(t *testing.T, l *ledger.Ledger, e []ledger.Event) ([]ledger.Outcome, error) {
			return startBatcher(t, l, ledger.BatcherConfig{}).Append(t.Context(), e)
		},
	} {
		for _, states := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				l, db := open(t)
				if states {
					declareStates(t, l, "shop")
				}
				appendAll(t, l, sale("o1", 1))
				appendAll(t, l, sale("o1", 1)) // from here on keys are looked up first
				other, err := ledger.Open(t.Context(), ledger.Config{Pool: db.App})
				if err != nil {
					t.Fatal(err)
				}
				secret := column("mail", ledger.KindDimension, "text")
				secret.PII = true
				addColumn(t, other, secret)
				e := sale("o1", 1)
				e.Dimensions = []byte(`{"mail":"jane@b.example"}`)
				for range 2 {
					out, err := record(t, l, []ledger.Event{e})
					if err != nil || out[0].Status != ledger.Conflict {
						t.Fatalf("%+v, %v", out, err)
					}
				}
				if text := one[string](t, db, `SELECT string_agg(content, ' ') FROM ledger.conflicts`); strings.Contains(text, "jane") {
					t.Errorf("private content is kept in public: %s", text)
				}
				if n := one[int](t, db, `SELECT count(*) FROM ledger.conflict_private WHERE pii IS NOT NULL`); n != 1 {
					t.Errorf("%d conflicts with private content, want 1", n)
				}
			})
		}
	}
}

// Rows that the ledger makes bear the dimensions of older events as what they are declared to be now: a value
// that doesn't fit takes none of the others with it, and what is private since isn't copied.
func TestMadeRowsFollowDeclarations(t *testing.T) {
	t.Parallel()
	l, db := open(t)
	declareStates(t, l, "orders")
	later := stateOf("o1", 4, "acme", "amount 10")
	later.Dimensions = []byte(`{"level":"high","mail":"jane@b.example","note":"n","partner":"p1"}`)
	appendAll(t, l, later)
	addColumn(t, l, column("partner", ledger.KindDimension, "text"))
	addColumn(t, l, column("level", ledger.KindDimension, "int"))
	secret := column("mail", ledger.KindDimension, "text")
	secret.PII = true
	addColumn(t, l, secret)
	late := stateOf("o1", 2, "acme", "amount 4")
	late.Dimensions = []byte(`{"level":3,"partner":"p1"}`)
	appendAll(t, l, late)
	if have := one[string](t, db, `SELECT string_agg(concat_ws(' ', seqn, kind, trim_scale(amount), partner, level, dimensions::text), E'\n' ORDER BY position) FROM ledger.events`); have != strings.TrimSpace(`
4 upstream 10 {"mail": "jane@b.example", "note": "n", "level": "high", "partner": "p1"}
2 upstream 4 p1 3
4 reorder -4 p1 {"note": "n", "level": "high"}`) {
		t.Error(have)
	}
	if n := one[int](t, db, `SELECT count(*) FROM ledger.events WHERE commitment IS NOT NULL`); n != 0 {
		t.Error("a made row has private content")
	}
}

// A group that isn't recorded in one statement waits no longer for others than one that is.
func TestBatcherWaitsForNobodyEitherWay(t *testing.T) {
	t.Parallel()
	for name, request := range map[string]func(first ledger.Event) []ledger.Event{
		"flagged": func(first ledger.Event) []ledger.Event {
			first.Dimensions = []byte(`{"note":"` + card + `"}`)
			return []ledger.Event{first}
		},
		"many": func(ledger.Event) []ledger.Event { return sales("o1", 600) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, db := open(t)
			policy(t, l, ledger.ContentPolicy{CardNumbers: "flag"})
			b := startBatcher(t, l, ledger.BatcherConfig{Committers: 1, LockWait: 10 * time.Millisecond, Timeout: 10 * time.Second})
			tx, err := db.Super.Begin(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = tx.Rollback(context.Background()) })
			key := ledger.EventKey("shop", "o1/1")
			if _, err := tx.Exec(t.Context(), `INSERT INTO ledger.event_keys (event_key, position, recorded_at, digest_version, digest)
				VALUES ($1, 1000000, now(), 1, '')`, fmt.Sprintf("%x", key[:])); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			if out, err := b.Append(t.Context(), request(sale("o1", 1))); !errors.Is(err, ledger.ErrBusy) {
				t.Errorf("%v after %s, %v", tally(out), time.Since(began), err)
			}
			if out, err := b.Append(t.Context(), []ledger.Event{sale("o2", 1)}); err != nil || out[0].Status != ledger.Recorded {
				t.Errorf("%+v, %v", out, err)
			}
		})
	}
}

// What waits to be recorded is weighed with what it was made from, also where no row is made of it yet.
func TestBatcherWeighsWhatItHolds(t *testing.T) {
	t.Parallel()
	l, db := open(t)
	declareStates(t, l, "orders")
	if err := l.DeclareSource(t.Context(), ledger.Source{Name: "strict", Numbering: ledger.NumberingStream, Strict: true, By: "test"}); err != nil {
		t.Fatal(err)
	}
	b := startBatcher(t, l, ledger.BatcherConfig{MaxBytes: 300_000, Committers: 1})
	release := hold(t, db)
	var group sync.WaitGroup
	for _, stream := range []string{"o1", "o2"} { // the first is under way, the second waits
		group.Go(func() { _, _ = b.Append(context.Background(), []ledger.Event{sale(stream, 1)}) })
	}
	until(t, b, func(s ledger.BatcherStats) bool { return s.HeldEvents == 2 })
	e := sale("s1", 1)
	e.Source, e.Payload = "strict", []byte(`"`+strings.Repeat("x", 200_000)+`"`)
	group.Go(func() { _, _ = b.Append(context.Background(), []ledger.Event{e}) })
	until(t, b, func(s ledger.BatcherStats) bool { return s.HeldEvents == 3 })
	e.ID = "another"
	if out, err := b.Append(t.Context(), []ledger.Event{e}); !errors.Is(err, ledger.ErrFull) {
		t.Errorf("%+v, %v", out, err)
	}
	release()
	group.Wait()
}

// An erasure that is sealed can't be changed, nor taken as the record for what was taken away besides.
func TestErasuresAreSealed(t *testing.T) {
	t.Parallel()
	const forge = `INSERT INTO ledger.erased (position, recorded_at, erasure, payload) SELECT position, recorded_at, %s, true FROM ledger.private; DELETE FROM ledger.private;`
	for name, tampering := range map[string]string{
		"why":          `UPDATE ledger.erasures SET why = 'another reason'`,
		"request gone": `DELETE FROM ledger.erasures`,
		"more erased":  fmt.Sprintf(forge, "1"),
		"no erasure":   fmt.Sprintf(forge, "7"),
		"conflicts":    `DELETE FROM ledger.erased_conflicts`,
		"end":          `UPDATE ledger.erasure_ends SET events = 2`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, s, db := sealing(t)
			other := private("o1", 1, "acme", `{"card":"visa two"}`)
			appendAll(t, l, private("o1", 1, "acme", `{"card":"visa one"}`), private("o1", 2, "globex", `{"card":"visa one"}`), other)
			erase(t, l, ledger.EraseRequest{Account: "acme"})
			sealAll(t, l, s)
			if r := clean(t, s); r.Private != 1 || r.Erased != 1 || r.Facts != 3 {
				t.Fatalf("%+v", r)
			}
			if _, err := db.Super.Exec(t.Context(), `BEGIN; SET LOCAL session_replication_role = replica; `+disableTriggers("erasures", "erased", "erased_conflicts", "erasure_ends", "private")+tampering+`; COMMIT`); err != nil {
				t.Fatal(err)
			}
			if r := verify(t, s, ledger.VerifyRequest{}); r.Difference == nil {
				t.Error("it isn't noticed")
			}
		})
	}
}

// An erasure without an end, which no seal binds, is said to be there, whoever wrote it.
func TestErasureWithoutAnEndIsReported(t *testing.T) {
	t.Parallel()
	l, s, db := sealing(t)
	appendAll(t, l, private("o1", 1, "acme", `{"card":"visa one"}`))
	erase(t, l, ledger.EraseRequest{Account: "globex"})
	sealAll(t, l, s)
	if r := clean(t, s); r.Unended != 0 {
		t.Fatalf("%+v", r)
	}
	forged := `INSERT INTO ledger.erasures (scope, account, why, erased_by) VALUES ('account', 'acme', 'w', 'b');
		INSERT INTO ledger.erased (position, recorded_at, erasure, payload) SELECT position, recorded_at, (SELECT max(n) FROM ledger.erasures), true FROM ledger.private;
		DELETE FROM ledger.private`
	if _, err := db.Super.Exec(t.Context(), `BEGIN; `+disableTriggers("erasures", "erased", "private")+forged+`; COMMIT`); err != nil {
		t.Fatal(err)
	}
	if r := verify(t, s, ledger.VerifyRequest{}); r.Unended != 1 || r.Erased != 1 {
		t.Errorf("%+v", r)
	}
}

func disableTriggers(tables ...string) (sql string) {
	for _, table := range tables {
		sql += "ALTER TABLE ledger." + table + " DISABLE TRIGGER ALL; "
	}
	return sql
}

// A number in a dimension that is written otherwise is another group and another filter, and so another fact.
func TestNumbersOfDimensionsAreSealedAsTheyAreWritten(t *testing.T) {
	t.Parallel()
	l, s, db := sealing(t)
	secret := column("weight", ledger.KindDimension, "text")
	secret.PII = true
	addColumn(t, l, secret)
	hidden := sale("o2", 1)
	hidden.Dimensions = []byte(`{"weight":61.5}`)
	appendAll(t, l, hidden)
	sealAll(t, l, s)
	clean(t, s)
	for _, pii := range []string{`{"weight":61.50}`, `{"weight":61.5}`} {
		if _, err := db.Super.Exec(t.Context(), `ALTER TABLE ledger.private DISABLE TRIGGER ALL`); err != nil {
			t.Fatal(err)
		}
		if _, err := db.Super.Exec(t.Context(), `UPDATE ledger.private SET pii = $1`, pii); err != nil {
			t.Fatal(err)
		}
		if r := verify(t, s, ledger.VerifyRequest{}); (r.Difference == nil) != (pii == `{"weight":61.5}`) {
			t.Errorf("%s: %+v", pii, r.Difference)
		}
	}
	e := sale("o1", 1)
	e.Dimensions = []byte(`{"level":7,"ratio":0.50,"text":"a \" 1.50"}`)
	appendAll(t, l, e)
	sealAll(t, l, s)
	clean(t, s)
	if _, err := db.Super.Exec(t.Context(), `BEGIN; ALTER TABLE ledger.events DISABLE TRIGGER ALL; ALTER TABLE `+one[string](t, db, `SELECT tableoid::regclass::text FROM ledger.events`)+` DISABLE TRIGGER ALL;
		UPDATE ledger.events SET dimensions = dimensions || '{"level":7.00}'; COMMIT`); err != nil {
		t.Fatal(err)
	}
	if r := verify(t, s, ledger.VerifyRequest{}); r.Difference == nil || r.Difference.What != ledger.DiffChanged {
		t.Errorf("%+v", r.Difference)
	}
}
