package api

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"deltaledger/billing"
	"deltaledger/export"
)

type traceIn struct {
	Source string `path:"source" example:"orders" doc:"The source of the event"`
	ID     string `path:"id" example:"order-1234-7" doc:"Its id within the source"`
	Format string `query:"format" enum:"json,csv" doc:"Overrides Accept"`
	Accept string `header:"Accept" doc:"text/csv for CSV; JSON otherwise"`
}

func (s *server) traceEvent(ctx context.Context, in *traceIn) (*huma.StreamResponse, error) {
	t, err := s.billing.Trace(ctx, in.Source, in.ID)
	if err != nil {
		return nil, err
	}
	d := download{contentType: "application/json", header: http.Header{"Vary": {"Accept"}}}
	d.write = func(w io.Writer) (http.Header, error) {
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		return nil, enc.Encode(t)
	}
	if in.Format == "csv" || in.Format == "" && prefersCSV(in.Accept) {
		d.contentType = "text/csv; charset=utf-8; header=present"
		d.write = func(w io.Writer) (http.Header, error) { return nil, writeTraceCSV(w, t) }
	}
	return s.download(ctx, d), nil
}

// traceColumns head the CSV: the row, its pin with the invoice, the line, and why there is none.
func traceColumns() []string {
	return []string{
		"position", "recorded_at", "occurred_at", "source", "id", "stream", "type", "kind", "account", "currency", "amount", "quantity", "caused_by",
		"invoice", "number", "status", "live", "cycle_start", "cycle_end", "zone", "run", "watermark", "origin_start", "late", "origin_invoice", "origin_number",
		"line", "charge", "terms", "line_events", "line_amount", "unbilled", "billed_in", "closable_from", "rerates",
	}
}

// writeTraceCSV writes a row for each line that bills the event or what the ledger made because of it, and one for each of
// them that nothing bills.
func writeTraceCSV(w io.Writer, t billing.Trace) error {
	out := csv.NewWriter(w)
	if err := out.Write(traceColumns()); err != nil {
		return err
	}
	for _, r := range t.Rows {
		cause := ""
		if r.CausedBy != nil {
			cause = r.CausedBy.ID
		}
		row := []string{
			strconv.FormatInt(r.Position, 10), stamp(r.RecordedAt), stamp(r.OccurredAt), export.Guard(r.Source), export.Guard(r.ID), export.Guard(r.Stream),
			export.Guard(r.Type), string(r.Kind), export.Guard(r.Account), r.Currency, plain(r.Amount), plain(r.Quantity), export.Guard(cause),
		}
		for _, v := range slices.Concat(r.Billed, r.Rerated) {
			if err := writeTracedInvoice(out, row, v); err != nil {
				return err
			}
		}
		if u := r.Unbilled; u != nil {
			cells := append(append([]string{}, row...), make([]string, 18)...)
			cells[22] = stamp(u.CycleStart)
			if err := out.Write(append(cells, string(u.Reason), stampOr(u.BilledIn), stampOr(u.ClosableFrom), "")); err != nil {
				return err
			}
		}
	}
	out.Flush()
	return out.Error()
}

func writeTracedInvoice(out *csv.Writer, row []string, v billing.TracedInvoice) error {
	run, origin := "", ""
	if v.Run != nil {
		run = strconv.FormatInt(*v.Run, 10)
	}
	if v.OriginInvoice != nil {
		origin = v.OriginInvoice.String()
	}
	on := append(append([]string{}, row...),
		v.Invoice.String(), v.Number, string(v.Status), strconv.FormatBool(v.Live), stamp(v.CycleStart), stamp(v.CycleEnd), v.Zone, run,
		strconv.FormatInt(v.Watermark, 10), stamp(v.OriginStart), strconv.FormatBool(v.Late), origin, v.OriginNumber)
	for _, l := range v.Lines {
		cells := append(append([]string{}, on...), strconv.Itoa(l.Line), export.Guard(l.Charge), strconv.FormatInt(l.Terms, 10),
			strconv.FormatInt(l.Events, 10), l.Amount.String(), "", "", "", string(l.Rerates))
		if err := out.Write(cells); err != nil {
			return err
		}
	}
	if len(v.Lines) == 0 {
		return out.Write(append(on, make([]string, len(traceColumns())-len(on))...))
	}
	return nil
}

// stampOr is stamp, and empty for none.
func stampOr(t *time.Time) string {
	if t == nil {
		return ""
	}
	return stamp(*t)
}

func (s *server) traceEventDoc() doc {
	return doc{
		id: "get-event-billing", tag: tagRead, work: views, summary: "Trace an event to its invoices",
		text: "From an event to the lines that bill it: by which close run, on which invoice with which number and status, on which of its lines, by which charge. A late event names the cycle in which it happened and the invoice that billed that first. Lines of later invoices that price the event's cycle again are named too, and why they do. " +
			"What the ledger made because of the event, of a source that sends states, stands behind it. What is on no invoice that counts says why and when it will be. Private content is never in it. As CSV: a row for each line. The way back is GET /v1/invoices/{id}/events.",
		fails: []kind{notFound},
		answers: map[string]*huma.Response{"200": {
			Description: "Where the event is billed",
			Content: map[string]*huma.MediaType{
				"application/json": {Schema: s.schemaOf(billing.Trace{})},
				"text/csv":         {Schema: &huma.Schema{Type: huma.TypeString}},
			},
		}},
	}
}

// traceMeanings are the descriptions of what traces hold.
func traceMeanings() map[string]map[string]string {
	return map[string]map[string]string{
		"Trace": {
			"rows": "The event, and behind it what the ledger made because of it, by position",
		},
		"TracedRow": {
			"position":    "The ledger's own number of it",
			"recorded_at": "UTC",
			"occurred_at": "UTC",
			"kind":        "upstream, adjustment, or made by the ledger itself: reorder or reversal",
			"account":     "May be another one than the event's: a reversal stands under the account that it leaves",
			"amount":      "The change of the amount of money",
			"quantity":    "The change of the quantity",
			"caused_by":   "The event because of which the ledger made it",
			"billed":      "The invoice that counts first, then void ones, newest first",
			"rerated":     "Later invoices that don't pin it and price its cycle again, by charges that select it; oldest first",
			"unbilled":    "Why it is on no invoice that counts",
		},
		"TracedInvoice": {
			"invoice":        "Its id",
			"number":         "Absent until it is issued",
			"status":         "As of an invoice",
			"live":           "It isn't void",
			"cycle_start":    "UTC",
			"cycle_end":      "Exclusive (UTC)",
			"zone":           "IANA time zone: the cycle begins and ends on a date there",
			"run":            "Number of the close run that wrote it; absent: it was written in place of a void one",
			"watermark":      "Of the close: the invoice holds what was recorded up to it",
			"rebills":        "The void invoice that it stands in place of",
			"origin_start":   "Of the cycle that the event belongs to: in which it happened, or its order was final (UTC)",
			"origin_end":     "Exclusive (UTC)",
			"late":           "That is another cycle than the invoice's",
			"origin_invoice": "Late: the invoice that billed that cycle first",
			"origin_number":  "Its number",
			"lines":          "One for each charge that selects the event",
		},
		"TracedLine": {
			"terms":   "Version of the terms; 0 is the built-in default",
			"events":  "All that the line bills",
			"amount":  "Of the whole line",
			"rerates": "Of a line that prices the cycle again: late (for late events of it), terms (by terms recorded after its close) or contract (others used the allowance of the contract)",
		},
		"Unbilled": {
			"reason":        "cycle-open, closable (its cycle can be closed), late (the next close bills it), parked (the account is left out), uncovered (no charge selects it), order-open (its order isn't final), written-off, cancelled (what the ledger made adds up to nothing) or missed (which a reconciliation finds)",
			"why":           "In words",
			"cycle_start":   "Of the cycle that it belongs to: in which it happened, or its order was final (UTC)",
			"cycle_end":     "Exclusive (UTC)",
			"zone":          "IANA time zone of that cycle",
			"terms":         "Version in force in that cycle; 0 is the built-in default",
			"billed_in":     "Start of the cycle whose close bills it (UTC)",
			"closable_from": "From when that cycle can be closed (UTC)",
		},
	}
}
