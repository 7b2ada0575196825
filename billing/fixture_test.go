package billing

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/shopspring/decimal"

	"deltaledger/ledger"
	"deltaledger/migrations/pgtest"
)

// fixture is a ledger of its own with its billing, and a clock that the test sets.
type fixture struct {
	testing.TB
	db    *pgtest.DB
	l     *ledger.Ledger
	b     *Billing
	clock atomic.Pointer[time.Time]
	next  atomic.Int64
}

func newFixture(t testing.TB, now string) *fixture {
	t.Helper()
	f := &fixture{TB: t, db: pgtest.New(t)}
	f.at(now)
	l, err := ledger.Open(t.Context(), ledger.Config{Pool: f.db.App, Now: f.now})
	if err != nil {
		t.Fatal(err)
	}
	f.l = l
	for _, source := range []string{"orders", "a", "a/b"} {
		if err := l.DeclareSource(t.Context(), ledger.Source{Name: source, Numbering: ledger.NumberingNone, By: "tester"}); err != nil {
			t.Fatal(err)
		}
	}
	if f.b, err = New(l, Options{Now: f.now}); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *fixture) now() time.Time { return *f.clock.Load() }

// at sets the clock.
func (f *fixture) at(now string) {
	f.Helper()
	t := mustTime(f, now)
	f.clock.Store(&t)
}

// event is one of an account, on 2026 dates as the tests write them.
func (f *fixture) event(account, at, amount string) ledger.Event {
	f.Helper()
	a, err := ledger.ParseAmount(amount)
	if err != nil {
		f.Fatal(err)
	}
	return ledger.Event{
		ID: fmt.Sprintf("e%d", f.next.Add(1)), Source: "orders", Type: "order.placed", Account: account,
		OccurredAt: mustTime(f, at).UTC(), Currency: "USD", Amount: a,
	}
}

// record records events and returns their positions.
func (f *fixture) record(events ...ledger.Event) []int64 {
	f.Helper()
	outcomes, err := f.l.Append(context.Background(), events)
	if err != nil {
		f.Fatal(err)
	}
	positions := make([]int64, len(outcomes))
	for i, o := range outcomes {
		if o.Status != ledger.Recorded {
			f.Fatalf("event %d: %s %v", i, o.Status, o.Err)
		}
		positions[i] = o.Position
	}
	return positions
}

// terms records terms.
func (f *fixture) terms(raw string) Terms {
	f.Helper()
	v, err := f.b.SetTerms(f.Context(), []byte(raw), "tester")
	if err != nil {
		f.Fatal(err)
	}
	return v
}

// close closes all accounts, or one, and fails the test if any couldn't be.
func (f *fixture) close(through string, account ...string) CloseResult {
	f.Helper()
	r := CloseRequest{Through: mustDate(f, through), By: "tester"}
	if len(account) > 0 {
		r.Account = account[0]
	}
	done, err := f.b.Close(f.Context(), r)
	if err != nil {
		f.Fatal(err)
	}
	if len(done.Failed) > 0 {
		f.Fatalf("close through %s failed: %+v", through, done.Failed)
	}
	return done
}

// invoices are the invoices of an account with their lines, oldest first.
func (f *fixture) invoices(account string) []Invoice {
	f.Helper()
	p, err := f.b.List(f.Context(), InvoiceQuery{Account: account, Limit: 1000})
	if err != nil {
		f.Fatal(err)
	}
	all := make([]Invoice, len(p.Invoices))
	for i, v := range p.Invoices {
		if all[len(all)-1-i], err = f.b.Show(f.Context(), v.ID.String()); err != nil {
			f.Fatal(err)
		}
	}
	return all
}

// events are the positions that an invoice pins.
func (f *fixture) events(id uuid.UUID) []int64 {
	f.Helper()
	var positions []int64
	err := f.b.Events(f.Context(), id.String(), func(e PinnedEvent) error {
		positions = append(positions, e.Position)
		return nil
	})
	if err != nil {
		f.Fatal(err)
	}
	return positions
}

// watermark takes one.
func (f *fixture) watermark() ledger.Watermark {
	f.Helper()
	w, err := f.l.TakeWatermark(f.Context())
	if err != nil {
		f.Fatal(err)
	}
	return w
}

// number reads one number from the database.
func (f *fixture) number(sql string, args ...any) int64 {
	f.Helper()
	var n int64
	if err := f.db.App.QueryRow(f.Context(), sql, args...).Scan(&n); err != nil {
		f.Fatalf("%s: %v", sql, err)
	}
	return n
}

func (f *fixture) sameMoney(what string, got decimal.Decimal, want string) {
	f.Helper()
	if !got.Equal(dec(want)) {
		f.Errorf("%s: got %s, want %s", what, got, want)
	}
}
