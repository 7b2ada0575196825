package document

import (
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"time"

	"deltaledger/billing"
	"deltaledger/export"
)

// CSV writes the lines of an invoice, with what each is computed from: amount = round(price(before + added)) - billed,
// and whose an adjustment is and why. Times are UTC, numbers plain; a text that a spreadsheet would take for a formula has an apostrophe in front.
func CSV(w io.Writer, v billing.Invoice, names billing.Names) error {
	out := csv.NewWriter(w)
	err := out.Write([]string{
		"invoice", "number", "account", "currency", "cycle_start", "cycle_end", "line", "charge", "price", "terms", "origin_start", "origin_end", "late",
		"origin_invoice", "events", "before", "added", "exact", "billed", "amount", "credited",
		"adjusts", "why", "by", "approved_by",
	})
	if err != nil {
		return fmt.Errorf("write lines: %w", err)
	}
	for _, l := range v.Lines {
		price := ""
		if c, err := billing.ParseCharge(l.Definition); err == nil {
			price = c.InWords("")
		}
		err := out.Write([]string{
			v.ID.String(), export.Guard(v.Number), export.Guard(v.Account), v.Currency, stamp(v.CycleStart), stamp(v.CycleEnd), strconv.Itoa(l.Line),
			export.Guard(l.Charge), export.Guard(price), strconv.FormatInt(l.Terms, 10), stamp(l.OriginStart), stamp(l.OriginEnd), strconv.FormatBool(l.Late),
			export.Guard(names.Of(l.OriginInvoice)), strconv.FormatInt(l.Events, 10), l.Before.String(), l.Added.String(), l.Exact.String(), l.Billed.String(),
			l.Amount.String(), l.Credited.String(), l.Adjusts, export.Guard(l.Why), export.Guard(l.By), export.Guard(l.ApprovedBy),
		})
		if err != nil {
			return fmt.Errorf("write lines: %w", err)
		}
	}
	out.Flush()
	return out.Error()
}

// CreditNoteCSV writes the lines of a credit note, in the way of CSV.
func CreditNoteCSV(w io.Writer, n billing.CreditNote) error {
	out := csv.NewWriter(w)
	if err := out.Write([]string{"credit_note", "number", "account", "currency", "invoice", "corrects", "line", "charge", "amount", "reason", "by"}); err != nil {
		return fmt.Errorf("write lines: %w", err)
	}
	for _, l := range n.Lines {
		err := out.Write([]string{
			n.ID.String(), export.Guard(n.Number), export.Guard(n.Account), n.Currency, n.Invoice.String(), export.Guard(n.Corrects), strconv.Itoa(l.Line),
			export.Guard(l.Charge), l.Amount.String(), export.Guard(n.Reason), export.Guard(n.By),
		})
		if err != nil {
			return fmt.Errorf("write lines: %w", err)
		}
	}
	out.Flush()
	return out.Error()
}

// stamp is how times stand in CSV: UTC with microseconds.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000Z") }
