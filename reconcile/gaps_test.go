package reconcile_test

import (
	"fmt"
	"strings"
	"testing"

	"deltaledger/ledger"
	"deltaledger/reconcile"
)

func (k *books) declare(source, numbering string) {
	k.Helper()
	if err := k.l.DeclareSource(k.Context(), ledger.Source{Name: source, Numbering: numbering, By: "test"}); err != nil {
		k.Fatal(err)
	}
}

func details(r reconcile.Result) string {
	var all []string
	for _, f := range r.Findings {
		all = append(all, f.Detail)
	}
	return strings.Join(all, "\n")
}

func TestMissingNumbersAreFindingsUntilTheyCome(t *testing.T) {
	t.Parallel()
	k := open(t)
	k.record(sale("acme", 1, 1, "sold", "1"), sale("acme", 1, 5, "sold", "1"), sale("globex", 1, 1, "sold", "1"))
	first := k.run(true)
	k.want(first, 0, 0, "gaps")
	if text := details(first); !strings.Contains(text, `numbers 2 to 4 are missing of stream "acme-1" of source "shop" since 20`) {
		t.Error(text)
	}
	k.record(sale("acme", 1, 3, "sold", "1"))
	second := k.run(true)
	k.want(second, 0, 0, "gaps", "gaps")
	if second.Findings[0].ID != first.Findings[0].ID || !strings.Contains(details(second), "number 4 is missing") {
		t.Error(details(second)) // the part that begins where the whole did is the same finding
	}
	k.record(sale("acme", 1, 2, "sold", "1"), sale("acme", 1, 4, "sold", "1"))
	k.want(k.run(true), 0, 0)
	k.want(k.run(true), 0, 0)
}

func TestDoubledNumbersAreFindings(t *testing.T) {
	t.Parallel()
	k := open(t)
	k.declare("shop", ledger.NumberingSource)
	k.record(sale("acme", 1, 1, "sold", "1"), sale("globex", 1, 2, "sold", "1"))
	k.want(k.run(true), 0, 0)
	k.record(sale("acme", 1, 2, "sold", "1"))
	r := k.run(true)
	k.want(r, 0, 0, "gaps")
	if text := details(r); !strings.Contains(text, `event "acme-1/2" of source "shop", in stream "acme-1", bears the number 2`) {
		t.Error(text)
	}
	k.declare("shop", ledger.NumberingStream) // then globex lacks its number 1
	if text := details(k.run(true)); strings.Contains(text, "bears") || !strings.Contains(text, `number 1 is missing of stream "globex-1"`) {
		t.Error(text)
	}
}

func TestManyGapsAreFewFindings(t *testing.T) {
	t.Parallel()
	k := open(t)
	for n := range 103 {
		k.record(sale(fmt.Sprint("a", n), 1, 2, "sold", "1"))
	}
	r := k.run(true)
	if len(r.Findings) != 101 || !strings.Contains(details(r), `source "shop" has 3 more gaps`) {
		t.Errorf("%d findings", len(r.Findings))
	}
}
