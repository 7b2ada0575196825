package wire

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"deltaledger/ledger"
)

const fullEvent = `{"id":"8f0c","source":"orders","stream":"order-1234","seqn":7,"type":"order.returned","account":"acme",
 "occurred_at":"2026-01-31T23:59:59.123456-05:00","currency":"USD","amount":"-12.50","quantity":"-1",
 "measures":{"tax":"1.00","commission":"-0.63"},"dimensions":{"partner":"pub-7","campaign":null,"country":"US","share":1.50},
 "corrects":"7c\u00311","payload":{ "reason" : "damaged" }}`

func TestDecodeOneReadsEveryField(t *testing.T) {
	t.Parallel()
	got, bad := DecodeOne([]byte(fullEvent), declared)
	if bad != nil {
		t.Fatal(bad)
	}
	want := ledger.Event{
		ID: "8f0c", Source: "orders", Stream: "order-1234", Seqn: 7, HasSeqn: true, Type: "order.returned", Account: "acme",
		OccurredAt: time.Date(2026, 2, 1, 4, 59, 59, 123456000, time.UTC), Currency: "USD",
		Amount: mustAmount(t, "-12.5"), Quantity: mustAmount(t, "-1"),
		Measures:   []ledger.Measure{{Name: "commission", Value: mustAmount(t, "-0.63")}, {Name: "tax", Value: mustAmount(t, "1")}},
		Dimensions: []byte(`{"country":"US","partner":"pub-7","share":1.5}`),
		Corrects:   "7c11", Payload: []byte(`{ "reason" : "damaged" }`),
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestDecodeOneReadsStates(t *testing.T) {
	t.Parallel()
	got, bad := DecodeOne([]byte(`{"id":"a","state":{"tax":"1","amount":"87.50","quantity":null}}`), declared)
	if bad != nil {
		t.Fatal(bad)
	}
	want := []ledger.Measure{{Name: "amount", Value: mustAmount(t, "87.5")}, {Name: "tax", Value: mustAmount(t, "1")}}
	if !reflect.DeepEqual(got.State, want) {
		t.Errorf("got %+v, want %+v", got.State, want)
	}
}

func TestNullIsAbsent(t *testing.T) {
	t.Parallel()
	got, bad := DecodeOne([]byte(`{"id":null,"seqn":null,"occurred_at":null,"amount":null,"measures":null,"dimensions":null,`+
		`"payload":null,"state":null,"source":"s"}`), Options{})
	if bad != nil || !reflect.DeepEqual(got, ledger.Event{Source: "s"}) {
		t.Errorf("got %+v, %v", got, bad)
	}
	got, bad = DecodeOne([]byte(`{"measures":{},"dimensions":{"a":null}}`), Options{})
	if bad != nil || !reflect.DeepEqual(got, ledger.Event{}) {
		t.Errorf("got %+v, %v", got, bad)
	}
}

// badEvents are lines that must be refused: the field that is named, a part of the value that is shown,
// and a part of the rule.
var badEvents = []struct{ name, line, field, value, rule string }{
	{"bad decimal", `{"id":"x","amount":"12,50"}`, "amount", "12,50", "plain decimal"},
	{"empty amount", `{"id":"x","amount":""}`, "amount", "", "plain decimal"},
	{"60 digits", `{"id":"x","amount":"` + strings.Repeat("9", 60) + `"}`, "amount", "9999999999", "at most 38 digits"},
	{"19 decimals", `{"id":"x","quantity":"0.1234567890123456789"}`, "quantity", "0.1234", "at most 18 digits"},
	{"exponent bomb", `{"id":"x","amount":"1e999999999"}`, "amount", "1e999999999", "plain decimal"},
	{"bare exponent bomb", `{"id":"x","amount":1e999999999}`, "amount", "1e999999999", `"12.50" in quotes`},
	{"exponent bomb in dimensions", `{"id":"x","dimensions":{"n":1e999999999}}`, "dimensions.n", "1e999999999", "at most 38 digits"},
	{"long number in dimensions", `{"id":"x","dimensions":{"n":0.1234567890123456789}}`, "dimensions.n", "0.123", "at most 18 digits"},
	{"NaN", `{"id":"x","amount":"NaN"}`, "amount", "NaN", "plain decimal"},
	{"bare NaN", `{"id":"x","amount":NaN}`, "amount", "", `"12.50" in quotes`},
	{"Infinity", `{"id":"x","measures":{"tax":"Infinity"}}`, "measures.tax", "Infinity", "plain decimal"},
	{"number as amount", `{"id":"x","amount":12.50}`, "amount", "12.50", `write "12.50" in quotes`},
	{"number as measure", `{"id":"x","measures":{"tax":1}}`, "measures.tax", "1", "in quotes"},
	{"number as state", `{"id":"x","state":{"amount":1}}`, "state.amount", "1", "in quotes"},
	{"object as text", `{"id":{"a":1}}`, "id", `{"a":1}`, "must be a JSON string"},
	{"unknown field", `{"id":"x","ammount":"1"}`, "ammount", `"1"`, "under dimensions"},
	{"unknown field lists the fields", `{"id":"x","Amount":"1"}`, "Amount", `"1"`, "occurred_at, currency, amount"},
	{"field of an adjustment", `{"id":"x","maker":"me"}`, "maker", `"me"`, "is not a field"},
	{"undeclared measure", `{"id":"x","measures":{"fee":"1"}}`, "measures.fee", `"1"`, "is not a measure of this ledger"},
	{"undeclared state", `{"id":"x","state":{"fee":"1"}}`, "state.fee", `"1"`, "is not a measure of this ledger"},
	{"amount under measures", `{"id":"x","measures":{"amount":"1"}}`, "measures.amount", `"1"`, "beside measures"},
	{"measures that are no object", `{"id":"x","measures":["1"]}`, "measures", `["1"]`, "must be a JSON object"},
	{"empty state", `{"id":"x","state":{"amount":null}}`, "state", "", "must hold a value"},
	{"state and amount", `{"id":"x","amount":"1","state":{"amount":"1"}}`, "state", "", "either changes or a state"},
	{"state and measures", `{"state":{"amount":"1"},"measures":{"tax":"1"}}`, "state", "", "either changes or a state"},
	{"time without a zone", `{"id":"x","occurred_at":"2026-01-31T23:59:59"}`, "occurred_at", "2026-01-31T23:59:59", "Z or with an offset"},
	{"nanoseconds", `{"id":"x","occurred_at":"2026-01-31T23:59:59.123456789Z"}`, "occurred_at", "123456789Z", "finer than microseconds"},
	{"time as number", `{"id":"x","occurred_at":1769903999}`, "occurred_at", "1769903999", "JSON string"},
	{"negative seqn", `{"id":"x","seqn":-1}`, "seqn", "-1", "from 0 to 281474976710655"},
	{"seqn beyond", `{"id":"x","seqn":281474976710656}`, "seqn", "281474976710656", "from 0 to"},
	{"seqn far beyond", `{"id":"x","seqn":18446744073709551617}`, "seqn", "18446744073709551617", "from 0 to"},
	{"fraction as seqn", `{"id":"x","seqn":1.0}`, "seqn", "1.0", "integer"},
	{"exponent as seqn", `{"id":"x","seqn":1e3}`, "seqn", "1e3", "integer"},
	{"text as seqn", `{"id":"x","seqn":"7"}`, "seqn", `"7"`, "integer"},
	{"invalid UTF-8", "{\"id\":\"caf\xe9\"}", "id", "caf�", "valid UTF-8 (at byte 10)"},
	{"lone surrogate", `{"id":"x\ud800"}`, "id", `x\ud800`, "surrogate"},
	{"escaped NUL", `{"id":"x","dimensions":{"a":"b\u0000"}}`, "dimensions.a", `\u0000`, "NUL"},
	{"NUL", "{\"id\":\"x\x00\"}", "id", "x�", "NUL"},
	{"control character", "{\"id\":\"x\ty\"}", "id", "x\ty", "control characters escaped"},
	{"duplicate key", `{"id":"x","source":"s","id":"y"}`, "id", "", "twice"},
	{"duplicate null", `{"id":null,"id":"y"}`, "id", "", "twice"},
	{"escaped duplicate key", `{"id":"x","\u0069d":"y"}`, "id", "", "twice"},
	{"duplicate measure", `{"measures":{"tax":null,"tax":"1"}}`, "measures.tax", "", "twice"},
	{"duplicate dimension", `{"dimensions":{"a":1,"b":2,"a":1}}`, "dimensions.a", `"a":1`, "twice"},
	{"duplicate key in the payload", `{"payload":[{"a":1,"a":1}]}`, "payload[0].a", `"a":1`, "twice"},
	{"deep nesting", `{"payload":` + strings.Repeat("[", 500) + strings.Repeat("]", 500) + `}`, "payload[0][0]", "[[[[", "more than 32 deep"},
	{"nested dimension", `{"dimensions":{"a":[1]}}`, "dimensions.a", "[1]", "a string, a number, true or false"},
	{"dimensions that are no object", `{"dimensions":"a"}`, "dimensions", `"a"`, "must be a JSON object"},
	{"truncated line", `{"id":"x","amou`, "event", `{"id":"x","amou`, "ends too early (at byte 15)"},
	{"no object", `["x"]`, "event", `["x"]`, "must be a JSON object"},
	{"text behind the object", `{"id":"x"} {"id":"y"}`, "event", `{"id":"y"}`, "nothing after it"},
	{"missing comma", `{"id":"x" "source":"s"}`, "event", `"source"`, "expected , or }"},
	{"text of 1 MB", `{"id":"` + strings.Repeat("x", 1<<20) + `"}`, "event", `{"id":"xxx`, "at most 262144 bytes"},
}

func TestBadLinesAreNamed(t *testing.T) {
	t.Parallel()
	good := `{"id":"good"}`
	for _, c := range badEvents {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			items := decodeAll(t, good+"\n"+c.line+"\n\n"+good+"\n", NDJSON, declared)
			if len(items) != 3 || items[0].Event.ID != "good" || items[2].Event.ID != "good" || items[2].Line != 4 {
				t.Fatalf("the neighbours: %s", summary(items))
			}
			if items[1].Line != 2 || !reflect.DeepEqual(items[1].Event, ledger.Event{ID: items[1].Event.ID}) {
				t.Errorf("item %+v", items[1])
			}
			bad := items[1].Err
			if bad == nil {
				t.Fatal("accepted")
			}
			if !strings.HasPrefix(bad.Field, c.field) || c.field != "payload[0][0]" && bad.Field != c.field {
				t.Errorf("field %q, want %q", bad.Field, c.field)
			}
			if !strings.Contains(bad.Value, c.value) || c.value == "" && bad.Value != "" || len(bad.Value) > 83 {
				t.Errorf("value %q, want %q", bad.Value, c.value)
			}
			if !strings.Contains(bad.Rule, c.rule) {
				t.Errorf("rule %q, want %q", bad.Rule, c.rule)
			}
			if _, one := DecodeOne([]byte(c.line), declared); one == nil || one.Field != bad.Field || one.Rule != bad.Rule {
				t.Errorf("DecodeOne says %v, Decode %v", one, bad)
			}
		})
	}
}

func TestAdjustment(t *testing.T) {
	t.Parallel()
	line := `{"id":"adj-1","source":"orders","type":"fix","account":"acme","occurred_at":"2026-01-31T00:00:00Z","currency":"USD",` +
		`"amount":"-1.00","reason":"counted twice","reference":"T-12"`
	got, bad := Adjustment([]byte(line+"}"), declared, "ann")
	if bad != nil {
		t.Fatal(bad)
	}
	if got.Kind != ledger.Adjustment || got.Reason != "counted twice" || got.Reference != "T-12" || got.Maker != "ann" || got.HasSeqn {
		t.Errorf("got %+v", got)
	}
	if got, bad = Adjustment([]byte(line+`,"maker":"ann"}`), declared, "ann"); bad != nil || got.Maker != "ann" {
		t.Errorf("got %+v, %v", got, bad)
	}
	for _, c := range []struct{ line, maker, field, rule string }{
		{line + "}", "", "maker", "who makes"},
		{line + `,"maker":"bob"}`, "ann", "maker", "left out"},
		{line + `,"seqn":1}`, "ann", "seqn", "reason, reference and maker"},
		{line + `,"state":{"amount":"1"}}`, "ann", "state", "is not a field"},
		{`{"id":"x","reason":"r"}`, "ann", "reference", "document"},
		{`{"id":"x","reference":"r","reason":null}`, "ann", "reason", "why"},
		{`{"id":"x",`, "ann", "event", "ends too early"},
	} {
		got, bad := Adjustment([]byte(c.line), declared, c.maker)
		if bad == nil || bad.Field != c.field || !strings.Contains(bad.Rule, c.rule) || !reflect.DeepEqual(got, ledger.Event{}) {
			t.Errorf("%s: got %+v, %v", c.line, got, bad)
		}
	}
}
