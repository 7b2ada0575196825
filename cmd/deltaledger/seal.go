package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"deltaledger/ledger"
	"deltaledger/ledger/proof"
)

type sealCmd struct{}

// Help is shown below the command's flags.
func (sealCmd) Help() string {
	return `Seals everything that is recorded now. A service does this by itself every few seconds.

  deltaledger seal
  deltaledger seals --limit 5`
}

// sealResult is what seal did.
type sealResult struct {
	Seals     int64             `json:"seals"`
	Facts     int64             `json:"facts"`
	Watermark int64             `json:"watermark"`
	Tree      *proof.Checkpoint `json:"tree"` // null while there is no seal
}

// Run seals.
func (sealCmd) Run(ctx context.Context, s *session) error {
	return withApp(ctx, s, func(a *app) error {
		w, err := a.ledger.Current(ctx)
		if err != nil {
			return err
		}
		r := sealResult{Watermark: w.Position}
		if r.Seals, r.Facts, err = a.seals.SealAll(ctx); err != nil {
			return err
		}
		t := table{columns: []column{number("seals"), number("facts"), number("watermark"), number("seals_in_all"), text("tree_root")}}
		tree, err := a.seals.Checkpoint(ctx, 0)
		if err != nil && !isNotFound(err) {
			return err
		}
		row := []string{fmt.Sprint(r.Seals), fmt.Sprint(r.Facts), fmt.Sprint(r.Watermark), "0", ""}
		if err == nil {
			r.Tree = &tree
			row[3], row[4] = fmt.Sprint(tree.Size), tree.Root.String()
		}
		t.add(row...)
		return s.show(r, t)
	})
}

type sealsCmd struct {
	Limit  int   `placeholder:"N" help:"Seals on a page, at most 1000 (100)."`
	Before int64 `placeholder:"N" help:"Go on with the seals before the one of this number."`
}

// Run lists one page.
func (c *sealsCmd) Run(ctx context.Context, s *session) error {
	return withApp(ctx, s, func(a *app) error {
		list, err := a.seals.List(ctx, c.Limit, c.Before)
		if err != nil {
			return err
		}
		t := table{columns: []column{
			number("number"), text("sealed_at"), number("first_position"), number("last_position"), number("facts"), text("hash"), text("tree_root"),
		}}
		for _, k := range list {
			t.add(fmt.Sprint(k.Number), stamp(k.SealedAt), fmt.Sprint(k.First), fmt.Sprint(k.Last), fmt.Sprint(k.Count), k.Hash().String(), k.TreeRoot.String())
		}
		return s.show(orNone(list), t)
	})
}

type proofCmd struct {
	Source     string `arg:"" help:"Source of the event."`
	ID         string `arg:"" name:"id" help:"ID of the event in its source."`
	File       string `short:"f" placeholder:"FILE" help:"Where to write the proof; without it to standard output."`
	Size       int64  `placeholder:"N" xor:"tree" help:"Prove it for the tree of the first N seals; without it of all there are."`
	Checkpoint string `placeholder:"FILE" type:"existingfile" xor:"tree" help:"Prove it for the tree of this checkpoint, and put the checkpoint into the proof."`
}

// Help is shown below the command's flags.
func (proofCmd) Help() string {
	return `Writes a JSON file that shows that the event is in the ledger as it stands there. Whoever has a checkpoint of the ledger checks it with verify-proof, without the ledger.

  deltaledger proof shop 2001/1 --file 2001-1.proof.json
  deltaledger verify-proof 2001-1.proof.json`
}

// Run makes the proof.
func (c *proofCmd) Run(ctx context.Context, s *session) error {
	return withApp(ctx, s, func(a *app) error {
		size, note := c.Size, ""
		var checkpoint proof.Checkpoint
		if c.Checkpoint != "" {
			raw, err := readKey(c.Checkpoint)
			if err != nil {
				return err
			}
			if checkpoint, err = readCheckpoint(c.Checkpoint, ""); err != nil {
				return err
			}
			size, note = checkpoint.Size, raw
		}
		p, err := a.seals.Prove(ctx, c.Source, c.ID, size)
		if err != nil {
			return err
		}
		if note != "" {
			if err := p.Against(checkpoint); err != nil {
				return fmt.Errorf("%w: the chain was made anew since, or the checkpoint is of another ledger: %w", err, ledger.ErrCorrupt)
			}
			p.Checkpoint = note
		}
		encoded, err := encodeProof(p)
		if err != nil {
			return err
		}
		if c.File == "" {
			_, err := s.out.Write(encoded)
			return err
		}
		if err := writeNew(c.File, encoded, 0o644); err != nil {
			return err
		}
		s.say("wrote the proof of event %q to %s", c.ID, c.File)
		return nil
	})
}

type verifyProofCmd struct {
	File       string `arg:"" type:"existingfile" help:"The proof."`
	Checkpoint string `placeholder:"FILE" type:"existingfile" help:"The checkpoint that it must be a proof for."`
	Key        string `placeholder:"FILE" type:"existingfile" help:"The public key that the checkpoint must be signed by."`
}

// Help is shown below the command's flags.
func (verifyProofCmd) Help() string {
	return `Checks a proof without a database: every hash from the text of the event to the root of the tree of seals. A proof says something only about that root: hold it against a checkpoint that you have from elsewhere.

  deltaledger verify-proof 2001-1.proof.json --checkpoint checkpoint-0000000042 --key checkpoints.pub`
}

// proofResult is what verify-proof shows.
type proofResult struct {
	Ledger   string `json:"ledger"`
	Seal     int64  `json:"seal"`
	SealedAt string `json:"sealed_at"`
	Seals    int64  `json:"seals"`
	TreeRoot string `json:"tree_root"`
	Signed   bool   `json:"signed"`   // a checkpoint with the signature of the key says the same
	Anchored bool   `json:"anchored"` // a checkpoint says the same
	Leaf     string `json:"leaf"`
}

// factOf are the fields of the fact that a leaf holds, with their values; the leaf itself if they can't be told.
func factOf(leaf string) [][2]string {
	var content struct {
		Kind string                     `json:"kind"`
		Fact map[string]json.RawMessage `json:"fact"`
	}
	if err := json.Unmarshal([]byte(leaf), &content); err != nil {
		return [][2]string{{"fact", leaf}}
	}
	fields := [][2]string{{"fact", content.Kind}}
	for _, name := range slices.Sorted(maps.Keys(content.Fact)) {
		raw := content.Fact[name]
		value := string(raw)
		var plain string
		if json.Unmarshal(raw, &plain) == nil {
			value = plain
		}
		fields = append(fields, [2]string{"  " + name, value})
	}
	return fields
}

// Run checks the proof.
func (c *verifyProofCmd) Run(s *session) error {
	raw, err := readKey(c.File)
	if err != nil {
		return err
	}
	key, err := readKey(c.Key)
	if err != nil {
		return err
	}
	p, err := proof.Read([]byte(raw))
	if err != nil {
		return err
	}
	if err := p.Check(key); err != nil {
		return fmt.Errorf("%w\nThis file was changed or damaged, or is of another key: it proves nothing", err)
	}
	anchored := p.Checkpoint != ""
	if c.Checkpoint != "" {
		k, err := readCheckpoint(c.Checkpoint, key)
		if err == nil {
			err = p.Against(k)
		}
		if err != nil {
			return err
		}
		anchored = true
	}
	if key != "" && !anchored {
		return usagef("--key needs a checkpoint that it signed: the proof has none, so give one with --checkpoint")
	}
	r := proofResult{
		Ledger: p.Seal.Ledger.String(), Seal: p.Seal.Number, SealedAt: stamp(p.Seal.SealedAt), Seals: p.Tree.Size, TreeRoot: p.Tree.Root.String(),
		Signed: anchored && key != "", Anchored: anchored, Leaf: p.Leaf,
	}
	t := table{columns: []column{text("field"), text("value")}}
	t.add("ledger", r.Ledger)
	for _, f := range factOf(r.Leaf) {
		t.add(f[0], f[1])
	}
	t.add("sealed at", r.SealedAt)
	t.add("seal", fmt.Sprintf("%d of %d", r.Seal, r.Seals))
	t.add("tree root", r.TreeRoot)
	switch {
	case r.Signed:
		t.note = "the proof holds, for a checkpoint that the key signed"
	case r.Anchored:
		t.note = "the proof holds for the checkpoint; its signature was not looked at: give --key"
	default:
		t.note = "the proof holds for the tree root above; whether that is the ledger's, only a checkpoint can say: give --checkpoint"
	}
	return s.show(r, t)
}
