package billing

import (
	"testing"

	"github.com/shopspring/decimal"
	"pgregory.net/rapid"
)

func dec(text string) decimal.Decimal { return decimal.RequireFromString(text) }

func TestSelects(t *testing.T) {
	t.Parallel()
	all, some := Charge{}, Charge{Types: []string{"line.sold", "line.returned"}}
	for kind, want := range map[string]bool{"line.sold": true, "line.returned": true, "line.shipped": false, "line": false, "": false} {
		if !all.SelectsType(kind) || some.SelectsType(kind) != want {
			t.Errorf("type %q: without types %v, with types %v", kind, all.SelectsType(kind), some.SelectsType(kind))
		}
	}
}

func TestPrice(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		model           Model
		rate, sum, want string
	}{
		{ModelSum, "0", "12.345678901234567890", "12.34567890123456789"},
		{ModelSum, "5", "-3", "-3"},
		{ModelPercentage, "1.5", "100", "1.5"},
		{ModelPercentage, "1.5", "-0.01", "-0.00015"},
		{ModelPercentage, "0", "100", "0"},
		{ModelPercentage, "100", "99999999999999999999.999999999999999999", "99999999999999999999.999999999999999999"},
		{ModelPercentage, "0.000000000000000001", "0.000000000000000001", "0.00000000000000000000000000000000000001"},
		{ModelPercentage, "133.333", "50", "66.6665"},
		{Model("cubic"), "5", "3", "0"},
	} {
		charge := Charge{Model: c.model, Rate: dec(c.rate)}
		if got := charge.Price(Inputs{Sum: dec(c.sum), Count: 3}); !got.Equal(dec(c.want)) {
			t.Errorf("%s at %s of %s is %s, want %s", c.model, c.rate, c.sum, got, c.want)
		}
	}
}

// A line rounds once: a percentage isn't rounded event by event.
func TestLineAmountOfFirstLine(t *testing.T) {
	t.Parallel()
	third := Charge{Model: ModelPercentage, Rate: dec("133.333")}
	for sum, want := range map[string]string{"10": "13.33", "50": "66.67", "70": "93.33"} {
		exact, amount := LineAmount(third, "USD", Inputs{}, Inputs{Sum: dec(sum), Count: 1}, decimal.Zero)
		if !amount.Equal(dec(want)) || !exact.Equal(dec(sum).Mul(dec("1.33333"))) {
			t.Errorf("%s costs %s, exactly %s, want %s", sum, amount, exact, want)
		}
	}
}

// What comes late is billed as the difference to the cycle as it should have
// been.
func TestLineAmountOfLateEvents(t *testing.T) {
	t.Parallel()
	sum, percent := Charge{Model: ModelSum}, Charge{Model: ModelPercentage, Rate: dec("1.5")}
	for _, c := range []struct {
		name                  string
		charge                Charge
		currency              string
		before, added, billed string
		exact, amount         string
	}{
		{"a late unit of 10", sum, "USD", "30", "10", "30", "10", "10"},
		{"a late return", sum, "USD", "30", "-45.5", "30", "-45.5", "-45.5"},
		{"half price", percent, "USD", "1000", "0", "15", "0", "0"},
		{"a fraction of a cent that makes none", percent, "USD", "100", "0.10", "1.50", "0.0015", "0"},
		{"a fraction of a cent that makes one", percent, "USD", "100.30", "0.10", "1.50", "0.0015", "0.01"},
		{"yen", percent, "JPY", "1000", "33", "15", "0.495", "0"},
		{"dinars", percent, "BHD", "1", "0.1", "0.015", "0.0015", "0.002"},
		{"billed by other terms", percent, "USD", "1000", "100", "20", "1.5", "-3.5"},
	} {
		exact, amount := LineAmount(c.charge, c.currency, Inputs{Sum: dec(c.before), Count: 3}, Inputs{Sum: dec(c.added), Count: 1}, dec(c.billed))
		if !exact.Equal(dec(c.exact)) || !amount.Equal(dec(c.amount)) {
			t.Errorf("%s: exact %s and amount %s, want %s and %s", c.name, exact, amount, c.exact, c.amount)
		}
	}
}

// However a cycle's events are spread over the first close and later ones, its
// lines add up to the rounded price of the whole.
func TestLinesAddUpToTheWhole(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		charge := Charge{Model: rapid.SampledFrom([]Model{ModelSum, ModelPercentage}).Draw(rt, "model"), Rate: drawDecimal(rt, "rate")}
		code := rapid.SampledFrom([]string{"USD", "JPY", "BHD", "CLF"}).Draw(rt, "currency")
		var seen Inputs
		billed, exactly := decimal.Zero, decimal.Zero
		for range rapid.IntRange(1, 6).Draw(rt, "closes") {
			added := Inputs{Sum: drawDecimal(rt, "sum"), Count: rapid.Int64Range(0, 9).Draw(rt, "count")}
			exact, amount := LineAmount(charge, code, seen, added, billed)
			seen, billed, exactly = charge.Add(seen, added), billed.Add(amount), exactly.Add(exact)
		}
		if whole := charge.Price(seen); !exactly.Equal(whole) || !billed.Equal(Round(whole, code)) {
			rt.Fatalf("the lines make %s, exactly %s; the whole %s", billed, exactly, whole)
		}
	})
}

func drawDecimal(rt *rapid.T, label string) decimal.Decimal {
	return decimal.New(rapid.Int64().Draw(rt, label), rapid.Int32Range(-18, 0).Draw(rt, label+" exponent"))
}
