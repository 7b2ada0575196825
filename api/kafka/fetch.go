package kafka

import (
	"context"
	"time"

	"github.com/google/uuid"
	kafkago "github.com/segmentio/kafka-go"
)

// place is where a partition is read.
type place struct {
	topic     string
	topicID   uuid.UUID
	partition int32
	offset    int64
}

// fetched is what a broker gave.
type fetched struct {
	records []byte
	aborted []abortedTransaction
	end     int64 // the offset behind the last message that is replicated, of open transactions too
	stable  int64 // the offset of the oldest open transaction, or end
	start   int64 // the oldest offset that is still there
}

// fetchWait is how long a broker waits for something to arrive.
const fetchWait = 500 * time.Millisecond

// fetch reads a partition of the broker, at most about most bytes. Error codes of the broker's are kafkago.Errors.
func (b *broker) fetch(ctx context.Context, p place, most int32) (fetched, error) {
	var body builder
	body.int32(-1) // no replica
	body.int32(int32(fetchWait / time.Millisecond))
	body.int32(1) // as soon as there is anything
	body.int32(most)
	body.int8(1)   // only up to the oldest open transaction
	body.int32(0)  // no session
	body.int32(-1) // nor a new one
	body.count(1)
	body.uuid(p.topicID)
	body.count(1)
	body.int32(p.partition)
	body.int32(-1) // whatever epoch the leader is in
	body.int64(p.offset)
	body.int32(-1) // of whatever epoch the last record was
	body.int64(-1) // no replica's log
	body.int32(most)
	body.tags()
	body.tags()
	body.count(0)   // no topic is forgotten
	body.string("") // no rack
	body.tags()
	answer, err := b.ask(ctx, keyFetch, versionFetch, true, body, fetchWait+30*time.Second)
	if err != nil {
		return fetched{}, err
	}
	f := &frame{b: answer}
	f.int32() // throttle
	code := f.int16()
	f.int32() // session
	var out fetched
	f.array(func() {
		f.uuid()
		f.array(func() {
			if c := out.read(f); c != 0 {
				code = c
			}
		})
		f.tags()
	})
	if f.err != nil {
		return fetched{}, f.err
	}
	if code != 0 {
		return out, kafkago.Error(code)
	}
	return out, nil
}

// read reads what was fetched of a partition and returns its error code.
func (o *fetched) read(f *frame) int16 {
	f.int32() // partition
	code := f.int16()
	o.end, o.stable, o.start = f.int64(), f.int64(), f.int64()
	f.array(func() {
		o.aborted = append(o.aborted, abortedTransaction{producer: f.int64(), first: f.int64()})
		f.tags()
	})
	f.int32() // another replica to read from; none without a rack
	o.records = f.bytes()
	f.tags()
	return code
}
