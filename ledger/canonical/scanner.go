package canonical

import "strconv"

// Error says where a text breaks a rule of this package.
type Error struct {
	Offset int    // bytes before the fault
	Path   string // of the value at fault, such as items[2].price; empty for the outermost value
	Rule   string // what would be right
}

func (e *Error) Error() string {
	at := "byte " + strconv.Itoa(e.Offset) + ": " + e.Rule
	if e.Path == "" {
		return at
	}
	return e.Path + ": " + at
}

const (
	ruleValue     = "must be a JSON value"
	ruleEnds      = "must be complete JSON: the text ends too early"
	ruleTrailing  = "must be one JSON value with nothing after it"
	ruleNumber    = "must be a JSON number"
	ruleControl   = `must have control characters escaped, such as \n`
	ruleEscape    = `must use JSON's escapes: \" \\ \/ \b \f \n \r \t \uXXXX`
	ruleSurrogate = "must not hold half of a surrogate pair"
	ruleNUL       = "must not hold the character NUL"
	ruleUTF8      = "must be valid UTF-8"
	ruleDuplicate = "must not name the same key twice"
	ruleScalars   = "must be a string, a number, true or false"
	ruleObject    = "must be a JSON object"
	ruleDigits    = "must have at most 38 digits"
	ruleDecimals  = "must have at most 18 digits after the point"
)

// Scanner reads one JSON text from its beginning to its end, token by token, and stays at the fault
// after an error. The zero value is ready for Reset; reusing one saves its allocations. Every method
// skips white space in front of what it reads.
type Scanner struct {
	src     []byte
	pos     int
	limits  Limits
	scratch []byte   // unescaped texts, and members while they are sorted
	members []member // of the objects that are being read, innermost last
	unread  []byte   // canonical form that nobody asked for, see Skip
}

// Reset begins to read src, which must not change until the last result was used.
func (s *Scanner) Reset(src []byte) {
	s.src, s.pos = src, 0
	s.scratch, s.members = s.scratch[:0], s.members[:0]
}

// Pos is the offset of what comes next: the number of bytes read.
func (s *Scanner) Pos() int { return s.pos }

// Peek is the first byte of the next token, 0 at the end of the text.
func (s *Scanner) Peek() byte {
	for s.pos < len(s.src) {
		switch c := s.src[s.pos]; c {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return c
		}
	}
	return 0
}

// Open reads the { or [ that c is.
func (s *Scanner) Open(c byte) *Error {
	if s.Peek() != c {
		if c == '{' {
			return s.fail(ruleObject)
		}
		return s.expected("[")
	}
	s.pos++
	return nil
}

// More reports whether an array or object that ends with c holds another value, and reads the comma in
// front of it, or the end. first says that no value was read yet.
func (s *Scanner) More(c byte, first bool) (bool, *Error) {
	next := s.Peek()
	switch {
	case next == c:
		s.pos++
		return false, nil
	case first && next != ',' && next != 0:
		return true, nil
	case next == ',' && !first:
		s.pos++
		return true, nil
	case next == 0 && s.pos >= len(s.src):
		return false, s.fail(ruleEnds)
	case c == '}':
		return false, s.expected(", or }")
	}
	return false, s.expected(", or ]")
}

// Key reads the key of a member and the colon behind it. See Text for its results.
func (s *Scanner) Key() (key []byte, plain bool, err *Error) {
	if s.Peek() != '"' {
		return nil, false, s.expected("a key in quotes")
	}
	if key, plain, err = s.Text(); err != nil {
		return nil, false, err
	}
	if s.Peek() != ':' {
		return nil, false, s.expected(": behind the key")
	}
	s.pos++
	return key, plain, nil
}

// Null reads a null if that is what comes next.
func (s *Scanner) Null() bool { return s.Peek() == 'n' && s.word("null") }

// End makes sure that nothing is left but white space.
func (s *Scanner) End() *Error {
	if s.Peek(); s.pos < len(s.src) {
		return s.fail(ruleTrailing)
	}
	return nil
}

// word reads w if the text continues with it.
func (s *Scanner) word(w string) bool {
	if len(s.src)-s.pos < len(w) || string(s.src[s.pos:s.pos+len(w)]) != w {
		return false
	}
	s.pos += len(w)
	return true
}

func (s *Scanner) fail(rule string) *Error { return &Error{Offset: s.pos, Rule: rule} }

// expected is the error for a token that isn't what, or for a text that ends before it.
func (s *Scanner) expected(what string) *Error {
	if s.pos >= len(s.src) {
		return s.fail(ruleEnds)
	}
	return s.fail("must be JSON: expected " + what)
}
