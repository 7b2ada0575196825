package export

import (
	"encoding/binary"
	"errors"
	"time"
)

// errInfinite says that a date or time has no place in the calendar.
var errInfinite = errors.New("a date or time is infinite or before the year 0")

const (
	microsecondsPerDay = 24 * 60 * 60 * 1_000_000
	earliestDay        = -730_485  // 0000-01-01
	latestDay          = 2_921_940 // 10000-01-01: in a zone ahead of UTC the last day is already over
	daysTo2000         = 730_425   // from 0000-03-01 to 2000-01-01
)

// daysSince2000 is the first day of m in PostgreSQL's count.
func daysSince2000(m Month) int64 {
	return int64(m.midnight().Sub(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)) / (24 * time.Hour))
}

// appendDate appends YYYY-MM-DD of a day, counted from 2000-01-01.
func appendDate(dst []byte, days int64) ([]byte, error) {
	if days < earliestDay || days > latestDay {
		return dst, errInfinite
	}
	// Years that begin in March put the leap day last; 400 of them have 146,097 days.
	day := days + daysTo2000
	era := day / 146_097
	if day < 0 {
		era = -1
	}
	day -= era * 146_097
	year := (day - day/1460 + day/36_524 - day/146_096) / 365
	day -= 365*year + year/4 - year/100
	shifted := (5*day + 2) / 153
	day -= (153*shifted + 2) / 5
	month := shifted + 3
	if month > 12 {
		month -= 12
		year++
	}
	year += era * 400
	if year > 9999 {
		dst = append(dst, '1')
	}
	dst = append2(append2(dst, year/100%100), year%100)
	dst = append2(append(dst, '-'), month)
	return append2(append(dst, '-'), day+1), nil
}

func append2(dst []byte, n int64) []byte { return append(dst, byte('0'+n/10), byte('0'+n%10)) }

// dayText keeps the text of the last day asked for: neighbours in a file share it.
type dayText struct {
	day  int64
	text []byte
}

// of is the text of a day, valid until the next call.
func (d *dayText) of(day int64) ([]byte, error) {
	if d.text != nil && d.day == day {
		return d.text, nil
	}
	text, err := appendDate(d.text[:0], day)
	if err != nil {
		d.text = nil
		return nil, err
	}
	d.day, d.text = day, text
	return text, nil
}

// timestamp appends a time in UTC with all six digits of its microseconds.
func (e *encoder) timestamp(dst, v []byte) ([]byte, error) {
	if len(v) != 8 {
		return dst, errTuple
	}
	us := int64(binary.BigEndian.Uint64(v))
	day := us / microsecondsPerDay
	us -= day * microsecondsPerDay
	if us < 0 {
		day, us = day-1, us+microsecondsPerDay
	}
	text, err := e.day.of(day)
	if err != nil {
		return dst, err
	}
	seconds := us / 1_000_000
	us -= seconds * 1_000_000
	dst = append2(append(append(dst, text...), 'T'), seconds/3600)
	dst = append2(append(dst, ':'), seconds/60%60)
	dst = append2(append(dst, ':'), seconds%60)
	dst = append2(append2(append2(append(dst, '.'), us/10_000), us/100%100), us%100)
	return append(dst, 'Z'), nil
}
