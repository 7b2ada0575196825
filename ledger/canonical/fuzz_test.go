package canonical

import (
	"bytes"
	"encoding/json"
	"math/big"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzAppend holds the canonical form to encoding/json as an independent reader: what is accepted means
// the same there, what is refused breaks JSON or one of the stricter rules, and it is its own form.
func FuzzAppend(f *testing.F) {
	for _, seed := range []string{
		`{"b":[1,2.50,-0,1e400,1e-7],"a":{"z":null,"":"\u20ac\ud83d\ude00"}}`, `"\ud800"`, `[[[]]]`, `{"a":1,"a":2}`,
		`{"\ufb33":1,"😀":2}`, `1E+63`, `-1e62`, `"\u0000"`, "\"\xff\"", `[1,]`, `true false`, `12e99999999999999999999999`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		got, err := Append(nil, in, Limits{})
		if err != nil {
			if json.Valid(in) && !stricter(in) {
				t.Fatalf("refused: %v", err)
			}
			return
		}
		if !json.Valid(in) {
			t.Fatalf("accepted what isn't JSON as %s", got)
		}
		again, err := Append(nil, got, Limits{})
		if err != nil || !bytes.Equal(again, got) {
			t.Fatalf("%s became %s, %v", got, again, err)
		}
		if len(got) > 16*len(in)+16 {
			t.Fatalf("%d bytes grew to %d", len(in), len(got))
		}
		if !longExponent.Match(in) {
			before, after := decode(t, in), decode(t, got)
			if !reflect.DeepEqual(before, after) {
				t.Fatalf("%s means %v, was %v", got, after, before)
			}
		}
		for _, l := range []Limits{{Decimal: true}, {ScalarsOnly: true}} {
			narrow, err := Append(nil, in, l)
			if err == nil && !l.ScalarsOnly && !bytes.Equal(narrow, got) {
				t.Fatalf("%+v: %s, without: %s", l, narrow, got)
			}
		}
	})
}

// stricter reports whether a text, valid for encoding/json, may break one of this package's own rules.
func stricter(in []byte) bool {
	if !utf8.Valid(in) || strings.Count(string(in), "[")+strings.Count(string(in), "{") > DefaultDepth {
		return true
	}
	if lower := strings.ToLower(string(in)); strings.Contains(lower, `\u0000`) || strings.Contains(lower, `\ud`) {
		return true
	}
	var s Scanner
	s.Reset(in)
	_, err := s.Value(nil, Limits{})
	return err != nil && err.Rule == ruleDuplicate
}

// longExponent finds numbers whose exact fraction would have too many digits to compute.
var longExponent = regexp.MustCompile(`[eE][+-]?0*[1-9][0-9]{4}`)

// decode is the value of a text, with numbers as exact fractions.
func decode(t *testing.T, in []byte) any {
	d := json.NewDecoder(bytes.NewReader(in))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("encoding/json: %v", err)
	}
	return exact(v)
}

func exact(v any) any {
	switch v := v.(type) {
	case json.Number:
		r, ok := new(big.Rat).SetString(v.String())
		if !ok {
			return v
		}
		return r.RatString()
	case []any:
		for i := range v {
			v[i] = exact(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = exact(v[k])
		}
	}
	return v
}
