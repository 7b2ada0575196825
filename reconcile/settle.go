package reconcile

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/shopspring/decimal"

	"deltaledger/ledger/pg"
)

// settlement is an invoice with all that was paid and credited of it.
type settlement struct {
	account, currency, number string // number: empty, it has none
	id                        uuid.UUID
	total                     decimal.Decimal
	lines                     map[int]decimal.Decimal // what each bills
	issued                    *position
	void                      *position
	steps                     []step // payments and credit notes, by position

	// As billing shows it.
	status               string
	credited, paid, open decimal.Decimal
}

// position is where and when something was recorded.
type position struct {
	n  int64
	at time.Time
}

// step is a payment or a credit note.
type step struct {
	position
	name   string // as findings name it
	amount decimal.Decimal

	reference, reverses string // of a payment
	paidOn              string

	note     uuid.UUID // of a credit note; else zero
	cancels  uuid.UUID
	currency string
	lines    map[int]decimal.Decimal
}

// The invoices to look at: those that anything was paid or credited of since the run before, or that became void, and
// those with an open finding.
const sqlSettled = `
WITH touched AS (
    SELECT p.account, p.invoice_id FROM billing.payments p WHERE p.position > $1 AND p.position <= $2
  UNION
    SELECT c.account, c.invoice_id FROM billing.credit_notes c WHERE c.position > $1 AND c.position <= $2
  UNION
    SELECT v.account, v.invoice_id FROM billing.voids v WHERE v.position > $1 AND v.position <= $2
  UNION
    SELECT i.account, i.id FROM billing.invoices i WHERE i.id = ANY($3)
)
SELECT i.account, i.id, i.currency, i.total, COALESCE(n.printed, ''), n.position, n.issued_at, v.position, v.voided_at, s.status, s.credited, s.paid, s.open
FROM touched t
JOIN billing.invoices i ON i.account = t.account AND i.id = t.invoice_id
JOIN billing.invoice_states s ON s.account = i.account AND s.invoice_id = i.id
LEFT JOIN billing.invoice_numbers n ON n.account = i.account AND n.invoice_id = i.id
LEFT JOIN billing.voids v ON v.account = i.account AND v.invoice_id = i.id
ORDER BY i.position`

const sqlLinesOfSettled = `
SELECT l.invoice_id, l.line, l.amount
FROM unnest($1::text[], $2::uuid[]) AS u (account, id)
JOIN billing.invoice_lines l ON l.account = u.account AND l.invoice_id = u.id`

const sqlPaymentsOfSettled = `
SELECT p.invoice_id, p.position, p.recorded_at, p.reference, p.amount, p.paid_on::text, COALESCE(p.reverses, '')
FROM unnest($1::text[], $2::uuid[]) AS u (account, id)
JOIN billing.payments p ON p.account = u.account AND p.invoice_id = u.id`

const sqlNotesOfSettled = `
SELECT c.invoice_id, c.position, c.created_at, c.id, COALESCE(n.printed, ''), c.currency, c.total,
       COALESCE(c.cancels, '00000000-0000-0000-0000-000000000000'), l.lines, l.amounts
FROM unnest($1::text[], $2::uuid[]) AS u (account, id)
JOIN billing.credit_notes c ON c.account = u.account AND c.invoice_id = u.id
LEFT JOIN billing.credit_note_numbers n ON n.account = c.account AND n.credit_note_id = c.id
CROSS JOIN LATERAL (
    SELECT array_agg(k.line) AS lines, array_agg(k.amount) AS amounts
    FROM billing.credit_note_lines k
    WHERE k.account = c.account AND k.credit_note_id = c.id
) l`

// settledAtOnce is how many invoices are read at once.
const settledAtOnce = 5000

// checkSettlements replays what was paid and credited of invoices, in the order in which it was recorded, and holds each step
// against what was open then, and the end against what billing shows.
func (u *run) checkSettlements(ctx context.Context, tx pgx.Tx) error {
	all, err := u.readSettled(ctx, tx)
	if err != nil {
		return err
	}
	var payments, notes int64
	for part := range slices.Chunk(all, settledAtOnce) {
		if err := readSteps(ctx, tx, part); err != nil {
			return err
		}
		for i := range part {
			s := &part[i]
			for _, st := range s.steps {
				if st.note == uuid.Nil {
					payments++
				} else {
					notes++
				}
			}
			wrong := s.replay(u.at.Position)
			for _, check := range []string{checkPayments, checkCreditNotes} {
				if len(wrong[check]) == 0 {
					continue
				}
				subject, _ := json.Marshal(map[string]string{"invoice": s.id.String()}) // a string: nothing to fail
				u.add(Finding{
					Fingerprint: fingerprint(check, s.id.String()), Check: check, Account: s.account, Currency: s.currency, Subject: subject,
					Detail: fmt.Sprintf("invoice %s: %s", cmp.Or(s.number, s.id.String()), strings.Join(wrong[check], "; ")),
				})
			}
			s.steps, s.lines = nil, nil
		}
	}
	u.checked(checkPayments, payments, "payments")
	u.checked(checkCreditNotes, notes, "credit notes")
	return nil
}

func (u *run) readSettled(ctx context.Context, tx pgx.Tx) ([]settlement, error) {
	rows, err := tx.Query(ctx, sqlSettled, u.since.Position, u.at.Position, u.suspects(checkPayments, checkCreditNotes))
	if err != nil {
		return nil, fmt.Errorf("read what was paid and credited: %w", err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (s settlement, err error) {
		var issued, void *int64
		var issuedAt, voidAt *time.Time
		err = row.Scan(&s.account, &s.id, &s.currency, &s.total, &s.number, &issued, &issuedAt, &void, &voidAt, &s.status, &s.credited, &s.paid, &s.open)
		s.issued, s.void = positionOf(issued, issuedAt), positionOf(void, voidAt)
		return s, err
	})
	if err != nil {
		return nil, fmt.Errorf("read what was paid and credited: %w", err)
	}
	return all, nil
}

func positionOf(n *int64, at *time.Time) *position {
	if n == nil || at == nil {
		return nil
	}
	return &position{*n, at.UTC()}
}

// readSteps reads what stands against some invoices, with the lines that they bill.
func readSteps(ctx context.Context, tx pgx.Tx, part []settlement) error {
	accounts, ids, by := make([]string, len(part)), make([]uuid.UUID, len(part)), make(map[uuid.UUID]*settlement, len(part))
	for i := range part {
		accounts[i], ids[i], by[part[i].id] = part[i].account, part[i].id, &part[i]
		part[i].lines = map[int]decimal.Decimal{}
	}
	var id uuid.UUID
	var line int
	var amount decimal.Decimal
	err := pg.ForEach(ctx, tx, []any{&id, &line, &amount}, func() error {
		by[id].lines[line] = amount
		return nil
	}, sqlLinesOfSettled, accounts, ids)
	if err != nil {
		return fmt.Errorf("read lines: %w", err)
	}
	var st step
	err = pg.ForEach(ctx, tx, []any{&id, &st.n, &st.at, &st.reference, &st.amount, &st.paidOn, &st.reverses}, func() error {
		st.name = fmt.Sprintf("payment %q", st.reference)
		by[id].steps = append(by[id].steps, st)
		return nil
	}, sqlPaymentsOfSettled, accounts, ids)
	if err != nil {
		return fmt.Errorf("read payments: %w", err)
	}
	if err := readNotes(ctx, tx, accounts, ids, by); err != nil {
		return err
	}
	for i := range part {
		slices.SortFunc(part[i].steps, func(a, b step) int { return cmp.Compare(a.n, b.n) })
	}
	return nil
}

func readNotes(ctx context.Context, tx pgx.Tx, accounts []string, ids []uuid.UUID, by map[uuid.UUID]*settlement) error {
	var id uuid.UUID
	var st step
	var number string
	var lines []int
	var amounts []decimal.Decimal
	err := pg.ForEach(ctx, tx, []any{&id, &st.n, &st.at, &st.note, &number, &st.currency, &st.amount, &st.cancels, &lines, &amounts}, func() error {
		st.name = "credit note " + cmp.Or(number, st.note.String())
		st.lines = make(map[int]decimal.Decimal, len(lines))
		for i, line := range lines {
			st.lines[line] = amounts[i]
		}
		by[id].steps = append(by[id].steps, st)
		lines, amounts = nil, nil
		return nil
	}, sqlNotesOfSettled, accounts, ids)
	if err != nil {
		return fmt.Errorf("read credit notes: %w", err)
	}
	return nil
}
