package billing

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/shopspring/decimal"

	"deltaledger/ledger"
)

// Explanation is the arithmetic of an invoice, step by step: from what each line keeps to the total.
type Explanation struct {
	Invoice  uuid.UUID         `json:"invoice"`
	Number   string            `json:"number,omitempty"` // empty: not issued yet
	Account  string            `json:"account"`
	Currency string            `json:"currency"`
	Lines    []LineExplanation `json:"lines"`
	Total    Step              `json:"total"`
}

// LineExplanation is the arithmetic of one line.
type LineExplanation struct {
	Line        int       `json:"line"`
	Charge      string    `json:"charge"`
	Model       Model     `json:"model"`
	Terms       int64     `json:"terms"` // version; 0 is the built-in default
	OriginStart time.Time `json:"origin_start"`
	OriginEnd   time.Time `json:"origin_end"`
	Late        bool      `json:"late"`

	OriginInvoice *uuid.UUID `json:"origin_invoice,omitempty"` // late: the invoice that billed that cycle first, where there is one
	OriginNumber  string     `json:"origin_number,omitempty"`  // its number; empty while it has none

	Adjusts     string  `json:"adjusts,omitempty"`      // as of the line
	TermsBefore []int64 `json:"terms_before,omitempty"` // as of the line
	Steps       []Step  `json:"steps"`
}

// Step is one operation: what it finds, how, and what comes out.
type Step struct {
	Step   string          `json:"step"`
	How    string          `json:"how"`
	Result decimal.Decimal `json:"result"`
}

// Explain computes each line of an invoice again from what the line itself keeps, and shows how. A line
// that doesn't come to what it says is ErrCorrupt; an invoice that there isn't ErrNotFound.
func (b *Billing) Explain(ctx context.Context, idOrNumber string) (Explanation, error) {
	v, names, err := b.Named(ctx, idOrNumber)
	if err != nil {
		return Explanation{}, err
	}
	e, err := explain(v, names)
	return e, wrap(err, "explain invoice %s", idOrNumber)
}

func explain(v Invoice, names Names) (Explanation, error) {
	e := Explanation{Invoice: v.ID, Number: v.Number, Account: v.Account, Currency: v.Currency, Lines: []LineExplanation{}}
	total, amounts := decimal.Zero, make([]string, len(v.Lines))
	for i, l := range v.Lines {
		c, err := ParseCharge(l.Definition)
		if err != nil {
			return Explanation{}, fmt.Errorf("line %d: %w", l.Line, err)
		}
		steps, err := l.explain(c, v.Currency)
		if err != nil {
			return Explanation{}, fmt.Errorf("line %d: %w", l.Line, err)
		}
		shown := LineExplanation{
			Line: l.Line, Charge: l.Charge, Model: c.Model, Terms: l.Terms, OriginStart: l.OriginStart, OriginEnd: l.OriginEnd, Late: l.Late,
			OriginInvoice: l.OriginInvoice, Adjusts: l.Adjusts, TermsBefore: l.TermsBefore, Steps: steps,
		}
		if l.OriginInvoice != nil {
			shown.OriginNumber = names[*l.OriginInvoice]
		}
		e.Lines = append(e.Lines, shown)
		amounts[i], total = term(l.Amount.Amount), total.Add(l.Amount.Amount)
	}
	e.Total = Step{"total", strings.Join(amounts, " + "), total}
	if !total.Equal(v.Total.Amount) {
		return Explanation{}, fmt.Errorf("its lines add up to %s, and it says %s: %w", total, v.Total, ledger.ErrCorrupt)
	}
	return e, nil
}

// term is a number as an operand: in brackets if it is below zero.
func term(d decimal.Decimal) string {
	if d.IsNegative() {
		return "(" + d.String() + ")"
	}
	return d.String()
}

// explain shows how the line came about, and that it comes to what it says.
func (l Line) explain(c Charge, code string) ([]Step, error) {
	before, added := l.Inputs()
	exact, amount := LineAmount(c, code, before, added, l.Billed.Amount)
	if !exact.Equal(l.Exact) || !amount.Equal(l.Amount.Amount) {
		return nil, fmt.Errorf("it comes to %s, exactly %s, and says %s and %s: %w", amount, exact, l.Amount, l.Exact, ledger.ErrCorrupt)
	}
	whole := c.Add(before, added)
	k := c.Calculate(whole)
	var s steps
	if l.BeforeCounted > 0 || !l.Before.IsZero() {
		s.add("events", fmt.Sprintf("%d billed before + %d", before.Count, added.Count), decimal.NewFromInt(whole.Count))
	} else {
		s.add("events", "of the cycle", decimal.NewFromInt(whole.Count))
	}
	switch {
	case !c.takesEvents():
		s = nil
	case c.Sums() == "":
		s.add("quantity", "the events", k.Quantity)
	case l.BeforeCounted > 0 || !l.Before.IsZero():
		s.add("quantity", fmt.Sprintf("%s: %s billed before + %s", c.Measure, term(before.Sum), term(added.Sum)), k.Quantity)
	default:
		s.add("quantity", "sum of "+c.Measure, k.Quantity)
	}
	s.adjusted(l, c)
	s.model(c, k, whole.First)
	s.after(c, k)
	rounded := c.Round(k.Price, code)
	if digits, ok := c.digits(code); ok {
		s.add("rounded", fmt.Sprintf("%s to %d digits, halves away from zero", k.Price, digits), rounded)
	}
	if l.Adjusts != AdjustsManual && (!l.Billed.Amount.IsZero() || l.Late) {
		s.add("amount", fmt.Sprintf("%s - %s billed before", term(rounded), term(l.Billed.Amount)), amount)
	} else {
		s.add("amount", "nothing was billed before", amount)
	}
	return s, nil
}

type steps []Step

func (s *steps) add(step, how string, result decimal.Decimal) {
	*s = append(*s, Step{step, how, result})
}

// adjusted shows where the price of an adjustment comes from.
func (s *steps) adjusted(l Line, c Charge) {
	who := fmt.Sprintf("%s, by %s", l.Why, l.By)
	if l.ApprovedBy != "" {
		who += ", approved by " + l.ApprovedBy
	}
	switch {
	case l.Adjusts == AdjustsManual:
		s.add("price", who, c.Amount)
	case c.Model == ModelAdjustment:
		s.add("price", fmt.Sprintf("terms %d have nothing of the cycle under this charge (%s)", l.Terms, who), c.Amount)
	case l.Adjusts == AdjustsTerms:
		*s = append(steps{{"terms", fmt.Sprintf("%d instead of %s (%s)", l.Terms, versionsText(l.TermsBefore), who), decimal.NewFromInt(l.Terms)}}, *s...)
	}
}

func versionsText(versions []int64) string {
	texts := make([]string, len(versions))
	for i, v := range versions {
		texts[i] = strconv.FormatInt(v, 10)
	}
	return strings.Join(texts, ", ")
}

// model shows how the model prices.
func (s *steps) model(c Charge, k Calculation, first []FirstEvent) {
	switch {
	case c.Model == ModelAdjustment:
		// Its amount, and nothing to compute: see adjusted.
	case c.Model == ModelFlat:
		s.add("days", fmt.Sprintf("of the %d of a whole cycle", k.PeriodDays), decimal.NewFromInt(k.Days))
		s.add("price", fmt.Sprintf("%s x %d / %d", term(c.Amount), k.Days, k.PeriodDays), k.ModelPrice)
	case c.Model == ModelSum:
		s.add("price", "the quantity", k.ModelPrice)
	case c.Model == ModelPercentage:
		s.percentage(c, k, first)
	case c.Model.pricesUnits():
		s.units(c, k)
	}
}

func (s *steps) percentage(c Charge, k Calculation, first []FirstEvent) {
	base, events := k.Quantity, k.Events
	if k.FreeEvents != nil {
		if c.FreeEvents > 0 {
			values := []string{}
			for _, e := range first[:min(int(*k.FreeEvents), len(first))] {
				values = append(values, fmt.Sprintf("%s of %s", term(e.Value), e.ID))
			}
			s.add("free events", fmt.Sprintf("the first %d at most: %s", c.FreeEvents, strings.Join(values, ", ")), decimal.NewFromInt(*k.FreeEvents))
			events -= *k.FreeEvents
		}
		how := "the sum of the free events"
		if !c.FreeAmount.IsZero() {
			how = "up to " + c.FreeAmount.String() + k.ofContract()
		}
		s.add("free amount", how, *k.FreeAmount)
		base = base.Sub(*k.FreeAmount)
	}
	rate := fmt.Sprintf("%s x %s %%", term(base), term(c.Rate))
	if k.FreeAmount != nil {
		rate = fmt.Sprintf("(%s - %s) x %s %%", term(k.Quantity), term(*k.FreeAmount), term(c.Rate))
	}
	if k.OfFixed == nil {
		s.add("price", rate, k.ModelPrice)
		return
	}
	s.add("rate", rate, *k.OfRate)
	s.add("fixed", fmt.Sprintf("%d events x %s", events, term(c.FixedAmount)), *k.OfFixed)
	s.add("price", fmt.Sprintf("%s + %s", term(*k.OfRate), term(*k.OfFixed)), k.ModelPrice)
}

func (s *steps) units(c Charge, k Calculation) {
	left := k.Quantity
	if k.FreeUnits != nil {
		s.add("free units", "up to "+c.FreeUnits.String()+k.ofContract(), *k.FreeUnits)
		left = left.Sub(*k.FreeUnits)
		s.add("units", fmt.Sprintf("%s - %s", term(k.Quantity), term(*k.FreeUnits)), left)
	}
	switch {
	case c.Model.tiered():
		amounts := []string{"0"}
		for i, hit := range k.Tiers {
			t := c.Tiers[hit.Tier-1]
			how := fmt.Sprintf("%s x %s", term(hit.Units), term(t.UnitAmount))
			if flat := hit.Amount.Sub(hit.Units.Mul(t.UnitAmount)); !flat.IsZero() {
				how += " + " + term(flat)
			}
			s.add("tier "+strconv.Itoa(hit.Tier), how, hit.Amount)
			amounts = append(amounts[:min(i, len(amounts))], term(hit.Amount))
		}
		s.add("price", strings.Join(amounts, " + "), k.ModelPrice)
	case c.Model == ModelPackage:
		s.add("packages", fmt.Sprintf("begun of %s / %s", term(left), c.PackageSize), *k.Packages)
		s.add("price", fmt.Sprintf("%s x %s", k.Packages, term(c.PackageAmount)), k.ModelPrice)
	default:
		s.add("price", fmt.Sprintf("%s x %s", term(left), term(c.UnitAmount)), k.ModelPrice)
	}
}

// after shows what comes after the price of the model: discounts and bounds.
func (s *steps) after(c Charge, k Calculation) {
	price := k.ModelPrice
	for i, d := range c.Discounts {
		how := fmt.Sprintf("%s - %s", term(price), term(k.Discounts[i]))
		if !d.Percentage.IsZero() {
			how = fmt.Sprintf("%s - %s %% of it", term(price), d.Percentage)
		}
		price = price.Sub(k.Discounts[i])
		s.add("discount", how, price)
	}
	if k.Raised != nil {
		how := c.Minimum.String()
		if k.Days != k.PeriodDays {
			how = fmt.Sprintf("%s x %d / %d", c.Minimum, k.Days, k.PeriodDays)
		}
		price = price.Add(*k.Raised)
		s.add("minimum", fmt.Sprintf("%s is less than %s", price.Sub(*k.Raised), how), price)
	}
	switch {
	case k.SpentBefore != nil: // also where it cuts nothing: it decides what later cycles may cost
		s.add("maximum", fmt.Sprintf("%s of the contract: %s spent before + %s", c.Maximum, term(*k.SpentBefore), term(price)), k.Price)
	case k.Capped != nil:
		s.add("maximum", fmt.Sprintf("%s is more than %s", price, c.Maximum), *c.Maximum)
	}
}

// ofContract says of an allowance over the contract what is used of it; nothing of another.
func (k Calculation) ofContract() string {
	if k.UsedBefore == nil {
		return ""
	}
	return fmt.Sprintf(" of the contract, %s used before", term(*k.UsedBefore))
}
