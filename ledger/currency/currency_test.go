package currency

import (
	"bufio"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// published reads the list in testdata: digits by code, -1 where the list
// gives no minor unit.
func published(t *testing.T) map[string]int {
	t.Helper()
	f, err := os.Open("testdata/list-one.txt")
	if err != nil {
		t.Fatalf("open the published list: %v", err)
	}
	defer func() { _ = f.Close() }()
	list := map[string]int{}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		line := lines.Text()
		if strings.HasPrefix(line, "#") {
			if !strings.Contains(line, PublishedOn) {
				t.Errorf("the list in testdata is another than %s: %s", PublishedOn, line)
			}
			continue
		}
		code, digits, _ := strings.Cut(line, " ")
		if digits == "-" {
			list[code] = -1
			continue
		}
		if list[code], err = strconv.Atoi(digits); err != nil {
			t.Fatalf("line %q: %v", line, err)
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatalf("read the published list: %v", err)
	}
	return list
}

// Every code of three letters is asked, so nothing can be in the table that
// isn't on the list.
func TestDigitsIsThePublishedList(t *testing.T) {
	t.Parallel()
	list := published(t)
	if len(list) != 178 {
		t.Fatalf("the list has %d codes, want 178", len(list))
	}
	known, withdrawn := 0, 0
	for n := range 26 * 26 * 26 {
		code := string([]byte{byte('A' + n/676), byte('A' + n/26%26), byte('A' + n%26)})
		want, listed := list[code]
		got, ok := Digits(code)
		switch {
		case Withdrawn(code):
			withdrawn++
			if listed {
				t.Errorf("%s is marked withdrawn and listed", code)
			}
			if !ok || !Known(code) {
				t.Errorf("%s has no digits any more", code)
			}
		case listed && want >= 0:
			known++
			if !ok || got != want || got > MaxDigits || !Known(code) {
				t.Errorf("Digits(%s) = %d, %v, want %d", code, got, ok, want)
			}
		case ok || Known(code):
			t.Errorf("Digits(%s) = %d, want refused", code, got)
		}
	}
	if known != 165 || withdrawn != 6 {
		t.Errorf("%d known and %d withdrawn codes, want 165 and 6", known, withdrawn)
	}
}

func TestDigits(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]int{
		"USD": 2, "EUR": 2, "GBP": 2, "JPY": 0, "KRW": 0, "CLP": 0, "UGX": 0, "ISK": 0, "HUF": 2, "BHD": 3, "KWD": 3,
		"TND": 3, "IQD": 3, "RSD": 2, "UYW": 4, "CLF": 4, "UYI": 0, "MGA": 2, "MRU": 2, "XAF": 0, "XCG": 2, "ZWG": 2, "BGN": 2,
	} {
		if got, ok := Digits(code); !ok || got != want {
			t.Errorf("Digits(%s) = %d, %v, want %d", code, got, ok, want)
		}
		if got, ok := DigitsOf([]byte(code)); !ok || got != want {
			t.Errorf("DigitsOf(%s) = %d, %v, want %d", code, got, ok, want)
		}
	}
	for _, code := range []string{"", "usd", "Usd", "US", "USDD", " USD", "USD\x00", "XAU", "XAG", "XXX", "XTS", "XDR", "DEM", "BTC", "€"} {
		if got, ok := Digits(code); ok || Known(code) {
			t.Errorf("Digits(%q) = %d, want refused", code, got)
		}
	}
}

func TestPublishedOnIsADate(t *testing.T) {
	t.Parallel()
	if _, err := time.Parse(time.DateOnly, PublishedOn); err != nil {
		t.Error(err)
	}
}

func TestLookupDoesNotAllocate(t *testing.T) {
	raw := []byte(`"currency":"USD"`)
	n := testing.AllocsPerRun(100, func() {
		if _, ok := DigitsOf(raw[12:15]); !ok {
			t.Error("USD is unknown")
		}
		if _, ok := DigitsOf(raw[1:4]); ok {
			t.Error("cur is known")
		}
	})
	if n != 0 {
		t.Errorf("%v allocations in a lookup, want none", n)
	}
}

func BenchmarkDigitsOf(b *testing.B) {
	code := []byte("USD")
	for b.Loop() {
		DigitsOf(code)
	}
}
