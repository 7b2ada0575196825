package document

import (
	"fmt"
	"time"

	"github.com/shopspring/decimal"

	"deltaledger/billing"
)

// content is what stands on a page, in words. Every text of it is fit to be shown.
type content struct {
	Title    string // Invoice or Credit note
	Name     string // its number, or Draft
	Stamp    string // across every page: DRAFT or VOID; empty: none
	From, To []string
	Facts    []fact
	Heads    []head // of the table
	Rows     []row  // all but the last few
	Last     []row  // which stay with the totals
	Sums     []sum
	Notes    []string
	Small    []string // at the very end
}

type fact struct{ Name, Value string }

type head struct {
	Name   string
	Number bool
}

// row is a line of the table: its cells are those of the heads.
type row struct{ Cells []cell }

// cell is a text with smaller ones below it, or a number.
type cell struct {
	Text   string
	Below  []string
	Number bool
	Long   bool // a number that may have to be broken
}

type sum struct {
	Name, Value    string
	Strong, Settle bool // the total; what is open
}

// Long reports whether the value may have to be broken.
func (s sum) Long() bool { return len(s.Value) > longNumber }

// longNumber is how many characters a number has that may have to be broken.
const longNumber = 22

// together is how many lines stay on the page of the totals.
const together = 2

func (c *content) rows(all []row) {
	n := max(0, len(all)-together)
	c.Rows, c.Last = all[:n], all[n:]
}

func (c *content) fact(name, value string) {
	if value != "" {
		c.Facts = append(c.Facts, fact{name, readable(value)})
	}
}

// number is a cell for a plain decimal.
func number(plain string) cell {
	text := grouped(plain)
	return cell{Text: text, Number: true, Long: len(text) > longNumber}
}

// invoiceContent is what an invoice says. What isn't issued is a draft.
func invoiceContent(v billing.Invoice, names billing.Names, o Options) content {
	z := zone(v.Zone)
	c := content{Title: "Invoice", Name: readable(v.Number), From: readableLines(o.Letterhead.From), To: readableLines(o.Letterhead.To)}
	if v.Number == "" {
		c.Name, c.Stamp = "Draft", "DRAFT"
	}
	if v.Status == billing.Void {
		c.Stamp = "VOID"
	}
	if len(c.To) == 0 {
		c.To = []string{readable(v.Account)}
	}
	c.fact("Invoice number", v.Number)
	if v.IssuedAt != nil {
		c.fact("Issued", o.issued(*v.IssuedAt, z))
	}
	c.fact("Billing period", period(v.CycleStart, v.CycleEnd, z))
	c.fact("Time zone", z.String())
	c.fact("Account", v.Account)
	c.fact("Stream", v.Stream)
	c.fact("Currency", v.Currency)
	c.fact("Status", statusWords(v))
	if name := names.Of(v.Rebills); name != "" {
		c.fact("Replaces", name+", which is void")
	}
	c.fact("Replaced by", names.Of(v.RebilledBy))

	c.Heads = []head{{"No.", true}, {"Description", false}, {"Basis", true}, {"Amount (" + readable(v.Currency) + ")", true}}
	rows := make([]row, len(v.Lines))
	for i, l := range v.Lines {
		rows[i] = row{[]cell{{Text: fmt.Sprint(l.Line), Number: true}, describe(l, names, z), basis(l), number(l.Amount.String())}}
	}
	c.rows(rows)
	c.settle(v)
	c.end(o, "Invoice "+v.ID.String()+", which holds what was recorded up to position "+fmt.Sprint(v.Watermark)+".")
	return c
}

// statusWords is what became of an invoice.
func statusWords(v billing.Invoice) string {
	switch v.Status {
	case billing.Ready:
		return "draft, not issued"
	case billing.Issued, billing.Sent:
		return "issued"
	case billing.PartPaid:
		return "paid in part"
	}
	return string(v.Status)
}

// describe says what a line bills.
func describe(l billing.Line, names billing.Names, z *time.Location) cell {
	c := cell{Text: readable(l.Charge)}
	what := ""
	charge, err := billing.ParseCharge(l.Definition)
	if err == nil {
		what = readable(charge.InWords(l.Amount.Currency))
	}
	switch {
	case l.Adjusts == billing.AdjustsManual:
		c.Text, what = "Adjustment", readable(l.Why)
	case charge.Model == billing.ModelAdjustment:
		what = "no longer charged"
	case charge.Model == billing.ModelFlat && l.PeriodDays > 0:
		what += fmt.Sprintf(", %d of %s", l.Days, counted(l.PeriodDays, "day"))
	case what != "":
		what += ", " + counted(l.Events, "event")
	default:
		what = counted(l.Events, "event")
	}
	c.Below = append(append(c.Below, what), tiers(l, charge)...)
	if l.Adjusts == billing.AdjustsTerms {
		c.Below = append(c.Below, because("By terms that were changed", l.Why))
	}
	if made := byWhom(l); made != "" {
		c.Below = append(c.Below, made)
	}
	if l.Late {
		late := "For " + period(l.OriginStart, l.OriginEnd, z)
		if name := names.Of(l.OriginInvoice); name != "" {
			late += ", billed first on " + readable(name)
		}
		c.Below = append(c.Below, late)
		if !l.Billed.Amount.IsZero() {
			now := billing.Money{Amount: l.Billed.Amount.Add(l.Amount.Amount), Currency: l.Amount.Currency}
			c.Below = append(c.Below, fmt.Sprintf("%s in all, less %s billed before", grouped(now.String()), grouped(l.Billed.String())))
		}
	}
	return c
}

// because is what happened and why, where that is known.
func because(what, why string) string {
	if why == "" {
		return what
	}
	return what + ": " + readable(why)
}

// byWhom says who made an adjustment, and who approved it where that was needed.
func byWhom(l billing.Line) string {
	if l.By == "" {
		return ""
	}
	made := "Made by "
	if l.Adjusts == billing.AdjustsTerms {
		made = "Recorded by "
	}
	if made += readable(l.By); l.ApprovedBy != "" {
		made += ", approved by " + readable(l.ApprovedBy)
	}
	return made
}

// maxTiers is how many tiers a line tells.
const maxTiers = 12

// tiers says how much is in which tier, and what that comes to, of a line that holds all of its cycle.
func tiers(l billing.Line, c billing.Charge) []string {
	if l.BeforeCounted > 0 || !l.Before.IsZero() {
		return nil
	}
	var out []string
	for i, hit := range l.Calculation.Tiers {
		if i == maxTiers {
			return append(out, counted(int64(len(l.Calculation.Tiers)-maxTiers), "further tier"))
		}
		if hit.Tier < 1 || hit.Tier > len(c.Tiers) {
			return nil
		}
		t := c.Tiers[hit.Tier-1]
		text := fmt.Sprintf("Tier %d: %s × %s", hit.Tier, grouped(hit.Units.String()), grouped(billing.Money{Amount: t.UnitAmount, Currency: l.Amount.Currency}.String()))
		if flat := hit.Amount.Sub(hit.Units.Mul(t.UnitAmount)); !flat.IsZero() {
			text += " + " + grouped(billing.Money{Amount: flat, Currency: l.Amount.Currency}.String())
		}
		out = append(out, text+" = "+grouped(billing.Money{Amount: hit.Amount, Currency: l.Amount.Currency}.String()))
	}
	return out
}

// basis is the sum that a line prices; empty where it counts.
func basis(l billing.Line) cell {
	charge, err := billing.ParseCharge(l.Definition)
	switch {
	case err != nil || charge.Sums() == "":
		return cell{Number: true}
	case charge.Measure == "amount":
		return number(billing.Money{Amount: l.Added, Currency: l.Amount.Currency}.String())
	}
	return number(l.Added.String())
}

// settle adds the total, what was credited and paid, and what is open.
func (c *content) settle(v billing.Invoice) {
	total := "Total"
	if v.Number == "" {
		total = "Total of the draft"
	}
	money := func(m decimal.Decimal) string {
		return grouped(billing.Money{Amount: m, Currency: v.Currency}.String())
	}
	c.Sums = append(c.Sums, sum{Name: total, Value: readable(v.Currency) + " " + money(v.Total.Amount), Strong: true})
	if v.Number == "" {
		return
	}
	for _, n := range v.CreditNotes {
		name := n.Number
		if name == "" {
			name = "being issued"
		}
		c.Sums = append(c.Sums, sum{Name: readable("Credit note " + name), Value: money(n.Total.Amount.Neg())})
	}
	for _, p := range v.Payments {
		c.Sums = append(c.Sums, sum{Name: readable("Payment of " + p.PaidOn + ", reference " + p.Reference), Value: money(p.Amount.Amount.Neg())})
	}
	if v.Status == billing.Void {
		c.Sums = append(c.Sums, sum{Name: "Void: nothing is to be paid", Settle: true})
		return
	}
	open := "Open amount"
	if v.Open.Amount.IsNegative() {
		open = "Open, in your favour"
	}
	c.Sums = append(c.Sums, sum{Name: open, Value: readable(v.Currency) + " " + money(v.Open.Amount), Settle: true})
}

// creditNoteContent is what a credit note says, beside the invoice that it corrects.
func creditNoteContent(n billing.CreditNote, v billing.Invoice, o Options) content {
	z := zone(v.Zone)
	c := content{Title: "Credit note", Name: readable(n.Number), From: readableLines(o.Letterhead.From), To: readableLines(o.Letterhead.To)}
	if n.Number == "" {
		c.Name, c.Stamp = "Draft", "DRAFT"
	}
	if len(c.To) == 0 {
		c.To = []string{readable(n.Account)}
	}
	c.fact("Credit note number", n.Number)
	if n.IssuedAt != nil {
		c.fact("Issued", o.issued(*n.IssuedAt, z))
	}
	c.fact("Corrects invoice", n.Corrects)
	if v.IssuedAt != nil {
		c.fact("Invoice issued", o.issued(*v.IssuedAt, z))
	}
	for _, other := range v.CreditNotes {
		if n.Cancels != nil && other.ID == *n.Cancels {
			c.fact("Cancels", "credit note "+other.Number)
		}
		if n.CancelledBy != nil && other.ID == *n.CancelledBy {
			c.fact("Cancelled by", "credit note "+other.Number)
		}
	}
	c.fact("Billing period", period(v.CycleStart, v.CycleEnd, z))
	c.fact("Time zone", z.String())
	c.fact("Account", n.Account)
	c.fact("Currency", n.Currency)
	c.fact("Reason", n.Reason)
	c.fact("Made by", n.By)
	c.fact("Reference", n.Reference)
	c.Heads = []head{{"Line", true}, {"Description", false}, {"Billed", true}, {"Credited (" + readable(n.Currency) + ")", true}}
	billed := map[int]billing.Line{}
	for _, l := range v.Lines {
		billed[l.Line] = l
	}
	rows := make([]row, len(n.Lines))
	for i, l := range n.Lines {
		rows[i] = row{[]cell{
			{Text: fmt.Sprint(l.Line), Number: true},
			credited(l, billed[l.Line], n.Corrects),
			number(billed[l.Line].Amount.String()),
			number(l.Amount.String()),
		}}
	}
	c.rows(rows)
	c.Sums = []sum{{Name: "Total credited", Value: readable(n.Currency) + " " + grouped(n.Total.String()), Strong: true}}
	c.end(o, "Credit note "+n.ID.String()+".")
	return c
}

// credited says which line a credit note takes back, and of an adjustment whose it was and why.
func credited(l billing.CreditNoteLine, billed billing.Line, corrects string) cell {
	c := cell{Text: readable(l.Charge), Below: []string{readable(fmt.Sprintf("line %d of invoice %s", l.Line, corrects))}}
	if billed.Adjusts == billing.AdjustsManual {
		c.Text = "Adjustment"
		c.Below = append(c.Below, readable(billed.Why))
	}
	if made := byWhom(billed); made != "" {
		c.Below = append(c.Below, made)
	}
	return c
}

// end says what stands on every document.
func (c *content) end(o Options, id string) {
	c.Notes = readableLines(o.Letterhead.Notes)
	c.Small = []string{id + " As of " + o.At.UTC().Format("2006-01-02 15:04") + " UTC."}
}
