package proof

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
)

// Version is the version of the form of proofs that are made now.
const Version = 1

// Proof shows that a fact is in a ledger: the leaf in the block of its seal, and the seal in the tree of
// seals.
type Proof struct {
	Version    int        `json:"version"`
	Leaf       string     `json:"leaf"`                 // the canonical text of the fact
	Index      int64      `json:"index"`                // of the leaf in its block, from 0
	Path       []Hash     `json:"path"`                 // from the leaf to the root of the block
	Seal       Seal       `json:"seal"`                 // of the block
	SealPath   []Hash     `json:"seal_path"`            // from the seal to the root of the tree of seals
	Tree       Checkpoint `json:"tree"`                 // of seals
	Checkpoint string     `json:"checkpoint,omitempty"` // the signed note of Tree, where the proof was made for one
}

// ErrRefused says that a proof proves nothing. The text says which of its steps fails.
var ErrRefused = errors.New("the proof fails")

func refused(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrRefused, fmt.Errorf(format, args...))
}

// Read reads a proof as it was written in JSON. It checks nothing but the form.
func Read(raw []byte) (Proof, error) {
	var p Proof
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(&p); err != nil {
		return Proof{}, fmt.Errorf("%w: no proof: %w", ErrRefused, err)
	}
	if p.Version != Version {
		return Proof{}, refused("its version is %d, and only version %d can be checked", p.Version, Version)
	}
	return p, nil
}

// Check checks every step from the leaf to the root of the tree of seals, which the caller must know from
// elsewhere: from a checkpoint. If the proof holds a checkpoint, it must say the same, and with a public
// key it must be signed by it.
func (p Proof) Check(public string) error {
	switch {
	case p.Version != Version:
		return refused("its version is %d, and only version %d can be checked", p.Version, Version)
	case p.Seal.Format != SealFormat:
		return refused("the format of the seal is %d, and only format %d can be checked", p.Seal.Format, SealFormat)
	case p.Tree.Origin != Origin(p.Seal.Ledger):
		return refused("the seal is of ledger %s, and the tree of %s", p.Seal.Ledger, p.Tree.Origin)
	}
	if err := CheckPath(LeafHash([]byte(p.Leaf)), p.Index, p.Seal.Count, p.Path, p.Seal.Root); err != nil {
		return refused("the leaf isn't in the block of seal %d: %w", p.Seal.Number, err)
	}
	if err := CheckPath(p.Seal.Hash(), p.Seal.Number-1, p.Tree.Size, p.SealPath, p.Tree.Root); err != nil {
		return refused("seal %d isn't in the tree of %d seals: %w", p.Seal.Number, p.Tree.Size, err)
	}
	if p.Checkpoint == "" {
		return nil
	}
	c, err := OpenCheckpoint([]byte(p.Checkpoint), public)
	if err != nil {
		return refused("its checkpoint: %w", err)
	}
	return p.Against(c)
}

// Against fails unless the proof is for that checkpoint.
func (p Proof) Against(c Checkpoint) error {
	switch {
	case c.Origin != p.Tree.Origin:
		return refused("the checkpoint is of %s, and the proof of %s", c.Origin, p.Tree.Origin)
	case c.Size != p.Tree.Size:
		return refused("the checkpoint is of %d seals, and the proof of %d: make the proof with --checkpoint", c.Size, p.Tree.Size)
	case c.Root != p.Tree.Root:
		return refused("the checkpoint says that the root of %d seals is %s, and the proof says %s", c.Size, c.Root, p.Tree.Root)
	}
	return nil
}
