package wire

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"deltaledger/ledger"
)

// TestTemplatesDontCollide: different values never make the same id.
func TestTemplatesDontCollide(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		separator := rapid.SampledFrom([]string{"/", "::", "-", "aa", "aba"}).Draw(t, "separator")
		m, err := ParseMapping("m", []byte(fmt.Sprintf("id: {template: 'x%s{a}%s{b}%s'}\n", separator, separator, separator)), "source", "type", "account", "occurred_at", "currency")
		if err != nil {
			t.Fatal(err)
		}
		text := rapid.StringOfN(rapid.SampledFrom([]rune("ab:/-")), 1, 5, -1)
		made := func(name string) (a, b, id string) {
			a, b = text.Draw(t, name+".a"), text.Draw(t, name+".b")
			e, bad := m.Event(ObjectValue([]string{"a", "b"}, []Value{TextValue(a), TextValue(b)}), Value{}, nil)
			if bad != nil {
				return a, b, ""
			}
			return a, b, e.ID
		}
		a1, b1, first := made("first")
		a2, b2, second := made("second")
		if first != "" && first == second && (a1 != a2 || b1 != b2) {
			t.Fatalf("%q, %q and %q, %q are %q", a1, b1, a2, b2, first)
		}
	})
}

// TestPointMovesExactly: moving the point there and back gives the same number, and so does the arithmetic of decimals.
func TestPointMovesExactly(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`-?[0-9]{1,18}(\.[0-9]{1,9})?`).Draw(t, "number")
		n := rapid.IntRange(-9, 9).Draw(t, "digits")
		a, err := ledger.ParseAmount(text)
		if err != nil {
			t.Fatal(err)
		}
		moved, err := ledger.ParseAmount(movePoint(a.String(), n))
		if err != nil {
			t.Fatal(err)
		}
		back, err := ledger.ParseAmount(movePoint(moved.String(), -n))
		if err != nil || back != a || !moved.Decimal().Equal(a.Decimal().Shift(int32(-n))) { //nolint:gosec // at most 9
			t.Fatalf("%s by %d is %s, and back %s, %v", text, n, moved, back, err)
		}
	})
}

// drawDocument is a document whose leaves all differ, and the paths to them.
func drawDocument(t *rapid.T, depth int, parent string, leaves map[string]string) Value {
	v := Value{kind: Object}
	for i := range rapid.IntRange(1, 4).Draw(t, "fields") {
		name := fmt.Sprintf("f%d", i)
		here := joinPath(parent, name)
		v.names = append(v.names, name)
		if depth > 0 && rapid.Bool().Draw(t, "nested") {
			v.items = append(v.items, drawDocument(t, depth-1, here, leaves))
			continue
		}
		leaves[here] = fmt.Sprintf("<%s>", here)
		v.items = append(v.items, TextValue(leaves[here]))
	}
	return v
}

// TestNothingIsLost: every value of a document is in the event, or was named under ignore.
func TestNothingIsLost(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		leaves := map[string]string{}
		doc := drawDocument(t, 3, "", leaves)
		ignored := map[string]bool{}
		var lines, payload, ignore []string
		for i, at := range sorted(leaves) {
			switch rapid.IntRange(0, 4).Draw(t, "use") {
			case 0:
				lines = append(lines, fmt.Sprintf("  d%d: %s", i, at))
			case 1:
				payload = append(payload, at)
			case 2:
				ignore, ignored[at] = append(ignore, at), true
			}
		}
		rest := rapid.SampledFrom([]string{"dimensions", "payload"}).Draw(t, "rest")
		text := "rest: " + rest + "\npayload: [" + strings.Join(payload, ", ") + "]\nignore: [" + strings.Join(ignore, ", ") + "]\n"
		if len(lines) > 0 {
			text += "dimensions:\n" + strings.Join(lines, "\n") + "\n"
		}
		m, err := ParseMapping("m", []byte(text), "id", "source", "type", "account", "occurred_at", "currency")
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		e, bad := m.Event(doc, Value{}, nil)
		if bad != nil {
			t.Fatalf("%s of %s: %v", text, doc, bad)
		}
		for at, leaf := range leaves {
			if kept := strings.Count(string(e.Dimensions)+string(e.Payload), `"`+leaf+`"`); (kept == 0) != ignored[at] || kept > 1 {
				t.Fatalf("%s is kept %d times\n%s\n%s\n%s %s", at, kept, text, doc, e.Dimensions, e.Payload)
			}
		}
	})
}

// sorted are the keys of a map in order.
func sorted(m map[string]string) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
