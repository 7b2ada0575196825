package billing

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"deltaledger/ledger/pg"
)

// told is whose an adjustment or rerating is, and why.
type told struct{ why, by, approvedBy string }

const sqlToldAdjustments = `
SELECT a.id, a.reason, a.made_by, COALESCE(d.decided_by, '')
FROM billing.adjustments a
LEFT JOIN billing.adjustment_decisions d ON d.account = a.account AND d.adjustment = a.id
WHERE a.account = $1 AND a.id = ANY($2)`

const sqlToldReratings = `
SELECT r.terms, r.why, r.recorded_by
FROM billing.reratings r
WHERE r.account = $1 AND r.terms = ANY($2)`

// tell adds to the drafts of a preview what written invoices say too: whose the adjustments on their lines are and why, and
// what the invoices are called that billed a cycle first.
func (p *Preview) tell(ctx context.Context, tx pgx.Tx, all []*draft) error {
	var ids []uuid.UUID
	var versions []int64
	for _, d := range all {
		for _, l := range d.lines {
			if l.adjustment != nil {
				ids = append(ids, *l.adjustment)
			}
			if l.rerating != 0 {
				versions = append(versions, l.rerating)
			}
		}
	}
	manual, byTerms := map[uuid.UUID]told{}, map[int64]told{}
	if len(ids) > 0 {
		var id uuid.UUID
		var t told
		if err := pg.ForEach(ctx, tx, []any{&id, &t.why, &t.by, &t.approvedBy}, func() error { manual[id] = t; return nil }, sqlToldAdjustments, p.Account, ids); err != nil {
			return err
		}
	}
	if len(versions) > 0 {
		var version int64
		var t told
		if err := pg.ForEach(ctx, tx, []any{&version, &t.why, &t.by}, func() error { byTerms[version] = t; return nil }, sqlToldReratings, p.Account, versions); err != nil {
			return err
		}
	}
	var lines []Line
	for i, d := range all {
		for j, l := range d.lines {
			t := byTerms[l.rerating]
			if l.adjustment != nil {
				t = manual[*l.adjustment]
			}
			to := &p.Drafts[i].Lines[j]
			to.Why, to.By, to.ApprovedBy = t.why, t.by, t.approvedBy
		}
		lines = append(lines, p.Drafts[i].Lines...)
	}
	var err error
	p.Names, err = namesFor(ctx, tx, Invoice{Account: p.Account, Lines: lines})
	return err
}

// Invoice is the draft as an invoice that isn't written: it has neither id nor number.
func (p Preview) Invoice(d Draft) Invoice {
	none := Money{Currency: d.Currency}
	v := Invoice{
		Account: p.Account, Status: Ready, CycleStart: d.CycleStart, CycleEnd: d.CycleEnd, Currency: d.Currency, Stream: d.Stream, Total: d.Total,
		Credited: none, Paid: none, Open: d.Total, Events: d.Events, Pinned: d.Pinned, Watermark: p.AsOf.Position, Lines: d.Lines,
	}
	for _, cy := range p.Cycles {
		if cy.Start.Equal(d.CycleStart) {
			v.Zone = cy.Zone
		}
	}
	return v
}
