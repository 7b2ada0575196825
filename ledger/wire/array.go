package wire

import "deltaledger/ledger"

const (
	ruleDocument = "must be a JSON object, or an array of objects"
	ruleCut      = "must be complete JSON: the input ends inside"
	ruleBrackets = "must close what it opens; nothing behind it was read"
	ruleNesting  = "must not be nested that deep; nothing behind it was read"
	ruleComma    = "must be a comma or the end of the array; nothing behind it was read"
	ruleElement  = "must be a JSON object; nothing behind it was read"
	ruleAfter    = "must not come behind the first JSON value; objects on lines of their own are NDJSON"
)

// maxBrackets is how deep an element may be nested if its end is to be found at all.
const maxBrackets = 1000

// arrayState is what comes next.
type arrayState int

const (
	arrayBegins   arrayState = iota // an array, or an object
	arrayFirst                      // an element, or the end of an empty array
	arrayElement                    // an element
	arrayComma                      // a comma, or the end
	arrayAfter                      // nothing but white space
	arrayFinished                   // whatever it is, it isn't read
)

// arraySplitter splits one JSON array into its elements, or takes one object for the only element. It
// goes by brackets and quotes; what is between them is for the decoder. Where these don't match, no
// further element can be told apart, and the item says so.
type arraySplitter struct {
	state arrayState
	n     int64 // elements so far

	cloudEvents bool // the elements are CloudEvents
}

func (a *arraySplitter) split(f *feed, c *chunk) bool {
	f.skipMark()
	c.cloudEvents = a.cloudEvents
	b, more := a.peek(f)
	if !more {
		return a.end(f, c)
	}
	switch {
	case a.state == arrayBegins && b == '[':
		a.state = arrayFirst
		f.pos++
	case a.state == arrayBegins && b == '{':
		a.element(f, c, arrayAfter)
	case a.state == arrayBegins:
		return a.broken(f, c, ruleDocument)
	case b == ']' && (a.state == arrayFirst || a.state == arrayComma):
		a.state = arrayAfter
		f.pos++
	case b == ',' && a.state == arrayComma:
		a.state = arrayElement
		f.pos++
	case a.state == arrayComma:
		return a.broken(f, c, ruleComma)
	case a.state == arrayAfter:
		return a.broken(f, c, ruleAfter)
	case b == ',' || b == ']' || b == '}' || b == ':':
		return a.broken(f, c, ruleElement)
	default:
		a.element(f, c, arrayComma)
	}
	return a.state != arrayFinished
}

// peek skips white space, which it doesn't keep, and gives the byte behind it.
func (a *arraySplitter) peek(f *feed) (byte, bool) {
	for {
		if f.pos += spaces(f.data[f.pos:]); f.pos < len(f.data) {
			return f.data[f.pos], true
		}
		if f.pos > maxChunk {
			f.dropped += f.pos - maxChunk
			f.data, f.pos = f.data[:maxChunk], maxChunk
		}
		if !f.more() {
			return 0, false
		}
	}
}

// end is what the end of the input comes to.
func (a *arraySplitter) end(f *feed, c *chunk) bool {
	switch {
	case f.cut() || a.state == arrayAfter || a.state == arrayFinished:
	case a.state == arrayBegins:
		a.broken(f, c, ruleDocument)
	default:
		a.broken(f, c, ruleCut+" an array")
	}
	return false
}

// broken adds an item for what can't be told apart, and ends the input.
func (a *arraySplitter) broken(f *feed, c *chunk, rule string) bool {
	a.n++
	for len(f.data)-f.pos < excerpt && f.more() {
		continue
	}
	end := min(len(f.data), f.pos+excerpt)
	c.records = append(c.records, record{start: f.pos, end: end, line: a.n, rule: rule})
	f.pos, a.state = end, arrayFinished
	return false
}

// element adds the value that begins at f.pos; then comes the state that follows.
func (a *arraySplitter) element(f *feed, c *chunk, then arrayState) {
	e := element{}
	start, kept := f.pos, 0
	for at := start; ; {
		i, ends := e.scan(f.data[at:])
		at += i
		switch {
		case e.fault != "":
			a.broken(f, c, e.fault)
			return
		case ends:
			a.add(f, c, start, at, kept)
			a.state = then
			return
		}
		if at-start > ledger.MaxEvent {
			kept = excerpt
			f.dropped += at - start - kept
			at = start + kept
			f.data = f.data[:at]
		}
		if f.more() {
			continue
		}
		switch {
		case f.cut():
			a.state = arrayFinished
		case e.bare: // only the end of the input ends it
			a.add(f, c, start, at, kept)
			a.state = then
		default:
			a.broken(f, c, ruleCut+" an object")
		}
		return
	}
}

// add adds the element from start to end, of which only the beginning was kept if kept isn't 0.
func (a *arraySplitter) add(f *feed, c *chunk, start, end, kept int) {
	a.n++
	r := record{start: start, end: end, line: a.n}
	if kept > 0 || end-start > ledger.MaxEvent {
		r.end, r.rule = start+excerpt, ruleTooLong
	}
	c.records = append(c.records, r)
	f.pos = end
}

// element finds the end of a JSON value that comes in pieces.
type element struct {
	open     []byte // brackets that aren't closed yet
	begun    bool
	inString bool
	escaped  bool
	bare     bool // a number or a word: ends in front of what can't belong to it
	fault    string
}

// scan reads on through b and gives how much of it belongs to the value, and whether it ends there.
func (e *element) scan(b []byte) (n int, ends bool) {
	for i, c := range b {
		switch {
		case e.inString:
			switch {
			case e.escaped:
				e.escaped = false
			case c == '\\':
				e.escaped = true
			case c == '"':
				if e.inString = false; len(e.open) == 0 {
					return i + 1, true
				}
			}
		case e.bare:
			if c == ',' || c == ']' || c == '}' || spaces(b[i:i+1]) > 0 {
				return i, true
			}
		case c == '"':
			e.inString, e.begun = true, true
		case c == '{' || c == '[':
			e.begun = true
			if e.open = append(e.open, c+2); len(e.open) > maxBrackets {
				e.fault = ruleNesting
				return i, false
			}
		case c == '}' || c == ']':
			if e.open[len(e.open)-1] != c {
				e.fault = ruleBrackets
				return i, false
			}
			if e.open = e.open[:len(e.open)-1]; len(e.open) == 0 {
				return i + 1, true
			}
		case !e.begun:
			e.begun, e.bare = true, true
		}
	}
	return len(b), false
}
