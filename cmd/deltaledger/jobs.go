package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"
)

// jobs are what runs beside a service.
type jobs struct {
	cancel context.CancelFunc
	done   chan struct{}
}

// aDay is how often partitions are made. They are made twelve months ahead, so that a service that fails
// at it for months still has somewhere to record.
const aDay = 24 * time.Hour

// startJobs does each job once, and again in its rhythm until it is stopped. An error of the first time
// stops the service: it isn't fit to run.
func startJobs(ctx context.Context, a *app, log *slog.Logger) (*jobs, error) {
	if err := makePartitions(ctx, a, log); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	j := &jobs{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(j.done)
		tick := time.NewTicker(aDay)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				if err := makePartitions(ctx, a, log); err != nil && ctx.Err() == nil {
					log.Error("partitions of coming months weren't made", "error", err)
				}
			}
		}
	}()
	return j, nil
}

// stop ends the jobs and waits for the one that runs.
func (j *jobs) stop() { j.cancel(); <-j.done }

const sqlMakePartitions = `SELECT ledger.create_partitions(12)`

func makePartitions(ctx context.Context, a *app, log *slog.Logger) error {
	var made int
	if err := a.pool.QueryRow(ctx, sqlMakePartitions).Scan(&made); err != nil {
		return fmt.Errorf("make the partitions of the coming months: %w", err)
	}
	if made > 0 {
		log.Info("made partitions", "count", made)
	}
	return nil
}
