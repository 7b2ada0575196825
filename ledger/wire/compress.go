package wire

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// maxWindow is how far back a zstd stream may refer, in bytes, and so the memory that reading one takes.
// It is four times what zstd's highest ordinary level needs.
const maxWindow = 32 << 20

// Decompress reads gzip and zstd, which it knows by their first bytes, and passes everything else
// through. Close gives back the memory and does not close r. It may be called while a Read is under way,
// as Decode leaves one behind that waits for a sender: the memory is given back when that one returns.
//
// What comes out is made while it is read: a small file that unpacks into a huge one takes time, not
// memory. A zstd stream that wants a window of more than 32 MiB gives an error.
func Decompress(r io.Reader) (io.ReadCloser, error) { return DecompressWithin(r, maxWindow) }

// DecompressWithin is Decompress with another limit to the window of zstd, in bytes.
func DecompressWithin(r io.Reader, window uint64) (io.ReadCloser, error) {
	buffered := bufio.NewReaderSize(r, 64<<10)
	head, err := buffered.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read the first bytes: %w", err)
	}
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(buffered)
		if err != nil {
			return nil, fmt.Errorf("read gzip: %w", err)
		}
		return &unpacked{z: z}, nil
	case bytes.Equal(head, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		z, err := zstd.NewReader(buffered, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(window))
		if err != nil {
			return nil, fmt.Errorf("read zstd: %w", err)
		}
		return &unpacked{z: z.IOReadCloser()}, nil
	}
	return io.NopCloser(buffered), nil
}

// unpacked closes its decompressor once nobody reads from it any more.
type unpacked struct {
	z       io.ReadCloser
	mu      sync.Mutex
	reading bool
	closed  bool
}

func (u *unpacked) Read(p []byte) (n int, err error) {
	u.mu.Lock()
	if u.closed || u.reading {
		u.mu.Unlock()
		return 0, fs.ErrClosed
	}
	u.reading = true
	u.mu.Unlock()
	n, err = u.z.Read(p)
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.reading = false; u.closed {
		err = errors.Join(err, u.z.Close())
	}
	return n, err
}

func (u *unpacked) Close() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.closed {
		return nil
	}
	if u.closed = true; u.reading {
		return nil // the Read under way closes it
	}
	return u.z.Close()
}
