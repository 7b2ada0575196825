package wire

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"deltaledger/ledger"
)

// MaxMapping is the most bytes that a mapping file may have.
const MaxMapping = 256 << 10

// ParseMapping reads a mapping file, which is YAML or JSON; name stands in errors. given are fields of the
// event that the decoder knows without the mapping, so that it needn't say what they are. The error wraps
// ledger.ErrInvalid, and names up to 20 faults with line and field.
func ParseMapping(name string, text []byte, given ...string) (*Mapping, error) {
	p := &mappingParser{file: name, m: &Mapping{uses: &pathNode{}}}
	switch {
	case len(text) > MaxMapping:
		return nil, fmt.Errorf("%s: %w", name, invalid("mapping", "", "must have at most 262144 bytes"))
	case badText(text) != "":
		return nil, fmt.Errorf("%s: %w", name, invalid("mapping", "", badText(text)))
	}
	var root yaml.Node
	if err := yaml.Unmarshal(text, &root); err != nil {
		return nil, fmt.Errorf("%s: %w", name, invalid("mapping", "", strings.TrimPrefix(shown(err.Error()), "yaml: ")))
	}
	if len(root.Content) != 1 || root.Content[0].Kind != yaml.MappingNode {
		return nil, fmt.Errorf("%s: %w", name, invalid("mapping", "", "must be an object that says what each field of the event is made of"))
	}
	p.document(root.Content[0], given)
	if len(p.problems) > 0 {
		return nil, errors.Join(p.problems...)
	}
	return p.m, nil
}

// mappingParser collects what is wrong.
type mappingParser struct {
	file     string
	m        *Mapping
	problems []error
}

const mostProblems = 20

func (p *mappingParser) bad(n *yaml.Node, field, value, rule string) {
	if len(p.problems) < mostProblems {
		p.problems = append(p.problems, fmt.Errorf("%s:%d: %w", p.file, n.Line, invalid(field, value, rule)))
	}
}

const (
	ruleMappingKey = "is not a part of a mapping: it has the fields of an event, measures, state, dimensions, payload, ignore and rest"
	ruleMapField   = "must say what it is made of, because every event needs it"
	ruleEither     = "must not stand beside amount, quantity or measures: an event carries either changes or a state"
	ruleRest       = "must be refuse, dimensions or payload"
	rulePaths      = "must be a list of paths"
	rulePayload    = "must be a list of paths, or all"
	ruleObjectOf   = "must be an object"
	ruleAlias      = "must be written out: anchors and references of YAML are not read"
)

// document reads the mapping as a whole.
func (p *mappingParser) document(root *yaml.Node, given []string) {
	have := map[string]bool{}
	p.members(root, "", func(key string, at, v *yaml.Node) {
		have[key] = true
		switch f := fieldOf(key); {
		case key == "rest":
			p.restOf(v)
		case key == "ignore":
			p.paths(v, key, rulePaths, false)
		case f == fieldPayload:
			p.payload(v)
		case f == fieldMeasures:
			p.m.measures = p.named(v, key)
		case f == fieldState:
			p.m.state = p.named(v, key)
		case f == fieldDimensions:
			p.dimensions(v)
		case f == noField || f >= fieldReason:
			p.bad(at, key, "", ruleMappingKey)
		default:
			p.own(f, v)
		}
	})
	for _, f := range requiredColumns {
		if !have[f.String()] && !slices.Contains(given, f.String()) {
			p.bad(root, f.String(), "", ruleMapField)
		}
	}
	if have["state"] && (have["amount"] || have["quantity"] || have["measures"]) {
		p.bad(root, "state", "", ruleEither)
	}
}

// members calls each for the members of an object, in order, and refuses keys that stand twice.
func (p *mappingParser) members(n *yaml.Node, owner string, each func(key string, at, v *yaml.Node)) {
	if n.Kind != yaml.MappingNode {
		p.bad(n, owner, n.Value, ruleObjectOf)
		return
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		name := strings.TrimPrefix(owner+"."+k.Value, ".")
		switch {
		case k.Kind != yaml.ScalarNode || v.Kind == yaml.AliasNode || v.Anchor != "" || k.Anchor != "" || k.Tag == "!!merge":
			p.bad(k, name, "", ruleAlias)
		case k.Value == "":
			p.bad(k, strings.TrimPrefix(owner+`.""`, "."), "", "must have a name")
		case seen[k.Value]:
			p.bad(k, name, "", ruleTwice)
		default:
			seen[k.Value] = true
			each(k.Value, k, v)
		}
	}
}

func (p *mappingParser) own(f field, v *yaml.Node) {
	m, ok := p.value(v, f.String(), f)
	switch {
	case !ok:
	case f == fieldCurrency:
		p.m.currency = &m
	default:
		p.m.fields = append(p.m.fields, m)
	}
}

// named reads the values of measures or of a state.
func (p *mappingParser) named(n *yaml.Node, owner string) (all []mapped) {
	p.members(n, owner, func(key string, at, v *yaml.Node) {
		name := owner + "." + key
		if own := fieldOf(key); owner == fieldMeasures.String() && (own == fieldAmount || own == fieldQuantity) {
			p.bad(at, name, "", ruleOwn)
			return
		}
		if m, ok := p.value(v, name, fieldAmount); ok {
			m.field, m.key = noField, key
			all = append(all, m)
		}
	})
	return all
}

// dimensions reads an object of values, or a list of paths whose last names they get.
func (p *mappingParser) dimensions(n *yaml.Node) {
	const owner = "dimensions"
	if n.Kind == yaml.SequenceNode {
		for _, at := range p.paths(n, owner, "must be an object of values, or a list of paths", false) {
			key := at.steps[len(at.steps)-1]
			if slices.ContainsFunc(p.m.named, func(m mapped) bool { return m.key == key }) {
				p.bad(n, owner+"."+key, "", ruleTwice)
				continue
			}
			p.m.named = append(p.m.named, mapped{name: owner + "." + key, key: key, from: []fieldPath{at}})
		}
		return
	}
	p.members(n, owner, func(key string, _, v *yaml.Node) {
		if m, ok := p.value(v, owner+"."+key, noField); ok {
			m.key = key
			p.m.named = append(p.m.named, m)
		}
	})
}

func (p *mappingParser) restOf(n *yaml.Node) {
	switch n.Value {
	case "refuse":
		p.m.rest = restRefuse
	case "dimensions":
		p.m.rest = restDimensions
	case "payload":
		p.m.rest = restPayload
	default:
		p.bad(n, "rest", n.Value, ruleRest)
	}
}

func (p *mappingParser) payload(n *yaml.Node) {
	if n.Kind == yaml.ScalarNode && n.Value == "all" {
		p.m.whole = true
		return
	}
	p.m.payload = len(p.paths(n, "payload", rulePayload, true)) > 0
}

// paths reads a list of paths, and keeps that they are used.
func (p *mappingParser) paths(n *yaml.Node, owner, rule string, payload bool) (all []fieldPath) {
	if n.Kind != yaml.SequenceNode {
		p.bad(n, owner, n.Value, rule)
		return nil
	}
	for _, item := range n.Content {
		if at, ok := p.path(item, owner); ok {
			if payload && !at.outside() {
				p.m.uses.add(at, true)
			}
			all = append(all, at)
		}
	}
	return all
}

// path reads a path and keeps that it is used.
func (p *mappingParser) path(n *yaml.Node, owner string) (fieldPath, bool) {
	text, ok := p.scalar(n, owner)
	if !ok {
		return fieldPath{}, false
	}
	at, rule := parsePath(text)
	if rule != "" {
		p.bad(n, owner, text, rule)
		return fieldPath{}, false
	}
	p.m.uses.add(at, false)
	return at, true
}

// scalar is the text of a node as it was written.
func (p *mappingParser) scalar(n *yaml.Node, owner string) (string, bool) {
	if n.Kind != yaml.ScalarNode || n.Tag == "!!null" || n.Anchor != "" {
		p.bad(n, owner, n.Value, "must be text")
		return "", false
	}
	if rule := badText([]byte(n.Value)); rule != "" {
		p.bad(n, owner, n.Value, rule)
		return "", false
	}
	return n.Value, true
}

// location is a zone by its name in the IANA database.
func location(name string) (*time.Location, bool) {
	if name == "" || name == "Local" {
		return nil, false
	}
	zone, err := time.LoadLocation(name)
	return zone, err == nil
}

// whole is a number of the mapping file from -18 to 18.
func smallNumber(text string) (int, bool) {
	n, err := strconv.Atoi(text)
	return n, err == nil && -ledger.MaxDecimals <= n && n <= ledger.MaxDecimals
}
