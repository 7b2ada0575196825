package ledger_test

import (
	"fmt"
	"strings"
	"testing"

	"deltaledger/ledger"
)

// An event is the same event whatever is private when it comes: before, between and after declarations, and
// after it was erased. Where the content differs it is a conflict all the same.
func TestDeclaringPrivateMakesNoConflicts(t *testing.T) {
	t.Parallel()
	l, db := open(t)
	event := func(n int) ledger.Event {
		e := sale("o1", n)
		e.Dimensions = []byte(`{"country":"FR","mail":"a@b.example","phone":"1"}`)
		if n%2 == 0 {
			e.Payload = []byte(`{"x":1}`)
		}
		return e
	}
	var public int64 // the last conflict in which the mail was public
	steps := []func(){
		func() {},
		func() {
			declareColumn(t, db, "mail", "dimension", "text", true)
			public = one[int64](t, db, `SELECT max(n) FROM ledger.conflicts`)
		},
		func() { declareColumn(t, db, "phone", "dimension", "text", true) },
		func() { declareColumn(t, db, "country", "dimension", "text", false) },
	}
	each := func(what string, last int, change func(*ledger.Event), want ledger.Status, differs string) {
		t.Helper()
		for n := 1; n <= last; n++ {
			e := event(n)
			change(&e)
			for _, record := range []string{"one", "atomic"} {
				out, err := []ledger.Outcome(nil), error(nil)
				if record == "one" {
					out = appendAll(t, l, e)
				} else if out, err = l.AppendAtomic(t.Context(), []ledger.Event{e}); err != nil && want == ledger.Duplicate {
					t.Fatal(err)
				}
				if out[0].Status != want || differs != "" && strings.Join(out[0].Differs, ",") != differs {
					t.Errorf("%s: event %d, %s: %+v, want %s %s", what, n, record, out[0], want, differs)
				}
			}
		}
	}
	replace := func(old, to string) func(*ledger.Event) {
		return func(e *ledger.Event) { e.Dimensions = []byte(strings.Replace(string(e.Dimensions), old, to, 1)) }
	}
	for i, step := range steps {
		step()
		appendAll(t, l, event(2*i+1), event(2*i+2))
		last := 2*i + 2
		each(fmt.Sprintf("step %d", i), last, func(*ledger.Event) {}, ledger.Duplicate, "")
		each(fmt.Sprintf("step %d, other amount", i), last, func(e *ledger.Event) { e.Amount = amount("99") }, ledger.Conflict, "amount")
		each(fmt.Sprintf("step %d, other mail", i), last, replace("a@b", "c@d"), ledger.Conflict, "")
		each(fmt.Sprintf("step %d, no mail", i), last, replace(`"mail":"a@b.example",`, ``), ledger.Conflict, "")
		each(fmt.Sprintf("step %d, other country", i), last, replace("FR", "DE"), ledger.Conflict, "dimensions")
	}
	if n := one[int](t, db, `SELECT count(*) FROM ledger.conflicts WHERE content LIKE '%@%' AND n > $1`, public); n != 0 || public == 0 {
		t.Errorf("%d conflicts hold what was declared private before they came", n)
	}
	erase(t, l, ledger.EraseRequest{Account: "acme"})
	each("erased", 8, func(*ledger.Event) {}, ledger.Duplicate, "")
	each("erased, other amount", 8, func(e *ledger.Event) { e.Amount = amount("98") }, ledger.Conflict, "amount")
	each("erased, other country", 8, replace("FR", "DE"), ledger.Conflict, "dimensions")
	// Of events 3 to 8 the mail is erased, so that another one can't be told from it.
	e := event(3)
	replace("a@b", "c@d")(&e)
	if o := appendAll(t, l, e)[0]; o.Status != ledger.Duplicate {
		t.Errorf("erased, other mail: %+v", o)
	}
	declareColumn(t, db, "shoe", "dimension", "text", true)
	each("erased, and more declared", 8, func(*ledger.Event) {}, ledger.Duplicate, "")
}

func TestDiffersNamesPrivateFields(t *testing.T) {
	t.Parallel()
	l, db := open(t)
	declareColumn(t, db, "mail", "dimension", "text", true)
	e := sale("o1", 1)
	e.Dimensions, e.Payload = []byte(`{"mail":"a@b.example"}`), []byte(`{"x":1}`)
	appendAll(t, l, e)
	for want, change := range map[string]func(*ledger.Event){
		"payload":     func(e *ledger.Event) { e.Payload = []byte(`{"x":2}`) },
		"pii":         func(e *ledger.Event) { e.Dimensions = []byte(`{"mail":"c@d.example"}`) },
		"payload,pii": func(e *ledger.Event) { e.Dimensions, e.Payload = nil, nil },
	} {
		again := e
		change(&again)
		if o := appendAll(t, l, again)[0]; o.Status != ledger.Conflict || strings.Join(o.Differs, ",") != want || strings.Contains(o.Err.Error(), "@") {
			t.Errorf("%s: %+v", want, o)
		}
	}
}
