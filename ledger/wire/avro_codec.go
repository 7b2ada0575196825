package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
)

const ruleCodec = "must be null, deflate, snappy or zstandard: the codec of an Avro file"

var errUnpacksLarge = errors.New("it unpacks into more than 33554432 bytes")

// avroCodec unpacks the blocks of a file, into memory that the next block takes over.
type avroCodec struct {
	name string
	room []byte
}

func newAvroCodec(name string) (*avroCodec, error) {
	switch name {
	case "", "null", "deflate", "snappy", "zstandard":
		return &avroCodec{name: name}, nil
	}
	return nil, invalid("avro.codec", name, ruleCodec)
}

// unpack gives the bytes of a block, at most maxAvroBlock.
func (c *avroCodec) unpack(packed []byte) ([]byte, error) {
	switch c.name {
	case "deflate":
		r := flate.NewReader(bytes.NewReader(packed))
		defer r.Close()
		return c.all(r)
	case "zstandard":
		r, err := zstd.NewReader(bytes.NewReader(packed), zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, err
		}
		defer r.Close()
		return c.all(r)
	case "snappy":
		return c.snappy(packed)
	}
	return packed, nil
}

func (c *avroCodec) all(r io.Reader) ([]byte, error) {
	out := bytes.NewBuffer(c.room[:0])
	n, err := io.Copy(out, io.LimitReader(r, maxAvroBlock+1))
	c.room = out.Bytes()
	if err == nil && n > maxAvroBlock {
		err = errUnpacksLarge
	}
	return c.room, err
}

// snappy unpacks a block, behind which its checksum stands.
func (c *avroCodec) snappy(packed []byte) ([]byte, error) {
	const sum = 4
	if len(packed) < sum {
		return nil, io.ErrUnexpectedEOF
	}
	body, want := packed[:len(packed)-sum], binary.BigEndian.Uint32(packed[len(packed)-sum:])
	size, err := s2.DecodedLen(body)
	switch {
	case err != nil:
		return nil, err
	case size > maxAvroBlock || size > 64*len(body)+1024: // no text of snappy unpacks into as much
		return nil, errUnpacksLarge
	}
	if c.room, err = s2.Decode(c.room[:cap(c.room)], body); err != nil {
		return nil, err
	}
	if crc32.ChecksumIEEE(c.room) != want {
		return nil, errors.New("its checksum is wrong")
	}
	return c.room, nil
}
