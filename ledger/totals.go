package ledger

import (
	"cmp"
	"slices"

	"github.com/shopspring/decimal"
)

// totals adds up the measures of events, amounts of each currency for themselves.
type totals struct {
	money map[string]bool // measure → it is money; for every measure of the catalogue
	sums  map[totalKey]decimal.Decimal
	keys  []totalKey // of sums, sorted
}

type totalKey struct{ currency, measure string }

func newTotals(c Catalogue) *totals {
	t := &totals{money: map[string]bool{}, sums: map[totalKey]decimal.Decimal{}}
	for _, m := range c.Measures() {
		t.money[m.Name] = m.Kind == KindMoney
	}
	return t
}

func (t *totals) add(r Row) {
	t.addOne(r.Currency, "amount", r.Amount)
	t.addOne(r.Currency, "quantity", r.Quantity)
	for name, value := range r.Measures {
		t.addOne(r.Currency, name, value)
	}
}

func (t *totals) addOne(currency, measure string, value Amount) {
	if !value.Valid() {
		return
	}
	k := totalKey{currency, measure}
	if !t.money[measure] {
		k.currency = ""
	}
	sum, known := t.sums[k]
	if !known {
		i, _ := slices.BinarySearchFunc(t.keys, k, compareTotals)
		t.keys = slices.Insert(t.keys, i, k)
	}
	t.sums[k] = sum.Add(value.Decimal())
}

func compareTotals(a, b totalKey) int {
	return cmp.Or(cmp.Compare(a.currency, b.currency), cmp.Compare(a.measure, b.measure))
}

// list is the state of the sums now, by currency and measure.
func (t *totals) list() []Total {
	list := make([]Total, len(t.keys))
	for i, k := range t.keys {
		list[i] = Total{k.currency, k.measure, Amount{t.sums[k].String()}} // a sum may have more digits than an event
	}
	return list
}
