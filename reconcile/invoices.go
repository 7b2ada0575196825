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

	"deltaledger/billing"
	"deltaledger/ledger"
)

// invoiceLine is one line with the invoice that it is on.
type invoiceLine struct {
	account     string
	invoice     uuid.UUID
	currency    string
	stream      string          // of the invoice; empty: the account's
	position    int64           // of the invoice
	watermark   int64           // of the invoice
	run         *int64          // that wrote the invoice; nil: a void did
	rebills     *uuid.UUID      // the invoice that it takes the place of
	cycle       time.Time       // start of the invoice's own
	total       decimal.Decimal // of the invoice
	billed      int64           // events that the invoice says it bills
	rows        int64           // rows that it says it pins
	counts      *uuid.UUID      // the invoice that it takes the place of, if that counts all the same
	number      int
	charge      string
	terms       int64
	definition  []byte
	origin      time.Time
	late        bool
	first       *uuid.UUID // late: the invoice that billed its cycle first, as the line names it
	rerating    *int64
	termsBefore []int64
	adjustment  *uuid.UUID
	pinned      int64
	events      int64
	added       decimal.Decimal
	firstEvents []billing.FirstEvent
	days        int64 // of a flat charge
	periodDays  int64
	calculation billing.Calculation
	before      billing.Inputs  // of earlier lines, as the line has it
	earlier     decimal.Decimal // billed by earlier lines, as the line has it
	exact       decimal.Decimal
	amount      decimal.Decimal
	contract    *billing.ContractUse // of a charge with an allowance over the contract
	carried     billing.Carried      // into its cycle then, by the lines of the cycles before
}

// The invoices to look at: those written since the run before, and those with an open finding.
const sqlInvoiceLines = `
SELECT i.account, i.id, i.currency, COALESCE(i.stream, ''), i.position, i.watermark, i.run, i.rebills, i.cycle_start, i.total, i.events, i.pinned,
       CASE WHEN NOT EXISTS (SELECT FROM billing.voids v WHERE v.account = i.account AND v.invoice_id = i.rebills) THEN i.rebills END,
       l.line, l.charge, l.terms, l.definition, l.origin_start, l.late, l.origin_invoice, l.rerating, l.terms_before, l.adjustment, l.pinned, l.events, l.added,
       l.before, l.before_counted, l.billed, l.exact, l.amount, l.first, l.before_first, COALESCE(l.days, 0), COALESCE(l.period_days, 0), l.calculation, l.contract
FROM billing.invoices i
LEFT JOIN billing.invoice_lines l ON l.account = i.account AND l.invoice_id = i.id
WHERE (i.position > $1 OR i.id = ANY($3)) AND i.position <= $2
ORDER BY i.position, l.line`

// pinnedSum adds up the pins of one invoice that are alike in what decides the lines they are on.
type pinnedSum struct {
	invoice uuid.UUID
	origin  time.Time
	typ     string
	mask    string // of the selection of the invoice's charges
	pinned  int64  // rows
	events  int64
	sums    []decimal.Decimal
}

const selectPinned = `
SELECT i.id, p.origin_start, e.type, ''::text, count(*), count(*) FILTER (WHERE e.kind IN ('upstream', 'adjustment'))`

const fromPinned = `
FROM billing.invoices i
JOIN billing.pins p ON p.account = i.account AND p.invoice_id = i.id` + ledger.EventAtP + `
WHERE (i.position > $1 OR i.id = ANY($3)) AND i.position <= $2
GROUP BY 1, 2, 3, 4`

// The pins of one invoice, of which some charge filters on dimensions.
const fromPinnedOfOne = `
FROM (SELECT $1::uuid AS id) i
JOIN billing.pins p ON p.account = $2::text AND p.invoice_id = i.id` + ledger.EventAtP + `
GROUP BY 1, 2, 3, 4`

// checkInvoices recomputes the invoices since the run before: the total from the lines, each line from
// the events that the invoice pins and the charge that it was priced by (invariant 7).
func (u *run) checkInvoices(ctx context.Context, tx pgx.Tx) error {
	var measures []string
	sums := ""
	for _, c := range u.catalogue.Measures() {
		measures = append(measures, c.Name)
		sums += fmt.Sprintf(", COALESCE(sum(e.%s), 0)", pgx.Identifier{c.Name}.Sanitize())
	}
	pins := map[uuid.UUID][]pinnedSum{}
	if err := u.readPinned(ctx, tx, pins, len(measures), selectPinned+sums+fromPinned, u.since.Position, u.at.Position, u.suspects(checkInvoice)); err != nil {
		return err
	}
	lines, err := u.readLines(ctx, tx)
	if err != nil {
		return err
	}
	charges, err := u.chargesOf(ctx, tx, lines)
	if err != nil {
		return err
	}
	compared := int64(0)
	for len(lines) > 0 {
		n := upTo(lines, func(l invoiceLine) bool { return l.account == lines[0].account })
		of, err := readHistory(ctx, tx, lines[:n])
		if err != nil {
			return err
		}
		of.charges = charges
		for own := lines[:n]; len(own) > 0; compared++ {
			m := upTo(own, func(l invoiceLine) bool { return l.invoice == own[0].invoice })
			v, err := u.readInvoice(ctx, tx, own[:m], pins, measures, sums, of)
			if err != nil {
				return err
			}
			u.judgeInvoice(own[0], v.compare())
			own = own[m:]
		}
		lines = lines[n:]
	}
	u.checked(checkInvoice, compared, "invoices")
	return nil
}

// upTo is how many of the first lines are alike.
func upTo(lines []invoiceLine, alike func(invoiceLine) bool) int {
	if n := slices.IndexFunc(lines, func(l invoiceLine) bool { return !alike(l) }); n >= 0 {
		return n
	}
	return len(lines)
}

// judgeInvoice makes a finding of what is wrong with an invoice.
func (u *run) judgeInvoice(l invoiceLine, wrong []string) {
	if len(wrong) == 0 {
		return
	}
	subject, _ := json.Marshal(map[string]string{"invoice": l.invoice.String()}) // a string: nothing to fail
	u.add(Finding{
		Fingerprint: fingerprint(checkInvoice, l.invoice.String()), Check: checkInvoice, Account: l.account, Currency: l.currency, Subject: subject,
		Detail: fmt.Sprintf("invoice %s of account %s: %s", l.invoice, l.account, strings.Join(wrong, "; ")),
	})
}

// suspects are the invoices that open findings of some checks are about.
func (u *run) suspects(checks ...string) []uuid.UUID {
	ids := []uuid.UUID{}
	for _, f := range u.open {
		var s struct{ Invoice uuid.UUID }
		if slices.Contains(checks, f.Check) && json.Unmarshal(f.Subject, &s) == nil {
			ids = append(ids, s.Invoice)
		}
	}
	return ids
}

func (u *run) readLines(ctx context.Context, tx pgx.Tx) ([]invoiceLine, error) {
	rows, err := tx.Query(ctx, sqlInvoiceLines, u.since.Position, u.at.Position, u.suspects(checkInvoice))
	if err != nil {
		return nil, fmt.Errorf("read invoices: %w", err)
	}
	lines, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (l invoiceLine, err error) {
		var (
			number                               *int
			charge                               *string
			origin                               *time.Time
			late                                 *bool
			terms, pinned, events, beforeCounted *int64
			added, before, billed, exact, amount decimal.NullDecimal
			beforeFirst                          []billing.FirstEvent
			calculation                          *billing.Calculation
		)
		err = row.Scan(&l.account, &l.invoice, &l.currency, &l.stream, &l.position, &l.watermark, &l.run, &l.rebills, &l.cycle, &l.total, &l.billed, &l.rows, &l.counts,
			&number, &charge, &terms, &l.definition, &origin, &late, &l.first, &l.rerating, &l.termsBefore, &l.adjustment, &pinned, &events, &added,
			&before, &beforeCounted, &billed, &exact, &amount, &l.firstEvents, &beforeFirst, &l.days, &l.periodDays, &calculation, &l.contract)
		l.cycle = l.cycle.UTC()
		if err != nil || charge == nil { // an invoice without lines
			return l, err
		}
		l.number, l.charge, l.terms, l.origin, l.late, l.pinned, l.events = *number, *charge, *terms, origin.UTC(), *late, *pinned, *events
		l.before = billing.Inputs{Sum: before.Decimal, Count: *beforeCounted, First: beforeFirst}
		if calculation != nil {
			l.calculation = *calculation
		}
		if l.contract != nil {
			l.before.Carried = l.contract.Before
		}
		l.added, l.earlier, l.exact, l.amount = added.Decimal, billed.Decimal, exact.Decimal, amount.Decimal
		return l, nil
	})
	if err != nil {
		return nil, fmt.Errorf("read invoices: %w", err)
	}
	return lines, nil
}

func (u *run) readPinned(ctx context.Context, tx pgx.Tx, pins map[uuid.UUID][]pinnedSum, measures int, sql string, args ...any) error {
	rows, err := tx.Query(ctx, sql, args...)
	if err != nil {
		return fmt.Errorf("add up pins: %w", err)
	}
	_, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (struct{}, error) {
		p := pinnedSum{sums: make([]decimal.Decimal, measures)}
		into := []any{&p.invoice, &p.origin, &p.typ, &p.mask, &p.pinned, &p.events}
		for i := range p.sums {
			into = append(into, &p.sums[i])
		}
		err := row.Scan(into...)
		pins[p.invoice] = append(pins[p.invoice], p)
		return struct{}{}, err
	})
	if err != nil {
		return fmt.Errorf("add up pins: %w", err)
	}
	return nil
}
