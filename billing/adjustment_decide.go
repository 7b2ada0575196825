package billing

import (
	"context"
	"fmt"
	"strings"
	"unicode"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"deltaledger/ledger"
	"deltaledger/ledger/pg"
)

// What a person decided on an adjustment.
const (
	Approved = "approved"
	Rejected = "rejected"
)

// DecideRequest says what becomes of an adjustment that waits.
type DecideRequest struct {
	Adjustment string // its id
	Outcome    string // Approved or Rejected
	Why        string // kept with the decision
	By         string // who decides; not who made the adjustment
}

const sqlInsertDecision = `
INSERT INTO billing.adjustment_decisions (account, adjustment, outcome, why, made_by, decided_by, position, decided_at)
SELECT $1, $2, $3, $4, $5, $6, d.positions[1], d.recorded_at
FROM ledger.draw(1) d`

// Decide records what a second person decided on an adjustment above the limit of the terms. There is one
// decision for ever: the same again, by the same person, has the same answer, and another one is ErrConflict. So is one on an
// adjustment that doesn't wait. Who made the adjustment can't decide on it: ErrInvalid, on by.
func (b *Billing) Decide(ctx context.Context, r DecideRequest) (Adjustment, error) {
	id, err := adjustmentID(r.Adjustment)
	if r.Outcome != Approved && r.Outcome != Rejected {
		err = problems(err, ledger.Invalid("outcome", r.Outcome, "must be approved or rejected"))
	}
	err = problems(err, checkText("why", r.Why, "must say what was looked at"), checkText("by", r.By, "must say who decides"))
	if err != nil {
		return Adjustment{}, wrap(err, "decide on an adjustment")
	}
	a, err := findAdjustment(ctx, b.pool, id)
	if err != nil {
		return Adjustment{}, wrap(err, "decide on an adjustment")
	}
	if err := pg.InTx(ctx, b.pool, func(tx pgx.Tx) error { return r.decide(ctx, tx, a.Account, id) }); err != nil {
		return Adjustment{}, wrap(err, "decide on adjustment %s", id)
	}
	return b.Adjustment(ctx, r.Adjustment)
}

func (r DecideRequest) decide(ctx context.Context, tx pgx.Tx, account string, id uuid.UUID) error {
	if _, err := tx.Exec(ctx, sqlHoldAccount, account); err != nil {
		return err
	}
	a, err := findAdjustment(ctx, tx, id) // again: somebody else may have been quicker
	if err != nil {
		return err
	}
	rejected := a.Status == AdjustmentRejected
	switch {
	case a.DecidedBy == r.By && rejected == (r.Outcome == Rejected):
		return nil
	case a.DecidedBy != "" && rejected:
		return fmt.Errorf("%s has rejected it: make another one: %w", a.DecidedBy, ledger.ErrConflict)
	case a.DecidedBy != "":
		return fmt.Errorf("%s has approved it: make another one that takes it back: %w", a.DecidedBy, ledger.ErrConflict)
	case a.Status != AdjustmentWaiting:
		return fmt.Errorf("it doesn't wait for anybody (%s): make another one that takes it back: %w", a.Status, ledger.ErrConflict)
	case samePerson(r.By, a.MadeBy):
		return ledger.Invalid("by", r.By, "must be another person than the one who made it")
	}
	if r.Outcome == Rejected {
		if _, err := tx.Exec(ctx, sqlDeleteOpenAdjustments, account, []uuid.UUID{id}); err != nil {
			return err
		}
	}
	_, err = tx.Exec(ctx, sqlInsertDecision, account, id, r.Outcome, r.Why, a.MadeBy, r.By)
	return err
}

// samePerson reports whether two names are those of one person, however they are spelled: case, width, accents that are
// written apart, spaces and characters that nobody sees make no difference. The database refuses the plainest of these too.
func samePerson(a, b string) bool { return person(a) == person(b) }

// person is a name without what may differ in the spelling of it.
func person(name string) string {
	seen := strings.Map(func(r rune) rune {
		if unicode.In(r, unicode.Cf, unicode.Variation_Selector) || unicode.IsControl(r) && !unicode.IsSpace(r) {
			return -1
		}
		return r
	}, norm.NFKC.String(name))
	return norm.NFKC.String(cases.Fold().String(strings.Join(strings.Fields(seen), " ")))
}
