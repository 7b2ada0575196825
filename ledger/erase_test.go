package ledger_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"deltaledger/ledger"
	"deltaledger/ledger/pg"
	"deltaledger/migrations/pgtest"
)

func erase(t testing.TB, l *ledger.Ledger, q ledger.EraseRequest) ledger.Erasure {
	t.Helper()
	q.Why, q.By = "request 4711", "jane"
	e, err := l.Erase(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func private(stream string, n int, account, payload string) ledger.Event {
	e := sale(stream, n)
	e.Account, e.Payload = account, []byte(payload)
	return e
}

const countPrivate = `SELECT (SELECT count(*) FROM ledger.private) + (SELECT count(*) FROM ledger.conflict_private WHERE payload IS NOT NULL OR pii IS NOT NULL)`

func TestEraseAccount(t *testing.T) {
	t.Parallel()
	l, db := open(t)
	declareColumn(t, db, "mail", "dimension", "text", true)
	e := private("o1", 1, "acme", `{"card":"visa one"}`)
	e.Dimensions = []byte(`{"mail":"a@b.example","country":"FR"}`)
	plain := sale("o1", 2)
	kept := private("o2", 1, "globex", `{"card":"5555"}`)
	appendAll(t, l, e, plain, kept, private("o2", 2, "acme2", `1`))
	conflict := private("o1", 1, "acme", `{"card":"visa two"}`)
	conflict.Dimensions = e.Dimensions
	named := private("o2", 1, "acme", `{"card":"4333"}`)    // names the account
	met := private("o1", 1, "elsewhere", `{"card":"4444"}`) // collides with an event of it
	appendAll(t, l, conflict, named, met, private("o2", 2, "x", `2`))

	dry, err := l.Erase(t.Context(), ledger.EraseRequest{Account: "acme", Why: "w", By: "b", DryRun: true})
	if err != nil || dry.Events != 1 || dry.Conflicts != 3 || one[int](t, db, countPrivate) != 7 {
		t.Fatalf("dry run: %+v, %v", dry, err)
	}
	var told int64
	done := erase(t, l, ledger.EraseRequest{Account: "acme", Progress: func(done, total int64) { told = 100*total + done }})
	if done.N != 1 || done.Events != 1 || done.Conflicts != 3 || done.EndedAt == nil || told != 404 {
		t.Errorf("%+v, told %d", done, told)
	}
	if n := one[int](t, db, countPrivate); n != 3 {
		t.Errorf("%d private contents are left", n)
	}
	row, err := l.Get(t.Context(), "shop", "o1/1", true)
	if err != nil || row.Payload != nil || row.PII != nil || row.Erased == nil || row.Erased.Why != "request 4711" || !row.Erased.Payload || strings.Join(row.Erased.PII, ",") != "mail" {
		t.Errorf("%+v, %v", row, err)
	}
	page, err := l.List(t.Context(), ledger.ListQuery{OldestFirst: true})
	if err != nil || page.Events[0].Erased == nil || page.Events[1].Erased != nil || page.Events[2].Erased != nil {
		t.Errorf("%+v, %v", page.Events, err)
	}
	if v := view(t, l, ""); v.Entries[0].Event.Erased == nil {
		t.Errorf("%+v", v.Entries[0])
	}

	// Sent again, also with other private content, which can't be compared any more.
	for _, again := range []ledger.Event{e, plain, private("o1", 1, "acme", `{"card":"9"}`)} {
		again.Dimensions = e.Dimensions
		if again.ID == plain.ID {
			again.Dimensions = plain.Dimensions
		}
		if o := appendAll(t, l, again)[0]; o.Status != ledger.Duplicate {
			t.Errorf("%s again: %+v", again.ID, o)
		}
	}
	conflict.Amount = amount("9") // public content that is new is a new conflict
	if o := appendAll(t, l, conflict)[0]; o.Status != ledger.Conflict || strings.Join(o.Differs, ",") != "amount" {
		t.Errorf("%+v", o)
	}
	before := one[int](t, db, `SELECT count(*) FROM ledger.conflicts`)
	appendAll(t, l, named, met)
	if n := one[int](t, db, `SELECT count(*) FROM ledger.conflicts`); n != before || one[int](t, db, countPrivate) != 4 {
		t.Errorf("%d conflicts after the same were sent again, %d before", n, before)
	}
	if again := erase(t, l, ledger.EraseRequest{Account: "acme"}); again.N != 2 || again.Events != 0 || again.Conflicts != 1 {
		t.Errorf("again: %+v", again)
	}
	list, err := l.Erasures(t.Context(), 0, 0)
	if err != nil || len(list) != 2 || list[1].Account != "acme" || list[1].Events != 1 || list[1].EndedAt == nil {
		t.Errorf("%+v, %v", list, err)
	}
}

func TestEraseEventAndBefore(t *testing.T) {
	t.Parallel()
	l, db := open(t)
	var events []ledger.Event
	for n := range 6 {
		e := private("o1", n+1, "acme", fmt.Sprintf(`{"n":%d}`, n))
		e.OccurredAt = noon.AddDate(0, 0, n)
		e.Source = []string{"shop", "till"}[n%2]
		events = append(events, e)
	}
	appendAll(t, l, events...)
	events[0].Payload = []byte(`"other"`)
	appendAll(t, l, events[0])
	if e := erase(t, l, ledger.EraseRequest{Source: "shop", Event: "o1/1"}); e.Events != 1 || e.Conflicts != 1 {
		t.Errorf("%+v", e)
	}
	if e := erase(t, l, ledger.EraseRequest{Before: "2026-01-18", Source: "till"}); e.Events != 1 || e.Conflicts != 0 {
		t.Errorf("%+v", e)
	}
	if e := erase(t, l, ledger.EraseRequest{Before: "2026-01-20"}); e.Events != 3 {
		t.Errorf("%+v", e)
	}
	if got := one[string](t, db, `SELECT string_agg(payload, ',') FROM ledger.private`); got != `{"n":5}` {
		t.Errorf("left: %s", got)
	}
	for name, c := range map[string]struct {
		q    ledger.EraseRequest
		want error
	}{
		"nothing":          {ledger.EraseRequest{}, ledger.ErrInvalid},
		"two scopes":       {ledger.EraseRequest{Account: "a", Before: "2026-01-01"}, ledger.ErrInvalid},
		"account, source":  {ledger.EraseRequest{Account: "a", Source: "s"}, ledger.ErrInvalid},
		"source alone":     {ledger.EraseRequest{Source: "s"}, ledger.ErrInvalid},
		"event, no source": {ledger.EraseRequest{Event: "s"}, ledger.ErrInvalid},
		"no date":          {ledger.EraseRequest{Before: "yesterday"}, ledger.ErrInvalid},
		"far ahead":        {ledger.EraseRequest{Before: "9999-01-01"}, ledger.ErrInvalid},
		"unknown event":    {ledger.EraseRequest{Source: "s", Event: "e"}, ledger.ErrNotFound},
		"NUL":              {ledger.EraseRequest{Account: "a\x00"}, ledger.ErrInvalid},
	} {
		c.q.Why, c.q.By = "w", "b"
		if _, err := l.Erase(t.Context(), c.q); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, q := range []ledger.EraseRequest{{Account: "a", By: "b"}, {Account: "a", Why: "w"}} {
		if _, err := l.Erase(t.Context(), q); !errors.Is(err, ledger.ErrInvalid) {
			t.Errorf("%+v: %v", q, err)
		}
	}
}

// A large scope is erased in parts, and what was stopped between them goes on under its number.
func TestEraseInParts(t *testing.T) {
	t.Parallel()
	l, db := open(t)
	const events = 12_001
	all := sales("o1", events)
	for i := range all {
		all[i].Payload = []byte(`{"card":"visa one"}`)
		all[i].OccurredAt = noon // the order within an instant counts too
	}
	appendAll(t, l, all...)
	if _, err := db.App.Exec(t.Context(), `INSERT INTO ledger.erasures (scope, account, why, erased_by) VALUES ('account', 'acme', 'request 4711', 'jane')`); err != nil {
		t.Fatal(err)
	}
	if n := one[int](t, db, `SELECT gone FROM ledger.erase_events(1, '-infinity', -1, 100)`); n != 100 {
		t.Fatalf("%d", n)
	}
	var parts int
	e := erase(t, l, ledger.EraseRequest{Account: "acme", Progress: func(int64, int64) { parts++ }})
	if e.N != 1 || e.Events != events || parts != 4 {
		t.Errorf("%+v in %d parts", e, parts)
	}
	if n := one[int](t, db, countPrivate); n != 0 {
		t.Errorf("%d are left", n)
	}
	if _, err := db.App.Exec(t.Context(), `SELECT ledger.erase_events(1, '-infinity', -1, 100)`); err == nil {
		t.Error("an erasure that ended goes on")
	}
}

// Nobody takes private content away without the record of an erasure, and nobody changes it.
func TestPrivateContentGoesByErasureOnly(t *testing.T) {
	t.Parallel()
	l, db := open(t)
	appendAll(t, l, private("o1", 1, "acme", `{"card":"visa one"}`), private("o1", 2, "acme", `{"card":"visa one"}`))
	appendAll(t, l, private("o1", 1, "acme", `{"card":"visa two"}`))
	refused := func(as, sql string) {
		t.Helper()
		db, set := db.Super, ""
		if as == "replica" {
			set = "SET session_replication_role = replica; "
		}
		if _, err := db.Exec(t.Context(), set+sql); !pg.IsRefused(err) {
			t.Errorf("as %s: %s: %v", as, sql, err)
		}
	}
	for _, table := range []string{"ledger.private", "ledger.conflict_private"} {
		for _, sql := range []string{"DELETE FROM ", "UPDATE %s SET payload = NULL", "UPDATE %s SET payload = payload", "TRUNCATE "} {
			if strings.Contains(sql, "%s") {
				sql = fmt.Sprintf(sql, table)
			} else {
				sql += table
			}
			refused("superuser", sql)
			refused("replica", sql)
			if _, err := db.App.Exec(t.Context(), sql); !pg.IsRefused(err) {
				t.Errorf("as app: %s: %v", sql, err)
			}
		}
	}
	for _, sql := range []string{
		`INSERT INTO ledger.erased (position, recorded_at, erasure, payload) VALUES (1, now(), 1, true)`,
		`INSERT INTO ledger.erased_conflicts (conflict, erasure, payload) VALUES (1, 1, true)`,
		`INSERT INTO ledger.erasure_ends VALUES (1, 0, 0)`,
		`SELECT ledger.open_erasure(1)`,
	} {
		if _, err := db.App.Exec(t.Context(), sql); !pg.IsRefused(err) {
			t.Errorf("the app may: %s: %v", sql, err)
		}
	}
	erase(t, l, ledger.EraseRequest{Source: "shop", Event: "o1/1"})
	for _, table := range []string{"ledger.erasures", "ledger.erased", "ledger.erased_conflicts", "ledger.erasure_ends"} {
		refused("superuser", "DELETE FROM "+table)
		refused("replica", "DELETE FROM "+table)
	}
	refused("superuser", "DELETE FROM ledger.private") // the other one has no record
	if n := one[int](t, db, countPrivate); n != 1 {
		t.Errorf("%d contents are left", n)
	}
}

// What stays after an erasure says nothing that the content could be guessed by: with all of it at hand, a
// hash over a guess that is right is nowhere to be found.
func TestErasedContentCantBeGuessed(t *testing.T) {
	t.Parallel()
	l, db := open(t)
	const secret = `{"card":"4111111111111111"}`
	appendAll(t, l, private("o1", 1, "acme", `{"card":"x"}`))
	appendAll(t, l, private("o1", 1, "acme", secret))
	tag := one[[]byte](t, db, `SELECT tag FROM ledger.conflict_private WHERE payload IS NOT NULL`)
	erase(t, l, ledger.EraseRequest{Account: "acme"})
	tables := texts(t, db, `SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE n.nspname IN ('ledger', 'billing', 'reconcile', 'export') AND c.relkind = 'r'`)
	for _, table := range tables {
		for _, row := range texts(t, db, `SELECT to_jsonb(t)::text FROM `+table+` t`) {
			if strings.Contains(row, "4111111111111111") || strings.Contains(row, fmt.Sprintf("%x", tag)) {
				t.Errorf("%s: %s", table, row)
			}
		}
	}
}

func texts(t testing.TB, db *pgtest.DB, sql string) []string {
	t.Helper()
	rows, err := db.Super.Query(t.Context(), sql)
	if err != nil {
		t.Fatal(err)
	}
	all, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestErasedInJSON(t *testing.T) {
	t.Parallel()
	raw, err := json.Marshal(ledger.Erased{At: noon, Erasure: 3, Why: "w", By: "b", Payload: true})
	if err != nil || !bytes.Equal(raw, []byte(`{"at":"2026-01-15T12:00:00.000000Z","erasure":3,"why":"w","by":"b","payload":true}`)) {
		t.Errorf("%s, %v", raw, err)
	}
}

// An erasure leaves the chain of seals whole; the same taken away without a record doesn't.
func TestVerifyKnowsErasures(t *testing.T) {
	t.Parallel()
	l, s, db := sealing(t)
	appendAll(t, l, private("o1", 1, "acme", `{"card":"visa one"}`), private("o1", 2, "globex", `{"card":"visa one"}`), private("o1", 3, "other", `1`))
	sealAll(t, l, s)
	erase(t, l, ledger.EraseRequest{Account: "acme"})
	if r := clean(t, s); r.Private != 2 || r.Erased != 1 {
		t.Errorf("%d contents held against their commitments, %d erased", r.Private, r.Erased)
	}
	if _, err := db.Super.Exec(t.Context(), `INSERT INTO ledger.private (position, recorded_at, salt, payload) SELECT position, recorded_at, '\x00', '"other"' FROM ledger.erased`); err != nil {
		t.Fatal(err)
	}
	if r := verify(t, s, ledger.VerifyRequest{}); r.Difference == nil || r.Difference.What != ledger.DiffPrivate {
		t.Errorf("other content in the place of what was erased: %v", r.Difference)
	}
	if e := erase(t, l, ledger.EraseRequest{Account: "acme"}); e.Events != 0 {
		t.Errorf("%+v", e)
	}
	clean(t, s) // and away again
	if _, err := db.Super.Exec(t.Context(), `BEGIN; ALTER TABLE ledger.private DISABLE TRIGGER USER; DELETE FROM ledger.private WHERE payload = '1'; COMMIT`); err != nil {
		t.Fatal(err)
	}
	if r := verify(t, s, ledger.VerifyRequest{}); r.Difference == nil || r.Difference.What != ledger.DiffPrivate || !strings.Contains(r.Difference.Found, "no record of an erasure") {
		t.Errorf("taken away: %v", r.Difference)
	}
}
