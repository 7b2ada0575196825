package imports

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"

	"deltaledger/ledger"
	"deltaledger/ledger/wire"
)

// Ready is how one knows that a file is whole.
type Ready string

const (
	// ReadySettled: its size and time of modification stay the same for a span. What a directory has without a rule.
	ReadySettled Ready = "settled"
	// ReadyAtOnce: it is whole when it is there, because it was renamed into place. What a bucket has without a rule.
	ReadyAtOnce Ready = "at-once"
	// ReadyMarker: a file of the same name with .done behind it is there.
	ReadyMarker Ready = "marker"
)

// Rule says how the files are read whose names begin with a prefix.
type Rule struct {
	Prefix         string
	Skip           bool        // they are no events
	Format         wire.Format // empty: the end of the name tells
	Mapping        *wire.Mapping
	MappingName    string
	MappingSHA256  []byte
	PayloadColumns []string // of CSV without a mapping
	Ready          Ready    // empty: as the place has it
}

// Rules are those of a place.
type Rules []Rule

// For is the rule of a name: the one with the longest prefix.
func (r Rules) For(name string) Rule {
	var best Rule
	found := false
	for _, rule := range r {
		if strings.HasPrefix(name, rule.Prefix) && (!found || len(rule.Prefix) > len(best.Prefix)) {
			best, found = rule, true
		}
	}
	return best
}

// format is how a file of that name is written; false if nothing tells.
func (r Rule) format(name string) (wire.Format, bool) {
	if r.Format != "" {
		return r.Format, true
	}
	return wire.FormatOfName(name)
}

// SetMapping gives the rule a mapping by its text.
func (r *Rule) SetMapping(name string, text []byte) error {
	m, err := wire.ParseMapping(name, text)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(text)
	r.Mapping, r.MappingName, r.MappingSHA256 = m, name, sum[:]
	return nil
}

// ruleText is a rule as it is written.
type ruleText struct {
	Prefix         *string  `yaml:"prefix"`
	Skip           bool     `yaml:"skip"`
	Format         string   `yaml:"format"`
	Mapping        string   `yaml:"mapping"`
	PayloadColumns []string `yaml:"payload_columns"`
	Ready          Ready    `yaml:"ready"`
}

// ParseRules reads a file of rules, which is YAML or JSON: prefixes, a list. name stands in errors; read gives the
// text of a mapping file by the name that a rule gives it. The error wraps ledger.ErrInvalid and names every fault.
func ParseRules(name string, text []byte, read func(mapping string) ([]byte, error)) (Rules, error) {
	var file struct {
		Prefixes []ruleText `yaml:"prefixes"`
	}
	dec := yaml.NewDecoder(bytes.NewReader(text))
	dec.KnownFields(true)
	if err := dec.Decode(&file); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%s: %w", name, ledger.Invalid("rules", "", strings.TrimPrefix(err.Error(), "yaml: ")))
	}
	if len(file.Prefixes) == 0 {
		return nil, fmt.Errorf("%s: %w", name, ledger.Invalid("prefixes", "", "must be a list of rules, each with the prefix of the names that it is for"))
	}
	var rules Rules
	var problems []error
	seen := map[string]bool{}
	for i, t := range file.Prefixes {
		at := fmt.Sprintf("prefixes[%d]", i)
		r, err := t.rule(at, read)
		if t.Prefix != nil && seen[*t.Prefix] {
			err = errors.Join(err, ledger.Invalid(at+".prefix", *t.Prefix, "must not be in two rules"))
		}
		seen[r.Prefix] = true
		if err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", name, err))
		}
		rules = append(rules, r)
	}
	return rules, errors.Join(problems...)
}

func (t ruleText) rule(at string, read func(string) ([]byte, error)) (r Rule, err error) {
	var problems []error
	wrong := func(field, value, rule string) {
		problems = append(problems, ledger.Invalid(at+"."+field, value, rule))
	}
	r = Rule{Skip: t.Skip, PayloadColumns: t.PayloadColumns, Ready: t.Ready}
	if t.Prefix == nil {
		wrong("prefix", "", `must say which names the rule is for; "" is all`)
	} else {
		r.Prefix = *t.Prefix
	}
	if t.Skip && (t.Format != "" || t.Mapping != "" || t.PayloadColumns != nil || t.Ready != "") {
		wrong("skip", "true", "must stand alone: what is skipped isn't read")
	}
	if t.Format != "" {
		if r.Format, err = wire.ParseFormat(t.Format); err != nil {
			problems = append(problems, fmt.Errorf("%s.%w", at, err))
		}
	}
	switch t.Ready {
	case "", ReadySettled, ReadyAtOnce, ReadyMarker:
	default:
		wrong("ready", string(t.Ready), "must be settled, at-once or marker")
	}
	if t.Mapping != "" {
		if len(t.PayloadColumns) > 0 {
			wrong("payload_columns", "", "must not stand beside mapping, which says what goes into the payload")
		}
		text, err := read(t.Mapping)
		if err == nil {
			err = r.SetMapping(t.Mapping, text)
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("%s.mapping: %w", at, err))
		}
	}
	return r, errors.Join(problems...)
}
