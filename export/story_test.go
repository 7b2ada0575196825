package export_test

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"deltaledger/export"
	"deltaledger/ledger"
	"deltaledger/migrations/pgtest"
)

// desk is a ledger and its exporter, with a clock that the test sets.
type desk struct {
	db     *pgtest.DB
	ledger *ledger.Ledger
	*export.Exporter
	now time.Time
	n   int
}

func newDesk(t testing.TB) *desk {
	t.Helper()
	d := &desk{db: pgtest.New(t)}
	var err error
	if d.ledger, err = ledger.Open(t.Context(), ledger.Config{Pool: d.db.App}); err != nil {
		t.Fatal(err)
	}
	if d.Exporter, err = export.New(d.ledger, export.Options{Now: func() time.Time { return d.now }, By: "finance"}); err != nil {
		t.Fatal(err)
	}
	d.at(t, "2026-12-31T00:00:00Z")
	return d
}

func (d *desk) at(t testing.TB, now string) {
	t.Helper()
	var err error
	if d.now, err = time.Parse(time.RFC3339, now); err != nil {
		t.Fatal(err)
	}
}

// sell records a sale for each of the times at which it happened, and returns the positions.
func (d *desk) sell(t testing.TB, times ...string) []int64 {
	t.Helper()
	events := make([]ledger.Event, 0, len(times))
	for _, text := range times {
		d.n++
		at, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		events = append(events, ledger.Event{
			ID: fmt.Sprintf("e%d", d.n), Source: "shop", Stream: "order-1", Seqn: int64(d.n), HasSeqn: true, Type: "line.sold", Account: "acme",
			OccurredAt: at, Currency: "EUR", Amount: amount(t, fmt.Sprintf("%d.50", d.n)), Quantity: amount(t, "1"),
			Dimensions: []byte(`{"country":"FR","aa":1.50}`),
		})
	}
	return d.append(t, events...)
}

func (d *desk) append(t testing.TB, events ...ledger.Event) []int64 {
	t.Helper()
	out, err := d.ledger.Append(t.Context(), events)
	if err != nil {
		t.Fatal(err)
	}
	positions := make([]int64, len(out))
	for i, o := range out {
		if o.Status != ledger.Recorded {
			t.Fatalf("event %d: %s: %v", i, o.Status, o.Err)
		}
		positions[i] = o.Position
	}
	return positions
}

func amount(t testing.TB, text string) ledger.Amount {
	t.Helper()
	a, err := ledger.ParseAmount(text)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func month(t testing.TB, text string) export.Month {
	t.Helper()
	m, err := export.ParseMonth(text)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func (d *desk) freeze(t testing.TB, m string) []export.Frozen {
	t.Helper()
	done, err := d.Freeze(t.Context(), month(t, m), ledger.Watermark{}, "")
	if err != nil {
		t.Fatal(err)
	}
	return done
}

// pull gets a month's file as it is sent to a client.
func (d *desk) pull(t testing.TB, r export.FileRequest) (string, export.Manifest) {
	t.Helper()
	f, err := d.File(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	m, err := f.Write(t.Context(), &b)
	if err != nil {
		t.Fatal(err)
	}
	if m.File != f.Name || m.Rows != f.Rows {
		t.Fatalf("the manifest says %s, %d rows; the file %s, %d rows", m.File, m.Rows, f.Name, f.Rows)
	}
	return b.String(), m
}

func (d *desk) frozen(t testing.TB, m string) (string, export.Manifest) {
	t.Helper()
	return d.pull(t, export.FileRequest{Month: month(t, m)})
}

// column reads one column of a file.
func column(t testing.TB, file, name string) []string {
	t.Helper()
	lines, err := csv.NewReader(strings.NewReader(file)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	at := slices.Index(lines[0], name)
	if at < 0 {
		t.Fatalf("no column %s in %v", name, lines[0])
	}
	var cells []string
	for _, l := range lines[1:] {
		cells = append(cells, l[at])
	}
	return cells
}

func want[T comparable](t testing.TB, what string, got, want []T) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// TestDecemberPulledOnJanuary1AndJanuary5 is the story that frozen months are for: the file that finance pulls
// on January 5 is not the one of January 1, and nobody is left to wonder why.
func TestDecemberPulledOnJanuary1AndJanuary5(t *testing.T) {
	t.Parallel()
	ctx, d := t.Context(), newDesk(t)
	dec := month(t, "2025-12")
	d.sell(t, "2025-12-01T10:00:00Z", "2025-12-31T23:59:59Z", "2026-01-01T00:00:00Z")

	d.at(t, "2026-01-01T09:00:00Z")
	_, err := d.File(ctx, export.FileRequest{Month: dec})
	var early *export.NotFrozenError
	if !errors.As(err, &early) || !errors.Is(err, ledger.ErrConflict) || early.Available.Format(time.RFC3339) != "2026-01-03T00:00:00Z" {
		t.Fatalf("frozen file on January 1: %v", err)
	}
	if _, err := d.Freeze(ctx, dec, ledger.Watermark{}, ""); !errors.As(err, &early) {
		t.Fatalf("freeze on January 1: %v", err)
	}
	if done, err := d.FreezeThrough(ctx, ledger.Watermark{}, export.Month{}, "nightly"); err != nil || len(done) != 0 {
		t.Fatalf("nightly freeze on January 1: %v, %v", done, err)
	}
	open, first := d.pull(t, export.FileRequest{Month: dec, Mode: export.ModeOpen})
	want(t, "open file", column(t, open, "event_id"), []string{"e1", "e2"})
	if w := fmt.Sprint(first.Watermark); first.Frozen || first.File != "events-2025-12.open-W"+w+".csv" {
		t.Fatalf("open file: %+v", first)
	}

	d.sell(t, "2025-12-20T10:00:00Z", "2025-12-24T10:00:00Z", "2026-01-02T00:00:00Z") // late, between the pulls

	d.at(t, "2026-01-05T09:00:00Z")
	done, err := d.FreezeThrough(ctx, ledger.Watermark{}, export.Month{}, "nightly")
	if err != nil || len(done) != 1 || done[0].Month != dec || done[0].By != "nightly" || done[0].Rows != 4 {
		t.Fatalf("nightly freeze on January 5: %+v, %v", done, err)
	}
	file, second := d.frozen(t, "2025-12")
	want(t, "frozen file", column(t, file, "event_id"), []string{"e1", "e2", "e4", "e5"})
	if second.File != "events-2025-12.csv" || !second.Frozen || second.LateRows != 0 || second.Sums["EUR"]["amount"] != "14" || second.Quantity != "4" {
		t.Fatalf("frozen file: %+v", second)
	}

	d.sell(t, "2025-12-31T10:00:00Z", "2026-01-31T00:00:00Z") // e7 comes after the freeze
	again, third := d.frozen(t, "2025-12")
	if again != file || third.SHA256 != second.SHA256 || len(third.EarlierPulls) != 1 || third.EarlierPulls[0].SHA256 != second.SHA256 {
		t.Errorf("the frozen file changed: %+v", third)
	}
	asOf := export.FileRequest{Month: dec, Mode: export.ModeOpen, AsOf: fmt.Sprint(first.Watermark)}
	if same, m := d.pull(t, asOf); same != open || m.File != first.File || m.SHA256 != first.SHA256 {
		t.Errorf("the open file of January 1 can't be had again: %+v", m)
	}

	log, err := d.Pulls(ctx, dec)
	if err != nil || len(log) != 4 || log[3].Name != first.File || log[0].By != "finance" || log[0].SHA256 != first.SHA256 {
		t.Errorf("log of pulls: %+v, %v", log, err)
	}

	from, to := keep(t, first), keep(t, second)
	diff, err := d.Diff(ctx, from, to)
	if err != nil || diff.Added != 2 || diff.Removed != 0 || diff.Sums["EUR"]["amount"] != "10" {
		t.Fatalf("diff of the two files: %+v, %v", diff, err)
	}
	for i, id := range []string{"e4", "e5"} {
		if r := diff.Rows[i]; r.EventID != id || r.BookedMonth != dec || r.Change != export.Added {
			t.Errorf("diff row %d: %+v", i, r)
		}
	}

	d.at(t, "2026-02-10T00:00:00Z")
	d.freeze(t, "2026-01")
	january, m := d.frozen(t, "2026-01")
	want(t, "January", column(t, january, "event_id"), []string{"e3", "e6", "e7", "e8"})
	want(t, "January's late rows", column(t, january, "late_from"), []string{"", "", "2025-12", ""})
	want(t, "January's months", column(t, january, "booked_month"), []string{"2026-01", "2026-01", "2026-01", "2026-01"})
	if m.LateRows != 1 || m.PreviousMonth != dec || m.PreviousWatermark != second.Watermark {
		t.Errorf("January: %+v", m)
	}
	if again, _ := d.frozen(t, "2025-12"); again != file {
		t.Error("December's file changed when January was frozen")
	}
}

// keep writes a manifest to disk and returns its path.
func keep(t testing.TB, m export.Manifest) string {
	t.Helper()
	text, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return write(t, t.TempDir(), strings.TrimSuffix(m.File, ".csv")+".manifest.json", text)
}
