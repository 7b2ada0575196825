package reconcile_test

import (
	"testing"

	"deltaledger/ledger"
)

// Terms whose allowances hold over the contract.
const sharedAllowances = `{"effective_from":"2026-01-01","charges":[
	{"name":"calls","model":"per_unit","measure":"amount","unit_amount":"10","free_units":"5","free_per":"contract","maximum":"60","maximum_per":"contract"},
	{"name":"fee","model":"percentage","measure":"amount","rate":"2","free_amount":"4","free_per":"contract"}]}`

// What a line found to be used of its contract, and what it adds to it, is recomputed from the lines before it and from its
// pins, also of lines that pin nothing.
func TestContractsAreRecomputed(t *testing.T) {
	t.Parallel()
	const off, on = "SET session_replication_role = replica; ALTER TABLE billing.invoice_lines DISABLE TRIGGER ALL; ", "; ALTER TABLE billing.invoice_lines ENABLE ALWAYS TRIGGER refuse_row"
	for name, c := range map[string]struct {
		sql    string
		checks []string
	}{
		"nothing is": {"SELECT 1", nil},
		"what was used is": {
			`UPDATE billing.invoice_lines SET contract = jsonb_set(contract, '{carried,quantity}', '"99"') WHERE charge = 'calls' AND pinned = 0 AND late`, []string{"invoice"},
		},
		"what was spent is": {
			`UPDATE billing.invoice_lines SET contract = jsonb_set(contract, '{carried,spent}', '"1"') WHERE charge = 'calls' AND origin_start >= '2026-03-01Z'`, []string{"invoice"},
		},
		"what a line adds is": {
			`UPDATE billing.invoice_lines SET contract = jsonb_set(contract, '{added,quantity}', '"4"') WHERE charge = 'fee' AND origin_start < '2026-02-01Z' AND NOT late`, []string{"invoice", "invoice", "invoice", "contracts"},
		},
		"the contract's name is":    {`UPDATE billing.invoice_lines SET contract = contract || '{"name":"other"}' WHERE charge = 'fee' AND origin_start >= '2026-03-01Z'`, []string{"invoice", "contracts", "contracts"}},
		"all of the contract is":    {`UPDATE billing.invoice_lines SET contract = NULL WHERE charge = 'fee' AND origin_start >= '2026-03-01Z'`, []string{"invoice", "contracts"}},
		"what is kept as used is":   {`ALTER TABLE billing.contract_uses DISABLE TRIGGER ALL; UPDATE billing.contract_uses SET quantity = quantity + 1 WHERE charge = 'fee'`, []string{"contracts"}},
		"nothing is kept as used":   {`ALTER TABLE billing.contract_uses DISABLE TRIGGER ALL; DELETE FROM billing.contract_uses WHERE charge = 'calls'`, []string{"contracts"}},
		"the amount of a change is": {`UPDATE billing.invoice_lines SET amount = amount - 1 WHERE pinned = 0 AND late AND charge = 'calls'`, []string{"invoice"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := open(t)
			if _, err := k.b.SetTerms(t.Context(), []byte(sharedAllowances), "tester"); err != nil {
				t.Fatal(err)
			}
			n := map[int]int{}
			in := func(month int, amount string) ledger.Event {
				n[month]++
				return sale("acme", month, n[month], "sold", amount)
			}
			k.record(in(1, "3"), in(2, "4"), in(3, "3"))
			k.close("2026-01-31")
			k.close("2026-02-28")
			k.record(in(1, "1.5")) // takes what February had free
			k.close("2026-03-31")
			k.tamper(off + c.sql + on)
			k.want(k.run(true), 0, 0, c.checks...)
		})
	}
}
