package ledger

import (
	"strings"

	"github.com/shopspring/decimal"
)

// The limits of every number that the ledger records (invariant 4).
const (
	MaxDigits   = 38 // significant digits before and after the point together
	MaxDecimals = 18 // digits after the point
)

// Amount is an exact decimal number, or nothing: the zero value is absent, not 0. It is kept as its
// canonical text (no exponent, no leading or trailing zeros, no "-0"), so that the wire, the digest
// and the disk see the same digits. Its currency, where it is money, stands beside it in the event.
type Amount struct{ text string }

// ParseAmount reads a plain decimal: an optional minus sign, digits, and optionally a point followed
// by digits. At most 38 digits, 18 of them after the point, not counting zeros that say nothing.
// Exponents, a plus sign, spaces, NaN and Infinity are refused.
func ParseAmount(s string) (Amount, error) {
	text, rule := canonicalDecimal(s)
	if rule != "" {
		return Amount{}, Invalid("", s, rule)
	}
	return Amount{text}, nil
}

// AmountOf is the Amount of d, which must keep within the ledger's limits.
func AmountOf(d decimal.Decimal) (Amount, error) {
	if e := int64(d.Exponent()); e > MaxDigits || e < -4*MaxDigits {
		return Amount{}, Invalid("", "", ruleDigits)
	}
	return ParseAmount(d.String())
}

// Valid reports whether there is a number at all.
func (a Amount) Valid() bool { return a.text != "" }

// String is the canonical text, empty where there is no number.
func (a Amount) String() string { return a.text }

// Decimal is the number for arithmetic; zero where there is none.
func (a Amount) Decimal() decimal.Decimal {
	if a.text == "" {
		return decimal.Zero
	}
	d, err := decimal.NewFromString(a.text)
	if err != nil { // impossible: the text was checked when the Amount was made
		panic("ledger: amount isn't canonical: " + a.text)
	}
	return d
}

// MarshalText gives the canonical text, so that money crosses JSON as a string.
func (a Amount) MarshalText() ([]byte, error) { return []byte(a.text), nil }

// UnmarshalText is ParseAmount; empty text is absent.
func (a *Amount) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*a = Amount{}
		return nil
	}
	v, err := ParseAmount(string(b))
	if err == nil {
		*a = v
	}
	return err
}

const (
	rulePlain    = `must be a plain decimal such as "-12.50": an optional minus sign, digits, and optionally a point and digits`
	ruleDigits   = "must have at most 38 digits"
	ruleDecimals = "must have at most 18 digits after the point"
	ruleLong     = "must be a plain decimal of at most 128 characters"
)

// canonicalDecimal checks s and returns its canonical text, or the rule that it breaks. Text that is
// canonical already is returned as it is.
func canonicalDecimal(s string) (text, rule string) {
	if len(s) > 128 {
		return "", ruleLong
	}
	body := strings.TrimPrefix(s, "-")
	whole, fraction, point := strings.Cut(body, ".")
	if !digits(whole) || point && !digits(fraction) {
		return "", rulePlain
	}
	start, end := 0, len(body)
	for start < len(whole)-1 && body[start] == '0' {
		start++
	}
	if point {
		for end > len(whole)+1 && body[end-1] == '0' {
			end--
		}
		if end == len(whole)+1 {
			end = len(whole)
		}
	}
	decimals := max(0, end-len(whole)-1)
	significant := len(whole) - start + decimals
	if whole[start] == '0' {
		significant--
	}
	switch {
	case decimals > MaxDecimals:
		return "", ruleDecimals
	case significant > MaxDigits:
		return "", ruleDigits
	case end-start == 1 && body[start] == '0':
		return "0", ""
	case len(body) == len(s):
		return body[start:end], ""
	case start == 0:
		return s[:end+1], ""
	}
	return "-" + body[start:end], ""
}

func digits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}
