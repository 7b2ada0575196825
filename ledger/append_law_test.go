package ledger_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"deltaledger/ledger"
	"deltaledger/ledger/pg"
	"deltaledger/migrations/pgtest"

	"github.com/jackc/pgx/v5"
)

const sqlTotals = `
SELECT concat_ws(' ', stream, type, account, currency, business_date, dimensions->>'country', count(*), sum(amount), sum(quantity))
FROM ledger.events
WHERE source = $1
GROUP BY stream, type, account, currency, business_date, dimensions->>'country'
ORDER BY 1`

// Whatever the order, the batching and the repeats in which events arrive, the totals are the same.
func TestTotalsDontDependOnTheArrival(t *testing.T) {
	t.Parallel()
	l, db := open(t)
	run := 0
	rapid.Check(t, func(t *rapid.T) {
		run++
		events := drawEvents(t)
		for way := range 2 {
			arrivals := slices.Clone(events)
			for range rapid.IntRange(0, 10).Draw(t, "repeats") {
				arrivals = append(arrivals, rapid.SampledFrom(events).Draw(t, "repeat"))
			}
			arrivals = rapid.Permutation(arrivals).Draw(t, "order")
			deliver(t, l, fmt.Sprintf("run %d way %d", run, way), arrivals)
		}
		a, b := totals(t, db, fmt.Sprintf("run %d way 0", run)), totals(t, db, fmt.Sprintf("run %d way 1", run))
		if !slices.Equal(a, b) {
			t.Fatalf("totals differ:\n%v\n%v", a, b)
		}
		recorded := 0
		if err := db.Super.QueryRow(context.Background(), `SELECT count(*) FROM ledger.events WHERE source = $1`,
			fmt.Sprintf("run %d way 0", run)).Scan(&recorded); err != nil || recorded != len(events) {
			t.Fatalf("%d of %d events are recorded, %v", recorded, len(events), err)
		}
	})
}

func drawEvents(t *rapid.T) (events []ledger.Event) {
	for s := range rapid.IntRange(1, 4).Draw(t, "streams") {
		for n := range rapid.IntRange(1, 8).Draw(t, "events") {
			e := sale(fmt.Sprint("o", s), n)
			e.Type = rapid.SampledFrom([]string{"line.sold", "line.cancelled"}).Draw(t, "type")
			e.Account = rapid.SampledFrom([]string{"acme", "globex"}).Draw(t, "account")
			e.Amount = amount(fmt.Sprintf("%d.%03d", rapid.IntRange(-999, 999).Draw(t, "whole"), rapid.IntRange(0, 999).Draw(t, "thousandths")))
			e.OccurredAt = noon.AddDate(0, 0, rapid.IntRange(-40, 40).Draw(t, "day"))
			e.Dimensions = []byte(rapid.SampledFrom([]string{`{"country":"FR"}`, `{"country":"DE"}`, ``}).Draw(t, "dimensions"))
			events = append(events, e)
		}
	}
	return events
}

func deliver(t *rapid.T, l *ledger.Ledger, source string, arrivals []ledger.Event) {
	for len(arrivals) > 0 {
		n := rapid.IntRange(1, len(arrivals)).Draw(t, "batch")
		batch := slices.Clone(arrivals[:n])
		for i := range batch {
			batch[i].Source = source
		}
		out, err := l.Append(context.Background(), batch)
		if err != nil {
			t.Fatal(err)
		}
		if k := tally(out); k[ledger.Recorded]+k[ledger.Duplicate] != n {
			t.Fatalf("outcomes %v", k)
		}
		arrivals = arrivals[n:]
	}
}

func totals(t *rapid.T, db *pgtest.DB, source string) (lines []string) {
	err := pg.InSnapshot(context.Background(), db.Super, func(tx pgx.Tx) error {
		rows, err := tx.Query(context.Background(), sqlTotals, source)
		if err != nil {
			return err
		}
		lines, err = pgx.CollectRows(rows, pgx.RowTo[string])
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return lines
}
