package ledger

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
)

// The kinds of errors that callers tell apart. Specific errors wrap one of them.
var (
	// ErrInvalid: the request is wrong and will stay wrong; the text says which field, what was
	// wrong and what would be right. The caller corrects it.
	ErrInvalid = errors.New("invalid")
	// ErrNotFound: what was asked for isn't in the ledger.
	ErrNotFound = errors.New("not found")
	// ErrConflict: the ledger holds something that excludes the request. The caller looks at it first.
	ErrConflict = errors.New("conflict")
	// ErrForbidden: the caller may not do this, whatever it sends.
	ErrForbidden = errors.New("forbidden")
	// ErrBusy: nothing was done; the same request may succeed a moment later.
	ErrBusy = errors.New("busy")
	// ErrCorrupt: the database holds what the ledger can't have written. An operator must look.
	ErrCorrupt = errors.New("corrupt")
)

// Message is the text of err for people: without the name of its kind at the end, where more is said than that. That
// something is not found stays: what is named before it says no more.
func Message(err error) string {
	text := err.Error()
	for _, kind := range []error{ErrInvalid, ErrConflict, ErrForbidden, ErrBusy} {
		if short, cut := strings.CutSuffix(text, ": "+kind.Error()); cut && errors.Is(err, kind) {
			return short
		}
	}
	return text
}

// FieldError says what is wrong with one field of an event or a request. It wraps ErrInvalid.
type FieldError struct {
	Field string // name on the wire, such as occurred_at or dimensions.country
	Value string // what was sent, shortened to 80 bytes; empty where it was missing
	Rule  string // what would be right
}

func (e *FieldError) Error() string {
	if e.Value == "" {
		return e.Field + ": " + e.Rule
	}
	return fmt.Sprintf("%s: %q: %s", e.Field, e.Value, e.Rule)
}

// Unwrap makes errors.Is(err, ErrInvalid) true.
func (e *FieldError) Unwrap() error { return ErrInvalid }

// Invalid makes a FieldError and shortens the value to what a person can read, which is valid UTF-8.
func Invalid(field, value, rule string) *FieldError {
	const most = 80
	if len(value) > most {
		cut := most
		for cut > 0 && !utf8.RuneStart(value[cut]) {
			cut--
		}
		value = value[:cut] + "…"
	}
	return &FieldError{Field: field, Value: strings.ToValidUTF8(value, "�"), Rule: rule}
}

// invalidf is Invalid with a formatted rule.
func invalidf(field, value, format string, args ...any) *FieldError {
	return Invalid(field, value, fmt.Sprintf(format, args...))
}

func isNoRows(err error) bool { return errors.Is(err, pgx.ErrNoRows) }
