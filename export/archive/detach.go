package archive

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"deltaledger/billing"
	"deltaledger/export"
	"deltaledger/ledger"
	"deltaledger/ledger/pg"
)

// DetachOptions say when a month may be detached, and how long to try.
type DetachOptions struct {
	// QuietMonths is for how many months a stream that stands on a state of the month must have had no events.
	// 0: DefaultQuietMonths.
	QuietMonths int
	// Patience is how long to try to get between those who use the events. 0: ledger.DefaultPatience.
	Patience time.Duration
}

// DefaultQuietMonths is QuietMonths where none are given.
const DefaultQuietMonths = 12

// Obstacles says what stands in the way of detaching a month, each with what to do; nothing: it may be detached once a
// copy is recorded. What is needed of a month is
//
//   - that neither it nor the month after it is the current one (UTC);
//   - that a watermark was taken after its end, and all its events are sealed;
//   - that each of its events is in a frozen file;
//   - that each of its events is on an invoice, or its cycle is closed and no charge of the terms in force in that
//     cycle selects its type: then no close, heal or rebill prices it any more;
//   - that no stream stands on a state in it (the state with the highest seqn was recorded in it) that had an event
//     recorded within the last QuietMonths months: the next event of the stream would read the base of its deltas there.
func (a *Archiver) Obstacles(ctx context.Context, m export.Month, o DetachOptions) (reasons []string, err error) {
	var not *NotReadyError
	if err := a.checkOver(m); errors.As(err, &not) {
		return not.Reasons, nil // the rest would be of no interest
	}
	if err := a.checkSealed(ctx, m); errors.As(err, &not) {
		reasons = append(reasons, not.Reasons...)
	} else if err != nil {
		return nil, err
	}
	err = pg.InSnapshot(ctx, a.pool, func(tx pgx.Tx) error {
		reasons := &reasons
		if _, err := tx.Exec(ctx, sqlNoTimeout); err != nil {
			return err
		}
		for _, check := range []func(context.Context, pgx.Tx, export.Month, DetachOptions) ([]string, error){a.unfrozen, a.unbilled, a.standingOn} {
			more, err := check(ctx, tx, m, o)
			if err != nil {
				return err
			}
			*reasons = append(*reasons, more...)
		}
		return nil
	})
	return reasons, busyError("see what stands in the way", err)
}

// A month may be large: the pool's limit for one statement doesn't hold.
const sqlNoTimeout = `SELECT set_config('statement_timeout', '0', true)`

// The chain of frozen files holds an event if its business month isn't behind the last one, nor its position.
const sqlUnfrozen = `
SELECT to_char(e.business_date, 'YYYY-MM'), count(*)
FROM ledger.events e
LEFT JOIN (SELECT f.month, f.watermark FROM export.freezes f ORDER BY f.month DESC LIMIT 1) AS tail ON true
WHERE e.recorded_at >= $1 AND e.recorded_at < $2
  AND (tail.month IS NULL OR e.business_date >= tail.month + interval '1 month' OR e.position > tail.watermark)
GROUP BY 1
ORDER BY 1`

func (a *Archiver) unfrozen(ctx context.Context, tx pgx.Tx, m export.Month, _ DetachOptions) (reasons []string, err error) {
	var month string
	var events int64
	err = pg.ForEach(ctx, tx, []any{&month, &events}, func() error {
		reasons = append(reasons, fmt.Sprintf("%d of its events are of the business month %s and in no frozen file yet: run deltaledger export month %s --freeze, or of a later month", events, month, month))
		return nil
	}, sqlUnfrozen, start(m), start(m.Next()))
	return reasons, err
}

// What was pinned once is on an invoice, or on one that was voided and not billed again: it is settled.
const sqlUnpinned = `
SELECT e.account, e.type, count(*), min(e.occurred_at), max(e.occurred_at), min(e.position)
FROM ledger.events e
WHERE e.recorded_at >= $1 AND e.recorded_at < $2
  AND NOT EXISTS (SELECT FROM billing.pins p WHERE p.account = e.account AND p.position = e.position)
GROUP BY e.account, e.type
ORDER BY e.account, e.type`

// unpinned are the events of an account and a type that are on no invoice.
type unpinned struct {
	account, typ string
	events       int64
	first, last  time.Time // occurred_at
	position     int64     // the first
}

// manyReasons bounds how much is said of one kind.
const manyReasons = 5

func (a *Archiver) unbilled(ctx context.Context, tx pgx.Tx, m export.Month, _ DetachOptions) (reasons []string, err error) {
	rows, err := tx.Query(ctx, sqlUnpinned, start(m), start(m.Next()))
	if err != nil {
		return nil, err
	}
	groups, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (g unpinned, err error) {
		err = row.Scan(&g.account, &g.typ, &g.events, &g.first, &g.last, &g.position)
		return g, err
	})
	if err != nil || len(groups) == 0 {
		return nil, err
	}
	accounts := make([]string, 0, len(groups))
	for _, g := range groups {
		if len(accounts) == 0 || accounts[len(accounts)-1] != g.account {
			accounts = append(accounts, g.account)
		}
	}
	closed, err := a.billing.ClosedThroughTx(ctx, tx, accounts)
	if err != nil {
		return nil, err
	}
	more := 0
	for _, g := range groups {
		reason, err := a.judge(ctx, tx, m, g, closed[g.account])
		switch {
		case err != nil:
			return nil, err
		case reason == "":
		case len(reasons) < manyReasons:
			reasons = append(reasons, reason)
		default:
			more++
		}
	}
	if more > 0 {
		reasons = append(reasons, fmt.Sprintf("and so %d more accounts and types", more))
	}
	return reasons, nil
}

// judge says why events that are on no invoice may still be priced; empty: they can't.
func (a *Archiver) judge(ctx context.Context, tx pgx.Tx, m export.Month, g unpinned, closed time.Time) (string, error) {
	what := fmt.Sprintf("%d events of account %q and type %q, from position %d on,", g.events, g.account, g.typ, g.position)
	if !g.last.Before(closed) {
		return fmt.Sprintf("%s are in cycles that aren't closed: run deltaledger close --through with a date behind %s", what, g.last.UTC().Format(time.DateOnly)), nil
	}
	cal, err := a.billing.CalendarTx(ctx, tx, g.account)
	if err != nil {
		return "", err
	}
	for cy := cal.Cycle(g.first); !cy.Start.After(g.last); cy = cal.Next(cy) {
		for _, c := range cal.TermsAt(cy.Start).Charges {
			selected, err := a.selects(ctx, tx, m, g, c)
			if err != nil {
				return "", err
			}
			if selected {
				return fmt.Sprintf("%s are billable and on no invoice: run deltaledger reconcile, and the next deltaledger close bills them", what), nil
			}
		}
	}
	return "", nil
}

// Whether a charge with conditions besides the type selects one of them. The mask stands where the empty text does.
const sqlSelected = `
SELECT EXISTS (
    SELECT FROM ledger.events e
    WHERE e.account = $1 AND e.type = $2 AND e.recorded_at >= $3 AND e.recorded_at < $4
      AND $5::text IN ('', e.currency) AND ''::text LIKE $6
      AND NOT EXISTS (SELECT FROM billing.pins p WHERE p.account = e.account AND p.position = e.position))`

// selects reports whether a charge bills any of the events.
func (a *Archiver) selects(ctx context.Context, tx pgx.Tx, m export.Month, g unpinned, c billing.Charge) (bool, error) {
	if !c.SelectsType(g.typ) || c.Currency == "" && len(c.Filters) == 0 {
		return c.SelectsType(g.typ), nil
	}
	catalogue, err := a.ledger.Catalogue(ctx)
	if err != nil {
		return false, err
	}
	sel, err := billing.NewSelection(catalogue, c)
	if err != nil {
		return false, err
	}
	args := []any{g.account, g.typ, start(m), start(m.Next()), c.Currency, sel.Pattern(c)}
	mask := sel.Mask(func(value any) string {
		args = append(args, value)
		if _, list := value.([]string); list {
			return fmt.Sprintf("$%d::text[]", len(args))
		}
		return fmt.Sprintf("$%d::text", len(args))
	})
	var selected bool
	err = tx.QueryRow(ctx, strings.Replace(sqlSelected, "''::text", mask, 1), args...).Scan(&selected)
	return selected, err
}

// Streams with states in the month, by the bytes of their names.
const sqlStatefulStreams = `
SELECT DISTINCT e.source, e.stream
FROM ledger.events e
WHERE e.recorded_at >= $1 AND e.recorded_at < $2 AND e.state IS NOT NULL AND (e.source, e.stream) > ($3, $4)
ORDER BY e.source, e.stream
LIMIT $5`

// Of those streams, which had an event lately and have their newest state in the month. Lows and highs bound the
// keys of each stream.
const sqlStanding = `
SELECT w.i
FROM unnest($1::uuid[], $2::uuid[]) WITH ORDINALITY AS w (low, high, i)
CROSS JOIN LATERAL (
    SELECT p.recorded_at
    FROM ledger.event_keys p` + ledger.EventAtP + `
    WHERE p.position_key BETWEEN w.low AND w.high AND e.state IS NOT NULL
    ORDER BY p.position_key DESC
    LIMIT 1
) AS newest
WHERE newest.recorded_at >= $3 AND newest.recorded_at < $4
  AND EXISTS (SELECT FROM ledger.event_keys k WHERE k.position_key BETWEEN w.low AND w.high AND k.recorded_at >= $5)
ORDER BY w.i`

// pageOfStreams is how many streams are looked at by one statement.
const pageOfStreams = 1000

func (a *Archiver) standingOn(ctx context.Context, tx pgx.Tx, m export.Month, o DetachOptions) ([]string, error) {
	quiet := o.QuietMonths
	if quiet <= 0 {
		quiet = DefaultQuietMonths
	}
	since := a.o.Now().UTC().AddDate(0, -quiet, 0)
	standing, example := 0, ""
	for source, stream := "", ""; ; {
		rows, err := tx.Query(ctx, sqlStatefulStreams, start(m), start(m.Next()), source, stream, pageOfStreams)
		if err != nil {
			return nil, err
		}
		page, err := pgx.CollectRows(rows, pgx.RowToStructByPos[struct{ Source, Stream string }])
		if err != nil {
			return nil, err
		}
		if len(page) == 0 {
			break
		}
		lows, highs := make([][16]byte, len(page)), make([][16]byte, len(page))
		for i, s := range page {
			lows[i], highs[i] = ledger.PositionKey(s.Source, s.Stream, 0), ledger.PositionKey(s.Source, s.Stream, ledger.MaxSeqn)
			source, stream = s.Source, s.Stream
		}
		var i int64
		err = pg.ForEach(ctx, tx, []any{&i}, func() error {
			if standing++; example == "" {
				example = fmt.Sprintf("%q of source %q", page[i-1].Stream, page[i-1].Source)
			}
			return nil
		}, sqlStanding, lows, highs, start(m), start(m.Next()), since)
		if err != nil {
			return nil, err
		}
	}
	if standing == 0 {
		return nil, nil
	}
	return []string{fmt.Sprintf("%d streams, such as %s, stand on a state that was recorded in it and had events since %s: wait, or ask for fewer months with --quiet-months",
		standing, example, since.Format(time.DateOnly))}, nil
}

const sqlDetach = `SELECT ledger.detach_month($1, $2)`

const sqlAttach = `SELECT ledger.attach_month($1, $2)`

// Detach moves the partition of a month out of the way of lists and aggregates. Its newest copy is verified once more
// unless the caller has just done so. false: it was detached before.
func (a *Archiver) Detach(ctx context.Context, m export.Month, verifiedNow bool, o DetachOptions, by string) (bool, error) {
	reasons, err := a.Obstacles(ctx, m, o)
	if err != nil {
		return false, fmt.Errorf("detach %s: %w", m, err)
	}
	copies, err := a.Copies(ctx, m)
	if err != nil {
		return false, fmt.Errorf("detach %s: %w", m, err)
	}
	if len(copies) == 0 {
		reasons = append(reasons, "no verified copy of it is recorded: run deltaledger archive --to first")
	}
	if len(reasons) > 0 {
		return false, fmt.Errorf("detach: %w", &NotReadyError{Month: m, Reasons: reasons})
	}
	if !verifiedNow {
		if _, err := a.verifyCopy(ctx, copies[len(copies)-1]); err != nil {
			return false, fmt.Errorf("detach %s: %w", m, err)
		}
	}
	return a.move(ctx, "detach", sqlDetach, m, o, by)
}

// Attach takes a detached month back among the others. false: it isn't detached.
func (a *Archiver) Attach(ctx context.Context, m export.Month, o DetachOptions, by string) (bool, error) {
	return a.move(ctx, "attach", sqlAttach, m, o, by)
}

// move runs a function that moves a partition, until it gets between those who use the events.
func (a *Archiver) move(ctx context.Context, action, sql string, m export.Month, o DetachOptions, by string) (moved bool, err error) {
	err = a.ledger.Patiently(ctx, o.Patience, func() error { return a.pool.QueryRow(ctx, sql, start(m), by).Scan(&moved) })
	switch {
	case pg.IsDataError(err):
		return false, fmt.Errorf("%s %s: %s: %w", action, m, pg.Message(err), ledger.ErrConflict)
	case err != nil:
		return false, fmt.Errorf("%s %s: %w", action, m, err)
	}
	return moved, nil
}
