package billing

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"deltaledger/ledger"
	"deltaledger/ledger/pg"
)

// MaxPreview is how many cycles a preview may list.
const MaxPreview = 1000

// Preview is how an account will be billed, if nothing more happens and its terms stay as they are.
// Nothing of it is stored.
type Preview struct {
	Account string           `json:"account"`
	AsOf    ledger.Watermark `json:"as_of"`            // the drafts hold what is recorded up to it
	Closed  *time.Time       `json:"closed,omitempty"` // every cycle that ends by then is closed; absent: none is
	Cycles  []PreviewCycle   `json:"cycles"`           // from the first that isn't closed, at the earliest the one of now
	Drafts  []Draft          `json:"drafts"`           // what a close of the cycles that have begun would make of them
	Waiting []WaitingOrders  `json:"waiting"`          // orders that aren't final by then and on none of them, by currency

	Supposed bool  `json:"supposed,omitempty"` // by terms that aren't recorded
	Names    Names `json:"-"`                  // of the invoices that lines of the drafts name
}

// PreviewCycle is a cycle that isn't closed.
type PreviewCycle struct {
	Start        time.Time `json:"start"`
	End          time.Time `json:"end"`
	Zone         string    `json:"zone"`          // it begins and ends on a local date or time there
	Terms        int64     `json:"terms"`         // version; 0 is the built-in default
	Base         int64     `json:"base"`          // version of the default terms that fills in what the account's own leave out; else 0
	ClosableFrom time.Time `json:"closable_from"` // when its grace, and that of those before it, is over
}

// Draft is an invoice as it would be.
type Draft struct {
	CycleStart time.Time `json:"cycle_start"`
	CycleEnd   time.Time `json:"cycle_end"`
	Currency   string    `json:"currency"`
	Stream     string    `json:"stream,omitempty"`
	Total      Money     `json:"total"`
	Events     int64     `json:"events"`
	Pinned     int64     `json:"pinned"`
	Lines      []Line    `json:"lines"`
}

// PreviewRequest says what to look ahead at.
type PreviewRequest struct {
	Account string
	// Count is how many cycles are wanted after those that have begun, up to MaxPreview. Those that have
	// begun and aren't closed are listed in any case, as far as there is room.
	Count int
	// AsOf is a watermark or a time, as ledger.AsOf reads it; empty is now.
	AsOf string
	// Terms, if any, are terms in JSON that are looked at as if they were recorded now: of the account, or
	// of the default. Nothing is recorded.
	Terms []byte
}

// Preview computes the cycles of an account that aren't closed and the coming ones, and the invoices
// that a close would write if the cycles that have begun ended now. A watermark before that of the
// account's last close is ErrConflict: what was billed then is on invoices. What is wrong with the terms
// to be looked at is a *TermsError.
func (b *Billing) Preview(ctx context.Context, r PreviewRequest) (Preview, error) {
	if r.Account == "" {
		return Preview{}, ledger.Invalid("account", "", "must be the name of an account")
	}
	if r.Count < 0 || r.Count > MaxPreview {
		return Preview{}, ledger.Invalid("count", fmt.Sprint(r.Count), fmt.Sprintf("must be a whole number from 0 to %d", MaxPreview))
	}
	var p Preview
	_, err := b.inSnapshot(ctx, r, func(tx pgx.Tx, catalogue ledger.Catalogue, v *view, at ledger.Watermark) error {
		p = Preview{Account: r.Account, AsOf: at, Cycles: []PreviewCycle{}, Drafts: []Draft{}, Waiting: []WaitingOrders{}, Supposed: len(r.Terms) > 0}
		if len(r.Terms) > 0 {
			if err := b.suppose(ctx, tx, catalogue, v, r.Terms); err != nil {
				return err
			}
		}
		return b.preview(ctx, tx, catalogue, v, r.Count, &p)
	})
	return p, wrap(err, "preview of %q", r.Account)
}

// inSnapshot has f look at the account as of a watermark, which it returns.
func (b *Billing) inSnapshot(ctx context.Context, r PreviewRequest, f func(pgx.Tx, ledger.Catalogue, *view, ledger.Watermark) error) (ledger.Watermark, error) {
	at, err := b.ledger.AsOf(ctx, r.AsOf)
	if err != nil {
		return at, err
	}
	if err := b.DeriveAccounts(ctx, at); err != nil {
		return at, err
	}
	catalogue, err := b.ledger.Catalogue(ctx)
	if err != nil {
		return at, err
	}
	if supposed, problems := parseTerms(r.Terms, b.zone); len(r.Terms) > 0 && len(problems) == 0 {
		if err := b.indexFinalising(ctx, supposed.Finalising); err != nil {
			return at, err
		}
	}
	// One snapshot, so that what a close pins meanwhile is either open or billed, and not both.
	return at, pg.InTxWith(ctx, b.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		v := &view{account: r.Account, runs: b.knownRuns()}
		var err error
		if v.state, err = b.readState(ctx, tx, v.runs, r.Account); err != nil {
			return err
		}
		if err := b.complete(ctx, tx, v, known{}); err != nil {
			return err
		}
		return f(tx, catalogue, v, at)
	})
}

// suppose gives the view the calendar that it would have if further terms were recorded.
func (b *Billing) suppose(ctx context.Context, tx pgx.Tx, catalogue ledger.Catalogue, v *view, raw []byte) error {
	t, k, err := b.checkTerms(ctx, tx, catalogue, raw)
	if err != nil {
		return err
	}
	if t.Account != "" && t.Account != v.account {
		return &TermsError{Problems: []Problem{{Field: "account", Value: shorten(t.Account), Rule: "must be the account that is looked at, or be left out for the default terms"}}}
	}
	t.Version = k.newest + 1
	if t.NotBefore, err = b.closedForTerms(ctx, tx, k, t.Account); err != nil {
		return err
	}
	v.line = &timeline{history: append(slices.Clone(v.line.history), t)}
	if v.cal, err = v.line.calendar(); err != nil {
		return err
	}
	v.cal = v.cal.with(v.reratings, false)
	v.plain = v.cal
	return nil
}

func (b *Billing) preview(ctx context.Context, tx pgx.Tx, catalogue ledger.Catalogue, v *view, count int, p *Preview) error {
	if p.AsOf.Position < v.closed.watermark {
		return fmt.Errorf("it was closed at the later watermark %d: its invoices say what was billed: %w", v.closed.watermark, ledger.ErrConflict)
	}
	if err := v.prepare(ctx, tx, p.AsOf.Position); err != nil {
		return err
	}
	first, now := v.closed.end, b.now()
	end := v.cal.Cycle(now).End
	if first.IsZero() {
		first = v.cal.Cycle(now).Start
	} else {
		p.Closed = &first
	}
	if !end.After(first) {
		end = v.cal.Cycle(first).End
	}
	w := newWindow(v, p.AsOf.Position, end)
	if len(w.cycles) > 0 {
		if w.from.Before(first) {
			first = w.from
		}
		if err := w.settleOrders(ctx, tx, v.carries, nil); err != nil {
			return err
		}
		r, err := b.rate(ctx, tx, catalogue, &w)
		if err != nil {
			return err
		}
		for _, d := range r.drafts {
			p.Drafts = append(p.Drafts, d.shown())
		}
		if err := p.tell(ctx, tx, r.drafts); err != nil {
			return err
		}
		if p.Waiting, err = w.waiting(ctx, tx); err != nil {
			return err
		}
	}
	for cy, more := v.cal.Cycle(first), count; len(p.Cycles) < MaxPreview; cy = v.cal.Next(cy) {
		if !cy.Start.Before(end) {
			if more--; more < 0 {
				break
			}
		}
		p.Cycles = append(p.Cycles, PreviewCycle{
			Start: cy.Start, End: cy.End, Terms: cy.Terms, Base: cy.Base, Zone: v.cal.TermsAt(cy.Start).Zone.String(), ClosableFrom: v.cal.Due(cy),
		})
	}
	return nil
}

// shown is the draft as others see it.
func (d *draft) shown() Draft {
	money := func(x decimal.Decimal) Money { return Money{Amount: x, Currency: d.currency} }
	out := Draft{
		CycleStart: d.cycle.Start, CycleEnd: d.cycle.End, Currency: d.currency, Stream: d.stream,
		Total: money(d.total), Events: d.events, Pinned: d.pinned, Lines: make([]Line, len(d.lines)),
	}
	for i, l := range d.lines {
		out.Lines[i] = Line{
			Line: i + 1, Charge: l.charge.Name, Terms: l.terms, Definition: json.RawMessage(l.charge.definition()),
			OriginStart: l.origin.Start, OriginEnd: l.origin.End, Late: l.late, OriginInvoice: l.first, Events: l.added.Count, Pinned: l.pinned,
			Added: l.added.Sum, First: l.added.First, BeforeCounted: l.before.Count, Before: l.before.Sum, BeforeFirst: l.before.First,
			Days: l.added.Days, PeriodDays: l.added.PeriodDays, Contract: l.use, Adjusts: l.adjusts(), TermsBefore: l.termsBefore, Adjustment: l.adjustment,
			Billed: money(l.billed), Calculation: l.calculation, Exact: l.exact, Amount: money(l.amount),
		}
	}
	return out
}
