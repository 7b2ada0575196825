package kafka

import (
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"deltaledger/ledger"
)

// Start says where a partition begins of which nothing is stored.
type Start string

// Where to begin.
const (
	StartOldest Start = "oldest" // with the oldest message that is still there
	StartNewest Start = "newest" // with what arrives from now on
)

// Config is what New needs. Brokers, Group, Topics and NewDecode must be given.
type Config struct {
	Brokers  []string // host:port of some of the cluster's brokers
	Security Security
	Group    string // of the consumers that share the work; it is also the name under which offsets are stored
	Topics   []string
	NewDecode
	Start Start // of partitions that were never read; empty: StartOldest

	MaxEvents int           // of one transaction; 0: ledger.MaxBatch, which is also the most
	MaxBytes  int           // of the messages of one transaction; 0: 16 MiB. One message more may exceed it
	MaxWait   time.Duration // how long a message waits for others before it is recorded; 0: 50 milliseconds
	Buffer    int           // bytes of messages in memory, of all partitions; 0: 128 MiB
	Writers   int           // transactions under way at a time; 0: 3

	SessionTimeout time.Duration // the group takes a consumer for dead that is silent for so long; 0: 30 seconds
	CommitEvery    time.Duration // how often the group is told how far this consumer is; 0: 5 seconds
	LookEvery      time.Duration // how often topics are looked at for new partitions; 0: 30 seconds

	MaxLag   int64                 // messages a partition may be behind while Unready is silent; 0: any number
	Log      *slog.Logger          // nil: nothing is logged
	Registry prometheus.Registerer // gets the metrics; nil: nobody
}

// settled checks c and fills in what isn't given.
func (c Config) settled() (Config, error) {
	problems := []error{c.Security.Check()}
	wrong := func(field, value, rule string) { problems = append(problems, ledger.Invalid(field, value, rule)) }
	if len(c.Brokers) == 0 || slices.Contains(c.Brokers, "") {
		wrong("brokers", "", "must be host:port of at least one broker")
	}
	if c.Group == "" {
		wrong("group", "", "must be the name of a consumer group")
	}
	if len(c.Topics) == 0 || slices.Contains(c.Topics, "") {
		wrong("topics", "", "must name at least one topic")
	}
	if c.NewDecode == nil {
		problems = append(problems, errors.New("kafka.Config.NewDecode is missing"))
	}
	if c.Start == "" {
		c.Start = StartOldest
	}
	if c.Start != StartOldest && c.Start != StartNewest {
		wrong("start", string(c.Start), "must be oldest or newest")
	}
	if c.MaxEvents <= 0 || c.MaxEvents > ledger.MaxBatch {
		c.MaxEvents = ledger.MaxBatch
	}
	c.MaxBytes = either(c.MaxBytes, 16<<20)
	c.MaxWait = either(c.MaxWait, 50*time.Millisecond)
	c.Buffer = either(c.Buffer, 128<<20)
	c.Writers = either(c.Writers, 3)
	c.SessionTimeout = either(c.SessionTimeout, 30*time.Second)
	c.CommitEvery = either(c.CommitEvery, 5*time.Second)
	c.LookEvery = either(c.LookEvery, 30*time.Second)
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	c.Topics = slices.Compact(slices.Sorted(slices.Values(c.Topics)))
	return c, errors.Join(problems...)
}

func either[T int | time.Duration](given, otherwise T) T {
	if given > 0 {
		return given
	}
	return otherwise
}
