package billing

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"deltaledger/ledger"
	"deltaledger/ledger/pg"
)

// Who found an event to be late.
const (
	foundByReconcile = "reconcile"
	foundByClose     = "close"
)

const sqlPassages = `
SELECT c.through_at, c.watermark, r.taken_at
FROM billing.closes c
JOIN billing.close_runs r ON r.n = c.run
WHERE c.account = $1
ORDER BY c.through_at`

// closedWatermarks returns for each cycle of the window that is closed the watermark of the close that
// closed it: what is above it is late there.
func closedWatermarks(ctx context.Context, tx pgx.Tx, v *view, w *window) ([]int64, error) {
	rows, err := tx.Query(ctx, sqlPassages, v.account)
	if err != nil {
		return nil, fmt.Errorf("read closes: %w", err)
	}
	explicit, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (passage, error) {
		var p passage
		err := row.Scan(&p.end, &p.watermark, &p.takenAt)
		return p, err
	})
	if err != nil {
		return nil, fmt.Errorf("read closes: %w", err)
	}
	all, err := v.runs.closers(v.line, v.account, explicit, w.cycles[0].End)
	if err != nil {
		return nil, err
	}
	marks := make([]int64, w.open)
	for i := range marks {
		mark, ok := closerOf(all, w.cycles[i].End)
		if !ok {
			return nil, fmt.Errorf("nothing closed the cycle that ends at %s: %w", w.cycles[i].End.Format(time.RFC3339), ledger.ErrCorrupt)
		}
		marks[i] = mark
	}
	return marks, nil
}

// The groups of events that some charge selects.
const joinSelected = `
JOIN unnest(@cycles::int[], @currencies::text[], @types::text[], @masks::text[]) AS g (cycle, currency, type, mask)
  ON g.cycle = b.cycle AND g.currency = e.currency AND g.type = e.type AND g.mask = f.mask`

// What was noted before stays as it was.
const sqlInsertLate = `
INSERT INTO billing.late_events (account, position, recorded_at, origin_start, origin_end, closed_watermark, target_start, found_by, run)
SELECT e.account, e.position, e.recorded_at, (@bounds::timestamptz[])[b.cycle], (@bounds::timestamptz[])[b.cycle + 1],
       (@marks::bigint[])[b.cycle], @from, @found_by, @run
FROM ` + fromLate + joinSelected + `
ON CONFLICT (account, position) DO NOTHING`

// queueLate queues the records of why late events are billed in the first open cycle, for the bunches
// that some charge selects. then is told how many rows weren't noted before.
func queueLate(out *writes, w *window, late []bunch, marks []int64, foundBy, run string, then func(noted int64) error) {
	args := w.argsFor(late)
	args["marks"], args["found_by"], args["run"] = marks, foundBy, run
	sql := sqlInsertLate
	if w.orders != nil {
		sql = sqlInsertOrderedLate
	}
	out.exec(then, w.sql(sql), args)
}

// argsFor are the window's parameters with what is billed of some bunches.
func (w *window) argsFor(found []bunch) pgx.NamedArgs {
	type group struct {
		cycle               int
		currency, typ, mask string
	}
	seen := map[group]bool{}
	var cycles []int
	var currencies, types, masks []string
	for _, g := range found {
		if k := (group{g.cycle, g.currency, g.typ, g.mask}); w.bills(g) && !seen[k] {
			seen[k] = true
			cycles, currencies, types, masks = append(cycles, g.cycle+1), append(currencies, g.currency), append(types, g.typ), append(masks, g.mask)
		}
	}
	args := w.args()
	args["cycles"], args["currencies"], args["types"], args["masks"] = cycles, currencies, types, masks
	return args
}

// bills reports whether some charge of the terms of its cycle selects the bunch.
func (w *window) bills(g bunch) bool {
	return slices.ContainsFunc(w.terms[g.cycle].Charges, func(c Charge) bool { return w.sel.Selects(c, g.typ, g.currency, g.mask) })
}

const sqlCountLate = `
SELECT count(*) FILTER (WHERE e.kind IN ('upstream', 'adjustment')), count(*), COALESCE(max(e.position), 0)
FROM ` + fromLate + joinSelected + `
WHERE NOT EXISTS (SELECT FROM billing.late_events n WHERE n.account = e.account AND n.position = e.position)`

func (w *window) countLate() string {
	if w.orders != nil {
		return w.sql(sqlCountOrderedLate)
	}
	return w.sql(sqlCountLate)
}

// LateCandidates counts the late events of an account as of a watermark that are billable, on no
// invoice, and not assigned to a cycle yet. newest is the last position among them.
func (b *Billing) LateCandidates(ctx context.Context, account string, at ledger.Watermark) (late, newest int64, err error) {
	err = b.withLate(ctx, account, at, func(tx pgx.Tx, _ *view, w *window, found []bunch) error {
		return tx.QueryRow(ctx, w.countLate(), w.argsFor(found)).Scan(&late, nil, &newest)
	})
	return late, newest, wrap(err, "late events of %q", account)
}

// Heal assigns the late events of an account, as of a watermark, to its next open cycle: the close of
// that cycle will bill them, on lines that name the cycle where they belong. An event is late if its
// position is above the watermark of the close of its cycle, or that of what finalised its order is. run names the reconciliation that asks.
// late is how many were found that nothing had assigned before, healed how many of those are assigned
// now. A target that was noted stays: should the account be closed once more before the events count
// as decided, the invoice that pins them tells the cycle that did bill them.
func (b *Billing) Heal(ctx context.Context, account string, at ledger.Watermark, run string) (late, healed int64, err error) {
	err = b.withLate(ctx, account, at, func(tx pgx.Tx, v *view, w *window, found []bunch) error {
		late, healed = 0, 0
		marks, err := closedWatermarks(ctx, tx, v, w)
		if err != nil {
			return err
		}
		var rows int64
		if err := tx.QueryRow(ctx, w.countLate(), w.argsFor(found)).Scan(&late, &rows, nil); err != nil || rows == 0 {
			return err
		}
		var out writes
		queueLate(&out, w, found, marks, foundByReconcile, run, func(noted int64) error {
			if noted != rows {
				return fmt.Errorf("%d late rows were noted, but %d were counted: %w", noted, rows, ledger.ErrCorrupt)
			}
			healed = late
			return nil
		})
		return out.send(ctx, tx)
	})
	return late, healed, wrap(err, "heal account %q", account)
}

// withLate runs f under the account's lock if events of it are late and on no invoice, found being
// those of them that some charge selects.
func (b *Billing) withLate(ctx context.Context, account string, at ledger.Watermark, f func(pgx.Tx, *view, *window, []bunch) error) error {
	if err := b.DeriveAccounts(ctx, at); err != nil {
		return err
	}
	catalogue, err := b.ledger.Catalogue(ctx)
	if err != nil {
		return err
	}
	return pg.InTx(ctx, b.pool, func(tx pgx.Tx) error {
		v, err := b.hold(ctx, tx, account, known{})
		if err != nil {
			return err
		}
		if came := !v.from.IsZero() && v.from.Before(v.closed.end); v.closed.end.IsZero() || !came && !v.carries {
			return nil
		}
		w := newWindow(v, at.Position, v.cal.Cycle(v.closed.end).End)
		if err := w.settleOrders(ctx, tx, v.carries, nil); err != nil {
			return err
		}
		if err := w.resolve(catalogue); err != nil {
			return err
		}
		find := w.lateBunches
		if w.orders != nil {
			find = w.lateOrderedBunches
		}
		found, err := find(ctx, tx, nil)
		if err != nil {
			return err
		}
		found = slices.DeleteFunc(found, func(g bunch) bool { return !w.bills(g) })
		if len(found) == 0 {
			return nil
		}
		return f(tx, v, &w, found)
	})
}
