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
	"deltaledger/ledger/pg"
)

// Outcome is what a void does with what the invoice billed.
type Outcome string

const (
	// Rebill writes another invoice for the same events, in the same transaction, priced anew.
	Rebill Outcome = "rebill"
	// WriteOff gives the money up: the events stay on the void invoice, and nothing else bills them.
	WriteOff Outcome = "write-off"
)

// VoidRequest says which invoice doesn't count any more.
type VoidRequest struct {
	Invoice string  // id or number
	Outcome Outcome // what becomes of its events
	Why     string  // the reason that is kept
	By      string  // who asks
}

// VoidResult is what a void did.
type VoidResult struct {
	Invoice uuid.UUID  `json:"invoice"`
	Rebill  *uuid.UUID `json:"rebill,omitempty"` // the invoice that stands in its place
}

const sqlInsertVoid = `
INSERT INTO billing.voids (account, invoice_id, outcome, why, voided_by, position, voided_at)
SELECT $1, $2, $3, $4, $5, d.positions[1], d.recorded_at
FROM ledger.draw(1) d`

// Void makes an invoice not count. The invoice itself stays as it is, with its number; what happened
// to it is a further record. A rebill is issued at once, with a number of its own; if only that fails, the
// result is returned beside the error, and the next close issues it. One in place of an invoice that waited for
// a person waits too. An invoice that is void already, that is paid even in part, or that a credit note corrects
// is ErrConflict, one that doesn't exist ErrNotFound.
func (b *Billing) Void(ctx context.Context, r VoidRequest) (VoidResult, error) {
	if err := r.check(); err != nil {
		return VoidResult{}, err
	}
	catalogue, err := b.ledger.Catalogue(ctx)
	if err != nil {
		return VoidResult{}, wrap(err, "void invoice %s", r.Invoice)
	}
	wanted, err := find(ctx, b.pool, r.Invoice)
	if err != nil {
		return VoidResult{}, wrap(err, "void invoice")
	}
	var done VoidResult
	err = pg.InTx(ctx, b.pool, func(tx pgx.Tx) error {
		done = VoidResult{Invoice: wanted.ID}
		v, err := b.hold(ctx, tx, wanted.Account, known{})
		if err != nil {
			return err
		}
		old, err := find(ctx, tx, wanted.ID.String()) // again: another void may have been quicker
		if err != nil {
			return err
		}
		if old.Status == Void {
			return fmt.Errorf("it is void already (%s): %w", old.Outcome, ledger.ErrConflict)
		}
		if err := voidable(ctx, tx, old); err != nil {
			return err
		}
		if r.Outcome == WriteOff {
			if err := writable(ctx, tx, old); err != nil {
				return err
			}
		}
		var out writes
		var again []*draft
		if r.Outcome == Rebill {
			if again, err = b.rebill(ctx, tx, catalogue, v, old, &out); err != nil {
				return err
			}
			done.Rebill = &again[0].id
		}
		out.exec(nil, sqlInsertVoid, old.Account, old.ID, string(r.Outcome), r.Why, r.By)
		if old.Review != "" && old.Number == "" {
			for _, d := range again {
				d.review = old.Review
			}
		}
		queueInvoices(&out, old.Account, again, &old.ID, nil, old.Watermark)
		queueReviews(&out, old.Account, again)
		return out.send(ctx, tx)
	})
	if err != nil {
		return VoidResult{}, wrap(err, "void invoice %s", r.Invoice)
	}
	if done.Rebill != nil {
		if _, err := b.Issue(ctx); err != nil {
			return done, wrap(err, "invoice %s is void and billed again by %s, which isn't issued yet", r.Invoice, done.Rebill)
		}
	}
	return done, nil
}

func (r VoidRequest) check() error {
	var err error
	if r.Outcome != Rebill && r.Outcome != WriteOff {
		err = ledger.Invalid("outcome", string(r.Outcome), "must be rebill or write-off")
	}
	return problems(err, checkText("why", r.Why, "must say why"), checkText("by", r.By, "must say who voids"))
}

// voidable refuses to void what money or another document stands against.
func voidable(ctx context.Context, tx pgx.Tx, v Invoice) error {
	if v.Paid.Amount.Sign() != 0 {
		return fmt.Errorf("%s of its %s %s is paid: correct it by a credit note, or record first that the money went back: %w",
			v.Paid, v.Total, v.Currency, ledger.ErrConflict)
	}
	notes, err := readCreditNotes(ctx, tx, v)
	if err != nil {
		return err
	}
	if len(notes) > 0 {
		return fmt.Errorf("credit note %s corrects it: correct what is left of it by another one: %w", notes[0].name(), ledger.ErrConflict)
	}
	return nil
}

// The first invoice after this one, of those that weren't billed again, that brings other terms for a cycle of which this one has
// events or flat charges.
const sqlReratedSince = `
SELECT r.invoice_id
FROM billing.invoices i
JOIN billing.invoice_lines l ON l.account = i.account AND l.invoice_id = i.id AND (l.rerating IS NULL OR l.pinned > 0) AND l.adjustment IS NULL
JOIN billing.invoice_lines r ON r.account = i.account AND r.origin_start = l.origin_start AND r.rerating IS NOT NULL
JOIN billing.invoices o ON o.account = r.account AND o.id = r.invoice_id AND o.currency = i.currency AND o.stream IS NOT DISTINCT FROM i.stream AND o.position > i.position
LEFT JOIN billing.voids v ON v.account = o.account AND v.invoice_id = o.id
WHERE i.account = $1 AND i.id = $2 AND v.outcome IS DISTINCT FROM 'rebill'
GROUP BY r.invoice_id, o.position
HAVING sum(abs(r.amount)) <> 0
ORDER BY o.position
LIMIT 1`

// writable refuses to write off what terms for closed cycles changed since: what these brought is on another invoice and would
// stand alone there, paying back what was never paid.
func writable(ctx context.Context, tx pgx.Tx, v Invoice) error {
	var id uuid.UUID
	err := tx.QueryRow(ctx, sqlReratedSince, v.Account, v.ID).Scan(&id)
	if isNoRows(err) {
		return nil
	}
	if err != nil {
		return err
	}
	return fmt.Errorf("invoice %s brought other terms for its cycles since, and that would stand alone: give up what is left by a credit note, or bill it again: %w",
		id, ledger.ErrConflict)
}

// The invoice's own events, added up. Which cycle each belongs to was decided when it was pinned.
const (
	selectPinned = `
SELECT p.origin_start, e.type, ` + noMask + ` AS mask, count(*), count(*) FILTER (WHERE e.kind IN ('upstream', 'adjustment'))`
	fromPinned = `
FROM billing.pins p` + ledger.EventAtP + `
WHERE p.account = @account AND p.invoice_id = @invoice
GROUP BY 1, 2, 3
ORDER BY 1, 2, 3`
)

const sqlRepin = `
INSERT INTO billing.pins (account, position, recorded_at, origin_start, invoice_id, replaces)
SELECT p.account, p.position, p.recorded_at, p.origin_start, $3, p.invoice_id
FROM billing.pins p
WHERE p.account = $1 AND p.invoice_id = $2`

// rebill prices the events of an invoice anew, by the terms in force for their cycles, against
// whatever else is live: late lines of other invoices for the same cycles stay what they are, and count
// as billed before.
func (b *Billing) rebill(ctx context.Context, tx pgx.Tx, catalogue ledger.Catalogue, v *view, old Invoice, out *writes) ([]*draft, error) {
	target := v.cal.Cycle(old.CycleStart)
	if !target.Start.Equal(old.CycleStart) || !target.End.Equal(old.CycleEnd) {
		return nil, fmt.Errorf("its cycle isn't one of the account's calendar: %w", ledger.ErrCorrupt)
	}
	m, err := measuresOf(catalogue, v.line.history)
	if err != nil {
		return nil, err
	}
	sel, err := selectionOf(catalogue, v.line.history)
	if err != nil {
		return nil, err
	}
	found, origins, err := pinnedBunches(ctx, tx, m, sel, old)
	if err != nil {
		return nil, err
	}
	d := newDrafts(v.cal, m, sel, b.newID)
	invoice := d.invoice(draftKey{target.Start, old.Currency, old.Stream}, target)
	starts := make([]time.Time, len(origins))
	for i := range found {
		origin := v.cal.Cycle(origins[i])
		if !origin.Start.Equal(origins[i]) {
			return nil, fmt.Errorf("pins name the cycle of %s, which isn't one of the account's calendar: %w", origins[i].Format(time.RFC3339), ledger.ErrCorrupt)
		}
		terms := v.cal.TermsAt(origin.Start)
		d.add(&found[i], origin, target, terms)
		if found[i].invoice == uuid.Nil && terms.rerating != 0 { // what no charge selects any more stays pinned
			invoice.pinned += found[i].pinned
			invoice.events += found[i].events
		}
		starts[i] = origin.Start
	}
	if invoice.pinned != old.Pinned {
		return nil, fmt.Errorf("it holds %d rows, but %d of them are billable: %w", old.Pinned, invoice.pinned, ledger.ErrCorrupt)
	}
	p := &pricer{account: old.Account, cal: v.cal, plain: v.plain, history: v.line.history, sel: sel, m: m, except: old.ID}
	again, err := b.rebillCycles(ctx, tx, p, d, target, old, starts)
	if err != nil {
		return nil, err
	}
	all := d.sorted()
	for _, l := range all[0].lines {
		if l.added.First, err = sel.FirstPinnedTx(ctx, tx, l.charge, old.Account, l.origin.Start, old.ID); err != nil {
			return nil, err
		}
	}
	contracts, err := p.price(ctx, tx, all, again)
	if err != nil {
		return nil, err
	}
	all[0].lines = slices.DeleteFunc(all[0].lines, (*draftLine).changesNothing)
	holdBack(v.cal, all)
	queueIDs(out, old.Account, all)
	out.exec(func(pinned int64) error {
		if pinned != old.Pinned {
			return fmt.Errorf("%d rows were pinned again, but it holds %d: %w", pinned, old.Pinned, ledger.ErrCorrupt)
		}
		return nil
	}, sqlRepin, old.Account, old.ID, invoice.id)
	queueLines(out, old.Account, all)
	queueContracts(out, old.Account, contracts)
	return all, nil
}

// rebillCycles puts on the draft what an invoice bills besides its events: flat charges, adjustments, and for every
// cycle of it whose charges were changed since, or that it brought to changed ones, all that these bill.
// It returns the starts of its cycles.
func (b *Billing) rebillCycles(ctx context.Context, tx pgx.Tx, p *pricer, d *drafts, target Cycle, old Invoice, starts []time.Time) ([]time.Time, error) {
	lines, err := readLines(ctx, tx, old)
	if err != nil {
		return nil, err
	}
	for _, l := range lines {
		switch {
		case l.Adjustment != nil:
			d.adjust([]pendingAdjustment{{id: *l.Adjustment, currency: old.Currency, amount: l.Amount.Amount, origin: l.OriginStart}}, p.cal, target)
		case !slices.Contains(starts, l.OriginStart):
			starts = append(starts, l.OriginStart)
		}
	}
	if err := p.read(ctx, tx, starts); err != nil {
		return nil, err
	}
	if terms := p.cal.TermsAt(target.Start); old.Stream == "" && terms.rerating == 0 && terms.begun(target, time.Time{}) {
		d.recurring(target, terms, old.Currency)
	}
	only := &draftKey{currency: old.Currency, stream: old.Stream}
	slices.SortFunc(starts, time.Time.Compare)
	for _, start := range slices.CompactFunc(starts, time.Time.Equal) {
		if p.cal.TermsAt(start).rerating != 0 {
			p.rerate(d, p.cal.Cycle(start), target, only)
		}
	}
	return starts, nil
}

// pinnedBunches adds up what an invoice pins; origins are the starts of the cycles of the bunches.
func pinnedBunches(ctx context.Context, tx pgx.Tx, m measures, sel Selection, old Invoice) ([]bunch, []time.Time, error) {
	args := pgx.NamedArgs{"account": old.Account, "invoice": old.ID}
	sql := strings.Replace(selectPinned, noMask, sel.Mask(named(args)), 1) + m.sums() + fromPinned
	rows, err := tx.Query(ctx, sql, args)
	if err != nil {
		return nil, nil, err
	}
	var origins []time.Time
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (bunch, error) {
		g := bunch{currency: old.Currency, stream: old.Stream, sums: make([]decimal.Decimal, len(m))}
		var origin time.Time
		into := []any{&origin, &g.typ, &g.mask, &g.pinned, &g.events}
		for i := range g.sums {
			into = append(into, &g.sums[i])
		}
		err := row.Scan(into...)
		origins = append(origins, origin.UTC())
		return g, err
	})
	return found, origins, err
}
