package ledger

import (
	"fmt"
	"strconv"
	"time"
)

// A date bucket is a period of the local time of occurred_at. Its value is text that sorts by time:
//
//	hour     2026-01-31T23:00:00-05:00  with its offset: an hour that the clock repeats is two buckets
//	day      2026-01-31
//	week     2026-W05                   ISO 8601: from Monday, in the year of its Thursday
//	month    2026-01
//	quarter  2026-Q1
//	year     2026
type dateBucket struct {
	key      string
	truncate string // the unit to which a date is cut before it is grouped by; empty: not cut
	show     string // format of to_char
	rule     string
	valid    func(string) bool
}

var dateBuckets = [...]dateBucket{
	{"day", "", "YYYY-MM-DD", ruleDate, layoutValid(time.DateOnly)},
	{"week", "week", `IYYY-"W"IW`, "must be an ISO week such as 2026-W05", validWeek},
	{"month", "month", "YYYY-MM", ruleMonth, layoutValid("2006-01")},
	{"quarter", "quarter", `YYYY-"Q"Q`, "must be a quarter such as 2026-Q1", validQuarter},
	{"year", "year", "YYYY", "must be a year such as 2026", layoutValid("2006")},
}

const ruleMonth = "must be a month such as 2026-01"

// bucket resolves the name of a date bucket in the zone of the question.
func (b *builder) bucket(key string) (term, bool) {
	if key == "hour" {
		return b.hour(), true
	}
	for _, d := range dateBuckets {
		if d.key != key {
			continue
		}
		date := "e.business_date"
		if !b.reporting {
			date = "(e.occurred_at AT TIME ZONE " + b.arg(b.zone, "text") + ")::date"
		}
		if d.truncate != "" { // by way of timestamp: of a date alone it would make one with the session's zone
			date = fmt.Sprintf("date_trunc('%s', (%s)::timestamp)::date", d.truncate, date)
		}
		return term{sql: date, sqlType: "date", show: "to_char(%s, '" + d.show + "')", check: ruleUnless(d.valid, d.rule)}, true
	}
	return term{}, false
}

// hour is text already: an instant alone would lose which offset an hour of a repeated half hour has.
func (b *builder) hour() term {
	local := "(e.occurred_at AT TIME ZONE " + b.arg(b.zone, "text") + ")"
	const utc = "(e.occurred_at AT TIME ZONE 'UTC')"
	sql := fmt.Sprintf(`to_char(%[1]s, 'YYYY-MM-DD"T"HH24":00:00"')`+
		` || CASE WHEN %[1]s < %[2]s THEN '-' ELSE '+' END`+
		` || to_char(greatest(%[1]s - %[2]s, %[2]s - %[1]s), 'HH24:MI')`, local, utc)
	return term{
		sql: "(" + sql + ")", sqlType: "text",
		check: ruleUnless(layoutValid("2006-01-02T15:00:00-07:00"), "must be an hour with its offset such as 2026-01-31T23:00:00-05:00"),
	}
}

func ruleUnless(valid func(string) bool, rule string) func(string) string {
	return func(value string) string {
		if valid(value) {
			return ""
		}
		return rule
	}
}

func layoutValid(layout string) func(string) bool {
	return func(s string) bool {
		t, err := time.Parse(layout, s)
		return err == nil && t.Format(layout) == s
	}
}

// validWeek accepts weeks that there are: a year has 52 or 53.
func validWeek(s string) bool {
	if len(s) != len("2026-W05") || s[4:6] != "-W" {
		return false
	}
	year, err := strconv.Atoi(s[:4])
	week, err2 := strconv.Atoi(s[6:])
	if err != nil || err2 != nil || s[0] == '+' || s[0] == '-' || s[6] == '+' || s[6] == '-' {
		return false
	}
	_, last := time.Date(year, time.December, 28, 0, 0, 0, 0, time.UTC).ISOWeek() // always in the last one
	return week >= 1 && week <= last
}

func validQuarter(s string) bool {
	return len(s) == len("2026-Q1") && layoutValid("2006")(s[:4]) && s[4:6] == "-Q" && s[6] >= '1' && s[6] <= '4'
}
