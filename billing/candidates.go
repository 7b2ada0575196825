package billing

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"deltaledger/ledger"
)

// window is what one close bills of an account: on time, the events of the open cycles up to the end;
// late, those of closed cycles that came after their close.
//
//	on time: from <= occurred_at < end,    position <= watermark
//	late:    low  <= occurred_at < from,   closed.watermark < position <= watermark, on no invoice yet
//
// Both are read by the index (account, occurred_at): low is the earliest occurred_at of anything that
// came since the last close, and what is above the closed watermark was recorded after it was taken.
// So a close never reads history again.
type window struct {
	account   string
	watermark int64
	from      time.Time // start of the first open cycle
	closed    passage   // zero: the account was never closed, and nothing is late
	// cycles tile the time from the one that holds low to end, in order.
	cycles []Cycle
	low    time.Time // start of the first of them that holds anything new
	open   int       // index of the cycle that starts at from
	orders *orders   // nil: everything is billed by event
	terms  []Terms
	sel    Selection // of the charges of terms
	cal    *Calendar
	since  time.Time // of an account that nothing was billed to: its first event, where flat charges of default terms begin

	history     []Terms             // of the account
	plain       *Calendar           // as cal was before the reratings that are due
	rerated     []bool              // the cycles that those bring
	covered     []int               // of those, by number from 1, the ones in which they may select events that nothing did
	adjustments []pendingAdjustment // that the first open cycle bills
	onlyCovered bool                // nothing but the reratings is looked at
}

// newWindow is the window from what is closed to end. Without an end there is nothing on time in it.
func newWindow(v *view, watermark int64, end time.Time) window {
	w := window{account: v.account, watermark: watermark, from: v.closed.end, closed: v.closed, cal: v.cal, history: v.line.history, plain: v.plain, adjustments: v.adjustments}
	if v.explicit.end.IsZero() {
		w.since = v.state.from
	}
	low := v.state.from
	if low.IsZero() || !w.from.IsZero() && low.After(w.from) {
		low = w.from
	}
	if start := v.cal.recursFrom(); w.from.IsZero() && !start.IsZero() && (low.IsZero() || start.Before(low)) {
		low = start
	}
	if low.IsZero() && len(v.adjustments) > 0 {
		low = v.adjustments[0].madeAt
	}
	if low.IsZero() { // never closed, and nothing to bill
		return w
	}
	first := v.cal.Cycle(low)
	w.low = first.Start
	for _, r := range v.due {
		from := r.from
		if from.Before(v.held) {
			from = v.held // there is nothing before
		}
		if from.Before(first.Start) && !from.IsZero() {
			first = v.cal.Cycle(from)
		}
	}
	if w.from.IsZero() {
		w.from = first.Start
	}
	for cy := first; cy.Start.Before(end); cy = v.cal.Next(cy) {
		if cy.Start.Before(w.from) {
			w.open++
		}
		w.cycles = append(w.cycles, cy)
		w.terms = append(w.terms, v.cal.TermsAt(cy.Start))
		w.rerated = append(w.rerated, cy.Start.Before(w.from) && v.brings(cy.Start))
		if n := len(w.cycles); w.rerated[n-1] && !selectNoMore(w.terms[n-1].Charges, v.plain.TermsAt(cy.Start).Charges) {
			w.covered = append(w.covered, n)
		}
	}
	return w
}

// brings reports whether reratings that are due give a cycle other charges than it was billed by.
func (v *view) brings(cycleStart time.Time) bool {
	now := v.cal.TermsAt(cycleStart)
	if slices.ContainsFunc(v.due, func(r rerating) bool { return r.terms.Version == now.rerating }) {
		return true
	}
	covers := func(r rerating) bool { return !cycleStart.Before(r.from) && cycleStart.Before(r.through) }
	return now.rerating != 0 && slices.ContainsFunc(v.due, covers) && now.chargesVersion() != v.plain.TermsAt(cycleStart).chargesVersion()
}

// end is the end of the window.
func (w *window) end() time.Time { return w.cycles[len(w.cycles)-1].End }

// target is the index of the cycle that bills an event of cycle i.
func (w *window) target(i int) int { return max(i, w.open) }

// bounds are the starts of the cycles, and the end of the last.
func (w *window) bounds() []time.Time {
	bounds := make([]time.Time, len(w.cycles), len(w.cycles)+1)
	for i, cy := range w.cycles {
		bounds[i] = cy.Start
	}
	return append(bounds, w.end())
}

// byStream tells for each cycle whether what belongs to it goes to an invoice for its stream. Its own terms say so, also where
// another cycle bills it: what is late is priced together with what the cycle has billed for the stream, or for the account.
func (w *window) byStream() []bool {
	by := make([]bool, len(w.cycles))
	for i, t := range w.terms {
		by[i] = t.GroupBy == GroupByStream
	}
	return by
}

// The source that a row comes from: of one that the ledger made, the source of the event that caused it.
// Both were recorded in one transaction, at the same time.
const sourceOf = `
                        CASE WHEN e.caused_by IS NULL THEN e.source ELSE (
                            SELECT c.source FROM ledger.events c WHERE c.position = e.caused_by AND c.recorded_at = e.recorded_at
                          UNION ALL
                            SELECT c.source FROM archive.events c WHERE c.position = e.caused_by AND c.recorded_at = e.recorded_at) END`

// nameOfStream stands in SQL where only those windows have it whose terms make invoices for streams.
const nameOfStream = `
               CASE WHEN (@by_stream::boolean[])[b.cycle] AND e.stream IS NOT NULL
                    THEN replace(replace(` + sourceOf + `, '%', '%25'), '/', '%2F') || '/' || e.stream
                    ELSE '' END`

// The events that a condition finds, each with its cycle, the name of its stream where that has an invoice of its
// own (source/stream, with slashes in the source escaped, so that two streams never share a name; events without a
// stream share the account's invoice), and the mask of what the charges filter on. The condition is between two
// halves, and OFFSET 0 keeps them whole: each of the three is computed once for an event, wherever it is named.
const (
	eventsWith = `
    (
        SELECT e.*, b.cycle AS _cycle, ` + noMask + ` AS _mask, ` + nameOfStream + ` AS _stream
        FROM ledger.every_event e
        CROSS JOIN LATERAL (SELECT width_bucket(e.occurred_at, @bounds::timestamptz[]) AS cycle) b
        WHERE `
	theirBunch = `
        OFFSET 0
    ) e
    CROSS JOIN LATERAL (SELECT e._cycle AS cycle, 0 AS target, false AS late) b
    CROSS JOIN LATERAL (SELECT e._stream AS stream) s
    CROSS JOIN LATERAL (SELECT e._mask AS mask) f`

	fromOnTime  = eventsWith + isOnTime + theirBunch
	fromLate    = eventsWith + isLate + theirBunch
	fromCovered = eventsWith + isCovered + theirBunch
)

// The groups of events that are billed: events that agree in these are on the same lines.
const joinBilled = `
JOIN unnest(@cycles::int[], @currencies::text[], @streams::text[], @types::text[], @masks::text[], @invoices::uuid[])
     AS g (cycle, currency, stream, type, mask, invoice)
  ON g.cycle = b.cycle AND g.currency = e.currency AND g.stream = s.stream AND g.type = e.type AND g.mask = f.mask`

const isOnTime = `
    e.account = @account AND e.position <= @watermark
    AND e.occurred_at >= @from AND e.occurred_at < (@bounds::timestamptz[])[cardinality(@bounds::timestamptz[])]`

// The probes of what is late stay probes, by OFFSET 0, also where nested loops are not to be planned: a hash of all that
// the account has ever had pinned would grow with its history.
const isLate = `
    e.account = @account AND e.position <= @watermark
    AND e.occurred_at >= (@bounds::timestamptz[])[1] AND e.occurred_at < @from
    AND e.position > @closed_watermark AND e.recorded_at >= @closed_taken_at
    AND NOT EXISTS (SELECT FROM billing.pins p WHERE p.account = e.account AND p.position = e.position OFFSET 0)`

// isCovered finds what no close could bill of cycles that get other charges: what came before the last close and is on no
// invoice, nor waits for an order.
const isCovered = `
    e.account = @account AND e.position <= @closed_watermark
    AND e.occurred_at >= (@bounds::timestamptz[])[1] AND e.occurred_at < @from AND width_bucket(e.occurred_at, @bounds::timestamptz[]) = ANY(@covered::int[])
    AND NOT EXISTS (SELECT FROM billing.pins p WHERE p.account = e.account AND p.position = e.position OFFSET 0)
    AND NOT EXISTS (SELECT FROM billing.carried w WHERE w.account = e.account AND w.position = e.position OFFSET 0)`

// args are the parameters of the queries about the window.
func (w *window) args() pgx.NamedArgs {
	args := pgx.NamedArgs{
		"bounds": w.bounds(), "by_stream": w.byStream(), "account": w.account, "watermark": w.watermark, "from": w.from,
		"closed_watermark": w.closed.watermark, "closed_taken_at": w.closed.takenAt, "covered": w.covered,
	}
	if w.orders != nil {
		args["low"], args["open"] = w.low, w.open
		w.orders.args(args)
	}
	_ = w.sel.Mask(named(args))
	return args
}

// named puts the values of a mask among named parameters.
func named(args pgx.NamedArgs) func(any) string {
	n := 0
	return func(value any) string {
		n++
		name := fmt.Sprintf("mask_%d", n)
		args[name] = value
		if _, list := value.([]string); list {
			return "@" + name + "::text[]"
		}
		return "@" + name + "::text"
	}
}

// sql is a query about the window, which has the events in it, with the mask of the window's charges, and with names of
// streams if any cycle of it has invoices for streams.
func (w *window) sql(query string) string {
	query = strings.Replace(query, noMask, w.sel.Mask(named(pgx.NamedArgs{})), 1)
	if !slices.Contains(w.byStream(), true) {
		query = strings.Replace(query, nameOfStream, "''::text", 1)
	}
	return query
}

// resolve prepares the window to tell which charges select what.
func (w *window) resolve(catalogue ledger.Catalogue) (err error) {
	w.sel, err = selectionOf(catalogue, w.terms)
	return err
}

// selectionOf is the selection of all charges of some terms.
func selectionOf(catalogue ledger.Catalogue, terms []Terms) (Selection, error) {
	var charges []Charge
	for _, t := range terms {
		charges = append(charges, t.Charges...)
	}
	return NewSelection(catalogue, charges...)
}

// measures are the columns that the charges of some terms sum. Their names are those of the catalogue,
// so that they can stand in SQL.
type measures []string

func measuresOf(catalogue ledger.Catalogue, terms []Terms) (measures, error) {
	names := measures{"amount", "quantity"} // always: see bunch.empty
	for _, t := range terms {
		for _, c := range t.Charges {
			if c.Sums() == "" || slices.Contains(names, c.Measure) {
				continue
			}
			if column, ok := catalogue.Column(c.Measure); !ok || !column.Measure() {
				return nil, fmt.Errorf("charge %q sums %q, which isn't a measure of the ledger: %w", c.Name, c.Measure, ledger.ErrCorrupt)
			}
			names = append(names, c.Measure)
		}
	}
	slices.Sort(names)
	return names, nil
}

// sums are the columns of a query that adds the measures up.
func (m measures) sums() string {
	var s strings.Builder
	for _, name := range m {
		fmt.Fprintf(&s, ", COALESCE(sum(e.%s), 0)", pgx.Identifier{name}.Sanitize())
	}
	return s.String()
}

// bunch is the sum of the candidates that are alike in all that decides what bills them.
type bunch struct {
	cycle    int // index in the window, of the cycle that they belong to
	target   int // that of the cycle that bills them
	late     bool
	covered  bool // not late, but selected by new charges of a closed cycle
	currency string
	stream   string // empty: of the account's invoice
	typ      string
	mask     string // of the window's selection
	pinned   int64  // rows
	events   int64  // of those, the events: not what the ledger made itself
	sums     []decimal.Decimal
	invoice  uuid.UUID // set when it is billed; zero: no charge selects the type
}

// The columns of a bunch, before the sums of the measures.
const selectBunch = `
SELECT b.cycle, b.target, b.late, e.currency, s.stream, e.type, f.mask, count(*), count(*) FILTER (WHERE e.kind IN ('upstream', 'adjustment'))`

const groupBunch = `
GROUP BY 1, 2, 3, 4, 5, 6, 7`

// empty reports whether there is nothing to bill: rows that the ledger made and that cancel each other out.
// Had the events that caused them come in order, there would be none. The amount is among the sums.
func (g bunch) empty() bool {
	return g.events == 0 && !slices.ContainsFunc(g.sums, func(sum decimal.Decimal) bool { return !sum.IsZero() })
}

// lateBunches adds up what is late. The rows are few where an account gets one invoice, however many
// events there are; with an invoice for each stream they grow with the streams.
func (w *window) lateBunches(ctx context.Context, tx pgx.Tx, m measures) ([]bunch, error) {
	if w.open == 0 {
		return nil, nil
	}
	return w.queryBunches(ctx, tx, m, fromLate)
}

// coveredBunches adds up what only the new charges of closed cycles select.
func (w *window) coveredBunches(ctx context.Context, tx pgx.Tx, m measures) ([]bunch, error) {
	if len(w.covered) == 0 {
		return nil, nil
	}
	found, err := w.queryBunches(ctx, tx, m, fromCovered)
	for i := range found {
		found[i].target, found[i].late, found[i].covered = w.open, true, true
	}
	return found, err
}

// onTimeBunches adds up what is on time.
func (w *window) onTimeBunches(ctx context.Context, tx pgx.Tx, m measures) ([]bunch, error) {
	return w.queryBunches(ctx, tx, m, fromOnTime)
}

// A plan for the bunches hashes them: they may be few, of a million events that no sort should have to write to disk. It is
// the same whether the account is small or large, because it is made once for many accounts.
const (
	sqlWithoutSort = `SELECT set_config('enable_sort', 'off', true)`
	sqlWithSort    = `SELECT set_config('enable_sort', 'on', true)`
)

// queryBunches adds up the rows of a query.
func (w *window) queryBunches(ctx context.Context, tx pgx.Tx, m measures, from string) (bunches []bunch, err error) {
	var reads writes
	reads.exec(nil, sqlWithoutSort)
	reads.query(func(rows pgx.Rows) error {
		bunches, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (bunch, error) { return w.scanBunch(row, m) })
		return err
	}, w.sql(selectBunch+m.sums()+" FROM "+from+groupBunch), w.args())
	reads.exec(nil, sqlWithSort)
	if err := reads.send(ctx, tx); err != nil {
		return nil, fmt.Errorf("add up events: %w", err)
	}
	return bunches, nil
}

func (w *window) scanBunch(row pgx.CollectableRow, m measures) (bunch, error) {
	g := bunch{sums: make([]decimal.Decimal, len(m))}
	into := []any{&g.cycle, &g.target, &g.late, &g.currency, &g.stream, &g.typ, &g.mask, &g.pinned, &g.events}
	for i := range g.sums {
		into = append(into, &g.sums[i])
	}
	err := row.Scan(into...)
	g.cycle, g.target = g.cycle-1, g.target-1 // buckets count from 1
	if w.orders == nil {
		g.target, g.late = w.target(g.cycle), g.cycle < w.open
	}
	return g, err
}
