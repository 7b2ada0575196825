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
	"deltaledger/ledger"
	"deltaledger/ledger/pg"
)

// What a line says of the lines before it isn't taken from the line: it is found again from those lines, as they stood when
// its invoice was written. For a cycle whose charges were changed since it was billed, it is found from the pins.

// writtenLine is a line that an account has of a cycle.
type writtenLine struct {
	invoice    uuid.UUID
	position   int64 // of the invoice
	charge     string
	terms      int64
	definition []byte
	rerates    bool
	adjusts    bool
	own        bool // its invoice is of the cycle itself
	pinned     int64
	added      billing.Inputs
	before     billing.Inputs
	billed     decimal.Decimal
	amount     decimal.Decimal
	contract   *billing.ContractUse
	outcome    string // of the void of its invoice; empty: the invoice counts
	voided     int64  // position of that void
}

// linesOf is what lines agree in that are held against one another.
type linesOf struct {
	origin           time.Time
	currency, stream string
}

func (l invoiceLine) key() linesOf { return linesOf{l.origin, l.currency, l.stream} }

// history is what the tables have of one account, for its lines to be held against.
type history struct {
	lines       map[linesOf][]writtenLine // by position of the invoice
	adjustments map[uuid.UUID]adjustment
	reratings   []rerating
	rebills     []rebill
	charges     func(account string, version int64) ([]billing.Charge, bool)
}

// rebill is an invoice that takes the place of another one. It pins what that pinned, also what none of its lines bills.
type rebill struct {
	id               uuid.UUID
	position, voided int64 // voided: 0, it counts
	currency, stream string
}

const sqlRebills = `
SELECT i.id, i.position, COALESCE(v.position, 0), i.currency, COALESCE(i.stream, '')
FROM billing.invoices i
LEFT JOIN billing.voids v ON v.account = i.account AND v.invoice_id = i.id
WHERE i.account = $1 AND i.rebills IS NOT NULL`

// readRebills reads those of an account of which cycles have other charges than they were billed by.
func (h *history) readRebills(ctx context.Context, tx pgx.Tx, account string) error {
	if len(h.reratings) == 0 {
		return nil
	}
	var r rebill
	err := pg.ForEach(ctx, tx, []any{&r.id, &r.position, &r.voided, &r.currency, &r.stream}, func() error {
		h.rebills = append(h.rebills, r)
		return nil
	}, sqlRebills, account)
	return wrap(err, "read what was billed again")
}

// pinning are the invoices that could pin anything of the cycle of l before it: those of live lines, and rebills.
func (h *history) pinning(l invoiceLine, live []writtenLine) []uuid.UUID {
	ids := invoicesOf(live)
	for _, r := range h.rebills {
		counts := r.position < l.position && (r.voided == 0 || r.voided > l.position) && (l.rebills == nil || r.id != *l.rebills)
		if counts && r.currency == l.currency && r.stream == l.stream && !slices.Contains(ids, r.id) {
			ids = append(ids, r.id)
		}
	}
	return ids
}

const sqlLinesOfCycles = `
SELECT l.origin_start, i.currency, COALESCE(i.stream, ''), l.invoice_id, i.position, l.charge, l.terms, l.definition, l.rerating IS NOT NULL, l.adjustment IS NOT NULL,
       i.cycle_start = l.origin_start, l.pinned, l.added, l.events, l.first, COALESCE(l.days, 0), COALESCE(l.period_days, 0),
       l.before, l.before_counted, l.before_first, l.billed, l.amount, l.contract, COALESCE(v.outcome, ''), COALESCE(v.position, 0)
FROM billing.invoice_lines l
JOIN billing.invoices i ON i.account = l.account AND i.id = l.invoice_id
LEFT JOIN billing.voids v ON v.account = l.account AND v.invoice_id = l.invoice_id
WHERE l.account = $1 AND l.origin_start = ANY($2)
ORDER BY i.position, l.line`

// readHistory reads what the lines, all of one account, are held against.
func readHistory(ctx context.Context, tx pgx.Tx, lines []invoiceLine) (*history, error) {
	h := &history{lines: map[linesOf][]writtenLine{}, adjustments: map[uuid.UUID]adjustment{}}
	var origins []time.Time
	var adjustments []uuid.UUID
	for _, l := range lines {
		if l.adjustment != nil {
			adjustments = append(adjustments, *l.adjustment)
		}
		if l.leans() && !slices.ContainsFunc(origins, l.origin.Equal) {
			origins = append(origins, l.origin)
		}
	}
	account := lines[0].account
	if err := h.readAdjustments(ctx, tx, account, adjustments); err != nil || len(origins) == 0 {
		return h, err
	}
	if err := errors.Join(h.readReratings(ctx, tx, account), h.readRebills(ctx, tx, account)); err != nil {
		return nil, err
	}
	rows, err := tx.Query(ctx, sqlLinesOfCycles, account, origins)
	if err != nil {
		return nil, fmt.Errorf("read the lines of earlier invoices: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var k linesOf
		var e writtenLine
		if err := rows.Scan(&k.origin, &k.currency, &k.stream, &e.invoice, &e.position, &e.charge, &e.terms, &e.definition, &e.rerates, &e.adjusts,
			&e.own, &e.pinned, &e.added.Sum, &e.added.Count, &e.added.First, &e.added.Days, &e.added.PeriodDays,
			&e.before.Sum, &e.before.Count, &e.before.First, &e.billed, &e.amount, &e.contract, &e.outcome, &e.voided); err != nil {
			return nil, fmt.Errorf("read the lines of earlier invoices: %w", err)
		}
		k.origin = k.origin.UTC()
		h.lines[k] = append(h.lines[k], e)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read the lines of earlier invoices: %w", err)
	}
	return h, nil
}

// leans reports whether the line can have anything to do with earlier ones. One that a close wrote for its own cycle can't,
// and if it says nothing of earlier ones that is right.
func (l invoiceLine) leans() bool {
	silent := l.earlier.IsZero() && l.before.Sum.IsZero() && l.before.Count == 0 && len(l.before.First) == 0
	if l.contract != nil {
		silent = silent && l.contract.Before == nil && l.contract.SpentBefore.IsZero()
	}
	return l.charge != "" && (!silent || l.late || l.rebills != nil || l.rerating != nil || l.adjustment != nil || len(l.termsBefore) > 0)
}

// before are the lines before l that its invoice was held against, as they stood then.
func (h *history) before(l invoiceLine) []writtenLine {
	var found []writtenLine
	for _, e := range h.lines[l.key()] {
		if e.position >= l.position || l.rebills != nil && e.invoice == *l.rebills {
			continue
		}
		if e.voided > l.position {
			e.outcome = ""
		}
		found = append(found, e)
	}
	return found
}

// wanted is what a line has to say of the lines before it.
type wanted struct {
	lines       []writtenLine
	before      billing.Inputs
	billed      decimal.Decimal
	spentBefore decimal.Decimal
}

// readBefore finds what the lines of the invoice have to say of earlier ones.
func (v *recomputed) readBefore(ctx context.Context, tx pgx.Tx, u *run, sums string) error {
	pins, err := v.readEarlierPins(ctx, tx, u, sums)
	if err != nil {
		return err
	}
	for i, l := range v.lines {
		if v.broken[i] != nil || !l.leans() {
			continue
		}
		w := wanted{lines: v.of.before(l)}
		c := v.charges[i]
		if l.adjustment == nil {
			if w.billed, err = billedBy(w.lines, l); err != nil {
				return err
			}
		}
		live := counting(w.lines)
		if c.Model != billing.ModelFlat && c.Model != billing.ModelAdjustment {
			if v.of.rerated(l) {
				w.before = v.pinnedBy(c, l, live, pins)
			} else {
				w.before = addedBy(live, l.charge)
			}
			w.before = c.Add(w.before, billing.Inputs{})
			if v.of.rerated(l) || min(c.FreeEvents, w.before.Count) > int64(len(w.before.First)) {
				if w.before.First, err = v.selection.FirstPinnedTx(ctx, tx, c, l.account, l.origin, v.of.pinning(l, live)...); err != nil {
					return err
				}
			}
		}
		for _, e := range live {
			if l.contract != nil && e.contract != nil && e.charge == l.charge && e.contract.Name == l.contract.Name {
				w.before.Carried, w.spentBefore = &e.contract.Carried, w.spentBefore.Add(e.contract.Added.Spent)
			}
		}
		v.wanted[i] = w
	}
	return nil
}

// counting are the lines whose invoices counted, but those of adjustments.
func counting(lines []writtenLine) []writtenLine {
	return slices.DeleteFunc(slices.Clone(lines), func(e writtenLine) bool { return e.outcome != "" || e.adjusts })
}

func invoicesOf(lines []writtenLine) []uuid.UUID {
	ids := []uuid.UUID{}
	for _, e := range lines {
		if !slices.Contains(ids, e.invoice) {
			ids = append(ids, e.invoice)
		}
	}
	return ids
}

// addedBy is what lines of a charge hold together.
func addedBy(live []writtenLine, charge string) (in billing.Inputs) {
	for _, e := range live {
		if e.charge == charge {
			in.Sum, in.Count = in.Sum.Add(e.added.Sum), in.Count+e.added.Count
			in.First = append(in.First, e.added.First...)
		}
	}
	return in
}

// billedBy is what the charge of l billed of its cycle before. What a written-off invoice brought of other charges of the
// cycle is given up with it; what it billed of its own events stays with these.
func billedBy(lines []writtenLine, l invoiceLine) (decimal.Decimal, error) {
	sum := decimal.Zero
	for _, e := range lines {
		switch {
		case e.charge != l.charge || e.adjusts:
		case e.outcome == "", e.outcome == string(billing.WriteOff) && e.rerates && e.pinned == 0:
			sum = sum.Add(e.amount)
		case e.outcome == string(billing.WriteOff) && e.rerates:
			c, err := billing.ParseCharge(e.definition)
			if err != nil {
				return sum, err
			}
			before := e.before
			before.Days, before.PeriodDays = e.added.Days, e.added.PeriodDays
			sum = sum.Add(c.Round(c.Price(before), l.currency)).Sub(e.billed)
		}
	}
	return sum, nil
}

// The pins of some cycles on invoices of an account.
const fromPinnedOfCycles = `
FROM unnest($1::uuid[]) AS i (id)
JOIN billing.pins p ON p.account = $2::text AND p.invoice_id = i.id AND p.origin_start = ANY($3::timestamptz[])` + ledger.EventAtP + `
GROUP BY 1, 2, 3, 4`

// readEarlierPins adds up, for the lines of cycles whose charges were changed, what earlier invoices pin of those.
func (v *recomputed) readEarlierPins(ctx context.Context, tx pgx.Tx, u *run, sums string) (map[uuid.UUID][]pinnedSum, error) {
	var invoices []uuid.UUID
	var origins []time.Time
	for _, l := range v.lines {
		if l.leans() && v.of.rerated(l) {
			invoices, origins = append(invoices, v.of.pinning(l, counting(v.of.before(l)))...), append(origins, l.origin)
		}
	}
	pins := map[uuid.UUID][]pinnedSum{}
	if len(invoices) == 0 {
		return pins, nil
	}
	slices.SortFunc(invoices, func(a, b uuid.UUID) int { return slices.Compare(a[:], b[:]) })
	args := []any{slices.Compact(invoices), v.lines[0].account, origins}
	mask := v.selection.Mask(func(value any) string { return numbered(&args, value) })
	sql := strings.Replace(selectPinned, "''::text", mask, 1) + sums + fromPinnedOfCycles
	return pins, u.readPinned(ctx, tx, pins, len(v.measures), sql, args...)
}

// pinnedBy is what earlier invoices pin of the cycle of l that its charge selects.
func (v *recomputed) pinnedBy(c billing.Charge, l invoiceLine, live []writtenLine, pins map[uuid.UUID][]pinnedSum) (in billing.Inputs) {
	m := slices.Index(v.measures, c.Sums())
	for _, id := range v.of.pinning(l, live) {
		for _, p := range pins[id] {
			if !p.origin.Equal(l.origin) || !v.selection.Selects(c, p.typ, l.currency, p.mask) {
				continue
			}
			in.Count += p.events
			if m >= 0 {
				in.Sum = in.Sum.Add(p.sums[m])
			}
		}
	}
	return in
}
