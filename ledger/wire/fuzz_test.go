package wire

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"deltaledger/ledger"
	"deltaledger/ledger/canonical"
)

// FuzzJSONLine: nothing panics, a fault can be shown, and an event means the same when it is written again.
func FuzzJSONLine(f *testing.F) {
	f.Add([]byte(fullEvent))
	f.Add([]byte(`{"id":"a","state":{"amount":"1","tax":"-0.0"}}`))
	for _, c := range badEvents {
		if len(c.line) < 1000 {
			f.Add([]byte(c.line))
		}
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		e, bad := DecodeOne(line, declared)
		checkFault(t, bad)
		if bad != nil {
			if !reflect.DeepEqual(e, ledger.Event{}) {
				t.Fatalf("%v, but also %+v", bad, e)
			}
			return
		}
		checkEvent(t, e)
	})
}

// FuzzCSV holds the records to encoding/csv, and the events to the same rules as those from JSON.
func FuzzCSV(f *testing.F) {
	for _, seed := range []string{
		row("a"), row("a") + "x,\"y\n" + row("b"), "a,\"b\r\nc\",\"d\"\"e\"\n\n \n", "\"\"\r\n\r", "a,\"b\" ,c\n", "\"\n\"\n\"", ",,,\n\",\",",
		"a,shop,sold,acme,2026-01-31T00:00:00Z,USD,1.50,\"\x00\"\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if len(body) > 64<<10 {
			return
		}
		compareRecords(t, body)
		o := Options{PayloadColumns: []string{"note"}, BatchSize: 3, Workers: 2}
		input := append([]byte(shortHeader), body...)
		err := Decode(context.Background(), bytes.NewReader(input), CSV, o, func(b Batch) error {
			for _, i := range b.Items {
				checkFault(t, i.Err)
				if i.Err == nil {
					checkEvent(t, i.Event)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

// compareRecords: where encoding/csv reads a text without an error, the records are the same; where it
// finds one, so is one here.
func compareRecords(t *testing.T, body []byte) {
	r := csv.NewReader(bytes.NewReader(body))
	r.FieldsPerRecord = -1
	want, err := r.ReadAll()
	want = slices.DeleteFunc(want, func(row []string) bool { return len(row) == 1 && strings.TrimLeft(row[0], " \t\r\n") == "" })

	v, feed, c := &recordSplitter{columns: &columns{}}, &feed{ctx: context.Background(), r: bytes.NewReader(body), started: true}, &chunk{}
	var got [][]string
	broken := false
	for feed.begin(c); v.next(feed, c); {
		continue
	}
	for _, rec := range c.records {
		var row cells
		split := slices.Clone(row.split(string(feed.data[rec.start:rec.end])))
		broken = broken || rec.rule != ""
		if len(split) > 1 || strings.TrimLeft(split[0], " \t\r\n") != "" {
			got = append(got, split)
		}
	}
	switch {
	case (err != nil) != broken:
		t.Fatalf("%q: encoding/csv says %v, here %v", body, err, c.records)
	case err == nil && len(got)+len(want) > 0 && !reflect.DeepEqual(got, want):
		t.Fatalf("%q: got %q, want %q", body, got, want)
	}
}

// FuzzDecode: no input makes Decode panic, and pieces don't matter.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(`[{"id":"a"},{"id":"]"}]`), uint8(3))
	f.Add([]byte("{\"id\":\"a\"}\r\n\r\n{\"id\"\n"), uint8(1))
	f.Add([]byte(shortHeader+row("a")+"\"\n"), uint8(7))
	f.Fuzz(func(t *testing.T, input []byte, size uint8) {
		for _, format := range []Format{JSON, NDJSON, CSV} {
			whole, err1 := collect(strings.NewReader(string(input)), format, Options{})
			parts, err2 := collect(&pieces{text: string(input), n: int(size) + 1}, format, Options{BatchSize: int(size%5) + 1})
			if !reflect.DeepEqual(whole, parts) || (err1 == nil) != (err2 == nil) {
				t.Fatalf("%s: %s, %v, in pieces: %s, %v", format, summary(whole), err1, summary(parts), err2)
			}
			for _, i := range whole {
				checkFault(t, i.Err)
			}
			if err1 != nil && !errors.Is(err1, ledger.ErrInvalid) {
				t.Fatal(err1)
			}
		}
	})
}

// checkFault: a fault says what it is, in text that any database and terminal takes.
func checkFault(t *testing.T, bad *ledger.FieldError) {
	t.Helper()
	if bad == nil {
		return
	}
	for _, s := range []string{bad.Field, bad.Value, bad.Rule} {
		if !utf8.ValidString(s) || strings.Contains(s, "\x00") {
			t.Fatalf("%q", bad)
		}
	}
	if bad.Field == "" || bad.Rule == "" || len(bad.Field) > 80 || len(bad.Value) > 80 || len(bad.Rule) > 400 {
		t.Fatalf("%q", bad)
	}
}

// checkEvent: an event is canonical where it claims to be, and is itself when it is sent again.
func checkEvent(t *testing.T, e ledger.Event) {
	t.Helper()
	if e.Dimensions != nil {
		again, err := canonical.Append(nil, e.Dimensions, dimensionLimits)
		if err != nil || !bytes.Equal(again, e.Dimensions) || string(again) == "{}" {
			t.Fatalf("dimensions %s: %s, %v", e.Dimensions, again, err)
		}
	}
	if e.Payload != nil {
		if _, err := canonical.Append(nil, e.Payload, canonical.Limits{}); err != nil {
			t.Fatalf("payload %s: %v", e.Payload, err)
		}
	}
	again, bad := DecodeOne(encode(e), declared)
	if bad != nil || !reflect.DeepEqual(again, e) {
		t.Fatalf("%s: %v\ngot  %+v\nwant %+v", encode(e), bad, again, e)
	}
}
