package api

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"deltaledger/ledger/wire"
)

// stream is the body of a request that is read while it arrives.
type stream struct {
	format   wire.Format
	envelope *envelope // of CloudEvents, nil of other events
	encoding string    // gzip or zstd; empty: the body is read as it is
	length   int64     // as it is sent, where the client says so; 0: it doesn't, or it is empty
	body     io.Reader // decompressed, once unpack was called
	sent     *sentBody // what body reads from
}

// openStream looks at the headers of a request and prepares to read its body.
func openStream(ctx huma.Context) (stream, *Problem) {
	wrapped, p := envelopeOf(ctx)
	format := wire.CloudEvents
	if p == nil && wrapped == nil {
		format, p = formatOf(ctx.Header("Content-Type"))
	}
	if p != nil {
		return stream{}, p
	}
	sent := &sentBody{r: ctx.BodyReader()}
	encoding := strings.ToLower(strings.TrimSpace(ctx.Header("Content-Encoding")))
	switch encoding {
	case "", "identity":
		encoding = ""
	case "x-gzip":
		encoding = "gzip"
	case "gzip", "zstd":
	default:
		p := unsupported.problem("Content-Encoding %s is not supported: send gzip, zstd, or the body as it is", shorten(encoding))
		p.acceptedEncodings = true
		return stream{}, p
	}
	length, err := strconv.ParseInt(ctx.Header("Content-Length"), 10, 64)
	if err != nil || encoding != "" { // what it unpacks into isn't known
		length = 0
	}
	return stream{format: format, envelope: wrapped, encoding: encoding, length: length, body: sent, sent: sent}, nil
}

// zstdWindow is what RFC 9659 lets a client use over HTTP, and so most of the memory that a compressed
// body takes.
const zstdWindow = 8 << 20

// unpack makes the body of st read decompressed. It takes a place, because a few bytes from a client make
// a decompressor take megabytes; done gives both back.
func (s *server) unpack(ctx context.Context, st *stream) (done func(), err error) {
	if st.encoding == "" {
		return func() {}, nil
	}
	leave, err := s.packed.take(ctx, s.patience)
	if err != nil {
		return nil, err
	}
	unpacked, err := st.decompress()
	if err != nil {
		leave()
		return nil, err
	}
	st.body = &unpackedBody{encoding: st.encoding, r: unpacked, sent: st.sent}
	return func() {
		unpacked.Close()
		leave()
	}, nil
}

func (st *stream) decompress() (io.ReadCloser, error) {
	buffered := bufio.NewReaderSize(st.body, 4<<10)
	head, err := buffered.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	magic := "\x1f\x8b" // of gzip
	if st.encoding == "zstd" {
		magic = "\x28\xb5\x2f\xfd"
	}
	if !bytes.HasPrefix(head, []byte(magic)) {
		return nil, malformed.problem("the body isn't %s, as Content-Encoding says", st.encoding)
	}
	unpacked, err := wire.DecompressWithin(buffered, zstdWindow)
	if err != nil {
		return nil, &unpackError{st.encoding, err}
	}
	return unpacked, nil
}

// formatOf is the format of a media type; that of a request without one is JSON.
func formatOf(contentType string) (wire.Format, *Problem) {
	if contentType == "" {
		return wire.JSON, nil
	}
	media, params, err := mime.ParseMediaType(contentType)
	format, ok := wire.FormatOfContentType(contentType)
	switch {
	case media == "application/vnd.apache.parquet":
		return "", unsupported.problem("a Parquet file can't be read while it arrives, because its table of contents stands at its end: record it with the command ingest")
	case err != nil || !ok:
		return "", unsupported.problem("Content-Type %s is not supported: send application/json, application/x-ndjson, text/csv, application/avro or CloudEvents", shorten(contentType))
	}
	if charset := strings.ToLower(params["charset"]); charset != "" && charset != "utf-8" && charset != "us-ascii" {
		return "", unsupported.problem("the charset %s is not supported: send UTF-8", shorten(charset))
	}
	return format, nil
}

// sentBody tells errors of reading a body from those of recording it. It keeps the first: the server ends
// the context of a request whose connection fails, and that may be noticed before.
type sentBody struct {
	r      io.Reader
	bytes  int64 // read so far
	failed atomic.Pointer[Problem]
	read   atomic.Pointer[chan struct{}] // closed when the newest Read has returned
}

// lastWord is how long the answer to a request that was given up waits for the Read that may know why.
const lastWord = time.Second

// problem is why reading failed, nil if it didn't. canceled says that the request's context has ended: a failing
// connection ends it while the Read that tells why is still on its way back.
func (b *sentBody) problem(canceled bool) *Problem {
	if read := b.read.Load(); canceled && read != nil {
		select {
		case <-*read:
		case <-time.After(lastWord):
		}
	}
	return b.failed.Load()
}

func (b *sentBody) Read(p []byte) (int, error) {
	if b.r == nil {
		return 0, io.EOF
	}
	returned := make(chan struct{})
	defer close(returned)
	b.read.Store(&returned)
	n, err := b.r.Read(p)
	b.bytes += int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		p := cutOff(err)
		b.failed.CompareAndSwap(nil, p)
		return n, p
	}
	return n, err
}

// cutOff is the problem of a body that didn't arrive as a whole.
func cutOff(err error) *Problem {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return tooSlow.problem("the client sent nothing for too long")
	}
	if tooLong, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return tooLarge.problem("the body is larger than %d bytes", tooLong.Limit)
	}
	return malformed.problem("the body broke off: %v", err)
}

// unpackError says that a compressed body is broken.
type unpackError struct {
	encoding string
	err      error
}

func (e *unpackError) Error() string { return e.encoding + ": " + e.err.Error() }

func (e *unpackError) Unwrap() error {
	if p, ok := errors.AsType[*Problem](e.err); ok {
		return p
	}
	return malformed.problem("the body can't be unpacked as %s: %v", e.encoding, e.err)
}

// A body that unpacks into more than freeUnpacked may unpack into maxRatio times what was sent of it. Events,
// each with an id of its own, stay far below; white space and repetitions make minutes of work out of a
// megabyte, and hours with zstd.
const (
	freeUnpacked = 64 << 20
	maxRatio     = 250
)

// unpackedBody tells errors of decompressing a body from those of recording it, and bounds what comes out.
type unpackedBody struct {
	encoding string
	r        io.Reader
	sent     *sentBody
	bytes    int64 // came out
}

func (b *unpackedBody) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if b.bytes += int64(n); b.bytes > freeUnpacked && b.bytes/maxRatio > b.sent.bytes {
		return 0, tooLarge.problem("the body unpacks into more than %d times its length: no events look like that", maxRatio)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return n, &unpackError{b.encoding, err}
	}
	return n, err
}

// boundedBody fails with a problem when more than the limit was read.
type boundedBody struct {
	r    io.Reader
	left int64
	what string
}

func (b *boundedBody) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, tooLarge.problem("%s", b.what)
	}
	return n, err
}

// smallBody is how many bytes of a body, unpacked, are read without a place among the large ones.
const smallBody = 1 << 20

// weighedBody takes a place among the large bodies once it turns out to be one. Until then the client
// waits, as it does for a slow network.
type weighedBody struct {
	r    io.Reader
	left int64 // how much may be read without a place
	wait func() (leave func(), err error)

	mu    sync.Mutex
	done  bool // the request ended, which its reader may notice later
	leave func()
}

func (b *weighedBody) Read(p []byte) (int, error) {
	if b.left <= 0 && b.wait != nil {
		if err := b.take(); err != nil {
			return 0, err
		}
		b.wait = nil
	}
	n, err := b.r.Read(p)
	b.left -= int64(n)
	return n, err
}

func (b *weighedBody) take() error {
	leave, err := b.wait()
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.done {
		leave()
		return context.Canceled
	}
	b.leave = leave
	return nil
}

// lighten gives the place back, also one that is still waited for.
func (b *weighedBody) lighten() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.done = true
	if b.leave != nil {
		b.leave()
	}
}
