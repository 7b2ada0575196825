package wire

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"deltaledger/ledger"
)

const (
	readSize = 256 << 10 // bytes that one Read may bring
	maxChunk = 4 << 20   // a chunk is full when it has more bytes than this
)

// feed reads an input into the buffers of chunks, one after the other.
type feed struct {
	ctx     context.Context
	r       io.Reader
	size    int    // of the input, 0 where it isn't known
	data    []byte // of the current chunk: what was read
	pos     int    // what lies before it belongs to records
	dropped int    // bytes of the current chunk that were read and not kept
	started bool
	err     error // why nothing more can be read; io.EOF at the end
}

// begin makes c the current chunk; what wasn't used of the one before comes first.
func (f *feed) begin(c *chunk) {
	c.data = append(c.data[:0], f.data[f.pos:]...)
	c.records, c.columns, c.avro, c.parquet, c.size = c.records[:0], nil, nil, nil, 0
	f.data, f.pos, f.dropped = c.data, 0, 0
}

// finish gives c what belongs to its records.
func (f *feed) finish(c *chunk) {
	c.data, c.size = f.data, f.pos+f.dropped
}

// more reads further bytes behind data; false if there are none.
func (f *feed) more() bool {
	for empty := 0; f.err == nil; empty++ {
		if f.err = f.ctx.Err(); f.err != nil {
			break
		}
		if least, room := f.room(); cap(f.data)-len(f.data) < least {
			grown := make([]byte, len(f.data), 2*cap(f.data)+room)
			copy(grown, f.data)
			f.data = grown
		}
		room := f.data[len(f.data):cap(f.data)]
		n, err := f.r.Read(room[:min(len(room), readSize)])
		f.data = f.data[:len(f.data)+n]
		switch {
		case err != nil && !errors.Is(err, io.EOF):
			f.err = fmt.Errorf("read events: %w", err)
		case err != nil:
			f.err = io.EOF
		case empty > 100:
			f.err = fmt.Errorf("read events: %w", io.ErrNoProgress)
		}
		if n > 0 {
			return true
		}
	}
	return false
}

// room says how little room there may be for a Read, and how much is made where there is less.
func (f *feed) room() (least, made int) {
	const end = 512 // what it takes to see that nothing follows
	if f.size > 0 && len(f.data) < f.size && f.size < readSize {
		return f.size - len(f.data) + end, f.size + end
	}
	return min(readSize/4, max(end, cap(f.data)/2)), readSize
}

// skipMark reads past a byte order mark at the beginning of the input.
func (f *feed) skipMark() {
	const mark = "\xef\xbb\xbf"
	if f.started {
		return
	}
	f.started = true
	for len(f.data) < len(mark) && f.more() {
		continue
	}
	if bytes.HasPrefix(f.data, []byte(mark)) {
		f.pos = len(mark)
	}
}

// lineEnd is what the search for the end of a line came to.
type lineEnd int

const (
	lineFound lineEnd = iota // the line ends in front of a line feed
	lineLast                 // the line ends with the input
	lineLong                 // the line is longer than an event may be
	lineNone                 // there is no line: the input ended before it, or can't be read
)

// line finds the end of the line that begins at from. The line may have most bytes.
func (f *feed) line(from, most int) (end int, what lineEnd) {
	for searched := from; ; {
		if i := bytes.IndexByte(f.data[searched:], '\n'); i >= 0 {
			end = searched + i
			if end-from > most {
				return end, lineLong
			}
			return end, lineFound
		}
		searched = len(f.data)
		if searched-from > most+len("\r") {
			return searched, lineLong
		}
		if !f.more() {
			switch {
			case !errors.Is(f.err, io.EOF) || len(f.data) == from:
				return from, lineNone
			case len(f.data)-from > most:
				return len(f.data), lineLong
			}
			return len(f.data), lineLast
		}
	}
}

// skipLong reads past a line that is too long to keep, and makes the record that says so.
func (f *feed) skipLong(c *chunk, line int64) {
	start, kept := f.pos, f.pos+excerpt
	c.records = append(c.records, record{start: start, end: kept, line: line, rule: ruleTooLong})
	for from := kept; ; {
		if i := bytes.IndexByte(f.data[from:], '\n'); i >= 0 {
			f.pos = from + i + 1
			return
		}
		f.dropped += len(f.data) - kept
		f.data, from = f.data[:kept], kept
		if !f.more() {
			f.pos = kept
			return
		}
	}
}

// lineSplitter splits NDJSON.
type lineSplitter struct{ line int64 }

func (l *lineSplitter) split(f *feed, c *chunk) bool {
	f.skipMark()
	l.line++
	end, what := f.line(f.pos, ledger.MaxEvent)
	switch what {
	case lineNone:
		return false
	case lineLong:
		f.skipLong(c, l.line)
		return true
	}
	if start := f.pos + spaces(f.data[f.pos:end]); start < end {
		c.records = append(c.records, record{start: start, end: end, line: l.line})
	}
	f.pos = min(end+1, len(f.data))
	return true
}

// spaces counts the white space that b begins with.
func spaces(b []byte) (n int) {
	for n < len(b) && (b[n] == ' ' || b[n] == '\t' || b[n] == '\r' || b[n] == '\n') {
		n++
	}
	return n
}

// cut reports whether the input can't be read to its end, so that what was read last may be incomplete.
func (f *feed) cut() bool { return f.err != nil && !errors.Is(f.err, io.EOF) }
