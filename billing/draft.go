package billing

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"deltaledger/ledger"
)

// draft is an invoice that isn't written yet.
type draft struct {
	id       uuid.UUID
	cycle    Cycle
	currency string
	stream   string // empty: the account's invoice
	lines    []*draftLine
	pinned   int64 // rows
	events   int64 // of those, the events
	total    decimal.Decimal
	review   string // why it waits for a person; empty: it doesn't
}

// draftLine prices what the draft pins of one original cycle by one charge.
type draftLine struct {
	charge Charge
	rank   int   // of the charge in its terms
	terms  int64 // the version that has the charge
	origin Cycle
	late   bool
	first  *uuid.UUID // late: the invoice that billed the original cycle first
	pinned int64      // rows
	added  Inputs

	before Inputs // what other live lines of the same charge, currency, stream and cycle hold
	billed decimal.Decimal
	exact  decimal.Decimal
	amount decimal.Decimal

	calculation Calculation // of before and added together

	contract    string       // whose cycle the original one is
	use         *ContractUse // of a charge with an allowance over the contract
	follows     bool         // nothing is pinned: it is there in case what is carried into its cycle is another now
	dropped     bool         // and is not
	rerating    int64        // the terms of the rerating that brings the cycle under the charge; 0: none
	termsBefore []int64      // rerating: the versions that billed the cycle until then
	adjustment  *uuid.UUID   // the adjustment that the line bills
	read        bool         // rerating: pinned events were read for it
}

// drafts are built from bunches. An event is on the line of every charge that selects it, and is
// pinned once; one that no charge selects is left alone.
type drafts struct {
	cal   *Calendar
	m     measures
	sel   Selection
	newID func() uuid.UUID
	by    map[draftKey]*draft
	line  map[lineKey]*draftLine
}

type draftKey struct {
	cycle            time.Time
	currency, stream string
}

type lineKey struct {
	invoice uuid.UUID
	origin  time.Time
	charge  string
}

func newDrafts(cal *Calendar, m measures, sel Selection, newID func() uuid.UUID) *drafts {
	return &drafts{cal: cal, m: m, sel: sel, newID: newID, by: map[draftKey]*draft{}, line: map[lineKey]*draftLine{}}
}

// add puts a bunch on the invoice of the cycle target, by the terms of the cycle that it happened in.
func (d *drafts) add(g *bunch, origin, target Cycle, terms Terms) {
	for rank, c := range terms.Charges {
		if !d.sel.Selects(c, g.typ, g.currency, g.mask) {
			continue
		}
		invoice := d.invoice(draftKey{target.Start, g.currency, g.stream}, target)
		if g.invoice == uuid.Nil {
			g.invoice = invoice.id
			invoice.pinned += g.pinned
			invoice.events += g.events
		}
		l := d.lineOf(invoice, c, rank, origin, terms)
		l.pinned += g.pinned
		l.added = c.Add(l.added, d.m.added(c, g))
	}
}

// lineOf is the line of a charge and cycle on an invoice, a new one if there is none.
func (d *drafts) lineOf(invoice *draft, c Charge, rank int, origin Cycle, terms Terms) *draftLine {
	key := lineKey{invoice.id, origin.Start, c.Name}
	l := d.line[key]
	if l == nil {
		l = &draftLine{charge: c, rank: rank, terms: terms.chargesVersion(), contract: terms.Contract, origin: origin, late: !origin.Start.Equal(invoice.cycle.Start)}
		if terms.minimumByDays(c) {
			l.added.Days, l.added.PeriodDays = d.cal.days(origin)
		}
		d.line[key] = l
		invoice.lines = append(invoice.lines, l)
	}
	return l
}

// recurring puts what a cycle costs without events on the account's invoices, of one currency only if that is given:
// flat charges, and charges with a minimum that no event has put there.
func (d *drafts) recurring(cy Cycle, terms Terms, only string) {
	days, of := d.cal.days(cy)
	if days == 0 {
		return
	}
	for rank, c := range terms.Charges {
		if c.Model != ModelFlat && !terms.minimumDue(c) || only != "" && only != c.Currency {
			continue
		}
		invoice := d.invoice(draftKey{cy.Start, c.Currency, ""}, cy)
		if d.line[lineKey{invoice.id, cy.Start, c.Name}] != nil {
			continue
		}
		invoice.lines = append(invoice.lines, &draftLine{
			charge: c, rank: rank, terms: terms.chargesVersion(), contract: terms.Contract, origin: cy, added: Inputs{Days: days, PeriodDays: of},
		})
	}
}

// recurringAgain puts what a closed cycle costs without events on the account's invoices of the cycle target.
func (d *drafts) recurringAgain(origin, target Cycle, terms Terms, only *draftKey) {
	days, of := d.cal.days(origin)
	if days == 0 || !terms.StartsAt.IsZero() && origin.Start.Before(terms.StartsAt) || only != nil && only.stream != "" {
		return
	}
	for rank, c := range terms.Charges {
		if c.Model != ModelFlat && !terms.minimumDue(c) || only != nil && only.currency != c.Currency {
			continue
		}
		l := d.lineOf(d.invoice(draftKey{target.Start, c.Currency, ""}, target), c, rank, origin, terms)
		l.added.Days, l.added.PeriodDays = days, of
	}
}

func (d *drafts) invoice(key draftKey, cy Cycle) *draft {
	v := d.by[key]
	if v == nil {
		v = &draft{id: d.newID(), cycle: cy, currency: key.currency, stream: key.stream}
		d.by[key] = v
	}
	return v
}

// sorted are the drafts by cycle, currency and stream, the lines of each with those of its own cycle
// first, then by original cycle and by the order of the charges in the terms.
func (d *drafts) sorted() []*draft {
	all := make([]*draft, 0, len(d.by))
	for _, v := range d.by {
		v.sort()
		all = append(all, v)
	}
	slices.SortFunc(all, func(a, b *draft) int {
		return cmp.Or(a.cycle.Start.Compare(b.cycle.Start), cmp.Compare(a.currency, b.currency), cmp.Compare(a.stream, b.stream))
	})
	return all
}

// sort puts the lines in their order.
func (d *draft) sort() {
	slices.SortFunc(d.lines, func(a, b *draftLine) int {
		if a.late != b.late {
			return map[bool]int{false: -1, true: 1}[a.late]
		}
		return cmp.Or(a.origin.Start.Compare(b.origin.Start), cmp.Compare(a.rank, b.rank), cmp.Compare(a.charge.Name, b.charge.Name))
	})
}

// priorKey is what lines of several invoices share that re-rate one another.
type priorKey struct {
	origin                   time.Time
	charge, currency, stream string
}

// prior is what lines that count hold of a charge and cycle.
type prior struct {
	inputs    Inputs // First in any order
	lostFirst bool   // some of the first events may be missing
	invoices  []uuid.UUID
	read      bool // from pins
}

const sqlInsertLines = `
INSERT INTO billing.invoice_lines (account, invoice_id, line, charge, terms, definition, origin_start, origin_end, late, origin_invoice,
                                   pinned, events, added, first, before_counted, before, before_first, billed, calculation, exact, amount, days, period_days,
                                   contract, rerating, terms_before, adjustment)
SELECT $1, u.invoice, u.line, u.charge, u.terms, u.definition::jsonb, u.origin_start, u.origin_end, u.late, u.origin_invoice,
       u.pinned, u.events, u.added::numeric, u.first::jsonb, u.before_counted, u.before::numeric, u.before_first::jsonb, u.billed::numeric,
       u.calculation::jsonb, u.exact::numeric, u.amount::numeric, NULLIF(u.days, 0), NULLIF(u.period_days, 0),
       u.contract::jsonb, NULLIF(u.rerating, 0), u.terms_before::jsonb, u.adjustment
FROM unnest($2::uuid[], $3::int[], $4::text[], $5::bigint[], $6::text[], $7::timestamptz[], $8::timestamptz[], $9::boolean[], $10::uuid[],
            $11::bigint[], $12::bigint[], $13::text[], $14::text[], $15::bigint[], $16::text[], $17::text[], $18::text[], $19::text[],
            $20::text[], $21::text[], $22::bigint[], $23::bigint[], $24::text[], $25::bigint[], $26::text[], $27::uuid[])
     AS u (invoice, line, charge, terms, definition, origin_start, origin_end, late, origin_invoice,
           pinned, events, added, first, before_counted, before, before_first, billed, calculation, exact, amount, days, period_days,
           contract, rerating, terms_before, adjustment)`

// The drawing of positions is the last thing that its transaction does: from then on until the commit
// it keeps the next watermark waiting. The total is what the database finds on the lines.
const sqlInsertInvoices = `
INSERT INTO billing.invoices (account, id, cycle_start, cycle_end, currency, stream, total, events, pinned, rebills, run, watermark, position, created_at)
SELECT $1, u.id, u.cycle_start, u.cycle_end, u.currency, NULLIF(u.stream, ''), u.total, u.events, u.pinned, $2, $3, $4, d.positions[u.n], d.recorded_at
FROM (
    SELECT u.*, (SELECT COALESCE(sum(l.amount), 0) FROM billing.invoice_lines l WHERE l.account = $1 AND l.invoice_id = u.id) AS total
    FROM unnest($5::uuid[], $6::timestamptz[], $7::timestamptz[], $8::text[], $9::text[], $10::bigint[], $11::bigint[])
         WITH ORDINALITY AS u (id, cycle_start, cycle_end, currency, stream, events, pinned, n)
    OFFSET 0
) u
CROSS JOIN ledger.draw($12) d
RETURNING id, total`

const sqlInsertIDs = `
INSERT INTO billing.invoice_ids (account, id)
SELECT $1, u.id
FROM unnest($2::uuid[]) AS u (id)`

// queueIDs queues the ids of drafts, which their pins and lines name.
func queueIDs(out *writes, account string, all []*draft) {
	for part := range slices.Chunk(all, chunk) {
		ids := make([]uuid.UUID, len(part))
		for i, v := range part {
			ids[i] = v.id
		}
		out.exec(nil, sqlInsertIDs, account, ids)
	}
}

// chunk is how many invoices are written by one statement.
const chunk = 5000

// queueLines queues the lines of drafts.
func queueLines(out *writes, account string, all []*draft) {
	for part := range slices.Chunk(all, chunk) {
		var c lineColumns
		for _, v := range part {
			for i, l := range v.lines {
				c.add(v, i+1, l)
			}
		}
		out.exec(nil, sqlInsertLines, account, c.invoice, c.line, c.charge, c.terms, c.definition, c.originStart, c.originEnd, c.late, c.first,
			c.pinned, c.events, c.added, c.firstAdded, c.beforeCounted, c.before, c.firstBefore, c.billed, c.calculation, c.exact, c.amount, c.days, c.periodDays,
			c.contract, c.rerating, c.termsBefore, c.adjustment)
	}
}

// lineColumns are lines as the arrays of an INSERT.
type lineColumns struct {
	invoice                              []uuid.UUID
	line                                 []int
	charge, definition                   []string
	terms                                []int64
	originStart, originEnd               []time.Time
	late                                 []bool
	first                                []*uuid.UUID
	pinned, events, beforeCounted        []int64
	added, before, billed, exact, amount []string
	firstAdded, firstBefore              []*string
	calculation                          []string
	days, periodDays                     []int64
	contract                             []*string
	rerating                             []int64
	termsBefore                          []*string
	adjustment                           []*uuid.UUID
}

func (c *lineColumns) add(v *draft, number int, l *draftLine) {
	c.invoice = append(c.invoice, v.id)
	c.line = append(c.line, number)
	c.charge = append(c.charge, l.charge.Name)
	c.definition = append(c.definition, l.charge.definition())
	c.terms = append(c.terms, l.terms)
	c.originStart = append(c.originStart, l.origin.Start)
	c.originEnd = append(c.originEnd, l.origin.End)
	c.late = append(c.late, l.late)
	c.first = append(c.first, l.first)
	c.pinned = append(c.pinned, l.pinned)
	c.events = append(c.events, l.added.Count)
	c.beforeCounted = append(c.beforeCounted, l.before.Count)
	c.added = append(c.added, l.added.Sum.String())
	c.before = append(c.before, l.before.Sum.String())
	c.billed = append(c.billed, l.billed.String())
	c.firstAdded = append(c.firstAdded, firstJSON(l.added.First))
	c.firstBefore = append(c.firstBefore, firstJSON(l.before.First))
	c.calculation = append(c.calculation, l.calculation.json())
	c.days, c.periodDays = append(c.days, l.added.Days), append(c.periodDays, l.added.PeriodDays)
	c.contract = append(c.contract, l.use.json())
	c.rerating, c.termsBefore = append(c.rerating, l.rerating), append(c.termsBefore, l.termsBeforeJSON())
	c.adjustment = append(c.adjustment, l.adjustment)
	c.exact = append(c.exact, l.exact.String())
	c.amount = append(c.amount, l.amount.String())
}

// termsBeforeJSON is how a line keeps the versions that billed its cycle before; nil if it brings no rerating.
func (l *draftLine) termsBeforeJSON() *string {
	if l.rerating == 0 {
		return nil
	}
	b, err := json.Marshal(append([]int64{}, l.termsBefore...))
	if err != nil {
		panic("billing: versions can't be written as JSON: " + err.Error()) // numbers: impossible
	}
	return ptr(string(b))
}

// firstJSON is how a line keeps first events; nil for none.
func firstJSON(first []FirstEvent) *string {
	if len(first) == 0 {
		return nil
	}
	b, err := json.Marshal(first)
	if err != nil {
		panic("billing: first events can't be written as JSON: " + err.Error()) // texts, times and decimals: impossible
	}
	return ptr(string(b))
}

// json is how a line keeps the calculation.
func (k Calculation) json() string {
	b, err := json.Marshal(k)
	if err != nil {
		panic("billing: a calculation can't be written as JSON: " + err.Error()) // decimals and small numbers only: impossible
	}
	return string(b)
}

// queueInvoices queues the invoices, last of all, and holds their totals against the drafts.
func queueInvoices(out *writes, account string, all []*draft, rebills *uuid.UUID, run *int64, watermark int64) {
	for part := range slices.Chunk(all, chunk) {
		ids, starts, ends := make([]uuid.UUID, len(part)), make([]time.Time, len(part)), make([]time.Time, len(part))
		currencies, streams := make([]string, len(part)), make([]string, len(part))
		events, pinned := make([]int64, len(part)), make([]int64, len(part))
		totals := make(map[uuid.UUID]decimal.Decimal, len(part))
		for i, v := range part {
			ids[i], starts[i], ends[i] = v.id, v.cycle.Start, v.cycle.End
			currencies[i], streams[i], events[i], pinned[i] = v.currency, v.stream, v.events, v.pinned
			totals[v.id] = v.total
		}
		out.query(func(rows pgx.Rows) error { return checkTotals(rows, totals) },
			sqlInsertInvoices, account, rebills, run, watermark, ids, starts, ends, currencies, streams, events, pinned, len(part))
	}
}

// checkTotals holds the totals that the database found against those that were computed (invariant 7).
func checkTotals(rows pgx.Rows, want map[uuid.UUID]decimal.Decimal) error {
	var id uuid.UUID
	var total decimal.Decimal
	n := 0
	_, err := pgx.ForEachRow(rows, []any{&id, &total}, func() error {
		n++
		if !total.Equal(want[id]) {
			return fmt.Errorf("invoice %s: its lines add up to %s, not %s: %w", id, total, want[id], ledger.ErrCorrupt)
		}
		return nil
	})
	if err == nil && n != len(want) {
		return fmt.Errorf("%d invoices were written, not %d: %w", n, len(want), ledger.ErrCorrupt)
	}
	return err
}
