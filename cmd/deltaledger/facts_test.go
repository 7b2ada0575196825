//go:build linux || darwin

package main

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/jackc/pgx/v5"

	"deltaledger/ledger/pg"
)

// refusesChanges tries to change facts as the role of conn (invariant 1).
func refusesChanges(t testing.TB, conn *pgx.Conn) {
	t.Helper()
	ctx := context.Background()
	leaf := one[string](t, conn, "SELECT tableoid::regclass::text FROM ledger.events LIMIT 1")
	for _, fact := range []string{"ledger.events", leaf, "ledger.event_keys", "billing.pins", "billing.invoices", "billing.invoice_lines", "billing.invoice_numbers", "export.freezes"} {
		column := one[string](t, conn, "SELECT attname::text FROM pg_attribute WHERE attrelid = $1::regclass AND attnum = 1", fact)
		for _, statement := range []string{
			fmt.Sprintf("UPDATE %s SET %s = %s", fact, column, column),
			fmt.Sprintf("UPDATE %s SET %s = %s WHERE false", fact, column, column),
			"DELETE FROM " + fact,
			"TRUNCATE " + fact + " CASCADE",
		} {
			if _, err := conn.Exec(ctx, statement); !pg.IsRefused(err) {
				t.Errorf("%s as %s: %v", statement, conn.Config().User, err)
			}
		}
	}
}

// withoutHelp finds commands, arguments and flags whose help isn't a sentence.
func withoutHelp(t testing.TB) (problems []string) {
	t.Helper()
	parser, err := kong.New(&root{})
	if err != nil {
		t.Fatal(err)
	}
	check := func(name, help string) {
		if help == "" || !strings.HasSuffix(strings.TrimSuffix(help, ")"), ".") && !strings.HasSuffix(help, ").") {
			problems = append(problems, fmt.Sprintf("%s: %q is no sentence", name, help))
		}
	}
	err = kong.Visit(parser.Model, func(node kong.Visitable, next kong.Next) error {
		switch n := node.(type) {
		case *kong.Node:
			if n.Type == kong.CommandNode {
				check(n.FullPath(), n.Help)
				for _, argument := range n.Positional {
					check(n.FullPath()+" "+argument.Name, argument.Help)
				}
			}
		case *kong.Flag:
			check("--"+n.Name, n.Help)
		}
		return next(nil)
	})
	if err != nil {
		t.Fatal(err)
	}
	return problems
}
