package wire

import (
	"context"
	"errors"
	"io"
	"runtime"
	"sync"

	"deltaledger/ledger"
)

// IngestOptions say how Ingest reads and records.
type IngestOptions struct {
	Options
	Atomic   bool                // all events or none; the whole input is held in memory
	Writers  int                 // transactions at a time; 0: as many as there are processors
	Report   func(Problem)       // called for each event that isn't in the ledger, in input order, one at a time; may be nil
	Progress func(n int64)       // called with the number of events settled since the last call; may be nil
	Adapt    func(*ledger.Event) // last change to each event before it is recorded; may be nil
}

// Summary counts what became of the events of an input.
type Summary struct {
	Recorded  int64 `json:"recorded" doc:"Events recorded now"`
	Duplicate int64 `json:"duplicate" doc:"Events that were recorded before, with the same content"`
	Conflict  int64 `json:"conflict" doc:"Events whose identity or place in the stream is taken by other content; kept aside"`
	Invalid   int64 `json:"invalid" doc:"Events that break a rule; not recorded"`
	Refused   int64 `json:"refused,omitempty" doc:"Good events that were not recorded because the request was atomic and held a bad one"`
	Watermark int64 `json:"watermark" doc:"A position through which everything is decided, these events included; less only while another writer hangs"`
}

// Add adds the counts of t; the later watermark stays.
func (s *Summary) Add(t Summary) {
	s.Recorded += t.Recorded
	s.Duplicate += t.Duplicate
	s.Conflict += t.Conflict
	s.Invalid += t.Invalid
	s.Refused += t.Refused
	s.Watermark = max(s.Watermark, t.Watermark)
}

// Problem is an event that isn't in the ledger as it was sent, and why.
type Problem struct {
	Line     int64         `json:"line" doc:"Line of the input, from 1; in a JSON array the number of the element"`
	ID       string        `json:"id,omitempty" doc:"ID of the event, where it could be read"`
	Status   ledger.Status `json:"status" enum:"invalid,conflict,refused" doc:"What became of it"`
	Field    string        `json:"field,omitempty" doc:"Field that breaks a rule"`
	Value    string        `json:"value,omitempty" doc:"What was sent, shortened"`
	Rule     string        `json:"rule,omitempty" doc:"What would be right"`
	Differs  []string      `json:"differs,omitempty" doc:"Of a conflict: the fields that differ from what is recorded"`
	Position int64         `json:"position,omitempty" doc:"Of a conflict: the position of the recorded event"`
}

// Ingest decodes r and records its events, in transactions of at most ledger.MaxBatch events or, if it
// is atomic, in one. Lines that are no events, or break a rule, are counted and reported; they don't
// stop the others. When it returns without error, all that it counts as recorded is durable. An error
// means that reading or the database failed, or (ledger.ErrAtomic) that an atomic input was refused; the
// summary then says what was settled before. Sending everything again is safe.
func Ingest(ctx context.Context, l *ledger.Ledger, r io.Reader, f Format, o IngestOptions) (Summary, error) {
	in := &intake{l: l, o: o, waiting: map[int]result{}}
	if o.BatchSize <= 0 || o.BatchSize > ledger.MaxBatch {
		in.o.BatchSize = ledger.MaxBatch
	}
	var err error
	if o.Atomic {
		err = in.atomically(ctx, r, f)
	} else {
		err = in.inBatches(ctx, r, f)
	}
	if err != nil {
		return in.sum, err
	}
	w, err := l.Covering(ctx, in.sum.Recorded)
	in.sum.Watermark = w.Position
	return in.sum, err
}

// intake is one run of Ingest.
type intake struct {
	l *ledger.Ledger
	o IngestOptions

	mu      sync.Mutex
	sum     Summary
	next    int            // batch whose problems are reported next
	waiting map[int]result // settled batches that are not their turn yet
}

// result is what became of the items of a batch.
type result struct {
	items    []Item
	outcomes []ledger.Outcome // of the items without an Err of their own, in order
}

func (in *intake) inBatches(ctx context.Context, r io.Reader, f Format) error {
	if in.o.Writers <= 0 {
		in.o.Writers = runtime.GOMAXPROCS(0)
	}
	if in.o.Workers <= 0 {
		in.o.Workers = in.o.Writers + 1 // one decodes while the others wait for the database
	}
	in.o.Concurrent = true
	writers := make(chan struct{}, in.o.Writers)
	return Decode(ctx, r, f, in.o.Options, func(b Batch) error {
		prepared, err := in.l.Prepare(ctx, in.events(b.Items))
		if err != nil {
			return err
		}
		select {
		case writers <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
		err = in.l.Write(ctx, prepared)
		<-writers
		if err != nil {
			return err
		}
		in.settle(b.N, result{b.Items, prepared.Outcomes})
		return nil
	})
}

// atomically reads everything before it writes anything: a transaction must not wait for a client. What it holds stays in
// the batches that were decoded: one long slice would be copied as it grows, and nothing else of the program runs then.
func (in *intake) atomically(ctx context.Context, r io.Reader, f Format) error {
	var held [][]Item
	var batches []*ledger.Batch
	n, whole := 0, true // whole: every line is an event
	err := Decode(ctx, r, f, in.o.Options, func(b Batch) error {
		if n += len(b.Items); n > ledger.MaxAtomic {
			return ledger.Invalid("atomic", "", "an atomic request must have at most 1,000,000 events: send it without atomic, or in parts")
		}
		held = append(held, b.Items)
		events := in.events(b.Items)
		if whole = whole && len(events) == len(b.Items); !whole { // nothing will be recorded, so the events need no look-up
			batches = nil
			return nil
		}
		prepared, err := in.l.Prepare(ctx, events)
		batches = append(batches, prepared)
		return err
	})
	if err != nil {
		return err
	}
	if !whole {
		for i, items := range held {
			in.settle(i, refused(items))
		}
		return ledger.ErrAtomic
	}
	err = in.l.WriteAtomic(ctx, batches)
	if err != nil && !errors.Is(err, ledger.ErrAtomic) {
		return err
	}
	for i, items := range held {
		in.settle(i, result{items, batches[i].Outcomes})
	}
	return err
}

// refused settles a part of an atomic input that has lines which are no events.
func refused(items []Item) result {
	outcomes := make([]ledger.Outcome, 0, len(items))
	for i := range items {
		if items[i].Err == nil {
			outcomes = append(outcomes, ledger.Outcome{Status: ledger.Refused})
		}
	}
	return result{items, outcomes}
}

func (in *intake) events(items []Item) []ledger.Event {
	events := make([]ledger.Event, 0, len(items))
	for i := range items {
		if items[i].Err == nil {
			if in.o.Adapt != nil {
				in.o.Adapt(&items[i].Event)
			}
			events = append(events, items[i].Event)
		}
	}
	return events
}

// settle counts a batch and reports its problems when all batches before it have been reported.
func (in *intake) settle(n int, r result) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.waiting[n] = r
	for {
		r, ok := in.waiting[in.next]
		if !ok {
			return
		}
		delete(in.waiting, in.next)
		in.next++
		in.count(r)
	}
}

func (in *intake) count(r result) {
	k := 0
	for i := range r.items {
		item := &r.items[i]
		o := ledger.Outcome{Status: ledger.Rejected, Err: item.Err}
		if item.Err == nil {
			o = r.outcomes[k]
			k++
		}
		switch o.Status {
		case ledger.Recorded:
			in.sum.Recorded++
		case ledger.Duplicate:
			in.sum.Duplicate++
		case ledger.Conflict:
			in.sum.Conflict++
		case ledger.Refused:
			in.sum.Refused++
		default:
			in.sum.Invalid++
		}
		if in.o.Report != nil && (o.Status == ledger.Rejected || o.Status == ledger.Conflict) {
			in.o.Report(ProblemOf(item, o))
		}
	}
	if in.o.Progress != nil {
		in.o.Progress(int64(len(r.items)))
	}
}

// ProblemOf says of an event that is not in the ledger as it was sent why.
func ProblemOf(item *Item, o ledger.Outcome) Problem {
	p := Problem{Line: item.Line, ID: o.ShownID(item.Event.ID), Status: o.Status, Differs: o.Differs, Position: o.Position}
	if o.Err != nil {
		p.Field, p.Value, p.Rule = o.Err.Field, o.Err.Value, o.Err.Rule
	}
	return p
}
