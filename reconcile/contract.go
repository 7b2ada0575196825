package reconcile

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"deltaledger/billing"
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
