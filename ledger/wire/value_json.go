package wire

import (
	"slices"

	"deltaledger/ledger"
	"deltaledger/ledger/canonical"
)

// ParseJSON reads one JSON document of at most ledger.MaxEvent bytes. It refuses what the decoder of events refuses: keys
// named twice, NUL, broken UTF-8, nesting deeper than 32. Numbers keep their spelling.
func ParseJSON(raw []byte) (Value, *ledger.FieldError) {
	if len(raw) > ledger.MaxEvent {
		return Value{}, tooLong(raw)
	}
	d := objectDecoder{raw: raw, text: string(raw)}
	d.scan.Reset(raw)
	p := documentParser{&d}
	v, err := p.value(0)
	if err == nil {
		err = d.scan.End()
	}
	if err != nil {
		return Value{}, d.fault("", err)
	}
	return v, nil
}

// documentParser makes a Value of the JSON that its decoder stands at.
type documentParser struct{ *objectDecoder }

func (p documentParser) value(depth int) (v Value, err *canonical.Error) {
	s := &p.scan
	switch c := s.Peek(); {
	case c == '{' || c == '[':
		if depth == canonical.DefaultDepth { // the scanner words it
			_, err = s.Skip(canonical.Limits{Depth: 0})
			if err == nil {
				err = &canonical.Error{Offset: s.Pos(), Rule: "must not nest arrays and objects more than 32 deep"}
			}
			return v, err
		}
		if c == '{' {
			return p.members(depth)
		}
		return p.elements(depth)
	case c == '"':
		text, err := p.textOf()
		return TextValue(text), err
	case c == '-' || '0' <= c && c <= '9':
		number, err := s.Number()
		if err != nil {
			return v, err
		}
		end := s.Pos()
		return DecimalValue(p.text[end-len(number) : end]), nil
	case s.Null():
		return v, nil
	}
	word, err := s.Skip(canonical.Limits{}) // true, false, or no JSON
	return BoolValue(string(word) == "true"), err
}

// textOf reads a string; one without escapes needs no memory of its own.
func (p documentParser) textOf() (string, *canonical.Error) {
	text, plain, err := p.scan.Text()
	if err != nil {
		return "", err
	}
	if plain {
		end := p.scan.Pos() - 1
		return p.text[end-len(text) : end], nil
	}
	return string(text), nil
}

func (p documentParser) elements(depth int) (Value, *canonical.Error) {
	v := Value{kind: List}
	if err := p.scan.Open('['); err != nil {
		return v, err
	}
	for first := true; ; first = false {
		more, err := p.scan.More(']', first)
		if err != nil || !more {
			return v, err
		}
		item, err := p.value(depth + 1)
		if err != nil {
			return v, err
		}
		v.items = append(v.items, item)
	}
}

func (p documentParser) members(depth int) (Value, *canonical.Error) {
	v := Value{kind: Object}
	if err := p.scan.Open('{'); err != nil {
		return v, err
	}
	const few = 16
	var known map[string]bool // of an object with many names
	for first := true; ; first = false {
		more, err := p.scan.More('}', first)
		if err != nil || !more {
			return v, err
		}
		p.scan.Peek()
		at := p.scan.Pos()
		key, _, err := p.scan.Key()
		if err != nil {
			return v, err
		}
		name := string(key)
		if len(v.names) == few {
			known = make(map[string]bool, 2*few)
			for _, n := range v.names {
				known[n] = true
			}
		}
		if known[name] || known == nil && slices.Contains(v.names, name) {
			return v, &canonical.Error{Offset: at, Path: name, Rule: "must not name the same key twice"}
		}
		if known != nil {
			known[name] = true
		}
		item, err := p.value(depth + 1)
		if err != nil {
			return v, err
		}
		v.names, v.items = append(v.names, name), append(v.items, item)
	}
}
