package api

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"
)

// TestLargeBodiesTakeTurns: small bodies pass by, large ones are read on one after the other.
func TestLargeBodiesTakeTurns(t *testing.T) {
	t.Parallel()
	s := newServer(Config{Streams: 4, Silence: time.Millisecond})
	body := func(size int) (io.Reader, func()) {
		return s.weigh(t.Context(), io.LimitReader(endlessSpaces{}, int64(size)), false)
	}
	first, leave := body(3 * smallBody)
	if n, err := io.Copy(io.Discard, first); n != 3*smallBody || err != nil {
		t.Fatalf("%d bytes, %v", n, err)
	}
	second, nothing := body(3 * smallBody)
	if _, err := io.Copy(io.Discard, second); !isBusy(err) {
		t.Errorf("a second large body beside the first: %v", err)
	}
	nothing()
	small, lighten := body(smallBody / 2)
	if _, err := io.Copy(io.Discard, small); err != nil {
		t.Errorf("a small body beside a large one: %v", err)
	}
	lighten()
	leave()
	third, leave := body(3 * smallBody)
	if _, err := io.Copy(io.Discard, third); err != nil {
		t.Errorf("a large body after the first: %v", err)
	}
	if leave(); len(s.large) != 0 {
		t.Errorf("%d places are still taken", len(s.large))
	}
}

type endlessSpaces struct{}

func (endlessSpaces) Read(p []byte) (int, error) { return copy(p, strings.Repeat(" ", len(p))), nil }

func isBusy(err error) bool {
	p, ok := errors.AsType[*Problem](err)
	return ok && p.Status == busy.Status
}
