package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"deltaledger/billing"
)

// closedOfAll shows what changes for closed cycles of all accounts, page by page, so that any number of them can be looked at.
func (c *termsPreviewCmd) closedOfAll(ctx context.Context, s *session, a *app, r billing.PreviewRequest) error {
	out := s.newRows([]column{text("account"), number("changes"), number("difference"), text("left_out")}, false)
	total := closedTotal{sums: map[string]billing.Money{}}
	const accounts = 1000 // that are looked at before their lines are written
	ask := billing.ClosedPageRequest{Terms: r.Terms, AsOf: r.AsOf, After: c.After, Limit: accounts}
	for {
		p, err := a.billing.PreviewClosedAccounts(ctx, ask)
		if wrong, ok := errors.AsType[*billing.TermsError](err); ok {
			return termsProblems(c.File, wrong)
		}
		if err != nil {
			return err
		}
		for _, account := range p.Accounts {
			total.add(account)
			if err := out.add(account, []string{account.Account, fmt.Sprint(account.Changes), sumsText(account.Sums), account.LeftOut}); err != nil {
				return err
			}
		}
		ask.AsOf, ask.After = fmt.Sprint(p.AsOf.Position), p.Next
		total.looked += p.Looked
		if p.Next == "" {
			return out.end(total.note(p))
		}
	}
}

// closedTotal adds up what changes.
type closedTotal struct {
	looked, changed, leftOut int64
	sums                     map[string]billing.Money
}

func (t *closedTotal) add(account billing.ClosedAccount) {
	if account.LeftOut != "" {
		t.leftOut++
		return
	}
	t.changed++
	for code, sum := range account.Sums {
		t.sums[code] = billing.Money{Amount: t.sums[code].Amount.Add(sum.Amount), Currency: code}
	}
}

func (t *closedTotal) note(p billing.ClosedPage) string {
	note := fmt.Sprintf("%s looked at; the next closes change the bills of %d", plural(t.looked, "account"), t.changed)
	if len(t.sums) > 0 {
		note += " by " + sumsText(t.sums)
	}
	if t.leftOut > 0 {
		note += fmt.Sprintf(", and %d are left out", t.leftOut)
	}
	return note + ", " + asOfNote(p.AsOf)
}

// sumsText is a sum in each currency.
func sumsText(sums map[string]billing.Money) string {
	var texts []string
	for _, code := range slices.Sorted(maps.Keys(sums)) {
		texts = append(texts, sums[code].String()+" "+code)
	}
	return strings.Join(texts, ", ")
}
