package billing

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/shopspring/decimal"

	"deltaledger/ledger"
	"deltaledger/ledger/currency"
)

func (p *termsParser) charges(f fields) []Charge {
	list, ok := f.list("charges")
	if !ok {
		return nil
	}
	if len(list) == 0 || len(list) > MaxCharges {
		p.refuse("charges", "", "must be 1 to %d charges, not %d", MaxCharges, len(list))
	}
	charges, names := make([]Charge, 0, len(list)), map[string]bool{}
	for i, n := range list {
		path := fmt.Sprintf("charges[%d]", i)
		c := p.charge(path, n)
		if c.Name != "" && names[c.Name] {
			p.refuse(path+".name", c.Name, "must be unique: another charge of these terms has the name")
		}
		names[c.Name] = true
		charges = append(charges, c)
	}
	return charges
}

// chargeFields are the members that every charge may have.
var chargeFields = []string{"name", "types", "filters", "currency", "model", "discounts", "minimum", "maximum", "maximum_per", "rounding_digits"}

// modelFields are the members that a charge has because of its model, those that it must have first; after "" those
// that it may have.
var modelFields = map[Model][]string{
	ModelSum:        {"measure"},
	ModelPercentage: {"measure", "rate", "", "fixed_amount", "free_events", "free_amount", "free_per"},
	ModelPerEvent:   {"unit_amount", "", "free_units", "free_per"},
	ModelPerUnit:    {"measure", "unit_amount", "", "free_units", "free_per"},
	ModelGraduated:  {"measure", "tiers", "", "free_units", "free_per"},
	ModelVolume:     {"measure", "tiers", "", "free_units", "free_per"},
	ModelPackage:    {"measure", "package_size", "package_amount", "", "free_units", "free_per"},
	ModelFlat:       {"amount"},
	ModelAdjustment: {"amount"},
}

// charge reads a charge. What its model needs must be there, and what belongs to other models must not.
func (p *termsParser) charge(path string, n node) Charge {
	known := slices.Clone(chargeFields)
	for _, m := range models {
		for _, name := range modelFields[m] {
			if name != "" && !slices.Contains(known, name) {
				known = append(known, name)
			}
		}
	}
	f := p.fields(path, n, known...)
	if n.kind != objectNode {
		return Charge{}
	}
	var c Charge
	if _, ok := f.values["name"]; !ok {
		p.refuse(f.path("name"), "", "must be given")
	}
	c.Name = p.name(f, "name", maxShort)
	if _, ok := f.required("model", maxShort); ok {
		names := make([]string, len(models))
		for i, m := range models {
			names[i] = string(m)
		}
		if p.line {
			names = append(names, string(ModelAdjustment))
		}
		c.Model = Model(f.choice("model", "", names...))
	}
	f.ofModel(c.Model, known)
	if c.Model == ModelFlat {
		f.ofFlat()
	}
	c.Measure = p.measure(f, c.Model)
	c.Types = p.types(f)
	c.Filters = p.filters(f)
	c.Currency = p.currency(f)
	p.price(f, &c)
	p.bounds(f, &c)
	return c
}

// name reads a text that people call something by; empty if it is absent or was refused.
func (p *termsParser) name(f fields, field string, maxBytes int) string {
	s, ok := f.text(field, maxBytes)
	if ok && (strings.TrimSpace(s) != s || strings.ContainsFunc(s, unicode.IsControl)) {
		p.refuse(f.path(field), s, "must have no control characters, and no spaces at its ends")
	}
	return s
}

// ofModel refuses the members of other models, and misses those of this one.
func (f fields) ofModel(m Model, known []string) {
	own := modelFields[m]
	if m == "" {
		return // refused, or not there: what it should have isn't known
	}
	optional := false
	for _, name := range own {
		if name == "" {
			optional = true
		} else if _, written := f.values[name]; !written && !optional && name != "measure" {
			f.p.refuse(f.path(name), "", "must be given: the model %s needs it", m)
		}
	}
	for _, name := range known {
		if n, written := f.values[name]; written && !slices.Contains(chargeFields, name) && !slices.Contains(own, name) {
			f.p.refuse(f.path(name), n.shown(), "must be absent: the model %s has no %s", m, name)
			delete(f.values, name)
		}
	}
}

// ofFlat refuses what selects events, of which a flat charge bills none, and misses the currency.
func (f fields) ofFlat() {
	for _, name := range []string{"types", "filters"} {
		if n, written := f.values[name]; written {
			f.p.refuse(f.path(name), n.shown(), "must be absent: the model flat selects no events")
			delete(f.values, name)
		}
	}
	if _, written := f.values["currency"]; !written {
		f.p.refuse(f.path("currency"), "", "must be given: the model flat is billed in it")
	}
}

// measure reads what the charge sums or counts.
func (p *termsParser) measure(f fields, m Model) string {
	if m == ModelPerEvent {
		return MeasureCount
	}
	if m == ModelFlat || m == ModelAdjustment {
		return ""
	}
	s, ok := f.required("measure", maxShort)
	if !ok {
		return ""
	}
	if strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789_") != "" || s[0] < 'a' || s[0] > 'z' {
		p.refuse(f.path("measure"), s, "must be the name of a measure: small letters, digits and _, such as amount")
	}
	if s == MeasureCount && !m.pricesUnits() && m != "" {
		p.refuse(f.path("measure"), s, "must be a measure that can be summed: the model %s counts nothing", m)
	}
	return s
}

// types reads the event types of a charge.
func (p *termsParser) types(f fields) []string {
	if _, written := f.values["types"]; !written {
		return nil
	}
	list, _ := f.list("types")
	return p.texts(f.path("types"), list, 1, ledger.MaxType)
}

// texts reads a list of texts that are all different.
func (p *termsParser) texts(path string, list []node, shortest, longest int) []string {
	var texts []string
	for i, n := range list {
		at := fmt.Sprintf("%s[%d]", path, i)
		s, ok := n.text, n.kind == stringNode && n.text == "" && shortest == 0
		if !ok {
			s, ok = p.string(at, n, longest)
		}
		if ok && slices.Contains(texts, s) {
			p.refuse(at, s, "must be given once")
		} else if ok {
			texts = append(texts, s)
		}
	}
	return texts
}

// filters reads what dimensions must be: one text, or a list of them. They are kept by dimension and value, so that
// terms that mean the same are the same.
func (p *termsParser) filters(f fields) []Filter {
	n, written := f.values["filters"]
	if !written {
		return nil
	}
	at := f.path("filters")
	if n.kind != objectNode {
		p.refuse(at, n.shown(), "must be a JSON object of dimensions and their values")
		return nil
	}
	if len(n.keys) == 0 || len(n.keys) > MaxFilters {
		p.refuse(at, "", "must have 1 to %d dimensions, not %d", MaxFilters, len(n.keys))
	}
	var filters []Filter
	for i, key := range n.keys {
		path, list := join(at, key), n.values[i].values
		if key == "" || len(key) > maxDimension || strings.Contains(key, "\x00") {
			p.refuse(path, key, "must be the name of a dimension, of 1 to %d bytes", maxDimension)
		}
		if n.values[i].kind == stringNode {
			list = []node{n.values[i]}
		} else if n.values[i].kind != listNode || len(list) == 0 || len(list) > MaxFilterValues {
			p.refuse(path, n.values[i].shown(), `must be a text, or a list of 1 to %d texts; "" is for events without the dimension`, MaxFilterValues)
			continue
		}
		values := p.texts(path, list, 0, maxDimensionValue)
		slices.Sort(values)
		filters = append(filters, Filter{Dimension: key, Values: values})
	}
	slices.SortFunc(filters, func(a, b Filter) int { return strings.Compare(a.Dimension, b.Dimension) })
	return filters
}

// currency reads the only currency of a charge.
func (p *termsParser) currency(f fields) string {
	s, ok := f.text("currency", maxShort)
	if ok {
		if _, known := currency.Digits(s); !known {
			p.refuse(f.path("currency"), s, "must be the code of a currency by ISO 4217, such as EUR")
		}
	}
	return s
}

// price reads what the model computes with.
func (p *termsParser) price(f fields, c *Charge) {
	c.Rate = f.number("rate", anySign)
	c.FixedAmount = f.number("fixed_amount", notZero)
	c.UnitAmount = f.number("unit_amount", anySign)
	c.PackageSize = f.number("package_size", positive)
	c.PackageAmount = f.number("package_amount", anySign)
	c.Amount = f.number("amount", anySign)
	c.FreeUnits = f.number("free_units", positive)
	c.FreeAmount = f.number("free_amount", positive)
	c.FreeEvents = f.integer("free_events", 1, MaxFreeEvents)
	if !c.FreeAmount.IsZero() && !c.FixedAmount.IsZero() && c.FreeEvents == 0 && f.values["free_events"].kind == noNode {
		p.refuse(f.path("free_events"), "", "must be given beside free_amount and fixed_amount: how many events at most pay no fixed amount")
	}
	c.FreePerContract = p.perContract(f, "free_per", "free_units", "free_amount")
	if c.FreePerContract && f.values["free_events"].kind != noNode {
		p.refuse(f.path("free_events"), f.values["free_events"].shown(), "must be absent beside free_per contract: first events are those of a cycle, for which are the first of a whole contract may change with every late event. Leave the first units of a contract free, or a free_amount alone")
	}
	if _, written := f.values["tiers"]; written {
		c.Tiers = p.tiers(f)
	}
}

// perContract reads whether an allowance holds over the contract and not for each cycle. One of the fields
// that it is about must be there.
func (p *termsParser) perContract(f fields, field string, of ...string) bool {
	per := f.choice(field, perCycle, perCycle, perContract)
	if n, written := f.values[field]; written && !slices.ContainsFunc(of, func(name string) bool { return f.values[name].kind != noNode }) {
		p.refuse(f.path(field), n.shown(), "must be given beside %s", strings.Join(of, " or "))
	}
	return per == perContract
}

// tiers reads the tiers of a charge.
func (p *termsParser) tiers(f fields) []Tier {
	list, ok := f.list("tiers")
	if !ok {
		return nil
	}
	if len(list) == 0 || len(list) > MaxTiers {
		p.refuse(f.path("tiers"), "", "must be 1 to %d tiers, not %d", MaxTiers, len(list))
		return nil
	}
	tiers := make([]Tier, len(list))
	for i, n := range list {
		path := fmt.Sprintf("%s[%d]", f.path("tiers"), i)
		t := p.fields(path, n, "up_to", "unit_amount", "flat_amount")
		if n.kind != objectNode {
			continue
		}
		tiers[i] = Tier{UnitAmount: t.number("unit_amount", anySign), FlatAmount: t.number("flat_amount", anySign)}
		_, unit := t.values["unit_amount"]
		if _, flat := t.values["flat_amount"]; !unit && !flat {
			p.refuse(path, "", "must have unit_amount, flat_amount or both")
		}
		upTo, written := t.values["up_to"]
		switch last := i == len(list)-1; {
		case last && written:
			p.refuse(path+".up_to", upTo.shown(), "must be absent: the last tier has no end")
		case !last && !written:
			p.refuse(path+".up_to", "", "must be given: only the last tier has no end")
		case written:
			end := t.number("up_to", positive)
			tiers[i].UpTo = &end
			if i > 0 && tiers[i-1].UpTo != nil && !end.GreaterThan(*tiers[i-1].UpTo) && end.IsPositive() {
				p.refuse(path+".up_to", end.String(), "must be more than the end of the tier before, %s", tiers[i-1].UpTo)
			}
		}
	}
	return tiers
}

// bounds reads what comes after the model's price: discounts, bounds and rounding.
func (p *termsParser) bounds(f fields, c *Charge) {
	if _, written := f.values["discounts"]; written {
		c.Discounts = p.discounts(f)
	}
	if _, written := f.values["minimum"]; written {
		c.Minimum = ptr(f.number("minimum", notNegative))
	}
	if _, written := f.values["maximum"]; written {
		c.Maximum = ptr(f.number("maximum", notNegative))
	}
	c.MaximumPerContract = p.perContract(f, "maximum_per", "maximum")
	if c.Minimum != nil && c.Maximum != nil && c.Maximum.LessThan(*c.Minimum) {
		p.refuse(f.path("maximum"), c.Maximum.String(), "must not be less than the minimum, %s", c.Minimum)
	}
	if _, written := f.values["rounding_digits"]; written {
		c.RoundingDigits = ptr(int32(f.integer("rounding_digits", 0, MaxRoundingDigits)))
	}
}

func (p *termsParser) discounts(f fields) []Discount {
	list, ok := f.list("discounts")
	if !ok {
		return nil
	}
	if len(list) == 0 || len(list) > MaxDiscounts {
		p.refuse(f.path("discounts"), "", "must be 1 to %d discounts, not %d", MaxDiscounts, len(list))
	}
	discounts := make([]Discount, len(list))
	for i, n := range list {
		path := fmt.Sprintf("%s[%d]", f.path("discounts"), i)
		d := p.fields(path, n, "percentage", "amount")
		if n.kind != objectNode {
			continue
		}
		if len(n.keys) != 1 || len(d.values) != 1 {
			p.refuse(path, n.shown(), "must have percentage or amount, one of them")
			continue
		}
		discounts[i] = Discount{Percentage: d.number("percentage", positive), Amount: d.number("amount", positive)}
		if discounts[i].Percentage.GreaterThan(decimal.NewFromInt(100)) {
			p.refuse(path+".percentage", discounts[i].Percentage.String(), "must be at most 100")
		}
	}
	return discounts
}

// sign is what numbers a field may have.
type sign int

const (
	anySign sign = iota
	notZero
	notNegative
	positive
)

// number returns a decimal field, and zero if it is absent or was refused.
func (f fields) number(name string, allowed sign) decimal.Decimal {
	s, ok := f.text(name, maxRate)
	if !ok {
		return decimal.Zero
	}
	d := f.p.decimal(f.path(name), s).Decimal()
	switch {
	case allowed == positive && !d.IsPositive():
		f.p.refuse(f.path(name), s, "must be more than 0")
	case allowed == notNegative && d.IsNegative():
		f.p.refuse(f.path(name), s, "must be 0 or more")
	case allowed == notZero && d.IsZero():
		f.p.refuse(f.path(name), s, "must not be 0: leave it out instead")
	}
	return d
}

// integer returns a field that is a JSON number of digits alone, and zero if it is absent or was refused.
func (f fields) integer(name string, least, most int64) int64 {
	n, written := f.values[name]
	if !written {
		return 0
	}
	v, err := strconv.ParseInt(n.text, 10, 64)
	if n.kind != otherNode || err != nil || strconv.FormatInt(v, 10) != n.text || v < least || v > most {
		f.p.refuse(f.path(name), n.shown(), "must be a whole number from %d to %d, without quotes", least, most)
		return 0
	}
	return v
}

// decimal reads a number by the rule that amounts of events follow.
func (p *termsParser) decimal(path, s string) ledger.Amount {
	a, err := ledger.ParseAmount(s)
	if err != nil {
		rule := err.Error()
		if field := (*ledger.FieldError)(nil); errors.As(err, &field) {
			rule = field.Rule
		}
		p.refuse(path, s, "%s", rule)
	}
	return a
}

const (
	maxDimension      = 256  // bytes of the name of a dimension
	maxDimensionValue = 1024 // bytes of a value
)
