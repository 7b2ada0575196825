package billing

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"deltaledger/ledger/pg"
)

// A contract is all the cycles of an account whose terms name it, in the order of time; see Terms.Contract.
// Of a charge whose allowance holds over the contract, each unit has its place in it: that of its cycle among
// the cycles, whenever it was recorded. What is free, or above the maximum, is decided by that place and by
// the terms of the cycle. So every cycle is priced by its own inputs and by what is carried into it: what the
// cycles before used.
//
//   - Each charge (by its name), currency and, where streams have invoices, stream has allowances of its own.
//   - Only cycles in which the charge has an allowance over the contract count.
//   - What is carried into a cycle is what lines add up to: those of invoices that aren't void, and of those
//     that were written off. What was given up stays used and spent.
//   - A late event changes what is carried into the later cycles of its contract. Those of them whose price
//     changes by that get a line of their own beside that of the event's cycle, on the same invoice, though
//     nothing of them is pinned.
//
// billing.contract_uses keeps what all lines of a contract come to, so that a close reads one row for what it
// bills on time. For what is late it reads the lines of the cycles from there on, but no event again.

// ContractUse is what a line has to do with the contract whose allowances its charge shares.
type ContractUse struct {
	// Name is that of the contract; empty for the one contract of an account whose terms name none.
	Name string `json:"name"`
	// Carried is what the cycles before used, as the line found it.
	Carried Carried `json:"carried"`
	// Before is what the newest earlier line of the cycle had found; nil if there was none.
	Before *Carried `json:"before,omitempty"`
	// Added is what the line itself adds to what later cycles find.
	Added Carried `json:"added"`
	// SpentBefore is what earlier lines of the cycle had added to Spent.
	SpentBefore decimal.Decimal `json:"spent_before"`
}

// AddedToContract returns what a line adds to what the cycles after its own find used of the contract. before
// and added are its inputs, spentBefore what earlier lines of its cycle had added to what is spent.
func AddedToContract(c Charge, code string, before, added Inputs, spentBefore decimal.Decimal) Carried {
	spent := c.uncapped(c.Calculate(c.Add(before, added)))
	return Carried{Quantity: c.Calculate(added).Quantity, Spent: c.Round(spent, code).Sub(spentBefore)}
}

// plus adds what a line added.
func (u Carried) plus(o Carried) Carried {
	return Carried{Quantity: u.Quantity.Add(o.Quantity), Spent: u.Spent.Add(o.Spent)}
}

func (u Carried) minus(o Carried) Carried {
	return Carried{Quantity: u.Quantity.Sub(o.Quantity), Spent: u.Spent.Sub(o.Spent)}
}

// Equal reports whether both are the same numbers.
func (u Carried) Equal(o Carried) bool {
	return u.Quantity.Equal(o.Quantity) && u.Spent.Equal(o.Spent)
}

// String is both numbers as a finding names them.
func (u Carried) String() string {
	return fmt.Sprintf("%s used and %s spent", u.Quantity, u.Spent)
}

// contractKey is what lines agree in that share allowances.
type contractKey struct {
	contract, charge, currency, stream string
}

// contract is the use of allowances that lines share.
type contract struct {
	key   contractKey
	since time.Time      // the first cycle that the drafts touch
	past  []contractLine // counted lines of the cycles from since on, in the order of cycles and of writing
	again []time.Time    // cycles of which the invoice that is billed again has lines
	n     int64          // how many totals are written
	total Carried        // of all counted lines
}

// contractLine is a line that counts: one that was written, or is in a draft before.
type contractLine struct {
	origin     Cycle
	terms      int64
	definition []byte
	days, of   int64 // of the cycle, where the price or the minimum is by them
	use        ContractUse
	live       bool // else its invoice was written off
}

const sqlContractTotals = `
SELECT k.n, u.n, u.quantity, u.spent
FROM unnest($2::text[], $3::text[], $4::text[], $5::text[]) WITH ORDINALITY AS k (contract, charge, currency, stream, n)
CROSS JOIN LATERAL (
    SELECT u.n, u.quantity, u.spent
    FROM billing.contract_uses u
    WHERE u.account = $1 AND u.contract = k.contract AND u.charge = k.charge AND u.currency = k.currency AND u.stream = k.stream
    ORDER BY u.n DESC
    LIMIT 1
) u`

// What a rebill took the place of doesn't count any more; what was written off stays used.
const sqlContractLines = `
SELECT k.n, l.origin_start, l.origin_end, l.terms, l.definition, COALESCE(l.days, 0), COALESCE(l.period_days, 0), l.contract, v.invoice_id IS NULL, l.invoice_id = $7
FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::timestamptz[]) WITH ORDINALITY AS k (contract, charge, currency, stream, since, n)
JOIN billing.invoice_lines l ON l.account = $1 AND l.charge = k.charge AND l.origin_start >= k.since
 AND l.contract IS NOT NULL AND l.contract ->> 'name' = k.contract
JOIN billing.invoices i ON i.account = l.account AND i.id = l.invoice_id AND i.currency = k.currency AND COALESCE(i.stream, '') = k.stream
LEFT JOIN billing.voids v ON v.account = l.account AND v.invoice_id = l.invoice_id
WHERE v.outcome IS DISTINCT FROM 'rebill'
ORDER BY k.n, l.origin_start, i.position`

const sqlContractsOfInvoice = `
SELECT l.contract ->> 'name', l.charge, i.currency, COALESCE(i.stream, ''), min(l.origin_start)
FROM billing.invoice_lines l
JOIN billing.invoices i ON i.account = l.account AND i.id = l.invoice_id
WHERE l.account = $1 AND l.invoice_id = $2 AND l.contract IS NOT NULL
GROUP BY 1, 2, 3, 4`

// readContracts finds the contracts whose allowances the drafts use, or those that the invoice used which they take the
// place of, with what is written of them from the first of those cycles on. It returns the starts of the written cycles.
func readContracts(ctx context.Context, tx pgx.Tx, account string, all []*draft, except uuid.UUID) ([]*contract, []time.Time, error) {
	found, order := map[contractKey]*contract{}, []*contract{}
	use := func(k contractKey, origin time.Time) {
		u := found[k]
		if u == nil {
			u = &contract{key: k, since: origin}
			found[k], order = u, append(order, u)
		}
		if origin.Before(u.since) {
			u.since = origin
		}
	}
	for _, v := range all {
		for _, l := range v.lines {
			if l.charge.OverContract() {
				use(v.contractKey(l), l.origin.Start)
			}
		}
	}
	if except != uuid.Nil {
		var k contractKey
		var origin time.Time
		if err := pg.ForEach(ctx, tx, []any{&k.contract, &k.charge, &k.currency, &k.stream, &origin}, func() error {
			use(k, origin.UTC())
			return nil
		}, sqlContractsOfInvoice, account, except); err != nil {
			return nil, nil, fmt.Errorf("read what was used of contracts: %w", err)
		}
	}
	if len(order) == 0 {
		return nil, nil, nil
	}
	if err := readUses(ctx, tx, account, order, except); err != nil {
		return nil, nil, fmt.Errorf("read what was used of contracts: %w", err)
	}
	var origins []time.Time
	for _, u := range order {
		for _, p := range u.past {
			origins = append(origins, p.origin.Start)
		}
	}
	slices.SortFunc(origins, time.Time.Compare)
	return order, slices.CompactFunc(origins, time.Time.Equal), nil
}

func (d *draft) contractKey(l *draftLine) contractKey {
	return contractKey{l.contract, l.charge.Name, d.currency, d.stream}
}

// readUses reads the totals of contracts, and the lines of the cycles from since on, without those of the invoice except.
func readUses(ctx context.Context, tx pgx.Tx, account string, all []*contract, except uuid.UUID) error {
	var names, charges, currencies, streams []string
	var since []time.Time
	for _, u := range all {
		names, charges = append(names, u.key.contract), append(charges, u.key.charge)
		currencies, streams, since = append(currencies, u.key.currency), append(streams, u.key.stream), append(since, u.since)
	}
	var reads writes
	reads.query(func(rows pgx.Rows) error {
		var i, n int64
		var total Carried
		_, err := pgx.ForEachRow(rows, []any{&i, &n, &total.Quantity, &total.Spent}, func() error {
			all[i-1].n, all[i-1].total = n, total
			return nil
		})
		return err
	}, sqlContractTotals, account, names, charges, currencies, streams)
	reads.query(func(rows pgx.Rows) error {
		for rows.Next() {
			var i int64
			var l contractLine
			var excepted bool
			if err := rows.Scan(&i, &l.origin.Start, &l.origin.End, &l.terms, &l.definition, &l.days, &l.of, &l.use, &l.live, &excepted); err != nil {
				return err
			}
			l.origin.Start, l.origin.End = l.origin.Start.UTC(), l.origin.End.UTC()
			if u := all[i-1]; excepted {
				u.total, u.again = u.total.minus(l.use.Added), append(u.again, l.origin.Start)
			} else {
				u.past = append(u.past, l)
			}
		}
		return rows.Err()
	}, sqlContractLines, account, names, charges, currencies, streams, since, except)
	return reads.send(ctx, tx)
}

// correct puts a line on the draft for every cycle between the first of a contract that it touches and its own, where it
// has none: chain finds out which of them are needed. Those that stand in the place of lines are in any case.
func correct(v *draft, contracts []*contract) error {
	for _, u := range contracts {
		lines := u.lines(v)
		if len(lines) == 0 {
			continue
		}
		touched := func(origin time.Time) bool {
			return slices.ContainsFunc(lines, func(l *draftLine) bool { return l.origin.Start.Equal(origin) })
		}
		for i, p := range u.past {
			newest := i+1 == len(u.past) || !u.past[i+1].origin.Start.Equal(p.origin.Start)
			if !newest || !p.origin.Start.After(lines[0].origin.Start) || !p.origin.Start.Before(v.cycle.Start) || touched(p.origin.Start) {
				continue
			}
			last := u.last(p.origin.Start)
			if last == nil {
				continue // all of it was given up
			}
			c, err := ParseCharge(last.definition)
			if err != nil {
				return err
			}
			v.lines = append(v.lines, &draftLine{
				charge: c, rank: lines[0].rank, terms: last.terms, contract: u.key.contract, origin: last.origin, late: true, follows: !slices.ContainsFunc(u.again, last.origin.Start.Equal),
				added: Inputs{Days: last.days, PeriodDays: last.of},
			})
		}
	}
	return nil
}

// lines are those of a draft that use the contract, in the order of their cycles.
func (u *contract) lines(v *draft) []*draftLine {
	var lines []*draftLine
	for _, l := range v.lines {
		if l.charge.OverContract() && v.contractKey(l) == u.key {
			lines = append(lines, l)
		}
	}
	slices.SortStableFunc(lines, func(a, b *draftLine) int { return a.origin.Start.Compare(b.origin.Start) })
	return lines
}

// last is the newest live line of a cycle; nil if there is none.
func (u *contract) last(origin time.Time) *contractLine {
	for i := len(u.past) - 1; i >= 0; i-- {
		if p := &u.past[i]; p.live && p.origin.Start.Equal(origin) {
			return p
		}
	}
	return nil
}

// chain goes through the lines of a draft in the order of their cycles and finds for each what is carried into its cycle,
// and what it adds. What earlier lines billed must be known. Lines that correct put there and that change nothing are
// taken away again.
func chain(v *draft, contracts []*contract) {
	changed := false
	for _, u := range contracts {
		lines := u.lines(v)
		changed = changed || len(lines) > 0
		u.chain(lines)
	}
	if changed {
		v.lines = slices.DeleteFunc(v.lines, func(l *draftLine) bool { return l.dropped })
		v.sort()
	}
}

func (u *contract) chain(lines []*draftLine) {
	carried, past, added := u.total, u.past, []contractLine{}
	for _, p := range past {
		carried = carried.minus(p.use.Added)
	}
	for _, l := range lines {
		for len(past) > 0 && past[0].origin.Start.Before(l.origin.Start) {
			carried, past = carried.plus(past[0].use.Added), past[1:]
		}
		l.use = &ContractUse{Name: u.key.contract, Carried: carried}
		if last := u.last(l.origin.Start); last != nil {
			found := last.use.Carried
			l.use.Before = &found
		}
		for _, p := range past {
			if p.live && p.origin.Start.Equal(l.origin.Start) {
				l.use.SpentBefore = l.use.SpentBefore.Add(p.use.Added.Spent)
			}
		}
		l.added.Carried, l.before.Carried = &l.use.Carried, l.use.Before
		if l.follows && l.unchanged() {
			l.dropped = true
			continue
		}
		l.use.Added = AddedToContract(l.charge, u.key.currency, l.before, l.added, l.use.SpentBefore)
		carried, u.total = carried.plus(l.use.Added), u.total.plus(l.use.Added)
		added = append(added, contractLine{
			origin: l.origin, terms: l.terms, definition: []byte(l.charge.definition()), days: l.added.Days, of: l.added.PeriodDays, use: *l.use, live: true,
		})
	}
	u.past = append(u.past, added...)
	slices.SortStableFunc(u.past, func(a, b contractLine) int { return a.origin.Start.Compare(b.origin.Start) })
}

// unchanged reports whether what is carried into the cycle makes no difference to its price.
func (l *draftLine) unchanged() bool {
	before := l.before
	before.Days, before.PeriodDays = l.added.Days, l.added.PeriodDays
	was, is := l.charge.Calculate(before), l.charge.Calculate(l.charge.Add(l.before, l.added))
	return was.Price.Equal(is.Price) && l.charge.uncapped(was).Equal(l.charge.uncapped(is))
}

const sqlInsertContractUses = `
INSERT INTO billing.contract_uses (account, contract, charge, currency, stream, n, quantity, spent)
SELECT $1, u.contract, u.charge, u.currency, u.stream, u.n, u.quantity::numeric, u.spent::numeric
FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::text[], $8::text[]) AS u (contract, charge, currency, stream, n, quantity, spent)`

// queueContracts queues what contracts are used by now.
func queueContracts(out *writes, account string, all []*contract) {
	for part := range slices.Chunk(all, chunk) {
		var names, charges, currencies, streams, quantities, spent []string
		var n []int64
		for _, u := range part {
			names, charges, currencies, streams = append(names, u.key.contract), append(charges, u.key.charge), append(currencies, u.key.currency), append(streams, u.key.stream)
			n, quantities, spent = append(n, u.n+1), append(quantities, u.total.Quantity.String()), append(spent, u.total.Spent.String())
		}
		out.exec(nil, sqlInsertContractUses, account, names, charges, currencies, streams, n, quantities, spent)
	}
}

// json is how a line keeps it; nil for a line whose charge has no allowance over the contract.
func (u *ContractUse) json() *string {
	if u == nil {
		return nil
	}
	b, err := json.Marshal(u)
	if err != nil {
		panic("billing: the use of a contract can't be written as JSON: " + err.Error()) // texts and decimals: impossible
	}
	return ptr(string(b))
}
