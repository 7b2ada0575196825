package kafka

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"deltaledger/ledger"
)

// metrics are what is counted. Lag is read from the consumer when it is asked for.
type metrics struct {
	consumer   *Consumer
	messages   *prometheus.CounterVec // by topic and what became of them
	events     *prometheus.CounterVec // by outcome
	batch      prometheus.Histogram   // messages of a transaction
	seconds    prometheus.Histogram   // of a transaction
	rebalances prometheus.Counter
	moved      prometheus.Counter
	errors     *prometheus.CounterVec // by what was being done
	lag        *prometheus.Desc
	behind     *prometheus.Desc
	halted     *prometheus.Desc
	offset     *prometheus.Desc
}

func newMetrics(c *Consumer, registry prometheus.Registerer) (*metrics, error) {
	const prefix = "deltaledger_kafka_"
	own := prometheus.Labels{"group": c.config.Group}
	counter := func(name, help string) prometheus.CounterOpts {
		return prometheus.CounterOpts{Name: prefix + name, Help: help, ConstLabels: own}
	}
	gauge := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc(prefix+name, help, []string{"topic", "partition"}, own)
	}
	m := &metrics{
		consumer:   c,
		messages:   prometheus.NewCounterVec(counter("messages_total", "Messages read, by topic and result: recorded, dead_letter or empty (no event in it)."), []string{"topic", "result"}),
		events:     prometheus.NewCounterVec(counter("events_total", "Events of messages, by outcome."), []string{"outcome"}),
		rebalances: prometheus.NewCounter(counter("rebalances_total", "How often the group gave this consumer partitions.")),
		moved:      prometheus.NewCounter(counter("offset_moved_total", "Transactions rolled back because somebody else moved an offset.")),
		errors:     prometheus.NewCounterVec(counter("errors_total", "Failures that are tried again, by what was being done."), []string{"doing"}),
		batch: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: prefix + "transaction_messages", Help: "Messages of a transaction.", ConstLabels: own, Buckets: prometheus.ExponentialBuckets(1, 4, 8),
		}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: prefix + "transaction_seconds", Help: "How long it takes to record a transaction, with its commit.", ConstLabels: own,
			Buckets: prometheus.ExponentialBuckets(0.001, 2.5, 11),
		}),
		lag:    gauge("lag_messages", "Offsets that are not recorded yet."),
		behind: gauge("lag_seconds", "Age of the newest recorded message while there are others behind it, by its own timestamp; 0 while there are none."),
		halted: gauge("partition_halted", "1 if the partition isn't read until somebody does something."),
		offset: gauge("offset", "Offset of the next message to record."),
	}
	if registry == nil {
		return m, nil
	}
	return m, registry.Register(m)
}

func (m *metrics) all() []prometheus.Collector {
	return []prometheus.Collector{m.messages, m.events, m.batch, m.seconds, m.rebalances, m.moved, m.errors}
}

// Describe is for the registry.
func (m *metrics) Describe(to chan<- *prometheus.Desc) {
	for _, c := range m.all() {
		c.Describe(to)
	}
	for _, d := range []*prometheus.Desc{m.lag, m.behind, m.halted, m.offset} {
		to <- d
	}
}

// Collect is for the registry.
func (m *metrics) Collect(to chan<- prometheus.Metric) {
	for _, c := range m.all() {
		c.Collect(to)
	}
	now := time.Now()
	for _, p := range m.consumer.Partitions() {
		set := func(d *prometheus.Desc, v float64) {
			to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, p.Topic, strconv.Itoa(int(p.Partition)))
		}
		set(m.offset, float64(p.Offset))
		halted := 0.0
		if p.Halted != nil {
			halted = 1
		}
		set(m.halted, halted)
		lag := p.Lag()
		if lag < 0 {
			continue
		}
		set(m.lag, float64(lag))
		switch {
		case lag == 0:
			set(m.behind, 0)
		case !p.Recorded.IsZero():
			set(m.behind, max(0, now.Sub(p.Recorded).Seconds()))
		}
	}
}

// settled counts a transaction.
func (m *metrics) settled(l *load, outcomes []ledger.Outcome, letters []deadLetter, took time.Duration) {
	m.batch.Observe(float64(l.items))
	m.seconds.Observe(took.Seconds())
	counts := map[ledger.Status]int{}
	for _, o := range outcomes {
		counts[o.Status]++
	}
	for status, n := range counts {
		m.events.WithLabelValues(string(status)).Add(float64(n))
	}
	results := map[[2]string]int{}
	for _, p := range l.parts {
		for i := range p.items {
			result := "recorded"
			if it := &p.items[i]; it.fault == nil && len(it.events) == 0 {
				result = "empty"
			}
			results[[2]string{p.reader.topic, result}]++
		}
	}
	for _, d := range letters {
		results[[2]string{d.message.Topic, "recorded"}]--
		results[[2]string{d.message.Topic, "dead_letter"}]++
	}
	for key, n := range results {
		m.messages.WithLabelValues(key[0], key[1]).Add(float64(n))
	}
}
