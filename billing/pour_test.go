package billing

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"deltaledger/ledger"
	"deltaledger/ledger/pg"
)

// pourWriters is how many record events while cycles are closed.
const pourWriters = 16

// pourMonths are how many months have events, and are closed one after the other.
const pourMonths = 5

// service is a further service on the ledger of the fixture: it shares nothing with others but the database.
func (f *fixture) service() *Billing {
	f.Helper()
	l, err := ledger.Open(f.Context(), ledger.Config{Pool: f.db.App, Now: f.now})
	if err != nil {
		f.Fatal(err)
	}
	b, err := New(l, Options{Now: f.now})
	if err != nil {
		f.Fatal(err)
	}
	return b
}

// pour records events of all accounts and months from many writers until stop says so, and returns how many.
func (f *fixture) pour(accounts int, stop *atomic.Bool) (wait func() int64) {
	var recorded atomic.Int64
	var writers sync.WaitGroup
	for w := range pourWriters {
		writers.Go(func() {
			random := rand.New(rand.NewPCG(uint64(w), 5))
			for !stop.Load() && !f.Failed() {
				batch := make([]ledger.Event, 1+random.IntN(12))
				for i := range batch {
					at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(random.IntN(151*24)) * time.Hour) // until the end of May
					batch[i] = f.event(fmt.Sprintf("a%d", random.IntN(accounts)), at.Format(time.RFC3339), fmt.Sprintf("%d.%03d", random.IntN(90)-10, random.IntN(1000)))
				}
				outcomes, err := f.l.Append(context.Background(), batch)
				if err != nil {
					f.Error(err)
					return
				}
				for _, o := range outcomes {
					if o.Status != ledger.Recorded {
						f.Errorf("%+v", o)
					}
				}
				recorded.Add(int64(len(batch)))
			}
		})
	}
	return func() int64 { writers.Wait(); return recorded.Load() }
}

// Two services close the same accounts, month after month, while events of all months pour in. Each close is exact at its
// watermark: an event is billed in its own cycle if it was there by then, and otherwise by the next close, and no event is lost.
func TestCloseWhileEventsPourIn(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "2026-06-10T00:00:00Z")
	f.terms(`{"grace":"0h","charges":[{"name":"all","measure":"amount","model":"sum"},{"name":"fee","measure":"amount","model":"percentage","rate":"1.37"}]}`)
	const accounts = 12
	first := []ledger.Event{}
	for i := range accounts { // so that every close of every account has something
		for month := range pourMonths {
			first = append(first, f.event(fmt.Sprintf("a%d", i), fmt.Sprintf("2026-%02d-10T00:00:00Z", month+1), "10"))
		}
	}
	f.record(first...)
	services := []*Billing{f.service(), f.service()}
	var stop atomic.Bool
	wait := f.pour(accounts, &stop)
	for month := range pourMonths - 1 {
		var rivals sync.WaitGroup
		results := make([]CloseResult, len(services))
		through := Date{Year: 2026, Month: time.Month(month + 2), Day: 1}.AddDays(-1)
		for i, b := range services {
			rivals.Go(func() {
				var err error
				if results[i], err = b.Close(context.Background(), CloseRequest{Through: through, By: "tester"}); err != nil || len(results[i].Failed) > 0 {
					t.Errorf("close through %s: %v %+v", through, err, results[i].Failed)
				}
			})
		}
		rivals.Wait()
		if n := results[0].Invoices + results[1].Invoices; n != accounts {
			t.Errorf("two closes through %s wrote %d invoices together, not %d", through, n, accounts)
		}
	}
	stop.Store(true)
	recorded := wait() + int64(len(first))
	f.close("2026-05-31")
	late := f.number("SELECT count(*) FROM billing.late_events")
	t.Logf("%d events recorded, %d of them late", recorded, late)
	if late == 0 {
		t.Error("nothing came late: the closes didn't run while events came")
	}
	if n := f.number("SELECT count(*) FROM billing.pins"); n != recorded || f.number("SELECT count(*) FROM ledger.events") != recorded {
		t.Errorf("%d events recorded, %d pinned", recorded, n)
	}
	f.exactAtWatermarks()
	for i := range accounts {
		for _, v := range f.invoices(fmt.Sprintf("a%d", i)) {
			if err := recompute(v); err != nil {
				t.Error(err)
			}
		}
	}
	f.checkLaws()
}

// passed is a close of an account.
type passed struct {
	through   time.Time
	watermark int64
}

// exactAtWatermarks holds every pin against the one cycle that has to bill its event: the first close that has the event's
// position under its watermark and its time before its end bills it, in its own cycle if that close closed it, else in the first.
// The cycles are months of UTC.
func (f *fixture) exactAtWatermarks() {
	f.Helper()
	closes := map[string][]passed{}
	var account string
	var p passed
	if err := pg.ForEach(f.Context(), f.db.App, []any{&account, &p.through, &p.watermark}, func() error {
		closes[account] = append(closes[account], p)
		return nil
	}, "SELECT account, through_at, watermark FROM billing.closes ORDER BY account, through_at"); err != nil {
		f.Fatal(err)
	}
	var position, watermark int64
	var at, origin, cycle time.Time
	wrong := 0
	if err := pg.ForEach(f.Context(), f.db.App, []any{&account, &position, &at, &origin, &cycle, &watermark}, func() error {
		var before time.Time
		for _, c := range closes[account] {
			if position <= c.watermark && at.Before(c.through) {
				own := time.Date(at.UTC().Year(), at.UTC().Month(), 1, 0, 0, 0, 0, time.UTC)
				want := own
				if at.Before(before) {
					want = before
				}
				if !origin.Equal(own) || !cycle.Equal(want) || watermark != c.watermark {
					wrong++
				}
				return nil
			}
			before = c.through
		}
		wrong++
		return nil
	}, `
		SELECT e.account, e.position, e.occurred_at, p.origin_start, i.cycle_start, i.watermark
		FROM ledger.events e
		JOIN billing.pins p ON p.account = e.account AND p.position = e.position
		JOIN billing.invoices i ON i.account = p.account AND i.id = p.invoice_id`); err != nil {
		f.Fatal(err)
	}
	if wrong > 0 {
		f.Errorf("%d events are on another invoice than the one of the first close that had them under its watermark", wrong)
	}
}
