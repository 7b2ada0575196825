package sensitive_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"deltaledger/ledger/sensitive"
)

func hold(t *testing.T, f func(string) bool, want bool, all ...string) {
	t.Helper()
	for _, s := range all {
		if got := f(s); got != want {
			t.Errorf("%q: %v", s, got)
		}
	}
}

func TestCardNumbers(t *testing.T) {
	t.Parallel()
	hold(t, sensitive.HasCardNumber, true,
		"4111111111111111", "5555555555554444", "378282246310005", "6011111111111117", "3530111333300000", "30569309025904",
		"4222222222222", "2223003122003222", "6304000000000000", "4111 1111 1111 1111", "4111-1111-1111-1111", "3782 822463 10005",
		"3056-930902-5904", "card: 4111111111111111.", "(4111111111111111)", "order-4111111111111111", "4111111111111111 12/27",
		"4111 1111 1111 1111 12 27", "12 4111 1111 1111 1111", "é4111111111111111é", "6011 0009 9013 9424", "x 4111111111111111", "2026-4111111111111111")
	hold(t, sensitive.HasCardNumber, false,
		"", "4111111111111112", "411111111111111", "41111111111111111", "0000000000000000", "1111111111111117", "1769900000000", "1769900000000123",
		"a4111111111111111", "4111111111111111b", "94111111111111111", "4111  1111 1111 1111", "4111 1111-1111 1111", "41 11 11 11 11 11 11 11",
		"4111-1111-1111-1111-0000", "0000-4111-1111-1111-1111", "5c0f7a1e-9f63-4f0b-8d8e-2f7f6f0c9a11", "550e8400-e29b-41d4-a716-446655440000",
		"+49 170 1234567", "2026-01-31 12:00", "4111.1111.1111.1111", "order 20260131-0001234567")
}

// How often a plain number passes for a card's: what the documentation says.
func TestPlainNumbersSeldomPass(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	const n = 100_000
	for digits, most := range map[int]int{13: n / 90, 14: n / 90, 15: n / 90, 16: n / 30, 19: n / 30} {
		passed := 0
		for range n {
			var b strings.Builder
			for range digits {
				b.WriteByte('0' + byte(r.IntN(10)))
			}
			if sensitive.HasCardNumber(b.String()) {
				passed++
			}
		}
		if passed > most || passed == 0 {
			t.Errorf("%d of %d numbers of %d digits pass", passed, n, digits)
		}
	}
}

// Every card number that has a digit wrong, or two neighbours exchanged, fails: what Luhn is for.
func TestLuhn(t *testing.T) {
	t.Parallel()
	const card = "4539578763621486"
	if !sensitive.HasCardNumber(card) {
		t.Fatal(card)
	}
	for i := 4; i < len(card); i++ {
		for d := byte('0'); d <= '9'; d++ {
			if other := card[:i] + string(d) + card[i+1:]; d != card[i] && sensitive.HasCardNumber(other) {
				t.Error(other)
			}
		}
	}
}

func TestIBANs(t *testing.T) {
	t.Parallel()
	hold(t, sensitive.HasIBAN, true,
		"DE89370400440532013000", "GB82WEST12345698765432", "NO9386011117947", "MT84MALT011000012345MTLCAST001S", "FR1420041010050500013M02606",
		"DE89 3704 0044 0532 0130 00", "de89370400440532013000", "pay to DE89370400440532013000, thanks", "x: GB82 WEST 1234 5698 7654 32.",
		"LC55HEMM000100010012001200023015", "RU0304452522540817810538091310419", "Dear DE89 3704 0044 0532 0130 00")
	hold(t, sensitive.HasIBAN, false,
		"", "DE88370400440532013000", "DE8937040044053201300", "DE893704004405320130000", "XX89370400440532013000", "ADE89370400440532013000",
		"DE89370400440532013000A", "DE8 9370400440532013000", "DE89  3704 0044 0532 0130 00", "DE89-3704-0044-0532-0130-00", "GB82WEST12345698765433")
}

func TestEmails(t *testing.T) {
	t.Parallel()
	hold(t, sensitive.HasEmail, true,
		"a@b.example", "jane.doe+x@mail.example.com", "<jane@example.org>", "mailto:jane@example.org?x", "jörg@bücher.example", "O'Neil@example.ie",
		"write to jane@example.org.", "x@y jane@example.org", "a@b.example.2 pieces", "a@xn--bcher-kva.xn--p1ai", "@a@b.example")
	hold(t, sensitive.HasEmail, false,
		"", "@", "a@", "@b.example", "a@b", "a@localhost", "2 @ 3.50", "3@2.50", "a..b@c.example", "a.@b.example", "a@-b.example", "a@b-.example",
		"a@b..example", "@handle", "a b@", "rate@1.5", "a@b.e", strings.Repeat("a", 65)+"@b.example")
}

// Hostile texts cost no more than their length.
func TestLongTexts(t *testing.T) {
	t.Parallel()
	for _, part := range []string{"4", "4 ", "4-", "1111 ", "DE89", "DE89 ", "a@", "a.", "@", "a@b.", "a@b.c-"} {
		s := strings.Repeat(part, 16<<10/len(part))
		began := time.Now()
		for _, f := range []func(string) bool{sensitive.HasCardNumber, sensitive.HasIBAN, sensitive.HasEmail} {
			f(s)
		}
		if took := time.Since(began); took > time.Second {
			t.Errorf("%q repeated takes %v", part, took)
		}
	}
}

func FuzzDetectors(f *testing.F) {
	for _, s := range []string{"4111 1111 1111 1111", "DE89 3704 0044 0532 0130 00", "a@b.example", "4111-", "\xff@\x80.\x80"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for name, c := range map[string]struct {
			has    func(string) bool
			sample string
		}{
			"card":  {sensitive.HasCardNumber, "4111111111111111"},
			"iban":  {sensitive.HasIBAN, "DE89370400440532013000"},
			"email": {sensitive.HasEmail, "jane@b.example"},
		} {
			got := c.has(s)
			if !c.has(s + "\n" + c.sample + "\n" + s) {
				t.Errorf("%s: hidden by what stands around it: %q", name, s)
			}
			if lines := c.has(s + "\n" + fmt.Sprint()); lines != got && got {
				t.Errorf("%s: a line feed behind %q hides it", name, s)
			}
		}
	})
}
