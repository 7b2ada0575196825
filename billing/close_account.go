package billing

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"deltaledger/ledger"
	"deltaledger/ledger/pg"
)

// closeRun is one run as it was recorded when it began.
type closeRun struct {
	n         int64
	through   Date
	review    bool // invoices wait for a person
	ranAt     time.Time
	watermark ledger.Watermark
	catalogue ledger.Catalogue
}

// closedAccount is what one transaction did for one account.
type closedAccount struct {
	cycles, invoices, pinned, late int64
	totals                         map[string]decimal.Decimal // by currency
}

// One plan for the accounts of a run, by index: a plan of its own for each account takes longer than most closes, and
// one that reads whole tables because they were small once would be slow for ever. It is good for a large account too:
// a plan for that one alone sorts its events to add them up, because so many might differ in everything.
//
// Nothing is compiled: what is switched off here and below costs so much in the planner's eyes where it can't be avoided that
// it would compile the statement anew for every account.
const sqlPlanOnce = `
SELECT set_config('plan_cache_mode', 'force_generic_plan', true), set_config('enable_seqscan', 'off', true), set_config('jit', 'off', true)`

// closeAccount closes the cycles of one account that are due, in order, in one transaction under the
// account's lock, or does nothing if there are none, for example because another run was quicker. Either
// all of it is committed or nothing, so a run that was stopped may simply be run again.
//
// The order of the writes: what the invoices hold, the close, and the invoices themselves at the very
// end, because they draw positions.
func (b *Billing) closeAccount(ctx context.Context, run *closeRun, account string, before known) (closedAccount, error) {
	var done closedAccount
	err := pg.InTx(ctx, b.pool, func(tx pgx.Tx) error {
		done = closedAccount{}
		v, err := b.hold(ctx, tx, account, before, sqlPlanOnce)
		if err != nil {
			return err
		}
		end := v.cal.LastBoundary(run.through, run.ranAt)
		if !end.After(v.closed.end) {
			return nil
		}
		if run.watermark.Position < v.closed.watermark {
			return fmt.Errorf("another run has closed it at the later watermark %d: close again: %w", v.closed.watermark, ledger.ErrConflict)
		}
		if err := v.checkCarried(); err != nil {
			return err
		}
		if err := v.prepare(ctx, tx, run.watermark.Position); err != nil {
			return err
		}
		var out writes
		queueParkedCheck(&out, account)
		var all []*draft
		if w := newWindow(v, run.watermark.Position, end); len(w.cycles) > 0 {
			if err := w.settleOrders(ctx, tx, v.carries, &run.n); err != nil {
				return err
			}
			if all, err = b.bill(ctx, tx, run, v, &w, &out, &done); err != nil {
				return err
			}
			queueCarried(&out, &w, run.n)
		}
		out.exec(nil, sqlInsertClose, account, end, run.watermark.Position, run.n)
		out.exec(nil, sqlSettleAccount, account, run.watermark.Position)
		queueRerated(&out, v, run.n)
		queueBilled(&out, account, all)
		for _, d := range all {
			if run.review && d.review == "" {
				d.review = reviewAsked
			}
		}
		queueInvoices(&out, account, all, nil, &run.n, run.watermark.Position)
		queueReviews(&out, account, all)
		return out.send(ctx, tx)
	})
	return done, err
}

// bill reads and prices what the window holds, and queues what the invoices are made of.
func (b *Billing) bill(ctx context.Context, tx pgx.Tx, run *closeRun, v *view, w *window, out *writes, done *closedAccount) ([]*draft, error) {
	if !w.cycles[w.open].Start.Equal(w.from) {
		return nil, fmt.Errorf("it is closed through %s, which is no boundary of its calendar: %w", w.from.Format(time.RFC3339), ledger.ErrCorrupt)
	}
	r, err := b.rate(ctx, tx, run.catalogue, w)
	if err != nil {
		return nil, err
	}
	all, late := r.drafts, r.late
	queueCycles(out, w, all, run.n)
	queueIDs(out, v.account, all)
	billed := slices.DeleteFunc(late, func(g bunch) bool { return g.invoice == uuid.Nil })
	queuePins(out, w, slices.DeleteFunc(slices.Clone(billed), func(g bunch) bool { return !g.covered }), sqlInsertCoveredPins)
	if late = slices.DeleteFunc(billed, func(g bunch) bool { return g.covered }); len(late) > 0 {
		marks, err := closedWatermarks(ctx, tx, v, w)
		if err != nil {
			return nil, err
		}
		queueLate(out, w, late, marks, foundByClose, strconv.FormatInt(run.n, 10), nil)
		if w.orders == nil {
			queuePins(out, w, late, sqlInsertLatePins)
		}
	}
	if w.orders == nil {
		queuePins(out, w, r.onTime, sqlInsertPins)
	} else {
		queuePins(out, w, slices.Concat(r.onTime, late), sqlInsertOrderedPins)
	}
	queueLines(out, v.account, all)
	queueContracts(out, v.account, r.contracts)
	done.count(all, late)
	return all, nil
}

// rated is what a window holds and what it comes to.
type rated struct {
	late, onTime []bunch // with the invoice of each
	drafts       []*draft
	contracts    []*contract // as they are used then
}

// rate reads and prices what the window holds. It writes nothing.
func (b *Billing) rate(ctx context.Context, tx pgx.Tx, catalogue ledger.Catalogue, w *window) (rated, error) {
	m, err := measuresOf(catalogue, w.terms)
	if err != nil {
		return rated{}, err
	}
	if err := w.resolve(catalogue); err != nil {
		return rated{}, err
	}
	late, onTime, err := w.bunches(ctx, tx, m)
	if err != nil {
		return rated{}, err
	}
	r := rated{late: slices.DeleteFunc(late, bunch.empty), onTime: slices.DeleteFunc(onTime, bunch.empty)}
	p := &pricer{account: w.account, cal: w.cal, plain: w.plain, history: w.history, sel: w.sel, m: m}
	again := w.origins(r.late, r.onTime)
	if err := p.read(ctx, tx, again); err != nil {
		return rated{}, err
	}
	r.drafts = w.draft(p, b.newID, r.late, r.onTime)
	if err := w.readFirst(ctx, tx, r.drafts); err != nil {
		return rated{}, err
	}
	if r.contracts, err = p.price(ctx, tx, r.drafts, again); err != nil {
		return rated{}, err
	}
	if w.onlyCovered {
		return r, nil
	}
	r.drafts = withoutEmpty(r.drafts)
	holdBack(w.cal, r.drafts)
	return r, nil
}

// bunches adds up what the window bills.
func (w *window) bunches(ctx context.Context, tx pgx.Tx, m measures) (late, onTime []bunch, err error) {
	covered, err := w.coveredBunches(ctx, tx, m)
	if err != nil || w.onlyCovered {
		return covered, nil, err
	}
	if w.orders != nil {
		late, onTime, err = w.orderedBunches(ctx, tx, m)
		return slices.Concat(late, covered), onTime, err
	}
	if late, err = w.lateBunches(ctx, tx, m); err != nil {
		return nil, nil, err
	}
	onTime, err = w.onTimeBunches(ctx, tx, m)
	return slices.Concat(late, covered), onTime, err
}

// draft makes the invoices of the window, priced by nothing yet.
func (w *window) draft(p *pricer, newID func() uuid.UUID, late, onTime []bunch) []*draft {
	d := newDrafts(w.cal, p.m, w.sel, newID)
	for _, found := range [][]bunch{onTime, late} {
		for i := range found {
			g := &found[i]
			d.add(g, w.cycles[g.cycle], w.cycles[g.target], w.terms[g.cycle])
		}
	}
	for i := w.open; i < len(w.cycles); i++ {
		if w.terms[i].begun(w.cycles[i], w.since) {
			d.recurring(w.cycles[i], w.terms[i], "")
		}
	}
	for i, is := range w.rerated {
		if is {
			p.rerate(d, w.cycles[i], w.cycles[w.open], nil)
		}
	}
	d.adjust(w.adjustments, w.cal, w.cycles[w.open])
	return d.sorted()
}

// origins are the starts of the cycles that bunches belong to which another cycle bills, that reratings bring, or that
// adjustments are about.
func (w *window) origins(found ...[]bunch) []time.Time {
	var starts []time.Time
	for _, g := range slices.Concat(found...) {
		if start := w.cycles[g.cycle].Start; g.cycle != g.target && !slices.Contains(starts, start) {
			starts = append(starts, start)
		}
	}
	for i, is := range w.rerated {
		if is && !slices.Contains(starts, w.cycles[i].Start) {
			starts = append(starts, w.cycles[i].Start)
		}
	}
	for _, a := range w.adjustments {
		if !a.origin.IsZero() && !slices.Contains(starts, a.origin) {
			starts = append(starts, a.origin)
		}
	}
	return starts
}

func (done *closedAccount) count(all []*draft, late []bunch) {
	done.totals = map[string]decimal.Decimal{}
	starts := map[time.Time]bool{}
	for _, v := range all {
		done.invoices++
		done.pinned += v.events
		done.totals[v.currency] = done.totals[v.currency].Add(v.total)
		starts[v.cycle.Start] = true
	}
	for _, g := range late {
		done.late += g.events
	}
	done.cycles = int64(len(starts))
}

const sqlInsertCycles = `
INSERT INTO billing.cycles (account, starts_at, ends_at, terms, base, run)
SELECT $1, u.starts_at, u.ends_at, u.terms, u.base, $2
FROM unnest($3::timestamptz[], $4::timestamptz[], $5::bigint[], $6::bigint[]) AS u (starts_at, ends_at, terms, base)`

// queueCycles queues the cycles that get an invoice.
func queueCycles(out *writes, w *window, all []*draft, run int64) {
	var starts, ends []time.Time
	var terms, base []int64
	for _, v := range all { // by cycle
		if n := len(starts); n > 0 && starts[n-1].Equal(v.cycle.Start) {
			continue
		}
		starts, ends, terms = append(starts, v.cycle.Start), append(ends, v.cycle.End), append(terms, v.cycle.Terms)
		base = append(base, v.cycle.Base)
	}
	if len(starts) > 0 {
		out.exec(nil, sqlInsertCycles, w.account, run, starts, ends, terms, base)
	}
}

const sqlInsertPins = `
INSERT INTO billing.pins (account, position, recorded_at, origin_start, invoice_id)
SELECT e.account, e.position, e.recorded_at, (@bounds::timestamptz[])[b.cycle], g.invoice
FROM ` + fromOnTime + joinBilled

const sqlInsertLatePins = `
INSERT INTO billing.pins (account, position, recorded_at, origin_start, invoice_id)
SELECT e.account, e.position, e.recorded_at, (@bounds::timestamptz[])[b.cycle], g.invoice
FROM ` + fromLate + joinBilled

const sqlInsertCoveredPins = `
INSERT INTO billing.pins (account, position, recorded_at, origin_start, invoice_id)
SELECT e.account, e.position, e.recorded_at, (@bounds::timestamptz[])[b.cycle], g.invoice
FROM ` + fromCovered + joinBilled

// What is pinned is joined to the bunches by a hash of these: with an invoice for each stream they may be as many as the
// events, and the planner, who can't know, would compare every event with every bunch.
const (
	sqlWithoutLoops = `SELECT set_config('enable_nestloop', 'off', true)`
	sqlWithLoops    = `SELECT set_config('enable_nestloop', 'on', true)`
)

// queuePins queues the pins of bunches, by the same selection of events that added them up, and holds
// their number against it (invariant 6).
func queuePins(out *writes, w *window, found []bunch, sql string) {
	var cycles, targets []int
	var lates []bool
	var currencies, streams, types, masks []string
	var invoices []uuid.UUID
	var want int64
	for _, g := range found {
		if g.invoice == uuid.Nil {
			continue
		}
		cycles, currencies, streams = append(cycles, g.cycle+1), append(currencies, g.currency), append(streams, g.stream)
		targets, lates = append(targets, g.target+1), append(lates, g.late)
		types, masks, invoices = append(types, g.typ), append(masks, g.mask), append(invoices, g.invoice)
		want += g.pinned
	}
	if want == 0 {
		return
	}
	args := w.args()
	args["cycles"], args["currencies"], args["streams"], args["types"] = cycles, currencies, streams, types
	args["targets"], args["lates"], args["masks"], args["invoices"] = targets, lates, masks, invoices
	out.exec(nil, sqlWithoutLoops)
	out.exec(func(pinned int64) error {
		if pinned != want {
			return fmt.Errorf("%d rows were pinned, but %d were added up: %w", pinned, want, ledger.ErrCorrupt)
		}
		return nil
	}, w.sql(sql), args)
	out.exec(nil, sqlWithLoops)
}

// What waits changes by closes alone: so the next one, and reconciliations, can count it again.
const sqlInsertClose = `
INSERT INTO billing.closes (account, through_at, watermark, run, carried)
VALUES ($1, $2, $3, $4, (SELECT count(*) FROM billing.carried w WHERE w.account = $1 AND w.settled IS NULL))`

// Nothing of the account waits any more, unless something came in above the watermark: then its
// earliest occurred_at isn't known, and the old one stays as a lower bound.
const sqlSettleAccount = `
UPDATE billing.accounts
SET pending_from = NULL
WHERE account = $1 AND last_position <= $2`
