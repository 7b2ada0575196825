package billing

import (
	"encoding/json"
	"fmt"

	"github.com/shopspring/decimal"

	"deltaledger/ledger"
)

// ParseCharge reads a charge as a line of an invoice keeps it.
func ParseCharge(definition []byte) (Charge, error) {
	var in chargeJSON
	if err := json.Unmarshal(definition, &in); err != nil {
		return Charge{}, fmt.Errorf("read the definition of a charge: %w: %w", err, ledger.ErrCorrupt)
	}
	c := Charge{Name: in.Name, Measure: in.Measure, Types: in.Types, Model: in.Model}
	if in.Rate != "" {
		rate, err := decimal.NewFromString(in.Rate)
		if err != nil {
			return Charge{}, fmt.Errorf("read the rate of a charge: %w: %w", err, ledger.ErrCorrupt)
		}
		c.Rate = rate
	}
	return c, nil
}
