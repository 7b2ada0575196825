package billing

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"deltaledger/ledger"
	"deltaledger/ledger/pg"
)

// PaymentRequest says what was paid of an invoice, or went back.
type PaymentRequest struct {
	Invoice   string // id or number
	Reference string // of the sender, such as the bank's; one payment of an invoice each
	Amount    string // a plain decimal in the currency of the invoice, other than zero
	PaidOn    Date   // value date, in the future by no more than Options.ClockSkew; the zero Date: today in the reporting zone
	Reverses  string // the reference of the payment that goes back; empty: none in particular
	Note      string
	By        string // who records it
}

// Payment is money that came for an invoice, or, where its sign is the other one, went back.
type Payment struct {
	Reference  string    `json:"reference"`
	Amount     Money     `json:"amount"`
	PaidOn     string    `json:"paid_on"` // date
	Reverses   string    `json:"reverses,omitempty"`
	Note       string    `json:"note,omitempty"`
	By         string    `json:"by"`
	Position   int64     `json:"position"`
	RecordedAt time.Time `json:"recorded_at"`
}

// PaymentResult is a payment with what it left of its invoice, at the moment when it was recorded.
type PaymentResult struct {
	Invoice  uuid.UUID `json:"invoice"`
	Number   string    `json:"number"`
	Account  string    `json:"account"`
	Currency string    `json:"currency"`
	Payment  Payment   `json:"payment"`
	Paid     Money     `json:"paid"` // of the invoice in all
	Open     Money     `json:"open"`
}

// Pay records a payment of an issued invoice. It is recorded once by its reference: the same again has the
// same answer, whatever happened since; another amount, date or reversal under the reference is ErrConflict.
// A payment that goes beyond what is open, or takes back more than was paid, is ErrConflict, and so is one
// of an invoice that is void or not issued.
func (b *Billing) Pay(ctx context.Context, r PaymentRequest) (PaymentResult, error) {
	wanted, amount, err := b.checkedPayment(ctx, r)
	if err != nil {
		return PaymentResult{}, wrap(err, "record a payment")
	}
	var done PaymentResult
	err = pg.InTx(ctx, b.pool, func(tx pgx.Tx) error {
		v, err := b.holdInvoice(ctx, tx, wanted)
		if err != nil {
			return err
		}
		known, err := readPayments(ctx, tx, v)
		if err != nil {
			return err
		}
		if p, found := paymentOf(known, r.Reference); found {
			if err := r.sameAs(p, amount); err != nil {
				return err
			}
			done, err = paymentResult(ctx, tx, v, p)
			return err
		}
		if r.PaidOn == (Date{}) {
			r.PaidOn = DateOf(b.now().In(b.zone))
		}
		if err := r.dated(b.now().Add(b.skew).In(b.zone), b.skew); err != nil {
			return err
		}
		if err := r.allowed(v, known, amount); err != nil {
			return err
		}
		p, err := r.insert(ctx, tx, v, amount)
		if err != nil {
			return err
		}
		done, err = paymentResult(ctx, tx, v, p)
		return err
	})
	if err != nil {
		return PaymentResult{}, wrap(err, "record payment %q of invoice %s", r.Reference, r.Invoice)
	}
	return done, nil
}

const ruleReference = "must be the payment's own reference, such as the bank's"

// checkedPayment is what can be wrong without a lock.
func (b *Billing) checkedPayment(ctx context.Context, r PaymentRequest) (Invoice, decimal.Decimal, error) {
	err := problems(checkText("reference", r.Reference, ruleReference), checkNote("reverses", r.Reverses), checkNote("note", r.Note),
		checkText("by", r.By, "must say who records it"))
	if r.PaidOn != (Date{}) && !r.PaidOn.exists() {
		err = problems(err, ledger.Invalid("date", r.PaidOn.String(), "must be an existing date as YYYY-MM-DD"))
	}
	if r.Reverses != "" && r.Reverses == r.Reference {
		err = problems(err, ledger.Invalid("reverses", r.Reverses, "must be the reference of another payment: what goes back has one of its own"))
	}
	if _, bad := ledger.ParseAmount(r.Amount); bad != nil {
		err = problems(err, ledger.Invalid("amount", r.Amount, "must be a plain decimal such as 12.50"))
	}
	if err != nil {
		return Invoice{}, decimal.Zero, err
	}
	v, err := find(ctx, b.pool, r.Invoice)
	if err != nil {
		return v, decimal.Zero, err
	}
	amount, err := parseMoney("amount", r.Amount, v.Currency, v.Total.Amount)
	return v, amount, err
}

// holdInvoice takes the lock of the invoice's account until the end of the transaction, as closes and voids
// do, and reads the invoice again: somebody else may have been quicker.
func (b *Billing) holdInvoice(ctx context.Context, tx pgx.Tx, wanted Invoice) (Invoice, error) {
	if _, err := tx.Exec(ctx, sqlHoldAccount, wanted.Account); err != nil {
		return Invoice{}, err
	}
	return find(ctx, tx, wanted.ID.String())
}

// mustCount refuses what can only be done with an issued invoice that counts; done names it.
func (v Invoice) mustCount(done string) error {
	switch {
	case v.Status == Void && v.RebilledBy != nil:
		return fmt.Errorf("it is void, and %s stands in its place: only an invoice that counts can be %s: %w", v.RebilledBy, done, ledger.ErrConflict)
	case v.Status == Void:
		return fmt.Errorf("it is void (%s): only an invoice that counts can be %s: %w", v.Outcome, done, ledger.ErrConflict)
	case v.Status == Ready:
		return fmt.Errorf("it isn't issued yet and has no number: only an issued invoice can be %s: %w", done, ledger.ErrConflict)
	}
	return nil
}

// dated refuses a value date that begins after the horizon, an instant in the reporting zone: it would be a payment that
// nobody has seen yet, and count as paid all the same.
func (r PaymentRequest) dated(horizon time.Time, skew time.Duration) error {
	last := DateOf(horizon)
	if r.PaidOn.Compare(last) <= 0 {
		return nil
	}
	return ledger.Invalid("date", r.PaidOn.String(), fmt.Sprintf("must not be after %s: that is more than %s in the future. Record the payment when it has come", last, skew))
}

// allowed holds a payment that isn't recorded yet against the invoice.
func (r PaymentRequest) allowed(v Invoice, known []Payment, amount decimal.Decimal) error {
	if err := v.mustCount("paid"); err != nil {
		return err
	}
	if r.Reverses != "" {
		if err := r.reversible(v, known, amount); err != nil {
			return err
		}
	}
	due := Money{v.Total.Amount.Sub(v.Credited.Amount), v.Currency}
	return checkPayment(due, v.Paid, Money{amount, v.Currency})
}

// reversible holds a reversal against the payment that it names.
func (r PaymentRequest) reversible(v Invoice, known []Payment, amount decimal.Decimal) error {
	of, found := paymentOf(known, r.Reverses)
	if !found {
		return fmt.Errorf("payment %q of the invoice, which it reverses: %w", r.Reverses, ledger.ErrNotFound)
	}
	if on := r.PaidOn.String(); on < of.PaidOn {
		return ledger.Invalid("date", on, fmt.Sprintf("must not be before %s, when payment %q came, which it takes back", of.PaidOn, of.Reference))
	}
	left := of.Amount.Amount
	for _, p := range known {
		if p.Reverses == of.Reference {
			left = left.Add(p.Amount.Amount)
		}
	}
	if !within(amount, left.Neg()) {
		return fmt.Errorf("of payment %q, %s %s is left to go back, but this is %s (what goes back has the other sign): %w",
			of.Reference, Money{left, v.Currency}, v.Currency, Money{amount, v.Currency}, ledger.ErrConflict)
	}
	return nil
}

// sameAs refuses a request that differs from the payment that is recorded under its reference. Who recorded
// it and the note stay as they were.
func (r PaymentRequest) sameAs(p Payment, amount decimal.Decimal) error {
	was := ""
	switch {
	case !p.Amount.Amount.Equal(amount):
		was = fmt.Sprintf("of %s %s", p.Amount, p.Amount.Currency)
	case r.PaidOn != (Date{}) && r.PaidOn.String() != p.PaidOn:
		was = "of " + p.PaidOn
	case r.Reverses != p.Reverses && p.Reverses == "":
		was = "that reverses none"
	case r.Reverses != p.Reverses:
		was = fmt.Sprintf("that reverses %q", p.Reverses)
	default:
		return nil
	}
	return fmt.Errorf("a payment %s is recorded under this reference: another one needs its own: %w", was, ledger.ErrConflict)
}

func paymentOf(known []Payment, reference string) (Payment, bool) {
	for _, p := range known {
		if p.Reference == reference {
			return p, true
		}
	}
	return Payment{}, false
}

const sqlInsertPayment = `
INSERT INTO billing.payments (account, invoice_id, reference, amount, paid_on, reverses, note, recorded_by, position, recorded_at)
SELECT $1, $2, $3, $4::text::numeric, $5::text::date, NULLIF($6, ''), $7, $8, d.positions[1], d.recorded_at
FROM ledger.draw(1) d
RETURNING position, recorded_at`

func (r PaymentRequest) insert(ctx context.Context, tx pgx.Tx, v Invoice, amount decimal.Decimal) (Payment, error) {
	p := Payment{Reference: r.Reference, Amount: Money{amount, v.Currency}, PaidOn: r.PaidOn.String(), Reverses: r.Reverses, Note: r.Note, By: r.By}
	err := tx.QueryRow(ctx, sqlInsertPayment, v.Account, v.ID, r.Reference, amount.String(), p.PaidOn, r.Reverses, r.Note, r.By).
		Scan(&p.Position, &p.RecordedAt)
	p.RecordedAt = p.RecordedAt.UTC()
	return p, err
}

const sqlPayments = `
SELECT p.reference, p.amount, p.paid_on::text, COALESCE(p.reverses, ''), p.note, p.recorded_by, p.position, p.recorded_at
FROM billing.payments p
WHERE p.account = $1 AND p.invoice_id = $2
ORDER BY p.position`

// readPayments reads the payments of an invoice as they were recorded.
func readPayments(ctx context.Context, q querier, v Invoice) ([]Payment, error) {
	rows, err := q.Query(ctx, sqlPayments, v.Account, v.ID)
	if err != nil {
		return nil, fmt.Errorf("read payments: %w", err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (Payment, error) {
		p := Payment{Amount: Money{Currency: v.Currency}}
		err := row.Scan(&p.Reference, &p.Amount.Amount, &p.PaidOn, &p.Reverses, &p.Note, &p.By, &p.Position, &p.RecordedAt)
		p.RecordedAt = p.RecordedAt.UTC()
		return p, err
	})
	if err != nil {
		return nil, fmt.Errorf("read payments: %w", err)
	}
	return all, nil
}

// As of the payment's own position: what came later doesn't change the answer.
const sqlPaidAsOf = `
SELECT COALESCE((SELECT sum(p.amount) FROM billing.payments p WHERE p.account = $1 AND p.invoice_id = $2 AND p.position <= $3), 0),
       COALESCE((SELECT sum(c.total) FROM billing.credit_notes c WHERE c.account = $1 AND c.invoice_id = $2 AND c.position <= $3), 0)`

func paymentResult(ctx context.Context, tx pgx.Tx, v Invoice, p Payment) (PaymentResult, error) {
	var paid, credited decimal.Decimal
	if err := tx.QueryRow(ctx, sqlPaidAsOf, v.Account, v.ID, p.Position).Scan(&paid, &credited); err != nil {
		return PaymentResult{}, fmt.Errorf("read what is open: %w", err)
	}
	return PaymentResult{
		Invoice: v.ID, Number: v.Number, Account: v.Account, Currency: v.Currency, Payment: p,
		Paid: Money{paid, v.Currency}, Open: Money{v.Total.Amount.Sub(credited).Sub(paid), v.Currency},
	}, nil
}

// Payments lists the payments of an invoice as they were recorded.
func (b *Billing) Payments(ctx context.Context, idOrNumber string) (Invoice, []Payment, error) {
	v, err := find(ctx, b.pool, idOrNumber)
	if err != nil {
		return v, nil, wrap(err, "payments of invoice")
	}
	all, err := readPayments(ctx, b.pool, v)
	return v, all, wrap(err, "payments of invoice %s", idOrNumber)
}

// SentRequest says that an invoice went to the customer.
type SentRequest struct {
	Invoice string // id or number
	Note    string // such as the address
	By      string
}

const sqlInsertSent = `
INSERT INTO billing.statuses (account, invoice_id, status, note, set_by, position, set_at)
SELECT $1, $2, 'sent', $3, $4, d.positions[1], d.recorded_at
FROM ledger.draw(1) d`

// MarkSent records that an issued invoice was sent, each time that it is, and returns the invoice. One that is
// void or not issued is ErrConflict.
func (b *Billing) MarkSent(ctx context.Context, r SentRequest) (Invoice, error) {
	if err := problems(checkNote("note", r.Note), checkText("by", r.By, "must say who sent it")); err != nil {
		return Invoice{}, wrap(err, "mark an invoice as sent")
	}
	wanted, err := find(ctx, b.pool, r.Invoice)
	if err != nil {
		return Invoice{}, wrap(err, "mark an invoice as sent")
	}
	var done Invoice
	err = pg.InTx(ctx, b.pool, func(tx pgx.Tx) error {
		v, err := b.holdInvoice(ctx, tx, wanted)
		if err != nil {
			return err
		}
		if err := v.mustCount("sent"); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, sqlInsertSent, v.Account, v.ID, r.Note, r.By); err != nil {
			return err
		}
		done, err = find(ctx, tx, v.ID.String())
		return err
	})
	return done, wrap(err, "mark invoice %s as sent", r.Invoice)
}
