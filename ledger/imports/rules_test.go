package imports

import (
	"errors"
	"io/fs"
	"strings"
	"testing"

	"deltaledger/ledger"
	"deltaledger/ledger/wire"
)

const testMapping = `{"id": "no", "source": {"constant": "till"}, "type": {"constant": "sold"}, "account": "who", "occurred_at": "when", "currency": {"constant": "EUR"}, "amount": "total"}`

func readMapping(name string) ([]byte, error) {
	if name == "till.yaml" {
		return []byte(testMapping), nil
	}
	return nil, fs.ErrNotExist
}

func TestRules(t *testing.T) {
	t.Parallel()
	rules, err := ParseRules("rules.yaml", []byte(`
prefixes:
- prefix: in/
  format: csv
  payload_columns: [note]
- prefix: in/till/
  mapping: till.yaml
  ready: marker
- prefix: in/old/
  skip: true
`), readMapping)
	if err != nil {
		t.Fatal(err)
	}
	if r := rules.For("in/a.txt"); r.Format != wire.CSV || len(r.PayloadColumns) != 1 || r.Mapping != nil {
		t.Errorf("%+v", r)
	}
	if r := rules.For("in/till/a.avro"); r.Mapping == nil || len(r.MappingSHA256) != 32 || r.Ready != ReadyMarker || r.Format != "" {
		t.Errorf("%+v", r)
	} else if f, ok := r.format("in/till/a.avro.zst"); !ok || f != wire.Avro {
		t.Errorf("format %s, %v", f, ok)
	}
	if !rules.For("in/old/a.csv").Skip || rules.For("out/a.csv").Skip {
		t.Error("skip")
	}
}

func TestBadRules(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		``:                                      "prefixes: must be a list of rules",
		`prefixes: []`:                          "prefixes: must be a list of rules",
		"prefixes:\n- format: csv":              `prefixes[0].prefix: must say which names the rule is for`,
		"prefixes:\n- prefixx: a":               "line 2: field prefixx not found",
		"prefixes:\n- prefix: a\n  format: xml": `prefixes[0].format: "xml": must be`,
		"prefixes:\n- prefix: a\n  ready: soon": `prefixes[0].ready: "soon": must be settled, at-once or marker`,
		"prefixes:\n- prefix: a\n- prefix: a":   `prefixes[1].prefix: "a": must not be in two rules`,
		"prefixes:\n- prefix: a\n  skip: true\n  format: csv":                  "prefixes[0].skip",
		"prefixes:\n- prefix: a\n  mapping: none.yaml":                         "prefixes[0].mapping",
		"prefixes:\n- prefix: a\n  mapping: till.yaml\n  payload_columns: [x]": "prefixes[0].payload_columns: must not stand beside mapping",
	} {
		_, err := ParseRules("rules.yaml", []byte(text), readMapping)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "rules.yaml: ") {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
		if err != nil && !errors.Is(err, ledger.ErrInvalid) && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%q: %v is of no kind", text, err)
		}
	}
}
