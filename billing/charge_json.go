package billing

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/shopspring/decimal"

	"deltaledger/ledger"
)

// chargeJSON is the JSON form of a charge, in the order of its keys.
type chargeJSON struct {
	Name           string         `json:"name"`
	Measure        string         `json:"measure,omitempty"`
	Types          []string       `json:"types,omitempty"`
	Filters        filtersJSON    `json:"filters,omitempty"`
	Currency       string         `json:"currency,omitempty"`
	Model          Model          `json:"model"`
	Rate           string         `json:"rate,omitempty"`
	FixedAmount    string         `json:"fixed_amount,omitempty"`
	FreeEvents     int64          `json:"free_events,omitempty"`
	FreeAmount     string         `json:"free_amount,omitempty"`
	UnitAmount     string         `json:"unit_amount,omitempty"`
	Tiers          []tierJSON     `json:"tiers,omitempty"`
	PackageSize    string         `json:"package_size,omitempty"`
	PackageAmount  string         `json:"package_amount,omitempty"`
	Amount         string         `json:"amount,omitempty"`
	FreeUnits      string         `json:"free_units,omitempty"`
	FreePer        string         `json:"free_per,omitempty"`
	Discounts      []discountJSON `json:"discounts,omitempty"`
	Minimum        string         `json:"minimum,omitempty"`
	Maximum        string         `json:"maximum,omitempty"`
	MaximumPer     string         `json:"maximum_per,omitempty"`
	RoundingDigits *int32         `json:"rounding_digits,omitempty"`
}

type tierJSON struct {
	UpTo       string `json:"up_to,omitempty"`
	UnitAmount string `json:"unit_amount"`
	FlatAmount string `json:"flat_amount,omitempty"`
}

type discountJSON struct {
	Percentage string `json:"percentage,omitempty"`
	Amount     string `json:"amount,omitempty"`
}

// filtersJSON are filters as a JSON object. Its keys keep the order of the filters.
type filtersJSON []Filter

// MarshalJSON writes an object.
func (f filtersJSON) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	for i, one := range f {
		b.WriteByte(map[bool]byte{true: '{', false: ','}[i == 0])
		if err := enc.Encode(one.Dimension); err != nil {
			return nil, err
		}
		b.WriteByte(':')
		if err := enc.Encode(one.Values); err != nil {
			return nil, err
		}
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// optional writes a number that zero stands for none of.
func optional(d decimal.Decimal) string {
	if d.IsZero() {
		return ""
	}
	return d.String()
}

func bound(d *decimal.Decimal) string {
	if d == nil {
		return ""
	}
	return d.String()
}

// json is the charge with everything that its model needs spelled out, and nothing else.
func (c Charge) json() chargeJSON {
	out := chargeJSON{
		Name: c.Name, Measure: c.Measure, Types: c.Types, Filters: c.Filters, Currency: c.Currency, Model: c.Model,
		FixedAmount: optional(c.FixedAmount), FreeEvents: c.FreeEvents, FreeAmount: optional(c.FreeAmount), FreeUnits: optional(c.FreeUnits),
		Minimum: bound(c.Minimum), Maximum: bound(c.Maximum), RoundingDigits: c.RoundingDigits,
	}
	if c.FreePerContract {
		out.FreePer = perContract
	}
	if c.MaximumPerContract {
		out.MaximumPer = perContract
	}
	switch c.Model {
	case ModelPercentage:
		out.Rate = c.Rate.String()
	case ModelPerEvent:
		out.Measure, out.UnitAmount = "", c.UnitAmount.String()
	case ModelPerUnit:
		out.UnitAmount = c.UnitAmount.String()
	case ModelFlat, ModelAdjustment:
		out.Amount = c.Amount.String()
	case ModelPackage:
		out.PackageSize, out.PackageAmount = c.PackageSize.String(), c.PackageAmount.String()
	}
	for _, t := range c.Tiers {
		out.Tiers = append(out.Tiers, tierJSON{UpTo: bound(t.UpTo), UnitAmount: t.UnitAmount.String(), FlatAmount: optional(t.FlatAmount)})
	}
	for _, d := range c.Discounts {
		out.Discounts = append(out.Discounts, discountJSON{Percentage: optional(d.Percentage), Amount: optional(d.Amount)})
	}
	return out
}

// definition is the charge as a line keeps it.
func (c Charge) definition() string {
	b, err := json.Marshal(c.json())
	if err != nil {
		panic("billing: a charge can't be written as JSON: " + err.Error()) // strings and small numbers only: impossible
	}
	return string(b)
}

// Definition is the charge as a line of an invoice keeps it: JSON in one spelling, so that charges are the same if it is.
func (c Charge) Definition() string { return c.definition() }

// ParseCharge reads a charge as a line of an invoice keeps it.
func ParseCharge(definition []byte) (Charge, error) {
	p := &termsParser{line: true}
	c := p.charge("", p.document(definition))
	if len(p.problems) > 0 {
		// Not as the error itself: that is for terms which somebody sent.
		wrong := &TermsError{Problems: p.problems}
		return Charge{}, fmt.Errorf("read the definition of a charge: %s: %w", wrong.Error(), ledger.ErrCorrupt)
	}
	return c, nil
}
