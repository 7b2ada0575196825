package ledger

import (
	"context"
	"sync"
)

// takers lets readers share watermarks, so that a hundred that ask at once don't wait for one another in
// the database. A reader may use a watermark only if it was begun after the reader asked: an earlier one
// might not cover what the reader knows to be recorded. So there is one being taken and one that begins
// when that ends, for all who ask meanwhile. The zero value is ready.
type takers struct {
	mu   sync.Mutex
	now  *taking // nil: none is being taken
	next *taking // nil: nobody has asked since now began
}

// taking is a watermark that is being taken, or will be.
type taking struct {
	waiting int // readers; when the last one gives up, nobody needs it
	ended   bool
	cancel  context.CancelFunc
	done    chan struct{}
	w       Watermark
	err     error
}

// take returns a watermark that was begun after take was called, with one call of f for all who ask
// while another is under way. f gets a context of its own, which ends when nobody waits any more.
func (s *takers) take(ctx context.Context, f func(context.Context) (Watermark, error)) (Watermark, error) {
	t := s.join(ctx, f)
	select {
	case <-t.done:
		s.leave(t)
		return t.w, t.err
	case <-ctx.Done():
		s.leave(t)
		return Watermark{}, ctx.Err()
	}
}

func (s *takers) join(ctx context.Context, f func(context.Context) (Watermark, error)) *taking {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now == nil {
		s.now = &taking{done: make(chan struct{})}
		s.begin(ctx, s.now, f)
		s.now.waiting++
		return s.now
	}
	if s.next == nil {
		s.next = &taking{done: make(chan struct{})}
	}
	s.next.waiting++
	return s.next
}

// begin starts f for t. The lock is held.
func (s *takers) begin(ctx context.Context, t *taking, f func(context.Context) (Watermark, error)) {
	ctx, t.cancel = context.WithCancel(context.WithoutCancel(ctx))
	go func() {
		t.w, t.err = f(ctx)
		s.mu.Lock()
		defer s.mu.Unlock()
		t.ended = true
		t.cancel()
		close(t.done)
		if s.now, s.next = s.next, nil; s.now != nil {
			s.begin(ctx, s.now, f)
		}
	}()
}

// leave ends a taking that nobody waits for.
func (s *takers) leave(t *taking) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.waiting--; t.waiting > 0 || t.ended {
		return
	}
	if t == s.next {
		s.next = nil
		return
	}
	t.cancel()
}
