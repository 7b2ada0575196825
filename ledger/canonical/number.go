package canonical

import (
	"bytes"
	"math/big"
	"strconv"
)

// The limits of a number where Limits.Decimal asks for them: those of a PostgreSQL numeric that holds
// every amount of the ledger.
const (
	maxDigits   = 38
	maxDecimals = 18
)

// maxPlain is the length of the longest number that is written without an exponent. It is more than any
// number within the limits above takes.
const maxPlain = 64

// Number reads a number and gives its spelling, a part of the source.
func (s *Scanner) Number() ([]byte, *Error) {
	s.Peek()
	src, start := s.src, s.pos
	i := start
	if i < len(src) && src[i] == '-' {
		i++
	}
	whole := i
	i = skipDigits(src, i)
	switch {
	case i == whole:
		return nil, s.badNumber(i)
	case src[whole] == '0' && i > whole+1:
		return nil, s.fail(ruleNumber)
	}
	if i < len(src) && src[i] == '.' {
		j := skipDigits(src, i+1)
		if j == i+1 {
			return nil, s.badNumber(j)
		}
		i = j
	}
	if i < len(src) && src[i]|0x20 == 'e' {
		i++
		if i < len(src) && (src[i] == '+' || src[i] == '-') {
			i++
		}
		j := skipDigits(src, i)
		if j == i {
			return nil, s.badNumber(j)
		}
		i = j
	}
	s.pos = i
	return src[start:i], nil
}

// badNumber is the error for the number at s.pos, which goes wrong at i.
func (s *Scanner) badNumber(i int) *Error {
	if i >= len(s.src) {
		s.pos = i
		return s.fail(ruleEnds)
	}
	return s.fail(ruleNumber)
}

func skipDigits(b []byte, i int) int {
	for i < len(b) && '0' <= b[i] && b[i] <= '9' {
		i++
	}
	return i
}

// appendNumber appends the canonical form of a JSON number. If decimal, one beyond the ledger's limits
// is refused with the rule that it breaks.
func appendNumber(dst, number []byte, decimal bool) (_ []byte, rule string) {
	body, negative := bytes.CutPrefix(number, []byte("-"))
	if len(body) <= maxDigits && skipDigits(body, 0) == len(body) {
		if negative && body[0] != '0' {
			dst = append(dst, '-')
		}
		return append(dst, body...), ""
	}
	mantissa, exponent := body, []byte(nil)
	if e := bytes.IndexAny(body, "eE"); e >= 0 {
		mantissa, exponent = body[:e], body[e+1:]
	}
	whole, fraction, _ := bytes.Cut(mantissa, []byte("."))
	var room [64]byte
	digits := joinDigits(room[:0], whole, fraction)
	point := len(whole) - (len(whole) + len(fraction) - len(digits)) // digits in front of the point
	trimmed := bytes.TrimRight(digits, "0")
	if len(trimmed) == 0 {
		return append(dst, '0'), ""
	}
	if negative {
		dst = append(dst, '-')
	}
	shift, huge := parseExponent(exponent)
	if huge != nil {
		if decimal {
			return nil, ruleDigits
		}
		huge.Add(huge, big.NewInt(int64(point-1)))
		return appendScientific(dst, trimmed, huge), ""
	}
	at := int64(point) + shift
	if decimal {
		if rule := beyondDecimal(len(trimmed), at); rule != "" {
			return nil, rule
		}
	}
	if size := plainSize(len(trimmed), at); size > maxPlain || negative && size == maxPlain {
		return appendScientific(dst, trimmed, big.NewInt(at-1)), ""
	}
	return appendPlain(dst, trimmed, int(at)), ""
}

// joinDigits is whole and fraction without the point and without zeros in front, in room if it suffices.
func joinDigits(room, whole, fraction []byte) []byte {
	if len(fraction) == 0 {
		return bytes.TrimLeft(whole, "0")
	}
	if w := bytes.TrimLeft(whole, "0"); len(w) > 0 {
		return append(append(room, w...), fraction...)
	}
	return bytes.TrimLeft(fraction, "0")
}

// parseExponent reads what stands behind the e. One of more than 18 digits comes back as huge.
func parseExponent(b []byte) (n int64, huge *big.Int) {
	if len(b) == 0 {
		return 0, nil
	}
	negative := b[0] == '-'
	digits := bytes.TrimLeft(b, "+-0")
	if len(digits) > 18 {
		huge, _ = new(big.Int).SetString(string(digits), 10)
		if negative {
			huge.Neg(huge)
		}
		return 0, huge
	}
	for _, c := range digits {
		n = n*10 + int64(c-'0')
	}
	if negative {
		n = -n
	}
	return n, nil
}

// beyondDecimal is the limit that a number of n digits with the point behind the first at of them breaks.
func beyondDecimal(n int, at int64) (rule string) {
	decimals := max(0, int64(n)-at)
	switch {
	case decimals > maxDecimals:
		return ruleDecimals
	case max(0, at)+decimals > maxDigits:
		return ruleDigits
	}
	return ""
}

// plainSize is the length of a number of n digits with the point behind the first at of them, without
// a sign.
func plainSize(n int, at int64) int64 {
	switch {
	case at <= 0:
		return int64(n) - at + 2
	case at < int64(n):
		return int64(n) + 1
	}
	return at
}

func appendPlain(dst, digits []byte, at int) []byte {
	switch {
	case at <= 0:
		dst = append(dst, '0', '.')
		for range -at {
			dst = append(dst, '0')
		}
		return append(dst, digits...)
	case at < len(digits):
		dst = append(dst, digits[:at]...)
		dst = append(dst, '.')
		return append(dst, digits[at:]...)
	}
	dst = append(dst, digits...)
	for range at - len(digits) {
		dst = append(dst, '0')
	}
	return dst
}

func appendScientific(dst, digits []byte, exponent *big.Int) []byte {
	dst = append(dst, digits[0])
	if len(digits) > 1 {
		dst = append(dst, '.')
		dst = append(dst, digits[1:]...)
	}
	dst = append(dst, 'e')
	if exponent.Sign() >= 0 {
		dst = append(dst, '+')
	}
	if exponent.IsInt64() {
		return strconv.AppendInt(dst, exponent.Int64(), 10)
	}
	return exponent.Append(dst, 10)
}
