package reconcile

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"deltaledger/billing"
	"deltaledger/ledger"
	"deltaledger/ledger/pg"
)

// balance is what an account wasn't billed for in one currency, as of a watermark.
type balance struct {
	account       string
	currency      string
	watermark     int64
	closedThrough *time.Time
	unbilled      decimal.Decimal
	oldest        time.Time // occurred_at of the first event that is on no invoice; zero: there is none
}

// Why an event is on no live invoice.
const (
	stateOpen   = "open"   // its cycle isn't closed
	stateLate   = "late"   // it came after the close of its cycle: the next one bills it
	stateClosed = "closed" // a close that had it to bill has passed, and yet it isn't billed
)

// unpinned adds up events of an account that are on no invoice.
type unpinned struct {
	account, currency, state, typ string
	events                        int64 // none: only rows that the ledger made because of events
	amount                        decimal.Decimal
	first, last                   time.Time    // occurred_at
	position                      int64        // of one of them, the first
	moves                         bool         // one of them has an amount that isn't 0
	origin                        [2]time.Time // first and last instant of the cycles that they belong to
	mask                          string       // of the selection of the account's charges, once some of them filter on dimensions
}

// How far each account was closed as of the watermark, by its own rows, and whether there are later ones.
// A close counts once its invoices do: they drew their positions in its transaction.
const sqlClosedAsOf = `
SELECT wanted.account, max(k.through_at) FILTER (WHERE k.counts), count(*) FILTER (WHERE NOT k.counts) > 0
FROM unnest($1::text[]) AS wanted (account)
JOIN LATERAL (
    SELECT c.through_at, c.watermark <= $2
           AND NOT EXISTS (SELECT FROM billing.invoices i WHERE i.account = c.account AND i.run = c.run AND i.position > $2) AS counts
    FROM billing.closes c
    WHERE c.account = wanted.account
) k ON true
GROUP BY wanted.account`

// The events that no invoice pins as of the watermark. Looked at are, of each account: what happened at
// or after the end through which it was closed when it was looked at last; what was recorded since; and
// what was noted as late. Everything else was found in order then and can't have changed. $7 to $9
// are the runs that passed accounts without a row. first is the close that made an event late, if it
// came after that; last had to bill it, late or not, unless the event came after that too. Rows that the
// ledger made and that cancel each other out are billed by nobody. An event is due when it occurred, or when its
// order was final; it is decided with its own position, or with that of what finalised the order.
const sqlUnpinned = unpinnedCandidates + dueByEvent + unpinnedGroups

// The same for accounts that are or were billed by order. What waits for its order was looked at when it was
// recorded, and is looked at again.
const sqlUnpinnedOfOrders = unpinnedCandidates + alsoCarried + dueByOrder + unpinnedGroups

const unpinnedCandidates = `
WITH passed AS (
    SELECT p.account, array_agg(p.through_at) AS ends, array_agg(p.watermark) AS marks
    FROM unnest($7::text[], $8::timestamptz[], $9::bigint[]) AS p (account, through_at, watermark)
    GROUP BY p.account
), wanted AS (
    SELECT w.account, w.closed_then, w.closed_now, w.looked, p.ends, p.marks
    FROM unnest($1::text[], $2::timestamptz[], $3::timestamptz[], $4::bigint[]) AS w (account, closed_then, closed_now, looked)
    LEFT JOIN passed p ON p.account = w.account
), candidate AS (
    SELECT w.*, e.position, e.recorded_at, e.occurred_at, e.source, e.stream, e.caused_by, e.type, e.currency, e.amount, e.quantity, e.kind, ''::text AS mask
    FROM wanted w
    JOIN ledger.every_event e ON e.account = w.account AND e.occurred_at >= w.closed_then AND e.position <= $5
  UNION ALL
    SELECT w.*, e.position, e.recorded_at, e.occurred_at, e.source, e.stream, e.caused_by, e.type, e.currency, e.amount, e.quantity, e.kind, ''::text AS mask
    FROM wanted w
    JOIN ledger.every_event e ON e.account = w.account AND e.occurred_at < w.closed_then
                        AND e.position > w.looked AND e.position <= $5 AND e.recorded_at >= $6
  UNION ALL
    SELECT w.*, e.position, e.recorded_at, e.occurred_at, e.source, e.stream, e.caused_by, e.type, e.currency, e.amount, e.quantity, e.kind, ''::text AS mask
    FROM wanted w
    JOIN billing.late_events p ON p.account = w.account AND p.position <= w.looked` + ledger.EventAtP + `
    WHERE e.occurred_at < w.closed_then`

const unpinnedGroups = `
    CROSS JOIN LATERAL (
        SELECT min(k.watermark) AS first, max(k.watermark) AS last
        FROM (
            SELECT k.through_at, k.watermark FROM billing.closes k WHERE k.account = c.account AND k.through_at <= c.closed_now
          UNION ALL
            SELECT p.through_at, p.watermark FROM unnest(c.ends, c.marks) AS p (through_at, watermark)
        ) k
        WHERE k.through_at > d.due
    ) closer
    WHERE NOT EXISTS (
        SELECT FROM billing.pins p
        JOIN billing.invoices i ON i.account = p.account AND i.id = p.invoice_id
        WHERE p.account = c.account AND p.position = c.position AND i.position <= $5)
)
SELECT u.account, u.currency, CASE WHEN u.last IS NULL THEN 'open' WHEN u.decided > u.last THEN 'late' ELSE 'closed' END AS state,
       u.type, count(*) FILTER (WHERE u.kind IN ('upstream', 'adjustment')), COALESCE(sum(u.amount), 0), min(u.occurred_at), max(u.occurred_at), min(u.position),
       COALESCE(bool_or(u.amount <> 0), false), u.mask, min(u.origin), max(u.origin)
FROM unpinned u
GROUP BY 1, 2, 3, 4, u.first, u.mask
HAVING count(*) FILTER (WHERE u.kind IN ('upstream', 'adjustment')) > 0 OR COALESCE(sum(u.amount), 0) <> 0 OR COALESCE(sum(u.quantity), 0) <> 0
ORDER BY 1, 2, 3, 4, min(u.position)`

// The newest balance of each account and currency: where the roll-forward begins.
const sqlOpening = `
SELECT DISTINCT ON (b.account, b.currency) b.account, b.currency, b.watermark, b.closed_through, b.unbilled
FROM reconcile.balances b
WHERE b.account = ANY($1)
ORDER BY b.account, b.currency, b.watermark DESC`

// What was booked since each account was looked at, and what was billed of it or of the opening. A
// rebill moves events from one invoice to another; only first pins bill anything. Each account is looked up by
// itself (OFFSET 0), by its name and not by positions (+ 0): the planner, told little of tables that have just grown,
// would read them whole, for each page of accounts or even for each account.
const sqlBookedAndBilled = `
WITH wanted AS (
    SELECT w.account, w.looked
    FROM unnest($1::text[], $2::bigint[]) AS w (account, looked)
)
SELECT w.account, x.currency, COALESCE(sum(x.booked), 0), COALESCE(sum(x.billed), 0)
FROM wanted w
CROSS JOIN LATERAL (
    (SELECT e.currency, e.amount AS booked, NULL::numeric AS billed
     FROM ledger.every_event e
     WHERE e.account = w.account AND e.position + 0 > w.looked AND e.position + 0 <= $3 AND e.recorded_at >= $4
     OFFSET 0)
  UNION ALL
    (SELECT e.currency, NULL, e.amount
     FROM billing.invoices i
     JOIN billing.pins p ON p.account = i.account AND p.invoice_id = i.id AND p.replaces IS NULL` + ledger.EventAtP + `
     WHERE i.account = w.account AND i.position + 0 > w.looked AND i.position + 0 <= $3
     OFFSET 0)
) x
GROUP BY w.account, x.currency`

// pageOfAccounts is how many accounts are compared by one statement.
const pageOfAccounts = 1000

// checkUnbilled holds the events of the accounts against the pins: each billable event of a closed cycle
// is on a live invoice, or late and waiting for the next; and rolls the unbilled amounts forward.
func (u *run) checkUnbilled(ctx context.Context, tx pgx.Tx) error {
	var events int64
	for accounts := range slices.Chunk(u.accounts, pageOfAccounts) {
		p, err := u.readPage(ctx, tx, accounts)
		if err != nil {
			return err
		}
		for _, g := range p.unpinned {
			events += g.events
		}
		if err := u.judgeAll(ctx, tx, p); err != nil {
			return err
		}
		u.rollForward(p)
	}
	u.checked(checkUnbilled, events, "events without an invoice")
	u.checked(checkUncovered, events, "events without an invoice")
	u.checked(checkRollForward, int64(len(u.balances)), "accounts and currencies")
	return nil
}

// judgeAll judges what is on no invoice though its cycle is closed, account by account.
func (u *run) judgeAll(ctx context.Context, tx pgx.Tx, p *accountPage) error {
	by := map[string][]unpinned{}
	for _, g := range p.unpinned {
		if g.state != stateOpen {
			by[g.account] = append(by[g.account], g)
		}
	}
	for _, account := range slices.Sorted(maps.Keys(by)) {
		cal, err := u.billing.CalendarTx(ctx, tx, account)
		if err != nil {
			return err
		}
		groups := by[account]
		sel, err := billing.NewSelection(u.catalogue, cal.Charges()...)
		if err != nil {
			return err
		}
		if sel.Filters() { // what the dimensions are decides: once more, by what the filters look at
			if groups, err = p.unpinnedBy(ctx, tx, u, account, sel); err != nil {
				return err
			}
		}
		for _, g := range groups {
			if err := u.judge(cal, sel, g); err != nil {
				return err
			}
		}
	}
	return nil
}

// judge tells an event that should have been billed from one that no charge of its cycle selects. A late
// one that some charge selects is in order: the next close bills it.
func (u *run) judge(cal *billing.Calendar, sel billing.Selection, g unpinned) (err error) {
	f := Finding{Account: g.account, Currency: g.currency, Check: checkUncovered}
	for cy := cal.Cycle(g.origin[0]); !cy.Start.After(g.origin[1]); cy = cal.Next(cy) {
		if slices.ContainsFunc(cal.TermsAt(cy.Start).Charges, func(c billing.Charge) bool { return sel.Selects(c, g.typ, g.currency, g.mask) }) {
			f.Check = checkUnbilled
		}
	}
	excused := f.Check == checkUncovered && !u.billable(g.typ)
	if g.state == stateLate && f.Check == checkUnbilled || excused && !g.moves {
		return nil
	}
	f.Fingerprint = fingerprint(f.Check, g.account, g.currency, g.typ, fmt.Sprint(g.position))
	f.Subject, err = json.Marshal(map[string]any{
		"type": g.typ, "events": g.events, "amount": g.amount.String(), "first_position": g.position, "first_occurred_at": g.first.UTC(), "last_occurred_at": g.last.UTC(),
	})
	what := "no charge of the terms selects them"
	if f.Check == checkUnbilled {
		what = "they are on no live invoice though their cycle is closed"
	}
	f.Detail = fmt.Sprintf("%d events of type %s, %s %s in all, from position %d on: %s", g.events, g.typ, g.amount, g.currency, g.position, what)
	if excused {
		u.excused = append(u.excused, u.dated(f))
	} else {
		u.add(f)
	}
	return err
}

// accountPage is what is known of some accounts.
type accountPage struct {
	accounts []string
	closed   map[string]*time.Time // as of the watermark; nil: never
	passed   []billing.Covered     // by runs that left no row, beyond the rows that there are
	opening  map[[2]string]balance // by account and currency
	looked   map[string]int64      // the watermark of the newest opening of the account
	unpinned []unpinned
	then     []time.Time  // of the accounts: from where on everything is looked at
	now      []*time.Time // through where they are closed
	sql      string       // sqlUnpinned, or sqlUnpinnedOfOrders
	passes   []any        // its further parameters
	booked   map[[2]string]decimal.Decimal
	billed   map[[2]string]decimal.Decimal
}

func (u *run) readPage(ctx context.Context, tx pgx.Tx, accounts []string) (*accountPage, error) {
	p := &accountPage{
		accounts: accounts, closed: map[string]*time.Time{}, opening: map[[2]string]balance{}, looked: map[string]int64{},
		booked: map[[2]string]decimal.Decimal{}, billed: map[[2]string]decimal.Decimal{},
	}
	for _, read := range []func(context.Context, pgx.Tx, *run) error{p.readClosed, p.readOpening, p.readUnpinned, p.readMovements} {
		if err := read(ctx, tx, u); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func (p *accountPage) readClosed(ctx context.Context, tx pgx.Tx, u *run) error {
	var account string
	var through *time.Time
	var later bool
	unsettled := map[string]bool{}
	err := pg.ForEach(ctx, tx, []any{&account, &through, &later}, func() error {
		p.closed[account], unsettled[account] = through, later
		return nil
	}, sqlClosedAsOf, p.accounts, u.at.Position)
	if err != nil {
		return wrap(err, "read closes")
	}
	// A run may have passed an account because of a close that doesn't count yet: the next run sees both.
	settled := slices.DeleteFunc(slices.Clone(p.accounts), func(account string) bool { return unsettled[account] })
	if p.passed, err = u.billing.CoveredTx(ctx, tx, u.at.Position, settled); err != nil {
		return err
	}
	for _, c := range p.passed {
		if have := p.closed[c.Account]; have == nil || c.End.After(*have) {
			p.closed[c.Account] = &c.End
		}
	}
	return nil
}

func (p *accountPage) readOpening(ctx context.Context, tx pgx.Tx, _ *run) error {
	var b balance
	err := pg.ForEach(ctx, tx, []any{&b.account, &b.currency, &b.watermark, &b.closedThrough, &b.unbilled}, func() error {
		p.opening[[2]string{b.account, b.currency}] = b
		p.looked[b.account] = max(p.looked[b.account], b.watermark)
		return nil
	}, sqlOpening, p.accounts)
	return wrap(err, "read balances")
}

// begin is before every event.
var begin = time.Date(-4000, 1, 1, 0, 0, 0, 0, time.UTC)

func (p *accountPage) readUnpinned(ctx context.Context, tx pgx.Tx, u *run) error {
	then, now, looked := make([]time.Time, len(p.accounts)), make([]*time.Time, len(p.accounts)), p.lookedAt()
	for i, account := range p.accounts {
		then[i], now[i] = begin, p.closed[account]
	}
	index := map[string]int{}
	for i, account := range p.accounts {
		index[account] = i
	}
	for key, b := range p.opening {
		if i := index[key[0]]; b.watermark == p.looked[key[0]] && b.closedThrough != nil {
			then[i] = *b.closedThrough
		}
	}
	if err := p.lookBack(ctx, tx, index, then); err != nil {
		return err
	}
	passed, ends, marks := make([]string, len(p.passed)), make([]time.Time, len(p.passed)), make([]int64, len(p.passed))
	for i, c := range p.passed {
		passed[i], ends[i], marks[i] = c.Account, c.End, c.Watermark
	}
	p.then, p.now = then, now
	p.passes = []any{u.at.Position, u.floor(), passed, ends, marks}
	p.sql = sqlUnpinned
	orders, err := u.billing.OrderPeriodsTx(ctx, tx, p.accounts)
	if err != nil {
		return err
	}
	if len(orders.Accounts) > 0 {
		p.sql = sqlUnpinnedOfOrders
		p.passes = append(p.passes, orders.Accounts, orders.Since, orders.Until, orders.RuleAccounts, orders.RuleSince, orders.RuleFrom, orders.RuleTo, orders.RuleTypes)
	}
	p.unpinned, err = queryUnpinned(ctx, tx, p.sql, slices.Concat([]any{p.accounts, then, now, looked}, p.passes))
	return err
}

func queryUnpinned(ctx context.Context, tx pgx.Tx, sql string, args []any) ([]unpinned, error) {
	rows, err := tx.Query(ctx, sql, args...)
	if err != nil {
		return nil, fmt.Errorf("add up what is on no invoice: %w", err)
	}
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (g unpinned, err error) {
		err = row.Scan(&g.account, &g.currency, &g.state, &g.typ, &g.events, &g.amount, &g.first, &g.last, &g.position, &g.moves, &g.mask, &g.origin[0], &g.origin[1])
		return g, err
	})
	if err != nil {
		return nil, fmt.Errorf("add up what is on no invoice: %w", err)
	}
	return found, nil
}

// unpinnedBy asks once more for one account of the page, apart by the mask of its charges, and leaves out what is open.
func (p *accountPage) unpinnedBy(ctx context.Context, tx pgx.Tx, u *run, account string, sel billing.Selection) ([]unpinned, error) {
	i := slices.Index(p.accounts, account)
	args := slices.Concat([]any{[]string{account}, p.then[i : i+1], p.now[i : i+1], p.lookedAt()[i : i+1]}, p.passes)
	mask := sel.Mask(func(value any) string { return numbered(&args, value) })
	found, err := queryUnpinned(ctx, tx, strings.ReplaceAll(p.sql, "''::text", mask), args)
	return slices.DeleteFunc(found, func(g unpinned) bool { return g.state == stateOpen }), err
}

// numbered adds a value of a mask to numbered parameters.
func numbered(args *[]any, value any) string {
	*args = append(*args, value)
	if _, list := value.([]string); list {
		return fmt.Sprintf("$%d::text[]", len(*args))
	}
	return fmt.Sprintf("$%d::text", len(*args))
}

// Events of closed cycles that were found on no invoice before, accepted or not: they count as unbilled
// until an invoice pins them.
const sqlStuck = `
SELECT f.account, min((f.subject->>'first_occurred_at')::timestamptz)
FROM reconcile.findings f
WHERE f.account = ANY($1) AND f.check_name IN ('unbilled', 'uncovered')
  AND COALESCE((SELECT r.outcome FROM reconcile.resolutions r WHERE r.finding = f.id ORDER BY r.n DESC LIMIT 1), '') <> 'gone'
GROUP BY f.account`

// lookBack makes the query begin where such events do.
func (p *accountPage) lookBack(ctx context.Context, tx pgx.Tx, index map[string]int, then []time.Time) error {
	var account string
	var first time.Time
	err := pg.ForEach(ctx, tx, []any{&account, &first}, func() error {
		if i := index[account]; first.Before(then[i]) {
			then[i] = first
		}
		return nil
	}, sqlStuck, p.accounts)
	return wrap(err, "read findings")
}

func (p *accountPage) lookedAt() []int64 {
	looked := make([]int64, len(p.accounts))
	for i, account := range p.accounts {
		looked[i] = p.looked[account]
	}
	return looked
}

// floor is an instant before which nothing was recorded that a run may have to look at: an account that
// the runs before didn't look at had nothing new then.
func (u *run) floor() time.Time {
	if u.since.TakenAt.IsZero() {
		return begin
	}
	return u.since.TakenAt
}

func (p *accountPage) readMovements(ctx context.Context, tx pgx.Tx, u *run) error {
	var key [2]string
	var booked, billed decimal.Decimal
	err := pg.ForEach(ctx, tx, []any{&key[0], &key[1], &booked, &billed}, func() error {
		p.booked[key], p.billed[key] = booked, billed
		return nil
	}, sqlBookedAndBilled, p.accounts, p.lookedAt(), u.at.Position, u.floor())
	return wrap(err, "add up what was booked and billed")
}

// rollForward holds opening + booked - billed against what is found unbilled, for each account and
// currency, and notes the balances that the next run opens with. The two sides come from different
// tables: from positions of events and invoices here, from the absence of pins there.
func (u *run) rollForward(p *accountPage) {
	closing := map[[2]string]decimal.Decimal{}
	late := map[[2]string]decimal.Decimal{}
	oldest := map[[2]string]time.Time{}
	for key := range p.opening {
		closing[key] = decimal.Zero
	}
	for key := range p.booked {
		closing[key] = decimal.Zero
	}
	for _, g := range p.unpinned {
		key := [2]string{g.account, g.currency}
		closing[key] = closing[key].Add(g.amount)
		if first, ok := oldest[key]; !ok || g.first.Before(first) {
			oldest[key] = g.first
		}
		if g.state == stateLate {
			late[key] = late[key].Add(g.amount)
		}
	}
	for key, have := range closing {
		opening := p.opening[key].unbilled
		want := opening.Add(p.booked[key]).Sub(p.billed[key])
		u.balances = append(u.balances, balance{account: key[0], currency: key[1], watermark: u.at.Position, closedThrough: p.closed[key[0]], unbilled: have, oldest: oldest[key]})
		if want.Equal(have) {
			continue
		}
		subject, _ := json.Marshal(map[string]string{ // strings only: nothing to fail
			"opening": opening.String(), "booked": p.booked[key].String(), "billed": p.billed[key].String(), "late": late[key].String(), "closing": have.String(),
		})
		u.add(Finding{
			Fingerprint: fingerprint(checkRollForward, key[0], key[1], fmt.Sprint(u.at.Position)), Check: checkRollForward, Account: key[0], Currency: key[1], Subject: subject,
			Detail: fmt.Sprintf("opening %s + booked %s - billed %s = %s, but %s %s is unbilled", opening, p.booked[key], p.billed[key], want, have, key[1]),
		})
	}
}
