package billing

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"deltaledger/ledger"
)

// Terms that were recorded for closed cycles on purpose are reratings. The law of them:
//
//   - The boundaries of a closed cycle never move, nor does what gets an invoice of its own. A rerating gives the
//     cycles in [from, through) other charges; the newest that holds a cycle counts.
//   - It counts from the next close of the account on. Until then late events and rebills go by what was billed.
//   - That close brings each of its cycles to what the new charges make of all that happened there: a line for each
//     charge, the whole re-rated and rounded once, less what is billed. What a charge billed that the new ones
//     don't have is taken back.
//   - Events of those cycles that only the new charges select are pinned then.
//   - So the lines of a cycle add up to what its newest charges make of it, however often these changed and in
//     however many steps the events came.

// rerating are the charges of closed cycles by further terms.
type rerating struct {
	terms         Terms // of the account, as they were recorded
	from, through time.Time
	position      int64
	done          bool // a close has brought it
}

const sqlReratings = `
SELECT r.terms, r.from_at, r.through_at, r.position, EXISTS (SELECT FROM billing.rerated d WHERE d.account = r.account AND d.terms = r.terms)
FROM billing.reratings r
WHERE r.account = $1
ORDER BY r.terms`

func readReratings(ctx context.Context, q querier, account string, history []Terms) ([]rerating, error) {
	rows, err := q.Query(ctx, sqlReratings, account)
	if err != nil {
		return nil, fmt.Errorf("read reratings: %w", err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (rerating, error) {
		var r rerating
		var version int64
		if err := row.Scan(&version, &r.from, &r.through, &r.position, &r.done); err != nil {
			return r, err
		}
		r.from, r.through = r.from.UTC(), r.through.UTC()
		i := slices.IndexFunc(history, func(t Terms) bool { return t.Version == version })
		if i < 0 {
			return r, fmt.Errorf("terms version %d isn't among those of the account: %w", version, ledger.ErrCorrupt)
		}
		r.terms = history[i]
		return r, nil
	})
	if err != nil {
		return nil, fmt.Errorf("read reratings: %w", err)
	}
	return all, nil
}

// with is the calendar with those reratings that a close has brought, or with all of them.
func (c *Calendar) with(reratings []rerating, all bool) *Calendar {
	out := *c
	out.reratings = slices.DeleteFunc(slices.Clone(reratings), func(r rerating) bool { return !all && !r.done })
	return &out
}

// rerated are the terms of a closed cycle with the charges of rerating number i. What one of the account leaves to the
// default are the charges of the newest rerating of that before it, if there is any.
func (c *Calendar) rerated(cycleStart time.Time, i int) Terms {
	t, r := c.spans[c.spanAt(cycleStart)].terms, c.reratings[i]
	t.rerating, t.charged, t.ofDefault = r.terms.Version, r.terms.Version, r.terms.Account == ""
	if t.Charges = r.terms.Charges; !r.terms.left.charges {
		return t
	}
	base, _ := c.defaults.at(cycleStart) // the first of them holds always
	for _, before := range c.reratings[:i] {
		if before.terms.Account == "" && !cycleStart.Before(before.from) && cycleStart.Before(before.through) {
			base = before.terms
		}
	}
	t.Charges, t.charged, t.ofDefault = base.Charges, base.Version, true
	return t
}

// prepare makes the view one for a close at a watermark: the reratings that it brings count, and the adjustments that
// it bills are known.
func (v *view) prepare(ctx context.Context, q querier, watermark int64) (err error) {
	for _, r := range v.reratings {
		if !r.done && r.position <= watermark {
			v.due = append(v.due, r)
		}
	}
	if len(v.due) > 0 {
		counting := slices.DeleteFunc(slices.Clone(v.reratings), func(r rerating) bool { return !r.done && r.position > watermark })
		v.cal = v.plain.with(counting, true)
		if v.held, err = v.firstCycle(ctx, q); err != nil {
			return err
		}
	}
	if v.adjusted {
		v.adjustments, err = readPendingAdjustments(ctx, q, v.account, watermark)
	}
	return err
}

const sqlInsertRerated = `
INSERT INTO billing.rerated (account, terms, run)
SELECT $1, unnest($2::bigint[]), $3`

// queueRerated queues that a run brings what is due.
func queueRerated(out *writes, v *view, run int64) {
	if len(v.due) == 0 {
		return
	}
	versions := make([]int64, len(v.due))
	for i, r := range v.due {
		versions[i] = r.terms.Version
	}
	out.exec(nil, sqlInsertRerated, v.account, versions, run)
}
