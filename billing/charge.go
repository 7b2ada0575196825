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
	// ModelPercentage bills Rate percent of the sum of the measure, and
	// FixedAmount for each event.
	ModelPercentage Model = "percentage"
	// ModelPerEvent bills UnitAmount for each event.
	ModelPerEvent Model = "per_event"
	// ModelPerUnit bills UnitAmount for each unit of the quantity.
	ModelPerUnit Model = "per_unit"
	// ModelGraduated bills each unit of the quantity by the tier that it is in.
	ModelGraduated Model = "graduated"
	// ModelVolume bills all units by the tier that the whole quantity is in.
	ModelVolume Model = "volume"
	// ModelPackage bills PackageAmount for each package of PackageSize units that
	// is begun.
	ModelPackage Model = "package"
	// ModelFlat bills Amount for every cycle, with events or without, in
	// proportion to the local days that the cycle has of a whole one.
	ModelFlat Model = "flat"
	// ModelAdjustment is of lines alone, and never of terms: it bills Amount, whatever
	// happened. A person's adjustment is one, and so is a charge that terms recorded
	// for a closed cycle don't have any more, with Amount zero.
	ModelAdjustment Model = "adjustment"
)

// models are all that terms may have, in the order in which messages list them.
var models = []Model{ModelSum, ModelPercentage, ModelPerEvent, ModelPerUnit, ModelGraduated, ModelVolume, ModelPackage, ModelFlat}

// MeasureCount is the measure of charges that count events instead of summing a
// column. No column can have the name. Rows that the ledger made itself count as
// no events.
const MeasureCount = "count"

// Limits of charges.
const (
	// MaxTiers is how many tiers a charge may have.
	MaxTiers = 64
	// MaxFreeEvents is how many events a charge may leave free: every line of the
	// charge keeps them.
	MaxFreeEvents = 100
	// MaxRoundingDigits is to how many digits a charge may round at most.
	MaxRoundingDigits = 18
	// MaxDiscounts is how many discounts a charge may have.
	MaxDiscounts = 8
	// MaxFilters is on how many dimensions a charge may filter, and MaxFilterValues
	// how many values one of them may allow.
	MaxFilters, MaxFilterValues = 8, 256
)

// Charge is one thing that the terms bill: a measure of some events, priced by
// a model. An event is on the line of every charge that selects it.
//
// Amounts of money are in the currency of the events: each currency of a cycle
// has lines of its own.
type Charge struct {
	// Name is how lines and reports call the charge. It is unique in its terms.
	Name string
	// Measure is the numeric column that is summed: amount, quantity or a
	// declared measure; or MeasureCount, as always for ModelPerEvent. Empty for
	// ModelFlat, which selects no events.
	Measure string
	// Types are the event types that the charge selects. Empty means all.
	Types []string
	// Filters are what the dimensions of selected events must be, all of them.
	Filters []Filter
	// Currency is the only one whose events the charge selects. Empty means all.
	// ModelFlat is billed in it.
	Currency string
	// Model says how the inputs become a price.
	Model Model
	// Rate is in percent, of ModelPercentage: 1.5 is 1.5 %.
	Rate decimal.Decimal
	// FixedAmount is what ModelPercentage bills for each event besides.
	FixedAmount decimal.Decimal
	// FreeEvents is how many events of a cycle ModelPercentage leaves free, the
	// first ones by the time at which they happened.
	FreeEvents int64
	// FreeAmount is up to what sum ModelPercentage leaves free; zero: no limit to
	// the amounts of FreeEvents.
	FreeAmount decimal.Decimal
	// UnitAmount is the price of one event or unit, of ModelPerEvent and
	// ModelPerUnit.
	UnitAmount decimal.Decimal
	// Tiers are those of ModelGraduated and ModelVolume, ascending.
	Tiers []Tier
	// PackageSize and PackageAmount are of ModelPackage: units in a package, and
	// its price.
	PackageSize, PackageAmount decimal.Decimal
	// Amount is the price of a whole cycle, of ModelFlat, or what ModelAdjustment
	// bills.
	Amount decimal.Decimal
	// FreeUnits are how many units of a cycle cost nothing, of the models that
	// price units.
	FreeUnits decimal.Decimal
	// FreePerContract says that FreeUnits, or FreeAmount, are not of each cycle
	// but of all cycles of the contract together; see Terms.Contract.
	FreePerContract bool
	// Discounts are taken off the price of the model, in order.
	Discounts []Discount
	// Minimum is what a cycle costs at least, Maximum at most; nil is no bound.
	// They hold after discounts. Where accounts are billed as a whole, a Minimum is
	// due for every cycle, with events or without, in proportion to its days; where
	// each stream has an invoice of its own, it is of a stream that has events.
	Minimum, Maximum *decimal.Decimal
	// MaximumPerContract says that Maximum bounds what the lines of all cycles of
	// the contract cost together.
	MaximumPerContract bool
	// RoundingDigits are to how many digits the line is rounded; nil: to those of
	// the currency.
	RoundingDigits *int32
}

// Tier is a range of quantities: from the end of the tier before, exclusive, to
// UpTo, inclusive.
type Tier struct {
	// UpTo is nil for the last tier, which has no end.
	UpTo *decimal.Decimal
	// UnitAmount is the price of each unit.
	UnitAmount decimal.Decimal
	// FlatAmount is the price of being in the tier at all.
	FlatAmount decimal.Decimal
}

// Filter is a condition on a dimension: it has one of the values. The empty
// value stands for events without the dimension.
type Filter struct {
	Dimension string
	Values    []string
}

// Discount is taken off a price: Percentage percent of it, or Amount, which
// doesn't bring a price below zero and leaves one below zero alone. One of them
// is zero.
type Discount struct {
	Percentage, Amount decimal.Decimal
}

// OverContract reports whether an allowance of the charge holds over the contract.
func (c Charge) OverContract() bool { return c.FreePerContract || c.MaximumPerContract }

// How terms write what an allowance holds for.
const (
	perCycle    = "cycle"
	perContract = "contract"
)

// SelectsType reports whether the charge bills events of the type, as far as its
// filters let it.
func (c Charge) SelectsType(eventType string) bool {
	return c.Model != ModelFlat && c.Model != ModelAdjustment && (len(c.Types) == 0 || slices.Contains(c.Types, eventType))
}

// Sums is the column that the charge sums; empty for one that only counts.
func (c Charge) Sums() string {
	if c.Measure == MeasureCount {
		return ""
	}
	return c.Measure
}

// pricesUnits reports whether the model prices a quantity, of which some may be free.
func (m Model) pricesUnits() bool {
	switch m {
	case ModelPerEvent, ModelPerUnit, ModelGraduated, ModelVolume, ModelPackage:
		return true
	}
	return false
}

// tiered reports whether the model has tiers.
func (m Model) tiered() bool { return m == ModelGraduated || m == ModelVolume }
