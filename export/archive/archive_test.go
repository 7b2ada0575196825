package archive_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"deltaledger/export/archive"
	"deltaledger/ledger"
	"deltaledger/migrations/pgtest"
	"deltaledger/migrations/sqltest"
)

func TestAMonthIsCopiedAndHeldAgainstTheSeals(t *testing.T) {
	t.Parallel()
	w := settled(t)
	r := w.archive()
	if !r.Written || r.Rows != 63 {
		t.Fatalf("%+v", r)
	}
	raw, err := os.ReadFile(filepath.Join(w.dir, r.Manifest))
	w.must(err)
	var m archive.Manifest
	w.must(json.Unmarshal(raw, &m))
	if m.Rows != 63 || len(m.Files) != 1 || m.Oversized["amount"] == 0 || m.Sums["EUR"]["amount"] == "" || bytes.Contains(raw, []byte("secret")) {
		t.Errorf("%s", raw)
	}
	w.sums(m)
	again := w.archive()
	if again.Written || again.Rows != 63 {
		t.Errorf("again: %+v", again)
	}
	copies, err := w.a.Copies(t.Context(), w.old)
	if err != nil || len(copies) != 1 || copies[0].Rows != 63 {
		t.Errorf("%+v, %v", copies, err)
	}
	for _, what := range []string{w.old.String(), "file://" + w.dir, w.dir} {
		if done, err := w.a.Verify(t.Context(), what); err != nil || len(done) != 1 || done[0].Rows != 63 {
			t.Errorf("verify %s: %+v, %v", what, done, err)
		}
	}
}

// sums holds the sums of a manifest against the database's.
func (w *world) sums(m archive.Manifest) {
	w.Helper()
	rows, err := w.db.Super.Query(w.Context(), `SELECT currency, trim_scale(sum(amount))::text FROM ledger.every_event
		WHERE recorded_at >= $1 AND recorded_at < $1::timestamptz + interval '1 month' GROUP BY 1`, w.first())
	w.must(err)
	defer rows.Close()
	for rows.Next() {
		var currency, sum string
		w.must(rows.Scan(&currency, &sum))
		if have := m.Sums[currency]["amount"]; have != sum {
			w.Errorf("%s: %s in the manifest, %s in the ledger", currency, have, sum)
		}
	}
}

// Several files, groups of rows that end early, an object store, and a copy that was left half written.
func TestObjectStoreAndHalfWrittenCopies(t *testing.T) {
	t.Parallel()
	w := settled(t)
	dir, open := bucket(t)
	w.a = w.archiver(archive.Options{Open: open, RowsPerFile: 10})
	half := filepath.Join(dir, "p", "events-"+w.old.String())
	w.must(os.MkdirAll(half, 0o700))
	w.must(os.WriteFile(filepath.Join(half, "00001.parquet"), []byte("half"), 0o600))
	r, err := w.a.Archive(t.Context(), w.old, "s3://copies", by)
	if err != nil || r.Rows != 63 || !strings.Contains(strings.Join(w.told, "\n"), "half written") {
		t.Fatalf("%+v, %v, %v", r, err, w.told)
	}
	raw, err := os.ReadFile(filepath.Join(dir, "p", r.Manifest))
	w.must(err)
	var m archive.Manifest
	w.must(json.Unmarshal(raw, &m))
	if len(m.Files) != 7 || m.Files[6].Rows != 3 {
		t.Errorf("%+v", m.Files)
	}
	if r, err = w.a.Archive(t.Context(), w.old, "s3://copies", by); err != nil || r.Written {
		t.Errorf("again: %+v, %v", r, err)
	}
}

// Each flipped byte and each change of rows is found: by the hash, and by the seals where hash and manifest were
// made to fit.
func TestDamageIsFound(t *testing.T) {
	t.Parallel()
	w := settled(t)
	r := w.archive()
	file := filepath.Join(w.dir, "events-"+w.old.String(), "00001.parquet")
	good, err := os.ReadFile(file)
	w.must(err)
	manifest, err := os.ReadFile(filepath.Join(w.dir, r.Manifest))
	w.must(err)
	for at := 5; at < len(good); at += len(good) / 9 {
		bad := bytes.Clone(good)
		bad[at] ^= 1
		w.must(os.WriteFile(file, bad, 0o600))
		if _, err := w.a.Verify(t.Context(), w.old.String()); !errors.Is(err, ledger.ErrCorrupt) {
			t.Errorf("byte %d: %v", at, err)
		}
	}
	w.must(os.WriteFile(file, good, 0o600))
	w.must(os.WriteFile(filepath.Join(w.dir, r.Manifest), bytes.Replace(manifest, []byte(`"rows": 63`), []byte(`"rows": 64`), 1), 0o600))
	if _, err := w.a.Verify(t.Context(), w.old.String()); !errors.Is(err, ledger.ErrCorrupt) {
		t.Errorf("the manifest: %v", err)
	}
	if _, err := w.a.Verify(t.Context(), w.dir); !errors.Is(err, ledger.ErrCorrupt) {
		t.Errorf("the manifest, without its record: %v", err)
	}
	w.must(os.Remove(filepath.Join(w.dir, r.Manifest)))
	if _, err := w.a.Verify(t.Context(), w.old.String()); !errors.Is(err, ledger.ErrCorrupt) {
		t.Errorf("without a manifest: %v", err)
	}
}

// What was changed in the database behind the ledger isn't copied as if it were what was sealed.
func TestOnlyWhatWasSealedIsCopied(t *testing.T) {
	t.Parallel()
	for name, sql := range map[string]string{
		"changed": `UPDATE ledger.events SET amount = 1 WHERE position = (SELECT min(position) + 3 FROM ledger.events)`,
		"gone":    `DELETE FROM ledger.events WHERE position = (SELECT min(position) FROM ledger.events)`,
		"key":     `UPDATE ledger.event_keys SET digest = decode(repeat('00', 32), 'hex') WHERE position = (SELECT min(position) + 3 FROM ledger.events)`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := settled(t)
			_, err := w.db.Super.Exec(t.Context(), `DO $$ DECLARE r record; BEGIN
				FOR r IN SELECT tgrelid::regclass AS of, tgname FROM pg_trigger WHERE tgname LIKE 'refuse%' AND tgrelid::regclass::text LIKE 'ledger.event%' LOOP
					EXECUTE format('ALTER TABLE %s DISABLE TRIGGER %I', r.of, r.tgname);
				END LOOP; END $$`)
			w.must(err)
			_, err = w.db.Super.Exec(t.Context(), sql)
			w.must(err)
			if _, err := w.a.Archive(t.Context(), w.old, w.location(), by); !errors.Is(err, ledger.ErrCorrupt) {
				t.Errorf("%v", err)
			}
			if left, _ := filepath.Glob(filepath.Join(w.dir, "*", "manifest.json")); len(left) > 0 {
				t.Errorf("a manifest was written: %v", left)
			}
		})
	}
}

func (w *world) location() string { return "file://" + w.dir }

func TestWhatCantBeArchived(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 4)
	w.fill(10)
	w.at(65)
	w.fill(1)
	for month, want := range map[string]string{w.old.String(): "run deltaledger seal", w.old.Next().Next().Next().String(): "is still in use", "1999-01": "nothing was recorded"} {
		m := w.old
		w.must(m.UnmarshalText([]byte(month)))
		if _, err := w.a.Archive(t.Context(), m, w.location(), by); !errors.Is(err, ledger.ErrConflict) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", month, err)
		}
	}
}

func TestStatements(t *testing.T) {
	t.Parallel()
	sqltest.Prepare(t, pgtest.New(t).App, ".")
}
