package api

import (
	"github.com/danielgtaylor/huma/v2"

	"deltaledger/billing"
)

// chargeSchema describes a charge as terms are sent. Which members a model needs, billing says.
func chargeSchema() *huma.Schema {
	text := func(description, example string) *huma.Schema {
		return &huma.Schema{Type: huma.TypeString, Description: description, Examples: []any{example}}
	}
	whole := func(description string, least, most float64) *huma.Schema {
		return &huma.Schema{Type: huma.TypeInteger, Description: description, Minimum: &least, Maximum: &most}
	}
	texts := &huma.Schema{Type: huma.TypeArray, Items: &huma.Schema{Type: huma.TypeString}}
	object := func(properties map[string]*huma.Schema, required ...string) *huma.Schema {
		return &huma.Schema{Type: huma.TypeObject, AdditionalProperties: false, Properties: properties, Required: required}
	}
	return object(map[string]*huma.Schema{
		"name":    text("Unique among the charges; the lines carry it", "sales"),
		"measure": text("amount, quantity or a declared measure; count: how many events there are. Not of per_event", "amount"),
		"types":   {Type: huma.TypeArray, Items: texts.Items, Description: "Event types that it selects; without it all"},
		"filters": {
			Type: huma.TypeObject, AdditionalProperties: &huma.Schema{OneOf: []*huma.Schema{{Type: huma.TypeString}, texts}},
			Description: "Dimensions, declared or not, and the value or values that selected events have; all must hold. The empty text is for events without the dimension",
		},
		"currency": text("Only events in this currency; without it each currency has a line", "EUR"),
		"model": {
			Type: huma.TypeString, Enum: []any{"sum", "percentage", "per_event", "per_unit", "graduated", "volume", "package", "flat"},
			Description: "sum: the sum of the measure. percentage: rate percent of it, and fixed_amount per event. per_event, per_unit: unit_amount for each. graduated: each unit by the tier that it is in. volume: all units by the tier that the whole is in. package: package_amount for each package begun. flat: amount for every cycle, by its days",
		},
		"rate":         text("Of percentage: percent, as a decimal", "2.5"),
		"fixed_amount": text("Of percentage: for each event besides", "0.10"),
		"free_events":  whole("Of percentage: how many events of a cycle are free, the first by occurred_at", 1, billing.MaxFreeEvents),
		"free_amount":  text("Of percentage: what sum is free; beside free_events, how much of those events", "500.00"),
		"unit_amount":  text("Of per_event and per_unit: the price of one", "0.05"),
		"tiers": {
			Type: huma.TypeArray, Description: "Of graduated and volume: ascending; a quantity that is up_to is in the tier. The last has no up_to",
			Items: object(map[string]*huma.Schema{
				"up_to":       text("The end of the tier, in it", "100"),
				"unit_amount": text("For each unit", "0.10"),
				"flat_amount": text("For the tier as a whole", "5.00"),
			}),
		},
		"amount":         text("Of flat: the price of a whole cycle", "49.00"),
		"package_size":   text("Of package: units in a package", "100"),
		"package_amount": text("Of package: its price", "9.99"),
		"free_units":     text("Of the models that price units or events: how many of a cycle, or of the contract, are free", "1000"),
		"free_per": {
			Type: huma.TypeString, Enum: []any{"cycle", "contract"}, Default: "cycle",
			Description: "What free_units, or free_amount without free_events, are of: each cycle, or all cycles of the contract together",
		},
		"discounts": {
			Type: huma.TypeArray, Description: "Taken off the model's price, in order: percentage or amount. An amount takes no price below zero",
			Items: object(map[string]*huma.Schema{"percentage": text("Percent, up to 100", "10"), "amount": text("Money", "5.00")}),
		},
		"minimum": text("What a cycle costs at least, after discounts: also one without events, by its days, and then currency must be given; of group_by stream a stream that has events", "10.00"),
		"maximum": text("What it costs at most", "1000.00"),
		"maximum_per": {
			Type: huma.TypeString, Enum: []any{"cycle", "contract"}, Default: "cycle",
			Description: "What maximum bounds: the line of each cycle, or all lines of the contract together",
		},
		"rounding_digits": whole("To how many digits the line is rounded; without it to those of the currency", 0, billing.MaxRoundingDigits),
	}, "name", "model")
}
