package billing

import (
	"errors"
	"strings"
	"unicode/utf8"

	"deltaledger/ledger"
)

// checkText refuses a text that isn't there, or that can't be stored; rule says what it must be.
func checkText(field, text, rule string) error {
	if strings.TrimSpace(text) == "" {
		return ledger.Invalid(field, text, rule)
	}
	return checkNote(field, text)
}

// checkNote is checkText for a text that may be empty.
func checkNote(field, text string) error {
	if len(text) > ledger.MaxText || !storable(text) {
		return ledger.Invalid(field, text, "must be valid UTF-8 without the character NUL, in at most 1024 bytes")
	}
	return nil
}

// problems joins what is wrong with a request; nil if nothing is.
func problems(all ...error) error { return errors.Join(all...) }

// storable reports whether a text can be held against texts in the database.
func storable(text string) bool { return utf8.ValidString(text) && !strings.ContainsRune(text, 0) }
