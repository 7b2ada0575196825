package billing

import (
	"encoding/json"
	"testing"
)

// touched are the rows that the nodes of a plan read of the tables whose names are given.
func touched(t *testing.T, plan map[string]any, tables map[string]bool) float64 {
	t.Helper()
	var rows float64
	if name, _ := plan["Relation Name"].(string); tables[name] {
		n, _ := plan["Actual Rows"].(float64)
		loops, _ := plan["Actual Loops"].(float64)
		removed, _ := plan["Rows Removed by Filter"].(float64)
		rows += (n + removed) * loops
	}
	parts, _ := plan["Plans"].([]any)
	for _, p := range parts {
		part, _ := p.(map[string]any)
		rows += touched(t, part, tables)
	}
	return rows
}

// A page of accounts to close looks at the adjustments that are open, of its own accounts, however many there ever were.
func TestPendingAccountsLookAtOpenAdjustmentsOnly(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "2026-03-05T00:00:00Z")
	accounts := []string{"a1", "a2", "a3"}
	for _, account := range accounts {
		f.record(f.event(account, "2026-01-10T00:00:00Z", "10"))
	}
	if err := f.b.DeriveAccounts(t.Context(), f.watermark()); err != nil {
		t.Fatal(err)
	}
	for _, account := range accounts {
		for range 20 {
			f.adjust(AdjustRequest{Account: account, Amount: "1.00", Currency: "USD", Reason: "test", By: "tester"})
		}
	}
	f.close("2026-01-31")
	f.adjust(AdjustRequest{Account: "a2", Amount: "2.00", Currency: "USD", Reason: "test", By: "tester"})
	if _, err := f.db.Super.Exec(t.Context(), "ANALYZE"); err != nil {
		t.Fatal(err)
	}
	found, err := f.b.pendingAfter(t.Context(), "", "", 2)
	if err != nil || len(found) != 1 || found[0].account != "a2" || !found[0].adjusts {
		t.Fatalf("pending: %+v, %v", found, err)
	}
	var raw []byte
	if err := f.db.App.QueryRow(t.Context(), "EXPLAIN (ANALYZE, FORMAT JSON) "+sqlPendingAccounts, "", "", 1000).Scan(&raw); err != nil {
		t.Fatal(err)
	}
	var plans []map[string]any
	if err := json.Unmarshal(raw, &plans); err != nil {
		t.Fatal(err)
	}
	plan, _ := plans[0]["Plan"].(map[string]any)
	if n := touched(t, plan, map[string]bool{"open_adjustments": true}); n == 0 || n > 6 { // a table this small is read whole, twice for each account
		t.Errorf("%v rows of open adjustments were read, one is open beside three accounts:\n%s", n, raw)
	}
	if f.number(`SELECT count(*) FROM billing.open_adjustments`) != 1 {
		t.Error("adjustments that were billed are open")
	}
	f.close("2026-02-28")
	if f.number(`SELECT count(*) FROM billing.open_adjustments`) != 0 {
		t.Error("an adjustment that was billed is open")
	}
}
