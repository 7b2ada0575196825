package billing

import (
	"fmt"
	"slices"
	"strings"

	"deltaledger/ledger"
)

// Selection finds out which of some charges bill which events. Events that agree
// in type, currency and the mask of the selection are billed alike: what their
// dimensions are besides doesn't matter.
type Selection struct {
	catalogue ledger.Catalogue
	filters   []Filter // of the charges, all different; the mask has a digit for each
}

// NewSelection is the selection of some charges. A filter on what isn't a
// dimension is ErrCorrupt: terms with one aren't recorded.
func NewSelection(catalogue ledger.Catalogue, charges ...Charge) (Selection, error) {
	s := Selection{catalogue: catalogue}
	for _, c := range charges {
		for _, f := range c.Filters {
			if s.index(f) >= 0 {
				continue
			}
			if rule := filterable(catalogue, f.Dimension); rule != "" {
				return Selection{}, fmt.Errorf("charge %q filters on %q, which %s: %w", c.Name, f.Dimension, rule, ledger.ErrCorrupt)
			}
			s.filters = append(s.filters, f)
		}
	}
	return s, nil
}

// Filters reports whether any of the charges filters on dimensions; without, every mask is empty.
func (s Selection) Filters() bool { return len(s.filters) > 0 }

// filterable says why there can be no filter on a dimension; empty: there can.
func filterable(catalogue ledger.Catalogue, dimension string) string {
	switch c, known := catalogue.Column(dimension); {
	case !known:
		return ""
	case c.Measure():
		return "must be a dimension, not a measure"
	case c.PII:
		return "must not be private: private content can be erased"
	case c.BuiltIn:
		return "must be a dimension of the events, not a field that every event has"
	}
	return ""
}

func (s Selection) index(f Filter) int {
	return slices.IndexFunc(s.filters, func(g Filter) bool { return g.Dimension == f.Dimension && slices.Equal(g.Values, f.Values) })
}

// Mask is the SQL of the mask of an event with the alias e. arg is given each
// value that the SQL needs, a string or a []string, and returns what stands for
// it there, with its type.
func (s Selection) Mask(arg func(value any) string) string {
	if len(s.filters) == 0 {
		return noMask
	}
	digits := make([]string, len(s.filters))
	for i, f := range s.filters {
		text := s.catalogue.DimensionText(f.Dimension, func(key string) string { return arg(key) })
		values := slices.DeleteFunc(slices.Clone(f.Values), func(v string) bool { return v == "" })
		var any []string
		if len(values) < len(f.Values) {
			any = append(any, text+" IS NULL")
		}
		if len(values) > 0 {
			any = append(any, text+" = ANY("+arg(values)+")")
		}
		digits[i] = "CASE WHEN " + strings.Join(any, " OR ") + " THEN '1' ELSE '0' END"
	}
	return "(" + strings.Join(digits, " || ") + ")"
}

// noMask is the mask of a selection without filters.
const noMask = `''::text`

// Pattern is what the masks of events that the charge selects are LIKE in SQL.
func (s Selection) Pattern(c Charge) string {
	digits := []byte(strings.Repeat("_", len(s.filters)))
	for _, f := range c.Filters {
		if i := s.index(f); i >= 0 {
			digits[i] = '1'
		}
	}
	return string(digits)
}

// Selects reports whether a charge bills events of a type, a currency and a mask.
func (s Selection) Selects(c Charge, eventType, currency, mask string) bool {
	if !c.SelectsType(eventType) || c.Currency != "" && c.Currency != currency {
		return false
	}
	return !slices.ContainsFunc(c.Filters, func(f Filter) bool {
		i := s.index(f)
		return i < 0 || i >= len(mask) || mask[i] != '1'
	})
}

// selectNoMore reports whether some charges can't select an event that the others don't: each selects no more than one of
// those. It looks at the charges alone, so that false means it may be.
func selectNoMore(charges, than []Charge) bool {
	for _, c := range charges {
		if c.takesEvents() && !slices.ContainsFunc(than, c.selectsNoMore) {
			return false
		}
	}
	return true
}

func (c Charge) selectsNoMore(than Charge) bool {
	if !than.takesEvents() || than.Currency != "" && than.Currency != c.Currency || len(than.Types) > 0 && len(c.Types) == 0 {
		return false
	}
	if len(than.Types) > 0 && slices.ContainsFunc(c.Types, func(t string) bool { return !slices.Contains(than.Types, t) }) {
		return false
	}
	return !slices.ContainsFunc(than.Filters, func(f Filter) bool {
		i := slices.IndexFunc(c.Filters, func(g Filter) bool { return g.Dimension == f.Dimension })
		return i < 0 || slices.ContainsFunc(c.Filters[i].Values, func(v string) bool { return !slices.Contains(f.Values, v) })
	})
}
