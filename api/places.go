package api

import (
	"context"
	"errors"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"deltaledger/ledger/pace"
)

// work is a kind of work that holds a connection to the database for long, or much memory.
type work int

const (
	brief     work = iota // needs no place
	sums                  // aggregates; in memory until the client took them
	views                 // lists and streams
	downloads             // files, which hold a connection until the client took them
	runs                  // closes and reconciliations
	works                 // how many kinds there are
)

// limited reports that the work must be done within Config.Reading.
func (w work) limited() bool { return w == sums || w == views }

// places bounds how many requests do work of a kind at once.
type places chan struct{}

// newPlaces shares the connections of a pool out among the kinds of work: whatever readers ask for,
// every fourth connection is left to record with. Runs are two, because the second waits for the first
// and the first may need another connection.
func newPlaces(connections int) (all [works]places) {
	all[sums] = make(places, max(1, connections/5))
	all[views] = make(places, max(1, connections/4))
	all[downloads] = make(places, max(1, connections/5))
	all[runs] = make(places, max(1, min(2, connections/8)))
	return all
}

// take waits for a place, at most for patience.
func (p places) take(ctx context.Context, patience time.Duration) (leave func(), err error) {
	leave = func() { <-p }
	select {
	case p <- struct{}{}:
		return leave, nil
	default:
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case p <- struct{}{}:
		return leave, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-timer.C:
		refusal := busy.problem("as many requests of this kind as the server takes at once are under way; nothing of this one was done")
		refusal.retryAfter = retrySoon
		return nil, refusal
	}
}

// do runs handler in a place for its work. A place is kept until the answer was written, where the
// answer is written while it is read.
func do[I, O any](ctx context.Context, s *server, w work, in *I, handler func(context.Context, *I) (*O, error)) (*O, error) {
	if w == brief {
		return handler(ctx, in)
	}
	leave, err := s.places[w].take(ctx, s.patience)
	if err != nil {
		return nil, err
	}
	kept := false
	defer func() {
		if !kept {
			leave()
		}
	}()
	ctx = pace.With(ctx, s.short)
	bounded, cancel := ctx, func() {}
	if w.limited() {
		bounded, cancel = context.WithTimeout(ctx, s.reading)
	}
	defer cancel()
	out, err := handler(bounded, in)
	if err != nil {
		if ctx.Err() == nil && errors.Is(bounded.Err(), context.DeadlineExceeded) {
			late := busy.problem("the answer would take longer than the %v that it may: narrow it by account, dates or other filters", s.reading)
			late.retryAfter = retrySoon
			return nil, late
		}
		return nil, err
	}
	if streamed, ok := any(out).(*huma.StreamResponse); ok {
		write := streamed.Body
		streamed.Body = func(hc huma.Context) {
			defer leave()
			write(hc)
		}
		kept = true
	}
	return out, nil
}
