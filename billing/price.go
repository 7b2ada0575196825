package billing

import (
	"slices"

	"github.com/shopspring/decimal"
)

// Model is how a charge turns its inputs into a price.
type Model string

const (
	// ModelSum bills the sum of the measure itself.
	ModelSum Model = "sum"
	// ModelPercentage bills Rate percent of the sum of the measure.
	ModelPercentage Model = "percentage"
)

// Charge is one thing that the terms bill: a measure of some events, priced by
// a model. An event is on the line of every charge that selects it.
type Charge struct {
	// Name is how lines and reports call the charge. It is unique in its terms.
	Name string
	// Measure is the numeric column that is summed: amount, quantity or a
	// declared measure.
	Measure string
	// Types are the event types that the charge selects. Empty means all.
	Types []string
	// Model says how the sum becomes a price.
	Model Model
	// Rate is in percent for ModelPercentage: 1.5 is 1.5 %. ModelSum doesn't
	// use it.
	Rate decimal.Decimal
}

// Selects reports whether the charge bills events of the type.
func (c Charge) Selects(eventType string) bool {
	return len(c.Types) == 0 || slices.Contains(c.Types, eventType)
}

// Inputs are the additive inputs of a line: all that a price depends on, and of
// a kind that the inputs of two sets of events add up to those of both. A line
// stores its inputs, so that a later re-rating reads only the late events.
type Inputs struct {
	// Sum is the sum of the charge's measure over the events.
	Sum decimal.Decimal
	// Count is how many events there are. Rows that the ledger made itself to
	// keep sums right count as none.
	Count int64
}

// Add returns the inputs of both sets of events together.
func (in Inputs) Add(more Inputs) Inputs {
	return Inputs{Sum: in.Sum.Add(more.Sum), Count: in.Count + more.Count}
}

// Price returns the exact price of the inputs, not rounded. A model that isn't
// one of the constants has the price zero; terms with one are refused by
// ParseTerms and NewCalendar.
func (c Charge) Price(in Inputs) decimal.Decimal {
	switch c.Model {
	case ModelSum:
		return in.Sum
	case ModelPercentage:
		return in.Sum.Mul(c.Rate).Shift(-2)
	}
	return decimal.Zero
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
	whole := c.Price(before.Add(added))
	return whole.Sub(c.Price(before)), Round(whole, code).Sub(billed)
}
