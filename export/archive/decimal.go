package archive

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"strings"
)

// A numeric on the wire of PostgreSQL is a count of digits to the base 10,000, the power of the first one, a sign, how
// many decimals are shown, and the digits. A DECIMAL(38,18) is an integer of 16 bytes: the value times 10^18.
const (
	scale        = 18
	decimalSize  = 16
	base         = 10_000
	baseDigits   = 4
	minus        = 0x4000
	highestFit   = 4  // weight of the first digit of a value with at most 20 digits before the point
	lowestWeight = -5 // weight of a digit that holds the 17th to 20th decimal
)

var errNumeric = errors.New("not a finite numeric of the ledger's range")

// numericDigits are the parts of a binary numeric.
func numericDigits(v []byte) (digits []byte, weight int, negative bool, err error) {
	if len(v) < 8 {
		return nil, 0, false, errNumeric
	}
	n, sign := int(binary.BigEndian.Uint16(v)), binary.BigEndian.Uint16(v[4:])
	if len(v) != 8+2*n || sign != 0 && sign != minus {
		return nil, 0, false, errNumeric
	}
	return v[8:], int(int16(binary.BigEndian.Uint16(v[2:]))), sign == minus, nil
}

// toDecimal makes a DECIMAL(38,18) of a binary numeric; fits is false if it has more than 20 digits before the point.
func toDecimal(v []byte) (d [decimalSize]byte, fits bool, err error) {
	digits, weight, negative, err := numericDigits(v)
	if err != nil || len(digits) == 0 {
		return d, true, err
	}
	if weight > highestFit {
		return d, false, nil
	}
	var high, low uint64
	times := func(factor, plus uint64) {
		over, l := bits.Mul64(low, factor)
		l, carry := bits.Add64(l, plus, 0)
		high, low = high*factor+over+carry, l
	}
	for w := weight; w >= lowestWeight; w-- {
		digit := uint64(0)
		if i := 2 * (weight - w); i < len(digits) {
			digit = uint64(binary.BigEndian.Uint16(digits[i:]))
		}
		switch {
		case digit >= base || w == lowestWeight && digit%100 != 0:
			return d, false, errNumeric
		case w == lowestWeight: // half of this digit is beyond the 18 decimals
			times(100, digit/100)
		default:
			times(base, digit)
		}
	}
	if weight < lowestWeight || weight-len(digits)/2+1 < lowestWeight {
		return d, false, errNumeric
	}
	if negative {
		var borrow uint64
		low, borrow = bits.Sub64(0, low, 0)
		high, _ = bits.Sub64(0, high, borrow)
	}
	binary.BigEndian.PutUint64(d[:], high)
	binary.BigEndian.PutUint64(d[8:], low)
	return d, true, nil
}

// fromDecimal makes a binary numeric of a DECIMAL(38,18).
func fromDecimal(d []byte) ([]byte, error) {
	if len(d) != decimalSize {
		return nil, errNumeric
	}
	high, low := binary.BigEndian.Uint64(d), binary.BigEndian.Uint64(d[8:])
	negative := int64(high) < 0
	if negative {
		var borrow uint64
		low, borrow = bits.Sub64(0, low, 0)
		high, _ = bits.Sub64(0, high, borrow)
	}
	divide := func(by uint64) (rest uint64) {
		q, r := bits.Div64(0, high, by)
		high = q
		low, rest = bits.Div64(r, low, by)
		return rest
	}
	digits := []uint16{uint16(divide(100) * 100)} // the least one first
	for high > 0 || low > 0 {
		digits = append(digits, uint16(divide(base)))
	}
	return numericOf(digits, lowestWeight, negative), nil
}

// numericOf makes a binary numeric of digits to the base 10,000, the least one first, which has the weight given.
func numericOf(digits []uint16, weight int, negative bool) []byte {
	for len(digits) > 0 && digits[0] == 0 {
		digits, weight = digits[1:], weight+1
	}
	for len(digits) > 0 && digits[len(digits)-1] == 0 {
		digits = digits[:len(digits)-1]
	}
	if len(digits) == 0 {
		return make([]byte, 8)
	}
	v := binary.BigEndian.AppendUint16(nil, uint16(len(digits)))
	v = binary.BigEndian.AppendUint16(v, uint16(int16(weight+len(digits)-1)))
	sign := uint16(0)
	if negative {
		sign = minus
	}
	v = binary.BigEndian.AppendUint16(v, sign)
	v = binary.BigEndian.AppendUint16(v, uint16(max(0, -weight*baseDigits)))
	for i := len(digits) - 1; i >= 0; i-- {
		v = binary.BigEndian.AppendUint16(v, digits[i])
	}
	return v
}

// toText writes a binary numeric as a plain decimal.
func toText(v []byte) (string, error) {
	digits, weight, negative, err := numericDigits(v)
	if err != nil {
		return "", err
	}
	var whole, fraction strings.Builder
	for i := 0; i < len(digits) || weight-i/2 >= 0; i += 2 {
		digit := uint16(0)
		if i < len(digits) {
			digit = binary.BigEndian.Uint16(digits[i:])
		}
		if weight-i/2 >= 0 {
			fmt.Fprintf(&whole, "%04d", digit)
		} else {
			fmt.Fprintf(&fraction, "%04d", digit)
		}
	}
	text := strings.TrimLeft(whole.String(), "0")
	if text == "" {
		text = "0"
	}
	if f := strings.TrimRight(strings.Repeat("0", max(0, -weight-1)*baseDigits)+fraction.String(), "0"); f != "" {
		text += "." + f
	}
	if negative {
		text = "-" + text
	}
	return text, nil
}

// fromText makes a binary numeric of a plain decimal.
func fromText(text string) ([]byte, error) {
	body, negative := strings.CutPrefix(text, "-")
	whole, fraction, _ := strings.Cut(body, ".")
	if whole == "" || len(whole)+len(fraction) > 64 || strings.Trim(whole+fraction, "0123456789") != "" {
		return nil, errNumeric
	}
	whole = strings.Repeat("0", -len(whole)&3) + whole
	fraction += strings.Repeat("0", -len(fraction)&3)
	all := whole + fraction
	digits := make([]uint16, 0, len(all)/baseDigits)
	for end := len(all); end > 0; end -= baseDigits {
		n := uint16(0)
		for _, c := range []byte(all[end-baseDigits : end]) {
			n = n*10 + uint16(c-'0')
		}
		digits = append(digits, n)
	}
	return numericOf(digits, -len(fraction)/baseDigits, negative), nil
}
