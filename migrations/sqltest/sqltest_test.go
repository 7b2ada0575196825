package sqltest

import (
	"maps"
	"slices"
	"testing"

	"deltaledger/migrations/pgtest"
)

func TestConstantsAreFoundAndChecked(t *testing.T) {
	t.Parallel()
	statements, err := constants("testdata/sample")
	if err != nil {
		t.Fatal(err)
	}
	right := map[string]bool{
		"sqlJoined": true, "sqlNamedArgument": true, "sqlCopyIn": true, "sqlCopyOut": true,
		"sqlWrongColumn": false, "sqlWrongCopy": false, "sqlWrongCopyOut": false, "sqlTwo": false, "sqlLocal": false,
	}
	if got, want := slices.Sorted(maps.Keys(statements)), slices.Sorted(maps.Keys(right)); !slices.Equal(got, want) {
		t.Fatalf("found %v, want %v", got, want)
	}
	db := pgtest.New(t)
	for name, ok := range right {
		if err := check(t.Context(), db.App, statements[name]); (err == nil) != ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOwnStatements(t *testing.T) {
	t.Parallel()
	Prepare(t, pgtest.New(t).App, ".")
}
