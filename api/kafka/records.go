package kafka

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"time"

	"github.com/segmentio/kafka-go/compress"
)

// abortedTransaction is one whose records from its first offset up to its abort marker don't count.
type abortedTransaction struct {
	producer int64
	first    int64
}

// batchHead is what a batch of records says of itself.
type batchHead struct {
	base       int64
	lastDelta  int32
	attributes int16
	time       int64 // of the first record, in milliseconds since 1970
	maxTime    int64
	producer   int64
	count      int32
}

const (
	batchPrefix = 12 // offset and length, which the length doesn't count
	batchMin    = 61 // of a batch without records

	attrCompression   = 7
	attrLogAppendTime = 1 << 3
	attrTransactional = 1 << 4
	attrControl       = 1 << 5
)

// maxInflated is how large a batch may be when it is decompressed, in bytes.
const maxInflated = 256 << 20

// errBatch says that a batch of records can't be read. It isn't a fault of a message: reading again may help.
var errBatch = errors.New("a batch of records can't be read")

// readCommitted appends the messages of data from offset on that count, and returns the offset behind the last whole batch:
// what lies between counts for nothing, or was removed by compaction. aborted is what the broker says of the transactions
// in data.
func readCommitted(messages []Message, topic string, partition int32, data []byte, aborted []abortedTransaction, offset int64) ([]Message, int64, error) {
	aborted = slices.Clone(aborted)
	slices.SortFunc(aborted, func(a, b abortedTransaction) int { return cmp.Compare(a.first, b.first) })
	inside := map[int64]bool{} // producers in an aborted transaction at this point of the log
	next := offset
	for len(data) >= batchPrefix {
		size := batchPrefix + int(int32(binary.BigEndian.Uint32(data[8:])))
		if size > len(data) { // the broker cut it: it comes whole with the next answer
			break
		}
		head, records, err := openBatch(data[:max(size, 0)])
		if err != nil {
			return messages, next, fmt.Errorf("%s partition %d at offset %d: %w", topic, partition, next, err)
		}
		data = data[size:]
		last := head.base + int64(head.lastDelta)
		for len(aborted) > 0 && aborted[0].first <= last {
			inside[aborted[0].producer] = true
			aborted = aborted[1:]
		}
		switch {
		case head.attributes&attrControl != 0:
			if isAbort(records) {
				delete(inside, head.producer)
			}
		case head.attributes&attrTransactional != 0 && inside[head.producer]:
		case last >= offset:
			messages, err = readRecords(messages, Message{Topic: topic, Partition: partition}, head, records, offset)
			if err != nil {
				return messages, next, fmt.Errorf("%s partition %d at offset %d: %w", topic, partition, head.base, err)
			}
		}
		next = max(next, last+1)
	}
	return messages, next, nil
}

var errFormat = fmt.Errorf("%w: it is in a message format from before Kafka 0.11", errBatch)

// openBatch checks a whole batch and decompresses its records.
func openBatch(b []byte) (h batchHead, records []byte, err error) {
	if len(b) > batchPrefix+4 && b[batchPrefix+4] < 2 {
		return h, nil, errFormat
	}
	if len(b) < batchMin {
		return h, nil, fmt.Errorf("%w: it has %d bytes", errBatch, len(b))
	}
	f := &frame{b: b}
	h.base = f.int64()
	f.take(4 + 4) // length, leader epoch
	f.int8()      // format
	crc := uint32(f.int32())
	if got := crc32.Checksum(f.b, crc32.MakeTable(crc32.Castagnoli)); got != crc {
		return h, nil, fmt.Errorf("%w: its checksum is %08x and not %08x", errBatch, got, crc)
	}
	h.attributes, h.lastDelta, h.time, h.maxTime, h.producer = f.int16(), f.int32(), f.int64(), f.int64(), f.int64()
	f.take(2 + 4) // producer epoch, first sequence number
	h.count = f.int32()
	records, err = inflate(f.b, h.attributes)
	return h, records, err
}

func inflate(b []byte, attributes int16) ([]byte, error) {
	kind := compress.Compression(attributes & attrCompression)
	if kind == compress.None || len(b) == 0 {
		return b, nil
	}
	codec := kind.Codec()
	if codec == nil {
		return nil, fmt.Errorf("%w: its compression %d is unknown", errBatch, kind)
	}
	r := codec.NewReader(bytes.NewReader(b))
	defer r.Close()
	var out bytes.Buffer
	n, err := out.ReadFrom(io.LimitReader(r, maxInflated+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: decompress it with %s: %w", errBatch, codec.Name(), err)
	case n > maxInflated:
		return nil, fmt.Errorf("%w: decompressed it has more than %d MiB", errBatch, maxInflated>>20)
	}
	return out.Bytes(), nil
}

// isAbort reports that a control batch ends a transaction by aborting it.
func isAbort(records []byte) bool {
	f := &frame{b: records}
	f.varint()
	f.int8()
	f.varint()
	f.varint()
	key := frame{b: f.recordBytes()}
	key.int16() // version
	return key.int16() == 0 && key.err == nil && f.err == nil
}

// readRecords appends the records of a batch from offset on. like holds what all have in common.
func readRecords(messages []Message, like Message, h batchHead, records []byte, offset int64) ([]Message, error) {
	f := &frame{b: records}
	messages = slices.Grow(messages, max(0, min(int(h.count), len(records))))
	for range h.count {
		size := f.varint()
		if size > int64(len(f.b)) {
			return messages, fmt.Errorf("%w: a record is cut", errBatch)
		}
		r := frame{b: f.take(int(size)), err: f.err}
		m := like
		r.int8() // attributes, which have no meaning
		at := h.time + r.varint()
		if h.attributes&attrLogAppendTime != 0 {
			at = h.maxTime
		}
		m.Time = time.UnixMilli(at).UTC()
		m.Offset = h.base + r.varint()
		m.Key = r.recordBytes()
		m.Value = r.recordBytes()
		if n := r.varint(); n > 0 && n <= int64(len(r.b)) {
			m.Headers = make([]Header, n)
			for i := range m.Headers {
				m.Headers[i] = Header{Key: string(r.recordBytes()), Value: r.recordBytes()}
			}
		} else if n != 0 {
			r.err = errFrame
		}
		if r.err != nil {
			return messages, fmt.Errorf("%w: its record %d: %w", errBatch, m.Offset, r.err)
		}
		if m.Offset >= offset {
			messages = append(messages, m)
		}
	}
	return messages, nil
}
