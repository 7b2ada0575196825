package export

import "deltaledger/ledger"

// Facts are the tables of exports whose rows draw positions, for seals.
func Facts() []ledger.FactTable {
	return []ledger.FactTable{{Kind: "freeze", Table: "export.freezes"}}
}
