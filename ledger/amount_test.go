package ledger_test

import (
	"bytes"
	"math/big"
	"regexp"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgtype"
	"github.com/shopspring/decimal"

	"deltaledger/ledger"
	"deltaledger/migrations/pgtest"
)

func TestParseAmount(t *testing.T) {
	t.Parallel()
	nines := strings.Repeat("9", 38)
	for in, want := range map[string]string{
		"0": "0", "-0": "0", "0.00": "0", "-0.0": "0", "12.50": "12.5", "-12.50": "-12.5", "007": "7", "-007.10": "-7.1",
		"100": "100", "100.0": "100", "0.5": "0.5", "-0.05": "-0.05", nines: nines, "-" + nines: "-" + nines, "000" + nines + ".00": nines,
		"0." + strings.Repeat("0", 17) + "1": "0." + strings.Repeat("0", 17) + "1", "1.5" + strings.Repeat("0", 40): "1.5",
	} {
		got, err := ledger.ParseAmount(in)
		if err != nil || got.String() != want {
			t.Errorf("%q: %q, %v; want %q", in, got, err, want)
		}
	}
	for _, in := range []string{
		"", "-", "+1", ".5", "5.", "1e5", "1E5", "1e-5", "NaN", "Infinity", "-inf", " 1", "1 ", "1,5", "1.2.3", "--1", "0x10", "١", "1_000",
		nines + "9", "1" + nines, strings.Repeat("9", 60), "0." + strings.Repeat("0", 18) + "1", strings.Repeat("0", 200), "1e999999999",
		strings.Repeat("9", 21) + "." + strings.Repeat("9", 18),
	} {
		if got, err := ledger.ParseAmount(in); err == nil {
			t.Errorf("%q is taken for %q", in, got)
		}
	}
}

// plain is the spelling of a decimal that is taken, before its digits are counted.
var plain = regexp.MustCompile(`^-?[0-9]+(\.[0-9]+)?$`)

// FuzzParseAmount holds the reader of decimals to exact fractions: what is taken keeps its value and is read
// again as itself, and nothing else than the rules say is refused.
func FuzzParseAmount(f *testing.F) {
	for _, s := range []string{
		"0", "-12.50", "007", "1e5", "", "-0.0", strings.Repeat("9", 38), ".5", "-" + strings.Repeat("0", 20) + "." + strings.Repeat("0", 17) + "1",
		strings.Repeat("9", 20) + "." + strings.Repeat("9", 18), "1" + strings.Repeat("0", 38), "0." + strings.Repeat("0", 19), "+1", "1_0", "Infinity",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := ledger.ParseAmount(s)
		if err != nil {
			if plain.MatchString(s) && len(s) <= 128 && withinLimits(s) {
				t.Fatalf("%q is refused: %v", s, err)
			}
			return
		}
		if !plain.MatchString(s) || !withinLimits(s) {
			t.Fatalf("%q is taken as %q", s, a)
		}
		again, err := ledger.ParseAmount(a.String())
		if err != nil || again != a || again.String() != a.String() {
			t.Fatalf("%q gives %q, which gives %q, %v", s, a, again, err)
		}
		want, _ := new(big.Rat).SetString(s)
		if got, ok := new(big.Rat).SetString(a.String()); !ok || got.Cmp(want) != 0 || a.Decimal().Rat().Cmp(want) != 0 {
			t.Fatalf("%q gives %q and %v, but is %v", s, a, a.Decimal(), want)
		}
		if canonical := strings.TrimPrefix(a.String(), "-"); canonical != "0" && !shortest.MatchString(canonical) || a.String() == "-0" {
			t.Fatalf("%q gives %q, which says more than it must", s, a)
		}
		d, err := decimal.NewFromString(s)
		if err != nil {
			t.Fatal(err)
		}
		if back, err := ledger.AmountOf(d); err != nil || back != a {
			t.Fatalf("%q: the way back gives %q, %v", s, back, err)
		}
	})
}

// shortest is a decimal above 0 without zeros that say nothing.
var shortest = regexp.MustCompile(`^(0|[1-9][0-9]*)(\.[0-9]*[1-9])?$`)

// withinLimits counts the digits of a plain decimal, by its exact fraction.
func withinLimits(s string) bool {
	r, ok := new(big.Rat).SetString(s)
	if !ok {
		return false
	}
	scaled := new(big.Rat).Mul(r, new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(ledger.MaxDecimals), nil)))
	if !scaled.IsInt() {
		return false // more than 18 digits after the point
	}
	digits := strings.TrimLeft(strings.TrimPrefix(r.FloatString(ledger.MaxDecimals), "-"), "0")
	whole, fraction, _ := strings.Cut(digits, ".")
	fraction = strings.TrimRight(fraction, "0")
	return len(whole)+len(fraction) <= ledger.MaxDigits
}

// FuzzNumericCopy gives PostgreSQL the binary form in which a number is copied: it reads the number that was
// meant, and writes the same bytes for it.
func FuzzNumericCopy(f *testing.F) {
	db := pgtest.New(f)
	for _, s := range []string{
		"0", "-0", "1", "-1", "9999", "10000", "100000000", "0.0001", "0.00001", "-12.50", "10000.0001", "0.000000000000000001",
		strings.Repeat("9", 38), "-" + strings.Repeat("9", 20) + "." + strings.Repeat("9", 18), "1" + strings.Repeat("0", 37), "120000.000034",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := ledger.ParseAmount(s)
		if err != nil {
			return
		}
		conn, err := db.Super.Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Release()
		ours := ledger.NumericCopy(a)
		const sqlBothWays = `SELECT $1::numeric::text, numeric_send($2::text::numeric)` // the first is numeric_recv's
		result := conn.Conn().PgConn().ExecParams(t.Context(), sqlBothWays, [][]byte{ours, []byte(a.String())},
			[]uint32{pgtype.NumericOID, pgtype.TextOID}, []int16{pgtype.BinaryFormatCode, pgtype.TextFormatCode},
			[]int16{pgtype.TextFormatCode, pgtype.BinaryFormatCode}).Read()
		if result.Err != nil {
			t.Fatalf("%s as %x: %v", a, ours, result.Err)
		}
		if row := result.Rows[0]; string(row[0]) != a.String() || !bytes.Equal(row[1], ours) {
			t.Fatalf("%s is copied as %x, which PostgreSQL reads as %s; its own is %x", a, ours, row[0], row[1])
		}
	})
}
