package reconcile

import (
	"context"
	"encoding/json"
	"errors"
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
	total       decimal.Decimal // of the invoice
	billed      int64           // events that the invoice says it bills
	rows        int64           // rows that it says it pins
	counts      *uuid.UUID      // the invoice that it takes the place of, if that counts all the same
	charge      string
	definition  []byte
	origin      time.Time
	pinned      int64
	events      int64
	added       decimal.Decimal
	first       []billing.FirstEvent
	days        int64 // of a flat charge
	periodDays  int64
	calculation billing.Calculation
	before      billing.Inputs
	earlier     decimal.Decimal // billed by earlier lines
	exact       decimal.Decimal
	amount      decimal.Decimal
	contract    *billing.ContractUse // of a charge with an allowance over the contract
	carried     billing.Carried      // into its cycle then, by the lines of the cycles before
}

// The invoices to look at: those written since the run before, and those with an open finding.
const sqlInvoiceLines = `
SELECT i.account, i.id, i.currency, i.total, i.events, i.pinned,
       CASE WHEN NOT EXISTS (SELECT FROM billing.voids v WHERE v.account = i.account AND v.invoice_id = i.rebills) THEN i.rebills END, l.charge, l.definition, l.origin_start, l.pinned, l.events, l.added,
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
	compared := int64(0)
	for len(lines) > 0 {
		n := 1
		for n < len(lines) && lines[n].invoice == lines[0].invoice {
			n++
		}
		v, err := u.readInvoice(ctx, tx, lines[:n], pins, measures, sums)
		if err != nil {
			return err
		}
		if wrong := v.compare(); len(wrong) > 0 {
			l := lines[0]
			subject, _ := json.Marshal(map[string]string{"invoice": l.invoice.String()}) // a string: nothing to fail
			u.add(Finding{
				Fingerprint: fingerprint(checkInvoice, l.invoice.String()), Check: checkInvoice, Account: l.account, Currency: l.currency, Subject: subject,
				Detail: fmt.Sprintf("invoice %s: %s", l.invoice, strings.Join(wrong, "; ")),
			})
		}
		compared++
		lines = lines[n:]
	}
	u.checked(checkInvoice, compared, "invoices")
	return nil
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
			charge                               *string
			origin                               *time.Time
			pinned, events, beforeCounted        *int64
			added, before, billed, exact, amount decimal.NullDecimal
			beforeFirst                          []billing.FirstEvent
			calculation                          *billing.Calculation
		)
		err = row.Scan(&l.account, &l.invoice, &l.currency, &l.total, &l.billed, &l.rows, &l.counts, &charge, &l.definition, &origin, &pinned, &events, &added,
			&before, &beforeCounted, &billed, &exact, &amount, &l.first, &beforeFirst, &l.days, &l.periodDays, &calculation, &l.contract)
		if err != nil || charge == nil { // an invoice without lines
			return l, err
		}
		l.charge, l.origin, l.pinned, l.events = *charge, *origin, *pinned, *events
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

// recomputed is an invoice with what it is computed from again.
type recomputed struct {
	lines     []invoiceLine
	charges   []billing.Charge // of the lines
	broken    []error          // of the lines: why the charge can't be read
	selection billing.Selection
	pins      []pinnedSum
	first     [][]billing.FirstEvent // of the lines
	measures  []string
}

// readInvoice reads the charges of an invoice. Where they filter on dimensions, or leave first events free, it looks at
// the events of that invoice again.
func (u *run) readInvoice(ctx context.Context, tx pgx.Tx, lines []invoiceLine, pins map[uuid.UUID][]pinnedSum, measures []string, sums string) (*recomputed, error) {
	v := &recomputed{
		lines: lines, charges: make([]billing.Charge, len(lines)), broken: make([]error, len(lines)), first: make([][]billing.FirstEvent, len(lines)),
		pins: pins[lines[0].invoice], measures: measures,
	}
	filtered, readable := false, []billing.Charge{}
	for i, l := range lines {
		if l.charge == "" {
			continue
		}
		if v.charges[i], v.broken[i] = billing.ParseCharge(l.definition); v.broken[i] == nil {
			_, v.broken[i] = billing.NewSelection(u.catalogue, v.charges[i])
		}
		if v.broken[i] == nil {
			filtered, readable = filtered || len(v.charges[i].Filters) > 0, append(readable, v.charges[i])
		}
	}
	var err error
	if v.selection, err = billing.NewSelection(u.catalogue, readable...); err != nil {
		return nil, err
	}
	if filtered {
		args := []any{lines[0].invoice, lines[0].account}
		mask := v.selection.Mask(func(value any) string { return numbered(&args, value) })
		own := map[uuid.UUID][]pinnedSum{}
		sql := strings.Replace(selectPinned, "''::text", mask, 1) + sums + fromPinnedOfOne
		if err := u.readPinned(ctx, tx, own, len(measures), sql, args...); err != nil {
			return nil, err
		}
		v.pins = own[lines[0].invoice]
	}
	for i, c := range v.charges {
		if v.broken[i] == nil && lines[i].charge != "" {
			if v.first[i], err = v.selection.FirstPinnedTx(ctx, tx, c, lines[i].account, lines[i].origin, lines[i].invoice); err != nil {
				return nil, err
			}
		}
		if lines[i].contract != nil {
			if lines[i].carried, err = readCarried(ctx, tx, lines[i]); err != nil {
				return nil, err
			}
		}
	}
	return v, nil
}

// compare says what doesn't agree between the lines of the invoice and what it pins.
func (v *recomputed) compare() (wrong []string) {
	lines, pins := v.lines, v.pins
	total, pinned, events := decimal.Zero, int64(0), int64(0)
	for _, p := range pins {
		pinned += p.pinned
		events += p.events
	}
	for i, l := range lines {
		if l.charge == "" {
			continue
		}
		total = total.Add(l.amount)
		if err := v.compareLine(i); err != nil {
			wrong = append(wrong, fmt.Sprintf("line %q of the cycle from %s: %v", l.charge, l.origin.UTC().Format(time.RFC3339), err))
		}
	}
	if !total.Equal(lines[0].total) {
		wrong = append(wrong, fmt.Sprintf("its total is %s, its lines add up to %s", lines[0].total, total))
	}
	if other := lines[0].counts; other != nil {
		wrong = append(wrong, fmt.Sprintf("it takes the place of invoice %s, which isn't void: events are billed twice", other))
	}
	if pinned != lines[0].rows {
		wrong = append(wrong, fmt.Sprintf("it says that it pins %d rows, and pins %d", lines[0].rows, pinned))
	}
	if events != lines[0].billed {
		wrong = append(wrong, fmt.Sprintf("it says that it bills %d events, and pins %d", lines[0].billed, events))
	}
	return wrong
}

// compareLine recomputes one line.
func (v *recomputed) compareLine(i int) error {
	l, charge := v.lines[i], v.charges[i]
	if v.broken[i] != nil {
		return v.broken[i]
	}
	m := slices.Index(v.measures, charge.Sums())
	if m < 0 && charge.Sums() != "" {
		return fmt.Errorf("its measure %q is not in the catalogue: %w", charge.Measure, ledger.ErrCorrupt)
	}
	added := billing.Inputs{First: v.first[i], Days: l.days, PeriodDays: l.periodDays}
	pinned := int64(0)
	for _, p := range v.pins {
		if !p.origin.Equal(l.origin) || !v.selection.Selects(charge, p.typ, l.currency, p.mask) {
			continue
		}
		added.Count += p.events
		pinned += p.pinned
		if m >= 0 {
			added.Sum = added.Sum.Add(p.sums[m])
		}
	}
	if l.contract != nil {
		added.Carried = &l.contract.Carried
	}
	exact, amount := billing.LineAmount(charge, l.currency, l.before, added, l.earlier)
	var problems []string
	for _, c := range []struct {
		what       string
		line, pins fmt.Stringer
		same       bool
	}{
		{"pinned rows", count(l.pinned), count(pinned), l.pinned == pinned},
		{"events", count(l.events), count(added.Count), l.events == added.Count},
		{"sum", l.added, added.Sum, l.added.Equal(added.Sum)},
		{"first events", firsts(l.first), firsts(added.First), firsts(l.first).String() == firsts(added.First).String()},
		{"exact amount", l.exact, exact, l.exact.Equal(exact)},
		{"amount", l.amount, amount, l.amount.Equal(amount)},
	} {
		if !c.same {
			problems = append(problems, fmt.Sprintf("%s %s, but %s by the events that it pins", c.what, c.line, c.pins))
		}
	}
	problems = append(problems, l.compareContract(charge, added)...)
	if whole := charge.Calculate(charge.Add(l.before, added)); !l.calculation.Equal(whole) {
		problems = append(problems, fmt.Sprintf("its calculation comes to %s, but to %s by the events that it pins", l.calculation.Price, whole.Price))
	}
	if len(problems) > 0 {
		return errors.New(strings.Join(problems, ", ")) // on one line, as a finding is shown
	}
	return nil
}

type count int64

func (c count) String() string { return fmt.Sprint(int64(c)) }

// firsts are first events as a finding names them.
type firsts []billing.FirstEvent

func (f firsts) String() string {
	texts := make([]string, len(f))
	for i, e := range f {
		texts[i] = fmt.Sprintf("%s of %s (%s)", e.ID, e.Source, e.Value)
	}
	return strings.Join(texts, ", ")
}
