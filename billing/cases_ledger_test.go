package billing

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"deltaledger/ledger"
)

// units is an event of so many units.
func (f *fixture) units(account, at, quantity string) ledger.Event {
	f.Helper()
	e := f.event(account, at, "0")
	q, err := ledger.ParseAmount(quantity)
	if err != nil {
		f.Fatal(err)
	}
	e.Quantity = q
	return e
}

// of is the document for an account.
func of(account string, further map[string]any) map[string]any {
	all := map[string]any{"account": account}
	for k, v := range further {
		all[k] = v
	}
	return all
}

// countEvents records events of one quantity each, closes all the cycles, and compares what each bills
// with the counts. Accounts whose anchor lies before and after the events are billed alike.
func (in caseTerms) countEvents(t *testing.T, events []string, quantity string, bounds []string, counts []int) {
	t.Helper()
	f := newFixture(t, bounds[len(bounds)-1])
	accounts := map[string]string{"old": "2000-01-01", "new": "2049-12-01"}
	for account, anchor := range accounts {
		f.terms(string(in.terms(t, of(account, map[string]any{"anchor": anchor}))))
		for _, at := range events {
			f.record(f.units(account, at, quantity))
		}
	}
	f.close(DateOf(f.now().In(in.zone(t))).AddDays(-1).String())
	for account := range accounts {
		all := f.invoices(account)
		if len(all) != len(counts) {
			t.Fatalf("%s has %d invoices, want %d", account, len(all), len(counts))
		}
		for i, v := range all {
			sameInstant(t, "the start", v.CycleStart, bounds[i], in.zone(t))
			if v.Events != int64(counts[i]) {
				t.Errorf("%s: the cycle from %v bills %d events, want %d", account, v.CycleStart, v.Events, counts[i])
			}
			f.sameMoney("quantity", v.Lines[0].Added, dec(quantity).Mul(dec(fmt.Sprint(counts[i]))).String())
		}
	}
}

// caseInvoices is what a job makes.
type caseInvoices struct {
	Created int    `json:"invoices_created"`
	First   string `json:"first_created_at"`
}

// runJob closes at each of the times.
func (in caseTerms) runJob(t *testing.T, runs []string, want caseInvoices) {
	t.Helper()
	f := newFixture(t, runs[0])
	zone := in.zone(t)
	f.terms(string(in.terms(t, of("acme", map[string]any{"start": in.local(t, in.ActiveFrom)}))))
	f.record(f.units("acme", caseInstant(t, in.ActiveFrom, zone).Format(time.RFC3339), "1"))
	created, first := 0, ""
	for _, at := range runs {
		f.at(at)
		done := f.close(DateOf(f.now().In(zone)).AddDays(-1).String())
		if created += int(done.Invoices); done.Invoices > 0 && first == "" {
			first = at
		}
	}
	if all := f.invoices("acme"); created != want.Created || len(all) != created || first != want.First {
		t.Errorf("%d invoices were made and %d are there, the first at %s; want %d, at %s", created, len(all), first, want.Created, want.First)
	}
}

// caseEvent is an event of a cut-off.
type caseEvent struct {
	Quantity string `json:"q"`
	At       string `json:"at"`
	Stored   string `json:"stored"`
	Added    bool   `json:"added_after_first_pass"`
}

// UnmarshalJSON reads an event that is its time alone, too.
func (e *caseEvent) UnmarshalJSON(raw []byte) error {
	if s, ok := strings.CutPrefix(string(raw), `"`); ok {
		e.At = strings.TrimSuffix(s, `"`)
		return nil
	}
	type plain caseEvent
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	return d.Decode((*plain)(e))
}

// What a cycle bills is decided by when events happened, half open, and by the watermark of the close:
// what is recorded after it goes to the next cycle.
func caseOfCutoff(t *testing.T, c publicCase) {
	var in cutoff
	var want struct {
		Quantity  string   `json:"quantity"`
		FirstPass string   `json:"first_pass_quantity"`
		Final     string   `json:"final_quantity"`
		ToNext    []string `json:"to_next_cycle"`
		Following []string `json:"belongs_to_february"`
		InPeriod  []bool   `json:"in_period"`
	}
	c.read(t, &in, &want)
	in.start(t)
	if want.InPeriod != nil {
		in.record(t, func(caseEvent) bool { return true })
		in.close(t, in.f.watermark())
		var got []bool
		for _, e := range in.Events {
			got = append(got, in.billed(t, 0)[e.At])
		}
		if fmt.Sprint(got) != fmt.Sprint(want.InPeriod) {
			t.Errorf("in the period are %v, want %v", got, want.InPeriod)
		}
		return
	}
	cut := mustTime(t, in.StoredBefore)
	if in.First != "" {
		first := mustTime(t, in.First)
		in.record(t, func(e caseEvent) bool { return mustTime(t, e.Stored).Before(first) && !e.Added })
		in.f.sameMoney("quantity of the first pass", in.draft(t), want.FirstPass)
	}
	in.record(t, func(e caseEvent) bool { return mustTime(t, e.Stored).Before(cut) })
	w := in.f.watermark()
	in.record(t, func(caseEvent) bool { return true })
	if in.NoOp != "" {
		in.f.at(in.NoOp)
		in.close(t, w)
		if all := in.f.invoices("acme"); len(all) != 0 {
			t.Errorf("at %s there are %d invoices", in.NoOp, len(all))
		}
		in.f.at(in.FinalPass)
	}
	in.close(t, w)
	in.f.sameMoney("quantity", in.f.invoices("acme")[0].Lines[0].Added, want.Quantity+want.Final)
	in.next(t, want.ToNext, want.Following)
}

// cutoff is the input of such a case, and where it is.
type cutoff struct {
	From         string      `json:"event_from"`
	To           string      `json:"event_to"`
	Period       string      `json:"period"` // both, with dots between
	StoredBefore string      `json:"stored_before"`
	Price        string      `json:"unit_price"`
	First        string      `json:"first_pass_at"`
	NoOp         string      `json:"no_op_at"`
	FinalPass    string      `json:"final_pass_at"`
	Events       []caseEvent `json:"events"`

	f        *fixture
	end      time.Time
	recorded map[int]int64 // position by index
}

// start makes a ledger in which the period is a cycle.
func (in *cutoff) start(t *testing.T) {
	t.Helper()
	if in.Period != "" {
		in.From, in.To, _ = strings.Cut(in.Period, "..")
	}
	from := mustTime(t, in.From)
	in.end, in.recorded = mustTime(t, in.To), map[int]int64{}
	terms, grace := caseTerms{Cadence: "monthly"}, time.Duration(0)
	if in.end.Sub(from) == day {
		terms.Cadence = "daily"
	} else if !from.AddDate(0, 1, 0).Equal(in.end) {
		t.Fatalf("the period from %s to %s is neither a day nor a month", in.From, in.To)
	}
	in.f = newFixture(t, in.end.Add(45*day).Format(time.RFC3339))
	if in.FinalPass != "" {
		grace = mustTime(t, in.FinalPass).Sub(in.end)
		in.f.at(in.First)
	}
	charges := []any{map[string]any{"name": "units", "measure": "quantity", "model": "sum"}}
	if in.Price != "" && in.Price != "1" {
		charges = []any{map[string]any{"name": "units", "measure": "quantity", "model": "per_unit", "rate": in.Price}}
	}
	in.f.terms(string(terms.terms(t, map[string]any{"anchor": DateOf(from).String(), "grace": graceText(grace), "charges": charges})))
}

// record records the events that aren't yet, if they are to be.
func (in *cutoff) record(t *testing.T, wanted func(caseEvent) bool) {
	t.Helper()
	for i, e := range in.Events {
		if _, done := in.recorded[i]; !done && wanted(e) {
			if e.Quantity == "" {
				e.Quantity = "1"
			}
			in.recorded[i] = in.f.record(in.f.units("acme", e.At, e.Quantity))[0]
		}
	}
}

// close runs a close whose watermark is given.
func (in *cutoff) close(t *testing.T, w ledger.Watermark) {
	t.Helper()
	in.f.closeAt(w, DateOf(in.end).AddDays(-1).String())
}

// billed are the times of the events that are on the account's invoice number i.
func (in *cutoff) billed(t *testing.T, i int) map[string]bool {
	t.Helper()
	on := map[int64]bool{}
	for _, p := range in.f.events(in.f.invoices("acme")[i].ID) {
		on[p] = true
	}
	times := map[string]bool{}
	for i, p := range in.recorded {
		if on[p] {
			times[in.Events[i].At] = true
		}
	}
	return times
}

// next closes the next cycle, and compares the quantities that it bills late and its own.
func (in *cutoff) next(t *testing.T, late, own []string) {
	t.Helper()
	if late == nil && own == nil {
		return
	}
	later := in.end.AddDate(0, 2, 0)
	in.f.clock.Store(&later)
	in.f.close(DateOf(in.end.AddDate(0, 1, -1)).String())
	v := in.f.invoices("acme")[1]
	for _, l := range v.Lines {
		want := own
		if l.Late {
			want = late
		}
		sum := dec("0")
		for _, q := range want {
			sum = sum.Add(dec(q))
		}
		in.f.sameMoney(fmt.Sprintf("quantity of the next cycle, late %v", l.Late), l.Added, sum.String())
	}
	if len(v.Lines) != 2 {
		t.Errorf("the next invoice has %d lines", len(v.Lines))
	}
}

// draft is the quantity that an invoice for the period would bill now.
func (in *cutoff) draft(t *testing.T) decimal.Decimal {
	t.Helper()
	p, err := in.f.b.Preview(t.Context(), PreviewRequest{Account: "acme"})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range p.Drafts {
		if d.CycleEnd.Equal(in.end) {
			return d.Lines[0].Added
		}
	}
	return decimal.Zero
}

// The same (source, id) is recorded once, however late it is sent again; with other content it is a
// conflict, which is kept and shown.
func caseOfDuplicates(t *testing.T, c publicCase) {
	type sent struct {
		Source string `json:"source"`
		ID     string `json:"id"`
		Body   string `json:"body"`
	}
	var in struct {
		Events []sent   `json:"events"`
		Delays []string `json:"delays"`
		State  string   `json:"state"`
	}
	var want struct {
		Stored    int64  `json:"stored"`
		Second    string `json:"second"`
		Unchanged bool   `json:"invoice_unchanged"`
	}
	c.read(t, &in, &want)
	f := newFixture(t, "2026-02-03T00:00:00Z")
	for _, e := range in.Events {
		if err := f.l.DeclareSource(t.Context(), ledger.Source{Name: e.Source, Numbering: ledger.NumberingNone, By: "tester"}); err != nil {
			t.Fatal(err)
		}
	}
	event := func(e sent) ledger.Event {
		out := f.event("acme", "2026-01-10T00:00:00Z", "1")
		out.Source, out.ID = e.Source, e.ID
		if e.Body != "" {
			out.Dimensions = []byte(`{"body":"` + e.Body + `"}`)
		}
		return out
	}
	if len(in.Events) == 0 {
		in.Events = []sent{{Source: "orders", ID: "1"}}
	}
	var last ledger.Outcome
	send := func(e sent) {
		outcomes, err := f.l.Append(t.Context(), []ledger.Event{event(e)})
		if err != nil {
			t.Fatal(err)
		}
		last = outcomes[0]
	}
	for _, e := range in.Events {
		send(e)
	}
	var before []Invoice
	switch in.State {
	case "":
	case "first copy pinned to issued invoice":
		f.close("2026-01-31")
		before = f.invoices("acme")
		send(in.Events[0])
		f.at("2026-03-03T00:00:00Z")
		f.close("2026-02-28")
	default:
		t.Fatalf("unknown state %q", in.State)
	}
	for _, delay := range in.Delays {
		later := f.now().Add(caseDelay(t, delay))
		f.clock.Store(&later)
		if send(in.Events[0]); last.Status != ledger.Duplicate {
			t.Errorf("after %s it is %s", delay, last.Status)
		}
	}
	if n := f.number("SELECT count(*) FROM ledger.events"); n != want.Stored {
		t.Errorf("%d are recorded, want %d", n, want.Stored)
	}
	switch want.Second {
	case "":
	case "duplicate":
		if last.Status != ledger.Duplicate {
			t.Errorf("the second is %s", last.Status)
		}
	case "conflict, visible in a report":
		listed, err := f.l.ListConflicts(t.Context(), ledger.ConflictQuery{Limit: 10})
		if err != nil || last.Status != ledger.Conflict || len(listed) != 1 {
			t.Errorf("the second is %s, and %d conflicts are listed: %v", last.Status, len(listed), err)
		}
	default:
		t.Errorf("unknown outcome %q", want.Second)
	}
	if want.Unchanged {
		after := f.invoices("acme")
		if fmt.Sprint(before) != fmt.Sprint(after) || len(after) != 1 || last.Status != ledger.Duplicate {
			t.Errorf("the invoices were %v and are %v", before, after)
		}
	}
}

// caseDelay reads a duration, or days as in 33d.
func caseDelay(t *testing.T, text string) time.Duration {
	t.Helper()
	if n, ok := strings.CutSuffix(text, "d"); ok {
		text = n + "h"
		d, err := time.ParseDuration(text)
		if err != nil {
			t.Fatal(err)
		}
		return 24 * d
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}
