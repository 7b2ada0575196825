package sensitive

import "strings"

// HasEmail reports whether s holds an e-mail address as people have them: letters, digits and the signs
// . _ % + - ' before the @, at most 64 of them and no dot first, last or twice; behind it a host name of at least
// two labels, of which the last is letters alone, two or more. Letters may be of any alphabet. Quoted names,
// comments and addresses of hosts without a dot aren't found.
func HasEmail(s string) bool {
	for at := strings.IndexByte(s, '@'); at >= 0; {
		if localBefore(s, at) && hostAfter(s, at+1) {
			return true
		}
		next := strings.IndexByte(s[at+1:], '@')
		if next < 0 {
			return false
		}
		at += 1 + next
	}
	return false
}

const (
	maxLocal = 64
	maxHost  = 253
)

func wide(c byte) bool { return c >= 0x80 }

func localBefore(s string, at int) bool {
	start := at
	for start > 0 && (inWord(s, start-1) || wide(s[start-1]) || strings.IndexByte("._%+-'", s[start-1]) >= 0) {
		if start--; at-start > maxLocal {
			return false
		}
	}
	local := strings.TrimLeft(s[start:at], ".'")
	return local != "" && local[len(local)-1] != '.' && !strings.Contains(local, "..")
}

func hostAfter(s string, from int) bool {
	end := from
	for end < len(s) && end-from <= maxHost && (inWord(s, end) || wide(s[end]) || s[end] == '-' || s[end] == '.') {
		end++
	}
	labels := strings.Split(strings.TrimRight(s[from:end], ".-"), ".")
	// What follows the address may look like a label of it: "a@b.example.2 pieces".
	for len(labels) > 1 && !isTop(labels[len(labels)-1]) {
		labels = labels[:len(labels)-1]
	}
	if len(labels) < 2 {
		return false
	}
	for _, l := range labels {
		if l == "" || len(l) > 63 || l[0] == '-' || l[len(l)-1] == '-' {
			return false
		}
	}
	return true
}

// isTop reports whether a label can be the last one of a host name.
func isTop(label string) bool {
	if strings.HasPrefix(strings.ToLower(label), "xn--") {
		return len(label) > len("xn--")
	}
	for i := range len(label) {
		if !letter(label[i]) && !wide(label[i]) {
			return false
		}
	}
	return len(label) >= 2
}
