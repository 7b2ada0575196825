// Package currency knows how many decimal digits a currency of account has.
//
// It owns the table of ISO 4217 codes and minor units, as the maintenance
// agency publishes it ("list one"), under the date of that publication. It
// does not follow the Unicode locale data, which gives display digits and is
// wrong for bills in several currencies (IQD, RSD, UYW).
//
// It does not round, convert or format; package billing rounds with it.
//
// A lookup is a compiled switch: it allocates nothing and needs no start-up.
package currency

// PublishedOn is the date of the published list that the table holds, as
// YYYY-MM-DD. Answers of this package can differ between builds only where
// this date differs.
const PublishedOn = "2026-01-01"

// MaxDigits is the largest number of digits that any currency here has.
const MaxDigits = 4

// Digits returns the number of decimal digits of the minor unit of a currency,
// for example 2 for USD, 0 for JPY and 4 for CLF. The code must be in upper
// case.
//
// ok is false for what can't be a currency of account: unknown codes, and
// codes without a minor unit, such as XAU. A caller must then refuse the
// amount; there is no digit count that would be safe to assume.
//
// Currencies withdrawn in the last years still have their digits, because
// events and corrections from before the withdrawal arrive after it.
func Digits(code string) (digits int, ok bool) {
	if digits, ok = minorUnits(code); ok {
		return digits, true
	}
	return withdrawnUnits(code)
}

// DigitsOf is Digits for a code that is still in a decoder's buffer. It does
// not keep code.
func DigitsOf(code []byte) (digits int, ok bool) {
	return Digits(string(code))
}

// Known reports whether amounts can be kept and billed in the currency: whether
// Digits has an answer for it.
func Known(code string) bool {
	_, ok := Digits(code)
	return ok
}

// Withdrawn reports whether the code is known but no longer on the published
// list. New business in such a currency is likely a mistake of the sender.
func Withdrawn(code string) bool {
	_, ok := withdrawnUnits(code)
	return ok
}
