package billing

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"deltaledger/ledger"
	"deltaledger/ledger/pg"
)

// Status is what became of an invoice.
type Status string

const (
	Ready    Status = "ready"     // written, without a number yet
	Issued   Status = "issued"    // has its number
	Sent     Status = "sent"      // to the customer
	PartPaid Status = "part-paid" // some of it is paid
	Paid     Status = "paid"      // nothing of it is open any more, by payments and perhaps credit notes
	Credited Status = "credited"  // nothing of it is open any more, by credit notes alone
	Void     Status = "void"      // doesn't count; see Outcome
)

// Invoice is the bill for a cycle. Times are UTC.
type Invoice struct {
	ID         uuid.UUID  `json:"id"`
	Number     string     `json:"number,omitempty"` // empty: not issued yet
	Account    string     `json:"account"`
	Status     Status     `json:"status"`
	CycleStart time.Time  `json:"cycle_start"`
	CycleEnd   time.Time  `json:"cycle_end"` // exclusive
	Zone       string     `json:"zone"`      // IANA name; the cycle is one of its dates, by the terms that it was closed by
	Currency   string     `json:"currency"`
	Stream     string     `json:"stream,omitempty"` // source/stream, where each stream has an invoice
	Total      Money      `json:"total"`
	Credited   Money      `json:"credited"` // by credit notes
	Paid       Money      `json:"paid"`     // by payments, less what went back
	Open       Money      `json:"open"`     // total - credited - paid; of a void invoice 0
	Events     int64      `json:"events"`   // that it bills
	Pinned     int64      `json:"pinned"`   // rows: the events, and what the ledger made because of events
	Rebills    *uuid.UUID `json:"rebills,omitempty"`
	RebilledBy *uuid.UUID `json:"rebilled_by,omitempty"`
	Outcome    Outcome    `json:"outcome,omitempty"` // of a void
	Why        string     `json:"why,omitempty"`     // of a void
	VoidedAt   *time.Time `json:"voided_at,omitempty"`
	Watermark  int64      `json:"watermark"` // of the close
	Position   int64      `json:"position"`
	CreatedAt  time.Time  `json:"created_at"`
	IssuedAt   *time.Time `json:"issued_at,omitempty"`
	SentAt     *time.Time `json:"sent_at,omitempty"`     // the last time
	Review     string     `json:"review,omitempty"`      // why a person has to look at it before it is issued
	ApprovedBy string     `json:"approved_by,omitempty"` // who did

	// Of Show only.
	Lines       []Line       `json:"lines,omitempty"`
	Payments    []Payment    `json:"payments,omitempty"`     // as they were recorded
	CreditNotes []CreditNote `json:"credit_notes,omitempty"` // as they were made
}

// Line is a priced line: what its invoice pins of one original cycle, by one charge.
type Line struct {
	Line          int             `json:"line"`
	Charge        string          `json:"charge"`
	Terms         int64           `json:"terms"` // version; 0 is the built-in default
	Definition    json.RawMessage `json:"definition"`
	OriginStart   time.Time       `json:"origin_start"`
	OriginEnd     time.Time       `json:"origin_end"`
	Late          bool            `json:"late"` // of another cycle than the invoice's
	OriginInvoice *uuid.UUID      `json:"origin_invoice,omitempty"`
	Events        int64           `json:"events"`
	Pinned        int64           `json:"pinned"` // rows: the events, and what the ledger made because of events
	Added         decimal.Decimal `json:"added"`  // the sum of the measure over them; 0 where only events are counted
	First         []FirstEvent    `json:"first,omitempty"`
	BeforeCounted int64           `json:"before_counted"`
	Before        decimal.Decimal `json:"before"` // what other lines of the charge and cycle held
	BeforeFirst   []FirstEvent    `json:"before_first,omitempty"`
	Billed        Money           `json:"billed"`         // and billed
	Calculation   Calculation     `json:"calculation"`    // of the exact price of before and added together
	Days          int64           `json:"days,omitempty"` // of a flat charge or a minimum
	PeriodDays    int64           `json:"period_days,omitempty"`
	Contract      *ContractUse    `json:"contract,omitempty"` // of a charge with an allowance over the contract
	Exact         decimal.Decimal `json:"exact"`
	Amount        Money           `json:"amount"`
	Credited      Money           `json:"credited"` // of the amount, by credit notes

	// Of an adjustment line: what it brings, "terms" recorded for a closed cycle or a person's "manual" adjustment;
	// of terms, the versions whose charges billed the cycle until then; and whose it is and why.
	Adjusts     string     `json:"adjusts,omitempty"`
	TermsBefore []int64    `json:"terms_before,omitempty"`
	Adjustment  *uuid.UUID `json:"adjustment,omitempty"`
	Why         string     `json:"why,omitempty"`
	By          string     `json:"by,omitempty"`
	ApprovedBy  string     `json:"approved_by,omitempty"`
}

// What an adjustment line brings.
const (
	AdjustsTerms  = "terms"
	AdjustsManual = "manual"
)

// Inputs are what the line is computed from: the inputs that earlier lines held, and those that it adds.
func (l Line) Inputs() (before, added Inputs) {
	before = Inputs{Sum: l.Before, Count: l.BeforeCounted, First: l.BeforeFirst}
	added = Inputs{Sum: l.Added, Count: l.Events, First: l.First, Days: l.Days, PeriodDays: l.PeriodDays}
	if l.Contract != nil {
		before.Carried, added.Carried = l.Contract.Before, &l.Contract.Carried
	}
	return before, added
}

// InvoiceQuery says which invoices to list; a field that is zero is no condition.
type InvoiceQuery struct {
	Account string    `json:"account,omitempty"`
	From    time.Time `json:"from,omitzero"` // invoices of cycles that end after it
	To      time.Time `json:"to,omitzero"`   // and begin before it
	Status  Status    `json:"status,omitempty"`
	Limit   int       `json:"limit,omitempty"` // 1 to 1,000; 0: 100
	// Cursor continues a list; it carries the other conditions, so these may be left out.
	Cursor string `json:"-"`
}

// InvoicePage is a part of a list, newest first.
type InvoicePage struct {
	Invoices []Invoice `json:"invoices"`
	Next     string    `json:"next,omitempty"` // cursor of what follows; empty at the end
}

// invoiceCursor is where a list goes on.
type invoiceCursor struct {
	Query  InvoiceQuery `json:"query"`
	Before int64        `json:"before"` // position
}

// What became of an invoice is computed from all that is recorded of it, in one place: billing.invoice_states.
const selectInvoice = `
SELECT i.id, COALESCE(n.printed, ''), i.account, s.status,
       i.cycle_start, i.cycle_end, COALESCE(t.terms ->> 'zone', d.terms ->> 'zone', (SELECT g.reporting_zone FROM ledger.settings g)),
       i.currency, COALESCE(i.stream, ''), i.total, s.credited, s.paid, s.open, i.events, i.pinned,
       i.rebills, (SELECT r.id FROM billing.invoices r WHERE r.account = i.account AND r.cycle_start = i.cycle_start AND r.rebills = i.id),
       COALESCE(v.outcome, ''), COALESCE(v.why, ''), v.voided_at, i.watermark, i.position, i.created_at, n.issued_at, s.sent_at,
       COALESCE(h.why, ''), COALESCE(a.approved_by, '')
FROM billing.invoices i
JOIN billing.invoice_states s ON s.account = i.account AND s.invoice_id = i.id
JOIN billing.cycles c ON c.account = i.account AND c.starts_at = i.cycle_start
LEFT JOIN billing.terms t ON t.n = c.terms
LEFT JOIN billing.terms d ON d.n = c.base
LEFT JOIN billing.invoice_numbers n ON n.account = i.account AND n.invoice_id = i.id
LEFT JOIN billing.voids v ON v.account = i.account AND v.invoice_id = i.id
LEFT JOIN billing.reviews h ON h.account = i.account AND h.invoice_id = i.id
LEFT JOIN billing.approvals a ON a.account = i.account AND a.invoice_id = i.id`

const sqlInvoices = selectInvoice + `
WHERE i.position < $1 AND ($2 = '' OR i.account = $2)
  AND ($3::timestamptz IS NULL OR i.cycle_end > $3) AND ($4::timestamptz IS NULL OR i.cycle_start < $4)
  AND ($5 = '' OR s.status = $5)
ORDER BY i.position DESC
LIMIT $6`

// List lists invoices, newest first, without their lines.
func (b *Billing) List(ctx context.Context, q InvoiceQuery) (InvoicePage, error) {
	q, before, err := q.resolve()
	if err != nil {
		return InvoicePage{}, err
	}
	rows, err := b.pool.Query(ctx, sqlInvoices, before, q.Account, orNull(q.From), orNull(q.To), string(q.Status), q.Limit+1)
	if err != nil {
		return InvoicePage{}, wrap(err, "list invoices")
	}
	found, err := pgx.CollectRows(rows, scanInvoice)
	if err != nil {
		return InvoicePage{}, wrap(err, "list invoices")
	}
	p := InvoicePage{Invoices: found}
	if len(found) > q.Limit {
		p.Invoices = found[:q.Limit]
		p.Next = invoiceCursor{Query: q, Before: found[q.Limit-1].Position}.String()
	}
	return p, nil
}

func (c invoiceCursor) String() string {
	b, err := json.Marshal(c)
	if err != nil {
		panic("billing: a cursor can't be written as JSON: " + err.Error()) // texts, numbers and times: impossible
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

// resolve checks the query, and takes its conditions from the cursor where there is one.
func (q InvoiceQuery) resolve() (InvoiceQuery, int64, error) {
	before := int64(1<<63 - 1)
	if q.Cursor != "" {
		var c invoiceCursor
		raw, err := base64.RawURLEncoding.DecodeString(q.Cursor)
		if err == nil {
			err = json.Unmarshal(raw, &c)
		}
		if err != nil || c.Before < 1 {
			return q, 0, ledger.Invalid("cursor", q.Cursor, "must be the cursor that the page before gave")
		}
		given := q
		given.Cursor, given.Limit = "", c.Query.Limit
		if given != (InvoiceQuery{Limit: c.Query.Limit}) && !given.same(c.Query) {
			return q, 0, ledger.Invalid("cursor", q.Cursor, "must be used with the conditions that it was given for, or with none")
		}
		if q.Limit > 0 {
			c.Query.Limit = q.Limit
		}
		q, before = c.Query, c.Before
	}
	if q.Limit == 0 {
		q.Limit = 100
	}
	switch q.Status {
	case "", Ready, Issued, Sent, PartPaid, Paid, Credited, Void:
	default:
		return q, 0, ledger.Invalid("status", string(q.Status), "must be ready, issued, sent, part-paid, paid, credited or void")
	}
	if q.Limit < 1 || q.Limit > 1000 {
		return q, 0, ledger.Invalid("limit", fmt.Sprint(q.Limit), "must be 1 to 1000")
	}
	return q, before, checkNote("account", q.Account)
}

func (q InvoiceQuery) same(o InvoiceQuery) bool {
	return q.Account == o.Account && q.Status == o.Status && q.From.Equal(o.From) && q.To.Equal(o.To)
}

func scanInvoice(row pgx.CollectableRow) (Invoice, error) {
	var v Invoice
	err := row.Scan(&v.ID, &v.Number, &v.Account, &v.Status, &v.CycleStart, &v.CycleEnd, &v.Zone, &v.Currency, &v.Stream,
		&v.Total.Amount, &v.Credited.Amount, &v.Paid.Amount, &v.Open.Amount, &v.Events, &v.Pinned, &v.Rebills, &v.RebilledBy,
		&v.Outcome, &v.Why, &v.VoidedAt, &v.Watermark, &v.Position, &v.CreatedAt, &v.IssuedAt, &v.SentAt, &v.Review, &v.ApprovedBy)
	if err != nil {
		return Invoice{}, err
	}
	for _, m := range []*Money{&v.Total, &v.Credited, &v.Paid, &v.Open} {
		m.Currency = v.Currency
	}
	v.CycleStart, v.CycleEnd, v.CreatedAt = v.CycleStart.UTC(), v.CycleEnd.UTC(), v.CreatedAt.UTC()
	for _, t := range []*time.Time{v.VoidedAt, v.IssuedAt, v.SentAt} {
		if t != nil {
			*t = t.UTC()
		}
	}
	return v, nil
}

const sqlInvoiceByID = selectInvoice + `
WHERE i.id = $1`

const sqlInvoiceByNumber = selectInvoice + `
WHERE (i.account, i.id) = (SELECT k.account, k.invoice_id FROM billing.invoice_numbers k WHERE k.printed = $1)`

// find finds an invoice by its id or its number.
func find(ctx context.Context, q querier, idOrNumber string) (Invoice, error) {
	var rows pgx.Rows
	var err error
	if id, bad := uuid.Parse(idOrNumber); bad == nil {
		rows, err = q.Query(ctx, sqlInvoiceByID, id)
	} else if number, ok := spelled(idOrNumber); ok {
		rows, err = q.Query(ctx, sqlInvoiceByNumber, number)
	} else {
		return Invoice{}, ledger.Invalid("invoice", idOrNumber, "must be the id of an invoice or a number such as INV-000001")
	}
	if err != nil {
		return Invoice{}, err
	}
	v, err := pgx.CollectOneRow(rows, scanInvoice)
	if isNoRows(err) {
		return Invoice{}, fmt.Errorf("invoice %s: %w", idOrNumber, ledger.ErrNotFound)
	}
	return v, err
}

const sqlLines = `
SELECT l.line, l.charge, l.terms, l.definition, l.origin_start, l.origin_end, l.late, l.origin_invoice,
       l.events, l.pinned, l.added, l.first, l.before_counted, l.before, l.before_first, l.billed, l.calculation, l.exact, l.amount,
       COALESCE((SELECT sum(c.amount) FROM billing.credit_note_lines c WHERE c.account = l.account AND c.invoice_id = l.invoice_id AND c.line = l.line), 0),
       COALESCE(l.days, 0), COALESCE(l.period_days, 0), l.contract,
       CASE WHEN l.rerating IS NOT NULL THEN 'terms' WHEN l.adjustment IS NOT NULL THEN 'manual' ELSE '' END, l.terms_before, l.adjustment,
       COALESCE(a.reason, r.why, ''), COALESCE(a.made_by, r.recorded_by, ''), COALESCE(d.decided_by, '')
FROM billing.invoice_lines l
LEFT JOIN billing.adjustments a ON a.account = l.account AND a.id = l.adjustment
LEFT JOIN billing.adjustment_decisions d ON d.account = l.account AND d.adjustment = l.adjustment
LEFT JOIN billing.reratings r ON r.account = l.account AND r.terms = l.rerating
WHERE l.account = $1 AND l.invoice_id = $2
ORDER BY l.line`

// Show returns an invoice with its lines, payments and credit notes, by its id or its number, all as of one moment.
// ErrNotFound if there is none.
func (b *Billing) Show(ctx context.Context, idOrNumber string) (Invoice, error) {
	var v Invoice
	err := pg.InSnapshot(ctx, b.pool, func(tx pgx.Tx) error {
		var err error
		v, err = show(ctx, tx, idOrNumber)
		return err
	})
	return v, wrap(err, "show invoice %s", idOrNumber)
}

func show(ctx context.Context, q querier, idOrNumber string) (Invoice, error) {
	v, err := find(ctx, q, idOrNumber)
	if err != nil {
		return v, err
	}
	if v.Lines, err = readLines(ctx, q, v); err != nil {
		return v, err
	}
	if v.Payments, err = readPayments(ctx, q, v); err != nil {
		return v, err
	}
	v.CreditNotes, err = readCreditNotes(ctx, q, v)
	return v, err
}

func readLines(ctx context.Context, q querier, v Invoice) ([]Line, error) {
	rows, err := q.Query(ctx, sqlLines, v.Account, v.ID)
	if err != nil {
		return nil, fmt.Errorf("read lines: %w", err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (Line, error) {
		l := Line{Billed: Money{Currency: v.Currency}, Amount: Money{Currency: v.Currency}, Credited: Money{Currency: v.Currency}}
		err := row.Scan(&l.Line, &l.Charge, &l.Terms, &l.Definition, &l.OriginStart, &l.OriginEnd, &l.Late, &l.OriginInvoice,
			&l.Events, &l.Pinned, &l.Added, &l.First, &l.BeforeCounted, &l.Before, &l.BeforeFirst, &l.Billed.Amount, &l.Calculation, &l.Exact, &l.Amount.Amount, &l.Credited.Amount,
			&l.Days, &l.PeriodDays, &l.Contract, &l.Adjusts, &l.TermsBefore, &l.Adjustment, &l.Why, &l.By, &l.ApprovedBy)
		l.OriginStart, l.OriginEnd = l.OriginStart.UTC(), l.OriginEnd.UTC()
		return l, err
	})
	if err != nil {
		return nil, fmt.Errorf("read lines: %w", err)
	}
	return all, nil
}
