package billing

import (
	"math/big"
	"slices"

	"github.com/shopspring/decimal"

	"deltaledger/ledger/currency"
)

// Round rounds an amount to the digits of its currency, halves away from zero:
// 10.275 USD becomes 10.28 and -10.275 USD becomes -10.28.
//
// An amount in a currency without known digits is returned as it is: cutting
// it at a guessed place would lose money. Events in such currencies are
// refused before they are recorded.
func Round(x decimal.Decimal, code string) decimal.Decimal {
	digits, ok := currency.Digits(code)
	if !ok {
		return x
	}
	return x.Round(int32(digits))
}

// Split divides total among weights in proportion, each part a multiple of
// 10^-digits, by the method of the largest remainder: every part is cut down
// first, and the units left over go one each to the parts that lost most, the
// earlier of equals first. A negative total is split like the positive one.
//
// The parts always add up to total. If total itself isn't a multiple of
// 10^-digits, the first part of that order carries the excess. Weights whose
// sum is zero count as equal. Without weights there are no parts.
func Split(total decimal.Decimal, weights []decimal.Decimal, digits int) []decimal.Decimal {
	if len(weights) == 0 {
		return nil
	}
	if total.IsNegative() {
		parts := Split(total.Neg(), weights, digits)
		for i, part := range parts {
			parts[i] = part.Neg()
		}
		return parts
	}

	units := total.Shift(int32(digits)).BigInt()
	shares, sum := wholeWeights(weights)
	parts, lost := make([]*big.Int, len(shares)), make([]*big.Int, len(shares))
	left := new(big.Int).Set(units)
	for i, share := range shares {
		parts[i], lost[i] = new(big.Int).DivMod(share.Mul(share, units), sum, new(big.Int))
		left.Sub(left, parts[i])
	}

	order := make([]int, len(parts))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return lost[b].Cmp(lost[a]) })
	one := big.NewInt(1)
	for _, i := range order[:left.Int64()] {
		parts[i].Add(parts[i], one)
	}

	split := make([]decimal.Decimal, len(parts))
	for i, part := range parts {
		split[i] = decimal.NewFromBigInt(part, int32(-digits))
	}
	excess := total.Sub(decimal.NewFromBigInt(units, int32(-digits)))
	if !excess.IsZero() {
		split[order[0]] = split[order[0]].Add(excess)
	}
	return split
}

// wholeWeights scales weights to whole numbers with a positive sum, keeping
// their proportions.
func wholeWeights(weights []decimal.Decimal) (whole []*big.Int, sum *big.Int) {
	places := int32(0)
	for _, w := range weights {
		places = max(places, -w.Exponent())
	}
	whole, sum = make([]*big.Int, len(weights)), new(big.Int)
	for i, w := range weights {
		whole[i] = w.Shift(places).BigInt()
		sum.Add(sum, whole[i])
	}
	switch sum.Sign() {
	case 0:
		for i := range whole {
			whole[i] = big.NewInt(1)
		}
		sum.SetInt64(int64(len(whole)))
	case -1:
		for _, w := range whole {
			w.Neg(w)
		}
		sum.Neg(sum)
	}
	return whole, sum
}
