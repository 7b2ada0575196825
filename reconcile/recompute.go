package reconcile

import (
	"context"
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

// recomputed is an invoice with what it is computed from again.
type recomputed struct {
	lines     []invoiceLine
	charges   []billing.Charge // of the lines
	broken    []error          // of the lines: why the charge can't be read
	selection billing.Selection
	pins      []pinnedSum
	first     [][]billing.FirstEvent // of the lines
	measures  []string
	wanted    []wanted // of the lines
	of        *history
}

// readInvoice reads the charges of an invoice. Where they filter on dimensions, or leave first events free, it looks at
// the events of that invoice again.
func (u *run) readInvoice(ctx context.Context, tx pgx.Tx, lines []invoiceLine, pins map[uuid.UUID][]pinnedSum, measures []string, sums string, of *history) (*recomputed, error) {
	v := &recomputed{
		lines: lines, charges: make([]billing.Charge, len(lines)), broken: make([]error, len(lines)), first: make([][]billing.FirstEvent, len(lines)),
		pins: pins[lines[0].invoice], measures: measures, wanted: make([]wanted, len(lines)), of: of,
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
	if err := v.readBefore(ctx, tx, u, sums); err != nil {
		return nil, err
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
			wrong = append(wrong, fmt.Sprintf("line %d (%q of the cycle from %s): %v", l.number, l.charge, l.origin.UTC().Format(time.RFC3339), err))
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
	was := v.wanted[i]
	exact, amount := billing.LineAmount(charge, l.currency, was.before, added, was.billed)
	problems := v.problems(i)
	for _, c := range []comparison{
		{"pinned rows", count(l.pinned), count(pinned), l.pinned == pinned},
		{"events", count(l.events), count(added.Count), l.events == added.Count},
		{"sum", l.added, added.Sum, l.added.Equal(added.Sum)},
		{"first events", firsts(l.firstEvents), firsts(added.First), firsts(l.firstEvents).String() == firsts(added.First).String()},
		{"exact amount", l.exact, exact, l.exact.Equal(exact)},
		{"amount", l.amount, amount, l.amount.Equal(amount)},
	} {
		if !c.same {
			problems = append(problems, fmt.Sprintf("%s %s, but %s by the events that it pins", c.what, c.stands, c.wanted))
		}
	}
	problems = append(problems, l.compareContract(charge, was, added)...)
	if whole := charge.Calculate(charge.Add(was.before, added)); !l.calculation.Equal(whole) {
		problems = append(problems, fmt.Sprintf("its calculation comes to %s, but to %s by the events that it pins", l.calculation.Price, whole.Price))
	}
	return joined(problems)
}

// comparison is a figure of a line, and what it would have to be.
type comparison struct {
	what           string
	stands, wanted fmt.Stringer
	same           bool
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
