package ledger

import (
	"context"
	"sync"
	"time"
)

// shared is the watermark that those who ask for one at the same time take together.
type shared struct {
	mu     sync.Mutex
	next   *take         // not begun: whoever asks now joins it; nil: there is none
	taking chan struct{} // has room for one: the take that is under way
}

// take is one watermark being taken for several callers.
type take struct {
	callers int // who still wait
	cancel  context.CancelFunc
	done    chan struct{} // closed when the rest is set
	w       Watermark
	err     error
}

// ShareWatermark is TakeWatermark for callers who only need one that covers what was committed before they
// asked: those who ask while another is being taken share the next one. It is given up when all of them
// have left.
func (l *Ledger) ShareWatermark(ctx context.Context) (Watermark, error) {
	s := &l.shared
	s.mu.Lock()
	t := s.next
	if t == nil {
		var own context.Context
		t = &take{done: make(chan struct{})}
		own, t.cancel = context.WithCancel(context.WithoutCancel(ctx))
		s.next = t
		go l.takeShared(own, t)
	}
	t.callers++
	s.mu.Unlock()
	select {
	case <-t.done:
		return t.w, t.err
	case <-ctx.Done():
		s.mu.Lock()
		defer s.mu.Unlock()
		if t.callers--; t.callers == 0 {
			t.cancel()
			if s.next == t { // nobody may join what was given up
				s.next = nil
			}
		}
		return Watermark{}, context.Cause(ctx)
	}
}

// takeShared takes t when the one before has been taken. From then on nobody joins it: the last position
// that it covers is about to be read.
func (l *Ledger) takeShared(ctx context.Context, t *take) {
	s := &l.shared
	defer t.cancel()
	defer close(t.done)
	select {
	case s.taking <- struct{}{}:
	case <-ctx.Done():
		t.err = ctx.Err()
		return
	}
	defer func() { <-s.taking }()
	s.mu.Lock()
	if s.next == t {
		s.next = nil
	}
	s.mu.Unlock()
	t.w, t.err = l.TakeWatermark(ctx)
}

// patience is how long whoever has recorded events waits for a watermark that covers them.
const patience = 10 * time.Second

// Covering is a watermark for somebody who has just recorded n events. It covers them, unless another
// writer hangs: everything is durable by now, and whoever sent it shouldn't have to wait for others.
func (l *Ledger) Covering(ctx context.Context, n int64) (Watermark, error) {
	if n > 0 {
		bounded, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		if w, err := l.ShareWatermark(bounded); err == nil || ctx.Err() != nil {
			return w, err
		}
	}
	return l.Current(ctx)
}
