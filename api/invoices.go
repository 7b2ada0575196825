package api

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/shopspring/decimal"

	"deltaledger/billing"
	"deltaledger/export"
	"deltaledger/ledger"
)

type listInvoicesIn struct {
	Account string `query:"account" maxLength:"256" example:"acme" doc:"Only invoices of this account"`
	From    string `query:"from" example:"2026-01-01" doc:"Only of cycles that end after this: an RFC 3339 time, or a date, which means its beginning in the reporting zone"`
	To      string `query:"to" example:"2026-02-01" doc:"Only of cycles that begin before this; as from"`
	Status  string `query:"status" enum:"ready,issued,sent,part-paid,paid,credited,void" doc:"Only invoices that have this status now"`
	Limit   int    `query:"limit" minimum:"1" maximum:"1000" doc:"Invoices on a page; 100 without it"`
	Cursor  string `query:"cursor" doc:"next_cursor of the page before; the other parameters but limit may be left out"`
}

// InvoicesPage is a part of a list of invoices.
type InvoicesPage struct {
	Invoices   []billing.Invoice `json:"invoices" doc:"Newest first, without their lines"`
	NextCursor string            `json:"next_cursor,omitempty" doc:"Ask with it for the next page. Absent on the last one"`
}

type listInvoicesOut struct{ Body InvoicesPage }

func (s *server) listInvoices(ctx context.Context, in *listInvoicesIn) (*listInvoicesOut, error) {
	from, err := s.instant("from", in.From)
	if err != nil {
		return nil, err
	}
	to, err := s.instant("to", in.To)
	if err != nil {
		return nil, err
	}
	page, err := s.billing.List(ctx, billing.InvoiceQuery{
		Account: in.Account, From: from, To: to, Status: billing.Status(in.Status), Limit: in.Limit, Cursor: in.Cursor,
	})
	if err != nil {
		return nil, err
	}
	if page.Invoices == nil {
		page.Invoices = []billing.Invoice{}
	}
	return &listInvoicesOut{InvoicesPage{page.Invoices, page.Next}}, nil
}

// instant reads an RFC 3339 time, or the beginning of a date in the reporting zone; zero for no text.
func (s *server) instant(name, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if at, err := time.Parse(time.RFC3339Nano, text); err == nil {
		return at.UTC(), nil
	}
	date, err := billing.ParseDate(text)
	if err != nil {
		return time.Time{}, ledger.Invalid(name, text, "must be an RFC 3339 time with offset, or a date such as 2026-01-31")
	}
	return date.In(s.ledger.Zone()), nil
}

func listInvoicesDoc() doc {
	return doc{id: "list-invoices", tag: tagBill, work: views, summary: "List invoices", text: "Newest first. Void invoices are among them: an issued invoice never goes away."}
}

type invoiceIn struct {
	ID string `path:"id" example:"INV-000001" doc:"The id of the invoice, or its number"`
}

type getInvoiceOut struct{ Body billing.Invoice }

func (s *server) getInvoice(ctx context.Context, in *invoiceIn) (*getInvoiceOut, error) {
	v, err := s.show(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &getInvoiceOut{v}, nil
}

// show reads an invoice; a name that can't be one isn't in the ledger either.
func (s *server) show(ctx context.Context, idOrNumber string) (billing.Invoice, error) {
	v, err := s.billing.Show(ctx, idOrNumber)
	for _, field := range fieldErrors(err) {
		if field.Field == "invoice" {
			return v, notFound.problem("%s", field.Error())
		}
	}
	return v, err
}

func getInvoiceDoc() doc {
	return doc{id: "get-invoice", tag: tagBill, summary: "Get an invoice", text: "With its lines. Its total is the sum of their amounts.", fails: []kind{notFound}}
}

// InvoiceLines are the lines of an invoice.
type InvoiceLines struct {
	Invoice  string         `json:"invoice" doc:"Its id"`
	Currency string         `json:"currency"`
	Lines    []billing.Line `json:"lines"`
}

type getInvoiceLinesOut struct{ Body InvoiceLines }

func (s *server) getInvoiceLines(ctx context.Context, in *invoiceIn) (*getInvoiceLinesOut, error) {
	v, err := s.show(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	lines := v.Lines
	if lines == nil {
		lines = []billing.Line{}
	}
	return &getInvoiceLinesOut{InvoiceLines{v.ID.String(), v.Currency, lines}}, nil
}

func getInvoiceLinesDoc() doc {
	return doc{
		id: "get-invoice-lines", tag: tagBill, summary: "Get the lines of an invoice",
		text:  "Each line prices, by one charge, what the invoice pins of one cycle: the charge as it was applied, how many events, their exact sum, and what was billed before for the same cycle. Lines for another cycle than the invoice's are late, and name the cycle and the invoice that billed it first.",
		fails: []kind{notFound},
	}
}

type invoiceEventsIn struct {
	ID     string `path:"id" example:"INV-000001" doc:"The id of the invoice, or its number"`
	Line   int    `query:"line" minimum:"1" doc:"Only the events that are on this line of it"`
	After  int64  `query:"after" minimum:"1" doc:"Position of the last event that you have: what follows it comes"`
	Limit  int    `query:"limit" minimum:"1" doc:"Events in the answer; without it all of them. If there are fewer, they are the last"`
	Format string `query:"format" enum:"ndjson,csv" doc:"Overrides Accept"`
	Accept string `header:"Accept" doc:"text/csv for CSV; NDJSON otherwise"`
}

func (s *server) getInvoiceEvents(ctx context.Context, in *invoiceEventsIn) (*huma.StreamResponse, error) {
	v, err := s.show(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	q := billing.PinnedQuery{Invoice: v.ID.String(), Line: in.Line, After: in.After, Limit: in.Limit}
	d := download{contentType: "application/x-ndjson", header: http.Header{"Vary": {"Accept"}}}
	d.write = func(w io.Writer) (http.Header, error) {
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		return nil, s.billing.PinnedEvents(ctx, q, func(e billing.PinnedEvent) error { return enc.Encode(e) })
	}
	if in.Format == "csv" || in.Format == "" && prefersCSV(in.Accept) {
		d.contentType = "text/csv; charset=utf-8; header=present"
		d.write = func(w io.Writer) (http.Header, error) { return nil, s.writePinsCSV(ctx, w, q) }
	}
	return s.download(ctx, d), nil
}

func (s *server) writePinsCSV(ctx context.Context, w io.Writer, q billing.PinnedQuery) error {
	out := csv.NewWriter(w)
	err := out.Write([]string{
		"position", "recorded_at", "occurred_at", "origin_start", "source", "id", "stream", "seqn", "type", "kind", "currency", "amount", "quantity", "lines",
	})
	if err != nil {
		return err
	}
	err = s.billing.PinnedEvents(ctx, q, func(e billing.PinnedEvent) error {
		seqn := ""
		if e.Seqn != nil {
			seqn = strconv.FormatInt(*e.Seqn, 10)
		}
		return out.Write([]string{
			strconv.FormatInt(e.Position, 10), stamp(e.RecordedAt), stamp(e.OccurredAt), stamp(e.OriginStart), export.Guard(e.Source), export.Guard(e.ID),
			export.Guard(e.Stream), seqn, export.Guard(e.Type), string(e.Kind), e.Currency, plain(e.Amount), plain(e.Quantity), lineNumbers(e.Lines),
		})
	})
	if err != nil {
		return err
	}
	out.Flush()
	return out.Error()
}

// stamp is how times stand in CSV: UTC with microseconds.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000Z") }

// plain is a number without exponent, empty for none.
func plain(d *decimal.Decimal) string {
	if d == nil {
		return ""
	}
	return d.String()
}

// lineNumbers are numbers of lines in one cell.
func lineNumbers(lines []int) string {
	parts := make([]string, len(lines))
	for i, n := range lines {
		parts[i] = strconv.Itoa(n)
	}
	return strings.Join(parts, " ")
}

func getInvoiceEventsDoc() doc {
	return doc{
		id: "get-invoice-events", tag: tagBill, work: downloads, summary: "Get the events of an invoice",
		text:    "Exactly the events that are pinned to it, by position, one JSON object on each line or as CSV, each with the `lines` of the invoice that it is on. However many there are, they are written while they are read; with limit and after they come in parts, which together are the whole, because what an invoice pins never changes. A line that the invoice doesn't have is not found. Their sums by origin_start, type and measure are what its lines price. In CSV a text that a spreadsheet would take for a formula has an apostrophe in front.",
		fails:   []kind{notFound},
		answers: textAnswer("The events", "application/x-ndjson", "text/csv"),
	}
}

type voidIn struct {
	ID   string `path:"id" example:"INV-000001" doc:"The id of the invoice, or its number"`
	Body struct {
		Outcome string `json:"outcome" enum:"rebill,write-off" doc:"rebill: another invoice for the same events, priced anew, is written at once. write-off: nobody pays for them"`
		Why     string `json:"why" minLength:"1" maxLength:"1024" example:"wrong terms" doc:"Kept with the void"`
		By      string `json:"by" minLength:"1" maxLength:"1024" example:"jane.doe" doc:"Who voids"`
	}
}

type voidOut struct{ Body billing.VoidResult }

func (s *server) voidInvoice(ctx context.Context, in *voidIn) (*voidOut, error) {
	if _, err := s.show(ctx, in.ID); err != nil {
		return nil, err
	}
	r, err := s.billing.Void(ctx, billing.VoidRequest{Invoice: in.ID, Outcome: billing.Outcome(in.Body.Outcome), Why: in.Body.Why, By: in.Body.By})
	if err != nil {
		return nil, err
	}
	return &voidOut{r}, nil
}

func voidDoc() doc {
	return doc{
		id: "void-invoice", tag: tagBill, summary: "Void an invoice",
		text:    "From then on the invoice doesn't count. It stays as it is, with its number; the void is a record beside it. An invoice that is void already, that is paid even in part, or that a credit note corrects is a conflict.",
		fails:   []kind{notFound, conflicting, tooLarge, unsupported},
		example: example(`{"outcome":"rebill","why":"wrong terms","by":"jane.doe"}`),
	}
}
