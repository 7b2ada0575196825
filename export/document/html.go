package document

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"strings"
	"time"

	"deltaledger/billing"
	"deltaledger/ledger"
)

//go:embed document.html.tmpl
var pageTemplate string

//go:embed document.css
var pageStyle string

// Paper is what a document is laid out for.
type Paper string

const (
	A4     Paper = "a4"
	Letter Paper = "letter"
)

// ParsePaper reads the name of a paper; empty is A4.
func ParsePaper(name string) (Paper, error) {
	switch p := Paper(strings.ToLower(name)); p {
	case "":
		return A4, nil
	case A4, Letter:
		return p, nil
	}
	return "", ledger.Invalid("paper", name, "must be a4 or letter")
}

// Options are what a document is made of besides what is billed.
type Options struct {
	Paper      Paper // "": A4
	Letterhead Letterhead
	At         time.Time // as of when the document was read; it says so
	// Zone is the reporting zone of the ledger: the day of issue is one of its dates, as the year of the number is. nil: the
	// zone of the account.
	Zone *time.Location
}

// issued is the day on which a document was issued.
func (o Options) issued(at time.Time, account *time.Location) string {
	if o.Zone != nil {
		return date(at, o.Zone)
	}
	return date(at, account)
}

// Page is a document to print: HTML that needs nothing else.
type Page struct {
	HTML   []byte
	Policy string // the Content-Security-Policy to send with it
	Name   string // of a file for it, without extension: letters, digits and -._ only
}

// Invoice makes the page of an invoice. names are those of the invoices that it refers to.
func Invoice(v billing.Invoice, names billing.Names, o Options) (Page, error) {
	name := v.Number
	if name == "" {
		name = "draft-" + v.ID.String()
	}
	return render(o.Paper, name, invoiceContent(v, names, o))
}

// CreditNote makes the page of a credit note. v is the invoice that it corrects, with its lines.
func CreditNote(n billing.CreditNote, v billing.Invoice, o Options) (Page, error) {
	name := n.Number
	if name == "" {
		name = "draft-" + n.ID.String()
	}
	return render(o.Paper, name, creditNoteContent(n, v, o))
}

// render makes one document of contents that have the title, name and stamp of the first, each on paper of its own.
func render(p Paper, name string, all ...content) (Page, error) {
	t, err := template.New("document").Parse(pageTemplate)
	if err != nil {
		return Page{}, fmt.Errorf("read the template of documents: %w", err)
	}
	style := styleOf(all[0], p)
	sum := sha256.Sum256([]byte(style))
	policy := "default-src 'none'; base-uri 'none'; form-action 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	var out strings.Builder
	err = t.Execute(&out, struct {
		content
		Sheets []content
		Style  template.CSS
		Policy string
	}{all[0], all, template.CSS(style), policy})
	if err != nil {
		return Page{}, fmt.Errorf("make a document: %w", err)
	}
	return Page{HTML: []byte(out.String()), Policy: policy + "; frame-ancestors 'none'", Name: fileName(name)}, nil
}

// styleOf is the style sheet, with the size of the paper and what stands in the margins of each page.
func styleOf(c content, p Paper) string {
	size := "A4"
	if p == Letter {
		size = "letter"
	}
	stamp := ""
	if c.Stamp != "" {
		stamp = fmt.Sprintf(` @top-center { content: "%s"; font: bold 11pt sans-serif; letter-spacing: .12em; color: #a3231f; }`, cssText(c.Stamp))
	}
	return fmt.Sprintf(`@page { size: %s; margin: 18mm 16mm 20mm; @bottom-left { content: "%s"; font: 8pt sans-serif; color: #555; } `+
		`@bottom-right { content: "Page " counter(page) " of " counter(pages); font: 8pt sans-serif; color: #555; }%s }`+"\n",
		size, cssText(c.Title+" "+c.Name), stamp) + pageStyle
}

// cssText is text within quotes of CSS: everything but letters, digits and spaces of ASCII by its number.
func cssText(s string) string {
	var b strings.Builder
	for _, r := range s {
		if r == ' ' || r < 0x80 && (r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z') {
			b.WriteRune(r)
		} else {
			fmt.Fprintf(&b, `\%x `, r) // the space ends the number and isn't shown
		}
	}
	return b.String()
}

// fileName keeps of a name what any file system takes.
func fileName(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '-' || r == '_' || r == '.' || r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z':
			return r
		}
		return '-'
	}, strings.TrimLeft(name, "."))
}

// Write writes the page.
func (p Page) Write(w io.Writer) error {
	if _, err := w.Write(p.HTML); err != nil {
		return fmt.Errorf("write a document: %w", err)
	}
	return nil
}
