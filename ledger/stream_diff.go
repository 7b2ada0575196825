package ledger

import (
	"context"
	"slices"
)

// StreamDiff says what a stream looks like as of two watermarks and why it differs.
type StreamDiff struct {
	Source  string          `json:"source"`
	Stream  string          `json:"stream"`
	Before  Watermark       `json:"before"`
	After   Watermark       `json:"after"`
	Added   []Row           `json:"added"` // recorded in between, in stream order
	Totals  []TotalChange   `json:"totals"`
	Billing []BillingChange `json:"billing"` // events whose invoices are others, in stream order
}

// TotalChange is a total before and after; absent where there was no event with the measure.
type TotalChange struct {
	Currency string `json:"currency,omitempty"` // empty for a quantity
	Measure  string `json:"measure"`
	Before   Amount `json:"before,omitzero"`
	After    Amount `json:"after,omitzero"`
}

// BillingChange says where an event is billed before and after. Before is empty for an added one.
type BillingChange struct {
	ID       string   `json:"id"`
	Position int64    `json:"position"`
	Before   []Billed `json:"before"`
	After    []Billed `json:"after"`
}

// StreamDiff compares a stream as of t1 with the same as of t2, which isn't before t1; each as
// Ledger.AsOf takes it.
func (l *Ledger) StreamDiff(ctx context.Context, source, stream, t1, t2 string) (StreamDiff, error) {
	if t1 == "" {
		return StreamDiff{}, Invalid("from", "", "is missing: a watermark or a time to compare from")
	}
	before, err := l.Stream(ctx, source, stream, t1)
	if err != nil {
		return StreamDiff{}, err
	}
	after, err := l.Stream(ctx, source, stream, t2)
	if err != nil {
		return StreamDiff{}, err
	}
	if after.AsOf.Position < before.AsOf.Position {
		return StreamDiff{}, Invalid("to", shown(t2), "must not be before the other watermark or time")
	}
	return differenceOf(before, after), nil
}

func differenceOf(before, after StreamView) StreamDiff {
	d := StreamDiff{
		Source: after.Source, Stream: after.Stream, Before: before.AsOf, After: after.AsOf,
		Added: []Row{}, Totals: []TotalChange{}, Billing: []BillingChange{},
	}
	old := make(map[int64][]Billed, len(before.Entries))
	for _, e := range before.Entries {
		old[e.Event.Position] = e.Billed
	}
	for _, e := range after.Entries {
		was, known := old[e.Event.Position]
		if !known {
			d.Added = append(d.Added, e.Event)
		}
		if !slices.EqualFunc(was, e.Billed, sameBilling) {
			d.Billing = append(d.Billing, BillingChange{ID: e.Event.ID, Position: e.Event.Position, Before: was, After: e.Billed})
		}
	}
	d.Totals = totalChanges(before.Totals, after.Totals)
	return d
}

func sameBilling(a, b Billed) bool {
	return a.Invoice == b.Invoice && a.Void == b.Void && (a.Number == nil) == (b.Number == nil)
}

// totalChanges pairs totals; whatever there was before is there after.
func totalChanges(before, after []Total) []TotalChange {
	changes := make([]TotalChange, len(after))
	for i, t := range after {
		changes[i] = TotalChange{Currency: t.Currency, Measure: t.Measure, After: t.Sum}
		was := slices.IndexFunc(before, func(b Total) bool { return b.Currency == t.Currency && b.Measure == t.Measure })
		if was >= 0 {
			changes[i].Before = before[was].Sum
		}
	}
	return changes
}
