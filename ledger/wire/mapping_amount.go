package wire

import (
	"strconv"
	"strings"

	"deltaledger/ledger"
	"deltaledger/ledger/currency"
)

// scaling says what a number counts.
type scaling struct {
	minor    bool // the minor units of the event's currency, such as cents
	decimals int  // how far the point moves to the left, where it isn't minor
}

// sign says which sign an amount gets.
type sign struct {
	minus bool // the other one
	by    *fieldPath
	signs map[string]bool // what stands at by: true means minus
}

const (
	ruleMinor      = "must be a whole number of minor units, such as cents"
	ruleMinorOf    = "must be a currency whose minor unit is known, because amounts are in minor units"
	ruleSignedSign = "must not have a minus sign: the mapping takes the sign from elsewhere"
	ruleSignValue  = "must be one of the values that the mapping gives a sign"
	ruleAmountKind = "must be a number, or a string that holds one"
)

// amount makes a number; the zero Amount where there is nothing.
func (r *mapRun) amount(m *mapped) (none ledger.Amount, _ *ledger.FieldError) {
	v, at, bad := r.read(m)
	if bad != nil || v.kind == Null {
		return none, bad
	}
	switch v.kind {
	case Float:
		return none, m.fault(at, v.String(), ruleFloat)
	case Integer, Decimal, Text:
	default:
		return none, m.fault(at, v.String(), ruleAmountKind)
	}
	a, bad := parseAmount(m.name, v.String())
	if bad != nil {
		return none, m.fault(at, v.String(), bad.Rule)
	}
	negative, bad := r.negative(m, a, at)
	if bad != nil {
		return none, bad
	}
	text, decimals := a.String(), m.scale.decimals
	if m.scale.minor {
		var known bool
		if decimals, known = currency.Digits(r.e.Currency); !known {
			return none, invalid(fieldCurrency.String(), r.e.Currency, ruleMinorOf)
		}
		if strings.Contains(text, ".") {
			return none, m.fault(at, v.String(), ruleMinor)
		}
	}
	text = movePoint(text, decimals)
	if negative {
		text = negated(text)
	}
	if a, bad = parseAmount(m.name, text); bad != nil {
		return none, m.fault(at, v.String(), bad.Rule)
	}
	return a, nil
}

// negative reports whether a is to get the other sign.
func (r *mapRun) negative(m *mapped, a ledger.Amount, at fieldPath) (bool, *ledger.FieldError) {
	if m.sign.by == nil {
		return m.sign.minus, nil
	}
	v := m.sign.by.get(r.doc, r.meta)
	minus, known := m.sign.signs[v.String()]
	switch {
	case !known || !v.scalar():
		return false, m.fault(*m.sign.by, v.String(), ruleSignValue)
	case a.String()[0] == '-':
		return false, m.fault(at, a.String(), ruleSignedSign)
	}
	return minus, nil
}

func negated(text string) string {
	if rest, negative := strings.CutPrefix(text, "-"); negative {
		return rest
	}
	return "-" + text
}

// movePoint divides a plain decimal by the n-th power of ten, which may be negative; no digit is lost.
func movePoint(text string, n int) string {
	if n == 0 {
		return text
	}
	minus := ""
	if rest, negative := strings.CutPrefix(text, "-"); negative {
		minus, text = "-", rest
	}
	whole, fraction, _ := strings.Cut(text, ".")
	if n < 0 {
		if short := -n - len(fraction); short > 0 {
			fraction += strings.Repeat("0", short)
		}
		whole, fraction = whole+fraction[:-n], fraction[-n:]
	} else {
		if short := n + 1 - len(whole); short > 0 {
			whole = strings.Repeat("0", short) + whole
		}
		whole, fraction = whole[:len(whole)-n], whole[len(whole)-n:]+fraction
	}
	if fraction == "" {
		return minus + whole
	}
	return minus + whole + "." + fraction
}

// part is a piece of a template: text as it stands, or what a path leads to.
type part struct {
	text string
	path *fieldPath
}

const (
	ruleTemplate   = "must be text with paths in braces, such as {order.id}/{version}; a brace as such is doubled"
	ruleTouching   = "must have text between two paths, so that different values can't make the same text"
	ruleNoPath     = "must have a path in braces: text alone is a constant"
	ruleSeparators = "must not hold what the template has behind it, so that different values can't make the same text: "
)

// parseTemplate reads a template, or gives the rule that it breaks.
func parseTemplate(text string) (parts []part, rule string) {
	var plain strings.Builder
	paths := 0
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case (c == '{' || c == '}') && i+1 < len(text) && text[i+1] == c:
			i++
			plain.WriteByte(c)
		case c == '}':
			return nil, ruleTemplate
		case c == '{':
			end := strings.IndexByte(text[i:], '}')
			if end < 0 {
				return nil, ruleTemplate
			}
			p, rule := parsePath(text[i+1 : i+end])
			if rule != "" {
				return nil, rule
			}
			if plain.Len() == 0 && paths > 0 {
				return nil, ruleTouching
			}
			if plain.Len() > 0 {
				parts = append(parts, part{text: plain.String()})
				plain.Reset()
			}
			parts, paths = append(parts, part{path: &p}), paths+1
			i += end
		default:
			plain.WriteByte(c)
		}
	}
	if plain.Len() > 0 {
		parts = append(parts, part{text: plain.String()})
	}
	if paths == 0 {
		return nil, ruleNoPath
	}
	return parts, ""
}

// join fills the template of m in. Two documents make the same text only if they have the same values.
func (r *mapRun) join(m *mapped) (Value, *ledger.FieldError) {
	var out strings.Builder
	for i, p := range m.parts {
		if p.path == nil {
			out.WriteString(p.text)
			continue
		}
		v := p.path.get(r.doc, r.meta)
		if v.kind == Null && m.fallback != nil {
			return TextValue(*m.fallback), nil
		}
		text := v.String()
		switch {
		case text == "":
			return Value{}, m.fault(*p.path, "", ruleMissingPart)
		case !v.scalar():
			return Value{}, m.fault(*p.path, text, ruleNotScalar)
		case v.kind == Float:
			return Value{}, m.fault(*p.path, text, ruleFloat)
		}
		if i+2 < len(m.parts) && strings.Contains(text+m.parts[i+1].text[:len(m.parts[i+1].text)-1], m.parts[i+1].text) {
			return Value{}, m.fault(*p.path, text, ruleSeparators+strconv.Quote(m.parts[i+1].text))
		}
		out.WriteString(text)
	}
	return TextValue(out.String()), nil
}

// casing changes letters.
type casing uint8

const (
	asIs casing = iota
	upper
	lower
)

func (c casing) of(text string) string {
	switch c {
	case upper:
		return strings.ToUpper(text)
	case lower:
		return strings.ToLower(text)
	}
	return text
}
