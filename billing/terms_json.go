package billing

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// kind is what a JSON value is.
type kind int

const (
	noNode kind = iota
	stringNode
	objectNode
	listNode
	otherNode // a number, true, false or null
)

// node is a JSON value that keeps what decoding into a struct loses: the order
// of keys, and numbers as they were written.
type node struct {
	kind   kind
	text   string // of a string its value, of otherNode its spelling
	keys   []string
	seen   map[string]bool
	values []node // of an object by keys, of a list in order
}

// shown is the value as a message names it.
func (n node) shown() string {
	switch n.kind {
	case objectNode:
		return "{…}"
	case listNode:
		return "[…]"
	}
	return n.text
}

// document reads raw as one JSON object. Keys given twice are refused, because
// readers disagree on which of them counts. A document that can't be read gives
// a node of another kind than objectNode, and a problem.
func (p *termsParser) document(raw []byte) node {
	var whole json.RawMessage
	if len(raw) > MaxTermsBytes {
		p.refuse("", "", "must be at most %d bytes", MaxTermsBytes)
		return node{}
	}
	if err := json.Unmarshal(raw, &whole); err != nil {
		p.refuse("", "", "must be valid JSON: %s", jsonFault(err))
		return node{}
	}
	if !utf8.Valid(raw) || halfSurrogate(raw) {
		p.refuse("", "", "must be UTF-8 without half surrogates")
		return node{}
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	root, err := p.value(dec, "", 0)
	if err != nil {
		p.refuse("", "", "must be valid JSON: %s", jsonFault(err))
		return node{}
	}
	if root.kind != objectNode {
		p.refuse("", root.shown(), "must be a JSON object")
	}
	return root
}

// jsonFault says what is wrong with JSON and where.
func jsonFault(err error) string {
	if syntax := (*json.SyntaxError)(nil); errors.As(err, &syntax) {
		return fmt.Sprintf("%v (at byte %d)", err, syntax.Offset)
	}
	return err.Error()
}

// value reads the next value. Terms are flat; what is deeper than any field can
// be is refused before it costs anything.
func (p *termsParser) value(dec *json.Decoder, path string, depth int) (node, error) {
	const deepest = 16
	if depth > deepest {
		return node{}, fmt.Errorf("more than %d levels deep", deepest)
	}
	token, err := dec.Token()
	if err != nil {
		return node{}, noEOF(err)
	}
	switch v := token.(type) {
	case string:
		return node{kind: stringNode, text: v}, nil
	case json.Delim:
		n := node{kind: listNode}
		if v == '{' {
			n.kind, n.seen = objectNode, map[string]bool{}
		}
		for dec.More() {
			if err := p.member(dec, path, depth, &n); err != nil {
				return node{}, err
			}
		}
		_, err := dec.Token()
		return n, noEOF(err)
	case nil:
		return node{kind: otherNode, text: "null"}, nil
	default:
		return node{kind: otherNode, text: fmt.Sprint(v)}, nil
	}
}

// member reads the next member of the list or object n, which is at path.
func (p *termsParser) member(dec *json.Decoder, path string, depth int, n *node) error {
	at := fmt.Sprintf("%s[%d]", path, len(n.values))
	twice := false
	if n.kind == objectNode {
		token, err := dec.Token()
		if err != nil {
			return noEOF(err)
		}
		key, _ := token.(string)
		at = join(path, key)
		if twice = n.seen[key]; !twice {
			n.keys, n.seen[key] = append(n.keys, key), true
		}
	}
	v, err := p.value(dec, at, depth+1)
	if err != nil {
		return err
	}
	if twice {
		p.refuse(at, v.shown(), "must be given once")
		return nil
	}
	n.values = append(n.values, v)
	return nil
}

// noEOF makes the end of input inside a value an error.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// halfSurrogate reports whether an escape in valid JSON names half of a
// surrogate pair. The decoder would silently read it as another character.
func halfSurrogate(raw []byte) bool {
	escape := func(i int) (first byte, high, low bool) {
		if i+6 > len(raw) || raw[i] != '\\' || raw[i+1] != 'u' {
			return 0, false, false
		}
		if raw[i+2]|0x20 != 'd' {
			return 'u', false, false
		}
		return 'u', strings.IndexByte("89aAbB", raw[i+3]) >= 0, strings.IndexByte("cCdDeEfF", raw[i+3]) >= 0
	}
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' {
			continue
		}
		_, high, low := escape(i)
		if low {
			return true
		}
		if high {
			if _, _, low := escape(i + 6); !low {
				return true
			}
			i += 10
		}
		i++
	}
	return false
}

// fields gives access to the members of an object.
type fields struct {
	p      *termsParser
	prefix string
	values map[string]node
}

// fields checks that n is an object with no other keys than those known.
func (p *termsParser) fields(path string, n node, known ...string) fields {
	f := fields{p: p, prefix: path, values: map[string]node{}}
	if n.kind != objectNode {
		p.refuse(path, n.shown(), "must be a JSON object")
		return f
	}
	for i, key := range n.keys {
		if !slices.Contains(known, key) {
			p.refuse(join(path, key), n.values[i].shown(), "is unknown; known are %s", strings.Join(known, ", "))
			continue
		}
		f.values[key] = n.values[i]
	}
	return f
}

func (f fields) path(name string) string { return join(f.prefix, name) }

// text returns a text field, and false if it is absent or was refused.
func (f fields) text(name string, maxBytes int) (string, bool) {
	n, written := f.values[name]
	if !written {
		return "", false
	}
	return f.p.string(f.path(name), n, maxBytes)
}

// required is text for a field that must be there.
func (f fields) required(name string, maxBytes int) (string, bool) {
	if _, written := f.values[name]; !written {
		f.p.refuse(f.path(name), "", "must be given")
		return "", false
	}
	return f.text(name, maxBytes)
}

// choice returns a field that has one of a few values, and absent if it isn't
// there. A refused one is returned as absent too.
func (f fields) choice(name, absent string, allowed ...string) string {
	s, ok := f.text(name, maxShort)
	if !ok {
		return absent
	}
	if !slices.Contains(allowed, s) {
		f.p.refuse(f.path(name), s, "must be %s", oneOf(allowed))
		return absent
	}
	return s
}

// count returns a field that is a whole number from 1 to most, and absent if it
// isn't there or was refused. what ends the message: of what there are so many.
func (f fields) count(name string, absent, most int, what string) int {
	n, written := f.values[name]
	if !written {
		return absent
	}
	k, err := strconv.Atoi(n.text)
	if n.kind != otherNode || err != nil || k < 1 || k > most || strconv.Itoa(k) != n.text {
		f.p.refuse(f.path(name), n.shown(), "must be a whole number from 1 to %d %s", most, what)
		return absent
	}
	return k
}

// list returns a field that must be there and be a list.
func (f fields) list(name string) ([]node, bool) {
	n, written := f.values[name]
	if !written {
		f.p.refuse(f.path(name), "", "must be given")
		return nil, false
	}
	if n.kind != listNode {
		f.p.refuse(f.path(name), n.shown(), "must be a list")
		return nil, false
	}
	return n.values, true
}

// oneOf names what is allowed: a, b or c.
func oneOf(allowed []string) string {
	last := len(allowed) - 1
	if last < 1 {
		return strings.Join(allowed, "")
	}
	return strings.Join(allowed[:last], ", ") + " or " + allowed[last]
}
