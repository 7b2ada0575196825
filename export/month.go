package export

import (
	"cmp"
	"fmt"
	"time"

	"deltaledger/billing"
	"deltaledger/ledger"
)

// Month is a calendar month of business dates. The zero value comes before every month and stands for
// "none".
type Month struct {
	Year  int
	Month time.Month
}

// ParseMonth reads YYYY-MM.
func ParseMonth(text string) (Month, error) {
	t, err := time.Parse("2006-01", text)
	if err != nil || len(text) != len("2006-01") || t.Year() == 0 {
		return Month{}, ledger.Invalid("month", text, "must be a month written as YYYY-MM, such as 2025-12")
	}
	return Month{t.Year(), t.Month()}, nil
}

// MonthOf is the month of a date, read in the zone that t carries.
func MonthOf(t time.Time) Month { return Month{t.Year(), t.Month()} }

// String is YYYY-MM, empty for the zero value.
func (m Month) String() string {
	if m.IsZero() {
		return ""
	}
	return fmt.Sprintf("%04d-%02d", m.Year, m.Month)
}

// IsZero reports that there is no month.
func (m Month) IsZero() bool { return m == Month{} }

// First is the month's first day.
func (m Month) First() billing.Date { return billing.Date{Year: m.Year, Month: m.Month, Day: 1} }

// Next is the month after m.
func (m Month) Next() Month {
	if m.Month == time.December {
		return Month{m.Year + 1, time.January}
	}
	return Month{m.Year, m.Month + 1}
}

// Previous is the month before m.
func (m Month) Previous() Month {
	if m.Month == time.January {
		return Month{m.Year - 1, time.December}
	}
	return Month{m.Year, m.Month - 1}
}

// Compare is -1 if m comes before o, 1 if after, 0 if they are the same.
func (m Month) Compare(o Month) int {
	return cmp.Or(cmp.Compare(m.Year, o.Year), cmp.Compare(m.Month, o.Month))
}

// End is the first instant, in UTC, at which it is a later month in zone.
func (m Month) End(zone *time.Location) time.Time { return m.Next().First().In(zone) }

// MarshalText is String, so that a month is YYYY-MM in JSON.
func (m Month) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText is ParseMonth; empty text is the zero value.
func (m *Month) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*m = Month{}
		return nil
	}
	v, err := ParseMonth(string(b))
	if err == nil {
		*m = v
	}
	return err
}

// midnight is the first day of m as a value for PostgreSQL's date and timestamptz.
func (m Month) midnight() time.Time { return time.Date(m.Year, m.Month, 1, 0, 0, 0, 0, time.UTC) }
