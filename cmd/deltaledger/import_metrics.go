package main

import (
	"context"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"deltaledger/ledger/imports"
)

// queueTime bounds the look at the queue that a metric or a probe waits for.
const queueTime = 5 * time.Second

// importPages are what an importer answers.
func importPages(importer *imports.Importer, location string) http.Handler {
	registry := newRegistry()
	registry.MustRegister(newImportMetrics(importer, location))
	return probes(registry, func(ctx context.Context) []string {
		ctx, cancel := context.WithTimeout(ctx, queueTime)
		defer cancel()
		if _, err := importer.Queue(ctx); err != nil {
			return []string{"the database doesn't answer"}
		}
		return nil
	})
}

// importMetrics asks the register when it is asked: what all importers of a place have left is the same number,
// whichever of them says it.
type importMetrics struct {
	importer *imports.Importer

	waiting, bytes, oldest, wrong *prometheus.Desc
	files, events, failures       *prometheus.Desc
}

func newImportMetrics(importer *imports.Importer, location string) *importMetrics {
	own := prometheus.Labels{"location": location}
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("deltaledger_import_"+name, help, labels, own)
	}
	return &importMetrics{
		importer: importer,
		waiting:  desc("queue_files", "Files of the place that are queued or running, whoever reads them.", "state"),
		bytes:    desc("queue_bytes", "Size of the files that are queued or running, as they lie there."),
		oldest:   desc("queue_oldest_seconds", "Time since the oldest of them was found; 0 if there is none."),
		wrong:    desc("attention_files", "Files that wait for a person: failed, changed or gone.", "state"),
		files:    desc("files_total", "Files that this importer ended, by how.", "state"),
		events:   desc("events_total", "Events of files that this importer settled, by outcome.", "outcome"),
		failures: desc("errors_total", "Failures of the place or the database that this importer tried again."),
	}
}

// Describe implements prometheus.Collector.
func (m *importMetrics) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{m.waiting, m.bytes, m.oldest, m.wrong, m.files, m.events, m.failures} {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (m *importMetrics) Collect(to chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), queueTime)
	defer cancel()
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	if q, err := m.importer.Queue(ctx); err != nil {
		to <- prometheus.NewInvalidMetric(m.waiting, err)
	} else {
		gauge(m.waiting, float64(q.Queued), string(imports.Queued))
		gauge(m.waiting, float64(q.Running), string(imports.Running))
		gauge(m.bytes, float64(q.Bytes))
		gauge(m.oldest, q.Oldest.Seconds())
		gauge(m.wrong, float64(q.Failed), string(imports.Failed))
		gauge(m.wrong, float64(q.Changed), string(imports.Changed))
		gauge(m.wrong, float64(q.Gone), string(imports.Gone))
	}
	c := m.importer.Counts()
	counter := func(d *prometheus.Desc, v int64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	for state, n := range c.Files {
		counter(m.files, n, string(state))
	}
	for outcome, n := range c.Events {
		counter(m.events, n, outcome)
	}
	counter(m.failures, c.Failures)
}
