package billing

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"deltaledger/ledger"
)

// An invoice that waited for a person may be written off: nothing stands in its place, and nothing waits.
func TestWriteOffOfAnInvoiceThatWaits(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "2026-02-03T00:00:00Z")
	f.record(f.event("acme", "2026-01-10T00:00:00Z", "10"))
	if _, err := f.b.Close(t.Context(), CloseRequest{Through: mustDate(t, "2026-01-31"), Review: true, By: "tester"}); err != nil {
		t.Fatal(err)
	}
	id := f.invoices("acme")[0].ID.String()
	if done := f.void(id, WriteOff); done.Rebill != nil {
		t.Errorf("%+v", done)
	}
	v := f.invoices("acme")
	if len(v) != 1 || v[0].Status != Void || v[0].Outcome != WriteOff || v[0].Number != "" {
		t.Errorf("%+v", v)
	}
	if _, err := f.b.Approve(t.Context(), ApproveRequest{Invoices: []string{id}, By: "boss"}); !errors.Is(err, ledger.ErrConflict) {
		t.Errorf("approved: %v", err)
	}
	f.checkLaws()
}

// Whoever made an adjustment doesn't decide on it under another spelling of the name.
func TestOnePersonIsOnePersonHoweverSpelled(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "2026-02-03T00:00:00Z")
	f.terms(`{"grace":"0h","approve_above":{"USD":"100"},"charges":[{"name":"sales","measure":"amount","model":"sum"}]}`)
	f.record(f.event("acme", "2026-01-10T00:00:00Z", "10"))
	for maker, spellings := range map[string][]string{
		"jane.doe":    {"jane.doe", "Jane.Doe", " jane.doe\t", "JANE.DOE\u00a0", "jane.doe\u200b", "j\u00adane.doe", "\ufeffjane.doe", "\uff4aane.doe", "\u3000jane.doe"},
		"Jane  Doe":   {"jane doe", "Jane \t Doe", "Jane\u00a0Doe"},
		"Jos\u00e9":   {"Jose\u0301", "JOS\u00c9", "jose\u0301"},
		"stra\u00dfe": {"STRASSE", "strasse"},
		"Karl":        {"\u212aarl"},
	} {
		a, err := f.b.Adjust(t.Context(), AdjustRequest{Account: "acme", Amount: "500", Currency: "USD", Reason: "x", By: maker})
		if err != nil || a.Status != AdjustmentWaiting {
			t.Fatalf("%+v %v", a, err)
		}
		for _, by := range spellings {
			got, err := f.b.Decide(t.Context(), DecideRequest{Adjustment: a.ID.String(), Outcome: Approved, Why: "fine", By: by})
			if !errors.Is(err, ledger.ErrInvalid) {
				t.Errorf("made by %q, decided by %q: %+v %v", maker, by, got.Status, err)
			}
		}
		if _, err := f.b.Decide(t.Context(), DecideRequest{Adjustment: a.ID.String(), Outcome: Approved, Why: "fine", By: maker + "2"}); err != nil {
			t.Errorf("another person than %q: %v", maker, err)
		}
	}
}

// An account is known from its first event on, not only from the first close on.
func TestAdjustmentOfANewAccount(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "2026-02-03T00:00:00Z")
	r := AdjustRequest{Account: "acme", Amount: "-5", Currency: "USD", Reason: "welcome", By: "jane"}
	if _, err := f.b.Adjust(t.Context(), r); !errors.Is(err, ledger.ErrNotFound) {
		t.Errorf("before any event: %v", err)
	}
	f.record(f.event("acme", "2026-01-10T00:00:00Z", "10"))
	if a, err := f.b.Adjust(t.Context(), r); err != nil || a.Status != AdjustmentReady {
		t.Errorf("%+v %v", a, err)
	}
	f.close("2026-01-31")
	if all := f.invoices("acme"); len(all) != 1 || all[0].Total.String() != "5.00" {
		t.Errorf("%+v", all)
	}
}

// Nobody acts under a name that says nothing, or that can't be kept.
func TestNamesThatSayNothing(t *testing.T) {
	t.Parallel()
	f := invoiced(t)
	for _, by := range []string{"", " ", "\t", "a\x00b", "\xff", strings.Repeat("x", 2000)} {
		for what, err := range map[string]error{
			"void":  second(f.b.Void(t.Context(), VoidRequest{Invoice: "INV-000001", Outcome: WriteOff, Why: "wrong", By: by})),
			"close": second(f.b.Close(t.Context(), CloseRequest{Through: mustDate(t, "2026-01-31"), By: by})),
			"terms": second(f.b.SetTerms(t.Context(), []byte(`{"grace":"1h","charges":[{"name":"sales","measure":"amount","model":"sum"}]}`), by)),
		} {
			if !errors.Is(err, ledger.ErrInvalid) {
				t.Errorf("%s by %.20q: %v", what, by, err)
			}
		}
	}
	if _, err := f.b.Void(t.Context(), VoidRequest{Invoice: "INV-000001", Outcome: WriteOff, Why: "a\x00b", By: "x"}); !errors.Is(err, ledger.ErrInvalid) {
		t.Errorf("void: %v", err)
	}
}

func second[T any](_ T, err error) error { return err }

// A cursor that somebody made is refused like any other text, and doesn't reach the database.
func TestCursorsThatSomebodyMade(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "2026-02-03T00:00:00Z")
	f.record(f.event("acme", "2026-01-10T00:00:00Z", "10"))
	f.terms(`{"account":"acme","bill_on":"order","finalising":["done"]}`)
	for _, q := range []InvoiceQuery{{Account: "a\x00"}, {Limit: -1}, {Limit: 5000}, {Status: "x"}} {
		if _, err := f.b.List(t.Context(), InvoiceQuery{Cursor: invoiceCursor{Query: q, Before: 5}.String()}); !errors.Is(err, ledger.ErrInvalid) {
			t.Errorf("%+v: %v", q, err)
		}
		if _, err := f.b.List(t.Context(), q); !errors.Is(err, ledger.ErrInvalid) {
			t.Errorf("%+v: %v", q, err)
		}
	}
	for _, c := range []orderCursor{
		{Query: OpenOrderQuery{Account: "a\x00"}},
		{Account: "a\x00"},
		{Query: OpenOrderQuery{Account: "acme"}, Account: "acme", Source: "s\x00"},
		{Query: OpenOrderQuery{Account: "acme"}, Account: "acme", Stream: "s\x00"},
		{Query: OpenOrderQuery{Account: "acme"}, Account: "acme", Currency: "s\x00"},
		{Query: OpenOrderQuery{Limit: -1}, Account: "acme"},
	} {
		if _, err := f.b.OpenOrders(t.Context(), OpenOrderQuery{Cursor: c.String()}); !errors.Is(err, ledger.ErrInvalid) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// Numbers can be typed on a command line and opened in a spreadsheet.
func TestNumbersDoNotBeginWithASign(t *testing.T) {
	t.Parallel()
	for _, wrong := range []string{"-A{number}", ".A{number}", "_{year}-{number}"} {
		if _, err := ParseNumberFormat(wrong); !errors.Is(err, ledger.ErrInvalid) {
			t.Errorf("%s: %v", wrong, err)
		}
	}
}

// An invoice is found by its number also where that could be read as an id.
func TestNumberThatReadsLikeAnID(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"ABCDEFABCDEFABCDEFABCDEFAB{number:06}", "ABCDEFAB-ABCD-ABCD-ABCD-{number:012}", "FACEFACEFACEFACEFACEFACEFACEFACE{number}"} {
		if _, err := ParseNumberFormat(text); !errors.Is(err, ledger.ErrInvalid) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// Of two people who decide at the same time one does, whatever a close does meanwhile; and what was billed was approved.
func TestTwoDecisionsAtTheSameTime(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "2026-02-03T00:00:00Z")
	f.terms(`{"grace":"0h","approve_above":{"USD":"100"},"charges":[{"name":"sales","measure":"amount","model":"sum"}]}`)
	f.record(f.event("acme", "2026-01-10T00:00:00Z", "10"))
	a, err := f.b.Adjust(t.Context(), AdjustRequest{Account: "acme", Amount: "-500", Currency: "USD", Reason: "x", By: "jane"})
	if err != nil {
		t.Fatal(err)
	}
	decide := func(outcome, by string) func() error {
		return func() error {
			_, err := f.b.Decide(f.Context(), DecideRequest{Adjustment: a.ID.String(), Outcome: outcome, Why: "seen", By: by})
			return err
		}
	}
	errs := f.atOnce(decide(Approved, "a"), decide(Rejected, "b"), decide(Approved, "c"), decide(Rejected, "d"), func() error {
		_, err := f.b.Close(f.Context(), CloseRequest{Through: mustDate(f, "2026-01-31"), By: "tester"})
		return err
	})
	done := 0
	for _, err := range errs[:4] {
		if err == nil {
			done++
		}
	}
	if done != 1 {
		t.Errorf("%d decisions: %v", done, errs)
	}
	f.at("2026-03-03T00:00:00Z")
	f.close("2026-02-28")
	sum := "10"
	if now, err := f.b.Adjustment(t.Context(), a.ID.String()); err != nil || (now.Status == AdjustmentBilled) != (errs[0] == nil || errs[2] == nil) {
		t.Errorf("%+v %v, %v", now, err, errs)
	} else if now.Status == AdjustmentBilled {
		sum = "-490"
	}
	total := dec("0")
	for _, v := range f.invoices("acme") {
		total = total.Add(v.Total.Amount)
	}
	f.sameMoney("billed", total, sum)
	f.checkLaws()
}

// An invoice that waits is approved, voided or both at the same time: its events are on one invoice that counts, or were
// given up, and numbers have no gaps.
func TestApprovalAgainstVoid(t *testing.T) {
	t.Parallel()
	for _, outcome := range []Outcome{Rebill, WriteOff} {
		t.Run(string(outcome), func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, "2026-02-03T00:00:00Z")
			const accounts = 4
			for i := range accounts {
				f.record(f.event(fmt.Sprint("acme-", i), "2026-01-10T00:00:00Z", "10"))
			}
			if _, err := f.b.Close(t.Context(), CloseRequest{Through: mustDate(t, "2026-01-31"), Review: true, By: "tester"}); err != nil {
				t.Fatal(err)
			}
			var all []func() error
			for i := range accounts {
				id := f.invoices(fmt.Sprint("acme-", i))[0].ID.String()
				all = append(all, func() error {
					_, err := f.b.Approve(f.Context(), ApproveRequest{Invoices: []string{id}, By: "boss"})
					return err
				}, func() error {
					_, err := f.b.Void(f.Context(), VoidRequest{Invoice: id, Outcome: outcome, Why: "wrong", By: "tester"})
					return err
				})
			}
			f.atOnce(all...)
			for i := range accounts {
				live := 0
				for _, v := range f.invoices(fmt.Sprint("acme-", i)) {
					if v.Status != Void {
						live++
					}
					if v.Status != Void && v.Number != "" && v.Review != "" && v.ApprovedBy == "" {
						t.Errorf("issued without an approval: %+v", v)
					}
				}
				if want := map[Outcome]int{Rebill: 1}[outcome]; live != want {
					t.Errorf("%d invoices count, want %d", live, want)
				}
			}
			f.checkLaws()
		})
	}
}
