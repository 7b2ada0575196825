package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	pages "deltaledger/export/document"
)

// printed says how a document is printed.
type printed struct {
	To string `placeholder:"FILE" help:"Write to this file, in the place of what is there, and not to standard output."`
	paged
}

// paged says what a page looks like.
type paged struct {
	Paper      string `default:"a4" help:"What the page is laid out for: a4 or letter."`
	Letterhead string `placeholder:"FILE" help:"JSON with from, to and notes, each a list of lines: who bills, who is billed, how to pay."`
}

// printHelp is what the printing commands have in common.
const printHelp = `Without --output it is a page to print, or to make a PDF of, in any browser: HTML that needs nothing from elsewhere. --output csv writes the lines, --output json the document as show does. What isn't issued says DRAFT, what is void VOID. The ledger keeps no addresses: they come from the letterhead.

`

type invoicesPrintCmd struct {
	ID string `arg:"" name:"id" help:"ID or number of the invoice."`
	printed
}

// Help is shown below the command's flags.
func (invoicesPrintCmd) Help() string {
	return printHelp + `  deltaledger invoices print INV-000001 --to invoice.html
  deltaledger invoices print INV-000001 --letterhead letterhead.json --paper letter > invoice.html
  chromium --headless --no-pdf-header-footer --print-to-pdf=invoice.pdf invoice.html`
}

// Run prints one invoice.
func (c *invoicesPrintCmd) Run(ctx context.Context, s *session) error {
	options, err := c.options(s)
	if err != nil {
		return err
	}
	return withApp(ctx, s, func(a *app) error {
		v, names, err := a.billing.Named(ctx, c.ID)
		if err != nil {
			return err
		}
		var out bytes.Buffer
		switch s.Output {
		case outputJSON:
			v.Lines = orNone(v.Lines)
			err = writeJSON(&out, v)
		case outputCSV:
			err = pages.CSV(&out, v, names)
		default:
			options.Zone = a.ledger.Zone()
			err = writePage(&out)(pages.Invoice(v, names, options))
		}
		if err != nil {
			return err
		}
		return c.write(s, out.Bytes())
	})
}

type creditNotesPrintCmd struct {
	ID string `arg:"" name:"id" help:"ID or number of the credit note."`
	printed
}

// Help is shown below the command's flags.
func (creditNotesPrintCmd) Help() string {
	return printHelp + `  deltaledger credit-notes print CN-000001 --to credit-note.html`
}

// Run prints one credit note.
func (c *creditNotesPrintCmd) Run(ctx context.Context, s *session) error {
	options, err := c.options(s)
	if err != nil {
		return err
	}
	return withApp(ctx, s, func(a *app) error {
		n, err := a.billing.CreditNote(ctx, c.ID)
		if err != nil {
			return err
		}
		v, err := a.billing.Show(ctx, n.Invoice.String())
		if err != nil {
			return err
		}
		var out bytes.Buffer
		switch s.Output {
		case outputJSON:
			err = writeJSON(&out, n)
		case outputCSV:
			err = pages.CreditNoteCSV(&out, n)
		default:
			options.Zone = a.ledger.Zone()
			err = writePage(&out)(pages.CreditNote(n, v, options))
		}
		if err != nil {
			return err
		}
		return c.write(s, out.Bytes())
	})
}

// options are what the flags say of the page.
func (p paged) options(s *session) (pages.Options, error) {
	paper, err := pages.ParsePaper(p.Paper)
	if err != nil {
		return pages.Options{}, usagef("--paper: %v", err)
	}
	o := pages.Options{Paper: paper, At: s.now()}
	if p.Letterhead == "" {
		return o, nil
	}
	raw, err := os.ReadFile(p.Letterhead)
	if err != nil {
		return o, fmt.Errorf("read the letterhead: %w", err)
	}
	if o.Letterhead, err = pages.ParseLetterhead(raw); err != nil {
		return o, usagef("--letterhead %s: %v", p.Letterhead, err)
	}
	return o, nil
}

func writePage(out *bytes.Buffer) func(pages.Page, error) error {
	return func(p pages.Page, err error) error {
		if err != nil {
			return err
		}
		return p.Write(out)
	}
}

// write writes the document where it is wanted.
func (p printed) write(s *session, content []byte) error {
	if p.To == "" {
		_, err := s.out.Write(content)
		return err
	}
	return writeDocument(s, p.To, content)
}

// writeDocument writes a file in the place of what is there. It is there whole or not at all.
func writeDocument(s *session, to string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(to), ".deltaledger-*")
	if err != nil {
		return fmt.Errorf("write the document: %w", err)
	}
	_, err = f.Write(content)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), to)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write the document: %w", err), os.Remove(f.Name()))
	}
	s.say("wrote %s", to)
	return nil
}
