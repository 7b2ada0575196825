package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"deltaledger/billing"
)

// problems says what of line i doesn't agree with the terms, with earlier lines, and with what it brings.
func (v *recomputed) problems(i int) []string {
	l, w := v.lines[i], v.wanted[i]
	problems := slices.Concat(v.of.termsProblems(l, v.charges[i]), v.of.reratingProblems(l), v.of.adjustmentProblems(l))
	for _, c := range []comparison{
		{"billed before", l.earlier, w.billed, l.earlier.Equal(w.billed)},
		{"sum before", l.before.Sum, w.before.Sum, l.before.Sum.Equal(w.before.Sum)},
		{"events before", count(l.before.Count), count(w.before.Count), l.before.Count == w.before.Count},
		{"first events before", firsts(l.before.First), firsts(w.before.First), firsts(l.before.First).String() == firsts(w.before.First).String()},
		{"carried into the cycle before", carried{l.before.Carried}, carried{w.before.Carried}, carried{l.before.Carried}.String() == carried{w.before.Carried}.String()},
		{"spent before", l.spentBefore(), w.spentBefore, l.spentBefore().Equal(w.spentBefore)},
	} {
		if !c.same {
			problems = append(problems, fmt.Sprintf("%s %s, but %s by the lines of invoices before it", c.what, c.stands, c.wanted))
		}
	}
	if l.leans() {
		problems = append(problems, l.firstProblems(w)...)
	}
	return problems
}

func (l invoiceLine) spentBefore() decimal.Decimal {
	if l.contract == nil {
		return decimal.Zero
	}
	return l.contract.SpentBefore
}

// carried is what was carried into a cycle as a finding names it.
type carried struct{ *billing.Carried }

func (c carried) String() string {
	if c.Carried == nil {
		return "nothing"
	}
	return c.Carried.String()
}

// firstProblems holds which invoice billed the cycle first, and by which versions it was billed, against earlier lines.
func (l invoiceLine) firstProblems(w wanted) (problems []string) {
	if l.late == l.origin.Equal(l.cycle) {
		problems = append(problems, fmt.Sprintf("late is %t, but its invoice is of the cycle from %s", l.late, l.cycle.Format(time.RFC3339)))
	}
	if l.late && len(w.lines) > 0 {
		first := w.lines[0]
		for _, own := range []bool{false, true} { // that of the cycle itself may have been billed again after others
			if i := slices.IndexFunc(w.lines, func(e writtenLine) bool { return e.outcome == "" && (e.own || !own) }); i >= 0 {
				first = w.lines[i]
			}
		}
		if l.first == nil || *l.first != first.invoice {
			problems = append(problems, fmt.Sprintf("it names %s as the invoice that billed its cycle first, but that is %s", named(l.first), first.invoice))
		}
	} else if l.first != nil {
		problems = append(problems, fmt.Sprintf("it names %s as the invoice that billed its cycle first, but none did", l.first))
	}
	live := counting(w.lines)
	if l.rerating == nil || len(live) == 0 {
		return problems
	}
	same := slices.DeleteFunc(slices.Clone(live), func(e writtenLine) bool { return e.charge != l.charge })
	if len(same) == 0 {
		same = live
	}
	var versions []int64
	for _, e := range same {
		versions = append(versions, e.terms)
	}
	slices.Sort(versions)
	if versions = slices.Compact(versions); !slices.Equal(versions, l.termsBefore) {
		problems = append(problems, fmt.Sprintf("terms before %v, but %v by the lines of invoices before it", l.termsBefore, versions))
	}
	return problems
}

func named(id *uuid.UUID) string {
	if id == nil {
		return "none"
	}
	return id.String()
}

// chargesOf reads the terms of the accounts of lines.
func (u *run) chargesOf(ctx context.Context, tx pgx.Tx, lines []invoiceLine) (func(string, int64) ([]billing.Charge, bool), error) {
	accounts := []string{}
	for _, l := range lines {
		accounts = append(accounts, l.account)
	}
	slices.Sort(accounts)
	return u.billing.ChargesTx(ctx, tx, slices.Compact(accounts))
}

// termsProblems holds the charge of a line against the terms that it names. What a rerating takes back has a charge of
// its own making, and so has an adjustment.
func (h *history) termsProblems(l invoiceLine, c billing.Charge) []string {
	if c.Model == billing.ModelAdjustment {
		if l.rerating == nil && l.adjustment == nil {
			return []string{"it is an adjustment line, and names neither an adjustment nor terms for closed cycles"}
		}
		return nil
	}
	charges, found := h.charges(l.account, l.terms)
	i := slices.IndexFunc(charges, func(t billing.Charge) bool { return t.Name == l.charge })
	switch {
	case !found:
		return []string{fmt.Sprintf("it is by version %d of the terms, which there isn't", l.terms)}
	case i < 0:
		return []string{fmt.Sprintf("version %d of the terms has no such charge", l.terms)}
	case charges[i].Definition() != c.Definition():
		return []string{fmt.Sprintf("its charge is %s, but %s by version %d of the terms", c.Definition(), charges[i].Definition(), l.terms)}
	}
	return nil
}

// joined is problems as one error; nil for none.
func joined(problems []string) error {
	if len(problems) == 0 {
		return nil
	}
	return errors.New(strings.Join(problems, ", ")) // on one line, as a finding is shown
}
