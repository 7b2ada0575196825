package reconcile

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"deltaledger/billing"
	"deltaledger/ledger/pg"
)

// What the lines of the cycles before come to that share allowances with a line: those that were written no later
// than it, but for those that something stood in the place of by then.
const sqlCarried = `
SELECT COALESCE(sum((p.contract -> 'added' ->> 'quantity')::numeric), 0), COALESCE(sum((p.contract -> 'added' ->> 'spent')::numeric), 0)
FROM billing.invoices i
JOIN billing.invoice_lines p ON p.account = i.account AND p.charge = $3 AND p.origin_start < $4 AND p.contract IS NOT NULL AND p.contract ->> 'name' = $5
JOIN billing.invoices j ON j.account = p.account AND j.id = p.invoice_id AND j.position <= i.position
 AND j.currency = i.currency AND j.stream IS NOT DISTINCT FROM i.stream
WHERE i.account = $1 AND i.id = $2
  AND NOT EXISTS (SELECT FROM billing.voids v WHERE v.account = p.account AND v.invoice_id = p.invoice_id AND v.outcome = 'rebill' AND v.position < i.position)`

// readCarried adds up what the line must have found to be used of its contract.
func readCarried(ctx context.Context, tx pgx.Tx, l invoiceLine) (billing.Carried, error) {
	var c billing.Carried
	err := tx.QueryRow(ctx, sqlCarried, l.account, l.invoice, l.charge, l.origin, l.contract.Name).Scan(&c.Quantity, &c.Spent)
	if err != nil {
		return c, fmt.Errorf("add up what is used of a contract: %w", err)
	}
	return c, nil
}

// compareContract says what doesn't agree in what the line keeps of its contract. was is
// what it found of its cycle, added what its pins come to.
func (l invoiceLine) compareContract(charge billing.Charge, was wanted, added billing.Inputs) (problems []string) {
	switch {
	case l.contract == nil && charge.OverContract():
		return []string{"it says nothing of the contract that its charge has an allowance over"}
	case l.contract == nil:
		return nil
	}
	if !l.contract.Carried.Equal(l.carried) {
		problems = append(problems, fmt.Sprintf("it found %s of its contract, but the lines of the cycles before say %s", l.contract.Carried, l.carried))
	}
	if adds := billing.AddedToContract(charge, l.currency, was.before, added, was.spentBefore); !l.contract.Added.Equal(adds) {
		problems = append(problems, fmt.Sprintf("it adds %s to its contract, but %s by the events that it pins", l.contract.Added, adds))
	}
	return problems
}

// What is kept as used of each contract, against the lines that share its allowances: those of accounts with new invoices.
const sqlWrongUses = `
WITH used AS (
    SELECT l.account, l.contract ->> 'name' AS contract, l.charge, i.currency, COALESCE(i.stream, '') AS stream,
           COALESCE(sum((l.contract -> 'added' ->> 'quantity')::numeric) FILTER (WHERE v.outcome IS DISTINCT FROM 'rebill'), 0) AS quantity,
           COALESCE(sum((l.contract -> 'added' ->> 'spent')::numeric) FILTER (WHERE v.outcome IS DISTINCT FROM 'rebill'), 0) AS spent
    FROM billing.invoice_lines l
    JOIN billing.invoices i ON i.account = l.account AND i.id = l.invoice_id
    LEFT JOIN billing.voids v ON v.account = l.account AND v.invoice_id = l.invoice_id
    WHERE l.account = ANY($1) AND l.contract IS NOT NULL
    GROUP BY 1, 2, 3, 4, 5
)
SELECT d.account, d.contract, d.charge, d.currency, d.stream,
       format('%s used and %s spent by billing.contract_uses, but %s and %s by the lines', COALESCE(u.quantity::text, 'nothing'), COALESCE(u.spent::text, 'nothing'), d.quantity, d.spent)
FROM used d
LEFT JOIN LATERAL (
    SELECT k.quantity, k.spent
    FROM billing.contract_uses k
    WHERE k.account = d.account AND k.contract = d.contract AND k.charge = d.charge AND k.currency = d.currency AND k.stream = d.stream
    ORDER BY k.n DESC
    LIMIT 1
) u ON true
WHERE u.quantity IS DISTINCT FROM d.quantity OR u.spent IS DISTINCT FROM d.spent
ORDER BY 1, 2, 3, 4, 5`

// checkContracts adds up again what accounts used of their contracts, from the lines: the next close reads the sum alone.
func (u *run) checkContracts(ctx context.Context, tx pgx.Tx) error {
	for accounts := range slices.Chunk(u.accounts, pageOfAccounts) {
		var account, contract, charge, currency, stream, detail string
		err := pg.ForEach(ctx, tx, []any{&account, &contract, &charge, &currency, &stream, &detail}, func() error {
			subject, _ := json.Marshal(map[string]string{"contract": contract, "charge": charge, "stream": stream}) // strings only: nothing to fail
			u.add(Finding{
				Fingerprint: fingerprint(checkContracts, account, contract, charge, currency, stream), Check: checkContracts, Account: account, Currency: currency, Subject: subject,
				Detail: fmt.Sprintf("account %s, contract %q, charge %q in %s: %s", account, contract, charge, currency, detail),
			})
			return nil
		}, sqlWrongUses, accounts)
		if err != nil {
			return fmt.Errorf("add up what is used of contracts: %w", err)
		}
	}
	u.checked(checkContracts, int64(len(u.accounts)), "accounts")
	return nil
}
