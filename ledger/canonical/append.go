package canonical

import (
	"slices"
	"strconv"
)

// DefaultDepth is how deep arrays and objects may be nested where Limits doesn't say.
const DefaultDepth = 32

// Limits says what a text may hold beyond JSON's own rules.
type Limits struct {
	// Depth is how deep arrays and objects may be nested; 0 means DefaultDepth.
	Depth int
	// Decimal refuses numbers of more than 38 digits, or more than 18 after the point.
	Decimal bool
	// ScalarsOnly wants one object whose values are strings, numbers, true or false. A null counts as
	// an absent key and is left out.
	ScalarsOnly bool
}

// member is a key of an object and where its canonical form, with its value, stands in the output.
type member struct {
	key        []byte // unescaped
	offset     int    // of the key in the source
	start, end int    // equal if the member is left out
}

// Append appends the canonical form of src, which must hold exactly one JSON value. The error is an
// *Error. dst comes back unchanged in case of an error.
func Append(dst, src []byte, l Limits) ([]byte, error) {
	var s Scanner
	s.Reset(src)
	out, err := s.Value(dst, l)
	if err == nil {
		err = s.End()
	}
	if err != nil {
		return dst, err
	}
	return out, nil
}

// Value reads the next value, whatever it is, and appends its canonical form.
func (s *Scanner) Value(dst []byte, l Limits) ([]byte, *Error) {
	if l.Depth == 0 {
		l.Depth = DefaultDepth
	}
	s.limits = l
	if l.ScalarsOnly && s.Peek() != '{' {
		return nil, s.fail(ruleObject)
	}
	return s.value(dst, 0)
}

// Skip reads the next value, checks it like Value, and gives its spelling, a part of the source.
func (s *Scanner) Skip(l Limits) ([]byte, *Error) {
	s.Peek()
	start := s.pos
	out, err := s.Value(s.unread[:0], l)
	if err != nil {
		return nil, err
	}
	s.unread = out
	return s.src[start:s.pos], nil
}

func (s *Scanner) value(dst []byte, depth int) ([]byte, *Error) {
	c := s.Peek()
	if s.limits.ScalarsOnly && depth > 0 && (c == '{' || c == '[') {
		return nil, s.fail(ruleScalars)
	}
	switch {
	case c == '"':
		text, plain, err := s.Text()
		if err != nil {
			return nil, err
		}
		if plain {
			return append(append(append(dst, '"'), text...), '"'), nil
		}
		return AppendString(dst, text), nil
	case '0' <= c && c <= '9' || c == '-':
		return s.number(dst)
	case c == '{':
		return s.object(dst, depth+1)
	case c == '[':
		return s.array(dst, depth+1)
	case c == 't' && s.word("true"):
		return append(dst, "true"...), nil
	case c == 'f' && s.word("false"):
		return append(dst, "false"...), nil
	case c == 'n' && s.word("null"):
		return append(dst, "null"...), nil
	case s.pos >= len(s.src):
		return nil, s.fail(ruleEnds)
	}
	return nil, s.fail(ruleValue)
}

func (s *Scanner) number(dst []byte) ([]byte, *Error) {
	number, err := s.Number()
	if err != nil {
		return nil, err
	}
	out, rule := appendNumber(dst, number, s.limits.Decimal)
	if rule != "" {
		return nil, &Error{Offset: s.pos - len(number), Rule: rule}
	}
	return out, nil
}

func (s *Scanner) array(dst []byte, depth int) ([]byte, *Error) {
	if depth > s.limits.Depth {
		return nil, s.tooDeep()
	}
	s.pos++
	dst = append(dst, '[')
	for n := 0; ; n++ {
		more, err := s.More(']', n == 0)
		if err != nil {
			return nil, err
		}
		if !more {
			return append(dst, ']'), nil
		}
		if n > 0 {
			dst = append(dst, ',')
		}
		if dst, err = s.value(dst, depth); err != nil {
			err.under("[" + strconv.Itoa(n) + "]")
			return nil, err
		}
	}
}

func (s *Scanner) object(dst []byte, depth int) ([]byte, *Error) {
	if depth > s.limits.Depth {
		return nil, s.tooDeep()
	}
	s.pos++
	start, base, sorted := len(dst), len(s.members), true
	dst = append(dst, '{')
	for n := 0; ; n++ {
		more, err := s.More('}', n == 0)
		if err != nil {
			return nil, err
		}
		if !more {
			break
		}
		var m member
		if dst, m, err = s.member(dst, depth, len(dst) > start+1); err != nil {
			return nil, err
		}
		if n > 0 && sorted {
			sorted = Compare(s.members[len(s.members)-1].key, m.key) < 0
		}
		s.members = append(s.members, m)
	}
	if !sorted {
		var err *Error
		if dst, err = s.sort(dst, start, s.members[base:]); err != nil {
			return nil, err
		}
	}
	s.members = s.members[:base]
	return append(dst, '}'), nil
}

// member reads a key and its value; comma says that the output needs one in front of it.
func (s *Scanner) member(dst []byte, depth int, comma bool) ([]byte, member, *Error) {
	before := len(dst)
	s.Peek()
	m := member{offset: s.pos}
	key, plain, err := s.Key()
	if err != nil {
		return nil, m, err
	}
	m.key = key
	if s.limits.ScalarsOnly && s.Null() {
		m.start, m.end = before, before
		return dst, m, nil
	}
	if comma {
		dst = append(dst, ',')
	}
	m.start = len(dst)
	if plain {
		dst = append(append(append(dst, '"'), key...), '"', ':')
	} else {
		dst = append(AppendString(dst, key), ':')
	}
	if dst, err = s.value(dst, depth); err != nil {
		err.under(string(key))
		return nil, m, err
	}
	m.end = len(dst)
	return dst, m, nil
}

// sort puts the members of the object that begins at dst[start] in order, and refuses repeated keys.
func (s *Scanner) sort(dst []byte, start int, members []member) ([]byte, *Error) {
	slices.SortFunc(members, func(a, b member) int {
		if c := Compare(a.key, b.key); c != 0 {
			return c
		}
		return a.offset - b.offset
	})
	from := len(s.scratch)
	for i, m := range members {
		if i > 0 && string(m.key) == string(members[i-1].key) {
			return nil, &Error{Offset: m.offset, Path: string(m.key), Rule: ruleDuplicate}
		}
		if m.start == m.end {
			continue
		}
		if len(s.scratch) > from {
			s.scratch = append(s.scratch, ',')
		}
		s.scratch = append(s.scratch, dst[m.start:m.end]...)
	}
	dst = append(dst[:start+1], s.scratch[from:]...)
	s.scratch = s.scratch[:from]
	return dst, nil
}

func (s *Scanner) tooDeep() *Error {
	return s.fail("must not nest arrays and objects more than " + strconv.Itoa(s.limits.Depth) + " deep")
}

// under says that the value at fault is what step leads to.
func (e *Error) under(step string) {
	if step == "" {
		step = `""`
	}
	switch {
	case e.Path == "" || e.Path[0] == '[':
		e.Path = step + e.Path
	default:
		e.Path = step + "." + e.Path
	}
}
