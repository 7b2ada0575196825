package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"deltaledger/ledger"
	"deltaledger/ledger/proof"
)

type verifyCmd struct {
	From       int64    `placeholder:"N" default:"1" help:"Recompute the blocks from this seal on; the chain of seals is always checked as a whole."`
	Checkpoint []string `placeholder:"FILE" type:"existingfile" help:"A checkpoint that the chain must contain; may be repeated."`
	Key        string   `placeholder:"FILE" type:"existingfile" help:"The public key that the checkpoints must be signed by."`
	Workers    int      `placeholder:"N" help:"Blocks that are read at once; without it as many as processors."`
}

// Help is shown below the command's flags.
func (verifyCmd) Help() string {
	return `Recomputes every seal from the rows: events with their keys and private content, invoices with lines and pins, voids, numbers, freezes, reconciliations. Names the first place where something was changed, removed or added, and what was expected there. Says what it didn't cover: what isn't sealed yet.

Somebody who may change every row can also make the whole chain anew. Only a checkpoint that was kept elsewhere shows that.

  deltaledger verify
  deltaledger verify --checkpoint /mnt/auditor/checkpoint-0000000042 --key checkpoints.pub`
}

// errCorruptShown: the verification found a difference and has shown it.
var errCorruptShown = fmt.Errorf("the ledger isn't what was sealed: %w", errShown)

// Run verifies.
func (c *verifyCmd) Run(ctx context.Context, s *session) error {
	q := ledger.VerifyRequest{From: c.From, Workers: c.Workers}
	key, err := readKey(c.Key)
	if err != nil {
		return err
	}
	for _, name := range c.Checkpoint {
		k, err := readCheckpoint(name, key)
		if err != nil {
			return err
		}
		q.Checkpoints = append(q.Checkpoints, k)
	}
	return withApp(ctx, s, func(a *app) error {
		bar := s.countBar("positions")
		defer bar.done()
		q.Progress = func(done, all int64) { bar.set(int(done), int(all)) }
		r, err := a.seals.Verify(ctx, q)
		if err != nil {
			return err
		}
		bar.done()
		if r.Seals == 0 && r.Difference == nil {
			return errors.New("there are no seals yet, so nothing was verified: run `deltaledger seal`, or let a service run, which seals every few seconds")
		}
		if err := s.show(r, reportTable(r)); err != nil {
			return err
		}
		if r.Difference != nil {
			s.warn("corrupt: %s", r.Difference)
			return errCorruptShown
		}
		return nil
	})
}

// reportTable shows what was covered and what not.
func reportTable(r ledger.Report) table {
	t := table{columns: []column{text("what"), number("count"), text("result")}}
	result := "as sealed"
	if r.Difference != nil {
		result = "not all as sealed"
	}
	t.add("seals in the chain", fmt.Sprint(r.Seals), result)
	t.add("facts recomputed", fmt.Sprint(r.Facts), result)
	t.add("of those events", fmt.Sprint(r.Events), result)
	t.add("private contents", fmt.Sprint(r.Private), result)
	if r.Erased > 0 {
		t.add("private contents erased", fmt.Sprint(r.Erased), "not covered: erased with a record of it")
	}
	if r.Unended > 0 {
		t.add("erasures without an end", fmt.Sprint(r.Unended), "not covered: under way or broken off; see deltaledger erasures")
	}
	if r.From > 1 {
		t.add("seals whose blocks were left out", fmt.Sprint(r.From-1), "not covered: --from")
	}
	t.add("facts without a seal", fmt.Sprint(r.Unsealed.Facts), "not covered")
	for _, size := range r.Contained {
		t.add("checkpoint of seals", fmt.Sprint(size), "in the chain")
	}
	t.note = fmt.Sprintf("verified through seal %d, position %d; ", r.Through, r.Position)
	if r.Unsealed.Facts > 0 {
		t.note += fmt.Sprintf("not covered: %s above position %d", plural(r.Unsealed.Facts, "fact"), r.Unsealed.After)
	} else {
		t.note += "nothing was recorded since"
	}
	if r.Difference != nil {
		t.note = "CORRUPT: " + r.Difference.String()
	}
	return t
}

// readKey reads a key's file; empty without one.
func readKey(name string) (string, error) {
	if name == "" {
		return "", nil
	}
	raw, err := os.ReadFile(name)
	return string(raw), err
}

// readCheckpoint reads a checkpoint's file; with a key it must be signed by it.
func readCheckpoint(name, key string) (proof.Checkpoint, error) {
	raw, err := os.ReadFile(name)
	if err != nil {
		return proof.Checkpoint{}, err
	}
	k, err := proof.OpenCheckpoint(raw, key)
	if err != nil {
		return proof.Checkpoint{}, fmt.Errorf("%s: %w", name, err)
	}
	return k, nil
}
