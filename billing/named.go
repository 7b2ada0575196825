package billing

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"deltaledger/ledger/pg"
)

// Names are what documents call other invoices: their numbers, or their ids while they have none.
type Names map[uuid.UUID]string

// Of is the name of an invoice; empty for none.
func (n Names) Of(id *uuid.UUID) string {
	switch {
	case id == nil:
		return ""
	case n[*id] == "":
		return id.String()
	}
	return n[*id]
}

const sqlNamesOfInvoices = `
SELECT n.invoice_id, n.printed
FROM billing.invoice_numbers n
WHERE n.account = $1 AND n.invoice_id = ANY($2)`

// Named returns what Show does, and the names of the invoices that it refers to, all as of one moment.
func (b *Billing) Named(ctx context.Context, idOrNumber string) (Invoice, Names, error) {
	var v Invoice
	var names Names
	err := pg.InSnapshot(ctx, b.pool, func(tx pgx.Tx) error {
		var err error
		if v, err = show(ctx, tx, idOrNumber); err != nil {
			return err
		}
		names, err = namesFor(ctx, tx, v)
		return err
	})
	return v, names, wrap(err, "show invoice %s", idOrNumber)
}

// namesFor reads the names of the invoices that an invoice refers to.
func namesFor(ctx context.Context, q querier, v Invoice) (Names, error) {
	var ids []uuid.UUID
	for _, id := range []*uuid.UUID{v.Rebills, v.RebilledBy} {
		if id != nil {
			ids = append(ids, *id)
		}
	}
	for _, l := range v.Lines {
		if l.OriginInvoice != nil {
			ids = append(ids, *l.OriginInvoice)
		}
	}
	names := Names{}
	if len(ids) == 0 {
		return names, nil
	}
	var id uuid.UUID
	var printed string
	return names, pg.ForEach(ctx, q, []any{&id, &printed}, func() error {
		names[id] = printed
		return nil
	}, sqlNamesOfInvoices, v.Account, ids)
}
