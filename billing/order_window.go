package billing

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"deltaledger/ledger"
)

// The queries about a window in which something is billed by order. All look at the same rows: what the window
// newly holds, and what waits and is due now. Each has its place among the orders in columns that begin
// with an underscore, as no declared column does.

// When the order of k is final, as of the watermark: as the first close went by that billed anything of it, or
// else by the first event that finalises it, at the latest when the period ends. Whatever the account has ever
// had is looked up by its stream alone.
const finalisedAt = `
            COALESCE((
                SELECT o.finalised_at FROM billing.orders o
                WHERE o.account = @account AND o.source = k._source AND o.stream = k.stream AND o.since = k._since
            ), (
                SELECT min(f.occurred_at) FROM billing.finalisations f
                WHERE f.source = k._source AND f.stream = k.stream AND f.position <= @watermark AND f.occurred_at < k._until
                  AND EXISTS (
                      SELECT FROM unnest(@rule_since::timestamptz[], @rule_from::timestamptz[], @rule_to::timestamptz[], @rule_type::text[])
                             AS r (since, valid_from, valid_to, type)
                      WHERE r.since = k._since AND r.type = f.type AND f.occurred_at >= r.valid_from AND f.occurred_at < r.valid_to)
            ), k._until)`

// What the window newly holds: of closed cycles what came since the last close, of open ones everything. The
// period is null of what is billed as an event.
const newOfWindow = `
            SELECT e.*, r.source AS _source, c.cycle AS _own,
                   CASE WHEN e.stream IS NOT NULL THEN (@since::timestamptz[])[c.cycle] END AS _since, (@until::timestamptz[])[c.cycle] AS _until
            FROM ledger.every_event e
            CROSS JOIN LATERAL (SELECT width_bucket(e.occurred_at, @bounds::timestamptz[]) AS cycle OFFSET 0) c
            CROSS JOIN LATERAL (SELECT ` + sourceOf + ` AS source) r
            WHERE e.account = @account AND e.position <= @watermark AND e.occurred_at >= @low
              AND e.occurred_at < (@bounds::timestamptz[])[cardinality(@bounds::timestamptz[])]
              AND (e.occurred_at >= @from
                OR e.position > @closed_watermark AND e.recorded_at >= @closed_taken_at
                   AND NOT EXISTS (SELECT FROM billing.pins p WHERE p.account = e.account AND p.position = e.position)
                   AND NOT EXISTS (SELECT FROM billing.carried w WHERE w.account = e.account AND w.position = e.position))`

// What waits. A period that the calendar doesn't know any more ended where the account is closed.
const waitingOfWindow = `
            SELECT w.position, w.recorded_at, w.occurred_at, w.source AS _source, w.stream,
                   width_bucket(w.occurred_at, @bounds::timestamptz[]) AS _own, w.since AS _since,
                   COALESCE((SELECT u.until FROM unnest(@period_since::timestamptz[], @period_until::timestamptz[]) AS u (since, until) WHERE u.since = w.since), @from) AS _until
            FROM billing.carried w
            WHERE w.account = @account AND w.settled IS NULL`

// The places of what waited and is due. OFFSET 0: only those are fetched.
const dueOfWaiting = `
        SELECT k.*, o.at AS _at
        FROM (` + waitingOfWindow + `
        ) k
        CROSS JOIN LATERAL (SELECT ` + finalisedAt + ` AS at OFFSET 0) o
        WHERE o.at < (@bounds::timestamptz[])[cardinality(@bounds::timestamptz[])]
        OFFSET 0`

// Every event of the window with when its order is final (_at; null: it is billed as an event), the cycle that
// it belongs to, the one that bills it, and whether it is late there.
const fromOrdered = `
    (
        SELECT k.*, o.at AS _at
        FROM (` + newOfWindow + `
        ) k
        CROSS JOIN LATERAL (SELECT CASE WHEN k._since IS NOT NULL THEN ` + finalisedAt + ` END AS at OFFSET 0) o
      UNION ALL
        SELECT e.*, p._source, p._own, p._since, p._until, p._at
        FROM (` + dueOfWaiting + `
        ) p` + ledger.EventAtP + `
    ) e
    CROSS JOIN LATERAL (
        SELECT x.cycle, greatest(x.cycle, e._own, @open::int + 1) AS target, greatest(x.cycle, e._own) <= @open::int AS late
        FROM (SELECT CASE WHEN e._at >= e._since THEN width_bucket(e._at, @bounds::timestamptz[]) ELSE e._own END AS cycle) x
        OFFSET 0
    ) b
    CROSS JOIN LATERAL (
        SELECT CASE WHEN (@by_stream::boolean[])[b.cycle] AND e.stream IS NOT NULL
                    THEN replace(replace(e._source, '%', '%25'), '/', '%2F') || '/' || e.stream
                    ELSE '' END AS stream
    ) s
    CROSS JOIN LATERAL (SELECT ` + noMask + ` AS mask) f`

const isBilled = `
    (e._at IS NULL OR e._at < (@bounds::timestamptz[])[cardinality(@bounds::timestamptz[])])`

// The events of those that are due, with what tells their bunches in columns, so that these can be hashed by them.
const billedOrders = `
    (
        SELECT e.account, e.position, e.recorded_at, e.currency, e.type, b.cycle, b.target, b.late, s.stream, f.mask
        FROM ` + fromOrdered + `
        WHERE ` + isBilled + `
        OFFSET 0
    ) e`

// As joinBilled, by the cycle that bills them too.
const joinOrdered = `
JOIN unnest(@cycles::int[], @targets::int[], @lates::boolean[], @currencies::text[], @streams::text[], @types::text[], @masks::text[], @invoices::uuid[])
     AS g (cycle, target, late, currency, stream, type, mask, invoice)
  ON g.cycle = e.cycle AND g.target = e.target AND g.late = e.late AND g.currency = e.currency AND g.stream = e.stream AND g.type = e.type AND g.mask = e.mask`

// The first query about the orders of a window: those that are due, each with the earliest instant that the
// window must reach back to for it.
const dueOrders = `
SELECT k.*, o.at
FROM (
    SELECT n._source, n.stream, n._since, n._until, min(n.occurred_at) AS first
    FROM (
        SELECT k._source, k.stream, k._since, k._until, k.occurred_at
        FROM (` + newOfWindow + `
        ) k
        WHERE k._since IS NOT NULL
      UNION ALL
        SELECT k._source, k.stream, k._since, k._until, k.occurred_at
        FROM (` + waitingOfWindow + `
        ) k
    ) n
    GROUP BY 1, 2, 3, 4
) k
CROSS JOIN LATERAL (SELECT ` + finalisedAt + ` AS at OFFSET 0) o
WHERE o.at < (@bounds::timestamptz[])[cardinality(@bounds::timestamptz[])]`

const sqlReachBack = `
SELECT min(CASE WHEN d.at < d._since THEN d.first ELSE d.at END)
FROM (` + dueOrders + `
) d`

// As sqlReachBack, and notes when the orders were final that nothing was billed of before.
const sqlSettleOrders = `
WITH due AS MATERIALIZED (` + dueOrders + `
), noted AS (
    INSERT INTO billing.orders (account, source, stream, since, finalised_at, position, run)
    SELECT @account, d._source, d.stream, d._since, d.at,
           CASE WHEN d.at < d._until THEN (
               SELECT min(f.position) FROM billing.finalisations f
               WHERE f.source = d._source AND f.stream = d.stream AND f.occurred_at = d.at AND f.position <= @watermark) END, @run
    FROM due d
    WHERE d.at >= d._since
    ON CONFLICT (account, source, stream, since) DO NOTHING
)
SELECT min(CASE WHEN d.at < d._since THEN d.first ELSE d.at END)
FROM due d`

// settleOrders makes the window one of orders if anything in it is, or was, billed by order, and lets it reach
// back to the cycles that what it bills belongs to. With a run the instants at which orders were final are kept.
func (w *window) settleOrders(ctx context.Context, tx pgx.Tx, carries bool, run *int64) error {
	if len(w.cycles) == 0 {
		return nil
	}
	if w.orders = w.ofOrders(carries); w.orders == nil {
		return nil
	}
	sql, args := sqlReachBack, w.args()
	if run != nil {
		sql, args["run"] = sqlSettleOrders, *run
	}
	var reach *time.Time
	var reads writes
	reads.exec(nil, sqlWithoutSort)
	reads.query(func(rows pgx.Rows) (err error) {
		reach, err = pgx.CollectExactlyOneRow(rows, pgx.RowTo[*time.Time])
		return err
	}, sql, args)
	reads.exec(nil, sqlWithSort)
	if err := reads.send(ctx, tx); err != nil {
		return fmt.Errorf("find the orders that are final: %w", err)
	}
	if reach == nil || !reach.Before(w.cycles[0].Start) {
		return nil
	}
	var cycles []Cycle
	var terms []Terms
	for cy := w.cal.Cycle(*reach); cy.Start.Before(w.cycles[0].Start); cy = w.cal.Next(cy) {
		cycles, terms = append(cycles, cy), append(terms, w.cal.TermsAt(cy.Start))
	}
	w.open += len(cycles)
	w.cycles, w.terms = slices.Concat(cycles, w.cycles), slices.Concat(terms, w.terms)
	w.rerated = slices.Concat(make([]bool, len(cycles)), w.rerated) // the window begins with the first that is
	for i := range w.covered {
		w.covered[i] += len(cycles)
	}
	w.orders = w.ofOrders(true)
	return nil
}

// orderedBunches adds up what a window of orders bills.
func (w *window) orderedBunches(ctx context.Context, tx pgx.Tx, m measures) (late, onTime []bunch, err error) {
	all, err := w.queryBunches(ctx, tx, m, fromOrdered+" WHERE "+isBilled)
	for _, g := range all {
		if g.late {
			late = append(late, g)
		} else {
			onTime = append(onTime, g)
		}
	}
	return late, onTime, err
}

// lateOrderedBunches adds up what of that is late.
func (w *window) lateOrderedBunches(ctx context.Context, tx pgx.Tx, m measures) ([]bunch, error) {
	return w.queryBunches(ctx, tx, m, fromOrdered+" WHERE "+isBilled+" AND b.late")
}

const sqlInsertOrderedPins = `
INSERT INTO billing.pins (account, position, recorded_at, origin_start, invoice_id)
SELECT e.account, e.position, e.recorded_at, (@bounds::timestamptz[])[e.cycle], g.invoice
FROM ` + billedOrders + joinOrdered

// The event that finalised the order of e, where e is billed because of it.
const finalisedBy = `
       CASE WHEN e._at < e._until THEN COALESCE((
           SELECT o.position FROM billing.orders o
           WHERE o.account = e.account AND o.source = e._source AND o.stream = e.stream AND o.since = e._since
       ), (
           SELECT min(f.position) FROM billing.finalisations f
           WHERE f.source = e._source AND f.stream = e.stream AND f.occurred_at = e._at AND f.position <= @watermark)) END`

const sqlInsertOrderedLate = `
INSERT INTO billing.late_events (account, position, recorded_at, origin_start, origin_end, closed_watermark, target_start, found_by, run, finalised_by)
SELECT e.account, e.position, e.recorded_at, (@bounds::timestamptz[])[b.cycle], (@bounds::timestamptz[])[b.cycle + 1],
       (@marks::bigint[])[b.cycle], @from, @found_by, @run, ` + finalisedBy + `
FROM ` + fromOrdered + joinSelected + `
WHERE ` + isBilled + ` AND b.late
ON CONFLICT (account, position) DO NOTHING`

const sqlCountOrderedLate = `
SELECT count(*) FILTER (WHERE e.kind IN ('upstream', 'adjustment')), count(*), COALESCE(max(e.position), 0)
FROM ` + fromOrdered + joinSelected + `
WHERE ` + isBilled + ` AND b.late
  AND NOT EXISTS (SELECT FROM billing.late_events n WHERE n.account = e.account AND n.position = e.position)`

// Whoever looks at the account as of a watermark that was taken before this close still finds what it bills
// of what waited; by the next close nobody does.
const sqlDropSettled = `
DELETE FROM billing.carried w
WHERE w.account = @account AND w.settled < @run`

const sqlSettleCarried = `
UPDATE billing.carried w
SET settled = @run
FROM (` + dueOfWaiting + `
) p
WHERE w.account = @account AND w.position = p.position`

const sqlCarry = `
INSERT INTO billing.carried (account, position, recorded_at, occurred_at, source, stream, since)
SELECT k.account, k.position, k.recorded_at, k.occurred_at, k._source, k.stream, k._since
FROM (` + newOfWindow + `
) k
CROSS JOIN LATERAL (SELECT ` + finalisedAt + ` AS at OFFSET 0) o
WHERE k._since IS NOT NULL AND o.at >= (@bounds::timestamptz[])[cardinality(@bounds::timestamptz[])]`

// queueCarried queues what becomes of what waits: what is billed waits no more, and what isn't due does.
// It comes after the pins, which are made of the same rows.
func queueCarried(out *writes, w *window, run int64) {
	if w.orders == nil {
		return
	}
	args := w.args()
	args["run"] = run
	out.exec(nil, sqlDropSettled, args)
	out.exec(nil, sqlSettleCarried, args)
	out.exec(nil, sqlCarry, args)
}
