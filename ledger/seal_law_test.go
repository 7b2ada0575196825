package ledger_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"deltaledger/ledger"
	"deltaledger/ledger/proof"
)

// However recording, drawing without recording, watermarks and sealing follow each other, the chain verifies,
// binds every fact below its end exactly once, and grows: an earlier checkpoint is in every later chain.
func TestSealingInAnySteps(t *testing.T) {
	t.Parallel()
	l, s, db := sealing(t)
	streams := 0
	var checkpoints []proof.Checkpoint
	rapid.Check(t, func(r *rapid.T) {
		for range rapid.IntRange(1, 6).Draw(r, "steps") {
			switch rapid.IntRange(0, 4).Draw(r, "step") {
			case 0, 1:
				streams++
				appendAll(t, l, sales(fmt.Sprint("o", streams), rapid.IntRange(1, 30).Draw(r, "events"))...)
			case 2:
				gap := rapid.SampledFrom([]int{1, 100, 70_000, 200_000}).Draw(r, "gap")
				if _, err := db.App.Exec(context.Background(), `SELECT count(*) FROM ledger.draw($1)`, gap); err != nil {
					r.Fatal(err)
				}
			case 3:
				if _, err := l.TakeWatermark(context.Background()); err != nil {
					r.Fatal(err)
				}
			case 4:
				if _, _, err := s.SealNext(context.Background()); err != nil {
					r.Fatal(err)
				}
			}
		}
		got := verify(t, s, ledger.VerifyRequest{Checkpoints: checkpoints})
		if got.Difference != nil || len(got.Contained) != len(checkpoints) {
			r.Fatalf("%+v", got)
		}
		var below, above int64
		if err := db.App.QueryRow(context.Background(), `SELECT count(*) FILTER (WHERE position <= $1), count(*) FILTER (WHERE position > $1) FROM ledger.events`,
			got.Unsealed.After).Scan(&below, &above); err != nil {
			r.Fatal(err)
		}
		if got.Facts != below || got.Unsealed.Facts != above || got.Position != got.Unsealed.After {
			r.Fatalf("%d and %d facts: %+v", below, above, got)
		}
		if len(checkpoints) == 0 || checkpoints[len(checkpoints)-1].Size < got.Tree.Size {
			checkpoints = append(checkpoints, got.Tree)
		}
	})
}

// Sealers that run at once, beside writers and takers of watermarks, make one chain.
func TestManySealersMakeOneChain(t *testing.T) {
	t.Parallel()
	l, s, _ := sealing(t)
	var writers, sealers sync.WaitGroup
	done := make(chan struct{})
	for w := range 3 {
		writers.Go(func() {
			for n := range 15 {
				if _, err := l.Append(context.Background(), sales(fmt.Sprintf("w%d-%d", w, n), 20)); err != nil {
					t.Error(err)
				}
				if _, err := l.TakeWatermark(context.Background()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 3 {
		sealers.Go(func() {
			for {
				if _, _, err := s.SealNext(context.Background()); err != nil {
					t.Error(err)
				}
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	writers.Wait()
	close(done)
	sealers.Wait()
	sealAll(t, l, s)
	if r := clean(t, s); r.Facts != 900 || r.Unsealed.Facts != 0 {
		t.Errorf("%+v", r)
	}
}

// A block that holds what the ledger can't have written isn't sealed.
func TestCorruptFactsAreNotSealed(t *testing.T) {
	t.Parallel()
	l, s, db := sealing(t)
	appendAll(t, l, sales("o", 3)...)
	for _, sql := range []string{
		`INSERT INTO ledger.event_keys SELECT gen_random_uuid(), NULL, position, recorded_at, digest_version, digest FROM ledger.event_keys LIMIT 1`,
	} {
		if _, err := db.Super.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := l.TakeWatermark(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.SealNext(t.Context()); err == nil || !isCorrupt(err) {
		t.Errorf("%v", err)
	}
}
