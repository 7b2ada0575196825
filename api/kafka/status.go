package kafka

import (
	"cmp"
	"fmt"
	"strings"
	"time"
)

func (s slot) compare(t slot) int {
	return cmp.Or(strings.Compare(s.topic, t.topic), cmp.Compare(s.partition, t.partition))
}

func texts(slots []slot) []string {
	all := make([]string, len(slots))
	for i, s := range slots {
		all[i] = fmt.Sprintf("%s/%d", s.topic, s.partition)
	}
	return all
}

// PartitionStatus says how far a partition is.
type PartitionStatus struct {
	Topic     string
	Partition int32
	Offset    int64     // of the next message to record
	End       int64     // the offset behind the last message; -1: not known yet
	Recorded  time.Time // when the newest message that this consumer recorded was sent; zero: none
	Halted    error     // why it isn't read until somebody does something; nil: it is read
}

// Lag is how many offsets are to be recorded; -1 if that isn't known yet. Some may hold no message that counts.
func (p PartitionStatus) Lag() int64 {
	if p.End < 0 {
		return -1
	}
	return max(0, p.End-p.Offset)
}

// Partitions are those that are this consumer's now.
func (c *Consumer) Partitions() []PartitionStatus {
	c.mu.Lock()
	g := c.current
	c.mu.Unlock()
	if g == nil {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	all := make([]PartitionStatus, len(g.readers))
	for i, r := range g.readers {
		all[i] = PartitionStatus{
			Topic: r.topic, Partition: r.partition, Offset: r.stored, End: r.end, Recorded: r.recorded, Halted: r.halted,
		}
	}
	return all
}

// Unready says why this consumer doesn't do its work, for readiness; nothing if it does. A consumer without partitions,
// because others of its group have them all, does.
func (c *Consumer) Unready() []string {
	c.mu.Lock()
	joined, problem := c.joined, c.problem
	c.mu.Unlock()
	switch {
	case problem != nil:
		return []string{fmt.Sprintf("consumer group %s can't be joined: %v", c.config.Group, problem)}
	case !joined:
		return []string{fmt.Sprintf("consumer group %s isn't joined yet", c.config.Group)}
	}
	var reasons []string
	for _, p := range c.Partitions() {
		lag := p.Lag()
		switch {
		case p.Halted != nil:
			reasons = append(reasons, p.Halted.Error())
		case c.config.MaxLag > 0 && lag < 0:
			reasons = append(reasons, fmt.Sprintf("it isn't known yet how far partition %d of topic %s is behind", p.Partition, p.Topic))
		case c.config.MaxLag > 0 && lag > c.config.MaxLag:
			reasons = append(reasons, fmt.Sprintf("partition %d of topic %s is %d messages behind, and may be %d", p.Partition, p.Topic, lag, c.config.MaxLag))
		}
	}
	return reasons
}
