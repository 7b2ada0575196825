package billing

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"
)

// collect gathers what the query found, whose rows are one for each line.
func (t *Trace) collect(rows pgx.Rows) error {
	defer rows.Close()
	for rows.Next() {
		var r TracedRow
		var v tracedPin
		var cause struct{ source, id *string }
		into := []any{
			&r.Position, &r.RecordedAt, &r.OccurredAt, &r.Source, &r.ID, &r.Stream, &r.Seqn, &r.Type, &r.Kind, &r.Account, &r.Currency, &r.Amount,
			&r.Quantity, &cause.source, &cause.id, &r.texts,
		}
		if err := rows.Scan(append(into, v.into()...)...); err != nil {
			return err
		}
		if n := len(t.Rows); n == 0 || t.Rows[n-1].Position != r.Position {
			r.RecordedAt, r.OccurredAt, r.Billed = r.RecordedAt.UTC(), r.OccurredAt.UTC(), []TracedInvoice{}
			if cause.source != nil && cause.id != nil {
				r.CausedBy = &EventName{Source: *cause.source, ID: *cause.id}
			}
			t.Rows = append(t.Rows, r)
		}
		if err := t.Rows[len(t.Rows)-1].add(v); err != nil {
			return err
		}
	}
	return rows.Err()
}

// tracedPin is a pin with one of the lines that may price it; nil is none.
type tracedPin struct {
	invoice                           *uuid.UUID
	number, originNumber              string
	status, zone                      *string
	cycleStart, cycleEnd, originStart *time.Time
	run, watermark                    *int64
	rebills, originInvoice            *uuid.UUID
	line                              *int
	charge                            *string
	terms, events                     *int64
	definition                        json.RawMessage
	originEnd                         *time.Time
	amount                            *decimal.Decimal
	rerates                           Rerates
}

func (v *tracedPin) into() []any {
	return []any{
		&v.invoice, &v.number, &v.status, &v.cycleStart, &v.cycleEnd, &v.zone, &v.run, &v.watermark, &v.rebills, &v.originStart,
		&v.line, &v.charge, &v.terms, &v.definition, &v.originEnd, &v.originInvoice, &v.originNumber, &v.events, &v.amount, &v.rerates,
	}
}

// add notes an invoice of the row, and its line if the line bills the row or prices it again.
func (r *TracedRow) add(v tracedPin) error {
	if v.invoice == nil {
		return nil
	}
	if v.rerates != "" {
		return r.addAgain(v)
	}
	n := len(r.Billed)
	if n == 0 || r.Billed[n-1].Invoice != *v.invoice {
		r.Billed = append(r.Billed, v.shown())
		n++
	}
	if v.line == nil {
		return nil
	}
	c, err := ParseCharge(v.definition)
	if err != nil {
		return fmt.Errorf("line %d of invoice %s: %w", *v.line, v.invoice, err)
	}
	on := &r.Billed[n-1]
	v.origin(on)
	if r.selectedBy(c) {
		on.Lines = append(on.Lines, v.shownLine(r.Currency))
	}
	return nil
}

// addAgain notes a line of an invoice that doesn't pin the row: where its charge selects the row, or takes back what another
// charge of its name billed for it.
func (r *TracedRow) addAgain(v tracedPin) error {
	c, err := ParseCharge(v.definition)
	if err != nil {
		return fmt.Errorf("line %d of invoice %s: %w", *v.line, v.invoice, err)
	}
	takesBack := c.Model == ModelAdjustment && (onLineOf(r.Billed, c.Name) || onLineOf(r.Rerated, c.Name))
	if !takesBack && (!c.takesEvents() || !r.selectedBy(c)) {
		return nil
	}
	n := len(r.Rerated)
	if n == 0 || r.Rerated[n-1].Invoice != *v.invoice {
		r.Rerated = append(r.Rerated, v.shown())
		n++
	}
	on := &r.Rerated[n-1]
	v.origin(on)
	on.Lines = append(on.Lines, v.shownLine(r.Currency))
	return nil
}

// onLineOf reports whether one of the invoices has a line of the charge.
func onLineOf(all []TracedInvoice, charge string) bool {
	return slices.ContainsFunc(all, func(v TracedInvoice) bool {
		return slices.ContainsFunc(v.Lines, func(l TracedLine) bool { return l.Charge == charge })
	})
}

func (v *tracedPin) shown() TracedInvoice {
	return TracedInvoice{
		Invoice: *v.invoice, Number: v.number, Status: Status(*v.status), Live: Status(*v.status) != Void,
		CycleStart: v.cycleStart.UTC(), CycleEnd: v.cycleEnd.UTC(), Zone: *v.zone, Run: v.run, Watermark: *v.watermark, Rebills: v.rebills,
		OriginStart: v.originStart.UTC(), Late: !v.originStart.Equal(*v.cycleStart), Lines: []TracedLine{},
	}
}

// origin tells the invoice what its line knows of the row's cycle.
func (v *tracedPin) origin(on *TracedInvoice) {
	on.OriginEnd = ptr(v.originEnd.UTC())
	if v.originInvoice != nil {
		on.OriginInvoice, on.OriginNumber = v.originInvoice, v.originNumber
	}
}

func (v *tracedPin) shownLine(currency string) TracedLine {
	return TracedLine{
		Line: *v.line, Charge: *v.charge, Terms: *v.terms, Events: *v.events, Amount: Money{Amount: *v.amount, Currency: currency}, Rerates: v.rerates,
	}
}

// selectedBy reports whether a charge bills the row.
func (r *TracedRow) selectedBy(c Charge) bool {
	return c.SelectsType(r.Type) && (c.Currency == "" || c.Currency == r.Currency) &&
		!slices.ContainsFunc(c.Filters, func(f Filter) bool { return !f.takes(r.texts[f.Dimension]) })
}

// takes reports whether the filter lets an event pass that has the text for the dimension; nil: it has none.
func (f Filter) takes(text *string) bool {
	if text == nil {
		return slices.Contains(f.Values, "")
	}
	return *text != "" && slices.Contains(f.Values, *text)
}
