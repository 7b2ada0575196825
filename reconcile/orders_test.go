package reconcile_test

import (
	"fmt"
	"strings"
	"testing"

	"deltaledger/billing"
	"deltaledger/ledger"
)

const byOrder = `{"bill_on":"order","finalising":["completed"],"charges":[{"name":"all","measure":"amount","model":"sum","types":["sold","completed"]}]}`

// ofOrder is a sale of an order.
func ofOrder(account, order string, month, n int, typ, amount string) ledger.Event {
	e := sale(account, month, n, typ, amount)
	e.Stream, e.ID = order, fmt.Sprintf("%s/%d", order, n)
	return e
}

// An order that is open waits in order, however many closes pass it; once it is final and billed nothing is open.
func TestOpenOrdersAreNotMissing(t *testing.T) {
	t.Parallel()
	k := open(t)
	if _, err := k.b.SetTerms(t.Context(), []byte(byOrder), "test"); err != nil {
		t.Fatal(err)
	}
	k.record(ofOrder("acme", "o1", 1, 1, "sold", "10"), ofOrder("acme", "o2", 1, 1, "sold", "3"), ofOrder("acme", "o2", 1, 2, "completed", "0"))
	k.want(k.run(true), 0, 0)
	if res := k.close("2026-01-31"); res.Pinned != 2 {
		t.Errorf("%d events are pinned", res.Pinned)
	}
	k.want(k.run(true), 0, 0)
	k.record(ofOrder("acme", "o1", 2, 2, "sold", "1"))
	k.want(k.run(true), 0, 0)
	k.close("2026-02-28")
	k.want(k.run(true), 0, 0)
	k.want(k.run(true), 0, 0)
	k.record(ofOrder("acme", "o1", 3, 3, "completed", "0.5"))
	k.want(k.run(true), 0, 0)
	if res := k.close("2026-03-31"); res.Pinned != 3 || res.Totals["EUR"].String() != "11.50" {
		t.Errorf("%d events are pinned, totals %v", res.Pinned, res.Totals)
	}
	k.want(k.run(true), 0, 0)
	k.want(k.run(true), 0, 0)
}

// An order that is found to be final after the close of its cycle wasn't billed there: a run finds it and heals it,
// also where the event that finalised it is another account's.
func TestFinalOrdersThatWereNotBilled(t *testing.T) {
	t.Parallel()
	for name, by := range map[string]string{"by its own account": "acme", "by another account": "globex"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := open(t)
			if _, err := k.b.SetTerms(t.Context(), []byte(byOrder), "test"); err != nil {
				t.Fatal(err)
			}
			k.record(ofOrder("acme", "o1", 1, 1, "sold", "10"), ofOrder("acme", "o1", 1, 2, "sold", "5"), ofOrder("globex", "o9", 1, 1, "sold", "5"))
			k.close("2026-01-31")
			k.want(k.run(true), 0, 0)
			k.record(ofOrder(by, "o1", 1, 3, "completed", "0"))
			k.want(k.run(false), 3, 0, k.lateOf(by)...)
			k.want(k.run(true), 3, 3)
			res := k.close("2026-02-28")
			if res.Pinned != 3 || res.Late != 3 || res.Totals["EUR"].String() != "15.00" {
				t.Errorf("%d events are pinned, %d late, totals %v", res.Pinned, res.Late, res.Totals)
			}
			k.want(k.run(true), 0, 0)
			k.want(k.run(true), 0, 0)
		})
	}
}

// lateOf are the findings of a run that doesn't heal: one for each account with late events.
func (k *books) lateOf(by string) []string {
	if by == "acme" {
		return []string{"late"}
	}
	return []string{"late", "late"}
}

// What waits for its order and was changed behind the program is made again from the events, before it is missing on a bill.
func TestWhatWaitsIsMadeAgain(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		sql  string
		says []string
	}{
		"nothing is changed":     {"SELECT 1", nil},
		"all of it is gone":      {"DELETE FROM billing.carried", []string{"left 3 events waiting", "had 0", "made again from the events: positions 1, 2, 4"}},
		"a row is gone":          {"DELETE FROM billing.carried WHERE position = 2", []string{"had 2", "made again from the events: positions 2"}},
		"a row is settled":       {"UPDATE billing.carried SET settled = 1 WHERE position = 2", []string{"made again from the events: positions 2"}},
		"a row is of no event":   {"UPDATE billing.carried SET position = 777 WHERE position = 2", []string{"taken away, because they aren't what the events say: positions 777", "made again from the events: positions 2"}},
		"a row is of an order":   {"UPDATE billing.carried SET stream = 'o2' WHERE position = 2", []string{"positions 2"}},
		"a row has another time": {"UPDATE billing.carried SET occurred_at = occurred_at + interval '1 day' WHERE position = 2", []string{"positions 2"}},
		"a row is of what is billed": {
			"INSERT INTO billing.carried (account, position, recorded_at, occurred_at, source, stream, since) SELECT account, position, recorded_at, occurred_at, source, stream, '0001-01-01Z' FROM ledger.events WHERE position = 3",
			[]string{"taken away, because they aren't what the events say: positions 3"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := open(t)
			k.terms(byOrder)
			k.record(ofOrder("acme", "o1", 1, 1, "sold", "10"), ofOrder("acme", "o1", 1, 2, "sold", "-10"),
				ofOrder("acme", "o2", 1, 1, "completed", "4"), ofOrder("acme", "o3", 1, 1, "sold", "3"))
			k.close("2026-01-31")
			k.want(k.run(true), 0, 0)
			k.tamper(c.sql)
			k.record(ofOrder("acme", "o9", 3, 1, "sold", "1")) // makes the run look at the account
			k.want(k.run(true), 0, 0)
			var outcome, why string
			err := k.db.App.QueryRow(t.Context(), `SELECT COALESCE(max(r.outcome), ''), COALESCE(max(r.why), '') FROM reconcile.findings f JOIN reconcile.resolutions r ON r.finding = f.id WHERE f.check_name = 'carried'`).Scan(&outcome, &why)
			if err != nil || (outcome == "corrected") != (c.says != nil) {
				t.Errorf("resolved %q %q: %v", outcome, why, err)
			}
			for _, text := range c.says {
				if !strings.Contains(why, text) {
					t.Errorf("%q isn't in %q", text, why)
				}
			}
			k.record(ofOrder("acme", "o1", 2, 3, "completed", "1"), ofOrder("acme", "o3", 2, 2, "completed", "0"))
			if res := k.close("2026-02-28"); res.Pinned != 5 || res.Totals["EUR"].String() != "4.00" {
				t.Errorf("%d events are pinned, totals %v", res.Pinned, res.Totals)
			}
			k.want(k.run(true), 0, 0)
			k.want(k.run(true), 0, 0)
		})
	}
}

// A close that finds less waiting than the one before left parks the account, also where nothing is left at all; once it is
// made again and released, all of it is billed.
func TestCloseMissesWhatWaits(t *testing.T) {
	t.Parallel()
	k := open(t)
	k.terms(byOrder)
	k.record(ofOrder("acme", "o1", 1, 1, "sold", "10"))
	k.close("2026-01-31")
	k.want(k.run(true), 0, 0)
	k.tamper("DELETE FROM billing.carried")
	date, _ := billing.ParseDate("2026-02-28")
	res, err := k.b.Close(t.Context(), billing.CloseRequest{Through: date, By: "test"})
	if err != nil || len(res.Failed) != 1 || !res.Failed[0].Parked || !strings.Contains(res.Failed[0].Reason, "0 events wait for their orders in billing.carried, but the last close left 1") {
		t.Fatalf("%+v %v", res, err)
	}
	k.want(k.run(true), 0, 0, "parked")
	if _, err := k.b.Release(t.Context(), billing.ReleaseRequest{Account: "acme", Why: "made again", By: "kim"}); err != nil {
		t.Fatal(err)
	}
	k.record(ofOrder("acme", "o1", 2, 2, "completed", "1"))
	if res := k.close("2026-02-28"); res.Pinned != 2 || res.Totals["EUR"].String() != "11.00" {
		t.Errorf("%d events are pinned, totals %v", res.Pinned, res.Totals)
	}
	k.want(k.run(true), 0, 0)
}
