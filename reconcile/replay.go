package reconcile

import (
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/shopspring/decimal"
)

// replay is a settlement while its steps are taken again, one after the other.
type replay struct {
	*settlement
	credited, paid decimal.Decimal
	ofLine         map[int]decimal.Decimal // taken back of each line
	payments       map[string]step
	back           map[string]decimal.Decimal // what went back of each payment
	notes          map[uuid.UUID]step
	cancelled      map[uuid.UUID]bool
	last           position // of the step before
	wrong          map[string][]string
}

// replay takes the steps up to a position again, and returns by check what was wrong with any of them or with what comes out.
// Values in, values out.
func (s *settlement) replay(through int64) map[string][]string {
	r := &replay{
		settlement: s, ofLine: map[int]decimal.Decimal{}, payments: map[string]step{}, back: map[string]decimal.Decimal{},
		notes: map[uuid.UUID]step{}, cancelled: map[uuid.UUID]bool{}, wrong: map[string][]string{},
	}
	if s.issued != nil {
		r.last = *s.issued
	}
	whole := s.void == nil || s.void.n <= through
	for _, st := range s.steps {
		if st.n > through {
			whole = false // what billing shows has more in it
			break
		}
		r.when(st)
		if st.note == uuid.Nil {
			r.pay(st)
		} else {
			r.credit(st)
		}
		r.last = st.position
	}
	r.end(through, whole)
	return r.wrong
}

func (r *replay) find(st step, format string, args ...any) {
	check := checkPayments
	if st.note != uuid.Nil {
		check = checkCreditNotes
	}
	r.wrong[check] = append(r.wrong[check], st.name+" "+fmt.Sprintf(format, args...))
}

// clockStep is how far the clock of a server may be set back between two steps.
const clockStep = 24 * time.Hour

// when holds a step against the order of what happened to the invoice.
func (r *replay) when(st step) {
	switch {
	case r.issued == nil:
		r.find(st, "is of an invoice that has no number")
	case st.n < r.issued.n:
		r.find(st, "was recorded before the invoice was issued")
	case st.at.Before(r.last.at.Add(-clockStep)):
		r.find(st, "has the time %s, but what was recorded before it has %s", st.at.UTC().Format(time.RFC3339), r.last.at.UTC().Format(time.RFC3339))
	}
	if r.void != nil && st.n > r.void.n {
		r.find(st, "was recorded after the invoice became void")
	}
}

// inside reports whether amount lies between nothing, exclusive, and limit.
func inside(amount, limit decimal.Decimal) bool {
	return amount.Sign() != 0 && amount.Sign() == limit.Sign() && amount.Abs().LessThanOrEqual(limit.Abs())
}

// pay takes a payment: as far as what is open, or back as far as what was paid.
func (r *replay) pay(st step) {
	open := r.total.Sub(r.credited).Sub(r.paid)
	if !inside(st.amount, open) && !inside(st.amount, r.paid.Neg()) {
		r.find(st, "of %s %s goes too far: %s was open and %s paid", st.amount, r.currency, open, r.paid)
	}
	r.paid = r.paid.Add(st.amount)
	r.payments[st.reference] = st
	if st.reverses == "" {
		return
	}
	of, known := r.payments[st.reverses]
	r.back[st.reverses] = r.back[st.reverses].Add(st.amount)
	switch {
	case !known || st.reverses == st.reference:
		r.find(st, "takes back %q, which wasn't recorded before", st.reverses)
	case st.amount.Sign() == of.amount.Sign() || r.back[st.reverses].Abs().GreaterThan(of.amount.Abs()):
		r.find(st, "takes back more of %q than its %s", st.reverses, of.amount)
	case st.paidOn < of.paidOn:
		r.find(st, "goes back on %s, but %q came on %s", st.paidOn, st.reverses, of.paidOn)
	}
}

// credit takes a credit note: of no line more than it bills.
func (r *replay) credit(st step) {
	if st.currency != r.currency {
		r.find(st, "is in %s, the invoice in %s", st.currency, r.currency)
	}
	sum := decimal.Zero
	for _, line := range sortedLines(st.lines) {
		amount := st.lines[line]
		bills, known := r.lines[line]
		before := r.ofLine[line]
		sum, r.ofLine[line] = sum.Add(amount), before.Add(amount)
		switch {
		case !known:
			r.find(st, "takes back line %d, which the invoice doesn't have", line)
		case st.cancels != uuid.Nil: // held against the note that it cancels
		case !inside(amount, bills.Sub(before)):
			r.find(st, "takes back %s of line %d, which bills %s, %s of it taken back before", amount, line, bills, before)
		}
	}
	if !sum.Equal(st.amount) {
		r.find(st, "has the total %s, and its lines add up to %s", st.amount, sum)
	}
	r.credited = r.credited.Add(st.amount)
	if st.cancels != uuid.Nil {
		r.cancel(st)
	}
	r.notes[st.note] = st
}

// cancel holds a credit note that takes back another one against that.
func (r *replay) cancel(st step) {
	of, known := r.notes[st.cancels]
	switch {
	case !known:
		r.find(st, "cancels a credit note that wasn't made before")
	case of.cancels != uuid.Nil:
		r.find(st, "cancels %s, which cancels another one itself", of.name)
	case r.cancelled[st.cancels]:
		r.find(st, "cancels %s a second time", of.name)
	case !opposite(st.lines, of.lines):
		r.find(st, "doesn't have the lines of %s with the other sign", of.name)
	}
	r.cancelled[st.cancels] = true
}

func opposite(a, b map[int]decimal.Decimal) bool {
	for line, amount := range a {
		if !b[line].Equal(amount.Neg()) {
			return false
		}
	}
	return len(a) == len(b)
}

func sortedLines(lines map[int]decimal.Decimal) []int {
	var numbers []int
	for line := range lines {
		numbers = append(numbers, line)
	}
	slices.Sort(numbers)
	return numbers
}

// end holds what comes out against what billing shows, if that is of the same steps.
func (r *replay) end(through int64, whole bool) {
	add := func(check, format string, args ...any) {
		r.wrong[check] = append(r.wrong[check], fmt.Sprintf(format, args...))
	}
	void := r.void != nil && r.void.n <= through
	if void && !r.paid.IsZero() {
		add(checkPayments, "it is void, and %s of it is paid", r.paid)
	}
	if void && len(r.notes) > 0 {
		add(checkCreditNotes, "it is void, and credit notes correct it")
	}
	if !whole {
		return
	}
	open := r.total.Sub(r.credited).Sub(r.paid)
	if void {
		open = decimal.Zero
	}
	if !r.settlement.credited.Equal(r.credited) {
		add(checkCreditNotes, "%s is credited of it, and it shows %s", r.credited, r.settlement.credited)
	}
	if !r.settlement.paid.Equal(r.paid) || !r.open.Equal(open) {
		add(checkPayments, "%s is paid of it and %s open, and it shows %s and %s", r.paid, open, r.settlement.paid, r.open)
	}
	if want := r.standing(void, open); !slices.Contains(want, r.status) {
		add(checkPayments, "it is %s, and shows %s", want[0], r.status)
	}
}

// standing is the status of the invoice; one of two where a sending makes the difference.
func (r *replay) standing(void bool, open decimal.Decimal) []string {
	switch {
	case void:
		return []string{"void"}
	case r.issued == nil:
		return []string{"ready"}
	case !r.paid.IsZero() && open.Sign()*r.paid.Sign() <= 0:
		return []string{"paid"}
	case !r.paid.IsZero():
		return []string{"part-paid"}
	case len(r.notes) > 0 && r.total.Equal(r.credited):
		return []string{"credited"}
	}
	return []string{"issued", "sent"}
}
