package api

import (
	"context"
	"io"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"deltaledger/billing"
	"deltaledger/export/document"
)

// DocumentForm is how a document is asked for.
type DocumentForm struct {
	Format string `query:"format" enum:"html,csv" doc:"html: a page to print; csv: the lines. Overrides Accept"`
	Paper  string `query:"paper" enum:"a4,letter" doc:"What the page is laid out for; a4 without it"`
	Accept string `header:"Accept" doc:"text/csv for CSV; HTML otherwise"`
}

func (f DocumentForm) csv() bool { return f.Format == "csv" || f.Format == "" && prefersCSV(f.Accept) }

// letterhead is a document.Letterhead as a body.
type letterhead struct {
	From  []string `json:"from" required:"false" maxItems:"20" doc:"Who bills: name, address, registrations, each text a line"`
	To    []string `json:"to" required:"false" maxItems:"20" doc:"Who is billed; without it the name of the account stands there"`
	Notes []string `json:"notes" required:"false" maxItems:"20" doc:"Below the totals: how to pay, and until when"`
}

func (l letterhead) parse() (document.Letterhead, error) {
	parsed := document.Letterhead{From: l.From, To: l.To, Notes: l.Notes}
	return parsed, parsed.Check()
}

// DocumentIn names a document and how it is asked for.
type DocumentIn struct {
	ID string `path:"id" doc:"The id of the invoice or credit note, or its number, such as INV-000001 or CN-000001"`
	DocumentForm
}

type printIn struct {
	DocumentIn
	Body letterhead
}

// documentOf makes the page of what has an id, and what writes its lines as CSV.
type documentOf func(ctx context.Context, id string, o document.Options) (document.Page, func(io.Writer) error, error)

func (s *server) getDocument(of documentOf) func(context.Context, *DocumentIn) (*huma.StreamResponse, error) {
	return func(ctx context.Context, in *DocumentIn) (*huma.StreamResponse, error) {
		page, lines, err := of(ctx, in.ID, s.pageOptions(in.Paper, document.Letterhead{}))
		if err != nil {
			return nil, err
		}
		return s.document(ctx, in.DocumentForm, page, lines), nil
	}
}

func (s *server) printDocument(of documentOf) func(context.Context, *printIn) (*huma.StreamResponse, error) {
	return func(ctx context.Context, in *printIn) (*huma.StreamResponse, error) {
		l, err := in.Body.parse()
		if err != nil {
			return nil, err
		}
		page, lines, err := of(ctx, in.ID, s.pageOptions(in.Paper, l))
		if err != nil {
			return nil, err
		}
		return s.document(ctx, in.DocumentForm, page, lines), nil
	}
}

func (s *server) pageOptions(paper string, l document.Letterhead) document.Options {
	return document.Options{Paper: document.Paper(paper), Letterhead: l, At: s.now(), Zone: s.ledger.Zone()}
}

func (s *server) invoiceDocument(ctx context.Context, id string, o document.Options) (document.Page, func(io.Writer) error, error) {
	v, names, err := s.billing.Named(ctx, id)
	if err != nil {
		return document.Page{}, nil, unknownName(err, "invoice")
	}
	page, err := document.Invoice(v, names, o)
	return page, func(w io.Writer) error { return document.CSV(w, v, names) }, err
}

func (s *server) creditNoteDocument(ctx context.Context, id string, o document.Options) (document.Page, func(io.Writer) error, error) {
	n, err := s.billing.CreditNote(ctx, id)
	if err != nil {
		return document.Page{}, nil, unknownName(err, "credit_note")
	}
	v, err := s.billing.Show(ctx, n.Invoice.String())
	if err != nil {
		return document.Page{}, nil, err
	}
	page, err := document.CreditNote(n, v, o)
	return page, func(w io.Writer) error { return document.CreditNoteCSV(w, n) }, err
}

type previewDocumentIn struct {
	Account string `path:"account" example:"acme" doc:"The account"`
	AsOf    string `query:"as_of" example:"2026-07-01T12:00:00Z" doc:"Draft as of a watermark (a position) or an RFC 3339 time. Without it, everything acknowledged until now counts"`
	Paper   string `query:"paper" enum:"a4,letter" doc:"What the page is laid out for; a4 without it"`
}

func (s *server) getPreviewDocument(ctx context.Context, in *previewDocumentIn) (*huma.StreamResponse, error) {
	p, err := s.billing.Preview(ctx, billing.PreviewRequest{Account: in.Account, AsOf: in.AsOf})
	if err != nil {
		return nil, err
	}
	page, err := document.Preview(p, s.pageOptions(in.Paper, document.Letterhead{}))
	if err != nil {
		return nil, err
	}
	return s.document(ctx, DocumentForm{Format: "html"}, page, nil), nil
}

// document answers with the page, under its policy, or with the lines.
func (s *server) document(ctx context.Context, f DocumentForm, page document.Page, lines func(io.Writer) error) *huma.StreamResponse {
	d := download{
		contentType: "text/html; charset=utf-8",
		header: http.Header{
			"Vary": {"Accept"}, "Content-Security-Policy": {page.Policy}, "Referrer-Policy": {"no-referrer"},
			"Content-Disposition": {`inline; filename="` + page.Name + `.html"`},
		},
		write: func(w io.Writer) (http.Header, error) { return nil, page.Write(w) },
	}
	if f.csv() {
		d.contentType = "text/csv; charset=utf-8; header=present"
		d.header = http.Header{"Vary": {"Accept"}, "Content-Disposition": {`attachment; filename="` + page.Name + `.csv"`}}
		d.write = func(w io.Writer) (http.Header, error) { return nil, lines(w) }
	}
	return s.download(ctx, d)
}

// unknownName makes a name that no document can have a document that isn't there.
func unknownName(err error, field string) error {
	for _, wrong := range fieldErrors(err) {
		if wrong.Field == field {
			return notFound.problem("%s", wrong.Error())
		}
	}
	return err
}

// documentText is what all documents have in common.
const documentText = " As a page to print: laid out for A4 or Letter, with the head of the table and the number on every page and the totals together with the last lines; it needs nothing from elsewhere and runs no script. " +
	"What isn't issued says DRAFT, what is void VOID. Browsers make a PDF of it. As CSV: the lines, with what each is computed from. The document as JSON is the resource itself."

func documentDoc(id, summary, text string) doc {
	return doc{
		id: id, tag: tagBill, work: views, summary: summary, text: text + documentText, fails: []kind{notFound},
		answers: textAnswer("The document", "text/html", "text/csv"),
	}
}

func getInvoiceDocumentDoc() doc {
	return documentDoc("get-invoice-document", "Print an invoice", "The invoice with its lines, cycle, credit notes, payments and open amount.")
}

func printInvoiceDoc() doc {
	return printDoc(documentDoc("print-invoice", "Print an invoice with a letterhead", "The invoice, with who bills, who is billed and how to pay. The ledger keeps no addresses: nothing of the letterhead is stored."))
}

func getCreditNoteDocumentDoc() doc {
	return documentDoc("get-credit-note-document", "Print a credit note", "The credit note with its lines, and the invoice that it corrects.")
}

func printCreditNoteDoc() doc {
	return printDoc(documentDoc("print-credit-note", "Print a credit note with a letterhead", "The credit note, with who bills and who is billed. Nothing of the letterhead is stored."))
}

func getPreviewDocumentDoc() doc {
	return doc{
		id: "get-preview-document", tag: tagBill, work: views, summary: "Print the drafts of an account",
		text: "What the invoices of the cycles that have begun would be now, as a page to print: each marked as a draft, without a number. Nothing of it is stored, and nothing is billed. " +
			"An account whose begun cycles hold nothing yet has no drafts, and so no page.",
		fails: []kind{notFound, conflicting}, answers: textAnswer("The drafts", "text/html"),
	}
}

// printDoc adds what a letterhead brings.
func printDoc(d doc) doc {
	d.fails = append(d.fails, tooLarge, unsupported)
	d.example = example(`{"from":["Marktplatz Nord GmbH","Speicherstadt 12, 20457 Hamburg"],"to":["Acme Ltd","1 Main Street"],"notes":["Payable within 14 days"]}`)
	return d
}
