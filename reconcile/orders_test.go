package reconcile_test

import (
	"fmt"
	"testing"

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

// What waits must be there when its order is final: books that don't hold it don't roll forward.
func TestWaitingEventThatIsForgotten(t *testing.T) {
	t.Parallel()
	k := open(t)
	if _, err := k.b.SetTerms(t.Context(), []byte(byOrder), "test"); err != nil {
		t.Fatal(err)
	}
	k.record(ofOrder("acme", "o1", 1, 1, "sold", "10"))
	k.close("2026-01-31")
	k.want(k.run(true), 0, 0)
	k.tamper("DELETE FROM billing.carried")
	k.record(ofOrder("acme", "o1", 2, 2, "completed", "1"))
	k.close("2026-02-28")
	k.want(k.run(true), 0, 0, "roll-forward")
}
