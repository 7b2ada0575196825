package kafka

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"time"

	kafkago "github.com/segmentio/kafka-go"
)

// The requests that this package makes itself. By their versions brokers know topics by their ids, which the client
// library doesn't.
const (
	keyFetch, versionFetch       = 1, 13
	keyMetadata, versionMetadata = 3, 12
	keyVersions                  = 18
)

// maxAnswer is how long an answer may be, in bytes. Brokers give at least one whole batch, however little was asked for.
const maxAnswer = 512 << 20

// broker is a connection to a broker, with one request under way at a time.
type broker struct {
	conn net.Conn
	r    *bufio.Reader
	n    int32 // requests so far
}

// connect makes a connection to a broker and sees to it that the broker is new enough.
func (l *link) connect(ctx context.Context, address string) (*broker, error) {
	conn, err := l.dial(ctx, address)
	if err != nil {
		return nil, fmt.Errorf("connect to broker %s: %w", address, err)
	}
	b := &broker{conn: conn, r: bufio.NewReaderSize(conn, 64<<10)}
	if err := b.checkVersions(ctx); err != nil {
		b.close()
		return nil, fmt.Errorf("broker %s: %w", address, err)
	}
	return b, nil
}

func (b *broker) close() { _ = b.conn.Close() } // only requests without effect are under way

func (b *broker) checkVersions(ctx context.Context) error {
	answer, err := b.ask(ctx, keyVersions, 0, false, nil, dialTimeout)
	if err != nil {
		return err
	}
	f := frame{b: answer}
	if code := f.int16(); code != 0 {
		return kafkago.Error(code)
	}
	newest := map[int16]int16{}
	for n := f.int32(); n > 0 && f.err == nil; n-- {
		key := f.int16()
		f.int16() // the oldest version
		newest[key] = f.int16()
	}
	if f.err == nil && (newest[keyFetch] < versionFetch || newest[keyMetadata] < versionMetadata) {
		return fmt.Errorf("it is older than Kafka 3.1 and doesn't know topics by their ids, without which one that was deleted and made anew could be taken for the old one")
	}
	return f.err
}

// ask sends a request and returns the body of the answer. flexible says which headers request and answer have. If ctx
// ends, or no answer comes within patience, the connection is of no use any more.
func (b *broker) ask(ctx context.Context, key, version int16, flexible bool, body builder, patience time.Duration) ([]byte, error) {
	if err := b.conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = b.conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	b.n++
	request := builder(make([]byte, 4, 64+len(body)))
	request.int16(key)
	request.int16(version)
	request.int32(b.n)
	request.int16(int16(len(clientID)))
	request = append(request, clientID...)
	if flexible {
		request.tags()
	}
	request = append(request, body...)
	binary.BigEndian.PutUint32(request, uint32(len(request)-4))
	if _, err := b.conn.Write(request); err != nil {
		return nil, b.fault(ctx, err)
	}
	answer, err := b.read()
	if err != nil {
		return nil, b.fault(ctx, err)
	}
	f := frame{b: answer}
	if n := f.int32(); n != b.n {
		return nil, fmt.Errorf("the answer is to request %d and not to %d: %w", n, b.n, errFrame)
	}
	if flexible {
		f.tags()
	}
	return f.b, f.err
}

// fault tells an end of ctx from one of the connection.
func (b *broker) fault(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

func (b *broker) read() ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(b.r, head[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > maxAnswer {
		return nil, fmt.Errorf("an answer of %d bytes: %w", n, errFrame)
	}
	answer := make([]byte, n)
	_, err := io.ReadFull(b.r, answer)
	return answer, err
}
