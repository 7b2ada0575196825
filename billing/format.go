package billing

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"deltaledger/ledger"
)

// DocumentKind is what a series of numbers counts.
type DocumentKind string

const (
	InvoiceDocument    DocumentKind = "invoice"
	CreditNoteDocument DocumentKind = "credit-note"
)

// builtInFormat is how numbers of a kind are written until a format is set.
func (k DocumentKind) builtInFormat() string {
	if k == CreditNoteDocument {
		return "CN-{number:06}"
	}
	return "INV-{number:06}"
}

// NumberFormat says how numbers of documents are written: capital letters, digits and -._ as they stand,
// {number} or {number:06} once (with leading zeros up to six digits), and {year} and {month} of the day on
// which the document is issued, in the ledger's reporting zone.
//
// Whatever {year} and {month} make of the text is its series: INV-{year}-{number:06} begins again at 1 in
// every year, in the series INV-2026, INV-2027 and so on. A number and its series are never derived from
// a text again: both are stored when it is given out.
type NumberFormat struct {
	text          string
	before, after []formatPart // of the number
	width         int          // digits at least
}

// formatPart is a literal, or the placeholder of a date.
type formatPart struct {
	literal string
	layout  string // of package time; empty: a literal
}

const (
	maxFormat = 40
	maxWidth  = 12
)

// separators stand between the parts of a number.
const separators = "-._"

// inNumbers are the characters that numbers are made of.
const inNumbers = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._"

func onlyOf(text, characters string) bool { return strings.Trim(text, characters) == "" }

const ruleFormat = "must be capital letters, digits and -._ around {number} or {number:06}, once, with {year} and {month} where wanted, such as INV-{year}-{number:06}"

// ParseNumberFormat reads a format, or says what is wrong with it.
func ParseNumberFormat(text string) (NumberFormat, error) {
	f := NumberFormat{text: text}
	if text == "" || len(text) > maxFormat {
		return f, ledger.Invalid("format", text, fmt.Sprintf("%s, in at most %d bytes", ruleFormat, maxFormat))
	}
	numbered := false
	for rest := text; rest != ""; {
		literal, more, found := strings.Cut(rest, "{")
		name, after, closed := strings.Cut(more, "}")
		if !onlyOf(literal, inNumbers) || found != closed {
			return f, ledger.Invalid("format", text, ruleFormat)
		}
		into := &f.before
		if numbered {
			into = &f.after
		}
		if literal != "" {
			*into = append(*into, formatPart{literal: literal})
		}
		rest = after
		if !found {
			break
		}
		switch width, ok := numberWidth(name); {
		case ok && numbered:
			return f, ledger.Invalid("format", text, "must hold {number} once")
		case ok:
			numbered, f.width = true, width
		case name == "year":
			*into = append(*into, formatPart{layout: "2006"})
		case name == "month":
			*into = append(*into, formatPart{layout: "01"})
		default:
			return f, ledger.Invalid("format", text, fmt.Sprintf("holds {%s}, but must be made of {number}, {number:06} with any width up to %d, {year} and {month}", name, maxWidth))
		}
	}
	return f, f.check(numbered)
}

// numberWidth reads number and number:06.
func numberWidth(name string) (int, bool) {
	digits, found := strings.CutPrefix(name, "number:0")
	if name == "number" {
		return 1, true
	}
	width, err := strconv.Atoi(digits)
	return width, found && err == nil && width >= 1 && width <= maxWidth && strconv.Itoa(width) == digits
}

// check is what can be wrong with a format whose parts are right.
func (f NumberFormat) check(numbered bool) error {
	holds := func(layout string) bool {
		for _, p := range append(f.before[:len(f.before):len(f.before)], f.after...) {
			if p.layout == layout {
				return true
			}
		}
		return false
	}
	const anyTime = "2006"
	before, after := f.around(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	switch {
	case !numbered:
		return ledger.Invalid("format", f.text, "must hold {number}")
	case strings.ContainsAny(f.text[:1], separators):
		return ledger.Invalid("format", f.text, "must not begin with one of -._: a number that does is taken for a flag, a formula or a hidden file")
	case onlyOf(before+after, "ABCDEF0123456789-") && len(before)+len(after) >= 20:
		return ledger.Invalid("format", f.text, "must be shorter, or hold a letter behind F: a number could be taken for the id of a document")
	case holds("01") && !holds(anyTime):
		return ledger.Invalid("format", f.text, "must hold {year} where it holds {month}: else the series of a month would come again a year later")
	case endsWithDigit(before) || after != "" && isDigit(after[0]):
		return ledger.Invalid("format", f.text, "must have a letter or one of -._ between {number} and other digits, so that no two numbers read the same")
	case f.Series(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)) == "":
		return ledger.Invalid("format", f.text, "must hold a letter, a digit or {year} besides {number}: that names the series")
	}
	return nil
}

func isDigit(c byte) bool         { return '0' <= c && c <= '9' }
func endsWithDigit(s string) bool { return s != "" && isDigit(s[len(s)-1]) }

// String is the format as it was written.
func (f NumberFormat) String() string { return f.text }

// around are the texts before and after the number of a document that is issued on the date of at, in the
// zone that at carries.
func (f NumberFormat) around(at time.Time) (before, after string) {
	write := func(parts []formatPart) string {
		var s strings.Builder
		for _, p := range parts {
			if p.layout == "" {
				s.WriteString(p.literal)
			} else {
				s.WriteString(at.Format(p.layout))
			}
		}
		return s.String()
	}
	return write(f.before), write(f.after)
}

// Series is the series of documents that are issued on the date of at, in the zone that at carries.
func (f NumberFormat) Series(at time.Time) string {
	before, after := f.around(at)
	return strings.Trim(strings.TrimRight(before, separators)+"-"+strings.TrimLeft(after, separators), separators)
}

// Print writes a number of a document that is issued on the date of at, in the zone that at carries.
func (f NumberFormat) Print(at time.Time, number int64) string {
	before, after := f.around(at)
	return fmt.Sprintf("%s%0*d%s", before, f.width, number, after)
}

// mayRead reports whether a number in f may read as one in o, though it isn't the same number of the same
// series: if both are digits at the same places between the same other characters, and count at different
// ones. It says so of some that never would; nobody misses those.
func (f NumberFormat) mayRead(o NumberFormat) bool {
	shape, counts := f.shape()
	other, otherCounts := o.shape()
	return shape == other && counts != otherCounts
}

// sameShape reports whether numbers of both consist of digits at the same places.
func (f NumberFormat) sameShape(o NumberFormat) bool {
	shape, _ := f.shape()
	other, _ := o.shape()
	return shape == other
}

// shape is the format with 0 for each run of digits; counts tells which of the runs is the number.
func (f NumberFormat) shape() (shape string, counts int) {
	before, after := f.around(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	fold := func(s string) string {
		var b strings.Builder
		for i := range len(s) {
			switch {
			case !isDigit(s[i]):
				b.WriteByte(s[i])
			case i == 0 || !isDigit(s[i-1]):
				b.WriteByte('0')
			}
		}
		return b.String()
	}
	return fold(before) + "0" + fold(after), strings.Count(fold(before), "0")
}
