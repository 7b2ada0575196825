// Package pace lets long work give way to short work of the same program.
//
// Owns: the count of short work under way, and how long work waits for it.
//
// Guarantees: long work that calls Step waits while short work is under way, but no longer than it has worked since it
// last waited: it keeps at least half of its time, however much short work there is. Work outside of a context made by
// With never waits.
//
// Does not own: what is short and what is long. It knows nothing of other programs on the machine or of other services on
// the same database.
package pace

import (
	"context"
	"sync"
	"time"
)

// Gate counts the short work under way. The zero value is ready; it is safe for concurrent use.
type Gate struct {
	mu    sync.Mutex
	n     int
	empty chan struct{} // closed when n falls to 0; nil: nobody waits for that
}

// Enter says that a piece of short work begins, and the function it returns that it has ended.
func (g *Gate) Enter() (leave func()) {
	g.mu.Lock()
	g.n++
	g.mu.Unlock()
	return g.leave
}

func (g *Gate) leave() {
	g.mu.Lock()
	if g.n--; g.n == 0 && g.empty != nil {
		close(g.empty)
		g.empty = nil
	}
	g.mu.Unlock()
}

// busy is nil if no short work is under way, and else closed when there is none any more.
func (g *Gate) busy() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.n > 0 && g.empty == nil {
		g.empty = make(chan struct{})
	}
	return g.empty
}

type key struct{}

// With is a context of long work that gives way to what is in a gate.
func With(ctx context.Context, g *Gate) context.Context { return context.WithValue(ctx, key{}, g) }

// piece is how long long work works between two looks at the gate.
const piece = time.Millisecond

// Steps are those of long work on one goroutine. The zero value never waits.
type Steps struct {
	gate  *Gate
	since time.Time
	done  <-chan struct{} // of the context
}

// Of begins the steps of the work that a context is for.
func Of(ctx context.Context) Steps {
	g, _ := ctx.Value(key{}).(*Gate)
	if g == nil {
		return Steps{}
	}
	return Steps{gate: g, since: time.Now(), done: ctx.Done()}
}

// Step is called between small pieces of work, of a tenth of a millisecond or so. It waits while short work is under way,
// and not once the context has ended.
func (s *Steps) Step() {
	if s.gate == nil {
		return
	}
	worked := time.Since(s.since)
	if worked < piece {
		return
	}
	if busy := s.gate.busy(); busy != nil {
		timer := time.NewTimer(worked)
		defer timer.Stop()
		select {
		case <-busy:
		case <-timer.C:
		case <-s.done:
		}
	}
	s.since = time.Now()
}
