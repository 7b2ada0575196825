package billing

import (
	"github.com/shopspring/decimal"

	"deltaledger/ledger/currency"
)

// Calculation is how a charge came to the exact price of some inputs. What has
// no part in it is left out of its JSON.
type Calculation struct {
	// Quantity is what the model prices: the sum of the measure, or how many
	// events there are.
	Quantity decimal.Decimal `json:"quantity"`
	// Events is how many events there are.
	Events int64 `json:"events"`
	// UsedBefore is what the quantities of the contract's cycles before come to,
	// where what is free is free over the contract.
	UsedBefore *decimal.Decimal `json:"used_before,omitempty"`
	// FreeUnits are how many units of the quantity cost nothing; below zero where
	// free units of earlier cycles came back.
	FreeUnits *decimal.Decimal `json:"free_units,omitempty"`
	// FreeEvents is how many events are free, and FreeAmount what of the quantity.
	FreeEvents *int64           `json:"free_events,omitempty"`
	FreeAmount *decimal.Decimal `json:"free_amount,omitempty"`
	// OfRate is what the rate makes of the quantity, OfFixed what the fixed amounts
	// of the events add, where there are both.
	OfRate  *decimal.Decimal `json:"of_rate,omitempty"`
	OfFixed *decimal.Decimal `json:"of_fixed,omitempty"`
	// Tiers are those that were hit.
	Tiers []TierHit `json:"tiers,omitempty"`
	// Packages is how many were begun.
	Packages *decimal.Decimal `json:"packages,omitempty"`
	// Days are how many days the cycle has of the PeriodDays of a whole one, where
	// the price or the minimum is in proportion to them.
	Days       int64 `json:"days,omitempty"`
	PeriodDays int64 `json:"period_days,omitempty"`
	// ModelPrice is the price by the model alone.
	ModelPrice decimal.Decimal `json:"model_price"`
	// Discounts are what each discount took off.
	Discounts []decimal.Decimal `json:"discounts,omitempty"`
	// Raised is what the minimum added, Capped what the maximum took off.
	Raised *decimal.Decimal `json:"raised,omitempty"`
	// SpentBefore is what the contract's cycles before cost without its maximum,
	// where that is one over the contract. What Capped takes off is below zero
	// where it gives back what earlier cycles were spared.
	SpentBefore *decimal.Decimal `json:"spent_before,omitempty"`
	Capped      *decimal.Decimal `json:"capped,omitempty"`
	// Price is the exact price, not rounded.
	Price decimal.Decimal `json:"price"`
}

// Equal reports whether two calculations have the same steps.
func (k Calculation) Equal(o Calculation) bool { return k.json() == o.json() }

// TierHit is what a tier priced.
type TierHit struct {
	Tier   int             `json:"tier"` // counted from 1
	Units  decimal.Decimal `json:"units"`
	Amount decimal.Decimal `json:"amount"` // with its flat amount
}

// Price returns the exact price of the inputs, not rounded. A model that isn't
// one of the constants has the price zero; terms with one are refused by
// ParseTerms and NewCalendar.
func (c Charge) Price(in Inputs) decimal.Decimal { return c.Calculate(in).Price }

// Calculate returns the exact price of the inputs, and how it comes about: the
// price by the model of what isn't free, less the discounts, raised to the
// minimum or cut to the maximum.
func (c Charge) Calculate(in Inputs) Calculation {
	k := Calculation{Quantity: in.Sum, Events: in.Count, Days: in.Days, PeriodDays: in.PeriodDays}
	if c.Measure == MeasureCount {
		k.Quantity = decimal.NewFromInt(in.Count)
	}
	switch {
	case c.Model == ModelSum:
		k.ModelPrice = k.Quantity
	case c.Model == ModelAdjustment:
		k.ModelPrice = c.Amount
	case c.Model == ModelPercentage:
		c.percentage(&k, in)
	case c.Model == ModelFlat:
		k.ModelPrice = prorate(c.Amount, in.Days, in.PeriodDays)
	case c.Model.pricesUnits():
		c.units(&k, in)
	}
	k.Price = k.ModelPrice
	for _, d := range c.Discounts {
		off := d.of(k.Price)
		k.Discounts, k.Price = append(k.Discounts, off), k.Price.Sub(off)
	}
	if least := c.least(in); least != nil && k.Price.LessThan(*least) {
		k.Raised, k.Price = ptr(least.Sub(k.Price)), *least
	}
	if c.Maximum != nil {
		c.cap(&k, in)
	}
	return k
}

// cap cuts the price to the maximum: of the cycle, or to what the cycle adds to
// the price of the contract, which the maximum bounds as a whole.
func (c Charge) cap(k *Calculation, in Inputs) {
	price := decimal.Min(k.Price, *c.Maximum)
	if c.MaximumPerContract {
		spent := in.carried().Spent
		k.SpentBefore = &spent
		price = decimal.Min(spent.Add(k.Price), *c.Maximum).Sub(decimal.Min(spent, *c.Maximum))
	}
	if !price.Equal(k.Price) {
		k.Capped, k.Price = ptr(k.Price.Sub(price)), price
	}
}

// uncapped is the price before the contract's maximum: what is carried to later
// cycles. A maximum of the cycle alone is in it.
func (c Charge) uncapped(k Calculation) decimal.Decimal {
	if c.MaximumPerContract && k.Capped != nil {
		return k.Price.Add(*k.Capped)
	}
	return k.Price
}

// allowed is how much of a quantity an allowance leaves free: of a cycle the
// first units, over the contract those that are the first of all its cycles.
func (c Charge) allowed(k *Calculation, in Inputs, allowance decimal.Decimal) decimal.Decimal {
	first := func(quantity decimal.Decimal) decimal.Decimal {
		return decimal.Max(decimal.Zero, decimal.Min(quantity, allowance))
	}
	if !c.FreePerContract {
		return first(k.Quantity)
	}
	used := in.carried().Quantity
	k.UsedBefore = &used
	return first(used.Add(k.Quantity)).Sub(first(used))
}

func ptr[T any](v T) *T { return &v }

// least is the minimum of a cycle, by its days if it isn't a whole one; nil for none.
func (c Charge) least(in Inputs) *decimal.Decimal {
	if c.Minimum == nil || in.Days == in.PeriodDays {
		return c.Minimum
	}
	return ptr(prorate(*c.Minimum, in.Days, in.PeriodDays))
}

// of is what the discount takes off a price.
func (d Discount) of(price decimal.Decimal) decimal.Decimal {
	if !d.Percentage.IsZero() {
		return price.Mul(d.Percentage).Shift(-2)
	}
	return decimal.Max(decimal.Zero, decimal.Min(d.Amount, price))
}

// percentage prices what isn't free by the rate, and each event that isn't free
// by the fixed amount.
func (c Charge) percentage(k *Calculation, in Inputs) {
	base, events := k.Quantity, k.Events
	if c.FreeEvents > 0 || !c.FreeAmount.IsZero() {
		amount, count := c.free(k, in)
		base, events = base.Sub(amount), events-count
		k.FreeAmount, k.FreeEvents = &amount, &count
	}
	k.ModelPrice = base.Mul(c.Rate).Shift(-2)
	if !c.FixedAmount.IsZero() {
		k.OfRate, k.OfFixed = ptr(k.ModelPrice), ptr(c.FixedAmount.Mul(decimal.NewFromInt(events)))
		k.ModelPrice = k.OfRate.Add(*k.OfFixed)
	}
}

// free is what a percentage leaves free. Without FreeEvents it is the sum up to
// FreeAmount. With them it is the first events: of the one whose amount passes
// FreeAmount only what fits into it, and that one pays the fixed amount.
func (c Charge) free(k *Calculation, in Inputs) (amount decimal.Decimal, events int64) {
	if c.FreeEvents == 0 {
		return c.allowed(k, in, c.FreeAmount), 0
	}
	for _, e := range in.First {
		with := amount.Add(e.Value)
		if !c.FreeAmount.IsZero() && with.GreaterThan(c.FreeAmount) {
			return c.FreeAmount, events
		}
		amount, events = with, events+1
	}
	return amount, events
}

// units prices the quantity less the free units. A quantity below zero uses
// none: it is what came back, and is priced like the first units.
func (c Charge) units(k *Calculation, in Inputs) {
	left := k.Quantity
	if !c.FreeUnits.IsZero() {
		k.FreeUnits = ptr(c.allowed(k, in, c.FreeUnits))
		left = left.Sub(*k.FreeUnits)
	}
	switch c.Model {
	case ModelGraduated:
		k.Tiers = c.graduated(left)
	case ModelVolume:
		k.Tiers = c.volume(left)
	case ModelPackage:
		begun := packages(left, c.PackageSize)
		k.Packages, k.ModelPrice = &begun, begun.Mul(c.PackageAmount)
	default:
		k.ModelPrice = left.Mul(c.UnitAmount)
	}
	for _, hit := range k.Tiers {
		k.ModelPrice = k.ModelPrice.Add(hit.Amount)
	}
}

// graduated splits a quantity among the tiers. A tier's flat amount is due as
// soon as the quantity reaches into it. The first tier goes on below zero.
func (c Charge) graduated(quantity decimal.Decimal) []TierHit {
	var hits []TierHit
	from := decimal.Zero
	for i, t := range c.Tiers {
		if i > 0 && !quantity.GreaterThan(from) {
			break
		}
		units := quantity.Sub(from)
		if t.UpTo != nil && quantity.GreaterThan(*t.UpTo) {
			units = t.UpTo.Sub(from)
		}
		amount := units.Mul(t.UnitAmount)
		if units.IsPositive() {
			amount = amount.Add(t.FlatAmount)
		}
		if !units.IsZero() {
			hits = append(hits, TierHit{Tier: i + 1, Units: units, Amount: amount})
		}
		if t.UpTo == nil {
			break
		}
		from = *t.UpTo
	}
	return hits
}

// volume finds the one tier of a quantity. Its flat amount is always due; a
// quantity of zero or below is in the first tier.
func (c Charge) volume(quantity decimal.Decimal) []TierHit {
	for i, t := range c.Tiers {
		if t.UpTo == nil || !quantity.GreaterThan(*t.UpTo) {
			return []TierHit{{Tier: i + 1, Units: quantity, Amount: quantity.Mul(t.UnitAmount).Add(t.FlatAmount)}}
		}
	}
	return nil
}

// packages is how many packages of the size a quantity begins; none for zero or
// less. Computed on whole numbers, so that no digit of a quotient is lost.
func packages(quantity, size decimal.Decimal) decimal.Decimal {
	if !quantity.IsPositive() || !size.IsPositive() {
		return decimal.Zero
	}
	whole, rest := quantity.QuoRem(size, 0)
	if rest.IsPositive() {
		whole = whole.Add(decimal.NewFromInt(1))
	}
	return whole
}

// prorate is the part of an amount that some days make of those of a whole cycle. A quotient that has no end is cut
// behind so many digits that rounding finds no other result: an amount has 18, and a cycle a few thousand days.
func prorate(amount decimal.Decimal, days, of int64) decimal.Decimal {
	const digits = 36
	if of == 0 {
		return decimal.Zero
	}
	return amount.Mul(decimal.NewFromInt(days)).DivRound(decimal.NewFromInt(of), digits)
}

// Round rounds an amount as the lines of the charge are: to RoundingDigits or
// the digits of the currency, halves away from zero.
func (c Charge) Round(x decimal.Decimal, code string) decimal.Decimal {
	if c.RoundingDigits != nil {
		return x.Round(*c.RoundingDigits)
	}
	return Round(x, code)
}

// digits are to how many digits the charge's lines are rounded; false: not at all.
func (c Charge) digits(code string) (int32, bool) {
	if c.RoundingDigits != nil {
		return *c.RoundingDigits, true
	}
	digits, ok := currency.Digits(code)
	return int32(digits), ok
}

// LineAmount prices the line of a charge for one original cycle. before are the
// inputs of that cycle that earlier lines have billed, added those that this
// line brings, and billed what the earlier lines charged for them, rounded. The
// first line of a cycle has nothing before and nothing billed.
//
// exact is the price that added makes, not rounded. amount is what the line
// charges: the whole cycle re-rated and rounded once, less what is billed. So
// the lines of a cycle always add up to the rounded price of the whole, in
// however many steps its events came.
func LineAmount(c Charge, code string, before, added Inputs, billed decimal.Decimal) (exact, amount decimal.Decimal) {
	whole := c.Price(c.Add(before, added))
	exact = whole
	if !before.none() || !billed.IsZero() { // nothing costs nothing, not the minimum
		if c.Model != ModelFlat {
			before.Days, before.PeriodDays = added.Days, added.PeriodDays
		}
		exact = whole.Sub(c.Price(before))
	}
	return exact, c.Round(whole, code).Sub(billed)
}
