package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// checkImports returns one sentence for every import that the tables forbid, and for every package without a row.
func checkImports(packages []goPackage) []string {
	var problems []string
	for _, p := range packages {
		rule, ok := ruleFor(p.ImportPath)
		if !ok {
			problems = append(problems, p.ImportPath+" has no row in moduleRules: say what it may import, and why")
			continue
		}
		for _, dep := range p.Imports {
			problems = append(problems, checkImport(rule, p.ImportPath, dep, false)...)
		}
		for _, dep := range slices.Concat(p.TestImports, p.XTestImports) {
			problems = append(problems, checkImport(rule, p.ImportPath, dep, true)...)
		}
	}
	slices.Sort(problems)
	return slices.Compact(problems)
}

// checkImport says what is wrong with one import of pkg; test is true for an import of its test files.
func checkImport(rule importRule, pkg, dep string, test bool) []string {
	var problems []string
	who := pkg
	if test {
		who = "a test of " + pkg
	}
	if matchesPattern("deltaledger/...", dep) && !mayImport(rule, pkg, dep, test) {
		problems = append(problems, fmt.Sprintf("%s imports %s: %s", who, dep, rule.why))
	}
	for _, c := range confinements {
		if !matchesPattern(c.dep, dep) || matchesAnyPattern(c.to, pkg) || (test && matchesAnyPattern(c.inTest, pkg)) {
			continue
		}
		problems = append(problems, fmt.Sprintf("%s imports %s: %s", who, dep, c.why))
	}
	return problems
}

// mayImport reports whether the module's own package dep is within reach of pkg, to which rule applies.
func mayImport(rule importRule, pkg, dep string, test bool) bool {
	if matchesAnyPattern(rule.may, dep) {
		return true
	}
	return test && (dep == pkg || matchesAnyPattern(rule.inTest, dep) || matchesAnyPattern(everyTest, dep))
}

// ruleFor returns the row with the longest pattern that matches pkg.
func ruleFor(pkg string) (importRule, bool) {
	var best importRule
	for _, rule := range moduleRules {
		if matchesPattern(rule.pkg, pkg) && len(rule.pkg) > len(best.pkg) {
			best = rule
		}
	}
	return best, best.pkg != ""
}

// matchesPattern reports whether path is pattern, or lies below it when pattern ends in "/...".
func matchesPattern(pattern, path string) bool {
	tree, isTree := strings.CutSuffix(pattern, "/...")
	if !isTree {
		return path == pattern
	}
	return path == tree || strings.HasPrefix(path, tree+"/")
}

func matchesAnyPattern(patterns []string, path string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool { return matchesPattern(pattern, path) })
}

// TestCheckImports shows on made-up packages that the tables forbid what they are there to forbid, and nothing else.
func TestCheckImports(t *testing.T) {
	t.Parallel()
	const fine, broken = true, false
	cases := []struct {
		name string
		pkg  goPackage
		want bool
	}{
		{"cmd joins all", importing("cmd/deltaledger", "deltaledger/api/kafka", "deltaledger/ledger/pg/embedded", "deltaledger/migrations"), fine},
		{"nobody imports cmd", importing("api", "deltaledger/cmd/deltaledger"), broken},
		{"nobody imports api", importing("export", "deltaledger/api"), broken},
		{"nobody imports what is below api", importing("cmd/other", "deltaledger/api/auth"), broken},
		{"api calls services", importing("api/console", "deltaledger/reconcile", "deltaledger/export", "deltaledger/ledger/wire"), fine},
		{"api starts no server", importing("api", "deltaledger/ledger/pg/embedded"), broken},
		{"export reads bills", importing("export", "deltaledger/billing", "deltaledger/ledger"), fine},
		{"export knows no reconcile", importing("export", "deltaledger/reconcile"), broken},
		{"reconcile knows no export", importing("reconcile", "deltaledger/export"), broken},
		{"not even its tests", testImporting("reconcile", "deltaledger/export"), broken},
		{"the longest pattern counts", importing("reconcile/statement", "deltaledger/billing"), broken},
		{"billing below export", importing("billing", "deltaledger/export"), broken},
		{"ledger below billing", importing("ledger", "deltaledger/billing"), broken},
		{"ledger on pg", importing("ledger", "deltaledger/ledger/pg", "github.com/jackc/pgx/v5"), fine},
		{"ledger does not decode", importing("ledger", "deltaledger/ledger/wire"), broken},
		{"its tests may", testImporting("ledger", "deltaledger/ledger/wire", "deltaledger/ledger"), fine},
		{"wire on ledger", importing("ledger/wire", "deltaledger/ledger"), fine},
		{"wire has no database", importing("ledger/wire", "github.com/jackc/pgx/v5"), broken},
		{"pg is lowest", importing("ledger/pg", "deltaledger/ledger"), broken},
		{"pgconn in pg", importing("ledger/pg", "github.com/jackc/pgx/v5/pgconn"), fine},
		{"pgconn in embedded", importing("ledger/pg/embedded", "github.com/jackc/pgx/v5/pgconn"), fine},
		{"pgconn elsewhere", importing("billing", "github.com/jackc/pgx/v5/pgconn"), broken},
		{"pgconn in a test elsewhere", testImporting("billing", "github.com/jackc/pgx/v5/pgconn"), broken},
		{"chi in api", importing("api/console", "github.com/go-chi/chi/v5/middleware"), fine},
		{"chi in cmd", importing("cmd/deltaledger", "github.com/go-chi/chi/v5"), broken},
		{"huma in a service", importing("ledger", "github.com/danielgtaylor/huma/v2"), broken},
		{"Kafka in api/kafka", importing("api/kafka", "github.com/segmentio/kafka-go/protocol/fetch"), fine},
		{"Kafka in api", importing("api", "github.com/segmentio/kafka-go"), broken},
		{"Kafka in the tests of cmd", testImporting("cmd/deltaledger", "github.com/twmb/franz-go/pkg/kfake"), fine},
		{"Kafka in cmd itself", importing("cmd/deltaledger", "github.com/twmb/franz-go/pkg/kgo"), broken},
		{"goose in migrations", importing("migrations", "github.com/pressly/goose/v3/lock"), fine},
		{"goose in cmd", importing("cmd/deltaledger", "github.com/pressly/goose/v3"), broken},
		{"kong in cmd", importing("cmd/deltaledger", "github.com/alecthomas/kong"), fine},
		{"kong in api", importing("api", "github.com/alecthomas/kong"), broken},
		{"a progress bar in ledger", importing("ledger", "github.com/schollz/progressbar/v3"), broken},
		{"the job runner in reconcile", importing("reconcile", "github.com/riverqueue/river"), broken},
		{"a database for every test", testImporting("export", "deltaledger/migrations/pgtest"), fine},
		{"none for cmd itself", importing("cmd/deltaledger", "deltaledger/migrations/pgtest"), broken},
		{"none for api itself", importing("api", "deltaledger/migrations/pgtest"), broken},
		{"a package without a row", importing("util"), broken},
		{"a longer name is no subfolder", importing("billings", "deltaledger/ledger"), broken},
		{"the rest is free", importing("billing", "time", "github.com/shopspring/decimal"), fine},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			problems := checkImports([]goPackage{c.pkg})
			if got := len(problems) == 0; got != c.want {
				t.Errorf("fine = %t, want %t; problems: %q", got, c.want, problems)
			}
		})
	}
}

// importing makes up a package that imports deps in the program, testImporting one that does so in its tests.
func importing(pkg string, deps ...string) goPackage {
	return goPackage{ImportPath: "deltaledger/" + pkg, Imports: deps}
}

func testImporting(pkg string, deps ...string) goPackage {
	return goPackage{ImportPath: "deltaledger/" + pkg, XTestImports: deps}
}
