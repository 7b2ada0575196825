package export

import (
	"encoding/binary"
	"encoding/csv"
	"flag"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgtype"
	"github.com/shopspring/decimal"
)

var update = flag.Bool("update", false, "write the golden files")

// tuple builds what the server sends for a row.
type tuple []byte

func (b tuple) field(v []byte) tuple {
	return append(binary.BigEndian.AppendUint32(b, uint32(len(v))), v...)
}

func (b tuple) null() tuple          { return append(b, 0xff, 0xff, 0xff, 0xff) }
func (b tuple) text(s string) tuple  { return b.field([]byte(s)) }
func (b tuple) bigint(n int64) tuple { return b.field(binary.BigEndian.AppendUint64(nil, uint64(n))) }

func (b tuple) date(days int32) tuple {
	return b.field(binary.BigEndian.AppendUint32(nil, uint32(days)))
}

func (b tuple) numeric(v pgtype.Numeric) tuple {
	out, err := pgtype.NewMap().Encode(pgtype.NumericOID, pgtype.BinaryFormatCode, v, nil)
	if err != nil {
		panic(err)
	}
	return b.field(out)
}

func (b tuple) at(s string) tuple {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		panic(err)
	}
	return b.bigint(t.UnixMicro() - time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro())
}

func (b tuple) on(s string) tuple {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		panic(err)
	}
	return b.date(int32((t.Unix() - time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).Unix()) / (24 * 60 * 60)))
}

func number(text string) pgtype.Numeric {
	d := decimal.RequireFromString(text)
	return pgtype.Numeric{Int: d.Coefficient(), Exp: d.Exponent(), Valid: true}
}

// declaredForTest are one declared column of each kind.
func declaredForTest() []column {
	return []column{
		{name: "commission", kind: kindNumeric, measure: true},
		{name: "clicks", kind: kindBigint},
		{name: "is_new", kind: kindBoolean},
		{name: "partner", kind: kindText},
		{name: "ship_date", kind: kindDate},
		{name: "shop", kind: kindUUID},
		{name: "valued_at", kind: kindTimestamp},
	}
}

func plainRow(n int) tuple { return binary.BigEndian.AppendUint16(nil, uint16(n)) }

func goldenTuples() []byte {
	n := len(layout(declaredForTest()))
	full := plainRow(n).bigint(7).on("2025-12-31").at("2025-12-31T23:59:59.123456Z").at("2026-01-01T00:00:00Z").
		text("orders").text("8f0c").text("order-1").bigint(281474976710655).text("order.returned").text("upstream").
		text("acme, inc.").text("USD").numeric(number("-12.50")).numeric(number("-1")).
		numeric(number("0.000000000000000001")).bigint(-5).field([]byte{1}).text("=SUM(A1)").on("0001-01-01").
		field([]byte("0123456789abcdef")).at("9999-12-31T23:59:59.999999Z").
		field([]byte("\x01{\"b\": 1.50, \"aa\": \"say \\\"hi\\\"\", \"a\": true}")).
		text("7c11").text("+1").text("line one\nline two").text("'quoted'")
	empty := plainRow(n).bigint(9).on("2025-11-30").at("1999-12-31T23:59:59.999999Z").at("2026-01-01T00:00:00.000001Z").
		text("orders").text("-8").null().null().text("").text("upstream").text("@acme").text("EUR").null().null().
		null().null().null().text("\ttab").null().null().null().null().null().text("\r").text("=\",").text("''")
	return append(append(full, empty...), 0xff, 0xff)
}

func TestGoldenCSV(t *testing.T) {
	t.Parallel()
	columns := layout(declaredForTest())
	e := newEncoder(columns, Month{2025, time.December})
	got, err := e.rows(appendHeader(nil, header(columns)), goldenTuples())
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("testdata", "golden.csv")
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if !e.done || e.tally.rows != 2 || e.tally.late != 1 {
		t.Errorf("done %v, rows %d, late %d", e.done, e.tally.rows, e.tally.late)
	}
	sums, quantity := e.tally.sums()
	if quantity != "-1" || sums["USD"]["amount"] != "-12.5" || sums["USD"]["commission"] != "0.000000000000000001" || len(sums["EUR"]) != 0 {
		t.Errorf("sums %v, quantity %s", sums, quantity)
	}
	cells, err := csv.NewReader(strings.NewReader(string(got))).ReadAll()
	if err != nil || len(cells) != 3 {
		t.Fatalf("a reader of RFC 4180 gets %d lines: %v", len(cells), err)
	}
}

func TestBadTuplesAreRefused(t *testing.T) {
	t.Parallel()
	columns := layout(nil)
	good := plainRow(len(columns)).bigint(1).on("2025-12-01").at("2025-12-01T00:00:00Z").at("2025-12-01T00:00:00Z").text("s").text("i").
		null().null().text("t").text("upstream").text("a").text("USD").null().null().null().null().null().null().null()
	for name, in := range map[string][]byte{
		"another number of columns":     plainRow(3),
		"cut in a length":               good[:5],
		"cut in a value":                good[:9],
		"the same position twice":       append(append([]byte{}, good...), good...),
		"something after the trailer":   append([]byte{0xff, 0xff}, good...),
		"a negative length":             append(plainRow(len(columns)), 0xff, 0xff, 0xff, 0xfe),
		"a position of the wrong width": plainRow(len(columns)).text("x"),
		"no business date":              plainRow(len(columns)).bigint(1).null(),
	} {
		if _, err := newEncoder(columns, Month{2025, time.December}).rows(nil, in); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := newEncoder(columns, Month{2025, time.December}).rows(nil, good); err != nil {
		t.Errorf("good: %v", err)
	}
}

func TestDatesAgreeWithTheCalendar(t *testing.T) {
	t.Parallel()
	start := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	for day := int64(earliestDay); day <= latestDay; day++ {
		if day%97 != 0 && day > earliestDay+800 && day < latestDay-800 && (day < -40_000 || day > 40_000) {
			continue
		}
		got, err := appendDate(nil, day)
		if want := start.AddDate(0, 0, int(day)).Format(time.DateOnly); err != nil || string(got) != want {
			t.Fatalf("day %d is %s (%v), want %s", day, got, err, want)
		}
	}
	for _, day := range []int64{earliestDay - 1, latestDay + 1, 1<<31 - 1, -1 << 31} {
		if _, err := appendDate(nil, day); err == nil {
			t.Errorf("day %d: no error", day)
		}
	}
}

func FuzzText(f *testing.F) {
	for _, s := range []string{"", "a", "=1", "'=1", "''", "-\"", "@,", "\t\n", "\r", "a\r\nb", `"`, `""`, "ü,", "+\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		line := string(appendText(nil, []byte(s)))
		cell, ok := readCell(line)
		if !ok {
			t.Fatalf("%q became %q, which is no cell", s, line)
		}
		if cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
			t.Fatalf("%q became %q, which a spreadsheet may run", s, line)
		}
		if got := Unguard(cell); got != s {
			t.Fatalf("%q became %q and came back as %q", s, line, got)
		}
	})
}

// readCell reads one cell by RFC 4180.
func readCell(line string) (string, bool) {
	if !strings.HasPrefix(line, `"`) {
		return line, !strings.ContainsAny(line, ",\"\r\n")
	}
	if len(line) < 2 || !strings.HasSuffix(line, `"`) {
		return "", false
	}
	inner := line[1 : len(line)-1]
	return strings.ReplaceAll(inner, `""`, `"`), strings.Count(inner, `"`) == 2*strings.Count(inner, `""`)
}

func FuzzNumeric(f *testing.F) {
	for _, s := range []string{"0", "-0.1", "10000", "99999999999999999999.999999999999999999", "0.000000000000000001", "12345678", "100", "-1.10", "9999.9999"} {
		d := decimal.RequireFromString(s)
		f.Add(d.Coefficient().Bytes(), d.IsNegative(), -d.Exponent())
	}
	f.Fuzz(func(t *testing.T, magnitude []byte, minus bool, decimals int32) {
		n := new(big.Int).SetBytes(magnitude)
		if decimals < 0 || decimals > 18 || len(n.String()) > 38 {
			return // the ledger takes no such number
		}
		if minus {
			n.Neg(n)
		}
		want := decimal.NewFromBigInt(n, -decimals)
		v, err := pgtype.NewMap().Encode(pgtype.NumericOID, pgtype.BinaryFormatCode, pgtype.Numeric{Int: n, Exp: -decimals, Valid: true}, nil)
		if err != nil {
			t.Fatal(err)
		}
		var sum total
		got, err := appendNumeric(nil, v, &sum)
		if err != nil || string(got) != want.String() {
			t.Fatalf("%s became %s, %v", want, got, err)
		}
		if _, err := appendNumeric(nil, v, &sum); err != nil || sum.String() != want.Add(want).String() {
			t.Fatalf("twice %s is %s, %v", want, sum.String(), err)
		}
	})
}

func FuzzTuples(f *testing.F) {
	f.Add(goldenTuples())
	columns := layout(declaredForTest())
	f.Fuzz(func(t *testing.T, b []byte) {
		e := newEncoder(columns, Month{2025, time.December})
		out, err := e.rows(nil, b)
		if err != nil {
			return
		}
		if lines, err := csv.NewReader(strings.NewReader(string(out))).ReadAll(); err == nil && int64(len(lines)) != e.tally.rows {
			t.Fatalf("%d rows became %d lines: %q", e.tally.rows, len(lines), out)
		}
	})
}
