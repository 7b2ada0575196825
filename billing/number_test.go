package billing

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"deltaledger/ledger"
)

// numbers are the printed numbers of a kind, in the order in which they were given out.
func (f *fixture) numbers(table string) []string {
	f.Helper()
	rows, err := f.db.App.Query(f.Context(), "SELECT printed FROM "+table+" ORDER BY position")
	if err != nil {
		f.Fatal(err)
	}
	defer rows.Close()
	var all []string
	for rows.Next() {
		var text string
		if err := rows.Scan(&text); err != nil {
			f.Fatal(err)
		}
		all = append(all, text)
	}
	if err := rows.Err(); err != nil {
		f.Fatal(err)
	}
	return all
}

func TestNumberFormatsOverTime(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "2026-03-10T00:00:00Z")
	year := time.Now().UTC().Format("2006") // numbers go by the clock of the database
	bill := func(through string, accounts ...string) {
		for _, account := range accounts {
			f.record(f.event(account, through+"T12:00:00Z", "1"))
		}
		f.close(through)
	}
	set := func(kind DocumentKind, format string) {
		t.Helper()
		if err := f.b.SetNumberFormat(t.Context(), kind, format, "tester"); err != nil {
			t.Fatal(err)
		}
	}
	bill("2026-01-31", "a", "b")
	set(InvoiceDocument, "INV-{year}-{number:04}")
	set(InvoiceDocument, "INV-{year}-{number:04}")
	set(CreditNoteDocument, "C{number:02}.{year}")
	bill("2026-02-28", "a", "b")
	if _, err := f.b.Credit(t.Context(), CreditNoteRequest{Invoice: "INV-000001", Reason: "x", By: "tester"}); err != nil {
		t.Fatal(err)
	}
	set(InvoiceDocument, "INV-{number:06}") // goes on where it ended
	f.void("inv-"+year+"-0002", Rebill)
	want := []string{"INV-000001", "INV-000002", "INV-" + year + "-0001", "INV-" + year + "-0002", "INV-000003"}
	if got := f.numbers("billing.invoice_numbers"); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("invoices: %v, want %v", got, want)
	}
	if got := f.numbers("billing.credit_note_numbers"); fmt.Sprint(got) != fmt.Sprint([]string{"C01." + year}) {
		t.Errorf("credit notes: %v", got)
	}
	all, err := f.b.Numberings(t.Context())
	if err != nil || len(all) != 2 || all[0].Next != "INV-000004" || all[0].Issued != 3 || all[1].Next != "C02."+year || all[1].Series != "C-"+year || all[1].SetBy != "tester" {
		t.Errorf("numberings: %+v %v", all, err)
	}
	if n := f.number("SELECT count(*) FROM billing.number_formats"); n != 3 {
		t.Errorf("%d formats are recorded", n)
	}
	for _, c := range []struct {
		kind   DocumentKind
		format string
		want   error
	}{
		{InvoiceDocument, "INV", ledger.ErrInvalid},
		{"letter", "L-{number}", ledger.ErrInvalid},
		{InvoiceDocument, "INV-{number}-{year}", ledger.ErrConflict},
		{CreditNoteDocument, "INV-{number}", ledger.ErrConflict},
		{InvoiceDocument, "CN-{number}", ledger.ErrConflict},
	} {
		if err := f.b.SetNumberFormat(t.Context(), c.kind, c.format, "tester"); !errors.Is(err, c.want) {
			t.Errorf("%s %s: %v, want %v", c.kind, c.format, err, c.want)
		}
	}
	f.checkLaws()
}

// Many issuers at once, some of them stopped in the middle, while the format changes, leave no gap and give no
// document two numbers.
func TestIssuersAtTheSameTime(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "2026-02-03T00:00:00Z")
	var events []ledger.Event
	for i := range 40 {
		events = append(events, f.event(fmt.Sprintf("a%d", i), "2026-01-10T00:00:00Z", "1"))
	}
	f.record(events...)
	f.closeAt(f.watermark(), "2026-01-31") // which issues nothing
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			ctx := f.Context()
			if i%2 == 1 { // killed at some moment
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, time.Duration(i)*3*time.Millisecond)
				defer cancel()
			}
			if i == 4 {
				if err := f.b.SetNumberFormat(ctx, InvoiceDocument, "R-{number:03}", "tester"); err != nil {
					t.Error(err)
				}
			}
			if _, err := f.b.Issue(ctx); err != nil && i%2 == 0 {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if _, err := f.b.Issue(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := f.number("SELECT count(*) FROM billing.invoice_numbers"); n != 40 {
		t.Errorf("%d numbers", n)
	}
	if n := f.number(`SELECT COALESCE(sum(gap), 0)::bigint FROM (SELECT max(number) - count(*) AS gap FROM billing.invoice_numbers GROUP BY series) s`); n != 0 {
		t.Errorf("%d numbers are missing", n)
	}
	f.checkLaws()
}
