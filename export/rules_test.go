package export_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"deltaledger/export"
	"deltaledger/ledger"
)

func TestMonthsWithoutEvents(t *testing.T) {
	t.Parallel()
	ctx, d := t.Context(), newDesk(t)
	var nothing *export.NothingError
	if _, err := d.Freeze(ctx, month(t, "2025-12"), ledger.Watermark{}, ""); !errors.As(err, &nothing) || !errors.Is(err, ledger.ErrConflict) {
		t.Fatalf("an empty ledger: %v", err)
	}
	d.sell(t, "2025-09-10T00:00:00Z", "2025-11-10T00:00:00Z")
	if _, err := d.Freeze(ctx, month(t, "2025-12"), ledger.Watermark{}, ""); !errors.As(err, &nothing) || len(nothing.Earlier) != 2 {
		t.Fatalf("a month without events: %v", err)
	}
	done := d.freeze(t, "2025-11")
	if len(done) != 2 || done[0].Month != month(t, "2025-09") || done[1].Month != month(t, "2025-11") || done[0].Watermark != done[1].Watermark {
		t.Fatalf("freezing November freezes September first: %+v", done)
	}
	if again := d.freeze(t, "2025-09"); len(again) != 1 || again[0].Position != done[0].Position {
		t.Errorf("freezing September again: %+v", again)
	}

	var none *export.NoFileError
	if _, err := d.File(ctx, export.FileRequest{Month: month(t, "2025-10")}); !errors.As(err, &none) || len(none.In) != 0 || none.Next {
		t.Fatalf("October was passed over: %v", err)
	}
	d.sell(t, "2025-10-10T00:00:00Z")
	if _, err := d.Freeze(ctx, month(t, "2025-10"), ledger.Watermark{}, ""); !errors.As(err, &none) || !none.Next || none.Passed != month(t, "2025-11") {
		t.Fatalf("an event for October waits: %v", err)
	}
	if done, err := d.FreezeThrough(ctx, ledger.Watermark{}, export.Month{}, ""); err != nil || len(done) != 0 {
		t.Errorf("late events alone make no month due: %+v, %v", done, err)
	}
	d.freeze(t, "2025-12") // by name, it takes what waits
	file, m := d.frozen(t, "2025-12")
	want(t, "December", column(t, file, "late_from"), []string{"2025-10"})
	if m.LateRows != 1 {
		t.Errorf("December: %+v", m)
	}
	d.sell(t, "2026-01-10T00:00:00Z")
	d.freeze(t, "2026-01")
	_, err := d.File(ctx, export.FileRequest{Month: month(t, "2025-10"), Mode: export.ModeOpen})
	if !errors.As(err, &none) || len(none.In) != 1 || none.In[0] != month(t, "2025-12") || !strings.Contains(err.Error(), "2025-12") {
		t.Errorf("October's event is in December's file: %v", err)
	}
}

func TestOpenFiles(t *testing.T) {
	t.Parallel()
	ctx, d := t.Context(), newDesk(t)
	empty, m := d.pull(t, export.FileRequest{Month: month(t, "2026-05"), Mode: export.ModeOpen})
	if m.Rows != 0 || strings.Count(empty, "\n") != 1 || m.Quantity != "0" {
		t.Errorf("an open file without events: %q", empty)
	}
	p := d.sell(t, "2025-11-10T00:00:00Z", "2025-12-10T00:00:00Z")
	open, _ := d.pull(t, export.FileRequest{Month: month(t, "2025-12"), Mode: export.ModeOpen})
	want(t, "with November unfrozen", column(t, open, "event_id"), []string{"e2"})
	open, _ = d.pull(t, export.FileRequest{Month: month(t, "2025-12"), Mode: export.ModeOpen, AsOf: fmt.Sprint(p[0])})
	want(t, "before the first event", column(t, open, "event_id"), []string(nil))
	frozen := d.freeze(t, "2025-12")
	file, _ := d.frozen(t, "2025-12")
	if now, m := d.pull(t, export.FileRequest{Month: month(t, "2025-12"), Mode: export.ModeOpen}); now != file || !m.Frozen {
		t.Error("the open file of a frozen month isn't the frozen one")
	}
	then := export.FileRequest{Month: month(t, "2025-12"), Mode: export.ModeOpen, AsOf: fmt.Sprint(frozen[0].Watermark)}
	if _, m := d.pull(t, then); m.Frozen {
		t.Error("as of the watermark, before the freeze, the file was open")
	}
	for _, bad := range []export.FileRequest{
		{Month: month(t, "2025-12"), AsOf: "1"},
		{Month: export.Month{}},
		{Month: month(t, "2025-12"), Mode: export.ModeOpen, AsOf: "999999"},
		{Month: month(t, "2025-12"), Mode: export.ModeOpen, AsOf: "yesterday"},
	} {
		if _, err := d.File(ctx, bad); !errors.Is(err, ledger.ErrInvalid) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

func TestWatermarksNeverGoBack(t *testing.T) {
	t.Parallel()
	ctx, d := t.Context(), newDesk(t)
	d.sell(t, "2025-11-10T00:00:00Z", "2025-12-10T00:00:00Z")
	old, err := d.ledger.TakeWatermark(ctx)
	if err != nil {
		t.Fatal(err)
	}
	d.sell(t, "2025-11-11T00:00:00Z", "2025-12-11T00:00:00Z")
	november := d.freeze(t, "2025-11")
	december, err := d.Freeze(ctx, month(t, "2025-12"), old, "close")
	if err != nil || december[0].Watermark != november[0].Watermark || december[0].Rows != 2 {
		t.Errorf("an older watermark: %+v, %v", december, err)
	}
	future := ledger.Watermark{N: 1, Position: 1 << 40, TakenAt: time.Now()}
	if _, err := d.Freeze(ctx, month(t, "2026-01"), future, ""); !errors.Is(err, ledger.ErrInvalid) {
		t.Errorf("a watermark that nobody took: %v", err)
	}
}

func TestGraceIsMeasuredWhenTheWatermarkIsTaken(t *testing.T) {
	t.Parallel()
	ctx, d := t.Context(), newDesk(t)
	e, err := export.New(d.ledger, export.Options{}) // by the database's clock
	if err != nil {
		t.Fatal(err)
	}
	d.sell(t, "2025-12-10T00:00:00Z")
	w, err := d.ledger.TakeWatermark(ctx)
	if err != nil {
		t.Fatal(err)
	}
	w.TakenAt = time.Date(2026, 1, 2, 23, 59, 59, 0, time.UTC)
	var early *export.NotFrozenError
	if _, err := e.Freeze(ctx, month(t, "2025-12"), w, ""); !errors.As(err, &early) || !early.Now.Equal(w.TakenAt) {
		t.Errorf("a watermark from before the end of the grace: %v", err)
	}
	if done, err := e.Freeze(ctx, month(t, "2025-12"), ledger.Watermark{}, ""); err != nil || done[0].By != "deltaledger" {
		t.Errorf("a watermark of now: %+v, %v", done, err)
	}
}

func TestFreezesAtOnce(t *testing.T) {
	t.Parallel()
	ctx, d := t.Context(), newDesk(t)
	d.sell(t, "2025-09-10T00:00:00Z", "2025-10-10T00:00:00Z", "2025-11-10T00:00:00Z", "2025-12-10T00:00:00Z")
	var all sync.WaitGroup
	for i := range 12 {
		all.Go(func() {
			m := month(t, []string{"2025-12", "2025-11", "2025-10", "2025-09"}[i%4])
			if done, err := d.Freeze(ctx, m, ledger.Watermark{}, ""); err != nil || done[len(done)-1].Month != m {
				t.Errorf("freeze %s: %+v, %v", m, done, err)
			}
		})
	}
	all.Wait()
	freezes, err := d.Freezes(ctx)
	if err != nil || len(freezes) != 4 {
		t.Fatalf("freezes: %+v, %v", freezes, err)
	}
	for i, f := range freezes {
		if f.Rows != 1 || i > 0 && (f.Previous != freezes[i-1].Month || f.PreviousWatermark != freezes[i-1].Watermark) {
			t.Errorf("freeze %d: %+v", i, f)
		}
	}
}

func TestDeclaredColumns(t *testing.T) {
	t.Parallel()
	ctx, d := t.Context(), newDesk(t)
	d.sell(t, "2025-11-10T00:00:00Z", "2025-12-10T00:00:00Z")
	d.freeze(t, "2025-11")
	frozen, _ := d.frozen(t, "2025-11")
	openRequest := export.FileRequest{Month: month(t, "2025-12"), Mode: export.ModeOpen}
	open, m := d.pull(t, openRequest)
	const declare = `
		ALTER TABLE ledger.events ADD COLUMN commission numeric, ADD COLUMN partner text, ADD COLUMN ssn text;
		ALTER TABLE archive.events ADD COLUMN commission numeric, ADD COLUMN partner text, ADD COLUMN ssn text;
		SELECT ledger.show_every_event();
		INSERT INTO ledger.columns (name, kind, type, description, owner, pii) VALUES
			('partner', 'dimension', 'text', '-', '-', false), ('commission', 'money', 'numeric', '-', '-', false),
			('ssn', 'dimension', 'text', '-', '-', true);
		INSERT INTO ledger.events (position, recorded_at, occurred_at, business_date, source, event_id, type, account, currency, kind, commission, partner)
		SELECT positions[1], recorded_at, '2025-12-24 10:00:00Z', '2025-12-24', 's', 'x', 't', '=cmd', 'USD', 'upstream', -1.250, '-7' FROM ledger.draw(1)`
	if _, err := d.db.Super.Exec(ctx, declare); err != nil {
		t.Fatal(err)
	}
	if again, _ := d.frozen(t, "2025-11"); again != frozen {
		t.Error("a new column changed a frozen file")
	}
	openRequest.AsOf = fmt.Sprint(m.Watermark)
	if again, _ := d.pull(t, openRequest); again != open {
		t.Error("a new column changed the open file of an old watermark")
	}
	d.freeze(t, "2025-12")
	file, m := d.frozen(t, "2025-12")
	want(t, "commission", column(t, file, "commission"), []string{"", "-1.25"})
	want(t, "partner", column(t, file, "partner"), []string{"", "'-7"})
	want(t, "account", column(t, file, "account"), []string{"acme", "'=cmd"})
	if m.Sums["USD"]["commission"] != "-1.25" || strings.Contains(file, "ssn") {
		t.Errorf("manifest: %+v", m)
	}
	path, _, err := d.ToDir(ctx, export.FileRequest{Month: month(t, "2025-12")}, t.TempDir(), export.DirOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := export.Check(ctx, path); err != nil {
		t.Error(err)
	}
}

// A file has the columns that were declared before its freeze, filled for events from before the declaration too; a
// file frozen before stays byte for byte what it was.
func TestFilesOfDeclaredDimensions(t *testing.T) {
	t.Parallel()
	ctx, d := t.Context(), newDesk(t)
	add := func(id, day, dimensions string) {
		t.Helper()
		at, err := time.Parse(time.DateOnly, day)
		if err != nil {
			t.Fatal(err)
		}
		out, err := d.ledger.Append(ctx, []ledger.Event{{
			ID: id, Source: "shop", Stream: "s" + id, Seqn: 1, HasSeqn: true, Type: "sold", Account: "acme", Currency: "USD", OccurredAt: at, Dimensions: []byte(dimensions),
		}})
		if err != nil || out[0].Status != ledger.Recorded {
			t.Fatalf("%+v, %v", out, err)
		}
	}
	add("1", "2025-11-10", `{"level":-7}`)
	d.freeze(t, "2025-11")
	before, manifest := d.frozen(t, "2025-11")
	add("2", "2025-12-10", `{"level":"-7","paid_on":"2025-12-01","partner":"=p"}`)
	add("3", "2025-12-10", `{"level":"seven","paid_on":"2025-02-30","partner":5}`)
	for name, kind := range map[string]string{"level": "int", "paid_on": "date", "partner": "text"} {
		if _, err := d.ledger.AddColumn(ctx, ledger.Column{Name: name, Kind: "dimension", Type: kind, Description: "d", Owner: "o", By: "b"}, 0); err != nil {
			t.Fatal(err)
		}
	}
	add("4", "2025-12-10", `{"level":-7,"paid_on":"2025-12-01","partner":"=p"}`)
	d.freeze(t, "2025-12")
	file, later := d.frozen(t, "2025-12")
	want(t, "level", column(t, file, "level"), []string{"-7", "", "-7"})
	want(t, "paid_on", column(t, file, "paid_on"), []string{"2025-12-01", "", "2025-12-01"})
	want(t, "partner", column(t, file, "partner"), []string{"'=p", "5", "'=p"})
	want(t, "dimensions", column(t, file, "dimensions"), []string{`{"level":"-7","paid_on":"2025-12-01","partner":"=p"}`, `{"level":"seven","paid_on":"2025-02-30","partner":5}`, ""})
	if again, m := d.frozen(t, "2025-11"); again != before || len(m.Columns) != len(manifest.Columns) || len(later.Columns) != len(m.Columns)+3 {
		t.Errorf("a declaration changed a frozen file, or isn't in the next one: %v, %v", m.Columns, later.Columns)
	}
}

func TestEventsOfSeveralPartitionsComeInOrder(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	const add = `
		INSERT INTO ledger.events (position, recorded_at, occurred_at, business_date, source, event_id, type, account, currency, kind)
		SELECT p, recorded_at + (p % 4) * interval '1 month', '2025-12-24 10:00:00Z', '2025-12-24', 's', p::text, 't', 'a', 'USD', 'upstream'
		FROM ledger.draw(2000), unnest(positions) p`
	if _, err := d.db.App.Exec(t.Context(), add); err != nil {
		t.Fatal(err)
	}
	d.freeze(t, "2025-12")
	file, m := d.frozen(t, "2025-12") // the encoder refuses positions out of order
	if m.Rows != 2000 || len(column(t, file, "position")) != 2000 {
		t.Errorf("%d rows", m.Rows)
	}
}
