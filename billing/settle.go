package billing

import (
	"fmt"

	"github.com/shopspring/decimal"

	"deltaledger/ledger"
	"deltaledger/ledger/currency"
)

// The law of what is paid: due is what an invoice bills less its credit notes, open is due less what was
// paid. A payment goes as far as what is open, or takes back as far as what was paid, and nothing else. So
// what is paid stays between nothing and what is due, on the side of zero where the invoice is: on an invoice
// of a negative total, payments are negative, for they go to the account. Where a credit note leaves less due
// than was paid, open is negative, and what goes back to the account brings it to nothing.

// checkPayment refuses an amount that goes too far.
func checkPayment(due, paid, amount Money) error {
	open := Money{due.Amount.Sub(paid.Amount), due.Currency}
	if within(amount.Amount, open.Amount) || within(amount.Amount, paid.Amount.Neg()) {
		return nil
	}
	text := fmt.Sprintf("nothing of it is open any more: %s %s was due and is paid or credited", due, due.Currency)
	switch {
	case open.Amount.Sign() == 0 && paid.Amount.Sign() == 0:
		text = "nothing of it is due"
	case amount.Amount.Sign() != paid.Amount.Sign() && paid.Amount.Sign() != 0:
		text = fmt.Sprintf("%s %s of it is paid, which is less than the %s that is to go back", paid, due.Currency, Money{amount.Amount.Abs(), amount.Currency})
	case amount.Amount.Sign() == open.Amount.Sign():
		text = fmt.Sprintf("%s %s of it is open, which is less than %s", open, due.Currency, amount)
	case open.Amount.Sign() != 0 && paid.Amount.Sign() == 0:
		text = fmt.Sprintf("nothing of it is paid that could go back: %s %s is open", open, due.Currency)
	case open.Amount.Sign() != 0:
		text = fmt.Sprintf("%s %s of it is open: what was paid beyond what is due can only go back", open, due.Currency)
	}
	return fmt.Errorf("%s: %w", text, ledger.ErrConflict)
}

// within reports whether amount lies between nothing, exclusive, and limit.
func within(amount, limit decimal.Decimal) bool {
	return amount.Sign() != 0 && amount.Sign() == limit.Sign() && amount.Abs().LessThanOrEqual(limit.Abs())
}

// parseMoney reads an amount of a currency: plain, other than zero, and of no more digits than the currency
// has, or than what it is a part of, if that has more.
func parseMoney(field, text, code string, of ...decimal.Decimal) (decimal.Decimal, error) {
	a, err := ledger.ParseAmount(text)
	if err != nil {
		return decimal.Zero, ledger.Invalid(field, text, "must be a plain decimal such as 12.50, of at most 38 digits, 18 of them after the point")
	}
	d, err := decimal.NewFromString(a.String())
	if err != nil {
		return decimal.Zero, ledger.Invalid(field, text, "must be a plain decimal such as 12.50")
	}
	if d.Sign() == 0 {
		return d, ledger.Invalid(field, text, "must not be zero")
	}
	digits, known := currency.Digits(code)
	for _, whole := range of {
		digits = max(digits, -int(whole.Exponent()))
	}
	if known && !d.Equal(d.Truncate(int32(digits))) {
		return d, ledger.Invalid(field, text, fmt.Sprintf("must have at most %d digits after the point: it is %s", digits, code))
	}
	return d, nil
}
