package billing

import (
	"fmt"
	"testing"

	"github.com/shopspring/decimal"
	"pgregory.net/rapid"

	"deltaledger/ledger/currency"
)

func TestRound(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ x, currency, want string }{
		{"10.275", "USD", "10.28"},
		{"-10.275", "USD", "-10.28"},
		{"100.556", "INR", "100.56"},
		{"3.685", "USD", "3.69"},
		{"10.274999999999999999", "USD", "10.27"},
		{"0.005", "USD", "0.01"},
		{"-0.005", "USD", "-0.01"},
		{"-0.0049", "USD", "0"},
		{"0.5", "JPY", "1"},
		{"-0.5", "JPY", "-1"},
		{"2.5", "JPY", "3"},
		{"1.0005", "BHD", "1.001"},
		{"1.0005", "IQD", "1.001"},
		{"1.005", "RSD", "1.01"},
		{"1.00005", "UYW", "1.0001"},
		{"1.00004", "CLF", "1"},
		{"7", "USD", "7"},
		{"99999999999999999999999999999999999999", "USD", "99999999999999999999999999999999999999"},
		{"1.2345", "XAU", "1.2345"},
		{"1.2345", "???", "1.2345"},
	} {
		if got := Round(dec(c.x), c.currency); !got.Equal(dec(c.want)) {
			t.Errorf("%s %s rounds to %s, want %s", c.x, c.currency, got, c.want)
		}
	}
}

// Rounding moves an amount by half a unit at most, a half always away from
// zero, and what is rounded stays.
func TestRoundHalfAwayFromZero(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		x := drawDecimal(rt, "x")
		code := rapid.SampledFrom([]string{"USD", "JPY", "BHD", "CLF"}).Draw(rt, "currency")
		digits, _ := currency.Digits(code)
		got, half := Round(x, code), decimal.New(5, int32(-digits-1))
		moved := got.Abs().Sub(x.Abs())
		if moved.GreaterThan(half) || moved.LessThanOrEqual(half.Neg()) {
			rt.Fatalf("%s %s moved by %s to %s", x, code, moved, got)
		}
		if !got.Equal(got.Truncate(int32(digits))) || !Round(got, code).Equal(got) {
			rt.Fatalf("%s %s isn't rounded", got, code)
		}
		if !Round(x.Neg(), code).Equal(got.Neg()) {
			rt.Fatalf("%s and its negative round differently", x)
		}
	})
}

func TestSplit(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		total   string
		weights []string
		digits  int
		want    string
	}{
		{"0.05", []string{"1", "1", "1"}, 2, "[0.02 0.02 0.01]"},
		{"-0.05", []string{"1", "1", "1"}, 2, "[-0.02 -0.02 -0.01]"},
		{"100.00", []string{"1", "2", "3"}, 2, "[16.67 33.33 50.00]"},
		{"100.00", []string{"0.1", "0.2", "0.3"}, 2, "[16.67 33.33 50.00]"},
		{"1000", []string{"10", "21"}, 0, "[323 677]"},
		{"10", []string{"1", "0", "1"}, 2, "[5.00 0.00 5.00]"},
		{"1", []string{"0", "0", "0"}, 2, "[0.34 0.33 0.33]"},
		{"1", []string{"1", "-1"}, 2, "[0.50 0.50]"},
		{"1", []string{"3", "-1"}, 2, "[1.50 -0.50]"},
		{"1", []string{"-3", "1"}, 2, "[1.50 -0.50]"},
		{"0", []string{"1", "2"}, 2, "[0.00 0.00]"},
		{"5.5", []string{"7"}, 2, "[5.50]"},
		{"1.005", []string{"1", "1"}, 2, "[0.505 0.500]"},
		{"5", nil, 2, "[]"},
	} {
		var weights []decimal.Decimal
		for _, w := range c.weights {
			weights = append(weights, dec(w))
		}
		parts := Split(dec(c.total), weights, c.digits)
		got := make([]string, len(parts))
		for i, p := range parts {
			got[i] = p.StringFixed(max(int32(c.digits), -p.Exponent()))
		}
		if c.total == "1.005" {
			got[1] = parts[1].StringFixed(3)
		}
		if fmt.Sprint(got) != c.want {
			t.Errorf("%s over %v is %v, want %s", c.total, c.weights, got, c.want)
		}
	}
}

// Parts add up to the total, and each is within a unit of its exact share.
func TestSplitAddsUp(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		digits := rapid.IntRange(0, 4).Draw(rt, "digits")
		total := decimal.New(rapid.Int64().Draw(rt, "total"), int32(-digits))
		weights, sum := []decimal.Decimal{}, decimal.Zero
		for range rapid.IntRange(1, 12).Draw(rt, "parts") {
			w := decimal.New(rapid.Int64Range(0, 1e12).Draw(rt, "weight"), rapid.Int32Range(-12, 0).Draw(rt, "exponent"))
			weights, sum = append(weights, w), sum.Add(w)
		}
		added, unit := decimal.Zero, decimal.New(1, int32(-digits))
		for i, part := range Split(total, weights, digits) {
			added = added.Add(part)
			if !part.Equal(part.Truncate(int32(digits))) {
				rt.Fatalf("part %s has more than %d digits", part, digits)
			}
			// |part - total*w/sum| < unit, multiplied out so that it is exact
			if off := part.Mul(sum).Sub(total.Mul(weights[i])).Abs(); sum.IsPositive() && off.GreaterThanOrEqual(unit.Mul(sum)) {
				rt.Fatalf("part %s of %s for %s of %s is off by a unit or more", part, total, weights[i], sum)
			}
		}
		if !added.Equal(total) {
			rt.Fatalf("the parts of %s add up to %s", total, added)
		}
	})
}
