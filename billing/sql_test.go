package billing

import (
	"go/ast"
	"go/constant"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io/fs"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"deltaledger/migrations/pgtest"
)

// Every statement of the package must be one that the migrated schema understands.
func TestStatementsPrepare(t *testing.T) {
	t.Parallel()
	conn, err := pgtest.New(t).App.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	for name, sql := range statements(t) {
		rewritten, _, err := pgx.NamedArgs{}.RewriteQuery(t.Context(), conn.Conn(), sql, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Conn().Prepare(t.Context(), "", rewritten); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// statements are the constants whose names begin with sql, as the type checker evaluates them.
func statements(t *testing.T) map[string]string {
	t.Helper()
	set := token.NewFileSet()
	parsed, err := parser.ParseDir(set, ".", func(f fs.FileInfo) bool { return !strings.HasSuffix(f.Name(), "_test.go") }, 0)
	if err != nil {
		t.Fatal(err)
	}
	var files []*ast.File
	for _, f := range parsed["billing"].Files {
		files = append(files, f)
	}
	check := types.Config{Importer: importer.Default(), Error: func(error) {}} // imports needn't resolve for constants
	checked, _ := check.Check("billing", set, files, nil)
	found := map[string]string{}
	for _, name := range checked.Scope().Names() {
		if c, ok := checked.Scope().Lookup(name).(*types.Const); ok && strings.HasPrefix(name, "sql") {
			found[name] = constant.StringVal(c.Val())
		}
	}
	if len(found) < 20 {
		t.Fatalf("only %d statements were found", len(found))
	}
	return found
}
