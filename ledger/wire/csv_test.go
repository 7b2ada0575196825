package wire

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"deltaledger/ledger"
)

const shortHeader = "id,source,type,account,occurred_at,currency,amount,note\n"

// row is a good record under shortHeader.
func row(id string) string { return id + ",shop,sold,acme,2026-01-31T00:00:00Z,USD,1.50,hello\n" }

func TestCSVReadsEveryColumn(t *testing.T) {
	t.Parallel()
	input := "id,source,stream,seqn,type,account,occurred_at,currency,amount,quantity,corrects,measures.tax,measures.commission," +
		"utm.source,dimensions.type,\"Ein \"\"Land\"\"\",note,extra\r\n" +
		"a1,shop,o-1,7,sold,acme,2026-01-31T23:59:59.5-05:00,USD,-12.50,-1,a0,1.0,-0.63,\"x\r\ny\",\"\"\"t\"\"\",DE,\"tab\tand, comma\",\n" +
		"\n" +
		"a2,shop,,,sold,acme,2026-01-31T00:00:00Z,USD,,,,,,,,,,more\n"
	o := declared
	o.PayloadColumns = []string{"extra", "note"}
	items := decodeAll(t, "\xef\xbb\xbf"+input, CSV, o)
	want := []Item{
		{Line: 2, Event: ledger.Event{
			ID: "a1", Source: "shop", Stream: "o-1", Seqn: 7, HasSeqn: true, Type: "sold", Account: "acme",
			OccurredAt: time.Date(2026, 2, 1, 4, 59, 59, 500000000, time.UTC), Currency: "USD",
			Amount: mustAmount(t, "-12.5"), Quantity: mustAmount(t, "-1"), Corrects: "a0",
			Measures:   []ledger.Measure{{Name: "commission", Value: mustAmount(t, "-0.63")}, {Name: "tax", Value: mustAmount(t, "1")}},
			Dimensions: []byte(`{"Ein \"Land\"":"DE","type":"\"t\"","utm.source":"x\ny"}`),
			Payload:    []byte(`{"note":"tab\tand, comma"}`),
		}},
		{Line: 5, Event: ledger.Event{
			ID: "a2", Source: "shop", Type: "sold", Account: "acme", OccurredAt: time.Date(2026, 1, 31, 0, 0, 0, 0, time.UTC),
			Currency: "USD", Payload: []byte(`{"extra":"more"}`),
		}},
	}
	if !reflect.DeepEqual(items, want) {
		t.Errorf("got  %+v\nwant %+v", items, want)
	}
}

func TestCSVBadRecordsAreNamed(t *testing.T) {
	t.Parallel()
	const good = "shop,sold,acme,2026-01-31T00:00:00Z,USD,1.50,hello"
	for _, c := range []struct{ name, record, want, field, value, rule string }{
		{"too few cells", "x,shop,sold\n", "2:a 3!event 4:b", "event", "x,shop,sold", "8 cells like the header, not 3"},
		{"too many cells", "x," + good + ",y\n", "2:a 3!event 4:b", "event", "x,shop", "8 cells like the header, not 9"},
		{"bad decimal", "x,shop,sold,acme,2026-01-31T00:00:00Z,USD,\"1,50\",\n", "2:a 3!amount 4:b", "amount", "1,50", "plain decimal"},
		{"60 digits", "x,shop,sold,acme,2026-01-31T00:00:00Z,USD," + strings.Repeat("9", 60) + ",\n", "2:a 3!amount 4:b", "amount", "999", "at most 38 digits"},
		{"time without a zone", "x,shop,sold,acme,2026-01-31T00:00:00,USD,1,\n", "2:a 3!occurred_at 4:b", "occurred_at", "2026-01-31T00:00:00", "zone"},
		{"invalid UTF-8", "x,shop,sold,acme,2026-01-31T00:00:00Z,USD,1,caf\xe9\n", "2:a 3!note 4:b", "note", "caf�", "valid UTF-8"},
		{"NUL", "x\x00,shop,sold,acme,2026-01-31T00:00:00Z,USD,1,\n", "2:a 3!id 4:b", "id", "x�", "NUL"},
		{"bare quote", "x,shop,sold,acme,2026-01-31T00:00:00Z,USD,1,19\" rack\n", "2:a 3!event 4:b", "event", "x,shop", "quote in it doubled"},
		{"bare quote, then quotes", "x\"," + strings.TrimPrefix(good, "shop") + "\"\n", "2:a 3!event 4:b", "event", `x",`, "doubled"},
		{"text behind a quoted cell", "x,\"shop\" ,sold,acme,2026-01-31T00:00:00Z,USD,1,\n", "2:a 3!event 4:b", "event", "x,\"shop\"", "doubled"},
		{"unclosed quote", "x,\"" + good + "\n", "2:a 3!event 4:b", "event", "x,\"shop", "must close the quote"},
		{"unclosed quote, closed by another line", "x,\"" + good + "\ny,\"shop\",sold,acme,2026-01-31T00:00:00Z,USD,1,\n", "2:a 3!event 4:y 5:b", "event", "x,\"shop", "doubled"},
		{
			"quoted record that is too wide", "x,shop,sold,acme,2026-01-31T00:00:00Z,USD,1,\"two\nlines\",y\n", "2:a 3!event 5:b",
			"event", "x,shop", "goes on for 1 lines",
		},
		{"line of 1 MB", "x," + strings.Repeat("y", 1<<20) + "\n", "2:a 3!event 4:b", "event", "x,yyy", "at most 262144 bytes"},
		{"quoted cell of 1 MB", "x,\"" + strings.Repeat("y", 1<<20) + "\"\n", "2:a 3!event 4:b", "event", "x,\"yyy", "at most 262144 bytes"},
		{"truncated line", "x,shop,sold,acme,2026-01-3", "2:a 3!event", "event", "x,shop", "not 5"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			input := shortHeader + row("a") + c.record
			if strings.HasSuffix(c.record, "\n") {
				input += row("b")
			}
			for _, ends := range []string{"\n", "\r\n"} {
				items := decodeAll(t, strings.ReplaceAll(input, "\n", ends), CSV, declared)
				if got := summary(items); got != c.want {
					t.Fatalf("got %s, want %s", got, c.want)
				}
				bad := items[1].Err
				if bad.Field != c.field || !strings.Contains(bad.Value, c.value) || !strings.Contains(bad.Rule, c.rule) {
					t.Errorf("got %q, %q, %q", bad.Field, bad.Value, bad.Rule)
				}
			}
		})
	}
}

// TestCSVUnclosedQuoteInALongFile: the lines behind it are longer together than an event may be.
func TestCSVUnclosedQuoteInALongFile(t *testing.T) {
	t.Parallel()
	const rows = 20_000
	input := shortHeader + row("a") + "x,\"oops\n" + strings.Repeat(row("b"), rows)
	items := decodeAll(t, input, CSV, Options{BatchSize: 700})
	if len(items) != rows+2 || items[1].Err == nil || !strings.Contains(items[1].Err.Rule, "must close the quote") {
		t.Fatalf("%d items, the second %+v", len(items), items[1])
	}
	for i, item := range items[2:] {
		if item.Err != nil || item.Line != int64(i+4) {
			t.Fatalf("item %d: %+v", i, item)
		}
	}
}

func TestCSVHeaderFaults(t *testing.T) {
	t.Parallel()
	const required = "id,source,type,account,occurred_at,currency"
	for _, c := range []struct {
		header, says string
		payload      []string
	}{
		{"", "the input is empty", nil},
		{"\n\n", "the input is empty", nil},
		{strings.Replace(required, "account,", "", 1), "account: must be a column", nil},
		{required + ",", "column 7: must have a name", nil},
		{required + ",country,country", "country: must not be a column twice", nil},
		{required + ",id", "id: must not be a column twice", nil},
		{required + ",country,dimensions.country", "country: must not be a column twice", nil},
		{required + ",note", "text: must be a column, because", []string{"text"}},
		{required + ",note", "id: must not be a column of the payload", []string{"id"}},
		{required + ",Amount", "write amount, or dimensions.Amount", nil},
		{required + ", amount", "write amount, or", nil},
		{required + ",measures.fee", "is not a measure of this ledger", nil},
		{required + ",measures.amount", "must be the column amount", nil},
		{required + ",measures", "measures.NAME", nil},
		{required + ",dimensions", "under its own name", nil},
		{required + ",state.amount", "states are accepted as JSON only", nil},
		{required + ",state", "states are accepted as JSON only", nil},
		{required + ",payload", "name the columns that make up the payload", nil},
		{required + ",payload.x", "name the columns that make up the payload", nil},
		{required + ",reason", "belongs to adjustments", nil},
		{required + ",\"country", "must close the quote", nil},
		{required + ",caf\xe9", "valid UTF-8", nil},
		{"\x1f\x8b\x08\x00\x00", "must not hold the character NUL", nil},
	} {
		o := declared
		o.PayloadColumns = c.payload
		text := c.header
		if text != "" {
			text += "\n"
		}
		err := Decode(context.Background(), strings.NewReader(text+row("a")[:len(row("a"))*min(1, len(strings.TrimSpace(text)))]), CSV, o,
			func(Batch) error { return errors.New("records of a file with a bad header") })
		if !errors.Is(err, ledger.ErrInvalid) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%q: %v, want %s", c.header, err, c.says)
		}
	}
}
