package pace_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"deltaledger/ledger/pace"
)

func TestLongWorkWaitsForShort(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var gate pace.Gate
		steps := pace.Of(pace.With(t.Context(), &gate))
		waited := func(worked time.Duration) time.Duration {
			time.Sleep(worked)
			before := time.Now()
			steps.Step()
			return time.Since(before)
		}
		if d := waited(10 * time.Millisecond); d != 0 {
			t.Errorf("waited %v for nobody", d)
		}
		leave := gate.Enter()
		go func() {
			time.Sleep(14 * time.Millisecond)
			leave()
		}()
		if d := waited(10 * time.Millisecond); d != 4*time.Millisecond {
			t.Errorf("waited %v for 4 milliseconds of short work", d)
		}
		if d := waited(10 * time.Millisecond); d != 0 {
			t.Errorf("waited %v after the short work had ended", d)
		}
		defer gate.Enter()()
		if d := waited(10 * time.Millisecond); d != 10*time.Millisecond {
			t.Errorf("waited %v: more than it had worked", d)
		}
		if d := waited(100 * time.Microsecond); d != 0 {
			t.Errorf("waited %v after hardly any work", d)
		}
	})
}

func TestShortWorkThatOverlaps(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var gate pace.Gate
		steps := pace.Of(pace.With(t.Context(), &gate))
		first, second := gate.Enter(), gate.Enter()
		time.AfterFunc(time.Second+10*time.Millisecond, first)
		time.AfterFunc(time.Second+20*time.Millisecond, second)
		time.Sleep(time.Second)
		before := time.Now()
		if steps.Step(); time.Since(before) != 20*time.Millisecond {
			t.Errorf("waited %v, not for the last of two", time.Since(before))
		}
	})
}

func TestWhoNeverWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var gate pace.Gate
		defer gate.Enter()()
		without := pace.Of(t.Context())
		ctx, cancel := context.WithCancel(pace.With(t.Context(), &gate))
		ended := pace.Of(ctx)
		cancel()
		time.Sleep(time.Second)
		before := time.Now()
		without.Step()
		ended.Step()
		if d := time.Since(before); d != 0 {
			t.Errorf("waited %v", d)
		}
	})
}
