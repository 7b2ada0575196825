package billing

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"deltaledger/ledger"
)

// statesWorlds is how many histories of streams with states are billed.
const statesWorlds = 250

// drawStream makes the events of a stream of source and world: states and changes, moves between accounts.
func drawStream(r *rand.Rand, source, world, stream string) []ledger.Event {
	var events []ledger.Event
	states := r.IntN(4)
	for n := range 1 + r.IntN(7) {
		e := ledger.Event{
			ID: fmt.Sprintf("%s/%s/%d", world, stream, n), Source: source, Stream: world + "." + stream, Seqn: int64(n), HasSeqn: true, Currency: "USD",
			Type:       []string{"order.placed", "order.placed", "order.returned", "page.viewed"}[r.IntN(4)],
			Account:    source + "." + world + "." + []string{"A", "A", "B", "C"}[r.IntN(4)],
			OccurredAt: time.Date(2026, 1, 1+n*12+r.IntN(20), 12, 0, 0, 0, time.UTC),
		}
		amount, err := ledger.AmountOf(decimal.New(int64(r.IntN(4000)-1000), -2))
		if err != nil {
			panic(err)
		}
		quantity, err := ledger.AmountOf(decimal.New(int64(r.IntN(6)), 0))
		if err != nil {
			panic(err)
		}
		if r.IntN(3) < states {
			e.State = []ledger.Measure{{Name: "amount", Value: amount}, {Name: "quantity", Value: quantity}}[:1+r.IntN(2)]
		} else {
			e.Amount, e.Quantity = amount, quantity
		}
		events = append(events, e)
	}
	return events
}

// statesDelivery is what is sent of one source, and how.
func statesDelivery(source string, shuffle *rand.Rand) []ledger.Event {
	var all []ledger.Event
	for w := range statesWorlds {
		r := rand.New(rand.NewPCG(uint64(w), 11))
		for s := range 1 + r.IntN(3) {
			all = append(all, drawStream(r, source, fmt.Sprint(w), fmt.Sprint("s", s))...)
		}
	}
	for i, e := range all { // each stream has an event of this type or none
		if final := len(e.Stream) + int(e.Stream[0]) + int(e.Stream[len(e.Stream)-1]); e.Seqn == int64(final%7) {
			all[i].Type = "order.completed"
		}
	}
	if shuffle != nil {
		for range len(all) / 5 {
			all = append(all, all[shuffle.IntN(len(all))])
		}
		shuffle.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	}
	return all
}

// send records events from several writers at once, in batches of any size.
func (f *fixture) send(seed uint64, events []ledger.Event) {
	f.Helper()
	var group sync.WaitGroup
	const writers = 3
	for w := range writers {
		group.Go(func() {
			r := rand.New(rand.NewPCG(seed, uint64(w)))
			mine := events[len(events)*w/writers : len(events)*(w+1)/writers]
			for len(mine) > 0 {
				n := min(1+r.IntN(200), len(mine))
				batch := slices.Clone(mine[:n])
				for i := range batch {
					batch[i].State = slices.Clone(batch[i].State)
				}
				outcomes, err := f.l.Append(context.Background(), batch)
				if err != nil {
					f.Error(err)
					return
				}
				for i, o := range outcomes {
					if o.Status != ledger.Recorded && o.Status != ledger.Duplicate {
						f.Errorf("event %s: %+v", mine[i].ID, o)
					}
				}
				mine = mine[n:]
			}
		})
	}
	group.Wait()
}

// billed are the lines of a source's accounts: each by itself, or added up by the cycle that they are for.
func (f *fixture) billed(source string, added bool) map[string]string {
	f.Helper()
	on := "i.cycle_start || ' ' || l.line"
	if added {
		on = "''"
	}
	rows, err := f.db.App.Query(f.Context(), `
		SELECT substr(i.account, $2) || ' ' || COALESCE(substr(i.stream, $2), '') || ' ' || l.charge || ' ' || l.origin_start::text || ' ' || `+on+`,
		       sum(l.events) || ' events, ' || trim_scale(sum(l.added)) || ', amount ' || trim_scale(sum(l.amount))
		FROM billing.invoices i JOIN billing.invoice_lines l ON l.account = i.account AND l.invoice_id = i.id
		WHERE i.account LIKE $1
		GROUP BY 1
		HAVING $3 OR sum(l.events) <> 0 OR sum(l.added) <> 0 OR sum(l.amount) <> 0`, source+".%", len(source)+2, !added)
	if err != nil {
		f.Fatal(err)
	}
	defer rows.Close()
	lines := map[string]string{}
	for rows.Next() {
		var key, value string
		if err := rows.Scan(&key, &value); err != nil {
			f.Fatal(err)
		}
		lines[key] = value
	}
	if rows.Err() != nil {
		f.Fatal(rows.Err())
	}
	return lines
}

func (f *fixture) sameLines(what string, have, want map[string]string) {
	f.Helper()
	if len(want) < statesWorlds {
		f.Errorf("%s: %d lines only", what, len(want))
	}
	if maps.Equal(have, want) {
		return
	}
	wrong := 0
	for key := range want {
		if have[key] != want[key] && wrong < 5 {
			wrong++
			f.Errorf("%s: line %s is %q, not %q", what, key, have[key], want[key])
		}
	}
	for key := range have {
		if _, there := want[key]; !there && wrong < 10 {
			wrong++
			f.Errorf("%s: there is a line %s, %q", what, key, have[key])
		}
	}
}

// Streams with states are billed the same whether they came in order or not: the same invoices if all
// came before the close, and all bills together the same if some came after.
func TestStatesAreBilledAsInOrder(t *testing.T) {
	t.Parallel()
	for name, terms := range map[string]string{"by event": "", "by order": `"bill_on":"order","finalising":["order.completed"],`} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			billedAsInOrder(t, terms)
		})
	}
}

func billedAsInOrder(t *testing.T, terms string) {
	f := newFixture(t, "2026-05-20T00:00:00Z")
	for _, source := range []string{"ordered", "mixed", "parted"} {
		if err := f.l.DeclareSource(f.Context(), ledger.Source{Name: source, States: true, Numbering: ledger.NumberingStream, By: "tester"}); err != nil {
			t.Fatal(err)
		}
	}
	charges := terms + `"grace":"0h","charges":[{"name":"all","measure":"amount","types":["order.placed","order.returned","order.completed"],"model":"sum"},
		{"name":"fee","measure":"amount","types":["order.placed"],"model":"percentage","rate":"1.37"},
		{"name":"pieces","measure":"quantity","types":["order.returned"],"model":"sum"}]`
	f.terms("{" + charges + "}")
	for w := range statesWorlds / 5 { // one in five worlds gets an invoice for each stream
		for _, source := range []string{"ordered", "mixed", "parted"} {
			for _, account := range []string{"A", "B", "C"} {
				f.terms(fmt.Sprintf(`{"account":"%s.%d.%s","group_by":"stream",`, source, w*5, account) + charges + "}")
			}
		}
	}
	ordered := statesDelivery("ordered", nil)
	for part := range slices.Chunk(ordered, 300) {
		f.record(part...)
	}
	f.send(1, statesDelivery("mixed", rand.New(rand.NewPCG(1, 12))))
	parted := statesDelivery("parted", rand.New(rand.NewPCG(2, 12)))
	quarter := len(parted) / 4
	f.send(2, parted[:quarter])
	f.close("2026-01-31")
	var writing sync.WaitGroup
	writing.Go(func() { f.send(3, parted[quarter:2*quarter]) }) // while a run goes
	f.close("2026-02-28")
	writing.Wait()
	f.send(4, parted[2*quarter:3*quarter])
	f.close("2026-03-31")
	f.send(5, parted[3*quarter:])
	f.close("2026-04-30")
	f.checkLaws()
	f.sameLines("all before the close", f.billed("mixed", false), f.billed("ordered", false))
	f.sameLines("some after it", f.billed("parted", true), f.billed("ordered", true))
	if n := f.number(`
		SELECT count(*) FROM (
			SELECT e.account, e.currency, e.type, e.business_date
			FROM ledger.events e
			WHERE e.type <> 'page.viewed' AND NOT EXISTS (SELECT FROM billing.pins p WHERE p.position = e.position)
			  AND NOT EXISTS (SELECT FROM billing.carried w WHERE w.position = e.position AND w.settled IS NULL)
			GROUP BY 1, 2, 3, date_trunc('month', e.business_date), 4
			HAVING count(*) FILTER (WHERE e.kind = 'upstream') > 0
		) u`); n != 0 {
		t.Errorf("%d groups of events are on no invoice", n)
	}
	if n := f.number(`
		SELECT count(*) FROM (
			SELECT e.account FROM ledger.events e
			WHERE e.type <> 'page.viewed' AND NOT EXISTS (SELECT FROM billing.pins p WHERE p.position = e.position)
			  AND NOT EXISTS (SELECT FROM billing.carried w WHERE w.position = e.position AND w.settled IS NULL)
			GROUP BY e.account, e.currency, e.type, date_trunc('month', e.business_date)
			HAVING sum(e.amount) <> 0 OR sum(e.quantity) <> 0
		) u`); n != 0 {
		t.Errorf("%d groups of rows that are on no invoice don't cancel out", n)
	}
	for _, v := range f.invoices("mixed.0.A") {
		if strings.Contains(v.Stream, ledger.ReservedSource) {
			t.Errorf("an invoice for stream %s", v.Stream)
		}
	}
}
