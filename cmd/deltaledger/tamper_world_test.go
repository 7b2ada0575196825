//go:build linux || darwin

package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"deltaledger/billing"
	"deltaledger/ledger"
	"deltaledger/migrations/pgtest"
	"deltaledger/reconcile"
)

// sealedWorld is a small ledger with every kind of fact, sealed in many steps, whose database lets anybody
// change anything.
type sealedWorld struct {
	testing.TB
	*app
	db   *pgtest.DB
	last int64 // position that the newest seal ends at
}

func newSealedWorld(t testing.TB) *sealedWorld {
	t.Helper()
	w := &sealedWorld{TB: t, db: pgtest.New(t), app: &app{}}
	now := time.Date(2026, 3, 20, 12, 0, 0, 0, time.UTC)
	s := &session{now: func() time.Time { return now }, std: streams{err: io.Discard}, log: slog.New(slog.DiscardHandler)}
	w.check(w.join(t.Context(), s, w.db.AppURL))
	t.Cleanup(func() { w.check(w.close()) })
	w.fill()
	w.unlock()
	w.check(w.db.Super.QueryRow(t.Context(), `SELECT max(last_position) FROM ledger.seals`).Scan(&w.last))
	return w
}

func (w *sealedWorld) check(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// seal seals everything.
func (w *sealedWorld) seal() {
	w.Helper()
	_, err := w.ledger.TakeWatermark(w.Context())
	w.check(err)
	_, _, err = w.seals.SealAll(w.Context())
	w.check(err)
}

// record records n events of an account and seals them.
func (w *sealedWorld) record(account string, month time.Month, n int) {
	w.Helper()
	events := make([]ledger.Event, n)
	for i := range events {
		id := fmt.Sprintf("%s-%d-%d", account, month, i)
		a, err := ledger.ParseAmount(fmt.Sprintf("%d.25", i+1))
		w.check(err)
		events[i] = ledger.Event{
			ID: id, Source: "shop", Stream: "order-" + id[:len(id)-1], Seqn: int64(i), HasSeqn: true, Type: "line.sold", Account: account,
			OccurredAt: time.Date(2026, month, 1+i, 9, 30, 0, 1000*i, time.UTC), Currency: "EUR", Amount: a,
			Dimensions: []byte(`{"country":"FR","region":"north","weight":1.50}`),
			Measures:   []ledger.Measure{{Name: "commission", Value: a}},
		}
		if i%3 == 0 {
			events[i].Payload = []byte(`{"note":"a\u00e9","n":[1.0,2]}`)
		}
		if i%4 == 0 {
			events[i].Dimensions = []byte(`{"country":"FR","mail":"a@b.example"}`)
		}
	}
	out, err := w.ledger.Append(w.Context(), events)
	w.check(err)
	for _, o := range out {
		if o.Status != ledger.Recorded {
			w.Fatalf("%+v", o)
		}
	}
	w.seal()
}

// fill records events, bills them, voids, reconciles, freezes and erases.
func (w *sealedWorld) fill() {
	w.Helper()
	ctx := w.Context()
	for _, c := range []ledger.Column{
		{Name: "region", Kind: ledger.KindDimension, Type: "text"},
		{Name: "commission", Kind: ledger.KindMoney, Type: "numeric"},
		{Name: "mail", Kind: ledger.KindDimension, Type: "text", PII: true},
	} {
		c.Description, c.Owner, c.Describes, c.By = "d", "o", "event", maker
		_, err := w.ledger.AddColumn(ctx, c, time.Minute)
		w.check(err)
	}
	_, err := w.billing.SetTerms(ctx, []byte(`{"charges":[{"name":"fee","measure":"amount","model":"percentage","rate":"1.5"},{"name":"goods","measure":"amount","model":"sum"}]}`), maker)
	w.check(err)
	w.record("acme", time.January, 9)
	w.record("bolt", time.January, 8)
	through, err := billing.ParseDate("2026-01-31")
	w.check(err)
	closed, err := w.billing.Close(ctx, billing.CloseRequest{Through: through, By: maker})
	w.check(err)
	w.seal()
	_, err = w.exporter.FreezeClosed(ctx, closed, through, maker)
	w.check(err)
	_, err = w.billing.Issue(ctx)
	w.check(err)
	w.seal()
	page, err := w.billing.List(ctx, billing.InvoiceQuery{Limit: 2})
	w.check(err)
	for _, reference := range []string{"bank-1", "bank-2"} {
		_, err = w.billing.Pay(ctx, billing.PaymentRequest{Invoice: page.Invoices[1].ID.String(), Reference: reference, Amount: "0.01", By: maker})
		w.check(err)
	}
	_, err = w.billing.Credit(ctx, billing.CreditNoteRequest{Invoice: page.Invoices[1].ID.String(), Lines: []billing.CreditLine{{Line: 2, Amount: "0.01"}}, Reason: "broken", By: maker})
	w.check(err)
	_, err = w.billing.Void(ctx, billing.VoidRequest{Invoice: page.Invoices[0].ID.String(), Outcome: billing.Rebill, Why: "wrong", By: maker})
	w.check(err)
	_, err = w.billing.MarkSent(ctx, billing.SentRequest{Invoice: page.Invoices[1].ID.String(), Note: "by mail", By: maker})
	w.check(err)
	w.seal()
	w.decide()
	w.record("acme", time.February, 7)
	w.check(w.db.App.QueryRow(ctx, `INSERT INTO billing.terms (terms, recorded_by) SELECT terms, 'x' FROM billing.terms LIMIT 1 RETURNING n`).Scan(new(int64)))
	_, err = w.reconciler.Run(ctx, reconcile.Request{Heal: true, By: maker})
	w.check(err)
	w.record("late", time.January, 5)
	_, err = w.reconciler.Run(ctx, reconcile.Request{By: maker})
	w.check(err)
	w.record("acme", time.March, 3)
	_, err = w.ledger.Erase(ctx, ledger.EraseRequest{Source: "shop", Event: "bolt-1-0", Why: "asked", By: maker})
	w.check(err)
	w.seal()
}

// decide has people decide: on numbers, adjustments, terms of closed cycles, an account that is parked, and invoices that wait.
func (w *sealedWorld) decide() {
	w.Helper()
	ctx := w.Context()
	w.check(w.billing.SetNumberFormat(ctx, billing.InvoiceDocument, "R-{year}-{number:04}", maker))
	_, err := w.billing.AdjustClosed(ctx, []byte(`{"account":"acme","effective_from":"2026-01-01","approve_above":"50","charges":[{"name":"fee","measure":"amount","model":"percentage","rate":"2"},{"name":"goods","measure":"amount","model":"sum"}]}`), "agreed late", maker)
	w.check(err)
	_, err = w.billing.AdjustClosed(ctx, []byte(`{"charges":[{"name":"fee","measure":"amount","model":"percentage","rate":"1.75"},{"name":"goods","measure":"amount","model":"sum"}]}`), "dearer for all", maker)
	w.check(err)
	for i, outcome := range []string{"", billing.Approved, billing.Rejected} {
		r := billing.AdjustRequest{Account: "acme", Amount: fmt.Sprint(40 * (i + 1)), Currency: "EUR", Reason: "agreed", Reference: fmt.Sprint("deal-", i), By: maker}
		a, err := w.billing.Adjust(ctx, r)
		w.check(err)
		if outcome != "" {
			_, err = w.billing.Decide(ctx, billing.DecideRequest{Adjustment: a.ID.String(), Outcome: outcome, Why: "looked at", By: "ann.lee"})
			w.check(err)
		}
	}
	w.seal()
	big, err := ledger.ParseAmount("99999999999999999999999999999999999999")
	w.check(err)
	for i := range 2 { // more than a bill can say
		e := ledger.Event{ID: fmt.Sprint("huge-", i), Source: "shop", Stream: "huge", Seqn: int64(i), HasSeqn: true, Type: "line.sold", Account: "huge", OccurredAt: time.Date(2026, 2, 1, 0, 0, i, 0, time.UTC), Currency: "EUR", Amount: big}
		out, err := w.ledger.Append(ctx, []ledger.Event{e})
		w.check(err)
		if out[0].Status != ledger.Recorded {
			w.Fatalf("%+v", out[0])
		}
	}
	through, err := billing.ParseDate("2026-02-28")
	w.check(err)
	closed, err := w.billing.Close(ctx, billing.CloseRequest{Through: through, Review: true, By: maker})
	w.check(err)
	if len(closed.Failed) != 1 || closed.Invoices == 0 {
		w.Fatalf("closed: %+v", closed)
	}
	_, err = w.billing.Release(ctx, billing.ReleaseRequest{Account: "huge", Why: "to be corrected", By: maker})
	w.check(err)
	waiting, err := w.billing.List(ctx, billing.InvoiceQuery{Status: billing.Ready})
	w.check(err)
	for _, v := range waiting.Invoices {
		_, err = w.billing.Approve(ctx, billing.ApproveRequest{Invoices: []string{v.ID.String()}, By: "ann.lee"})
		w.check(err)
	}
	w.seal()
}

// unlock takes away what keeps facts from being changed, as somebody with all rights would.
func (w *sealedWorld) unlock() {
	w.Helper()
	_, err := w.db.Super.Exec(w.Context(), `DO $$
	DECLARE it record;
	BEGIN
		FOR it IN SELECT c.oid::regclass AS of FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
			WHERE n.nspname IN ('ledger', 'billing', 'reconcile', 'export') AND c.relkind IN ('r', 'p') LOOP
			EXECUTE format('ALTER TABLE %s DISABLE TRIGGER ALL', it.of);
		END LOOP;
		FOR it IN SELECT conrelid::regclass AS of, conname FROM pg_constraint k JOIN pg_namespace n ON n.oid = k.connamespace
			WHERE n.nspname IN ('ledger', 'billing', 'reconcile', 'export') AND contype IN ('c', 'f', 'u') AND conislocal AND conparentid = 0 LOOP
			IF EXISTS (SELECT FROM pg_constraint WHERE conrelid = it.of AND conname = it.conname) THEN
				EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I CASCADE', it.of, it.conname);
			END IF;
		END LOOP;
	END $$`)
	w.check(err)
}

// verify verifies what tx sees.
func (w *sealedWorld) verify(tx pgx.Tx) *ledger.Difference {
	r, err := w.seals.VerifyTx(context.Background(), tx, ledger.VerifyRequest{})
	if err != nil {
		w.Errorf("verify: %v", err)
		return nil
	}
	return r.Difference
}
