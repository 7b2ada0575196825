package api

import (
	"context"
	"errors"
	"testing"
	"time"
)

func TestPlaces(t *testing.T) {
	t.Parallel()
	for _, connections := range []int{0, 1, 4, 16, 100} {
		all, taken := newPlaces(connections), 0
		for w := brief + 1; w < works; w++ {
			if cap(all[w]) == 0 {
				t.Errorf("%d connections: no place for work %d", connections, w)
			}
			taken += cap(all[w])
		}
		if connections >= 16 && taken > connections*3/4 {
			t.Errorf("%d connections: %d may be taken, so that too few are left to record with", connections, taken)
		}
	}
}

func TestPlaceIsWaitedFor(t *testing.T) {
	t.Parallel()
	p := make(places, 1)
	leave, err := p.take(t.Context(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.take(t.Context(), time.Nanosecond)
	if problem, ok := errors.AsType[*Problem](err); !ok || problem.Status != 503 || problem.retryAfter == "" {
		t.Errorf("a place that is taken: %v", err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err = p.take(gone, time.Hour); !errors.Is(err, context.Canceled) {
		t.Errorf("a client that left: %v", err)
	}
	leave()
	if _, err = p.take(t.Context(), 0); err != nil {
		t.Errorf("a place that was left: %v", err)
	}
}

// TestReadingTakesTooLong: the database isn't waited for longer than a reading may take.
func TestReadingTakesTooLong(t *testing.T) {
	t.Parallel()
	s := newServer(Config{Reading: time.Nanosecond})
	_, err := do(t.Context(), s, sums, &struct{}{}, func(ctx context.Context, _ *struct{}) (*struct{}, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	})
	if problem, ok := errors.AsType[*Problem](err); !ok || problem.Status != 503 || len(s.places[sums]) != 0 {
		t.Errorf("%v; %d places taken", err, len(s.places[sums]))
	}
}
