package sensitive

// HasIBAN reports whether s holds an international bank account number (ISO 13616): two letters of a country that
// issues them, two check digits, as many further letters and digits as that country's have, in one piece or in
// groups of four between single spaces, with no letter or digit next to them, and check digits that are right
// (mod 97). Capitals don't matter.
func HasIBAN(s string) bool {
	for i := 0; i+minIBAN <= len(s); i++ {
		if letter(s[i]) && letter(s[i+1]) && digit(s[i+2]) && digit(s[i+3]) && !inWord(s, i-1) && isIBAN(s, i) {
			return true
		}
	}
	return false
}

const minIBAN = 15

func isIBAN(s string, at int) bool {
	length := ibanLength(s[at]&^0x20, s[at+1]&^0x20)
	if length == 0 {
		return false
	}
	var account [maxIBAN]byte
	n, i := 0, at
	for ; i < len(s) && n < length; i++ {
		if s[i] == ' ' && n%4 == 0 && n > 0 && inWord(s, i-1) {
			continue
		}
		if !inWord(s, i) {
			return false
		}
		account[n] = s[i]
		n++
	}
	return n == length && !inWord(s, i) && mod97(account[:n]) == 1
}

// mod97 is the remainder of an account number whose first four characters stand last and whose letters stand
// for the numbers from 10 on.
func mod97(account []byte) int {
	rest := 0
	for _, part := range [][]byte{account[4:], account[:4]} {
		for _, c := range part {
			if digit(c) {
				rest = (10*rest + int(c-'0')) % 97
			} else {
				rest = (100*rest + int(c&^0x20-'A') + 10) % 97
			}
		}
	}
	return rest
}

const maxIBAN = 33

// ibanLength is the length of the numbers of a country; 0: it issues none.
func ibanLength(a, b byte) int {
	country := string([]byte{a, b})
	for _, group := range ibanLengths {
		for i := 0; i < len(group.countries); i += 3 {
			if group.countries[i:i+2] == country {
				return group.length
			}
		}
	}
	return 0
}

// ibanLengths are from the registry of ISO 13616.
var ibanLengths = [...]struct {
	length    int
	countries string
}{
	{15, "NO"},
	{16, "BE"},
	{18, "DK FI FK FO GL NL SD"},
	{19, "MK SI"},
	{20, "AT BA EE KZ LT LU MN XK"},
	{21, "CH HR LI LV"},
	{22, "BG BH CR DE GB GE IE ME RS VA"},
	{23, "AE GI IL IQ OM SO TL"},
	{24, "AD CZ ES MD PK RO SA SE SK TN VG"},
	{25, "LY PT ST"},
	{26, "IS TR"},
	{27, "BI DJ FR GR IT MC MR SM"},
	{28, "AL AZ BY CY DO GT HN HU LB NI PL SV"},
	{29, "BR EG PS QA UA"},
	{30, "JO KW MU YE"},
	{31, "MT SC"},
	{32, "LC"},
	{33, "RU"},
}
