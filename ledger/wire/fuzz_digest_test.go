package wire

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"deltaledger/ledger"
	"deltaledger/ledger/canonical"
)

// FuzzDigest: what an event's digest is made over is its own canonical form, and however the same content is
// spelled, it stays the same: another order of keys, other spaces and escapes, zeros that say nothing, other
// offsets of times. Other content has another one.
func FuzzDigest(f *testing.F) {
	f.Add([]byte(fullEvent), uint64(1))
	f.Add([]byte(`{"id":"\ud83d\ude00","source":"s","type":"t","account":"\u00e9","occurred_at":"0001-01-01T00:00:00Z","currency":"JPY","state":{"amount":"-0.0","tax":"007.10"}}`), uint64(2))
	f.Add([]byte(`{"id":"a","source":"s","type":"t","account":"b","occurred_at":"9999-12-31T23:59:59.999999Z","currency":"USD","amount":"0","dimensions":{"b":1e2,"a":-0,"\ufb33":true,"c":"\"\\\u001f"},"payload":[1,{"x":null}]}`), uint64(3))
	f.Add([]byte(`{"id":"a","source":"s","stream":"x","seqn":281474976710655,"type":"t","account":"b","occurred_at":"2024-02-29T23:59:59+14:00","currency":"USD","amount":"99999999999999999999.999999999999999999","dimensions":{"n":12345678901234567890.5}}`), uint64(4))
	f.Fuzz(func(t *testing.T, line []byte, seed uint64) {
		if len(line) > 8<<10 {
			return // escapes make it longer, and an event has its limit
		}
		e, bad := DecodeOne(line, declared)
		if bad != nil {
			return
		}
		form := ledger.AppendCanonical(nil, &e)
		if again, err := canonical.Append(nil, form, canonical.Limits{Decimal: true}); err != nil || !bytes.Equal(again, form) {
			t.Fatalf("the canonical form %s has the canonical form %s, %v", form, again, err)
		}
		respelled := newSpeller(seed).event(t, line)
		other, bad := DecodeOne(respelled, declared)
		if bad != nil {
			t.Fatalf("%s is refused as %s: %v", line, respelled, bad)
		}
		if got := ledger.AppendCanonical(nil, &other); !bytes.Equal(got, form) {
			t.Fatalf("%s\nhas the form %s; spelled as\n%s\nit has %s", line, form, respelled, got)
		}
		other.Account += "x"
		if got := ledger.AppendCanonical(nil, &other); bytes.Equal(got, form) {
			t.Fatalf("another account has the form %s too", got)
		}
	})
}

// speller spells the content of an event in other words, by chance.
type speller struct{ random *rand.Rand }

func newSpeller(seed uint64) *speller { return &speller{rand.New(rand.NewPCG(seed, 0))} }

func (s *speller) event(t *testing.T, line []byte) []byte {
	d := json.NewDecoder(bytes.NewReader(line))
	d.UseNumber()
	var v map[string]any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("encoding/json: %v", err)
	}
	for _, name := range []string{"amount", "quantity"} {
		if text, ok := v[name].(string); ok {
			v[name] = s.decimal(text)
		}
	}
	for _, name := range []string{"measures", "state"} {
		all, _ := v[name].(map[string]any)
		for key, value := range all {
			if text, ok := value.(string); ok {
				all[key] = s.decimal(text)
			}
		}
	}
	if text, ok := v["occurred_at"].(string); ok {
		v["occurred_at"] = s.time(text)
	}
	return s.value(nil, v, "")
}

// decimal adds zeros that say nothing.
func (s *speller) decimal(text string) string {
	if len(text) > 100 {
		return text
	}
	minus, digits := "", text
	if strings.HasPrefix(text, "-") {
		minus, digits = "-", text[1:]
	}
	if !strings.Contains(digits, ".") && s.random.IntN(2) == 0 {
		digits += "."
	}
	if strings.Contains(digits, ".") {
		digits += strings.Repeat("0", 1+s.random.IntN(3))
	}
	return minus + strings.Repeat("0", s.random.IntN(3)) + digits
}

// time spells an instant at another offset.
func (s *speller) time(text string) string {
	at, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return text
	}
	moved := at.In(time.FixedZone("", 60*(s.random.IntN(28*60)-14*60)))
	if moved.Year() < 1 || moved.Year() > 9999 {
		return text
	}
	return moved.Format(time.RFC3339Nano)
}

// value spells a JSON value. Under "" the key seqn is a plain integer, and stays one.
func (s *speller) value(b []byte, v any, path string) []byte {
	b = s.space(b)
	switch v := v.(type) {
	case map[string]any:
		names := make([]string, 0, len(v))
		for name := range v {
			names = append(names, name)
		}
		slices.Sort(names)
		s.random.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
		b = append(b, '{')
		for i, name := range names {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(s.space(s.text(s.space(b), name)), ':')
			b = s.value(b, v[name], path+"/"+name)
		}
		b = append(b, '}')
	case []any:
		b = append(b, '[')
		for i := range v {
			if i > 0 {
				b = append(b, ',')
			}
			b = s.value(b, v[i], path+"/")
		}
		b = append(b, ']')
	case string:
		b = s.text(b, v)
	case json.Number:
		b = append(b, s.number(v.String(), path)...)
	default:
		b = fmt.Append(b, encoded(v))
	}
	return s.space(b)
}

// encoded is true, false or null.
func encoded(v any) string {
	if v == nil {
		return "null"
	}
	return fmt.Sprint(v)
}

// number spells a number that isn't an integer by its nature.
func (s *speller) number(text, path string) string {
	if path == "/seqn" || strings.ContainsAny(text, "eE") {
		return text
	}
	switch s.random.IntN(3) {
	case 0:
		return text + "e0"
	case 1:
		if strings.Contains(text, ".") {
			return text + "0"
		}
		return text + ".0"
	}
	return text
}

// text spells a text with escapes.
func (s *speller) text(b []byte, text string) []byte {
	b = append(b, '"')
	for _, r := range text {
		switch {
		case r < ' ' || r == '"' || r == '\\' || s.random.IntN(4) == 0:
			if r > 0xffff {
				r -= 0x10000
				b = fmt.Appendf(b, `\u%04x\u%04X`, 0xd800+r>>10, 0xdc00+r&0x3ff)
			} else {
				b = fmt.Appendf(b, `\u%04x`, r)
			}
		default:
			b = append(b, string(r)...)
		}
	}
	return append(b, '"')
}

func (s *speller) space(b []byte) []byte {
	if s.random.IntN(3) == 0 {
		b = append(b, " \t\r\n"[s.random.IntN(4)])
	}
	return b
}
