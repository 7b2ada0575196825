package export

import (
	"errors"
	"testing"
	"time"

	"deltaledger/ledger"
)

func TestParseMonth(t *testing.T) {
	t.Parallel()
	m, err := ParseMonth("2025-12")
	if err != nil || m != (Month{2025, time.December}) || m.String() != "2025-12" {
		t.Fatalf("ParseMonth: %v, %v", m, err)
	}
	if m.Next().String() != "2026-01" || m.Next().Previous() != m || m.Compare(m.Next()) != -1 {
		t.Errorf("neighbours of %s: %s, %s", m, m.Previous(), m.Next())
	}
	for _, bad := range []string{"", "2025", "2025-13", "2025-1", "25-12", "2025-12-01", "0000-01", " 2025-12", "2025-12\n"} {
		if _, err := ParseMonth(bad); !errors.Is(err, ledger.ErrInvalid) {
			t.Errorf("ParseMonth(%q): %v", bad, err)
		}
	}
}

func TestMonthEndIsTheFirstInstantOfTheNext(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ zone, month, want string }{
		{"UTC", "2025-12", "2026-01-01T00:00:00Z"},
		{"America/New_York", "2025-12", "2026-01-01T05:00:00Z"},
		{"Pacific/Auckland", "2026-03", "2026-03-31T11:00:00Z"},
		{"America/Sao_Paulo", "2018-10", "2018-11-01T03:00:00Z"},
		{"Africa/Cairo", "2014-07", "2014-07-31T22:00:00Z"}, // clocks went forward at that midnight
	} {
		zone, err := time.LoadLocation(c.zone)
		if err != nil {
			t.Fatal(err)
		}
		m, err := ParseMonth(c.month)
		if err != nil {
			t.Fatal(err)
		}
		if got := m.End(zone).UTC().Format(time.RFC3339); got != c.want {
			t.Errorf("end of %s in %s: %s, want %s", c.month, c.zone, got, c.want)
		}
	}
}
