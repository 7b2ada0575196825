package ledger

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"time"

	"deltaledger/ledger/pace"
)

// Batch is a number of events made ready to be written: checked, hashed, and encoded as far as that
// goes without positions. Its outcomes are in the order of the events it was prepared from.
type Batch struct {
	Outcomes []Outcome
	events   []Event
	by       *declarations // what the events were prepared by
	items    []prepared    // the events that are valid, in input order
	doubts   []prepared    // events that break what is declared, which those recorded before the declaration may; see settleDoubts
	tuples   []byte        // of all items, one behind the other
	private  []byte        // private rows of the items that have any
}

// prepared is what the write path knows of one valid event.
type prepared struct {
	input       int    // index into Batch.events and Batch.Outcomes
	public      *Event // without the dimensions that are private
	eventKey    Key
	positionKey Key
	numbered    bool // positionKey is set
	digest      Digest
	canonical   []byte  // of the private content, nil if there is none
	tuple       span    // of Batch.tuples
	row         span    // of Batch.private, empty if there is none
	lawful      bool    // of a source that sends states: the law decides which rows it needs
	state       *stored // of an event with a state: what to encode once its changes are known
	marks       *marks  // what the policy of its source found; nil: nothing
}

type span struct{ from, to int }

func (s span) of(b []byte) []byte { return b[s.from:s.to] }

// saltSize is the size of the random salt of a commitment, in bytes.
const saltSize = 16

// Prepare checks, hashes and encodes events; it may run in parallel with the database. Events that
// break a rule get their outcome here. The events belong to the batch from now on. The error is of the
// look-up of declarations or of the random numbers, never of an event.
func (l *Ledger) Prepare(ctx context.Context, events []Event) (*Batch, error) {
	d, err := l.declared(ctx)
	if err != nil {
		return nil, err
	}
	b := &Batch{Outcomes: make([]Outcome, len(events)), events: events, items: make([]prepared, 0, len(events))}
	b.tuples = make([]byte, 0, 320*len(events))
	doubtful, err := l.prepareAll(ctx, b, d)
	if err != nil || !doubtful {
		return b, err
	}
	// What refused an event may have been declared since.
	fresh, err := l.renewed(ctx, d)
	if err != nil || fresh == d {
		return b, err
	}
	b.forget()
	_, err = l.prepareAll(ctx, b, fresh)
	return b, err
}

// prepareAgain prepares, by the declarations in force now, the events of b that have no outcome yet, or one by what
// was declared before.
func (l *Ledger) prepareAgain(ctx context.Context, b *Batch) error {
	d, err := l.renewed(ctx, b.by)
	if err != nil {
		return err
	}
	for _, p := range b.doubts {
		b.Outcomes[p.input] = Outcome{}
	}
	b.doubts = nil
	b.items, b.tuples, b.private = b.items[:0], b.tuples[:0], b.private[:0]
	_, err = l.prepareAll(ctx, b, d)
	return err
}

// forget takes back all outcomes and items.
func (b *Batch) forget() {
	clear(b.Outcomes)
	b.doubts = nil
	b.items, b.tuples, b.private = b.items[:0], b.tuples[:0], b.private[:0]
}

// prepareAll prepares the events of b that have no outcome yet. doubtful says that events were refused
// that other declarations would let pass.
func (l *Ledger) prepareAll(ctx context.Context, b *Batch, d *declarations) (doubtful bool, err error) {
	b.by = d
	horizon := l.now().Add(l.skew)
	var scratch []byte
	steps := pace.Of(ctx)
	for i := range b.events {
		if i%64 == 63 {
			steps.Step()
		}
		if b.Outcomes[i].Status != "" {
			continue
		}
		e := &b.events[i]
		if e.Kind == "" {
			e.Kind = Upstream
		}
		bad, withheld := validate(e, horizon, l.zone), false
		if bad == nil {
			broken, marks := d.check(e), d.look(e)
			if marks != nil && marks.withheld != nil { // first: it repeats no value
				broken, withheld = marks.withheld, true
			}
			doubtful = doubtful || broken != nil
			if scratch, bad, err = l.prepare(b, i, broken, marks, scratch); err != nil {
				return false, err
			}
		}
		if bad != nil {
			b.Outcomes[i] = Outcome{Status: Rejected, Err: bad, Withheld: withheld}
		}
	}
	return doubtful, nil
}

// prepare hashes and encodes event i of b. An event that breaks what is declared, as broken says of it, is only
// hashed, and joins the doubts. marks are what the policy of its source found. scratch is room that is used again.
func (l *Ledger) prepare(b *Batch, i int, broken *FieldError, marks *marks, scratch []byte) ([]byte, *FieldError, error) {
	e := &b.events[i]
	p := prepared{input: i, public: e, eventKey: EventKey(e.Source, e.ID), numbered: e.HasSeqn, marks: marks}
	if p.numbered {
		p.positionKey = PositionKey(e.Source, e.Stream, e.Seqn)
	}
	parts, bad := b.by.layout.split(e.Dimensions, marks.hiddenWith(e.hidden))
	if broken == nil {
		broken = bad
	}
	if parts.private != nil {
		public := *e
		public.Dimensions, public.private = parts.public, parts.private
		p.public = &public
	}
	var commit []byte
	if e := p.public; e.hasPrivate() {
		private, err := appendPrivate(nil, e)
		if err != nil {
			return scratch, jsonError("payload", err), nil
		}
		salt := make([]byte, saltSize)
		if _, err := io.ReadFull(l.random, salt); err != nil {
			return scratch, nil, fmt.Errorf("draw a salt: %w", err)
		}
		c := commitment(salt, private)
		p.canonical, commit = private, c[:]
		if broken == nil {
			p.row.from = len(b.private)
			b.private = appendPrivateTuple(b.private, e, salt)
			p.row.to = len(b.private)
		}
	}
	scratch = AppendCanonical(scratch[:0], p.public)
	if len(scratch) > MaxEvent {
		return scratch, invalidf("id", e.ID, "the event must have at most %d bytes, not %d", MaxEvent, len(scratch)), nil
	}
	p.digest = sha256.Sum256(scratch)
	if broken != nil {
		b.doubts = append(b.doubts, p)
		return scratch, broken, nil
	}
	p.lawful = p.numbered && b.by.sources[e.Source].States
	row := stored{Event: p.public, parts: parts, commitment: commit}
	if e.State != nil {
		p.state = &row
	} else {
		p.tuple = b.encode(row, l.zone)
	}
	b.items = append(b.items, p)
	return scratch, nil, nil
}

// encode encodes a row into the batch.
func (b *Batch) encode(row stored, zone *time.Location) span {
	from := len(b.tuples)
	b.tuples = appendEventTuple(b.tuples, row, b.by.layout, zone)
	return span{from, len(b.tuples)}
}

// order is the order in which keys are inserted, the same for every writer, so that two writers of
// the same keys wait for each other instead of deadlocking: by place in the stream where there is one.
func order(a, b *prepared) int {
	if c := bytes.Compare(a.place(), b.place()); c != 0 {
		return c
	}
	return bytes.Compare(a.eventKey[:], b.eventKey[:])
}

func (p *prepared) place() []byte {
	if p.numbered {
		return p.positionKey[:]
	}
	return p.eventKey[:]
}

// firsts splits items into those whose keys are new within the batch, in input order, and repeats of
// them: of two events of a batch with the same identity or place the first one wins.
func firsts(items []*prepared) (unique, repeats []*prepared) {
	seen := make(map[Key]struct{}, 2*len(items))
	unique = make([]*prepared, 0, len(items))
	for _, p := range items {
		_, sameEvent := seen[p.eventKey]
		_, samePlace := seen[p.positionKey]
		if sameEvent || p.numbered && samePlace {
			repeats = append(repeats, p)
			continue
		}
		seen[p.eventKey] = struct{}{}
		if p.numbered {
			seen[p.positionKey] = struct{}{}
		}
		unique = append(unique, p)
	}
	return unique, repeats
}
