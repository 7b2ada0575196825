package billing

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/shopspring/decimal"

	"deltaledger/ledger/currency"
)

// caseOfRounding rounds an amount as a line is.
func caseOfRounding(t *testing.T, c publicCase) {
	var in struct{ Amount, Currency string }
	var want struct{ Amount string }
	c.read(t, &in, &want)
	sum := mustCharge(t, `{"name":"c","model":"sum","measure":"amount"}`)
	_, amount := LineAmount(sum, in.Currency, Inputs{}, Inputs{Sum: dec(in.Amount), Count: 1}, decimal.Zero)
	if !amount.Equal(dec(want.Amount)) {
		t.Errorf("%s %s is rounded to %s, want %s", in.Amount, in.Currency, amount, want.Amount)
	}
}

// caseOfSplit splits an amount of a currency with two digits by weights, in the order of their names.
func caseOfSplit(t *testing.T, c publicCase) {
	var in struct {
		Amount  string
		Weights map[string]string
	}
	var want struct{ Parts map[string]string }
	c.read(t, &in, &want)
	names := slices.Sorted(maps.Keys(in.Weights))
	weights := make([]decimal.Decimal, len(names))
	for i, name := range names {
		weights[i] = dec(in.Weights[name])
	}
	digits, _ := currency.Digits("USD")
	for i, part := range Split(dec(in.Amount), weights, digits) {
		if !part.Equal(dec(want.Parts[names[i]])) {
			t.Errorf("%s gets %s, want %s", names[i], part, want.Parts[names[i]])
		}
	}
	if len(want.Parts) != len(names) {
		t.Errorf("%d parts are wanted of %d weights", len(want.Parts), len(names))
	}
}

// caseOfFee prices quantities or events by a charge that the case spells out in words of its own.
func caseOfFee(t *testing.T, c publicCase) {
	var in struct {
		Multiplier  string   `json:"multiplier"`
		RatePercent string   `json:"rate_percent"`
		Fixed       string   `json:"fixed"`
		FreeEvents  int      `json:"free_events"`
		Quantities  []string `json:"quantities"`
		Amounts     []string `json:"amounts"`
		Tiers       []string `json:"tiers"`
		Total       string   `json:"total"`
		Split       []string `json:"split"`
	}
	var want struct {
		Amounts []string `json:"amounts"`
		Running []string `json:"running"`
		Tax     string   `json:"with_20_percent_tax"`
		Fourth  string   `json:"charge_for_4th"`
		Total   string   `json:"total"`
		Second  string   `json:"second_part"`
	}
	c.read(t, &in, &want)
	same := func(what string, got decimal.Decimal, want string) {
		t.Helper()
		if !got.Equal(dec(want)) {
			t.Errorf("%s is %s, want %s", what, got, want)
		}
	}
	line := func(charge Charge, before, added Inputs, billed decimal.Decimal) decimal.Decimal {
		_, amount := LineAmount(charge, "USD", before, added, billed)
		return amount
	}
	switch {
	case in.Multiplier != "": // a percentage of a hundred times as much
		charge := mustCharge(t, `{"name":"c","model":"percentage","measure":"amount","rate":"`+dec(in.Multiplier).Shift(2).String()+`"}`)
		for i, quantity := range in.Quantities {
			same(quantity, line(charge, Inputs{}, inputsOf(charge, quantity), decimal.Zero), want.Amounts[i])
		}
	case in.RatePercent != "":
		raw := map[string]any{"name": "c", "model": "percentage", "measure": "amount", "rate": in.RatePercent, "fixed_amount": in.Fixed, "free_events": in.FreeEvents}
		if in.FreeEvents == 0 { // the name of the case says what is free
			if !strings.Contains(c.Name, "free up to 3 events or 500") {
				t.Fatalf("what is free isn't known: %s", c.Name)
			}
			raw["free_events"], raw["free_amount"] = 3, "500"
		}
		charge := mustCharge(t, toJSON(t, raw))
		billed := decimal.Zero
		for i := range in.Amounts {
			before, added := inputsOf(charge, in.Amounts[:i]...), inputsAt(charge, i, in.Amounts[i])
			amount := line(charge, before, added, billed)
			billed = billed.Add(amount)
			if want.Running != nil {
				same("so far", billed, want.Running[i])
			}
			if i == 3 && want.Fourth != "" {
				same("the fourth", amount, want.Fourth)
			}
		}
		if want.Tax != "" {
			same("with tax", Round(billed.Mul(dec("1.2")), "USD"), want.Tax)
		}
	case in.Total != "":
		charge := mustCharge(t, toJSON(t, map[string]any{"name": "c", "model": "graduated", "measure": "quantity", "tiers": caseTiers(t, in.Tiers)}))
		same("the whole", line(charge, Inputs{}, inputsOf(charge, in.Total), decimal.Zero), want.Total)
		first := inputsOf(charge, in.Split[0])
		same("the second part", line(charge, first, inputsOf(charge, in.Split[1]), line(charge, Inputs{}, first, decimal.Zero)), want.Second)
	case in.Tiers != nil:
		charge := mustCharge(t, toJSON(t, map[string]any{"name": "c", "model": "volume", "measure": "quantity", "tiers": caseTiers(t, in.Tiers)}))
		for i, quantity := range in.Quantities {
			same(quantity, line(charge, Inputs{}, inputsOf(charge, quantity), decimal.Zero), want.Amounts[i])
		}
	default:
		t.Fatal("nothing prices this")
	}
}

// caseTiers reads tiers such as "1-5: flat 100", "<=15: 10 each", "16+: 1 each" and ">15: 5 each".
func caseTiers(t *testing.T, texts []string) []map[string]any {
	t.Helper()
	var tiers []map[string]any
	for _, text := range texts {
		span, price, ok := strings.Cut(text, ": ")
		tier := map[string]any{}
		if flat, is := strings.CutPrefix(price, "flat "); is {
			tier["flat_amount"] = flat
		} else if unit, is := strings.CutSuffix(price, " each"); is {
			tier["unit_amount"] = unit
		} else {
			ok = false
		}
		if _, end, is := strings.Cut(span, "-"); is {
			tier["up_to"] = end
		} else if end, is := strings.CutPrefix(span, "<="); is {
			tier["up_to"] = end
		} else if !strings.HasSuffix(span, "+") && !strings.HasPrefix(span, ">") {
			ok = false
		}
		if !ok {
			t.Fatalf("the tier %q isn't understood", text)
		}
		tiers = append(tiers, tier)
	}
	return tiers
}

func toJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
