package wire

import (
	"bytes"
	"io"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// stalled gives what it has and then waits until it is released.
type stalled struct {
	data    *bytes.Reader
	waiting chan struct{}
	release chan struct{}
}

func (s *stalled) Read(p []byte) (int, error) {
	if n, err := s.data.Read(p); err == nil {
		return n, nil
	}
	close(s.waiting)
	<-s.release
	return 0, io.ErrUnexpectedEOF
}

// Whoever closes doesn't wait for a sender, and doesn't take the memory from under a Read.
func TestCloseWhileReading(t *testing.T) {
	t.Parallel()
	var zipped, packed bytes.Buffer
	z := gzip.NewWriter(&zipped)
	s, err := zstd.NewWriter(&packed)
	if err != nil {
		t.Fatal(err)
	}
	for range 100_000 {
		for _, w := range []io.Writer{z, s} {
			if _, err := io.WriteString(w, "some line that is repeated\n"); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := z.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := s.Flush(); err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"gzip": zipped.Bytes(), "zstd": packed.Bytes()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sender := &stalled{bytes.NewReader(data), make(chan struct{}), make(chan struct{})}
			r, err := Decompress(sender)
			if err != nil {
				t.Fatal(err)
			}
			ended := make(chan error)
			go func() {
				_, err := io.Copy(io.Discard, r)
				ended <- err
			}()
			<-sender.waiting
			if err := r.Close(); err != nil {
				t.Error(err)
			}
			close(sender.release)
			if err := <-ended; err == nil {
				t.Error("a stream that was cut and closed ended well")
			}
			if n, err := r.Read(make([]byte, 1)); n != 0 || err == nil {
				t.Errorf("a closed one gave %d bytes, %v", n, err)
			}
		})
	}
}
