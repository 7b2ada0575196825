package ledger_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"deltaledger/ledger"
)

func saleType(change func(*ledger.Type)) ledger.Type {
	t := ledger.Type{Name: "sold", Description: "something was sold", Owner: "shop", Billable: true, By: "jane"}
	if change != nil {
		change(&t)
	}
	return t
}

func declareType(t testing.TB, l *ledger.Ledger, change func(*ledger.Type)) ledger.Type {
	t.Helper()
	got, err := l.DeclareType(t.Context(), saleType(change))
	if err != nil {
		t.Fatal(err)
	}
	return got
}

const cartSchema = `{"type":"object","required":["cart"],"properties":{"cart":{"type":"string","enum":["a","b"]},"n":{"type":"number","multipleOf":0.1}},"additionalProperties":false}`

// Each rule refuses what breaks it, by the name of the field, the type and its version; and lets pass what keeps it.
func TestRulesOfATypeHold(t *testing.T) {
	t.Parallel()
	l, _ := open(t)
	addColumn(t, l, column("commission", ledger.KindMoney, ""))
	declareType(t, l, nil)
	declareType(t, l, func(d *ledger.Type) {
		d.RequiredDimensions, d.RequiredMeasures = []string{"country"}, []string{"amount", "commission"}
		d.Signs, d.Schema = map[string]string{"amount": "positive", "commission": "nonpositive"}, json.RawMessage(cartSchema)
	})
	var n atomic.Int64
	good := func() ledger.Event {
		e := sale("typed", int(n.Add(1)))
		e.Type, e.Amount, e.Dimensions, e.Payload = "sold", amount("1.00"), []byte(`{"country":"US"}`), []byte(`{"cart":"a","n":0.3}`)
		e.Measures = []ledger.Measure{{Name: "commission", Value: amount("-0.00")}}
		return e
	}
	for _, c := range []struct {
		change func(*ledger.Event)
		field  string
		rule   string
	}{
		{func(*ledger.Event) {}, "", ""},
		{func(e *ledger.Event) { e.Type = "other"; e.Dimensions, e.Measures = nil, nil }, "", ""},
		{func(e *ledger.Event) {
			e.Kind, e.Amount, e.Reason, e.Reference, e.Maker = ledger.Adjustment, amount("-1"), "r", "f", "m"
			e.HasSeqn, e.Seqn = false, 0
		}, "", ""},
		{func(e *ledger.Event) { e.Dimensions = []byte(`{"Country":"US"}`) }, "dimensions.country", "is missing"},
		{func(e *ledger.Event) { e.Dimensions = []byte(`{"country":null}`) }, "dimensions.country", "is missing"},
		{func(e *ledger.Event) { e.Dimensions = nil }, "dimensions.country", "is missing"},
		{func(e *ledger.Event) { e.Amount = ledger.Amount{} }, "amount", "is missing"},
		{func(e *ledger.Event) { e.Measures = nil }, "measures.commission", "is missing"},
		{func(e *ledger.Event) { e.Amount = amount("0.00") }, "amount", "must be positive"},
		{func(e *ledger.Event) { e.Amount = amount("-0.01") }, "amount", "must be positive"},
		{func(e *ledger.Event) { e.Measures[0].Value = amount("0.000001") }, "measures.commission", "must be nonpositive"},
		{func(e *ledger.Event) { e.Payload = nil }, "payload", "is missing"},
		{func(e *ledger.Event) { e.Payload = []byte(`{"n":1}`) }, "payload", "must have cart"},
		{func(e *ledger.Event) { e.Payload = []byte(`{"cart":7}`) }, "payload.cart", "must be of type string, not number"},
		{func(e *ledger.Event) { e.Payload = []byte(`{"cart":"secret"}`) }, "payload.cart", `must be one of ["a","b"]`},
		{func(e *ledger.Event) { e.Payload = []byte(`{"cart":"a","n":0.35}`) }, "payload.n", "multipleOf"},
		{func(e *ledger.Event) { e.Payload = []byte(`{"cart":"a","n":1e999999999}`) }, "payload", "exponents"},
		{func(e *ledger.Event) { e.Payload = []byte(`{"cart":"a","x":1}`) }, "payload", "must not have x"},
	} {
		e := good()
		c.change(&e)
		o := appendAll(t, l, e)[0]
		switch {
		case c.field == "":
			if o.Status != ledger.Recorded {
				t.Errorf("%+v: %+v", e, o.Err)
			}
		case o.Status != ledger.Rejected || o.Err.Field != c.field || !strings.Contains(o.Err.Rule, c.rule) || !strings.Contains(o.Err.Rule, "(type sold, version 2)"):
			t.Errorf("%s %s: %+v", c.field, c.rule, o)
		case strings.Contains(o.Err.Error(), "secret"):
			t.Errorf("private content is repeated: %v", o.Err)
		}
	}
}

func TestVersionsOfATypeOnlyTighten(t *testing.T) {
	t.Parallel()
	l, _ := open(t)
	first := declareType(t, l, func(d *ledger.Type) {
		d.RequiredDimensions, d.Signs = []string{"country"}, map[string]string{"amount": "nonnegative"}
		d.Schema = json.RawMessage(`{"required":["cart"],"properties":{"cart":{"type":["string","number"]}}}`)
	})
	keep := func(change func(*ledger.Type)) func(*ledger.Type) {
		return func(d *ledger.Type) {
			d.RequiredDimensions, d.Signs, d.Schema = first.RequiredDimensions, first.Signs, first.Schema
			change(d)
		}
	}
	for name, change := range map[string]func(*ledger.Type){
		"a dimension dropped": func(d *ledger.Type) { d.RequiredDimensions = []string{"region"} }, "a sign dropped": func(d *ledger.Type) { d.Signs = nil },
		"a sign turned": func(d *ledger.Type) { d.Signs = map[string]string{"amount": "nonpositive"} }, "the schema dropped": func(d *ledger.Type) { d.Schema = nil },
		"a property dropped": func(d *ledger.Type) { d.Schema = json.RawMessage(`{"properties":{"cart":{"type":"string"}}}`) },
		"a property of another type": func(d *ledger.Type) {
			d.Schema = json.RawMessage(`{"required":["cart"],"properties":{"cart":{"type":"boolean"}}}`)
		},
		"a property without its type ": func(d *ledger.Type) { d.Schema = json.RawMessage(`{"required":["cart"]}`) },
	} {
		if _, err := l.DeclareType(t.Context(), saleType(keep(change))); !errors.Is(err, ledger.ErrConflict) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if again := declareType(t, l, keep(func(*ledger.Type) {})); again.Version != 1 {
		t.Errorf("the same again is version %d", again.Version)
	}
	tight := declareType(t, l, keep(func(d *ledger.Type) {
		d.RequiredDimensions, d.RequiredMeasures, d.Signs = []string{"region", "country"}, []string{"amount"}, map[string]string{"amount": "positive"}
		d.Schema, d.Billable, d.Description = json.RawMessage(`{"required":["cart","n"],"properties":{"cart":{"type":"integer"}}}`), false, "sold, and paid"
	}))
	all, err := l.TypeVersions(t.Context(), "sold")
	if err != nil || tight.Version != 2 || len(all) != 2 || all[0].Billable || !slices.Equal(all[0].RequiredDimensions, []string{"country", "region"}) || all[1].Description != first.Description {
		t.Errorf("%+v, %v", all, err)
	}
	if list, err := l.Types(t.Context()); err != nil || len(list) != 1 || list[0].Version != 2 {
		t.Errorf("%+v, %v", list, err)
	}
	if _, err := l.TypeVersions(t.Context(), "none"); !errors.Is(err, ledger.ErrNotFound) {
		t.Errorf("%v", err)
	}
}

func TestTypesThatAreRefused(t *testing.T) {
	t.Parallel()
	l, _ := open(t)
	for field, change := range map[string]func(*ledger.Type){
		"name": func(d *ledger.Type) { d.Name = "" }, "description": func(d *ledger.Type) { d.Description = "" }, "owner": func(d *ledger.Type) { d.Owner = "" }, "by": func(d *ledger.Type) { d.By = "" },
		"required_measures": func(d *ledger.Type) { d.RequiredMeasures = []string{"tip"} }, "required_dimensions": func(d *ledger.Type) { d.RequiredDimensions = []string{"account"} },
		"signs": func(d *ledger.Type) { d.Signs = map[string]string{"tip": "positive"} }, "signs.amount": func(d *ledger.Type) { d.Signs = map[string]string{"amount": "up"} },
	} {
		_, err := l.DeclareType(t.Context(), saleType(change))
		if bad := new(ledger.FieldError); !errors.As(err, &bad) || bad.Field != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	for _, schema := range []string{
		`{`, `[]`, `true`, `{"type":"nothing"}`, `{"$ref":"https://example.com/s"}`, `{"$ref":"file:///etc/passwd"}`, `{"$schema":"http://json-schema.org/draft-07/schema#"}`,
		`{"multipleOf":1e999999999}`, `{"pattern":"("}`, `{"$ref":"#/$defs/none"}`,
		// Nothing could be held against these, or not in a lifetime.
		`{"$ref":"#"}`, `{"allOf":[{"$ref":"#/$defs/a"}],"$defs":{"a":{"not":{"$ref":"#/$defs/b"}},"b":{"$ref":"#/$defs/a"}}}`, `{"$dynamicRef":"#"}`,
		doubling(`{"allOf":[%[1]s,%[1]s]}`), doubling(`{"items":%[1]s,"contains":%[1]s}`),
	} {
		_, err := l.DeclareType(t.Context(), saleType(func(d *ledger.Type) { d.Schema = json.RawMessage(schema) }))
		if bad := new(ledger.FieldError); !errors.As(err, &bad) || bad.Field != "schema" {
			t.Errorf("%s: %v", schema, err)
		}
	}
}

// doubling is a schema of 20 parts, each of which form refers to the next one with, twice.
func doubling(form string) string {
	defs := `"p0":{}`
	for i := 1; i <= 20; i++ {
		defs += fmt.Sprintf(`,"p%d":`, i) + fmt.Sprintf(form, fmt.Sprintf(`{"$ref":"#/$defs/p%d"}`, i-1))
	}
	return `{"$ref":"#/$defs/p20","$defs":{` + defs + `}}`
}

func TestSchemasMayReferToThemselves(t *testing.T) {
	t.Parallel()
	l, _ := open(t)
	many := strings.TrimSuffix(strings.Repeat(`{"required":["x"]},`, 200), ",")
	for i, schema := range []string{
		`{"properties":{"children":{"type":"array","items":{"$ref":"#"}},"next":{"$ref":"#"}}}`, `{"oneOf":[` + many + `]}`,
		`{"anyOf":[{"$ref":"#/$defs/leaf"},{"items":{"$ref":"#/$defs/leaf"}}],"$defs":{"leaf":{"type":"string"}}}`,
	} {
		_, err := l.DeclareType(t.Context(), saleType(func(d *ledger.Type) { d.Name, d.Schema = fmt.Sprintf("type%d", i), json.RawMessage(schema) }))
		if err != nil {
			t.Errorf("%s: %v", schema, err)
		}
	}
}

func TestStrictSourceTakesOnlyDeclaredTypes(t *testing.T) {
	t.Parallel()
	l, _ := open(t)
	declareType(t, l, nil)
	known, unknown := sale("a", 1), sale("a", 2)
	known.Type, unknown.Type = "sold", "leased"
	replay, fresh := unknown, sale("a", 3)
	fresh.Type = "leased"
	if got := statuses(appendAll(t, l, known, unknown)); !slices.Equal(got, []ledger.Status{ledger.Recorded, ledger.Recorded}) {
		t.Errorf("open: %v", got)
	}
	if err := l.DeclareSource(t.Context(), ledger.Source{Name: known.Source, Numbering: "stream", Strict: true, By: "ops"}); err != nil {
		t.Fatal(err)
	}
	out := appendAll(t, l, replay, fresh)
	if out[0].Status != ledger.Duplicate || out[1].Status != ledger.Rejected || out[1].Err.Field != "type" || !strings.Contains(out[1].Err.Rule, "deltaledger types declare") {
		t.Errorf("strict: %+v", out)
	}
}

// Invariant 3: what was recorded before a rule is the same event when it comes again, in a batch, alone, and in an
// atomic request; other content under its identity is a conflict; and what isn't recorded is invalid.
func TestReplaysOutliveStricterRules(t *testing.T) {
	t.Parallel()
	l, db := open(t)
	e := sale("o1", 1)
	e.Type, e.Dimensions, e.Payload = "sold", []byte(`{"level":"seven","mail":"a@b.example","vip":true}`), []byte(`{"x":1}`)
	unnumbered := sale("o1", 2)
	unnumbered.Source, unnumbered.HasSeqn, unnumbered.Seqn = "till", false, 0
	source := ledger.Source{Name: "till", Numbering: "none", By: "ops"}
	if err := l.DeclareSource(t.Context(), source); err != nil {
		t.Fatal(err)
	}
	sent := func() []ledger.Event { return []ledger.Event{e, unnumbered} }
	appendAll(t, l, sent()...)
	addColumn(t, l, column("level", ledger.KindDimension, "int"))
	secret := column("mail", ledger.KindDimension, "text")
	secret.PII = true
	addColumn(t, l, secret)
	declareType(t, l, func(d *ledger.Type) { d.RequiredMeasures, d.Schema = []string{"quantity"}, json.RawMessage(cartSchema) })
	source.Numbering = "stream"
	if err := l.DeclareSource(t.Context(), source); err != nil {
		t.Fatal(err)
	}
	together := ledger.NewBatcher(l, ledger.BatcherConfig{})
	t.Cleanup(func() {
		if err := together.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	for name, record := range map[string]func(context.Context, []ledger.Event) ([]ledger.Outcome, error){
		"a batch": l.Append, "an atomic request": l.AppendAtomic, "a request in company": together.Append,
	} {
		out, err := record(t.Context(), sent())
		if err != nil || !slices.Equal(statuses(out), []ledger.Status{ledger.Duplicate, ledger.Duplicate}) {
			t.Errorf("%s: %+v %+v, %v", name, out[0].Err, out, err)
		}
	}
	other, fresh := sent()[0], sent()[0]
	other.Dimensions = []byte(`{"level":"seven","mail":"c@b.example","vip":true}`)
	fresh.ID, fresh.Seqn = "fresh", 9
	out := appendAll(t, l, other, fresh)
	if out[0].Status != ledger.Conflict || out[1].Status != ledger.Rejected {
		t.Errorf("%+v", out)
	}
	var group sync.WaitGroup
	for i := range 20 { // in groups with what is recorded and what is refused
		group.Go(func() {
			wrong, right := sent()[0], sale("o3", i+1)
			wrong.ID, wrong.Seqn = fmt.Sprint("wrong", i), int64(100+i)
			out, err := together.Append(context.Background(), []ledger.Event{wrong, sent()[0], right, sent()[1]})
			if want := []ledger.Status{ledger.Rejected, ledger.Duplicate, ledger.Recorded, ledger.Duplicate}; err != nil || !slices.Equal(statuses(out), want) {
				t.Errorf("in a group: %v, %v", statuses(out), err)
			}
		})
	}
	group.Wait()
	if n := one[int](t, db, "SELECT count(*) FROM ledger.events"); n != 22 {
		t.Errorf("%d events", n)
	}
	// What came first in the batch decides, also where what comes again breaks a rule.
	good := sale("o2", 1)
	bad := good
	bad.Type, bad.Amount = "sold", amount("5")
	out = appendAll(t, l, bad, good, bad)
	if got := statuses(out); !slices.Equal(got, []ledger.Status{ledger.Conflict, ledger.Recorded, ledger.Conflict}) {
		t.Errorf("%v", got)
	}
}
