package billing

import (
	"testing"

	"deltaledger/ledger"
)

// ofOrder is an event of an order.
func (f *fixture) ofOrder(account, order, typ, at, amount string) ledger.Event {
	f.Helper()
	e := f.event(account, at, amount)
	e.Stream, e.Type = order, typ
	return e
}

const byOrder = `{"bill_on":"order","finalising":["order.completed"],"charges":[{"name":"all","measure":"amount","model":"sum"}]}`

// onInvoices is what the invoices of an account come to, oldest first, as cycle, total and for each line the
// cycle that it is for with its amount.
func (f *fixture) onInvoices(account string) []string {
	f.Helper()
	var all []string
	for _, v := range f.invoices(account) {
		text := v.CycleStart.Format("2006-01") + " " + v.Total.String()
		for _, l := range v.Lines {
			text += " | " + l.OriginStart.Format("2006-01") + " " + l.Amount.String()
			if l.Late {
				text += " late"
			}
		}
		all = append(all, text)
	}
	return all
}

func (f *fixture) wantBilled(account string, want ...string) {
	f.Helper()
	got := f.onInvoices(account)
	if len(got) != len(want) {
		f.Errorf("%s was billed %q, want %q", account, got, want)
		return
	}
	for i := range got {
		if got[i] != want[i] {
			f.Errorf("invoice %d of %s: %q, want %q", i, account, got[i], want[i])
		}
	}
}

// An order is billed in the cycle in which it is final, whenever its events occurred; what comes after is an
// adjustment of that cycle on the invoice of its own.
func TestOrdersAreBilledWhenTheyAreFinal(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "2026-02-05T00:00:00Z")
	f.terms(byOrder)
	f.record(
		f.ofOrder("acme", "o1", "order.placed", "2026-01-10T00:00:00Z", "100"),
		f.ofOrder("acme", "o2", "order.placed", "2026-01-12T00:00:00Z", "7"),
		f.ofOrder("acme", "o2", "order.completed", "2026-01-20T00:00:00Z", "0"),
		f.event("acme", "2026-01-15T00:00:00Z", "1"))
	f.close("2026-01-31")
	f.wantBilled("acme", "2026-01 8.00 | 2026-01 8.00")
	f.at("2026-02-21T00:00:00Z")
	f.record(f.ofOrder("acme", "o1", "order.changed", "2026-02-03T00:00:00Z", "-10"), f.ofOrder("acme", "o1", "order.completed", "2026-02-20T00:00:00Z", "0.5"))
	f.at("2026-03-05T00:00:00Z")
	f.close("2026-02-28")
	f.wantBilled("acme", "2026-01 8.00 | 2026-01 8.00", "2026-02 90.50 | 2026-02 90.50")
	f.record(f.ofOrder("acme", "o1", "order.returned", "2026-03-05T00:00:00Z", "-40"), f.ofOrder("acme", "o1", "order.changed", "2026-02-25T00:00:00Z", "2"))
	f.at("2026-04-05T00:00:00Z")
	done := f.close("2026-03-31")
	f.wantBilled("acme", "2026-01 8.00 | 2026-01 8.00", "2026-02 90.50 | 2026-02 90.50", "2026-03 -38.00 | 2026-02 -38.00 late")
	if done.Late != 1 {
		t.Errorf("%d events were late, want 1", done.Late)
	}
	v := f.invoices("acme")
	if l := v[2].Lines[0]; l.OriginInvoice == nil || *l.OriginInvoice != v[1].ID || l.Events != 2 {
		t.Errorf("the adjustment names invoice %v and %d events", l.OriginInvoice, l.Events)
	}
}

// An order that is finalised late goes to the first open cycle, on a line for the cycle in which it was final.
func TestOrdersThatAreFinalisedLate(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "2026-02-05T00:00:00Z")
	f.terms(byOrder)
	f.record(f.ofOrder("acme", "o1", "order.placed", "2026-01-10T00:00:00Z", "100"))
	f.close("2026-01-31")
	f.wantBilled("acme")
	f.record(f.ofOrder("acme", "o1", "order.completed", "2026-01-20T00:00:00Z", "3"))
	late, healed, err := f.b.Heal(f.Context(), "acme", f.watermark(), "night")
	if err != nil || late != 2 || healed != 2 {
		t.Errorf("healed %d of %d events: %v", healed, late, err)
	}
	f.at("2026-03-05T00:00:00Z")
	f.close("2026-02-28")
	f.wantBilled("acme", "2026-02 103.00 | 2026-01 103.00 late")
	if n := f.number("SELECT count(*) FROM billing.carried WHERE settled IS NULL"); n != 0 {
		t.Errorf("%d events wait", n)
	}
}
