package billing

import (
	"context"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"deltaledger/ledger"
	"deltaledger/ledger/pg"
)

// An invoice that waits for a person has a row of billing.reviews, written with it; it stays ready, and the
// issuer leaves it alone, until it has an approval. The approval draws a position, and there the issuer finds it.

const sqlInsertReviews = `
INSERT INTO billing.reviews (account, invoice_id, why)
SELECT $1, u.id, u.why
FROM unnest($2::uuid[], $3::text[]) AS u (id, why)`

// reviewAsked is why invoices of a close with review wait.
const reviewAsked = "the close asked for it"

// queueReviews queues which drafts wait for a person, after the invoices themselves.
func queueReviews(out *writes, account string, all []*draft) {
	for part := range slices.Chunk(all, chunk) {
		var ids []uuid.UUID
		var why []string
		for _, v := range part {
			if v.review != "" {
				ids, why = append(ids, v.id), append(why, v.review)
			}
		}
		if len(ids) > 0 {
			out.exec(nil, sqlInsertReviews, account, ids, why)
		}
	}
}

// ApproveRequest says which invoices are to be issued that waited for a person.
type ApproveRequest struct {
	Invoices []string // ids
	By       string   // who looked at them
}

// maxApprove is how many invoices are approved by one request.
const maxApprove = 1000

const sqlInsertApproval = `
INSERT INTO billing.approvals (account, invoice_id, approved_by, position, approved_at)
SELECT $1, $2, $3, d.positions[1], d.recorded_at
FROM ledger.draw(1) d`

// Approve has invoices issued that wait for a person, and returns all that were asked for, with their numbers,
// which follow the order of the request. One that is issued already is returned as it is; one that is void is
// ErrConflict, one that doesn't exist ErrNotFound. Each invoice is approved for itself: those before the
// one that an error is about are, and sending the same again does the rest.
func (b *Billing) Approve(ctx context.Context, r ApproveRequest) ([]Invoice, error) {
	err := checkText("by", r.By, "must say who approves")
	if len(r.Invoices) == 0 || len(r.Invoices) > maxApprove {
		err = problems(err, ledger.Invalid("invoices", "", fmt.Sprintf("must be 1 to %d ids", maxApprove)))
	}
	if err != nil {
		return nil, wrap(err, "issue invoices")
	}
	var ids []uuid.UUID
	for _, name := range r.Invoices {
		v, err := find(ctx, b.pool, name)
		if err != nil {
			return nil, wrap(err, "issue invoices")
		}
		ids = append(ids, v.ID)
	}
	for _, id := range ids {
		if err := b.approve(ctx, id, r.By); err != nil {
			return nil, wrap(err, "issue invoice %s", id)
		}
	}
	if _, err := b.Issue(ctx); err != nil {
		return nil, wrap(err, "the invoices are approved, but not issued yet")
	}
	issued := make([]Invoice, len(ids))
	for i, id := range ids {
		if issued[i], err = find(ctx, b.pool, id.String()); err != nil {
			return nil, wrap(err, "issue invoice %s", id)
		}
	}
	return issued, nil
}

// approve records the approval of one invoice, unless it doesn't wait for any.
func (b *Billing) approve(ctx context.Context, id uuid.UUID, by string) error {
	wanted, err := find(ctx, b.pool, id.String())
	if err != nil {
		return err
	}
	return pg.InTx(ctx, b.pool, func(tx pgx.Tx) error {
		v, err := b.holdInvoice(ctx, tx, wanted)
		switch {
		case err != nil:
			return err
		case v.Status == Void:
			return fmt.Errorf("it is void (%s): %w", v.Outcome, ledger.ErrConflict)
		case v.Review == "", v.ApprovedBy != "":
			return nil
		}
		_, err = tx.Exec(ctx, sqlInsertApproval, v.Account, v.ID, by)
		return err
	})
}
