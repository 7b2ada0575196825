package ledger

import (
	"strconv"
	"strings"
	"time"
)

const ruleAsOf = "must be a watermark (a position: digits without sign, spaces or leading zeros) or an RFC 3339 time " +
	"with upper-case T and Z or an offset, such as 2026-01-31T23:59:59Z or 2026-01-31T18:59:59-05:00"

// parsePosition reads a position. whole reports that the text is meant as one.
func parsePosition(text string) (position int64, whole bool, err error) {
	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' {
			return 0, false, nil
		}
	}
	position, err = strconv.ParseInt(text, 10, 64)
	switch {
	case text[0] == '0' && len(text) > 1:
		return 0, true, Invalid("as_of", text, "must not begin with zeros: a position has one spelling")
	case err != nil:
		return 0, true, Invalid("as_of", text, "must be at most 9223372036854775807, the highest position there can be")
	}
	return position, true, nil
}

// parseAsOfInstant reads an RFC 3339 time in one spelling only: time.Parse alone takes a comma before the
// fraction, hours of one digit and offsets of any size.
func parseAsOfInstant(text string) (time.Time, error) {
	if !shapedAsInstant(text) {
		rule := ruleAsOf
		if strings.Contains(text, " ") {
			rule += "; in a URL a + must be written as %2B"
		}
		return time.Time{}, Invalid("as_of", text, rule)
	}
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return time.Time{}, Invalid("as_of", text, "is no time of the calendar and the clock")
	}
	return at, nil
}

// shapedAsInstant reports whether text is 2006-01-02T15:04:05, then perhaps a fraction of 1 to 9 digits,
// then Z or an offset that a clock can have.
func shapedAsInstant(text string) bool {
	const head = "0000-00-00T00:00:00"
	if len(text) <= len(head) || !shaped(text[:len(head)], head) {
		return false
	}
	rest := text[len(head):]
	if fraction, found := strings.CutPrefix(rest, "."); found {
		digits := len(fraction) - len(strings.TrimLeft(fraction, "0123456789"))
		if digits < 1 || digits > 9 {
			return false
		}
		rest = fraction[digits:]
	}
	if rest == "Z" {
		return true
	}
	const offset = "00:00"
	return len(rest) == 1+len(offset) && (rest[0] == '+' || rest[0] == '-') && shaped(rest[1:], offset) && rest[1:3] <= "23" && rest[4:6] <= "59"
}

// shaped reports whether text has digits where the pattern has zeros, and is the pattern elsewhere.
func shaped(text, pattern string) bool {
	if len(text) != len(pattern) {
		return false
	}
	for i := range len(text) {
		if digit := text[i] >= '0' && text[i] <= '9'; digit != (pattern[i] == '0') || !digit && text[i] != pattern[i] {
			return false
		}
	}
	return true
}
