package billing

import (
	"fmt"
	"math"
	"time"
)

const (
	secondsPerDay = 24 * 60 * 60
	day           = secondsPerDay * time.Second
)

// Date is a civil date of the Gregorian calendar, without a time or a zone.
type Date struct {
	Year  int
	Month time.Month
	Day   int
}

// ParseDate reads a date written as YYYY-MM-DD. Dates that don't exist are
// errors.
func ParseDate(text string) (Date, error) {
	t, err := time.Parse(time.DateOnly, text)
	if err != nil || t.Year() < 1 { // there is no year 0 in the database
		return Date{}, fmt.Errorf("%q is not an existing date written as YYYY-MM-DD", text)
	}
	return DateOf(t), nil
}

// DateOf returns the local date of t in the zone that t carries.
func DateOf(t time.Time) Date {
	y, m, d := t.Date()
	return Date{Year: y, Month: m, Day: d}
}

// String returns the date as YYYY-MM-DD.
func (d Date) String() string {
	return fmt.Sprintf("%04d-%02d-%02d", d.Year, d.Month, d.Day)
}

// AddDays returns the date n days later, or earlier for a negative n.
func (d Date) AddDays(n int) Date {
	return DateOf(time.Date(d.Year, d.Month, d.Day+n, 0, 0, 0, 0, time.UTC))
}

// Compare returns -1 if d is before e, 1 if it is after, and 0 if they are the
// same.
func (d Date) Compare(e Date) int {
	return time.Date(d.Year, d.Month, d.Day, 0, 0, 0, 0, time.UTC).Compare(
		time.Date(e.Year, e.Month, e.Day, 0, 0, 0, 0, time.UTC))
}

// In returns the start of the date in a zone: the first instant, in UTC, whose
// local date is d or later. Where midnight doesn't exist that is the end of
// the gap, where it exists twice the first of them, and for a day that a zone
// skipped altogether the start of the next one.
func (d Date) In(zone *time.Location) time.Time {
	return firstInstant(zone, d.wall())
}

// exists reports whether there is such a day in the calendar.
func (d Date) exists() bool {
	return DateOf(time.Date(d.Year, d.Month, d.Day, 0, 0, 0, 0, time.UTC)) == d
}

// wall returns the reading of a local clock at the start of the date: seconds
// since 1970-01-01T00:00:00 on that clock.
func (d Date) wall() int64 {
	return time.Date(d.Year, d.Month, d.Day, 0, 0, 0, 0, time.UTC).Unix()
}

// firstInstant returns the first instant at which the local clock of the zone
// shows wall or more, in UTC.
//
// time.Date doesn't do: for a midnight that was skipped it may answer with an
// instant of the day before. Here the zone's periods of constant offset are
// walked from a point that is surely too early.
func firstInstant(zone *time.Location, wall int64) time.Time {
	from := wall - secondsPerDay // no zone is a whole day from UTC
	for {
		offset, end := offsetAt(zone, from)
		if from+offset >= wall {
			return time.Unix(from, 0).UTC()
		}
		if at := wall - offset; at < end {
			return time.Unix(at, 0).UTC()
		}
		from = end
	}
}

// offsetAt returns a zone's offset from UTC in seconds, and until when it
// surely lasts.
func offsetAt(zone *time.Location, at int64) (offset, end int64) {
	t := time.Unix(at, 0).In(zone)
	_, seconds := t.Zone()
	_, until := t.ZoneBounds()
	switch {
	case until.IsZero():
		end = math.MaxInt64
	case !until.After(t):
		// Go ends the years that a zone has by rule after 365 days, so on the
		// last UTC day of a leap year the end isn't ahead (golang/go#81583).
		// Offsets don't change on that day.
		end = at - at%secondsPerDay + secondsPerDay
	default:
		end = until.Unix()
	}
	return int64(seconds), end
}
