package billing

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"deltaledger/ledger"
	"deltaledger/ledger/pg"
)

// CancelCreditNoteRequest says which credit note was wrong.
type CancelCreditNoteRequest struct {
	CreditNote string // id or number
	Reason     string // stands on the document
	Reference  string // of the sender, one credit note of an invoice each; empty: none
	By         string // who makes it
}

// CancelCreditNote takes back a credit note by another one, which names it and has all of its lines with the other sign, and
// issues that. Both documents stay: the invoice is due again as if neither were there. The same request again has the same
// answer. A credit note that is cancelled already for another reason, or that cancels another itself, is ErrConflict. If only the
// issuing failed, the new note is returned beside the error, and the next close issues it.
func (b *Billing) CancelCreditNote(ctx context.Context, r CancelCreditNoteRequest) (CreditNote, error) {
	err := problems(checkText("reason", r.Reason, "must say why, for it stands on the document"), checkNote("reference", r.Reference),
		checkText("by", r.By, "must say who makes it"))
	if err != nil {
		return CreditNote{}, wrap(err, "cancel a credit note")
	}
	wrong, err := b.CreditNote(ctx, r.CreditNote)
	if err != nil {
		return CreditNote{}, wrap(err, "cancel a credit note")
	}
	var id uuid.UUID
	err = pg.InTx(ctx, b.pool, func(tx pgx.Tx) error {
		v, err := b.holdInvoice(ctx, tx, Invoice{Account: wrong.Account, ID: wrong.Invoice})
		if err != nil {
			return err
		}
		id, err = b.cancelTx(ctx, tx, v, wrong.ID, r)
		return err
	})
	if err != nil {
		return CreditNote{}, wrap(err, "cancel credit note %s", r.CreditNote)
	}
	_, failure := b.Issue(ctx)
	n, err := b.CreditNote(ctx, id.String())
	if err != nil {
		return CreditNote{}, wrap(err, "cancel credit note %s", r.CreditNote)
	}
	return n, wrap(failure, "credit note %s, which cancels %s, is made, but not issued yet", id, r.CreditNote)
}

// cancelTx writes the note that takes back another one of the invoice, or finds the one that did.
func (b *Billing) cancelTx(ctx context.Context, tx pgx.Tx, v Invoice, wrong uuid.UUID, r CancelCreditNoteRequest) (uuid.UUID, error) {
	known, err := readCreditNotes(ctx, tx, v)
	if err != nil {
		return uuid.Nil, err
	}
	var lines []CreditNoteLine
	for _, n := range known {
		switch {
		case n.Cancels != nil && *n.Cancels == wrong && n.Reason == r.Reason && n.Reference == r.Reference:
			return n.ID, nil
		case n.Cancels != nil && *n.Cancels == wrong:
			return uuid.Nil, fmt.Errorf("credit note %s has cancelled it already: %w", n.name(), ledger.ErrConflict)
		case r.Reference != "" && n.Reference == r.Reference:
			return uuid.Nil, fmt.Errorf("credit note %s has this reference: another one needs its own: %w", n.name(), ledger.ErrConflict)
		case n.ID == wrong && n.Cancels != nil:
			return uuid.Nil, fmt.Errorf("it cancels another one itself: make a new credit note for invoice %s: %w", n.Corrects, ledger.ErrConflict)
		case n.ID == wrong:
			for _, l := range n.Lines {
				lines = append(lines, CreditNoteLine{l.Line, l.Charge, Money{l.Amount.Amount.Neg(), v.Currency}})
			}
		}
	}
	if err := v.mustCount("corrected"); err != nil {
		return uuid.Nil, err
	}
	return b.insertCreditNote(ctx, tx, v, CreditNoteRequest{Reason: r.Reason, Reference: r.Reference, By: r.By}, lines, &wrong)
}
