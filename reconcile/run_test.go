package reconcile_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"deltaledger/billing"
	"deltaledger/ledger"
	"deltaledger/migrations/pgtest"
	"deltaledger/migrations/sqltest"
	"deltaledger/reconcile"
)

// books are a ledger with everything that reconciling needs.
type books struct {
	*testing.T
	db *pgtest.DB
	l  *ledger.Ledger
	b  *billing.Billing
	r  *reconcile.Reconciler
}

func open(t *testing.T) *books {
	t.Helper()
	db := pgtest.New(t)
	l, err := ledger.Open(t.Context(), ledger.Config{Pool: db.App})
	if err != nil {
		t.Fatal(err)
	}
	b, err := billing.New(l, billing.Options{})
	if err != nil {
		t.Fatal(err)
	}
	r, err := reconcile.New(l, b, reconcile.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return &books{t, db, l, b, r}
}

func sale(account string, month, n int, typ, amount string) ledger.Event {
	a, err := ledger.ParseAmount(amount)
	if err != nil {
		panic(err)
	}
	return ledger.Event{
		ID: fmt.Sprintf("%s-%d/%d", account, month, n), Source: "shop", Stream: fmt.Sprintf("%s-%d", account, month), Seqn: int64(n), HasSeqn: true,
		Type: typ, Account: account, OccurredAt: time.Date(2026, time.Month(month), 10, 12, n%60, 0, 0, time.UTC), Currency: "EUR", Amount: a,
	}
}

func (k *books) record(events ...ledger.Event) {
	k.Helper()
	out, err := k.l.Append(context.Background(), events)
	if err != nil {
		k.Fatal(err)
	}
	for i, o := range out {
		if o.Status != ledger.Recorded {
			k.Fatalf("event %d: %+v", i, o)
		}
	}
}

func (k *books) close(through string) billing.CloseResult {
	k.Helper()
	date, err := billing.ParseDate(through)
	if err != nil {
		k.Fatal(err)
	}
	res, err := k.b.Close(context.Background(), billing.CloseRequest{Through: date, By: "test"})
	if err != nil || len(res.Failed) > 0 {
		k.Fatalf("close: %+v, %v", res.Failed, err)
	}
	return res
}

func (k *books) run(heal bool) reconcile.Result {
	k.Helper()
	res, err := k.r.Run(context.Background(), reconcile.Request{Heal: heal, By: "test"})
	if err != nil {
		k.Fatal(err)
	}
	return res
}

// want fails unless the result has these counts and the open findings are of these checks.
func (k *books) want(res reconcile.Result, late, healed int64, checks ...string) {
	k.Helper()
	var open []string
	for _, f := range res.Findings {
		open = append(open, f.Check)
	}
	slices.Sort(open)
	slices.Sort(checks)
	if res.Late != late || res.Healed != healed || !slices.Equal(open, checks) {
		k.Errorf("late %d, healed %d, findings %v; want %d, %d, %v\n%+v", res.Late, res.Healed, open, late, healed, checks, res.Findings)
	}
}

func (k *books) tamper(sql string) {
	k.Helper()
	tag, err := k.db.Super.Exec(context.Background(), sql)
	if err != nil {
		k.Fatalf("%s: %v", sql, err)
	}
	k.Log(tag)
}

func TestHonestBooksHaveNoFindings(t *testing.T) {
	t.Parallel()
	k := open(t)
	k.want(k.run(true), 0, 0)
	k.record(sale("acme", 1, 1, "sold", "10.005"), sale("acme", 2, 1, "sold", "20"), sale("globex", 1, 1, "sold", "-3"))
	k.want(k.run(true), 0, 0)
	k.close("2026-01-31")
	k.want(k.run(true), 0, 0)
	k.want(k.run(true), 0, 0)
	k.close("2026-02-28")
	k.want(k.run(true), 0, 0)
}

func TestLateEventsAreHealedOnce(t *testing.T) {
	t.Parallel()
	k := open(t)
	k.record(sale("acme", 1, 1, "sold", "10"), sale("acme", 3, 1, "sold", "5"))
	k.close("2026-03-31")
	k.record(
		sale("acme", 1, 2, "sold", "7"), // of a cycle that held something
		sale("acme", 2, 1, "sold", "8"), // of one that held nothing
		sale("acme", 1, 3, "returned", "-1"),
		sale("newcomer", 2, 1, "sold", "9"), // of an account that nobody knew
		sale("newcomer", 4, 1, "sold", "1"), // on time
	)
	early := sale("acme", 5, 1, "sold", "2")
	early.OccurredAt = time.Date(2019, 5, 5, 0, 0, 0, 0, time.UTC) // before the first cycle
	k.record(early)
	k.want(k.run(false), 5, 0, "late", "late")
	k.want(k.run(false), 5, 0, "late", "late") // nothing was healed
	k.want(k.run(true), 5, 5)
	k.want(k.run(true), 0, 0)

	res := k.close("2026-04-30")
	if res.Pinned != 6 || res.Late != 5 {
		t.Errorf("the next close pins %d, %d of them late", res.Pinned, res.Late)
	}
	k.want(k.run(true), 0, 0)
}

func TestTamperedBooksAreFound(t *testing.T) {
	t.Parallel()
	const off, on = "SET session_replication_role = replica; ALTER TABLE billing.%[1]s DISABLE TRIGGER ALL; ", "; ALTER TABLE billing.%[1]s ENABLE ALWAYS TRIGGER refuse_row"
	for name, c := range map[string]struct {
		table, sql string
		checks     []string
	}{
		"a pin is gone":           {"pins", "DELETE FROM billing.pins WHERE position = (SELECT min(position) FROM billing.pins)", []string{"unbilled", "invoice"}},
		"a line is changed":       {"invoice_lines", "UPDATE billing.invoice_lines SET amount = amount + 1 WHERE account = 'acme'", []string{"invoice"}},
		"an input is changed":     {"invoice_lines", "UPDATE billing.invoice_lines SET added = added + 1 WHERE account = 'acme'", []string{"invoice"}},
		"a total is changed":      {"invoices", "UPDATE billing.invoices SET total = total - 5 WHERE account = 'acme'", []string{"invoice"}},
		"a line is gone":          {"invoice_lines", "DELETE FROM billing.invoice_lines WHERE account = 'acme'", []string{"invoice"}},
		"an invoice pins nothing": {"pins", "DELETE FROM billing.pins WHERE account = 'acme'", []string{"unbilled", "invoice"}},
		"a void is gone":          {"voids", "DELETE FROM billing.voids", []string{"invoice"}},
		"a number is gone":        {"invoice_numbers", "DELETE FROM billing.invoice_numbers WHERE number = 1", []string{"numbers"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := open(t)
			k.record(sale("acme", 1, 1, "sold", "10"), sale("acme", 1, 2, "sold", "2.50"), sale("globex", 1, 1, "sold", "-3"), sale("initech", 1, 1, "sold", "7"))
			k.close("2026-01-31")
			if c.table == "voids" {
				page, err := k.b.List(t.Context(), billing.InvoiceQuery{Account: "initech"})
				if err != nil || len(page.Invoices) != 1 {
					t.Fatalf("%d invoices: %v", len(page.Invoices), err)
				}
				r := billing.VoidRequest{Invoice: page.Invoices[0].ID.String(), Outcome: billing.Rebill, Why: "wrong address", By: "kim"}
				if _, err := k.b.Void(t.Context(), r); err != nil {
					t.Fatal(err)
				}
			}
			k.tamper(fmt.Sprintf(off+c.sql+on, c.table))
			k.want(k.run(true), 0, 0, c.checks...)
			k.want(k.run(true), 0, 0, c.checks...) // still open, found once
		})
	}
}

func TestBalanceThatDoesntRollForward(t *testing.T) {
	t.Parallel()
	k := open(t)
	k.record(sale("acme", 1, 1, "sold", "10"))
	k.want(k.run(true), 0, 0)
	k.tamper(`ALTER TABLE reconcile.balances DISABLE TRIGGER ALL; UPDATE reconcile.balances SET unbilled = 11`)
	k.record(sale("acme", 1, 2, "sold", "5"))
	res := k.run(true)
	k.want(res, 0, 0, "roll-forward")
	if f := res.Findings[0]; f.Detail != "opening 11 + booked 5 - billed 0 = 16, but 15 EUR is unbilled" {
		t.Errorf("finding %q", f.Detail)
	}
	k.record(sale("acme", 1, 3, "sold", "5"))
	res = k.run(true)
	k.want(res, 0, 0, "roll-forward") // open until a person resolves it
	if err := k.r.Resolve(t.Context(), res.Findings[0].ID, "corrected", "the balance was edited", "kim"); err != nil {
		t.Fatal(err)
	}
	k.want(k.run(true), 0, 0)
}

func TestEventsThatNoChargeSelects(t *testing.T) {
	t.Parallel()
	k := open(t)
	if _, err := k.b.SetTerms(t.Context(), []byte(`{"cadence":"monthly","charges":[{"name":"sales","measure":"amount","types":["sold"],"model":"sum"}]}`), "test"); err != nil {
		t.Fatal(err)
	}
	k.record(sale("acme", 1, 1, "sold", "10"), sale("acme", 1, 2, "gift", "4"))
	k.want(k.run(true), 0, 0)
	if res := k.close("2026-01-31"); res.Pinned != 1 {
		t.Fatalf("%d events are pinned", res.Pinned)
	}
	res := k.run(true)
	k.want(res, 0, 0, "uncovered")
	if f := res.Findings[0]; !strings.Contains(f.Detail, "gift") || f.Account != "acme" || f.Currency != "EUR" {
		t.Errorf("finding %+v", f)
	}
	if err := k.r.Resolve(t.Context(), res.Findings[0].ID, "accepted", "gifts are free", "kim"); err != nil {
		t.Fatal(err)
	}
	k.record(sale("acme", 2, 1, "sold", "1")) // makes the run look at the account again
	k.want(k.run(true), 0, 0)
	k.close("2026-02-28")
	k.want(k.run(true), 0, 0)
	if err := k.r.Resolve(t.Context(), res.Run, "accepted", "why", "kim"); !errors.Is(err, ledger.ErrNotFound) {
		t.Errorf("an unknown finding: %v", err)
	}
}

func TestTwoRunsAtOnce(t *testing.T) {
	t.Parallel()
	k := open(t)
	k.record(sale("acme", 1, 1, "sold", "10"))
	k.close("2026-01-31")
	for n := range 20 {
		k.record(sale("acme", 1, 2+n, "sold", "1"))
	}
	type answer struct {
		res reconcile.Result
		err error
	}
	answers := make(chan answer)
	for range 2 {
		go func() {
			res, err := k.r.Run(context.Background(), reconcile.Request{Heal: true, By: "test"})
			answers <- answer{res, err}
		}()
	}
	healed := int64(0)
	for range 2 {
		a := <-answers
		if a.err != nil && !errors.Is(a.err, ledger.ErrBusy) {
			t.Error(a.err)
		}
		healed += a.res.Healed
	}
	var noted int64
	if err := k.db.Super.QueryRow(t.Context(), `SELECT count(*) FROM billing.late_events`).Scan(&noted); err != nil || noted != 20 || healed > 20 {
		t.Errorf("%d healed, %d noted, %v", healed, noted, err)
	}
	k.want(k.run(true), 0, 0)
}

// Whatever comes when, and whenever the books are closed and reconciled: honest books roll forward.
func TestAnyHistoryRollsForward(t *testing.T) {
	t.Parallel()
	k := open(t)
	if err := k.l.DeclareSource(t.Context(), ledger.Source{Name: "shop", Numbering: ledger.NumberingNone, By: "test"}); err != nil { // its numbers mean nothing
		t.Fatal(err)
	}
	world := 0
	rapid.Check(t, func(rt *rapid.T) {
		world++
		n, month := 0, 0
		for range rapid.IntRange(2, 8).Draw(rt, "steps") {
			switch rapid.IntRange(0, 3).Draw(rt, "step") {
			case 0, 1:
				var events []ledger.Event
				for range rapid.IntRange(1, 6).Draw(rt, "events") {
					n++
					account := fmt.Sprintf("w%d-%d", world, rapid.IntRange(0, 2).Draw(rt, "account"))
					e := sale(account, rapid.IntRange(1, 8).Draw(rt, "month"), n, "sold", fmt.Sprintf("%d.%02d", rapid.IntRange(-50, 50).Draw(rt, "amount"), n%100))
					e.Currency = rapid.SampledFrom([]string{"EUR", "JPY"}).Draw(rt, "currency")
					events = append(events, e)
				}
				k.record(events...)
			case 2:
				month = min(8, month+rapid.IntRange(1, 2).Draw(rt, "months"))
				k.close(time.Date(2026, time.Month(month+1), 0, 0, 0, 0, 0, time.UTC).Format(time.DateOnly))
			case 3:
				if res := k.run(rapid.Bool().Draw(rt, "heal")); res.Open() > 0 {
					for _, f := range res.Findings {
						if f.Check != "late" {
							rt.Fatalf("finding %+v", f)
						}
					}
				}
			}
		}
		if res := k.run(true); res.Open() > 0 {
			rt.Fatalf("findings %+v", res.Findings)
		}
	})
}

func TestStatementsPrepare(t *testing.T) {
	t.Parallel()
	sqltest.Prepare(t, pgtest.New(t).App, ".")
}
