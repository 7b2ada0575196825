package billing

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"
)

// pricer prices the lines of drafts.
type pricer struct {
	account string
	cal     *Calendar
	plain   *Calendar // as cal was before what it brings
	history []Terms   // of the account
	sel     Selection
	m       measures
	except  uuid.UUID // an invoice that is about to be void: its lines don't count
	earlier earlier

	again map[time.Time]bool  // the cycles that were read
	here  map[priorKey]inHand // what drafts before have of those
}

// inHand is what drafts hold of a charge and cycle, and bill.
type inHand struct {
	inputs Inputs
	billed decimal.Decimal
}

// read reads what other invoices have for some cycles. Only lines of those can have something billed before.
func (p *pricer) read(ctx context.Context, tx pgx.Tx, again []time.Time) (err error) {
	p.again, p.here = map[time.Time]bool{}, map[priorKey]inHand{}
	for _, start := range again {
		p.again[start] = true
	}
	p.earlier, err = readEarlier(ctx, tx, p.account, again, p.except)
	return err
}

// charges are those of the document of a version.
func (p *pricer) charges(version int64) []Charge {
	for _, t := range p.history {
		if t.Version == version {
			return t.Charges
		}
	}
	return nil
}

// price prices every line, and adds up the invoices. Lines of cycles in again, which were read, are re-rated against all
// that counts, drafts before them included. Lines are added for cycles whose price changes because others use more or
// less of a contract; what is used of contracts then is returned.
func (p *pricer) price(ctx context.Context, tx pgx.Tx, all []*draft, again []time.Time) ([]*contract, error) {
	contracts, origins, err := readContracts(ctx, tx, p.account, all, p.except)
	if err != nil {
		return nil, err
	}
	if len(origins) > 0 {
		if err := p.read(ctx, tx, append(slices.Clone(again), origins...)); err != nil {
			return nil, err
		}
	}
	for _, v := range all {
		if err := correct(v, contracts); err != nil {
			return nil, err
		}
		if err := p.priceOne(ctx, tx, v, contracts); err != nil {
			return nil, err
		}
	}
	return contracts, nil
}

func (p *pricer) priceOne(ctx context.Context, tx pgx.Tx, v *draft, contracts []*contract) error {
	priors, err := p.priors(ctx, tx, v)
	if err != nil {
		return err
	}
	for _, l := range v.lines {
		if l.adjustment == nil {
			if err := p.before(ctx, tx, v, l, priors[l]); err != nil {
				return err
			}
		}
	}
	chain(v, contracts)
	for _, l := range v.lines {
		if id, ok := p.earlier.first[draftKey{l.origin.Start, v.currency, v.stream}]; ok && l.late && id != v.id {
			l.first = &id
		}
		l.price(v.currency)
		if !l.holdsNothing() {
			p.keep(v, l)
		}
	}
	if err := p.takeBack(v); err != nil {
		return err
	}
	v.sort()
	v.total = decimal.Zero
	for _, l := range v.lines {
		v.total = v.total.Add(l.amount)
	}
	return nil
}

// keep notes what the line holds: later drafts may have lines of the cycle too.
func (p *pricer) keep(v *draft, l *draftLine) {
	if l.use == nil && !p.again[l.origin.Start] || l.adjustment != nil {
		return
	}
	key := priorKey{l.origin.Start, l.charge.Name, v.currency, v.stream}
	had := p.here[key]
	p.here[key] = inHand{l.charge.Add(had.inputs, l.added), had.billed.Add(l.amount)}
	if first := (draftKey{l.origin.Start, v.currency, v.stream}); p.earlier.first[first] == uuid.Nil {
		p.earlier.first[first] = v.id
	}
}

// before gives the line what was billed before.
func (p *pricer) before(ctx context.Context, tx pgx.Tx, v *draft, l *draftLine, was prior) (err error) {
	key := draftKey{l.origin.Start, v.currency, v.stream}
	l.before, l.read = l.charge.Add(was.inputs, Inputs{}), was.read
	if l.billed, err = billed(p.earlier.lines[key], l.charge.Name, v.currency); err != nil {
		return err
	}
	if was.lostFirst || min(l.charge.FreeEvents, l.before.Count) > int64(len(l.before.First)) {
		// The charge leaves more events free than it did when those lines were priced.
		if l.before.First, err = p.sel.FirstPinnedTx(ctx, tx, l.charge, p.account, l.origin.Start, was.invoices...); err != nil {
			return err
		}
	}
	had := p.here[priorKey{l.origin.Start, l.charge.Name, v.currency, v.stream}]
	l.before, l.billed = l.charge.Add(l.before, had.inputs), l.billed.Add(had.billed)
	return nil
}

// price prices the line.
func (l *draftLine) price(code string) {
	l.exact, l.amount = LineAmount(l.charge, code, l.before, l.added, l.billed)
	l.calculation = l.charge.Calculate(l.charge.Add(l.before, l.added))
}

// priors finds for every line what other invoices hold, from what their lines keep. Where charges of a cycle changed
// so that no line keeps it, the events are read that they pin.
func (p *pricer) priors(ctx context.Context, tx pgx.Tx, v *draft) (map[*draftLine]prior, error) {
	priors := map[*draftLine]prior{}
	var missing []*draftLine
	keys := map[*draftLine]draftKey{}
	var origins []time.Time
	var invoices []uuid.UUID
	unlined, err := p.readUnlined(ctx, tx, v.lines)
	if err != nil {
		return nil, err
	}
	for _, l := range v.lines {
		key := draftKey{l.origin.Start, v.currency, v.stream}
		lines := p.earlier.lines[key]
		if len(lines) == 0 || l.adjustment != nil || !l.charge.takesEvents() {
			continue
		}
		if p.cal.TermsAt(l.origin.Start).rerating == 0 {
			priors[l] = stored(lines, l.charge)
			continue
		}
		lastVoid := int64(0)
		for _, e := range lines {
			lastVoid = max(lastVoid, e.voided)
		}
		if p.except != uuid.Nil {
			lastVoid = math.MaxInt64
		}
		was, complete, err := restored(lines, l.charge, p.charges, lastVoid)
		if err != nil {
			return nil, err
		}
		was.invoices = append(was.invoices, unlined[key]...)
		if priors[l] = was; complete && len(unlined[key]) == 0 {
			continue
		}
		missing, keys[l] = append(missing, l), key
		invoices = append(invoices, was.invoices...)
		if !slices.Contains(origins, l.origin.Start) {
			origins = append(origins, l.origin.Start)
		}
	}
	if len(missing) == 0 {
		return priors, nil
	}
	slices.SortFunc(invoices, func(a, b uuid.UUID) int { return slices.Compare(a[:], b[:]) })
	found, err := pinnedBefore(ctx, tx, p.account, p.sel, p.m, origins, slices.Compact(invoices))
	if err != nil {
		return nil, err
	}
	for _, l := range missing {
		was := prior{invoices: priors[l].invoices, read: true, lostFirst: l.charge.FreeEvents > 0}
		for _, g := range found[keys[l]] {
			if p.sel.Selects(l.charge, g.typ, g.currency, g.mask) {
				was.inputs = l.charge.Add(was.inputs, p.m.added(l.charge, &g))
			}
		}
		priors[l] = was
	}
	return priors, nil
}

// rerate puts lines on the invoices of the cycle target that bring the cycle origin to its charges: for each currency
// and stream that it was billed in one of every charge, unless there is one for late events. only, if given, is the
// one currency and stream.
func (p *pricer) rerate(d *drafts, origin, target Cycle, only *draftKey) {
	terms := p.cal.TermsAt(origin.Start)
	d.recurringAgain(origin, target, terms, only)
	for key, lines := range p.earlier.lines {
		if !key.cycle.Equal(origin.Start) || only != nil && (only.currency != key.currency || only.stream != key.stream) {
			continue
		}
		if !slices.ContainsFunc(lines, func(l earlierLine) bool { return !l.adjusts }) {
			continue
		}
		invoice := d.invoice(draftKey{target.Start, key.currency, key.stream}, target)
		for rank, c := range terms.Charges {
			if c.takesEvents() && (c.Currency == "" || c.Currency == key.currency) {
				d.lineOf(invoice, c, rank, origin, terms)
			}
		}
	}
	for _, v := range d.by {
		for _, l := range v.lines {
			if l.origin.Start.Equal(origin.Start) && l.adjustment == nil && v.cycle.Start.Equal(target.Start) {
				l.rerating = terms.rerating
				l.termsBefore = p.versions(draftKey{origin.Start, v.currency, v.stream}, l.charge.Name)
			}
		}
	}
}

// versions are those whose charges billed a cycle before: by the charge of that name, or else by any, or else those
// that were in force.
func (p *pricer) versions(key draftKey, charge string) []int64 {
	var named, any []int64
	for _, l := range p.earlier.lines[key] {
		if l.outcome != "" || l.adjusts {
			continue
		}
		any = append(any, l.terms)
		if l.charge == charge {
			named = append(named, l.terms)
		}
	}
	if len(named) == 0 {
		named = any
	}
	if len(named) == 0 {
		named = []int64{p.plain.TermsAt(key.cycle).chargesVersion()}
	}
	slices.Sort(named)
	return slices.Compact(named)
}

// takeBack takes back, on an invoice that brings reratings, what their cycles were billed by charges that bill nothing
// there any more, and leaves out the lines that change nothing.
func (p *pricer) takeBack(v *draft) error {
	has := map[priorKey]bool{}
	origins := map[time.Time]*draftLine{}
	kept := v.lines[:0]
	for _, l := range v.lines {
		if l.rerating != 0 {
			origins[l.origin.Start] = l
			if l.holdsNothing() {
				continue // as if the charge weren't there: not even its minimum
			}
			has[priorKey{origin: l.origin.Start, charge: l.charge.Name}] = true
		}
		kept = append(kept, l)
	}
	v.lines = kept
	for start, of := range origins {
		key := draftKey{start, v.currency, v.stream}
		for _, name := range chargeNames(p.earlier.lines[key]) {
			if has[priorKey{origin: start, charge: name}] {
				continue
			}
			sum, err := billed(p.earlier.lines[key], name, v.currency)
			if err != nil {
				return fmt.Errorf("what charge %q billed: %w", name, err)
			}
			l := &draftLine{
				charge: Charge{Name: name, Model: ModelAdjustment}, rank: adjustmentRank, terms: of.terms, origin: of.origin, late: of.late,
				first: of.first, billed: sum, rerating: of.rerating, termsBefore: p.versions(key, name),
			}
			l.price(v.currency)
			p.keep(v, l)
			v.lines = append(v.lines, l)
		}
	}
	return nil
}

// holdsNothing reports whether a line of a rerating is of a charge that has nothing of the cycle: takeBack leaves it out.
func (l *draftLine) holdsNothing() bool {
	return l.rerating != 0 && l.before.none() && l.added.none() && l.pinned == 0
}

// chargeNames are the names of the charges of lines, sorted.
func chargeNames(lines []earlierLine) []string {
	var names []string
	for _, l := range lines {
		if !l.adjusts {
			names = append(names, l.charge)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// changesNothing reports whether a line of a rerating says nothing that isn't known: it bills nothing, pins nothing, and what it
// was priced by is on other lines.
func (l *draftLine) changesNothing() bool {
	return l.rerating != 0 && l.amount.IsZero() && l.pinned == 0 && !l.read
}

// withoutEmpty leaves out lines of reratings that change nothing, and drafts that have nothing else.
func withoutEmpty(all []*draft) []*draft {
	return slices.DeleteFunc(all, func(v *draft) bool {
		v.lines = slices.DeleteFunc(v.lines, (*draftLine).changesNothing)
		return len(v.lines) == 0 && v.pinned == 0
	})
}

// adjusts is what the line brings, if it is an adjustment line.
func (l *draftLine) adjusts() string {
	switch {
	case l.rerating != 0:
		return AdjustsTerms
	case l.adjustment != nil:
		return AdjustsManual
	}
	return ""
}
