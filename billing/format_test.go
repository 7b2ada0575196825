package billing

import (
	"errors"
	"testing"
	"time"

	"deltaledger/ledger"
)

func TestNumberFormat(t *testing.T) {
	t.Parallel()
	at := time.Date(2027, 3, 31, 23, 0, 0, 0, time.UTC)
	for _, c := range []struct{ format, series, first, later string }{
		{"INV-{number:06}", "INV", "INV-000001", "INV-12345678"},
		{"INV-{year}-{number:06}", "INV-2027", "INV-2027-000001", "INV-2027-12345678"},
		{"{year}{month}-{number:04}", "202703", "202703-0001", "202703-12345678"},
		{"{number}.{year}", "2027", "1.2027", "12345678.2027"},
		{"A.{number:03}-B{year}", "A-B2027", "A.001-B2027", "A.12345678-B2027"},
	} {
		f, err := ParseNumberFormat(c.format)
		if err != nil {
			t.Errorf("%s: %v", c.format, err)
			continue
		}
		if f.Series(at) != c.series || f.Print(at, 1) != c.first || f.Print(at, 12345678) != c.later || f.String() != c.format {
			t.Errorf("%s: series %s, %s, %s", c.format, f.Series(at), f.Print(at, 1), f.Print(at, 12345678))
		}
	}
	for _, wrong := range []string{
		"", "INV", "INV-{number}-{number}", "INV-{Number}", "inv-{number}", "INV{year}{number}", "INV-1{number}", "INV-{number}{year}", "{number}", "-{number}",
		"INV-{month}-{number}", "INV-{number:6}", "INV-{number:013}", "INV-{number:00}", "INV-{number", "INV-number}", "INV/{number}", "INV {number}", "INV-{day}-{number}",
		"INV-{}{number}", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA-{number}", "{year}-{number:01234}",
	} {
		if f, err := ParseNumberFormat(wrong); !errors.Is(err, ledger.ErrInvalid) {
			t.Errorf("%q is taken: %+v, %v", wrong, f, err)
		}
	}
}

// Two formats that neither clash nor share a series never print the same text, whatever the numbers and years.
func TestFormatsThatDoNotClashNeverReadTheSame(t *testing.T) {
	t.Parallel()
	var all []NumberFormat
	for _, text := range []string{
		"INV-{number:06}", "INV-{number}", "INV-{year}-{number}", "INV-{number}-{year}", "{year}-{number:04}", "{number:04}-{year}", "{number}-5", "1-{number}",
		"INV-2027-{number}", "INV-{year}{month}-{number}", "INV-{number}-1", "INV-1-{number}",
	} {
		f, err := ParseNumberFormat(text)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, f)
	}
	days := []time.Time{time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(1, 5, 1, 0, 0, 0, 0, time.UTC), time.Date(2027, 12, 1, 0, 0, 0, 0, time.UTC)}
	clashes := 0
	for i, f := range all {
		for _, o := range all[i+1:] {
			if f.mayRead(o) {
				clashes++
				continue
			}
			type given struct {
				series string
				number int64
			}
			seen := map[string]given{}
			for _, format := range []NumberFormat{f, o} {
				for _, day := range days {
					for _, n := range []int64{1, 5, 2027, 20271} {
						text, now := format.Print(day, n), given{format.Series(day), n}
						if before, found := seen[text]; found && before != now {
							t.Errorf("%s and %s: %s is %d of %s and %d of %s", f, o, text, before.number, before.series, n, now.series)
						}
						seen[text] = now
					}
				}
			}
		}
	}
	if clashes == 0 {
		t.Error("no pair of formats clashes")
	}
}
