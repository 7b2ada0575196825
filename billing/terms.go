package billing

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"time"
)

// Cadence is how long cycles are.
type Cadence string

const (
	// Daily cycles are one local day long.
	Daily Cadence = "daily"
	// Weekly cycles are seven local days long.
	Weekly Cadence = "weekly"
	// Monthly cycles run from a day of a month to the same day of the next, or
	// to its last day where it is shorter.
	Monthly Cadence = "monthly"
	// Quarterly cycles are three months long.
	Quarterly Cadence = "quarterly"
	// HalfYearly cycles are six months long.
	HalfYearly Cadence = "half-yearly"
	// Yearly cycles are twelve months long.
	Yearly Cadence = "yearly"
)

// cadences are all of them, the usual one first.
func cadences() []string {
	return []string{string(Monthly), string(Daily), string(Weekly), string(Quarterly), string(HalfYearly), string(Yearly)}
}

// step is how long a cycle of the cadence is: whole local days, or whole months.
// Both are zero for a cadence that isn't one of the constants.
func (c Cadence) step() (days, months int) {
	switch c {
	case Daily:
		return 1, 0
	case Weekly:
		return 7, 0
	case Monthly:
		return 0, 1
	case Quarterly:
		return 0, 3
	case HalfYearly:
		return 0, 6
	case Yearly:
		return 0, 12
	}
	return 0, 0
}

// mostEvery is how many of the cadence a cycle may span: about ten years.
func (c Cadence) mostEvery() int {
	const days, months = 3660, 120
	if d, m := c.step(); d > 0 {
		return days / d
	} else if m > 0 {
		return months / m
	}
	return 0
}

// GroupBy is what gets an invoice of its own.
type GroupBy string

const (
	// GroupByAccount makes one invoice for each currency of a cycle.
	GroupByAccount GroupBy = "account"
	// GroupByStream makes one for each stream too, for example for every order.
	GroupByStream GroupBy = "stream"
)

// BillOn is what decides in which cycle an event is billed.
type BillOn string

const (
	// BillOnEvent bills each event in the cycle in which it occurred.
	BillOnEvent BillOn = "event"
	// BillOnOrder bills the events of a stream, which is an order, in the cycle
	// in which the order is finalised; see order.go.
	BillOnOrder BillOn = "order"
)

// Limits of terms.
const (
	// MaxFinalising is how many event types may finalise an order.
	MaxFinalising = 16

	// MaxTermsBytes is how large terms may be as JSON.
	MaxTermsBytes = 64 << 10
	// MaxCharges is how many charges terms may have.
	MaxCharges = 64
	// MaxGrace is the longest grace.
	MaxGrace = 31 * day
	// MaxContract is how many bytes the name of a contract may have.
	MaxContract = 128
	// DefaultGrace is the grace of terms that say nothing about it.
	DefaultGrace = 2 * day
)

// Anchor is a local time from which boundaries are counted, in both directions.
type Anchor struct {
	Date Date
	// Clock is the local time of day that every boundary keeps, in whole
	// seconds since midnight. Zero is an anchor that is a date alone: its
	// boundaries are the starts of local days.
	Clock time.Duration
	// Anniversary says that the local time is, or stands for, the start of the
	// account.
	Anniversary bool
}

// anniversary is how an anchor is written that is the start of the account.
const anniversary = "anniversary"

// String returns the anchor as YYYY-MM-DD, or YYYY-MM-DDThh:mm:ss if it has a
// time of day, or as anniversary.
func (a Anchor) String() string {
	if a.Anniversary {
		return anniversary
	}
	return a.local()
}

func (a Anchor) local() string {
	if a.Clock == 0 {
		return a.Date.String()
	}
	return a.Date.String() + time.Unix(0, 0).UTC().Add(a.Clock).Format("T15:04:05")
}

// in returns the instant of the anchor's own local time in a zone.
func (a Anchor) in(zone *time.Location) time.Time {
	return firstInstant(zone, a.Date.wall()+int64(a.Clock/time.Second))
}

// Terms is one version of how an account is billed. Versions are only added;
// which one is in force when, a Calendar says.
type Terms struct {
	// Version numbers versions in the order in which they were recorded. The
	// built-in default is 0.
	Version int64
	// Account is whose terms they are. Empty are the default terms, of every
	// account without its own.
	Account string
	// EffectiveFrom is the instant from which the terms are wanted: the start of
	// a local date or a local time in Zone. Zero is always.
	EffectiveFrom time.Time
	// Start is when the account begins to be billed, as a local date or time, and
	// StartsAt that instant; zero if nothing is known of it. The cycle that holds
	// it is cut there, so that the first one of the account may be short.
	Start    Anchor
	StartsAt time.Time
	// NotBefore is the boundary through which the account (for default terms:
	// any account) was closed when this version was recorded; zero if there was
	// none. It isn't part of the JSON, since the operator doesn't write it.
	NotBefore time.Time
	// Cadence, Every, Anchor and Zone make the boundaries of cycles. Every is how
	// many of the cadence a cycle spans: 2 with Weekly are fortnights, 30 with
	// Daily 30 days.
	Cadence Cadence
	Every   int
	Anchor  Anchor
	Zone    *time.Location
	// Grace is how long a cycle stays open after its end. At most MaxGrace.
	Grace   time.Duration
	GroupBy GroupBy
	// BillOn is event or order, and Finalising are the event types that finalise
	// an order: at least one with BillOnOrder, else none.
	BillOn     BillOn
	Finalising []string
	// Contract names the contract of an account that its cycles belong to. Those
	// whose terms name the same one share the allowances of charges that hold over
	// the contract. Empty is a name too: that of the one contract of an account
	// that never named any.
	Contract string
	// ReviewAbove is the limit of an invoice's late and adjustment lines: if their
	// amounts, each without its sign, add up to more, the invoice waits for a person.
	ReviewAbove Limit
	// ApproveAbove is the limit of a person's adjustment: one of more waits for
	// another person.
	ApproveAbove Limit
	// Charges are what is billed, in the order of an invoice's lines.
	Charges []Charge

	// left is what terms of an account leave to the default terms. Until a
	// Calendar has filled it in, those fields hold what a ledger without default
	// terms would have there.
	left left
	// Base is, of terms that a Calendar has filled in, the version of the default
	// terms that they were filled in from.
	Base      int64
	inherited left

	// rerating is the version whose charges were recorded for the cycle when it was
	// closed, and charged the one whose document has them; 0 and 0: none was.
	rerating, charged int64
	ofDefault         bool // of a cycle with a rerating: the charges are those of default terms
}

// left says which fields terms of an account don't have themselves.
type left struct {
	cadence, anchor, zone, grace, groupBy, billOn, review, approve, charges bool
}

// names are the fields, as in JSON. Who leaves out the cadence leaves out how
// many of it, and who leaves out bill_on what finalises orders.
func (l left) names() []string {
	var names []string
	for _, f := range []struct {
		name string
		left bool
	}{
		{"cadence", l.cadence},
		{"anchor", l.anchor},
		{"zone", l.zone},
		{"grace", l.grace},
		{"group_by", l.groupBy},
		{"bill_on", l.billOn},
		{"review_above", l.review},
		{"approve_above", l.approve},
		{"charges", l.charges},
	} {
		if f.left {
			names = append(names, f.name)
		}
	}
	return names
}

// Left names the fields that terms of an account leave to the default terms, as
// in JSON.
func (t Terms) Left() []string { return t.left.names() }

// Inherited names the fields that a Calendar has filled in from version Base of
// the default terms.
func (t Terms) Inherited() []string { return t.inherited.names() }

// chargesVersion is the version whose document has the charges.
func (t Terms) chargesVersion() int64 {
	if t.rerating != 0 {
		return t.charged
	}
	if t.inherited.charges {
		return t.Base
	}
	return t.Version
}

// chargesOfDefault reports whether the charges are those of default terms.
func (t Terms) chargesOfDefault() bool {
	if t.rerating != 0 {
		return t.ofDefault
	}
	return t.Account == "" || t.inherited.charges
}

// over fills in what the terms leave out from the default terms, and the start
// of the account where they are anchored there.
func (t Terms) over(base Terms) Terms {
	l := t.left
	if l.cadence {
		t.Cadence, t.Every = base.Cadence, base.Every
	}
	if l.anchor {
		t.Anchor = base.Anchor
		if !l.cadence && !base.Anchor.Anniversary { // a date goes with its cadence
			t.Anchor, l.anchor = defaultAnchor(t.Cadence), false
		}
	}
	if l.zone {
		t.Zone = base.Zone
	}
	if l.grace {
		t.Grace = base.Grace
	}
	if l.groupBy {
		t.GroupBy = base.GroupBy
	}
	if l.billOn {
		t.BillOn, t.Finalising = base.BillOn, base.Finalising
	}
	if l.review {
		t.ReviewAbove = base.ReviewAbove
	}
	if l.approve {
		t.ApproveAbove = base.ApproveAbove
	}
	if l.charges {
		t.Charges = base.Charges
	}
	if l != (left{}) {
		t.Base = base.Version
	}
	t.left, t.inherited = left{}, l
	return t.anchored()
}

// anchored replaces an anchor that stands for the start of the account.
func (t Terms) anchored() Terms {
	if t.Anchor.Anniversary {
		at := t.Start
		if !at.Date.exists() {
			at = defaultAnchor(t.Cadence)
		}
		at.Anniversary = true
		t.Anchor = at
	}
	return t
}

// DefaultTerms are the terms of a ledger whose operator has recorded none:
// calendar months in the ledger's reporting zone, two days of grace, and the
// sum of the amounts.
func DefaultTerms(ledgerZone *time.Location) Terms {
	return Terms{
		Cadence: Monthly,
		Every:   1,
		Anchor:  defaultAnchor(Monthly),
		Zone:    ledgerZone,
		Grace:   DefaultGrace,
		GroupBy: GroupByAccount,
		BillOn:  BillOnEvent,
		Charges: []Charge{{Name: "amount", Measure: "amount", Model: ModelSum}},
	}
}

// defaultAnchor makes months begin on the 1st, weeks on Monday, and quarters,
// halves and years on 1 January.
func defaultAnchor(c Cadence) Anchor {
	if c == Weekly {
		return Anchor{Date: Date{Year: 2000, Month: time.January, Day: 3}}
	}
	return Anchor{Date: Date{Year: 2000, Month: time.January, Day: 1}}
}

// termsJSON is the JSON form of terms, in the order of its keys.
type termsJSON struct {
	Account       string   `json:"account,omitempty"`
	EffectiveFrom string   `json:"effective_from,omitempty"`
	Start         string   `json:"start,omitempty"`
	Cadence       Cadence  `json:"cadence,omitempty"`
	Every         int      `json:"every,omitempty"` // absent: 1
	Anchor        string   `json:"anchor,omitempty"`
	Zone          string   `json:"zone,omitempty"`
	Grace         string   `json:"grace,omitempty"`
	GroupBy       GroupBy  `json:"group_by,omitempty"`
	BillOn        BillOn   `json:"bill_on,omitempty"` // absent of the default terms: event
	Finalising    []string `json:"finalising,omitempty"`
	Contract      string   `json:"contract,omitempty"`

	ReviewAbove  json.RawMessage `json:"review_above,omitempty"`
	ApproveAbove json.RawMessage `json:"approve_above,omitempty"`

	Charges []chargeJSON `json:"charges,omitempty"`
}

// JSON returns the terms in canonical JSON: fixed order of keys, no spaces, and
// everything spelled out that ParseTerms would otherwise take from a constant or
// from the ledger. What terms of an account leave to the default terms stays
// out. ParseTerms reads it back into the same terms, but for Version and
// NotBefore, which aren't in it.
func (t Terms) JSON() []byte {
	out := termsJSON{Account: t.Account, Start: t.startText(), Contract: t.Contract, EffectiveFrom: t.effectiveText()}
	if !t.left.cadence {
		out.Cadence = t.Cadence
		if t.Every > 1 {
			out.Every = t.Every
		}
	}
	if !t.left.anchor {
		out.Anchor = t.Anchor.String()
	}
	if !t.left.zone {
		out.Zone = t.Zone.String()
	}
	if !t.left.grace {
		out.Grace = graceText(t.Grace)
	}
	if !t.left.groupBy {
		out.GroupBy = t.GroupBy
	}
	if !t.left.billOn && (t.BillOn == BillOnOrder || t.Account != "") {
		out.BillOn, out.Finalising = t.BillOn, t.Finalising
	}
	if !t.left.review {
		out.ReviewAbove = t.ReviewAbove.json(t.Account == "")
	}
	if !t.left.approve {
		out.ApproveAbove = t.ApproveAbove.json(t.Account == "")
	}
	if !t.left.charges {
		out.Charges = make([]chargeJSON, len(t.Charges))
	}
	for i, c := range t.Charges[:len(out.Charges)] {
		out.Charges[i] = c.json()
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(out); err != nil {
		panic("billing: terms can't be written as JSON: " + err.Error()) // strings only: impossible
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// effectiveText writes EffectiveFrom as the operator would: a date if the terms
// begin with a local day, a local time otherwise.
func (t Terms) effectiveText() string {
	if t.EffectiveFrom.IsZero() {
		return ""
	}
	local := t.EffectiveFrom.In(t.Zone)
	if date := DateOf(local); date.In(t.Zone).Equal(t.EffectiveFrom) {
		return date.String()
	}
	return local.Format(localLayout)
}

func (t Terms) startText() string {
	if !t.Start.Date.exists() {
		return ""
	}
	return t.Start.local()
}

// graceText writes a grace in the largest units without a remainder.
func graceText(d time.Duration) string {
	if d%time.Hour == 0 {
		return strconv.FormatInt(int64(d/time.Hour), 10) + "h"
	}
	text := d.String()
	if d%time.Minute == 0 {
		text = strings.TrimSuffix(text, "0s")
	}
	return text
}
