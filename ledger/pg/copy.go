package pg

import (
	"context"
	"encoding/binary"
	"io"

	"github.com/jackc/pgx/v5"

	"deltaledger/ledger/pace"
)

// copyHeader and copyTrailer frame the tuples of a binary COPY.
// Format: PostgreSQL documentation, COPY, "Binary Format".
const (
	copyHeader  = "PGCOPY\n\xff\r\n\x00\x00\x00\x00\x00\x00\x00\x00\x00"
	copyTrailer = "\xff\xff"
)

// CopyIn sends encoded binary tuples, without header and trailer, by a statement of the form
// COPY table (columns) FROM STDIN BINARY, and returns how many rows were stored.
func CopyIn(ctx context.Context, tx pgx.Tx, sql string, tuples ...[]byte) (int64, error) {
	parts := make([][]byte, 0, len(tuples)+2)
	parts = append(parts, []byte(copyHeader))
	parts = append(parts, tuples...)
	tag, err := tx.Conn().PgConn().CopyFrom(ctx, &chain{append(parts, []byte(copyTrailer)), pace.Of(ctx)}, sql)
	return tag.RowsAffected(), err
}

// CopyOut runs a COPY … TO STDOUT statement and writes what the server sends to w. Parameters can't be
// bound in a COPY: values must have been quoted by the caller.
func CopyOut(ctx context.Context, tx pgx.Tx, w io.Writer, sql string) (int64, error) {
	tag, err := tx.Conn().PgConn().CopyTo(ctx, &paced{w: w, steps: pace.Of(ctx)}, sql)
	return tag.RowsAffected(), err
}

// paced is a writer of rows that gives way to short work now and then.
type paced struct {
	w     io.Writer
	rows  uint
	steps pace.Steps
}

func (p *paced) Write(row []byte) (int, error) {
	if p.rows++; p.rows%64 == 0 {
		p.steps.Step()
	}
	return p.w.Write(row)
}

// Tuple is one row of a binary COPY: its fields as PostgreSQL sends them, nil for null. It is valid until
// the next row is read.
type Tuple [][]byte

// CopyTuples runs COPY (query) TO STDOUT BINARY and calls each with every row. An error of each ends the
// reading of rows, but the statement is let come to its end, so that the transaction goes on.
func CopyTuples(ctx context.Context, tx pgx.Tx, query string, each func(Tuple) error) error {
	t := tuples{each: each}
	if _, err := tx.Conn().PgConn().CopyTo(ctx, &paced{w: &t, steps: pace.Of(ctx)}, "COPY ("+query+") TO STDOUT BINARY"); err != nil {
		return err
	}
	if t.err == nil && !t.ended {
		return io.ErrUnexpectedEOF
	}
	return t.err
}

// tuples splits what a binary COPY sends into rows.
type tuples struct {
	each   func(Tuple) error
	fields Tuple
	rest   []byte // the beginning of what didn't come whole
	began  bool
	ended  bool
	err    error
}

// Write never fails: the connection would be given up.
func (t *tuples) Write(p []byte) (int, error) {
	if t.err != nil || t.ended {
		return len(p), nil
	}
	data := p
	if len(t.rest) > 0 {
		t.rest = append(t.rest, p...)
		data = t.rest
	}
	used := 0
	for t.err == nil && !t.ended {
		n := t.next(data[used:])
		if n == 0 {
			break
		}
		used += n
	}
	t.rest = append(t.rest[:0], data[used:]...)
	return len(p), nil
}

// next takes the header, a row or the trailer from the beginning of d and returns its size, 0 if it isn't
// all there.
func (t *tuples) next(d []byte) int {
	if !t.began {
		if len(d) < len(copyHeader) {
			return 0
		}
		extension := int(binary.BigEndian.Uint32(d[len(copyHeader)-4:]))
		if len(d) < len(copyHeader)+extension {
			return 0
		}
		t.began = true
		return len(copyHeader) + extension
	}
	if len(d) < 2 {
		return 0
	}
	count := binary.BigEndian.Uint16(d)
	if count == 0xffff {
		t.ended = true
		return 2
	}
	t.fields = t.fields[:0]
	at := 2
	for range count {
		if len(d) < at+4 {
			return 0
		}
		size := int32(binary.BigEndian.Uint32(d[at:]))
		at += 4
		if size < 0 {
			t.fields = append(t.fields, nil)
			continue
		}
		if len(d) < at+int(size) {
			return 0
		}
		t.fields = append(t.fields, d[at:at+int(size):at+int(size)])
		at += int(size)
	}
	t.err = t.each(t.fields)
	return at
}

// chain reads slices one after the other. It fills what it is given: each Read becomes one message.
// Between messages it gives way to short work.
type chain struct {
	parts [][]byte
	steps pace.Steps
}

func (c *chain) Read(p []byte) (int, error) {
	c.steps.Step()
	n := 0
	for n < len(p) && len(c.parts) > 0 {
		k := copy(p[n:], c.parts[0])
		n += k
		if c.parts[0] = c.parts[0][k:]; len(c.parts[0]) == 0 {
			c.parts = c.parts[1:]
		}
	}
	if n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return n, nil
}
