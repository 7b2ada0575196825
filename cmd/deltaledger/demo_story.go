package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"deltaledger/billing"
	"deltaledger/export"
	"deltaledger/ledger"
	"deltaledger/ledger/pg"
	"deltaledger/reconcile"
)

// story is the demo while it is told.
type story struct {
	s        *session
	a        *app
	database string
	world    world
	random   *rand.Rand
	chapters []*chapter

	december  []byte           // the file of December as it was pulled first
	closed    ledger.Watermark // after the newest close
	first     ledger.Watermark // after the close of December
	delivered []ledger.Event   // everything that was sent so far
}

func newStory(s *session, a *app, database string) *story {
	const seed = 7
	return &story{s: s, a: a, database: database, world: makeWorld(seed), random: rand.New(rand.NewPCG(seed, seed))}
}

// teller is who does things in the demo.
const teller = "demo"

func (t *story) steps() []step {
	return []step{
		{"A marketplace sends its orders, out of order and twice", t.recordOrders},
		{"Totals are one sum, whatever order the events came in", t.totals},
		{"The months to December are closed and invoiced", t.closeDecember},
		{"January 1: finance pulls December", t.pullFirst},
		{"A warehouse was offline: its events come after the close", t.recordLate},
		{"January 5: finance pulls December again", t.pullAgain},
		{"The nightly run finds the late events and heals", t.heal},
		{"January is closed: late events on lines of their own", t.closeJanuary},
		{"Support looks at one order as it was on two days", t.support},
		{"Somebody tries to change the past", t.tamper},
	}
}

func (t *story) recordOrders(ctx context.Context, c *chapter) error {
	events := t.world.before(demoStart.AddDate(0, 3, 0), false)
	batches, repeated := deliveries(t.random, events)
	sums := map[ledger.Status]int{}
	for _, batch := range batches {
		if err := t.send(ctx, batch, sums); err != nil {
			return err
		}
	}
	changed := events[0]
	changed.Amount = demoAmount(changed.Amount.Decimal().Add(decimal.NewFromInt(1)))
	conflict := map[ledger.Status]int{}
	if err := t.send(ctx, []ledger.Event{changed}, conflict); err != nil {
		return err
	}
	t.delivered = append(t.delivered, events...)
	c.say("%d events of three months in %d deliveries; %d of them were sent twice.", len(events), len(batches), repeated)
	c.say("recorded %d, recognised as repeated %d, invalid %d", sums[ledger.Recorded], sums[ledger.Duplicate], sums[ledger.Rejected])
	c.say("Event %s came once more with another amount: kept aside as a conflict, not recorded.", changed.ID)
	c.check(sums[ledger.Recorded] == len(events) && sums[ledger.Duplicate] == repeated, "each event is in the ledger exactly once")
	c.check(conflict[ledger.Conflict] == 1, "other content under a known identity is a conflict")
	return t.dismiss(ctx, c)
}

// dismiss decides the one conflict of the story.
func (t *story) dismiss(ctx context.Context, c *chapter) error {
	open, err := t.a.ledger.ListConflicts(ctx, ledger.ConflictQuery{State: ledger.ConflictOpen})
	if err != nil {
		return err
	}
	for _, k := range open {
		d := ledger.Decide{Dismiss: true, Why: "the shop sent an old draft", By: teller}
		if _, err := t.a.ledger.DecideConflict(ctx, k.N, d); err != nil {
			return err
		}
		c.say("Somebody looked at it and dismissed it: %s.", d.Why)
	}
	c.check(len(open) == 1, "a conflict waits until somebody decides it")
	return nil
}

func (t *story) send(ctx context.Context, events []ledger.Event, sums map[ledger.Status]int) error {
	outcomes, err := t.a.ledger.Append(ctx, slices.Clone(events))
	if err != nil {
		return err
	}
	for _, o := range outcomes {
		sums[o.Status]++
	}
	return nil
}

func (t *story) totals(ctx context.Context, c *chapter) error {
	got, err := t.ledgerSums(ctx, "month")
	if err != nil {
		return err
	}
	want := sumByMonth(t.delivered, t.a.ledger.Zone())
	same := len(got) == len(want)
	for _, key := range slices.Sorted(maps.Keys(got)) {
		month, currency, _ := strings.Cut(key, " ")
		c.say("%s  %15s", month, money(currency, got[key].String()))
		same = same && got[key].Equal(want[key])
	}
	c.check(same, "the ledger's totals are those of the marketplace's own books, to the cent")
	return nil
}

// ledgerSums are the ledger's amounts by one key and currency.
func (t *story) ledgerSums(ctx context.Context, by string) (map[string]decimal.Decimal, error) {
	r, err := t.a.ledger.Aggregate(ctx, ledger.AggregateQuery{Measures: []string{"amount"}, By: []string{by}})
	if err != nil {
		return nil, err
	}
	sums := map[string]decimal.Decimal{}
	for _, row := range r.Rows {
		var key []string
		for _, k := range row.Key {
			if k == nil {
				k = new("none")
			}
			key = append(key, *k)
		}
		sums[strings.Join(key, " ")] = row.Sum[0].Decimal()
	}
	return sums, nil
}

func (t *story) closeDecember(ctx context.Context, c *chapter) error {
	r, err := t.close(ctx, c, "2025-12-31")
	if err != nil {
		return err
	}
	t.first = t.closed
	c.check(r.Pinned == int64(len(t.delivered)), "every event is pinned to an invoice")
	return t.checkTotals(ctx, c)
}

// close closes the cycles through a date, as the command close does, and tells what came of it.
func (t *story) close(ctx context.Context, c *chapter, through string) (billing.CloseResult, error) {
	date, err := billing.ParseDate(through)
	if err != nil {
		return billing.CloseResult{}, err
	}
	r, err := t.a.billing.Close(ctx, billing.CloseRequest{Through: date, By: teller})
	if err != nil {
		return r, err
	}
	frozen, err := t.a.exporter.FreezeClosed(ctx, r, date, teller)
	if err != nil {
		return r, err
	}
	if t.closed, err = t.a.ledger.TakeWatermark(ctx); err != nil {
		return r, err
	}
	var months []string
	for _, m := range frozen {
		months = append(months, m.String())
	}
	c.say("%d cycles, %d invoices, %d events pinned, %d of them late", r.Cycles, r.Invoices, r.Pinned, r.Late)
	for _, currency := range sortedKeys(r.Totals) {
		c.say("billed %s", money(currency, r.Totals[currency].String()))
	}
	c.say("months frozen: %s", strings.Join(months, ", "))
	return r, nil
}

// checkTotals holds what all invoices bill against what all pinned events are worth.
func (t *story) checkTotals(ctx context.Context, c *chapter) error {
	billed, err := t.ledgerSums(ctx, "billed")
	if err != nil {
		return err
	}
	invoiced := map[string]decimal.Decimal{}
	for cursor := ""; ; {
		page, err := t.a.billing.List(ctx, billing.InvoiceQuery{Limit: 1000, Cursor: cursor})
		if err != nil {
			return err
		}
		for _, i := range page.Invoices {
			total, err := decimal.NewFromString(i.Total.String())
			if err != nil {
				return err
			}
			invoiced[i.Currency] = invoiced[i.Currency].Add(total)
		}
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	for _, currency := range sortedKeys(invoiced) {
		c.check(invoiced[currency].Equal(billed["true "+currency]), "the invoices in %s add up to the events on them: %s", currency, money(currency, invoiced[currency].String()))
	}
	return nil
}

func (t *story) pullFirst(ctx context.Context, c *chapter) (err error) {
	if t.december, err = t.pull(ctx, c, "2025-12"); err != nil {
		return err
	}
	c.check(bytes.Count(t.december, []byte("\n")) > 1, "the file holds December")
	return nil
}

// pull gets the frozen file of a month as the command export month does.
func (t *story) pull(ctx context.Context, c *chapter, name string) ([]byte, error) {
	month, err := export.ParseMonth(name)
	if err != nil {
		return nil, err
	}
	file, err := t.a.exporter.File(ctx, export.FileRequest{Month: month, By: teller})
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if _, err := file.Write(ctx, &b); err != nil {
		return nil, err
	}
	sum := sha256.Sum256(b.Bytes())
	c.say("%s: %d events (%d of earlier months), %d bytes, SHA-256 %s…", file.Name, file.Rows, file.LateRows, b.Len(), hex.EncodeToString(sum[:6]))
	return b.Bytes(), nil
}

func (t *story) recordLate(ctx context.Context, c *chapter) error {
	late := t.world.before(demoStart.AddDate(0, 4, 0), true)
	sums := map[ledger.Status]int{}
	if err := t.send(ctx, late, sums); err != nil {
		return err
	}
	t.delivered = append(t.delivered, late...)
	months := map[string]int{}
	for _, e := range late {
		months[e.OccurredAt.In(t.a.ledger.Zone()).Format("2006-01")]++
	}
	for _, m := range slices.Sorted(maps.Keys(months)) {
		c.say("%2d events of %s", months[m], m)
	}
	c.say("One of them is the first ever of its partner, partner-island.")
	c.check(sums[ledger.Recorded] == len(late), "the ledger takes them: a closed month refuses nothing")
	return nil
}

func (t *story) pullAgain(ctx context.Context, c *chapter) error {
	again, err := t.pull(ctx, c, "2025-12")
	if err != nil {
		return err
	}
	c.check(bytes.Equal(again, t.december), "the file is the same, byte for byte")
	now, err := t.a.ledger.Current(ctx)
	if err != nil {
		return err
	}
	d, err := t.a.exporter.Diff(ctx, fmt.Sprint(t.closed.Position), fmt.Sprint(now.Position))
	if err != nil {
		return err
	}
	c.say("What came since the close is listed by export diff: %d events.", d.Added)
	for _, currency := range sortedKeys(d.Sums) {
		c.say("worth %s", money(currency, d.Sums[currency]["amount"]))
	}
	c.check(d.Added == int64(len(t.world.late)), "the difference names every late event")
	return nil
}

func (t *story) heal(ctx context.Context, c *chapter) error {
	r, err := t.a.reconciler.Run(ctx, reconcile.Request{Heal: true, By: teller})
	if err != nil {
		return err
	}
	c.say("late %d, assigned to the next open cycle %d, findings that remain %d", r.Late, r.Healed, r.Open())
	c.check(r.Healed == int64(len(t.world.late)) && r.Late == r.Healed, "every late event was found and healed")
	c.check(r.Open() == 0, "nothing else is wrong: invoices, lines and pins agree, and unbilled amounts roll forward")
	return nil
}

func (t *story) closeJanuary(ctx context.Context, c *chapter) error {
	january := t.world.before(demoStart.AddDate(0, 5, 0), false)
	sums := map[ledger.Status]int{}
	if err := t.send(ctx, january, sums); err != nil { // with all that was sent before: repeats are harmless
		return err
	}
	t.delivered = append(t.world.before(demoStart.AddDate(0, 5, 0), true), january...)
	r, err := t.close(ctx, c, "2026-02-28")
	if err != nil {
		return err
	}
	if err := t.showLateLines(ctx, c); err != nil {
		return err
	}
	if _, err := t.pull(ctx, c, "2026-01"); err != nil {
		return err
	}
	c.check(r.Late == int64(len(t.world.late)), "all %d late events are on the next invoices, on lines that name their own month", r.Late)
	if err := t.checkTotals(ctx, c); err != nil {
		return err
	}
	return t.checkOnce(ctx, c)
}

// showLateLines shows one invoice with a line for an earlier month.
func (t *story) showLateLines(ctx context.Context, c *chapter) error {
	page, err := t.a.billing.List(ctx, billing.InvoiceQuery{Account: "partner-aurora", Limit: 10})
	if err != nil {
		return err
	}
	for _, i := range page.Invoices {
		full, err := t.a.billing.Show(ctx, i.ID.String())
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(full.Lines, func(l billing.Line) bool { return l.Late }) {
			continue
		}
		c.say("Invoice %s of %s, %s:", full.Number, full.Account, money(full.Currency, full.Total.String()))
		for _, l := range full.Lines {
			of := "this month"
			if l.Late {
				of = "late, for " + l.OriginStart.In(t.a.ledger.Zone()).Format("January 2006")
			}
			c.say("  %-24s %4d events  %14s", of, l.Events, money(full.Currency, l.Amount.String()))
		}
		return nil
	}
	c.check(false, "an invoice of partner-aurora has a line for an earlier month")
	return nil
}

const sqlEventsWithoutOnePin = `
SELECT count(*)
FROM ledger.events e
WHERE 1 <> (SELECT count(*) FROM billing.pins p WHERE p.account = e.account AND p.position = e.position)`

// checkOnce looks into the tables themselves.
func (t *story) checkOnce(ctx context.Context, c *chapter) error {
	var wrong int
	if err := t.a.pool.QueryRow(ctx, sqlEventsWithoutOnePin).Scan(&wrong); err != nil {
		return err
	}
	c.check(wrong == 0, "each of the %d events is pinned exactly once", len(t.delivered))
	chain, err := t.a.exporter.Freezes(ctx)
	if err != nil {
		return err
	}
	rows := int64(0)
	for _, f := range chain {
		rows += f.Rows
	}
	c.check(rows == int64(len(t.delivered)), "each is in exactly one frozen file: the files hold %d rows", rows)
	return nil
}

func (t *story) support(ctx context.Context, c *chapter) error {
	first, second := fmt.Sprint(t.first.Position), ""
	d, err := t.a.ledger.StreamDiff(ctx, demoSource, t.world.order, first, second)
	if err != nil {
		return err
	}
	c.say("%s, as it was known when December was closed and as it is known now:", d.Stream)
	for _, total := range d.Totals {
		if total.Measure == "amount" {
			c.say("  commission was %s, is %s", money(total.Currency, total.Before.String()), money(total.Currency, total.After.String()))
		}
	}
	for _, e := range d.Added {
		c.say("  because %s happened on %s and was recorded after the close", e.Type, e.OccurredAt.In(t.a.ledger.Zone()).Format("2 January 2006"))
	}
	again, err := t.a.ledger.Stream(ctx, demoSource, t.world.order, first)
	if err != nil {
		return err
	}
	c.check(len(d.Added) > 0, "the difference is explained by the events that came in between")
	c.check(again.AsOf.Position == t.first.Position && len(again.Entries) > 0, "what was known then can still be seen")
	return nil
}

func (t *story) tamper(ctx context.Context, c *chapter) error {
	super, err := pgx.Connect(ctx, t.a.server.URL(t.database))
	if err != nil {
		return err
	}
	defer super.Close(context.WithoutCancel(ctx))
	for _, sql := range []string{
		"UPDATE ledger.events SET amount = 0 WHERE position = 1",
		"DELETE FROM billing.pins",
		"TRUNCATE billing.invoices CASCADE",
	} {
		_, err := super.Exec(ctx, sql)
		c.say("%s", sql)
		c.say("  %s", pg.Message(err))
		c.check(pg.IsRefused(err), "a superuser's %s is refused", strings.Fields(sql)[0])
	}
	return nil
}
