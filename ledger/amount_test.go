package ledger_test

import (
	"strings"
	"testing"

	"github.com/shopspring/decimal"

	"deltaledger/ledger"
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

func FuzzParseAmount(f *testing.F) {
	for _, s := range []string{"0", "-12.50", "007", "1e5", "", "-0.0", strings.Repeat("9", 38), ".5"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := ledger.ParseAmount(s)
		if err != nil {
			return
		}
		again, err := ledger.ParseAmount(a.String())
		if err != nil || again != a {
			t.Fatalf("%q gives %q, which gives %q, %v", s, a, again, err)
		}
		want, err := decimal.NewFromString(s)
		if err != nil || !want.Equal(a.Decimal()) {
			t.Fatalf("%q gives %q, but is %v, %v", s, a, want, err)
		}
		if back, err := ledger.AmountOf(want); err != nil || back != a {
			t.Fatalf("%q: the way back gives %q, %v", s, back, err)
		}
	})
}
