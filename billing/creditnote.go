package billing

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"deltaledger/ledger"
	"deltaledger/ledger/pg"
)

// CreditNoteRequest says what of an issued invoice is taken back.
type CreditNoteRequest struct {
	Invoice   string       // id or number
	Lines     []CreditLine // none: all that is left of every line
	Reason    string       // stands on the document
	Reference string       // of the sender, one credit note of an invoice each; empty: none
	By        string       // who makes it
}

// CreditLine says what is taken back of a line of the invoice.
type CreditLine struct {
	Line   int
	Amount string // a plain decimal with the sign of the line; empty: all that is left
}

// CreditNote is a document that takes back what lines of an issued invoice bill, or another credit note. Times are UTC.
type CreditNote struct {
	ID          uuid.UUID        `json:"id"`
	Number      string           `json:"number,omitempty"` // empty: not issued yet
	Account     string           `json:"account"`
	Invoice     uuid.UUID        `json:"invoice"`
	Corrects    string           `json:"corrects"`               // number of the invoice
	Cancels     *uuid.UUID       `json:"cancels,omitempty"`      // the credit note that this one takes back
	CancelledBy *uuid.UUID       `json:"cancelled_by,omitempty"` // the credit note that takes this one back
	Currency    string           `json:"currency"`
	Total       Money            `json:"total"` // the sum of its lines
	Reason      string           `json:"reason"`
	Reference   string           `json:"reference,omitempty"`
	By          string           `json:"by"`
	Position    int64            `json:"position"`
	CreatedAt   time.Time        `json:"created_at"`
	IssuedAt    *time.Time       `json:"issued_at,omitempty"`
	Lines       []CreditNoteLine `json:"lines"`
}

// CreditNoteLine is what a credit note takes back of one line of its invoice.
type CreditNoteLine struct {
	Line   int    `json:"line"` // of the invoice
	Charge string `json:"charge"`
	Amount Money  `json:"amount"` // with the sign of that line, but in a note that cancels another
}

// name is the number of the note, or its id while it has none.
func (n CreditNote) name() string {
	if n.Number == "" {
		return n.ID.String()
	}
	return n.Number
}

// Credit makes a credit note for an issued invoice, and issues it. It counts from then on: in what is open of
// the invoice, and nowhere else. It changes no event, no pin and no line, and late events of the cycle are
// rated as if there were none. What notes take back of a line never exceeds what the line bills. With a reference,
// the same request again has the same answer, and another one under it is ErrConflict; so is a note for an invoice that is void or
// not issued, or for more than is left. If only the issuing failed, the note is returned beside the error, and the next
// close issues it.
func (b *Billing) Credit(ctx context.Context, r CreditNoteRequest) (CreditNote, error) {
	if err := r.check(); err != nil {
		return CreditNote{}, wrap(err, "credit")
	}
	wanted, err := find(ctx, b.pool, r.Invoice)
	if err != nil {
		return CreditNote{}, wrap(err, "credit")
	}
	var id uuid.UUID
	err = pg.InTx(ctx, b.pool, func(tx pgx.Tx) error {
		v, err := b.holdInvoice(ctx, tx, wanted)
		if err != nil {
			return err
		}
		id, err = b.creditTx(ctx, tx, v, r)
		return err
	})
	if err != nil {
		return CreditNote{}, wrap(err, "credit invoice %s", r.Invoice)
	}
	_, failure := b.Issue(ctx)
	n, err := b.CreditNote(ctx, id.String())
	if err != nil {
		return CreditNote{}, wrap(err, "credit invoice %s", r.Invoice)
	}
	return n, wrap(failure, "credit note %s of invoice %s is made, but not issued yet", id, r.Invoice)
}

func (r CreditNoteRequest) check() error {
	err := problems(checkText("reason", r.Reason, "must say why, for it stands on the document"), checkNote("reference", r.Reference),
		checkText("by", r.By, "must say who makes it"))
	seen := map[int]bool{}
	for i, l := range r.Lines {
		field := fmt.Sprintf("lines[%d]", i)
		if l.Line < 1 || seen[l.Line] {
			err = problems(err, ledger.Invalid(field+".line", fmt.Sprint(l.Line), "must be the number of a line of the invoice, each once"))
		}
		seen[l.Line] = true
		if _, bad := ledger.ParseAmount(l.Amount); l.Amount != "" && bad != nil {
			err = problems(err, ledger.Invalid(field+".amount", l.Amount, "must be a plain decimal such as 12.50"))
		}
	}
	return err
}

// creditTx writes the note, or finds the one that is there under the reference.
func (b *Billing) creditTx(ctx context.Context, tx pgx.Tx, v Invoice, r CreditNoteRequest) (uuid.UUID, error) {
	bills, err := readLines(ctx, tx, v)
	if err != nil {
		return uuid.Nil, err
	}
	known, err := readCreditNotes(ctx, tx, v)
	if err != nil {
		return uuid.Nil, err
	}
	for _, n := range known {
		if r.Reference != "" && n.Reference == r.Reference {
			return n.ID, r.sameAs(n)
		}
	}
	if err := v.mustCount("corrected by a credit note; void what isn't issued"); err != nil {
		return uuid.Nil, err
	}
	lines, err := r.takesBack(v, bills)
	if err != nil {
		return uuid.Nil, err
	}
	return b.insertCreditNote(ctx, tx, v, r, lines, nil)
}

// takesBack are the lines of the note, each held against what is left of the invoice's.
func (r CreditNoteRequest) takesBack(v Invoice, bills []Line) ([]CreditNoteLine, error) {
	var lines []CreditNoteLine
	if len(r.Lines) == 0 {
		for _, l := range bills {
			if left := l.left(); left.Amount.Sign() != 0 {
				lines = append(lines, CreditNoteLine{l.Line, l.Charge, left})
			}
		}
		if len(lines) == 0 {
			return nil, fmt.Errorf("nothing is left of any of its lines to take back: %w", ledger.ErrConflict)
		}
		return lines, nil
	}
	for i, asked := range r.Lines {
		field := fmt.Sprintf("lines[%d]", i)
		at := slices.IndexFunc(bills, func(l Line) bool { return l.Line == asked.Line })
		if at < 0 {
			return nil, ledger.Invalid(field+".line", fmt.Sprint(asked.Line), fmt.Sprintf("must be a line of the invoice: it has %d", len(bills)))
		}
		l, left := bills[at], bills[at].left()
		amount := left.Amount
		if asked.Amount != "" {
			var err error
			if amount, err = parseMoney(field+".amount", asked.Amount, v.Currency, l.Amount.Amount); err != nil {
				return nil, err
			}
		}
		if !within(amount, left.Amount) {
			return nil, fmt.Errorf("line %d bills %s %s, of which %s is left to take back, not %s: %w",
				l.Line, l.Amount, v.Currency, left, Money{amount, v.Currency}, ledger.ErrConflict)
		}
		lines = append(lines, CreditNoteLine{l.Line, l.Charge, Money{amount, v.Currency}})
	}
	slices.SortFunc(lines, func(a, b CreditNoteLine) int { return a.Line - b.Line })
	return lines, nil
}

// left is what no credit note has taken back of the line.
func (l Line) left() Money { return Money{l.Amount.Amount.Sub(l.Credited.Amount), l.Amount.Currency} }

// sameAs refuses a request that differs from the note that is there under its reference. A line without an
// amount means whatever was left then.
func (r CreditNoteRequest) sameAs(n CreditNote) error {
	same := n.Cancels == nil && r.Reason == n.Reason && (len(r.Lines) == 0 || len(r.Lines) == len(n.Lines))
	for _, asked := range r.Lines {
		at := slices.IndexFunc(n.Lines, func(l CreditNoteLine) bool { return l.Line == asked.Line })
		if same = same && at >= 0; !same {
			break
		}
		if asked.Amount != "" {
			amount, err := parseMoney("amount", asked.Amount, n.Currency, n.Lines[at].Amount.Amount)
			same = err == nil && amount.Equal(n.Lines[at].Amount.Amount)
		}
	}
	if !same {
		return fmt.Errorf("credit note %s has this reference and another reason or other lines: another one needs its own: %w", n.name(), ledger.ErrConflict)
	}
	return nil
}

const sqlInsertCreditNoteLines = `
INSERT INTO billing.credit_note_lines (account, credit_note_id, invoice_id, line, amount)
SELECT $1, $2, $3, u.line, u.amount::numeric
FROM unnest($4::int[], $5::text[]) AS u (line, amount)`

// Last, because it draws a position. The total is what the database finds on the lines.
const sqlInsertCreditNote = `
INSERT INTO billing.credit_notes (account, id, invoice_id, reference, currency, total, reason, created_by, position, created_at, cancels)
SELECT $1, $2, $3, NULLIF($4, ''), $5, l.total, $6, $7, d.positions[1], d.recorded_at, $8
FROM (
    SELECT sum(k.amount) AS total FROM billing.credit_note_lines k WHERE k.account = $1 AND k.credit_note_id = $2
    OFFSET 0
) l
CROSS JOIN ledger.draw(1) d
RETURNING total`

func (b *Billing) insertCreditNote(ctx context.Context, tx pgx.Tx, v Invoice, r CreditNoteRequest, lines []CreditNoteLine, cancels *uuid.UUID) (uuid.UUID, error) {
	id, want := b.newID(), decimal.Zero
	numbers, amounts := make([]int, len(lines)), make([]string, len(lines))
	for i, l := range lines {
		numbers[i], amounts[i], want = l.Line, l.Amount.Amount.String(), want.Add(l.Amount.Amount)
	}
	var out writes
	out.exec(nil, sqlInsertCreditNoteLines, v.Account, id, v.ID, numbers, amounts)
	out.query(func(rows pgx.Rows) error {
		total, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[decimal.Decimal])
		if err == nil && !total.Equal(want) {
			err = fmt.Errorf("the lines of the credit note add up to %s, not %s: %w", total, want, ledger.ErrCorrupt)
		}
		return err
	}, sqlInsertCreditNote, v.Account, id, v.ID, r.Reference, v.Currency, r.Reason, r.By, cancels)
	return id, out.send(ctx, tx)
}

const selectCreditNote = `
SELECT c.id, COALESCE(n.printed, ''), c.account, c.invoice_id, k.printed, c.currency, c.total, c.reason, COALESCE(c.reference, ''), c.created_by,
       c.position, c.created_at, n.issued_at, c.cancels, x.id, l.lines, l.charges, l.amounts
FROM billing.credit_notes c
JOIN billing.invoice_numbers k ON k.account = c.account AND k.invoice_id = c.invoice_id
LEFT JOIN billing.credit_note_numbers n ON n.account = c.account AND n.credit_note_id = c.id
LEFT JOIN billing.credit_notes x ON x.account = c.account AND x.cancels = c.id
CROSS JOIN LATERAL (
    SELECT array_agg(l.line ORDER BY l.line) AS lines, array_agg(i.charge ORDER BY l.line) AS charges, array_agg(l.amount::text ORDER BY l.line) AS amounts
    FROM billing.credit_note_lines l
    JOIN billing.invoice_lines i ON i.account = l.account AND i.invoice_id = l.invoice_id AND i.line = l.line
    WHERE l.account = c.account AND l.credit_note_id = c.id
) l`

func scanCreditNote(row pgx.CollectableRow) (CreditNote, error) {
	var n CreditNote
	var lines []int
	var charges, amounts []string
	err := row.Scan(&n.ID, &n.Number, &n.Account, &n.Invoice, &n.Corrects, &n.Currency, &n.Total.Amount, &n.Reason, &n.Reference, &n.By,
		&n.Position, &n.CreatedAt, &n.IssuedAt, &n.Cancels, &n.CancelledBy, &lines, &charges, &amounts)
	if err != nil {
		return n, err
	}
	n.Total.Currency, n.CreatedAt = n.Currency, n.CreatedAt.UTC()
	if n.IssuedAt != nil {
		*n.IssuedAt = n.IssuedAt.UTC()
	}
	for i, line := range lines {
		amount, err := decimal.NewFromString(amounts[i])
		if err != nil {
			return n, fmt.Errorf("line %d of credit note %s: %w", line, n.ID, err)
		}
		n.Lines = append(n.Lines, CreditNoteLine{line, charges[i], Money{amount, n.Currency}})
	}
	return n, nil
}

const sqlCreditNotesOfInvoice = selectCreditNote + `
WHERE c.account = $1 AND c.invoice_id = $2
ORDER BY c.position`

// readCreditNotes reads the credit notes of an invoice as they were made.
func readCreditNotes(ctx context.Context, q querier, v Invoice) ([]CreditNote, error) {
	rows, err := q.Query(ctx, sqlCreditNotesOfInvoice, v.Account, v.ID)
	if err != nil {
		return nil, fmt.Errorf("read credit notes: %w", err)
	}
	all, err := pgx.CollectRows(rows, scanCreditNote)
	if err != nil {
		return nil, fmt.Errorf("read credit notes: %w", err)
	}
	return all, nil
}

const sqlCreditNoteByID = selectCreditNote + `
WHERE c.id = $1`

const sqlCreditNoteByNumber = selectCreditNote + `
WHERE n.printed = $1`

// CreditNote returns a credit note by its id or its number. ErrNotFound if there is none.
func (b *Billing) CreditNote(ctx context.Context, idOrNumber string) (CreditNote, error) {
	var rows pgx.Rows
	var err error
	if id, bad := uuid.Parse(idOrNumber); bad == nil {
		rows, err = b.pool.Query(ctx, sqlCreditNoteByID, id)
	} else if number, ok := spelled(idOrNumber); ok {
		rows, err = b.pool.Query(ctx, sqlCreditNoteByNumber, number)
	} else {
		return CreditNote{}, ledger.Invalid("credit_note", idOrNumber, "must be the id of a credit note or a number such as CN-000001")
	}
	if err != nil {
		return CreditNote{}, wrap(err, "show credit note")
	}
	n, err := pgx.CollectOneRow(rows, scanCreditNote)
	if isNoRows(err) {
		return CreditNote{}, fmt.Errorf("credit note %s: %w", idOrNumber, ledger.ErrNotFound)
	}
	return n, wrap(err, "show credit note %s", idOrNumber)
}

// CreditNoteQuery says which credit notes to list; a field that is zero is no condition.
type CreditNoteQuery struct {
	Account string
	Invoice string // id or number
	Limit   int    // 1 to 1,000; 0: 100
	Before  int64  // position of the last one of the page before
}

const sqlCreditNotes = selectCreditNote + `
WHERE c.position < $1 AND ($2 = '' OR c.account = $2) AND ($3::uuid IS NULL OR c.invoice_id = $3)
ORDER BY c.position DESC
LIMIT $4`

// CreditNotes lists credit notes, newest first. A page that is full goes on below the position of its last.
func (b *Billing) CreditNotes(ctx context.Context, q CreditNoteQuery) ([]CreditNote, error) {
	if q.Limit == 0 {
		q.Limit = 100
	}
	if q.Limit < 1 || q.Limit > 1000 {
		return nil, ledger.Invalid("limit", fmt.Sprint(q.Limit), "must be 1 to 1000")
	}
	if q.Before < 0 {
		return nil, ledger.Invalid("before", fmt.Sprint(q.Before), "must be the position of a credit note")
	}
	if q.Before == 0 {
		q.Before = 1<<63 - 1
	}
	var invoice *uuid.UUID
	if q.Invoice != "" {
		v, err := find(ctx, b.pool, q.Invoice)
		if err != nil {
			return nil, wrap(err, "list credit notes")
		}
		invoice = &v.ID
	}
	rows, err := b.pool.Query(ctx, sqlCreditNotes, q.Before, q.Account, invoice, q.Limit)
	if err != nil {
		return nil, wrap(err, "list credit notes")
	}
	all, err := pgx.CollectRows(rows, scanCreditNote)
	return all, wrap(err, "list credit notes")
}
