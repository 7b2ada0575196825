package wire

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

const (
	ruleSpec      = "must be a path, or an object with from, constant or template"
	ruleOneOrigin = "must have one of from, constant and template"
	ruleIdentity  = "must be made of what each event has of its own: no constant, default, table or case"
	ruleUnits     = "must be minor, or major, which it is without units"
	ruleScale     = "must be a whole number from -18 to 18: how many digits the point moves to the left"
	ruleOneScale  = "must not have units and scale"
	ruleSignForm  = "must be minus, or an object with from, plus and minus"
	ruleSignBoth  = "must not be plus and minus"
	ruleSignNone  = "must have from, and values under plus and minus"
	ruleCase      = "must be upper or lower"
	ruleOtherwise = "must be refuse, keep, or an object with constant"
	ruleTableless = "must stand beside a table"
	ruleZoneName  = "must be a zone of the IANA database, such as Europe/Paris"
	ruleZoneless  = "needs a zone beside it, because the pattern has none"
	ruleZoneOver  = "must stand beside a time of a text that has no zone of its own"
	ruleAmbiguous = "must be earlier or later, beside a zone"
)

// options are the parts that a value may have, by what it becomes.
func options(f field) string {
	switch f {
	case fieldSeqn:
		return "from, constant and default"
	case fieldAmount, fieldQuantity:
		return "from, constant, default, units, scale and sign"
	case fieldOccurredAt:
		return "from, default, time, zone and ambiguous"
	}
	return "from, constant, template, default, table, otherwise and case"
}

// value reads what one value of the event is made of.
func (p *mappingParser) value(n *yaml.Node, name string, f field) (m mapped, ok bool) {
	before := len(p.problems)
	m = mapped{field: f, name: name}
	switch n.Kind {
	case yaml.ScalarNode:
		if at, good := p.path(n, name); good {
			m.from = []fieldPath{at}
		}
	case yaml.MappingNode:
		p.members(n, name, func(key string, at, v *yaml.Node) {
			if !slices.Contains(strings.Fields(strings.NewReplacer(",", "", " and ", " ").Replace(options(f))), key) {
				p.bad(at, name+"."+key, "", "is not a part of "+f.kind()+": it may have "+options(f))
				return
			}
			p.part(&m, name, key, v)
		})
		p.together(&m, n)
	default:
		p.bad(n, name, "", ruleSpec)
	}
	return m, len(p.problems) == before
}

// kind is what a value of the event is called in a message.
func (f field) kind() string {
	if f == noField {
		return "a dimension"
	}
	return "this field"
}

// part reads one part of a value.
func (p *mappingParser) part(m *mapped, name, key string, v *yaml.Node) {
	owner := name + "." + key
	switch key {
	case "from":
		p.origin(m, owner, v)
		return
	case "table":
		m.table = map[string]string{}
		p.members(v, owner, func(from string, _, to *yaml.Node) {
			if text, ok := p.scalar(to, owner+"."+from); ok {
				m.table[from] = text
			}
		})
		return
	case "sign":
		p.signOf(m, owner, v)
		return
	case "otherwise":
		p.otherwise(m, owner, v)
		return
	}
	text, ok := p.scalar(v, owner)
	if !ok {
		return
	}
	rule := ""
	switch key {
	case "constant":
		m.constant = &text
	case "default":
		m.fallback = &text
	case "template":
		if m.parts, rule = parseTemplate(text); rule == "" {
			for _, piece := range m.parts {
				if piece.path != nil {
					p.m.uses.add(*piece.path, false)
				}
			}
		}
	case "case":
		rule = m.caseOf(text)
	case "units":
		if m.scale.minor = text == "minor"; !m.scale.minor && text != "major" {
			rule = ruleUnits
		}
	case "scale":
		var good bool
		if m.scale.decimals, good = smallNumber(text); !good {
			rule = ruleScale
		}
	case "time":
		rule = m.time.form(text)
	case "zone":
		var good bool
		if m.time.zone, good = location(text); !good {
			rule = ruleZoneName
		}
	case "ambiguous":
		m.time.earlier, m.time.later = text == "earlier", text == "later"
		if m.time.earlier == m.time.later {
			rule = ruleAmbiguous
		}
	}
	if rule != "" {
		p.bad(v, owner, text, rule)
	}
}

// origin reads a path, or a list of them of which the first that is there counts.
func (p *mappingParser) origin(m *mapped, owner string, v *yaml.Node) {
	if v.Kind == yaml.SequenceNode && len(v.Content) > 0 {
		m.from = p.paths(v, owner, rulePaths, false)
		return
	}
	if at, ok := p.path(v, owner); ok {
		m.from = []fieldPath{at}
	}
}

func (m *mapped) caseOf(text string) (rule string) {
	switch text {
	case "upper":
		m.casing = upper
	case "lower":
		m.casing = lower
	default:
		return ruleCase
	}
	return ""
}

// form reads how a time is written.
func (f *timeForm) form(text string) (rule string) {
	units := map[string]int{"unix_s": 6, "unix_ms": 3, "unix_us": 0, "unix_ns": -3}
	if unit, number := units[text]; number {
		f.unit, f.number = unit, true
		return ""
	}
	if text == "rfc3339" {
		return ""
	}
	f.pattern, rule = parsePattern(text)
	return rule
}

func (p *mappingParser) otherwise(m *mapped, owner string, v *yaml.Node) {
	switch {
	case v.Kind == yaml.ScalarNode && v.Value == "keep":
		m.keep = true
	case v.Kind == yaml.ScalarNode && v.Value == "refuse":
	case v.Kind == yaml.MappingNode && len(v.Content) == 2 && v.Content[0].Value == "constant":
		if text, ok := p.scalar(v.Content[1], owner+".constant"); ok {
			m.otherwise = &text
		}
	default:
		p.bad(v, owner, v.Value, ruleOtherwise)
	}
}

// signOf reads which sign an amount gets.
func (p *mappingParser) signOf(m *mapped, owner string, v *yaml.Node) {
	if v.Kind == yaml.ScalarNode {
		if m.sign.minus = v.Value == "minus"; !m.sign.minus {
			p.bad(v, owner, v.Value, ruleSignForm)
		}
		return
	}
	m.sign.signs = map[string]bool{}
	p.members(v, owner, func(key string, at, part *yaml.Node) {
		switch {
		case key == "from":
			if by, ok := p.path(part, owner+".from"); ok {
				m.sign.by = &by
			}
		case key != "plus" && key != "minus" || part.Kind != yaml.SequenceNode:
			p.bad(at, owner+"."+key, part.Value, ruleSignForm)
		default:
			for _, item := range part.Content {
				text, ok := p.scalar(item, owner+"."+key)
				if _, twice := m.sign.signs[text]; twice {
					p.bad(item, owner+"."+key, text, ruleSignBoth)
				}
				if ok {
					m.sign.signs[text] = key == "minus"
				}
			}
		}
	})
	if m.sign.by == nil || len(m.sign.signs) == 0 {
		p.bad(v, owner, "", ruleSignNone)
	}
}

// together checks what the parts of a value say together.
func (p *mappingParser) together(m *mapped, n *yaml.Node) {
	origins := 0
	for _, given := range [...]bool{m.from != nil, m.constant != nil, m.parts != nil} {
		if given {
			origins++
		}
	}
	keys := map[string]bool{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		keys[n.Content[i].Value] = true
	}
	if origins != 1 && !(origins == 0 && (keys["from"] || keys["constant"] || keys["template"])) { // else a fault was found in it
		p.bad(n, m.name, "", ruleOneOrigin)
	}
	switch {
	case m.field == fieldID && (keys["table"] || keys["case"] || keys["default"] || keys["constant"]):
		p.bad(n, m.name, "", ruleIdentity)
	case keys["units"] && keys["scale"]:
		p.bad(n, m.name, "", ruleOneScale)
	case keys["otherwise"] && !keys["table"]:
		p.bad(n, m.name+".otherwise", "", ruleTableless)
	case m.time.pattern != nil && !slices.Contains(m.time.pattern, "Z") && !keys["zone"]:
		p.bad(n, m.name+".time", "", ruleZoneless)
	case keys["zone"] && (m.time.number || slices.Contains(m.time.pattern, "Z")):
		p.bad(n, m.name+".zone", "", ruleZoneOver)
	case keys["ambiguous"] && !keys["zone"]:
		p.bad(n, m.name+".ambiguous", "", ruleAmbiguous)
	}
}
