package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"deltaledger/api"
)

// newRegistry has the metrics of the process itself.
func newRegistry() *prometheus.Registry {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return registry
}

// probes are the pages of a command that serves nothing else: /metrics, /healthz and /readyz. unready says why it isn't
// ready; nothing: it is.
func probes(registry *prometheus.Registry, unready func(context.Context) []string) http.Handler {
	mux := http.NewServeMux()
	answer := func(w http.ResponseWriter, status int, text string) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(status)
		_, _ = fmt.Fprintln(w, text) // a client that went away needs no answer
	}
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, "alive") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		if reasons := unready(r.Context()); len(reasons) > 0 {
			answer(w, http.StatusServiceUnavailable, strings.Join(reasons, "\n"))
			return
		}
		answer(w, http.StatusOK, "ready")
	})
	return mux
}

// serveBeside runs something beside a server that says how it is.
func serveBeside(ctx context.Context, s *session, addr string, pages http.Handler, run func(context.Context) error) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		return fmt.Errorf("%w: choose another address with --listen", err)
	}
	server := api.NewServer(addr, pages)
	server.ErrorLog = slog.NewLogLogger(s.log.Handler(), slog.LevelWarn)
	s.warn("listening on http://%s", listener.Addr())
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	served := make(chan error, 1)
	go func() {
		defer cancel()
		served <- serveUntil(ctx, server, listener)
	}()
	err = run(ctx)
	cancel()
	return errors.Join(err, <-served)
}
