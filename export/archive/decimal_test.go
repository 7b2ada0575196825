package archive

import (
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"
)

// The same value as an independent library has it, to and back, at every size.
func TestDecimals(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(7, 8))
	texts := []string{
		"0", "1", "-1", "0.000000000000000001", "-0.000000000000000001", "0.1", "99999999999999999999.999999999999999999",
		"-99999999999999999999.999999999999999999", "100000000000000000000", "-100000000000000000000.5", strings.Repeat("9", 38), "0.00010001", "10000", "20000.0003",
	}
	for range 5000 {
		text := ""
		for range 1 + random.IntN(38) {
			text += string(rune('0' + random.IntN(10)))
		}
		text = strings.TrimLeft(text, "0")
		if text == "" {
			text = "0"
		}
		if n := random.IntN(19); n > 0 {
			fraction := strings.Repeat("0", random.IntN(n))
			for len(fraction) < n-1 {
				fraction += string(rune('0' + random.IntN(10)))
			}
			text += "." + fraction + "7"
		}
		if random.IntN(2) == 0 && strings.Trim(text, "0.") != "" {
			text = "-" + text
		}
		texts = append(texts, text)
	}
	for _, text := range texts {
		numeric, err := fromText(text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if back, err := toText(numeric); back != text || err != nil {
			t.Errorf("%s became the text %s, %v", text, back, err)
		}
		whole, fraction, _ := strings.Cut(strings.TrimPrefix(text, "-"), ".")
		d, fits, err := toDecimal(numeric)
		if err != nil || fits != (len(whole) <= 20) {
			t.Errorf("%s: fits %t, %v", text, fits, err)
		}
		if !fits {
			continue
		}
		want, _ := new(big.Int).SetString(whole+fraction+strings.Repeat("0", scale-len(fraction)), 10)
		if text[0] == '-' {
			want.Neg(want)
		}
		have := new(big.Int).SetBytes(d[:])
		if d[0]&0x80 != 0 {
			have.Sub(have, new(big.Int).Lsh(big.NewInt(1), 128))
		}
		if have.Cmp(want) != 0 {
			t.Errorf("%s became %s", text, have)
		}
		back, err := fromDecimal(d[:])
		if err != nil {
			t.Fatal(err)
		}
		if again, err := toText(back); again != text || err != nil {
			t.Errorf("%s came back as %s, %v", text, again, err)
		}
	}
	for _, text := range []string{"", "-", ".5", "1e5", "+1", "NaN", "1.2.3"} {
		if _, err := fromText(text); err == nil {
			t.Errorf("%q is a numeric", text)
		}
	}
}
