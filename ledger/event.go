package ledger

import (
	"time"
)

// Kind says where a recorded row comes from.
type Kind string

const (
	Upstream   Kind = "upstream"   // sent by a source
	Adjustment Kind = "adjustment" // made by a person, with reason, reference and maker
	Reorder    Kind = "reorder"    // made by the ledger when a state arrived out of order
	Reversal   Kind = "reversal"   // made by the ledger when a stream moved to another account
)

// Event is one immutable fact from upstream, as a producer sends it, before it has a position.
// A producer never sends Kind, Reason, Reference or Maker: those belong to adjustments.
type Event struct {
	ID         string    // unique within Source, 1–256 bytes
	Source     string    // the upstream producer, 1–64 bytes
	Stream     string    // what Seqn orders within the source, at most 256 bytes
	Seqn       int64     // upstream sequence number in the stream, 0 … 2^48−1; meaningless unless HasSeqn
	HasSeqn    bool      // false: the source doesn't number its events
	Type       string    // what happened, 1–128 bytes
	Account    string    // the party that is billed, 1–256 bytes
	OccurredAt time.Time // when it happened upstream, UTC, in whole microseconds
	Currency   string    // ISO 4217 code of Amount
	Amount     Amount    // change of the amount of money
	Quantity   Amount    // change of the quantity
	Measures   []Measure // changes of declared measures
	State      []Measure // instead of deltas: absolute values of the stream after the event
	Dimensions []byte    // canonical JSON object of scalars, nil where there are none
	Corrects   string    // ID of the event of the same source that this one corrects, or empty
	Payload    []byte    // private: JSON as sent, kept for debugging, or nil

	Kind      Kind   // empty means Upstream
	Reason    string // of an adjustment: why it was made
	Reference string // of an adjustment: the document behind it
	Maker     string // of an adjustment: who made it

	hidden  []string // names of dimensions that are private in this event, besides those that are declared so
	private []byte   // canonical JSON object of the dimensions that are private; they aren't among Dimensions then
}

// hasPrivate reports whether the event has private content.
func (e *Event) hasPrivate() bool { return len(e.Payload)+len(e.private) > 0 }

// Measure is a value of a declared measure, or of amount or quantity in a state.
type Measure struct {
	Name  string
	Value Amount
}

// Limits of the texts of an event, in bytes, and of an event as a whole.
const (
	MaxSource     = 64
	MaxID         = 256
	MaxStream     = 256
	MaxAccount    = 256
	MaxType       = 128
	MaxText       = 1024      // reason, reference, maker
	MaxDimensions = 16 << 10  // canonical JSON of the dimensions
	MaxEvent      = 256 << 10 // one event on the wire
	MaxSeqn       = 1<<48 - 1
)

// Status is what became of one event of a request.
type Status string

const (
	Recorded  Status = "recorded"  // it is durable and has a position
	Duplicate Status = "duplicate" // it was there already, with the same content
	Conflict  Status = "conflict"  // its identity or place is taken by other content; kept aside
	Rejected  Status = "invalid"   // it breaks a rule and was not recorded
	Refused   Status = "refused"   // it was good, but the atomic request that held it failed
)

// Outcome is what became of one event.
type Outcome struct {
	Status   Status
	Position int64       // of the recorded event, for a duplicate and a conflict of the one that was there; 0 if invalid
	Differs  []string    // conflict: names of the fields that differ from what is recorded
	Err      *FieldError // invalid: which field and why; conflict: what it collides with
	Withheld bool        // invalid: it holds what its source was declared not to send, so that nothing of it may be kept
}

// ShownID is what an answer may show as the id of the event: nothing, if the id itself is what must not be repeated.
func (o Outcome) ShownID(id string) string {
	if o.Status == Rejected && o.Err != nil && o.Err.Field == "id" && o.Err.Value == "" {
		return ""
	}
	return id
}

// ReservedSource is the source of the rows that the ledger makes itself; ingest refuses it.
const ReservedSource = "deltaledger"
