package billing

import (
	"fmt"
	"testing"
	"time"

	"deltaledger/ledger"
)

// fill records n events of January, spread over accounts.
func (f *fixture) fill(n, accounts int) {
	f.Helper()
	f.fillWith(n, accounts, func(int, *ledger.Event) {})
}

// fillWith is fill with what each changes of its event.
func (f *fixture) fillWith(n, accounts int, each func(k int, e *ledger.Event)) {
	f.Helper()
	start := mustTime(f, "2026-01-01T00:00:00Z")
	amount, err := ledger.ParseAmount("12.34")
	if err != nil {
		f.Fatal(err)
	}
	const most = 10_000
	for done := 0; done < n; done += most {
		batch := make([]ledger.Event, min(most, n-done))
		for i := range batch {
			k := done + i
			batch[i] = ledger.Event{
				ID: fmt.Sprintf("b%08d", k), Source: "orders", Type: "order.placed", Account: fmt.Sprintf("account-%05d", k%accounts),
				OccurredAt: start.Add(time.Duration(k) * 2 * time.Second).UTC(), Currency: "USD", Amount: amount,
			}
			each(k, &batch[i])
		}
		f.record(batch...)
	}
	if _, err := f.db.Super.Exec(f.Context(), "ANALYZE ledger.events"); err != nil {
		f.Fatal(err)
	}
}

// 10,000 accounts of three events each.
func BenchmarkCloseSmallAccounts(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		f := newFixture(b, "2026-02-10T00:00:00Z")
		f.fill(30_000, 10_000)
		b.StartTimer()
		start := time.Now()
		if done := f.close("2026-01-31"); done.Invoices != 10_000 || done.Pinned != 30_000 {
			b.Fatalf("result: %+v", done)
		}
		b.ReportMetric(10_000/time.Since(start).Seconds(), "accounts/s")
	}
}

const sqlPinsAlone = `
INSERT INTO billing.pins (account, position, recorded_at, origin_start, invoice_id)
SELECT e.account, e.position, e.recorded_at, '2026-01-01Z', $1
FROM ledger.events e
WHERE e.account = $2 AND e.occurred_at >= '2026-01-01Z' AND e.occurred_at < '2026-02-01Z'`

// pinsAlone is how long one INSERT takes of n pins of January with the same constraints.
func pinsAlone(b *testing.B, n int) time.Duration {
	b.Helper()
	g := newFixture(b, "2026-02-10T00:00:00Z")
	g.fill(n, 1)
	// The close of the last event gives the account an invoice that the pins can name.
	g.closeAt(g.watermark(), "2025-12-31")
	g.record(g.event("account-00000", "2025-12-15T00:00:00Z", "1"))
	id := g.stub()
	start := time.Now()
	if _, err := g.db.App.Exec(g.Context(), sqlPinsAlone, id, "account-00000"); err != nil {
		b.Fatal(err)
	}
	return time.Since(start)
}

// benchCloseLarge closes a January of n events that prepare has recorded, against one INSERT of as many pins. The ratio
// is the rate of the close over that of the INSERT.
func benchCloseLarge(b *testing.B, n int, prepare func(*fixture)) {
	for b.Loop() {
		b.StopTimer()
		f := newFixture(b, "2026-02-10T00:00:00Z")
		prepare(f)
		b.StartTimer()
		start := time.Now()
		if done := f.close("2026-01-31"); done.Pinned != int64(n) {
			b.Fatalf("result: %+v", done)
		}
		closing := time.Since(start)
		b.StopTimer()
		alone := pinsAlone(b, n)
		b.ReportMetric(float64(n)/closing.Seconds(), "events/s")
		b.ReportMetric(float64(n)/alone.Seconds(), "pins/s")
		b.ReportMetric(alone.Seconds()/closing.Seconds(), "ratio")
		b.StartTimer()
	}
}

// One cycle of a million events.
func BenchmarkCloseLargeCycle(b *testing.B) {
	const n = 1_000_000
	benchCloseLarge(b, n, func(f *fixture) { f.fill(n, 1) })
}

// The same of 100,000 orders of ten events each, billed in the cycle in which they are final.
func BenchmarkCloseLargeCycleOfOrders(b *testing.B) {
	const n = 1_000_000
	benchCloseLarge(b, n, func(f *fixture) {
		f.terms(byOrder)
		f.fillWith(n, 1, func(k int, e *ledger.Event) {
			e.Stream = fmt.Sprintf("order-%06d", k/10_000*1000+k%1000) // ten a time of 1,000
			if k%10_000 >= 9000 {
				e.Type = "order.completed"
			}
		})
	})
}

// stub writes an invoice without lines and pins, by SQL alone.
func (f *fixture) stub() string {
	f.Helper()
	const sqlStub = `
WITH cycle AS (
    INSERT INTO billing.cycles (account, starts_at, ends_at, terms, base, run)
    SELECT 'account-00000', '2026-01-01Z', '2026-02-01Z', 0, 0, max(n) FROM billing.close_runs
    RETURNING account, starts_at, ends_at, run
), named AS (
    INSERT INTO billing.invoice_ids (account, id)
    SELECT 'account-00000', gen_random_uuid()
    RETURNING id
)
INSERT INTO billing.invoices (account, id, cycle_start, cycle_end, currency, total, events, pinned, run, watermark, position, created_at)
SELECT c.account, n.id, c.starts_at, c.ends_at, 'USD', 0, 0, 0, c.run, 0, d.positions[1], d.recorded_at
FROM cycle c, named n, ledger.draw(1) d
RETURNING id::text`
	var id string
	if err := f.db.App.QueryRow(f.Context(), sqlStub).Scan(&id); err != nil {
		f.Fatal(err)
	}
	return id
}

// aged is a ledger whose accounts were closed day by day for so many days, and have events of one more, of which a tenth is late for
// the day before.
func aged(b *testing.B, accounts, days int) *fixture {
	b.Helper()
	f := newFixture(b, "2026-06-10T00:00:00Z")
	f.terms(`{"cadence":"daily","grace":"0h","charges":[{"name":"all","measure":"amount","model":"sum"},{"name":"card","measure":"amount","model":"percentage","rate":"1.5"}]}`)
	start := mustTime(b, "2026-01-01T00:00:00Z")
	for day := range days + 1 {
		var batch []ledger.Event
		for i := range accounts {
			for hour := range 4 {
				batch = append(batch, f.event(fmt.Sprintf("account-%05d", i), start.AddDate(0, 0, day).Add(time.Duration(hour)*time.Hour).Format(time.RFC3339), "12.34"))
			}
			if day > 0 && i%10 == 0 {
				batch = append(batch, f.event(fmt.Sprintf("account-%05d", i), start.AddDate(0, 0, day-1).Add(20*time.Hour).Format(time.RFC3339), "1.23"))
			}
		}
		f.record(batch...)
		if day < days {
			f.close(start.AddDate(0, 0, day).Format(time.DateOnly))
		}
	}
	if _, err := f.db.Super.Exec(f.Context(), "ANALYZE"); err != nil {
		b.Fatal(err)
	}
	return f
}

// The close of one cycle of accounts with 60 earlier ones, against that of accounts with 5. The ratio is how much longer it takes.
func BenchmarkCloseAfterHistory(b *testing.B) {
	const accounts, short, long = 500, 5, 60
	for b.Loop() {
		b.StopTimer()
		var took [2]time.Duration
		for i, days := range []int{short, long} {
			f := aged(b, accounts, days)
			through := mustTime(b, "2026-01-01T00:00:00Z").AddDate(0, 0, days).Format(time.DateOnly)
			b.StartTimer()
			start := time.Now()
			if done := f.close(through); done.Invoices != accounts || done.Late != accounts/10 {
				b.Fatalf("result: %+v", done)
			}
			took[i] = time.Since(start)
			b.StopTimer()
		}
		b.ReportMetric(accounts/took[0].Seconds(), "accounts/s-after-5")
		b.ReportMetric(accounts/took[1].Seconds(), "accounts/s-after-60")
		b.ReportMetric(took[1].Seconds()/took[0].Seconds(), "ratio")
		b.StartTimer()
	}
}
