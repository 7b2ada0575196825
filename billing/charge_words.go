package billing

import (
	"fmt"
	"strings"

	"github.com/shopspring/decimal"
)

// InWords says in one line how the charge makes a price and of what: sum of amount, or 2.5% + 0.10 per event of amount
// of line.sold. Prices have at least the digits of the currency code; without a code, those that they need.
func (c Charge) InWords(code string) string {
	money := func(d decimal.Decimal) string { return Money{Amount: d, Currency: code}.String() }
	how := string(c.Model) + " of " + c.Measure
	switch c.Model {
	case ModelPercentage:
		how = c.Rate.String() + "%"
		if !c.FixedAmount.IsZero() {
			how += " + " + money(c.FixedAmount) + " per event"
		}
		how += " of " + c.Measure
	case ModelFlat:
		how = money(c.Amount) + " per cycle"
	case ModelAdjustment:
		how = "adjustment"
	case ModelPerEvent:
		how = money(c.UnitAmount) + " per event"
	case ModelPerUnit:
		how = money(c.UnitAmount) + " per unit of " + c.Measure
	case ModelGraduated, ModelVolume:
		how = fmt.Sprintf("%s, %s, of %s", c.Model, counted(int64(len(c.Tiers)), "tier"), c.Measure)
	case ModelPackage:
		how = fmt.Sprintf("%s per %s of %s", money(c.PackageAmount), c.PackageSize, c.Measure)
	}
	if len(c.Types) > 0 {
		how += " of " + strings.Join(c.Types, " and ")
	}
	for _, f := range c.Filters {
		how += " with " + f.Dimension + " " + strings.Join(f.Values, " or ")
	}
	if c.Currency != "" {
		how += " in " + c.Currency
	}
	for _, part := range []struct {
		is   bool
		text string
	}{
		{c.FreeEvents > 0, counted(c.FreeEvents, "free event")},
		{!c.FreeAmount.IsZero(), money(c.FreeAmount) + " free" + ofContract(c.FreePerContract)},
		{!c.FreeUnits.IsZero(), c.FreeUnits.String() + " units free" + ofContract(c.FreePerContract)},
	} {
		if part.is {
			how += ", " + part.text
		}
	}
	for _, d := range c.Discounts {
		if d.Amount.IsZero() {
			how += ", less " + d.Percentage.String() + "%"
		} else {
			how += ", less " + money(d.Amount)
		}
	}
	if c.Minimum != nil {
		how += ", at least " + money(*c.Minimum)
	}
	if c.Maximum != nil {
		how += ", at most " + money(*c.Maximum) + ofContract(c.MaximumPerContract)
	}
	return how
}

// counted is a number with what it counts: 1 tier, 2 tiers.
func counted(n int64, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %ss", n, one)
}

// ofContract says that an allowance is of all cycles of the contract, if it is.
func ofContract(is bool) string {
	if !is {
		return ""
	}
	return " over the contract"
}
