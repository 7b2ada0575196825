package reconcile

import "deltaledger/ledger"

// Facts are the tables of reconciliations whose rows draw positions, for seals.
func Facts() []ledger.FactTable {
	return []ledger.FactTable{
		{Kind: "reconciliation", Table: "reconcile.runs"},
		{Kind: "finding", Table: "reconcile.findings"},
	}
}
