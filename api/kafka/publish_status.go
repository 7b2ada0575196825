package kafka

import (
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"deltaledger/ledger"
	"deltaledger/ledger/canonical"
)

// envelope is the value of a message: the fact with what a reader needs to place it.
func envelope(id uuid.UUID, f *ledger.Fact) []byte {
	b := make([]byte, 0, len(f.Data)+len(f.Account)+128)
	b = fmt.Appendf(b, `{"ledger":"%s","position":%d,"kind":"%s"`, id, f.Position, f.Kind)
	if f.Account != "" {
		b = canonical.AppendString(append(b, `,"account":`...), []byte(f.Account))
	}
	b = append(append(b, `,"data":`...), f.Data...)
	return append(b, '}')
}

// PublisherStatus says how far a publisher is.
type PublisherStatus struct {
	Active    bool      // it is at work; otherwise another one of its name may be
	Position  int64     // everything through here is in the topic; only known while it is at work
	Watermark int64     // through here everything is decided, and to be published
	Behind    time.Time // when the first watermark was taken that isn't published through; zero: there is none
	Problem   error     // what it waits for; nil: nothing
}

// Lag is how many positions are to be published. Some may hold no fact.
func (s PublisherStatus) Lag() int64 { return max(0, s.Watermark-s.Position) }

// see notes a watermark.
func (s *PublisherStatus) see(w ledger.Watermark) {
	if w.Position <= s.Watermark {
		return
	}
	s.Watermark = w.Position
	if s.Behind.IsZero() && s.Position < w.Position {
		s.Behind = w.TakenAt
	}
}

// reach notes that everything through position is published.
func (s *PublisherStatus) reach(position int64) {
	if s.Position = position; s.Position >= s.Watermark {
		s.Behind = time.Time{}
	}
}

func (p *Publisher) note(change func(*PublisherStatus)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(&p.status)
}

// Status says how far this publisher is.
func (p *Publisher) Status() PublisherStatus {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.status
}

// Unready says why this publisher doesn't do its work, for readiness; nothing if it does. One that waits because another
// of its name is at work does.
func (p *Publisher) Unready() []string {
	if s := p.Status(); s.Problem != nil {
		return []string{fmt.Sprintf("publisher %s: %v", p.config.Name, s.Problem)}
	}
	return nil
}

// publishMetrics are what is counted. Lag is read from the publisher when it is asked for.
type publishMetrics struct {
	publisher *Publisher
	messages  *prometheus.CounterVec // by kind of fact
	errors    *prometheus.CounterVec // by where
	seconds   prometheus.Histogram   // of a stretch
	active    *prometheus.Desc
	position  *prometheus.Desc
	lag       *prometheus.Desc
	behind    *prometheus.Desc
}

func newPublishMetrics(p *Publisher, registry prometheus.Registerer) (*publishMetrics, error) {
	const prefix = "deltaledger_publisher_"
	own := prometheus.Labels{"publisher": p.config.Name, "topic": p.config.Topic}
	gauge := func(name, help string) *prometheus.Desc { return prometheus.NewDesc(prefix+name, help, nil, own) }
	m := &publishMetrics{
		publisher: p,
		messages: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: prefix + "messages_total", Help: "Facts that Kafka has taken, by kind.", ConstLabels: own,
		}, []string{"kind"}),
		errors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: prefix + "errors_total", Help: "Failures that are tried again, by whose they are: kafka or database.", ConstLabels: own,
		}, []string{"of"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: prefix + "stretch_seconds", Help: "How long it takes to publish a stretch of positions.", ConstLabels: own,
			Buckets: prometheus.ExponentialBuckets(0.001, 2.5, 11),
		}),
		active:   gauge("active", "1 while this publisher is the one of its name that is at work."),
		position: gauge("position", "Everything through this position is in the topic."),
		lag:      gauge("lag_positions", "Decided positions that are not published yet."),
		behind:   gauge("lag_seconds", "Age of the first watermark that isn't published through; 0 if there is none."),
	}
	if registry == nil {
		return m, nil
	}
	return m, registry.Register(m)
}

// published counts a stretch.
func (m *publishMetrics) published(facts []ledger.Fact, took time.Duration) {
	m.seconds.Observe(took.Seconds())
	counts := map[string]int{}
	for i := range facts {
		counts[facts[i].Kind]++
	}
	for kind, n := range counts {
		m.messages.WithLabelValues(kind).Add(float64(n))
	}
}

// Describe is for the registry.
func (m *publishMetrics) Describe(to chan<- *prometheus.Desc) {
	for _, c := range []prometheus.Collector{m.messages, m.errors, m.seconds} {
		c.Describe(to)
	}
	for _, d := range []*prometheus.Desc{m.active, m.position, m.lag, m.behind} {
		to <- d
	}
}

// Collect is for the registry. A publisher that isn't at work says nothing of a lag, which is another one's.
func (m *publishMetrics) Collect(to chan<- prometheus.Metric) {
	for _, c := range []prometheus.Collector{m.messages, m.errors, m.seconds} {
		c.Collect(to)
	}
	set := func(d *prometheus.Desc, v float64) { to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v) }
	s := m.publisher.Status()
	if !s.Active {
		set(m.active, 0)
		return
	}
	set(m.active, 1)
	set(m.position, float64(s.Position))
	set(m.lag, float64(s.Lag()))
	behind := 0.0
	if !s.Behind.IsZero() {
		behind = max(0, time.Since(s.Behind).Seconds())
	}
	set(m.behind, behind)
}
