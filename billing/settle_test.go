package billing

import (
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/shopspring/decimal"

	"deltaledger/ledger"
)

func usd(text string) Money { return Money{dec(text), "USD"} }

func TestCheckPayment(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		due, paid, amount string
		ok                bool
	}{
		{"100", "0", "100", true},
		{"100", "0", "0.01", true},
		{"100", "0", "100.01", false},
		{"100", "30", "70", true},
		{"100", "30", "70.01", false},
		{"100", "30", "-30", true},
		{"100", "30", "-30.01", false},
		{"100", "0", "-1", false},
		{"100", "100", "1", false},
		{"100", "100", "-100", true},
		{"0", "0", "1", false},
		{"0", "0", "-1", false},
		// Credited after it was paid: what is too much goes back.
		{"40", "100", "1", false},
		{"40", "100", "-60", true},
		{"40", "100", "-100", true},
		{"40", "100", "-101", false},
		// An invoice in favour of the account is paid out.
		{"-20", "0", "-20", true},
		{"-20", "0", "-21", false},
		{"-20", "0", "5", false},
		{"-20", "-20", "20", true},
		{"-20", "-5", "6", false},
	} {
		err := checkPayment(usd(c.due), usd(c.paid), usd(c.amount))
		if (err == nil) != c.ok || err != nil && !errors.Is(err, ledger.ErrConflict) {
			t.Errorf("due %s, paid %s, payment of %s: %v", c.due, c.paid, c.amount, err)
		}
	}
}

// However payments and credit notes follow one another, what is paid stays on the side of zero where the
// invoice is, and never goes beyond what the invoice bills.
func TestPaidStaysInBounds(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(3, 5))
	taken := 0
	for range 500 {
		total := decimal.New(random.Int64N(2001)-1000, -2)
		credited, paid := decimal.Zero, decimal.Zero
		for range 20 {
			if random.IntN(4) == 0 { // some of what no note has taken back
				credited = credited.Add(total.Sub(credited).Mul(dec("0.5")).Truncate(2))
				continue
			}
			amount := decimal.New(random.Int64N(2401)-1200, -2)
			if checkPayment(Money{total.Sub(credited), "USD"}, Money{paid, "USD"}, Money{amount, "USD"}) == nil {
				paid = paid.Add(amount)
				taken++
			}
			if paid.Sign()*total.Sign() < 0 || paid.Abs().GreaterThan(total.Abs()) {
				t.Fatalf("total %s, credited %s: %s is paid", total, credited, paid)
			}
		}
	}
	if taken < 500 {
		t.Errorf("only %d payments were taken", taken)
	}
}

func TestParseMoney(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text, currency string
		ok             bool
	}{
		{"12.50", "USD", true},
		{"12.500", "USD", true},
		{"-0.01", "USD", true},
		{"0.001", "USD", false},
		{"1", "JPY", true},
		{"1.5", "JPY", false},
		{"0.001", "KWD", true},
		{"0", "USD", false},
		{"0.00", "USD", false},
		{"1e3", "USD", false},
		{"+1", "USD", false},
		{"", "USD", false},
		{"99999999999999999999999999999999999999", "USD", true},
		{"999999999999999999999999999999999999999", "USD", false},
	} {
		if _, err := parseMoney("amount", c.text, c.currency); (err == nil) != c.ok || err != nil && !errors.Is(err, ledger.ErrInvalid) {
			t.Errorf("%s %s: %v", c.text, c.currency, err)
		}
	}
}
