package wire

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"

	"deltaledger/ledger"
)

const (
	ruleAvroFile    = "must be a file of Avro objects, which begins with Obj and a byte 1"
	ruleAvroHeader  = "must have a header of at most 4194304 bytes with avro.schema"
	ruleAvroBlock   = "must be a block of at most 33554432 bytes, packed and unpacked"
	ruleAvroMarker  = "must end with the marker of the file: nothing behind it was read"
	ruleAvroCut     = "must be complete: the file ends inside"
	ruleAvroLeft    = "must hold as many records as it says: bytes are left"
	ruleBlockBroken = "; the records behind it in its block were not read: "

	avroMagic     = "Obj\x01"
	maxAvroHeader = 4 << 20
	maxAvroBlock  = 32 << 20
)

// avroSplitter finds the records of a file of Avro objects. What is wrong with a block as a whole ends the input; what is
// wrong within a record ends its block.
type avroSplitter struct {
	in     *bufio.Reader
	schema *avroType
	codec  *avroCodec
	marker [16]byte

	packed bytes.Buffer
	block  avroReader // stands at the next record of the block
	left   int64      // records of the block that weren't found yet
	blocks int64      // so far
	n      int64      // records so far
	taken  int64      // bytes of the input so far
}

// inputReader makes every Read look at ctx first, and counts what came.
type inputReader struct {
	ctx   context.Context
	r     io.Reader
	taken *int64
}

func (i *inputReader) Read(p []byte) (int, error) {
	if err := i.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := i.r.Read(p[:min(len(p), readSize)])
	*i.taken += int64(n)
	return n, err
}

func (s *avroSplitter) split(f *feed, c *chunk) bool {
	before := s.taken
	err := s.prepare(f)
	f.dropped += int(s.taken - before)
	if err != nil {
		if !errors.Is(err, io.EOF) || !errors.Is(f.err, io.EOF) {
			f.err = err
		}
		return false
	}
	c.avro = s.schema
	s.n++
	start := s.block.pos
	bad := s.block.skip(s.schema, 0)
	if bad == nil && s.block.pos == start { // a block could claim any number of them
		bad = fault(ruleNumberNone)
	}
	r := record{start: len(f.data), line: s.n}
	raw := s.block.data[start:s.block.pos]
	switch {
	case bad != nil:
		r.rule = bad.rule + ruleBlockBroken + strconv.FormatInt(s.left-1, 10)
		raw, s.left = nil, 1
		s.block.pos = len(s.block.data)
	case len(raw) > ledger.MaxEvent:
		r.rule, raw = ruleTooLong, raw[:excerpt]
	}
	s.left--
	f.data = append(f.data, raw...)
	r.end = len(f.data)
	f.dropped -= len(raw)
	f.pos = len(f.data)
	c.records = append(c.records, r)
	return true
}

// prepare makes sure that the block has a record left. io.EOF: there is none in the file.
func (s *avroSplitter) prepare(f *feed) error {
	if s.in == nil {
		s.in = bufio.NewReaderSize(&inputReader{f.ctx, f.r, &s.taken}, 64<<10)
		if err := s.header(); err != nil {
			return s.wrong(err, "the header of the Avro file")
		}
	}
	for s.left == 0 {
		if s.block.pos < len(s.block.data) {
			return s.wrong(invalid(s.name(), "", ruleAvroLeft), "")
		}
		if _, err := s.in.Peek(1); errors.Is(err, io.EOF) {
			f.err = io.EOF
			return io.EOF
		}
		s.blocks++
		if err := s.next(); err != nil {
			return s.wrong(err, s.name()+" of the Avro file")
		}
	}
	return nil
}

func (s *avroSplitter) name() string { return "block " + strconv.FormatInt(s.blocks, 10) }

// wrong is err as what ends the input.
func (s *avroSplitter) wrong(err error, what string) error {
	switch {
	case errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return invalid(what, "", ruleAvroCut)
	case errors.Is(err, ledger.ErrInvalid):
		return err
	}
	return fmt.Errorf("read events: %w", err)
}

// long reads a number as Avro writes it.
func (s *avroSplitter) long() (int64, error) {
	var n uint64
	for shift := 0; shift < 64; shift += 7 {
		b, err := s.in.ReadByte()
		if err != nil {
			return 0, err
		}
		if n |= uint64(b&0x7f) << shift; b < 0x80 {
			return int64(n>>1) ^ -int64(n&1), nil //nolint:gosec // the bits are those of the number, in zigzag
		}
	}
	return 0, invalid("Avro file", "", ruleAvroVarint)
}

// header reads the schema, the codec and the marker.
func (s *avroSplitter) header() error {
	magic := make([]byte, len(avroMagic))
	if n, err := io.ReadFull(s.in, magic); err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	} else if n < len(magic) || string(magic) != avroMagic {
		return invalid("Avro file", string(magic[:n]), ruleAvroFile)
	}
	values := map[string]string{}
	for size := 0; ; {
		n, err := s.long()
		if err == nil && n < 0 {
			n = -n
			_, err = s.long()
		}
		switch {
		case err != nil:
			return err
		case n == 0:
			return s.settle(values)
		}
		for range n {
			var pair [2]string
			for i := range pair {
				if pair[i], err = s.text(&size); err != nil {
					return err
				}
			}
			values[pair[0]] = pair[1]
		}
	}
}

// text reads a string of the header; size is that of all so far.
func (s *avroSplitter) text(size *int) (string, error) {
	n, err := s.long()
	if err != nil {
		return "", err
	}
	if n < 0 || n > int64(maxAvroHeader-*size) {
		return "", invalid("Avro file", "", ruleAvroHeader)
	}
	*size += int(n) + 1 // an empty one counts too
	text := make([]byte, n)
	_, err = io.ReadFull(s.in, text)
	return string(text), err
}

// settle takes what the header says.
func (s *avroSplitter) settle(values map[string]string) error {
	text := values["avro.schema"]
	if text == "" {
		return invalid("Avro file", "", ruleAvroHeader)
	}
	schema, err := ParseAvroSchema(text)
	if err != nil {
		return err
	}
	s.schema = schema.root
	if s.codec, err = newAvroCodec(values["avro.codec"]); err != nil {
		return err
	}
	_, err = io.ReadFull(s.in, s.marker[:])
	return err
}

// next reads the next block.
func (s *avroSplitter) next() error {
	count, err := s.long()
	if err != nil {
		return err
	}
	size, err := s.long()
	if err != nil {
		return err
	}
	if count < 0 || size < 0 || size > maxAvroBlock {
		return invalid(s.name(), "", ruleAvroBlock)
	}
	s.packed.Reset()
	if _, err := io.CopyN(&s.packed, s.in, size); err != nil { // grows with what comes, whatever was announced
		return err
	}
	var marker [16]byte
	if _, err := io.ReadFull(s.in, marker[:]); err != nil {
		return err
	}
	if marker != s.marker {
		return invalid(s.name(), "", ruleAvroMarker)
	}
	data, err := s.codec.unpack(s.packed.Bytes())
	if err != nil {
		return invalid(s.name(), "", "can't be unpacked: "+shown(err.Error()))
	}
	s.block, s.left = avroReader{data: data}, count
	return nil
}
