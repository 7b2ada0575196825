package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"deltaledger/billing"
)

type termsCmd struct {
	Set  termsSetCmd  `cmd:"" help:"Record a version of the terms of an account, or of the default terms."`
	Show termsShowCmd `cmd:"" help:"Show the terms of an account: in force, their history, and the coming cycles."`

	Preview termsPreviewCmd `cmd:"" help:"Show the coming cycles of an account, and what its invoices would be now."`
}

type termsSetCmd struct {
	File string `required:"" placeholder:"FILE" help:"File with the terms as JSON; - is standard input."`
	By   string `placeholder:"NAME" help:"Who records them; without it the user of the system."`

	AdjustClosed bool   `help:"Let the charges count for closed cycles from effective_from on too, of the account or, of default terms, of every account that had default charges there: the next invoices bring the difference. See terms preview --closed."`
	Why          string `placeholder:"TEXT" help:"Why closed cycles are billed anew; it is kept."`
}

// Help is shown below the command's flags.
func (termsSetCmd) Help() string {
	return `Terms are only added. A version takes effect at the first boundary of a cycle that isn't before effective_from and isn't closed yet. Without account they are the default terms, of every account. What the terms of an account leave out is as in the default terms. Everything that is wrong is reported at once.

  {"account":"acme","effective_from":"2026-02-01","cadence":"monthly","anchor":"2026-01-01","zone":"Europe/London","grace":"48h",
   "group_by":"account","charges":[{"name":"sales","measure":"amount","types":["order.placed","order.returned"],"model":"sum"},
   {"name":"card fee","measure":"amount","filters":{"scheme":["visa","mastercard"]},"model":"percentage","rate":"1.5","fixed_amount":"0.10"},
   {"name":"calls","types":["call.made"],"model":"per_event","unit_amount":"0.0005","free_units":"1000"},
   {"name":"storage","measure":"quantity","model":"graduated","tiers":[{"up_to":"100","unit_amount":"0.10"},{"unit_amount":"0.08"}]}]}

  Models: sum, percentage, per_event, per_unit, graduated, volume, package, flat. Besides types and filters a charge may have currency, discounts, minimum, maximum and rounding_digits. What is free, and the maximum, are of each cycle, or with "free_per":"contract" and "maximum_per":"contract" of all cycles of the contract together: those whose terms name the same contract.

  {"account":"initech","contract":"2026/017","charges":[{"name":"calls","types":["call.made"],"model":"per_event","unit_amount":"0.01","free_units":"50000","free_per":"contract","maximum":"2000","maximum_per":"contract"}]}

  {"account":"globex","start":"2026-02-10","anchor":"anniversary","grace":"5d"}

  deltaledger terms set --file acme.json --by jane`
}

// Run records the terms.
func (c *termsSetCmd) Run(ctx context.Context, s *session) error {
	raw, err := readFile(s, c.File, billing.MaxTermsBytes)
	if err != nil {
		return err
	}
	if c.AdjustClosed != (c.Why != "") {
		return usagef("--adjust-closed and --why need each other: closed cycles are billed anew for a reason that is kept")
	}
	return withApp(ctx, s, func(a *app) error {
		closed := billing.ClosedTerms{}
		record := func() (billing.Terms, error) { return a.billing.SetTerms(ctx, raw, s.user(c.By)) }
		if c.AdjustClosed {
			record = func() (_ billing.Terms, err error) {
				closed, err = a.billing.AdjustClosed(ctx, raw, c.Why, s.user(c.By))
				return closed.Terms, err
			}
		}
		recorded, err := record()
		if wrong, ok := errors.AsType[*billing.TermsError](err); ok {
			return termsProblems(c.File, wrong)
		}
		if err != nil {
			return err
		}
		t := table{columns: termsColumns()}
		t.add(termsCells(recorded)...)
		shown := versionOf(recorded)
		if c.AdjustClosed {
			if recorded.Account == "" {
				shown.AdjustsAccounts, shown.LeftOut = &closed.Accounts, &closed.LeftOut
				t.note = fmt.Sprintf("its charges count for closed cycles of %s too, and %d are left out: their next closes bring the difference", plural(closed.Accounts, "account"), closed.LeftOut)
				return s.show(shown, t)
			}
			shown.AdjustsFrom, shown.AdjustsThrough = stamp(closed.From), stamp(closed.Through)
			t.note = fmt.Sprintf("its charges count for the closed cycles from %s to %s too: the next close brings the difference", day(closed.From, recorded.Zone), day(closed.Through, recorded.Zone))
		}
		return s.show(shown, t)
	})
}

// termsProblems names everything that is wrong, a line each.
func termsProblems(file string, wrong *billing.TermsError) error {
	lines := make([]error, len(wrong.Problems))
	for i, p := range wrong.Problems {
		lines[i] = fmt.Errorf("%s: %s", file, p.String())
	}
	return usage(errors.Join(lines...))
}

type termsShowCmd struct {
	Account string `arg:"" optional:"" help:"The account; without it the default terms."`
}

// termsVersion is one version as it is shown.
type termsVersion struct {
	Version   int64           `json:"version"` // 0: built in
	Terms     json.RawMessage `json:"terms"`
	Inherited []string        `json:"inherited,omitempty"` // fields that come from the default terms
	Base      int64           `json:"base,omitempty"`      // of the terms in force: the version that they come from

	AdjustsFrom    string `json:"adjusts_from,omitempty"`    // of terms recorded for closed cycles: start of the first
	AdjustsThrough string `json:"adjusts_through,omitempty"` // end of the last

	AdjustsAccounts *int64 `json:"adjusts_accounts,omitempty"` // of default terms: how many accounts they were recorded for
	LeftOut         *int64 `json:"left_out,omitempty"`         // and how many they can't be
}

func versionOf(t billing.Terms) termsVersion {
	return termsVersion{Version: t.Version, Terms: t.JSON(), Inherited: append(t.Left(), t.Inherited()...), Base: t.Base}
}

// termsView is the result of terms show.
type termsView struct {
	Account string         `json:"account"`
	InForce termsVersion   `json:"in_force"`
	History []termsVersion `json:"history"`
	Coming  []comingCycle  `json:"coming"`
}

type comingCycle struct {
	Start string `json:"start"`
	End   string `json:"end"` // exclusive
}

// Run shows the terms.
func (c *termsShowCmd) Run(ctx context.Context, s *session) error {
	return withApp(ctx, s, func(a *app) error {
		v, err := a.billing.TermsOf(ctx, c.Account)
		if err != nil {
			return err
		}
		view := termsView{Account: v.Account, InForce: versionOf(v.InForce), History: []termsVersion{}, Coming: []comingCycle{}}
		t := table{columns: append(termsColumns(), text("in_force"))}
		for _, h := range v.History {
			view.History = append(view.History, versionOf(h))
			mark := ""
			if h.Version == v.InForce.Version {
				mark = "now"
			} else if h.Version == v.InForce.Base && len(v.InForce.Inherited()) > 0 {
				mark = "fills in"
			}
			t.add(append(termsCells(h), mark)...)
		}
		t.note = "cycles:"
		for _, cy := range v.Coming {
			view.Coming = append(view.Coming, comingCycle{stamp(cy.Start), stamp(cy.End)})
			t.note += fmt.Sprintf("\n  %s to %s (%s)", day(cy.Start, v.InForce.Zone), day(cy.End, v.InForce.Zone), v.InForce.Zone)
		}
		return s.show(view, t)
	})
}

func termsColumns() []column {
	return []column{number("version"), text("account").optional(), text("effective_from").optional(), text("start").optional(), text("cadence"), text("anchor"), text("zone"), text("grace"), text("group_by"), text("contract").optional(), text("charges")}
}

func termsCells(t billing.Terms) []string {
	charges := ""
	for i, c := range t.Charges {
		if i > 0 {
			charges += ", "
		}
		charges += c.Name + ": " + c.InWords("")
	}
	from, start := "", "" // always; unknown
	if !t.EffectiveFrom.IsZero() {
		from = day(t.EffectiveFrom, t.Zone)
	}
	if !t.StartsAt.IsZero() {
		start = day(t.StartsAt, t.Zone)
	}
	cadence := string(t.Cadence)
	if t.Every > 1 {
		cadence += fmt.Sprintf(", every %d", t.Every)
	}
	left := t.Left()
	or := func(field, written string) string {
		if slices.Contains(left, field) {
			return "(default)"
		}
		return written
	}
	return []string{
		fmt.Sprint(t.Version), t.Account, from, start, or("cadence", cadence), or("anchor", t.Anchor.String()), or("zone", t.Zone.String()),
		or("grace", shortDuration(t.Grace)), or("group_by", string(t.GroupBy)), t.Contract, or("charges", charges),
	}
}
