package archive_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"gocloud.dev/blob"
	"gocloud.dev/blob/fileblob"

	"deltaledger/billing"
	"deltaledger/export"
	"deltaledger/export/archive"
	"deltaledger/ledger"
	"deltaledger/migrations/pgtest"
)

// world is a ledger with old months.
type world struct {
	testing.TB
	db    *pgtest.DB
	l     *ledger.Ledger
	b     *billing.Billing
	e     *export.Exporter
	seals *ledger.Seals
	a     *archive.Archiver
	dir   string
	old   export.Month // the month that the tests archive
	told  []string
	n     int
	r     *rand.Rand
}

const by = "tester"

// newWorld is a ledger whose clock stands at the beginning of a month that is over, back months ago.
func newWorld(t testing.TB, back int) *world {
	t.Helper()
	w := &world{TB: t, db: pgtest.New(t), dir: t.TempDir(), r: rand.New(rand.NewPCG(1, 2))}
	now := time.Now().UTC()
	first := time.Date(now.Year(), now.Month()-time.Month(back), 1, 0, 0, 0, 0, time.UTC)
	w.old = export.MonthOf(first)
	pgtest.At(t, w.db.Super, first)
	var err error
	if w.l, err = ledger.Open(t.Context(), ledger.Config{Pool: w.db.App}); err != nil {
		t.Fatal(err)
	}
	if w.b, err = billing.New(w.l, billing.Options{}); err != nil {
		t.Fatal(err)
	}
	if w.e, err = export.New(w.l, export.Options{}); err != nil {
		t.Fatal(err)
	}
	if w.seals, err = ledger.NewSeals(w.l, append(billing.Facts(), export.Facts()...)...); err != nil {
		t.Fatal(err)
	}
	w.a = w.archiver(archive.Options{})
	w.must(w.l.DeclareSource(t.Context(), ledger.Source{Name: "shop", Numbering: ledger.NumberingStream, By: by}))
	w.must(w.l.DeclareSource(t.Context(), ledger.Source{Name: "loose", Numbering: ledger.NumberingNone, By: by}))
	w.must(w.l.DeclareSource(t.Context(), ledger.Source{Name: "orders", Numbering: ledger.NumberingStream, States: true, By: by}))
	return w
}

func (w *world) archiver(o archive.Options) *archive.Archiver {
	w.Helper()
	o.Tell = func(s string) { w.told = append(w.told, s) }
	a, err := archive.New(w.l, w.seals, w.b, o)
	w.must(err)
	return a
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) first() time.Time { return time.Date(w.old.Year, w.old.Month, 1, 0, 0, 0, 0, time.UTC) }

// at sets the clock to some days after the beginning of the old month.
func (w *world) at(days int) { w.Helper(); pgtest.At(w.TB, w.db.Super, w.first().AddDate(0, 0, days)) }

// now sets it back to the present.
func (w *world) now() { w.Helper(); pgtest.At(w.TB, w.db.Super, time.Now()) }

func amount(text string) ledger.Amount {
	a, err := ledger.ParseAmount(text)
	if err != nil {
		panic(err)
	}
	return a
}

// event is one of the shop's, different from each other in all that a column can hold.
func (w *world) event() ledger.Event {
	w.n++
	pick := func(of ...string) string { return of[w.r.IntN(len(of))] }
	e := ledger.Event{
		ID: fmt.Sprintf("e%d", w.n), Source: "shop", Stream: fmt.Sprintf("o%d", w.n%7), Seqn: int64(w.n), HasSeqn: w.n%5 > 0, Type: pick("sold", "returned", "Ärger"),
		Account: pick("acme", "b", "Zeta"), Currency: pick("EUR", "USD", "JPY"), OccurredAt: w.first().Add(time.Duration(w.n) * time.Minute).Add(time.Duration(w.r.IntN(1e6)) * time.Microsecond),
	}
	if w.n%9 > 0 {
		e.Amount = amount(pick("12.50", "-0.000000000000000001", "99999999999999999999.999999999999999999", "-"+strings.Repeat("9", 36), "100000000000000000000.5", "0", "3"))
	}
	if w.n%3 == 0 {
		e.Quantity = amount(pick("1", "-2.5"))
		e.Dimensions = []byte(pick(`{"a":"a'b\"c","n":1.50}`, `{"country":"FR","flag":true,"nothing":null}`))
	}
	if w.n%4 == 0 {
		e.Payload = []byte(`{"secret":"` + e.ID + `"}`)
	}
	if w.n%11 == 0 {
		e.Kind, e.Reason, e.Reference, e.Maker, e.HasSeqn = ledger.Adjustment, "why", "doc", "ann", false
	}
	if !e.HasSeqn {
		e.Source, e.Seqn = "loose", 0
	}
	return e
}

func (w *world) record(events ...ledger.Event) []ledger.Outcome {
	w.Helper()
	outcomes, err := w.l.Append(context.Background(), events)
	w.must(err)
	for i, o := range outcomes {
		if o.Status != ledger.Recorded {
			w.Fatalf("event %d: %+v", i, o)
		}
	}
	return outcomes
}

// fill records some events.
func (w *world) fill(n int) (events []ledger.Event) {
	w.Helper()
	for range n {
		events = append(events, w.event())
	}
	w.record(events...)
	return events
}

// state is an event of a source that sends states.
func (w *world) state(stream string, seqn int64, value string) ledger.Event {
	w.n++
	return ledger.Event{
		ID: fmt.Sprintf("s%d", w.n), Source: "orders", Stream: stream, Seqn: seqn, HasSeqn: true, Type: "order", Account: "acme", Currency: "EUR",
		OccurredAt: w.first().Add(time.Duration(seqn) * time.Hour), State: []ledger.Measure{{Name: "amount", Value: amount(value)}},
	}
}

func (w *world) seal() {
	w.Helper()
	_, err := w.l.TakeWatermark(w.Context())
	w.must(err)
	_, _, err = w.seals.SealAll(w.Context())
	w.must(err)
}

// settle bills and freezes everything until now, and seals it.
func (w *world) settle() {
	w.Helper()
	now := time.Now().UTC()
	through := billing.Date{Year: now.Year(), Month: now.Month(), Day: now.Day()}.AddDays(-3)
	done, err := w.b.Close(w.Context(), billing.CloseRequest{Through: through, By: by})
	w.must(err)
	if len(done.Failed) > 0 {
		w.Fatalf("%+v", done.Failed)
	}
	_, err = w.e.FreezeThrough(w.Context(), ledger.Watermark{}, export.Month{}, by)
	w.must(err)
	w.seal()
}

// settled is a ledger with three old months that are billed, frozen and sealed, and some events of today.
func settled(t testing.TB) *world {
	t.Helper()
	w := newWorld(t, 5)
	w.fill(40)
	w.at(20)
	w.fill(23)
	w.at(35)
	w.fill(17)
	w.at(65)
	w.fill(5)
	w.now()
	w.settle()
	w.fill(9)
	return w
}

func (w *world) archive() archive.Result {
	w.Helper()
	r, err := w.a.Archive(w.Context(), w.old, "file://"+w.dir, by)
	w.must(err)
	return r
}

func (w *world) detach() {
	w.Helper()
	if moved, err := w.a.Detach(w.Context(), w.old, true, archive.DetachOptions{}, by); err != nil || !moved {
		w.Fatalf("detach: %t %v", moved, err)
	}
}

// bucket opens one bucket, with a prefix, under every URL.
func bucket(t testing.TB) (dir string, open func(context.Context, string) (*blob.Bucket, error)) {
	dir = t.TempDir()
	return dir, func(context.Context, string) (*blob.Bucket, error) {
		b, err := fileblob.OpenBucket(dir, &fileblob.Options{Metadata: fileblob.MetadataDontWrite})
		if err != nil {
			return nil, err
		}
		return blob.PrefixedBucket(b, "p/"), nil
	}
}
