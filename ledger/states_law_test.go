package ledger

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"deltaledger/ledger/pg"
	"deltaledger/migrations/pgtest"
)

// openForLaw is a ledger in which lawEvents can be recorded.
func openForLaw(t *testing.T) (*Ledger, *pgtest.DB) {
	t.Helper()
	db := pgtest.New(t)
	l, err := Open(t.Context(), Config{Pool: db.App})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []Column{
		{Name: "fee", Kind: KindMoney}, {Name: "dim", Kind: KindDimension, Describes: DescribesStream}, {Name: "own", Kind: KindDimension},
	} {
		c.Description, c.Owner, c.By = "d", "o", "b"
		if _, err := l.AddColumn(t.Context(), c, 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.DeclareSource(t.Context(), Source{Name: "orders", States: true, Numbering: NumberingStream, By: "test"}); err != nil {
		t.Fatal(err)
	}
	return l, db
}

// event is the law's event on the wire.
func (e lawEvent) event(stream string) Event {
	n := e.entry()
	w := Event{
		ID: stream + "/" + strconv.FormatInt(e.seqn, 10), Source: "orders", Stream: stream, Seqn: e.seqn, HasSeqn: true, Type: e.typ, Account: e.account,
		OccurredAt: n.occurredAt, Currency: "EUR", Dimensions: []byte(`{"dim":"` + e.dim + `","own":"` + e.own + `"}`),
	}
	if e.states {
		w.State = n.values
	} else {
		w.setDeltas(n.values)
	}
	return w
}

// lawStored is a row of the ledger.
type lawStored struct {
	position, cause int64
	key             lawKey
	seqn            int64
	made            bool
	values          map[string]int64
}

const sqlLawRows = `
SELECT stream, position, COALESCE(caused_by, position), seqn, kind <> 'upstream', extract(day FROM business_date)::int, type, account, dim, own,
       (amount * 100)::bigint, (fee * 100)::bigint, (quantity * 100)::bigint
FROM ledger.events
ORDER BY position`

func readLaw(t *testing.T, db *pgtest.DB) map[string][]lawStored {
	t.Helper()
	streams := map[string][]lawStored{}
	var stream string
	var r lawStored
	var values [3]*int64
	into := []any{&stream, &r.position, &r.cause, &r.seqn, &r.made, &r.key.day, &r.key.typ, &r.key.account, &r.key.dim, &r.key.own, &values[0], &values[1], &values[2]}
	err := pg.ForEach(t.Context(), db.App, into, func() error {
		r.values = map[string]int64{}
		for i, m := range []string{"amount", "fee", "quantity"} {
			if values[i] != nil {
				r.values[m] = *values[i]
			}
		}
		streams[stream] = append(streams[stream], r)
		return nil
	}, sqlLawRows)
	if err != nil {
		t.Fatal(err)
	}
	return streams
}

// lawHolds holds the rows of a stream as of a watermark against the model's for the events among them.
func lawHolds(rows []lawStored, events []lawEvent, asOf int64) error {
	sums, recorded := map[lawKey]int64{}, map[int64]bool{}
	for _, r := range rows {
		if r.position > asOf {
			continue
		}
		for m, v := range r.values {
			k := r.key
			k.measure = m
			sums[k] += v
		}
		if !r.made {
			if recorded[r.seqn] {
				return fmt.Errorf("event %d is recorded twice", r.seqn)
			}
			recorded[r.seqn] = true
		}
	}
	maps.DeleteFunc(sums, func(_ lawKey, v int64) bool { return v == 0 })
	known := slices.DeleteFunc(slices.Clone(events), func(e lawEvent) bool { return !recorded[e.seqn] })
	if want := inOrder(known); !maps.Equal(sums, want) {
		return fmt.Errorf("of %d events the sums are %v, not %v", len(known), sums, want)
	}
	if asOf == 1<<62 && len(known) != len(events) {
		return fmt.Errorf("%d of %d events are recorded", len(known), len(events))
	}
	return nil
}

// lawArrivals are the events of all streams in any order, some of them again.
func lawArrivals(r *rand.Rand, streams map[string][]lawEvent) []Event {
	var all []Event
	for _, stream := range slices.Sorted(maps.Keys(streams)) {
		for _, e := range shuffled(streams[stream], r.IntN) {
			all = append(all, e.event(stream))
		}
	}
	// Near to the order of streams, so that some batches hold much of a stream and others a little.
	for i := range all {
		j := min(len(all)-1, i+r.IntN(400))
		all[i], all[j] = all[j], all[i]
	}
	return all
}

// deliverLaw appends arrivals in batches of any size, some of them atomic.
func deliverLaw(ctx context.Context, l *Ledger, r *rand.Rand, arrivals []Event, between func() error) error {
	for len(arrivals) > 0 {
		n := min(1+r.IntN(1+r.IntN(600)), len(arrivals))
		record := l.Append
		if r.IntN(4) == 0 {
			record = l.AppendAtomic
		}
		batch := slices.Clone(arrivals[:n])
		for i := range batch {
			batch[i].State, batch[i].Measures = slices.Clone(batch[i].State), slices.Clone(batch[i].Measures)
		}
		out, err := record(ctx, batch)
		if err != nil {
			return err
		}
		for i, o := range out {
			if o.Status != Recorded && o.Status != Duplicate {
				return fmt.Errorf("event %s: %+v", arrivals[i].ID, o)
			}
		}
		arrivals = arrivals[n:]
		if err := between(); err != nil {
			return err
		}
	}
	return nil
}

// Thousands of streams, recorded by several at once in batches of any size, in any order and with
// repeats: as of every watermark that was taken meanwhile, and in the end, each stream's rows are those of
// arrival in order; and everything sent again adds nothing.
func TestStatesLaw(t *testing.T) {
	t.Parallel()
	l, db := openForLaw(t)
	const streams, writers = 1500, 3
	histories := map[string][]lawEvent{}
	for s := range streams {
		histories[fmt.Sprint("s", s)] = drawHistory(rand.New(rand.NewPCG(uint64(s), 8)).IntN)
	}
	var group sync.WaitGroup
	var marks []Watermark
	for w := range writers {
		group.Go(func() {
			r := rand.New(rand.NewPCG(uint64(w), 9))
			err := deliverLaw(context.Background(), l, r, lawArrivals(r, histories), func() error {
				if w > 0 {
					return nil
				}
				mark, err := l.TakeWatermark(context.Background())
				marks = append(marks, mark)
				return err
			})
			if err != nil {
				t.Errorf("writer %d: %v", w, err)
			}
		})
	}
	group.Wait()
	if t.Failed() {
		return
	}
	rows := readLaw(t, db)
	taken := len(marks)
	marks = append(marks[max(0, taken-60):], Watermark{Position: 1 << 62})
	for _, w := range marks {
		for stream, events := range histories {
			if err := lawHolds(rows[stream], events, w.Position); err != nil {
				t.Fatalf("stream %s as of %d: %v\n%+v", stream, w.Position, err, events)
			}
		}
	}
	again := rand.New(rand.NewPCG(1, 10))
	if err := deliverLaw(t.Context(), l, again, lawArrivals(again, histories), func() error { return nil }); err != nil {
		t.Fatal(err)
	}
	var n int
	if err := pgx.BeginFunc(t.Context(), db.App, func(tx pgx.Tx) error {
		return tx.QueryRow(t.Context(), `SELECT count(*) FROM ledger.events`).Scan(&n)
	}); err != nil {
		t.Fatal(err)
	}
	stored := 0
	for _, s := range rows {
		stored += len(s)
	}
	t.Logf("%d streams, %d rows, %d watermarks", streams, stored, taken)
	if n != stored {
		t.Errorf("%d rows after everything was sent again, %d before", n, stored)
	}
}

// A writer that drew its positions before its source was declared to send states, and commits after, took
// no stripe and isn't seen: no state may be applied until it has ended.
func TestStatesWaitForWritersThatDontKnow(t *testing.T) {
	t.Parallel()
	l, db := openForLaw(t)
	ctx := t.Context()
	// As old as can be: it has drawn, and neither inserted nor committed.
	tx, err := db.App.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.Background()) }()
	sold := lawEvent{seqn: 1, day: 1, typ: "sold", account: "A", dim: "x", own: "p", values: map[string]int64{"amount": 500}}
	before := sold.event("s1")
	before.Source = "till"
	b, err := l.Prepare(ctx, []Event{before})
	if err != nil {
		t.Fatal(err)
	}
	w := writer{l: l, atomic: true, run: func(f func(pgx.Tx) error) error { return pg.InSavepoint(ctx, tx, f) }}
	if err := w.write(ctx, b, b.all()); err != nil || b.Outcomes[0].Status != Recorded {
		t.Fatalf("%+v, %v", b.Outcomes, err)
	}
	if err := l.DeclareSource(ctx, Source{Name: "till", States: true, Numbering: NumberingStream, By: "test"}); err != nil {
		t.Fatal(err)
	}
	stated := lawEvent{seqn: 2, day: 2, typ: "changed", account: "A", dim: "x", own: "p", states: true, values: map[string]int64{"amount": 700}}
	after := stated.event("s1")
	after.Source = "till"
	recorded := make(chan error, 1)
	go func() {
		out, err := l.Append(ctx, []Event{after})
		if err == nil && out[0].Status != Recorded {
			err = fmt.Errorf("%+v", out)
		}
		recorded <- err
	}()
	for waiting := false; !waiting; { // until the state's writer looks who is under way
		select {
		case err := <-recorded:
			t.Fatalf("the state didn't wait: %v", err)
		default:
		}
		err := db.Super.QueryRow(ctx, `SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND query LIKE '%virtualtransaction%pg_locks%' AND pid <> pg_backend_pid())`).Scan(&waiting)
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := tx.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	if err := <-recorded; err != nil {
		t.Fatal(err)
	}
	if err := lawHolds(readLaw(t, db)["s1"], []lawEvent{sold, stated}, 1<<62); err != nil {
		t.Error(err)
	}
}
