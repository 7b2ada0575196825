package export_test

import (
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"deltaledger/billing"
	"deltaledger/export"
	"deltaledger/ledger"
)

func list(t testing.TB, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func (d *desk) watermark(t testing.TB) string {
	t.Helper()
	w, err := d.ledger.TakeWatermark(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(w.Position)
}

func TestDiffOfWatermarksNamesInvoicesAndFiles(t *testing.T) {
	t.Parallel()
	ctx, d := t.Context(), newDesk(t)
	d.sell(t, "2025-12-01T00:00:00Z")
	from := d.watermark(t)
	d.sell(t, "2025-12-02T00:00:00Z", "2026-01-02T00:00:00Z", "2025-12-03T00:00:00Z")
	d.freeze(t, "2025-12")
	d.at(t, "2026-01-20T00:00:00Z")
	b, err := billing.New(d.ledger, billing.Options{Now: func() time.Time { return d.now }})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.SetTerms(ctx, []byte(`{"charges":[{"name":"sales","measure":"amount","model":"sum"}]}`), "test"); err != nil {
		t.Fatal(err)
	}
	if r, err := b.Close(ctx, billing.CloseRequest{Through: billing.Date{Year: 2025, Month: time.December, Day: 31}, By: "test"}); err != nil || r.Pinned != 3 {
		t.Fatalf("close: %+v, %v", r, err)
	}
	diff, err := d.Diff(ctx, from, "")
	if err != nil || diff.Added != 3 || diff.Truncated || diff.Sums["EUR"]["quantity"] != "3" {
		t.Fatalf("%+v, %v", diff, err)
	}
	type row struct {
		id, booked, series string
		number             int64
		invoiced           bool
	}
	var got []row
	for _, r := range diff.Rows {
		got = append(got, row{r.EventID, r.BookedMonth.String(), r.Series, r.Number, r.Invoice.Valid})
	}
	want(t, "rows", got, []row{{"e2", "2025-12", "INV", 1, true}, {"e3", "", "", 0, false}, {"e4", "2025-12", "INV", 1, true}})
	if _, err := b.Void(ctx, billing.VoidRequest{Invoice: "INV-000001", Outcome: billing.WriteOff, Why: "test", By: "test"}); err != nil {
		t.Fatal(err)
	}
	if after, err := d.Diff(ctx, from, ""); err != nil || after.Added != 3 || after.Rows[0].Invoice.Valid {
		t.Errorf("after the invoice was voided: %+v, %v", after, err)
	}
	if none, err := d.Diff(ctx, from, from); err != nil || none.Added != 0 {
		t.Errorf("nothing between a watermark and itself: %+v, %v", none, err)
	}
	if _, err := d.Diff(ctx, "", from); !errors.Is(err, ledger.ErrInvalid) {
		t.Errorf("backwards: %v", err)
	}
	if _, err := d.Diff(ctx, from, "x.manifest.json"); !errors.Is(err, ledger.ErrInvalid) {
		t.Errorf("mixed: %v", err)
	}
	if _, err := d.Diff(ctx, "none.json", "none.json"); !errors.Is(err, ledger.ErrNotFound) {
		t.Errorf("no manifest: %v", err)
	}
}

// What an open file held and the frozen one doesn't is named too: late rows that another month took.
func TestDiffNamesWhatWentToAnotherFile(t *testing.T) {
	t.Parallel()
	ctx, d := t.Context(), newDesk(t)
	d.sell(t, "2025-11-01T00:00:00Z")
	d.freeze(t, "2025-11")
	d.sell(t, "2026-01-10T00:00:00Z", "2025-11-02T00:00:00Z")
	file, open := d.pull(t, export.FileRequest{Month: month(t, "2026-01"), Mode: export.ModeOpen})
	want(t, "open January", column(t, file, "event_id"), []string{"e2", "e3"})
	d.sell(t, "2025-12-10T00:00:00Z", "2026-01-11T00:00:00Z")
	d.freeze(t, "2026-01")
	_, frozen := d.frozen(t, "2026-01")
	diff, err := d.Diff(ctx, keep(t, open), keep(t, frozen))
	if err != nil || diff.Added != 1 || diff.Removed != 1 || diff.Month != month(t, "2026-01") {
		t.Fatalf("%+v, %v", diff, err)
	}
	if r := diff.Rows[0]; r.EventID != "e3" || r.Change != export.Removed || r.BookedMonth != month(t, "2025-12") {
		t.Errorf("%+v", r)
	}
	if r := diff.Rows[1]; r.EventID != "e5" || r.Change != export.Added {
		t.Errorf("%+v", r)
	}
	_, december := d.frozen(t, "2025-12")
	if _, err := d.Diff(ctx, keep(t, december), keep(t, frozen)); !errors.Is(err, ledger.ErrInvalid) {
		t.Errorf("other months: %v", err)
	}
}
