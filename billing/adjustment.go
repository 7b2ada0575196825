package billing

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"deltaledger/ledger"
	"deltaledger/ledger/currency"
	"deltaledger/ledger/pg"
)

// AdjustmentStatus is what became of an adjustment.
type AdjustmentStatus string

const (
	// AdjustmentWaiting is one above the limit of the terms: another person has to decide.
	AdjustmentWaiting AdjustmentStatus = "waiting"
	// AdjustmentReady is one that the next close of the account bills.
	AdjustmentReady AdjustmentStatus = "ready"
	// AdjustmentRejected is one that nothing bills.
	AdjustmentRejected AdjustmentStatus = "rejected"
	// AdjustmentBilled is one that is on a line of an invoice.
	AdjustmentBilled AdjustmentStatus = "billed"
)

// Adjustment is an amount that a person has an account billed, or paid back, besides its charges. Times are UTC.
type Adjustment struct {
	ID          uuid.UUID        `json:"id"`
	Account     string           `json:"account"`
	Status      AdjustmentStatus `json:"status"`
	Amount      Money            `json:"amount"` // negative: for the account
	Currency    string           `json:"currency"`
	Reason      string           `json:"reason"`
	Reference   string           `json:"reference,omitempty"`
	OriginStart *time.Time       `json:"origin_start,omitempty"` // of the cycle that it is about
	Above       *Money           `json:"above,omitempty"`        // the limit of the terms when it was made
	MadeBy      string           `json:"made_by"`
	MadeAt      time.Time        `json:"made_at"`
	DecidedBy   string           `json:"decided_by,omitempty"`
	DecidedAt   *time.Time       `json:"decided_at,omitempty"`
	Why         string           `json:"why,omitempty"`     // of the decision
	Invoice     *uuid.UUID       `json:"invoice,omitempty"` // the newest that bills it
	Position    int64            `json:"position"`
}

// AdjustRequest says what an account is to be billed besides its charges.
type AdjustRequest struct {
	Account   string
	Amount    string // a plain decimal, in digits of the currency; negative: for the account
	Currency  string
	Reason    string // stands on the line
	Reference string // of the sender, one adjustment of an account each; empty: none
	Cycle     Date   // a local date in the closed cycle that it is about; zero: none
	By        string // who makes it
}

// Adjust records an adjustment. The next close of the account bills it, on a line of its own, once another
// person has approved it if its amount is above the limit of the terms. With a reference, the same request
// again has the same answer, and another one under it is ErrConflict. An account that was never heard of is ErrNotFound.
func (b *Billing) Adjust(ctx context.Context, r AdjustRequest) (Adjustment, error) {
	amount, err := r.check()
	if err != nil {
		return Adjustment{}, wrap(err, "adjust")
	}
	if err := b.deriveIfUnknown(ctx, r.Account); err != nil {
		return Adjustment{}, wrap(err, "adjust account %q", r.Account)
	}
	var id uuid.UUID
	err = pg.InTx(ctx, b.pool, func(tx pgx.Tx) error {
		v, err := b.hold(ctx, tx, r.Account, known{})
		if err != nil {
			return err
		}
		id, err = b.adjustTx(ctx, tx, v, r, amount)
		return err
	})
	if err != nil {
		return Adjustment{}, wrap(err, "adjust account %q", r.Account)
	}
	return b.Adjustment(ctx, id.String())
}

func (r AdjustRequest) check() (decimal.Decimal, error) {
	err := problems(checkText("account", r.Account, "must be the account that is billed"), checkText("reason", r.Reason, "must say why, for it stands on the line"),
		checkNote("reference", r.Reference), checkText("by", r.By, "must say who makes it"))
	if _, known := currency.Digits(r.Currency); !known {
		err = problems(err, ledger.Invalid("currency", r.Currency, "must be the code of a currency by ISO 4217, such as EUR"))
	}
	amount, bad := parseMoney("amount", r.Amount, r.Currency)
	if r.Cycle != (Date{}) && !r.Cycle.exists() {
		err = problems(err, ledger.Invalid("cycle", r.Cycle.String(), "must be an existing date as YYYY-MM-DD"))
	}
	return amount, problems(err, bad)
}

const sqlAdjustmentOfReference = `
SELECT a.id
FROM billing.adjustments a
WHERE a.account = $1 AND a.reference = $2`

// Its position is drawn last.
const sqlInsertAdjustment = `
INSERT INTO billing.adjustments (account, id, currency, amount, reason, reference, origin_start, waits, above, made_by, position, made_at)
SELECT $1, $2, $3, $4::numeric, $5, NULLIF($6, ''), $7, $8, $9::numeric, $10, d.positions[1], d.recorded_at
FROM ledger.draw(1) d`

// adjustTx writes the adjustment, or finds the one that is there under the reference.
func (b *Billing) adjustTx(ctx context.Context, tx pgx.Tx, v *view, r AdjustRequest, amount decimal.Decimal) (uuid.UUID, error) {
	var known bool
	if err := tx.QueryRow(ctx, sqlAccountKnown, r.Account).Scan(&known); err != nil {
		return uuid.Nil, err
	}
	if !known {
		return uuid.Nil, fmt.Errorf("it has neither events nor terms: %w", ledger.ErrNotFound)
	}
	origin, err := r.origin(v)
	if err != nil {
		return uuid.Nil, err
	}
	if r.Reference != "" {
		var id uuid.UUID
		err := tx.QueryRow(ctx, sqlAdjustmentOfReference, r.Account, r.Reference).Scan(&id)
		if err == nil {
			return id, r.sameAs(ctx, tx, id, amount, origin)
		}
		if !isNoRows(err) {
			return uuid.Nil, err
		}
	}
	limit := v.cal.TermsAt(v.cal.Cycle(b.now()).Start).ApproveAbove
	var above *string
	if a, ok := limit.Of(r.Currency); ok {
		above = ptr(a.String())
	}
	if _, err := tx.Exec(ctx, sqlKnowAccount, r.Account); err != nil {
		return uuid.Nil, err
	}
	id := b.newID()
	if _, err := tx.Exec(ctx, sqlInsertOpenAdjustment, r.Account, id); err != nil {
		return id, err
	}
	_, err = tx.Exec(ctx, sqlInsertAdjustment, r.Account, id, r.Currency, amount.String(), r.Reason, r.Reference, orNull(origin),
		limit.exceededBy(Money{amount, r.Currency}), above, r.By)
	return id, err
}

// origin is the start of the cycle that the adjustment is about; zero for none.
func (r AdjustRequest) origin(v *view) (time.Time, error) {
	if r.Cycle == (Date{}) {
		return time.Time{}, nil
	}
	cy := v.cal.Cycle(r.Cycle.In(v.cal.TermsAt(r.Cycle.In(time.UTC)).Zone))
	if cy.End.After(v.closed.end) {
		return time.Time{}, ledger.Invalid("cycle", r.Cycle.String(), "must be a date in a closed cycle; leave it out for the cycle that comes")
	}
	return cy.Start, nil
}

// sameAs refuses a request that differs from the adjustment that is there under its reference.
func (r AdjustRequest) sameAs(ctx context.Context, tx pgx.Tx, id uuid.UUID, amount decimal.Decimal, origin time.Time) error {
	a, err := findAdjustment(ctx, tx, id)
	if err != nil {
		return err
	}
	sameCycle := a.OriginStart == nil && origin.IsZero() || a.OriginStart != nil && a.OriginStart.Equal(origin)
	if a.Currency == r.Currency && a.Amount.Amount.Equal(amount) && a.Reason == r.Reason && sameCycle {
		return nil
	}
	return fmt.Errorf("adjustment %s has this reference, with another amount, currency, reason or cycle: another one needs its own: %w", a.ID, ledger.ErrConflict)
}

const selectAdjustment = `
SELECT a.id, a.account, s.status, a.amount, a.currency, a.reason, COALESCE(a.reference, ''), a.origin_start, a.above, a.made_by, a.made_at,
       COALESCE(d.decided_by, ''), d.decided_at, COALESCE(d.why, ''), s.invoice_id, a.position
FROM billing.adjustments a
JOIN billing.adjustment_states s ON s.account = a.account AND s.adjustment = a.id
LEFT JOIN billing.adjustment_decisions d ON d.account = a.account AND d.adjustment = a.id`

const sqlAdjustment = selectAdjustment + `
WHERE a.id = $1`

func scanAdjustment(row pgx.CollectableRow) (Adjustment, error) {
	var a Adjustment
	var above decimal.NullDecimal
	err := row.Scan(&a.ID, &a.Account, &a.Status, &a.Amount.Amount, &a.Currency, &a.Reason, &a.Reference, &a.OriginStart, &above, &a.MadeBy, &a.MadeAt,
		&a.DecidedBy, &a.DecidedAt, &a.Why, &a.Invoice, &a.Position)
	a.Amount.Currency, a.MadeAt = a.Currency, a.MadeAt.UTC()
	if above.Valid {
		a.Above = &Money{above.Decimal, a.Currency}
	}
	for _, t := range []*time.Time{a.OriginStart, a.DecidedAt} {
		if t != nil {
			*t = t.UTC()
		}
	}
	return a, err
}

func findAdjustment(ctx context.Context, q querier, id uuid.UUID) (Adjustment, error) {
	rows, err := q.Query(ctx, sqlAdjustment, id)
	if err != nil {
		return Adjustment{}, err
	}
	a, err := pgx.CollectOneRow(rows, scanAdjustment)
	if isNoRows(err) {
		return Adjustment{}, fmt.Errorf("adjustment %s: %w", id, ledger.ErrNotFound)
	}
	return a, err
}

// Adjustment returns an adjustment by its id; ErrNotFound if there is none.
func (b *Billing) Adjustment(ctx context.Context, id string) (Adjustment, error) {
	parsed, err := adjustmentID(id)
	if err != nil {
		return Adjustment{}, wrap(err, "show adjustment")
	}
	a, err := findAdjustment(ctx, b.pool, parsed)
	return a, wrap(err, "show adjustment")
}

func adjustmentID(id string) (uuid.UUID, error) {
	parsed, err := uuid.Parse(id)
	if err != nil {
		return uuid.Nil, ledger.Invalid("adjustment", id, "must be the id of an adjustment")
	}
	return parsed, nil
}

// AdjustmentQuery says which adjustments to list; a field that is zero is no condition.
type AdjustmentQuery struct {
	Account string
	Status  AdjustmentStatus
	Before  int64 // only those at positions below
	Limit   int   // 1 to 1,000; 0: 100
}

const sqlAdjustments = selectAdjustment + `
WHERE ($1 = '' OR a.account = $1) AND ($2 = '' OR s.status = $2) AND ($3 = 0 OR a.position < $3)
ORDER BY a.position DESC
LIMIT $4`

// Adjustments lists adjustments, newest first.
func (b *Billing) Adjustments(ctx context.Context, q AdjustmentQuery) ([]Adjustment, error) {
	if q.Limit == 0 {
		q.Limit = 100
	}
	var err error
	switch q.Status {
	case "", AdjustmentWaiting, AdjustmentReady, AdjustmentRejected, AdjustmentBilled:
	default:
		err = ledger.Invalid("status", string(q.Status), "must be waiting, ready, rejected or billed")
	}
	if q.Limit < 1 || q.Limit > 1000 {
		err = problems(err, ledger.Invalid("limit", fmt.Sprint(q.Limit), "must be 1 to 1000"))
	}
	if q.Before < 0 {
		err = problems(err, ledger.Invalid("before", fmt.Sprint(q.Before), "must be a position"))
	}
	if err != nil {
		return nil, wrap(err, "list adjustments")
	}
	rows, err := b.pool.Query(ctx, sqlAdjustments, q.Account, string(q.Status), q.Before, q.Limit)
	if err != nil {
		return nil, wrap(err, "list adjustments")
	}
	all, err := pgx.CollectRows(rows, scanAdjustment)
	return all, wrap(err, "list adjustments")
}
