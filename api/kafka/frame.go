package kafka

import (
	"encoding/binary"
	"errors"

	"github.com/google/uuid"
)

// errFrame says that an answer of a broker isn't what the protocol says.
var errFrame = errors.New("the broker's answer can't be read")

// frame reads the fields of an answer, in the protocol's "flexible" encoding unless a method says otherwise. After
// something that can't be read every method returns zero, and err is set.
type frame struct {
	b   []byte
	err error
}

func (f *frame) take(n int) []byte {
	if f.err != nil || n < 0 || n > len(f.b) {
		f.err = errFrame
		return nil
	}
	taken := f.b[:n:n]
	f.b = f.b[n:]
	return taken
}

func (f *frame) int8() int8 {
	if b := f.take(1); b != nil {
		return int8(b[0])
	}
	return 0
}

func (f *frame) int16() int16 {
	if b := f.take(2); b != nil {
		return int16(binary.BigEndian.Uint16(b))
	}
	return 0
}

func (f *frame) int32() int32 {
	if b := f.take(4); b != nil {
		return int32(binary.BigEndian.Uint32(b))
	}
	return 0
}

func (f *frame) int64() int64 {
	if b := f.take(8); b != nil {
		return int64(binary.BigEndian.Uint64(b))
	}
	return 0
}

func (f *frame) uuid() (id uuid.UUID) {
	copy(id[:], f.take(len(id)))
	return id
}

func (f *frame) uvarint() uint64 {
	v, n := binary.Uvarint(f.b)
	if f.take(n); n <= 0 {
		f.err = errFrame
		return 0
	}
	return v
}

// varint is the signed, zigzag form, of records.
func (f *frame) varint() int64 {
	v, n := binary.Varint(f.b)
	if f.take(n); n <= 0 {
		f.err = errFrame
		return 0
	}
	return v
}

// length of what follows, or -1 for null.
func (f *frame) length() int {
	n := int(f.uvarint()) - 1
	if n > len(f.b) {
		f.err = errFrame
	}
	if f.err != nil {
		return 0
	}
	return n
}

func (f *frame) bytes() []byte {
	if n := f.length(); n >= 0 {
		return f.take(n)
	}
	return nil
}

func (f *frame) string() string { return string(f.bytes()) }

// array calls each for every element.
func (f *frame) array(each func()) {
	for n := f.length(); n > 0 && f.err == nil; n-- {
		each()
	}
}

// tags skips the tagged fields that end a structure.
func (f *frame) tags() {
	for n := f.uvarint(); n > 0 && f.err == nil; n-- {
		f.uvarint()
		f.take(int(f.uvarint()))
	}
}

// recordBytes are bytes of a record, whose length is signed.
func (f *frame) recordBytes() []byte {
	n := f.varint()
	if n < 0 {
		return nil
	}
	if n > int64(len(f.b)) {
		f.err = errFrame
		return nil
	}
	return f.take(int(n))
}

// builder writes the fields of a request.
type builder []byte

func (b *builder) int8(v int8)   { *b = append(*b, byte(v)) }
func (b *builder) int16(v int16) { *b = binary.BigEndian.AppendUint16(*b, uint16(v)) }
func (b *builder) int32(v int32) { *b = binary.BigEndian.AppendUint32(*b, uint32(v)) }
func (b *builder) int64(v int64) { *b = binary.BigEndian.AppendUint64(*b, uint64(v)) }

// count begins an array of n elements.
func (b *builder) count(n int) { *b = binary.AppendUvarint(*b, uint64(n)+1) }

func (b *builder) string(s string) {
	b.count(len(s))
	*b = append(*b, s...)
}

func (b *builder) uuid(id uuid.UUID) { *b = append(*b, id[:]...) }

// tags ends a structure that has no tagged fields.
func (b *builder) tags() { *b = append(*b, 0) }
