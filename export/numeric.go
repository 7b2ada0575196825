package export

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
	"strconv"

	"deltaledger/ledger"
)

// A numeric on the wire of PostgreSQL is a sign and digits to the base 10,000; the first digit counts
// 10,000^weight. Its display scale says how many decimals are shown and is of no interest here.
const (
	numericPlus  = 0x0000
	numericMinus = 0x4000
	base         = 10_000
	baseDigits   = 4
)

var (
	errNumeric = errors.New("not a numeric")
	errSpecial = errors.New("a numeric is NaN or infinite")
	errRange   = errors.New("a numeric is out of the ledger's range")
)

// The weights that a total has cells for: 16 decimals more than the ledger records, and 20 digits more.
const (
	lowestWeight  = -9
	highestWeight = 15
)

// total is an exact sum of numerics, kept as one sum for each weight, so that adding is a handful of
// integer additions and can't overflow below 10^14 rows. The zero value is the empty sum.
type total struct {
	cells [highestWeight - lowestWeight + 1]int64
	any   bool // something was added, be it 0
}

func (t *total) merge(o *total) {
	for i, c := range o.cells {
		t.cells[i] += c
	}
	t.any = t.any || o.any
}

// String is the sum as a plain decimal without zeros that say nothing.
func (t *total) String() string {
	sum, ten := new(big.Int), big.NewInt(base)
	for i := len(t.cells) - 1; i >= 0; i-- {
		sum.Mul(sum, ten).Add(sum, big.NewInt(t.cells[i]))
	}
	return plain(sum, -lowestWeight*baseDigits)
}

// plain writes n / 10^decimals.
func plain(n *big.Int, decimals int) string {
	text := new(big.Int).Abs(n).String()
	for len(text) <= decimals {
		text = "0" + text
	}
	whole, fraction := text[:len(text)-decimals], text[len(text)-decimals:]
	for len(fraction) > 0 && fraction[len(fraction)-1] == '0' {
		fraction = fraction[:len(fraction)-1]
	}
	if fraction != "" {
		whole += "." + fraction
	}
	if n.Sign() < 0 {
		return "-" + whole
	}
	return whole
}

// appendNumeric appends the binary numeric v as a plain decimal, and adds it to sum unless that is nil.
func appendNumeric(dst, v []byte, sum *total) ([]byte, error) {
	if len(v) < 8 {
		return dst, errNumeric
	}
	n := int(binary.BigEndian.Uint16(v))
	weight := int(int16(binary.BigEndian.Uint16(v[2:])))
	sign := binary.BigEndian.Uint16(v[4:])
	if len(v) != 8+2*n {
		return dst, errNumeric
	}
	if sign != numericPlus && sign != numericMinus {
		return dst, errSpecial
	}
	if n > 0 && (weight > highestWeight || weight-n+1 < lowestWeight) {
		return dst, errRange
	}
	digits := v[8:]
	if sum != nil {
		sum.add(digits, weight, sign == numericMinus)
	}
	if n == 0 {
		return append(dst, '0'), nil
	}
	if sign == numericMinus {
		dst = append(dst, '-')
	}
	return appendDigits(dst, digits, weight)
}

func (t *total) add(digits []byte, weight int, minus bool) {
	t.any = true
	cell := weight - lowestWeight
	for i := 0; i < len(digits); i += 2 {
		d := int64(binary.BigEndian.Uint16(digits[i:]))
		if minus {
			d = -d
		}
		t.cells[cell] += d
		cell--
	}
}

// appendDigits appends digits to the base 10,000, of which the first counts 10,000^weight.
func appendDigits(dst, digits []byte, weight int) ([]byte, error) {
	at := func(w int) (uint64, bool) { // the digit of a weight
		i := 2 * (weight - w)
		if i < 0 || i >= len(digits) {
			return 0, true
		}
		d := binary.BigEndian.Uint16(digits[i:])
		return uint64(d), d < base
	}
	whole := len(dst)
	for w := max(weight, 0); w >= 0; w-- {
		d, ok := at(w)
		if !ok {
			return dst, errNumeric
		}
		if len(dst) > whole {
			dst = append4(dst, d)
		} else if d > 0 || w == 0 {
			dst = strconv.AppendUint(dst, d, 10)
		}
	}
	lowest := weight - len(digits)/2 + 1
	if lowest >= 0 {
		return dst, nil
	}
	point := len(dst)
	dst = append(dst, '.')
	for w := -1; w >= lowest; w-- {
		d, ok := at(w)
		if !ok {
			return dst, errNumeric
		}
		dst = append4(dst, d)
	}
	for dst[len(dst)-1] == '0' {
		dst = dst[:len(dst)-1]
	}
	if len(dst) == point+1 {
		dst = dst[:point]
	}
	return dst, nil
}

func append4(dst []byte, d uint64) []byte {
	return append(dst, byte('0'+d/1000), byte('0'+d/100%10), byte('0'+d/10%10), byte('0'+d%10))
}

// Total is an exact sum of numerics as PostgreSQL sends them in binary. The zero value is the empty sum.
type Total struct {
	sum  total
	room []byte
}

// Add adds a numeric. Errors wrap ledger.ErrCorrupt: the ledger stores no such number.
func (t *Total) Add(numeric []byte) error {
	var err error
	if t.room, err = appendNumeric(t.room[:0], numeric, &t.sum); err != nil {
		return fmt.Errorf("%w: %w", err, ledger.ErrCorrupt)
	}
	return nil
}

// Any reports whether something was added, be it 0.
func (t *Total) Any() bool { return t.sum.any }

// String is the sum as a plain decimal without zeros that say nothing.
func (t *Total) String() string { return t.sum.String() }
