package document

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"deltaledger/ledger"
)

// Letterhead is what a document says besides what is billed. Each text is a line of its own.
type Letterhead struct {
	From  []string `json:"from,omitempty"`  // who bills: name, address, registrations
	To    []string `json:"to,omitempty"`    // who is billed; none: the account's name stands there
	Notes []string `json:"notes,omitempty"` // below the totals: how to pay, and until when
}

// Limits of a letterhead.
const (
	MaxLetterheadLines = 20   // of each part
	MaxLetterheadText  = 1000 // characters of a line
)

// ParseLetterhead reads a letterhead in JSON. What is wrong with it is a ledger.FieldError.
func ParseLetterhead(raw []byte) (Letterhead, error) {
	var l Letterhead
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&l); err != nil {
		return Letterhead{}, ledger.Invalid("letterhead", "", `must be a JSON object with from, to and notes, each a list of texts: `+strings.TrimPrefix(err.Error(), "json: "))
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return Letterhead{}, ledger.Invalid("letterhead", "", "must be one JSON object and nothing behind it")
	}
	return l, l.Check()
}

// Check says what is wrong with a letterhead: a ledger.FieldError.
func (l Letterhead) Check() error {
	for _, part := range []struct {
		field string
		lines []string
	}{{"from", l.From}, {"to", l.To}, {"notes", l.Notes}} {
		if len(part.lines) > MaxLetterheadLines {
			return ledger.Invalid(part.field, "", fmt.Sprintf("must have at most %d lines", MaxLetterheadLines))
		}
		for i, line := range part.lines {
			if utf8.RuneCountInString(line) > MaxLetterheadText {
				return ledger.Invalid(fmt.Sprintf("%s[%d]", part.field, i), "", fmt.Sprintf("must have at most %d characters", MaxLetterheadText))
			}
		}
	}
	return nil
}
