package ledger

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
)

// values are the values of a filter, parsed as the type of its column.
type values struct {
	one  any    // the value, if there is only one
	all  any    // else a slice
	sent string // the SQL type that they are sent as
}

// cast turns what is sent into a sqlType, where that is another type.
func (v values) cast(sqlType string) string {
	if v.sent == strings.TrimSuffix(sqlType, "[]") {
		return ""
	}
	return "::" + sqlType
}

func textValues(texts []string) values { return valuesOf("text", texts) }

func valuesOf[T any](sent string, all []T) values {
	if len(all) == 1 {
		return values{one: all[0], sent: sent}
	}
	return values{all: all, sent: sent}
}

// parseValues parses the values of a filter of a column of a type; the error names field.
func parseValues(field, sqlType string, texts []string) (values, error) {
	switch sqlType {
	case "text":
		return textValues(texts), nil
	case "bigint":
		return parseEach(field, "bigint", texts, "must be a whole number", func(s string) (int64, error) { return strconv.ParseInt(s, 10, 64) })
	case "boolean":
		return parseEach(field, "boolean", texts, "must be true or false", parseBoolean)
	case "date":
		return parseEach(field, "date", texts, ruleDate, parseDate)
	case "timestamptz":
		return parseEach(field, "timestamptz", texts, ruleInstant, parseInstant)
	case "uuid":
		return parseEach(field, "uuid", texts, "must be a UUID such as 8f0c2a4e-0000-4000-8000-000000000000", parseUUID)
	case "numeric": // sent as text, which says the digits exactly
		return parseEach(field, "text", texts, rulePlain, func(s string) (string, error) {
			a, err := ParseAmount(s)
			return a.String(), err
		})
	}
	return values{}, fmt.Errorf("the catalogue has a column of the unknown type %s: %w", sqlType, ErrCorrupt)
}

func parseEach[T any](field, sent string, texts []string, rule string, parse func(string) (T, error)) (values, error) {
	all := make([]T, len(texts))
	for i, s := range texts {
		v, err := parse(s)
		if err != nil {
			return values{}, Invalid(field, s, rule)
		}
		all[i] = v
	}
	return valuesOf(sent, all), nil
}

func parseBoolean(s string) (bool, error) {
	switch s {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, ErrInvalid
}

func parseUUID(s string) (uuid.UUID, error) {
	if len(s) != 36 { // the library takes other spellings too
		return uuid.UUID{}, ErrInvalid
	}
	return uuid.Parse(s)
}

const (
	ruleDate    = "must be a date such as 2026-01-31"
	ruleInstant = "must be an RFC 3339 time with offset, no finer than microseconds, such as 2026-01-31T23:59:59Z"
	ruleBound   = "must be a date such as 2026-01-31, or an RFC 3339 time with offset, no finer than microseconds, such as 2026-01-31T23:59:59Z"
)

func parseDate(s string) (time.Time, error) { return time.Parse(time.DateOnly, s) }

func parseInstant(s string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err == nil && t.Nanosecond()%1000 != 0 {
		err = ErrInvalid
	}
	return t.UTC(), err
}

// Range bounds occurred_at: From is inclusive, To exclusive, either may be empty. A bound is an
// RFC 3339 instant, or a date, which means its beginning in the zone of the question.
type Range struct {
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`
}

// within adds the bounds of a range.
func (b *builder) within(r Range) error {
	for _, bound := range []struct{ field, text, operator string }{{"from", r.From, ">="}, {"to", r.To, "<"}} {
		if bound.text == "" {
			continue
		}
		if date, err := parseDate(bound.text); err == nil {
			b.dateBound(bound.operator, date)
			continue
		}
		at, err := parseInstant(bound.text)
		if err != nil {
			return Invalid(bound.field, strings.ToValidUTF8(bound.text, "�"), ruleBound)
		}
		b.add("e.occurred_at " + bound.operator + " " + b.arg(at, "timestamptz"))
	}
	return nil
}

// dateBound compares the local date, as the date buckets do, so that a range and its buckets agree
// at every change of the clock. No zone is two days off UTC: the bound on occurred_at, which changes
// nothing, lets indexes serve.
func (b *builder) dateBound(operator string, date time.Time) {
	local := "e.business_date"
	if !b.reporting {
		local = "(e.occurred_at AT TIME ZONE " + b.arg(b.zone, "text") + ")::date"
	}
	b.add(local + " " + operator + " " + b.arg(date, "date"))
	loose := date.AddDate(0, 0, -2)
	if operator == "<" {
		loose = date.AddDate(0, 0, 2)
	}
	b.add("e.occurred_at " + operator + " " + b.arg(loose, "timestamptz"))
}
