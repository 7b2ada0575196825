// Package sqltest holds the SQL of a package against the migrated schema.
//
// Owns: finding every string constant whose name begins with "sql", at package level and in functions,
// evaluated as the compiler does, so that joined constants count as a whole, also with those of other packages.
//
// Guarantees: each such statement is prepared by PostgreSQL, which checks tables, columns, functions
// and types. COPY can't be prepared: its table and columns are looked up, its query is prepared.
// Nothing is left out; a constant that can't be evaluated fails the test.
//
// Does not own: SQL that is put together at run time, which its own tests must run.
package sqltest

import (
	"context"
	"fmt"
	"go/ast"
	"go/build"
	"go/constant"
	"go/parser"
	"go/token"
	"go/types"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Prepare checks every SQL constant of the Go package in dir, without its tests, in a subtest of its own.
func Prepare(t *testing.T, pool *pgxpool.Pool, dir string) {
	t.Helper()
	statements, err := constants(dir)
	if err != nil {
		t.Fatalf("sqltest: %v", err)
	}
	if len(statements) == 0 {
		t.Fatalf("sqltest: no constant of %s begins with sql", dir)
	}
	for _, name := range slices.Sorted(maps.Keys(statements)) {
		t.Run(name, func(t *testing.T) {
			if err := check(t.Context(), pool, statements[name]); err != nil {
				t.Errorf("%v\n%s", err, statements[name])
			}
		})
	}
}

// constants finds the SQL constants of the package in dir, by name; several of a name get a number.
func constants(dir string) (map[string]string, error) {
	module, root, err := moduleOf(dir)
	if err != nil {
		return nil, err
	}
	fset := token.NewFileSet()
	info := &types.Info{Defs: map[*ast.Ident]types.Object{}}
	packages := ownPackages{module: module, root: root, fset: fset, seen: map[string]*types.Package{}}
	if _, err := packages.read(dir, dir, info); err != nil {
		return nil, err
	}
	found := map[string]string{}
	for ident, object := range info.Defs {
		c, ok := object.(*types.Const)
		if !ok || !named.MatchString(ident.Name) {
			continue
		}
		if c.Val().Kind() != constant.String {
			return nil, fmt.Errorf("%s: %s isn't a string that can be known without the packages it imports", fset.Position(ident.Pos()), ident.Name)
		}
		name := ident.Name
		for n := 2; found[name] != ""; n++ {
			name = fmt.Sprintf("%s/%d", ident.Name, n)
		}
		found[name] = constant.StringVal(c.Val())
	}
	return found, nil
}

var named = regexp.MustCompile(`^sql([A-Z0-9_]|$)`)

// ownPackages imports the packages of one module. Those of others aren't read: the errors that follow from that don't
// touch constants of strings.
type ownPackages struct {
	module, root string
	fset         *token.FileSet
	seen         map[string]*types.Package
}

func (o ownPackages) Import(path string) (*types.Package, error) {
	rest, own := strings.CutPrefix(path, o.module+"/")
	if !own {
		return nil, fmt.Errorf("%s isn't read", path)
	}
	if pkg := o.seen[path]; pkg != nil {
		return pkg, nil
	}
	pkg, err := o.read(path, filepath.Join(o.root, filepath.FromSlash(rest)), nil)
	o.seen[path] = pkg
	return pkg, err
}

func (o ownPackages) read(path, dir string, info *types.Info) (*types.Package, error) {
	pkg, err := build.Default.ImportDir(dir, 0)
	if err != nil {
		return nil, err
	}
	var files []*ast.File
	for _, name := range append(pkg.GoFiles, pkg.CgoFiles...) {
		f, err := parser.ParseFile(o.fset, filepath.Join(dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	cfg := types.Config{Importer: o, Error: func(error) {}, IgnoreFuncBodies: info == nil}
	read, _ := cfg.Check(path, o.fset, files, info)
	return read, nil
}

var moduleLine = regexp.MustCompile(`(?m)^module (\S+)`)

// moduleOf finds the module that a directory is in, and its root.
func moduleOf(dir string) (module, root string, err error) {
	if root, err = filepath.Abs(dir); err != nil {
		return "", "", err
	}
	for {
		text, err := os.ReadFile(filepath.Join(root, "go.mod"))
		if m := moduleLine.FindSubmatch(text); err == nil && m != nil {
			return string(m[1]), root, nil
		}
		if filepath.Dir(root) == root {
			return "", "", fmt.Errorf("%s is in no module", dir)
		}
		root = filepath.Dir(root)
	}
}

var (
	copyTable = regexp.MustCompile(`(?is)^\s*COPY\s+([a-z_][\w.]*)\s*\(([^)]*)\)\s*(FROM\s+STDIN|TO\s+STDOUT)\b`)
	copyQuery = regexp.MustCompile(`(?is)^\s*COPY\s*\((.*)\)\s*TO\s+STDOUT\b[^)]*(\([^)]*\))?\s*$`)
	isCopy    = regexp.MustCompile(`(?is)^(\s|--[^\n]*\n)*COPY\b`)
)

// check has PostgreSQL look at one statement.
func check(ctx context.Context, pool *pgxpool.Pool, sql string) error {
	if isCopy.MatchString(sql) {
		return checkCopy(ctx, pool, sql)
	}
	return prepare(ctx, pool, sql)
}

func prepare(ctx context.Context, pool *pgxpool.Pool, sql string) error {
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	plain, _, err := pgx.NamedArgs{}.RewriteQuery(ctx, conn.Conn(), sql, nil) // @name becomes $n
	if err != nil {
		return err
	}
	_, err = conn.Conn().PgConn().Prepare(ctx, "", plain, nil) // unnamed: gone with the next one
	return err
}

func checkCopy(ctx context.Context, pool *pgxpool.Pool, sql string) error {
	if m := copyTable.FindStringSubmatch(sql); m != nil {
		return checkColumns(ctx, pool, m[1], strings.Split(m[2], ","))
	}
	if m := copyQuery.FindStringSubmatch(sql); m != nil {
		return prepare(ctx, pool, m[1])
	}
	return fmt.Errorf("a COPY must have the form COPY schema.table (columns) FROM STDIN, or COPY (query) TO STDOUT")
}

const sqlMissing = `
SELECT w.name
FROM unnest($2::text[]) AS w (name)
WHERE NOT EXISTS (
    SELECT FROM pg_attribute a
    WHERE a.attrelid = $1::regclass AND a.attname = w.name AND a.attnum > 0 AND NOT a.attisdropped)`

func checkColumns(ctx context.Context, pool *pgxpool.Pool, table string, columns []string) error {
	for i := range columns {
		columns[i] = strings.Trim(strings.TrimSpace(columns[i]), `"`)
	}
	rows, err := pool.Query(ctx, sqlMissing, table, columns)
	if err != nil {
		return err
	}
	missing, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	if len(missing) > 0 {
		return fmt.Errorf("%s has no columns %s", table, strings.Join(missing, ", "))
	}
	return nil
}
