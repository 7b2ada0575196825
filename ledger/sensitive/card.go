package sensitive

import "slices"

// Digits of a card number.
const (
	minCard = 13
	maxCard = 19
)

// HasCardNumber reports whether s holds what looks like the number of a payment card: 13 to 19 digits in one
// piece, or in groups as cards show them (4-4-4-4, 4-4-4-4-3, 4-6-5, 4-6-4) between single spaces or dashes,
// with no letter or further digit next to them, that begin like the numbers of a card scheme, have a length that
// the scheme uses, and whose check digit (Luhn) is right.
//
// Of random numbers of 16 digits about one in thirty-five passes for one; numbers that begin with 1, 7 or 9, as
// times in milliseconds do, never pass.
func HasCardNumber(s string) bool {
	for i := 0; i < len(s); {
		if !digit(s[i]) {
			i++
			continue
		}
		var groups [][2]int
		groups, i = chain(s, i)
		for g := range groups {
			if holdsCard(s, groups, g) {
				return true
			}
		}
	}
	return false
}

// chain reads groups of digits with one space or dash between them, from i on, and says where they end.
func chain(s string, i int) (groups [][2]int, end int) {
	for {
		start := i
		for i < len(s) && digit(s[i]) {
			i++
		}
		groups = append(groups, [2]int{start, i})
		if i+1 >= len(s) || s[i] != ' ' && s[i] != '-' || !digit(s[i+1]) {
			return groups, i
		}
		i++
	}
}

// shapes are how card numbers are written in groups.
var shapes = [...][]int{{4, 4, 4, 4, 3}, {4, 4, 4, 4}, {4, 6, 5}, {4, 6, 4}}

// holdsCard reports whether a card number begins with group g.
func holdsCard(s string, groups [][2]int, g int) bool {
	first := groups[g]
	if inWord(s, first[0]-1) {
		return false
	}
	if n := first[1] - first[0]; n >= minCard && n <= maxCard && !inWord(s, first[1]) && isCard([]byte(s[first[0]:first[1]])) {
		return true
	}
	for _, shape := range shapes {
		if g+len(shape) <= len(groups) && fits(s, groups, g, shape) {
			return true
		}
	}
	return false
}

// fits reports whether the groups from g on have a shape and hold a card number.
func fits(s string, groups [][2]int, g int, shape []int) bool {
	var number []byte
	separator := s[groups[g][1]]
	for k, want := range shape {
		at := groups[g+k]
		if at[1]-at[0] != want || k > 0 && s[at[0]-1] != separator {
			return false
		}
		number = append(number, s[at[0]:at[1]]...)
	}
	last := groups[g+len(shape)-1]
	if inWord(s, last[1]) {
		return false
	}
	// With dashes, a number of more groups is something else, such as a serial number.
	if separator == '-' && (g > 0 && s[groups[g][0]-1] == '-' || g+len(shape) < len(groups) && s[last[1]] == '-') {
		return false
	}
	return isCard(number)
}

// scheme is a range of first digits, and the lengths that numbers with them have.
type scheme struct {
	from, to int // of the first four digits
	lengths  []int
}

var (
	sixteenUp = []int{16, 17, 18, 19}
	maestro   = []int{13, 14, 15, 16, 17, 18, 19}
)

// schemes are those in use, by the first four digits.
var schemes = [...]scheme{
	{2200, 2204, sixteenUp},     // Mir
	{2221, 2720, []int{16}},     // Mastercard
	{3000, 3059, []int{14, 16}}, // Diners Club
	{3095, 3095, []int{14, 16}},
	{3400, 3499, []int{15}}, // American Express
	{3528, 3589, sixteenUp}, // JCB
	{3600, 3699, []int{14, 16, 19}},
	{3700, 3799, []int{15}},
	{3800, 3999, []int{14, 16, 19}},
	{4000, 4999, []int{13, 16, 19}}, // Visa
	{5018, 5018, maestro},
	{5020, 5020, maestro},
	{5038, 5038, maestro},
	{5080, 5089, []int{16}}, // RuPay
	{5100, 5599, []int{16}}, // Mastercard
	{5893, 5893, maestro},
	{6011, 6011, sixteenUp}, // Discover
	{6069, 6085, []int{16}}, // RuPay
	{6200, 6299, sixteenUp}, // UnionPay
	{6304, 6304, maestro},
	{6440, 6599, sixteenUp}, // Discover
	{6759, 6763, maestro},
	{8100, 8171, sixteenUp}, // UnionPay
}

// isCard reports whether digits are the number of a card.
func isCard(digits []byte) bool {
	first := 0
	for _, c := range digits[:4] {
		first = 10*first + int(c-'0')
	}
	for _, k := range schemes {
		if first >= k.from && first <= k.to {
			return slices.Contains(k.lengths, len(digits)) && luhn(digits)
		}
	}
	return false
}

// luhn reports whether the check digit is right (ISO/IEC 7812-1).
func luhn(digits []byte) bool {
	sum := 0
	for i, c := range digits {
		d := int(c - '0')
		if (len(digits)-i)%2 == 0 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return sum%10 == 0
}
