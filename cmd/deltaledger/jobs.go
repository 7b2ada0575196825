package main

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// jobs are what runs beside a service.
type jobs struct {
	cancel context.CancelFunc
	group  sync.WaitGroup
}

// job is done once at the start and then in its rhythm.
type job struct {
	name  string
	every time.Duration
	do    func(context.Context) error
	later bool // the first time may take long, or fail, and no service has to wait for it
}

// serviceJobs are the jobs of a service. They may run in any number of services at once.
func serviceJobs(a *app, log *slog.Logger) []job {
	return []job{
		// Twelve months ahead, so that a service that fails at it for months still has somewhere to record.
		{name: "make the partitions of the coming months", every: 24 * time.Hour, do: func(ctx context.Context) error { return makePartitions(ctx, a, log) }},
		{name: "build declared indexes", every: time.Minute, do: (&indexer{app: a, log: log}).do, later: true},
		// So that an instant asked for later finds a watermark near it. While nothing is recorded there is none.
		{name: "take a watermark", every: time.Second, do: func(ctx context.Context) error {
			_, err := a.ledger.Current(ctx)
			return err
		}},
		// Often enough that a question about completeness finds little left to do, and at most for a part of
		// the time, so that a long way to go leaves the database to others.
		{name: "look for missing numbers", every: 5 * time.Second, do: func(ctx context.Context) error {
			_, err := a.ledger.AdvanceCompleteness(ctx, 2*time.Second)
			return err
		}},
	}
}

// startJobs does each job once, and again in its rhythm until it is stopped. An error of the first time
// stops the service: it isn't fit to run.
func startJobs(ctx context.Context, all []job, log *slog.Logger) (*jobs, error) {
	for _, j := range all {
		if j.later {
			continue
		}
		if err := j.do(ctx); err != nil {
			return nil, fmt.Errorf("%s: %w", j.name, err)
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	running := &jobs{cancel: cancel}
	for _, j := range all {
		running.group.Go(func() { j.run(ctx, log) })
	}
	return running, nil
}

func (j job) run(ctx context.Context, log *slog.Logger) {
	tick := time.NewTicker(j.every)
	defer tick.Stop()
	failing := false
	for now := j.later; ; now = false {
		if !now {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
		err := j.do(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && !failing: // once, not every second
			log.Error("a job fails", "job", j.name, "error", err)
		case err == nil && failing:
			log.Info("a job works again", "job", j.name)
		}
		failing = err != nil
	}
}

// stop ends the jobs and waits for those that run.
func (j *jobs) stop() { j.cancel(); j.group.Wait() }

const sqlMakePartitions = `SELECT ledger.create_partitions(12)`

func makePartitions(ctx context.Context, a *app, log *slog.Logger) error {
	var made int
	if err := a.pool.QueryRow(ctx, sqlMakePartitions).Scan(&made); err != nil {
		return err
	}
	if made > 0 {
		log.Info("made partitions", "count", made)
	}
	return nil
}
