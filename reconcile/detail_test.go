package reconcile_test

import (
	"strings"
	"testing"
)

// TestDetailsSayWhere: what a finding says is one line, and names what somebody has to look at.
func TestDetailsSayWhere(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ table, sql, want string }{
		"a number": {
			"invoice_numbers", "DELETE FROM billing.invoice_numbers WHERE number = 2",
			"series INV of the kind invoice goes up to 3 but has 2 numbers; the first that is missing is 2",
		},
		"a line": {
			"invoice_lines", "UPDATE billing.invoice_lines SET added = added + 1, amount = amount + 1 WHERE account = 'acme'",
			`line 1 ("amount" of the cycle from 2026-01-01T00:00:00Z): sum 11, but 10 by the events that it pins, amount 11, but 10 by the events that it pins`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := open(t)
			k.record(sale("acme", 1, 1, "sold", "10"), sale("globex", 1, 1, "sold", "2"), sale("initech", 1, 1, "sold", "3"))
			k.close("2026-01-31")
			k.tamper("ALTER TABLE billing." + c.table + " DISABLE TRIGGER ALL; " + c.sql)
			res := k.run(true)
			if len(res.Findings) != 1 {
				t.Fatalf("findings: %+v", res.Findings)
			}
			if got := res.Findings[0].Detail; !strings.Contains(got, c.want) || strings.Contains(got, "\n") {
				t.Errorf("detail %q, want %q in it", got, c.want)
			}
		})
	}
}
