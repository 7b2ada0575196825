package billing

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"

	"deltaledger/ledger/pg"
)

// finalisations are the positions of what may finalise orders.
func (f *fixture) finalisations() []int64 {
	f.Helper()
	rows, err := f.db.App.Query(f.Context(), `SELECT f.position FROM billing.finalisations f ORDER BY f.position`)
	if err != nil {
		f.Fatal(err)
	}
	positions, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		f.Fatal(err)
	}
	return positions
}

// While what was recorded of a new finalising type is read, in steps, others close and record; what was read when the
// work was stopped isn't read again, and in the end everything is found once.
func TestFinalisingTypesAreReadInSteps(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "2026-02-05T00:00:00Z")
	var want []int64
	order := func(i int) {
		placed := f.record(f.ofOrder("acme", fmt.Sprintf("o%d", i), "order.placed", "2026-01-10T00:00:00Z", "1"),
			f.ofOrder("acme", fmt.Sprintf("o%d", i), "order.completed", "2026-01-11T00:00:00Z", "1"))
		want = append(want, placed[1])
	}
	for i := range 20 {
		order(i)
	}
	if err := f.b.DeriveAccounts(f.Context(), f.watermark()); err != nil {
		t.Fatal(err)
	}
	types := []string{"order.completed", "order.refunded"}
	if err := f.b.beginFinalising(f.Context(), types); err != nil {
		t.Fatal(err)
	}
	if done, err := f.b.buildFinalising(f.Context(), types, want[0]); err != nil || done {
		t.Fatalf("the first step: done %v, %v", done, err)
	}
	if got := f.finalisations(); !slices.Equal(got, want[:1]) {
		t.Errorf("after one step: %v, want %v", got, want[:1])
	}

	// A step under way holds nobody up who records and closes; what is recorded from the beginning on is found meanwhile.
	order(20)
	failed := fmt.Errorf("stopped")
	err := pg.InTx(f.Context(), f.db.App, func(tx pgx.Tx) error {
		if _, err := tx.Exec(f.Context(), sqlLockFinalising); err != nil {
			return err
		}
		f.record(f.event("other", "2026-01-10T00:00:00Z", "5"))
		if done := f.close("2026-01-31", "other"); done.Invoices != 1 {
			t.Errorf("a close meanwhile: %+v", done)
		}
		return failed
	})
	if err != failed { //nolint:errorlint // the very one: InTx returns what f does as it is
		t.Fatal(err)
	}
	if got, whole := f.finalisations(), []int64{want[0], want[20]}; !slices.Equal(got, whole) {
		t.Errorf("after a close meanwhile: %v, want %v", got, whole)
	}

	// Another process goes on: terms are recorded when everything is read.
	again, err := New(f.l, Options{Now: f.now})
	if err != nil {
		t.Fatal(err)
	}
	f.b = again
	stopped, stop := context.WithCancel(f.Context())
	stop()
	if _, err := f.b.SetTerms(stopped, []byte(byOrder), "tester"); err == nil {
		t.Error("terms were recorded by a call that was cancelled")
	}
	f.terms(byOrder)
	if got := f.finalisations(); !slices.Equal(got, want) {
		t.Errorf("in the end: %v, want %v", got, want)
	}
	if n := f.number(`SELECT count(*) FROM billing.finalising_types t WHERE t.type = 'order.completed' AND t.built = t.since`); n != 1 {
		t.Error("the type isn't marked as read")
	}
	if done := f.close("2026-01-31"); done.Pinned != int64(2*len(want)) {
		t.Errorf("the close of the orders: %+v", done)
	}
}
