package ledger

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// told records events in the order given and prints the rows that each needs.
func told(t *testing.T, events ...lawEvent) []string {
	t.Helper()
	h := history{source: "shop", stream: "o1"}
	var lines []string
	for _, e := range events {
		out, err := h.apply(e.entry())
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, fmt.Sprintf("%d %s %v", e.seqn, e.account, printed(out.own)))
		for _, r := range out.made {
			lines = append(lines, fmt.Sprintf("%d %s %v %s", r.bears.seqn, r.owner.account, printed(r.values), r.kind))
		}
	}
	return lines
}

func printed(values []Measure) string {
	var b strings.Builder
	for _, m := range values {
		fmt.Fprintf(&b, " %s %s", m.Name, m.Value)
	}
	return strings.TrimSpace(b.String())
}

func state(seqn int64, account string, values map[string]int64) lawEvent {
	return lawEvent{seqn: seqn, day: int(seqn), typ: "changed", account: account, dim: "x", own: "p", states: true, values: values}
}

func change(seqn int64, account string, values map[string]int64) lawEvent {
	e := state(seqn, account, values)
	e.states = false
	return e
}

func TestReorderTold(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		events []lawEvent
		want   []string
	}{
		"in order": {
			[]lawEvent{state(1, "A", map[string]int64{"amount": 1000}), change(2, "A", map[string]int64{"amount": -100}), state(3, "A", map[string]int64{"amount": 950})},
			[]string{"1 A amount 10", "2 A amount -1", "3 A amount 0.5"},
		},
		"a late state": {
			[]lawEvent{state(1, "A", map[string]int64{"amount": 1000}), state(3, "A", map[string]int64{"amount": 700}), state(2, "A", map[string]int64{"amount": 900})},
			[]string{"1 A amount 10", "3 A amount -3", "2 A amount -1", "3 A amount 1 reorder"},
		},
		"a late delta passes over events that don't state the measure": {
			[]lawEvent{
				state(1, "A", map[string]int64{"amount": 1000}), change(3, "A", map[string]int64{"amount": 1}), state(4, "A", map[string]int64{"fee": 50}),
				state(5, "A", map[string]int64{"amount": 1200}), change(2, "A", map[string]int64{"amount": 30}),
			},
			[]string{"1 A amount 10", "3 A amount 0.01", "4 A fee 0.5", "5 A amount 1.99", "2 A amount 0.3", "5 A amount -0.3 reorder"},
		},
		"another account": {
			[]lawEvent{state(1, "A", map[string]int64{"amount": 1000, "fee": 100}), state(2, "B", map[string]int64{"amount": 1000})},
			[]string{"1 A amount 10 fee 1", "2 B amount 10", "2 A amount -10 reversal"},
		},
		"a late event of another account": {
			[]lawEvent{state(1, "A", map[string]int64{"amount": 1000}), state(3, "C", map[string]int64{"amount": 1000}), state(2, "B", map[string]int64{"amount": 1000})},
			[]string{
				"1 A amount 10", "3 C amount 10", "3 A amount -10 reversal", "2 B amount 10", "2 A amount -10 reversal", "3 A amount 10 reorder", "3 B amount -10 reorder",
			},
		},
		"a row for each event that states a measure": {
			[]lawEvent{state(5, "A", map[string]int64{"amount": 500, "fee": 20}), state(4, "A", map[string]int64{"fee": 10}), state(1, "A", map[string]int64{"amount": 100, "fee": 3})},
			[]string{"5 A amount 5 fee 0.2", "4 A fee 0.1", "5 A fee -0.1 reorder", "1 A amount 1 fee 0.03", "4 A fee -0.03 reorder", "5 A amount -1 reorder"},
		},
		"no row for nothing": {
			[]lawEvent{state(1, "A", map[string]int64{"amount": 0}), state(3, "B", map[string]int64{"amount": 0}), state(2, "A", map[string]int64{"amount": 0})},
			[]string{"1 A amount 0", "3 B amount 0", "2 A amount 0"},
		},
	} {
		if have := told(t, c.events...); !slices.Equal(have, c.want) {
			t.Errorf("%s:\n%s\nnot\n%s", name, strings.Join(have, "\n"), strings.Join(c.want, "\n"))
		}
	}
}

// A change that no event could have been sent with is refused, and changes nothing.
func TestReorderBeyondTheLimits(t *testing.T) {
	t.Parallel()
	h := history{source: "shop", stream: "o1"}
	huge, tiny := state(1, "A", map[string]int64{"amount": 1}).entry(), state(2, "A", map[string]int64{"amount": 1, "fee": 1}).entry()
	huge.values[0].Value = Amount{"9" + strings.Repeat("0", 30)}
	tiny.values[0].Value = Amount{"0.000000000000000001"}
	if _, err := h.apply(huge); err != nil {
		t.Fatal(err)
	}
	_, err := h.apply(tiny)
	if err == nil || err.Field != "state.amount" || !strings.Contains(err.Rule, "at most 38 digits") {
		t.Fatalf("error %v", err)
	}
	if len(h.entries) != 1 {
		t.Fatalf("%d entries", len(h.entries))
	}
	tiny.values[0].Value = Amount{"9.5"}
	if out, err := h.apply(tiny); err != nil || printed(out.own) != "amount -8"+strings.Repeat("9", 29)+"0.5 fee 0.01" {
		t.Fatalf("%v, %v", printed(out.own), err)
	}
}
