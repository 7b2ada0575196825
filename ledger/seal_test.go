package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"deltaledger/ledger"
	"deltaledger/ledger/proof"
	"deltaledger/migrations/pgtest"
)

// sealing is a ledger with its seals.
func sealing(t testing.TB) (*ledger.Ledger, *ledger.Seals, *pgtest.DB) {
	t.Helper()
	l, db := open(t)
	s, err := ledger.NewSeals(l)
	if err != nil {
		t.Fatal(err)
	}
	return l, s, db
}

// sealAll seals up to a fresh watermark.
func sealAll(t testing.TB, l *ledger.Ledger, s *ledger.Seals) (seals, facts int64) {
	t.Helper()
	if _, err := l.TakeWatermark(t.Context()); err != nil {
		t.Fatal(err)
	}
	seals, facts, err := s.SealAll(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return seals, facts
}

func verify(t testing.TB, s *ledger.Seals, q ledger.VerifyRequest) ledger.Report {
	t.Helper()
	r, err := s.Verify(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func clean(t testing.TB, s *ledger.Seals) ledger.Report {
	t.Helper()
	r := verify(t, s, ledger.VerifyRequest{})
	if r.Difference != nil {
		t.Fatalf("%s", r.Difference)
	}
	return r
}

func TestSealAndVerify(t *testing.T) {
	t.Parallel()
	l, s, db := sealing(t)
	if seals, _ := sealAll(t, l, s); seals != 0 {
		t.Fatalf("%d seals over nothing", seals)
	}
	private := sale("private", 1)
	private.Payload = []byte(`{"b":1,"a":[1.50,null,"é"]}`)
	appendAll(t, l, append(sales("o1", 20), private)...)
	if seals, facts := sealAll(t, l, s); seals != 1 || facts != 21 {
		t.Fatalf("%d seals, %d facts", seals, facts)
	}
	if seals, _ := sealAll(t, l, s); seals != 0 {
		t.Fatal("a seal over nothing but a seal")
	}
	declareColumn(t, db, "region", "dimension", "text", false)
	e := sale("o2", 1)
	e.Dimensions = []byte(`{"region":"north"}`)
	appendAll(t, l, e)
	appendAll(t, l, sales("o3", 7)...)
	sealAll(t, l, s)
	appendAll(t, l, sales("o4", 3)...)
	r := clean(t, s)
	if r.Seals != 2 || r.Facts != 29 || r.Events != 29 || r.Private != 1 || r.Unsealed.Facts != 3 {
		t.Errorf("%+v", r)
	}
	if r := verify(t, s, ledger.VerifyRequest{From: 2}); r.Facts != 8 || r.Difference != nil {
		t.Errorf("from seal 2: %+v", r)
	}
	one, err := s.Checkpoint(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if r := verify(t, s, ledger.VerifyRequest{Checkpoints: []proof.Checkpoint{one, r.Tree}}); len(r.Contained) != 2 {
		t.Errorf("with checkpoints: %+v", r)
	}
	one.Root[0] ^= 1
	if r := verify(t, s, ledger.VerifyRequest{Checkpoints: []proof.Checkpoint{one}}); r.Difference == nil || r.Difference.What != ledger.DiffCheckpoint {
		t.Errorf("with another root: %+v", r)
	}
	one.Size = 7
	if r := verify(t, s, ledger.VerifyRequest{Checkpoints: []proof.Checkpoint{one}}); r.Difference == nil || r.Difference.What != ledger.DiffCheckpoint {
		t.Errorf("of a longer chain: %+v", r)
	}
}

// Proofs hold for every event and every size of the tree, and for nothing else.
func TestProofs(t *testing.T) {
	t.Parallel()
	l, s, _ := sealing(t)
	const rounds = 13
	for i := range rounds {
		appendAll(t, l, sales(fmt.Sprint("o", i), 1+i%4)...)
		sealAll(t, l, s)
	}
	for size := int64(1); size <= rounds; size++ {
		for i := range size {
			p, err := s.Prove(t.Context(), "shop", fmt.Sprintf("o%d/1", i), size)
			if err != nil {
				t.Fatalf("event of seal %d in %d: %v", i+1, size, err)
			}
			if p.Seal.Number != i+1 || p.Tree.Size != size || !strings.Contains(p.Leaf, fmt.Sprintf(`"event_id":"o%d/1"`, i)) {
				t.Fatalf("%+v", p)
			}
		}
	}
	if _, err := s.Prove(t.Context(), "shop", "o12/1", 3); err == nil {
		t.Error("an event is proved for a tree that doesn't hold it")
	}
}

// tampered runs a statement as a superuser who switched the triggers off, verifies, and takes all back.
func tampered(t testing.TB, db *pgtest.DB, s *ledger.Seals, table, sql string) *ledger.Difference {
	t.Helper()
	tx, err := db.Super.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.Background()) }()
	disable := `DO $$ DECLARE leaf regclass; BEGIN
		FOR leaf IN SELECT '` + table + `'::regclass UNION SELECT relid FROM pg_partition_tree('` + table + `') LOOP EXECUTE 'ALTER TABLE ' || leaf || ' DISABLE TRIGGER ALL'; END LOOP;
	END $$`
	for _, statement := range []string{disable, sql} {
		if _, err := tx.Exec(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	r, err := s.VerifyTx(t.Context(), tx, ledger.VerifyRequest{})
	if err != nil {
		t.Fatal(err)
	}
	return r.Difference
}

func TestVerifyNamesWhatWasChanged(t *testing.T) {
	t.Parallel()
	l, s, db := sealing(t)
	for i := range 3 {
		e := sale(fmt.Sprint("p", i), 1)
		e.Payload = []byte(`{"x":1}`)
		appendAll(t, l, append(sales(fmt.Sprint("o", i), 5), e)...)
		sealAll(t, l, s)
	}
	var position int64
	if err := db.App.QueryRow(t.Context(), `SELECT position FROM ledger.events WHERE event_id = 'o1/3'`).Scan(&position); err != nil {
		t.Fatal(err)
	}
	var secret int64
	if err := db.App.QueryRow(t.Context(), `SELECT position FROM ledger.events WHERE event_id = 'p1/1'`).Scan(&secret); err != nil {
		t.Fatal(err)
	}
	at := func(sql string) string { return strings.ReplaceAll(sql, "$P", fmt.Sprint(position)) }
	for _, c := range []struct {
		table, sql, what, detail string
		position                 int64
		seal                     int64
	}{
		{"ledger.events", at(`UPDATE ledger.events SET amount = amount + 1 WHERE position = $P`), ledger.DiffChanged, "the content or the digest was changed", position, 2},
		{"ledger.events", at(`UPDATE ledger.events SET business_date = business_date + 1 WHERE position = $P`), ledger.DiffChanged, "business_date is 2026-01-16, and occurred_at makes 2026-01-15", position, 2},
		{"ledger.events", at(`UPDATE ledger.events SET recorded_at = recorded_at + interval '1 microsecond' WHERE position = $P`), ledger.DiffChanged, "in the event and", position, 2},
		{"ledger.events", at(`UPDATE ledger.events SET caused_by = 1 WHERE position = $P`), ledger.DiffChanged, "what was changed is in neither", position, 2},
		{"ledger.events", at(`DELETE FROM ledger.events WHERE position = $P`), ledger.DiffMissing, "there is a key in ledger.event_keys", position, 2},
		{"ledger.event_keys", at(`DELETE FROM ledger.event_keys WHERE position = $P`), ledger.DiffChanged, "no key in ledger.event_keys", position, 2},
		{"ledger.event_keys", at(`UPDATE ledger.event_keys SET digest = sha256('x') WHERE position = $P`), ledger.DiffChanged, "the content or the digest was changed", position, 2},
		{"ledger.event_keys", at(`UPDATE ledger.event_keys SET event_key = gen_random_uuid() WHERE position = $P`), ledger.DiffChanged, "source and id make", position, 2},
		{"ledger.event_keys", at(`UPDATE ledger.event_keys SET position_key = NULL WHERE position = $P`), ledger.DiffChanged, "it has a seqn and no position_key", position, 2},
		{"ledger.private", `UPDATE ledger.private SET payload = '{"x":2}' WHERE position = ` + fmt.Sprint(secret), ledger.DiffPrivate, "", secret, 2},
		{"ledger.private", `UPDATE ledger.private SET salt = '\x00' WHERE position = ` + fmt.Sprint(secret), ledger.DiffPrivate, "", secret, 2},
		{"ledger.private", `UPDATE ledger.private SET recorded_at = now() WHERE position = ` + fmt.Sprint(secret), ledger.DiffPrivate, "", secret, 2},
		{"ledger.private", `DELETE FROM ledger.private WHERE position = ` + fmt.Sprint(secret), ledger.DiffPrivate, "", secret, 2},
		{"ledger.private", at(`INSERT INTO ledger.private VALUES ($P, now(), '\x00', '{}', NULL)`), ledger.DiffPrivate, "", position, 2},
		{"ledger.seals", `UPDATE ledger.seals SET tree_root = hash WHERE number = 2`, ledger.DiffChain, "tree_root", 0, 2},
		{"ledger.seals", `UPDATE ledger.seals SET tags = tags || '' , root = hash WHERE number = 3`, ledger.DiffChain, "one of them was changed", 0, 3},
		{"ledger.seals", `UPDATE ledger.seals SET tags = overlay(tags PLACING '\x00000000' FROM 1) WHERE number = 2`, ledger.DiffChain, "the column tags was changed", 0, 2},
		{"ledger.seals", `DELETE FROM ledger.seals WHERE number = 1`, ledger.DiffChain, "seals are missing", 0, 1},
		{"ledger.watermarks", `UPDATE ledger.watermarks SET position = 0 WHERE n = 2`, ledger.DiffWatermark, "", 0, 0},
	} {
		d := tampered(t, db, s, c.table, c.sql)
		if d == nil || d.What != c.what || d.Position != c.position || d.Seal != c.seal || !strings.Contains(d.String(), c.detail) {
			t.Errorf("%s: %v", c.sql, d)
		}
	}
	clean(t, s)
}

func isCorrupt(err error) bool { return errors.Is(err, ledger.ErrCorrupt) }
