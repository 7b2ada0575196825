package reconcile_test

import (
	"strings"
	"testing"
)

func TestFilesAreFindingsUntilTheyAreMended(t *testing.T) {
	t.Parallel()
	k := open(t)
	exec := func(sql string) {
		t.Helper()
		if _, err := k.l.Pool().Exec(k.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	exec(`INSERT INTO ledger.import_files (location, name, version, size, modified_at, state, reason, resume, recorded, invalid, sha256, ended_at) VALUES
		('file:///in', 'a.csv', 1, 1, now(), 'done', NULL, 2, 1, 1, sha256('a'), now()),
		('file:///in', 'b.csv', 1, 1, now(), 'done', NULL, 2, 2, 0, sha256('b'), now()),
		('file:///in', 'b.csv', 2, 2, now(), 'changed', 'file 2 was read', 0, 0, 0, sha256('c'), now())`)
	first := k.run(true)
	k.want(first, 0, 0, "files", "files")
	for _, text := range []string{`file 1 ("a.csv" in file:///in) holds 1 rows that are not events: deltaledger import show 1`, `file 3 ("b.csv" in file:///in) changed under its name: file 2 was read`} {
		if !strings.Contains(details(first), text) {
			t.Errorf("%s is not in:\n%s", text, details(first))
		}
	}
	exec(`UPDATE ledger.import_files SET state = 'discarded' WHERE n = 3`)
	k.want(k.run(true), 0, 0, "files")
	exec(`INSERT INTO ledger.import_files (location, name, version, size, modified_at, state, resume, recorded, sha256, ended_at)
		VALUES ('file:///in', 'a.csv', 2, 1, now(), 'done', 2, 2, sha256('d'), now())`)
	k.want(k.run(true), 0, 0)
}
