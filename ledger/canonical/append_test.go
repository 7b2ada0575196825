package canonical

import (
	"errors"
	"strings"
	"testing"
)

func TestAppendKnownAnswers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, in, want string }{
		{"scalars", " [ true , false,null ] ", `[true,false,null]`},
		{"empty", "{ }", `{}`},
		{"nested", `{"b":[{"z":1,"a":{}}],"a":[]}`, `{"a":[],"b":[{"a":{},"z":1}]}`},
		{
			"example of RFC 8785 3.2.3, in exact decimals", `{
			"numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],
			"string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
			"literals": [null, true, false]}`,
			`{"literals":[null,true,false],"numbers":[333333333.33333329,1000000000000000000000000000000,4.5,0.002,` +
				`0.000000000000000000000000001],"string":"€$\u000f\nA'B\"\\\\\"/"}`,
		},
		{
			"key order of RFC 8785 3.2.3",
			`{"\u20ac":"Euro Sign","\r":"Carriage Return","\ufb33":"Hebrew Letter Dalet With Dagesh","1":"One",` +
				`"\ud83d\ude00":"Emoji: Grinning Face","\u0080":"Control","\u00f6":"Latin Small Letter O With Diaeresis"}`,
			"{\"\\r\":\"Carriage Return\",\"1\":\"One\",\"\u0080\":\"Control\",\"ö\":\"Latin Small Letter O With Diaeresis\"," +
				"\"€\":\"Euro Sign\",\"😀\":\"Emoji: Grinning Face\",\"\ufb33\":\"Hebrew Letter Dalet With Dagesh\"}",
		},
		{"escapes", `"\u0001\u001f\b\f\n\r\t\/\u007f\u2028"`, "\"\\u0001\\u001f\\b\\f\\n\\r\\t/\x7f\u2028\""},
		{"surrogate pair", `"\ud834\udd1e"`, `"𝄞"`},
		{"key that needs an escape", `{"b\"":1,"a\n":2}`, `{"a\n":2,"b\"":1}`},
		{"prefixes", `{"aa":1,"a":2,"":3}`, `{"":3,"a":2,"aa":1}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got, err := Append([]byte(">"), []byte(c.in), Limits{})
			if err != nil {
				t.Fatalf("Append: %v", err)
			}
			if string(got) != ">"+c.want {
				t.Errorf("got  %s\nwant >%s", got, c.want)
			}
			again, err := Append(nil, got[1:], Limits{})
			if err != nil || string(again) != c.want {
				t.Errorf("again: %s, %v", again, err)
			}
		})
	}
}

func TestAppendNumbers(t *testing.T) {
	t.Parallel()
	zeros := strings.Repeat("0", 100)
	for in, want := range map[string]string{
		"0": "0", "-0": "0", "0.0": "0", "-0.000e5": "0", "0e999999999999999999999": "0", "10": "10", "-10.50": "-10.5",
		"1e2": "100", "1.5E+3": "1500", "12345e-3": "12.345", "1e-7": "0.0000001", "0.10e1": "1", "100e-2": "1",
		"9007199254740993":               "9007199254740993",
		"0.1000000000000000055511151231": "0.1000000000000000055511151231",
		"1e63":                           "1" + zeros[:63],
		"-1e62":                          "-1" + zeros[:62],
		"-1e63":                          "-1e+63",
		"1e64":                           "1e+64",
		"12.5e63":                        "1.25e+64",
		"1e-62":                          "0." + zeros[:61] + "1",
		"1e-63":                          "1e-63",
		"1" + zeros:                      "1e+100",
		"0." + zeros + "12":              "1.2e-101",
		"1e999999999":                    "1e+999999999",
		"10e999999999999999999":          "1e+1000000000000000000",
		"1e-99999999999999999999999":     "1e-99999999999999999999999",
		"12e99999999999999999999999":     "1.2e+100000000000000000000000",
		"1e0000000000000000000000002":    "100",
	} {
		got, err := Append(nil, []byte(in), Limits{})
		if err != nil || string(got) != want {
			t.Errorf("%s: got %s, %v, want %s", in, got, err, want)
			continue
		}
		if again, err := Append(nil, got, Limits{}); err != nil || string(again) != want {
			t.Errorf("%s: its canonical form became %s, %v", in, again, err)
		}
	}
}

func TestAppendDecimalLimits(t *testing.T) {
	t.Parallel()
	nines := strings.Repeat("9", 100)
	for in, want := range map[string]string{
		nines[:38]:                          nines[:38],
		"-" + nines[:20] + "." + nines[:18]: "-" + nines[:20] + "." + nines[:18],
		"1e37":                              "1" + strings.Repeat("0", 37),
		"1e-18":                             "0.000000000000000001",
		"0.1000000000000000000000000":       "0.1",
		nines[:39]:                          ruleDigits,
		nines[:21] + "." + nines[:18]:       ruleDigits,
		"1e38":                              ruleDigits,
		"1e999999999":                       ruleDigits,
		"1e9999999999999999999999":          ruleDigits,
		"1e-19":                             ruleDecimals,
		"0." + nines[:19]:                   ruleDecimals,
	} {
		got, err := Append(nil, []byte(`{"n":`+in+`}`), Limits{Decimal: true, ScalarsOnly: true})
		var fault *Error
		switch {
		case errors.As(err, &fault) && (fault.Rule != want || fault.Path != "n" || fault.Offset != 5):
			t.Errorf("%s: got %+v, want %s", in, fault, want)
		case err == nil && string(got) != `{"n":`+want+`}`:
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
}

func TestAppendScalarsOnly(t *testing.T) {
	t.Parallel()
	l := Limits{ScalarsOnly: true}
	for in, want := range map[string]string{
		`{"c":null,"b":1,"a":"x","d":null}`: `{"a":"x","b":1}`,
		`{"a":null,"b":1}`:                  `{"b":1}`,
		`{"a":1,"b":null}`:                  `{"a":1}`,
		`{"a":null}`:                        `{}`,
		`{"b":true,"a":null}`:               `{"b":true}`,
	} {
		got, err := Append(nil, []byte(in), l)
		if err != nil || string(got) != want {
			t.Errorf("%s: got %s, %v, want %s", in, got, err, want)
		}
	}
	for in, want := range map[string]Error{
		`{"a":[1]}`:           {5, "a", ruleScalars},
		`{"a":1,"b":{}}`:      {11, "b", ruleScalars},
		`[1]`:                 {0, "", ruleObject},
		`null`:                {0, "", ruleObject},
		`{"a":null,"a":1}`:    {10, "a", ruleDuplicate},
		`{"a":null,"a":null}`: {10, "a", ruleDuplicate},
	} {
		wantFault(t, in, l, want)
	}
}

func TestAppendRefuses(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]Error{
		"":                                  {0, "", ruleEnds},
		"  ":                                {2, "", ruleEnds},
		`{"a":1`:                            {6, "", ruleEnds},
		`{"a":`:                             {5, "a", ruleEnds},
		`{"a"`:                              {4, "", ruleEnds},
		`{"a`:                               {3, "", ruleEnds},
		`[1,`:                               {3, "[1]", ruleEnds},
		`{"a":1}x`:                          {7, "", ruleTrailing},
		`1 2`:                               {2, "", ruleTrailing},
		`[1,]`:                              {3, "[1]", ruleValue},
		`{"a":1,}`:                          {7, "", "must be JSON: expected a key in quotes"},
		`{a:1}`:                             {1, "", "must be JSON: expected a key in quotes"},
		`{,}`:                               {1, "", "must be JSON: expected , or }"},
		`[1 2]`:                             {3, "", "must be JSON: expected , or ]"},
		`{"a" 1}`:                           {5, "", "must be JSON: expected : behind the key"},
		`{"a":1,"b":{"c":[0,{"d":tru}]}}`:   {24, "b.c[1].d", ruleValue},
		`[[[1],NaN]]`:                       {6, "[0][1]", ruleValue},
		`Infinity`:                          {0, "", ruleValue},
		`01`:                                {0, "", ruleNumber},
		`-x`:                                {0, "", ruleNumber},
		`1.e5`:                              {0, "", ruleNumber},
		`1e+`:                               {3, "", ruleEnds},
		`.5`:                                {0, "", ruleValue},
		`+1`:                                {0, "", ruleValue},
		"\"a\nb\"":                          {2, "", ruleControl},
		"\"\x00\"":                          {1, "", ruleNUL},
		"\"\\n\x00\"":                       {3, "", ruleNUL},
		`"ab\u0000"`:                        {3, "", ruleNUL},
		`"\ud800"`:                          {1, "", ruleSurrogate},
		`"\ud800\n"`:                        {1, "", ruleSurrogate},
		`"\ud800\ud800"`:                    {1, "", ruleSurrogate},
		`"\udc00\ud800"`:                    {1, "", ruleSurrogate},
		`"\x41"`:                            {1, "", ruleEscape},
		`"\u12g4"`:                          {1, "", ruleEscape},
		"\"ab\xffc\"":                       {3, "", ruleUTF8},
		"\"\\nab\xed\xa0\x80c\"":            {5, "", ruleUTF8},
		"\"\xc0\x80\"":                      {1, "", ruleUTF8},
		`{"a":1,"b":2,"a":3}`:               {13, "a", ruleDuplicate},
		`{"x":[{"a":1,"\u0061":1}]}`:        {13, "x[0].a", ruleDuplicate},
		"\x00":                              {0, "", ruleValue},
		"{\xa0}":                            {1, "", "must be JSON: expected a key in quotes"},
		strings.Repeat("[", 33):             {32, strings.Repeat("[0]", 32), "must not nest arrays and objects more than 32 deep"},
		strings.Repeat(`{"":`, 1000) + "{}": {128, `""` + strings.Repeat(`.""`, 31), "must not nest arrays and objects more than 32 deep"},
	} {
		wantFault(t, in, Limits{}, want)
	}
}

func wantFault(t *testing.T, in string, l Limits, want Error) {
	t.Helper()
	got, err := Append([]byte("kept"), []byte(in), l)
	var fault *Error
	if !errors.As(err, &fault) {
		t.Errorf("%s: got %s, want %v", in, got, &want)
		return
	}
	if *fault != want || string(got) != "kept" {
		t.Errorf("%.50s: got %+v, want %+v (output %s)", in, *fault, want, got)
	}
}

func TestCompareIsByUTF16(t *testing.T) {
	t.Parallel()
	ordered := []string{"", "\r", "1", "1a", "a", "\u0080", "ö", "€", "\ud7ff", "𐀀", "😀", "\U0010ffff", "\ue000", "\uffff", "\uffffa"}
	for i, a := range ordered {
		for j, b := range ordered {
			if got := Compare(a, b); (got < 0) != (i < j) || (got > 0) != (i > j) {
				t.Errorf("Compare(%q, %q) = %d", a, b, got)
			}
		}
	}
}

func TestScannerTokens(t *testing.T) {
	t.Parallel()
	var s Scanner
	s.Reset([]byte(` { "a" : "x\ty" , "b":null, "c":-1.50 , "d": [1, {"e":2}] } `))
	if err := s.Open('{'); err != nil {
		t.Fatal(err)
	}
	var got []string
	for n := 0; ; n++ {
		more, err := s.More('}', n == 0)
		if err != nil {
			t.Fatal(err)
		}
		if !more {
			break
		}
		key, plain, err := s.Key()
		if err != nil || !plain {
			t.Fatalf("key %q, %v, %v", key, plain, err)
		}
		var value []byte
		switch {
		case s.Null():
			value = []byte("none")
		case s.Peek() == '"':
			value, _, err = s.Text()
		case s.Peek() == '-':
			value, err = s.Number()
		default:
			value, err = s.Skip(Limits{})
		}
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, string(key)+"="+string(value))
	}
	if err := s.End(); err != nil {
		t.Fatal(err)
	}
	if want := "a=x\ty b=none c=-1.50 d=[1, {\"e\":2}]"; strings.Join(got, " ") != want {
		t.Errorf("got %q", got)
	}
}

func TestAppendDoesNotAllocate(t *testing.T) {
	in := []byte(`{"campaign":"winter","country":"US","partner":"pub-7","share":12.5,"n":-3}`)
	var s Scanner
	dst := make([]byte, 0, 1024)
	if n := testing.AllocsPerRun(100, func() {
		s.Reset(in)
		if _, err := s.Value(dst, Limits{Decimal: true, ScalarsOnly: true}); err != nil {
			t.Fatal(err)
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkValue(b *testing.B) {
	in := []byte(`{"campaign":"winter","country":"US","partner":"pub-7","segment":"new customers","sku":"85123A"}`)
	var s Scanner
	dst := make([]byte, 0, 1024)
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		s.Reset(in)
		if _, err := s.Value(dst, Limits{Decimal: true, ScalarsOnly: true}); err != nil {
			b.Fatal(err)
		}
	}
}
