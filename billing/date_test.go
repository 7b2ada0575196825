package billing

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// mustZone loads a zone that the tests name.
func mustZone(t interface {
	Helper()
	Fatalf(format string, args ...any)
}, name string,
) *time.Location {
	t.Helper()
	zone, err := time.LoadLocation(name)
	if err != nil {
		t.Fatalf("load zone %s: %v", name, err)
	}
	return zone
}

// mustTime reads an instant as RFC 3339.
func mustTime(t interface {
	Helper()
	Fatalf(format string, args ...any)
}, text string,
) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		t.Fatalf("read instant: %v", err)
	}
	return at.UTC()
}

// mustDate reads a date as YYYY-MM-DD.
func mustDate(t interface {
	Helper()
	Fatalf(format string, args ...any)
}, text string,
) Date {
	t.Helper()
	d, err := ParseDate(text)
	if err != nil {
		t.Fatalf("read date: %v", err)
	}
	return d
}

func TestDateIn(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ zone, date, want, why string }{
		{"UTC", "2026-02-01", "2026-02-01T00:00:00Z", "no shift"},
		{"Asia/Kolkata", "2023-03-01", "2023-02-28T18:30:00Z", "half-hour offset"},
		{"America/New_York", "2023-04-01", "2023-04-01T04:00:00Z", "summer time"},
		{"America/Sao_Paulo", "2018-11-04", "2018-11-04T03:00:00Z", "midnight is missing"},
		{"America/Santiago", "2024-09-08", "2024-09-08T04:00:00Z", "midnight is missing"},
		{"Africa/Cairo", "2023-04-28", "2023-04-27T22:00:00Z", "midnight is missing"},
		{"Asia/Beirut", "2022-03-27", "2022-03-26T22:00:00Z", "midnight is missing"},
		{"America/Havana", "2024-03-10", "2024-03-10T05:00:00Z", "midnight is missing"},
		{"America/Havana", "2024-11-03", "2024-11-03T04:00:00Z", "midnight is there twice"},
		{"America/Sao_Paulo", "2018-02-18", "2018-02-18T03:00:00Z", "the day before has an hour twice"},
		{"America/St_Johns", "2006-10-29", "2006-10-29T02:30:00Z", "one minute in, the clock goes back into the day before"},
		{"Pacific/Apia", "2011-12-30", "2011-12-30T10:00:00Z", "the day doesn't exist"},
		{"Pacific/Apia", "2011-12-31", "2011-12-30T10:00:00Z", "the day after it"},
		{"Pacific/Kwajalein", "1993-08-21", "1993-08-21T12:00:00Z", "the day doesn't exist"},
		{"America/New_York", "1850-01-01", "1850-01-01T04:56:02Z", "local mean time"},
		{"Europe/London", "2040-12-31", "2040-12-31T00:00:00Z", "the last day of a leap year, by rule"},
		{"Europe/London", "2041-01-01", "2041-01-01T00:00:00Z", "the day after it"},
		{"America/Santiago", "2096-12-31", "2096-12-31T03:00:00Z", "the same in the south"},
		{"Australia/Lord_Howe", "2041-01-01", "2040-12-31T13:00:00Z", "the same, a day ahead"},
		{"Europe/London", "2999-07-01", "2999-06-30T23:00:00Z", "beyond the tables, by rule"},
	} {
		got := mustDate(t, c.date).In(mustZone(t, c.zone))
		if want := mustTime(t, c.want); !got.Equal(want) || got.Location() != time.UTC {
			t.Errorf("%s in %s (%s) starts at %v, want %v", c.date, c.zone, c.why, got, want)
		}
	}
}

func TestAnchorTimeOfDay(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ zone, local, want, why string }{
		{"Europe/London", "2026-03-29T01:30:00", "2026-03-29T01:00:00Z", "doesn't exist: first instant after the gap"},
		{"Europe/London", "2026-10-25T01:30:00", "2026-10-25T00:30:00Z", "exists twice: the first"},
		{"Australia/Lord_Howe", "2026-10-04T02:10:00", "2026-10-03T15:30:00Z", "a gap of half an hour"},
		{"America/Santiago", "2024-09-08T00:30:00", "2024-09-08T04:00:00Z", "in the gap after a missing midnight"},
		{"Pacific/Apia", "2011-12-30T15:00:00", "2011-12-30T10:00:00Z", "on a day that doesn't exist"},
	} {
		local, err := time.Parse(localLayout, c.local)
		if err != nil {
			t.Fatal(err)
		}
		a := Anchor{Date: DateOf(local), Clock: local.Sub(DateOf(local).In(time.UTC))}
		if a.String() != c.local {
			t.Errorf("anchor is written %s, want %s", a, c.local)
		}
		if got := a.in(mustZone(t, c.zone)); !got.Equal(mustTime(t, c.want)) {
			t.Errorf("%s in %s is %v, want %s (%s)", c.local, c.zone, got, c.want, c.why)
		}
	}
}

func TestParseDate(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"2026-01-31", "2024-02-29", "0001-01-01", "9999-12-31"} {
		d, err := ParseDate(text)
		if err != nil || d.String() != text || !d.exists() {
			t.Errorf("ParseDate(%s) = %v, %v", text, d, err)
		}
	}
	for _, text := range []string{"", "2026-1-31", "2026-02-29", "2026-13-01", "2026-00-01", "20260131", "2026-01-31T00:00:00", " 2026-01-31", "02026-01-31"} {
		if d, err := ParseDate(text); err == nil {
			t.Errorf("ParseDate(%q) = %v, want an error", text, d)
		}
	}
	if (Date{Year: 2026, Month: 2, Day: 30}).exists() || (Date{}).exists() {
		t.Error("a date exists that doesn't")
	}
}

func TestDateArithmetic(t *testing.T) {
	t.Parallel()
	d := mustDate(t, "2024-02-28")
	if got := d.AddDays(2).String(); got != "2024-03-01" {
		t.Errorf("two days after %v is %s", d, got)
	}
	if got := d.AddDays(-59).String(); got != "2023-12-31" {
		t.Errorf("59 days before %v is %s", d, got)
	}
	if d.Compare(d.AddDays(1)) != -1 || d.Compare(d.AddDays(-1)) != 1 || d.Compare(d) != 0 {
		t.Error("dates compare wrongly")
	}
}

// troubled are zones whose clocks have done unusual things.
func troubled() []string {
	return []string{
		"UTC", "Europe/London", "America/New_York", "America/Sao_Paulo", "America/Santiago", "America/Havana", "Africa/Cairo",
		"Asia/Beirut", "America/St_Johns", "Pacific/Apia", "Pacific/Kwajalein", "Australia/Lord_Howe", "Asia/Kolkata",
		"Pacific/Kiritimati", "Africa/Casablanca", "America/Caracas", "Asia/Pyongyang", "Antarctica/Troll", "Europe/Moscow",
	}
}

// The definition itself, tried minute by minute: the clock shows the wanted
// reading or more, and it didn't at any time in the day and a half before.
func TestFirstInstantIsTheFirst(t *testing.T) {
	t.Parallel()
	zones := troubled()
	rapid.Check(t, func(rt *rapid.T) {
		zone := mustZone(rt, rapid.SampledFrom(zones).Draw(rt, "zone"))
		date := Date{Year: rapid.IntRange(1900, 2100).Draw(rt, "year"), Month: 1, Day: 1}
		date = date.AddDays(rapid.IntRange(0, 365).Draw(rt, "day"))
		wall := date.wall() + rapid.SampledFrom([]int64{0, 0, 1800, 3600, 9000, 12 * 3600, 86399}).Draw(rt, "clock")
		got := firstInstant(zone, wall)
		reading := func(at time.Time) int64 {
			_, offset := at.In(zone).Zone()
			return at.Unix() + int64(offset)
		}
		if reading(got) < wall {
			rt.Fatalf("at %v the clock is before the reading", got)
		}
		if reading(got.Add(-time.Second)) >= wall {
			rt.Fatalf("a second before %v the clock was there already", got)
		}
		for back := time.Minute; back < 36*time.Hour; back += time.Minute {
			if reading(got.Add(-back)) >= wall {
				rt.Fatalf("%v before %v the clock was there already", back, got)
			}
		}
	})
}
