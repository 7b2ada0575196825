package reconcile

import "deltaledger/ledger"

// How an event that may be on no invoice stands to the bills of its account: when it is due, the position with
// which that was decided, and the instant whose cycle it belongs to.
const dueByEvent = `
), unpinned AS (
    SELECT c.*, closer.first, closer.last, d.decided, d.origin
    FROM candidate c
    CROSS JOIN LATERAL (SELECT c.occurred_at AS due, c.position AS decided, c.occurred_at AS origin) d`

// What waits for its order. What a close settled a moment ago is there too: it may be settled above the watermark.
const alsoCarried = `
  UNION ALL
    SELECT w.*, e.position, e.recorded_at, e.occurred_at, e.source, e.stream, e.caused_by, e.type, e.currency, e.amount, e.quantity, e.kind, ''::text AS mask
    FROM wanted w
    JOIN billing.carried p ON p.account = w.account AND p.occurred_at < w.closed_then AND p.position <= w.looked
                        AND NOT EXISTS (SELECT FROM billing.late_events n WHERE n.account = p.account AND n.position = p.position)` + ledger.EventAtP

// By the law of package billing: an event of an order period is due when its order is final, or when it occurred
// if that is later; never, for now, while the order is open, whose end is far away. $10 to $12 are the order
// periods of accounts, $13 to $17 what finalises orders in them.
const dueByOrder = `
), unpinned AS (
    SELECT c.*, closer.first, closer.last, d.decided, d.origin
    FROM candidate c
    LEFT JOIN LATERAL (
        SELECT y.since, y.until
        FROM unnest($10::text[], $11::timestamptz[], $12::timestamptz[]) AS y (account, since, until)
        WHERE y.account = c.account AND c.stream IS NOT NULL AND c.occurred_at >= y.since AND c.occurred_at < y.until
        OFFSET 0
    ) y ON true
    LEFT JOIN LATERAL (
        SELECT CASE WHEN c.caused_by IS NULL THEN c.source ELSE (
            SELECT x.source FROM ledger.events x WHERE x.position = c.caused_by AND x.recorded_at = c.recorded_at
          UNION ALL
            SELECT x.source FROM archive.events x WHERE x.position = c.caused_by AND x.recorded_at = c.recorded_at) END AS source
        WHERE y.since IS NOT NULL
        OFFSET 0
    ) s ON true
    LEFT JOIN LATERAL (
        SELECT x.at, x.position
        FROM (
            SELECT 1 AS rank, o.finalised_at AS at, o.position
            FROM billing.orders o
            WHERE o.account = c.account AND o.source = s.source AND o.stream = c.stream AND o.since = y.since AND COALESCE(o.position, 0) <= $5
          UNION ALL
            SELECT 2, f.occurred_at, f.position
            FROM billing.finalisations f
            WHERE f.source = s.source AND f.stream = c.stream AND f.position <= $5 AND f.occurred_at < y.until
              AND EXISTS (
                  SELECT FROM unnest($13::text[], $14::timestamptz[], $15::timestamptz[], $16::timestamptz[], $17::text[]) AS r (account, since, valid_from, valid_to, type)
                  WHERE r.account = c.account AND r.since = y.since AND r.type = f.type AND f.occurred_at >= r.valid_from AND f.occurred_at < r.valid_to)
          UNION ALL
            SELECT 2, y.until, NULL WHERE y.since IS NOT NULL
        ) x
        ORDER BY x.rank, x.at, x.position
        LIMIT 1
    ) o ON true
    CROSS JOIN LATERAL (
        SELECT greatest(c.occurred_at, o.at) AS due, greatest(c.position, o.position) AS decided,
               CASE WHEN o.at >= y.since THEN o.at ELSE c.occurred_at END AS origin
        OFFSET 0
    ) d`
