package reconcile_test

import (
	"strings"
	"testing"

	"deltaledger/billing"
)

const (
	percents = `{"account":"acme","effective_from":"2026-01-01","approve_above":"50","charges":[{"name":"fee","model":"percentage","measure":"amount","rate":"10"}]}`
	// The same for closed cycles, dearer and with a charge more.
	dearer = `{"account":"acme","effective_from":"2026-01-01","approve_above":"50","charges":[{"name":"fee","model":"percentage","measure":"amount","rate":"20"},{"name":"calls","model":"per_event","unit_amount":"1"}]}`
)

// adjusted are books whose February bills a late event of January, an adjustment that needed nobody, one that another person
// approved, and terms that were recorded for January afterwards. One more adjustment was rejected.
func adjusted(t *testing.T) *books {
	t.Helper()
	k := open(t)
	k.terms(percents)
	k.record(sale("acme", 1, 1, "sold", "100"), sale("acme", 1, 2, "sold", "50"))
	k.close("2026-01-31")
	k.record(sale("acme", 1, 3, "sold", "7"), sale("acme", 2, 1, "sold", "10"))
	k.adjust("5", "small", "")
	k.adjust("70", "large", billing.Approved)
	k.adjust("90", "refused", billing.Rejected)
	if _, err := k.b.AdjustClosed(t.Context(), []byte(dearer), "agreed late", "kim"); err != nil {
		t.Fatal(err)
	}
	k.close("2026-02-28")
	return k
}

func (k *books) terms(raw string) {
	k.Helper()
	if _, err := k.b.SetTerms(k.Context(), []byte(raw), "kim"); err != nil {
		k.Fatal(err)
	}
}

// adjust makes an adjustment of acme, and decides on it if there is an outcome.
func (k *books) adjust(amount, reference, outcome string) {
	k.Helper()
	a, err := k.b.Adjust(k.Context(), billing.AdjustRequest{Account: "acme", Amount: amount, Currency: "EUR", Reason: "agreed", Reference: reference, By: "kim"})
	if err == nil && outcome != "" {
		_, err = k.b.Decide(k.Context(), billing.DecideRequest{Adjustment: a.ID.String(), Outcome: outcome, Why: "looked at", By: "jane"})
	}
	if err != nil {
		k.Fatal(err)
	}
}

// What a line says of the lines before it, of its adjustment, of what was decided on that, and of terms for closed cycles is
// held against the tables that say it: whatever is changed on either side, the finding names it.
func TestWhatLinesLeanOnIsFoundAgain(t *testing.T) {
	t.Parallel()
	const unlocked = "SET session_replication_role = replica; ALTER TABLE billing.invoice_lines DISABLE TRIGGER ALL; ALTER TABLE billing.adjustments DISABLE TRIGGER ALL; " +
		"ALTER TABLE billing.adjustment_decisions DISABLE TRIGGER ALL; ALTER TABLE billing.reratings DISABLE TRIGGER ALL; ALTER TABLE billing.rerated DISABLE TRIGGER ALL; ALTER TABLE billing.terms DISABLE TRIGGER ALL; ALTER TABLE billing.invoices DISABLE TRIGGER ALL; "
	const (
		brought = ` WHERE charge = 'fee' AND rerating IS NOT NULL`
		ofLarge = ` WHERE adjustment = (SELECT id FROM billing.adjustments WHERE reference = 'large')`
		large   = ` WHERE reference = 'large'`
	)
	for name, c := range map[string]struct {
		sql, check, says string
	}{
		"nothing": {"SELECT 1", "", ""},
		"what is billed before, and the amount with it": {
			"UPDATE billing.invoice_lines SET billed = billed - 3, amount = amount + 3" + brought + "; UPDATE billing.invoices SET total = total + 3 WHERE cycle_start >= '2026-02-01Z'",
			"invoice", `("fee" of the cycle from 2026-01-01T00:00:00Z): billed before 12, but 15 by the lines of invoices before it`,
		},
		"the sum before":              {"UPDATE billing.invoice_lines SET before = before + 1" + brought, "invoice", "sum before 151, but 150 by the lines of invoices before it"},
		"the events before":           {"UPDATE billing.invoice_lines SET before_counted = 7" + brought, "invoice", "events before 7, but 2 by the lines of invoices before it"},
		"the terms before":            {"UPDATE billing.invoice_lines SET terms_before = '[9]'" + brought, "invoice", "terms before [9], but [1] by the lines of invoices before it"},
		"which invoice was the first": {"UPDATE billing.invoice_lines SET origin_invoice = gen_random_uuid()" + brought, "invoice", "as the invoice that billed its cycle first, but that is"},
		"that nothing is before":      {"UPDATE billing.invoice_lines SET billed = 3, amount = amount - 3 WHERE NOT late AND charge = 'fee' AND origin_start >= '2026-02-01Z'", "invoice", "billed before 3, but 0 by the lines of invoices before it"},
		"an earlier line":             {"UPDATE billing.invoice_lines SET amount = 16, exact = 16 WHERE NOT late AND origin_start < '2026-02-01Z'", "invoice", "billed before 15, but 16 by the lines of invoices before it"},
		"the charge of a line":        {`UPDATE billing.invoice_lines SET definition = definition || '{"rate":"30"}'` + brought, "invoice", `"rate":"30"`},
		"the charge in the terms":     {`UPDATE billing.terms SET terms = jsonb_set(terms, '{charges,0,rate}', '"25"') WHERE n = 2`, "invoice", `"rate":"25"`},
		"the amount of an adjustment": {"UPDATE billing.adjustments SET amount = 80" + large, "invoice", "amount 70, but 80 by adjustment"},
		"the amount of its line":      {`UPDATE billing.invoice_lines SET amount = 71, exact = 71, definition = definition || '{"amount":"71"}'` + ofLarge, "invoice", "amount 71, but 70 by adjustment"},
		"the currency of one":         {"UPDATE billing.adjustments SET currency = 'USD'" + large, "invoice", "is in USD and of the account"},
		"the cycle of one":            {"UPDATE billing.adjustments SET origin_start = '2026-01-01Z'" + large, "invoice", "of that from 2026-01-01T00:00:00Z"},
		"which one a line bills":      {"UPDATE billing.invoice_lines SET adjustment = (SELECT id FROM billing.adjustments WHERE reference = 'refused')" + ofLarge, "invoice", "jane rejected it"},
		"that one waited":             {"ALTER TABLE billing.adjustments DROP CONSTRAINT adjustments_waits; UPDATE billing.adjustments SET waits = false" + large, "invoice", "says false of whether it waits for a decision, but its amount 70 and the limit 50 say true"},
		"when one was made":           {"UPDATE billing.adjustments SET position = 1000000" + large, "invoice", "was made at position 1000000"},
		"a decision":                  {"UPDATE billing.adjustment_decisions SET outcome = 'rejected'", "invoice", "expected approved, but jane rejected it"},
		"who decided":                 {"ALTER TABLE billing.adjustment_decisions DROP CONSTRAINT adjustment_decisions_two_people; UPDATE billing.adjustment_decisions SET decided_by = 'Kim '", "invoice", "which another person has to approve"},
		"whose it was":                {"UPDATE billing.adjustment_decisions SET made_by = 'ann'", "invoice", "but the decision is of jane on one of ann"},
		"when it was decided":         {"UPDATE billing.adjustment_decisions SET position = 1000000 WHERE outcome = 'approved'", "invoice", "was approved at position 1000000"},
		"that it was decided":         {"DELETE FROM billing.adjustment_decisions", "invoice", "expected approved, there is none"},
		"that it was rejected":        {"UPDATE billing.adjustment_decisions SET outcome = 'approved'", "adjustments", "of 90 EUR was ready at position"},
		"that an adjustment is there": {"DELETE FROM billing.adjustments" + large, "invoice", "which the account doesn't have"},
		"cycles of a rerating":        {"UPDATE billing.reratings SET from_at = '2025-12-01Z', through_at = '2026-01-01Z'", "invoice", "but that version is recorded for closed cycles from 2025-12-01T00:00:00Z to 2026-01-01T00:00:00Z"},
		"terms of a rerating":         {"UPDATE billing.reratings SET terms = 1", "invoice", "for which that version isn't recorded"},
		"when a rerating was made":    {"UPDATE billing.reratings SET position = 1000000", "invoice", "was recorded for closed cycles at position 1000000"},
		"that a rerating was brought": {"DELETE FROM billing.rerated", "adjustments", "version 2 of the terms was recorded for closed cycles at position"},
		"which rerating a line brings": {
			"UPDATE billing.invoice_lines SET rerating = 1" + brought, "invoice", "it brings version 1 of the terms to a closed cycle, for which that version isn't recorded",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := adjusted(t)
			k.tamper(unlocked + c.sql)
			res := k.run(true)
			if c.check == "" {
				k.want(res, 0, 0)
				return
			}
			var said []string
			for _, f := range res.Findings {
				said = append(said, f.Check+": "+f.Detail)
				if f.Check == c.check && f.Account == "acme" && strings.Contains(f.Detail, c.says) && strings.Contains(f.Detail, "account acme") {
					return
				}
			}
			t.Errorf("no finding of %s says %q:\n%s", c.check, c.says, strings.Join(said, "\n"))
		})
	}
}
