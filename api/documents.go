package api

import (
	"context"
	"io"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

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

type invoiceDocumentIn struct {
	ID string `path:"id" example:"INV-000001" doc:"The id of the invoice, or its number"`
	DocumentForm
}

func (s *server) getInvoiceDocument(ctx context.Context, in *invoiceDocumentIn) (*huma.StreamResponse, error) {
	return s.invoiceDocument(ctx, in.ID, in.DocumentForm, document.Letterhead{})
}

type printInvoiceIn struct {
	ID string `path:"id" example:"INV-000001" doc:"The id of the invoice, or its number"`
	DocumentForm
	Body letterhead
}

func (s *server) printInvoice(ctx context.Context, in *printInvoiceIn) (*huma.StreamResponse, error) {
	l, err := in.Body.parse()
	if err != nil {
		return nil, err
	}
	return s.invoiceDocument(ctx, in.ID, in.DocumentForm, l)
}

func (s *server) invoiceDocument(ctx context.Context, id string, f DocumentForm, l document.Letterhead) (*huma.StreamResponse, error) {
	v, names, err := s.billing.Named(ctx, id)
	if err != nil {
		return nil, unknownName(err, "invoice")
	}
	page, err := document.Invoice(v, names, document.Options{Paper: document.Paper(f.Paper), Letterhead: l, At: s.now(), Zone: s.ledger.Zone()})
	if err != nil {
		return nil, err
	}
	return s.document(ctx, f, page, func(w io.Writer) error { return document.CSV(w, v, names) })
}

type creditNoteDocumentIn struct {
	ID string `path:"id" example:"CN-000001" doc:"The id of the credit note, or its number"`
	DocumentForm
}

func (s *server) getCreditNoteDocument(ctx context.Context, in *creditNoteDocumentIn) (*huma.StreamResponse, error) {
	return s.creditNoteDocument(ctx, in.ID, in.DocumentForm, document.Letterhead{})
}

type printCreditNoteIn struct {
	ID string `path:"id" example:"CN-000001" doc:"The id of the credit note, or its number"`
	DocumentForm
	Body letterhead
}

func (s *server) printCreditNote(ctx context.Context, in *printCreditNoteIn) (*huma.StreamResponse, error) {
	l, err := in.Body.parse()
	if err != nil {
		return nil, err
	}
	return s.creditNoteDocument(ctx, in.ID, in.DocumentForm, l)
}

func (s *server) creditNoteDocument(ctx context.Context, id string, f DocumentForm, l document.Letterhead) (*huma.StreamResponse, error) {
	n, err := s.billing.CreditNote(ctx, id)
	if err != nil {
		return nil, unknownName(err, "credit_note")
	}
	v, err := s.billing.Show(ctx, n.Invoice.String())
	if err != nil {
		return nil, err
	}
	page, err := document.CreditNote(n, v, document.Options{Paper: document.Paper(f.Paper), Letterhead: l, At: s.now(), Zone: s.ledger.Zone()})
	if err != nil {
		return nil, err
	}
	return s.document(ctx, f, page, func(w io.Writer) error { return document.CreditNoteCSV(w, n) })
}

// document answers with the page, under its policy, or with the lines.
func (s *server) document(ctx context.Context, f DocumentForm, page document.Page, lines func(io.Writer) error) (*huma.StreamResponse, error) {
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
	return s.download(ctx, d), nil
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

// printDoc adds what a letterhead brings.
func printDoc(d doc) doc {
	d.fails = append(d.fails, tooLarge, unsupported)
	d.example = example(`{"from":["Marktplatz Nord GmbH","Speicherstadt 12, 20457 Hamburg"],"to":["Acme Ltd","1 Main Street"],"notes":["Payable within 14 days"]}`)
	return d
}
