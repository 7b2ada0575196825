package export

import "github.com/shopspring/decimal"

// tally is what a file holds, counted while it is written.
type tally struct {
	measures []string // names of the measures, in the order of the columns
	rows     int64
	late     int64
	by       map[string]*currencyTally
	last     *currencyTally
}

// currencyTally sums the measures of the rows of one currency.
type currencyTally struct {
	code string
	sums []total
}

func newTally(columns []column) tally {
	t := tally{by: map[string]*currencyTally{}}
	for _, c := range columns {
		if c.measure {
			t.measures = append(t.measures, c.name)
		}
	}
	return t
}

// currency gives the sums that a row of a currency is added to.
func (t *tally) currency(code []byte) *currencyTally {
	if t.last == nil || t.last.code != string(code) {
		c := t.by[string(code)]
		if c == nil {
			c = &currencyTally{code: string(code), sums: make([]total, len(t.measures))}
			t.by[c.code] = c
		}
		t.last = c
	}
	return t.last
}

// Sums are exact totals as plain decimals, by currency and then by the name of the measure. A measure that
// no row of a currency has is missing there.
type Sums map[string]map[string]string

// sums gives the totals of each currency, and of the quantity over all of them.
func (t *tally) sums() (by Sums, quantity string) {
	by = make(Sums, len(t.by))
	var all total
	for code, c := range t.by {
		by[code] = make(map[string]string, len(t.measures))
		for i, name := range t.measures {
			if c.sums[i].any {
				by[code][name] = c.sums[i].String()
			}
			if name == "quantity" {
				all.merge(&c.sums[i])
			}
		}
	}
	return by, all.String()
}

// plainSums writes sums as plain decimals.
func plainSums(totals map[string]map[string]decimal.Decimal) Sums {
	all := make(Sums, len(totals))
	for currency, sums := range totals {
		all[currency] = make(map[string]string, len(sums))
		for name, sum := range sums {
			all[currency][name] = sum.String()
		}
	}
	return all
}
