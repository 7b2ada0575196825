package billing

import (
	"github.com/shopspring/decimal"

	"deltaledger/ledger/currency"
)

// Money is an amount of a currency. It is written, also in JSON, as a plain decimal text with at least
// the digits of the currency: 10.5 USD is "10.50". Where it is wanted exact it is never cut.
type Money struct {
	Amount   decimal.Decimal
	Currency string
}

// String writes the amount, without the currency.
func (m Money) String() string {
	if digits, ok := currency.Digits(m.Currency); ok && m.Amount.Equal(m.Amount.Truncate(int32(digits))) {
		return m.Amount.StringFixed(int32(digits))
	}
	return m.Amount.String()
}

// MarshalText is String, so that money crosses JSON as text.
func (m Money) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

func (m Money) plus(x decimal.Decimal, code string) Money {
	return Money{Amount: m.Amount.Add(x), Currency: code}
}
