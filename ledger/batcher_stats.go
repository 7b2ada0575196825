package ledger

import (
	"math/bits"
	"time"
)

// BatcherStats says what a Batcher did since it was made, and what it holds now.
type BatcherStats struct {
	Groups    int64 // transactions begun for one or more requests
	Requests  int64 // requests that were in a group
	Events    int64 // events of those requests
	Alone     int64 // requests that were recorded again on their own, because their group failed
	Failed    int64 // requests that ended with an error of the database
	Refused   int64 // requests that were refused because the queue was full, or closed
	Abandoned int64 // requests whose callers left before they had their outcomes

	GroupSize [histogramBuckets]int64 // groups by number of requests: bucket i counts those of at most 2^i
	Wait      [histogramBuckets]int64 // requests by time in the queue: bucket i counts those of at most 2^i × 100 µs
	WaitTotal time.Duration           // of all requests, in the queue

	QueuedRequests int // in the queue now
	HeldEvents     int // in the queue or under way now
	HeldBytes      int // of the same, encoded
}

// histogramBuckets is how many buckets a histogram has; the last one has no upper bound.
const histogramBuckets = 16

// WaitBucket is the upper bound of the first bucket of BatcherStats.Wait; each next one is twice as wide.
const WaitBucket = 100 * time.Microsecond

// Stats says what the batcher did until now. It is one consistent picture.
func (b *Batcher) Stats() BatcherStats {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := &b.stats
	return BatcherStats{
		Groups: s.groups, Requests: s.requests, Events: s.events, Alone: s.alone, Failed: s.failed, Refused: s.refused,
		Abandoned: s.abandoned, GroupSize: s.groupSize, Wait: s.wait, WaitTotal: s.waitTotal,
		QueuedRequests: b.lanes[plain].queue.Len() + b.lanes[lawfully].queue.Len(), HeldEvents: b.events, HeldBytes: b.bytes,
	}
}

// batcherCounts are the counters of a Batcher, under its mutex.
type batcherCounts struct {
	groups, requests, events, alone, failed, refused, abandoned int64

	groupSize, wait [histogramBuckets]int64
	waitTotal       time.Duration
}

func (s *batcherCounts) waited(d time.Duration) {
	s.waitTotal += d
	s.wait[bucket(uint64(max(0, d-1)/WaitBucket))]++
}

func (s *batcherCounts) grouped(requests, events int) {
	s.groups++
	s.requests += int64(requests)
	s.events += int64(events)
	s.groupSize[bucket(uint64(requests-1))]++
}

// bucket is the smallest i with n < 2^i.
func bucket(n uint64) int { return min(bits.Len64(n), histogramBuckets-1) }
