package billing

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"deltaledger/ledger"
)

// UnbilledReason is why a row is on no live invoice.
type UnbilledReason string

const (
	// ReasonWrittenOff: its invoice was voided, and the money given up.
	ReasonWrittenOff UnbilledReason = "written-off"
	// ReasonUncovered: no charge of the terms of its cycle selects it.
	ReasonUncovered UnbilledReason = "uncovered"
	// ReasonParked: closes leave the account out until somebody releases it.
	ReasonParked UnbilledReason = "parked"
	// ReasonCycleOpen: its cycle isn't over, or its grace isn't.
	ReasonCycleOpen UnbilledReason = "cycle-open"
	// ReasonClosable: its cycle can be closed, and wasn't yet.
	ReasonClosable UnbilledReason = "closable"
	// ReasonLate: it came after the close of its cycle, and the next close bills it.
	ReasonLate UnbilledReason = "late"
	// ReasonCancelled: what the ledger made of states that came out of order cancels out in the cycle, so that there is nothing
	// to bill.
	ReasonCancelled UnbilledReason = "cancelled"
	// ReasonMissed: none of these, which must not be. A reconciliation finds it too.
	ReasonMissed UnbilledReason = "missed"
)

// Unbilled says why a row is on no live invoice, and when it will be on one. Times are UTC.
type Unbilled struct {
	Reason       UnbilledReason `json:"reason"`
	Why          string         `json:"why"`                     // in words
	CycleStart   time.Time      `json:"cycle_start"`             // of the cycle in which it happened
	CycleEnd     time.Time      `json:"cycle_end"`               // exclusive
	Zone         string         `json:"zone"`                    // the cycle is one of its dates
	Terms        int64          `json:"terms"`                   // version in force in the cycle; 0 is the built-in default
	BilledIn     *time.Time     `json:"billed_in,omitempty"`     // start of the cycle whose close bills it
	ClosableFrom *time.Time     `json:"closable_from,omitempty"` // when that cycle can be closed
}

// explainUnbilled says of the rows that are on no live invoice why.
func (b *Billing) explainUnbilled(ctx context.Context, tx pgx.Tx, rows []TracedRow) error {
	views := map[string]*view{}
	for i := range rows {
		r := &rows[i]
		if len(r.Billed) > 0 && r.Billed[0].Live {
			continue
		}
		v := views[r.Account]
		if v == nil {
			var err error
			if v, err = b.look(ctx, tx, r.Account); err != nil {
				return err
			}
			views[r.Account] = v
		}
		parked, err := readParked(ctx, tx, r.Account)
		if err != nil {
			return fmt.Errorf("read parked accounts: %w", err)
		}
		r.Unbilled = v.unbilled(r, parked, b.now())
	}
	return nil
}

// look reads the view of an account without its lock, as of the transaction's snapshot.
func (b *Billing) look(ctx context.Context, tx pgx.Tx, account string) (*view, error) {
	v := &view{account: account, runs: b.knownRuns()}
	var err error
	if v.state, err = b.readState(ctx, tx, v.runs, account); err != nil {
		return nil, err
	}
	return v, b.complete(ctx, tx, v, known{})
}

// unbilled says why a row is on no live invoice.
func (v *view) unbilled(r *TracedRow, parked []ParkedAccount, now time.Time) *Unbilled {
	cy := v.cal.Cycle(r.OccurredAt)
	terms := v.cal.TermsAt(cy.Start)
	u := &Unbilled{CycleStart: cy.Start, CycleEnd: cy.End, Zone: terms.Zone.String(), Terms: cy.Terms}
	if len(r.Billed) > 0 { // and all of them void: a rebill would have pinned it at once
		u.Reason, u.Why = ReasonWrittenOff, "its invoice was voided, and the money given up"
		return u
	}
	if !r.covered(terms) {
		u.Reason, u.Why = ReasonUncovered, "no charge of "+nameTerms(terms)+" selects it"
		return u
	}
	bills, closed := cy, !cy.End.After(v.closed.end)
	if closed {
		bills = v.cal.Cycle(v.closed.end)
	}
	due := v.cal.Due(bills)
	u.BilledIn, u.ClosableFrom = &bills.Start, &due
	switch {
	case closed && r.Position <= v.closed.watermark:
		u.BilledIn, u.ClosableFrom = nil, nil
		if r.Kind == ledger.Reorder || r.Kind == ledger.Reversal {
			u.Reason, u.Why = ReasonCancelled, "it and what else the ledger made of states in its cycle add up to nothing, and no event is among them"
		} else {
			u.Reason, u.Why = ReasonMissed, "its cycle is closed, and it is on no invoice: run a reconciliation"
		}
	case len(parked) > 0:
		u.Reason, u.Why = ReasonParked, fmt.Sprintf("closes leave the account out since run %d: %s", parked[0].Run, parked[0].Finding)
	case closed:
		u.Reason, u.Why = ReasonLate, "it came after its cycle was closed; the next close of the account bills it"
	case now.Before(due):
		u.Reason, u.Why = ReasonCycleOpen, "its cycle, with its grace, isn't over"
	default:
		u.Reason, u.Why = ReasonClosable, "its cycle can be closed, and wasn't yet"
	}
	return u
}

// covered reports whether a charge of the terms selects the row.
func (r *TracedRow) covered(t Terms) bool {
	for _, c := range t.Charges {
		if r.selectedBy(c) {
			return true
		}
	}
	return false
}

// nameTerms is how the terms whose charges count are called.
func nameTerms(t Terms) string {
	if n := t.chargesVersion(); n != 0 {
		return fmt.Sprintf("the terms, version %d,", n)
	}
	return "the built-in terms"
}
