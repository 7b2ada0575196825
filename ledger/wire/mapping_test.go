package wire

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"deltaledger/ledger"
)

const mapHead = `
source: {constant: shop}
type: {constant: order.changed}
account: {constant: acme}
`

const mapFields = mapHead + `
id: order.id
occurred_at: {from: at, time: unix_ms}
currency: {from: cur, case: upper}
`

// mapOne maps a document by a mapping.
func mapOne(t *testing.T, mapping, doc string) (ledger.Event, *ledger.FieldError) {
	t.Helper()
	m, err := ParseMapping("map.yaml", []byte(mapping))
	if err != nil {
		t.Fatalf("%s: %v", mapping, err)
	}
	v, fault := ParseJSON([]byte(doc))
	if fault != nil {
		t.Fatalf("%s: %v", doc, fault)
	}
	meta := Message{Topic: "orders", Partition: 3, Offset: 42, Key: []byte("k1"), Headers: []Header{{"tenant", []byte("t1")}}}
	return m.Event(v, meta.Meta(), declared.Measures)
}

// TestMappingWhole maps a document of an upstream that has nothing of ours.
func TestMappingWhole(t *testing.T) {
	t.Parallel()
	const mapping = `
# orders as the shop sends them
id: {template: "{order.number}/{version}"}
source: {constant: shop}
stream: {from: order.number}
seqn: version
type:
  from: status
  table: {PAID: order.paid, NO: order.refused, true: order.true}
  otherwise: {constant: order.changed}
account: {from: [order.customer.ref, order.customer.id], default: unknown}
occurred_at: {from: changed, time: "YYYY-MM-DD hh:mm:ss.f", zone: Europe/Paris}
currency: {from: order.cur, case: upper}
amount: {from: order.total_cents, units: minor, sign: {from: kind, plus: [sale], minus: [refund, chargeback]}}
quantity: {from: order.items, sign: minus}
corrects: order.previous
measures:
  commission: {from: fee, scale: 4}
dimensions:
  country: order.customer.country
  channel: {from: ch, table: {1: web, 2: app}}
  topic: $topic
  tenant: $headers.tenant
payload: [order.customer.email, note]
ignore: [trace]
rest: dimensions
`
	const doc = `{"order":{"number":1234,"cur":"eur","total_cents":1999,"items":3,"previous":null,
		"customer":{"id":"c7","country":"FR","email":"a@example.com","vip":true}},
		"version":7,"status":"NO","changed":"2026-03-01 12:00:00.25","kind":"refund","fee":"-125","ch":2,"note":{"x":[1,null]},
		"trace":"abc","weight":1.50,"empty":null,"shelf.no":9}`
	want, fault := DecodeOne([]byte(`{"id":"1234/7","source":"shop","stream":"1234","seqn":7,"type":"order.refused","account":"c7",
		"occurred_at":"2026-03-01T12:00:00.25+01:00","currency":"EUR","amount":"-19.99","quantity":"-3","measures":{"commission":"-0.0125"},
		"dimensions":{"country":"FR","channel":"app","topic":"orders","tenant":"t1","order.customer.vip":true,"weight":1.5,"shelf\\.no":9},
		"payload":{"order":{"customer":{"email":"a@example.com"}},"note":{"x":[1,null]}}}`), declared)
	if fault != nil {
		t.Fatal(fault)
	}
	got, fault := mapOne(t, mapping, doc)
	if fault != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v\ngot  %+v %s %s\nwant %+v %s %s", fault, got, got.Dimensions, got.Payload, want, want.Dimensions, want.Payload)
	}
}

func TestMappingValues(t *testing.T) {
	t.Parallel()
	const doc = `{"order":{"id":"o1"},"at":1767225600123,"cur":"usd","n":-1250,"d":12.50,"s":"7.25","f":1e3,"k":"CR","b":false,"o":{},"l":[5,{"x":6}]}`
	value := func(e ledger.Event) string { return e.Amount.String() }
	for _, c := range []struct {
		line, want, field, rule string
		of                      func(ledger.Event) string
	}{
		{line: "amount: d", want: "12.5"},
		{line: "amount: s", want: "7.25"},
		{line: "amount: {from: n, units: minor}", want: "-12.5"},
		{line: "amount: {from: n, units: major}", want: "-1250"},
		{line: "amount: {from: n, scale: 3}", want: "-1.25"},
		{line: "amount: {from: n, scale: -2}", want: "-125000"},
		{line: "amount: {from: n, sign: minus}", want: "1250"},
		{line: "amount: {from: d, sign: {from: k, plus: [DR], minus: [CR]}}", want: "-12.5"},
		{line: "amount: {from: d, sign: {from: k, minus: [DR], plus: [CR]}}", want: "12.5"},
		{line: "amount: {constant: 0}", want: "0"},
		{line: "amount: {from: nothing, default: 1.5}", want: "1.5"},
		{line: "amount: [nothing]", want: "", field: "parse"},
		{line: "amount: {from: [nothing, d]}", want: "12.5"},
		{line: "amount: l.0", want: "5"},
		{line: "amount: l.1.x", want: "6"},
		{line: "amount: nothing", want: ""},
		{line: "amount: {from: d, units: minor}", field: "amount", rule: ruleMinor},
		{line: "amount: {from: n, sign: {from: k, minus: [CR]}}", field: "amount", rule: ruleSignedSign},
		{line: "amount: {from: d, sign: {from: k, minus: [DR]}}", field: "amount", rule: ruleSignValue},
		{line: "amount: {from: d, sign: {from: nothing, minus: [DR]}}", field: "amount", rule: ruleSignValue},
		{line: "amount: {from: d, scale: 18}", field: "amount", rule: "must have at most 18 digits after the point"},
		{line: "amount: f", field: "amount", rule: "must be a plain decimal"},
		{line: "amount: b", field: "amount", rule: ruleAmountKind},
		{line: "amount: l", field: "amount", rule: ruleAmountKind},
		{line: "measures: {price: d}", field: "measures.price", rule: "is not a measure"},
		{line: "state: {amount: d, tax: s}", of: func(e ledger.Event) string { return e.State[0].Value.String() + e.State[1].Name }, want: "12.5tax"},
		{line: "state: {amount: nothing}", field: "state", rule: ruleNoState},
		{line: "seqn: n", field: "seqn", rule: ruleSeqn},
		{line: "seqn: {constant: 7}", of: func(e ledger.Event) string { return IntegerValue(e.Seqn).String() }, want: "7"},
		{line: "stream: o", field: "stream", rule: ruleNotScalar},
		{line: "stream: $key", of: func(e ledger.Event) string { return e.Stream }, want: "k1"},
		{line: `stream: {template: "{$topic}-{$partition}/{{{$offset}}}"}`, of: func(e ledger.Event) string { return e.Stream }, want: "orders-3/{42}"},
		{line: `stream: {template: "{nothing}-x"}`, field: "stream", rule: ruleMissingPart},
		{line: `stream: {template: "{o}-x"}`, field: "stream", rule: ruleNotScalar},
		{line: `stream: {template: "{s}.{k}"}`, field: "stream", rule: ruleSeparators},
		{line: "corrects: {from: k, table: {DR: x}}", field: "corrects", rule: ruleTable},
		{line: "corrects: {from: k, table: {DR: x}, otherwise: keep}", of: func(e ledger.Event) string { return e.Corrects }, want: "CR"},
		{line: "dimensions: [k, order.id]", of: func(e ledger.Event) string { return string(e.Dimensions) }, want: `{"id":"o1","k":"CR"}`},
		{line: "dimensions: {o: o}", field: "dimensions.o", rule: ruleNotScalar},
		{line: "dimensions: {k: s}\nrest: dimensions\nignore: [l]", field: "dimensions.k", rule: ruleSameTwice},
		{line: "rest: dimensions", field: "l", rule: ruleRestParts},
		{line: "rest: refuse", field: "n", rule: ruleUnmapped},
		{line: "rest: payload", of: func(e ledger.Event) string { return string(e.Payload) }, want: `{"n":-1250,"d":12.50,"s":"7.25","f":1e3,"k":"CR","b":false,"o":{},"l":[5,{"x":6}]}`},
		{line: "payload: all\ndimensions: [k]", of: func(e ledger.Event) string { return string(e.Payload) }, want: doc},
		{line: "payload: [l.1, f]\nignore: [l]", of: func(e ledger.Event) string { return string(e.Payload) }, want: `{"f":1e3,"l":[{"x":6}]}`},
	} {
		if c.of == nil {
			c.of = value
		}
		text := mapFields + c.line + "\n"
		if c.field == "" && !strings.Contains(c.line, "rest:") && !strings.Contains(c.line, "all") || c.field != "" && !strings.Contains(c.line, "rest:") {
			if !strings.Contains(c.line, "ignore") {
				text += "ignore: [n, d, s, f, k, b, o, l]\n"
			} else {
				text = strings.Replace(text, "ignore: [l]", "ignore: [n, d, s, f, k, b, o, l]", 1)
			}
		}
		if c.field == "parse" {
			if _, err := ParseMapping("x", []byte(text)); !errors.Is(err, ledger.ErrInvalid) {
				t.Errorf("%s: %v", c.line, err)
			}
			continue
		}
		e, fault := mapOne(t, text, doc)
		if c.field == "" {
			if fault != nil || c.of(e) != c.want {
				t.Errorf("%s: %v, %q, want %q", c.line, fault, c.of(e), c.want)
			}
			continue
		}
		if checkFault(t, fault); fault == nil || fault.Field != c.field || !strings.HasPrefix(fault.Rule, c.rule) {
			t.Errorf("%s: %v, want %s: %s", c.line, fault, c.field, c.rule)
		}
	}
}

func TestMappingTimes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ spec, value, want, rule string }{
		{"{from: at}", `"2026-03-01T12:00:00+02:00"`, "2026-03-01T10:00:00Z", ""},
		{"{from: at}", `"2026-03-01T12:00:00"`, "", ruleZone},
		{"{from: at}", `1767225600`, "", ruleTimeUnit},
		{"{from: at}", `true`, "", ruleTimeKind},
		{"{from: at, zone: America/New_York}", `"2026-03-01T12:00:00.5"`, "2026-03-01T17:00:00.5Z", ""},
		{"{from: at, zone: America/New_York}", `"2026-03-01T12:00:00-01:00"`, "2026-03-01T13:00:00Z", ""},
		{"{from: at, zone: America/New_York}", `"2026-03-08T02:30:00"`, "", ruleSkipped},
		{"{from: at, zone: America/New_York}", `"2026-11-01T01:30:00"`, "", ruleTwiceOn},
		{"{from: at, zone: America/New_York, ambiguous: earlier}", `"2026-11-01T01:30:00"`, "2026-11-01T05:30:00Z", ""},
		{"{from: at, zone: America/New_York, ambiguous: later}", `"2026-11-01T01:30:00"`, "2026-11-01T06:30:00Z", ""},
		{"{from: at, zone: Pacific/Kiritimati}", `"2026-11-01T01:30:00"`, "2026-10-31T11:30:00Z", ""},
		{"{from: at, time: unix_s}", `1767225600`, "2026-01-01T00:00:00Z", ""},
		{"{from: at, time: unix_s}", `"1767225600"`, "2026-01-01T00:00:00Z", ""},
		{"{from: at, time: unix_s}", `1767225600.123456`, "2026-01-01T00:00:00.123456Z", ""},
		{"{from: at, time: unix_s}", `1767225600.1234567`, "", ruleUnixUnit},
		{"{from: at, time: unix_s}", `-1.5`, "1969-12-31T23:59:58.5Z", ""},
		{"{from: at, time: unix_s}", `"now"`, "", ruleUnix},
		{"{from: at, time: unix_ms}", `1767225600123`, "2026-01-01T00:00:00.123Z", ""},
		{"{from: at, time: unix_us}", `1767225600123456`, "2026-01-01T00:00:00.123456Z", ""},
		{"{from: at, time: unix_ns}", `1767225600123456000`, "2026-01-01T00:00:00.123456Z", ""},
		{"{from: at, time: unix_ns}", `1767225600123456001`, "", ruleUnixUnit},
		{"{from: at, time: unix_s}", `99999999999999`, "", ruleYears},
		{"{from: at, time: unix_s}", `9999999999999999999999`, "", ruleYears},
		{`{from: at, time: "DD.MM.YYYY", zone: UTC}`, `"31.01.2026"`, "2026-01-31T00:00:00Z", ""},
		{`{from: at, time: "YYYYMMDDThhmmssZ"}`, `"20260131T235959Z"`, "2026-01-31T23:59:59Z", ""},
		{`{from: at, time: "YYYY/MM/DD hh:mm:ss.f Z"}`, `"2026/01/31 23:59:59.123 -05:00"`, "2026-02-01T04:59:59.123Z", ""},
		{`{from: at, time: "YYYY/MM/DD hh:mm:ss.f Z"}`, `"2026/01/31 23:59:59 Z"`, "2026-01-31T23:59:59Z", ""},
		{`{from: at, time: "YYYY/MM/DD hh:mm:ss.f Z"}`, `"2026/01/31 23:59:59.1234567 Z"`, "", ruleMicros},
		{`{from: at, time: "YYYY/MM/DD hh:mm:ss.f Z"}`, `"2026/02/30 23:59:59 Z"`, "", ruleDate},
		{`{from: at, time: "YYYY/MM/DD hh:mm:ss.f Z"}`, `"2026-01-31 23:59:59 Z"`, "", rulePattern},
		{`{from: at, time: "YYYY/MM/DD hh:mm:ss.f Z"}`, `"2026/01/31 23:59:59 Z "`, "", rulePattern},
		{`{from: at, time: "YYYY/MM/DD hh:mm:ss.f Z"}`, `"2026/01/31"`, "", rulePattern},
		{`{from: at, time: "YYYY/MM/DD hh:mm:ss.f Z"}`, `"2026/1x/31 23:59:59 Z"`, "", rulePattern},
	} {
		e, fault := mapOne(t, mapHead+"id: {from: at}\ncurrency: {constant: USD}\noccurred_at: "+c.spec, `{"at":`+c.value+`}`)
		got := ""
		if fault == nil {
			got = InstantValue(e.OccurredAt).String()
		}
		if fault != nil && !strings.HasPrefix(fault.Rule, c.rule) || got != c.want || (fault == nil) != (c.rule == "") {
			t.Errorf("%s of %s: %q, %v; want %q, %s", c.spec, c.value, got, fault, c.want, c.rule)
		}
	}
}

// TestBadMappings: each fault is named with its line and field.
func TestBadMappings(t *testing.T) {
	t.Parallel()
	const lines = 8 // of mapFields
	for _, c := range []struct{ text, want string }{
		{"", "m.yaml: mapping: must be an object"},
		{"[1]", "m.yaml: mapping: must be an object"},
		{"a: [", "m.yaml: mapping: line 1: did not find expected node content"},
		{"a: 1\x00", "m.yaml: mapping: must not hold the character NUL"},
		{mapHead, "m.yaml:2: id: must say what it is made of"},
		{mapFields + "id: x", "m.yaml:9: id: must not be given twice"},
		{mapFields + "price: x", "m.yaml:9: price: is not a part of a mapping"},
		{mapFields + "reason: x", "m.yaml:9: reason: is not a part of a mapping"},
		{mapFields + "amount:", "m.yaml:9: amount: must be text"},
		{mapFields + "amount: {from: x, time: unix_s}", "m.yaml:9: amount.time: is not a part of this field: it may have from, constant, default, units, scale and sign"},
		{mapFields + "amount: {units: minor}", "m.yaml:9: amount: must have one of from, constant and template"},
		{mapFields + "amount: {from: x, constant: 1}", "m.yaml:9: amount: must have one of from, constant and template"},
		{mapFields + "amount: {from: x, units: cents}", `m.yaml:9: amount.units: "cents": must be minor, or major`},
		{mapFields + "amount: {from: x, units: minor, scale: 2}", "m.yaml:9: amount: must not have units and scale"},
		{mapFields + "amount: {from: x, scale: 1.5}", `m.yaml:9: amount.scale: "1.5": must be a whole number`},
		{mapFields + "amount: {from: x, scale: 19}", `m.yaml:9: amount.scale: "19": must be a whole number`},
		{mapFields + "amount: {from: x, sign: plus}", `m.yaml:9: amount.sign: "plus": must be minus`},
		{mapFields + "amount: {from: x, sign: {plus: [a]}}", "m.yaml:9: amount.sign: must have from, and values"},
		{mapFields + "amount:\n  from: x\n  sign:\n    from: y\n    plus: [a]\n    minus: [a]", `m.yaml:14: amount.sign.minus: "a": must not be plus and minus`},
		{mapFields + "amount: x..y", `m.yaml:9: amount: "x..y": must be names joined by dots`},
		{mapFields + `amount: 'x\y'`, `m.yaml:9: amount: "x\\y": must be names joined by dots`},
		{mapFields + "state: {amount: x}\namount: y", "m.yaml:2: state: must not stand beside amount"},
		{mapFields + "measures: {amount: x}", "m.yaml:9: measures.amount: is a field of the event itself"},
		{mapFields + "measures: x", `m.yaml:9: measures: "x": must be an object`},
		{mapFields + "stream: {template: x}", `m.yaml:9: stream.template: "x": must have a path in braces`},
		{mapFields + "stream: {template: '{x}{y}'}", `m.yaml:9: stream.template: "{x}{y}": must have text between two paths`},
		{mapFields + "stream: {template: '{x'}", `m.yaml:9: stream.template: "{x": must be text with paths in braces`},
		{mapFields + "stream: {template: 'x}{y}'}", `m.yaml:9: stream.template: "x}{y}": must be text with paths in braces`},
		{mapFields + "corrects: {from: x, otherwise: keep}", "m.yaml:9: corrects.otherwise: must stand beside a table"},
		{mapFields + "corrects: {from: x, table: {a: b}, otherwise: drop}", `m.yaml:9: corrects.otherwise: "drop": must be refuse, keep`},
		{mapFields + "corrects: {from: x, table: [a]}", "m.yaml:9: corrects.table: must be an object"},
		{mapFields + "corrects: {from: x, case: title}", `m.yaml:9: corrects.case: "title": must be upper or lower`},
		{strings.Replace(mapFields, "id: order.id", "id: {constant: x}", 1), "m.yaml:6: id: must be made of what each event has of its own"},
		{strings.Replace(mapFields, "unix_ms", "unix", 1), `m.yaml:7: occurred_at.time: "unix": must be rfc3339, unix_s`},
		{strings.Replace(mapFields, "unix_ms", "YYYY-MM", 1), `m.yaml:7: occurred_at.time: "YYYY-MM": must be rfc3339, unix_s`},
		{strings.Replace(mapFields, "unix_ms", "YYYY-MM-DD", 1), "m.yaml:7: occurred_at.time: needs a zone beside it"},
		{strings.Replace(mapFields, "unix_ms", "unix_ms, zone: UTC", 1), "m.yaml:7: occurred_at.zone: must stand beside a time of a text"},
		{strings.Replace(mapFields, "time: unix_ms", "zone: Mars", 1), `m.yaml:7: occurred_at.zone: "Mars": must be a zone`},
		{strings.Replace(mapFields, "time: unix_ms", "ambiguous: later", 1), "m.yaml:7: occurred_at.ambiguous: must be earlier or later, beside a zone"},
		{mapFields + "dimensions: [a.x, b.x]", "m.yaml:9: dimensions.x: must not be given twice"},
		{mapFields + "dimensions: x", `m.yaml:9: dimensions: "x": must be an object`},
		{mapFields + "payload: some", `m.yaml:9: payload: "some": must be a list of paths, or all`},
		{mapFields + "ignore: x", `m.yaml:9: ignore: "x": must be a list of paths`},
		{mapFields + "rest: drop", `m.yaml:9: rest: "drop": must be refuse, dimensions or payload`},
		{mapFields + "amount: &a x\nquantity: *a", "m.yaml:9: amount: must be written out"},
		{mapFields + "amount: {<<: {from: x}}", "m.yaml:9: amount.<<: must be written out"},
		{`{"id":"x","id":"y"}`, "m.yaml:1: id: must not be given twice"},
		{strings.Repeat("a", MaxMapping+1), "m.yaml: mapping: must have at most 262144 bytes"},
	} {
		_, err := ParseMapping("m.yaml", []byte(c.text))
		if err == nil || !errors.Is(err, ledger.ErrInvalid) || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%.200s\ngot  %v\nwant %s", c.text[min(len(c.text), len(mapFields)):], err, c.want)
		}
	}
	if n := strings.Count(mapFields, "\n"); n != lines {
		t.Errorf("the mapping of the test has %d lines", n)
	}
	asJSON := `{"id":"a","source":{"constant":"s"},"type":"t","account":"c","occurred_at":"d","currency":"e","rest":"payload"}`
	if _, err := ParseMapping("m.json", []byte(asJSON)); err != nil {
		t.Errorf("as JSON: %v", err)
	}
	if _, err := ParseMapping("m.yaml", []byte(mapHead+"occurred_at: at\ncurrency: cur"), "id"); err != nil {
		t.Errorf("with an id that is given: %v", err)
	}
}
