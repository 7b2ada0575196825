package billing

import (
	"fmt"
	"testing"
	"time"

	"github.com/shopspring/decimal"
	"pgregory.net/rapid"
)

// mustCharge reads a charge.
func mustCharge(t testing.TB, raw string) Charge {
	t.Helper()
	c, err := ParseCharge([]byte(raw))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// inputsOf are the inputs of events with values, in the order of their times.
func inputsOf(c Charge, values ...string) Inputs {
	var in Inputs
	for i, value := range values {
		in = c.Add(in, inputsAt(c, i, value))
	}
	return in
}

// inputsAt are those of one event, the i-th.
func inputsAt(c Charge, i int, value string) Inputs {
	in := Inputs{Count: 1, Sum: dec(value)}
	if c.FreeEvents > 0 {
		in.First = []FirstEvent{{OccurredAt: time.Unix(int64(i), 0).UTC(), Source: "s", ID: fmt.Sprint(i), Value: dec(value)}}
	}
	return in
}

const (
	graduatedCharge = `{"name":"g","model":"graduated","measure":"quantity","tiers":[{"up_to":"5","flat_amount":"100"},{"up_to":"10","flat_amount":"50"},{"up_to":"15","unit_amount":"5"},{"unit_amount":"1"}]}`
	volumeCharge    = `{"name":"v","model":"volume","measure":"quantity","tiers":[{"up_to":"5","flat_amount":"100"},{"up_to":"10","flat_amount":"150"},{"up_to":"15","unit_amount":"10"},{"unit_amount":"5"}]}`
)

func TestPricesOfModels(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		charge string
		prices map[string]string // by quantity
	}{
		{graduatedCharge, map[string]string{"0": "0", "-2": "0", "0.5": "100", "5": "100", "5.1": "150", "12": "160", "15": "175", "22": "182"}},
		{volumeCharge, map[string]string{"0": "100", "3": "100", "5": "100", "14": "140", "15": "150", "16": "80", "100": "500", "-1": "100"}},
		{
			`{"name":"g","model":"graduated","measure":"quantity","tiers":[{"up_to":"5","unit_amount":"2","flat_amount":"7"},{"unit_amount":"1"}]}`,
			map[string]string{"-3": "-6", "0": "0", "1": "9", "6": "18"},
		},
		{
			`{"name":"p","model":"package","measure":"quantity","package_size":"10","package_amount":"3"}`,
			map[string]string{"-25": "0", "0": "0", "0.000000000000000001": "3", "10": "3", "10.5": "6", "100": "30"},
		},
		{
			`{"name":"p","model":"package","measure":"quantity","package_size":"0.3","package_amount":"1","free_units":"0.3"}`,
			map[string]string{"0.3": "0", "0.6": "1", "0.9": "2", "0.91": "3"},
		},
		{
			`{"name":"u","model":"per_unit","measure":"quantity","unit_amount":"0.25","free_units":"10"}`,
			map[string]string{"-4": "-1", "10": "0", "11": "0.25", "14": "1"},
		},
		{
			`{"name":"u","model":"per_unit","measure":"quantity","unit_amount":"1","discounts":[{"percentage":"10"},{"amount":"5"}],"minimum":"1","maximum":"40"}`,
			map[string]string{"0": "1", "5": "1", "10": "4", "50": "40", "51": "40", "-10": "1"},
		},
		{`{"name":"s","model":"sum","measure":"amount","discounts":[{"amount":"5"}]}`, map[string]string{"3": "0", "8": "3", "-8": "-8"}},
		{`{"name":"f","model":"percentage","measure":"amount","rate":"10","free_amount":"50"}`, map[string]string{"40": "0", "60": "1", "-10": "-1"}},
	} {
		charge := mustCharge(t, c.charge)
		for quantity, want := range c.prices {
			if got := charge.Price(Inputs{Sum: dec(quantity), Count: 3}); !got.Equal(dec(want)) {
				t.Errorf("%s of %s is %s, want %s", c.charge, quantity, got, want)
			}
		}
	}
}

// Which events are free is decided by when they happened.
func TestFreeEvents(t *testing.T) {
	t.Parallel()
	four := mustCharge(t, `{"name":"f","model":"percentage","measure":"amount","rate":"1.2","fixed_amount":"0.10","free_events":3,"free_amount":"500"}`)
	for _, c := range []struct {
		values []string
		want   string
	}{
		{nil, "0"},
		{[]string{"200", "100", "100"}, "0"},
		{[]string{"200", "100", "100", "50"}, "0.7"},
		{[]string{"200", "400", "10"}, "1.52"}, // 500 of 610 are free: 1.32, and two fixed amounts
		{[]string{"600"}, "1.3"},
		{[]string{"200", "-50", "350", "1"}, "0.112"},
	} {
		if got := four.Price(inputsOf(four, c.values...)); !got.Equal(dec(c.want)) {
			t.Errorf("%v cost %s, want %s", c.values, got, c.want)
		}
	}
	// A late event takes the place of a later one.
	free := mustCharge(t, `{"name":"f","model":"percentage","measure":"amount","rate":"10","fixed_amount":"1","free_events":1}`)
	at := func(second int64, value string) Inputs {
		return Inputs{Sum: dec(value), Count: 1, First: []FirstEvent{{OccurredAt: time.Unix(second, 0).UTC(), ID: value, Value: dec(value)}}}
	}
	onTime := free.Add(at(5, "100"), at(9, "40")) // 4 + 1
	exact, amount := LineAmount(free, "USD", onTime, at(2, "30"), dec("5"))
	if !amount.Equal(dec("11")) || !exact.Equal(dec("11")) { // 14 + 2, since the 30 are free now
		t.Errorf("the late line is %s, exactly %s", amount, exact)
	}
}

// drawCharge draws a charge of any model. With monotone its price can't fall when the quantity grows.
func drawCharge(rt *rapid.T, monotone bool) Charge {
	price := func(label string) decimal.Decimal { return decimal.New(rapid.Int64Range(0, 5000).Draw(rt, label), -3) }
	allowed := []Model{ModelSum, ModelPercentage, ModelPerEvent, ModelPerUnit, ModelGraduated, ModelPackage}
	if !monotone {
		allowed = append(allowed, ModelVolume)
	}
	c := Charge{Name: "c", Measure: "quantity", Model: rapid.SampledFrom(allowed).Draw(rt, "model")}
	switch c.Model {
	case ModelPercentage:
		c.Rate, c.FixedAmount = price("rate"), price("fixed")
		if !monotone {
			c.FreeEvents = rapid.Int64Range(0, 4).Draw(rt, "free events")
		}
		if c.FreeEvents > 0 || c.FixedAmount.IsZero() || monotone {
			c.FreeAmount = price("free amount").Mul(dec("10"))
		}
	case ModelPerEvent:
		c.Measure, c.UnitAmount = MeasureCount, price("unit")
	case ModelPerUnit:
		c.UnitAmount = price("unit")
	case ModelPackage:
		c.PackageSize, c.PackageAmount = price("size").Add(dec("0.1")), price("package")
	case ModelGraduated, ModelVolume:
		end := decimal.Zero
		for range rapid.IntRange(0, 3).Draw(rt, "tiers") {
			end = end.Add(price("width")).Add(dec("0.001"))
			c.Tiers = append(c.Tiers, Tier{UpTo: ptr(end), UnitAmount: price("unit"), FlatAmount: price("flat")})
		}
		c.Tiers = append(c.Tiers, Tier{UnitAmount: price("unit"), FlatAmount: price("flat")})
	}
	if c.Model.pricesUnits() && rapid.Bool().Draw(rt, "has free units") {
		c.FreeUnits = price("free units").Add(dec("0.001"))
	}
	for range rapid.IntRange(0, 2).Draw(rt, "discounts") {
		if rapid.Bool().Draw(rt, "percent") {
			c.Discounts = append(c.Discounts, Discount{Percentage: decimal.New(rapid.Int64Range(1, 10000).Draw(rt, "percentage"), -2)})
		} else {
			c.Discounts = append(c.Discounts, Discount{Amount: price("off").Add(dec("0.001"))})
		}
	}
	if rapid.Bool().Draw(rt, "has minimum") {
		c.Minimum = ptr(price("minimum"))
	}
	if rapid.Bool().Draw(rt, "has maximum") {
		c.Maximum = ptr(price("maximum").Add(dec("5")))
	}
	if free := !c.FreeUnits.IsZero() || !c.FreeAmount.IsZero(); free && c.FreeEvents == 0 {
		c.FreePerContract = rapid.Bool().Draw(rt, "free over the contract")
	}
	if c.Maximum != nil {
		c.MaximumPerContract = rapid.Bool().Draw(rt, "maximum over the contract")
	}
	if rapid.Bool().Draw(rt, "rounds") {
		c.RoundingDigits = ptr(rapid.Int32Range(0, 6).Draw(rt, "digits"))
	}
	return c
}

// A charge is read back as it was written.
func TestChargesAreReadBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		c := drawCharge(rt, false)
		again, err := ParseCharge([]byte(c.definition()))
		if err != nil || again.definition() != c.definition() {
			rt.Fatalf("%s is read as %s: %v", c.definition(), again.definition(), err)
		}
	})
}

// More never costs less, with every model but volume, whose later tiers may be cheaper for all units, and but for
// free events, of which a small early one may take the place of a large one: then less is free.
func TestPricesGrow(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		c := drawCharge(rt, true)
		sum := decimal.New(rapid.Int64Range(-20000, 20000).Draw(rt, "sum"), -3)
		more := decimal.New(rapid.Int64Range(0, 20000).Draw(rt, "more"), -3)
		count := rapid.Int64Range(0, 50).Draw(rt, "count")
		less, grown := c.Price(Inputs{Sum: sum, Count: count}), c.Price(Inputs{Sum: sum.Add(more), Count: count + 1})
		if grown.LessThan(less) {
			rt.Fatalf("%s: %s and %d events cost %s, %s and one more %s", c.definition(), sum, count, less, sum.Add(more), grown)
		}
	})
}

// In whatever order and steps the events of a cycle are billed, the lines add up to the rounded price of the whole, for
// every model: a price depends on which events there are, and not on when they came.
func TestStepsAddUpForEveryModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		c := drawCharge(rt, false)
		var whole Inputs
		var steps [4]Inputs
		for i := range rapid.IntRange(1, 12).Draw(rt, "events") {
			one := Inputs{Sum: decimal.New(rapid.Int64Range(-3000, 9000).Draw(rt, "value"), -3), Count: 1}
			if c.FreeEvents > 0 {
				second := rapid.Int64Range(0, 5).Draw(rt, "second")
				one.First = []FirstEvent{{OccurredAt: time.Unix(second, 0).UTC(), Source: "s", ID: fmt.Sprint(i), Value: one.Sum}}
			}
			whole = c.Add(whole, one)
			step := rapid.IntRange(0, 3).Draw(rt, "step")
			steps[step] = c.Add(steps[step], one)
		}
		var seen Inputs
		billed, exactly := decimal.Zero, decimal.Zero
		for _, added := range steps {
			if added.Count == 0 {
				continue
			}
			exact, amount := LineAmount(c, "USD", seen, added, billed)
			seen, billed, exactly = c.Add(seen, added), billed.Add(amount), exactly.Add(exact)
		}
		if want := c.Round(c.Price(whole), "USD"); !billed.Equal(want) {
			rt.Fatalf("%s: the lines make %s, exactly %s; the whole %s", c.definition(), billed, exactly, want)
		}
	})
}
