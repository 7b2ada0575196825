package wire

import (
	"testing"
	"time"
)

func TestParseTime(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"2026-01-31T23:59:59.123456-05:00":  "2026-02-01T04:59:59.123456Z",
		"2026-01-31T23:59:59Z":              "2026-01-31T23:59:59Z",
		"2026-01-31T23:59:59.1Z":            "2026-01-31T23:59:59.1Z",
		"2026-01-31T23:59:59.123456000000Z": "2026-01-31T23:59:59.123456Z",
		"2024-02-29T00:00:00+00:00":         "2024-02-29T00:00:00Z",
		"2000-02-29T00:00:00-00:00":         "2000-02-29T00:00:00Z",
		"0001-01-01T00:00:00Z":              "0001-01-01T00:00:00Z",
		"9999-12-31T23:59:59.999999Z":       "9999-12-31T23:59:59.999999Z",
		"2026-06-01T05:30:00+05:45":         "2026-05-31T23:45:00Z",
		"2026-01-31T23:59:59":               ruleZone,
		"2026-01-31T23:59:59.5":             ruleZone,
		"2026-01-31T23:59:59.1234567Z":      ruleMicros,
		"2026-01-31T23:59:59.1234560001Z":   ruleMicros,
		"2026-01-31T23:59:60Z":              ruleLeap,
		"2026-01-31T23:59:61Z":              ruleClock,
		"2026-01-31T24:00:00Z":              ruleClock,
		"2026-01-31T23:60:00Z":              ruleClock,
		"2026-02-29T00:00:00Z":              ruleDate,
		"1900-02-29T00:00:00Z":              ruleDate,
		"2026-04-31T00:00:00Z":              ruleDate,
		"2026-13-01T00:00:00Z":              ruleDate,
		"2026-00-01T00:00:00Z":              ruleDate,
		"2026-01-00T00:00:00Z":              ruleDate,
		"0000-01-01T00:00:00Z":              ruleDate,
		"0001-01-01T00:00:00+00:01":         ruleYears,
		"9999-12-31T23:59:59-00:01":         ruleYears,
		"2026-01-31T23:59:59+24:00":         ruleOffset,
		"2026-01-31T23:59:59+00:60":         ruleOffset,
		"2026-01-31t23:59:59Z":              ruleCapitals,
		"2026-01-31T23:59:59z":              ruleCapitals,
		"2026-01-31 23:59:59Z":              ruleTime,
		"2026-01-31T23:59:59.Z":             ruleTime,
		"2026-01-31T23:59:59,5Z":            ruleTime,
		"2026-01-31T23:59:59+0500":          ruleTime,
		"2026-01-31T23:59:59+05":            ruleTime,
		"2026-01-31T23:59:59ZZ":             ruleTime,
		"2026-01-31T23:59Z":                 ruleTime,
		"2026-01-31":                        ruleTime,
		"+026-01-31T23:59:59Z":              ruleTime,
		"12026-01-31T23:59:59Z":             ruleTime,
		"2026-01-31T23:59:5xZ":              ruleTime,
		"":                                  ruleTime,
	} {
		got, rule := parseTime(in)
		if rule == "" {
			rule = got.Format(time.RFC3339Nano)
		}
		if rule != want {
			t.Errorf("%s: got %s, want %s", in, rule, want)
		}
	}
}

// TestParseTimeAgreesWithTheLibrary goes through days, clocks and offsets.
func TestParseTimeAgreesWithTheLibrary(t *testing.T) {
	t.Parallel()
	zones := []*time.Location{time.UTC, time.FixedZone("", 5*3600+45*60), time.FixedZone("", -23*3600-59*60)}
	for i, at := 0, time.Date(3, 1, 1, 0, 0, 0, 0, time.UTC); at.Year() < 9998; i, at = i+1, at.Add(7919*time.Hour+1234567*time.Microsecond) {
		in := at.In(zones[i%len(zones)]).Format(time.RFC3339Nano)
		if got, rule := parseTime(in); rule != "" || !got.Equal(at) || got.Location() != time.UTC {
			t.Fatalf("%s: got %v, %s", in, got, rule)
		}
	}
}
