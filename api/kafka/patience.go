package kafka

import (
	"context"
	"time"
)

// patience is how long to wait before the next try: longer after each, up to a bound.
type patience struct{ next time.Duration }

const (
	leastPatience = 100 * time.Millisecond
	mostPatience  = 5 * time.Second
)

func newPatience() *patience { return &patience{leastPatience} }

func (p *patience) reset() { p.next = leastPatience }

// sleep waits; false if ctx ends before.
func (p *patience) sleep(ctx context.Context) bool {
	timer := time.NewTimer(p.next)
	defer timer.Stop()
	p.next = min(2*p.next, mostPatience)
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
