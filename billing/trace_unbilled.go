package billing

import (
	"context"
	"fmt"
	"math"
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
	// ReasonOrderOpen: its account is billed by order, and its order isn't final.
	ReasonOrderOpen UnbilledReason = "order-open"
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
	CycleStart   time.Time      `json:"cycle_start"`             // of the cycle that it belongs to: in which it happened, or its order was final
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
		o, err := v.orderOf(ctx, tx, r)
		if err != nil {
			return fmt.Errorf("look for its order: %w", err)
		}
		r.Unbilled = v.unbilled(r, o, parked, b.now())
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

// orderState is what is known of the order that a row is of.
type orderState struct {
	final time.Time // when it was final; zero: the row is billed as an event
	open  bool      // it isn't
	waits bool      // a close found the row, and left it to wait
}

const sqlOrderOfRow = `
SELECT ` + finalisedAt + `,
       EXISTS (SELECT FROM billing.carried w WHERE w.account = @account AND w.position = @position AND w.settled IS NULL)
FROM (VALUES (@source::text COLLATE "C", @stream::text COLLATE "C", @from::timestamptz, @to::timestamptz)) AS k (_source, stream, _since, _until)`

// orderOf looks for the order of a row, by the law of order.go.
func (v *view) orderOf(ctx context.Context, tx pgx.Tx, r *TracedRow) (o orderState, err error) {
	periods := v.cal.orderPeriods()
	p := periodAt(periods, r.OccurredAt)
	if p == nil || r.Stream == "" {
		return orderState{}, nil
	}
	source := r.Source
	if r.CausedBy != nil {
		source = r.CausedBy.Source
	}
	args := pgx.NamedArgs{}
	(&orders{periods: periods}).args(args)
	args["account"], args["position"], args["source"], args["stream"] = r.Account, r.Position, source, r.Stream
	args["from"], args["to"], args["watermark"] = p.since, p.until, int64(math.MaxInt64)
	if err := tx.QueryRow(ctx, sqlOrderOfRow, args).Scan(&o.final, &o.waits); err != nil {
		return orderState{}, err
	}
	switch o.final = o.final.UTC(); {
	case !o.final.Before(forever):
		o.open = true
	case o.final.Before(p.since):
		o.final = time.Time{}
	}
	return o, nil
}

// unbilled says why a row is on no live invoice.
func (v *view) unbilled(r *TracedRow, o orderState, parked []ParkedAccount, now time.Time) *Unbilled {
	own := v.cal.Cycle(r.OccurredAt)
	cy := own
	if !o.final.IsZero() && !o.open {
		cy = v.cal.Cycle(o.final)
	}
	terms := v.cal.TermsAt(cy.Start)
	u := &Unbilled{CycleStart: cy.Start, CycleEnd: cy.End, Zone: terms.Zone.String(), Terms: cy.Terms}
	switch {
	case len(r.Billed) > 0: // and all of them void: a rebill would have pinned it at once
		u.Reason, u.Why = ReasonWrittenOff, "its invoice was voided, and the money given up"
		return u
	case !r.covered(terms):
		u.Reason, u.Why = ReasonUncovered, "no charge of "+nameTerms(terms)+" selects it"
		return u
	case o.open:
		u.Reason, u.Why = ReasonOrderOpen, "the account is billed by order, and its order isn't final"
		return u
	}
	bills := cy
	if own.Start.After(cy.Start) { // what comes after its order was final is billed in its own cycle
		bills = own
	}
	closed := !bills.End.After(v.closed.end)
	if closed {
		bills = v.cal.Cycle(v.closed.end)
	}
	due := v.cal.Due(bills)
	u.BilledIn, u.ClosableFrom = &bills.Start, &due
	u.Reason, u.Why = v.waiting(r, o, closed, parked, due, now)
	if u.Reason == ReasonCancelled || u.Reason == ReasonMissed {
		u.BilledIn, u.ClosableFrom = nil, nil
	}
	return u
}

// waiting says what a row waits for that some charge selects and whose order, if it is of one, is final. closed: the cycle
// that would have billed it is.
func (v *view) waiting(r *TracedRow, o orderState, closed bool, parked []ParkedAccount, due, now time.Time) (UnbilledReason, string) {
	switch {
	case closed && r.Position <= v.closed.watermark && !o.waits && (r.Kind == ledger.Reorder || r.Kind == ledger.Reversal):
		return ReasonCancelled, "it and what else the ledger made of states in its cycle add up to nothing, and no event is among them"
	case closed && r.Position <= v.closed.watermark && !o.waits:
		return ReasonMissed, "its cycle is closed, and it is on no invoice: run a reconciliation"
	case len(parked) > 0:
		return ReasonParked, fmt.Sprintf("closes leave the account out since run %d: %s", parked[0].Run, parked[0].Finding)
	case closed:
		return ReasonLate, "it came after its cycle was closed; the next close of the account bills it"
	case now.Before(due):
		return ReasonCycleOpen, "its cycle, with its grace, isn't over"
	}
	return ReasonClosable, "its cycle can be closed, and wasn't yet"
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
