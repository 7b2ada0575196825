package wire

import (
	"strings"
	"testing"

	"deltaledger/ledger"
)

func TestJSONArrays(t *testing.T) {
	t.Parallel()
	long := `{"id":"` + strings.Repeat(`\\x]`, ledger.MaxEvent) + `"}`
	for _, c := range []struct{ in, want, rule string }{
		{`{"id":"a"}`, "1:a", ""},
		{" \xef\xbb\xbf", "1!event", "must be a JSON object, or an array"},
		{"\xef\xbb\xbf [ ] ", "", ""},
		{`[{"id":"a"},{"id":"b"} , {"id":"]}\"["}]`, `1:a 2:b 3:]}"[`, ""},
		{`[{"id":"a"},` + long + `,{"id":"b"}]`, "1:a 2!event 3:b", "at most 262144 bytes"},
		{long, "1!event", "at most 262144 bytes"},
		{`[{"id":"a"},7,{"id":"b"},"x" ,null]`, "1:a 2!event 3:b 4!event 5!event", "must be a JSON object"},
		{`[{"id":"a"},{"id":1},{"id":"b"}]`, "1:a 2!id 3:b", "must be a JSON string"},
		{`[{"id":"a"},{"id" "b"},{"id":"c"}]`, "1:a 2!event 3:c", "expected : behind"},
		{`[{"id":"a"},{"id":"b"]`, "1:a 2!event", "must close what it opens; nothing behind"},
		{`[{"id":"a"},{"id":"b"`, "1:a 2!event", "the input ends inside an object"},
		{`[{"id":"a"},{"id":"b`, "1:a 2!event", "the input ends inside an object"},
		{`[{"id":"a"},`, "1:a 2!event", "the input ends inside an array"},
		{`[{"id":"a"}`, "1:a 2!event", "the input ends inside an array"},
		{`[7`, "1!event 2!event", "must be a JSON object"},
		{`[{"id":"a"},]`, "1:a 2!event", "must be a JSON object; nothing"},
		{`[,{"id":"a"}]`, "1!event", "must be a JSON object; nothing"},
		{`[{"id":"a"}{"id":"b"}]`, "1:a 2!event", "must be a comma"},
		{`[{"id":"a"}] x`, "1:a 2!event", "behind the first"},
		{"{\"id\":\"a\"}\n{\"id\":\"b\"}\n", "1:a 2!event", "are NDJSON"},
		{``, "1!event", "must be a JSON object, or an array"},
		{`"x"`, "1!event", "must be a JSON object, or an array"},
		{strings.Repeat("[", 2000), "1!event", "nested that deep"},
		{`[{"id":"a"}` + strings.Repeat(" ", 9<<20) + `,{"id":"b"}]`, "1:a 2:b", ""},
	} {
		items := decodeAll(t, c.in, JSON, Options{})
		if got := summary(items); got != c.want {
			t.Errorf("%.60s: got %s, want %s", c.in, got, c.want)
			continue
		}
		rule := ""
		for _, i := range items {
			if i.Err != nil && rule == "" {
				rule = i.Err.Rule
			}
		}
		if !strings.Contains(rule, c.rule) || c.rule == "" && rule != "" {
			t.Errorf("%.60s: rule %q, want %q", c.in, rule, c.rule)
		}
	}
}
