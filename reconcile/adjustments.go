package reconcile

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"deltaledger/ledger/pg"
)

// adjustment is what a person had billed, with what another one decided on it, and where it is billed.
type adjustment struct {
	id        uuid.UUID
	currency  string
	amount    decimal.Decimal
	origin    *time.Time
	waits     bool
	above     decimal.NullDecimal
	madeBy    string
	position  int64
	outcome   string // empty: there is no decision
	decidedOn string // who made the adjustment, as the decision has it
	decidedBy string
	decided   int64       // position of the decision
	lines     []lineOf    // that bill it
	chances   []closeOnce // the runs that could have billed it
}

// lineOf is an invoice with a line of an adjustment.
type lineOf struct {
	invoice  uuid.UUID
	position int64
	outcome  string
	voided   int64
}

// closeOnce is a run that billed the account something.
type closeOnce struct{ run, watermark int64 }

const sqlAdjustmentsOfLines = `
SELECT a.id, a.currency, a.amount, a.origin_start, a.waits, a.above, a.made_by, a.position,
       COALESCE(d.outcome, ''), COALESCE(d.made_by, ''), COALESCE(d.decided_by, ''), COALESCE(d.position, 0)
FROM billing.adjustments a
LEFT JOIN billing.adjustment_decisions d ON d.account = a.account AND d.adjustment = a.id
WHERE a.account = $1 AND a.id = ANY($2)`

const sqlLinesOfAdjustments = `
SELECT l.adjustment, l.invoice_id, i.position, COALESCE(v.outcome, ''), COALESCE(v.position, 0)
FROM billing.invoice_lines l
JOIN billing.invoices i ON i.account = l.account AND i.id = l.invoice_id
LEFT JOIN billing.voids v ON v.account = l.account AND v.invoice_id = l.invoice_id
WHERE l.account = $1 AND l.adjustment = ANY($2)`

// The first run of the account that had to bill each adjustment: its watermark is not below it, nor below its decision.
const sqlChances = `
SELECT a.id, c.run, c.watermark
FROM billing.adjustments a
LEFT JOIN billing.adjustment_decisions d ON d.account = a.account AND d.adjustment = a.id
CROSS JOIN LATERAL (
    SELECT i.run, i.watermark
    FROM billing.invoices i
    WHERE i.account = a.account AND i.run IS NOT NULL AND i.watermark >= greatest(a.position, d.position)
    ORDER BY i.run
    LIMIT 1
) c
WHERE a.account = $1 AND a.id = ANY($2)`

func (h *history) readAdjustments(ctx context.Context, tx pgx.Tx, account string, ids []uuid.UUID) error {
	if len(ids) == 0 {
		return nil
	}
	var a adjustment
	err := pg.ForEach(ctx, tx, []any{&a.id, &a.currency, &a.amount, &a.origin, &a.waits, &a.above, &a.madeBy, &a.position, &a.outcome, &a.decidedOn, &a.decidedBy, &a.decided}, func() error {
		h.adjustments[a.id] = a
		a.origin = nil
		return nil
	}, sqlAdjustmentsOfLines, account, ids)
	if err != nil {
		return fmt.Errorf("read adjustments: %w", err)
	}
	var id uuid.UUID
	var l lineOf
	err = pg.ForEach(ctx, tx, []any{&id, &l.invoice, &l.position, &l.outcome, &l.voided}, func() error {
		a := h.adjustments[id]
		a.lines = append(a.lines, l)
		h.adjustments[id] = a
		return nil
	}, sqlLinesOfAdjustments, account, ids)
	if err != nil {
		return fmt.Errorf("read the lines of adjustments: %w", err)
	}
	var c closeOnce
	err = pg.ForEach(ctx, tx, []any{&id, &c.run, &c.watermark}, func() error {
		a := h.adjustments[id]
		a.chances = append(a.chances, c)
		h.adjustments[id] = a
		return nil
	}, sqlChances, account, ids)
	return wrap(err, "read when adjustments could be billed")
}

// known is the position through which what the invoice of l brings has to be recorded.
func (l invoiceLine) known() int64 {
	if l.run == nil {
		return l.position
	}
	return l.watermark
}

// adjustmentProblems holds a line against the adjustment that it bills.
func (h *history) adjustmentProblems(l invoiceLine) (problems []string) {
	if l.adjustment == nil {
		return nil
	}
	find := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	a := h.adjustments[*l.adjustment]
	if a.id == uuid.Nil {
		return []string{fmt.Sprintf("it bills adjustment %s, which the account doesn't have", l.adjustment)}
	}
	if !a.amount.Equal(l.amount) {
		find("amount %s, but %s by adjustment %s", l.amount, a.amount, a.id)
	}
	if a.currency != l.currency || l.stream != "" {
		find("it is on an invoice in %s of %q, but adjustment %s is in %s and of the account", l.currency, l.stream, a.id, a.currency)
	}
	if of := l.cycle; !l.origin.Equal(pick(a.origin, of)) {
		find("it is of the cycle from %s, but adjustment %s of that from %s", l.origin.Format(time.RFC3339), a.id, pick(a.origin, of).Format(time.RFC3339))
	}
	if a.position > l.known() {
		find("adjustment %s was made at position %d, and the invoice bills what was there at %d", a.id, a.position, l.known())
	}
	for _, c := range a.chances {
		if l.run != nil && c.run < *l.run {
			find("adjustment %s was ready for run %d at watermark %d, and is billed by run %d: was its decision another one then", a.id, c.run, c.watermark, *l.run)
		}
	}
	for _, o := range a.lines {
		if o.position < l.position && (o.outcome != "rebill" || o.voided > l.position) {
			find("invoice %s bills adjustment %s too", o.invoice, a.id)
		}
	}
	return append(problems, a.decisionProblems(l)...)
}

// decisionProblems says why the adjustment can't be billed by what was decided on it.
func (a adjustment) decisionProblems(l invoiceLine) (problems []string) {
	find := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	if above := a.above.Valid && a.amount.Abs().GreaterThan(a.above.Decimal); above != a.waits {
		find("adjustment %s says %t of whether it waits for a decision, but its amount %s and the limit %s say %t", a.id, a.waits, a.amount, a.limit(), above)
	}
	switch {
	case !a.waits && a.outcome != "":
		find("adjustment %s doesn't wait for a decision, but has one: %s by %s", a.id, a.outcome, a.decidedBy)
	case !a.waits:
	case a.outcome == "":
		find("it bills adjustment %s, which waits for a decision: expected approved, there is none", a.id)
	case a.outcome != "approved":
		find("it bills adjustment %s: expected approved, but %s %s it", a.id, a.decidedBy, a.outcome)
	case a.decidedOn != a.madeBy || strings.EqualFold(strings.TrimSpace(a.decidedBy), strings.TrimSpace(a.madeBy)):
		find("it bills adjustment %s of %s, which another person has to approve, but the decision is of %s on one of %s", a.id, a.madeBy, a.decidedBy, a.decidedOn)
	case a.decided > l.known():
		find("adjustment %s was approved at position %d, and the invoice bills what was ready at %d", a.id, a.decided, l.known())
	}
	return problems
}

func (a adjustment) limit() string {
	if !a.above.Valid {
		return "none"
	}
	return a.above.Decimal.String()
}

func pick(t *time.Time, otherwise time.Time) time.Time {
	if t == nil {
		return otherwise
	}
	return t.UTC()
}

// rerating says that closed cycles have the charges of further terms.
type rerating struct {
	terms         int64
	from, through time.Time
	position      int64
	run           *int64 // that brought it
}

const sqlReratingsOf = `
SELECT r.terms, r.from_at, r.through_at, r.position, d.run
FROM billing.reratings r
LEFT JOIN billing.rerated d ON d.account = r.account AND d.terms = r.terms
WHERE r.account = $1
ORDER BY r.terms`

func (h *history) readReratings(ctx context.Context, tx pgx.Tx, account string) error {
	rows, err := tx.Query(ctx, sqlReratingsOf, account)
	if err != nil {
		return fmt.Errorf("read terms of closed cycles: %w", err)
	}
	h.reratings, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (r rerating, err error) {
		err = row.Scan(&r.terms, &r.from, &r.through, &r.position, &r.run)
		return r, err
	})
	return wrap(err, "read terms of closed cycles")
}

func (r rerating) holds(at time.Time) bool { return !at.Before(r.from) && at.Before(r.through) }

// rerated reports whether the cycle of a line had other charges than it was billed by first.
func (h *history) rerated(l invoiceLine) bool {
	return l.rerating != nil || slices.ContainsFunc(h.reratings, func(r rerating) bool { return r.position < l.position && r.holds(l.origin) })
}

// reratingProblems holds a line that brings other charges of a closed cycle against what was recorded of these.
func (h *history) reratingProblems(l invoiceLine) (problems []string) {
	if l.rerating == nil {
		return nil
	}
	find := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	i := slices.IndexFunc(h.reratings, func(r rerating) bool { return r.terms == *l.rerating })
	if i < 0 {
		return []string{fmt.Sprintf("it brings version %d of the terms to a closed cycle, for which that version isn't recorded", *l.rerating)}
	}
	r := h.reratings[i]
	if !r.holds(l.origin) {
		find("it brings version %d of the terms to the cycle from %s, but that version is recorded for closed cycles from %s to %s",
			r.terms, l.origin.Format(time.RFC3339), r.from.UTC().Format(time.RFC3339), r.through.UTC().Format(time.RFC3339))
	}
	if r.position > l.known() {
		find("version %d of the terms was recorded for closed cycles at position %d, and the invoice goes by what was there at %d", r.terms, r.position, l.known())
	}
	if l.run == nil { // a rebill says again what counts by now
		return problems
	}
	if r.run == nil || *r.run != *l.run {
		find("it brings version %d of the terms in run %d, but the run that brought it is %s", r.terms, *l.run, run64(r.run))
	}
	for _, o := range h.reratings[i+1:] {
		if o.position <= l.watermark && o.holds(l.origin) {
			find("it brings version %d of the terms, but version %d was recorded for its cycle after that", r.terms, o.terms)
		}
	}
	return problems
}

func run64(run *int64) string {
	if run == nil {
		return "none"
	}
	return fmt.Sprint(*run)
}

// What a close had to bring and didn't: adjustments that were ready at its watermark, and terms for closed cycles.
const sqlForgotten = `
SELECT w.account, s.adjustment::text, format('adjustment %s of %s %s was ready at position %s, and run %s billed the account at watermark %s without it', s.adjustment, a.amount, a.currency, s.position, c.run, c.watermark)
FROM unnest($1::text[]) AS w (account)
JOIN billing.adjustment_states s ON s.account = w.account AND s.status = 'ready' AND s.position <= $2
JOIN billing.adjustments a ON a.account = s.account AND a.id = s.adjustment
CROSS JOIN LATERAL (
    SELECT i.run, i.watermark
    FROM billing.invoices i
    WHERE i.account = w.account AND i.run IS NOT NULL AND i.watermark >= s.position
    ORDER BY i.run
    LIMIT 1
) c
UNION ALL
SELECT w.account, r.terms::text, format('version %s of the terms was recorded for closed cycles at position %s, and run %s closed the account at watermark %s without it', r.terms, r.position, c.run, c.watermark)
FROM unnest($1::text[]) AS w (account)
JOIN billing.reratings r ON r.account = w.account AND r.position <= $2
CROSS JOIN LATERAL (
    SELECT k.run, k.watermark
    FROM billing.closes k
    WHERE k.account = w.account AND k.watermark >= r.position
    ORDER BY k.run
    LIMIT 1
) c
WHERE NOT EXISTS (SELECT FROM billing.rerated d WHERE d.account = r.account AND d.terms = r.terms)
ORDER BY 1, 2`

// checkAdjustments finds adjustments and terms of closed cycles that a close passed.
func (u *run) checkAdjustments(ctx context.Context, tx pgx.Tx) error {
	for accounts := range slices.Chunk(u.accounts, pageOfAccounts) {
		var account, subject, detail string
		err := pg.ForEach(ctx, tx, []any{&account, &subject, &detail}, func() error {
			figures, _ := json.Marshal(map[string]string{"passed": subject}) // a string: nothing to fail
			u.add(Finding{
				Fingerprint: fingerprint(checkAdjustments, account, subject), Check: checkAdjustments, Account: account, Subject: figures,
				Detail: fmt.Sprintf("account %s: %s", account, detail),
			})
			return nil
		}, sqlForgotten, accounts, u.at.Position)
		if err != nil {
			return fmt.Errorf("read adjustments that wait: %w", err)
		}
	}
	u.checked(checkAdjustments, int64(len(u.accounts)), "accounts")
	return nil
}
