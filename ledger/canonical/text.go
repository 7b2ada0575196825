package canonical

import (
	"unicode/utf16"
	"unicode/utf8"
)

// Text reads a string. If plain, it has no escapes, text is the part of the source between its quotes,
// and the closing quote is the last byte read; else text is unescaped and valid until Reset.
func (s *Scanner) Text() (text []byte, plain bool, err *Error) {
	if s.Peek() != '"' {
		return nil, false, s.expected("a string in quotes")
	}
	src, start := s.src, s.pos+1
	var seen byte
	for i := start; i < len(src); i++ {
		c := src[i]
		switch {
		case c == '"':
			text = src[start:i]
			if seen >= utf8.RuneSelf && !utf8.Valid(text) {
				return nil, false, s.badUTF8(start, text)
			}
			s.pos = i + 1
			return text, true, nil
		case c == '\\':
			text, err = s.escaped(start, i)
			return text, false, err
		case c < ' ':
			s.pos = i
			return nil, false, s.badControl(c)
		}
		seen |= c
	}
	s.pos = len(src)
	return nil, false, s.fail(ruleEnds)
}

// escaped reads the rest of a string that begins at start and has its first escape at i.
func (s *Scanner) escaped(start, i int) ([]byte, *Error) {
	src, from := s.src, len(s.scratch)
	out, run := s.scratch, start
	for i < len(src) {
		c := src[i]
		if c != '"' && c != '\\' && c >= ' ' {
			i++
			continue
		}
		if !utf8.Valid(src[run:i]) {
			return nil, s.badUTF8(run, src[run:i])
		}
		out = append(out, src[run:i]...)
		s.pos = i
		switch {
		case c == '"':
			s.pos++
			s.scratch = out
			return out[from:len(out):len(out)], nil
		case c < ' ':
			return nil, s.badControl(c)
		}
		r, n, rule := unescape(src[i:])
		if rule != "" {
			return nil, s.fail(rule)
		}
		out = utf8.AppendRune(out, r)
		i += n
		run = i
	}
	s.pos = len(src)
	return nil, s.fail(ruleEnds)
}

// unescape reads the escape that b begins with; n is its length.
func unescape(b []byte) (r rune, n int, rule string) {
	if len(b) < 2 {
		return 0, 0, ruleEnds
	}
	switch b[1] {
	case '"', '\\', '/':
		return rune(b[1]), 2, ""
	case 'b':
		return '\b', 2, ""
	case 'f':
		return '\f', 2, ""
	case 'n':
		return '\n', 2, ""
	case 'r':
		return '\r', 2, ""
	case 't':
		return '\t', 2, ""
	case 'u':
		return unescapeUnit(b)
	}
	return 0, 0, ruleEscape
}

// unescapeUnit is unescape for \uXXXX, or two of them that make one character.
func unescapeUnit(b []byte) (r rune, n int, rule string) {
	r, ok := hex4(b)
	switch {
	case !ok:
		return 0, 0, ruleEscape
	case r == 0:
		return 0, 0, ruleNUL
	case !utf16.IsSurrogate(r):
		return r, 6, ""
	}
	low, ok := hex4(b[6:])
	if pair := utf16.DecodeRune(r, low); ok && pair != utf8.RuneError {
		return pair, 12, ""
	}
	return 0, 0, ruleSurrogate
}

// hex4 reads \uXXXX.
func hex4(b []byte) (r rune, ok bool) {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0, false
	}
	for _, c := range b[2:6] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

func (s *Scanner) badControl(c byte) *Error {
	if c == 0 {
		return s.fail(ruleNUL)
	}
	return s.fail(ruleControl)
}

// badUTF8 is the error for text, which begins at start and isn't valid UTF-8.
func (s *Scanner) badUTF8(start int, text []byte) *Error {
	for i := 0; i < len(text); {
		r, n := utf8.DecodeRune(text[i:])
		if r == utf8.RuneError && n == 1 {
			s.pos = start + i
			break
		}
		i += n
	}
	return s.fail(ruleUTF8)
}

// AppendString appends text as a canonical JSON string: in quotes, with the fewest escapes. The text
// must be valid UTF-8, which is not checked.
func AppendString[S ~string | ~[]byte](dst []byte, text S) []byte {
	dst = append(dst, '"')
	run := 0
	for i := range len(text) {
		c := text[i]
		if c >= ' ' && c != '"' && c != '\\' {
			continue
		}
		dst = append(dst, text[run:i]...)
		dst = appendEscape(dst, c)
		run = i + 1
	}
	dst = append(dst, text[run:]...)
	return append(dst, '"')
}

func appendEscape(dst []byte, c byte) []byte {
	const hex = "0123456789abcdef"
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\b':
		return append(dst, '\\', 'b')
	case '\f':
		return append(dst, '\\', 'f')
	case '\n':
		return append(dst, '\\', 'n')
	case '\r':
		return append(dst, '\\', 'r')
	case '\t':
		return append(dst, '\\', 't')
	}
	return append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
}

// Compare orders the keys of an object as RFC 8785 does, by UTF-16 code units; both must be valid UTF-8.
// The order of the bytes is the same, except that characters beyond U+FFFF come before U+E000 to U+FFFF.
func Compare[S ~string | ~[]byte](a, b S) int {
	for i := range min(len(a), len(b)) {
		x, y := a[i], b[i]
		if x == y {
			continue
		}
		if x >= 0xEE && y >= 0xEE && (x >= 0xF0) != (y >= 0xF0) {
			x, y = y, x
		}
		if x < y {
			return -1
		}
		return 1
	}
	return len(a) - len(b)
}
