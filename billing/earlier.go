package billing

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"deltaledger/ledger"
)

// earlierLine is a line of a cycle that is re-rated.
type earlierLine struct {
	invoice    uuid.UUID
	position   int64 // of the invoice
	charge     string
	terms      int64
	definition []byte
	rerates    bool
	adjusts    bool // it bills an adjustment
	own        bool // its invoice is of the cycle itself
	pinned     int64
	added      Inputs
	before     Inputs // without days
	billed     decimal.Decimal
	amount     decimal.Decimal
	outcome    Outcome   // of the void of its invoice; empty: the invoice counts
	voided     int64     // position of that void
	heir       uuid.UUID // of an invoice that was billed again: the one that counts now in its place, if any does
}

// earlier are the lines that other invoices have for some cycles, by cycle, currency and stream, and by position.
type earlier struct {
	lines map[draftKey][]earlierLine
	first map[draftKey]uuid.UUID // the invoice that billed the cycle first: one that counts if there is any
}

const sqlEarlierLines = `
SELECT l.origin_start, i.currency, COALESCE(i.stream, ''), l.invoice_id, i.position, l.charge, l.terms, l.definition,
       l.rerating IS NOT NULL, l.adjustment IS NOT NULL, l.pinned, l.added, l.events, l.first, COALESCE(l.days, 0), COALESCE(l.period_days, 0),
       l.before, l.before_counted, l.before_first, l.billed, l.amount, COALESCE(v.outcome, ''), COALESCE(v.position, 0), i.cycle_start = l.origin_start, h.id
FROM billing.invoice_lines l
JOIN billing.invoices i ON i.account = l.account AND i.id = l.invoice_id
LEFT JOIN billing.voids v ON v.account = l.account AND v.invoice_id = l.invoice_id
LEFT JOIN LATERAL (
    WITH RECURSIVE heirs AS (
        SELECT r.id
        FROM billing.invoices r
        WHERE r.account = i.account AND r.cycle_start = i.cycle_start AND r.currency = i.currency AND r.rebills = i.id
      UNION ALL
        SELECT r.id
        FROM heirs h
        JOIN billing.invoices r ON r.account = i.account AND r.cycle_start = i.cycle_start AND r.currency = i.currency AND r.rebills = h.id
    )
    SELECT h.id FROM heirs h WHERE h.id <> $3 AND NOT EXISTS (SELECT FROM billing.voids w WHERE w.account = l.account AND w.invoice_id = h.id)
) h ON v.outcome = 'rebill'
WHERE l.account = $1 AND l.origin_start = ANY($2) AND l.invoice_id <> $3
ORDER BY i.position, l.line`

// readEarlier reads the lines of the account for some cycles, but those of the invoice except.
func readEarlier(ctx context.Context, tx pgx.Tx, account string, origins []time.Time, except uuid.UUID) (earlier, error) {
	e := earlier{lines: map[draftKey][]earlierLine{}, first: map[draftKey]uuid.UUID{}}
	if len(origins) == 0 {
		return e, nil
	}
	rows, err := tx.Query(ctx, sqlEarlierLines, account, origins, except)
	if err != nil {
		return e, fmt.Errorf("read what was billed before: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var k draftKey
		var l earlierLine
		var heir *uuid.UUID
		err := rows.Scan(&k.cycle, &k.currency, &k.stream, &l.invoice, &l.position, &l.charge, &l.terms, &l.definition, &l.rerates, &l.adjusts,
			&l.pinned, &l.added.Sum, &l.added.Count, &l.added.First, &l.added.Days, &l.added.PeriodDays,
			&l.before.Sum, &l.before.Count, &l.before.First, &l.billed, &l.amount, &l.outcome, &l.voided, &l.own, &heir)
		if err != nil {
			return e, fmt.Errorf("read what was billed before: %w", err)
		}
		if heir != nil {
			l.heir = *heir
		}
		k.cycle = k.cycle.UTC()
		e.lines[k] = append(e.lines[k], l)
	}
	if err := rows.Err(); err != nil {
		return e, fmt.Errorf("read what was billed before: %w", err)
	}
	for k, lines := range e.lines {
		first := lines[0]
		for _, own := range []bool{false, true} { // that of the cycle itself may have been billed again after others
			if i := slices.IndexFunc(lines, func(l earlierLine) bool { return l.outcome == "" && (l.own || !own) }); i >= 0 {
				first = lines[i]
			}
		}
		e.first[k] = first.invoice
	}
	return e, nil
}

// billed is what lines of a charge billed of a cycle. What a written-off invoice brought by a rerating is given up:
// it counts as if it were billed. What it billed of its own events isn't needed: they stay with it.
func billed(lines []earlierLine, charge, code string) (decimal.Decimal, error) {
	sum := decimal.Zero
	for _, l := range lines {
		switch {
		case l.charge != charge || l.adjusts:
		case l.outcome == "":
			sum = sum.Add(l.amount)
		case l.outcome == WriteOff && l.rerates && l.pinned == 0:
			sum = sum.Add(l.amount)
		case l.outcome == WriteOff && l.rerates:
			c, err := ParseCharge(l.definition)
			if err != nil {
				return sum, err
			}
			before := l.before
			before.Days, before.PeriodDays = l.added.Days, l.added.PeriodDays
			sum = sum.Add(c.Round(c.Price(before), code)).Sub(l.billed)
		}
	}
	return sum, nil
}

// stored adds up what lines keep of a charge whose definition never changed for the cycle.
func stored(lines []earlierLine, c Charge) (p prior) {
	for _, l := range lines {
		if l.outcome == "" && !l.adjusts && l.charge == c.Name {
			p.inputs.Sum, p.inputs.Count = p.inputs.Sum.Add(l.added.Sum), p.inputs.Count+l.added.Count
			p.inputs.First = append(p.inputs.First, l.added.First...)
			p.invoices = append(p.invoices, l.invoice)
		}
	}
	return p
}

// sameInputs reports whether two charges take the same of every cycle: what one of them stored is what the other needs,
// but for the first events.
func sameInputs(a, b Charge) bool {
	sameTypes := len(a.Types) == len(b.Types) && !slices.ContainsFunc(a.Types, func(t string) bool { return !slices.Contains(b.Types, t) })
	sameFilters := slices.EqualFunc(a.Filters, b.Filters, func(f, g Filter) bool { return f.Dimension == g.Dimension && slices.Equal(f.Values, g.Values) })
	return a.takesEvents() && b.takesEvents() && a.Measure == b.Measure && sameTypes && sameFilters && a.Currency == b.Currency
}

// takesEvents reports whether the charge bills events at all.
func (c Charge) takesEvents() bool { return c.Model != ModelFlat && c.Model != ModelAdjustment }

// restored is stored for a cycle whose charges changed: what the invoices that count pin of it, in inputs of the charge.
// complete is false where no line says that; then the pins have to be read. charges are those of a version. lastVoid
// is the position of the newest void of an invoice of the cycle: what a line says of those before it holds only if
// it came later.
func restored(lines []earlierLine, c Charge, charges func(version int64) []Charge, lastVoid int64) (p prior, complete bool, err error) {
	byInvoice := map[uuid.UUID][]earlierLine{}
	var order []uuid.UUID // newest first
	for _, l := range slices.Backward(lines) {
		if l.outcome != "" || l.adjusts {
			continue
		}
		if byInvoice[l.invoice] == nil {
			order = append(order, l.invoice)
		}
		byInvoice[l.invoice] = append(byInvoice[l.invoice], l)
	}
	p.invoices = order
	if without, told := untold(lines, byInvoice); !told {
		p.invoices = slices.Concat(order, without)
		return p, false, nil
	}
	ended := false
	for _, id := range order {
		if ended {
			break
		}
		own := byInvoice[id]
		i := slices.IndexFunc(own, func(l earlierLine) bool { return l.charge == c.Name })
		if i >= 0 {
			was, err := ParseCharge(own[i].definition)
			if err != nil {
				return p, false, err
			}
			if sameInputs(was, c) {
				p.lostFirst = p.lostFirst || was.FreeEvents < c.FreeEvents
				p.inputs = addStored(p.inputs, own[i].added)
				if ended = own[i].rerates && own[i].position > lastVoid; ended {
					p.inputs = addStored(p.inputs, own[i].before)
				}
				continue
			}
		}
		if !slices.ContainsFunc(own, func(l earlierLine) bool { return l.pinned > 0 }) {
			continue // it pins nothing of the cycle
		}
		was := charges(own[0].terms)
		same := slices.IndexFunc(was, func(o Charge) bool { return o.Name == c.Name && sameInputs(o, c) })
		if i >= 0 || same < 0 {
			return p, false, nil
		}
		// Its terms had the charge, and yet there is no line: nothing that it pins is the charge's.
	}
	return p, true, nil
}

// untold reports whether lines tell of all invoices that pin events of the cycle. One that stands in the place of another may pin
// what no charge selected any more when it was billed again; without are those of them that have no line of the cycle.
func untold(lines []earlierLine, byInvoice map[uuid.UUID][]earlierLine) (without []uuid.UUID, told bool) {
	told = true
	pins := func(l earlierLine) bool { return l.pinned > 0 }
	for _, l := range lines {
		if l.heir == uuid.Nil || !pins(l) || slices.ContainsFunc(byInvoice[l.heir], pins) {
			continue
		}
		told = false
		if byInvoice[l.heir] == nil && !slices.Contains(without, l.heir) {
			without = append(without, l.heir)
		}
	}
	return without, told
}

func addStored(a, b Inputs) Inputs {
	return Inputs{Sum: a.Sum.Add(b.Sum), Count: a.Count + b.Count, First: slices.Concat(a.First, b.First)}
}

const (
	selectPinnedBefore = `
SELECT p.origin_start, i.currency, COALESCE(i.stream, ''), e.type, ` + noMask + ` AS mask, count(*), count(*) FILTER (WHERE e.kind IN ('upstream', 'adjustment'))`
	fromPinnedBefore = `
FROM billing.pins p
JOIN billing.invoices i ON i.account = p.account AND i.id = p.invoice_id` + ledger.EventAtP + `
WHERE p.account = @account AND p.invoice_id = ANY(@invoices::uuid[]) AND p.origin_start = ANY(@origins::timestamptz[])
GROUP BY 1, 2, 3, 4, 5`
)

// pinnedBefore adds up what some invoices pin of some cycles. It reads every such event, and keeps the sums alone.
func pinnedBefore(ctx context.Context, tx pgx.Tx, account string, sel Selection, m measures, origins []time.Time, invoices []uuid.UUID) (map[draftKey][]bunch, error) {
	args := pgx.NamedArgs{"account": account, "invoices": invoices, "origins": origins}
	sql := strings.Replace(selectPinnedBefore, noMask, sel.Mask(named(args)), 1) + m.sums() + fromPinnedBefore
	rows, err := tx.Query(ctx, sql, args)
	if err != nil {
		return nil, fmt.Errorf("add up pinned events: %w", err)
	}
	defer rows.Close()
	found := map[draftKey][]bunch{}
	for rows.Next() {
		var origin time.Time
		g := bunch{sums: make([]decimal.Decimal, len(m))}
		into := []any{&origin, &g.currency, &g.stream, &g.typ, &g.mask, &g.pinned, &g.events}
		for i := range g.sums {
			into = append(into, &g.sums[i])
		}
		if err := rows.Scan(into...); err != nil {
			return nil, fmt.Errorf("add up pinned events: %w", err)
		}
		k := draftKey{origin.UTC(), g.currency, g.stream}
		found[k] = append(found[k], g)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("add up pinned events: %w", err)
	}
	return found, nil
}
