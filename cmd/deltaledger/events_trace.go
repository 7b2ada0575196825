package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"deltaledger/billing"
)

type eventsTraceCmd struct {
	Source string `arg:"" help:"Source of the event."`
	ID     string `arg:"" name:"id" help:"ID of the event in its source."`
}

// Help is shown below the command's flags.
func (eventsTraceCmd) Help() string {
	return `One row for each line that bills the event, or what the ledger made because of it: on which invoice, by which close run, of which cycle, by which charge. A late event names the cycle in which it happened and the invoice that billed that first. A line of a later invoice that prices the event's cycle again says why in the column rerates: late events of that cycle, terms recorded after its close, or an allowance over the contract that others used; its amount is the difference. An event that is on no invoice that counts says why. Private content is not shown. The way back is invoices events.

  deltaledger events trace shop 1001/1`
}

// Run follows one event to its invoices.
func (c *eventsTraceCmd) Run(ctx context.Context, s *session) error {
	return withApp(ctx, s, func(a *app) error {
		t, err := a.billing.Trace(ctx, c.Source, c.ID)
		if err != nil {
			return err
		}
		return s.show(t, traceTable(t))
	})
}

func traceTable(t billing.Trace) table {
	out := table{columns: []column{
		text("kind"), text("id"), text("account"), number("amount"), text("currency"), text("invoice").optional(), text("status").optional(),
		text("cycle_start").optional(), text("cycle_end").optional(), text("zone").optional(), text("run").optional(), number("line").optional(),
		text("charge").optional(), number("line_amount").optional(), text("late").optional(), text("origin_start"), text("origin_invoice").optional(),
		text("rerates").optional(), text("unbilled").optional(),
	}}
	var notes []string
	for _, r := range t.Rows {
		row := []string{string(r.Kind), r.ID, r.Account, or(r.Amount), r.Currency}
		for _, v := range slices.Concat(r.Billed, r.Rerated) {
			addTraced(&out, row, v)
		}
		if u := r.Unbilled; u != nil {
			zone := zoneNamed(u.Zone)
			out.add(slices.Concat(row, make([]string, 10), []string{day(u.CycleStart, zone), "", "", string(u.Reason)})...)
			notes = append(notes, unbilledNote(r))
		}
	}
	out.note = strings.Join(notes, "\n")
	return out
}

// addTraced adds a row for each line of an invoice that has to do with what was traced.
func addTraced(out *table, row []string, v billing.TracedInvoice) {
	zone := zoneNamed(v.Zone)
	name, origin := v.Number, v.OriginNumber
	if name == "" {
		name = v.Invoice.String()
	}
	if v.OriginInvoice != nil && origin == "" {
		origin = v.OriginInvoice.String()
	}
	on := []string{name, string(v.Status), day(v.CycleStart, zone), day(v.CycleEnd, zone), zone.String(), or(v.Run)}
	from := []string{strconv.FormatBool(v.Late), day(v.OriginStart, zone), origin}
	for _, l := range v.Lines {
		out.add(slices.Concat(row, on, []string{strconv.Itoa(l.Line), l.Charge, l.Amount.String()}, from, []string{string(l.Rerates), ""})...)
	}
	if len(v.Lines) == 0 {
		out.add(slices.Concat(row, on, make([]string, 3), from, []string{"", ""})...)
	}
}

// unbilledNote says why a row isn't billed, and when it will be.
func unbilledNote(r billing.TracedRow) string {
	u, zone := r.Unbilled, zoneNamed(r.Unbilled.Zone)
	text := fmt.Sprintf("%s belongs to the cycle %s to %s (%s): %s", printable(r.ID), day(u.CycleStart, zone), day(u.CycleEnd, zone), zone, printable(u.Why))
	if u.BilledIn != nil && u.ClosableFrom != nil {
		text += fmt.Sprintf("; billed in the cycle that begins %s, which can be closed from %s", day(*u.BilledIn, zone), stamp(*u.ClosableFrom))
	}
	return text
}
