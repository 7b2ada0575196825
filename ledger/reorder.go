package ledger

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"time"

	"github.com/shopspring/decimal"
)

// This file is the law by which states become deltas. It is pure: what is recorded of one stream goes
// in, the rows that one more event needs come out.
//
// For one measure, what stands before an event is the last state of an earlier event, and the deltas
// since, each under the owner that it was sent for. A delta adds itself. A state adds what it is more
// than what stands under its own owner, and takes off what stands under others. That is the effect of
// the event, which in order is all.
//
// An event that comes late changes what stands before the next event that states the same measure, and
// that one took the difference already: the effect is taken off there again. Events in between that
// only change the measure, or don't touch it, are not concerned.

// owner is whom values of a stream stand under: the account, and the values of the dimensions that are
// declared to describe the stream.
type owner struct {
	account    string
	dimensions string // a canonical JSON object, empty where there are none
}

func (o owner) compare(p owner) int {
	return cmp.Or(cmp.Compare(o.account, p.account), cmp.Compare(o.dimensions, p.dimensions))
}

// entry is one event of a stream as the law sees it.
type entry struct {
	id         string
	seqn       int64
	position   int64 // 0: it is being recorded now
	recordedAt time.Time
	typ        string
	currency   string
	occurredAt time.Time
	owner      owner
	dimensions []byte    // those that describe the event alone: a canonical JSON object, or nil
	states     bool      // values are what stands after the event; else what it changes
	values     []Measure // every measure at most once
}

func (e *entry) value(measure string) (Amount, bool) {
	for i := range e.values {
		if e.values[i].Name == measure {
			return e.values[i].Value, true
		}
	}
	return Amount{}, false
}

// stated reports whether the event says what stands of the measure after it.
func (e *entry) stated(measure string) bool {
	if !e.states {
		return false
	}
	_, has := e.value(measure)
	return has
}

// history is what is known of a stream: entries by seqn. It needn't be all that is recorded, but must
// hold everything from the last earlier state of each measure that an event states, and everything up to
// the next later one of each measure that it has.
type history struct {
	source, stream string
	entries        []*entry
	currencies     []*entry // of each currency among the entries one
}

// meet remembers the currency of an entry.
func (h *history) meet(e *entry) {
	if !slices.ContainsFunc(h.currencies, func(known *entry) bool { return known.currency == e.currency }) {
		h.currencies = append(h.currencies, e)
	}
}

// other is an entry with another currency than e, nil if there is none.
func (h *history) other(e *entry) *entry {
	for _, known := range h.currencies {
		if known.currency != e.currency {
			return known
		}
	}
	return nil
}

// effects are the rows that one event needs: its own, and those that the ledger makes because of it.
type effects struct {
	own  []Measure // what the event changes under its own owner, for each of its measures
	made []madeRow // those that make up a move between owners, then those on later events
}

// madeRow is a row that the ledger makes because of an event.
type madeRow struct {
	kind   Kind   // Reversal or Reorder
	bears  *entry // whose type, currency, time, seqn and dimensions it copies
	owner  owner  // whom it stands under
	values []Measure
}

// standing is what stands of one measure under one owner.
type standing struct {
	owner owner
	value decimal.Decimal
}

// find is the index of seqn among the entries, or where it belongs.
func (h *history) find(seqn int64) (at int, found bool) {
	if n := len(h.entries); n == 0 || h.entries[n-1].seqn < seqn { // in order, nearly always
		return n, false
	}
	return slices.BinarySearchFunc(h.entries, seqn, func(e *entry, n int64) int { return cmp.Compare(e.seqn, n) })
}

// apply adds e, whose place must be free, to the history, and says what rows it needs. If a number gets
// too long, it says which and leaves the history as it was.
func (h *history) apply(e *entry) (effects, *FieldError) {
	at, _ := h.find(e.seqn)
	var out effects
	var changes []standing // of one measure
	for _, m := range e.values {
		later := h.next(at, m.Name)
		if !e.states {
			out.own = append(out.own, m)
			if later != nil {
				out.add(Reorder, later, e.owner, Measure{m.Name, m.Value.negated()})
			}
			continue
		}
		changes = h.effect(changes[:0], e, at, m)
		for i, c := range changes {
			value, err := storableChange(c.value, m)
			if err != nil {
				return effects{}, err
			}
			if i == 0 {
				out.own = append(out.own, Measure{m.Name, value})
			} else {
				out.add(Reversal, e, c.owner, Measure{m.Name, value})
			}
			if later != nil {
				out.add(Reorder, later, c.owner, Measure{m.Name, value.negated()})
			}
		}
	}
	out.sort()
	h.entries = slices.Insert(h.entries, at, e)
	h.meet(e)
	return out, nil
}

// effect appends what the state m of e, which belongs at index at, changes: first under its own owner,
// then under others.
func (h *history) effect(changes []standing, e *entry, at int, m Measure) []standing {
	changes = append(changes, standing{e.owner, m.Value.Decimal()})
	for i := at - 1; i >= 0; i-- {
		before := h.entries[i]
		value, has := before.value(m.Name)
		if !has {
			continue
		}
		k := slices.IndexFunc(changes, func(c standing) bool { return c.owner == before.owner })
		if k < 0 {
			k, changes = len(changes), append(changes, standing{owner: before.owner})
		}
		changes[k].value = changes[k].value.Sub(value.Decimal())
		if before.states {
			break
		}
	}
	return changes
}

// next is the first entry from index at on that states the measure, nil if there is none.
func (h *history) next(at int, measure string) *entry {
	for _, e := range h.entries[at:] {
		if e.stated(measure) {
			return e
		}
	}
	return nil
}

// add puts a value on the row of its kind, event and owner. Zero needs no row.
func (out *effects) add(kind Kind, bears *entry, o owner, m Measure) {
	if m.Value.zero() {
		return
	}
	for i := range out.made {
		if r := &out.made[i]; r.kind == kind && r.bears == bears && r.owner == o {
			r.values = append(r.values, m)
			return
		}
	}
	out.made = append(out.made, madeRow{kind, bears, o, []Measure{m}})
}

// sort puts the reversals first, then the rows on later events in the order of these.
func (out *effects) sort() {
	slices.SortFunc(out.made, func(a, b madeRow) int {
		return cmp.Or(-cmp.Compare(a.kind, b.kind), cmp.Compare(a.bears.seqn, b.bears.seqn), a.owner.compare(b.owner))
	})
}

// storableChange is the change that the state m makes, if it keeps within the limits of every number
// (invariant 4).
func storableChange(change decimal.Decimal, m Measure) (Amount, *FieldError) {
	a, err := AmountOf(change)
	if err != nil {
		return Amount{}, invalidf("state."+m.Name, m.Value.text, "is a change of %s from what stands before it, and a change must have at most %d digits",
			change, MaxDigits)
	}
	return a, nil
}

// zero reports whether a is the number 0.
func (a Amount) zero() bool { return a.text == "0" }

// negated is -a.
func (a Amount) negated() Amount {
	switch {
	case a.text == "" || a.zero():
		return a
	case a.text[0] == '-':
		return Amount{a.text[1:]}
	}
	return Amount{"-" + a.text}
}

// madeID is the identity of a row that an event made the ledger write: half of SHA-256 over what the row
// is for, in hexadecimal. An event makes at most one row of a kind for an entry and an owner.
func madeID(h *history, cause *entry, r madeRow) string {
	var room [1024]byte
	d := room[:0]
	for _, part := range [...]string{string(r.kind), h.source, cause.id, r.bears.id, r.owner.account, r.owner.dimensions} {
		d = binary.BigEndian.AppendUint32(d, uint32(len(part)))
		d = append(d, part...)
	}
	sum := sha256.Sum256(d)
	return hex.EncodeToString(sum[:16])
}
