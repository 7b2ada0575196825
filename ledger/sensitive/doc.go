// Package sensitive finds card numbers, bank accounts and e-mail addresses in texts.
//
// Owns: the rules by which a text is taken to hold one. They are sober: they look for what people and systems
// write, not for what somebody hides on purpose.
//
// Guarantees: an answer depends on the text alone; no text makes it slow or fail.
package sensitive

func digit(c byte) bool  { return c >= '0' && c <= '9' }
func letter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

// inWord reports whether the byte at i of s is a letter or a digit of ASCII; outside of s none is.
func inWord(s string, i int) bool {
	return i >= 0 && i < len(s) && (digit(s[i]) || letter(s[i]))
}
