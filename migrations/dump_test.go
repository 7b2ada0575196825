package migrations_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// The dump is read from the catalogues, so that it needs no program beside the server and reads the
// same on every version that the ledger runs on. Partitions are left out: their names tell the month.
var dumps = []struct{ title, sql string }{
	{"Tables: columns, types, defaults", `
SELECT format(E'TABLE %s%s', c.oid::regclass, CASE c.relkind WHEN 'p' THEN ' PARTITION BY ' || pg_get_partkeydef(c.oid) ELSE '' END) || (
    SELECT string_agg(format(E'\n    %s %s%s%s%s%s', quote_ident(a.attname), format_type(a.atttypid, a.atttypmod),
        CASE WHEN a.attcollation <> t.typcollation THEN ' COLLATE ' || quote_ident(co.collname) ELSE '' END,
        CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END,
        CASE WHEN d.adbin IS NOT NULL THEN ' DEFAULT ' || pg_get_expr(d.adbin, d.adrelid) ELSE '' END,
        CASE a.attidentity WHEN 'a' THEN ' GENERATED ALWAYS AS IDENTITY' ELSE '' END), '' ORDER BY a.attnum)
    FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
    LEFT JOIN pg_collation co ON co.oid = a.attcollation LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = ANY($1) AND c.relkind IN ('r', 'p') AND NOT c.relispartition
ORDER BY c.oid::regclass::text`},
	{"Constraints", `
SELECT format('CONSTRAINT %s ON %s: %s', o.conname, o.conrelid::regclass, pg_get_constraintdef(o.oid))
FROM pg_constraint o JOIN pg_class c ON c.oid = o.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = ANY($1) AND o.contype <> 'n' AND NOT c.relispartition
ORDER BY o.conrelid::regclass::text, o.conname`},
	{"Indexes that aren't constraints", `
SELECT pg_get_indexdef(i.indexrelid)
FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = ANY($1) AND NOT c.relispartition AND NOT EXISTS (SELECT FROM pg_constraint o WHERE o.conindid = i.indexrelid)
ORDER BY i.indexrelid::regclass::text`},
	{"Triggers", `
SELECT pg_get_triggerdef(g.oid) || CASE g.tgenabled WHEN 'A' THEN ' (enabled always)' ELSE ' (enabled ' || g.tgenabled::text || ')' END
FROM pg_trigger g JOIN pg_class c ON c.oid = g.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = ANY($1) AND NOT g.tgisinternal AND NOT c.relispartition
ORDER BY g.tgrelid::regclass::text, g.tgname`},
	{"Views: columns", `
SELECT format('VIEW %s (%s)', c.oid::regclass, (SELECT string_agg(a.attname || ' ' || format_type(a.atttypid, a.atttypmod), ', ' ORDER BY a.attnum)
    FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0))
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = ANY($1) AND c.relkind = 'v'
ORDER BY c.oid::regclass::text`},
	{"Functions", `
SELECT pg_get_functiondef(p.oid)
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname = ANY($1)
ORDER BY p.oid::regprocedure::text`},
	{"Sequences", `
SELECT format('SEQUENCE %s AS %s INCREMENT %s CACHE %s', s.seqrelid::regclass, format_type(s.seqtypid, NULL), s.seqincrement, s.seqcache)
FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = ANY($1)
ORDER BY s.seqrelid::regclass::text`},
	{"Grants", `
SELECT format('GRANT %s ON %s TO %s', string_agg(x.privilege_type, ', ' ORDER BY x.privilege_type), o.name, CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE x.grantee::regrole::text END)
FROM (SELECT c.oid::regclass::text AS name, c.relacl AS acl, c.relowner AS owner FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
          WHERE n.nspname = ANY($1) AND NOT c.relispartition AND c.relkind IN ('r', 'p', 'v', 'S')
      UNION ALL SELECT p.oid::regprocedure::text, p.proacl, p.proowner FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = ANY($1)
      UNION ALL SELECT 'SCHEMA ' || nspname, nspacl, nspowner FROM pg_namespace WHERE nspname = ANY($1)) o,
     aclexplode(o.acl) x
WHERE x.grantee <> o.owner
GROUP BY o.name, x.grantee
ORDER BY o.name, 1`},
}

var schemas = []string{"ledger", "billing", "reconcile", "export", "auth", "archive"}

// dump writes down the schema of a database.
func dump(t *testing.T, pool *pgxpool.Pool) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("-- What the migrations make, read from the catalogues of PostgreSQL. For reading, not for running.\n" +
		"-- Written by: go test ./migrations -run TestSchemaIsCurrent -update\n")
	for _, d := range dumps {
		rows, err := pool.Query(context.Background(), d.sql, schemas)
		if err != nil {
			t.Fatal(err)
		}
		parts, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatalf("%s: %v", d.title, err)
		}
		fmt.Fprintf(&b, "\n-- %s\n\n", d.title)
		for _, p := range parts {
			b.WriteString(strings.TrimRight(p, "\n") + ";\n")
		}
	}
	return b.String()
}
