package reconcile_test

import (
	"strings"
	"testing"

	"deltaledger/ledger"
)

func (k *books) declareType(name string, billable bool) {
	k.Helper()
	if _, err := k.l.DeclareType(k.Context(), ledger.Type{Name: name, Description: "d", Owner: "o", Billable: billable, By: "test"}); err != nil {
		k.Fatal(err)
	}
}

func TestUnknownTypesAreFindingsUntilTheyAreDeclared(t *testing.T) {
	t.Parallel()
	k := open(t)
	k.record(sale("acme", 1, 1, "sold", "1"), sale("acme", 1, 2, "gift", "1"))
	k.want(k.run(true), 0, 0) // no type is declared: the catalogue isn't in use
	k.declareType("sold", true)
	k.record(sale("acme", 1, 3, "sold", "1"), sale("acme", 1, 4, "leased", "1"), sale("acme", 1, 5, "leased", "1"), sale("acme", 1, 6, "lent", "1"))
	first := k.run(true)
	k.want(first, 0, 0, "unknown-type", "unknown-type")
	if text := details(first); !strings.Contains(text, `source "shop" sends events of type "leased", which isn't declared`) {
		t.Error(text)
	}
	again := k.run(true) // nothing came
	k.want(again, 0, 0, "unknown-type", "unknown-type")
	if again.Findings[0].ID != first.Findings[0].ID {
		t.Errorf("found twice: %+v", again.Findings)
	}
	for _, f := range first.Findings {
		if !strings.Contains(f.Detail, "lent") {
			continue
		}
		if err := k.r.Resolve(t.Context(), f.ID, "accepted", "it is a trial", "kim"); err != nil {
			t.Fatal(err)
		}
	}
	k.record(sale("acme", 1, 7, "lent", "1"))
	k.want(k.run(true), 0, 0, "unknown-type")
	k.declareType("leased", true)
	k.record(sale("acme", 1, 8, "leased", "1"))
	k.want(k.run(true), 0, 0)
}

func TestTypesThatArentBillableNeedNoCharge(t *testing.T) {
	t.Parallel()
	k := open(t)
	if _, err := k.b.SetTerms(t.Context(), []byte(`{"cadence":"monthly","charges":[{"name":"sales","measure":"amount","types":["sold"],"model":"sum"}]}`), "test"); err != nil {
		t.Fatal(err)
	}
	k.declareType("sold", true)
	k.declareType("gift", true)
	k.record(sale("acme", 1, 1, "sold", "10"), sale("acme", 1, 2, "gift", "4"))
	k.close("2026-01-31")
	k.want(k.run(true), 0, 0, "uncovered")
	k.declareType("gift", false)
	k.want(k.run(true), 0, 0)
	k.record(sale("acme", 2, 1, "gift", "1"), sale("acme", 2, 2, "sold", "1"))
	k.close("2026-02-28")
	k.want(k.run(true), 0, 0)
}
