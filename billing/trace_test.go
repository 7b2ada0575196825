package billing

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"deltaledger/ledger"
)

func (f *fixture) trace(source, id string) Trace {
	f.Helper()
	got, err := f.b.Trace(f.Context(), source, id)
	if err != nil {
		f.Fatal(err)
	}
	return got
}

// checkTraces follows every event of every invoice to its lines and back, by the three ways there are.
func (f *fixture) checkTraces(accounts ...string) {
	f.Helper()
	for _, account := range accounts {
		for _, v := range f.invoices(account) {
			by := map[int][]int64{}
			err := f.b.Events(f.Context(), v.ID.String(), func(e PinnedEvent) error {
				for _, n := range e.Lines {
					by[n] = append(by[n], e.Position)
				}
				f.checkTrace(v, e)
				return nil
			})
			if err != nil {
				f.Fatal(err)
			}
			for _, l := range v.Lines {
				if got := f.onLine(v, l.Line); !slices.Equal(got, by[l.Line]) || int64(len(got)) != l.Pinned {
					f.Errorf("line %d of %s: rows %v and %v, and it says %d", l.Line, v.Number, got, by[l.Line], l.Pinned)
				}
			}
		}
	}
}

// checkTrace finds the pin by the event.
func (f *fixture) checkTrace(v Invoice, e PinnedEvent) {
	f.Helper()
	t := f.trace(e.Source, e.ID)
	i := slices.IndexFunc(t.Rows[0].Billed, func(on TracedInvoice) bool { return on.Invoice == v.ID })
	if t.Rows[0].Position != e.Position || i < 0 {
		f.Errorf("event %s leads to %+v and not to %s", e.ID, t.Rows[0], v.Number)
		return
	}
	on, lines := t.Rows[0].Billed[i], []int{}
	for _, l := range on.Lines {
		lines = append(lines, l.Line)
		if want := v.Lines[l.Line-1]; l.Charge != want.Charge || !l.Amount.Amount.Equal(want.Amount.Amount) || !on.OriginStart.Equal(want.OriginStart) || l.Events != want.Events {
			f.Errorf("line %+v of event %s, want %+v", l, e.ID, want)
		}
	}
	if !slices.Equal(lines, e.Lines) || on.Number != v.Number || on.Status != v.Status || on.Zone != v.Zone || on.Watermark != v.Watermark {
		f.Errorf("event %s: %+v of %s, want lines %v", e.ID, on, v.Number, e.Lines)
	}
}

func (f *fixture) onLine(v Invoice, line int) []int64 {
	f.Helper()
	var positions []int64
	// In pages, each from where the one before it ended.
	for q := (PinnedQuery{Invoice: v.ID.String(), Line: line, Limit: 2}); ; q.After = positions[len(positions)-1] {
		n := len(positions)
		err := f.b.PinnedEvents(f.Context(), q, func(e PinnedEvent) error {
			positions = append(positions, e.Position)
			return nil
		})
		if err != nil {
			f.Fatal(err)
		}
		if len(positions) < n+q.Limit {
			return positions
		}
	}
}

func TestTraceThroughFiltersAndBack(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "2026-02-03T00:00:00Z")
	older := f.event("acme", "2026-01-09T00:00:00Z", "0.25") // from before the dimension had a column
	older.Dimensions = dimensions(map[string]string{"region": "7"})
	f.record(older)
	if _, err := f.l.AddColumn(t.Context(), ledger.Column{Name: "region", Kind: ledger.KindDimension, Type: "bigint", Description: "where", Owner: "sales", By: "tester"}, 0); err != nil {
		t.Fatal(err)
	}
	f.terms(`{"charges":[
		{"name":"seven","measure":"amount","model":"sum","filters":{"region":"7"}},
		{"name":"winter","measure":"amount","model":"percentage","rate":"2","filters":{"region":["7","8"],"campaign":"winter"}},
		{"name":"nowhere","model":"per_event","unit_amount":"0.10","filters":{"region":"","campaign":["winter","it's \"quoted\""]}},
		{"name":"returns","measure":"amount","model":"sum","types":["order.returned"]},
		{"name":"euros","measure":"amount","model":"sum","currency":"EUR"},
		{"name":"platform","model":"flat","amount":"9.00","currency":"USD"}]}`)
	var events []ledger.Event
	for i, dims := range []map[string]string{
		{"region": "7"}, {"region": "7", "campaign": "winter"}, {"region": "8", "campaign": "winter"}, {"region": "8"}, {"campaign": "winter"}, {"campaign": `it's "quoted"`}, {}, {},
	} {
		e := f.event("acme", "2026-01-10T00:00:00Z", fmt.Sprint(1<<i))
		e.Dimensions = dimensions(dims)
		events = append(events, e)
	}
	events[6].Currency, events[7].Type = "EUR", "order.returned"
	f.record(events...)
	f.close("2026-01-31")
	f.checkTraces("acme")

	got := f.trace("orders", events[1].ID)
	if len(got.Rows) != 1 || len(got.Rows[0].Billed) != 1 || len(got.Rows[0].Billed[0].Lines) != 2 || got.Account != "acme" {
		t.Errorf("an event of two charges: %+v", got)
	}
	if got := f.trace("orders", events[3].ID).Rows[0]; got.Unbilled == nil || got.Unbilled.Reason != ReasonUncovered || len(got.Billed) != 0 {
		t.Errorf("an event that no charge selects: %+v", got)
	}
	if err := f.b.PinnedEvents(t.Context(), PinnedQuery{Invoice: "INV-000001", Line: 99}, nil); !errors.Is(err, ledger.ErrNotFound) {
		t.Errorf("a line that there isn't: %v", err)
	}
	if _, err := f.b.Trace(t.Context(), "orders", "nothing"); !errors.Is(err, ledger.ErrNotFound) {
		t.Errorf("an event that there isn't: %v", err)
	}
}

func TestTraceOfLateAndVoid(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "2026-02-03T00:00:00Z")
	first := f.event("acme", "2026-01-10T00:00:00Z", "10")
	f.record(first)
	f.close("2026-01-31")
	late := f.event("acme", "2026-01-20T00:00:00Z", "5")
	f.record(late, f.event("acme", "2026-02-02T00:00:00Z", "1"))
	waits := f.trace("orders", late.ID).Rows[0].Unbilled
	if waits == nil || waits.Reason != ReasonLate || !waits.BilledIn.Equal(mustTime(t, "2026-02-01T00:00:00Z")) || !waits.ClosableFrom.Equal(mustTime(t, "2026-03-03T00:00:00Z")) {
		t.Errorf("late: %+v", waits)
	}
	f.at("2026-03-04T00:00:00Z")
	f.close("2026-02-28")
	on := f.trace("orders", late.ID).Rows[0].Billed[0]
	if !on.Late || on.OriginNumber != "INV-000001" || on.Number != "INV-000002" || *on.Run != 2 || !on.OriginEnd.Equal(mustTime(t, "2026-02-01T00:00:00Z")) || on.Lines[0].Events != 1 {
		t.Errorf("billed late: %+v", on)
	}
	f.void("INV-000001", Rebill)
	row := f.trace("orders", first.ID).Rows[0]
	if len(row.Billed) != 2 || !row.Billed[0].Live || row.Billed[0].Run != nil || row.Billed[1].Live || *row.Billed[0].Rebills != row.Billed[1].Invoice || row.Unbilled != nil {
		t.Errorf("billed again: %+v", row)
	}
	f.void("INV-000003", WriteOff)
	row = f.trace("orders", first.ID).Rows[0]
	if row.Billed[0].Live || row.Unbilled == nil || row.Unbilled.Reason != ReasonWrittenOff {
		t.Errorf("written off: %+v", row)
	}
	f.checkTraces("acme")
}

func TestTraceOfWhatIsNotBilledYet(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "2026-02-01T12:00:00Z")
	big := "99999999999999999999999999999999999999"
	e, wrong := f.event("acme", "2026-01-10T00:00:00Z", "10"), f.event("huge", "2026-01-10T00:00:00Z", big)
	f.record(e, wrong, f.event("huge", "2026-01-11T00:00:00Z", big))
	reason := func(id string) Unbilled {
		t.Helper()
		row := f.trace("orders", id).Rows[0]
		if row.Unbilled == nil {
			t.Fatalf("%s is billed: %+v", id, row)
		}
		return *row.Unbilled
	}
	if u := reason(e.ID); u.Reason != ReasonCycleOpen || !u.ClosableFrom.Equal(mustTime(t, "2026-02-03T00:00:00Z")) || u.Zone != "UTC" || u.Terms != 0 {
		t.Errorf("in its cycle, of an account without terms: %+v", u)
	}
	f.at("2026-02-03T00:00:00Z")
	if u := reason(e.ID); u.Reason != ReasonClosable {
		t.Errorf("after its grace: %+v", u)
	}
	if _, err := f.b.Close(t.Context(), CloseRequest{Through: mustDate(t, "2026-01-31"), By: "tester"}); err != nil {
		t.Fatal(err)
	}
	if u := reason(wrong.ID); u.Reason != ReasonParked || u.Why == "" {
		t.Errorf("parked: %+v", u)
	}
}

// What the ledger made because of a state is traced with the event that caused it, and by itself, under whatever account.
func TestTraceOfRowsThatTheLedgerMade(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "2026-02-03T00:00:00Z")
	if err := f.l.DeclareSource(t.Context(), ledger.Source{Name: "till", States: true, Numbering: ledger.NumberingStream, By: "tester"}); err != nil {
		t.Fatal(err)
	}
	state := func(id string, seqn int64, account, amount string) ledger.Event {
		e := f.event(account, "2026-01-10T00:00:00Z", "0")
		value, err := ledger.ParseAmount(amount)
		if err != nil {
			t.Fatal(err)
		}
		e.Source, e.ID, e.Stream, e.Seqn, e.HasSeqn, e.Amount = "till", id, "s1", seqn, true, ledger.Amount{}
		e.State = []ledger.Measure{{Name: "amount", Value: value}}
		return e
	}
	f.record(state("a", 1, "acme", "10"))
	f.record(state("c", 3, "acme", "30"))
	f.record(state("b", 2, "acme", "15")) // which takes 15 of what c brought
	f.record(state("d", 4, "globex", "40"))
	f.close("2026-01-31")
	f.checkTraces("acme", "globex")
	for id, want := range map[string]struct {
		kind    ledger.Kind
		account string
	}{"b": {ledger.Reorder, "acme"}, "d": {ledger.Reversal, "acme"}} {
		got := f.trace("till", id)
		if len(got.Rows) != 2 || got.Rows[0].ID != id || got.Rows[0].CausedBy != nil {
			t.Fatalf("%s: %+v", id, got)
		}
		made := got.Rows[1]
		if made.Kind != want.kind || made.Account != want.account || made.CausedBy == nil || made.CausedBy.ID != id || made.Source != ledger.ReservedSource || len(made.Billed) != 1 || len(made.Billed[0].Lines) != 1 {
			t.Errorf("made because of %s: %+v", id, made)
		}
		if alone := f.trace(made.Source, made.ID); len(alone.Rows) != 1 || alone.Rows[0].CausedBy.ID != id || alone.Rows[0].Position != made.Position {
			t.Errorf("the row by itself: %+v", alone)
		}
	}
}

// An order is traced by the cycle in which it is final, and says so while it isn't.
func TestTraceOfOrders(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "2026-02-05T00:00:00Z")
	f.terms(byOrder)
	placed := f.ofOrder("acme", "o1", "order.placed", "2026-01-10T00:00:00Z", "100")
	f.record(placed, f.ofOrder("acme", "o2", "order.completed", "2026-01-20T00:00:00Z", "7"))
	unbilled := func() *Unbilled { t.Helper(); return f.trace("orders", placed.ID).Rows[0].Unbilled }
	if u := unbilled(); u == nil || u.Reason != ReasonOrderOpen || u.BilledIn != nil {
		t.Errorf("before it is final: %+v", u)
	}
	f.close("2026-01-31")
	if u := unbilled(); u == nil || u.Reason != ReasonOrderOpen {
		t.Errorf("after the cycle in which it was placed: %+v", u)
	}
	done := f.ofOrder("acme", "o1", "order.completed", "2026-02-03T00:00:00Z", "1")
	f.record(done)
	if u := unbilled(); u == nil || u.Reason != ReasonCycleOpen || !u.CycleStart.Equal(mustTime(t, "2026-02-01T00:00:00Z")) || !u.BilledIn.Equal(u.CycleStart) {
		t.Errorf("when it is final: %+v", u)
	}
	f.at("2026-03-05T00:00:00Z")
	f.close("2026-02-28")
	late := f.ofOrder("acme", "o1", "order.placed", "2026-03-02T00:00:00Z", "5")
	f.record(late)
	if u := f.trace("orders", late.ID).Rows[0].Unbilled; u == nil || u.Reason != ReasonCycleOpen || !u.CycleStart.Equal(mustTime(t, "2026-02-01T00:00:00Z")) || !u.BilledIn.Equal(mustTime(t, "2026-03-01T00:00:00Z")) {
		t.Errorf("after it was final: %+v", u)
	}
	f.at("2026-04-05T00:00:00Z")
	f.close("2026-03-31")
	on := f.trace("orders", late.ID).Rows[0].Billed[0]
	if !on.OriginStart.Equal(mustTime(t, "2026-02-01T00:00:00Z")) || !on.CycleStart.Equal(mustTime(t, "2026-03-01T00:00:00Z")) || len(on.Lines) != 1 {
		t.Errorf("its adjustment: %+v", on)
	}
	f.checkTraces("acme")
}

// A line that a person's adjustment makes holds no event, though it is for the cycle of some.
func TestTraceBesideAdjustments(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "2026-02-10T00:00:00Z")
	f.record(f.event("acme", "2026-01-10T00:00:00Z", "10"))
	f.close("2026-01-31")
	late := f.event("acme", "2026-01-11T00:00:00Z", "2")
	f.record(late)
	f.adjust(AdjustRequest{Account: "acme", Amount: "-1", Currency: "USD", Reason: "goodwill", Cycle: mustDate(t, "2026-01-15"), By: "jane"})
	f.at("2026-03-05T00:00:00Z")
	f.close("2026-02-28")
	f.checkTraces("acme")
	v := f.invoices("acme")[1]
	i := slices.IndexFunc(v.Lines, func(l Line) bool { return l.Adjusts == AdjustsManual })
	if i < 0 || len(v.Lines) != 2 {
		t.Fatalf("%+v", v.Lines)
	}
	if on := f.trace("orders", late.ID).Rows[0].Billed[0]; len(on.Lines) != 1 || on.Lines[0].Line == v.Lines[i].Line {
		t.Errorf("%+v", on)
	}
}

// rerated are the lines that price a row's cycle again: invoice, line and why.
func rerated(r TracedRow) []string {
	var all []string
	for _, v := range r.Rerated {
		for _, l := range v.Lines {
			all = append(all, fmt.Sprintf("%s %s %s %s of %s", v.Number, l.Charge, l.Rerates, l.Amount, v.OriginNumber))
		}
	}
	return all
}

// Lines of later invoices that don't bill an event and price its cycle again are named, and why they do.
func TestTraceNamesWhatPricesTheCycleAgain(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "2026-02-10T00:00:00Z")
	f.terms(`{"account":"acme","effective_from":"2026-01-01","charges":[{"name":"sales","measure":"amount","model":"percentage","rate":"10"},{"name":"returns","model":"per_event","unit_amount":"1","types":["order.returned"]},
		{"name":"fee","model":"per_event","unit_amount":"0.50"},{"name":"platform","model":"flat","amount":"9.00","currency":"USD"}]}`)
	first := f.event("acme", "2026-01-10T00:00:00Z", "100")
	f.record(first)
	f.close("2026-01-31")
	if got := rerated(f.trace("orders", first.ID).Rows[0]); len(got) != 0 {
		t.Errorf("nothing happened yet: %q", got)
	}
	late := f.event("acme", "2026-01-11T00:00:00Z", "20")
	other := f.event("acme", "2026-01-12T00:00:00Z", "30")
	other.Currency = "EUR"
	february := f.event("acme", "2026-02-05T00:00:00Z", "7")
	f.record(late, other, february)
	f.adjust(AdjustRequest{Account: "acme", Amount: "-1", Currency: "USD", Reason: "goodwill", Cycle: mustDate(t, "2026-01-15"), By: "jane"})
	f.at("2026-03-05T00:00:00Z")
	f.close("2026-02-28")
	inUSD := f.trace("orders", late.ID).Rows[0].Billed[0].Number
	e, err := f.b.Explain(t.Context(), inUSD)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range e.Lines {
		if l.Late != (l.OriginNumber == "INV-000001") || l.Late != l.OriginStart.Equal(mustTime(t, "2026-01-01T00:00:00Z")) {
			t.Errorf("explained, of %s to %s: %q %s is of invoice %q", l.OriginStart, l.OriginEnd, l.Charge, l.Adjusts, l.OriginNumber)
		}
	}
	want := []string{inUSD + " sales late 2.00 of INV-000001", inUSD + " fee late 0.50 of INV-000001"}
	if got := rerated(f.trace("orders", first.ID).Rows[0]); !slices.Equal(got, want) {
		t.Errorf("after late events: %q, want %q", got, want)
	}
	for _, e := range []ledger.Event{late, other, february} {
		if got := rerated(f.trace("orders", e.ID).Rows[0]); len(got) != 0 {
			t.Errorf("what %s is billed by is no line that only prices it again: %q", e.ID, got)
		}
	}
	if _, err := f.b.AdjustClosed(t.Context(), []byte(`{"account":"acme","effective_from":"2026-01-01","charges":[{"name":"sales","measure":"amount","model":"percentage","rate":"5"}]}`), "contract", "jane"); err != nil {
		t.Fatal(err)
	}
	f.at("2026-04-05T00:00:00Z")
	f.close("2026-03-31")
	for _, e := range []ledger.Event{first, late} {
		got := f.trace("orders", e.ID).Rows[0]
		last := got.Rerated[len(got.Rerated)-1]
		again := rerated(TracedRow{Rerated: []TracedInvoice{last}})
		by := []string{last.Number + " sales terms -6.00 of INV-000001", last.Number + " fee terms -1.00 of INV-000001"}
		if slices.Sort(again); !slices.Equal(again, slices.Sorted(slices.Values(by))) {
			t.Errorf("after other terms: %q, want %q", again, by)
		}
	}
	f.void(inUSD, Rebill)
	var states []string
	for _, v := range f.trace("orders", first.ID).Rows[0].Rerated {
		states = append(states, string(v.Status))
	}
	if want := []string{"void", "issued", "issued"}; !slices.Equal(states, want) {
		t.Errorf("with a void one and what stands in its place: %q, want %q", states, want)
	}
	f.checkTraces("acme")
}

// What others used of an allowance over the contract prices later cycles again, and traces of their events say so.
func TestTraceNamesWhatAContractPricesAgain(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "2026-02-10T00:00:00Z")
	f.terms(`{"account":"acme","effective_from":"2026-01-01","charges":[{"name":"calls","model":"per_event","unit_amount":"1","free_units":"2","free_per":"contract"}]}`)
	february := f.event("acme", "2026-02-02T00:00:00Z", "1")
	f.record(f.event("acme", "2026-01-10T00:00:00Z", "1"), february)
	f.close("2026-01-31")
	f.at("2026-03-05T00:00:00Z")
	f.close("2026-02-28")
	f.record(f.event("acme", "2026-01-11T00:00:00Z", "1"))
	f.at("2026-04-05T00:00:00Z")
	f.close("2026-03-31")
	if got, want := rerated(f.trace("orders", february.ID).Rows[0]), []string{"INV-000003 calls contract 1.00 of INV-000002"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	f.checkTraces("acme")
}
