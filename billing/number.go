package billing

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"deltaledger/ledger"
	"deltaledger/ledger/pg"
)

const issueAtOnce = 10_000 // numbers given out in one transaction

// numbering is how the issuer numbers the documents of a kind. What there is to number is read and written
// by statements of the kind.
type numbering struct {
	kind     DocumentKind
	progress string // names the watermark through which everything has its number
	ready    string
	issue    string
}

func numberings() []numbering {
	return []numbering{
		{InvoiceDocument, "issuer", sqlInvoicesToIssue, sqlIssueInvoices},
		{CreditNoteDocument, "issuer-credit-notes", sqlCreditNotesToIssue, sqlIssueCreditNotes},
	}
}

// An invoice that waits for a person counts from the position of its approval on.
const sqlUnissued = `
SELECT EXISTS (SELECT FROM billing.invoices i WHERE i.position > p.invoices)
    OR EXISTS (SELECT FROM billing.approvals a WHERE a.position > p.invoices)
    OR EXISTS (SELECT FROM billing.credit_notes c WHERE c.position > p.notes)
FROM (
    SELECT COALESCE(max(p.watermark) FILTER (WHERE p.name = 'issuer'), 0) AS invoices,
           COALESCE(max(p.watermark) FILTER (WHERE p.name = 'issuer-credit-notes'), 0) AS notes
    FROM billing.progress p
) p`

// One issuer at a time: the next number is one more than the highest. The number is no sequence, which
// would leave gaps, and isn't drawn by the close, where it would make all accounts wait for one another.
// Who changes a format holds it too, so that the documents of one transaction have one.
const sqlLockIssuer = `SELECT pg_advisory_xact_lock(17484, 4)`

// A void that isn't committed yet may still get its invoice a number, which is then that of a void
// invoice. A number is never taken back, so there is no gap either way.
const sqlInvoicesToIssue = `
SELECT i.account, i.id, i.position
FROM (
    SELECT i.account, i.id, i.position
    FROM billing.invoices i
    WHERE i.position > $1 AND i.position <= $2
      AND NOT EXISTS (SELECT FROM billing.reviews r WHERE r.account = i.account AND r.invoice_id = i.id)
  UNION ALL
    SELECT a.account, a.invoice_id, a.position
    FROM billing.approvals a
    WHERE a.position > $1 AND a.position <= $2
) i
WHERE NOT EXISTS (SELECT FROM billing.invoice_numbers n WHERE n.account = i.account AND n.invoice_id = i.id)
  AND NOT EXISTS (SELECT FROM billing.voids v WHERE v.account = i.account AND v.invoice_id = i.id)
ORDER BY i.position
LIMIT $3`

const sqlCreditNotesToIssue = `
SELECT c.account, c.id, c.position
FROM billing.credit_notes c
WHERE c.position > $1 AND c.position <= $2
  AND NOT EXISTS (SELECT FROM billing.credit_note_numbers n WHERE n.account = c.account AND n.credit_note_id = c.id)
ORDER BY c.position
LIMIT $3`

const sqlIssueInvoices = `
INSERT INTO billing.invoice_numbers (series, number, printed, account, invoice_id, position, issued_at)
SELECT $1, i.number, $6 || lpad(i.number::text, greatest($8, length(i.number::text)), '0') || $7, i.account, i.id, i.position, $5
FROM (
    SELECT u.account, u.id, u.position, u.n + (SELECT COALESCE(max(k.number), 0) FROM billing.invoice_numbers k WHERE k.series = $1) AS number
    FROM unnest($2::text[], $3::uuid[], $4::bigint[]) WITH ORDINALITY AS u (account, id, position, n)
) i`

const sqlIssueCreditNotes = `
INSERT INTO billing.credit_note_numbers (series, number, printed, account, credit_note_id, position, issued_at)
SELECT $1, i.number, $6 || lpad(i.number::text, greatest($8, length(i.number::text)), '0') || $7, i.account, i.id, i.position, $5
FROM (
    SELECT u.account, u.id, u.position, u.n + (SELECT COALESCE(max(k.number), 0) FROM billing.credit_note_numbers k WHERE k.series = $1) AS number
    FROM unnest($2::text[], $3::uuid[], $4::bigint[]) WITH ORDINALITY AS u (account, id, position, n)
) i`

// Issue numbers the invoices and credit notes that have no number, each kind in the order of positions, and
// returns how many. A document is issued by its number. The numbers of a series have no gaps, whatever is
// stopped or runs at the same time. An invoice that waits for a person is left alone until it is approved.
func (b *Billing) Issue(ctx context.Context) (issued int, err error) {
	var waiting bool
	if err := b.pool.QueryRow(ctx, sqlUnissued).Scan(&waiting); err != nil || !waiting {
		return 0, wrap(err, "issue documents")
	}
	// Only what is decided: a document with a lower position that commits later would be passed over.
	w, err := b.ledger.TakeWatermark(ctx)
	if err != nil {
		return 0, wrap(err, "issue documents")
	}
	for _, k := range numberings() {
		for n := issueAtOnce; n == issueAtOnce; issued += n {
			if n, err = b.issueSome(ctx, k, w.Position); err != nil {
				return issued, wrap(err, "issue documents of the kind %s", k.kind)
			}
		}
	}
	return issued, nil
}

// issueSome issues the next documents of a kind up to a watermark.
func (b *Billing) issueSome(ctx context.Context, k numbering, watermark int64) (issued int, err error) {
	err = pg.InTx(ctx, b.pool, func(tx pgx.Tx) error {
		issued = 0
		if _, err := tx.Exec(ctx, sqlLockIssuer); err != nil {
			return err
		}
		var done int64
		if err := tx.QueryRow(ctx, sqlProgress, k.progress).Scan(&done); err != nil || done >= watermark {
			return err
		}
		ready, err := readDocuments(ctx, tx, k.ready, done, watermark)
		if err != nil {
			return err
		}
		reached := watermark
		if len(ready.ids) == issueAtOnce {
			reached = ready.last
		}
		if _, err := tx.Exec(ctx, sqlAdvance, k.progress, reached); err != nil || len(ready.ids) == 0 {
			return err
		}
		format, err := readFormat(ctx, tx, k.kind)
		if err != nil {
			return err
		}
		positions, at, err := ledger.DrawTx(ctx, tx, len(ready.ids))
		if err != nil {
			return err
		}
		issued = len(ready.ids)
		day := at.In(b.zone)
		before, after := format.around(day)
		_, err = tx.Exec(ctx, k.issue, format.Series(day), ready.accounts, ready.ids, positions, at, before, after, format.width)
		return err
	})
	return issued, err
}

// documents are some without a number, in the order of their positions.
type documents struct {
	accounts []string
	ids      []uuid.UUID
	last     int64 // position of the last one
}

func readDocuments(ctx context.Context, tx pgx.Tx, sql string, above, through int64) (r documents, err error) {
	var account string
	var id uuid.UUID
	err = pg.ForEach(ctx, tx, []any{&account, &id, &r.last}, func() error {
		r.accounts, r.ids = append(r.accounts, account), append(r.ids, id)
		return nil
	}, sql, above, through, issueAtOnce)
	return r, err
}

const sqlNumberFormat = `
SELECT f.format
FROM billing.number_formats f
WHERE f.kind = $1
ORDER BY f.position DESC
LIMIT 1`

// readFormat reads the format in force of a kind.
func readFormat(ctx context.Context, q querier, kind DocumentKind) (NumberFormat, error) {
	text := kind.builtInFormat()
	if err := q.QueryRow(ctx, sqlNumberFormat, string(kind)).Scan(&text); err != nil && !isNoRows(err) {
		return NumberFormat{}, err
	}
	f, err := ParseNumberFormat(text)
	if err != nil {
		return f, fmt.Errorf("the format of numbers that is stored: %w: %w", err, ledger.ErrCorrupt)
	}
	return f, nil
}

// Numbering is how the documents of a kind are numbered now.
type Numbering struct {
	Kind   DocumentKind `json:"kind"`
	Format string       `json:"format"`
	Series string       `json:"series"` // of what is issued today
	Issued int64        `json:"issued"` // numbers of that series, which is the highest of them
	Next   string       `json:"next"`   // the number that follows
	SetBy  string       `json:"set_by,omitempty"`
	SetAt  *time.Time   `json:"set_at,omitempty"` // absent: the built-in format
}

const sqlNumbering = `
SELECT f.format, f.recorded_by, f.recorded_at, clock_timestamp()
FROM (SELECT 1) one
LEFT JOIN LATERAL (
    SELECT f.format, f.recorded_by, f.recorded_at
    FROM billing.number_formats f
    WHERE f.kind = $1
    ORDER BY f.position DESC
    LIMIT 1
) f ON true`

const sqlHighest = `
SELECT COALESCE(max(k.number), 0)
FROM (
    SELECT n.number FROM billing.invoice_numbers n WHERE $1 = 'invoice' AND n.series = $2
  UNION ALL
    SELECT n.number FROM billing.credit_note_numbers n WHERE $1 = 'credit-note' AND n.series = $2
) k`

// Numberings tells how invoices and credit notes are numbered.
func (b *Billing) Numberings(ctx context.Context) ([]Numbering, error) {
	var all []Numbering
	for _, k := range numberings() {
		n := Numbering{Kind: k.kind, Format: k.kind.builtInFormat()}
		var format, by *string
		var now time.Time
		if err := b.pool.QueryRow(ctx, sqlNumbering, string(k.kind)).Scan(&format, &by, &n.SetAt, &now); err != nil {
			return nil, wrap(err, "read formats of numbers")
		}
		if format != nil && by != nil && n.SetAt != nil {
			at := n.SetAt.UTC()
			n.Format, n.SetBy, n.SetAt = *format, *by, &at
		}
		f, err := ParseNumberFormat(n.Format)
		if err != nil {
			return nil, fmt.Errorf("the format of numbers that is stored: %w: %w", err, ledger.ErrCorrupt)
		}
		today := now.In(b.zone)
		n.Series = f.Series(today)
		if err := b.pool.QueryRow(ctx, sqlHighest, string(k.kind), n.Series).Scan(&n.Issued); err != nil {
			return nil, wrap(err, "read numbers")
		}
		n.Next = f.Print(today, n.Issued+1)
		all = append(all, n)
	}
	return all, nil
}

const sqlFormatsEver = `
SELECT f.kind, f.format
FROM billing.number_formats f
ORDER BY f.position`

const sqlInsertFormat = `
INSERT INTO billing.number_formats (kind, format, recorded_by, position, recorded_at)
SELECT $1, $2, $3, d.positions[1], d.recorded_at
FROM ledger.draw(1) d`

// SetNumberFormat sets how numbers of a kind are written from now on; see NumberFormat. What has a number
// keeps it. A series that was used before goes on where it ended. Setting what is in force changes nothing.
// A format whose numbers may read like others that were or may have been given out is ErrConflict.
func (b *Billing) SetNumberFormat(ctx context.Context, kind DocumentKind, format, by string) error {
	if kind != InvoiceDocument && kind != CreditNoteDocument {
		return ledger.Invalid("kind", string(kind), "must be invoice or credit-note")
	}
	f, err := ParseNumberFormat(format)
	if err != nil {
		return err
	}
	if err := checkText("by", by, "must say who sets it"); err != nil {
		return err
	}
	err = pg.InTx(ctx, b.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, sqlLockIssuer); err != nil {
			return err
		}
		now, err := readFormat(ctx, tx, kind)
		if err != nil || now.text == f.text {
			return err
		}
		if err := clashes(ctx, tx, kind, f); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, sqlInsertFormat, string(kind), f.text, by)
		return err
	})
	return wrap(err, "set the format of numbers")
}

// clashes refuses a format whose numbers may read like those of another that was ever in force.
func clashes(ctx context.Context, tx pgx.Tx, kind DocumentKind, f NumberFormat) error {
	ever := []struct {
		kind DocumentKind
		text string
	}{{InvoiceDocument, InvoiceDocument.builtInFormat()}, {CreditNoteDocument, CreditNoteDocument.builtInFormat()}}
	one := ever[0]
	err := pg.ForEach(ctx, tx, []any{&one.kind, &one.text}, func() error {
		ever = append(ever, one)
		return nil
	}, sqlFormatsEver)
	if err != nil {
		return err
	}
	for _, e := range ever {
		old, err := ParseNumberFormat(e.text)
		if err != nil {
			return fmt.Errorf("the format of numbers that is stored: %w: %w", err, ledger.ErrCorrupt)
		}
		if e.kind != kind && f.sameShape(old) || e.kind == kind && f.mayRead(old) {
			return fmt.Errorf("a number in the format %s could read like one in %s, of kind %s: use other letters: %w", f, old, e.kind, ledger.ErrConflict)
		}
	}
	return nil
}

// maxPrinted bounds what is looked for as a number.
const maxPrinted = 64

// spelled is how a number of a document is looked up, in capital letters; ok is false for what can't be one.
func spelled(text string) (number string, ok bool) {
	number = strings.ToUpper(strings.TrimSpace(text))
	return number, onlyOf(number, inNumbers) && len(number) <= maxPrinted && storable(number) && strings.ContainsAny(number, "0123456789")
}
