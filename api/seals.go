package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"deltaledger/ledger"
)

type listSealsIn struct {
	Limit  int   `query:"limit" minimum:"1" maximum:"1000" doc:"Seals on a page; 100 without it"`
	Before int64 `query:"before" minimum:"1" doc:"next_before of the page before: seals with lower numbers"`
}

// SealAnswer is a seal as the API shows it; hashes are SHA-256 in hex.
type SealAnswer struct {
	Number        int64     `json:"number" doc:"From 1, without gaps"`
	Format        int       `json:"format" doc:"Version of the canonical texts that are hashed"`
	FirstPosition int64     `json:"first_position" doc:"Of the block: one more than the last one of the seal before"`
	LastPosition  int64     `json:"last_position"`
	Count         int64     `json:"count" doc:"Facts in the block"`
	Root          string    `json:"root" doc:"Of the tree over the block's facts (RFC 6962)"`
	Positions     string    `json:"positions" doc:"Hash of the list of the facts' positions"`
	Tags          string    `json:"tags" doc:"Hash of the list of the beginnings of their hashes"`
	Previous      string    `json:"previous,omitempty" doc:"Hash of the seal before; absent from the first one"`
	Hash          string    `json:"hash" doc:"The seal's own: over all fields above, position and sealed_at"`
	TreeRoot      string    `json:"tree_root" doc:"Root of the tree over the hashes of the seals up to this one: what a checkpoint of it says"`
	Position      int64     `json:"position" doc:"The seal's own position"`
	SealedAt      time.Time `json:"sealed_at" doc:"By the clock of the database (UTC)"`
}

// SealsPage is a part of the list of seals.
type SealsPage struct {
	Seals      []SealAnswer `json:"seals"`
	NextBefore int64        `json:"next_before,omitempty" doc:"Ask with it for the next page. Absent on the last one"`
}

type listSealsOut struct{ Body SealsPage }

func (s *server) listSeals(ctx context.Context, in *listSealsIn) (*listSealsOut, error) {
	list, err := s.seals.List(ctx, in.Limit, in.Before)
	if err != nil {
		return nil, err
	}
	page := SealsPage{Seals: []SealAnswer{}}
	for _, k := range list {
		answer := SealAnswer{
			Number: k.Number, Format: k.Format, FirstPosition: k.First, LastPosition: k.Last, Count: k.Count, Root: k.Root.String(),
			Positions: k.Positions.String(), Tags: k.Tags.String(), Hash: k.Hash().String(), TreeRoot: k.TreeRoot.String(),
			Position: k.Position, SealedAt: k.SealedAt,
		}
		if k.Number > 1 {
			answer.Previous = k.Previous.String()
		}
		page.Seals = append(page.Seals, answer)
	}
	if n := len(list); n > 0 && list[n-1].Number > 1 {
		page.NextBefore = list[n-1].Number
	}
	return &listSealsOut{page}, nil
}

func listSealsDoc() doc {
	return doc{
		id: "list-seals", tag: tagRead, summary: "List seals",
		text: "The chain of seals, newest first. Each binds the facts of a block of positions and the seal before it; what was recorded since the newest one isn't sealed yet. Whether the ledger still is what was sealed, the command verify says.",
	}
}

type proveEventIn struct {
	Source string `path:"source" example:"orders" doc:"The source of the event"`
	ID     string `path:"id" example:"order-1234-7" doc:"Its id within the source"`
	Size   int64  `query:"size" minimum:"1" doc:"Prove it for the tree of the first so many seals, such as those of a checkpoint. Without it, of all there are"`
}

type proveEventOut struct {
	ContentType string `header:"Content-Type"`
	Body        []byte
}

func (s *server) proveEvent(ctx context.Context, in *proveEventIn) (*proveEventOut, error) {
	p, err := s.seals.Prove(ctx, in.Source, in.ID, in.Size)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(p); err != nil {
		return nil, fmt.Errorf("encode the proof: %w: %w", err, ledger.ErrCorrupt)
	}
	return &proveEventOut{"application/json", b.Bytes()}, nil
}

func proveEventDoc() doc {
	hash := &huma.Schema{Type: huma.TypeString, Description: "SHA-256 in hex"}
	hashes := func(text string) *huma.Schema {
		return &huma.Schema{Type: huma.TypeArray, Items: hash, Description: text}
	}
	number := func(text string) *huma.Schema {
		return &huma.Schema{Type: huma.TypeInteger, Format: "int64", Description: text}
	}
	return doc{
		id: "prove-event", tag: tagRead, work: views, summary: "Prove that an event is in the ledger",
		text:  "A proof that the event is in the ledger as the proof spells it, for the tree over all seals or over the first so many. The command verify-proof checks it without the ledger; only a checkpoint says that the tree is this ledger's. An event is sealed some seconds after it was recorded; until then the answer is 503.",
		fails: []kind{notFound},
		answers: map[string]*huma.Response{"200": {
			Description: "The proof",
			Content: map[string]*huma.MediaType{"application/json": {Schema: &huma.Schema{
				Type: huma.TypeObject,
				Properties: map[string]*huma.Schema{
					"version":   number("Of the form of the proof: 1"),
					"leaf":      {Type: huma.TypeString, Description: "The canonical text of the event and its key; its hash is SHA-256(0x00 ‖ text)"},
					"index":     number("Of the leaf in its block, from 0"),
					"path":      hashes("From the leaf to the root of the block"),
					"seal":      {Type: huma.TypeObject, Description: "The seal of the block"},
					"seal_path": hashes("From the seal to the root of the tree of seals"),
					"tree":      {Type: huma.TypeObject, Description: "Origin, size and root of the tree of seals, as a checkpoint says them"},
				},
			}}},
		}},
	}
}
