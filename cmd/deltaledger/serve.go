package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"deltaledger/api"
	"deltaledger/api/kafka"
	"deltaledger/ledger"
	"deltaledger/ledger/pace"
)

type serveCmd struct {
	Addr         string   `default:"127.0.0.1:8080" placeholder:"HOST:PORT" help:"Address to listen on (${default}); port 0 takes a free one."`
	UnsafeListen bool     `help:"Listen on an address that other machines reach, although nobody is asked who they are."`
	Host         []string `placeholder:"NAME,…" help:"Further host names under which requests may come, with --unsafe-listen; without it any."`
	sealing
	serveWriting
	Kafka   bool         `env:"DELTALEDGER_KAFKA" help:"Record the messages of Kafka topics too, as consume does."`
	Reading kafkaReading `embed:"" prefix:"kafka-"`
}

// Help is shown below the command's flags.
func (serveCmd) Help() string {
	return `Serves until it gets SIGINT or SIGTERM, and then lets running requests end. There is no access control yet, so it listens on loopback only.

  deltaledger serve --addr 127.0.0.1:8080
  curl -sS -H 'Content-Type: application/x-ndjson' --data-binary @orders.ndjson http://127.0.0.1:8080/v1/events`
}

// heapFloor is memory that is never touched, and so takes address space alone. The garbage collector runs
// when the heap has doubled: without it, a service that holds little would collect every few megabytes.
const heapFloor = 64 << 20

// spareThreads is how many threads more than there are processors run Go code. While as many goroutines as may run at a
// time are at work on a large request, nobody looks for what arrives from other clients and from the database but every
// 10 milliseconds: a single event, which waits for such a look three times, would take 30. With a thread to spare the
// operating system wakes it at once. Large requests leave it alone (see package api).
const spareThreads = 1

// farewell is how long running requests may take after the signal to stop.
const farewell = 30 * time.Second

// Run serves until ctx ends.
func (c *serveCmd) Run(ctx context.Context, s *session) error {
	if err := errors.Join(c.checkAddr(ctx), c.sealing.check()); err != nil {
		return err
	}
	return withApp(ctx, s, func(a *app) error { return c.serve(ctx, s, a) })
}

// serve serves the ledger of a until ctx ends.
func (c *serveCmd) serve(ctx context.Context, s *session, a *app) (err error) {
	ballast := make([]byte, heapFloor)
	defer runtime.KeepAlive(ballast)
	before := runtime.GOMAXPROCS(0)
	runtime.GOMAXPROCS(before + spareThreads)
	defer runtime.GOMAXPROCS(before)
	v := readVersion()
	batcher := ledger.NewBatcher(a.ledger, ledger.BatcherConfig{})
	config := api.Config{
		Ledger: a.ledger, Batcher: batcher, Short: new(pace.Gate), Billing: a.billing, Exporter: a.exporter, Reconciler: a.reconciler, Seals: a.seals,
		Logger: s.log, Version: v.Version, Hosts: c.hosts(), Now: s.now,
	}
	registry := newRegistry()
	config.Metrics = promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
	var consumer *kafka.Consumer
	if c.Kafka {
		if consumer, err = c.Reading.consumer(s, a, registry); err != nil {
			return errors.Join(err, drain(ctx, batcher))
		}
		config.Unready = consumer.Unready
	}
	if config.Letters, err = c.Reading.letters(ctx, a.ledger); err != nil {
		return errors.Join(err, drain(ctx, batcher))
	}
	handler, err := api.New(config)
	if err != nil {
		return errors.Join(err, drain(ctx, batcher))
	}
	publishing, err := c.serveWriting.jobs(s, a, registry)
	if err != nil {
		return errors.Join(err, drain(ctx, batcher))
	}
	jobs, err := startJobs(pace.With(ctx, config.Short), slices.Concat(serviceJobs(a, s.log), c.sealing.jobs(a, s.log), publishing), s.log)
	if err != nil {
		return errors.Join(err, drain(ctx, batcher))
	}
	// From the outside in: the server stops taking requests, then what they left is recorded, then the jobs
	// end; whoever opened a closes its connections last.
	defer jobs.stop()
	defer func() { err = errors.Join(err, drain(ctx, batcher)) }()
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", c.Addr)
	if err != nil {
		return fmt.Errorf("%w: choose another address with --addr", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer beside(ctx, cancel, consumer)(&err)
	server := api.NewServer(c.Addr, handler)
	server.ErrorLog = slog.NewLogLogger(s.log.Handler(), slog.LevelWarn)
	s.warn("listening on http://%s (its API: http://%s/docs)", listener.Addr(), listener.Addr())
	return serveUntil(ctx, server, listener)
}

// beside runs a consumer, if there is one, until ctx ends, and ends ctx if the consumer fails. What it returns waits for
// it and joins its error.
func beside(ctx context.Context, cancel func(), consumer *kafka.Consumer) func(*error) {
	if consumer == nil {
		return func(*error) {}
	}
	done := make(chan error, 1)
	go func() {
		defer cancel()
		done <- consumer.Run(ctx)
	}()
	return func(err *error) {
		cancel()
		*err = errors.Join(*err, <-done)
	}
}

// drain records what is queued, also after ctx has ended.
func drain(ctx context.Context, batcher *ledger.Batcher) error {
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
	defer cancel()
	return batcher.Close(last)
}

// serveUntil serves until ctx ends, and then until the running requests are done.
func serveUntil(ctx context.Context, server *http.Server, listener net.Listener) error {
	stopped := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
		defer cancel()
		err := server.Shutdown(last)
		if errors.Is(err, context.DeadlineExceeded) {
			err = fmt.Errorf("requests that ran for %v after the signal were cut off; what they recorded stays", farewell)
			err = errors.Join(err, server.Close())
		}
		stopped <- err
	})
	err := server.Serve(listener)
	if stop() { // it never began: the server failed by itself
		return err
	}
	return <-stopped
}

// checkAddr refuses addresses that other machines reach.
func (c *serveCmd) checkAddr(ctx context.Context) error {
	host, _, err := net.SplitHostPort(c.Addr)
	if err != nil {
		return usagef("--addr is %q, but must be a host and a port such as 127.0.0.1:8080", c.Addr)
	}
	if c.UnsafeListen {
		return nil
	}
	reached := func() error {
		return usagef("--addr %s can be reached by other machines, and there is no access control yet: listen on 127.0.0.1 or [::1], behind a proxy that asks who calls, or accept that with --unsafe-listen", c.Addr)
	}
	if host == "" {
		return reached()
	}
	addresses := []string{host}
	if net.ParseIP(host) == nil {
		if addresses, err = net.DefaultResolver.LookupHost(ctx, host); err != nil {
			return usagef("--addr %s: the name can't be resolved: %v", c.Addr, err)
		}
	}
	for _, address := range addresses {
		if ip := net.ParseIP(address); ip == nil || !ip.IsLoopback() {
			return reached()
		}
	}
	return nil
}

// hosts are the names besides those of loopback that requests may name.
func (c *serveCmd) hosts() []string {
	if !c.UnsafeListen {
		return nil
	}
	var names []string
	for _, name := range c.Host {
		names = append(names, strings.TrimSpace(name))
	}
	if len(names) == 0 {
		return []string{"*"}
	}
	return names
}
