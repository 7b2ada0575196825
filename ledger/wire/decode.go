package wire

import (
	"context"
	"io"
	"runtime"

	"deltaledger/ledger"
	"deltaledger/ledger/pace"
)

// Options says how to decode. The zero value is usable.
type Options struct {
	// PayloadColumns are the columns of a CSV that make up the payload, a JSON object with a text for
	// each cell that isn't empty. All must be in the header.
	PayloadColumns []string
	// Mapping says what the fields of the upstream are; nil: the input has ours.
	Mapping *Mapping
	// Measures reports whether a measure is declared, besides amount and quantity; nil: none is.
	// Several goroutines may call it.
	Measures func(name string) bool
	// BatchSize is the most items that a batch holds; 0 means 10,000. A batch of long events holds
	// fewer, so that memory stays bounded.
	BatchSize int
	// Workers is how many goroutines decode; 0 means one for each processor that Go may use.
	Workers int
	// Concurrent calls each from all workers at once and in any order, instead of in the order of the
	// input from one goroutine.
	Concurrent bool
	// Size is how many bytes the input has, where that is known; 0 means that it isn't. It only saves memory.
	Size int
}

const defaultBatchSize = 10_000

// Item is one decoded event, or why there is none.
type Item struct {
	// Line is where it begins: a line of the input, or the place in a JSON array; from 1.
	Line  int64
	Event ledger.Event
	Err   *ledger.FieldError // not nil: Event is empty
}

// Batch is a part of the input. The items belong to who gets it.
type Batch struct {
	N     int    // number of the batch, from 0, in the order of the input
	Items []Item // in the order of the input; never empty
	Size  int    // bytes of the input that it was made from, with what lies in front
}

// Decode reads r, which of Parquet must be a RandomAccess, to its end and calls each with what it finds, in batches. Everything that can be said of
// one event is an Item; Decode returns an error if the input as a whole can't be read (ledger.ErrInvalid
// where that is the sender's fault, such as a header without an id), if ctx ends, or the first that each
// returns. Batches in front of a failed Read are still delivered, without the event that it cut.
//
// When Decode returns no call of each is under way. A Read of r that blocks while ctx ends may return
// later; no other follows it.
func Decode(ctx context.Context, r io.Reader, f Format, o Options, each func(Batch) error) error {
	if o.BatchSize <= 0 {
		o.BatchSize = defaultBatchSize
	}
	if o.Workers <= 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	var s splitter
	switch f {
	case JSON, CloudEvents:
		s = &arraySplitter{cloudEvents: f == CloudEvents}
	case NDJSON:
		s = &lineSplitter{}
	case CSV:
		s = &recordSplitter{options: o}
	case Avro:
		s = &avroSplitter{}
	case Parquet:
		s = &parquetSplitter{}
	default:
		_, err := ParseFormat(string(f))
		return err
	}
	return newPipeline(o, each).run(ctx, r, s)
}

// A splitter finds the records of an input: the bytes that each make one item.
type splitter interface {
	// split adds the next record to c, reading from f as it needs. It is false at the end of the input,
	// and when f.err is set.
	split(f *feed, c *chunk) bool
}

// chunk is a stretch of the input on its way to a worker.
type chunk struct {
	data    []byte
	records []record
	columns *columns // of a CSV
	size    int      // bytes of the input

	cloudEvents bool         // the records are CloudEvents
	avro        *avroType    // of the records, where they are Avro
	parquet     *parquetNode // of the records, where they are rows of Parquet
}

// record is what makes one item.
type record struct {
	start, end int    // in the chunk's data
	line       int64  // see Item
	rule       string // not empty: why it can't be decoded
}

// readable is the id of a record that is no event, where it came before the fault: it tells the sender which.
func readable(id string) string {
	if len(id) > ledger.MaxID {
		return ""
	}
	return id
}

// batch decodes the records of a chunk.
func (w *worker) batch(n int, c *chunk) Batch {
	b := Batch{N: n, Items: make([]Item, len(c.records)), Size: c.size}
	for i, r := range c.records {
		if i%64 == 63 {
			w.steps.Step()
		}
		item, raw := &b.Items[i], c.data[r.start:r.end]
		item.Line = r.line
		switch {
		case r.rule != "":
			item.Err = invalid(fieldEvent, string(raw[:min(len(raw), excerpt)]), r.rule)
		default:
			item.Err = w.one(&item.Event, c, raw)
		}
		if item.Err != nil {
			item.Event = ledger.Event{ID: readable(item.Event.ID)}
		}
	}
	return b
}

// one decodes a record.
func (w *worker) one(e *ledger.Event, c *chunk, raw []byte) *ledger.FieldError {
	if w.mapping != nil {
		return w.mapped(e, c, raw)
	}
	switch {
	case c.columns != nil:
		return w.row.decode(e, c.columns, raw)
	case c.cloudEvents:
		return w.object.cloudEvent(e, raw)
	case c.avro != nil:
		v, bad := w.avro.read(c.avro, raw)
		if bad == nil {
			bad = v.into(e, w.object.measures)
		}
		return bad
	case c.parquet != nil:
		v, bad := w.rows.read(c.parquet, raw)
		if bad == nil {
			bad = v.into(e, w.object.measures)
		}
		return bad
	}
	return w.object.decode(e, raw)
}

// mapped decodes a record whose fields are an upstream's own.
func (w *worker) mapped(e *ledger.Event, c *chunk, raw []byte) (bad *ledger.FieldError) {
	var doc Value
	switch {
	case c.columns != nil:
		doc, bad = w.row.document(c.columns, raw)
	case c.cloudEvents:
		doc, bad = w.object.cloudDocument(raw)
	case c.avro != nil:
		doc, bad = w.avro.read(c.avro, raw)
	case c.parquet != nil:
		doc, bad = w.rows.read(c.parquet, raw)
	default:
		doc, bad = ParseJSON(raw)
	}
	if bad == nil {
		*e, bad = w.mapping.Event(doc, Value{}, w.object.measures)
	}
	return bad
}

// worker decodes on one goroutine.
type worker struct {
	object  objectDecoder
	row     rowDecoder
	avro    avroReader
	rows    rowReader
	mapping *Mapping
	steps   pace.Steps
}

func newWorker(o Options) *worker {
	const size = 64 << 10
	return &worker{
		mapping: o.Mapping,
		object:  objectDecoder{measures: o.Measures, slab: slab{size: size}},
		row:     rowDecoder{slab: slab{size: size}},
	}
}
