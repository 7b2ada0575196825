package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/google/uuid"

	"deltaledger/ledger"
	"deltaledger/ledger/proof"
)

type checkpointCmd struct {
	Publish checkpointPublishCmd `cmd:"" default:"withargs" help:"Sign the newest state of the chain of seals and add it to a directory or bucket."`
	NewKey  checkpointNewKeyCmd  `cmd:"" help:"Make a key to sign checkpoints with."`
}

type checkpointPublishCmd struct {
	Key  string `required:"" placeholder:"FILE" type:"existingfile" help:"The secret key to sign with."`
	To   string `placeholder:"URL" help:"Directory or bucket to add it to, such as /mnt/auditor, s3://bucket?region=eu-west-1 or gs://bucket; without it the checkpoint goes to standard output."`
	Size int64  `placeholder:"N" help:"The state after the first N seals; without it after all there are."`
}

// Help is shown below the command's flags.
func (checkpointPublishCmd) Help() string {
	return `A checkpoint binds everything that is sealed. Keep checkpoints where whoever looks after the database can't write: verify and verify-proof hold the ledger against them.

  deltaledger checkpoint new-key checkpoints.key
  deltaledger checkpoint --key checkpoints.key --to /mnt/auditor`
}

// Run signs and publishes.
func (c *checkpointPublishCmd) Run(ctx context.Context, s *session) error {
	secret, err := readKey(c.Key)
	if err != nil {
		return err
	}
	return withApp(ctx, s, func(a *app) error {
		k, err := a.seals.Checkpoint(ctx, c.Size)
		if err != nil {
			return err
		}
		signed, err := k.Sign(secret)
		if err != nil {
			return usage(err)
		}
		if c.To == "" {
			_, err := s.out.Write(signed)
			return err
		}
		name, err := publishCheckpoint(ctx, c.To, k, signed)
		if err != nil {
			return err
		}
		t := table{columns: []column{text("file"), number("seals"), text("tree_root")}}
		t.add(name, fmt.Sprint(k.Size), k.Root.String())
		return s.show(struct {
			File string `json:"file"`
			proof.Checkpoint
		}{name, k}, t)
	})
}

type checkpointNewKeyCmd struct {
	File   string `arg:"" help:"Where to write the secret key; the public one gets the same name with .pub behind it."`
	Ledger string `placeholder:"UUID" help:"The ledger that it is for; without it the one of the data directory or --database-url."`
}

// Run makes the key. Files that exist are left alone.
func (c *checkpointNewKeyCmd) Run(ctx context.Context, s *session) error {
	if c.Ledger != "" {
		id, err := uuid.Parse(c.Ledger)
		if err != nil {
			return usagef("--ledger is %q, but must be the id of a ledger, a UUID", c.Ledger)
		}
		return c.write(s, proof.Origin(id))
	}
	return withApp(ctx, s, func(a *app) error { return c.write(s, proof.Origin(a.ledger.Settings().ID)) })
}

func (c *checkpointNewKeyCmd) write(s *session, name string) error {
	secret, public, err := proof.NewKey(name, rand.Reader)
	if err != nil {
		return err
	}
	if err := writeNew(c.File, []byte(secret+"\n"), 0o600); err != nil {
		return err
	}
	if err := writeNew(c.File+".pub", []byte(public+"\n"), 0o644); err != nil {
		return errors.Join(err, os.Remove(c.File))
	}
	t := table{columns: []column{text("secret"), text("public"), text("key")}}
	t.add(c.File, c.File+".pub", public)
	return s.show(struct {
		Secret string `json:"secret_file"`
		Public string `json:"public_file"`
		Key    string `json:"key"`
	}{c.File, c.File + ".pub", public}, t)
}

// writeNew writes a file that doesn't exist yet.
func writeNew(name string, content []byte, mode fs.FileMode) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s exists already and is left as it is: name another file", name)
	}
	if err != nil {
		return err
	}
	if _, err = f.Write(content); err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(name))
	}
	return nil
}

// encodeProof writes a proof as people read it.
func encodeProof(p proof.Proof) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(p); err != nil {
		return nil, fmt.Errorf("encode the proof: %w", err)
	}
	return b.Bytes(), nil
}

func isNotFound(err error) bool { return errors.Is(err, ledger.ErrNotFound) }
