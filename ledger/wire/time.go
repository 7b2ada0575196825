package wire

import "time"

const (
	ruleTime     = "must be a time of RFC 3339, such as 2026-01-31T23:59:59.123456-05:00"
	ruleZone     = "must end with Z or with an offset such as -05:00: without a zone the instant isn't known"
	ruleDate     = "must be a date that exists, in the years 0001 to 9999"
	ruleClock    = "must be a time of day from 00:00:00 to 23:59:59"
	ruleLeap     = "must not be a leap second: write second 59, or 00 of the next minute"
	ruleMicros   = "must not be finer than microseconds: the ledger keeps six digits behind the second and rounds nothing"
	ruleOffset   = "must have an offset from -23:59 to +23:59"
	ruleYears    = "must be in the years 0001 to 9999 in UTC"
	ruleCapitals = "must have T and Z as capital letters"
)

// parseTime reads a time of RFC 3339 and gives it in UTC, or the rule that it breaks.
func parseTime(s string) (t time.Time, rule string) {
	const plain = "2006-01-02T15:04:05"
	if len(s) < len(plain) || s[4] != '-' || s[7] != '-' || s[13] != ':' || s[16] != ':' {
		return time.Time{}, ruleTime
	}
	if s[10] != 'T' {
		if s[10] == 't' {
			return time.Time{}, ruleCapitals
		}
		return time.Time{}, ruleTime
	}
	century, yy, month, day := two(s[0:]), two(s[2:]), two(s[5:]), two(s[8:])
	hour, minute, second := two(s[11:]), two(s[14:]), two(s[17:])
	if century|yy|month|day|hour|minute|second < 0 {
		return time.Time{}, ruleTime
	}
	year := 100*century + yy
	switch {
	case year < 1 || month < 1 || month > 12 || day < 1 || day > daysIn(year, month):
		return time.Time{}, ruleDate
	case second == 60:
		return time.Time{}, ruleLeap
	case hour > 23 || minute > 59 || second > 59:
		return time.Time{}, ruleClock
	}
	micros, rest, rule := parseFraction(s[len(plain):])
	if rule != "" {
		return time.Time{}, rule
	}
	offset, rule := parseOffset(rest)
	if rule != "" {
		return time.Time{}, rule
	}
	t = time.Date(year, time.Month(month), day, hour, minute-offset, second, micros*1000, time.UTC)
	if t.Year() < 1 || t.Year() > 9999 {
		return time.Time{}, ruleYears
	}
	return t, ""
}

// two is the number that the first two bytes of s spell, negative if they aren't digits.
func two(s string) int {
	a, b := int(s[0])-'0', int(s[1])-'0'
	if a < 0 || a > 9 || b < 0 || b > 9 {
		return -1
	}
	return 10*a + b
}

func daysIn(year, month int) int {
	switch month {
	case 4, 6, 9, 11:
		return 30
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	}
	return 31
}

// parseFraction reads the fraction of a second that s may begin with, in microseconds.
func parseFraction(s string) (micros int, rest, rule string) {
	if s == "" || s[0] != '.' {
		return 0, s, ""
	}
	i := 1
	for ; i < len(s) && '0' <= s[i] && s[i] <= '9'; i++ {
		switch {
		case i <= 6:
			micros = 10*micros + int(s[i]-'0')
		case s[i] != '0':
			return 0, "", ruleMicros
		}
	}
	if i == 1 {
		return 0, "", ruleTime
	}
	for digits := i - 1; digits < 6; digits++ {
		micros *= 10
	}
	return micros, s[i:], ""
}

// parseOffset reads the zone that s consists of, in minutes east of UTC.
func parseOffset(s string) (minutes int, rule string) {
	switch {
	case s == "Z":
		return 0, ""
	case s == "z":
		return 0, ruleCapitals
	case s == "":
		return 0, ruleZone
	case len(s) != len("+00:00") || s[0] != '+' && s[0] != '-' || s[3] != ':':
		return 0, ruleTime
	}
	h, m := two(s[1:]), two(s[4:])
	switch {
	case h < 0 || m < 0:
		return 0, ruleTime
	case h > 23 || m > 59:
		return 0, ruleOffset
	case s[0] == '-':
		return -(60*h + m), ""
	}
	return 60*h + m, ""
}
