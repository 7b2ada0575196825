package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"deltaledger/ledger"
)

type streamCmd struct {
	Source string `arg:"" help:"Source of the stream."`
	Stream string `arg:"" help:"The stream, such as the number of an order."`
	Diff   span   `placeholder:"T1 T2" help:"Show what differs between two watermarks or times instead."`
	readAt
}

// Help is shown below the command's flags.
func (streamCmd) Help() string {
	return `Events stand in upstream order, with running totals, when each happened and was recorded, and on which invoice it is. Of a source that
sends states, the rows that the ledger made stand right before the event that they belong to, with the reason as remark: what
runs beside a state is what it stated.

  deltaledger stream orders order-1234
  deltaledger stream orders order-1234 --as-of 2026-07-01T12:00:00Z
  deltaledger stream orders order-1234 --diff 2026-07-01T12:00:00Z 2026-07-03T12:00:00Z`
}

// Run shows the stream, or a difference.
func (c *streamCmd) Run(ctx context.Context, s *session) error {
	if c.Diff != (span{}) && c.AsOf != "" {
		return usagef("--as-of and --diff exclude each other")
	}
	return withApp(ctx, s, func(a *app) error {
		if c.Diff != (span{}) {
			d, err := a.ledger.StreamDiff(ctx, c.Source, c.Stream, c.Diff.from, c.Diff.to)
			if err != nil {
				return err
			}
			return s.show(d, diffTable(d))
		}
		v, err := a.ledger.Stream(ctx, c.Source, c.Stream, c.AsOf)
		if err != nil {
			return err
		}
		return s.show(v, streamTable(v))
	})
}

func streamTable(v ledger.StreamView) table {
	t := table{columns: []column{
		number("seqn"), text("id"), text("type"), text("account"), text("occurred_at"), text("recorded_at"), number("amount"),
		text("currency"), number("quantity"), text("running"), text("billed"), text("remark"), number("position"),
	}}
	rows := make([]ledger.Row, len(v.Entries))
	for i, e := range v.Entries {
		rows[i] = e.Event
	}
	measures := measuresOf(rows)
	for _, name := range measures {
		t.columns = append(t.columns, number(name))
	}
	why := explanations(v)
	for i, e := range v.Entries {
		r := e.Event
		t.add(append([]string{
			or(r.Seqn), r.ID, r.Type, r.Account, stamp(r.OccurredAt), stamp(r.RecordedAt), r.Amount.String(),
			r.Currency, r.Quantity.String(), totals(e.Totals), billed(e.Billed), remark(e, why[i]), fmt.Sprint(r.Position),
		}, cellsOf(r, measures)...)...)
	}
	all := make([]ledger.Row, len(v.Entries))
	for i, e := range v.Entries {
		all[i] = e.Event
	}
	t.note = fmt.Sprintf("%s, total %s, %s", events(all), totals(v.Totals), asOfNote(v.AsOf))
	if len(v.Entries) == 0 {
		t.note = fmt.Sprintf("no events of stream %s of source %s, %s", strconv.Quote(v.Stream), strconv.Quote(v.Source), asOfNote(v.AsOf))
	}
	if len(v.Gaps) > 0 {
		gaps := make([]string, len(v.Gaps))
		for i, g := range v.Gaps {
			gaps[i] = gap(g)
		}
		t.note += "\nmissing sequence numbers: " + strings.Join(gaps, ", ")
	}
	return t
}

func totals(list []ledger.Total) string {
	parts := make([]string, len(list))
	for i, t := range list {
		unit := t.Currency
		if unit == "" || t.Measure != "amount" {
			unit = strings.TrimSpace(t.Measure + " " + t.Currency)
		}
		parts[i] = t.Sum.String() + " " + unit
	}
	return strings.Join(parts, ", ")
}

func gap(g ledger.Gap) string {
	if g.From == g.To {
		return fmt.Sprint(g.From)
	}
	return fmt.Sprintf("%d–%d", g.From, g.To)
}

// billed names the live invoice of an event by its number where it has one.
func billed(list []ledger.Billed) string {
	var parts []string
	for _, b := range list {
		name := invoiceName(b)
		if b.Late {
			name += " (late)"
		}
		if b.Void {
			name += " (void)"
		}
		parts = append(parts, name)
	}
	return strings.Join(parts, ", ")
}

// remark puts in words what the numbers of an entry don't tell; why is the reason of a row that the ledger made.
func remark(e ledger.StreamEntry, why string) string {
	var parts []string
	if e.GapBefore != nil {
		parts = append(parts, "missing before: "+gap(*e.GapBefore))
	}
	if e.Event.Corrects != "" {
		parts = append(parts, "corrects "+e.Event.Corrects)
	}
	if len(e.CorrectedBy) > 0 {
		parts = append(parts, "corrected by "+strings.Join(e.CorrectedBy, ", "))
	}
	if len(e.Event.State) > 0 {
		parts = append(parts, stands(e.Event.State))
	}
	switch {
	case why != "":
		parts = append(parts, fmt.Sprintf("%s: %s", e.Event.Kind, why))
	case e.Event.Kind != ledger.Upstream:
		parts = append(parts, strings.TrimSpace(string(e.Event.Kind)+" "+e.Event.Reason))
	}
	if e.Event.Erased != nil {
		parts = append(parts, erasedNote(e.Event.Erased))
	}
	return strings.Join(parts, "; ")
}

// explanations says of each row that the ledger made why it is there; it is empty for other entries.
func explanations(v ledger.StreamView) []string {
	why := make([]string, len(v.Entries))
	causes, following := map[int64]ledger.Row{}, ""
	for _, e := range v.Entries {
		causes[e.Event.Position] = e.Event
	}
	for i, e := range slices.Backward(v.Entries) {
		r := e.Event
		if r.CausedBy == nil {
			following = r.ID
			continue
		}
		switch cause := causes[*r.CausedBy]; {
		case r.Kind == ledger.Reorder:
			why[i] = fmt.Sprintf("%s came late, and %s had taken its change already", cause.ID, following)
		case r.Account != cause.Account:
			why[i] = fmt.Sprintf("%s moved from %s to %s", cause.ID, r.Account, cause.Account)
		default:
			why[i] = fmt.Sprintf("%s moved to other dimensions", cause.ID)
		}
	}
	return why
}

// stands tells a state as it was sent.
func stands(state []byte) string {
	var values map[string]ledger.Amount
	if err := json.Unmarshal(state, &values); err != nil {
		return "state " + string(state)
	}
	parts := make([]string, 0, len(values))
	for _, name := range slices.Sorted(maps.Keys(values)) {
		parts = append(parts, name+" "+values[name].String())
	}
	return "state: " + strings.Join(parts, ", ")
}

// events says how many of the rows are events, and how many the ledger made because of them.
func events(rows []ledger.Row) string {
	made := 0
	for _, r := range rows {
		if r.CausedBy != nil {
			made++
		}
	}
	text := plural(len(rows)-made, "event")
	if made > 0 {
		text += " and " + plural(made, "row") + " made because of them"
	}
	return text
}

// diffTable tells a difference line by line: what came, how the totals moved, what was billed.
func diffTable(d ledger.StreamDiff) table {
	t := table{columns: []column{text("what"), text("id"), number("before"), number("after"), text("unit"), text("type"), text("occurred_at"), text("recorded_at")}}
	ids := map[int64]string{}
	for _, r := range d.Added {
		ids[r.Position] = r.ID
	}
	for _, r := range d.Added {
		what := "event added"
		if r.CausedBy != nil {
			what = strings.TrimSpace(string(r.Kind) + " added because of " + ids[*r.CausedBy])
		}
		t.add(what, r.ID, "", r.Amount.String(), r.Currency, r.Type, stamp(r.OccurredAt), stamp(r.RecordedAt))
	}
	for _, c := range d.Totals {
		if c.Before.String() == c.After.String() {
			continue
		}
		unit := c.Currency
		if unit == "" {
			unit = c.Measure
		}
		t.add("total of "+c.Measure, "", c.Before.String(), c.After.String(), unit, "", "", "")
	}
	for _, c := range d.Billing {
		t.add("billed on", c.ID, billed(c.Before), billed(c.After), "", "", "", "")
	}
	t.note = fmt.Sprintf("from watermark %d to %d: %s added", d.Before.Position, d.After.Position, events(d.Added))
	if len(t.rows) == 0 {
		t.note += ", nothing differs"
	}
	return t
}
