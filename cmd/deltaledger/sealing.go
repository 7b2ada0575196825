package main

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"deltaledger/ledger"
	"deltaledger/ledger/proof"
)

// sealing says how often a service seals, and where its checkpoints go.
type sealing struct {
	SealEvery       time.Duration `default:"10s" placeholder:"DURATION" help:"Seal what was recorded in this rhythm (${default})."`
	CheckpointKey   string        `placeholder:"FILE" type:"existingfile" help:"The secret key to sign checkpoints with; see checkpoint new-key."`
	CheckpointTo    string        `placeholder:"URL" help:"Directory or bucket to which checkpoints are added, such as /mnt/auditor or s3://bucket?region=eu-west-1."`
	CheckpointEvery time.Duration `default:"10m" placeholder:"DURATION" help:"Add a checkpoint in this rhythm, while there are new seals (${default})."`
}

// check refuses flags that can't be meant.
func (c sealing) check() error {
	switch {
	case (c.CheckpointKey == "") != (c.CheckpointTo == ""):
		return usagef("--checkpoint-key and --checkpoint-to need each other: give both, or none for a service without checkpoints")
	case c.SealEvery < time.Second:
		return usagef("--seal-every is %v, but must be at least 1s", c.SealEvery)
	case c.CheckpointEvery < time.Second:
		return usagef("--checkpoint-every is %v, but must be at least 1s", c.CheckpointEvery)
	}
	return nil
}

// jobs are the sealer and, with a key, the publisher of checkpoints.
func (c sealing) jobs(a *app, log *slog.Logger) []job {
	all := []job{{name: "seal", every: c.SealEvery, later: true, do: func(ctx context.Context) error { return sealBehind(ctx, a, log) }}}
	if c.CheckpointKey == "" {
		return all
	}
	var published int64 // seals; the job is one goroutine
	return append(all, job{name: "publish a checkpoint", every: c.CheckpointEvery, later: true, do: func(ctx context.Context) error {
		k, err := a.seals.Checkpoint(ctx, 0)
		if errors.Is(err, ledger.ErrNotFound) || err == nil && k.Size == published {
			return nil
		}
		if err != nil {
			return err
		}
		return c.publish(ctx, log, k, &published)
	}})
}

func (c sealing) publish(ctx context.Context, log *slog.Logger, k proof.Checkpoint, published *int64) error {
	secret, err := readKey(c.CheckpointKey)
	if err != nil {
		return err
	}
	signed, err := k.Sign(secret)
	if err != nil {
		return err
	}
	name, err := publishCheckpoint(ctx, c.CheckpointTo, k, signed)
	if err != nil {
		return err
	}
	*published = k.Size
	log.Info("published a checkpoint", "file", name, "seals", k.Size, "tree_root", k.Root.String())
	return nil
}

// sealBehind seals what is behind the newest watermark, and says so where it was much.
func sealBehind(ctx context.Context, a *app, log *slog.Logger) error {
	seals, facts, err := a.seals.SealAll(ctx)
	if seals > 1 {
		log.Info("sealed", "seals", seals, "facts", facts)
	}
	return err
}
