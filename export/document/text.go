package document

import (
	"fmt"
	"strings"
	"time"
	"unicode"

	"deltaledger/billing"
)

// maxMarks is how many marks may stand on one letter: no writing needs more, and a tower of them covers the lines above.
const maxMarks = 8

// readable is text from outside as a page shows it. What has no shape of its own, such as a change of the direction of
// writing, is shown by its number; joiners stay, because names are written with them.
func readable(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	var b strings.Builder
	marks := 0
	for _, r := range s {
		if unicode.Is(unicode.M, r) {
			marks++
		} else {
			marks = 0
		}
		switch {
		case r == '\n' || r == '\t' || r == '\r':
			b.WriteByte(' ')
		case r == '\u200c' || r == '\u200d', unicode.Is(unicode.Zs, r), unicode.IsPrint(r) && marks <= maxMarks:
			b.WriteRune(r)
		default:
			fmt.Fprintf(&b, "\\u%04x", r)
		}
	}
	return b.String()
}

// readableLines are the lines that say anything.
func readableLines(lines []string) []string {
	var out []string
	for _, l := range lines {
		if l = strings.TrimSpace(readable(l)); l != "" {
			out = append(out, l)
		}
	}
	return out
}

// grouped sets a plain decimal in groups of three digits before the point: 1,234,567.89.
func grouped(plain string) string {
	sign, digits := "", plain
	if strings.HasPrefix(digits, "-") {
		sign, digits = "-", digits[1:]
	}
	whole, fraction, point := strings.Cut(digits, ".")
	var b strings.Builder
	b.WriteString(sign)
	for i, d := range whole {
		if i > 0 && (len(whole)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(d)
	}
	if point {
		b.WriteString("." + fraction)
	}
	return b.String()
}

// counted is a number with what it counts: 1 event, 1,200 events.
func counted(n int64, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return grouped(fmt.Sprint(n)) + " " + one + "s"
}

// zone is where the dates of a document are dates. One that this machine doesn't know is shown in UTC, and says so.
func zone(name string) *time.Location {
	if z, err := time.LoadLocation(name); err == nil && name != "Local" {
		return z
	}
	return time.UTC
}

// date is the local date of an instant.
func date(t time.Time, z *time.Location) string { return t.In(z).Format(time.DateOnly) }

// period is a cycle by its first and last day, both included, or by its instants where it doesn't begin and end with a day.
func period(start, end time.Time, z *time.Location) string {
	if wholeDay(start, z) && wholeDay(end, z) {
		first, last := date(start, z), date(end.Add(-1), z)
		if first == last {
			return first
		}
		return first + " – " + last
	}
	const minute = "2006-01-02 15:04"
	return start.In(z).Format(minute) + " – " + end.In(z).Format(minute)
}

func wholeDay(t time.Time, z *time.Location) bool { return billing.DateOf(t.In(z)).In(z).Equal(t) }
