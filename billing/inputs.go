package billing

import (
	"cmp"
	"slices"
	"time"

	"github.com/shopspring/decimal"
)

// Inputs are the additive inputs of a line: all that a price depends on, and of
// a kind that the inputs of two sets of events add up to those of both. A line
// stores its inputs, so that a later re-rating reads only the late events.
type Inputs struct {
	// Sum is the sum of the charge's measure over the events; zero for a charge
	// that only counts.
	Sum decimal.Decimal
	// Count is how many events there are. Rows that the ledger made itself to
	// keep sums right count as none.
	Count int64
	// First are the first events, as many as the charge leaves free at most.
	First []FirstEvent
	// Days are the local days of the cycle of a whole one, which has PeriodDays:
	// of ModelFlat those that are billed, and of a charge whose Minimum is due for
	// every cycle. Zero PeriodDays: nothing is by days.
	Days, PeriodDays int64
	// Carried is what the cycles before used of the contract, as far as a charge
	// with an allowance over the contract is concerned; nil otherwise. It isn't
	// additive: it belongs to the cycle, and the later of two counts.
	Carried *Carried
}

// Carried is what the cycles of a contract before one have used of the
// allowances of a charge, without the cycle itself.
type Carried struct {
	// Quantity is the sum of what the charge priced, free or not.
	Quantity decimal.Decimal `json:"quantity"`
	// Spent is the sum of their prices before the contract's maximum, each rounded
	// as its line.
	Spent decimal.Decimal `json:"spent"`
}

// carried is what is carried in, and nothing if there is no contract to share.
func (in Inputs) carried() Carried {
	if in.Carried == nil {
		return Carried{}
	}
	return *in.Carried
}

// FirstEvent is one of the first events of a charge and cycle. Their order is
// that of occurred_at, then of source and id, whenever they were recorded; so
// which are the first doesn't depend on what came late.
type FirstEvent struct {
	OccurredAt time.Time       `json:"occurred_at"`
	Source     string          `json:"source"`
	ID         string          `json:"id"`
	Value      decimal.Decimal `json:"value"` // of the measure, as the event was recorded
}

func (e FirstEvent) compare(o FirstEvent) int {
	return cmp.Or(e.OccurredAt.Compare(o.OccurredAt), cmp.Compare(e.Source, o.Source), cmp.Compare(e.ID, o.ID))
}

// Add returns the inputs of both sets of events together, for a charge.
func (c Charge) Add(a, b Inputs) Inputs {
	sum := Inputs{Sum: a.Sum.Add(b.Sum), Count: a.Count + b.Count, Days: a.Days + b.Days, PeriodDays: max(a.PeriodDays, b.PeriodDays), Carried: b.Carried}
	if b.Carried == nil {
		sum.Carried = a.Carried
	}
	if c.Model != ModelFlat {
		sum.Days = max(a.Days, b.Days) // of the cycle, however many lines it has
	}
	if c.FreeEvents > 0 && len(a.First)+len(b.First) > 0 {
		all := slices.SortedFunc(slices.Values(slices.Concat(a.First, b.First)), FirstEvent.compare)
		sum.First = all[:min(int64(len(all)), c.FreeEvents)]
	}
	return sum
}

// none reports whether nothing is in the inputs.
func (in Inputs) none() bool {
	return in.Count == 0 && in.Sum.IsZero() && len(in.First) == 0 && in.Days == 0
}
