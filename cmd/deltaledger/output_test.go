package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"deltaledger/billing"
	"deltaledger/ledger"
	"deltaledger/ledger/wire"
)

func render(t *testing.T, form string, document any, rows table) string {
	t.Helper()
	var b bytes.Buffer
	s := &session{config: config{Output: form}, out: bufio.NewWriter(&b)}
	if err := s.show(document, rows); err != nil {
		t.Fatal(err)
	}
	if err := s.flush(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestTables: columns line up whatever script they are in, numbers at the right, and nothing that an
// upstream sent moves the cursor.
func TestTables(t *testing.T) {
	t.Parallel()
	rows := table{columns: []column{text("name"), number("amount"), text("remark")}, note: "2 rows\nof \x1b[31mred"}
	rows.add("日本", "1.5", "")
	rows.add("café\x1b[31m", "-12.25", "a\tb\n\u202ec")
	want := "" +
		"NAME            AMOUNT  REMARK\n" +
		"日本               1.5\n" +
		"café\\u001b[31m  -12.25  a\\u0009b\\u000a\\u202ec\n" +
		"2 rows\n" +
		"of \\u001b[31mred\n"
	if got := render(t, outputTable, nil, rows); got != want {
		t.Errorf("got:\n%s\nwant:\n%s", got, want)
	}
	var b bytes.Buffer
	tell(&b, "%s is wrong\nor isn't", "\x1b[31mred")
	if got, want := b.String(), "\\u001b[31mred is wrong\nor isn't\n"; got != want {
		t.Errorf("told %q, want %q", got, want)
	}
}

// TestSentences: what stands below a table says what there is, and that there is nothing.
func TestSentences(t *testing.T) {
	t.Parallel()
	empty := ledger.StreamView{Source: "shop", Stream: "o\x1b9", AsOf: ledger.Watermark{Position: 7}}
	if got, want := streamTable(empty).note, `no events of stream "o\x1b9" of source "shop", as of watermark 7`; got != want {
		t.Errorf("stream: %q, want %q", got, want)
	}
	ten, err := ledger.ParseAmount("10")
	if err != nil {
		t.Fatal(err)
	}
	same := ledger.StreamDiff{Totals: []ledger.TotalChange{{Measure: "amount", Currency: "EUR", Before: ten, After: ten}}}
	if got := diffTable(same); len(got.rows) != 0 || got.note != "from watermark 0 to 0: 0 events added, nothing differs" {
		t.Errorf("no difference: %q, %v", got.note, got.rows)
	}
	one := func(n int64) *decimal.Decimal { d := decimal.NewFromInt(n); return &d }
	for want, c := range map[string]billing.Charge{
		"sum of quantity":        {Model: billing.ModelSum, Measure: "quantity"},
		"2.5% of amount of sold": {Model: billing.ModelPercentage, Measure: "amount", Rate: decimal.RequireFromString("2.5"), Types: []string{"sold"}},
		"2% + 0.1 per event of amount, 3 free events, 500 free, at least 1, at most 9": {
			Model: billing.ModelPercentage, Measure: "amount", Rate: decimal.RequireFromString("2"), FixedAmount: decimal.RequireFromString("0.10"),
			FreeEvents: 3, FreeAmount: decimal.RequireFromString("500"), Minimum: one(1), Maximum: one(9),
		},
		"0.05 per event in EUR, 10 units free": {
			Model: billing.ModelPerEvent, Measure: billing.MeasureCount, UnitAmount: decimal.RequireFromString("0.05"), Currency: "EUR", FreeUnits: *one(10),
		},
		"graduated, 2 tiers, of quantity with country GB or US": {
			Model: billing.ModelGraduated, Measure: "quantity", Tiers: make([]billing.Tier, 2), Filters: []billing.Filter{{Dimension: "country", Values: []string{"GB", "US"}}},
		},
		"9 per 100 of quantity, less 10%, less 5": {
			Model: billing.ModelPackage, Measure: "quantity", PackageAmount: *one(9), PackageSize: *one(100),
			Discounts: []billing.Discount{{Percentage: *one(10)}, {Amount: *one(5)}},
		},
		"sum of amount of sold and gift": {Model: billing.ModelSum, Measure: "amount", Types: []string{"sold", "gift"}},
	} {
		if got := c.InWords(""); got != want {
			t.Errorf("charge: %q, want %q", got, want)
		}
	}
}

// TestCSV is RFC 4180: nothing is changed but what must be quoted.
func TestCSV(t *testing.T) {
	t.Parallel()
	rows := table{columns: []column{text("name"), number("amount")}, note: "not in a CSV"}
	rows.add(`say "hi", all`, "1.50")
	rows.add("two\nlines", "")
	rows.add("=cmd|' /C calc'!A0", "-1.50") // a name that a spreadsheet would run, and a number that it may read
	if got, want := render(t, outputCSV, nil, rows), "name,amount\n\"say \"\"hi\"\", all\",1.50\n\"two\nlines\",\n'=cmd|' /C calc'!A0,-1.50\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestJSON keeps the order of keys and every sign as it was sent.
func TestJSON(t *testing.T) {
	t.Parallel()
	b := "<b>&"
	rows := groups(ledger.AggregateResult{By: []string{"z", "a"}, Rows: []ledger.AggregateRow{{Key: []*string{&b, nil}, Count: 2}}})
	want := "[\n  {\n    \"z\": \"<b>&\",\n    \"a\": null,\n    \"count\": 2\n  }\n]\n"
	if got := render(t, outputJSON, rows, table{}); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestShortDuration(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		0: "0s", 48 * time.Hour: "48h", 90 * time.Minute: "1h30m", 20 * time.Minute: "20m", 10 * time.Second: "10s", time.Hour + 5*time.Second: "1h0m5s",
		10 * time.Hour: "10h", 100 * time.Minute: "1h40m",
	} {
		if got := shortDuration(d); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}

// TestConfig: every problem is reported at once, and the command line counts more than the environment.
func TestConfig(t *testing.T) {
	t.Parallel()
	good := config{DataDir: "x", Output: "json", LogLevel: "warn", ClockSkew: time.Hour}
	for _, c := range []struct {
		name   string
		change func(*config)
		given  string
		says   []string
	}{
		{"good", func(*config) {}, "", nil},
		{"words instead of a URL", func(c *config) { c.DatabaseURL = "host=db dbname=x" }, "", nil},
		{
			"everything wrong", func(c *config) { *c = config{DatabaseURL: "mysql://x", Output: "xml", LogLevel: "loud"} }, "",
			[]string{"--database-url", "--data-dir", "--output", "--log-level", "--clock-skew"},
		},
		{"two places", func(c *config) { c.DatabaseURL = "postgres://x" }, "data-dir database-url", []string{"two places"}},
		{"a password that can't be read", func(c *config) { c.DatabaseURL = "postgres://u:se%cret@h/d" }, "", []string{"escapes"}},
	} {
		changed := good
		c.change(&changed)
		given := map[string]bool{}
		for _, name := range strings.Fields(c.given) {
			given[name] = true
		}
		_, err := changed.settle(given)
		if (err == nil) != (c.says == nil) {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		for _, word := range c.says {
			if !strings.Contains(err.Error(), word) || strings.Contains(err.Error(), "cret") {
				t.Errorf("%s: %v", c.name, err)
			}
		}
	}
	settled, err := config{DatabaseURL: "postgres://h/d", DataDir: "x", Output: "table", LogLevel: "info", ClockSkew: time.Hour}.settle(map[string]bool{"data-dir": true})
	if err != nil || settled.DatabaseURL != "" {
		t.Errorf("--data-dir beside DATABASE_URL: %v %+v", err, settled)
	}
}

func TestFormatOf(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, content string
		want          wire.Format
	}{
		{"x.json", "id,source", wire.JSON},
		{"x.csv.gz", "{", wire.CSV},
		{"-", " \n[{}]", wire.JSON},
		{"-", "\ufeff{\"id\":\"1\"}\n{\"id\":\"2\"}\n", wire.NDJSON},
		{"-", "{\"id\":\"1\"}", wire.NDJSON},
		{"-", "{\n  \"id\": \"1\"\n}", wire.JSON},
		{"-", "id,source\n", wire.CSV},
		{"-", "", wire.CSV},
	} {
		got, err := formatOf(c.name, bufio.NewReader(strings.NewReader(c.content)))
		if err != nil || got != c.want {
			t.Errorf("%s %q: %s %v, want %s", c.name, c.content, got, err, c.want)
		}
	}
}

func TestSplitJSON(t *testing.T) {
	t.Parallel()
	for content, want := range map[string]int{`{"a":1}`: 1, "{\"a\":1}\n{\"b\":2}\n": 2, `[{"a":1},{"a":1,"a":2}]`: 2, "[]": 0, "\n": 0, "\ufeff{}": 1} {
		got, err := splitJSON([]byte(content))
		if err != nil || len(got) != want {
			t.Errorf("%q: %d %v", content, len(got), err)
		}
		for _, item := range got {
			if !json.Valid(item) || !strings.Contains(content, string(item)) {
				t.Errorf("%q: %s was changed", content, item)
			}
		}
	}
	if _, err := splitJSON([]byte(`{"a":1} x`)); err == nil {
		t.Error("what isn't JSON was taken")
	}
}
